//! Listeners, connections, frames and what goes out: how bytes reach the broker and leave it.
//!
//! [`Listener`] and [`Stream`] are the seam to the network, [`runtime::Runtime`] the one to tasks and
//! timers. Their real makers are [`socket`] and [`runtime`]; simulation has others.

pub mod accept;
pub mod conn;
pub mod frame;
pub mod outbox;
pub(crate) mod receive_pool;
pub mod runtime;
pub mod socket;

use std::io::{self, IoSlice};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use logmill_engine::disk::FileSlice;

/// Where connections come from.
pub trait Listener {
    /// The next connection.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Rc<dyn Stream>>>;
}

/// One connection. One task reads from it and one writes to it.
pub trait Stream {
    /// Who is at the other end, for the log.
    fn peer(&self) -> &str;

    /// Waits for bytes, or for the end of them.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Waits for bytes, makes room for `room` of them, and appends what is there. 0: the peer has finished.
    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut BytesMut, room: usize) -> Poll<io::Result<usize>>;

    /// Sends some of the bytes.
    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>>;

    /// Sends some bytes of a file, without copying them where the kernel can. 0: the file is shorter than
    /// the slice.
    fn poll_send(&self, cx: &mut Context<'_>, slice: &FileSlice) -> Poll<io::Result<usize>>;
}
