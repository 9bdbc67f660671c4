//! DescribeCluster: the cluster's id, its controller and its brokers.

use super::node::Node;
use super::{Call, Reply, operations};
use crate::net::conn::Ended;
use crate::wire::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use crate::wire::{ErrorCode, Text};

/// Whom a client wants to be told of.
mod endpoint {
    pub(super) const BROKERS: i8 = 1;
    pub(super) const CONTROLLERS: i8 = 2;
}

pub(crate) fn handle(request: &DescribeClusterRequest, call: &Call) -> Result<Reply, Ended> {
    let broker = call.shard.broker();
    call.now(&respond(request, Node::of(broker, call.listener), broker.cluster_id.clone()))
}

fn respond(request: &DescribeClusterRequest, node: Node, cluster_id: Text) -> DescribeClusterResponse {
    match request.endpoint_type {
        endpoint::BROKERS => {}
        endpoint::CONTROLLERS => {
            let message = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type \
                           CONTROLLER";
            return refused(ErrorCode::MismatchedEndpointType, message.to_owned());
        }
        other => {
            return refused(ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {other}"));
        }
    }
    let Node { id, host, port, rack } = node;
    DescribeClusterResponse {
        cluster_id,
        controller_id: id,
        brokers: vec![DescribeClusterBroker { broker_id: id, host, port, rack, is_fenced: false }],
        cluster_authorized_operations: if request.include_cluster_authorized_operations {
            operations::ON_CLUSTER
        } else {
            operations::NOT_ASKED
        },
        ..DescribeClusterResponse::default()
    }
}

fn refused(code: ErrorCode, message: String) -> DescribeClusterResponse {
    DescribeClusterResponse {
        error_code: code as i16,
        error_message: Some(Text::from(message)),
        ..DescribeClusterResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(request: &DescribeClusterRequest) -> DescribeClusterResponse {
        let node = Node { id: 5, host: Text::from("h"), port: 9, rack: Some(Text::from("r")) };
        respond(request, node, Text::from("cluster"))
    }

    #[test]
    fn the_only_broker_is_its_own_controller() {
        let mut request = DescribeClusterRequest::default();
        let mut response = answer(&request);
        assert_eq!((response.error_code, response.endpoint_type), (0, 1));
        assert_eq!((response.controller_id, response.cluster_id.as_str()), (5, "cluster"));
        assert_eq!(response.cluster_authorized_operations, i32::MIN);
        let broker = response.brokers.pop().unwrap();
        assert_eq!((broker.broker_id, broker.host.as_str(), broker.port), (5, "h", 9));
        assert_eq!((broker.rack.as_deref(), broker.is_fenced), (Some("r"), false));
        assert_eq!(response.brokers, []);

        request.include_cluster_authorized_operations = true;
        assert_eq!(answer(&request).cluster_authorized_operations, 8096);
    }

    #[test]
    fn controllers_are_not_told_of_by_a_broker() {
        for (endpoint_type, code, word) in [(2, 114, "CONTROLLER"), (0, 115, "type 0"), (-1, 115, "type -1")]
        {
            let request = DescribeClusterRequest { endpoint_type, ..DescribeClusterRequest::default() };
            let response = answer(&request);
            assert_eq!((response.error_code, response.brokers.len()), (code, 0));
            assert_eq!((response.controller_id, response.cluster_id.as_str()), (-1, ""));
            assert!(response.error_message.unwrap().ends_with(word));
        }
    }
}
