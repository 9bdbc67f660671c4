//! `InFlight`: the memory that requests and answers of one shard may take, from the first byte that arrives
//! to the last one that leaves.
//!
//! Who finds none left does not read on, so a broker never takes more, however many connections send how
//! much. A frame that began to arrive takes room for what is there of it, not for what it declares. So many
//! halves of frames could fill the room and wait for each other: one connection at a time may go on without
//! any, and ends when it does not.

use tokio::sync::{Semaphore, SemaphorePermit};

/// Bytes of the whole process, all its shards together, unless `queued.max.request.bytes` says otherwise.
pub(crate) const PROCESS_BYTES_MAX: usize = 256 << 20;

/// One shard's share of them.
#[derive(Debug)]
pub(crate) struct InFlight {
    bytes: Semaphore,
    bytes_max: usize,
    /// The right to go on without room.
    beyond: Semaphore,
}

/// Room that was taken; dropping it gives it back.
#[derive(Debug, Default)]
pub(crate) struct Room<'a> {
    bytes: Option<SemaphorePermit<'a>>,
    beyond: Option<SemaphorePermit<'a>>,
}

impl InFlight {
    pub(crate) fn new(bytes_max: usize) -> InFlight {
        let bytes_max = bytes_max.clamp(1, u32::MAX as usize);
        InFlight { bytes: Semaphore::new(bytes_max), bytes_max, beyond: Semaphore::new(1) }
    }

    /// Waits until so many bytes more may be held, or until it is this one's turn to go on all the same.
    pub(crate) async fn take(&self, bytes: usize) -> Room<'_> {
        let permits = self.permits(bytes);
        if let Ok(permit) = self.bytes.try_acquire_many(permits) {
            return Room { bytes: Some(permit), beyond: None };
        }
        tokio::select! {
            biased;
            permit = self.bytes.acquire_many(permits) =>
                Room { bytes: Some(permit.expect("nobody closes it")), beyond: None },
            permit = self.beyond.acquire() =>
                Room { bytes: None, beyond: Some(permit.expect("nobody closes it")) },
        }
    }

    /// Takes what is left of so many bytes. For what is in memory already and goes out: waiting for room would
    /// only keep it there longer.
    pub(crate) fn take_what_is_left(&self, bytes: usize) -> Room<'_> {
        let permits = self.permits(bytes).min(self.permits(self.bytes.available_permits()));
        Room { bytes: self.bytes.try_acquire_many(permits).ok(), beyond: None }
    }

    /// One request is always taken, however long.
    fn permits(&self, bytes: usize) -> u32 {
        bytes.min(self.bytes_max) as u32
    }
}

impl<'a> Room<'a> {
    /// Whether it goes on without room, at the cost of all who wait for their turn.
    pub(crate) fn is_beyond(&self) -> bool {
        self.beyond.is_some()
    }

    /// Bytes that it has room for.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.as_ref().map_or(0, SemaphorePermit::num_permits)
    }

    /// Takes other room in.
    pub(crate) fn merge(&mut self, other: Room<'a>) {
        match (&mut self.bytes, other.bytes) {
            (Some(own), Some(other)) => own.merge(other),
            (own @ None, other) => *own = other,
            (Some(_), None) => (),
        }
        if let Some(beyond) = other.beyond {
            self.beyond = Some(beyond);
        }
    }

    /// Splits off room for so many bytes, or as many as there are, and with it the right to be without.
    pub(crate) fn split_off(&mut self, bytes: usize) -> Room<'a> {
        let len = bytes.min(self.bytes());
        let split = self.bytes.as_mut().and_then(|own| own.split(len));
        Room { bytes: split, beyond: self.beyond.take() }
    }

    /// Gives back all but so many bytes.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        let excess = self.bytes().saturating_sub(bytes);
        if let Some(own) = &mut self.bytes {
            drop(own.split(excess));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn taken(in_flight: &InFlight, bytes: usize) -> Room<'_> {
        let Poll::Ready(room) = poll(std::pin::pin!(in_flight.take(bytes))) else { panic!("there is room") };
        room
    }

    #[test]
    fn whoever_finds_no_room_waits_but_for_one() {
        let in_flight = InFlight::new(100);
        let first = taken(&in_flight, 60);
        let beyond = taken(&in_flight, 60);
        assert_eq!((first.is_beyond(), beyond.is_beyond()), (false, true));
        let mut third = std::pin::pin!(in_flight.take(60));
        assert!(poll(third.as_mut()).is_pending());
        drop(first);
        let Poll::Ready(third) = poll(third.as_mut()) else { panic!("the first has gone") };
        assert_eq!((third.bytes(), third.is_beyond()), (60, false));
    }

    #[test]
    fn a_request_larger_than_everything_is_taken_when_nothing_else_is() {
        let in_flight = InFlight::new(100);
        assert_eq!(taken(&in_flight, 1_000).bytes(), 100);
    }

    #[test]
    fn what_goes_out_takes_what_is_left_and_never_waits() {
        let in_flight = InFlight::new(100);
        let first = in_flight.take_what_is_left(70);
        let second = in_flight.take_what_is_left(70);
        let third = in_flight.take_what_is_left(70);
        assert_eq!([first, second, third].map(|room| room.bytes()), [70, 30, 0]);
        assert_eq!(in_flight.bytes.available_permits(), 100);
    }

    #[test]
    fn room_is_split_merged_and_given_back_to_the_byte() {
        let in_flight = InFlight::new(100);
        let mut room = taken(&in_flight, 50);
        room.merge(taken(&in_flight, 10));
        let frame = room.split_off(45);
        assert_eq!((room.bytes(), frame.bytes()), (15, 45));
        room.shrink_to(5);
        assert_eq!((room.bytes(), in_flight.bytes.available_permits()), (5, 50));
        assert_eq!(room.split_off(99).bytes(), 5);
        drop((room, frame));
        assert_eq!(in_flight.bytes.available_permits(), 100);
    }
}
