//! `FetchSessions`: partitions that readers have named once and are sent without being named again, as far as
//! something about them has changed. A session lives on its connection's shard, which its id names.

use std::collections::{BTreeMap, HashMap};

use logmill_engine::format::Uuid;

use crate::random::Random;
use crate::wire::messages::fetch::{FetchPartition, FetchRequest, PartitionData};
use crate::wire::{ErrorCode, Text};

/// A request of this epoch begins a session, one of the next ends it; both name all their partitions.
const INITIAL_EPOCH: i32 = 0;
const FINAL_EPOCH: i32 = -1;
/// Stands for no session.
pub(crate) const NO_SESSION: i32 = 0;
/// A session that was not used for so long gives way to any other, and one that is younger to none.
const EVICTION_MS: i64 = 120_000;
/// Partitions in all sessions of the process: as many as a hundred million bytes have room for.
const PARTITIONS_MAX: usize = 1_000_000;
/// Offsets that no partition has, so that whatever it has is news.
const UNTOLD: i64 = -1;

/// How a request names a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum TopicKey {
    Id(Uuid),
    Name(Text),
}

/// A partition that is to be read, named now or earlier.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) topic: TopicKey,
    pub(crate) partition: FetchPartition,
}

/// What a partition is answered with.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) topic: TopicKey,
    pub(crate) data: PartitionData,
}

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    /// Nobody remembers it.
    Sessionless,
    /// A session begins with it, if there is room for one.
    Full,
    /// It says what is new in a session.
    Incremental {
        id: i32,
        /// The session's epoch unless another request comes in between.
        epoch: i32,
    },
}

#[derive(Debug)]
struct Session {
    /// That of the next request.
    epoch: i32,
    has_ids: bool,
    created_ms: i64,
    used_ms: i64,
    /// In the order in which they are looked at.
    partitions: BTreeMap<u64, Remembered>,
    places: HashMap<(TopicKey, i32), u64>,
    next_place: u64,
}

#[derive(Debug)]
struct Remembered {
    asked: Asked,
    high_watermark: i64,
    log_start_offset: i64,
}

/// The sessions of one shard.
#[derive(Debug)]
pub(crate) struct FetchSessions {
    by_id: HashMap<i32, Session>,
    shard: i32,
    shards: i32,
    sessions_max: usize,
    partitions_max: usize,
    /// In all sessions together.
    partitions: usize,
}

impl FetchSessions {
    /// Those of one of so many shards, which have `slots` sessions together.
    pub(crate) fn new(shard: usize, shards: usize, slots: usize) -> FetchSessions {
        FetchSessions {
            by_id: HashMap::new(),
            shard: shard as i32,
            shards: shards as i32,
            sessions_max: slots / shards + usize::from(shard < slots % shards),
            partitions_max: PARTITIONS_MAX / shards,
            partitions: 0,
        }
    }

