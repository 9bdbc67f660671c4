//! `FrameReader`: cuts what a connection sends into requests.
//!
//! A frame is a big-endian `i32` length and so many bytes. Nothing is allocated for a length that is only
//! declared: the buffer grows with what arrives.

use std::future::poll_fn;
use std::io;

use bytes::{Buf, Bytes, BytesMut};

use super::Stream;

/// Bytes of the length in front of a frame.
const PREFIX_LEN: usize = 4;
/// Room made to find out what comes: enough for most requests.
const FIRST_ROOM: usize = 4 * 1024;
/// Room made for the rest of a large frame while little of it is there. It doubles with what has arrived.
const REST_ROOM_MIN: usize = 64 * 1024;

/// What one connection has sent and nobody has taken yet.
#[derive(Debug, Default)]
pub struct FrameReader {
    received: BytesMut,
}

/// A frame that no request can be.
#[derive(Debug, PartialEq, Eq)]
pub struct BadFrame {
    /// The length that it declares.
    pub declared: i32,
    /// The largest that is taken: `socket.request.max.bytes`.
    pub max: usize,
}

impl FrameReader {
    /// The next whole frame, if it has arrived.
    pub fn next_frame(&mut self, len_max: usize) -> Result<Option<Bytes>, BadFrame> {
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
        let frame = self.received.split_to(len).freeze();
        if self.received.is_empty() {
            // An idle connection keeps no buffer.
            self.received = BytesMut::new();
        }
        Ok(Some(frame))
    }

    /// Waits for more bytes. False: the peer has finished.
    pub async fn fill(&mut self, stream: &dyn Stream) -> io::Result<bool> {
        let room = self.room();
        let received = &mut self.received;
        let read = poll_fn(|cx| stream.poll_read(cx, received, room)).await?;
        Ok(read > 0)
    }

    /// As much as has arrived of the frame, so that a large one is read in few calls and a lying length
    /// costs its sender as many bytes as it costs us.
    fn room(&self) -> usize {
        let arrived = self.received.len();
        match self.received.first_chunk::<PREFIX_LEN>() {
            Some(prefix) => {
                let missing = (u32::from_be_bytes(*prefix) as usize + PREFIX_LEN).saturating_sub(arrived);
                missing.clamp(FIRST_ROOM, REST_ROOM_MIN.max(arrived))
            }
            None => FIRST_ROOM,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8]) -> FrameReader {
        FrameReader { received: BytesMut::from(bytes) }
    }

    #[test]
    fn frames_come_out_whole_and_in_order() {
        let bytes = [0, 0, 0, 2, b'a', b'b', 0, 0, 0, 0, 0, 0, 0, 1, b'c'];
        for cut in 0..=bytes.len() {
            let mut frames = reader(&bytes[..cut]);
            let mut read = Vec::new();
            while let Some(frame) = frames.next_frame(10).unwrap() {
                read.push(frame);
            }
            frames.received.extend_from_slice(&bytes[cut..]);
            while let Some(frame) = frames.next_frame(10).unwrap() {
                read.push(frame);
            }
            assert_eq!(read, [&b"ab"[..], b"", b"c"], "cut at {cut}");
            assert!(frames.received.is_empty());
        }
    }

    #[test]
    fn lengths_below_zero_or_above_the_maximum_are_refused() {
        for declared in [-1, i32::MIN, i32::MAX, 11] {
            let refused = reader(&declared.to_be_bytes()).next_frame(10);
            assert_eq!(refused, Err(BadFrame { declared, max: 10 }));
        }
    }

    #[test]
    fn room_follows_what_arrived_and_not_what_is_declared() {
        assert_eq!(reader(&[]).room(), FIRST_ROOM);
        let mut bytes = vec![0x7f, 0xff, 0xff, 0xff];
        assert_eq!(reader(&bytes).room(), REST_ROOM_MIN);
        bytes.resize(300_000, 0);
        assert_eq!(reader(&bytes).room(), 300_000);
        bytes[..4].copy_from_slice(&400_000u32.to_be_bytes());
        assert_eq!(reader(&bytes).room(), 100_004);
    }
}
