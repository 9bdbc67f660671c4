//! Control records of a quorum whose voters may change, in the words of Apache Kafka's definitions.

use logmill_engine::format::Uuid;

use crate::wire::Text;
use crate::wire::message::message;

message! {
    /// The level of `kraft.version`: from 1 on the voters stand in the log.
    KRaftVersionRecord "0", flexible "0+" {
        version: i16 = "0+";
        k_raft_version: i16 = "0+";
    }
}

message! {
    /// Who they are.
    VotersRecord "0", flexible "0+" {
        version: i16 = "0+";
        voters: Vec<Voter> = "0+";
    }

    Voter {
        voter_id: i32 = "0+";
        voter_directory_id: Uuid = "0+";
        endpoints: Vec<Endpoint> = "0+";
        k_raft_version_feature: KRaftVersionFeature = "0+";
    }

    Endpoint {
        name: Text = "0+";
        host: Text = "0+";
        port: u16 = "0+";
    }

    KRaftVersionFeature {
        min_supported_version: i16 = "0+";
        max_supported_version: i16 = "0+";
    }
}
