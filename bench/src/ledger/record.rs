//! `Identity`: who sent a record, and where in its order. A record's value says it, with a checksum, and
//! every other byte of the value follows from it.

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes of a value before its filler: run, producer, partition, number, checksum of all else.
const HEAD: usize = 8 + 4 + 4 + 8 + 4;

/// Most values are small; one in this many is large enough to be synced by itself.
const LARGE_ONE_IN: u64 = 256;
const SMALL_BYTES_MAX: u64 = 1_500;
const LARGE_BYTES_MAX: u64 = 200_000;

/// Names a record of a partition for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Identity {
    /// Which producer, counted from 0.
    pub(super) producer: u32,
    /// How many records of this partition it had sent before.
    pub(super) number: u64,
}

/// The value of a record.
pub(super) fn value(run: u64, partition: i32, identity: Identity) -> Bytes {
    let seed =
        mix(mix(run ^ u64::from(identity.producer)) ^ mix(identity.number ^ ((partition as u64) << 40)));
    let len = match seed % LARGE_ONE_IN {
        0 => mix(seed) % LARGE_BYTES_MAX,
        _ => mix(seed) % SMALL_BYTES_MAX,
    } as usize;
    let mut bytes = BytesMut::with_capacity(HEAD + len + 8);
    bytes.put_u64(run);
    bytes.put_u32(identity.producer);
    bytes.put_i32(partition);
    bytes.put_u64(identity.number);
    bytes.put_u32(0);
    let mut state = seed;
    while bytes.len() < HEAD + len {
        state = mix(state);
        bytes.put_u64(state);
    }
    bytes.truncate(HEAD + len);
    let checksum = crc32c::crc32c(&bytes);
    bytes[HEAD - 4..HEAD].copy_from_slice(&checksum.to_be_bytes());
    bytes.freeze()
}

/// Who sent this value. An error when nobody did.
pub(super) fn identify(run: u64, partition: i32, bytes: &[u8]) -> Result<Identity, String> {
    let Some(head) = bytes.get(..HEAD) else {
        return Err(format!("a value of {} bytes is none of ours", bytes.len()));
    };
    let field = |range: std::ops::Range<usize>| {
        head[range].iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte))
    };
    let identity = Identity { producer: field(8..12) as u32, number: field(16..24) };
    if bytes != value(run, partition, identity) {
        let same_head = field(0..8) == run && field(12..16) == partition as u64;
        let what = if same_head { "damaged" } else { "of another partition or run" };
        return Err(format!("a value of {} bytes is {what}: it says {identity:?}", bytes.len()));
    }
    Ok(identity)
}

/// The finalizer of splitmix64.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTITY: Identity = Identity { producer: 3, number: 77 };

    #[test]
    fn a_value_says_who_sent_it() {
        for number in 0..600 {
            let identity = Identity { number, ..IDENTITY };
            assert_eq!(identify(9, 2, &value(9, 2, identity)), Ok(identity));
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_is_seen() {
        let whole = value(9, 2, IDENTITY);
        for at in 0..whole.len() {
            let mut damaged = whole.to_vec();
            damaged[at] ^= 1 << (at % 8);
            assert!(identify(9, 2, &damaged).is_err(), "byte {at}");
        }
        assert!(identify(9, 2, &whole[..whole.len() - 1]).is_err() && identify(9, 2, b"x").is_err());
    }

    #[test]
    fn a_value_of_another_run_or_partition_is_foreign() {
        let theirs = value(9, 2, IDENTITY);
        assert!(identify(8, 2, &theirs).unwrap_err().contains("another"));
        assert!(identify(9, 1, &theirs).unwrap_err().contains("another"));
    }
}
