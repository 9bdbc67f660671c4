//! The lies again, over connections to a broker: it answers or hangs up, and goes on.

use bytes::{Bytes, BytesMut};
use logmill_engine::disk::sim::SimDisk;
use logmill_server::config::{Config, Machine};
use logmill_server::sim::World;
use logmill_server::wire::messages::api_versions::ApiVersionsResponse;
use logmill_server::wire::messages::header::{RequestHeader, ResponseHeader};
use logmill_server::wire::reader::LIST_BYTES_MAX;
use logmill_server::wire::{APIS, Api, Message, Reader, Writer};

use super::allocations::allocated_by;
use super::hostile::{lies, produce_of_topics};
use super::sample;

/// What a connection costs whatever it sends: its first room to read, its tasks, the simulation around it.
const CONNECTION_BYTES: usize = 64 * 1024;

fn start() -> World {
    let overrides = [("logmill.shards", "2"), ("log.dirs", "/data"), ("auto.create.topics.enable", "false")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let machine = Machine { host_name: "test".to_owned(), cores: 2 };
    let (config, _) = Config::load(None, [], &overrides, &machine).expect("the settings are valid");
    World::start(7, config, SimDisk::default()).expect("a broker starts on an empty disk")
}

fn header(api: Api, version: i16) -> Vec<u8> {
    let mut bytes = Vec::new();
    let header = RequestHeader {
        request_api_key: api as i16,
        request_api_version: version,
        correlation_id: 77,
        client_id: Some("stranger".into()),
    };
    header.write_message(&mut Writer::new(&mut bytes), api.row().request_header_version(version));
    bytes
}

/// Sends one frame on a connection of its own; the answer, or `None` when the broker hung up.
fn send(world: &World, frame: &[u8]) -> Option<Bytes> {
    let socket = world.connect();
    let bytes = [&(frame.len() as i32).to_be_bytes()[..], frame].concat();
    world.run(async move {
        // The broker may hang up before it has read everything.
        let _ = socket.write_all(&bytes).await;
        let mut received = BytesMut::new();
        loop {
            if let Some(len) = received.first_chunk().map(|len| i32::from_be_bytes(*len) as usize)
                && received.len() >= 4 + len
            {
                return Some(received.split_off(4).freeze());
            }
            if socket.read(&mut received, 1 << 16).await.expect("reading from memory does not fail") == 0 {
                return None;
            }
        }
    })
}

fn check_alive(world: &World) {
    let answer = send(world, &header(Api::ApiVersions, 0)).expect("a broker that lives answers ApiVersions");
    let mut reader = Reader::new(&answer);
    let ResponseHeader { correlation_id } =
        ResponseHeader::read_message(&mut reader, 0).expect("the answer is whole");
    let response = ApiVersionsResponse::read_message(&mut reader, 0).expect("the answer is whole");
    assert_eq!((correlation_id, response.error_code, response.api_keys.len()), (77, 0, APIS.len()));
}

/// Sends a lie; nothing that it makes the broker allocate may be larger than it.
fn send_bounded(world: &World, frame: &[u8], what: &str) {
    let (answer, allocated) = allocated_by(|| send(world, frame));
    world.take_trace();
    assert!(
        allocated.largest <= frame.len() + CONNECTION_BYTES,
        "{what}: allocated {} at once for {} bytes",
        allocated.largest,
        frame.len()
    );
    if let Some(answer) = answer {
        assert_eq!(answer[..4], 77i32.to_be_bytes(), "{what}: not the answer to what was asked");
    }
}

#[test]
fn every_request_cut_anywhere_is_answered_or_ends_its_connection_and_no_other() {
    for row in APIS {
        let world = start();
        for version in row.request.valid.min..=row.request.valid.max {
            let frame = [header(row.api, version), sample::full(row.request, version).bytes].concat();
            for cut in 0..frame.len() {
                send_bounded(&world, &frame[..cut], &format!("{} v{version} cut at {cut}", row.name));
            }
        }
        check_alive(&world);
    }
}

#[test]
fn every_length_that_lies_is_answered_or_ends_its_connection_and_no_other() {
    for row in APIS {
        let world = start();
        for version in row.request.valid.min..=row.request.valid.max {
            let sample = sample::full(row.request, version);
            for (at, body) in lies(&sample) {
                let frame = [header(row.api, version), body].concat();
                send_bounded(&world, &frame, &format!("{} v{version}, length at {at}", row.name));
            }
        }
        check_alive(&world);
    }
}

#[test]
fn a_produce_of_millions_of_empty_topics_ends_its_connection_and_takes_no_memory_for_them() {
    let world = start();
    for version in 9..=12 {
        let frame = [header(Api::Produce, version), produce_of_topics(5_000_000, &[1, 1, 0])].concat();
        let (answer, allocated) = allocated_by(|| send(&world, &frame));
        assert_eq!(answer, None, "version {version}");
        // Copies of the frame on its way through the simulated network, and the bounded lists as they grow.
        let bound = 8 * frame.len() + 3 * LIST_BYTES_MAX;
        assert!(allocated.total <= bound, "version {version}: allocated {} of {bound}", allocated.total);
    }
    check_alive(&world);
}
