use std::path::Path;

use super::*;
use crate::disk::sim::SimDisk;
use crate::disk::{DIRECT_ALIGN, OpenMode};
use crate::format::Uuid;
use crate::journal::{JournalName, PartitionReplay, Piece, SLOTS, read_all};

const LOG_DIR: &str = "/data";
/// Room for eight frames of one block.
const FILE_BYTES: u64 = 8 * DIRECT_ALIGN as u64;

fn id(index: i32) -> PartitionId {
    PartitionId { topic: Uuid([4; 16]), index }
}

fn place(index: i32, offset: i64) -> Place {
    Place { id: id(index), segment: 0, position: offset as u64 * 100, offset: offset + 1 }
}

fn disk() -> SimDisk {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new(LOG_DIR)).unwrap();
    disk
}

fn config(shard: usize) -> JournalConfig {
    let log_dir = LOG_DIR.into();
    JournalConfig { log_dir, shard, file_bytes: FILE_BYTES, nonce: 77, first_generation: 1, first_slot: 0 }
}

fn bytes(index: i32, offset: i64) -> Vec<u8> {
    format!("partition {index} offset {offset}").into_bytes()
}

fn push(journal: &mut Journal, index: i32, offset: i64) -> bool {
    let bytes = bytes(index, offset);
    let (head, rest) = bytes.split_at(5);
    journal.push_piece(place(index, offset), [head, rest])
}

fn state(index: i32, offset: i64) -> StateRecord {
    let Place { id, segment, position, .. } = place(index, offset);
    StateRecord { place: Place { id, segment, position, offset }, payload: format!("up to {offset}").into() }
}

/// Writes the next frame; false: there was none.
fn write(journal: &mut Journal) -> bool {
    if !journal.has_pieces() && !journal.has_states() {
        return false;
    }
    let FrameWrite { file, buf, position } = journal.seal_frame();
    file.write_all_at([buf.as_slice(), &[]], position).unwrap();
    journal.written(buf);
    true
}

fn pieces(replay: &PartitionReplay) -> Vec<i64> {
    replay.pieces.iter().map(|piece| piece.place.offset - 1).collect()
}

#[test]
fn what_was_written_is_found_by_partition_and_in_order() {
    let disk = disk();
    let mut journal = Journal::open(&disk, &config(0)).unwrap();
    for offset in 0..20 {
        assert!(push(&mut journal, 0, offset) && push(&mut journal, 1, offset));
        assert!(write(&mut journal));
    }
    journal.set_state(state(1, 7));
    assert!(push(&mut journal, 0, 20) && write(&mut journal));
    let mut recovered = read_all(&disk, Path::new(LOG_DIR)).unwrap();
    let (first, second) = (recovered.take(id(0)), recovered.take(id(1)));
    assert_eq!(pieces(&first), (0..=20).collect::<Vec<_>>());
    let expected = Piece { place: place(1, 3), bytes: bytes(1, 3).into() };
    assert_eq!((&second.pieces[3], pieces(&second).len()), (&expected, 20));
    assert_eq!((first.state, second.state), (None, Some(state(1, 7))));
    assert_eq!(recovered.take(id(2)), PartitionReplay::default());
    assert_eq!(recovered.next_generation, 4, "21 frames take three files");
}

#[test]
fn a_file_is_written_anew_only_when_all_its_pieces_are_durable_elsewhere() {
    let disk = disk();
    let mut journal = Journal::open(&disk, &config(0)).unwrap();
    let mut offset = 0;
    while push(&mut journal, 0, offset) {
        write(&mut journal);
        offset += 1;
    }
    assert_eq!(journal.free_files_count(), 0);
    let last_of_oldest = 7;
    assert_eq!(journal.needed_by(), [(id(0), 8)]);
    journal.set_state(state(0, last_of_oldest));
    write(&mut journal);
    assert_eq!(journal.free_files_count(), 0, "one piece of the oldest file is above the recovery point");
    journal.set_state(state(0, last_of_oldest + 1));
    assert_eq!(journal.free_files_count(), 0, "the recovery point is not durable yet");
    write(&mut journal);
    assert_eq!(journal.free_files_count(), 1);
    assert!(push(&mut journal, 0, offset));
}

#[test]
fn recovery_points_find_room_where_appends_do_not() {
    let disk = disk();
    let mut journal = Journal::open(&disk, &config(0)).unwrap();
    while push(&mut journal, 0, 0) {
        write(&mut journal);
    }
    assert!(!journal.has_pieces());
    journal.set_state(state(0, 1));
    assert!(write(&mut journal));
    assert_eq!(journal.free_files_count(), SLOTS - 2, "everything is below the recovery point");
}

