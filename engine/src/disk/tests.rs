//! What every maker of a disk answers alike.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::os::OsDisk;
use super::sim::SimDisk;
use super::*;

/// A disk and a directory on it to work in.
struct Place {
    name: &'static str,
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    sim: Option<SimDisk>,
    _temporary: Option<tempfile::TempDir>,
}

/// Every maker that there is on this machine.
fn places() -> Vec<Place> {
    let kernel = |name, disk: OsDisk| {
        let temporary = tempfile::tempdir().unwrap();
        let dir = temporary.path().to_owned();
        Place { name, disk: Arc::new(disk), dir, sim: None, _temporary: Some(temporary) }
    };
    let helper = OsDisk::with_helper(|work| std::thread::Builder::new().spawn(work).map(drop));
    let mut places = vec![kernel("helper", helper)];
    if uring::is_granted() {
        places.push(kernel("uring", OsDisk::with_uring()));
    }
    let (sim, dir) = (SimDisk::new(1), PathBuf::from("/data"));
    sim.create_dir_all(&dir).unwrap();
    let disk = Arc::new(sim.clone());
    places.push(Place { name: "sim", disk, dir, sim: Some(sim), _temporary: None });
    places
}

/// Runs a script on every maker: what it observes is the same.
fn check_alike(script: impl Fn(&Place) -> Vec<String>) {
    let observed: Vec<_> = places().iter().map(|place| (place.name, script(place))).collect();
    let (_, expected) = &observed[0];
    assert!(!expected.is_empty());
    for (name, observed) in &observed {
        assert_eq!(observed, expected, "{name}");
    }
}

