//! One connection: requests in, answers out in their order.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use bytes::Bytes;
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::Decodable;
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::super::conn::Next;
use super::super::frame::refused;
use super::super::store::Store;
use super::control;
use super::cursor::Cursor;
use super::fetch::{Fetch, Part};
use super::produce::{Put, Step};
use super::topics::Topics;

/// A batch of the largest size, or a request that is no produce, with what stands before it.
const PIECE_BYTES_MAX: usize = (1 << 20) + (64 << 10);
const RECEIVE_BYTES: usize = 2 * PIECE_BYTES_MAX;
/// Length, API, version and correlation id.
const HEAD_LEN: usize = 12;

/// What requests meet.
pub(super) struct Ground<'a> {
    pub topics: &'a mut Topics,
    pub store: &'a mut Store,
    pub address: SocketAddr,
    /// Whether a produce is answered by a wave, and not at once.
    pub is_durable: bool,
    pub now: Instant,
}

/// A connection and how far its requests have been read.
pub(super) struct Conn {
    pub stream: TcpStream,
    /// Received, from `read` on not yet taken. Never zeroed, never grown.
    received: Vec<u8>,
    read: usize,
    /// The produce that is being read, and its answer as far as it goes.
    put: Option<Put>,
    draft: Vec<u8>,
    /// Whole answers that are not sent. Those up to `enrolled` wait for the wave in flight, and behind them are
    /// `uncovered` produces that are in none.
    answers: Vec<u8>,
    enrolled: usize,
    uncovered: usize,
    /// The fetch that waits, or is being answered; nothing is taken meanwhile.
    fetch: Option<Fetch>,
    parts: VecDeque<Part>,
}

impl Conn {
    pub(super) fn new(stream: TcpStream) -> Conn {
        Conn {
            stream,
            received: Vec::with_capacity(RECEIVE_BYTES),
            read: 0,
            put: None,
            draft: Vec::new(),
            answers: Vec::new(),
            enrolled: 0,
            uncovered: 0,
            fetch: None,
            parts: VecDeque::new(),
        }
    }

