//! One connection: requests in, in order; answers out, in the order of the requests.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use super::Stream;
use super::frame::{BadFrame, FrameReader};
use super::outbox::Outbox;
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
    /// A request that would take too much memory to read.
    TooLarge {
        /// The API.
        api: &'static str,
        /// Bytes of the request.
        len: usize,
        /// The most that are taken.
        max: usize,
    },
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
            Ended::TooLarge { api, len, max } => {
                write!(f, "a {api} request of {len} bytes, at most {max} are taken")
            }
            Ended::Response(error) => error.fmt(f),
            Ended::Finished => write!(f, "answers not taken {LINGER_MS} ms after the last request"),
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
pub(crate) async fn serve(stream: Rc<dyn Stream>, listener: usize, shard: Rc<LocalShard>) {
    let room = Semaphore::new(IN_FLIGHT_BYTES_MAX);
    let (replies, queue) = mpsc::channel(IN_FLIGHT_MAX);
    // The peer may finish sending before it has all its answers. It may also be gone, and nothing would tell
    // of that while a fetch waits: so it gets some time.
    let reading = async {
        read_requests(&*stream, listener, &shard, &room, replies).await?;
        shard.host().runtime.sleep(LINGER_MS).await;
        Err(Ended::Finished)
    };
    let ended = tokio::select! {
        biased;
        ended = write_answers(&*stream, queue) => ended,
        ended = reading => ended,
    };
    if let Err(ended) = ended {
        tracing::debug!("closed {}: {ended}", stream.peer());
    }
}

/// A reply in its place among the others, and the room that it takes of what a connection may have in flight.
struct Queued<'a> {
    reply: Reply,
    room: SemaphorePermit<'a>,
}

/// Waits until so many bytes more may be in flight.
async fn take_room(room: &Semaphore, bytes: usize) -> SemaphorePermit<'_> {
    let permits = bytes.min(IN_FLIGHT_BYTES_MAX) as u32;
    room.acquire_many(permits).await.expect("nobody closes it")
}

/// Takes requests as they come. Each is routed before the next one is looked at, so that what one
/// connection produces reaches a partition in order.
async fn read_requests<'a>(
    stream: &dyn Stream,
    listener: usize,
    shard: &Rc<LocalShard>,
    room: &'a Semaphore,
    replies: mpsc::Sender<Queued<'a>>,
) -> Result<(), Ended> {
    let mut frames = FrameReader::new(shard.receive_pool());
    let frame_len_max = shard.broker().config.socket_request_max_bytes as usize;
    loop {
        while let Some(frame) = frames.next_frame(frame_len_max).map_err(Ended::Frame)? {
            // Room first: a request that is routed has its place among the answers.
            let Ok(place) = replies.reserve().await else { return Ok(()) };
            let mut taken = take_room(room, frame.len()).await;
            let reply = api::dispatch(frame, listener, shard).await?;
            if let Reply::Now(Answer::Send(encoded)) = &reply {
                // The request is done with, and a small one may have a large answer.
                drop(taken);
                taken = take_room(room, bytes_in_memory(encoded)).await;
            }
            place.send(Queued { reply, room: taken });
        }
        if !frames.fill(stream).await? {
            return Ok(());
        }
    }
}

/// What an answer holds until it is sent, but for what lies in files.
fn bytes_in_memory(Encoded { head, rest }: &Encoded) -> usize {
    let of_chunk = |chunk: &Chunk| match chunk {
        Chunk::Bytes(bytes) => bytes.len(),
        Chunk::Slice(_) => 0,
    };
    head.len() + rest.iter().map(of_chunk).sum::<usize>()
}

/// Sends answers in order, many at a time where many are there.
async fn write_answers(stream: &dyn Stream, mut queue: mpsc::Receiver<Queued<'_>>) -> Result<(), Ended> {
    let mut outbox = Outbox::default();
    // Of the answers in the outbox.
    let mut taken = Vec::new();
    while let Some(queued) = queue.recv().await {
        let mut queued = Some(queued);
        let mut held = 0;
        while let Some(Queued { reply, room }) = queued.take() {
            let answer = match reply {
                Reply::Now(answer) => answer,
                Reply::Later(mut task) => match poll_once(&mut task).await {
                    Some(answer) => answer,
                    None => {
                        // Those in front of it do not wait for it.
                        outbox.flush(stream).await?;
                        taken.clear();
                        task.await
                    }
                },
            };
            match answer {
                Answer::Send(encoded) => {
                    held += bytes_in_memory(&encoded);
                    outbox.push(encoded);
                    taken.push(room);
                    // Answers that come later are longer than the room of their requests.
                    if held > IN_FLIGHT_BYTES_MAX {
                        break;
                    }
                }
                Answer::Silent => (),
                Answer::Close(ended) => {
                    outbox.flush(stream).await?;
                    return Err(ended);
                }
            }
            queued = queue.try_recv().ok();
        }
        outbox.flush(stream).await?;
        taken.clear();
    }
    Ok(())
}

/// The task's answer if it is there already.
async fn poll_once(task: &mut Task<Answer>) -> Option<Answer> {
    poll_fn(|cx| match task.as_mut().poll(cx) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
