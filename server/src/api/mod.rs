//! One file per API: a request in, commands to shards, a response out.

mod api_versions;
mod broker_configs;
mod coordinator;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_producers;
mod describe_topic_partitions;
mod errors;
mod fetch;
pub(crate) mod fetch_sessions;
mod find_coordinator;
mod heartbeat;
mod init_producer_id;
mod isolation;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod node;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod operations;
mod produce;
#[cfg(test)]
mod protocol_doc;
mod shares;
mod sync_group;

use std::net::IpAddr;
use std::rc::Rc;

use bytes::Bytes;

use crate::net::conn::Ended;
use crate::net::runtime::Task;
use crate::shard::LocalShard;
use crate::wire::messages::header::RequestHeader;
use crate::wire::{Api, Encoded, Message, Reader, encode_response, read_request_header};

/// What becomes of a request once it is routed.
pub(crate) enum Reply {
    /// It is answered.
    Now(Answer),
    /// Its answer comes later. Whatever had to happen in order has happened.
    Later(Task<Answer>),
    /// Its answer waits for what other clients do, and holds nothing of the request.
    Parked(Task<Answer>),
}

/// What goes back to the client.
pub(crate) enum Answer {
    /// A response.
    Send(Encoded),
    /// Nothing: the client does not want an answer.
    Silent,
    /// The end of the connection, where there is no other way to say it.
    Close(Ended),
}

/// One request's circumstances.
pub(crate) struct Call {
    shard: Rc<LocalShard>,
    /// Which listener its connection came in by.
    listener: usize,
    /// Where its connection came from.
    peer: IpAddr,
    api: Api,
    version: i16,
    correlation_id: i32,
}

impl Call {
    fn answer<M: Message>(&self, body: &M) -> Answer {
        let mut buf = self.shard.encode_buf().borrow_mut();
        match encode_response(&mut buf, self.api, self.version, self.correlation_id, body) {
            Ok(encoded) => {
                if encoded.is_error {
                    self.shard.counters().count_error(self.api);
                }
                Answer::Send(encoded)
            }
            Err(too_large) => self.close(Ended::Response(too_large)),
        }
    }

    /// Ends the connection, where no answer can say what is wrong.
    fn close(&self, ended: Ended) -> Answer {
        self.shard.counters().count_error(self.api);
        Answer::Close(ended)
    }

    /// The time from which on an answer to this request, which gives it so long, is not waited for.
    fn expires_ms(&self, timeout_ms: i32) -> i64 {
        self.shard.host().clock.now_ms().saturating_add(timeout_ms.into())
    }

    fn now<M: Message>(&self, body: &M) -> Result<Reply, Ended> {
        Ok(Reply::Now(self.answer(body)))
    }
}

/// Reads a request and routes it: when this returns, everything that must happen in the connection's order
/// has its place.
pub(crate) async fn dispatch(
    frame: Bytes,
    listener: usize,
    peer: IpAddr,
    shard: &Rc<LocalShard>,
) -> Result<Reply, Ended> {
    let mut reader = Reader::of_request(&frame);
    let (api, header) = read_request_header(&mut reader).map_err(Ended::Header)?;
    shard.counters().count_request(api);
    let RequestHeader { request_api_version: version, correlation_id, .. } = header;
    let call = Call { shard: shard.clone(), listener, peer, api, version, correlation_id };
    let routed = route(&header, reader, call).await;
    if routed.is_err() {
        shard.counters().count_error(api);
    }
    routed
}

async fn route(header: &RequestHeader, reader: Reader<'_>, call: Call) -> Result<Reply, Ended> {
    let (api, version) = (call.api, call.version);
    if !api.row().accepts(version) {
        if api == Api::ApiVersions {
            return api_versions::refuse_version(call);
        }
        return Err(Ended::Version { api: api.row().name, version });
    }
    match api {
        Api::ApiVersions => api_versions::handle(&read(reader, version)?, &call),
        Api::CreatePartitions => create_partitions::handle(read(reader, version)?, call),
        Api::CreateTopics => create_topics::handle(read(reader, version)?, call),
        Api::DeleteGroups => delete_groups::handle(read(reader, version)?, call),
        Api::DeleteRecords => delete_records::handle(read(reader, version)?, call),
        Api::DeleteTopics => delete_topics::handle(read(reader, version)?, call),
        Api::DescribeCluster => describe_cluster::handle(&read(reader, version)?, &call),
        Api::DescribeConfigs => describe_configs::handle(&read(reader, version)?, &call),
        Api::DescribeGroups => describe_groups::handle(read(reader, version)?, call),
        Api::DescribeProducers => describe_producers::handle(read(reader, version)?, call),
        Api::DescribeTopicPartitions => describe_topic_partitions::handle(&read(reader, version)?, &call),
        Api::Fetch => fetch::handle(read(reader, version)?, call),
        Api::FindCoordinator => find_coordinator::handle(read(reader, version)?, call),
        Api::Heartbeat => Box::pin(heartbeat::handle(read(reader, version)?, call)).await,
        Api::InitProducerId => init_producer_id::handle(&read(reader, version)?, call),
        Api::JoinGroup => {
            let client_id = header.client_id.clone().unwrap_or_default();
            Box::pin(join_group::handle(read(reader, version)?, client_id, call)).await
        }
        Api::LeaveGroup => Box::pin(leave_group::handle(read(reader, version)?, call)).await,
        Api::ListGroups => list_groups::handle(read(reader, version)?, call),
        Api::ListOffsets => list_offsets::handle(read(reader, version)?, call),
        Api::ListPartitionReassignments => {
            list_partition_reassignments::handle(&read(reader, version)?, &call)
        }
        Api::Metadata => metadata::handle(read(reader, version)?, call),
        Api::OffsetCommit => Box::pin(offset_commit::handle(read(reader, version)?, call)).await,
        Api::OffsetDelete => Box::pin(offset_delete::handle(read(reader, version)?, call)).await,
        Api::OffsetFetch => Box::pin(offset_fetch::handle(read(reader, version)?, call)).await,
        Api::OffsetForLeaderEpoch => offset_for_leader_epoch::handle(read(reader, version)?, call),
        Api::Produce => produce::handle(read(reader, version)?, call).await,
        Api::SyncGroup => Box::pin(sync_group::handle(read(reader, version)?, call)).await,
    }
}

fn read<M: Message>(mut reader: Reader<'_>, version: i16) -> Result<M, Ended> {
    M::read_message(&mut reader, version).map_err(Ended::Request)
}
