//! Records of settings, features, quotas and producer ids, in the words of Apache Kafka's definitions.

use crate::wire::Text;
use crate::wire::message::message;

message! {
    /// A setting of a topic (resource type 2), broker (4, all of them without a name), client metrics (16) or group (32).
    ConfigRecord "0", flexible "0+" {
        resource_type: i8 = "0+";
        resource_name: Text = "0+";
        name: Text = "0+";
        value: Option<Text> = "0+", nullable "0+";
    }
}

message! {
    /// A feature has a level from here on.
    FeatureLevelRecord "0", flexible "0+" {
        name: Text = "0+";
        feature_level: i16 = "0+";
    }
}

message! {
    /// A quota.
    ClientQuotaRecord "0", flexible "0+" {
        entity: Vec<EntityData> = "0+";
        key: Text = "0+";
        value: f64 = "0+";
        remove: bool = "0+";
    }

    EntityData {
        entity_type: Text = "0+";
        entity_name: Option<Text> = "0+", nullable "0+";
    }
}

message! {
    /// Producer ids below this one are given out.
    ProducerIdsRecord "0", flexible "0+" {
        broker_id: i32 = "0+";
        broker_epoch: i64 = "0+", default -1;
        next_producer_id: i64 = "0+";
    }
}

message! {
    /// How far a move from ZooKeeper has come.
    ZkMigrationStateRecord "0", flexible "0+" {
        zk_migration_state: i8 = "0+";
    }
}
