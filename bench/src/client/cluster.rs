//! `Client`: connections to the brokers of a cluster, made when they are needed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::net::ToSocketAddrs;
use std::time::Duration;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest, TopicName,
};
use kafka_protocol::protocol::{Request, StrBytes};

use super::ClientError;
use crate::rig::Connection;

/// What brokers see of this client.
const CLIENT_ID: &str = "logmill";
/// The last versions that name topics instead of giving their ids.
const VERSIONS_MAX: [(i16, i16); 2] = [(ProduceRequest::KEY, 12), (FetchRequest::KEY, 12)];

/// First and last version, by API.
type Versions = BTreeMap<i16, (i16, i16)>;

struct Opened {
    connection: Connection,
    versions: Versions,
}

/// Asks the brokers of a cluster.
pub struct Client {
    bootstrap: Vec<String>,
    patience: Duration,
    opened: BTreeMap<String, Opened>,
}

/// Who is there, and what.
#[derive(Debug, Default)]
pub struct Cluster {
    /// The addresses of the brokers.
    pub brokers: BTreeMap<i32, String>,
    /// Who takes changes; -1 when nobody does.
    pub controller: i32,
    /// The topics that were asked for, in the order of their names.
    pub topics: Vec<MetadataResponseTopic>,
}

impl Client {
    /// Asks the first of these addresses, `HOST:PORT` with commas between them, where a broker answers. What takes
    /// longer than `patience` is an error.
    pub fn new(bootstrap: &str, patience: Duration) -> Client {
        let bootstrap = bootstrap.split(',').map(|address| address.trim().to_owned()).collect();
        Client { bootstrap, patience, opened: BTreeMap::new() }
    }

    /// Asks any broker. `make` makes the request for the version that both sides have.
    pub fn ask<R: Request>(&mut self, make: impl FnOnce(i16) -> R) -> Result<R::Response, ClientError> {
        let address = self.any()?;
        self.ask_at(&address, make)
    }

    /// Asks a certain broker.
    pub fn ask_broker<R: Request>(
        &mut self,
        cluster: &Cluster,
        broker: i32,
        make: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        let address = cluster.brokers.get(&broker).cloned().ok_or_else(|| ClientError::Broken {
            what: format!("broker {broker}"),
            source: io::Error::new(io::ErrorKind::NotFound, "the cluster has none of that id"),
        })?;
        self.ask_at(&address, make)
    }

    /// The brokers and the topics with these names, or all topics.
    pub fn cluster(&mut self, topics: Option<&[&str]>) -> Result<Cluster, ClientError> {
        let name = |topic: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
        let response = self.ask(|_| {
            MetadataRequest::default()
                .with_topics(topics.map(|topics| topics.iter().map(name).collect()))
                .with_allow_auto_topic_creation(false)
        })?;
        let brokers = response.brokers.iter();
        let mut topics = response.topics;
        topics.sort_by(|one, other| one.name.cmp(&other.name));
        for topic in &mut topics {
            topic.partitions.sort_by_key(|partition| partition.partition_index);
        }
        Ok(Cluster {
            brokers: brokers
                .map(|broker| (broker.node_id.0, format!("{}:{}", broker.host, broker.port)))
                .collect(),
            controller: response.controller_id.0,
            topics,
        })
    }

    /// The brokers, and one topic that must exist and have leaders for all of its partitions.
    pub fn topic(&mut self, name: &str) -> Result<Cluster, ClientError> {
        let cluster = self.cluster(Some(&[name]))?;
        let topic = cluster.topics.first().ok_or_else(|| ClientError::Broken {
            what: format!("topic {name}"),
            source: io::Error::other("the answer does not have it"),
        })?;
        ClientError::refused(|| format!("topic {name}"), topic.error_code, None)?;
        for partition in &topic.partitions {
            let what = || format!("partition {name}-{}", partition.partition_index);
            ClientError::refused(what, partition.error_code, None)?;
        }
        Ok(cluster)
    }

