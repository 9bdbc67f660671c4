//! What becomes of bytes and lengths.

use super::*;

#[test]
fn a_write_without_a_sync_may_vanish_and_may_stay() {
    let (disk, file) = disk_with_file();
    write(&file, b"abc", 0);
    let left = after_crashes(&disk);
    let expected = [b"".to_vec(), b"abc".to_vec(), vec![0; 3]].map(Some);
    assert_eq!(left, expected.into(), "nothing, the bytes, or their length alone");
    assert_eq!(disk.after_kill().read(Path::new(FILE)).unwrap(), b"abc", "a kill leaves the page cache");
}

#[test]
fn of_a_torn_write_any_sectors_are_there_each_whole() {
    let (disk, file) = disk_with_file();
    write(&file, &[1; 4 * 512], 0);
    file.sync().unwrap();
    write(&file, &[2; 3 * 512], 256);
    let mut seen = BTreeSet::new();
    for left in after_crashes(&disk) {
        let left = left.unwrap();
        assert_eq!(left.len(), 4 * 512);
        let mut kept = Vec::new();
        for (number, sector) in left.chunks(512).enumerate() {
            let (old, new): (Vec<u8>, Vec<u8>) = (
                vec![1; 512],
                match number {
                    0 => [[1; 256], [2; 256]].concat(),
                    3 => [[2; 256], [1; 256]].concat(),
                    _ => vec![2; 512],
                },
            );
            assert!(sector == old || sector == new, "sector {number} is torn");
            kept.push(sector == new);
        }
        seen.insert(kept);
    }
    assert_eq!(seen.len(), 16, "every subset turns up");
}

#[test]
fn a_sector_may_be_left_as_it_was_between_two_writes() {
    let (disk, file) = disk_with_file();
    write(&file, b"000", 0);
    file.sync().unwrap();
    write(&file, b"1", 0);
    write(&file, b"2", 1);
    let expected = [b"000", b"100", b"120"].map(|bytes| Some(bytes.to_vec()));
    assert_eq!(after_crashes(&disk), expected.into());
}

#[test]
fn a_length_is_pending_like_bytes() {
    let (disk, file) = disk_with_file();
    write(&file, b"abcdef", 0);
    file.sync().unwrap();
    file.set_len(2).unwrap();
    file.set_len(4).unwrap();
    let lens: BTreeSet<usize> = after_crashes(&disk).into_iter().map(|left| left.unwrap().len()).collect();
    assert_eq!(lens, [2, 4, 6].into());
    assert_eq!(disk.read(Path::new(FILE)).unwrap(), b"ab\0\0", "what was cut reads as zeros");
    file.sync().unwrap();
    assert_eq!(after_crashes(&disk), [Some(b"ab\0\0".to_vec())].into());
}

#[test]
fn dropping_the_page_cache_keeps_what_is_dirty() {
    let (disk, file) = disk_with_file();
    write(&file, b"abc", 0);
    disk.drop_caches();
    assert_eq!(disk.read(Path::new(FILE)).unwrap(), b"abc");
}

#[test]
fn a_direct_write_is_durable_when_it_returns_and_any_sectors_of_it_before() {
    let (disk, file) = disk_with_file();
    file.allocate(2 * DIRECT_ALIGN as u64).unwrap();
    disk.settle();
    let file = direct(&disk);
    disk.crash_at(disk.steps());
    file.write_all_at([aligned(1, 2).as_slice(), b""], 0).unwrap_err();
    let torn = after_crashes(&disk);
    assert!(torn.len() > 20, "only {} outcomes", torn.len());
    assert!(torn.iter().flatten().all(|left| left.len() == 2 * DIRECT_ALIGN));

    let (disk, _file) = disk_with_file();
    direct(&disk).write_all_at([aligned(1, 2).as_slice(), b""], 0).unwrap();
    assert_eq!(after_crashes(&disk), [Some(vec![1; 2 * DIRECT_ALIGN])].into());
}

#[test]
fn a_direct_write_makes_nothing_else_durable() {
    let (disk, file) = disk_with_file();
    write(&file, &[1; 3 * DIRECT_ALIGN], 0);
    direct(&disk).write_all_at([aligned(2, 1).as_slice(), b""], DIRECT_ALIGN as u64).unwrap();
    for left in after_crashes(&disk).into_iter().flatten() {
        assert!(left[DIRECT_ALIGN..2 * DIRECT_ALIGN].iter().all(|byte| *byte == 2));
    }
    assert!(after_crashes(&disk).iter().flatten().any(|left| left[0] == 0));
}

#[test]
fn direct_calls_that_are_not_aligned_are_refused_as_the_kernel_does() {
    let (disk, _file) = disk_with_file();
    let (file, buf) = (direct(&disk), aligned(1, 1));
    for (bytes, position) in
        [(&buf.as_slice()[..512], 0), (buf.as_slice(), 512), (&[1; DIRECT_ALIGN + 1][1..], 0)]
    {
        let refused = file.write_all_at([bytes, b""], position).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
    }
    assert!(file.is_direct());
}
