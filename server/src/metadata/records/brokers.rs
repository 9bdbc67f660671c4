//! Records of brokers and controllers, in the words of Apache Kafka's definitions.

use logmill_engine::format::Uuid;

use crate::wire::Text;
use crate::wire::message::message;

message! {
    /// A broker is there, fenced at first. Its epoch is the offset of this record.
    RegisterBrokerRecord "0-4", flexible "0+" {
        broker_id: i32 = "0+";
        is_migrating_zk_broker: bool = "2+", default false;
        incarnation_id: Uuid = "0+";
        broker_epoch: i64 = "0+";
        end_points: Vec<BrokerEndpoint> = "0+";
        features: Vec<BrokerFeature> = "0+";
        rack: Option<Text> = "0+", nullable "0+";
        fenced: bool = "0+", default true;
        in_controlled_shutdown: bool = "1+", default false;
        log_dirs: Vec<Uuid> = "3+", tag 0 "3+";
        cordoned_log_dirs: Option<Vec<Uuid>> = "4+", nullable "4+", tag 1 "4+", default None;
    }

    BrokerEndpoint {
        name: Text = "0+";
        host: Text = "0+";
        port: u16 = "0+";
        security_protocol: i16 = "0+";
    }

    BrokerFeature {
        name: Text = "0+";
        min_supported_version: i16 = "0+";
        max_supported_version: i16 = "0+";
    }
}

message! {
    /// A broker is gone for good.
    UnregisterBrokerRecord "0", flexible "0+" {
        broker_id: i32 = "0+";
        broker_epoch: i64 = "0+";
    }
}

message! {
    /// A broker leads nothing for now.
    FenceBrokerRecord "0", flexible "0+" {
        id: i32 = "0+";
        epoch: i64 = "0+";
    }
}

message! {
    /// A broker may lead.
    UnfenceBrokerRecord "0", flexible "0+" {
        id: i32 = "0+";
        epoch: i64 = "0+";
    }
}

message! {
    /// What became of a broker: 1 stands for yes, -1 for no, 0 for nothing new.
    BrokerRegistrationChangeRecord "0-3", flexible "0+" {
        broker_id: i32 = "0+";
        broker_epoch: i64 = "0+";
        fenced: i8 = "0+", tag 0 "0+";
        in_controlled_shutdown: i8 = "1+", tag 1 "1+";
        log_dirs: Vec<Uuid> = "2+", tag 2 "2+";
        cordoned_log_dirs: Option<Vec<Uuid>> = "3+", nullable "3+", tag 3 "3+", default None;
    }
}

message! {
    /// A controller is there.
    RegisterControllerRecord "0", flexible "0+" {
        controller_id: i32 = "0+";
        incarnation_id: Uuid = "0+";
        zk_migration_ready: bool = "0+";
        end_points: Vec<ControllerEndpoint> = "0+";
        features: Vec<ControllerFeature> = "0+";
    }

    ControllerEndpoint {
        name: Text = "0+";
        host: Text = "0+";
        port: u16 = "0+";
        security_protocol: i16 = "0+";
    }

    ControllerFeature {
        name: Text = "0+";
        min_supported_version: i16 = "0+";
        max_supported_version: i16 = "0+";
    }
}
