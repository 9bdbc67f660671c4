//! One connection: requests in, in order; answers out, in the order of the requests.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use tokio::sync::{Semaphore, SemaphorePermit};

use super::Stream;
use super::admission::Admitted;
use super::connections::Control;
use super::frame::{BadFrame, Frame, FrameReader};
use super::in_flight::{InFlight, Room};
use super::outbox::Outbox;
use super::replies::Replies;
use super::runtime::Task;
use crate::api::{self, Answer, Reply};
use crate::shard::LocalShard;
use crate::wire::{Chunk, Encoded, HeaderError, ReadError, ResponseTooLarge};

/// Requests of one connection that are under way; behind them nothing is read.
const IN_FLIGHT_MAX: usize = 64;
/// Bytes of them, and of their answers that are there already: behind more of them nothing is read. One
/// request is always taken, however long.
const IN_FLIGHT_BYTES_MAX: usize = 64 << 20;
/// How long a peer that has finished sending may take its answers. What was asked for happens all the same.
const LINGER_MS: u64 = 10_000;
/// How long nothing may come of a request that is read beyond the shard's room for all of them.
const STALL_MS: u64 = 10_000;

/// Why the broker ends a connection.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The network.
    Io(io::Error),
    /// A frame that no request can be.
    Frame(BadFrame),
    /// A request of no API.
    Header(HeaderError),
    /// A request that cannot be read.
    Request(ReadError),
    /// A version of an API that is not served.
    Version {
        /// The API.
        api: &'static str,
        /// The version.
        version: i16,
    },
    /// A response that cannot be sent.
    Response(ResponseTooLarge),
    /// The peer has finished sending, and not taken its answers.
    Finished,
    /// Nothing came or went for `connections.max.idle.ms`.
    Idle,
    /// A request was begun and not gone on with while all others waited for it.
    Stalled,
    /// A request that wants no answer has failed; closing is the only way to say so.
    Unanswerable,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Io(error) => error.fmt(f),
            Ended::Frame(BadFrame { declared, max }) => {
                write!(f, "a request of {declared} bytes, at most {max} are taken")
            }
            Ended::Header(error) => error.fmt(f),
            Ended::Request(error) => error.fmt(f),
            Ended::Response(error) => error.fmt(f),
            Ended::Finished => write!(f, "answers not taken {LINGER_MS} ms after the last request"),
            Ended::Idle => f.write_str("nothing came or went for connections.max.idle.ms"),
            Ended::Stalled => write!(f, "nothing more of a large request for {STALL_MS} ms"),
            Ended::Version { api, version } => write!(f, "{api} version {version} is not served"),
            Ended::Unanswerable => f.write_str("a produce request with acks=0 failed"),
        }
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Ended {
        Ended::Io(error)
    }
}

/// Serves a connection until either side ends it.
pub(crate) async fn serve(
    stream: Rc<dyn Stream>,
    listener: usize,
    admitted: Admitted,
    shard: Rc<LocalShard>,
) {
    let place = shard.connections().enroll();
    shard.counters().count_connection();
    let conn = Conn { stream: &*stream, listener, shard: &shard, control: &place.control };
    let room = Semaphore::new(IN_FLIGHT_BYTES_MAX);
    let replies = Replies::new(IN_FLIGHT_MAX);
    // The peer may finish sending before it has all its answers. It may also be gone, and nothing would tell
    // of that while a fetch waits: so it gets some time.
    let reading = async {
        conn.read_requests(&room, &replies).await?;
        replies.finish();
        shard.host().runtime.sleep(LINGER_MS).await;
        Err(Ended::Finished)
    };
    let (mut reading, mut writing) = (pin!(reading), pin!(conn.write_answers(&replies)));
    let ended = poll_fn(|cx| {
        if place.control.poll_idle(cx).is_ready() {
            return Poll::Ready(Err(Ended::Idle));
        }
        // Answers that are there wait for no request. Behind the requests they are looked at once more: what was
        // just routed has its place among them, and its answer may be there already.
        let ended = writing.as_mut().poll(cx);
        if ended.is_ready() {
            return ended;
        }
        let read = reading.as_mut().poll(cx);
        match writing.as_mut().poll(cx) {
            Poll::Pending => read,
            ended => ended,
        }
    })
    .await;
    if let Err(ended) = ended {
        tracing::debug!("closed {}: {ended}", stream.address());
    }
    drop(admitted);
}

/// What both directions of a connection know.
struct Conn<'a> {
    stream: &'a dyn Stream,
    listener: usize,
    shard: &'a Rc<LocalShard>,
    control: &'a Control,
}

/// A reply in its place among the others, and the room that it takes of what may be in flight: of this
/// connection and of the whole shard.
struct Queued<'a> {
    reply: Reply,
    room: SemaphorePermit<'a>,
    of_shard: Room<'a>,
}

/// Waits until so many bytes more of a connection may be in flight.
async fn take_room(room: &Semaphore, bytes: usize) -> SemaphorePermit<'_> {
    let permits = bytes.min(IN_FLIGHT_BYTES_MAX) as u32;
    room.acquire_many(permits).await.expect("nobody closes it")
}

