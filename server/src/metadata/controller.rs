//! The controller: the one task, on shard 0, that changes topics, one order after the other.
//!
//! A change is durable before any shard sees it, and every shard sees it before it is answered.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use logmill_engine::Error;
use logmill_engine::format::Uuid;
use logmill_engine::partition::PartitionId;
use logmill_engine::shard::PartitionMarks;
use tokio::sync::{mpsc, oneshot};

use super::image::{Image, Topic};
use super::more_partitions::{self, MorePartitions};
use super::new_topic::{self, CreatedTopic, NewTopic};
use super::topic_store::TopicStore;
use crate::shard::{Close, Command, FindMarks, LocalShard, Open, Publish};
use crate::wire::{ErrorCode, Text};

/// Which shard the controller runs on.
pub(crate) const CONTROLLER_SHARD: usize = 0;

/// Why a change is refused, as the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: ErrorCode,
    /// `None` where the code says it all.
    pub(crate) message: Option<Text>,
}

impl Refused {
    pub(crate) fn new(code: ErrorCode, message: impl Into<Text>) -> Refused {
        Refused { code, message: Some(message.into()) }
    }

    pub(crate) fn bare(code: ErrorCode) -> Refused {
        Refused { code, message: None }
    }

    pub(crate) fn unknown_topic_id() -> Refused {
        Refused::new(ErrorCode::UnknownTopicId, "This server does not host this topic ID.")
    }
}

impl From<Error> for Refused {
    /// A change that the disks refuse may pass another time.
    fn from(error: Error) -> Refused {
        Refused::new(ErrorCode::KafkaStorageError, error.to_string())
    }
}

/// A change of the topics.
#[derive(Debug)]
pub(crate) enum Order {
    Create(CreateTopics),
    Delete(DeleteTopics),
    Grow(GrowTopics),
    /// Give up old records, when that is due, and write down how far partitions have come.
    Upkeep {
        is_due: bool,
    },
    /// Write down how far partitions have come, for somebody who waits for it: by partition, where it begins.
    WriteStarts(oneshot::Sender<HashMap<PartitionId, i64>>),
    /// Producer ids that nobody else gets.
    ProducerIds(oneshot::Sender<Result<Range<i64>, Refused>>),
}

#[derive(Debug)]
pub(crate) struct CreateTopics {
    /// No two of them have one name.
    pub(crate) topics: Vec<NewTopic>,
    /// Only say what would happen.
    pub(crate) is_dry_run: bool,
    /// From this time on the order is refused. One that has been begun is carried out, however long it takes.
    pub(crate) expires_ms: i64,
    pub(crate) reply: oneshot::Sender<Outcome<CreatedTopic>>,
}

#[derive(Debug)]
pub(crate) struct DeleteTopics {
    /// No topic stands among them twice.
    pub(crate) ids: Vec<Uuid>,
    /// From this time on the order is refused.
    pub(crate) expires_ms: i64,
    pub(crate) reply: oneshot::Sender<Outcome<()>>,
}

#[derive(Debug)]
pub(crate) struct GrowTopics {
    /// No two of them have one name.
    pub(crate) topics: Vec<MorePartitions>,
    /// Only say what would happen.
    pub(crate) is_dry_run: bool,
    /// From this time on the order is refused.
    pub(crate) expires_ms: i64,
    pub(crate) reply: oneshot::Sender<Outcome<()>>,
}

/// What became of an order: of each of its topics, in their order, or why of none of them.
pub(crate) type Outcome<T> = Result<Vec<Result<T, Refused>>, Refused>;

/// Orders on their way to the controller. Each belongs to a request that waits, whose number is bounded by
/// the connections.
#[derive(Debug)]
pub(crate) struct OrderQueue(mpsc::UnboundedSender<Order>);

impl OrderQueue {
    pub(crate) fn push(&self, order: Order) {
        // The controller ends with its shard, and then nobody is left to tell.
        let _ = self.0.send(order);
    }
}

/// Starts the controller on its shard.
pub(crate) fn run(shard: &Rc<LocalShard>, store: TopicStore) {
    let (orders, queue) = mpsc::unbounded_channel();
    shard.take_orders(OrderQueue(orders));
    let controller = Controller { shard: shard.clone(), store, producer_id_floor: None };
    shard.host().runtime.spawn(Box::pin(controller.obey(queue)));
    shard.host().runtime.spawn(Box::pin(order_upkeep(shard.clone())));
}

