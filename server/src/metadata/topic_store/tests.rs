//! Topics on disks that lose power, fail and are damaged.

use logmill_engine::disk::sim::{Effect, Fault, Operation, SimDisk};
use rustix::io::Errno;

use super::*;

fn store(disk: &SimDisk) -> TopicStore {
    let dirs: Vec<PathBuf> = vec!["/a".into(), "/b".into()];
    for dir in &dirs {
        disk.create_dir_all(dir).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
    }
    TopicStore::new(Arc::new(disk.clone()), dirs, Pace::OneByOne)
}

fn topic(name: &str, dirs: &[usize]) -> Arc<Topic> {
    let settings = [("segment.bytes".to_owned(), "2097152".to_owned())];
    Arc::new(Topic {
        name: Text::from(name),
        id: Uuid([name.len() as u8; 16]),
        dirs: dirs.to_vec(),
        overrides: TopicOverrides::accepted(settings.into()),
    })
}

fn image(topics: &[&Arc<Topic>]) -> Image {
    let mut image = Image::default();
    topics.iter().for_each(|topic| image.insert(Arc::clone(topic)));
    image
}

/// What a start that must be refused says.
fn refusal(disk: &SimDisk) -> String {
    store(disk).load().unwrap_err().to_string()
}

fn replace(disk: &SimDisk, file: &str, from: &str, to: &str) {
    let content = String::from_utf8(disk.read(Path::new(file)).unwrap()).unwrap();
    assert!(content.contains(from), "{content}");
    replace_file(disk, Path::new(file), content.replace(from, to).as_bytes()).unwrap();
}

fn names(image: &Image) -> Vec<String> {
    image.topics().map(|topic| topic.name.to_string()).collect()
}

/// What a kill and some power cuts leave in the middle of the step of `change` that is numbered
/// `crash_at`; nothing when it takes fewer.
fn crashed(change: impl Fn(&TopicStore), before: &SimDisk, crash_at: u64) -> Vec<SimDisk> {
    let disk = before.after_kill();
    let store = store(&disk);
    disk.crash_at(disk.steps() + crash_at);
    change(&store);
    if !disk.is_off() {
        return Vec::new();
    }
    (0..8).map(|seed| disk.after_crash(seed)).chain([disk.after_kill()]).collect()
}

/// Checks what every kill and power cut during `change` leaves; says how many places there were.
fn crash_everywhere(change: impl Fn(&TopicStore), before: &SimDisk, check: impl Fn(&SimDisk, u64)) -> u64 {
    for crash_at in 0.. {
        let left = crashed(&change, before, crash_at);
        if left.is_empty() {
            return crash_at;
        }
        left.iter().for_each(|disk| check(disk, crash_at));
    }
    unreachable!("a change ends")
}

#[test]
fn a_creation_cut_short_anywhere_is_whole_or_nothing_after_the_next_start() {
    let before = SimDisk::default();
    let made = topic("orders", &[0, 1, 0]);
    let create = |store: &TopicStore| {
        drop(store.create(&Image::default(), std::slice::from_ref(&made)));
    };
    let places = crash_everywhere(create, &before, |disk, crash_at| {
        let image = store(disk).load().unwrap();
        if let Some(found) = image.by_name("orders") {
            assert_eq!((found.id, found.dirs.len()), (made.id, 3), "crash at {crash_at}");
            assert_eq!(found.overrides, made.overrides, "crash at {crash_at}");
        }
        let again = store(disk).load().unwrap();
        assert_eq!(names(&again), names(&image), "crash at {crash_at}");
    });
    assert!(places >= 10, "only {places} places to crash");
}

#[test]
fn a_deletion_cut_short_anywhere_leaves_all_of_the_topic_or_nothing() {
    let before = SimDisk::default();
    let (kept, gone) = (topic("kept", &[0]), topic("orders", &[0, 1, 0]));
    store(&before).create(&Image::default(), &[kept.clone(), gone.clone()]).unwrap();
    let (all, remaining) = (image(&[&kept, &gone]), image(&[&kept]));
    let delete = |store: &TopicStore| {
        let gone = std::slice::from_ref(&gone);
        let _ = store.delete(&all, gone).and_then(|()| store.finish_deletion(&remaining, gone));
    };
    let places = crash_everywhere(delete, &before, |disk, crash_at| {
        let image = store(disk).load().unwrap();
        match image.by_name("orders") {
            Some(found) => assert_eq!(found.dirs, gone.dirs, "crash at {crash_at}"),
            None => {
                let left = ["/a", "/b"].map(|dir| disk.list(Path::new(dir)).unwrap()).concat();
                let left = left.into_iter().filter(|entry| entry.name.starts_with("orders"));
                assert_eq!(left.count(), 0, "crash at {crash_at}");
            }
        }
        assert!(image.by_name("kept").is_some(), "crash at {crash_at}");
    });
    assert!(places >= 10, "only {places} places to crash");
}

