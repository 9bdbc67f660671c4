//! Listeners, connections, frames and what goes out: how bytes reach the broker and leave it.
//!
//! [`Listener`] and [`Stream`] are the seam to the network, [`runtime::Runtime`] the one to tasks and
//! timers. Their real makers are [`socket`] and [`runtime`]; simulation has others.

pub mod accept;
pub(crate) mod admission;
pub mod conn;
pub(crate) mod connections;
pub mod frame;
pub(crate) mod in_flight;
pub(crate) mod outbox;
pub(crate) mod receive_pool;
pub(crate) mod replies;
pub mod runtime;
pub mod socket;

use std::io::{self, IoSlice};
use std::net::SocketAddr;
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
    /// Who is at the other end.
    fn address(&self) -> SocketAddr;

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
