//! `Counters`: what one shard has counted since its start.

use std::cell::Cell;

use crate::wire::{APIS, Api};

/// Room for every API by its key.
const KEYS: usize = APIS[APIS.len() - 1].api as usize + 1;

/// Counted on the shard's thread alone.
#[derive(Debug)]
pub(crate) struct Counters {
    requests: [Cell<u64>; KEYS],
    errors: [Cell<u64>; KEYS],
    received_bytes: Cell<u64>,
    sent_bytes: Cell<u64>,
    connections: Cell<u64>,
    waves: Cell<u64>,
}

/// The numbers of one shard at one moment, or of several together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    requests: [u64; KEYS],
    errors: [u64; KEYS],
    pub(super) received_bytes: u64,
    pub(super) sent_bytes: u64,
    /// Accepted since the start.
    pub(super) connections: u64,
    pub(super) waves: u64,
    pub(super) syncs: u64,
    pub(super) partitions: u64,
    /// Open at the moment.
    pub(super) connections_open: u64,
    pub(super) log_bytes: u64,
}

/// What a shard has besides its counters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct State {
    pub(crate) syncs: u64,
    pub(crate) partitions: usize,
    pub(crate) connections_open: usize,
    pub(crate) log_bytes: u64,
}

impl Counters {
    pub(crate) fn new() -> Counters {
        Counters {
            requests: [const { Cell::new(0) }; KEYS],
            errors: [const { Cell::new(0) }; KEYS],
            received_bytes: Cell::new(0),
            sent_bytes: Cell::new(0),
            connections: Cell::new(0),
            waves: Cell::new(0),
        }
    }

    /// A request has come.
    pub(crate) fn count_request(&self, api: Api) {
        add(&self.requests[api as usize], 1);
    }

    /// A request is answered with an error, or by the end of its connection.
    pub(crate) fn count_error(&self, api: Api) {
        add(&self.errors[api as usize], 1);
    }

    /// Bytes have come from a client.
    pub(crate) fn count_received(&self, bytes: usize) {
        add(&self.received_bytes, bytes as u64);
    }

    /// Bytes have gone to a client.
    pub(crate) fn count_sent(&self, bytes: usize) {
        add(&self.sent_bytes, bytes as u64);
    }

    /// A client has connected.
    pub(crate) fn count_connection(&self) {
        add(&self.connections, 1);
    }

    /// Waves were released.
    pub(crate) fn count_waves(&self, waves: usize) {
        add(&self.waves, waves as u64);
    }

    /// The numbers as they are.
    pub(crate) fn counts(&self, state: State) -> Counts {
        Counts {
            requests: self.requests.each_ref().map(Cell::get),
            errors: self.errors.each_ref().map(Cell::get),
            received_bytes: self.received_bytes.get(),
            sent_bytes: self.sent_bytes.get(),
            connections: self.connections.get(),
            waves: self.waves.get(),
            syncs: state.syncs,
            partitions: state.partitions as u64,
            connections_open: state.connections_open as u64,
            log_bytes: state.log_bytes,
        }
    }
}

fn add(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

impl Counts {
    pub(super) fn requests(&self, api: Api) -> u64 {
        self.requests[api as usize]
    }

    pub(super) fn errors(&self, api: Api) -> u64 {
        self.errors[api as usize]
    }

    /// Adds another shard's numbers.
    pub(crate) fn add(&mut self, other: &Counts) {
        self.requests.iter_mut().zip(other.requests).for_each(|(own, more)| *own += more);
        self.errors.iter_mut().zip(other.errors).for_each(|(own, more)| *own += more);
        self.received_bytes += other.received_bytes;
        self.sent_bytes += other.sent_bytes;
        self.connections += other.connections;
        self.waves += other.waves;
        self.syncs += other.syncs;
        self.partitions += other.partitions;
        self.connections_open += other.connections_open;
        self.log_bytes += other.log_bytes;
    }
}