#[test]
fn recovery_points_that_free_no_file_leave_room_for_those_that_do() {
    let mut journal = Journal::open(&disk(), &config(0)).unwrap();
    let mut offset = 0;
    while push(&mut journal, 0, offset) {
        assert!(write(&mut journal));
        offset += 1;
    }
    // The first partition holds every file, and nothing is to be had by telling of the second one.
    for point in 0..100 {
        journal.set_state(state(1, point));
        assert!(!write(&mut journal), "offset {point}");
    }
    journal.set_state(state(0, 7));
    assert!(!write(&mut journal), "the oldest file has a piece behind that");
    journal.set_state(state(0, offset));
    assert!(write(&mut journal));
    assert_eq!(journal.free_files_count(), SLOTS - 2);
    assert!(push(&mut journal, 0, offset) && journal.has_states() && write(&mut journal));
    assert!(!journal.has_states(), "there is room for the second one now");
}

#[test]
fn states_of_very_many_partitions_free_the_oldest_file_of_a_full_journal() {
    // Their states take half a file, more than the quarter that is kept of the last one in any case.
    const PARTITIONS: i32 = 200;
    let mut journal = Journal::open(&disk(), &config(0)).unwrap();
    for index in 0..PARTITIONS {
        journal.set_state(StateRecord { payload: Vec::new(), ..state(index, 0) });
    }
    journal.begin().unwrap();
    let mut offset = 0;
    for turn in 0..50 {
        let begin = offset;
        while push(&mut journal, offset as i32 % PARTITIONS, offset) {
            offset += 1;
            // Some frames have one batch, and some have very many.
            if offset % (1 + turn % 7 * 40) == 0 {
                assert!(write(&mut journal));
            }
        }
        write(&mut journal);
        assert!(offset > begin, "turn {turn}: the journal is full for good");
        assert_eq!(journal.free_files_count(), 0, "turn {turn}");
        let needed = journal.needed_by();
        for (PartitionId { index, .. }, end) in needed {
            journal.set_state(StateRecord { payload: vec![7; 30], ..state(index, end) });
        }
        while journal.has_states() {
            assert!(write(&mut journal));
        }
        assert!(journal.free_files_count() > 0, "turn {turn}");
    }
}

#[test]
fn a_state_that_finds_no_room_keeps_no_smaller_one_back() {
    let disk = disk();
    let mut journal = Journal::open(&disk, &config(0)).unwrap();
    // Until one block more is left beside the reserve.
    for offset in 0..(SLOTS as i64 - 2) * 8 + 5 {
        assert!(push(&mut journal, 0, offset) && write(&mut journal));
    }
    assert!(journal.push_piece(place(0, 60), [&[7; 3_000], &[]]));
    journal.set_state(StateRecord { payload: vec![7; 1_500], ..state(1, 5) });
    journal.set_state(state(2, 5));
    assert!(write(&mut journal));
    let mut recovered = read_all(&disk, Path::new(LOG_DIR)).unwrap();
    assert_eq!((recovered.take(id(1)).state, recovered.take(id(2)).state), (None, Some(state(2, 5))));
}

#[test]
fn frames_as_long_as_a_file_leave_room_for_what_frees_one() {
    const PARTITIONS: i32 = 90;
    let mut journal = Journal::open(&disk(), &config(0)).unwrap();
    let append = |journal: &mut Journal, offset: i64| {
        journal.push_piece(place(offset as i32 % PARTITIONS, offset), [&[7; 3_000], &[]])
    };
    let mut offset = 0;
    loop {
        while append(&mut journal, offset) {
            offset += 1;
        }
        if !write(&mut journal) {
            break;
        }
    }
    assert!(offset > 6 * 8, "six files are full");
    for index in 0..PARTITIONS {
        journal.set_state(state(index, offset + 1));
        while journal.has_states() && index % 30 == 29 {
            assert!(write(&mut journal));
        }
    }
    assert!(append(&mut journal, offset), "all of it is durable elsewhere, and the journal is full");
}

#[test]
fn a_journal_that_is_too_small_for_its_recovery_points_is_refused_and_not_written_for_ever() {
    let mut journal = Journal::open(&disk(), &config(0)).unwrap();
    (0..1_000).for_each(|index| journal.set_state(state(index, 1)));
    let error = journal.begin().unwrap_err().to_string();
    assert!(error.contains("logmill.journal.bytes"), "{error}");
}

