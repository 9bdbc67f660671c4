//! Syncs and writes of a queue.

use rustix::io::Errno;

use super::*;
use crate::disk::SyncKind;

#[test]
fn a_queued_sync_covers_what_was_written_before_it_was_submitted() {
    let (disk, file) = disk_with_file();
    let mut queue = disk.io_queue().unwrap();
    write(&file, b"abc", 0);
    queue.sync(&file, SyncKind::Data, 5).unwrap();
    write(&file, b"ABCDEF", 0);
    assert!(after_crashes(&disk).contains(&Some(Vec::new())), "in flight is not durable");
    disk.queues()[0].finish(0, Ok(()));
    let left = after_crashes(&disk);
    let is_covered = |left: &Vec<u8>| left.starts_with(b"abc") || left.starts_with(b"ABC");
    assert!(left.iter().all(|left| is_covered(left.as_ref().unwrap())), "{left:?}");
    assert!(left.contains(&Some(b"abc".to_vec())), "what came later is not durable");
    let mut done = Vec::new();
    queue.reap(&mut done);
    assert_eq!(done.len(), 1);
    assert!(done[0].token == 5 && done[0].result.is_ok());
}

#[test]
fn a_queued_write_is_durable_when_it_is_finished_and_gives_its_memory_back() {
    for mode in [OpenMode::Existing, OpenMode::Direct] {
        let (disk, _file) = disk_with_file();
        let file = disk.open(Path::new(FILE), mode).unwrap();
        let mut queue = disk.io_queue().unwrap();
        queue.write(&file, aligned(1, 1), 0, 9).unwrap();
        assert!(after_crashes(&disk).contains(&Some(Vec::new())));
        disk.queues()[0].finish(0, Ok(()));
        assert_eq!(after_crashes(&disk), [Some(vec![1; DIRECT_ALIGN])].into());
        let mut done = Vec::new();
        queue.reap(&mut done);
        assert_eq!(done[0].buf.as_ref().unwrap().len(), DIRECT_ALIGN);
    }
}

/// What is left for a later process when the one write of a queue goes wrong so.
fn after_failed_write(mode: OpenMode, fault: Fault) -> (std::io::ErrorKind, BTreeSet<Option<Vec<u8>>>) {
    let (disk, _file) = disk_with_file();
    let file = disk.open(Path::new(FILE), mode).unwrap();
    let mut queue = disk.io_queue().unwrap();
    disk.arm(fault);
    queue.write(&file, aligned(1, 4), 0, 9).unwrap();
    disk.queues()[0].finish(0, Ok(()));
    let mut done = Vec::new();
    queue.reap(&mut done);
    (done.pop().unwrap().result.unwrap_err().kind(), after_crashes(&disk))
}

#[test]
fn a_queued_write_that_fails_may_leave_anything_but_never_all_of_it_for_sure() {
    for effect in [Effect::Fail(Errno::IO), Effect::Short, Effect::Fail(Errno::INTR)] {
        for mode in [OpenMode::Existing, OpenMode::Direct] {
            let (kind, left) = after_failed_write(mode, Fault::new(Operation::FinishWrite, effect));
            let expected = match effect {
                Effect::Short => std::io::ErrorKind::WriteZero,
                effect => effect.error().unwrap().kind(),
            };
            assert_eq!(kind, expected);
            assert!(left.contains(&Some(Vec::new())), "{effect:?} {mode:?}");
        }
    }
}

#[test]
fn what_is_late_is_done_after_its_release() {
    let (disk, file) = disk_with_file();
    let mut queue = disk.io_queue().unwrap();
    disk.arm(Fault::new(Operation::SubmitSync, Effect::Late));
    queue.sync(&file, SyncKind::Data, 1).unwrap();
    queue.sync(&file, SyncKind::Data, 2).unwrap();
    let owner = disk.queues().remove(0);
    assert_eq!((owner.in_flight(), owner.late()), (1, 1));
    owner.finish(0, Ok(()));
    owner.release_late();
    owner.finish(0, Ok(()));
    let mut done = Vec::new();
    queue.reap(&mut done);
    assert_eq!(done.iter().map(|done| done.token).collect::<Vec<_>>(), [2, 1]);
}
