//! Loops without an engine: what the same writes and syncs take by themselves.

use std::fs;
use std::io::IoSlice;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Instant;

use logmill_engine::disk::{AlignedBuf, DIRECT_ALIGN};
use logmill_engine::format::batch::HEADER_LEN;
use logmill_engine::shard::CommitCounts;
use rustix::fs::OFlags;
use rustix::io::{pwrite, pwritev};

use super::ground::Ground;
use super::load::Figures;
use super::meter::{Times, write_back};
use super::partition::batch;

/// The file that is written over and over.
const RECYCLED_BYTES: u64 = 64 << 20;

/// `rounds` times a write to each of some growing files and one write, data sync included, of the same bytes
/// to a file that is written over.
pub(crate) fn journal_loop(ground: &Ground, partitions: i32, size: usize, rounds: usize) -> Figures {
    ground.empty(partitions);
    let open = |index| fs::OpenOptions::new().write(true).open(ground.segment(index));
    let files: Vec<fs::File> =
        (0..partitions).map(open).collect::<Result<_, _>>().expect("segments can be opened");
    let flags = (OFlags::DIRECT | OFlags::DSYNC).bits().cast_signed();
    let path = ground.bare_file(RECYCLED_BYTES);
    let mut options = fs::OpenOptions::new();
    options.write(true);
    let recycled = options.clone().custom_flags(flags).open(&path).or_else(|_| options.open(&path));
    let recycled = recycled.expect("the recycled file can be opened");
    let mut frame = AlignedBuf::default();
    let bytes = batch(size);
    (0..partitions).for_each(|_| frame.extend_from_slice(&bytes));
    frame.resize(frame.len().next_multiple_of(DIRECT_ALIGN));
    let mut position = 0;
    measured(ground, rounds, (partitions as usize * size) as u64, partitions as u64, |round| {
        for file in &files {
            let parts = [IoSlice::new(&bytes[..HEADER_LEN]), IoSlice::new(&bytes[HEADER_LEN..])];
            let written = pwritev(file, &parts, (round * size) as u64).expect("there is room");
            assert_eq!(written, size);
        }
        if position + frame.len() as u64 > RECYCLED_BYTES {
            position = 0;
        }
        let written = pwrite(&recycled, frame.as_slice(), position).expect("the device takes it");
        assert_eq!(written, frame.len());
        position += frame.len() as u64;
    })
}

/// `rounds` times a write and a data sync of one file: of a file that was written before, or of one that grows.
pub(crate) fn sync_loop(ground: &Ground, size: usize, rounds: usize, is_growing: bool) -> Figures {
    ground.empty(1);
    let path = if is_growing { ground.segment(0) } else { ground.bare_file(RECYCLED_BYTES) };
    let file = fs::OpenOptions::new().write(true).open(path).expect("the file is there");
    let bytes = batch(size);
    let mut position = 0;
    measured(ground, rounds, size as u64, 1, |_| {
        if !is_growing && position + size as u64 > RECYCLED_BYTES {
            position = 0;
        }
        let written = pwrite(&file, &bytes, position).expect("there is room");
        assert_eq!(written, size);
        rustix::fs::fdatasync(&file).expect("the device takes it");
        position += size as u64;
    })
}

fn measured(
    ground: &Ground,
    rounds: usize,
    round_bytes: u64,
    round_appends: u64,
    mut round: impl FnMut(usize),
) -> Figures {
    write_back();
    let mut waves = Times::default();
    let reading = ground.meter.start();
    for number in 0..rounds {
        let began = Instant::now();
        round(number);
        waves.note(began.elapsed());
    }
    let cost = ground.meter.cost(&reading);
    Figures {
        appends: (round_appends * rounds as u64) as f64,
        bytes: (round_bytes * rounds as u64) as f64,
        seconds: cost.seconds,
        cpu_seconds: cost.cpu_seconds,
        waves,
        counts: CommitCounts::default(),
        device_bytes: ground.meter.device_bytes_since(&reading).map(|bytes| bytes as f64),
        journal_bytes: None,
    }
}
