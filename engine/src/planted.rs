//! `Bug`: the bugs that tests plant, one at a time, to see that the campaign of crashes catches each.
//!
//! Outside of this crate's tests [`planted`] is the constant `false`.

/// What a storage engine gets wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A wave is released when its syncs are submitted, not when they have returned.
    AckBeforeSync,
    /// The name of a new segment is not synced.
    DirectoryNotSynced,
    /// A start takes a batch for whole without looking at its checksum.
    CrcNotChecked,
    /// A start does not find out what producers have written.
    ProducerStateLost,
    /// Readers see an append when its wave starts.
    DurableEndMovedEarly,
    /// A sync that failed is tried again, and the answer of that is believed.
    SyncRetried,
    /// A start takes a log that ends in front of what was on the device for one that a crash has cut.
    TailCutBelowDurableEnd,
    /// A start takes frames that an earlier use of a journal's file has left.
    StaleFrameAccepted,
    /// What a start found, or wrote from a journal, is not synced before it is served.
    ReplayNotSynced,
    /// A start gives the last batch's offset to the next one.
    OffsetReused,
    /// A start reads what the page cache has, which after a failed sync is not what the device has.
    RecoveryFromPageCache,
    /// A repeated batch is acknowledged at once, although the first one's wave is under way.
    DuplicateAckedBeforeWave,
}

/// Whether the bug is planted.
#[cfg(not(test))]
pub(crate) const fn planted(_bug: Bug) -> bool {
    false
}

#[cfg(test)]
pub(crate) use of_thread::{plant, planted};

#[cfg(test)]
mod of_thread {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    impl Bug {
        /// Every one of them.
        pub(crate) const ALL: [Bug; 12] = [
            Bug::AckBeforeSync,
            Bug::DirectoryNotSynced,
            Bug::CrcNotChecked,
            Bug::ProducerStateLost,
            Bug::DurableEndMovedEarly,
            Bug::SyncRetried,
            Bug::TailCutBelowDurableEnd,
            Bug::StaleFrameAccepted,
            Bug::ReplayNotSynced,
            Bug::OffsetReused,
            Bug::RecoveryFromPageCache,
            Bug::DuplicateAckedBeforeWave,
        ];
    }

    /// Plants a bug, in place of the one before, in all that this thread runs.
    pub(crate) fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }

    pub(crate) fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }
}
