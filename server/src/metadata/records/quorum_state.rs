//! The content of `quorum-state`, in the words of Apache Kafka's definition.

use logmill_engine::format::Uuid;

use crate::wire::Text;
use crate::wire::message::message;

message! {
    /// Whom this node takes for the leader. It is written as JSON.
    QuorumStateData "0-1", flexible "0+" {
        cluster_id: Text = "0";
        leader_id: i32 = "0+", default -1;
        leader_epoch: i32 = "0+", default -1;
        voted_id: i32 = "0+", default -1;
        voted_directory_id: Uuid = "1+";
        applied_offset: i64 = "0";
        current_voters: Option<Vec<Voter>> = "0", nullable "0";
    }

    Voter {
        voter_id: i32 = "0";
    }
}
