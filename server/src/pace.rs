//! `Pace`: how many things a start does at once. It waits for the disk many times, and a disk serves many who wait.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// As many as keep a disk busy with small reads and syncs.
const THREADS_MAX: usize = 16;

/// How many things a start does at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// As many as help, on threads that end before the call returns.
    AtOnce,
    /// One after the other, on the caller's thread: what a seed decides stays decided.
    OneByOne,
}

impl Pace {
    /// Does both.
    pub(crate) fn both<A, B: Send>(
        self,
        one: impl FnOnce() -> A,
        other: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        match self {
            Pace::OneByOne => (one(), other()),
            Pace::AtOnce => thread::scope(|scope| {
                let other = scope.spawn(other);
                (one(), other.join().expect("reading does not panic"))
            }),
        }
    }

    /// Does the same with each item, every thread with tools of its own. The results are in the items' order.
    pub(crate) fn each<T: Sync, W, R: Send>(
        self,
        items: &[T],
        tools: impl Fn() -> W + Sync,
        work: impl Fn(&mut W, &T) -> R + Sync,
    ) -> Vec<R> {
        let threads = THREADS_MAX.min(items.len());
        if self == Pace::OneByOne || threads < 2 {
            let mut tools = tools();
            return items.iter().map(|item| work(&mut tools, item)).collect();
        }
        let next = AtomicUsize::new(0);
        let of_one_thread = || {
            let mut tools = tools();
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(index) else { return done };
                done.push((index, work(&mut tools, item)));
            }
        };
        let mut done: Vec<(usize, R)> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(of_one_thread)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("opening does not panic")).collect()
        });
        done.sort_unstable_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, result)| result).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items_and_every_item_has_one() {
        let items: Vec<usize> = (0..1_000).collect();
        for pace in [Pace::AtOnce, Pace::OneByOne] {
            let doubled = pace.each(&items, || (), |_, item| item * 2);
            assert_eq!(doubled, items.iter().map(|item| item * 2).collect::<Vec<_>>());
            assert!(pace.each(&[], || (), |_, item: &usize| *item).is_empty());
        }
    }

    #[test]
    fn at_once_items_are_worked_on_while_others_wait() {
        // Nobody passes before all are there.
        let together = Barrier::new(THREADS_MAX);
        let items = [(); THREADS_MAX];
        assert_eq!(Pace::AtOnce.each(&items, || (), |_, ()| together.wait().is_leader()).len(), THREADS_MAX);
    }
}
