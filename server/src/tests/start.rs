//! The start of a broker whose journals hold what its segments lack.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logmill_engine::disk::Disk;
use logmill_engine::disk::sim::{Effect, Fault, Operation, SimDisk};
use rustix::io::Errno;

use super::config;
use super::requests::{CREATE_TOPICS, PRODUCE, create_topic, produce};
use super::sim_client::SimClient;
use crate::broker;
use crate::sim::World;
use crate::wire::Api;
use crate::wire::messages::create_topics::CreateTopicsResponse;
use crate::wire::messages::produce::ProduceResponse;

const PARTITIONS: i32 = 8;
const SHARDS: &str = "4";

fn settings() -> crate::config::Config {
    config(&[("log.dirs", "/data"), ("logmill.shards", SHARDS)])
}

/// A disk after the kill of a broker whose shards all had taken something.
fn killed() -> SimDisk {
    let disk = SimDisk::default();
    let world = World::start(1, settings(), disk.clone()).unwrap();
    let mut client = SimClient::new(world.connect());
    world.run(async move {
        let request = create_topic("t", PARTITIONS);
        let created: CreateTopicsResponse = client.ask(Api::CreateTopics, CREATE_TOPICS, &request).await;
        assert_eq!(created.topics[0].error_code, 0);
        let payloads: Vec<(i32, &[u8])> = (0..PARTITIONS).map(|index| (index, &b"a record"[..])).collect();
        let request = produce("t", &payloads);
        let produced: ProduceResponse = client.ask(Api::Produce, PRODUCE, &request).await;
        let mut partitions = produced.responses[0].partition_responses.iter();
        assert!(partitions.all(|partition| partition.error_code == 0));
    });
    disk.after_kill()
}

/// The files of all shards' journals.
fn journals(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let dir = Path::new("/data");
    let names = disk.list(dir).unwrap().into_iter().map(|entry| dir.join(entry.name));
    let journals = names.filter(|path| path.to_string_lossy().contains("logmill.journal."));
    journals.map(|path| (path.clone(), disk.read(&path).unwrap())).collect()
}

/// A journal may hold what belongs to a partition of any shard, when there were others in the process before.
#[test]
fn no_shard_begins_its_journal_while_a_partition_of_any_shard_is_not_open() {
    let disk = killed();
    let before = journals(&disk);
    let shards: BTreeSet<_> = before.keys().map(|path| path.file_stem().unwrap().to_owned()).collect();
    assert_eq!(shards.len(), 4, "{shards:?}");
    for partition in 0..PARTITIONS {
        let disk = disk.after_kill();
        let place = format!("/data/t-{partition}/");
        disk.arm(Fault::new(Operation::Open, Effect::Fail(Errno::IO)).on(&place).forever());
        let error = broker::start_on(Arc::new(disk.clone()), false, settings()).map(drop).unwrap_err();
        assert!(error.to_string().contains(&place), "{error}");
        assert!(journals(&disk) == before, "partition {partition} did not open, and a journal was begun");
    }
    World::start(2, settings(), disk.clone()).unwrap();
    assert!(journals(&disk) != before, "where all partitions open they are begun");
}
