//! `FrameReader`: cuts what a connection sends into requests.
//!
//! A frame is a big-endian `i32` length and so many bytes. Nothing is allocated for a length that is only
//! declared: the buffer grows with what arrives. A connection that sends much receives into buffers that its
//! shard keeps, as long as there are some; others within the room that the shard has for all of them.

use std::future::poll_fn;
use std::io;
use std::mem;
use std::task::Poll;

use bytes::{Buf, Bytes, BytesMut};

use super::Stream;
use super::in_flight::{InFlight, Room};
use super::receive_pool::{BUFFER_BYTES, ReceivePool};

/// Bytes of the length in front of a frame.
const PREFIX_LEN: usize = 4;
/// Room made to find out what comes: enough for most requests. Every connection has so much.
const FIRST_ROOM: usize = 4 * 1024;
/// Room made for the rest of a large frame while little of it is there. It doubles with what has arrived.
const REST_ROOM_MIN: usize = 64 * 1024;
/// As far as it doubles.
const REST_ROOM_MAX: usize = 1 << 20;
/// After a frame of so many bytes a connection counts as one that sends much.
const BULK_BYTES: usize = 8 * 1024;

/// What one connection has sent and nobody has taken yet.
#[derive(Debug)]
pub(crate) struct FrameReader<'a> {
    received: BytesMut,
    pool: &'a ReceivePool,
    /// `received` is one of the pool's.
    is_lent: bool,
    /// The last frame was a large one.
    is_bulk: bool,
    /// For all of it but the first bytes, and but for what lies in a buffer of the pool, which is bounded itself.
    room: Room<'a>,
}

/// A request, and the room that its bytes took while they arrived.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) bytes: Bytes,
    pub(crate) room: Room<'a>,
}

/// A frame that no request can be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadFrame {
    /// The length that it declares.
    pub(crate) declared: i32,
    /// The largest that is taken: `socket.request.max.bytes`.
    pub(crate) max: usize,
}

impl<'a> FrameReader<'a> {
    pub(crate) fn new(pool: &'a ReceivePool) -> FrameReader<'a> {
        FrameReader { received: BytesMut::new(), pool, is_lent: false, is_bulk: false, room: Room::default() }
    }

    /// The next whole frame, if it has arrived.
    pub(crate) fn next_frame(&mut self, len_max: usize) -> Result<Option<Frame<'a>>, BadFrame> {
        let Some(prefix) = self.received.first_chunk::<PREFIX_LEN>() else { return Ok(None) };
        let declared = i32::from_be_bytes(*prefix);
        let len = usize::try_from(declared)
            .ok()
            .filter(|len| *len <= len_max)
            .ok_or(BadFrame { declared, max: len_max })?;
        if self.received.len() < PREFIX_LEN + len {
            return Ok(None);
        }
        self.received.advance(PREFIX_LEN);
        let bytes = self.received.split_to(len).freeze();
        let room = self.room.split_off(len);
        self.is_bulk = len >= BULK_BYTES;
        self.let_go_if_empty();
        Ok(Some(Frame { bytes, room }))
    }

    /// An idle connection keeps no buffer.
    fn let_go_if_empty(&mut self) {
        if self.received.is_empty() {
            self.room.shrink_to(0);
            let buf = mem::take(&mut self.received);
            if mem::take(&mut self.is_lent) {
                self.pool.take_back(buf);
            }
        }
    }

    /// Waits for more bytes, and for room for them; how many came. 0: the peer has finished.
    pub(crate) async fn fill(&mut self, stream: &dyn Stream, in_flight: &'a InFlight) -> io::Result<usize> {
        loop {
            // Buffers and room are for what is there, not for what may come some day.
            poll_fn(|cx| stream.poll_readable(cx)).await?;
            let len = self.make_room();
            let is_bounded = self.is_lent || self.received.len() + len <= FIRST_ROOM;
            if !is_bounded && !self.room.is_beyond() {
                self.room.merge(in_flight.take(len).await);
            }
            let received = &mut self.received;
            let read = poll_fn(|cx| match stream.poll_read(cx, received, len) {
                Poll::Ready(read) => Poll::Ready(Some(read)),
                Poll::Pending => Poll::Ready(None),
            });
            let read = read.await;
            self.room.shrink_to(self.received.len());
            match read {
                Some(read) => return read,
                // Nothing was there after all.
                None => self.let_go_if_empty(),
            }
        }
    }

    /// Whether it goes on without room, so that it must go on.
    pub(crate) fn is_beyond(&self) -> bool {
        self.room.is_beyond()
    }

    /// So many bytes may be received.
    fn make_room(&mut self) -> usize {
        if self.received.is_empty() && self.is_bulk && !self.is_lent {
            let lent = self.pool.lend();
            self.is_lent = lent.is_some();
            self.received = lent.unwrap_or_default();
        }
        let missing = self.missing().unwrap_or(PREFIX_LEN);
        if self.is_lent && !self.received.try_reclaim(missing) {
            self.move_on(missing);
        }
        if self.is_lent { self.received.capacity() - self.received.len() } else { self.room() }
    }