/// Orders upkeep whenever it is due, for as long as the shard runs.
async fn order_upkeep(shard: Rc<LocalShard>) {
    let config = &shard.broker().config;
    let (checkpoint_ms, retention_ms) = (config.checkpoint_interval_ms, config.retention_check_interval_ms);
    let mut due_in_ms = retention_ms;
    loop {
        let sleep_ms = checkpoint_ms.min(due_in_ms);
        shard.host().runtime.sleep(sleep_ms).await;
        due_in_ms -= sleep_ms;
        let is_due = due_in_ms == 0;
        if is_due {
            due_in_ms = retention_ms;
        }
        shard.send(CONTROLLER_SHARD, Command::Order(Order::Upkeep { is_due })).await;
    }
}

struct Controller {
    shard: Rc<LocalShard>,
    store: TopicStore,
    /// Producer ids below it may be in somebody's log; `None` before the shards were asked.
    producer_id_floor: Option<i64>,
}

impl Controller {
    async fn obey(mut self, mut queue: mpsc::UnboundedReceiver<Order>) {
        while let Some(order) = queue.recv().await {
            // Whoever asked may be gone; the change stands.
            match order {
                Order::Create(CreateTopics { topics, is_dry_run, expires_ms, reply }) => {
                    let outcome = match self.check_in_time(expires_ms) {
                        Ok(()) => self.create(topics, is_dry_run).await,
                        Err(refused) => Err(refused),
                    };
                    let _ = reply.send(outcome);
                }
                Order::Delete(DeleteTopics { ids, expires_ms, reply }) => {
                    let outcome = match self.check_in_time(expires_ms) {
                        Ok(()) => Ok(self.delete(ids).await),
                        Err(refused) => Err(refused),
                    };
                    let _ = reply.send(outcome);
                }
                Order::Grow(GrowTopics { topics, is_dry_run, expires_ms, reply }) => {
                    let outcome = match self.check_in_time(expires_ms) {
                        Ok(()) => self.grow(topics, is_dry_run).await,
                        Err(refused) => Err(refused),
                    };
                    let _ = reply.send(outcome);
                }
                Order::Upkeep { is_due } => drop(self.upkeep(is_due).await),
                Order::WriteStarts(reply) => {
                    let _ = reply.send(self.upkeep(false).await);
                }
                Order::ProducerIds(reply) => {
                    let floor = self.producer_id_floor().await;
                    let taken = self.on_disk(move |store| store.take_producer_ids(floor)).await;
                    let _ = reply.send(taken.map_err(Refused::from));
                }
            }
        }
    }

    /// In turn with deletions, so that no line of a deleted topic is written again. The starts that are written
    /// down then, of partitions whose log directory took them.
    async fn upkeep(&self, is_due: bool) -> HashMap<PartitionId, i64> {
        let mut answers = Vec::new();
        for shard in 0..self.shard.broker().shards() {
            let (reply, marks) = oneshot::channel();
            let find = FindMarks { with_upkeep: is_due, reply };
            self.shard.send(shard, Command::FindMarks(find)).await;
            answers.push(marks);
        }
        let mut marks = Vec::new();
        for answer in answers {
            // A shard that is gone takes the process with it.
            marks.append(&mut answer.await.unwrap_or_default());
        }
        let written = self.on_disk(move |store| store.write_marks(marks)).await;
        let starts = written.iter().map(|marks| (marks.id, marks.marks.start)).collect();
        let mut by_owner: BTreeMap<usize, Vec<PartitionMarks>> = BTreeMap::new();
        for marks in written {
            by_owner.entry(self.shard.owner_of(marks.id)).or_default().push(marks);
        }
        for (owner, marks) in by_owner {
            self.shard.send(owner, Command::MarksWritten(Arc::new(marks))).await;
        }
        starts
    }

    /// Above every producer id that logs and snapshots tell of. Directories that another broker has written hold
    /// ids that this one never gave out.
    async fn producer_id_floor(&mut self) -> i64 {
        if let Some(floor) = self.producer_id_floor {
            return floor;
        }
        let mut floor = 0;
        for shard in 0..self.shard.broker().shards() {
            let (reply, id_max) = oneshot::channel();
            self.shard.send(shard, Command::FindProducerIdMax(reply)).await;
            // A shard that is gone takes the process with it.
            let id_max = id_max.await.ok().flatten();
            floor = floor.max(id_max.map_or(0, |id| id + 1));
        }
        *self.producer_id_floor.insert(floor)
    }

    /// A client that has stopped waiting may have asked again already.
    fn check_in_time(&self, expires_ms: i64) -> Result<(), Refused> {
        if self.shard.host().clock.now_ms() < expires_ms {
            Ok(())
        } else {
            Err(Refused::bare(ErrorCode::RequestTimedOut))
        }
    }

