//! `logmill bench strangers`: clients that send anything, beside one that wants to be served.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use logmill_server::wire::messages::header::RequestHeader;
use logmill_server::wire::{APIS, Message, Writer};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::neighbour::Neighbour;
use super::sample;
use crate::crash::CommonArgs;
use crate::ledger::Clients;
use crate::rig::{Broker, Error};

/// Topics whose names samples have; strangers may do with them what they like.
const TOPICS: [&str; 2] = ["a", "orders"];
/// How long the neighbour is measured alone.
const ALONE: Duration = Duration::from_secs(5);
/// The neighbour's slowest hundredth may take so many times what it takes alone, or so long.
const TIMES_MAX: u32 = 3;
const P99_ALLOWED: Duration = Duration::from_millis(20);
/// What requests in flight may take, and a broker besides.
const RESIDENT_BYTES_MAX: i64 = (256 + 64) << 20;
/// A stranger that gets no answer in this time goes.
const PATIENCE: Duration = Duration::from_millis(20);
/// Values that programs get wrong.
const TEMPTING: [i32; 8] = [0, 1, -1, i32::MAX, i32::MIN, 0x7f, 0x8000, 0x0100_0000];

/// Requests of random content, changed at random places: the broker lives, its memory stays bounded, and another
/// client is served as quickly as before.
#[derive(Debug, clap::Args)]
pub struct StrangersArgs {
    /// How many requests.
    #[arg(long, default_value_t = 10_000)]
    requests: u64,
    /// How many strangers send them, at the lowest priority.
    #[arg(long, default_value_t = 4)]
    strangers: u64,
    #[command(flatten)]
    common: CommonArgs,
}

impl StrangersArgs {
    /// Measures the neighbour without strangers and with them, and then the broker.
    pub fn run(&self) -> Result<(), Error> {
        let seed = self.common.seed();
        let mut options = self.common.broker(&[])?;
        options.properties.push(("auto.create.topics.enable".into(), "false".into()));
        let mut broker = Broker::logmill(options)?;
        let address = broker.address();
        let log = broker.log_file();
        let failed = |what: String| Error::with_log(format!("strangers: seed {seed}: {what}"), &log);
        let to_error = |what: &str| {
            let what = what.to_owned();
            move |error: io::Error| failed(format!("{what}: {error}"))
        };
        for topic in TOPICS {
            Clients::create_topic(address, topic, 2).map_err(to_error("making a topic"))?;
        }
        let mut neighbour = Neighbour::new(address).map_err(to_error("the neighbour"))?;
        let begun = Instant::now();
        let alone = neighbour.measure(|| begun.elapsed() < ALONE).map_err(to_error("the neighbour alone"))?;
        let begun = Instant::now();
        let (sent, beside) = self.let_in(address, seed, &mut neighbour).map_err(to_error("the neighbour"))?;
        let resident = broker.usage()?.resident_bytes;
        println!(
            "strangers: seed {seed}: {sent} requests in {:.1} s; the neighbour's p99 {:.1} ms, {:.1} ms alone; {} MiB \
             resident",
            begun.elapsed().as_secs_f64(),
            ms(beside),
            ms(alone),
            resident >> 20
        );
        if beside > (alone * TIMES_MAX).max(P99_ALLOWED) {
            return Err(failed("the neighbour waited too long".into()));
        }
        if resident > RESIDENT_BYTES_MAX {
            return Err(failed(format!("more than {} MiB resident", RESIDENT_BYTES_MAX >> 20)));
        }
        let status = broker.stop()?;
        match status.is_some_and(|status| status.success()) {
            true => Ok(()),
            false => Err(failed(format!("a clean stop ended with {status:?}"))),
        }
    }