    /// What a request is to be answered with: the partitions to be read, in order.
    pub(crate) fn begin(
        &mut self,
        request: &FetchRequest,
        has_ids: bool,
        now_ms: i64,
    ) -> Result<(Vec<Asked>, Context), ErrorCode> {
        let FetchRequest { session_id: id, session_epoch: epoch, .. } = *request;
        if matches!(epoch, INITIAL_EPOCH | FINAL_EPOCH) {
            self.remove(id);
            let context = if epoch == INITIAL_EPOCH { Context::Full } else { Context::Sessionless };
            return Ok((named(request, has_ids).collect(), context));
        }
        let session = self.by_id.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.has_ids != has_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        let before = session.partitions.len();
        let grown = before + request.topics.iter().map(|topic| topic.partitions.len()).sum::<usize>();
        if self.partitions - before + grown > self.partitions_max {
            // It cannot be remembered: the client begins anew, and is not given another session.
            self.remove(id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        session.update(request, has_ids);
        session.used_ms = now_ms;
        session.epoch = next_epoch(epoch);
        let context = Context::Incremental { id, epoch: session.epoch };
        let asked: Vec<Asked> = session.partitions.values().map(|one| one.asked.clone()).collect();
        self.partitions = self.partitions - before + asked.len();
        if asked.is_empty() {
            self.remove(id);
            return Ok((asked, Context::Sessionless));
        }
        Ok((asked, context))
    }

    /// Leaves in an answer what the client does not know, and says which session it belongs to.
    pub(crate) fn finish(
        &mut self,
        context: Context,
        has_ids: bool,
        asked: Vec<Asked>,
        answered: &mut Vec<Answered>,
        now_ms: i64,
        random: &dyn Random,
    ) -> Result<i32, ErrorCode> {
        match context {
            Context::Sessionless => Ok(NO_SESSION),
            Context::Full => Ok(self.create(has_ids, asked, answered, now_ms, random)),
            Context::Incremental { id, epoch } => {
                let session = self.by_id.get_mut(&id).filter(|session| session.epoch == epoch);
                let session = session.ok_or(ErrorCode::InvalidFetchSessionEpoch)?;
                answered.retain(|answered| session.is_news(answered));
                Ok(id)
            }
        }
    }

    fn create(
        &mut self,
        has_ids: bool,
        asked: Vec<Asked>,
        answered: &[Answered],
        now_ms: i64,
        random: &dyn Random,
    ) -> i32 {
        if asked.is_empty() || !self.make_room(asked.len(), now_ms) {
            return NO_SESSION;
        }
        let mut session = Session {
            epoch: next_epoch(INITIAL_EPOCH),
            has_ids,
            created_ms: now_ms,
            used_ms: now_ms,
            partitions: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        };
        asked.into_iter().for_each(|asked| session.remember(asked));
        for answered in answered {
            session.is_news(answered);
        }
        let id = self.free_id(random);
        self.partitions += session.partitions.len();
        self.by_id.insert(id, session);
        id
    }

    /// A number above zero that leads back to this shard.
    fn free_id(&self, random: &dyn Random) -> i32 {
        loop {
            let number = random.below((i32::MAX / self.shards) as usize) as i32;
            let id = number * self.shards + self.shard;
            if id != NO_SESSION && !self.by_id.contains_key(&id) {
                return id;
            }
        }
    }

    /// Whether there is room for a session of so many partitions, at the cost of one that nobody used for
    /// long, or of a smaller one that has had its time.
    fn make_room(&mut self, partitions: usize, now_ms: i64) -> bool {
        if self.sessions_max == 0 || self.partitions + partitions > self.partitions_max {
            return false;
        }
        if self.by_id.len() < self.sessions_max {
            return true;
        }
        let sessions = || self.by_id.iter();
        let unused = sessions().min_by_key(|(id, session)| (session.used_ms, **id));
        let unused = unused.filter(|(_, session)| now_ms - session.used_ms > EVICTION_MS);
        let smaller = || {
            let old = sessions().filter(|(_, session)| now_ms - session.created_ms > EVICTION_MS);
            let smallest = old.min_by_key(|(id, session)| (session.partitions.len(), **id));
            smallest.filter(|(_, session)| session.partitions.len() < partitions)
        };
        let evicted = unused.or_else(smaller).map(|(id, _)| *id);
        evicted.is_some_and(|id| self.remove(id))
    }

    fn remove(&mut self, id: i32) -> bool {
        let removed = self.by_id.remove(&id);
        self.partitions -= removed.as_ref().map_or(0, |session| session.partitions.len());
        removed.is_some()
    }
}

impl Session {
    fn update(&mut self, request: &FetchRequest, has_ids: bool) {
        named(request, has_ids).for_each(|asked| self.remember(asked));
        for topic in &request.forgotten_topics_data {
            let key = key_of(&topic.topic, topic.topic_id, has_ids);
            for partition in &topic.partitions {
                if let Some(place) = self.places.remove(&(key.clone(), *partition)) {
                    self.partitions.remove(&place);
                }
            }
        }
    }

    fn remember(&mut self, asked: Asked) {
        let key = (asked.topic.clone(), asked.partition.partition);
        if let Some(known) = self.places.get(&key).and_then(|place| self.partitions.get_mut(place)) {
            known.asked = asked;
            return;
        }
        let known = Remembered { asked, high_watermark: UNTOLD, log_start_offset: UNTOLD };
        self.place_last(key, known);
    }

    fn place_last(&mut self, key: (TopicKey, i32), known: Remembered) {
        self.places.insert(key, self.next_place);
        self.partitions.insert(self.next_place, known);
        self.next_place += 1;
    }

    /// Whether an answer tells the client something, who then knows it. A partition with records goes behind
    /// all others, so that none starves.
    fn is_news(&mut self, answered: &Answered) -> bool {
        let Answered { topic, data } = answered;
        let key = (topic.clone(), data.partition_index);
        let Some(place) = self.places.get(&key).copied() else { return true };
        let Some(known) = self.partitions.get_mut(&place) else { return true };
        let is_failed = data.error_code != 0;
        let has_records = !data.records.is_empty();
        let is_news = is_failed
            || has_records
            || known.high_watermark != data.high_watermark
            || known.log_start_offset != data.log_start_offset
            || data.diverging_epoch.epoch >= 0;
        known.log_start_offset = data.log_start_offset;
        // When the error has gone, that is news.
        known.high_watermark = if is_failed { UNTOLD } else { data.high_watermark };
        if has_records && let Some(known) = self.partitions.remove(&place) {
            self.place_last(key, known);
        }
        is_news
    }
}

fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

fn key_of(name: &Text, id: Uuid, has_ids: bool) -> TopicKey {
    if has_ids { TopicKey::Id(id) } else { TopicKey::Name(name.detached()) }
}

/// The partitions that a request names.
fn named(request: &FetchRequest, has_ids: bool) -> impl Iterator<Item = Asked> + '_ {
    request.topics.iter().flat_map(move |topic| {
        let key = key_of(&topic.topic, topic.topic_id, has_ids);
        topic
            .partitions
            .iter()
            .map(move |partition| Asked { topic: key.clone(), partition: partition.clone() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;
    use crate::wire::Records;
    use crate::wire::messages::fetch::{FetchTopic, ForgottenTopic};

    /// A shard's sessions and the client of one of them.
    struct Reader {
        sessions: FetchSessions,
        random: SeededRandom,
        now_ms: i64,
    }

    impl Reader {
        fn new(slots: usize) -> Reader {
            let sessions = FetchSessions::new(1, 3, slots * 3);
            Reader { sessions, random: SeededRandom::from_seed(1), now_ms: 1_000_000 }
        }

        /// A fetch of these partitions; the answer has a high watermark of 5, and of 9 with records where
        /// `with_records` says so. The session's id and the partitions that are told of.
        fn fetch(
            &mut self,
            request: &FetchRequest,
            with_records: &[i32],
        ) -> Result<(i32, Vec<i32>), ErrorCode> {
            let (asked, context) = self.sessions.begin(request, false, self.now_ms)?;
            let answer = |asked: &Asked| {
                let partition_index = asked.partition.partition;
                let mut data =
                    PartitionData { partition_index, high_watermark: 5, ..PartitionData::default() };
                if with_records.contains(&partition_index) {
                    data.high_watermark = 9;
                    data.records = Records::Bytes(bytes::Bytes::from_static(b"x"));
                }
                Answered { topic: asked.topic.clone(), data }
            };
            let mut answered: Vec<Answered> = asked.iter().map(answer).collect();
            let id = self.sessions.finish(context, false, asked, &mut answered, self.now_ms, &self.random)?;
            Ok((id, answered.iter().map(|answered| answered.data.partition_index).collect()))
        }
    }

    fn request(session_id: i32, session_epoch: i32, partitions: &[i32]) -> FetchRequest {
        let partition = |&partition: &i32| FetchPartition { partition, ..FetchPartition::default() };
        let topic = FetchTopic {
            topic: Text::from("t"),
            partitions: partitions.iter().map(partition).collect(),
            ..FetchTopic::default()
        };
        FetchRequest { session_id, session_epoch, topics: vec![topic], ..FetchRequest::default() }
    }

    fn forget(session_id: i32, session_epoch: i32, partitions: &[i32]) -> FetchRequest {
        let topic = ForgottenTopic {
            topic: Text::from("t"),
            partitions: partitions.to_vec(),
            ..ForgottenTopic::default()
        };
        FetchRequest { forgotten_topics_data: vec![topic], ..request(session_id, session_epoch, &[]) }
    }

    #[test]
    fn a_session_tells_what_is_new_and_begins_with_what_it_told_last() {
        let mut reader = Reader::new(1);
        let (id, all) = reader.fetch(&request(0, 0, &[0, 1, 2]), &[]).unwrap();
        assert_eq!((id % 3, all), (1, vec![0, 1, 2]));
        assert_eq!(reader.fetch(&request(id, 1, &[]), &[]), Ok((id, vec![])));
        assert_eq!(reader.fetch(&request(id, 2, &[]), &[0, 2]), Ok((id, vec![0, 2])));
        // Back to a high watermark of 5: told again, those that had records behind the others.
        assert_eq!(reader.fetch(&request(id, 3, &[]), &[]), Ok((id, vec![0, 2])));
        assert_eq!(reader.fetch(&request(id, 4, &[3]), &[1]), Ok((id, vec![1, 3])));
        assert_eq!(reader.fetch(&forget(id, 5, &[1, 9]), &[0, 1, 2]), Ok((id, vec![0, 2])));
    }

    #[test]
    fn a_wrong_id_or_epoch_is_refused_and_a_full_request_ends_the_session() {
        let mut reader = Reader::new(2);
        let (id, _) = reader.fetch(&request(0, 0, &[0]), &[]).unwrap();
        assert_eq!(reader.fetch(&request(id + 3, 1, &[]), &[]), Err(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(reader.fetch(&request(id, 2, &[]), &[]), Err(ErrorCode::InvalidFetchSessionEpoch));
        let with_ids = reader.sessions.begin(&request(id, 1, &[]), true, 0).unwrap_err();
        assert_eq!(with_ids, ErrorCode::FetchSessionTopicIdError);
        assert_eq!(reader.fetch(&request(id, FINAL_EPOCH, &[0]), &[]), Ok((NO_SESSION, vec![0])));
        assert_eq!(reader.fetch(&request(id, 1, &[]), &[]), Err(ErrorCode::FetchSessionIdNotFound));
        let (next, _) = reader.fetch(&request(0, 0, &[0]), &[]).unwrap();
        assert_eq!(reader.fetch(&forget(next, 1, &[0]), &[]), Ok((NO_SESSION, vec![])));
        assert_eq!((reader.sessions.by_id.len(), reader.sessions.partitions), (0, 0));
    }

    #[test]
    fn a_request_that_comes_before_an_answer_takes_the_session_from_it() {
        let mut reader = Reader::new(1);
        let (id, _) = reader.fetch(&request(0, 0, &[0]), &[]).unwrap();
        let (asked, context) = reader.sessions.begin(&request(id, 1, &[]), false, 0).unwrap();
        reader.fetch(&request(id, 2, &[]), &[]).unwrap();
        let late =
            reader.sessions.finish(context, false, asked, &mut Vec::new(), 0, &reader.random).unwrap_err();
        assert_eq!(late, ErrorCode::InvalidFetchSessionEpoch);
    }

    #[test]
    fn a_full_cache_gives_up_what_is_unused_or_old_and_smaller() {
        let mut reader = Reader::new(1);
        let (first, _) = reader.fetch(&request(0, 0, &[0, 1]), &[]).unwrap();
        let large: Vec<i32> = (0..9).collect();
        assert_eq!(reader.fetch(&request(0, 0, &large), &[]).unwrap().0, NO_SESSION, "the first is young");
        reader.now_ms += EVICTION_MS + 1;
        reader.fetch(&request(first, 1, &[]), &[]).unwrap();
        assert_eq!(reader.fetch(&request(0, 0, &[0, 1]), &[]).unwrap().0, NO_SESSION, "it is no smaller");
        let (second, _) = reader.fetch(&request(0, 0, &large), &[]).unwrap();
        assert_ne!(second, NO_SESSION);
        assert_eq!(reader.fetch(&request(first, 2, &[]), &[]), Err(ErrorCode::FetchSessionIdNotFound));
        reader.now_ms += EVICTION_MS + 1;
        assert_ne!(reader.fetch(&request(0, 0, &[0]), &[]).unwrap().0, NO_SESSION, "nobody used the second");
        assert_eq!(reader.sessions.partitions, 1);
    }

    #[test]
    fn slots_are_shared_out_to_the_last_and_none_means_none() {
        let shares = |slots| [0, 1, 2].map(|shard| FetchSessions::new(shard, 3, slots).sessions_max);
        assert_eq!((shares(7), shares(0)), ([3, 2, 2], [0, 0, 0]));
        let mut reader = Reader::new(0);
        assert_eq!(reader.fetch(&request(0, 0, &[4]), &[]), Ok((NO_SESSION, vec![4])));
    }
}