    async fn create(&self, topics: Vec<NewTopic>, is_dry_run: bool) -> Outcome<CreatedTopic> {
        let image = self.shard.image();
        let config = &self.shard.broker().config;
        new_topic::check_size(&topics, config)?;
        let mut partitions_by_dir = self.store.partitions_by_dir(&image);
        let mut plans = Vec::with_capacity(topics.len());
        for topic in topics {
            let plan = new_topic::check(&topic, &image, config).map(|overrides| {
                Arc::new(Topic {
                    id: self.shard.host().random.uuid(),
                    dirs: (0..topic.partition_count(config))
                        .map(|_| take_emptiest(&mut partitions_by_dir))
                        .collect(),
                    name: topic.name.detached(),
                    overrides,
                })
            });
            plans.push(plan);
        }
        let created: Vec<Arc<Topic>> = plans.iter().filter_map(|plan| plan.as_ref().ok()).cloned().collect();
        new_topic::check_records(&created)?;
        if !is_dry_run
            && !created.is_empty()
            && let Err(refused) = self.carry_out_creation(image, created).await
        {
            return Ok(plans.into_iter().map(|plan| plan.and(Err(refused.clone()))).collect());
        }
        Ok(plans.into_iter().map(|plan| plan.map(|topic| CreatedTopic::of(&topic, config))).collect())
    }

    async fn carry_out_creation(&self, image: Arc<Image>, created: Vec<Arc<Topic>>) -> Result<(), Refused> {
        let mut grown = (*image).clone();
        created.iter().for_each(|topic| grown.insert(topic.clone()));
        let (before, on_disk) = (image.clone(), created.clone());
        self.on_disk(move |store| store.create(&before, &on_disk)).await?;
        for topic in &created {
            if let Err(error) = self.open(topic, 0).await {
                self.undo_creation(image, created).await;
                return Err(error.into());
            }
            tracing::info!(
                "created topic {} with {} partitions, id {}",
                topic.name,
                topic.dirs.len(),
                topic.id
            );
        }
        self.publish(grown).await;
        Ok(())
    }

    /// Nobody was told of the topics: as if they had been made and deleted.
    async fn undo_creation(&self, image: Arc<Image>, created: Vec<Arc<Topic>>) {
        for topic in &created {
            self.close(topic, 0).await;
        }
        let undo = move |store: &TopicStore| {
            store.delete(&image, &created)?;
            store.finish_deletion(&image, &created)
        };
        if let Err(error) = self.on_disk(undo).await {
            tracing::error!("topics that could not be opened are still on disk: {error}");
        }
    }

    async fn grow(&self, topics: Vec<MorePartitions>, is_dry_run: bool) -> Outcome<()> {
        let image = self.shard.image();
        let mut partitions_by_dir = self.store.partitions_by_dir(&image);
        let (mut grown, mut additional) = (Vec::new(), 0);
        let mut results = Vec::with_capacity(topics.len());
        for more in topics {
            let checked = more_partitions::check(&more, &image, self.shard.broker().config.node_id);
            results.push(checked.and_then(|(topic, count)| {
                additional += count;
                more_partitions::check_size(additional)?;
                let mut dirs = topic.dirs.clone();
                dirs.extend((0..count).map(|_| take_emptiest(&mut partitions_by_dir)));
                grown.push(Growth { now: Arc::new(Topic { dirs, ..(*topic).clone() }), before: topic });
                Ok(())
            }));
        }
        more_partitions::check_size(additional)?;
        if !is_dry_run
            && !grown.is_empty()
            && let Err(refused) = self.carry_out_growth(&image, grown).await
        {
            return Ok(results.into_iter().map(|result| result.and(Err(refused.clone()))).collect());
        }
        Ok(results)
    }

    async fn carry_out_growth(&self, image: &Arc<Image>, grown: Vec<Growth>) -> Result<(), Refused> {
        let mut after = (**image).clone();
        grown.iter().for_each(|growth| after.insert(growth.now.clone()));
        let (before, on_disk) = (image.clone(), grown.clone());
        self.on_disk(move |store| store.grow(&before, &on_disk)).await?;
        for Growth { before, now } in &grown {
            if let Err(error) = self.open(now, before.dirs.len()).await {
                for Growth { before, now } in &grown {
                    self.close(now, before.dirs.len()).await;
                }
                let (image, grown) = (image.clone(), grown.clone());
                self.on_disk(move |store| store.undo_growth(&image, &grown)).await;
                return Err(error.into());
            }
            tracing::info!(
                "topic {} has {} partitions, {} before",
                now.name,
                now.dirs.len(),
                before.dirs.len()
            );
        }
        self.publish(after).await;
        Ok(())
    }

