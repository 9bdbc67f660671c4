//! `logmill.journal.SHARD.SLOT`: its frames, and what is in them.

use std::collections::BTreeMap;
use std::path::Path;

use logmill_engine::disk::Disk;
use logmill_engine::disk::read_only::ReadOnlyDisk;
use logmill_engine::format::{BatchView, Uuid, partition_metadata, point_state};
use logmill_engine::journal::{FoundFrames, Item, ItemKind, JournalName};

use super::{Dump, Dumped};
use crate::log::files::partition_name;
use crate::print::{Cell, Fields};

impl Dump {
    pub(super) fn journal(&mut self, path: &Path, name: JournalName) -> Dumped {
        let log_dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let found = FoundFrames::read(&ReadOnlyDisk, log_dir, name)?;
        let len = Dump::open(path)?.len()?;
        self.begin(path, "journal", len)?;
        let topics = topic_names(log_dir);
        for (position, frame) in found.frames() {
            let numbers = frame.numbers;
            let fields = Fields::default()
                .with("position", position)
                .with("bytes", frame.len)
                .with("sequence", numbers.sequence)
                .with("generation", numbers.generation)
                .with("oldest_generation", numbers.oldest_generation)
                .with("nonce", format!("{:016x}", numbers.nonce))
                .with("items", frame.items().count());
            self.line("frame", &fields)?;
            for item in frame.items() {
                let (kind, fields) = item_fields(&item, &topics);
                self.line(kind, &fields)?;
            }
        }
        let (position, behind) = found.end();
        let fields = Fields::default().with("position", position).with("behind", behind);
        self.line("end", &fields)
    }
}

fn item_fields(item: &Item<'_>, topics: &BTreeMap<Uuid, String>) -> (&'static str, Fields) {
    let (kind, payload) = match item.kind {
        ItemKind::Piece => ("piece", piece(item.payload)),
        ItemKind::State => ("state", state(item.payload)),
        ItemKind::Cut => ("cut", Fields::default()),
    };
    let id = item.place.id;
    let mut fields = Fields::default()
        .with("topic", topics.get(&id.topic).cloned())
        .with("topic_id", id.topic.to_string())
        .with("partition", id.index)
        .with("segment", item.place.segment)
        .with("position", item.place.position)
        .with("offset", item.place.offset)
        .with("bytes", item.payload.len());
    fields.0.extend(payload.0);
    (kind, fields)
}

fn piece(bytes: &[u8]) -> Fields {
    match BatchView::split_first(bytes) {
        Some((batch, [])) => Fields::default()
            .with("base_offset", batch.header.base_offset())
            .with("count", batch.header.record_count())
            .with("crc", Cell::Crc(batch.header.crc()))
            .with("fault", batch.check().err()),
        _ => Fields::default().with("fault", "it is no batch"),
    }
}

/// What a recovery point's state says in short.
fn state(bytes: &[u8]) -> Fields {
    if bytes.is_empty() {
        return Fields::default();
    }
    match point_state::read(bytes) {
        Ok(state) => Fields::default()
            .with("producers", state.producers.len())
            .with("leader_epochs", state.epochs.len())
            .with("max_timestamp", Cell::Time(state.segment.max_timestamp)),
        Err(fault) => Fields::default().with("fault", fault),
    }
}

/// Names of the topics in a log directory, by what their directories say.
fn topic_names(log_dir: &Path) -> BTreeMap<Uuid, String> {
    let named = |name: &str| {
        let partition = partition_name(name).filter(|partition| partition.fate.is_none())?;
        let content = ReadOnlyDisk.read(&log_dir.join(name).join(partition_metadata::FILE_NAME)).ok()?;
        Some((partition_metadata::read(&content).ok()?, partition.topic))
    };
    let entries = ReadOnlyDisk.list(log_dir).unwrap_or_default();
    entries.iter().filter_map(|entry| named(&entry.name)).collect()
}
