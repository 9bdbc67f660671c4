//! Flipped bits, short files and swapped batches: exact bytes, a refusal, or a cut behind the recovery point.

use super::*;
use crate::disk::sim::Operation;

const SEALED: &str = "00000000000000000006";

#[test]
fn damage_in_front_of_the_recovery_point_is_refused_and_nothing_is_cut() {
    let disk = Bench::with_batches(10).disk;
    flip(&disk, "00000000000000000012.log", batch_len() as usize + 30);
    let before: Vec<_> = names(&disk).iter().map(|name| content(&disk, name)).collect();
    let opening = Opening { recovery_point: 16, ..FROM_THE_START };
    let error = Bench::open(&disk, LIMITS, opening).err().unwrap().to_string();
    for part in ["00000000000000000012.log", "position 68", "crc 0x", "expected 0x", "offset 16"] {
        assert!(error.contains(part), "{error}");
    }
    let after: Vec<_> = names(&disk).iter().map(|name| content(&disk, name)).collect();
    assert_eq!(before, after);
}

#[test]
fn a_flip_anywhere_behind_the_recovery_point_cuts_or_refuses_and_never_changes_a_record() {
    let whole = Bench::with_batches(5);
    let disk = whole.disk.after_kill();
    let original = Bench::open(&disk, LIMITS, FROM_THE_START).unwrap().read(0, 1_000).unwrap();
    let log = content(&whole.disk, "00000000000000000006.log");
    for at in 0..log.len() * 8 {
        let disk = whole.disk.after_kill();
        let mut bytes = log.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        put(&disk, "00000000000000000006.log", &bytes);
        match Bench::open(&disk, LIMITS, FROM_THE_START) {
            Err(error) => assert!(error.to_string().contains("00000000000000000006.log"), "{error}"),
            Ok(mut bench) => {
                let read = bench.read(0, 1_000).unwrap();
                // The leader epoch is the one field that nothing vouches for.
                let is_epoch = |at: usize| (12..16).contains(&(at % batch_len() as usize));
                let same =
                    |(index, (read, original)): (usize, (&u8, &u8))| read == original || is_epoch(index);
                assert!(read.len() <= original.len());
                assert!(read.iter().zip(&original).enumerate().all(same), "bit {at}");
            }
        }
    }
}

#[test]
fn swapped_batches_are_no_log() {
    let disk = Bench::with_batches(3).disk;
    let log = content(&disk, "00000000000000000000.log");
    let (first, second) = log.split_at(batch_len() as usize);
    let (second, third) = second.split_at(batch_len() as usize);
    put(&disk, "00000000000000000000.log", &[first, third, second].concat());
    let error = Bench::open(&disk, LIMITS, FROM_THE_START).err().unwrap().to_string();
    assert!(error.contains("position 68: base offset 4, expected 2"), "{error}");
}

/// Opens after damage to an index of a sealed segment, and reads and looks up everything.
fn reads_everything(disk: &SimDisk, what: &str) {
    for opening in [CLEAN, Opening { recovery_point: 20, ..FROM_THE_START }] {
        let mut bench = Bench::open(&disk.after_kill(), LIMITS, opening).unwrap();
        for offset in 0..20 {
            let bytes = bench.read(offset, 1).unwrap();
            assert_eq!(base_offsets(&bytes)[0], offset - offset % 2, "{what}, offset {offset}");
        }
        let end = bench.log.end();
        for timestamp in 1_000..1_100 {
            let found = bench.log.offset_at_time(&mut bench.cache, timestamp, end).unwrap();
            let batch = (timestamp - 1_000 + 9) / 10;
            let expected = (batch < 10).then_some(1_000 + batch * 10);
            assert_eq!(found.map(|found| found.timestamp), expected, "{what}, timestamp {timestamp}");
        }
    }
}

fn stopped() -> SimDisk {
    let mut bench = Bench::new(LIMITS);
    for batch in 0..10 {
        // One record at the batch's timestamp, by hand, of the two that the header counts.
        let record = [14, 0, 0, 0, 1, 2, b'a'];
        let time = 1_000 + batch * 10;
        bench
            .append_bytes(sample_with(2, &[&record[..], &[0]].concat(), |header| {
                header.set_times(time, time)
            }))
            .unwrap();
    }
    bench.stop()
}

