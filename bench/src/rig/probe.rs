//! Asking a broker, in its own protocol, whether it serves and what.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use bytes::Bytes;
use kafka_protocol::{
    messages::{
        ApiKey, ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse, RequestHeader,
        ResponseHeader,
    },
    protocol::{Decodable, Encodable, StrBytes},
};

/// A broker that takes longer is not serving.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// No answer to the two small requests made here comes near this.
const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// Which versions, first and last, a broker offers of each API.
pub fn api_versions(broker: SocketAddr) -> io::Result<BTreeMap<i16, (i16, i16)>> {
    ask_api_versions(&mut connect(broker)?)
}

/// Whether it answers, and knows of a live broker, itself that is.
pub(super) fn serves(broker: SocketAddr) -> bool {
    let live_brokers = || {
        let mut connection = connect(broker)?;
        let versions = ask_api_versions(&mut connection)?;
        let (_, last) = versions.get(&(ApiKey::Metadata as i16)).copied().unwrap_or_default();
        let version = last.min(ApiKey::Metadata.valid_versions().max);
        let nothing = MetadataRequest::default().with_topics(Some(Vec::new()));
        let mut answer = ask(&mut connection, ApiKey::Metadata, version, &nothing)?;
        let metadata = MetadataResponse::decode(&mut answer, version).map_err(io::Error::other)?;
        io::Result::Ok(metadata.brokers.len())
    };
    live_brokers().is_ok_and(|brokers| brokers > 0)
}

fn connect(broker: SocketAddr) -> io::Result<TcpStream> {
    let connection = TcpStream::connect_timeout(&broker, ANSWER_MAX)?;
    connection.set_read_timeout(Some(ANSWER_MAX))?;
    connection.set_write_timeout(Some(ANSWER_MAX))?;
    Ok(connection)
}

fn ask_api_versions(connection: &mut TcpStream) -> io::Result<BTreeMap<i16, (i16, i16)>> {
    // The version that every broker answers.
    let mut answer = ask(connection, ApiKey::ApiVersions, 0, &ApiVersionsRequest::default())?;
    let response = ApiVersionsResponse::decode(&mut answer, 0).map_err(io::Error::other)?;
    Ok(response.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect())
}

fn ask(connection: &mut TcpStream, api: ApiKey, version: i16, body: &impl Encodable) -> io::Result<Bytes> {
    let header = RequestHeader::default()
        .with_request_api_key(api as i16)
        .with_request_api_version(version)
        .with_client_id(Some(StrBytes::from_static_str("rig")));
    let mut request = vec![0; 4];
    header.encode(&mut request, api.request_header_version(version)).map_err(io::Error::other)?;
    body.encode(&mut request, version).map_err(io::Error::other)?;
    let length = u32::try_from(request.len() - 4).map_err(io::Error::other)?;
    request[..4].copy_from_slice(&length.to_be_bytes());
    connection.write_all(&request)?;

    let mut length = [0; 4];
    connection.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > RESPONSE_BYTES_MAX {
        return Err(io::Error::other(format!("a response of {length} bytes to {api:?}")));
    }
    let mut response = vec![0; length];
    connection.read_exact(&mut response)?;
    let mut response = Bytes::from(response);
    ResponseHeader::decode(&mut response, api.response_header_version(version)).map_err(io::Error::other)?;
    Ok(response)
}