    /// An address where a broker answers: one that did before, or the first of those that were given.
    fn any(&mut self) -> Result<String, ClientError> {
        if let Some(address) = self.opened.keys().next() {
            return Ok(address.clone());
        }
        let mut failed = None;
        for address in self.bootstrap.clone() {
            match self.open(&address) {
                Ok(_) => return Ok(address),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.expect("a text has a part, whatever separates its parts"))
    }

    fn ask_at<R: Request>(
        &mut self,
        address: &str,
        make: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        let opened = self.open(address)?;
        let version = version_of::<R>(&opened.versions)?;
        let answered = opened.connection.ask(version, &make(version));
        answered.map_err(|source| {
            // What follows an answer that did not come cannot be told apart from it.
            self.opened.remove(address);
            ClientError::Broken { what: format!("{} of {address}", api_name(R::KEY)), source }
        })
    }

    fn open(&mut self, address: &str) -> Result<&mut Opened, ClientError> {
        match self.opened.entry(address.to_owned()) {
            Entry::Occupied(opened) => Ok(opened.into_mut()),
            Entry::Vacant(vacant) => Ok(vacant.insert(open(address, self.patience)?)),
        }
    }
}

fn open(address: &str, patience: Duration) -> Result<Opened, ClientError> {
    let nobody = |source| ClientError::NoBroker { address: address.to_owned(), source };
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for resolved in address.to_socket_addrs().map_err(nobody)? {
        let opened = Connection::open(resolved, patience).and_then(|connection| {
            let mut connection = connection.named(CLIENT_ID);
            // The version that every broker answers.
            let offered = connection.ask(0, &ApiVersionsRequest::default())?;
            Ok((connection, offered))
        });
        match opened {
            Ok((connection, offered)) => {
                let what = || format!("asking {address} for its versions");
                ClientError::refused(what, offered.error_code, None)?;
                let versions = offered.api_keys.iter();
                let versions = versions.map(|api| (api.api_key, (api.min_version, api.max_version)));
                return Ok(Opened { connection, versions: versions.collect() });
            }
            Err(error) => failed = error,
        }
    }
    Err(nobody(failed))
}

/// The newest version of a request that both sides have.
fn version_of<R: Request>(versions: &Versions) -> Result<i16, ClientError> {
    let most = VERSIONS_MAX.iter().find(|(key, _)| *key == R::KEY).map_or(R::VERSIONS.max, |(_, max)| *max);
    let ours = (R::VERSIONS.min, most.min(R::VERSIONS.max));
    let broker = versions.get(&R::KEY).copied();
    match broker {
        Some((first, last)) if first.max(ours.0) <= last.min(ours.1) => Ok(last.min(ours.1)),
        _ => Err(ClientError::Unsupported { api: api_name(R::KEY), broker, ours }),
    }
}

fn api_name(key: i16) -> String {
    ApiKey::try_from(key).map_or_else(|()| format!("API {key}"), |key| format!("{key:?}"))
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_of_both_sides_is_taken() {
        let of = |range| version_of::<FetchRequest>(&BTreeMap::from([(FetchRequest::KEY, range)]));
        assert_eq!(of((4, 18)).unwrap(), 12);
        assert_eq!(of((0, 7)).unwrap(), 7);
        let apart = of((13, 18)).unwrap_err().to_string();
        assert_eq!(apart, "Fetch: the broker has versions 13 to 18, this client 4 to 12");
        assert!(version_of::<FetchRequest>(&BTreeMap::new()).unwrap_err().to_string().contains("Fetch"));
    }

    #[test]
    fn an_address_where_nobody_answers_is_named() {
        // The port of a listener that is gone again.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut client = Client::new(&format!("127.0.0.1:{port}"), Duration::from_secs(5));
        let error = client.cluster(None).unwrap_err().to_string();
        assert!(error.starts_with(&format!("no broker answers at 127.0.0.1:{port}: ")), "{error}");
    }
}
