//! What becomes of names.

use rustix::io::Errno;

use super::*;
use crate::disk::replace_file;

#[test]
fn a_synced_file_stays_but_its_name_only_after_the_directorys_sync() {
    let disk = disk();
    let file = disk.open(Path::new(FILE), OpenMode::CreateNew).unwrap();
    write(&file, b"abc", 0);
    file.sync().unwrap();
    assert_eq!(after_crashes(&disk), [None, Some(b"abc".to_vec())].into());
    disk.sync_dir(Path::new(DIR)).unwrap();
    assert_eq!(after_crashes(&disk), [Some(b"abc".to_vec())].into());
}

#[test]
fn a_directorys_sync_makes_no_bytes_durable() {
    let disk = disk();
    let file = disk.open(Path::new(FILE), OpenMode::CreateNew).unwrap();
    write(&file, b"abc", 0);
    disk.sync_dir(Path::new(DIR)).unwrap();
    assert!(after_crashes(&disk).contains(&Some(Vec::new())));
}

#[test]
fn a_directory_without_a_durable_name_takes_all_it_holds_with_it() {
    let disk = disk();
    disk.create_dir_all(Path::new("/data/sub")).unwrap();
    replace_file(&disk, Path::new("/data/sub/file"), b"abc").unwrap();
    let left = names_after_crashes(&disk);
    assert_eq!(left, [vec![], vec!["sub".to_owned()]].into());
}

#[test]
fn a_rename_is_undone_or_done_but_never_half() {
    let (disk, file) = disk_with_file();
    write(&file, b"old", 0);
    let new = disk.open(Path::new("/data/new"), OpenMode::CreateNew).unwrap();
    write(&new, b"new", 0);
    disk.settle();
    disk.rename(Path::new("/data/new"), Path::new(FILE)).unwrap();
    let done = || (vec!["file".to_owned()], b"new".to_vec());
    let undone = || (vec!["file".to_owned(), "new".to_owned()], b"old".to_vec());
    let left = |disk: &SimDisk| (names(disk), disk.read(Path::new(FILE)).unwrap());
    let crashed: BTreeSet<_> = (0..SEEDS).map(|seed| left(&disk.after_crash(seed))).collect();
    assert_eq!(crashed, [done(), undone()].into());
    disk.sync_dir(Path::new(DIR)).unwrap();
    assert!((0..SEEDS).all(|seed| left(&disk.after_crash(seed)) == done()));
}

#[test]
fn a_file_renamed_twice_has_one_name() {
    let (disk, _file) = disk_with_file();
    disk.rename(Path::new(FILE), Path::new("/data/b")).unwrap();
    disk.rename(Path::new("/data/b"), Path::new("/data/c")).unwrap();
    let expected = ["file", "b", "c"].map(|name| vec![name.to_owned()]);
    assert_eq!(names_after_crashes(&disk), expected.into());
}

#[test]
fn a_removed_file_may_come_back_until_the_directorys_sync_and_is_whole_then() {
    let (disk, file) = disk_with_file();
    write(&file, b"abc", 0);
    file.sync().unwrap();
    disk.remove_file(Path::new(FILE)).unwrap();
    assert_eq!(after_crashes(&disk), [None, Some(b"abc".to_vec())].into());
    let mut read = [0; 3];
    assert_eq!(file.read_at(&mut read, 0).unwrap(), 3, "who has it open goes on reading");
    disk.sync_dir(Path::new(DIR)).unwrap();
    assert_eq!(after_crashes(&disk), [None].into());
    assert_eq!(file.read_at(&mut read, 0).unwrap(), 3);
}

#[test]
fn a_directory_that_is_being_removed_may_be_left_with_any_of_its_files() {
    let disk = disk();
    for name in ["/data/sub/a", "/data/sub/b"] {
        disk.create_dir_all(Path::new("/data/sub")).unwrap();
        disk.open(Path::new(name), OpenMode::CreateNew).unwrap();
    }
    disk.settle();
    disk.remove_dir_all(Path::new("/data/sub")).unwrap();
    let left = |disk: &SimDisk| disk.list(Path::new("/data/sub")).ok().map(|entries| entries.len());
    let crashed: BTreeSet<_> = (0..SEEDS).map(|seed| left(&disk.after_crash(seed))).collect();
    assert_eq!(crashed, [None, Some(0), Some(1), Some(2)].into());
    disk.sync_dir(Path::new(DIR)).unwrap();
    assert!((0..SEEDS).all(|seed| left(&disk.after_crash(seed)).is_none()));
}

#[test]
fn after_a_failed_sync_of_a_directory_no_later_one_makes_its_changes_durable() {
    let (disk, _file) = disk_with_file();
    disk.rename(Path::new(FILE), Path::new("/data/new")).unwrap();
    disk.arm(Fault::new(Operation::SyncDir, Effect::Fail(Errno::IO)));
    disk.sync_dir(Path::new(DIR)).unwrap_err();
    disk.sync_dir(Path::new(DIR)).unwrap();
    assert_eq!(names(&disk), ["new"]);
    assert_eq!(names_after_crashes(&disk), [vec!["file".to_owned()]].into());
}
