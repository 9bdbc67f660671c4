//! lz4: one frame of independent blocks.
//!
//! ```text
//! 0            4     5     6             6 or 14
//! +------------+-----+-----+-------------+-----+
//! | 0x184d2204 | FLG | BD  | content     | HC  |    then blocks: length | bytes | checksum where FLG says so
//! |            |     |     | size (or    |     |    then a length of 0 | checksum where FLG says so
//! |            |     |     | nothing)    |     |
//! +------------+-----+-----+-------------+-----+
//!
//! FLG: 6-7 version (1), 5 blocks are independent, 4 block checksums, 3 content size, 2 content checksum, 0-1 zero
//! BD:  4-6 largest block: 4 (64 KiB), 5 (256 KiB), 6 (1 MiB), 7 (4 MiB)
//! HC:  bits 8 to 15 of the xxHash32 of FLG to content size
//! ```
//!
//! Integers are little-endian. A block whose length has bit 31 is not compressed. What Java's clients cannot
//! read is not read here either: blocks that depend on each other. Neither do they look at content size and
//! content checksum; the batch's own checksum has covered all of it.

use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};
use twox_hash::XxHash32;

use super::Undecodable;
use super::output::Output;

const MAGIC: [u8; 4] = 0x184d_2204_u32.to_le_bytes();
const VERSION_MASK: u8 = 0b1100_0000;
const VERSION: u8 = 0b0100_0000;
const INDEPENDENT: u8 = 1 << 5;
const BLOCK_CHECKSUM: u8 = 1 << 4;
const CONTENT_SIZE: u8 = 1 << 3;
const CONTENT_CHECKSUM: u8 = 1 << 2;
const FLAGS_RESERVED: u8 = 0b11;
const SIZE_RESERVED: u8 = 0b1000_1111;
const STORED: u32 = 1 << 31;
/// A byte of a block stands for so many at most.
const RATIO_MAX: usize = 255;

/// What Java's producers write: version 1, independent blocks of 64 KiB, no checksums but that of these.
const HEAD: [u8; 7] = [MAGIC[0], MAGIC[1], MAGIC[2], MAGIC[3], VERSION | INDEPENDENT, 4 << 4, 0x82];
const BLOCK_BYTES: usize = 64 << 10;

/// Whether the checksum of the frame's descriptor counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Descriptor {
    Checked,
    Unchecked,
}

/// What the descriptor says of the blocks behind it.
struct Frame {
    block_bytes_max: usize,
    flags: u8,
}

pub(super) fn decompress(
    mut bytes: &[u8],
    descriptor: Descriptor,
    out: &mut Output,
) -> Result<(), Undecodable> {
    let frame = read_head(&mut bytes, descriptor)?;
    while let Some((len, is_stored)) = read_block_len(&mut bytes, &frame)? {
        let block = take(&mut bytes, len)?;
        if frame.flags & BLOCK_CHECKSUM != 0 {
            let (written, computed) = (take_u32(&mut bytes)?, XxHash32::oneshot(0, block));
            if written != computed {
                return Err(Undecodable::Damaged(format!(
                    "a block's checksum is {written:#010x}, expected {computed:#010x}"
                )));
            }
        }
        if is_stored {
            out.extend(block)?;
        } else {
            read_block(block, &frame, out)?;
        }
    }
    if frame.flags & CONTENT_CHECKSUM != 0 {
        take_u32(&mut bytes)?;
    }
    match bytes.len() {
        0 => Ok(()),
        len => Err(Undecodable::Damaged(format!("{len} bytes behind the frame"))),
    }
}

fn read_head(bytes: &mut &[u8], descriptor: Descriptor) -> Result<Frame, Undecodable> {
    if take(bytes, MAGIC.len())? != MAGIC {
        return Err(Undecodable::damaged("it is not an lz4 frame"));
    }
    let described = *bytes;
    let [flags, size] = take(bytes, 2)?[..] else { unreachable!("two bytes were taken") };
    if flags & VERSION_MASK != VERSION || flags & FLAGS_RESERVED != 0 || size & SIZE_RESERVED != 0 {
        return Err(Undecodable::Damaged(format!("an lz4 frame with flags {flags:#04x} and {size:#04x}")));
    }
    if flags & INDEPENDENT == 0 {
        return Err(Undecodable::damaged("blocks of an lz4 frame that depend on each other"));
    }
    let block_bytes_max = match size >> 4 {
        class @ 4..=7 => 1 << (8 + 2 * class),
        class => return Err(Undecodable::Damaged(format!("an lz4 frame with blocks of class {class}"))),
    };
    if flags & CONTENT_SIZE != 0 {
        take(bytes, 8)?;
    }
    let computed = (XxHash32::oneshot(0, &described[..described.len() - bytes.len()]) >> 8) as u8;
    let written = take(bytes, 1)?[0];
    if written != computed && descriptor == Descriptor::Checked {
        return Err(Undecodable::Damaged(format!(
            "an lz4 frame's checksum is {written:#04x}, expected {computed:#04x}"
        )));
    }
    Ok(Frame { block_bytes_max, flags })
}

/// A block's length, and whether it is stored as it was; `None` at the end of the frame.
fn read_block_len(bytes: &mut &[u8], frame: &Frame) -> Result<Option<(usize, bool)>, Undecodable> {
    let head = take_u32(bytes)?;
    let len = (head & !STORED) as usize;
    if len > frame.block_bytes_max {
        return Err(Undecodable::Damaged(format!(
            "an lz4 block of {len} bytes, expected {} at most",
            frame.block_bytes_max
        )));
    }
    // Java's reader takes an empty stored block for the end too.
    Ok((len != 0).then_some((len, head & STORED != 0)))
}

fn read_block(block: &[u8], frame: &Frame, out: &mut Output) -> Result<(), Undecodable> {
    let len_max = frame.block_bytes_max.min(block.len() * RATIO_MAX);
    let room = len_max.min(out.room());
    out.fill(room, |room| decompress_into(block, room)).map(drop).map_err(|error| match error {
        lz4_flex::block::DecompressError::OutputTooSmall { .. } if room < len_max => out.too_large(),
        error => Undecodable::damaged(error),
    })
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], Undecodable> {
    let (taken, behind) =
        bytes.split_at_checked(len).ok_or_else(|| Undecodable::damaged("the lz4 frame is cut"))?;
    *bytes = behind;
    Ok(taken)
}

fn take_u32(bytes: &mut &[u8]) -> Result<u32, Undecodable> {
    take(bytes, 4).map(|taken| u32::from_le_bytes(taken.try_into().expect("four bytes")))
}

pub(super) fn compress(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(HEAD);
    for block in bytes.chunks(BLOCK_BYTES) {
        let begin = out.len() + 4;
        out.resize(begin + get_maximum_output_size(block.len()), 0);
        let len = compress_into(block, &mut out[begin..]).expect("the room is as large as asked for");
        let head = if len < block.len() {
            out.truncate(begin + len);
            len as u32
        } else {
            out.truncate(begin);
            out.extend_from_slice(block);
            block.len() as u32 | STORED
        };
        out[begin - 4..begin].copy_from_slice(&head.to_le_bytes());
    }
    out.extend([0; 4]);
}
