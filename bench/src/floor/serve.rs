//! Starts the floor's threads and deals connections to them in turn.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use rustix::event::{EventfdFlags, eventfd};

use super::kafka;
use super::shard::Shard;
use super::store::{Store, StoreSettings};
use super::syncer::{Syncer, ring};

/// Connections that wait for a busy thread.
const ARRIVALS_MAX: usize = 128;

/// When a put is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Ack {
    /// When the kernel has the bytes.
    PageCache,
    /// When a sync of the files that they went to has returned: one wave at a time for each thread.
    GroupCommit,
}

/// Whose frames it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// Its own, which `bench floor load` sends: the least there can be.
    Floor,
    /// What clients of Kafka's protocol send.
    Kafka,
}

/// What the floor runs with.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// Where the files go.
    #[arg(long)]
    pub dir: PathBuf,
    /// Whose frames it takes; those of Kafka's clients on one thread.
    #[arg(long, value_enum, default_value = "floor")]
    pub protocol: Protocol,
    /// Threads; each has its own connections and its own files.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// When a put is acknowledged.
    #[arg(long, value_enum, default_value = "page-cache")]
    pub ack: Ack,
    /// Size at which a file rolls, as `log.segment.bytes`.
    #[arg(long, default_value_t = 1 << 30)]
    pub segment_bytes: u64,
    /// Bytes in closed files, all threads together, beyond which the oldest are removed.
    #[arg(long, default_value_t = 16 << 30)]
    pub sealed_bytes_max: u64,
}

/// Serves what connects to `listener`, until accepting or a thread fails.
pub fn serve(listener: &TcpListener, settings: &Settings) -> io::Result<()> {
    if settings.protocol == Protocol::Kafka {
        return kafka::serve(listener, settings);
    }
    let mut shards = Vec::new();
    for thread in 0..settings.threads.max(1) {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let (deal, arrivals) = sync_channel(ARRIVALS_MAX);
        let store = Store::new(StoreSettings {
            dir: settings.dir.clone(),
            thread,
            segment_bytes: settings.segment_bytes,
            sealed_bytes_max: settings.sealed_bytes_max / settings.threads.max(1) as u64,
            durable: settings.ack == Ack::GroupCommit,
        });
        let syncer = (settings.ack == Ack::GroupCommit).then(|| Syncer::start(Arc::clone(&wake)));
        let shard = Shard::new(Arc::clone(&wake), arrivals, store, syncer)?;
        thread::spawn(move || {
            if let Err(error) = shard.run() {
                eprintln!("floor: thread {thread} ends: {error}");
            }
        });
        shards.push((deal, wake));
    }
    for (deal, wake) in shards.iter().cycle() {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        deal.send(stream).map_err(|_| io::Error::other("a thread of the floor has ended"))?;
        ring(wake)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::path::Path;
    use std::time::Duration;

    use super::super::frame::{BATCH_HEAD_LEN, BatchHead, FRAME_HEAD_LEN, FrameHead, GET_LEN, Get, Verb};
    use super::super::load::{Load, Work};
    use super::*;

    const SEGMENT_BYTES: u64 = 64 << 10;

    fn start(dir: &Path, ack: Ack) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let settings = Settings {
            dir: dir.into(),
            protocol: Protocol::Floor,
            threads: 2,
            ack,
            segment_bytes: SEGMENT_BYTES,
            sealed_bytes_max: 1 << 30,
        };
        thread::spawn(move || serve(&listener, &settings));
        address
    }

    fn load(connect: SocketAddr) -> Load {
        Load {
            connect,
            work: Work::Put,
            connections: 2,
            in_flight: 5,
            files: 3,
            batches: 2.5,
            batch_bytes: 10_000,
            rate: None,
            cpu_s_per_gb: None,
            total_bytes: 1_000_000,
        }
    }

    fn put(batch: &[u8], crc: u32) -> Vec<u8> {
        let mut frame = vec![0; FRAME_HEAD_LEN + BATCH_HEAD_LEN];
        let head = BatchHead { file: 0, length: batch.len() as u32, crc };
        FrameHead { length: head.framed_len() as u32, verb: Verb::Put }.write(&mut frame);
        head.write(&mut frame[FRAME_HEAD_LEN..]);
        frame.extend(batch);
        frame
    }

    #[test]
    fn every_byte_acknowledged_lies_in_files_that_roll() {
        for ack in [Ack::PageCache, Ack::GroupCommit] {
            let dir = tempfile::tempdir().unwrap();
            let report = load(start(dir.path(), ack)).run().unwrap();
            let mut stored = 0;
            for log in fs::read_dir(dir.path()).unwrap() {
                for segment in fs::read_dir(log.unwrap().path()).unwrap() {
                    let len = segment.unwrap().metadata().unwrap().len();
                    assert!(len <= SEGMENT_BYTES && len % 10_000 == 0, "{ack:?}: segment of {len} bytes");
                    stored += len;
                }
            }
            assert_eq!(stored, report.bytes, "{ack:?}");
            assert!(report.bytes >= 1_000_000);
        }
    }

    #[test]
    fn a_load_does_not_exceed_its_rate() {
        let dir = tempfile::tempdir().unwrap();
        let load = Load { rate: Some(5_000_000), ..load(start(dir.path(), Ack::PageCache)) };
        let report = load.run().unwrap();
        assert!(report.elapsed > Duration::from_millis(180), "1 MB at 5 MB/s took {:?}", report.elapsed);
    }

    #[test]
    fn a_load_spends_the_cpu_time_that_it_is_told_to() {
        let dir = tempfile::tempdir().unwrap();
        let load = Load { cpu_s_per_gb: Some(100.0), ..load(start(dir.path(), Ack::PageCache)) };
        let report = load.run().unwrap();
        let cpu_s_per_gb = report.cpu_s_per_gb();
        assert!((95.0..140.0).contains(&cpu_s_per_gb), "{cpu_s_per_gb} instead of 100 CPU s/GB");
    }

    #[test]
    fn a_get_answers_with_the_bytes_that_were_put() {
        let dir = tempfile::tempdir().unwrap();
        let mut stream = TcpStream::connect(start(dir.path(), Ack::PageCache)).unwrap();
        let batch: Vec<u8> = (0..50_000u32).map(|n| (n % 251) as u8).collect();
        stream.write_all(&put(&batch, crc32c::crc32c(&batch))).unwrap();
        stream.read_exact(&mut [0; 4]).unwrap();
        let mut frame = [0; FRAME_HEAD_LEN + GET_LEN];
        FrameHead { length: GET_LEN as u32, verb: Verb::Get }.write(&mut frame);
        Get { file: 0, length: 40_000, position: 1_000 }.write(&mut frame[FRAME_HEAD_LEN..]);
        stream.write_all(&frame).unwrap();
        let mut answer = vec![0; 40_000];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, batch[1_000..41_000]);
    }

    #[test]
    fn a_batch_with_a_wrong_checksum_is_neither_stored_nor_acknowledged() {
        let dir = tempfile::tempdir().unwrap();
        let mut stream = TcpStream::connect(start(dir.path(), Ack::PageCache)).unwrap();
        stream.write_all(&put(b"batch", 1)).unwrap();
        assert_eq!(stream.read(&mut [0; 4]).unwrap(), 0);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
