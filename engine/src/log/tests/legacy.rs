//! Segments of directories that Apache Kafka upgraded: messages of magic 0 and 1 in front of batches.

use super::*;

const FIRST: &str = "00000000000000000000.log";

/// A message without a key.
fn message(magic: u8, offset: i64, timestamp: i64) -> Vec<u8> {
    let mut covered = vec![magic, 0];
    if magic == 1 {
        covered.extend(timestamp.to_be_bytes());
    }
    covered.extend((-1i32).to_be_bytes());
    covered.extend(5i32.to_be_bytes());
    covered.extend(b"value");
    let mut crc = flate2::Crc::new();
    crc.update(&covered);
    let size = covered.len() as i32 + 4;
    [&offset.to_be_bytes()[..], &size.to_be_bytes(), &crc.sum().to_be_bytes(), &covered].concat()
}

/// Two messages of magic 0, two of magic 1, and a batch.
fn upgraded() -> SimDisk {
    let disk = Bench::with_batches(1).disk;
    let mut batch = content(&disk, FIRST);
    batch[..8].copy_from_slice(&4i64.to_be_bytes());
    let messages = [message(0, 0, -1), message(0, 1, -1), message(1, 2, 500), message(1, 3, 400)];
    put(&disk, FIRST, &[&messages.concat(), &batch[..]].concat());
    disk
}

#[test]
fn messages_of_every_version_are_read_and_appended_to() {
    let limits = LogLimits { segment_bytes: 1 << 20, ..LIMITS };
    let mut bench = Bench::open(&upgraded(), limits, FROM_THE_START).unwrap();
    assert_eq!(bench.log.end().offset, 6);
    assert_eq!(bench.append(2), 6);
    let disk = bench.stop();
    let mut bench = Bench::open(&disk, limits, CLEAN).unwrap();
    let end = bench.log.end();
    assert_eq!(end.offset, 8);
    for (offset, position) in [(0, 0), (1, 31), (2, 62), (3, 101), (4, 140), (5, 140), (6, 208)] {
        let slice = bench.log.slice(&mut bench.cache, offset, end, 1).unwrap().unwrap();
        assert_eq!(slice.bytes.position, position, "offset {offset}");
    }
    let at = bench.log.offset_at_time(&mut bench.cache, 450, end).unwrap();
    assert_eq!(at, Some(TimedOffset { offset: 2, timestamp: 500 }));
}

#[test]
fn a_flip_in_an_old_message_is_noticed() {
    for at in [20, 45, 90, 100, 130] {
        let disk = upgraded();
        flip(&disk, FIRST, at);
        let bench = Bench::open(&disk, LIMITS, FROM_THE_START).unwrap();
        let whole = [31, 62, 101, 140].iter().filter(|end| **end <= at).count();
        assert_eq!(bench.log.end().offset, whole as i64, "byte {at}");
    }
}
