//! What goes wrong when it is told to.

use rustix::io::Errno;

use super::*;
use crate::disk::SyncKind;

#[test]
fn what_is_allocated_reads_as_zeros_and_needs_no_room_any_more() {
    let (disk, file) = disk_with_file();
    disk.limit_space(Path::new(DIR), 16 * 512);
    file.allocate(16 * 512).unwrap();
    assert_eq!(disk.space(Path::new(DIR)).unwrap().free, 0);
    assert_eq!(disk.read(Path::new(FILE)).unwrap(), [0; 16 * 512]);
    let other = disk.open(Path::new("/data/other"), OpenMode::CreateNew).unwrap();
    let refused = other.write_all_at([b"x", b""], 0).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::StorageFull);
    write(&file, &[1; 16 * 512], 0);
    let refused = file.allocate(17 * 512).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::StorageFull);
}

#[test]
fn a_write_that_finds_too_little_room_leaves_a_beginning() {
    let (disk, file) = disk_with_file();
    disk.limit_space(Path::new(DIR), 1024);
    let refused = file.write_all_at([&[1; 700], &[2; 700]], 0).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 1024);
    disk.remove_file(Path::new(FILE)).unwrap();
    assert_eq!(disk.space(Path::new(DIR)).unwrap().free, 1024);
}

#[test]
fn after_a_failed_sync_the_bytes_can_be_read_and_are_gone_with_the_page_cache() {
    let (disk, file) = disk_with_file();
    write(&file, b"old", 0);
    file.sync().unwrap();
    write(&file, b"new", 0);
    disk.arm(Fault::new(Operation::Sync, Effect::Fail(Errno::IO)));
    assert_eq!(file.sync().unwrap_err().raw_os_error(), Some(Errno::IO.raw_os_error()));
    file.sync().unwrap();
    assert_eq!(disk.read(Path::new(FILE)).unwrap(), b"new");
    assert_eq!(disk.after_kill().read(Path::new(FILE)).unwrap(), b"new");
    let mut block = AlignedBuf::zeroed(DIRECT_ALIGN);
    assert_eq!(direct(&disk).read_at(block.as_mut_slice(), 0).unwrap(), 3);
    assert_eq!(&block.as_slice()[..3], b"old", "a direct read sees the device");
    assert_eq!(after_crashes(&disk), [Some(b"old".to_vec())].into());
    file.drop_cached().unwrap();
    assert_eq!(disk.read(Path::new(FILE)).unwrap(), b"old");
}

#[test]
fn a_fault_hits_the_operation_the_path_and_the_number_that_it_names() {
    let disk = disk();
    let [a, b] = ["/data/a", "/data/b"].map(|path| disk.open(Path::new(path), OpenMode::CreateNew).unwrap());
    disk.arm(Fault::new(Operation::Write, Effect::Fail(Errno::IO)).on("/b").after(1).times(2));
    let results =
        |file: &OpenFile| (0..4).map(|at| file.write_all_at([b"x", b""], at).is_ok()).collect::<Vec<_>>();
    assert_eq!(results(&a), [true, true, true, true]);
    assert_eq!(results(&b), [true, false, false, true]);
}

#[test]
fn a_short_write_is_an_error_that_leaves_a_beginning_across_its_parts() {
    let mut lens = BTreeSet::new();
    for seed in 0..50 {
        let disk = SimDisk::new(seed);
        let file = disk.open(Path::new("/file"), OpenMode::CreateNew).unwrap();
        disk.arm(Fault::new(Operation::Write, Effect::Short));
        file.write_all_at([b"abc", b"def"], 0).unwrap_err();
        let left = disk.read(Path::new("/file")).unwrap();
        assert!(b"abcdef".starts_with(&left), "{left:?}");
        lens.insert(left.len());
    }
    assert_eq!(lens, (0..6).collect());
}

#[test]
fn a_flipped_bit_is_in_what_is_read_and_not_in_the_file() {
    let (disk, file) = disk_with_file();
    write(&file, &[0; 100], 0);
    disk.arm(Fault::new(Operation::Read, Effect::FlipBit));
    let flipped = disk.read(Path::new(FILE)).unwrap();
    assert_eq!(flipped.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    assert_eq!(disk.read(Path::new(FILE)).unwrap(), [0; 100]);
    disk.damage(Path::new(FILE), 7, 0x40).unwrap();
    assert_eq!(disk.read(Path::new(FILE)).unwrap()[7], 0x40);
}

#[test]
fn after_the_power_is_gone_nothing_works_and_nothing_changes() {
    let (disk, file) = disk_with_file();
    write(&file, b"abc", 0);
    file.sync().unwrap();
    let mut queue = disk.io_queue().unwrap();
    queue.sync(&file, SyncKind::Data, 1).unwrap();
    disk.crash_at(disk.steps());
    file.write_all_at([b"xyz", b""], 0).unwrap_err();
    assert!(disk.is_off());
    let path = Path::new(FILE);
    assert!(file.sync().is_err() && file.len().is_err() && disk.read(path).is_err());
    assert!(
        disk.open(Path::new("/missing"), OpenMode::Existing).unwrap_err().kind()
            != std::io::ErrorKind::NotFound
    );
    assert!(disk.rename(path, Path::new("/data/x")).is_err() && disk.remove_file(path).is_err());
    assert!(queue.sync(&file, SyncKind::Data, 2).is_err());
    disk.queues()[0].finish(0, Ok(()));
    let mut done = Vec::new();
    queue.reap(&mut done);
    assert!(done[0].result.is_err());
    let left = after_crashes(&disk);
    assert_eq!(left, [b"abc", b"xyz"].map(|bytes| Some(bytes.to_vec())).into());
}
