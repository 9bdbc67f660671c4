//! `Api`: the APIs that this broker serves, one row each.

use super::message::Message;
use super::messages::*;
use super::schema::Schema;
use super::versions::Versions;

/// What there is to know of an API before its first request.
#[derive(Debug)]
pub struct ApiRow {
    /// Which one it is.
    pub api: Api,
    /// Kafka's name of it.
    pub name: &'static str,
    /// The versions that ApiVersions tells clients of.
    pub advertised: Versions,
    /// The request's table.
    pub request: &'static Schema,
    /// The response's table.
    pub response: &'static Schema,
}

impl ApiRow {
    /// The number that requests carry.
    pub fn key(&self) -> i16 {
        self.api as i16
    }

    /// Whether a request of this version is served.
    pub fn accepts(&self, version: i16) -> bool {
        self.advertised.contains(version) && self.request.valid.contains(version)
    }

    /// The version of the header before a request of this version.
    pub fn request_header_version(&self, version: i16) -> i16 {
        if self.request.flexible.contains(version) { 2 } else { 1 }
    }

    /// The version of the header before a response of this version. Clients read the answer to ApiVersions
    /// before they know what we speak, so its header never became flexible.
    pub fn response_header_version(&self, version: i16) -> i16 {
        if self.response.flexible.contains(version) && self.api != Api::ApiVersions { 1 } else { 0 }
    }
}