    /// Takes what the socket has, once.
    pub(super) fn receive(&mut self, ground: &mut Ground<'_>) -> io::Result<Next> {
        match rustix::net::recv(&self.stream, spare_capacity(&mut self.received), RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Ok(Next::Closed),
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Next::Readable),
            Err(error) => return Err(error.into()),
        }
        self.take_requests(ground)
    }

    /// Goes on with an answer that filled the socket.
    pub(super) fn send(&mut self, ground: &mut Ground<'_>) -> io::Result<Next> {
        if self.send_parts()? { self.take_requests(ground) } else { Ok(Next::Writable) }
    }

    /// When its fetch is to be answered at the latest.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.fetch.as_ref().map(|fetch| fetch.deadline)
    }

    /// Answers its fetch if there is enough by now, or it is time.
    pub(super) fn retry(&mut self, ground: &mut Ground<'_>) -> io::Result<Next> {
        if self.answer_fetch(ground)? { self.take_requests(ground) } else { Ok(self.waits_for()) }
    }

    /// Puts what was appended under the wave that starts.
    pub(super) fn enroll(&mut self) {
        self.enrolled = self.answers.len();
        self.uncovered = 0;
    }

    /// Answers what the finished wave covered.
    pub(super) fn release(&mut self) -> io::Result<()> {
        let len = if self.uncovered == 0 { self.answers.len() } else { self.enrolled };
        self.enrolled = 0;
        self.send_answers(len)
    }

    fn take_requests(&mut self, ground: &mut Ground<'_>) -> io::Result<Next> {
        while self.fetch.is_none() {
            let took = match &mut self.put {
                Some(put) => {
                    let bytes = &mut self.received[self.read..];
                    match put.step(bytes, &mut self.draft, ground.topics, ground.store)? {
                        Step::Waits => break,
                        Step::Took(len) => len,
                        Step::Done(len) => {
                            self.put = None;
                            self.answers.append(&mut self.draft);
                            self.uncovered += 1;
                            len
                        }
                    }
                }
                None => match self.begin(ground)? {
                    0 => break,
                    len => len,
                },
            };
            self.read += took;
            if self.fetch.is_some() {
                self.answer_fetch(ground)?;
            }
        }
        if !ground.is_durable || (self.uncovered == 0 && self.enrolled == 0) {
            self.uncovered = 0;
            self.send_answers(self.answers.len())?;
        }
        self.make_room();
        Ok(self.waits_for())
    }

    fn waits_for(&self) -> Next {
        if self.parts.is_empty() { Next::Readable } else { Next::Writable }
    }

    /// Looks at the next request, all of it unless it is a produce. How many bytes it took; none when it waits
    /// for more.
    fn begin(&mut self, ground: &mut Ground<'_>) -> io::Result<usize> {
        let bytes = &self.received[self.read..];
        let mut cursor = Cursor::new(bytes);
        let mut head = || Some((cursor.i32()?, cursor.i16()?, cursor.i16()?, cursor.i32()?));
        let Some((len, key, version, correlation_id)) = head() else { return Ok(0) };
        if key == ApiKey::Produce as i16 {
            let mut rest = || {
                cursor.nullable_string()?;
                cursor.skip_tags()
            };
            if rest().is_none() {
                return Ok(0);
            }
            self.put = Some(Put::begin(version, correlation_id, &mut self.draft));
            return Ok(cursor.position());
        }
        let whole = 4 + usize::try_from(len).unwrap_or(usize::MAX - 4);
        if !(HEAD_LEN..=PIECE_BYTES_MAX).contains(&whole) {
            return Err(refused(format!("a request of {len} bytes")));
        }
        let Some(request) = bytes.get(..whole) else { return Ok(0) };
        if key == ApiKey::Fetch as i16 {
            cursor.nullable_string();
            cursor.skip_tags();
            if !self.answers.is_empty() {
                return Err(refused("a fetch behind a produce that is not answered".into()));
            }
            let body = &request[cursor.position().min(whole)..];
            self.fetch = Some(Fetch::read(version, correlation_id, body, ground.topics, ground.now)?);
            return Ok(whole);
        }
        let api = ApiKey::try_from(key).map_err(|()| refused(format!("a request of API {key}")))?;
        let mut body = Bytes::copy_from_slice(&request[4..]);
        RequestHeader::decode(&mut body, api.request_header_version(version))
            .map_err(|error| refused(error.to_string()))?;
        let answer = control::answer(api, version, correlation_id, body, ground.topics, ground.address)?;
        self.answers.extend((answer.len() as u32).to_be_bytes());
        self.answers.extend(answer);
        Ok(whole)
    }

    /// Whether the fetch was answered, and all of that is sent.
    fn answer_fetch(&mut self, ground: &mut Ground<'_>) -> io::Result<bool> {
        let Some(fetch) = &self.fetch else { return Ok(true) };
        if self.parts.is_empty() {
            match fetch.answer(ground.topics, ground.store, ground.now)? {
                None => return Ok(false),
                Some(parts) => self.parts.extend(parts),
            }
        }
        self.send_parts()
    }

    fn send_parts(&mut self) -> io::Result<bool> {
        while let Some(part) = self.parts.front_mut() {
            while !part.bytes.is_empty() {
                // What follows goes into the same segment.
                let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
                let flags = if part.run.is_some() { flags | SendFlags::MORE } else { flags };
                match rustix::net::send(&self.stream, &part.bytes, flags) {
                    Ok(sent) => drop(part.bytes.drain(..sent)),
                    Err(Errno::AGAIN) => return Ok(false),
                    Err(error) => return Err(error.into()),
                }
            }
            while let Some(run) = part.run.as_mut().filter(|run| run.len > 0) {
                match rustix::fs::sendfile(&self.stream, &run.file, Some(&mut run.position), run.len) {
                    Ok(0) => return Err(refused(format!("a file ends {} bytes early", run.len))),
                    Ok(sent) => run.len -= sent,
                    Err(Errno::AGAIN) => return Ok(false),
                    Err(error) => return Err(error.into()),
                }
            }
            self.parts.pop_front();
        }
        self.fetch = None;
        Ok(true)
    }

    fn send_answers(&mut self, len: usize) -> io::Result<()> {
        if len > 0 {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            let sent = rustix::net::send(&self.stream, &self.answers[..len], flags)?;
            if sent != len {
                return Err(refused(format!("{len} bytes of answers are due and the client does not read")));
            }
            self.answers.drain(..len);
        }
        Ok(())
    }

    /// The next piece finds room; as a rule everything was taken and nothing moves.
    fn make_room(&mut self) {
        if self.read == self.received.len() {
            self.received.clear();
            self.read = 0;
        } else if self.received.capacity() - self.received.len() < PIECE_BYTES_MAX {
            self.received.copy_within(self.read.., 0);
            self.received.truncate(self.received.len() - self.read);
            self.read = 0;
        }
    }
}
