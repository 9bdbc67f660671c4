//! `Shares`: a request's partitions dealt out to the shards that own them, and the answers put back in
//! order.

use crate::shard::{self, Answer, Command, LocalShard, Reply};
use crate::wire::{ErrorCode, Few};
use logmill_engine::partition::PartitionId;

/// One shard's part of a request, in the request's order.
pub(crate) struct Share<T> {
    pub(crate) shard: usize,
    pub(crate) items: Few<T>,
}

/// A request's partitions by shard. Few shards own parts of one request, so they are searched, not hashed.
pub(crate) struct Shares<T>(Few<Share<T>>);

/// Where a partition's answer will be found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// Nobody was asked: the request itself is wrong.
    Refused(ErrorCode),
    /// In the answer of a share.
    Asked {
        /// Which share.
        share: usize,
        /// Which of its items.
        item: usize,
    },
}

impl<T> Shares<T> {
    pub(crate) fn new() -> Shares<T> {
        Shares(Few::new())
    }

    /// Gives an item to its partition's owner.
    pub(crate) fn add(&mut self, shard: &LocalShard, id: PartitionId, item: T) -> Place {
        let owner = shard.owner_of(id);
        let share = self.0.iter().position(|share| share.shard == owner).unwrap_or_else(|| {
            self.0.push(Share { shard: owner, items: Few::new() });
            self.0.len() - 1
        });
        self.0[share].items.push(item);
        Place::Asked { share, item: self.0[share].items.len() - 1 }
    }

    /// The shares.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Share<T>> {
        self.0.iter()
    }

    /// Sends each share to its shard, waiting for room where there is none. The answers come when they come.
    pub(crate) async fn ask<A>(
        self,
        shard: &LocalShard,
        command: impl Fn(Few<T>, Reply<Few<A>>) -> Command,
    ) -> Asked<A> {
        self.ask_by(shard, shard::channel, command).await
    }

    /// As [`Shares::ask`], by such a channel to each shard.
    pub(crate) async fn ask_by<A>(
        self,
        shard: &LocalShard,
        channel: impl Fn() -> (Reply<Few<A>>, Answer<Few<A>>),
        command: impl Fn(Few<T>, Reply<Few<A>>) -> Command,
    ) -> Asked<A> {
        let mut answers = Few::new();
        let mut own = None;
        for Share { shard: to, items } in self.0 {
            let (reply, answer) = channel();
            answers.push(answer);
            let command = command(items, reply);
            // The others work while this shard does its own share.
            if to == shard.index() {
                own = Some(command);
            } else {
                shard.send(to, command).await;
            }
        }
        if let Some(command) = own {
            shard.send(shard.index(), command).await;
        }
        Asked(answers)
    }
}

/// Answers under way, one from each share.
pub(crate) struct Asked<A>(Few<Answer<Few<A>>>);

impl<A> Asked<A> {
    /// Waits for all of them.
    pub(crate) async fn answers(self) -> Answers<A> {
        let mut answers = Few::new();
        for answer in self.0 {
            // A shard that is gone takes the process with it; until then nobody answers for it.
            answers.push(answer.await.unwrap_or_default().into_iter().map(Some).collect());
        }
        Answers(answers)
    }
}

/// The answers by share and item, each to be taken once.
pub(crate) struct Answers<A>(Few<Few<Option<A>>>);

impl<A> Answers<A> {
    /// The answer at a place; the error code of the place when nobody was asked.
    pub(crate) fn take(&mut self, place: Place) -> Result<A, ErrorCode> {
        match place {
            Place::Refused(code) => Err(code),
            Place::Asked { share, item } => {
                let answer = self.0[share].get_mut(item).and_then(Option::take);
                answer.ok_or(ErrorCode::KafkaStorageError)
            }
        }
    }
}