#[test]
fn a_live_topic_without_one_of_its_partitions_stops_the_start_and_nothing_is_made() {
    let disk = SimDisk::default();
    store(&disk).create(&Image::default(), &[topic("orders", &[0, 1])]).unwrap();
    // As if the second disk had not been mounted.
    disk.remove_dir_all(Path::new("/b")).unwrap();
    for _ in 0..2 {
        let error = refusal(&disk);
        for part in ["topic orders", "orders-1", "/a, /b"] {
            assert!(error.contains(part), "{error}");
        }
    }
    assert_eq!(disk.list(Path::new("/b")).unwrap(), []);
}

#[test]
fn directories_without_a_line_are_refused_where_their_numbers_leave_a_gap() {
    for index in [1, 2_000_000_000] {
        let disk = SimDisk::default();
        let store = store(&disk);
        let id = PartitionId { topic: Uuid([1; 16]), index };
        directory::create(&disk, Path::new("/a"), "x", id).unwrap();
        let error = store.load().unwrap_err().to_string();
        assert!(error.contains("x-0 is in none of"), "{error}");
    }
}

#[test]
fn a_deletion_that_fails_in_its_first_step_changes_nothing() {
    for operation in [Operation::Create, Operation::Write, Operation::Sync, Operation::Rename] {
        let disk = SimDisk::default();
        let store = store(&disk);
        let orders = topic("orders", &[0, 1]);
        store.create(&Image::default(), std::slice::from_ref(&orders)).unwrap();
        disk.arm(Fault::new(operation, Effect::Fail(Errno::IO)));
        store.delete(&image(&[&orders]), std::slice::from_ref(&orders)).unwrap_err();
        assert_eq!(names(&store.load().unwrap()), ["orders"], "failing {operation:?}");
    }
}

#[test]
fn what_a_failed_deletion_left_is_neither_overwritten_nor_taken_up() {
    let disk = SimDisk::default();
    let store = store(&disk);
    let (old, other) = (topic("orders", &[0]), topic("other", &[1]));
    store.create(&Image::default(), std::slice::from_ref(&old)).unwrap();
    store.delete(&image(&[&old]), std::slice::from_ref(&old)).unwrap();
    disk.arm(Fault::new(Operation::Rename, Effect::Fail(Errno::IO)));
    store.finish_deletion(&Image::default(), std::slice::from_ref(&old)).unwrap_err();

    let again = Arc::new(Topic { id: Uuid([99; 16]), ..(*old).clone() });
    let error = store.create(&Image::default(), std::slice::from_ref(&again)).unwrap_err().to_string();
    assert!(error.contains("/a/orders-0"), "{error}");
    let topics = || {
        let dirs = directory::find_named(&disk, Path::new("/a")).unwrap();
        let found = dirs.into_iter().filter_map(|dir| dir.identify(&disk).unwrap());
        found.map(|found| found.id.topic).collect::<Vec<_>>()
    };
    assert_eq!(topics(), [old.id]);

    store.create(&Image::default(), std::slice::from_ref(&other)).unwrap();
    assert_eq!(names(&store.load().unwrap()), ["other"]);
    assert_eq!(topics(), []);
    store.create(&image(&[&other]), &[again]).unwrap();
}

