//! `ReceivePool`: buffers that the busy connections of a shard receive into, used again and again.

use std::cell::{Cell, RefCell};

use bytes::BytesMut;

/// Bytes of a buffer: several produce requests of most clients, and within a core's own cache.
pub(crate) const BUFFER_BYTES: usize = 512 * 1024;
/// Buffers of one shard. When all are in use, connections make their own.
const BUFFERS_MAX: usize = 8;

/// The buffers. Memory that is given to the allocator and asked for again with every request is taken from
/// the process and faulted in anew each time, which costs as much as copying into it.
#[derive(Debug, Default)]
pub(crate) struct ReceivePool {
    /// Given back. What was cut off them may be in use still, on any shard.
    spare: RefCell<Vec<BytesMut>>,
    /// How many there are, spare or lent.
    made: Cell<usize>,
}

impl ReceivePool {
    /// A buffer with room for `BUFFER_BYTES`, if one is free: the one used last, which is in the cache.
    pub(crate) fn lend(&self) -> Option<BytesMut> {
        let mut spare = self.spare.borrow_mut();
        if let Some(free) = spare.iter_mut().rposition(|buf| buf.try_reclaim(BUFFER_BYTES)) {
            return Some(spare.remove(free));
        }
        if self.made.get() == BUFFERS_MAX {
            return None;
        }
        self.made.set(self.made.get() + 1);
        Some(BytesMut::with_capacity(BUFFER_BYTES))
    }

    /// Takes a lent buffer back; what is in it is dropped.
    pub(crate) fn take_back(&self, mut buf: BytesMut) {
        buf.clear();
        self.spare.borrow_mut().push(buf);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_lent_again_when_nobody_holds_a_part_of_it() {
        let pool = ReceivePool::default();
        let mut buf = pool.lend().unwrap();
        buf.extend_from_slice(&[7; 100_000]);
        let address = buf.as_ptr();
        let part = buf.split_to(100_000).freeze();
        pool.take_back(buf);
        let other = pool.lend().unwrap();
        assert_ne!(other.as_ptr(), address);
        assert_eq!(part[..], [7; 100_000]);
        drop(part);
        assert_eq!(pool.lend().unwrap().as_ptr(), address);
        assert_eq!(pool.made.get(), 2);
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let pool = ReceivePool::default();
        let lent: Vec<BytesMut> = std::iter::from_fn(|| pool.lend()).collect();
        assert_eq!(lent.len(), BUFFERS_MAX);
        lent.into_iter().for_each(|buf| pool.take_back(buf));
        assert!(pool.lend().is_some_and(|buf| buf.is_empty() && buf.capacity() == BUFFER_BYTES));
    }
}
