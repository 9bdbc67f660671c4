//! `Clock`: a map of bounded size that gives up what was not looked at for longest, roughly.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// Entries stand in a circle; a hand goes round it when room is needed, and takes the first one that was not
/// looked at since it last came by.
#[derive(Debug)]
pub(crate) struct Clock<K, V> {
    slots: Vec<Slot<K, V>>,
    index: HashMap<K, usize, BuildHasherDefault<Mix>>,
    hand: usize,
    len_max: usize,
}

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    was_used: bool,
}

impl<K: Copy + Eq + Hash, V> Clock<K, V> {
    /// Room for `len_max` entries, one at least.
    pub(crate) fn new(len_max: usize) -> Clock<K, V> {
        Clock { slots: Vec::new(), index: HashMap::default(), hand: 0, len_max: len_max.max(1) }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<&V> {
        let place = self.place(key)?;
        Some(self.at(place))
    }

    /// Where a value is, until something is put in or forgotten.
    pub(crate) fn place(&self, key: &K) -> Option<usize> {
        self.index.get(key).copied()
    }

    pub(crate) fn at(&mut self, place: usize) -> &V {
        let slot = &mut self.slots[place];
        slot.was_used = true;
        &slot.value
    }

    /// Puts a value in, in another one's place where there is no room, and says where.
    pub(crate) fn insert(&mut self, key: K, value: V) -> usize {
        let slot = Slot { key, value, was_used: true };
        let place = match self.index.get(&key) {
            Some(place) => *place,
            None if self.slots.len() < self.len_max => self.slots.len(),
            None => self.next_victim(),
        };
        if place == self.slots.len() {
            self.slots.push(slot);
        } else {
            let old = std::mem::replace(&mut self.slots[place], slot);
            self.index.remove(&old.key);
        }
        self.index.insert(key, place);
        place
    }

    fn next_victim(&mut self) -> usize {
        loop {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            if !std::mem::take(&mut self.slots[place].was_used) {
                return place;
            }
        }
    }

    /// Takes out what is gone.
    pub(crate) fn forget(&mut self, is_gone: impl Fn(&K) -> bool) {
        let mut place = 0;
        while place < self.slots.len() {
            if !is_gone(&self.slots[place].key) {
                place += 1;
                continue;
            }
            let slot = self.slots.swap_remove(place);
            self.index.remove(&slot.key);
            if let Some(moved) = self.slots.get(place) {
                self.index.insert(moved.key, place);
            }
        }
        self.hand = if self.slots.is_empty() { 0 } else { self.hand % self.slots.len() };
    }

    /// How many entries it holds.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}

/// Hashes a few numbers of the broker's own: no stranger picks them, so nothing is kept secret, and a lookup
/// costs less than a copy of the key.
#[derive(Debug, Default)]
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64((*byte).into()));
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as u64);
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_holds_more_than_its_room_and_keeps_what_is_looked_at() {
        let mut clock = Clock::new(3);
        for key in 0..100 {
            clock.insert(key, key * 10);
            assert_eq!(clock.get(&key), Some(&(key * 10)));
            assert!(clock.len() <= 3);
        }
        // All were looked at: the hand clears their marks, takes the first, and the others wait.
        clock.insert(100, 1_000);
        let held: Vec<i32> = (0..=100).filter(|key| clock.index.contains_key(key)).collect();
        let kept = held[1];
        clock.get(&kept);
        clock.insert(101, 1_010);
        assert!(clock.get(&kept).is_some() && clock.get(&100).is_some(), "held {held:?}");
    }

    #[test]
    fn what_is_forgotten_is_gone_and_the_rest_stays() {
        let mut clock = Clock::new(10);
        for key in 0..10 {
            clock.insert(key, key);
        }
        clock.forget(|key| key % 3 == 0);
        for key in 0..10 {
            assert_eq!(clock.get(&key).is_some(), key % 3 != 0, "{key}");
        }
        for key in 20..40 {
            clock.insert(key, key);
        }
        assert_eq!(clock.len(), 10);
        clock.forget(|_| true);
        assert_eq!(clock.len(), 0);
        clock.insert(1, 1);
        assert_eq!(clock.get(&1), Some(&1));
    }
}
