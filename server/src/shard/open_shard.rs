//! `OpenShard`: a shard on its way from what its thread was handed to one that serves.

use std::rc::Rc;
use std::sync::Arc;

use logmill_engine::Error;
use logmill_engine::journal::JournalConfig;
use logmill_engine::shard::{CommitLimits, OpenPartition, Opened, Opener};

use super::apply::take_in;
use super::groups::tend_groups;
use super::local::{Host, LocalShard, take_completions, take_mail};
use super::mailbox::{Lanes, Mailbox};
use crate::broker::Broker;
use crate::group::{Coordinators, Now};
use crate::metadata::Image;
use crate::pace::Pace;

/// What a shard is built from on its own thread.
#[derive(Debug)]
pub struct ShardParts {
    /// Which shard it is.
    pub index: usize,
    /// To the others.
    pub lanes: Lanes,
    /// From the others.
    pub mailbox: Mailbox,
    /// The partitions that it owns.
    pub partitions: Vec<OpenPartition>,
    /// Its journals, one in each log directory.
    pub journals: Vec<JournalConfig>,
    /// The topics as the start found them.
    pub image: Arc<Image>,
    /// How many of its partitions are opened at once.
    pub(crate) pace: Pace,
}

/// A shard whose partitions are open. Its journals are as the process before this one left them.
pub(crate) struct OpenShard {
    parts: ShardParts,
    broker: Arc<Broker>,
    host: Host,
    opener: Opener,
    opened: Vec<Opened>,
}

impl OpenShard {
    /// Opens the shard's partitions.
    pub(crate) fn open(parts: ShardParts, broker: Arc<Broker>, host: Host) -> Result<OpenShard, Error> {
        let opener = Opener::new(host.disk.clone(), broker.config.log_dirs.clone());
        let opened = open_all(&opener, &parts.partitions, parts.pace, host.clock.now_ms())?;
        Ok(OpenShard { parts, broker, host, opener, opened })
    }

    /// Begins the journals anew and starts the shard's loops, once all shards are open: a journal may hold what
    /// belongs to partitions of any of them. What it serves comes through its listeners.
    pub(crate) fn begin(self) -> Result<Rc<LocalShard>, Error> {
        let OpenShard { parts, broker, host, opener, opened } = self;
        let io = |source| Error::Io { doing: format!("starting shard {}", parts.index), source };
        let mut engine = opener.into_shard(&parts.journals, CommitLimits::default())?;
        opened.into_iter().for_each(|opened| engine.adopt(opened));
        let now = Now { steady_ms: host.clock.steady_ms(), wall_ms: host.clock.now_ms() };
        let mut groups =
            Coordinators::new(broker.config.offset_metadata_len_max, broker.config.groups.clone(), now);
        for partition in &parts.partitions {
            take_in(&mut engine, &mut groups, partition);
        }
        engine.begin()?;
        let completions = host.runtime.completions(engine.io_queue().completion_fd()).map_err(io)?;
        let ShardParts { index, lanes, mailbox, partitions, image, .. } = parts;
        let shard = Rc::new(LocalShard::new(index, broker, host, (lanes, image), (engine, groups)));
        let runtime = shard.host().runtime.clone();
        runtime.spawn(Box::pin(take_mail(shard.clone(), mailbox)));
        runtime.spawn(Box::pin(take_completions(shard.clone(), completions)));
        // Not before: from here on members can be heard.
        shard.await_members(&partitions);
        runtime.spawn(Box::pin(tend_groups(shard.clone())));
        Ok(shard)
    }
}

/// Opens partitions for the shard that the opener becomes. All that fail are told of.
pub(crate) fn open_all(
    opener: &Opener,
    partitions: &[OpenPartition],
    pace: Pace,
    now_ms: i64,
) -> Result<Vec<Opened>, Error> {
    let opened = pace.each(
        partitions,
        || opener.beside(),
        |opener, partition| {
            opener.open(partition, now_ms).inspect_err(|error| {
                tracing::error!("opening {}-{}: {error}", partition.topic, partition.id.index);
            })
        },
    );
    opened.into_iter().collect()
}