fn errno<T>(result: io::Result<T>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn list(place: &Place, dir: &Path) -> String {
    let entries = place.disk.list(dir).unwrap().into_iter();
    let shown: Vec<_> = entries.map(|entry| (entry.name, entry.is_dir, entry.len)).collect();
    format!("{shown:?}")
}

fn read(file: &OpenFile, position: u64, len: usize) -> String {
    let mut buf = vec![0xee; len];
    let read = file.read_at(&mut buf, position).unwrap();
    format!("{read}: {:?}", &buf[..read])
}

#[test]
fn files_hold_what_was_written_to_them() {
    check_alike(|place| {
        let path = place.dir.join("file");
        let file = place.disk.open(&path, OpenMode::CreateNew).unwrap();
        file.write_all_at([b"hello ", b"world"], 0).unwrap();
        file.write_all_at([b"", b"!"], 600).unwrap();
        let mut seen =
            vec![read(&file, 0, 20), read(&file, 598, 20), read(&file, 601, 5), read(&file, 9_999, 5)];
        file.set_len(8).unwrap();
        file.set_len(12).unwrap();
        seen.push(read(&file, 0, 20));
        file.allocate(5_000).unwrap();
        file.allocate(4_000).unwrap();
        file.sync().unwrap();
        file.drop_cached().unwrap();
        seen.push(format!("{} {}", file.len().unwrap(), file.is_empty().unwrap()));
        seen.push(format!("{:?}", place.disk.read(&path).unwrap()));
        let emptied = place.disk.open(&path, OpenMode::Replace).unwrap();
        seen.push(format!("{} {}", emptied.len().unwrap(), file.is_empty().unwrap()));
        seen.push(format!("{}", file.is_direct()));
        seen
    });
}

#[test]
fn names_come_and_go_alike() {
    check_alike(|place| {
        let at = |name: &str| place.dir.join(name);
        let open = |name: &str, mode| errno(place.disk.open(&at(name), mode));
        place.disk.create_dir_all(&at("a/b/c")).unwrap();
        place.disk.create_dir_all(&at("a/b")).unwrap();
        let mut seen = vec![list(place, &place.dir), list(place, &at("a"))];
        for name in ["a/b/z", "a/b/x", "a/f"] {
            let file = place.disk.open(&at(name), OpenMode::CreateNew).unwrap();
            file.write_all_at([name.as_bytes(), b""], 0).unwrap();
        }
        seen.push(list(place, &at("a/b")));
        let kept = place.disk.open(&at("a/b/z"), OpenMode::Existing).unwrap();
        seen.push(errno(place.disk.rename(&at("a/b/x"), &at("a/b/z"))));
        seen.push(read(&kept, 0, 10));
        seen.push(errno(place.disk.rename(&at("a/b"), &at("d"))));
        seen.extend([list(place, &at("a")), list(place, &at("d"))]);
        seen.push(errno(place.disk.sync_dir(&at("d"))));
        for mode in [OpenMode::Existing, OpenMode::Direct, OpenMode::Directory] {
            seen.extend(["d", "d/z", "missing", "missing/x", "d/z/x"].map(|name| open(name, mode)));
        }
        for mode in [OpenMode::CreateNew, OpenMode::Replace] {
            seen.extend(["d", "d/z", "missing/x", "d/z/x"].map(|name| open(name, mode)));
        }
        for (from, to) in
            [("missing", "x"), ("d/z", "d/c"), ("d", "d/z"), ("a", "d"), ("d", "d/e"), ("d/z", "q/r")]
        {
            // Which of the two a full directory is answered with is the file system's choice.
            let said =
                errno(place.disk.rename(&at(from), &at(to))).replace("DirectoryNotEmpty", "AlreadyExists");
            seen.push(format!("{from} to {to}: {said}"));
        }
        seen.extend(["d", "missing"].map(|name| errno(place.disk.remove_file(&at(name)))));
        seen.push(errno(place.disk.read(&at("d"))));
        seen.push(errno(place.disk.read(&at("missing"))));
        seen.push(errno(place.disk.list(&at("missing"))));
        seen.push(errno(place.disk.create_dir_all(&at("d/z"))));
        seen.push(errno(place.disk.sync_dir(&at("missing"))));
        seen.push(errno(place.disk.space(&at("missing"))));
        seen.push(errno(place.disk.lock(&at("lock"))));
        seen.push(errno(place.disk.lock(&at("d/z"))));
        seen.push(errno(place.disk.remove_dir_all(&at("missing"))));
        seen.push(errno(place.disk.remove_dir_all(&at("d"))));
        seen.push(list(place, &place.dir));
        seen
    });
}

/// So often a directory is listed while files in it come and go.
const LISTINGS: usize = 2_000;
const FILES_THAT_COME_AND_GO: usize = 50;

#[test]
fn a_directory_can_be_listed_while_files_in_it_come_and_go() {
    for place in places().iter().filter(|place| place.sim.is_none()) {
        let at = |name: &str| place.dir.join(name);
        place.disk.open(&at("stays"), OpenMode::CreateNew).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let names = (0..FILES_THAT_COME_AND_GO).map(|number| at(&format!("goes-{number}")));
                    let names: Vec<PathBuf> = names.collect();
                    names.iter().for_each(|name| drop(place.disk.open(name, OpenMode::Replace).unwrap()));
                    names.iter().for_each(|name| place.disk.remove_file(name).unwrap());
                }
            });
            let failed = (0..LISTINGS).find_map(|_| match place.disk.list(&place.dir) {
                Ok(entries) if entries.iter().any(|entry| entry.name == "stays") => None,
                listed => Some(listed),
            });
            is_over.store(true, Ordering::Relaxed);
            assert!(failed.is_none(), "{}: {failed:?}", place.name);
        });
    }
}

#[test]
fn a_file_says_when_it_was_modified() {
    for place in places() {
        let path = place.dir.join("file");
        let file = place.disk.open(&path, OpenMode::CreateNew).unwrap();
        match &place.sim {
            Some(sim) => {
                assert_eq!(file.modified_ms().unwrap(), i64::MAX, "nobody has said when");
                sim.set_modified(&path, 1_234_567).unwrap();
            }
            None => {
                let time = std::time::UNIX_EPOCH + Duration::from_millis(1_234_567);
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                file.set_modified(time).unwrap();
            }
        }
        assert_eq!(file.modified_ms().unwrap(), 1_234_567, "{}", place.name);
    }
}

