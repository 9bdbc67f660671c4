//! A broker on simulated seams, and a client with a codec of its own.

use bytes::{Buf, BytesMut};
use kafka_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use logmill_engine::disk::sim::SimDisk;
use logmill_server::config::{Config, Machine};
use logmill_server::sim::{SimSocket, World};

/// The only topic there is: groups commit offsets of the topic in which those are kept.
pub(crate) const TOPIC: &str = "__consumer_offsets";
/// Its partitions.
pub(crate) const PARTITIONS: i32 = 6;

pub(crate) fn world(seed: u64, disk: &SimDisk) -> World {
    world_with(seed, disk, "durable")
}

pub(crate) fn world_with(seed: u64, disk: &SimDisk, ack: &str) -> World {
    let settings = [
        ("logmill.ack", ack),
        ("log.dirs", "/data"),
        ("logmill.shards", "3"),
        ("offsets.topic.num.partitions", "6"),
        ("offset.metadata.max.bytes", "8"),
        ("advertised.listeners", "PLAINTEXT://broker.example:19092"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let machine = Machine { host_name: "here".to_owned(), cores: 1 };
    let (config, _) = Config::load(None, [], &settings, &machine).unwrap();
    World::start(seed, config, disk.clone()).unwrap()
}

/// Sends a request and reads its response.
pub(crate) async fn ask<R: Request>(socket: &SimSocket, version: i16, request: R) -> R::Response {
    let mut frame = BytesMut::from(&[0; 4][..]);
    let header = RequestHeader::default().with_request_api_key(R::KEY).with_request_api_version(version);
    header.encode(&mut frame, R::header_version(version)).unwrap();
    request.encode(&mut frame, version).unwrap();
    let len = frame.len() as u32 - 4;
    frame[..4].copy_from_slice(&len.to_be_bytes());
    socket.write_all(&frame).await.unwrap();
    let mut response = BytesMut::new();
    while response.len() < 4 || response.len() < 4 + (&response[..4]).get_u32() as usize {
        assert_ne!(socket.read(&mut response, 1 << 16).await.unwrap(), 0, "the broker hung up");
    }
    let mut response = response.freeze();
    response.advance(4);
    ResponseHeader::decode(&mut response, R::Response::header_version(version)).unwrap();
    let body = R::Response::decode(&mut response, version).unwrap();
    assert!(response.is_empty());
    body
}

pub(crate) fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

/// The error of looking a coordinator up.
pub(crate) async fn find(socket: &SimSocket, version: i16, key_type: i8) -> i16 {
    let request = FindCoordinatorRequest::default();
    let (error, id, host, port) = if version < 4 {
        let request = request.with_key(text("g")).with_key_type(if version == 0 { 0 } else { key_type });
        let found = ask(socket, version, request).await;
        (found.error_code, found.node_id, found.host, found.port)
    } else {
        let request = request.with_coordinator_keys(vec![text("g")]).with_key_type(key_type);
        let found = ask(socket, version, request).await.coordinators.remove(0);
        assert_eq!(&*found.key, "g");
        (found.error_code, found.node_id, found.host, found.port)
    };
    let expected = if error == 0 { (1, "broker.example", 19_092) } else { (-1, "", -1) };
    assert_eq!((*id, &*host, port), expected, "version {version}");
    error
}