#[test]
fn every_flipped_bit_of_an_index_is_noticed_or_harmless() {
    let disk = stopped();
    for suffix in ["index", "timeindex"] {
        let name = format!("{SEALED}.{suffix}");
        let index = content(&disk, &name);
        assert!(index.len() > 8, "{name} has entries");
        for bit in 0..index.len() * 8 {
            let damaged = disk.after_kill();
            let mut bytes = index.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            put(&damaged, &name, &bytes);
            reads_everything(&damaged, &format!("bit {bit} of {name}"));
        }
    }
}

#[test]
fn an_index_that_is_short_or_missing_or_nonsense_is_built_anew() {
    for suffix in ["index", "timeindex"] {
        let name = format!("{SEALED}.{suffix}");
        let len = content(&stopped(), &name).len();
        for cut in 0..len {
            let disk = stopped();
            disk.open(&path(&name), OpenMode::Existing).unwrap().set_len(cut as u64).unwrap();
            reads_everything(&disk, &format!("{name} of {cut} bytes"));
        }
        let disk = stopped();
        disk.remove_file(&path(&name)).unwrap();
        reads_everything(&disk, &format!("no {name}"));
        let disk = stopped();
        put(&disk, &name, &vec![0xff; len]);
        reads_everything(&disk, &format!("{name} of ones"));
        let disk = stopped();
        put(&disk, &name, &vec![0; len]);
        reads_everything(&disk, &format!("{name} of zeros"));
    }
}

#[test]
fn a_missing_index_is_in_its_file_again_after_a_clean_stop() {
    let disk = stopped();
    let name = format!("{SEALED}.index");
    let index = content(&disk, &name);
    disk.remove_file(&path(&name)).unwrap();
    let disk = Bench::open(&disk, LIMITS, CLEAN).unwrap().stop();
    assert_eq!(content(&disk, &name), index);
}

#[test]
fn the_last_segments_wrong_index_is_noticed_at_a_clean_start() {
    let disk = stopped();
    let name = "00000000000000000018.timeindex";
    flip(&disk, name, 7);
    reads_everything(&disk, name);
}

#[test]
fn a_batch_that_is_no_batch_is_named_by_the_reader_who_meets_it() {
    let disk = stopped();
    let mut bytes = content(&disk, &format!("{SEALED}.log"));
    let second = bytes.len() / 3;
    bytes[second + 16] = 9;
    put(&disk, &format!("{SEALED}.log"), &bytes);
    let mut bench = Bench::open(&disk, LIMITS, Opening { visit_from: 20, ..CLEAN }).unwrap();
    let error = (6..12).find_map(|offset| bench.read(offset, 1).err()).unwrap().to_string();
    assert!(error.contains(&format!("{SEALED}.log")) && error.contains("magic 9, expected 2"), "{error}");
}

#[test]
fn a_damaged_segment_is_read_through_once_whoever_asks_for_what() {
    let mut bench = Bench::new(LogLimits { segment_bytes: 1 << 20, ..LIMITS });
    bench.append_some(1_000);
    let damaged = 900;
    bench.disk.damage(&path("00000000000000000000.log"), damaged * batch_len() + 16, 0xff).unwrap();
    let disk = bench.disk.clone();
    let mut reads_of = |offset: i64| {
        let before = disk.times(Operation::Read);
        let end = bench.log.end();
        let found = bench.log.slice(&mut bench.cache, offset, end, 1);
        (found.map(|slice| slice.unwrap().bytes.position / batch_len()), disk.times(Operation::Read) - before)
    };
    let through = 900 * batch_len() / 4_096;
    let refused = |(found, reads): (Result<u64, Error>, u64)| {
        let error = found.unwrap_err().to_string();
        assert!(error.contains("position 61200: magic") && error.contains("expected 2"), "{error}");
        reads
    };
    assert!(refused(reads_of(1_801)) > through, "it looks for batches from the beginning on");
    for _ in 0..3 {
        assert!(refused(reads_of(1_801)) <= 2, "and not again");
    }
    for offset in [0, 1_000, 1_798, 1_804, 1_999] {
        let (found, reads) = reads_of(offset);
        assert_eq!(found.unwrap(), offset as u64 / 2);
        assert!(reads <= 2, "offset {offset}: a page of the index and one of the segment, not {reads}");
    }
}
