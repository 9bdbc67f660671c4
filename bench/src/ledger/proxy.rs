//! `Proxy`: between clients and the broker. It drops every tenth response, and the connection with it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

/// One response in so many is dropped.
const DROPPED_ONE_IN: u64 = 10;

/// More than any response of these tests.
const RESPONSE_BYTES_MAX: usize = 64 << 20;

/// Bytes of a request that are passed on together.
const CHUNK: usize = 64 << 10;

/// Listens while it is there; open connections live on with their two ends.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    broker: SocketAddr,
    responses: AtomicU64,
    is_over: AtomicBool,
}

impl Proxy {
    /// Starts one on a port of its own.
    pub(crate) fn start(broker: SocketAddr) -> io::Result<Proxy> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { broker, responses: AtomicU64::new(0), is_over: AtomicBool::new(false) });
        thread::Builder::new().name("proxy".into()).spawn({
            let shared = shared.clone();
            move || shared.accept(&listener)
        })?;
        Ok(Proxy { address, shared })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Responses that it dropped.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.responses.load(Ordering::Relaxed) / DROPPED_ONE_IN
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes it up.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn accept(self: Arc<Shared>, listener: &TcpListener) {
        for client in listener.incoming().map_while(Result::ok) {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            // A client whose broker is not there is hung up on.
            let Ok(broker) = TcpStream::connect(self.broker) else { continue };
            drop(client.set_nodelay(true).and(broker.set_nodelay(true)));
            let (Ok(from_client), Ok(to_broker)) = (client.try_clone(), broker.try_clone()) else { continue };
            thread::spawn(move || pass_on(from_client, to_broker));
            let shared = self.clone();
            thread::spawn(move || shared.pass_back(broker, client));
        }
    }

    /// Responses, until one is dropped or an end closes.
    fn pass_back(&self, mut broker: TcpStream, mut client: TcpStream) {
        while let Ok(response) = frame(&mut broker) {
            let nth = self.responses.fetch_add(1, Ordering::Relaxed) + 1;
            if nth.is_multiple_of(DROPPED_ONE_IN) || client.write_all(&response).is_err() {
                break;
            }
        }
        hang_up(&broker, &client);
    }
}

/// Requests, as they come.
fn pass_on(mut client: TcpStream, mut broker: TcpStream) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(len @ 1..) = client.read(&mut chunk) {
        if broker.write_all(&chunk[..len]).is_err() {
            break;
        }
    }
    hang_up(&broker, &client);
}

fn frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame)?;
    let len = u32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    if len > RESPONSE_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    frame.resize(4 + len, 0);
    stream.read_exact(&mut frame[4..])?;
    Ok(frame)
}

/// For both threads of the connection; one of them may have done it.
fn hang_up(one: &TcpStream, other: &TcpStream) {
    drop(one.shutdown(Shutdown::Both));
    drop(other.shutdown(Shutdown::Both));
}
