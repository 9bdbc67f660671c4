//! The simulated network: connections in memory, whose bytes arrive when the world says so.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use logmill_engine::disk::FileSlice;

use crate::net::{Listener, Stream};

/// Bytes that one direction of a connection takes before the sender waits.
const IN_TRANSIT_MAX: usize = 64 * 1024;

/// One direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    /// Sent and not arrived.
    in_transit: VecDeque<u8>,
    arrived: VecDeque<u8>,
    is_closed: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

pub(super) type SharedPipe = Rc<RefCell<Pipe>>;

impl Pipe {
    /// Bytes that can be made to arrive.
    pub(super) fn in_transit(&self) -> usize {
        self.in_transit.len()
    }

    /// Whether nothing will ever come through any more.
    pub(super) fn is_done(&self) -> bool {
        self.is_closed && self.in_transit.is_empty()
    }

    /// Lets the next so many bytes arrive; returns a checksum of them.
    pub(super) fn deliver(&mut self, len: usize) -> u32 {
        let mut crc = 0u32;
        for byte in self.in_transit.drain(..len) {
            crc = crc.rotate_left(5) ^ u32::from(byte);
            self.arrived.push_back(byte);
        }
        wake(&mut self.reader);
        wake(&mut self.writer);
        crc
    }

    fn close(&mut self) {
        self.is_closed = true;
        wake(&mut self.reader);
        wake(&mut self.writer);
    }

    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.arrived.is_empty() && !(self.is_closed && self.in_transit.is_empty()) {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut BytesMut,
        room: usize,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_readable(cx))?;
        let len = self.arrived.len().min(room);
        buf.extend(self.arrived.drain(..len));
        Poll::Ready(Ok(len))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let len = bytes.len().min(IN_TRANSIT_MAX - self.in_transit.len());
        if len == 0 {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        self.in_transit.extend(&bytes[..len]);
        Poll::Ready(Ok(len))
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// One end of a connection. Closing it closes both directions.
#[derive(Debug)]
pub struct SimSocket {
    incoming: SharedPipe,
    outgoing: SharedPipe,
    address: SocketAddr,
}

impl SimSocket {
    /// Two ends of a new connection, and its pipes.
    pub(super) fn pair(number: usize) -> (SimSocket, SimSocket, [SharedPipe; 2]) {
        let pipes = [SharedPipe::default(), SharedPipe::default()];
        let [to_server, to_client] = pipes.clone();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, number as u16));
        let client = SimSocket { incoming: to_client.clone(), outgoing: to_server.clone(), address };
        let server = SimSocket { incoming: to_server, outgoing: to_client, address };
        (client, server, pipes)
    }

    /// Sends all bytes.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = poll_fn(|cx| self.outgoing.borrow_mut().poll_write(cx, bytes)).await?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Finishes sending. What the other end sends still arrives.
    pub fn finish(&self) {
        self.outgoing.borrow_mut().close();
    }

    /// Appends what has arrived, at most `room` bytes. 0: the other end has closed.
    pub async fn read(&self, buf: &mut BytesMut, room: usize) -> io::Result<usize> {
        poll_fn(|cx| self.incoming.borrow_mut().poll_read(cx, buf, room)).await
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        self.outgoing.borrow_mut().close();
        self.incoming.borrow_mut().close();
    }
}

impl Stream for SimSocket {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.incoming.borrow_mut().poll_readable(cx)
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut BytesMut, room: usize) -> Poll<io::Result<usize>> {
        self.incoming.borrow_mut().poll_read(cx, buf, room)
    }

    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let bytes = bufs.iter().find(|buf| !buf.is_empty()).map_or(&[][..], |buf| buf);
        self.outgoing.borrow_mut().poll_write(cx, bytes)
    }

    fn poll_send(&self, cx: &mut Context<'_>, slice: &FileSlice) -> Poll<io::Result<usize>> {
        let mut bytes = vec![0; (slice.len as usize).min(IN_TRANSIT_MAX)];
        let read = slice.file.read_at(&mut bytes, slice.position)?;
        if read == 0 {
            return Poll::Ready(Ok(0));
        }
        self.outgoing.borrow_mut().poll_write(cx, &bytes[..read])
    }
}

/// Connections that wait to be accepted by one shard.
#[derive(Debug, Clone, Default)]
pub(super) struct Backlog(Rc<RefCell<(VecDeque<SimSocket>, Option<Waker>)>>);

impl Backlog {
    pub(super) fn push(&self, socket: SimSocket) {
        let (waiting, accepting) = &mut *self.0.borrow_mut();
        waiting.push_back(socket);
        wake(accepting);
    }
}

impl Listener for Backlog {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Rc<dyn Stream>>> {
        let (waiting, accepting) = &mut *self.0.borrow_mut();
        match waiting.pop_front() {
            Some(socket) => Poll::Ready(Ok(Rc::new(socket))),
            None => {
                *accepting = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
