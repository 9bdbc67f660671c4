//! Loads a floor: frames of batches over some connections, as fast as it takes them or at a rate, at the
//! least CPU time or at that of a client which makes its batches.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::ballast::{Ballast, CpuClock};
use super::frame::{
    ACK_LEN, BATCH_BYTES_MAX, BATCH_HEAD_LEN, BatchHead, FILES_MAX, FRAME_HEAD_LEN, FrameHead, GET_LEN, Get,
    Verb,
};

/// What a get reads over and over: small enough to stay in the page cache and in one segment.
const GET_FILE_BYTES: u64 = 256 << 20;
/// More than any client costs.
const CPU_S_PER_GB_MAX: f64 = 10_000.0;
/// Frames by which the two threads of a busy connection may be apart.
const AHEAD_MAX: usize = 4;

/// A load and its shape.
#[derive(Debug, Clone, clap::Args)]
pub struct Load {
    /// Address of the floor.
    #[arg(long)]
    pub connect: SocketAddr,
    /// What the frames ask for.
    #[arg(long, value_enum, default_value = "put")]
    pub work: Work,
    /// Connections, a thread for each.
    #[arg(long, default_value_t = 1)]
    pub connections: usize,
    /// Frames that a connection has sent and not seen answered.
    #[arg(long, default_value_t = 5)]
    pub in_flight: usize,
    /// Files that the batches go to in turn.
    #[arg(long, default_value_t = 16)]
    pub files: u32,
    /// Batches in a frame, as a mean: 2.5 is two and three in turn.
    #[arg(long, default_value_t = 16.0)]
    pub batches: f64,
    /// Bytes of a batch.
    #[arg(long, default_value_t = 16_384)]
    pub batch_bytes: u32,
    /// Bytes per second, all connections together; without it as fast as the floor answers.
    #[arg(long)]
    pub rate: Option<u64>,
    /// CPU seconds that the load spends on 10^9 bytes, on two threads for each connection; without it as
    /// few as it can.
    #[arg(long)]
    pub cpu_s_per_gb: Option<f64>,
    /// Bytes of all batches together.
    #[arg(long, default_value_t = 4 << 30)]
    pub total_bytes: u64,
}

/// What a load asks the floor to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Work {
    /// Append.
    Put,
    /// Send a warm file, a run of `batches` times `batch-bytes` for each frame.
    Get,
}

/// What a load came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LoadReport {
    /// Bytes of batches, or bytes got.
    pub bytes: u64,
    /// Frames answered.
    pub frames: u64,
    /// From the first frame to the last answer.
    pub elapsed: Duration,
    /// CPU time of the load's own threads.
    pub cpu: Duration,
}

impl LoadReport {
    /// Millions of bytes per second.
    pub fn mb_per_s(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.elapsed.as_secs_f64()
    }

    /// CPU seconds of the load per 10^9 bytes.
    pub fn cpu_s_per_gb(&self) -> f64 {
        self.cpu.as_secs_f64() / (self.bytes as f64 / 1e9)
    }
}

impl Load {
    /// Runs it to the end.
    pub fn run(&self) -> io::Result<LoadReport> {
        self.check()?;
        if self.work == Work::Get {
            let fill = Load {
                work: Work::Put,
                connections: self.connections,
                files: 1,
                rate: None,
                cpu_s_per_gb: None,
                total_bytes: GET_FILE_BYTES * self.connections as u64,
                ..self.clone()
            };
            fill.run_connections()?;
        }
        self.run_connections()
    }

    fn check(&self) -> io::Result<()> {
        let sound = self.connections > 0
            && self.in_flight > 0
            && (1..=FILES_MAX).contains(&self.files)
            && self.batches >= 1.0
            && (1..=BATCH_BYTES_MAX).contains(&(self.batch_bytes as usize))
            && self.batches * f64::from(self.batch_bytes) < GET_FILE_BYTES as f64
            && self.cpu_s_per_gb.is_none_or(|cpu| (0.0..=CPU_S_PER_GB_MAX).contains(&cpu));
        if sound { Ok(()) } else { Err(io::Error::other(format!("a load that cannot be: {self:?}"))) }
    }

    fn run_connections(&self) -> io::Result<LoadReport> {
        // Connecting is not measured.
        let ready = Barrier::new(self.connections + 1);
        let (started, sent) = thread::scope(|scope| {
            let runs: Vec<_> = (0..self.connections).map(|_| scope.spawn(|| self.run_one(&ready))).collect();
            ready.wait();
            let started = Instant::now();
            (started, runs.into_iter().map(|run| run.join().expect("a connection does not panic")).collect())
        });
        let elapsed = started.elapsed();
        let sent: io::Result<Vec<Sent>> = sent;
        let mut report = LoadReport { bytes: 0, frames: 0, elapsed, cpu: Duration::ZERO };
        for sent in sent? {
            report.bytes += sent.bytes;
            report.frames += sent.frames;
            report.cpu += sent.cpu;
        }
        Ok(report)
    }

