//! `Replies`: what one connection is to be answered, in the order of its requests.
//!
//! Both ends belong to the connection's one task, which looks at the taking end whenever it has looked at the
//! other: only who waits for a place is woken.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Places whose memory a connection keeps when it has nothing to answer.
const KEPT_PLACES: usize = 4;

/// A queue of so many places.
pub(crate) struct Replies<T> {
    queue: RefCell<VecDeque<T>>,
    places: usize,
    is_finished: Cell<bool>,
    /// Who waits for a place.
    waiting: Cell<Option<Waker>>,
}

impl<T> Replies<T> {
    pub(crate) fn new(places: usize) -> Replies<T> {
        Replies { queue: RefCell::default(), places, is_finished: Cell::new(false), waiting: Cell::new(None) }
    }

    /// Waits until a place is free. Only one task takes places, so it stays free.
    pub(crate) async fn wait_for_place(&self) {
        poll_fn(|cx| {
            if self.queue.borrow().len() < self.places {
                return Poll::Ready(());
            }
            self.waiting.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Takes a place.
    pub(crate) fn push(&self, reply: T) {
        self.queue.borrow_mut().push_back(reply);
    }

    /// Nothing more will come.
    pub(crate) fn finish(&self) {
        self.is_finished.set(true);
    }

    /// Waits for the next one; `None` when there is none and none will come. Nobody is woken for it.
    pub(crate) async fn next(&self) -> Option<T> {
        poll_fn(|_| match self.try_next() {
            Some(reply) => Poll::Ready(Some(reply)),
            None if self.is_finished.get() => Poll::Ready(None),
            None => Poll::Pending,
        })
        .await
    }

    /// The next one, if it is there.
    pub(crate) fn try_next(&self) -> Option<T> {
        let queue = &mut *self.queue.borrow_mut();
        let next = queue.pop_front()?;
        if queue.is_empty() && queue.capacity() > KEPT_PLACES {
            *queue = VecDeque::new();
        }
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        std::pin::pin!(future).poll(&mut std::task::Context::from_waker(Waker::noop()))
    }

    #[test]
    fn replies_come_in_order_until_the_last_and_wait_for_places() {
        let replies = Replies::new(2);
        assert!(poll(replies.next()).is_pending());
        for reply in [1, 2] {
            assert!(poll(replies.wait_for_place()).is_ready());
            replies.push(reply);
        }
        assert!(poll(replies.wait_for_place()).is_pending());
        assert_eq!(poll(replies.next()), Poll::Ready(Some(1)));
        assert!(poll(replies.wait_for_place()).is_ready());
        replies.finish();
        assert_eq!([poll(replies.next()), poll(replies.next())], [Poll::Ready(Some(2)), Poll::Ready(None)]);
    }
}
