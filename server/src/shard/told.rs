//! `Told`: faults that are in the log already. Clients ask again and again, and must not fill it.

use std::cell::RefCell;
use std::collections::HashMap;

/// The same fault is told again after so long.
const AGAIN_MS: i64 = 600_000;
/// Faults that are remembered. Others are not told of until these are old.
const FAULTS_MAX: usize = 256;

/// Faults, by what was said of each, and when that was.
#[derive(Debug, Default)]
pub(crate) struct Told(RefCell<HashMap<String, i64>>);

impl Told {
    /// Whether the log shall be told of a fault: it was not told of it lately.
    pub(crate) fn is_news(&self, fault: &str, now_ms: i64) -> bool {
        let told = &mut *self.0.borrow_mut();
        let is_old = |since_ms: i64| now_ms - since_ms >= AGAIN_MS;
        if let Some(since_ms) = told.get(fault) {
            if !is_old(*since_ms) {
                return false;
            }
        } else if told.len() == FAULTS_MAX {
            told.retain(|_, since_ms| !is_old(*since_ms));
        }
        let has_room = told.len() < FAULTS_MAX || told.contains_key(fault);
        if has_room {
            told.insert(fault.to_owned(), now_ms);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_once_and_again_much_later() {
        let told = Told::default();
        let news = [("a", 0), ("a", 1), ("b", 1), ("a", AGAIN_MS - 1), ("a", AGAIN_MS), ("a", AGAIN_MS + 1)];
        let news = news.map(|(fault, now_ms)| told.is_news(fault, now_ms));
        assert_eq!(news, [true, false, true, false, true, false]);
    }

    #[test]
    fn very_many_faults_take_bounded_room_until_the_old_ones_go() {
        let told = Told::default();
        let news = (0..2 * FAULTS_MAX).filter(|fault| told.is_news(&fault.to_string(), 0)).count();
        assert_eq!(news, FAULTS_MAX);
        assert!(told.is_news("0", AGAIN_MS) && told.is_news("new", AGAIN_MS));
        assert_eq!(told.0.borrow().len(), 2);
    }
}
