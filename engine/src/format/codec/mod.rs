//! `Codec`: how the records of a batch are compressed, and the bytes of each way.

mod gzip;
mod lz4;
mod output;
mod snappy;
mod zstd;

use std::borrow::Cow;
use std::fmt;

use output::Output;

/// Decompressed bytes of a batch at most, whatever a caller allows.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;
/// How many bytes a byte on the wire may become.
const RATIO_MAX: usize = 100;

/// What a batch's attributes say of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// They lie there as they are.
    None,
    /// One gzip stream.
    Gzip,
    /// Blocks of snappy in the framing of xerial's library.
    Snappy,
    /// One lz4 frame.
    Lz4,
    /// A zstd frame.
    Zstd,
}

impl Codec {
    /// All of them.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The codec with this number.
    pub fn from_id(id: u8) -> Option<Codec> {
        Codec::ALL.get(usize::from(id)).copied()
    }

    /// Its number in a batch's attributes.
    pub fn id(self) -> u8 {
        self as u8
    }
}

/// A codec, and how hard it tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip: 1 (fast) to 9 (small), or -1 for zlib's own choice, 6.
    Gzip {
        /// `compression.gzip.level`
        level: i32,
    },
    /// snappy, which has no levels.
    Snappy,
    /// lz4, of the fast kind: Apache Kafka's default, which it calls level 9. Its other levels stand for
    /// lz4's high compression and are taken for the same, since the library has no such compressor.
    Lz4,
    /// zstd: -131072 (fast) to 22 (small).
    Zstd {
        /// `compression.zstd.level`
        level: i32,
    },
}

impl Compression {
    /// The codec that reads what it writes.
    pub fn codec(self) -> Codec {
        match self {
            Compression::None => Codec::None,
            Compression::Gzip { .. } => Codec::Gzip,
            Compression::Snappy => Codec::Snappy,
            Compression::Lz4 => Codec::Lz4,
            Compression::Zstd { .. } => Codec::Zstd,
        }
    }
}

/// Why records are not decompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undecodable {
    /// More bytes come out than are allowed.
    TooLarge {
        /// How many are.
        max: usize,
    },
    /// The bytes are not what the codec writes.
    Damaged(String),
}

impl Undecodable {
    fn damaged(what: impl fmt::Display) -> Undecodable {
        Undecodable::Damaged(what.to_string())
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undecodable::TooLarge { max } => {
                write!(f, "the records are more than {max} bytes when decompressed")
            }
            Undecodable::Damaged(what) => write!(f, "the compressed records are damaged: {what}"),
        }
    }
}

impl std::error::Error for Undecodable {}

/// How many bytes may come out of a batch of a topic that takes batches of `batch_bytes_max`.
pub fn decompressed_bytes_max(batch_bytes_max: usize) -> usize {
    batch_bytes_max.saturating_mul(RATIO_MAX).min(DECOMPRESSED_BYTES_MAX)
}

/// The records as they were before they were compressed, `bytes_max` at most. Memory is taken as bytes come
/// out, never as somebody says that they will.
pub fn decompress(codec: Codec, bytes: &[u8], bytes_max: usize) -> Result<Cow<'_, [u8]>, Undecodable> {
    if codec == Codec::None {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut out = Output::new(bytes_max);
    match codec {
        Codec::None => unreachable!("answered above"),
        Codec::Gzip => gzip::decompress(bytes, &mut out)?,
        Codec::Snappy => snappy::decompress(bytes, &mut out)?,
        Codec::Lz4 => lz4::decompress(bytes, lz4::Descriptor::Checked, &mut out)?,
        Codec::Zstd => zstd::decompress(bytes, &mut out)?,
    }
    Ok(Cow::Owned(out.into_bytes()))
}

/// The same for a message set of magic 0, whose writers computed the checksum of an lz4 frame's descriptor
/// over the wrong bytes.
pub(super) fn decompress_oldest(
    codec: Codec,
    bytes: &[u8],
    bytes_max: usize,
) -> Result<Cow<'_, [u8]>, Undecodable> {
    if codec != Codec::Lz4 {
        return decompress(codec, bytes, bytes_max);
    }
    let mut out = Output::new(bytes_max);
    lz4::decompress(bytes, lz4::Descriptor::Unchecked, &mut out)?;
    Ok(Cow::Owned(out.into_bytes()))
}

/// Appends the compressed bytes to `out`.
pub fn compress(compression: Compression, bytes: &[u8], out: &mut Vec<u8>) {
    match compression {
        Compression::None => out.extend_from_slice(bytes),
        Compression::Gzip { level } => gzip::compress(bytes, level, out),
        Compression::Snappy => snappy::compress(bytes, out),
        Compression::Lz4 => lz4::compress(bytes, out),
        Compression::Zstd { level } => zstd::compress(bytes, level, out),
    }
}

#[cfg(test)]
mod tests;
