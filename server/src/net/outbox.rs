//! `Outbox`: answers on their way to a connection, in the order of its requests.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};
use logmill_engine::disk::FileSlice;
use logmill_engine::shard::READ_IN_BYTES_MAX;

use super::Stream;
use super::connections::Control;
use crate::shard::LocalShard;
use crate::wire::{Chunk, Encoded};

/// Pieces of memory that one call sends.
const PIECES_MAX: usize = 64;

/// What is to be sent, the first piece perhaps partly.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    chunks: VecDeque<Chunk>,
    /// Of the slice in front, what is in the page cache and not sent yet.
    warm: Option<FileSlice>,
}

impl Outbox {
    /// Adds an answer behind those that are there.
    pub(crate) fn push(&mut self, Encoded { head, rest, .. }: Encoded) {
        self.chunks.push_back(Chunk::Bytes(head));
        self.chunks.extend(rest);
    }

    /// Bytes that are to be sent.
    pub(crate) fn len(&self) -> usize {
        self.chunks.iter().map(Chunk::len).sum()
    }

    /// Sends everything.
    pub(crate) async fn flush(
        &mut self,
        stream: &dyn Stream,
        control: &Control,
        shard: &LocalShard,
    ) -> io::Result<()> {
        while let Some(chunk) = self.chunks.front() {
            control.note_activity();
            match chunk {
                Chunk::Slice(slice) if slice.len > 0 => self.send_slice(stream, shard).await?,
                Chunk::Slice(_) => drop(self.chunks.pop_front()),
                Chunk::Bytes(_) => self.send_bytes(stream).await?,
            }
        }
        Ok(())
    }

    /// Sends from the slice in front what is in the page cache, having it brought there first: the thread would
    /// wait for the device, and all that it serves with it.
    async fn send_slice(&mut self, stream: &dyn Stream, shard: &LocalShard) -> io::Result<()> {
        let Some(Chunk::Slice(slice)) = self.chunks.front_mut() else { return Ok(()) };
        let warm = match &mut self.warm {
            Some(warm) => warm,
            none => {
                let next = FileSlice { len: slice.len.min(READ_IN_BYTES_MAX), ..slice.clone() };
                if !next.file.is_cached(next.position, next.len) {
                    shard.read_in(next.clone()).await;
                }
                none.insert(next)
            }
        };
        let sent = poll_fn(|cx| stream.poll_send(cx, warm)).await?;
        if sent == 0 {
            // The answer's length is sent already: whatever came instead would be taken for records.
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("the log ends {} bytes early", slice.len),
            ));
        }
        for rest in [&mut *slice, &mut *warm] {
            rest.position += sent as u64;
            rest.len -= sent as u32;
        }
        if warm.len == 0 {
            self.warm = None;
        }
        Ok(())
    }

    async fn send_bytes(&mut self, stream: &dyn Stream) -> io::Result<()> {
        let mut pieces = [IoSlice::new(&[]); PIECES_MAX];
        let mut count = 0;
        for (piece, chunk) in pieces.iter_mut().zip(&self.chunks) {
            let Chunk::Bytes(bytes) = chunk else { break };
            *piece = IoSlice::new(bytes);
            count += 1;
        }
        let mut sent = poll_fn(|cx| stream.poll_write(cx, &pieces[..count])).await?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(Chunk::Bytes(bytes)) = self.chunks.front_mut() {
            if sent < bytes.len() {
                Bytes::advance(bytes, sent);
                break;
            }
            sent -= bytes.len();
            self.chunks.pop_front();
        }
        Ok(())
    }
}
