//! Bugs planted on purpose, so that tests can show that they would be seen.

use std::cell::Cell;

thread_local! {
    static OVERTAKING: Cell<bool> = const { Cell::new(false) };
}

/// In brokers that `start` starts, a message for which a mailbox has no room waits beside its connection
/// instead of holding it up: later messages may overtake it.
pub(crate) fn overtaking<T>(start: impl FnOnce() -> T) -> T {
    OVERTAKING.set(true);
    let started = start();
    OVERTAKING.set(false);
    started
}

/// Whether the lanes that are made on this thread have the bug.
pub(crate) fn is_overtaking() -> bool {
    OVERTAKING.get()
}
