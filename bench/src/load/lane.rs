//! `Lane`: a producer's connection to one broker. Frames go out and answers come in, in a task of its own; the
//! producer hears of everything over one channel.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::clock::Clock;
use super::request::Frame;
use super::wire::{Frames, connect};

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// What happened on a lane, or elsewhere for its producer.
pub(super) enum Event {
    /// It is connected.
    Up,
    /// A frame was written whole; its memory can be used again.
    Written { frame: Frame, at_us: u64 },
    /// An answer came.
    Answered { frame: Bytes, at_us: u64 },
    /// The connection is no more.
    Lost(io::Error),
}

/// Whose event it is: a broker, and which of the lanes that it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LaneId {
    pub(super) broker: i32,
    pub(super) attempt: u32,
}

/// Where a lane's frames go in.
pub(super) type Outbox = UnboundedSender<Frame>;

/// Starts one. Its task ends when the outbox is dropped or the connection is lost.
pub(super) fn open(
    id: LaneId,
    address: String,
    clock: Clock,
    events: UnboundedSender<(LaneId, Event)>,
) -> Outbox {
    let (outbox, frames) = unbounded_channel();
    tokio::task::spawn_local(async move {
        let say = |event| events.send((id, event)).is_ok();
        let lost = run(&address, clock, frames, say).await;
        if let Err(error) = lost {
            say(Event::Lost(error));
        }
    });
    outbox
}

async fn run(
    address: &str,
    clock: Clock,
    mut frames: UnboundedReceiver<Frame>,
    say: impl Fn(Event) -> bool,
) -> io::Result<()> {
    let (reader, mut writer) = connect(address, CONNECT_MAX).await?.into_split();
    say(Event::Up);
    let write = async {
        while let Some(frame) = frames.recv().await {
            writer.write_all(&frame.bytes).await?;
            say(Event::Written { frame, at_us: clock.now_us() });
        }
        io::Result::Ok(())
    };
    let read = async {
        let mut frames = Frames::new(reader);
        loop {
            let frame = frames.next().await?;
            say(Event::Answered { frame, at_us: clock.now_us() });
        }
    };
    tokio::select! {
        written = write => written,
        read = read => read,
    }
}
