//! DescribeCluster: the cluster's id, its controller and its brokers.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    DescribeClusterRequest "0-2", flexible "0+" {
        include_cluster_authorized_operations: bool = "0+";
        endpoint_type: i8 = "1+", default 1;
        include_fenced_brokers: bool = "2+";
    }
}

message! {
    DescribeClusterResponse "0-2", flexible "0+" {
        throttle_time_ms: i32 = "0+";
        error_code: i16 = "0+";
        error_message: Option<Text> = "0+", nullable "0+", default None;
        endpoint_type: i8 = "1+", default 1;
        cluster_id: Text = "0+";
        controller_id: i32 = "0+", default -1;
        brokers: Vec<DescribeClusterBroker> = "0+";
        cluster_authorized_operations: i32 = "0+", default -2147483648;
    }

    DescribeClusterBroker {
        broker_id: i32 = "0+";
        host: Text = "0+";
        port: i32 = "0+";
        rack: Option<Text> = "0+", nullable "0+", default None;
        is_fenced: bool = "2+";
    }
}
