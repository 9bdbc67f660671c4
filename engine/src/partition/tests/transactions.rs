//! Transactions: how far readers of committed records see, and what they are told to leave out.

use super::*;
use crate::format::AbortedEntry;

fn marker(id: i64, is_commit: bool) -> Bytes {
    BatchBuilder::transaction_end(id, 0, is_commit, 7, NOW_MS)
}

/// Ten records of a producer's transaction.
fn transactional(id: i64, first: i32) -> Bytes {
    let mut builder = BatchBuilder::new().producer(id, 0, first).transactional();
    (0..10).for_each(|_| record(&mut builder, NOW_MS));
    builder.finish()
}

fn stable(running: &Running) -> i64 {
    running.partition.bounds().stable
}

/// First and last offset that a reader gets from `offset` on, and whose transactions it leaves out.
fn fetched(running: &mut Running, offset: i64, isolation: Isolation) -> Option<(i64, i64, Vec<i64>)> {
    let fetched = running.partition.fetch(&mut running.cache, offset, u32::MAX, isolation).unwrap();
    let slice = fetched.slice?;
    let mut bytes = vec![0; slice.bytes.len as usize];
    let read = slice.bytes.file.read_at(&mut bytes, slice.bytes.position).unwrap();
    let mut rest = &bytes[..read];
    let mut offsets = Vec::new();
    while let Some((batch, behind)) = crate::format::BatchView::split_first(rest) {
        offsets.push((batch.header.base_offset(), batch.header.last_offset()));
        rest = behind;
    }
    let aborted = fetched.aborted.iter().map(AbortedEntry::producer_id).collect();
    Some((offsets.first()?.0, offsets.last()?.1, aborted))
}

/// Producer 1 commits, producer 2 aborts around it, producer 3 stays open; producer 4 has none.
fn some_transactions() -> Running {
    let mut running = Running::start(new_disk(0), NEW);
    for bytes in [transactional(2, 0), transactional(1, 0), marker(1, true)] {
        running.append_of_coordinator(bytes).unwrap();
    }
    running.wave().unwrap();
    assert_eq!(stable(&running), 0, "producer 2 has not decided");
    running.append_of_coordinator(transactional(3, 0)).unwrap();
    running.append_of_coordinator(marker(2, false)).unwrap();
    running.append(batch(4, 0, 0, 10)).unwrap();
    assert_eq!(stable(&running), 0, "the marker is not seen yet");
    running.wave().unwrap();
    running
}

#[track_caller]
fn check_some_transactions(running: &mut Running) {
    assert_eq!(running.partition.bounds(), Bounds { start: 0, readable: 42, stable: 21 });
    let mut offset = 0;
    let mut seen = Vec::new();
    while let Some((first, last, aborted)) = fetched(running, offset, Isolation::Committed) {
        assert!(first <= offset && last < 21);
        seen.push((offset, aborted));
        offset = last + 1;
    }
    assert_eq!(offset, 21);
    assert!(seen.iter().all(|(_, aborted)| *aborted == [2]), "{seen:?}");
    let mut offset = 0;
    while let Some((_, last, aborted)) = fetched(running, offset, Isolation::Uncommitted) {
        assert!(aborted.is_empty());
        offset = last + 1;
    }
    assert_eq!(offset, 42);
    let max = |isolation, running: &mut Running| {
        running.partition.offset_at(&mut running.cache, TimeQuery::From(NOW_MS + 5), isolation).unwrap()
    };
    assert_eq!(max(Isolation::Uncommitted, running).unwrap().offset, 37);
    assert_eq!(max(Isolation::Committed, running), None);
}

#[test]
fn readers_of_committed_records_stop_at_the_first_open_transaction_after_every_end() {
    let mut running = some_transactions();
    check_some_transactions(&mut running);
    running = running.restart();
    check_some_transactions(&mut running);
    for recovery_point in [0, 10, 25, 42] {
        running = running.kill(recovery_point);
        check_some_transactions(&mut running);
    }
    assert_eq!(running.names(".txnindex").len(), 1);
    running.append_of_coordinator(marker(3, true)).unwrap();
    running.wave().unwrap();
    assert_eq!(stable(&running), 43);
    assert_eq!(fetched(&mut running, 21, Isolation::Committed).map(|(first, ..)| first), Some(21));
}

#[test]
fn an_index_of_aborted_transactions_that_was_lost_is_built_anew_above_the_recovery_point() {
    let running = some_transactions();
    running.remove(".txnindex");
    check_some_transactions(&mut running.kill(0));
}

