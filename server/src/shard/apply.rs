//! What a shard does with each command, its own or another's.

use logmill_engine::Error;
use logmill_engine::partition::{Isolation, PartitionId};
use logmill_engine::shard::{OpenPartition, PartitionMarks, Shard};
use tokio::sync::oneshot;

use super::command::{
    Append, Close, Command, CommitOffsets, DeleteRecords, FetchOffsets, FindMarks, FindOffsets,
    FindProducers, FoundOffset, OffsetAnswer, OffsetQuery, Open, Publish, Read, ReadAnswer, ReadPartition,
};
use super::local::{LocalShard, State};
use crate::config::topic_name::CONSUMER_OFFSETS;
use crate::group::{Coordinators, Query};
use crate::metadata::{LEADER_EPOCH, Order};

/// Stand for what is not known of an offset.
const NO_TIMESTAMP: i64 = -1;
const NO_EPOCH: i32 = -1;

impl LocalShard {
    /// What it comes to is answered, at once or when it is durable.
    pub(super) fn apply(&self, command: Command) {
        match command {
            Command::Append(append) => self.append(append),
            Command::Read(read) => self.read(read),
            Command::Watch(watch) => {
                let State { engine, watches, .. } = &mut *self.state.borrow_mut();
                watches.add(watch, |id| engine.readable_end(id).ok());
            }
            Command::FindOffsets(find) => self.find_offsets(find),
            Command::DeleteRecords(delete) => self.delete_records(delete),
            Command::FindProducers(find) => self.find_producers(find),
            Command::CommitOffsets(commit) => self.commit_offsets(commit),
            Command::FetchOffsets(fetch) => self.fetch_offsets(fetch),
            Command::Group(command) => self.group(command),
            Command::Open(open) => self.open(open),
            Command::Close(close) => self.close(close),
            Command::FindProducerIdMax(reply) => {
                answer(reply, self.state.borrow().engine.producer_id_max());
            }
            Command::FindMarks(find) => self.find_marks(find),
            Command::MarksWritten(written) => self.marks_written(&written),
            Command::Publish(Publish { image, reply }) => {
                *self.image.borrow_mut() = image;
                answer(reply, ());
            }
            Command::FailDir(dir) => {
                let mut state = self.state.borrow_mut();
                state.engine.fail_dir(dir);
                self.progress(&mut state);
            }
            Command::Measure(reply) => answer(reply, self.counts()),
            Command::Order(order) => self.order(order),
        }
    }

    fn append(&self, Append { partitions, reply }: Append) {
        let now_ms = self.host.clock.now_ms();
        let mut state = self.state.borrow_mut();
        let append = |(id, bytes)| self.told(state.engine.append(id, bytes, now_ms));
        let results = partitions.into_iter().map(append).collect();
        state.appends.enroll(results, reply);
        state.engine.submit();
        self.progress(&mut state);
    }

    fn read(&self, Read { isolation, partitions, reply }: Read) {
        let state = &mut *self.state.borrow_mut();
        let mut read = |ReadPartition { id, offset, len_max }: &ReadPartition| {
            let fetched = state.engine.fetch(*id, *offset, *len_max, isolation)?;
            Ok(ReadAnswer { fetched, end: state.engine.readable_end(*id)? })
        };
        reply.send(partitions.iter().map(|partition| self.told(read(partition))).collect());
    }

    fn find_offsets(&self, FindOffsets { isolation, partitions, reply }: FindOffsets) {
        let state = &mut *self.state.borrow_mut();
        let find = |(id, query): &(PartitionId, OffsetQuery)| {
            self.told(find_offset(&mut state.engine, *id, *query, isolation))
        };
        reply.send(partitions.iter().map(find).collect());
    }

    fn delete_records(&self, DeleteRecords { partitions, reply }: DeleteRecords) {
        let state = &mut *self.state.borrow_mut();
        let delete = |(id, before)| self.told(state.engine.delete_records(id, before));
        let results = partitions.into_iter().map(delete).collect();
        state.appends.enroll(results, reply);
        state.engine.submit();
        self.progress(state);
    }

    fn find_producers(&self, FindProducers { partitions, reply }: FindProducers) {
        let now_ms = self.host.clock.now_ms();
        let state = &mut *self.state.borrow_mut();
        let find = |id| self.told(state.engine.producers(id, now_ms));
        reply.send(partitions.into_iter().map(find).collect());
    }