/// One line an API: name, key, advertised versions, request and response.
macro_rules! apis {
    ($( $(#[$meta:meta])* $api:ident = $key:literal, $advertised:literal, $request:path, $response:path; )*) => {
        /// An API, by its key.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(i16)]
        pub enum Api { $(
            $(#[$meta])*
            #[doc = concat!("Api key ", $key, ", advertised in versions ", $advertised, ".")]
            $api = $key,
        )* }

        /// Every API that is served, keys ascending.
        pub static APIS: [&ApiRow; [$(Api::$api),*].len()] = [$(Api::$api.row()),*];

        impl Api {
            /// The API that requests with this key are for.
            pub fn from_key(key: i16) -> Option<Api> {
                match key {
                    $( $key => Some(Api::$api), )*
                    _ => None,
                }
            }

            /// Its row of [`APIS`].
            pub const fn row(self) -> &'static ApiRow {
                match self { $(
                    Api::$api => {
                        const ROW: &ApiRow = &ApiRow {
                            api: Api::$api,
                            name: stringify!($api),
                            advertised: Versions::parse($advertised),
                            request: <$request>::SCHEMA,
                            response: <$response>::SCHEMA,
                        };
                        ROW
                    }
                )* }
            }
        }
    };
}

apis! {
    /// Versions 0 to 2 are advertised but refused, as Apache Kafka does: librdkafka takes a broker without
    /// Produce v0 for one without compression (KAFKA-18659).
    Produce = 0, "0-13", produce::ProduceRequest, produce::ProduceResponse;
    Fetch = 1, "4-18", fetch::FetchRequest, fetch::FetchResponse;
    ListOffsets = 2, "1-11", list_offsets::ListOffsetsRequest, list_offsets::ListOffsetsResponse;
    Metadata = 3, "0-13", metadata::MetadataRequest, metadata::MetadataResponse;
    OffsetCommit = 8, "2-10", offset_commit::OffsetCommitRequest, offset_commit::OffsetCommitResponse;
    OffsetFetch = 9, "1-10", offset_fetch::OffsetFetchRequest, offset_fetch::OffsetFetchResponse;
    FindCoordinator = 10, "0-6",
        find_coordinator::FindCoordinatorRequest, find_coordinator::FindCoordinatorResponse;
    JoinGroup = 11, "0-9", join_group::JoinGroupRequest, join_group::JoinGroupResponse;
    Heartbeat = 12, "0-4", heartbeat::HeartbeatRequest, heartbeat::HeartbeatResponse;
    LeaveGroup = 13, "0-5", leave_group::LeaveGroupRequest, leave_group::LeaveGroupResponse;
    SyncGroup = 14, "0-5", sync_group::SyncGroupRequest, sync_group::SyncGroupResponse;
    DescribeGroups = 15, "0-6",
        describe_groups::DescribeGroupsRequest, describe_groups::DescribeGroupsResponse;
    ListGroups = 16, "0-5", list_groups::ListGroupsRequest, list_groups::ListGroupsResponse;
    ApiVersions = 18, "0-4", api_versions::ApiVersionsRequest, api_versions::ApiVersionsResponse;
    CreateTopics = 19, "2-7", create_topics::CreateTopicsRequest, create_topics::CreateTopicsResponse;
    DeleteTopics = 20, "1-6", delete_topics::DeleteTopicsRequest, delete_topics::DeleteTopicsResponse;
    DeleteRecords = 21, "0-2", delete_records::DeleteRecordsRequest, delete_records::DeleteRecordsResponse;
    /// Version 6 has a table but is unstable in 4.3.1, which neither shows nor serves it by default.
    InitProducerId = 22, "0-5",
        init_producer_id::InitProducerIdRequest, init_producer_id::InitProducerIdResponse;
    OffsetForLeaderEpoch = 23, "2-4",
        offset_for_leader_epoch::OffsetForLeaderEpochRequest,
        offset_for_leader_epoch::OffsetForLeaderEpochResponse;
    DescribeConfigs = 32, "1-4",
        describe_configs::DescribeConfigsRequest, describe_configs::DescribeConfigsResponse;
    CreatePartitions = 37, "0-3",
        create_partitions::CreatePartitionsRequest, create_partitions::CreatePartitionsResponse;
    DeleteGroups = 42, "0-2", delete_groups::DeleteGroupsRequest, delete_groups::DeleteGroupsResponse;
    ListPartitionReassignments = 46, "0",
        list_partition_reassignments::ListPartitionReassignmentsRequest,
        list_partition_reassignments::ListPartitionReassignmentsResponse;
    OffsetDelete = 47, "0", offset_delete::OffsetDeleteRequest, offset_delete::OffsetDeleteResponse;
    DescribeCluster = 60, "0-2",
        describe_cluster::DescribeClusterRequest, describe_cluster::DescribeClusterResponse;
    DescribeProducers = 61, "0",
        describe_producers::DescribeProducersRequest, describe_producers::DescribeProducersResponse;
    DescribeTopicPartitions = 75, "0",
        describe_topic_partitions::DescribeTopicPartitionsRequest,
        describe_topic_partitions::DescribeTopicPartitionsResponse;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_versions_of_the_tables_are_advertised_with_two_exceptions() {
        for row in APIS {
            let expected = match row.api {
                Api::Produce => Versions { min: 0, ..row.request.valid },
                Api::InitProducerId => Versions { max: row.request.valid.max - 1, ..row.request.valid },
                _ => row.request.valid,
            };
            assert_eq!(row.advertised, expected, "{}", row.name);
            assert_eq!(row.request.valid, row.response.valid, "{}", row.name);
            assert_eq!(row.request.flexible, row.response.flexible, "{}", row.name);
        }
    }

    #[test]
    fn what_is_advertised_for_show_or_unstable_is_refused() {
        let produce = Api::Produce.row();
        assert_eq!([2, 3, 13, 14].map(|v| produce.accepts(v)), [false, true, true, false]);
        assert!(!Api::InitProducerId.row().accepts(6));
    }

    #[test]
    fn names_are_those_of_the_tables_and_keys_ascend() {
        for row in APIS {
            assert_eq!(row.request.name, format!("{}Request", row.name));
            assert_eq!(row.response.name, format!("{}Response", row.name));
            assert_eq!(Api::from_key(row.key()), Some(row.api));
        }
        assert!(APIS.is_sorted_by_key(|row| row.key()));
    }

    #[test]
    fn the_answer_to_api_versions_keeps_the_old_header() {
        let row = Api::ApiVersions.row();
        assert_eq!((row.request_header_version(3), row.response_header_version(3)), (2, 0));
        let row = Api::Produce.row();
        assert_eq!((row.request_header_version(8), row.response_header_version(8)), (1, 0));
        assert_eq!((row.request_header_version(9), row.response_header_version(9)), (2, 1));
    }
}
