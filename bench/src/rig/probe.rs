//! Asking a broker, in its own protocol, whether it serves and what.

use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

use kafka_protocol::{
    messages::{ApiKey, ApiVersionsRequest, MetadataRequest},
    protocol::Message,
};

use super::Connection;

/// A broker that takes longer is not serving.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Which versions, first and last, a broker offers of each API.
pub fn api_versions(broker: SocketAddr) -> io::Result<BTreeMap<i16, (i16, i16)>> {
    ask_api_versions(&mut Connection::open(broker, ANSWER_MAX)?)
}

/// Whether it answers, and knows of a live broker, itself that is.
pub(super) fn serves(broker: SocketAddr) -> bool {
    let live_brokers = || {
        let mut connection = Connection::open(broker, ANSWER_MAX)?;
        let versions = ask_api_versions(&mut connection)?;
        let (_, last) = versions.get(&(ApiKey::Metadata as i16)).copied().unwrap_or_default();
        let version = last.min(MetadataRequest::VERSIONS.max);
        let nothing = MetadataRequest::default().with_topics(Some(Vec::new()));
        io::Result::Ok(connection.ask(version, &nothing)?.brokers.len())
    };
    live_brokers().is_ok_and(|brokers| brokers > 0)
}

fn ask_api_versions(connection: &mut Connection) -> io::Result<BTreeMap<i16, (i16, i16)>> {
    // The version that every broker answers.
    let response = connection.ask(0, &ApiVersionsRequest::default())?;
    Ok(response.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect())
}
