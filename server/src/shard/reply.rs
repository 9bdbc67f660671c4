//! `Reply` and `Answer`: the ends of a channel for one value, whose memory a shard uses again ([`Replies`]).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// Channels whose memory a shard keeps. Requests beyond so many at a time take memory of their own.
const KEPT_MAX: usize = 256;

/// Where a value goes. Dropping it says that there will be none.
#[derive(Debug)]
pub(crate) struct Reply<T>(Slot<T>);

/// Where it comes out: a future of it, or of `None` when there will be none.
#[derive(Debug)]
pub(crate) struct Answer<T>(Slot<T>);

/// The lock is held for a move, by one of two threads: what every channel between threads comes down to.
type Slot<T> = Arc<Mutex<State<T>>>;

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    is_over: bool,
    waiting: Option<Waker>,
}

impl<T> Default for State<T> {
    fn default() -> State<T> {
        State { value: None, is_over: false, waiting: None }
    }
}

/// A channel of its own memory.
pub(crate) fn channel<T>() -> (Reply<T>, Answer<T>) {
    ends(Slot::default())
}

fn ends<T>(slot: Slot<T>) -> (Reply<T>, Answer<T>) {
    (Reply(slot.clone()), Answer(slot))
}

fn lock<T>(slot: &Slot<T>) -> MutexGuard<'_, State<T>> {
    slot.lock().expect("no holder of the lock panics")
}

impl<T> Reply<T> {
    /// Gives the value to who waits for it, if somebody still does.
    pub(crate) fn send(self, value: T) {
        lock(&self.0).value = Some(value);
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let waiting = {
            let mut state = lock(&self.0);
            state.is_over = true;
            state.waiting.take()
        };
        if let Some(waiting) = waiting {
            waiting.wake();
        }
    }
}

impl<T> Future for Answer<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = lock(&self.0);
        if state.is_over {
            return Poll::Ready(state.value.take());
        }
        state.waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Channels of one shard, the one lent longest ago in front: it is the first to be free again.
#[derive(Debug)]
pub(crate) struct Replies<T>(RefCell<VecDeque<Slot<T>>>);

impl<T> Default for Replies<T> {
    fn default() -> Replies<T> {
        Replies(RefCell::default())
    }
}

impl<T> Replies<T> {
    /// A channel in memory that neither end of an earlier one holds any more, if there is some.
    pub(crate) fn channel(&self) -> (Reply<T>, Answer<T>) {
        let mut kept = self.0.borrow_mut();
        let clear = |slot: &mut Slot<T>| {
            let Some(slot) = Arc::get_mut(slot) else { return false };
            *slot.get_mut().expect("no holder of the lock panics") = State::default();
            true
        };
        let slot = kept.pop_front_if(clear).unwrap_or_default();
        if kept.len() < KEPT_MAX {
            kept.push_back(slot.clone());
        }
        ends(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll<T>(answer: &mut Answer<T>) -> Poll<Option<T>> {
        Pin::new(answer).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_value_comes_out_once_it_is_there_and_a_dropped_end_says_that_none_will() {
        let (reply, mut answer) = channel();
        assert_eq!(poll(&mut answer), Poll::Pending);
        reply.send(7);
        assert_eq!(poll(&mut answer), Poll::Ready(Some(7)));
        let (reply, mut answer) = channel::<i32>();
        drop(reply);
        assert_eq!(poll(&mut answer), Poll::Ready(None));
    }

    #[test]
    fn memory_is_lent_again_when_both_ends_are_gone_and_says_nothing_of_what_was() {
        let replies = Replies::default();
        let address = |answer: &Answer<i32>| Arc::as_ptr(&answer.0);
        let (reply, first) = replies.channel();
        let first_address = address(&first);
        reply.send(7);
        let (_, second) = replies.channel();
        assert_ne!(address(&second), first_address, "the first value was not taken");
        drop((first, second));
        let (reply, mut third) = replies.channel();
        assert_eq!((address(&third), poll(&mut third)), (first_address, Poll::Pending));
        drop(reply);
        assert_eq!(poll(&mut third), Poll::Ready(None));
    }

    #[test]
    fn who_waits_is_woken_from_another_thread() {
        let replies = Replies::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for round in 0..1_000 {
            let (reply, answer) = replies.channel();
            let sending = std::thread::spawn(move || reply.send(round));
            assert_eq!(runtime.block_on(answer), Some(round));
            sending.join().unwrap();
        }
    }
}