#[test]
fn a_transaction_that_a_cut_takes_back_is_open_again() {
    let mut running = some_transactions();
    running.partition.truncate_to(&mut running.cache, 31, NOW_MS, NOW_MS).unwrap();
    assert_eq!(running.partition.bounds(), Bounds { start: 0, readable: 31, stable: 0 });
    running.append_of_coordinator(marker(2, true)).unwrap();
    running.wave().unwrap();
    let committed = fetched(&mut running, 0, Isolation::Committed);
    assert_eq!(committed.map(|(.., aborted)| aborted), Some(Vec::new()));
    let mut running = running.kill(0);
    assert_eq!(stable(&running), 21);
    assert_eq!(fetched(&mut running, 0, Isolation::Committed).map(|(.., aborted)| aborted), Some(Vec::new()));
}

#[test]
fn an_old_coordinator_and_an_old_epoch_end_nothing() {
    let mut running = some_transactions();
    let stale = BatchBuilder::transaction_end(2, 0, true, 6, NOW_MS);
    let refused = running.append_of_coordinator(stale);
    assert!(
        matches!(refused, Err(Error::Refused(Refusal::StaleCoordinatorEpoch { current: 7, found: 6, .. }))),
        "{refused:?}"
    );
    let newer = BatchBuilder::transaction_end(3, 1, false, 7, NOW_MS);
    running.append_of_coordinator(newer).unwrap();
    let refused = running.append_of_coordinator(marker(3, true));
    assert!(matches!(refused, Err(Error::Refused(Refusal::StaleProducerEpoch { .. }))), "{refused:?}");
    running.wave().unwrap();
    assert_eq!(stable(&running), 43);
}

#[test]
fn a_clients_batch_outside_of_its_open_transaction_is_refused() {
    let mut running = some_transactions();
    let refused = running.append(batch(3, 0, 10, 1));
    assert!(matches!(refused, Err(Error::Refused(Refusal::InTransaction { producer_id: 3 }))), "{refused:?}");
}

#[test]
fn a_start_that_moves_into_an_open_transaction_moves_what_is_stable() {
    let mut running = some_transactions();
    assert_eq!(running.partition.delete_records_before(25).unwrap(), 25);
    assert_eq!(running.partition.bounds(), Bounds { start: 25, readable: 42, stable: 25 });
    assert_eq!(fetched(&mut running, 25, Isolation::Committed), None);
    assert!(fetched(&mut running, 25, Isolation::Uncommitted).is_some());
}