impl<'a> Conn<'a> {
    fn in_flight(&self) -> &'a InFlight {
        self.shard.in_flight()
    }

    /// Takes requests as they come. Each is routed before the next one is looked at, so that what one
    /// connection produces reaches a partition in order.
    async fn read_requests(&self, room: &'a Semaphore, replies: &Replies<Queued<'a>>) -> Result<(), Ended> {
        let mut frames = FrameReader::new(self.shard.receive_pool());
        let frame_len_max = self.shard.broker().config.socket_request_max_bytes as usize;
        while !self.control.is_draining() {
            let Some(frame) = frames.next_frame(frame_len_max).map_err(Ended::Frame)? else {
                if self.read(&mut frames).await? {
                    continue;
                }
                return Ok(());
            };
            // Room first: a request that is routed has its place among the answers.
            replies.wait_for_place().await;
            replies.push(self.route(frame, room).await?);
        }
        Ok(())
    }

    /// Waits for more bytes. False: there will be none, or none that are taken.
    async fn read(&self, frames: &mut FrameReader<'a>) -> Result<bool, Ended> {
        let is_beyond = frames.is_beyond();
        let stalled = async {
            match is_beyond {
                true => self.shard.host().runtime.sleep(STALL_MS).await,
                false => std::future::pending().await,
            }
        };
        let received = tokio::select! {
            biased;
            () = poll_fn(|cx| self.control.poll_drain(cx)) => 0,
            received = frames.fill(self.stream, self.in_flight()) => received?,
            () = stalled => return Err(Ended::Stalled),
        };
        self.control.note_activity();
        self.shard.counters().count_received(received);
        Ok(received > 0)
    }

    async fn route(&self, frame: Frame<'a>, room: &'a Semaphore) -> Result<Queued<'a>, Ended> {
        let Frame { bytes, room: mut of_shard } = frame;
        let mut of_conn = take_room(room, bytes.len()).await;
        if of_shard.bytes() < bytes.len() && !of_shard.is_beyond() {
            of_shard.merge(self.in_flight().take(bytes.len() - of_shard.bytes()).await);
        }
        let reply = api::dispatch(bytes, self.listener, self.stream.address().ip(), self.shard).await?;
        if let Reply::Now(Answer::Send(encoded)) = &reply {
            // The request is done with, and a small one may have a large answer.
            let len = bytes_in_memory(encoded);
            drop(of_conn);
            of_conn = take_room(room, len).await;
            drop(of_shard);
            of_shard = self.in_flight().take_what_is_left(len);
        }
        if let Reply::Parked(_) = &reply {
            // Others need the room for what it waits for.
            of_shard = Room::default();
        }
        Ok(Queued { reply, room: of_conn, of_shard })
    }

    async fn flush(&self, outbox: &mut Outbox) -> io::Result<()> {
        let sent = outbox.len();
        outbox.flush(self.stream, self.control, self.shard).await?;
        self.shard.counters().count_sent(sent);
        Ok(())
    }

    /// Sends answers in order, many at a time where many are there.
    async fn write_answers(&self, replies: &Replies<Queued<'a>>) -> Result<(), Ended> {
        let mut outbox = Outbox::default();
        // Of the answers in the outbox.
        let mut taken = Vec::new();
        while let Some(queued) = replies.next().await {
            let mut queued = Some(queued);
            let mut held = 0;
            while let Some(Queued { reply, room, mut of_shard }) = queued.take() {
                let answer = match reply {
                    Reply::Now(answer) => answer,
                    Reply::Later(mut task) | Reply::Parked(mut task) => match poll_once(&mut task).await {
                        Some(answer) => answer,
                        None => {
                            // Those in front of it do not wait for it.
                            self.flush(&mut outbox).await?;
                            taken.clear();
                            self.control.set_answering(true);
                            let answer = task.await;
                            self.control.set_answering(false);
                            answer
                        }
                    },
                };
                match answer {
                    Answer::Send(encoded) => {
                        let len = bytes_in_memory(&encoded);
                        held += len;
                        outbox.push(encoded);
                        drop(std::mem::take(&mut of_shard));
                        taken.push((room, self.in_flight().take_what_is_left(len)));
                        // Answers that come later are longer than the room of their requests.
                        if held > IN_FLIGHT_BYTES_MAX {
                            break;
                        }
                    }
                    Answer::Silent => (),
                    Answer::Close(ended) => {
                        self.flush(&mut outbox).await?;
                        return Err(ended);
                    }
                }
                queued = replies.try_next();
            }
            self.flush(&mut outbox).await?;
            taken.clear();
        }
        Ok(())
    }
}

/// What an answer holds until it is sent, but for what lies in files.
fn bytes_in_memory(Encoded { head, rest, .. }: &Encoded) -> usize {
    let of_chunk = |chunk: &Chunk| match chunk {
        Chunk::Bytes(bytes) => bytes.len(),
        Chunk::Slice(_) => 0,
    };
    head.len() + rest.iter().map(of_chunk).sum::<usize>()
}

/// The task's answer if it is there already.
async fn poll_once(task: &mut Task<Answer>) -> Option<Answer> {
    poll_fn(|cx| match task.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