#[test]
fn settings_and_producer_ids_are_found_in_whatever_order_log_directories_are_named() {
    let disk = SimDisk::default();
    let made = topic("orders", &[0]);
    store(&disk).create(&Image::default(), std::slice::from_ref(&made)).unwrap();
    let given = store(&disk).take_producer_ids(0).unwrap();

    let reordered = TopicStore::new(Arc::new(disk.clone()), vec!["/b".into(), "/a".into()], Pace::OneByOne);
    let image = reordered.load().unwrap();
    let found = image.by_name("orders").unwrap();
    assert_eq!((&found.dirs[..], &found.overrides), (&[1][..], &made.overrides));
    assert_eq!(reordered.take_producer_ids(0).unwrap().start, given.end);
    assert_eq!(disk.list(Path::new("/b")).unwrap(), []);

    replace_file(&disk, Path::new("/b/logmill.producer-ids"), b"1000\n").unwrap();
    let error = refusal(&disk);
    assert!(error.contains("are in /a, /b"), "{error}");
}

#[test]
fn topics_of_apache_kafkas_metadata_log_have_its_settings_and_no_lines() {
    let disk = SimDisk::default();
    let made = topic("orders", &[0]);
    store(&disk).create(&Image::default(), std::slice::from_ref(&made)).unwrap();
    let apaches = ApacheTopics::of(made.id, "orders", ("retention.ms", "-1"));
    let beside = store(&disk).with_apache(Some(apaches));
    let image = beside.load().unwrap();
    let settings = &image.by_name("orders").unwrap().overrides;
    assert_eq!(settings.iter().collect::<Vec<_>>(), [("retention.ms", "-1")]);
    assert!(beside.is_apaches().unwrap() && !store(&disk).is_apaches().unwrap());
    assert_eq!(beside.take_producer_ids(0).unwrap().start, FIRST_BESIDE_APACHES);
    beside.create(&image, &[topic("another", &[1])]).unwrap();
    assert!(!beside.is_apaches().unwrap(), "one was made here");
    let image = beside.load().unwrap();
    assert_eq!(names(&image), ["another", "orders"]);
    assert!(!beside.is_apaches().unwrap());
}

#[test]
fn a_damaged_setting_stops_the_start_and_is_named() {
    for state in ["live", "making"] {
        let disk = SimDisk::default();
        store(&disk).create(&Image::default(), &[topic("orders", &[0])]).unwrap();
        replace(&disk, "/a/logmill.topics", "2097152", "2o97152");
        replace(&disk, "/a/logmill.topics", "live", state);
        let error = refusal(&disk);
        for part in ["/a/logmill.topics", "topic orders", "2o97152", "segment.bytes"] {
            assert!(error.contains(part), "{error}");
        }
    }
}

#[test]
fn directories_without_a_line_are_taken_up() {
    let disk = SimDisk::default();
    store(&disk).create(&Image::default(), &[topic("orders", &[0, 1])]).unwrap();
    disk.remove_file(Path::new("/a/logmill.topics")).unwrap();
    let image = store(&disk).load().unwrap();
    assert_eq!(image.by_name("orders").unwrap().dirs, [0, 1]);
}

#[test]
fn a_partition_in_two_directories_is_refused_and_both_are_named() {
    let disk = SimDisk::default();
    store(&disk).create(&Image::default(), &[topic("orders", &[0])]).unwrap();
    let id = PartitionId { topic: topic("orders", &[0]).id, index: 0 };
    directory::create(&disk, Path::new("/b"), "orders", id).unwrap();
    let error = store(&disk).load().unwrap_err().to_string();
    assert!(error.contains("orders-0 lies in /a and in /b"), "{error}");
}

#[test]
fn a_damaged_file_stops_the_start_and_is_named() {
    for file in ["logmill.topics", "logmill.producer-ids"] {
        let disk = SimDisk::default();
        let store = store(&disk);
        replace_file(&disk, &Path::new("/a").join(file), b"nonsense").unwrap();
        let error = match file {
            "logmill.topics" => store.load().unwrap_err(),
            _ => store.take_producer_ids(0).unwrap_err(),
        };
        assert!(error.to_string().contains(file), "{error}");
    }
}

#[test]
fn producer_ids_are_never_given_out_twice_whatever_a_crash_leaves() {
    let before = SimDisk::default();
    let given = store(&before).take_producer_ids(0).unwrap();
    let take = |store: &TopicStore| drop(store.take_producer_ids(0));
    let places = crash_everywhere(take, &before, |disk, crash_at| {
        let next = store(disk).take_producer_ids(0).unwrap();
        assert!(next.start >= given.end, "crash at {crash_at}: {next:?} after {given:?}");
    });
    assert!(places >= 2, "only {places} places to crash");
}
