//! A produce of 16 KiB to a warm broker allocates nothing between its frame and its wave.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
use kafka_protocol::messages::{
    CreateTopicsResponse, ProduceResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use logmill_engine::disk::os::OsDisk;
use logmill_engine::disk::{
    AlignedBuf, DirEntry, Disk, IoDone, IoQueue, OpenFile, OpenMode, Space, SyncKind,
};
use logmill_engine::format::{BatchBuilder, NewRecord};
use logmill_server::broker::{Running, start_on};
use logmill_server::config::{Config, Machine};

const CREATE: i16 = 7;
const PRODUCE: i16 = 12;
/// Bytes of the record: with all around it, one batch of the size that Java producers fill by default.
const RECORD_BYTES: usize = 16 * 1024 - 200;
/// Each of them adds an entry to the offset index, whose memory doubles until it holds 512 and is written: it
/// does from the 257th on, and not before the 512th.
const WARM_UP: usize = 260;
const COUNTED: usize = 240;

/// Whether a request is on its way to a wave.
static IS_ON_ITS_WAY: AtomicBool = AtomicBool::new(false);
/// What the shard's thread has allocated while one was.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static WAVES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Set on the shard's thread.
    static IS_COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Counts the shard's allocations.
struct Counting;

fn count() {
    if IS_COUNTED.get() && IS_ON_ITS_WAY.load(Ordering::SeqCst) {
        ALLOCATIONS.fetch_add(1, Ordering::SeqCst);
    }
}

// SAFETY: every call is passed on to the system's allocator as it came; counting touches atomics and a cell of
// the thread, which are neither allocated nor dropped.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: the block came from `System` with this layout.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The kernel's disk, whose queue says when a wave is handed to it.
#[derive(Debug)]
struct Noting(OsDisk);

impl Disk for Noting {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<OpenFile> {
        self.0.open(path, mode)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.0.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir_all(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.0.remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.0.remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<OpenFile> {
        self.0.lock(path)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.0.space(dir)
    }

    /// Called on the shard's thread.
    fn io_queue(&self) -> io::Result<Box<dyn IoQueue>> {
        IS_COUNTED.set(true);
        Ok(Box::new(NotingQueue(self.0.io_queue()?)))
    }
}

struct NotingQueue(Box<dyn IoQueue>);

impl NotingQueue {
    fn note() {
        if IS_ON_ITS_WAY.swap(false, Ordering::SeqCst) {
            WAVES.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl IoQueue for NotingQueue {
    fn sync(&mut self, file: &OpenFile, kind: SyncKind, token: u64) -> io::Result<()> {
        NotingQueue::note();
        self.0.sync(file, kind, token)
    }

    fn write(&mut self, file: &OpenFile, buf: AlignedBuf, position: u64, token: u64) -> io::Result<()> {
        NotingQueue::note();
        self.0.write(file, buf, position, token)
    }

    fn read_in(&mut self, file: &OpenFile, buf: AlignedBuf, position: u64, token: u64) -> io::Result<()> {
        self.0.read_in(file, buf, position, token)
    }

    fn reap(&mut self, done: &mut Vec<IoDone>) {
        self.0.reap(done);
    }

    fn wait(&mut self) -> io::Result<()> {
        self.0.wait()
    }

    fn completion_fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.completion_fd()
    }
}

fn spawn(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    thread::Builder::new().spawn(work).map(drop)
}

fn serving(dir: &Path) -> Running {
    let settings = [
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("log.dirs", dir.to_str().unwrap()),
        ("logmill.shards", "1"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let machine = Machine { host_name: "localhost".to_owned(), cores: 1 };
    let config = Config::load(None, [], &settings, &machine).unwrap().0;
    start_on(Arc::new(Noting(OsDisk::with_helper(spawn))), false, config).unwrap()
}

fn frame<R: Request>(version: i16, request: &R) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u32(0);
    let header = RequestHeader::default().with_request_api_key(R::KEY).with_request_api_version(version);
    header.encode(&mut frame, R::header_version(version)).unwrap();
    request.encode(&mut frame, version).unwrap();
    let len = frame.len() as u32 - 4;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    frame.freeze()
}

fn ask<R: Decodable + HeaderVersion>(stream: &mut TcpStream, version: i16, frame: &[u8]) -> R {
    stream.write_all(frame).unwrap();
    let mut len = [0; 4];
    stream.read_exact(&mut len).unwrap();
    let mut received = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut received).unwrap();
    let mut received = Bytes::from(received);
    ResponseHeader::decode(&mut received, R::header_version(version)).unwrap();
    R::decode(&mut received, version).unwrap()
}

fn topic() -> TopicName {
    TopicName(StrBytes::from_static_str("t"))
}

fn produce() -> ProduceRequest {
    let mut builder = BatchBuilder::new();
    let record = NewRecord { key: None, value: Some(&[7; RECORD_BYTES]), timestamp: 1_000, headers: &[] };
    builder.push(&record);
    let partition = PartitionProduceData::default().with_index(0).with_records(Some(builder.finish()));
    let topic = TopicProduceData::default().with_name(topic()).with_partition_data(vec![partition]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

#[test]
fn a_warm_produce_allocates_nothing_between_frame_and_wave() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let broker = serving(dir.path());
    let mut stream = TcpStream::connect(("127.0.0.1", broker.ports()[0])).unwrap();
    let new = CreatableTopic::default().with_name(topic()).with_num_partitions(1).with_replication_factor(1);
    let create = CreateTopicsRequest::default().with_topics(vec![new]).with_timeout_ms(60_000);
    let created: CreateTopicsResponse = ask(&mut stream, CREATE, &frame(CREATE, &create));
    assert_eq!(created.topics[0].error_code, 0);
    let produce = frame(PRODUCE, &produce());
    for round in 0..WARM_UP + COUNTED {
        if round == WARM_UP {
            ALLOCATIONS.store(0, Ordering::SeqCst);
            WAVES.store(0, Ordering::SeqCst);
        }
        IS_ON_ITS_WAY.store(true, Ordering::SeqCst);
        let answer: ProduceResponse = ask(&mut stream, PRODUCE, &produce);
        let answer = &answer.responses[0].partition_responses[0];
        assert_eq!((answer.error_code, answer.base_offset), (0, round as i64));
    }
    let (waves, allocations) = (WAVES.load(Ordering::SeqCst), ALLOCATIONS.load(Ordering::SeqCst));
    assert_eq!((waves, allocations), (COUNTED, 0), "waves and allocations of {COUNTED} requests");
    broker.broker().stop.ask();
    broker.join().unwrap();
}