    async fn delete(&self, ids: Vec<Uuid>) -> Vec<Result<(), Refused>> {
        let image = self.shard.image();
        let mut remaining = (*image).clone();
        let mut deleted = Vec::new();
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            let found = image.by_id(id);
            if let Some(topic) = found {
                remaining.remove(topic);
                deleted.push(topic.clone());
            }
            results.push(found.map(|_| ()).ok_or_else(Refused::unknown_topic_id));
        }
        if deleted.is_empty() {
            return results;
        }
        let (before, on_disk) = (image.clone(), deleted.clone());
        if let Err(error) = self.on_disk(move |store| store.delete(&before, &on_disk)).await {
            let refused = Refused::from(error);
            return results.into_iter().map(|result| result.and(Err(refused.clone()))).collect();
        }
        // A shard acknowledges what a closed partition still had to sync: true of a topic that is durably gone.
        // And nobody may write to a partition whose directory is on its way out.
        self.publish(remaining.clone()).await;
        for topic in &deleted {
            self.close(topic, 0).await;
            tracing::info!(
                "deleted topic {} with {} partitions, id {}",
                topic.name,
                topic.dirs.len(),
                topic.id
            );
        }
        if let Err(error) = self.on_disk(move |store| store.finish_deletion(&remaining, &deleted)).await {
            tracing::error!("directories of deleted topics are left until the next start: {error}");
        }
        results
    }

    /// Has another thread wait for the disks.
    async fn on_disk<T: Send + 'static>(&self, work: impl FnOnce(&TopicStore) -> T + Send + 'static) -> T {
        let store = self.store.clone();
        let (reply, result) = oneshot::channel();
        let work = move || {
            // Only a stop takes the receiver away.
            let _ = reply.send(work(&store));
        };
        self.shard.host().runtime.off_thread(Box::new(work)).await;
        result.await.expect("the work has ended and sent its result")
    }

    /// Has each shard take in the partitions that it owns, from the one of this number on.
    async fn open(&self, topic: &Topic, first: usize) -> Result<(), Error> {
        let partitions = topic.to_open(&self.shard.broker().config).skip(first);
        let opened = by_owner(&self.shard, partitions, |partition| partition.id);
        for (owner, partitions) in opened {
            let (reply, result) = oneshot::channel();
            self.shard.send(owner, Command::Open(Open { partitions, reply })).await;
            // A shard that is gone takes the process with it.
            result.await.unwrap_or(Ok(()))?;
        }
        Ok(())
    }

    async fn close(&self, topic: &Topic, first: usize) {
        for (owner, partitions) in by_owner(&self.shard, topic.partition_ids().skip(first), |id| *id) {
            let (reply, done) = oneshot::channel();
            self.shard.send(owner, Command::Close(Close { partitions, reply })).await;
            let _ = done.await;
        }
    }

    /// Ends when every shard uses the image.
    async fn publish(&self, image: Image) {
        let image = Arc::new(image);
        let mut answers = Vec::new();
        for shard in 0..self.shard.broker().shards() {
            let (reply, done) = oneshot::channel();
            self.shard.send(shard, Command::Publish(Publish { image: image.clone(), reply })).await;
            answers.push(done);
        }
        for done in answers {
            let _ = done.await;
        }
    }
}

/// A topic that gets more partitions.
#[derive(Debug, Clone)]
pub(crate) struct Growth {
    pub(crate) before: Arc<Topic>,
    pub(crate) now: Arc<Topic>,
}

/// Groups what belongs to partitions by the shards that own them.
fn by_owner<T>(
    shard: &LocalShard,
    items: impl Iterator<Item = T>,
    id: impl Fn(&T) -> PartitionId,
) -> BTreeMap<usize, Vec<T>> {
    let mut grouped: BTreeMap<usize, Vec<T>> = BTreeMap::new();
    items.for_each(|item| grouped.entry(shard.owner_of(id(&item))).or_default().push(item));
    grouped
}

fn take_emptiest(partitions_by_dir: &mut [usize]) -> usize {
    let dirs = partitions_by_dir.iter().enumerate();
    let (dir, _) = dirs.min_by_key(|(_, count)| **count).expect("there is a log directory");
    partitions_by_dir[dir] += 1;
    dir
}

/// Gets an order obeyed, from any shard.
pub(crate) async fn ask<T>(shard: &LocalShard, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    shard.send(CONTROLLER_SHARD, Command::Order(order(reply))).await;
    answer.await.ok()
}