    /// The frame that has begun has no room in the rest of a lent buffer: it goes on in another one, or, if
    /// it is larger than those, in one of its own.
    fn move_on(&mut self, missing: usize) {
        let begun = mem::take(&mut self.received);
        let fits = begun.len() + missing <= BUFFER_BYTES;
        let lent = if fits { self.pool.lend() } else { None };
        self.is_lent = lent.is_some();
        self.received = lent.unwrap_or_default();
        self.received.extend_from_slice(&begun);
        self.pool.take_back(begun);
    }

    /// Bytes of the frame that has begun which have not arrived. `None` without its length.
    fn missing(&self) -> Option<usize> {
        let prefix = self.received.first_chunk::<PREFIX_LEN>()?;
        Some((u32::from_be_bytes(*prefix) as usize + PREFIX_LEN).saturating_sub(self.received.len()))
    }

    /// As much as has arrived of the frame, so that a large one is read in few calls and a lying length
    /// costs its sender as many bytes as it costs us.
    fn room(&self) -> usize {
        let most = self.received.len().clamp(REST_ROOM_MIN, REST_ROOM_MAX);
        self.missing().map_or(FIRST_ROOM, |missing| missing.clamp(FIRST_ROOM, most))
    }
}

impl Drop for FrameReader<'_> {
    fn drop(&mut self) {
        if self.is_lent {
            self.pool.take_back(mem::take(&mut self.received));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader<'a>(pool: &'a ReceivePool, bytes: &[u8]) -> FrameReader<'a> {
        let mut reader = FrameReader::new(pool);
        reader.received = BytesMut::from(bytes);
        reader
    }

    #[test]
    fn frames_come_out_whole_and_in_order() {
        let bytes = [0, 0, 0, 2, b'a', b'b', 0, 0, 0, 0, 0, 0, 0, 1, b'c'];
        for cut in 0..=bytes.len() {
            let pool = ReceivePool::default();
            let mut frames = reader(&pool, &bytes[..cut]);
            let mut read = Vec::new();
            while let Some(frame) = frames.next_frame(10).unwrap() {
                read.push(frame.bytes);
            }
            frames.received.extend_from_slice(&bytes[cut..]);
            while let Some(frame) = frames.next_frame(10).unwrap() {
                read.push(frame.bytes);
            }
            assert_eq!(read, [&b"ab"[..], b"", b"c"], "cut at {cut}");
            assert!(frames.received.is_empty());
        }
    }

    #[test]
    fn lengths_below_zero_or_above_the_maximum_are_refused() {
        for declared in [-1, i32::MIN, i32::MAX, 11] {
            let pool = ReceivePool::default();
            let refused = reader(&pool, &declared.to_be_bytes()).next_frame(10);
            assert_eq!(refused.unwrap_err(), BadFrame { declared, max: 10 });
        }
    }

    #[test]
    fn room_follows_what_arrived_and_not_what_is_declared() {
        let pool = ReceivePool::default();
        let room = |bytes: &[u8]| reader(&pool, bytes).make_room();
        assert_eq!(room(&[]), FIRST_ROOM);
        let mut bytes = vec![0x7f, 0xff, 0xff, 0xff];
        assert_eq!(room(&bytes), REST_ROOM_MIN);
        bytes.resize(300_000, 0);
        assert_eq!(room(&bytes), 300_000);
        bytes[..4].copy_from_slice(&400_000u32.to_be_bytes());
        assert_eq!(room(&bytes), 100_004);
        bytes.resize(3 << 20, 0);
        bytes[..4].copy_from_slice(&(90u32 << 20).to_be_bytes());
        assert_eq!(room(&bytes), REST_ROOM_MAX);
    }

    /// Gives the reader what it has room for, as a socket would, and takes the frames out.
    fn send(frames: &mut FrameReader<'_>, mut bytes: &[u8], taken: &mut Vec<Bytes>) {
        while !bytes.is_empty() {
            let room = frames.make_room();
            assert!(room > 0);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            frames.received.extend_from_slice(now);
            bytes = later;
            while let Some(frame) = frames.next_frame(1 << 20).unwrap() {
                taken.push(frame.bytes);
            }
        }
    }

    #[test]
    fn frames_of_every_length_come_out_of_lent_buffers_as_they_were_sent() {
        let lens = [20_000, 3, 300_000, 200_000, 16_384, 600_000, 500_000, 0, 100_000, BUFFER_BYTES - 4, 1];
        for held in [0, 1, 3] {
            let pool = ReceivePool::default();
            let mut frames = FrameReader::new(&pool);
            let mut taken: Vec<Bytes> = Vec::new();
            for (round, len) in lens.iter().cycle().take(60).enumerate() {
                let mut sent = (*len as u32).to_be_bytes().to_vec();
                sent.resize(PREFIX_LEN + len, round as u8);
                // With the beginning of a next one behind it every other time.
                let cut = if round % 2 == 0 { sent.len() } else { sent.len() / 2 };
                send(&mut frames, &sent[..cut], &mut taken);
                send(&mut frames, &sent[cut..], &mut taken);
                assert_eq!(taken.last().unwrap()[..], sent[PREFIX_LEN..], "{len} bytes in round {round}");
                taken.drain(..taken.len().saturating_sub(held));
            }
            assert!(frames.received.is_empty() && !frames.is_lent);
        }
    }
}
