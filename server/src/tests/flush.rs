//! `flush.ms`: a broker that acknowledges from the page cache syncs logs whose records have waited for long enough.

use logmill_engine::disk::sim::SimDisk;

use super::config;
use super::requests::{CREATE_TOPICS, FETCH, PRODUCE, create_topic, fetch, produce};
use super::sim_client::SimClient;
use crate::sim::{Event, World};
use crate::wire::messages::create_topics::{CreatableTopicConfig, CreateTopicsResponse};
use crate::wire::messages::fetch::FetchResponse;
use crate::wire::messages::produce::ProduceResponse;
use crate::wire::{Api, Text};

/// A broker in which nothing else than a log that is due is looked for while a test lasts.
fn start(settings: &[(&str, &str)]) -> World {
    let rare = [
        ("log.dirs", "/data"),
        ("logmill.shards", "1"),
        ("logmill.ack", "page-cache"),
        ("connections.max.idle.ms", "-1"),
        ("log.retention.check.interval.ms", "86400000"),
        ("log.flush.offset.checkpoint.interval.ms", "86400000"),
    ];
    World::start(1, config(&[&rare, settings].concat()), SimDisk::default()).unwrap()
}

/// Milliseconds until the sync of a record that was written when the broker began; `None` when it was not synced
/// within ten seconds.
fn synced_after(settings: &[(&str, &str)], flush_ms: Option<&'static str>) -> Option<u64> {
    let world = start(settings);
    let mut client = SimClient::new(world.connect());
    let mut waiting = SimClient::new(world.connect());
    world.run(async move {
        let mut request = create_topic("t", 1);
        request.topics[0].configs = flush_ms
            .map(|value| CreatableTopicConfig {
                name: Text::from_static("flush.ms"),
                value: Some(Text::from_static(value)),
            })
            .into_iter()
            .collect();
        let created: CreateTopicsResponse = client.ask(Api::CreateTopics, CREATE_TOPICS, &request).await;
        assert_eq!(created.topics[0].error_code, 0);
        let request = produce("t", &[(0, b"a record")]);
        let produced: ProduceResponse = client.ask(Api::Produce, PRODUCE, &request).await;
        assert_eq!(produced.responses[0].partition_responses[0].error_code, 0);
    });
    let before = world.take_trace();
    assert!(!before.iter().any(|event| matches!(event, Event::Synced { .. } | Event::Slept { .. })));
    // Who waits for more has time pass.
    world.run(async move {
        let request = fetch("t", &[(0, 1)], 1, 10_000);
        let _: FetchResponse = waiting.ask(Api::Fetch, FETCH, &request).await;
    });
    let mut now_ms = 0;
    for event in world.take_trace() {
        match event {
            Event::Slept { until_ms } => now_ms = until_ms,
            Event::Synced { .. } => return Some(now_ms),
            Event::Ran { .. } | Event::Arrived { .. } | Event::Worked => (),
        }
    }
    None
}

#[test]
fn a_log_is_synced_by_the_first_look_at_which_a_record_has_waited_for_its_time() {
    assert_eq!(synced_after(&[], Some("0")), Some(1_000), "every second, when no interval is set");
    assert_eq!(synced_after(&[], Some("1000")), Some(1_000));
    assert_eq!(synced_after(&[], Some("2500")), Some(3_000));
    let every_300_ms = ("log.flush.scheduler.interval.ms", "300");
    assert_eq!(synced_after(&[every_300_ms], Some("700")), Some(900));
    // The broker's settings for all topics.
    assert_eq!(synced_after(&[every_300_ms], None), Some(300));
    assert_eq!(synced_after(&[every_300_ms, ("log.flush.interval.ms", "400")], None), Some(600));
}

#[test]
fn nothing_is_synced_for_time_where_no_setting_asks_for_it() {
    assert_eq!(synced_after(&[], None), None);
    assert_eq!(synced_after(&[], Some("60000")), None);
}
