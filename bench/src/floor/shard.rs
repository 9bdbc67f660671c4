//! One thread of the floor: its connections, its files, its waves.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use super::conn::{Conn, Next};
use super::store::Store;
use super::syncer::Syncer;

/// Events that one wait returns.
const EVENTS_MAX: usize = 256;
/// The event that stands for the wake descriptor; connections have their slot.
const WAKE: u64 = u64::MAX;

/// Owns everything that its thread touches.
pub(super) struct Shard {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    arrivals: Receiver<TcpStream>,
    conns: Vec<Option<Conn>>,
    store: Store,
    /// With group commit only.
    syncer: Option<Syncer>,
}

impl Shard {
    pub(super) fn new(
        wake: Arc<OwnedFd>,
        arrivals: Receiver<TcpStream>,
        store: Store,
        syncer: Option<Syncer>,
    ) -> io::Result<Shard> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        Ok(Shard { epoll, wake, arrivals, conns: Vec::new(), store, syncer })
    }

    /// Serves until the disk fails.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(EVENTS_MAX);
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    WAKE => self.woken()?,
                    slot => self.ready(slot as usize, event.flags),
                }
            }
            self.commit();
        }
    }

    fn woken(&mut self) -> io::Result<()> {
        rustix::io::read(&self.wake, &mut [0; 8])?;
        for stream in self.arrivals.try_iter() {
            let slot = self.conns.iter().position(Option::is_none).unwrap_or(self.conns.len());
            if slot == self.conns.len() {
                self.conns.push(None);
            }
            epoll::add(&self.epoll, &stream, EventData::new_u64(slot as u64), EventFlags::IN)?;
            self.conns[slot] = Some(Conn::new(stream));
        }
        if let Some(syncer) = &mut self.syncer
            && syncer.reap()?
        {
            for slot in 0..self.conns.len() {
                self.with_conn(slot, Conn::release);
            }
        }
        Ok(())
    }

    /// Moves one connection on.
    fn ready(&mut self, slot: usize, flags: EventFlags) {
        // The slot was emptied by an event before this one.
        let Some(conn) = self.conns[slot].as_mut() else { return };
        let was = if flags.contains(EventFlags::OUT) { Next::Writable } else { Next::Readable };
        let next = match was {
            Next::Writable => conn.send(&mut self.store),
            _ => conn.receive(&mut self.store),
        };
        let interest = match next {
            Ok(next) if next == was => None,
            Ok(Next::Readable) => Some(EventFlags::IN),
            Ok(Next::Writable) => Some(EventFlags::OUT),
            Ok(Next::Closed) => return self.close(slot, None),
            Err(error) => return self.close(slot, Some(error)),
        };
        if let Some(interest) = interest
            && let Err(error) =
                epoll::modify(&self.epoll, &conn.stream, EventData::new_u64(slot as u64), interest)
        {
            return self.close(slot, Some(error.into()));
        }
        if self.syncer.is_none() {
            self.with_conn(slot, Conn::release_appended);
        }
    }

    /// Starts the next wave when none is in flight and something is dirty.
    fn commit(&mut self) {
        let Some(syncer) = &mut self.syncer else { return };
        if !syncer.is_idle() || !self.store.is_dirty() {
            return;
        }
        syncer.submit(self.store.dirty_for_wave());
        for conn in self.conns.iter_mut().flatten() {
            conn.enroll();
        }
    }

    fn with_conn(&mut self, slot: usize, act: impl FnOnce(&mut Conn) -> io::Result<()>) {
        if let Some(conn) = self.conns[slot].as_mut()
            && let Err(error) = act(conn)
        {
            self.close(slot, Some(error));
        }
    }

    /// Closing the socket takes it out of the epoll set.
    fn close(&mut self, slot: usize, error: Option<io::Error>) {
        if let Some(error) = error {
            eprintln!("floor: connection {slot} closed: {error}");
        }
        self.conns[slot] = None;
    }
}
