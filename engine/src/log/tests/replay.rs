//! What a journal's frames do to segments.

use super::*;

fn cache(disk: &SimDisk) -> Cache {
    Cache::new(Arc::new(disk.clone()), CacheLimits { files: 3, pages: 4 })
}

fn replay(disk: &SimDisk, segment: i64, position: u64, bytes: &[u8]) -> Result<u64, Error> {
    let piece = LogPiece { segment, position, bytes };
    Log::replay(&mut cache(disk), Path::new(DIR), &[piece]).map(|replayed| replayed.bytes_written)
}

#[test]
fn missing_bytes_come_back_wherever_the_segment_ends() {
    let disk = Bench::with_batches(3).disk;
    let log = content(&disk, "00000000000000000000.log");
    let from = batch_len() as usize;
    for len in from..=log.len() {
        for rest in [&[][..], &[0; 40]] {
            put(&disk, "00000000000000000000.log", &[&log[..len], rest].concat());
            let written = replay(&disk, 0, from as u64, &log[from..]).unwrap();
            let is_there = len == log.len();
            assert_eq!(written == 0, is_there, "{len} bytes were there");
            assert_eq!(content(&disk, "00000000000000000000.log")[..log.len()], log);
        }
    }
}

#[test]
fn a_segment_whose_name_was_lost_is_made_again() {
    let disk = Bench::with_batches(4).disk;
    let log = content(&disk, "00000000000000000006.log");
    disk.remove_file(&path("00000000000000000006.log")).unwrap();
    assert_eq!(replay(&disk, 6, 0, &log).unwrap(), log.len() as u64);
    assert_eq!(content(&disk, "00000000000000000006.log"), log);
}

#[test]
fn other_whole_batches_in_the_same_place_are_refused_with_both() {
    let disk = Bench::with_batches(3).disk;
    let log = content(&disk, "00000000000000000000.log");
    let mut other = Bench::with_batches(1);
    other.append_at(2, 77);
    let theirs = content(&other.disk, "00000000000000000000.log");
    let from = batch_len() as usize;
    let error = replay(&disk, 0, from as u64, &theirs[from..]).unwrap_err();
    let text = error.to_string();
    for part in
        ["00000000000000000000.log", "position 68", "offsets 2 to 3", "expected the journal's bytes 0 to 68"]
    {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(content(&disk, "00000000000000000000.log"), log);
}

#[test]
fn a_batch_that_lost_the_sector_it_begins_in_comes_back() {
    let disk = Bench::with_batches(3).disk;
    let log = content(&disk, "00000000000000000000.log");
    let from = batch_len() as usize;
    // Up to ten bytes are base offset, and zeros of a length: no checksum tells that they are gone.
    for lost in 1..=30 {
        let mut torn = log.clone();
        torn[from..from + lost].fill(0);
        put(&disk, "00000000000000000000.log", &torn);
        let written = replay(&disk, 0, from as u64, &log[from..]).unwrap();
        assert_eq!(
            (written > 0, content(&disk, "00000000000000000000.log")),
            (log != torn, log.clone()),
            "{lost} bytes"
        );
    }
}
