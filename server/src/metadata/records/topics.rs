//! Records of topics and their partitions, in the words of Apache Kafka's definitions.

use logmill_engine::format::Uuid;

use crate::wire::Text;
use crate::wire::message::message;

message! {
    /// A topic is there.
    TopicRecord "0", flexible "0+" {
        name: Text = "0+";
        topic_id: Uuid = "0+";
    }
}

message! {
    /// A topic is gone, and all its partitions and settings with it.
    RemoveTopicRecord "0", flexible "0+" {
        topic_id: Uuid = "0+";
    }
}

message! {
    /// All there is to know of a partition.
    PartitionRecord "0-2", flexible "0+" {
        partition_id: i32 = "0+", default -1;
        topic_id: Uuid = "0+";
        replicas: Vec<i32> = "0+";
        isr: Vec<i32> = "0+";
        removing_replicas: Vec<i32> = "0+";
        adding_replicas: Vec<i32> = "0+";
        leader: i32 = "0+", default -1;
        leader_recovery_state: i8 = "0+", tag 0 "0+", default 0;
        leader_epoch: i32 = "0+", default -1;
        partition_epoch: i32 = "0+", default -1;
        directories: Vec<Uuid> = "1+";
        eligible_leader_replicas: Option<Vec<i32>> = "2+", nullable "2+", tag 1 "2+", default None;
        last_known_elr: Option<Vec<i32>> = "2+", nullable "2+", tag 2 "2+", default None;
    }
}

message! {
    /// What became of a partition; a null says nothing new.
    PartitionChangeRecord "0-2", flexible "0+" {
        partition_id: i32 = "0+", default -1;
        topic_id: Uuid = "0+";
        isr: Option<Vec<i32>> = "0+", nullable "0+", tag 0 "0+", default None;
        leader: i32 = "0+", tag 1 "0+", default -2;
        replicas: Option<Vec<i32>> = "0+", nullable "0+", tag 2 "0+", default None;
        removing_replicas: Option<Vec<i32>> = "0+", nullable "0+", tag 3 "0+", default None;
        adding_replicas: Option<Vec<i32>> = "0+", nullable "0+", tag 4 "0+", default None;
        leader_recovery_state: i8 = "0+", tag 5 "0+", default -1;
        directories: Option<Vec<Uuid>> = "1+", nullable "1+", tag 8 "1+", default None;
        eligible_leader_replicas: Option<Vec<i32>> = "2+", nullable "2+", tag 6 "2+", default None;
        last_known_elr: Option<Vec<i32>> = "2+", nullable "2+", tag 7 "2+", default None;
    }
}

message! {
    /// The eligible leaders of a topic, or with an empty name of all of them, are forgotten.
    ClearElrRecord "0", flexible "0+" {
        topic_name: Text = "0+";
    }
}
