//! ListPartitionReassignments: partitions that move between brokers. With one broker none ever does, and
//! topics that nobody knows are left out like those at rest.

use super::{Call, Reply};
use crate::net::conn::Ended;
use crate::wire::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};

pub(crate) fn handle(_request: &ListPartitionReassignmentsRequest, call: &Call) -> Result<Reply, Ended> {
    call.now(&ListPartitionReassignmentsResponse { error_message: None, ..Default::default() })
}