    fn commit_offsets(&self, CommitOffsets { coordinator, commit, reply }: CommitOffsets) {
        let now = self.now();
        let state = &mut *self.state.borrow_mut();
        let committed = state.groups.commit(&mut state.engine, coordinator, &commit, now);
        answer(reply, committed.map(|(codes, rests_on)| state.appends.hold(codes, rests_on)));
        state.engine.submit();
        self.progress(state);
    }

    fn fetch_offsets(&self, FetchOffsets { queries, reply }: FetchOffsets) {
        let state = &mut *self.state.borrow_mut();
        let fetch = |(coordinator, query): &(PartitionId, Query)| {
            let (topics, rests_on) = state.groups.fetch(*coordinator, query)?;
            Ok(state.appends.hold(topics, rests_on))
        };
        reply.send(queries.iter().map(fetch).collect());
    }

    fn open(&self, Open { partitions, reply }: Open) {
        let now = self.now();
        let now_ms = now.wall_ms;
        let State { engine, groups, .. } = &mut *self.state.borrow_mut();
        let opened = partitions.iter().try_for_each(|partition| {
            engine.open(partition, now_ms)?;
            take_in(engine, groups, partition);
            groups.await_members(engine, partition.id, now);
            Ok(())
        });
        answer(reply, opened);
    }

    fn close(&self, Close { partitions, reply }: Close) {
        let state = &mut *self.state.borrow_mut();
        for id in partitions {
            state.engine.close(id);
            state.watches.close(id);
            state.groups.close(id);
        }
        answer(reply, ());
    }

    fn find_marks(&self, FindMarks { with_upkeep, reply }: FindMarks) {
        let now_ms = self.host.clock.now_ms();
        let state = &mut *self.state.borrow_mut();
        if with_upkeep {
            state.engine.upkeep(now_ms);
        }
        answer(reply, state.engine.marks());
        state.engine.submit();
        self.progress(state);
    }

    fn marks_written(&self, written: &[PartitionMarks]) {
        let now_ms = self.host.clock.now_ms();
        let state = &mut *self.state.borrow_mut();
        state.engine.marks_written(written, now_ms);
        state.engine.submit();
        self.progress(state);
    }

    fn order(&self, order: Order) {
        let orders = self.orders.borrow();
        orders.as_ref().expect("orders come to the controller's shard").push(order);
    }

    /// Has the log say what storage has failed a request at. Only the partition's own shard does, so it is said
    /// once, whoever asks.
    fn told<T>(&self, result: Result<T, Error>) -> Result<T, Error> {
        // Of a directory that is offline the log has a line already, and what is refused is the client's doing.
        if let Err(error @ (Error::Corrupt(_) | Error::Io { .. })) = &result {
            let fault = error.to_string();
            if self.faults.is_news(&fault, self.host.clock.now_ms()) {
                tracing::error!("a request failed: {fault}");
            }
        }
        result
    }
}

/// Takes up the coordinator whose log a partition is.
pub(super) fn take_in(engine: &mut Shard, groups: &mut Coordinators, partition: &OpenPartition) {
    if partition.topic == CONSUMER_OFFSETS {
        groups.open(engine, partition.id);
    }
}

fn find_offset(
    engine: &mut Shard,
    id: PartitionId,
    query: OffsetQuery,
    isolation: Isolation,
) -> OffsetAnswer {
    let (offset, timestamp, epoch) = match query {
        OffsetQuery::Start => {
            let start = engine.bounds(id)?.start;
            (start, NO_TIMESTAMP, engine.epoch_at(id, start)?)
        }
        OffsetQuery::End => (engine.bounds(id)?.visible(isolation), NO_TIMESTAMP, Some(LEADER_EPOCH)),
        OffsetQuery::Time(query) => match engine.offset_at(id, query, isolation)? {
            Some(found) => (found.offset, found.timestamp, engine.epoch_at(id, found.offset)?),
            None => return Ok(None),
        },
        OffsetQuery::EndOfEpoch(epoch) => match engine.end_of_epoch(id, epoch)? {
            Some(found) => (found.end, NO_TIMESTAMP, Some(found.epoch)),
            None => return Ok(None),
        },
    };
    Ok(Some(FoundOffset { offset, timestamp, epoch: epoch.unwrap_or(NO_EPOCH) }))
}

/// Replies; whoever waited may have gone.
pub(super) fn answer<T>(reply: oneshot::Sender<T>, result: T) {
    let _ = reply.send(result);
}