#[test]
fn a_file_system_has_room_and_says_how_much() {
    for place in places() {
        let space = place.disk.space(&place.dir).unwrap();
        assert!(space.free > 0 && space.free <= space.total, "{}: {space:?}", place.name);
    }
}

#[test]
fn a_direct_file_is_written_and_read_in_blocks_and_its_end_may_lie_inside_of_one() {
    check_alike(|place| {
        let path = place.dir.join("file");
        let file = place.disk.open(&path, OpenMode::CreateNew).unwrap();
        file.write_all_at([b"abc", b""], 2 * DIRECT_ALIGN as u64).unwrap();
        file.sync().unwrap();
        let direct = place.disk.open(&path, OpenMode::Direct).unwrap();
        let mut buf = AlignedBuf::zeroed(DIRECT_ALIGN);
        buf.as_mut_slice().fill(7);
        direct.write_all_at([buf.as_slice(), b""], 0).unwrap();
        let mut seen = vec![read(&file, DIRECT_ALIGN as u64 - 1, 2)];
        let mut all = AlignedBuf::zeroed(4 * DIRECT_ALIGN);
        let len = direct.read_at(all.as_mut_slice(), 0).unwrap();
        seen.push(format!("{len}: {:?}", &all.as_slice()[..len]));
        seen.push(format!("{}", direct.read_at(all.as_mut_slice(), 4 * DIRECT_ALIGN as u64).unwrap()));
        seen
    });
}

/// Reaps until so many have come, or a minute has gone by.
fn reap(place: &Place, queue: &mut dyn IoQueue, count: usize) -> Vec<IoDone> {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut done = Vec::new();
    while done.len() < count && Instant::now() < deadline {
        let owner = place.sim.as_ref().map(|sim| sim.queues().remove(0));
        if let Some(owner) = owner.filter(|owner| owner.in_flight() > 0) {
            owner.finish(0, Ok(()));
        }
        queue.reap(&mut done);
        std::thread::yield_now();
    }
    done.sort_by_key(|done| done.token);
    done
}

#[test]
fn a_queue_finishes_every_write_and_sync_once_and_gives_the_memory_back() {
    check_alike(|place| {
        let mut queue = place.disk.io_queue().unwrap();
        let dir = place.disk.open(&place.dir, OpenMode::Directory).unwrap();
        let path = place.dir.join("file");
        let plain = place.disk.open(&path, OpenMode::CreateNew).unwrap();
        let direct = place.disk.open(&path, OpenMode::Direct).unwrap();
        for (token, file) in (0..8).zip([&plain, &direct].into_iter().cycle()) {
            let mut buf = AlignedBuf::zeroed(2 * DIRECT_ALIGN);
            buf.as_mut_slice().fill(token as u8);
            queue.write(file, buf, 2 * token * DIRECT_ALIGN as u64, token).unwrap();
        }
        queue.sync(&plain, SyncKind::Data, 8).unwrap();
        queue.sync(&dir, SyncKind::Entries, 9).unwrap();
        let done = reap(place, &mut *queue, 10);
        let shown = done.iter().map(|done| {
            let len = done.buf.as_ref().map(AlignedBuf::len);
            format!("{} {} {len:?}", done.token, done.result.is_ok())
        });
        let mut seen: Vec<_> = shown.collect();
        // From the file's beginning, across its end, and behind it.
        for position in [0, 15 * DIRECT_ALIGN as u64, 100 * DIRECT_ALIGN as u64] {
            queue.read_in(&plain, AlignedBuf::zeroed(3 * DIRECT_ALIGN), position, 10).unwrap();
            let done = reap(place, &mut *queue, 1).remove(0);
            let len = done.buf.as_ref().map(AlignedBuf::len);
            let is_cached = plain.is_cached(position, 3 * DIRECT_ALIGN as u32);
            seen.push(format!("{} {} {len:?} {is_cached}", done.token, done.result.is_ok()));
        }
        seen.extend((0..8).map(|token| read(&plain, 2 * token * DIRECT_ALIGN as u64, 3)));
        seen
    });
}