    /// One connection's share, with a second thread beside this one if it is to be a busy client: an
    /// application that makes records, and a sender.
    fn run_one(&self, ready: &Barrier) -> io::Result<Sent> {
        let stream = TcpStream::connect(self.connect).and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(stream)
        });
        // Also when there is no connection: the others wait here.
        ready.wait();
        let lane = Lane { stream: stream?, in_flight: 0, answer: vec![0; 1 << 20] };
        let Some(cpu_s_per_gb) = self.cpu_s_per_gb else { return self.send(lane, |_| {}) };
        // Halves: one thread alone may be unable to do it all at the rate.
        let ballast = || Ballast::new(cpu_s_per_gb / 1e9 / 2.0, self.batch_bytes as usize);
        thread::scope(|scope| {
            let (progress, due): (SyncSender<u64>, Receiver<u64>) = sync_channel(AHEAD_MAX);
            let application = scope.spawn(move || {
                let clock = CpuClock::start();
                let mut ballast = ballast();
                due.iter().for_each(|bytes| ballast.work(bytes));
                clock.elapsed()
            });
            let mut ballast = ballast();
            let sent = self.send(lane, |bytes| {
                progress.send(bytes).expect("the application ends after the sender");
                ballast.work(bytes);
            });
            drop(progress);
            let cpu = application.join().expect("making batches does not panic");
            sent.map(|sent| Sent { cpu: sent.cpu + cpu, ..sent })
        })
    }

    /// Sends and sees answered one connection's share; `make` does the work for all bytes up to its argument
    /// before the last of them are sent.
    fn send(&self, mut lane: Lane, mut make: impl FnMut(u64)) -> io::Result<Sent> {
        let clock = CpuClock::start();
        let share = self.total_bytes / self.connections as u64;
        let rate = self.rate.map(|rate| rate as f64 / self.connections as f64);
        let mut frames = Frames::new(self);
        let started = Instant::now();
        let (mut bytes, mut sent) = (0, 0);
        while bytes < share {
            let (frame, frame_bytes) = frames.next(self.work);
            make(bytes + frame_bytes);
            if let Some(rate) = rate {
                let due = started + Duration::from_secs_f64(bytes as f64 / rate);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            lane.stream.write_all(frame)?;
            lane.in_flight += 1;
            bytes += frame_bytes;
            sent += 1;
            let answer_len = if self.work == Work::Put { ACK_LEN as u64 } else { frame_bytes };
            while lane.in_flight >= self.in_flight {
                lane.take_answer(answer_len)?;
            }
            if bytes >= share {
                while lane.in_flight > 0 {
                    lane.take_answer(answer_len)?;
                }
            }
        }
        Ok(Sent { bytes, frames: sent, cpu: clock.elapsed() })
    }
}

/// What one connection sent, and the CPU time of its threads.
struct Sent {
    bytes: u64,
    frames: u64,
    cpu: Duration,
}

/// A connection of the load.
struct Lane {
    stream: TcpStream,
    in_flight: usize,
    answer: Vec<u8>,
}

impl Lane {
    fn take_answer(&mut self, len: u64) -> io::Result<()> {
        let mut left = len;
        while left > 0 {
            let want = self.answer.len().min(left as usize);
            let got = self.stream.read(&mut self.answer[..want])?;
            if got == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the floor closed the connection"));
            }
            left -= got as u64;
        }
        self.in_flight -= 1;
        Ok(())
    }
}

/// Frames made once: from one to the next only the file numbers change, so that the loader costs little.
struct Frames {
    buffer: Vec<u8>,
    batch_bytes: u32,
    crc: u32,
    batches: f64,
    made: u64,
    files: u32,
    next_file: u32,
    position: u64,
}

impl Frames {
    fn new(load: &Load) -> Frames {
        let most = load.batches.ceil() as usize;
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let batch: Vec<u8> = (0..load.batch_bytes)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        let mut buffer = vec![0; FRAME_HEAD_LEN];
        for _ in 0..most {
            buffer.extend([0; BATCH_HEAD_LEN]);
            buffer.extend(&batch);
        }
        if load.work == Work::Get {
            buffer = vec![0; FRAME_HEAD_LEN + GET_LEN];
        }
        Frames {
            buffer,
            batch_bytes: load.batch_bytes,
            crc: crc32c::crc32c(&batch),
            batches: load.batches,
            made: 0,
            files: load.files,
            next_file: 0,
            position: 0,
        }
    }

    /// The next frame, and how many bytes of batches it stands for.
    fn next(&mut self, work: Work) -> (&[u8], u64) {
        let batches =
            ((self.made + 1) as f64 * self.batches) as u64 - (self.made as f64 * self.batches) as u64;
        self.made += 1;
        let bytes = batches * u64::from(self.batch_bytes);
        let len = match work {
            Work::Put => self.write_put(batches as usize),
            Work::Get => self.write_get(bytes as u32),
        };
        (&self.buffer[..len], bytes)
    }

    fn write_put(&mut self, batches: usize) -> usize {
        let mut at = FRAME_HEAD_LEN;
        for _ in 0..batches {
            let head = BatchHead { file: self.next_file, length: self.batch_bytes, crc: self.crc };
            head.write(&mut self.buffer[at..at + BATCH_HEAD_LEN]);
            at += head.framed_len();
            self.next_file = (self.next_file + 1) % self.files;
        }
        FrameHead { length: (at - FRAME_HEAD_LEN) as u32, verb: Verb::Put }.write(&mut self.buffer);
        at
    }

    fn write_get(&mut self, length: u32) -> usize {
        if self.position + u64::from(length) > GET_FILE_BYTES {
            self.position = 0;
        }
        FrameHead { length: GET_LEN as u32, verb: Verb::Get }.write(&mut self.buffer);
        Get { file: 0, length, position: self.position }.write(&mut self.buffer[FRAME_HEAD_LEN..]);
        self.position += u64::from(length);
        FRAME_HEAD_LEN + GET_LEN
    }
}