#[test]
fn a_state_outlives_the_file_that_it_was_written_in() {
    let disk = disk();
    let mut journal = Journal::open(&disk, &config(0)).unwrap();
    journal.set_state(state(9, 5));
    // Ten turns of the journal.
    for offset in 0..10 * SLOTS as i64 * 8 {
        assert!(push(&mut journal, 0, offset), "offset {offset}");
        journal.set_state(state(0, offset));
        write(&mut journal);
    }
    let mut recovered = read_all(&disk, Path::new(LOG_DIR)).unwrap();
    assert_eq!(recovered.take(id(9)).state, Some(state(9, 5)));
    let last = 10 * SLOTS as i64 * 8 - 1;
    let replay = recovered.take(id(0));
    assert_eq!(replay.state, Some(state(0, last)));
    assert_eq!(pieces(&replay).last(), Some(&last));
}

#[test]
fn pieces_in_front_of_a_cut_count_for_nothing_and_those_behind_it_do() {
    let disk = disk();
    let mut journal = Journal::open(&disk, &config(0)).unwrap();
    for offset in 0..20 {
        assert!(push(&mut journal, 0, offset) && push(&mut journal, 1, offset));
        write(&mut journal);
    }
    let cut = StateRecord { payload: Vec::new(), ..state(0, 3) };
    journal.cut(cut.clone()).unwrap();
    for offset in 5..7 {
        push(&mut journal, 0, offset);
        write(&mut journal);
    }
    let mut recovered = read_all(&disk, Path::new(LOG_DIR)).unwrap();
    let (first, second) = (recovered.take(id(0)), recovered.take(id(1)));
    assert_eq!((pieces(&first), first.state), (vec![5, 6], Some(cut)));
    assert_eq!(pieces(&second).len(), 20);
    // Nor does it keep a file from being written anew.
    let free = journal.free_files_count();
    journal.set_state(state(1, 20));
    write(&mut journal);
    assert_eq!(journal.free_files_count(), free + 2);
}

#[test]
fn a_partition_that_is_gone_holds_nothing_up() {
    let disk = disk();
    let mut journal = Journal::open(&disk, &config(0)).unwrap();
    journal.set_state(state(0, 0));
    while push(&mut journal, 0, 0) {
        write(&mut journal);
    }
    assert_eq!(journal.free_files_count(), 0);
    journal.forget(id(0));
    assert_eq!(journal.free_files_count(), SLOTS - 2);
    push(&mut journal, 1, 0);
    journal.set_state(state(1, 0));
    write(&mut journal);
    assert_eq!(journal.free_files_count(), SLOTS - 2);
}

#[test]
fn a_torn_first_frame_of_a_file_leaves_no_hole_however_full_the_journal_is() {
    let disk = disk();
    let mut journal = Journal::open(&disk, &config(0)).unwrap();
    disk.settle();
    disk.keep_crash_points();
    let mut offset = 0;
    // It runs full more than once; the last frame is one that it is full with.
    for _ in 0..3 * SLOTS * 8 {
        if push(&mut journal, 0, offset) {
            offset += 1;
        } else {
            journal.set_state(state(0, offset));
        }
        write(&mut journal);
    }
    while push(&mut journal, 0, offset) {
        write(&mut journal);
    }
    let found = read_all(&disk, Path::new(LOG_DIR)).unwrap();
    let (first_generation, first_slot) = (found.next_generation, found.first_slot(0));
    let next = JournalConfig { nonce: 78, first_generation, first_slot, ..config(0) };
    let mut next = Journal::open(&disk, &next).unwrap();
    next.set_state(state(0, offset));
    next.begin().unwrap();
    for (step, point) in disk.take_crash_points() {
        for seed in 0..4 {
            if let Err(error) = read_all(&point.after_crash(seed), Path::new(LOG_DIR)) {
                panic!("{step}: {error}");
            }
        }
    }
}

/// Changes the file of slot 0, and says what a start makes of it.
fn damaged(change: impl FnOnce(&mut Vec<u8>)) -> Result<Vec<i64>, String> {
    let disk = disk();
    let mut journal = Journal::open(&disk, &config(0)).unwrap();
    // Eight frames in the first file, two in the second.
    for offset in 0..10 {
        push(&mut journal, 0, offset);
        write(&mut journal);
    }
    let path = Path::new(LOG_DIR).join(JournalName { shard: 0, slot: 1 }.to_string());
    let file = disk.open(&path, OpenMode::Existing).unwrap();
    let mut content = disk.read(&path).unwrap();
    change(&mut content);
    file.write_all_at([&content, &[]], 0).unwrap();
    let recovered = read_all(&disk, Path::new(LOG_DIR));
    recovered.map(|mut recovered| pieces(&recovered.take(id(0)))).map_err(|error| error.to_string())
}

