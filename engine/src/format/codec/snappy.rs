//! snappy in the framing of xerial's library, which is not snappy's own, and bare.
//!
//! ```text
//! 0                          8         12        16
//! +--------------------------+---------+---------+
//! | 0x82 S N A P P Y 0x00    | version | least   |    then blocks: int32 length | snappy
//! |                          | =1      | =1      |
//! +--------------------------+---------+---------+
//! ```
//!
//! Integers are big-endian. Bytes that do not begin so are one bare block.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::Undecodable;
use super::output::Output;

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
const VERSION: [u8; 4] = 1i32.to_be_bytes();
const HEAD_LEN: usize = 16;
/// Bytes that one block holds, as xerial's library cuts them.
const BLOCK_BYTES: usize = 32 << 10;
/// A copy of 64 bytes, the longest, takes 3.
const COPY_BYTES: usize = 64;
const COPY_LEN: usize = 3;

pub(super) fn decompress(bytes: &[u8], out: &mut Output) -> Result<(), Undecodable> {
    let Some((_, mut rest)) = bytes.split_at_checked(HEAD_LEN).filter(|(head, _)| head.starts_with(&MAGIC))
    else {
        return block(bytes, out);
    };
    while !rest.is_empty() {
        let (len, behind) =
            rest.split_first_chunk().ok_or_else(|| Undecodable::damaged("a block's length is cut"))?;
        let len = i32::from_be_bytes(*len);
        let (compressed, behind) = usize::try_from(len)
            .ok()
            .and_then(|len| behind.split_at_checked(len))
            .ok_or_else(|| Undecodable::Damaged(format!("a block of {len} bytes in {}", behind.len())))?;
        block(compressed, out)?;
        rest = behind;
    }
    Ok(())
}

fn block(bytes: &[u8], out: &mut Output) -> Result<(), Undecodable> {
    let len = decompress_len(bytes).map_err(Undecodable::damaged)?;
    if len > bytes.len() / COPY_LEN * COPY_BYTES + COPY_BYTES {
        return Err(Undecodable::Damaged(format!("a block of {} bytes holds {len}", bytes.len())));
    }
    if len > out.room() {
        return Err(out.too_large());
    }
    out.fill(len, |room| Decoder::new().decompress(bytes, room)).map_err(Undecodable::damaged)?;
    Ok(())
}

pub(super) fn compress(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(MAGIC);
    out.extend(VERSION);
    out.extend(VERSION);
    let mut encoder = Encoder::new();
    for block in bytes.chunks(BLOCK_BYTES) {
        let begin = out.len() + 4;
        out.resize(begin + max_compress_len(block.len()), 0);
        let len = encoder.compress(block, &mut out[begin..]).expect("the room is as large as asked for");
        out[begin - 4..begin].copy_from_slice(&(len as i32).to_be_bytes());
        out.truncate(begin + len);
    }
}
