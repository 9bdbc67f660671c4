//! The control record that begins a leader's epoch, in the words of Apache Kafka's definition.

use logmill_engine::format::Uuid;

use crate::wire::message::message;

message! {
    /// Who leads from here on.
    LeaderChangeMessage "0-1", flexible "0+" {
        version: i16 = "0+";
        leader_id: i32 = "0+";
        voters: Vec<Voter> = "0+";
        granting_voters: Vec<Voter> = "0+";
    }

    Voter {
        voter_id: i32 = "0+";
        voter_directory_id: Uuid = "1+";
    }
}
