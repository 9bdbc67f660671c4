//! The one thread: its connections, its topics, its waves.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

use super::super::conn::Next;
use super::super::serve::{Ack, Settings};
use super::super::store::{Store, StoreSettings};
use super::super::syncer::Syncer;
use super::conn::{Conn, Ground};
use super::topics::Topics;

/// Events that one wait returns.
const EVENTS_MAX: usize = 256;
/// The events that stand for the listener and for the end of a wave; connections have their slot.
const LISTENER: u64 = u64::MAX;
const WAKE: u64 = u64::MAX - 1;

/// Serves what connects to `listener`, until accepting or the disk fails.
pub(in super::super) fn serve(listener: &TcpListener, settings: &Settings) -> io::Result<()> {
    Shard::new(listener, settings)?.run()
}

/// Owns everything.
struct Shard<'a> {
    listener: &'a TcpListener,
    address: SocketAddr,
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    conns: Vec<Option<Conn>>,
    topics: Topics,
    store: Store,
    /// With group commit only.
    syncer: Option<Syncer>,
}

impl Shard<'_> {
    fn new<'a>(listener: &'a TcpListener, settings: &Settings) -> io::Result<Shard<'a>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        let durable = settings.ack == Ack::GroupCommit;
        let store = Store::new(StoreSettings {
            dir: settings.dir.clone(),
            thread: 0,
            segment_bytes: settings.segment_bytes,
            sealed_bytes_max: settings.sealed_bytes_max,
            durable,
        });
        let syncer = durable.then(|| Syncer::start(Arc::clone(&wake)));
        let address = listener.local_addr()?;
        Ok(Shard {
            listener,
            address,
            epoll,
            wake,
            conns: Vec::new(),
            topics: Topics::default(),
            store,
            syncer,
        })
    }

    fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            events.clear();
            let timeout = self.timeout();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let mut is_readable = false;
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    WAKE => is_readable |= self.woken()?,
                    slot => self.ready(slot as usize, event.flags),
                }
            }
            self.commit();
            is_readable |= self.syncer.is_none() && self.topics.release_all();
            self.retry_fetches(is_readable);
        }
    }

    /// Until the next fetch is to be answered.
    fn timeout(&self) -> Option<Timespec> {
        let next = self.conns.iter().flatten().filter_map(Conn::deadline).min()?;
        let left = next.saturating_duration_since(Instant::now());
        // Rounded up, or the last millisecond would be spent asking.
        Timespec::try_from(left + std::time::Duration::from_millis(1)).ok()
    }

    fn accept(&mut self) -> io::Result<()> {
        let (stream, _) = self.listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let slot = self.conns.iter().position(Option::is_none).unwrap_or(self.conns.len());
        if slot == self.conns.len() {
            self.conns.push(None);
        }
        epoll::add(&self.epoll, &stream, EventData::new_u64(slot as u64), EventFlags::IN)?;
        self.conns[slot] = Some(Conn::new(stream));
        Ok(())
    }

    /// Whether a wave has ended: its produces are answered.
    fn woken(&mut self) -> io::Result<bool> {
        rustix::io::read(&self.wake, &mut [0; 8])?;
        let Some(syncer) = &mut self.syncer else { return Ok(false) };
        if !syncer.reap()? {
            return Ok(false);
        }
        self.topics.release();
        for slot in 0..self.conns.len() {
            if let Some(conn) = &mut self.conns[slot]
                && let Err(error) = conn.release()
            {
                self.close(slot, Some(error));
            }
        }
        Ok(true)
    }

    /// Moves one connection on.
    fn ready(&mut self, slot: usize, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.with_conn(slot, Next::Writable, Conn::send);
        } else {
            self.with_conn(slot, Next::Readable, Conn::receive);
        }
    }

    fn retry_fetches(&mut self, is_readable: bool) {
        let now = Instant::now();
        for slot in 0..self.conns.len() {
            let deadline = self.conns[slot].as_ref().and_then(Conn::deadline);
            if deadline.is_some_and(|deadline| is_readable || deadline <= now) {
                self.with_conn(slot, Next::Readable, Conn::retry);
            }
        }
    }

    fn with_conn(
        &mut self,
        slot: usize,
        was: Next,
        act: impl FnOnce(&mut Conn, &mut Ground<'_>) -> io::Result<Next>,
    ) {
        // The slot was emptied by an event before this one.
        let Some(conn) = self.conns[slot].as_mut() else { return };
        let mut ground = Ground {
            topics: &mut self.topics,
            store: &mut self.store,
            address: self.address,
            is_durable: self.syncer.is_some(),
            now: Instant::now(),
        };
        let interest = match act(conn, &mut ground) {
            Ok(next) if next == was => return,
            Ok(Next::Readable) => EventFlags::IN,
            Ok(Next::Writable) => EventFlags::OUT,
            Ok(Next::Closed) => return self.close(slot, None),
            Err(error) => return self.close(slot, Some(error)),
        };
        let data = EventData::new_u64(slot as u64);
        if let Err(error) = epoll::modify(&self.epoll, &conn.stream, data, interest) {
            self.close(slot, Some(error.into()));
        }
    }

    /// Starts the next wave when none is in flight and something is dirty.
    fn commit(&mut self) {
        let Some(syncer) = &mut self.syncer else { return };
        if !syncer.is_idle() || !self.store.is_dirty() {
            return;
        }
        syncer.submit(self.store.dirty_for_wave());
        self.topics.enroll();
        for conn in self.conns.iter_mut().flatten() {
            conn.enroll();
        }
    }

    /// Closing the socket takes it out of the epoll set.
    fn close(&mut self, slot: usize, error: Option<io::Error>) {
        if let Some(error) = error {
            eprintln!("floor: connection {slot} closed: {error}");
        }
        self.conns[slot] = None;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;
    use std::time::Duration;

    use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
    use kafka_protocol::messages::{FetchRequest, TopicName};
    use kafka_protocol::protocol::StrBytes;

    use super::super::super::serve::Protocol;
    use super::*;
    use crate::ledger::{Clients, Filling};
    use crate::rig::{Connection, api_versions};

    const FETCH: i16 = 12;
    const TOPIC: &str = "floor";

    fn start(dir: &std::path::Path, ack: Ack) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let settings = Settings {
            dir: dir.into(),
            protocol: Protocol::Kafka,
            threads: 1,
            ack,
            segment_bytes: 1 << 30,
            sealed_bytes_max: 1 << 30,
        };
        thread::spawn(move || serve(&listener, &settings));
        address
    }

    fn fetch(offset: i64, wait_ms: i32) -> FetchRequest {
        let partition = |index| {
            FetchPartition::default()
                .with_partition(index)
                .with_fetch_offset(offset)
                .with_partition_max_bytes(1 << 20)
        };
        let topic = FetchTopic::default()
            .with_topic(TopicName(StrBytes::from_static_str(TOPIC)))
            .with_partitions((0..3).map(partition).collect());
        FetchRequest::default()
            .with_session_epoch(-1)
            .with_min_bytes(1)
            .with_max_wait_ms(wait_ms)
            .with_max_bytes(10 << 20)
            .with_topics(vec![topic])
    }

    #[test]
    fn what_a_client_of_kafkas_produced_is_what_it_fetches() {
        for ack in [Ack::PageCache, Ack::GroupCommit] {
            let dir = tempfile::tempdir().unwrap();
            let address = start(dir.path(), ack);
            assert!(!api_versions(address).unwrap().is_empty());
            Clients::create_topic(address, TOPIC, 3).unwrap();
            let filling =
                Filling { topic: TOPIC, partitions: 3, mib: 1, batch_bytes: 10_000, time_max: Duration::MAX };
            let batches = filling.write(address).unwrap();
            let mut connection = Connection::open(address, Duration::from_secs(30)).unwrap();
            let mut answer = connection.ask(FETCH, &fetch(0, 0)).unwrap();
            let partitions = answer.responses.remove(0).partitions;
            assert_eq!(partitions.len(), 3);
            let mut stored: Vec<_> = (0..3)
                .map(|file| {
                    fs::read(dir.path().join(format!("floor0-{file}/00000000000000000000.log"))).unwrap()
                })
                .collect();
            for (partition, bytes) in partitions.iter().zip(&mut stored) {
                assert_eq!(partition.error_code, 0);
                assert_eq!(partition.records.as_deref(), Some(&bytes[..]), "{ack:?}");
                assert_eq!(partition.high_watermark, batches as i64 / 3, "a record in each batch");
                // Offsets count up from batch to batch.
                let second =
                    i64::from_be_bytes(bytes[bytes.len() / (batches / 3)..][..8].try_into().unwrap());
                assert_eq!(second, 1);
            }
        }
    }

    #[test]
    fn a_fetch_waits_for_records_and_is_answered_without_any_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let address = start(dir.path(), Ack::GroupCommit);
        Clients::create_topic(address, TOPIC, 3).unwrap();
        let mut connection = Connection::open(address, Duration::from_secs(30)).unwrap();
        let begun = Instant::now();
        let answer = connection.ask(FETCH, &fetch(0, 50)).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(50));
        assert!(
            answer.responses[0].partitions.iter().all(|at| at.records.as_ref().is_none_or(|r| r.is_empty()))
        );
        connection.send(FETCH, &fetch(0, 30_000)).unwrap();
        crate::ledger::produce_once(address, TOPIC).unwrap();
        let answer: kafka_protocol::messages::FetchResponse = connection.receive(FETCH).unwrap();
        assert_eq!(answer.responses[0].partitions[0].high_watermark, 1);
        assert!(begun.elapsed() < Duration::from_secs(25), "it was woken");
    }
}
