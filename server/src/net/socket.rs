//! TCP: the real maker of listeners and streams. The only file that names sockets.

use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use logmill_engine::disk::FileSlice;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::{TcpListener, TcpStream};

use super::{Listener, Stream};

/// Connections that wait to be accepted: Apache Kafka's `socket.listen.backlog.size`.
const BACKLOG: i32 = 50;

/// A listening socket that no thread has taken yet.
#[derive(Debug)]
pub struct BoundSocket(Socket);

/// Opens a port once for each of `shards` threads; the kernel spreads connections over them.
///
/// A port that another process listens on is an error, although sockets like these could share it.
pub fn bind(host: &str, port: u16, shards: usize) -> io::Result<Vec<BoundSocket>> {
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let mut address = (host, port)
        .to_socket_addrs()?
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no address for {host:?}")))?;
    drop(listen(address, false)?);
    let mut sockets = Vec::with_capacity(shards);
    for _ in 0..shards {
        let socket = listen(address, true)?;
        // Port 0 is drawn by the first socket and then the same for all.
        address = local_address(&socket)?;
        sockets.push(BoundSocket(socket));
    }
    Ok(sockets)
}

/// The addresses of a host.
pub fn addresses_of(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

fn listen(address: SocketAddr, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(is_shared)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn local_address(socket: &Socket) -> io::Result<SocketAddr> {
    socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("a TCP socket has an IP address"))
}

impl BoundSocket {
    /// The port that was opened.
    pub fn port(&self) -> io::Result<u16> {
        Ok(local_address(&self.0)?.port())
    }

    /// Begins to accept on this thread's runtime.
    pub fn into_listener(self) -> io::Result<Box<dyn Listener>> {
        Ok(Box::new(TcpAcceptor(TcpListener::from_std(self.0.into())?)))
    }
}

struct TcpAcceptor(TcpListener);

impl Listener for TcpAcceptor {
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Rc<dyn Stream>>> {
        loop {
            let (stream, address) = match ready!(self.0.poll_accept(cx)) {
                // It has gone again: nothing that holds up the others.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                accepted => accepted?,
            };
            if stream.set_nodelay(true).is_ok() {
                return Poll::Ready(Ok(Rc::new(TcpConnection { stream, address })));
            }
        }
    }
}

struct TcpConnection {
    stream: TcpStream,
    address: SocketAddr,
}

impl TcpConnection {
    /// The socket had less than there was room for: readiness is reported on an edge, so what comes next reports
    /// anew, and a call that would only say that nothing is there is saved.
    fn note_drained(&self) {
        let is_drained =
            self.stream.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        debug_assert!(is_drained.is_err());
    }
}

impl Stream for TcpConnection {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(cx)
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut BytesMut, room: usize) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            buf.reserve(room);
            let room = buf.capacity() - buf.len();
            match self.stream.try_read_buf(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Ok(read @ 1..) if read < room => {
                    self.note_drained();
                    return Poll::Ready(Ok(read));
                }
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write_vectored(bufs) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_send(&self, cx: &mut Context<'_>, slice: &FileSlice) -> Poll<io::Result<usize>> {
        let file = slice.file.as_fd().expect("the kernel's files have descriptors");
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let mut position = slice.position;
            let send = || {
                let sent =
                    rustix::fs::sendfile(self.stream.as_fd(), file, Some(&mut position), slice.len as usize)?;
                Ok(sent)
            };
            match self.stream.try_io(Interest::WRITABLE, send) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                result => return Poll::Ready(result),
            }
        }
    }
}
