//! One connection: bytes in, batches to the store, acknowledgements or a run of a file out.

use std::fs::File;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};

use super::frame::{
    ACK_LEN, BATCH_BYTES_MAX, BATCH_HEAD_LEN, BatchHead, FRAME_HEAD_LEN, FrameHead, GET_LEN, Get, Verb,
    refused,
};
use super::store::Store;

/// A batch of the largest size fits behind the part of one that is still incomplete.
const RECEIVE_BYTES: usize = 2 * (BATCH_BYTES_MAX + BATCH_HEAD_LEN);
/// Answers that go out in one send.
const ACKS_MAX: usize = 256;

/// A connection and how far its frames have been read.
pub(super) struct Conn {
    pub stream: TcpStream,
    /// Received, from `read` on not yet taken. Never zeroed, never grown.
    received: Vec<u8>,
    read: usize,
    /// What is missing of the put that is being read.
    put_left: usize,
    /// Frames that are appended and in no wave.
    appended: usize,
    /// Frames that the wave in flight covers.
    enrolled: usize,
    /// The get that is being answered; nothing is read meanwhile.
    slice: Option<Slice>,
}

struct Slice {
    file: Arc<File>,
    position: u64,
    left: usize,
}

/// What the connection waits for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    Readable,
    Writable,
    Closed,
}

impl Conn {
    pub(super) fn new(stream: TcpStream) -> Conn {
        Conn {
            stream,
            received: Vec::with_capacity(RECEIVE_BYTES),
            read: 0,
            put_left: 0,
            appended: 0,
            enrolled: 0,
            slice: None,
        }
    }

