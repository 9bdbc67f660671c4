//! Keys, and which partition each belongs to, as the Java client's partitioner says.

use super::workload::KEYS;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 8;

/// The key with this number.
pub(super) fn key(number: usize) -> [u8; KEY_BYTES] {
    let text = format!("key{number:05}");
    text.as_bytes().try_into().expect("five digits hold every key")
}

const _: () = assert!(KEYS <= 100_000);

/// The partition of each key.
pub(super) fn partitions_of_keys(partitions: u32) -> Vec<u32> {
    (0..KEYS).map(|number| (murmur2(&key(number)) & 0x7fff_ffff) % partitions).collect()
}

/// The 32-bit hash of that name with the seed that Kafka's clients have.
fn murmur2(bytes: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ bytes.len() as u32;
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("four bytes each")).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (at, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * at);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_other_clients() {
        for (text, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(text.as_bytes()) as i32, expected, "{text}");
        }
    }

    #[test]
    fn every_partition_has_its_share_of_the_keys() {
        let mut counts = [0; 16];
        for partition in partitions_of_keys(16) {
            counts[partition as usize] += 1;
        }
        let even = KEYS / 16;
        assert!(counts.iter().all(|count| (even / 2..even * 2).contains(count)), "{counts:?}");
    }
}