    /// Lets the strangers in; the requests that they sent, and the neighbour's p99 meanwhile.
    fn let_in(
        &self,
        broker: SocketAddr,
        seed: u64,
        neighbour: &mut Neighbour,
    ) -> io::Result<(u64, Duration)> {
        let sent = AtomicU64::new(0);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let strangers: Vec<_> = (0..self.strangers)
                .map(|nth| {
                    let stranger = Stranger { random: StdRng::seed_from_u64(seed ^ (nth << 32)), broker };
                    let sent = &sent;
                    scope.spawn(move || stranger.send(sent, self.requests))
                })
                .collect();
            let is_over = &is_over;
            let ends = scope.spawn(move || {
                let ended: io::Result<()> = strangers
                    .into_iter()
                    .try_for_each(|stranger| stranger.join().expect("it does not panic"));
                is_over.store(true, Ordering::Relaxed);
                ended
            });
            let p99 = neighbour.measure(|| !is_over.load(Ordering::Relaxed));
            ends.join().expect("it does not panic")?;
            Ok((sent.load(Ordering::Relaxed).min(self.requests), p99?))
        })
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// A client that does not know the protocol very well.
struct Stranger {
    random: StdRng,
    broker: SocketAddr,
}

impl Stranger {
    /// Sends until all of them together have sent enough. An error: nobody listens any more.
    fn send(mut self, sent: &AtomicU64, enough: u64) -> io::Result<()> {
        // It must not take the processor from those that are measured.
        let _ = rustix::process::nice(19);
        let mut stream = None;
        while sent.fetch_add(1, Ordering::Relaxed) < enough {
            let mut connected = match stream.take() {
                Some(stream) => stream,
                None => self.connect()?,
            };
            let frame = self.frame();
            // The broker may hang up at any byte.
            if exchange(&mut connected, &frame).is_ok() {
                stream = Some(connected);
            }
        }
        Ok(())
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.broker)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        // Ports of connections that are closed in the usual way would soon be used up.
        rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
        Ok(stream)
    }

    /// A request of random content, most of them changed, most of them of the length that they declare.
    fn frame(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        let row = APIS[random.random_range(0..APIS.len())];
        let valid = row.request.valid;
        let version = random.random_range(valid.min..=valid.max);
        let mut frame = vec![0; 4];
        let header = RequestHeader {
            request_api_key: row.key(),
            request_api_version: version,
            correlation_id: random.random(),
            client_id: Some("stranger".into()),
        };
        header.write_message(&mut Writer::new(&mut frame), row.request_header_version(version));
        frame.extend_from_slice(&sample::random(row.request, version, random.random()).bytes);
        for _ in 0..[0, 1, 1, 2, 8][random.random_range(0..5)] {
            change(&mut frame, random);
        }
        let declared = match random.random_range(0..20) {
            0 => TEMPTING[random.random_range(0..TEMPTING.len())],
            _ => frame.len() as i32 - 4,
        };
        frame[..4].copy_from_slice(&declared.to_be_bytes());
        frame
    }
}

/// Changes something behind the length.
fn change(frame: &mut Vec<u8>, random: &mut StdRng) {
    let at = random.random_range(4..frame.len().max(5)).min(frame.len());
    match random.random_range(0..6) {
        0 => frame.truncate(at.max(4)),
        1 => frame.insert(at, random.random()),
        2 => drop(frame.splice(at..at, TEMPTING[random.random_range(0..TEMPTING.len())].to_be_bytes())),
        3 if at + 4 <= frame.len() => {
            let tempting = TEMPTING[random.random_range(0..TEMPTING.len())].to_be_bytes();
            frame[at..at + 4].copy_from_slice(&tempting);
        }
        4 => {
            let again = frame[at..frame.len().min(at + 32)].to_vec();
            drop(frame.splice(at..at, again));
        }
        _ => {
            if let Some(byte) = frame.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
    }
}

/// Sends a frame and reads what comes back, if anything does.
fn exchange(stream: &mut TcpStream, frame: &[u8]) -> io::Result<()> {
    stream.write_all(frame)?;
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let mut rest = u64::from(u32::from_be_bytes(len));
    let mut buf = [0; 16 << 10];
    while rest > 0 {
        let room = buf.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        match stream.read(&mut buf[..room])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => rest -= read as u64,
        }
    }
    Ok(())
}
