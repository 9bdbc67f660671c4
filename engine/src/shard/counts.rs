//! `CommitCounts`: by which ways appends became durable.

/// What waves and the syncs behind the journal took, since the shard was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CommitCounts {
    /// Waves that were started.
    pub waves: u64,
    /// Syncs that a wave waited for.
    pub wave_syncs: u64,
    /// Frames that were submitted to the journal.
    pub frames: u64,
    /// Bytes of them on the device.
    pub frame_bytes: u64,
    /// Journal files that were begun anew.
    pub files_begun: u64,
    /// Syncs behind the journal.
    pub behind_syncs: u64,
    /// Bytes of segments that those covered and no sync before them.
    pub behind_bytes: u64,
}

impl std::ops::AddAssign for CommitCounts {
    fn add_assign(&mut self, more: CommitCounts) {
        self.waves += more.waves;
        self.wave_syncs += more.wave_syncs;
        self.frames += more.frames;
        self.frame_bytes += more.frame_bytes;
        self.files_begun += more.files_begun;
        self.behind_syncs += more.behind_syncs;
        self.behind_bytes += more.behind_bytes;
    }
}
