//! Records of access and of users, in the words of Apache Kafka's definitions.

use bytes::Bytes;
use logmill_engine::format::Uuid;

use crate::wire::Text;
use crate::wire::message::message;

message! {
    /// Somebody may do something, or may not.
    AccessControlEntryRecord "0", flexible "0+" {
        id: Uuid = "0+";
        resource_type: i8 = "0+";
        resource_name: Text = "0+";
        pattern_type: i8 = "0+";
        principal: Text = "0+";
        host: Text = "0+";
        operation: i8 = "0+";
        permission_type: i8 = "0+";
    }
}

message! {
    /// That is taken back.
    RemoveAccessControlEntryRecord "0", flexible "0+" {
        id: Uuid = "0+";
    }
}

message! {
    /// How a user proves who it is.
    UserScramCredentialRecord "0", flexible "0+" {
        name: Text = "0+";
        mechanism: i8 = "0+";
        salt: Bytes = "0+";
        stored_key: Bytes = "0+";
        server_key: Bytes = "0+";
        iterations: i32 = "0+";
    }
}

message! {
    /// That is taken back.
    RemoveUserScramCredentialRecord "0", flexible "0+" {
        name: Text = "0+";
        mechanism: i8 = "0+";
    }
}

message! {
    /// A token that stands for a user.
    DelegationTokenRecord "0", flexible "0+" {
        owner: Text = "0+";
        requester: Text = "0+";
        renewers: Vec<Text> = "0+";
        issue_timestamp: i64 = "0+";
        max_timestamp: i64 = "0+";
        expiration_timestamp: i64 = "0+";
        token_id: Text = "0+";
    }
}

message! {
    /// That is taken back.
    RemoveDelegationTokenRecord "0", flexible "0+" {
        token_id: Text = "0+";
    }
}