#[test]
fn a_flipped_bit_in_an_index_of_aborted_transactions_is_refused_or_harmless() {
    let mut running = some_transactions();
    let path = PathBuf::from(DIR).join(running.names(".txnindex").pop().unwrap());
    running.partition.stop(&mut running.cache).unwrap();
    let known = Known { recovery_point: running.partition.recovery_point(), ..NEW };
    let mut refused = 0;
    for bit in 0..size_of::<AbortedEntry>() as u64 * 8 {
        let disk = running.disk.after_kill();
        disk.damage(&path, bit / 8, 1 << (bit % 8)).unwrap();
        let Running { mut partition, mut cache, .. } = Running::start(disk, known);
        match partition.fetch(&mut cache, 0, u32::MAX, Isolation::Committed) {
            Ok(fetched) => {
                let told =
                    |entry: &AbortedEntry| (entry.producer_id(), entry.first_offset(), entry.last_offset());
                let aborted: Vec<_> = fetched.aborted.iter().map(told).collect();
                assert_eq!(aborted, [(2, 0, 31)], "bit {bit}");
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains(".txnindex: entry at position 0: "), "bit {bit}: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused >= 26 * 8, "version, producer, and both offsets: {refused}");
}

/// Larger segments, each of several index entries.
const LARGER: LogLimits = LogLimits {
    segment_bytes: 3_000,
    segment_ms: i64::MAX,
    segment_jitter_ms: 0,
    index_bytes_max: 1 << 20,
    index_interval_bytes: 300,
};

/// A transaction as Apache Kafka's index of aborted ones has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Aborted {
    id: i64,
    first: i64,
    last: i64,
    last_stable: i64,
}

/// What a single-threaded reading of Apache Kafka's code says that it answers: `LocalLog.addAbortedTransactions`
/// with its index entries made as `LogSegment.append` makes them.
fn as_apache(running: &Running, aborted: &[Aborted], offset: i64, len_max: u32) -> Vec<i64> {
    let mut bases: Vec<(i64, Vec<u8>)> = Vec::new();
    for name in running.names(".log") {
        let bytes = running.disk.read(&PathBuf::from(DIR).join(&name)).unwrap();
        bases.push((name.trim_end_matches(".log").parse().unwrap(), bytes));
    }
    bases.sort_unstable();
    let at = bases.iter().rposition(|(base, _)| *base <= offset).unwrap();
    let (mut position, mut since_entry, mut start, mut behind) = (0, 0, None, None);
    let mut rest = &bases[at].1[..];
    let len = bases[at].1.len() as u64;
    let mut entries = Vec::new();
    while let Some((batch, after)) = crate::format::BatchView::split_first(rest) {
        let size = (rest.len() - after.len()) as u64;
        let last = batch.header.last_offset();
        if since_entry > LARGER.index_interval_bytes {
            entries.push((last, position));
            since_entry = 0;
        }
        since_entry += size;
        if start.is_none() && last >= offset {
            start = Some(position);
            behind = Some(position + u64::from(len_max).max(size).min(len - position));
        }
        position += size;
        rest = after;
    }
    let entry = entries.iter().find(|(_, position)| Some(*position) >= behind);
    let next_segment = bases.get(at + 1).map_or(running.partition.end().offset, |(base, _)| *base);
    let until = entry.map_or(next_segment, |(last, _)| *last);
    let mut found = Vec::new();
    for Aborted { id, first, last, last_stable } in aborted {
        if *last >= offset && *first < until {
            found.push(*id);
        }
        if *last_stable >= until {
            break;
        }
    }
    found
}

#[test]
fn a_fetch_tells_of_the_aborted_transactions_that_apache_kafka_tells_of() {
    let disk = new_disk(0);
    let mut cache = Cache::new(Arc::new(disk.clone()), CacheLimits { files: 8, pages: 8 });
    let config = PartitionConfig { log: LARGER, ..config() };
    let journalled = Journalled { point: None, replayed: &[] };
    let (partition, _) =
        Partition::open(&mut cache, Path::new(DIR), config, (&NEW, &journalled), NOW_MS).unwrap();
    let mut running = Running { disk, cache, partition, point: None };
    let mut aborted = Vec::new();
    // One transaction encloses all others.
    running.append_of_coordinator(transactional(999, 0)).unwrap();
    for id in 0..100 {
        let first = running.append_of_coordinator(transactional(id, 0)).unwrap().base_offset;
        let is_commit = id % 3 == 0;
        let last = running.append_of_coordinator(marker(id, is_commit)).unwrap().base_offset;
        if !is_commit {
            aborted.push(Aborted { id, first, last, last_stable: 0 });
        }
    }
    let last = running.append_of_coordinator(marker(999, false)).unwrap().base_offset;
    aborted.push(Aborted { id: 999, first: 0, last, last_stable: last + 1 });
    for id in 1_000..1_100 {
        let first = running.append_of_coordinator(transactional(id, 0)).unwrap().base_offset;
        let last = running.append_of_coordinator(marker(id, false)).unwrap().base_offset;
        aborted.push(Aborted { id, first, last, last_stable: last + 1 });
    }
    running.wave().unwrap();
    assert!(running.names(".log").len() > 5);
    let mut told = Vec::new();
    for offset in 0..running.partition.end().offset {
        for len_max in [0, 700, 1_500, u32::MAX] {
            let cache = &mut running.cache;
            let fetched = running.partition.fetch(cache, offset, len_max, Isolation::Committed).unwrap();
            let ids: Vec<i64> = fetched.aborted.iter().map(AbortedEntry::producer_id).collect();
            let expected = as_apache(&running, &aborted, offset, len_max);
            assert_eq!(ids, expected, "from offset {offset}, {len_max} bytes");
            told.push(ids.len());
        }
    }
    assert!(told.iter().all(|told| *told < 30), "{:?} are more than a segment holds", told.iter().max());
}

/// A batch where it lies.
struct Lying {
    path: PathBuf,
    position: u64,
    first: i64,
    last: i64,
}

/// All batches of a partition's segments.
fn lying(running: &Running) -> Vec<Lying> {
    let mut batches = Vec::new();
    for name in running.names(".log") {
        let path = PathBuf::from(DIR).join(name);
        let bytes = running.disk.read(&path).unwrap();
        let mut rest = &bytes[..];
        while let Some((batch, behind)) = crate::format::BatchView::split_first(rest) {
            let position = (bytes.len() - rest.len()) as u64;
            let (first, last) = (batch.header.base_offset(), batch.header.last_offset());
            batches.push(Lying { path: path.clone(), position, first, last });
            rest = behind;
        }
    }
    batches.sort_unstable_by_key(|batch| batch.first);
    batches
}

/// Producer 999's aborted transaction encloses eight others, half of them aborted; stopped cleanly.
fn enclosed_transactions() -> (Running, Known, Vec<Aborted>) {
    let mut running = Running::start(new_disk(0), NEW);
    let mut aborted = Vec::new();
    let first = running.append_of_coordinator(transactional(999, 0)).unwrap().base_offset;
    for id in 0..8 {
        let first = running.append_of_coordinator(transactional(id, 0)).unwrap().base_offset;
        let is_commit = id % 2 == 0;
        let last = running.append_of_coordinator(marker(id, is_commit)).unwrap().base_offset;
        if !is_commit {
            aborted.push(Aborted { id, first, last, last_stable: 0 });
        }
    }
    let last = running.append_of_coordinator(marker(999, false)).unwrap().base_offset;
    aborted.push(Aborted { id: 999, first, last, last_stable: last + 1 });
    // What a start looks at of the last segment is not at issue.
    for turn in 0..4 {
        running.append(batch(4, 0, turn * 10, 10)).unwrap();
    }
    running.wave().unwrap();
    running.partition.stop(&mut running.cache).unwrap();
    let known = Known { recovery_point: running.partition.recovery_point(), ..NEW };
    (running, known, aborted)
}

/// Starts on a disk with these batches damaged, so that none of them looks like one.
fn with_damage(running: &Running, known: Known, damaged: &[&Lying]) -> Running {
    let disk = running.disk.after_kill();
    for batch in damaged {
        disk.damage(&batch.path, batch.position + 16, 0xff).unwrap();
    }
    Running::start(disk, known)
}

#[test]
fn damage_in_front_of_a_reader_of_committed_records_or_behind_it_is_nothing_to_it() {
    let (running, known, aborted) = enclosed_transactions();
    let batches = lying(&running);
    let last_segment = batches.last().unwrap().path.clone();
    for damaged in batches.iter().filter(|batch| batch.path != last_segment) {
        let mut running = with_damage(&running, known, &[damaged]);
        for batch in &batches {
            // Nobody gets past the damage within a segment, but by an index entry.
            if batch.path == damaged.path && batch.first >= damaged.first {
                continue;
            }
            let what = format!("batch of offset {} with damage at {}", batch.first, damaged.first);
            let fetched = running.partition.fetch(&mut running.cache, batch.first, 0, Isolation::Committed);
            let fetched = fetched.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(fetched.slice.unwrap().bytes.position, batch.position, "{what}");
            let told: Vec<i64> = fetched.aborted.iter().map(AbortedEntry::producer_id).collect();
            let concerns = |entry: &&Aborted| entry.first <= batch.last && entry.last >= batch.first;
            for entry in aborted.iter().filter(concerns) {
                assert!(told.contains(&entry.id), "{what}: not told of {}", entry.id);
            }
            assert!(told.iter().all(|id| aborted.iter().any(|entry| entry.id == *id)), "{what}: {told:?}");
        }
    }
}

#[test]
fn a_transaction_of_which_nothing_can_be_read_is_refused_to_those_whom_it_concerns() {
    let (running, known, aborted) = enclosed_transactions();
    let batches = lying(&running);
    let at = |offset: i64| batches.iter().find(|batch| batch.first == offset).unwrap();
    let Aborted { first, last, .. } = aborted[1];
    let mut running = with_damage(&running, known, &[at(first), at(last)]);
    for _ in 0..2 {
        for batch in
            batches.iter().filter(|batch| batch.path != at(first).path && batch.path != at(last).path)
        {
            let fetched = running.partition.fetch(&mut running.cache, batch.first, 0, Isolation::Committed);
            assert!(fetched.is_ok(), "offset {}: {fetched:?}", batch.first);
        }
    }
    let (outer_first, outer_last) = (aborted[4].first, aborted[4].last);
    let (running, known, _) = enclosed_transactions();
    let mut running = with_damage(&running, known, &[at(outer_first), at(outer_last)]);
    let inside = at(first);
    let error =
        running.partition.fetch(&mut running.cache, inside.first, 0, Isolation::Committed).unwrap_err();
    let place = format!("the log cannot be read at offsets {outer_first} and {outer_last}");
    assert!(error.to_string().contains(&place), "{error}");
    let behind = batches.last().unwrap();
    running.partition.fetch(&mut running.cache, behind.first, 0, Isolation::Committed).unwrap();
}