    /// Takes what the socket has, once: one call, so that a busy connection does not hold up the others.
    pub(super) fn receive(&mut self, store: &mut Store) -> io::Result<Next> {
        match rustix::net::recv(&self.stream, spare_capacity(&mut self.received), RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Ok(Next::Closed),
            Ok(_) => {}
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Next::Readable),
            Err(error) => return Err(error.into()),
        }
        self.take_frames(store)
    }

    /// Goes on with a get that filled the socket.
    pub(super) fn send(&mut self, store: &mut Store) -> io::Result<Next> {
        if self.send_slice()? { self.take_frames(store) } else { Ok(Next::Writable) }
    }

    /// Puts the appended frames under the wave that starts.
    pub(super) fn enroll(&mut self) {
        self.enrolled += std::mem::take(&mut self.appended);
    }

    /// Acknowledges what the finished wave covered.
    pub(super) fn release(&mut self) -> io::Result<()> {
        let frames = std::mem::take(&mut self.enrolled);
        self.acknowledge(frames)
    }

    /// Acknowledges what is in the page cache.
    pub(super) fn release_appended(&mut self) -> io::Result<()> {
        let frames = std::mem::take(&mut self.appended);
        self.acknowledge(frames)
    }

    fn take_frames(&mut self, store: &mut Store) -> io::Result<Next> {
        loop {
            let bytes = &self.received[self.read..];
            if self.put_left > 0 {
                let Some(batch) = BatchHead::read(bytes)? else { break };
                let len = batch.framed_len();
                if len > self.put_left {
                    return Err(refused(format!("batch of {len} bytes, put has {} left", self.put_left)));
                }
                let Some(body) = bytes.get(BATCH_HEAD_LEN..len) else { break };
                let crc = crc32c::crc32c(body);
                if crc != batch.crc {
                    return Err(refused(format!("batch: crc {crc:#x}, expected {:#x}", batch.crc)));
                }
                store.append(batch.file, body)?;
                self.read += len;
                self.put_left -= len;
                self.appended += usize::from(self.put_left == 0);
                continue;
            }
            let Some(head) = FrameHead::read(bytes)? else { break };
            match head.verb {
                Verb::Put => {
                    self.put_left = head.length as usize;
                    self.read += FRAME_HEAD_LEN;
                }
                Verb::Get => {
                    let Some(get) = Get::read(&bytes[FRAME_HEAD_LEN..]) else { break };
                    self.read += FRAME_HEAD_LEN + GET_LEN;
                    self.slice = Some(slice(get, store)?);
                    if !self.send_slice()? {
                        return Ok(Next::Writable);
                    }
                }
            }
        }
        self.make_room();
        Ok(Next::Readable)
    }

    /// The next batch finds room; as a rule everything was taken and nothing moves.
    fn make_room(&mut self) {
        if self.read == self.received.len() {
            self.received.clear();
            self.read = 0;
        } else if self.received.capacity() - self.received.len() < BATCH_HEAD_LEN + BATCH_BYTES_MAX {
            self.received.copy_within(self.read.., 0);
            self.received.truncate(self.received.len() - self.read);
            self.read = 0;
        }
    }

    /// Whether all of the slice is out.
    fn send_slice(&mut self) -> io::Result<bool> {
        while let Some(slice) = &mut self.slice {
            match rustix::fs::sendfile(&self.stream, &slice.file, Some(&mut slice.position), slice.left) {
                Ok(0) => return Err(refused(format!("get: file ends {} bytes early", slice.left))),
                Ok(sent) => slice.left -= sent,
                Err(Errno::AGAIN) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
            if slice.left == 0 {
                self.slice = None;
            }
        }
        Ok(true)
    }

    fn acknowledge(&self, mut frames: usize) -> io::Result<()> {
        static ACKS: [u8; ACK_LEN * ACKS_MAX] = [0; ACK_LEN * ACKS_MAX];
        while frames > 0 {
            let bytes = &ACKS[..ACK_LEN * frames.min(ACKS_MAX)];
            let sent = rustix::net::send(&self.stream, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
            if sent != bytes.len() {
                return Err(refused(format!("{frames} answers are due and the client does not read")));
            }
            frames -= sent / ACK_LEN;
        }
        Ok(())
    }
}

fn slice(get: Get, store: &Store) -> io::Result<Slice> {
    match store.active(get.file) {
        Some((file, len)) if get.length > 0 && get.position + u64::from(get.length) <= len => {
            Ok(Slice { file, position: get.position, left: get.length as usize })
        }
        _ => Err(refused(format!("{get:?}: no such bytes"))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::super::store::StoreSettings;
    use super::*;

    #[test]
    fn a_wave_acknowledges_only_what_was_appended_before_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::new(StoreSettings {
            dir: dir.path().into(),
            thread: 0,
            segment_bytes: 1 << 20,
            sealed_bytes_max: 1 << 20,
            durable: true,
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut conn = Conn::new(listener.accept().unwrap().0);

        let mut frame = vec![0; FRAME_HEAD_LEN + BATCH_HEAD_LEN];
        let head = BatchHead { file: 0, length: 5, crc: crc32c::crc32c(b"batch") };
        FrameHead { length: head.framed_len() as u32, verb: Verb::Put }.write(&mut frame);
        head.write(&mut frame[FRAME_HEAD_LEN..]);
        frame.extend(b"batch");
        let mut append_one = |conn: &mut Conn| {
            let appended = conn.appended + 1;
            client.write_all(&frame).unwrap();
            while conn.appended < appended {
                assert_eq!(conn.receive(&mut store).unwrap(), Next::Readable);
            }
        };
        append_one(&mut conn);
        conn.enroll();
        append_one(&mut conn);
        append_one(&mut conn);
        conn.release().unwrap();
        client.set_nonblocking(true).unwrap();
        let mut answers = [1; 4 * ACK_LEN];
        assert_eq!(client.read(&mut answers).unwrap(), ACK_LEN);
        conn.enroll();
        conn.release().unwrap();
        assert_eq!(client.read(&mut answers).unwrap(), 2 * ACK_LEN);
    }
}