#[test]
fn a_torn_frame_ends_the_journal() {
    for at in [0, 20, 51, 52, 100] {
        let kept = damaged(|content| content[DIRECT_ALIGN + at] ^= 1);
        assert_eq!(kept, Ok((0..9).collect::<Vec<_>>()), "byte {at} of the last frame");
    }
    assert_eq!(damaged(|content| content[..2 * DIRECT_ALIGN].fill(0)), Ok((0..8).collect::<Vec<_>>()));
}

#[test]
fn a_frame_that_is_not_whole_in_front_of_one_that_is_is_damage_and_named() {
    let error = damaged(|content| content[60] ^= 1).unwrap_err();
    assert!(error.contains("logmill.journal.0.1") && error.contains("position 0"), "{error}");
}

#[test]
fn a_frame_missing_at_the_end_of_a_full_file_is_damage_and_named() {
    let disk = disk();
    let mut journal = Journal::open(&disk, &config(0)).unwrap();
    for offset in 0..10 {
        push(&mut journal, 0, offset);
        write(&mut journal);
    }
    let path = Path::new(LOG_DIR).join(JournalName { shard: 0, slot: 0 }.to_string());
    let file = disk.open(&path, OpenMode::Existing).unwrap();
    file.write_all_at([&[0; DIRECT_ALIGN][..], &[]], 7 * DIRECT_ALIGN as u64).unwrap();
    let error = read_all(&disk, Path::new(LOG_DIR)).unwrap_err().to_string();
    assert!(error.contains("logmill.journal.0.0") && error.contains("frame 8 is missing"), "{error}");
}

#[test]
fn frames_of_an_earlier_generation_behind_the_newest_one_are_not_taken() {
    let disk = disk();
    let mut first = Journal::open(&disk, &config(0)).unwrap();
    for offset in 0..6 {
        push(&mut first, 0, offset);
        write(&mut first);
    }
    let found = read_all(&disk, Path::new(LOG_DIR)).unwrap();
    let mut second =
        Journal::open(&disk, &JournalConfig { first_generation: found.next_generation, ..config(0) })
            .unwrap();
    push(&mut second, 0, 100);
    write(&mut second);
    let mut recovered = read_all(&disk, Path::new(LOG_DIR)).unwrap();
    assert_eq!(pieces(&recovered.take(id(0))), [100]);
    assert_eq!(recovered.next_generation, 3);
}

#[test]
fn the_newest_state_wins_whatever_the_number_of_shards_was() {
    let disk = disk();
    let mut old = Journal::open(&disk, &config(3)).unwrap();
    old.set_state(state(0, 5));
    push(&mut old, 0, 5);
    write(&mut old);
    let next = read_all(&disk, Path::new(LOG_DIR)).unwrap().next_generation;
    let mut new = Journal::open(&disk, &JournalConfig { first_generation: next, ..config(0) }).unwrap();
    new.set_state(state(0, 6));
    push(&mut new, 0, 6);
    write(&mut new);
    let mut recovered = read_all(&disk, Path::new(LOG_DIR)).unwrap();
    let replay = recovered.take(id(0));
    assert_eq!((pieces(&replay), replay.state), (vec![5, 6], Some(state(0, 6))));
}

#[test]
fn what_a_producer_sent_is_no_frame_however_much_it_looks_like_one() {
    let disk = disk();
    let mut forged = Journal::open(&disk, &JournalConfig { nonce: 1, ..config(0) }).unwrap();
    for offset in 0..3 {
        push(&mut forged, 0, 1_000 + offset);
        write(&mut forged);
    }
    // Generation and sequence fit, behind the first frame of this journal.
    let mut journal = Journal::open(&disk, &config(0)).unwrap();
    push(&mut journal, 0, 0);
    write(&mut journal);
    let mut recovered = read_all(&disk, Path::new(LOG_DIR)).unwrap();
    assert_eq!(pieces(&recovered.take(id(0))), [0]);
}

#[test]
fn payloads_of_states_take_a_share_of_a_file_and_points_count_without_them() {
    let disk = disk();
    let mut journal = Journal::open(&disk, &config(0)).unwrap();
    let room = (FILE_BYTES / PAYLOADS_SHARE) as usize;
    let with_payload = |index, len| StateRecord { payload: vec![7; len], ..state(index, 5) };
    for (index, len) in [(0, room), (1, 1), (0, room - 10), (2, 10), (3, 1)] {
        journal.set_state(with_payload(index, len));
    }
    journal.forget(id(2));
    journal.set_state(with_payload(4, 10));
    write(&mut journal);
    let mut recovered = read_all(&disk, Path::new(LOG_DIR)).unwrap();
    let mut payload_len = |index| recovered.take(id(index)).state.map(|state| state.payload.len());
    let found = [0, 1, 2, 3, 4].map(&mut payload_len);
    assert_eq!(found, [Some(room - 10), Some(0), None, Some(0), Some(10)]);
}
