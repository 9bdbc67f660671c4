//! `Connections`: the open connections of one shard, each with a `Control` by which it is told to end.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A connection is idle when nothing happened on it for so many looks in a row.
const QUIET_LOOKS_MAX: u8 = 4;

/// How far a connection still goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Requests are read.
    Open,
    /// No more of them; those that were read are answered.
    Draining,
    /// Nothing happens any more: it was idle for too long.
    Idle,
}

/// One connection as others on its thread see it.
#[derive(Debug)]
pub(crate) struct Control {
    stage: Cell<Stage>,
    /// Whether bytes came or went since the last look.
    is_active: Cell<bool>,
    /// Whether a request waits for its answer: then the broker is the one that is silent.
    is_answering: Cell<bool>,
    quiet_looks: Cell<u8>,
    task: RefCell<Option<Waker>>,
}

impl Control {
    fn new() -> Control {
        Control {
            stage: Cell::new(Stage::Open),
            is_active: Cell::new(true),
            is_answering: Cell::new(false),
            quiet_looks: Cell::new(0),
            task: RefCell::new(None),
        }
    }

    /// Bytes have come or gone.
    pub(crate) fn note_activity(&self) {
        self.is_active.set(true);
    }

    /// An answer is waited for, or not any more.
    pub(crate) fn set_answering(&self, is_answering: bool) {
        self.is_answering.set(is_answering);
        self.is_active.set(true);
    }

    /// Whether no more requests are to be read.
    pub(crate) fn is_draining(&self) -> bool {
        self.stage.get() >= Stage::Draining
    }

    /// Ready when no more requests are to be read.
    pub(crate) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_stage(Stage::Draining, cx)
    }

    /// Ready when the connection is to end as it is.
    pub(crate) fn poll_idle(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_stage(Stage::Idle, cx)
    }

    /// Only the connection's own task asks: one waker does for both.
    fn poll_stage(&self, stage: Stage, cx: &mut Context<'_>) -> Poll<()> {
        if self.stage.get() >= stage {
            return Poll::Ready(());
        }
        let task = &mut *self.task.borrow_mut();
        if !task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            *task = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    fn go_on_to(&self, stage: Stage) {
        if self.stage.get() < stage {
            self.stage.set(stage);
            if let Some(task) = self.task.borrow().as_ref() {
                task.wake_by_ref();
            }
        }
    }

    fn look(&self) {
        if self.is_active.take() || self.is_answering.get() {
            self.quiet_looks.set(0);
            return;
        }
        self.quiet_looks.set(self.quiet_looks.get() + 1);
        if self.quiet_looks.get() >= QUIET_LOOKS_MAX {
            self.go_on_to(Stage::Idle);
        }
    }
}

/// The open connections of one shard.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: RefCell<BTreeMap<u64, Rc<Control>>>,
    opened: Cell<u64>,
    is_draining: Cell<bool>,
}

/// A connection's place among the others; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Enrolled<'a> {
    connections: &'a Connections,
    number: u64,
    pub(crate) control: Rc<Control>,
}

impl Connections {
    /// Takes a connection in.
    pub(crate) fn enroll(&self) -> Enrolled<'_> {
        let number = self.opened.get();
        self.opened.set(number + 1);
        let control = Rc::new(Control::new());
        if self.is_draining.get() {
            control.go_on_to(Stage::Draining);
        }
        self.open.borrow_mut().insert(number, control.clone());
        Enrolled { connections: self, number, control }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.open.borrow().len()
    }

    /// Between two looks at a connection that may be idle for so long; `None` when it may be for ever.
    pub(crate) fn look_every_ms(idle_ms_max: i64) -> Option<u64> {
        u64::try_from(idle_ms_max).ok().map(|ms| (ms / u64::from(QUIET_LOOKS_MAX)).max(1))
    }

    /// Looks at all connections; ends those that were found quiet too often.
    pub(crate) fn look(&self) {
        self.open.borrow().values().for_each(|control| control.look());
    }

    /// Has all connections, and those to come, answer what they have read and end.
    pub(crate) fn drain(&self) {
        self.is_draining.set(true);
        self.open.borrow().values().for_each(|control| control.go_on_to(Stage::Draining));
    }
}

impl Drop for Enrolled<'_> {
    fn drop(&mut self) {
        self.connections.open.borrow_mut().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_idle(control: &Control) -> bool {
        control.poll_idle(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn is_draining(control: &Control) -> bool {
        control.poll_drain(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn a_connection_is_idle_after_a_row_of_quiet_looks() {
        let connections = Connections::default();
        let (quiet, busy, waiting) = (connections.enroll(), connections.enroll(), connections.enroll());
        waiting.control.set_answering(true);
        for _ in 0..=QUIET_LOOKS_MAX {
            assert!(!is_idle(&quiet.control));
            busy.control.note_activity();
            connections.look();
        }
        assert!(is_idle(&quiet.control) && is_draining(&quiet.control));
        assert!(!is_idle(&busy.control) && !is_idle(&waiting.control));
    }

    #[test]
    fn connections_that_come_while_the_shard_ends_are_told_so() {
        let connections = Connections::default();
        let first = connections.enroll();
        assert!(!is_draining(&first.control));
        connections.drain();
        assert!(is_draining(&first.control) && is_draining(&connections.enroll().control));
        assert!(!is_idle(&first.control));
        drop(first);
        assert!(connections.open.borrow().is_empty());
    }

    #[test]
    fn four_looks_make_the_time_that_a_connection_may_be_idle() {
        assert_eq!(Connections::look_every_ms(600_000), Some(150_000));
        assert_eq!(Connections::look_every_ms(0), Some(1));
        assert_eq!(Connections::look_every_ms(-1), None);
    }
}
