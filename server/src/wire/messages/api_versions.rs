//! ApiVersions: the first request of a connection; what the broker speaks.

use crate::wire::message::message;
use crate::wire::text::Text;

message! {
    ApiVersionsRequest "0-4", flexible "3+" {
        client_software_name: Text = "3+";
        client_software_version: Text = "3+";
    }
}

message! {
    ApiVersionsResponse "0-4", flexible "3+" {
        error_code: i16 = "0+";
        api_keys: Vec<ApiVersion> = "0+";
        throttle_time_ms: i32 = "1+";
        supported_features: Vec<SupportedFeatureKey> = "3+", tag 0 "3+";
        finalized_features_epoch: i64 = "3+", tag 1 "3+", default -1;
        finalized_features: Vec<FinalizedFeatureKey> = "3+", tag 2 "3+";
        zk_migration_ready: bool = "3+", tag 3 "3+", default false;
    }

    ApiVersion {
        api_key: i16 = "0+";
        min_version: i16 = "0+";
        max_version: i16 = "0+";
    }

    SupportedFeatureKey {
        name: Text = "3+";
        min_version: i16 = "3+";
        max_version: i16 = "3+";
    }

    FinalizedFeatureKey {
        name: Text = "3+";
        max_version_level: i16 = "3+";
        min_version_level: i16 = "3+";
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::{Message, Reader, Writer};

    #[test]
    fn the_request_of_a_java_client_is_read() {
        let frame = Bytes::from_static(b"\x12apache-kafka-java\x064.3.1\x00");
        let mut reader = Reader::new(&frame);
        let request = ApiVersionsRequest::read_message(&mut reader, 3).unwrap();
        assert_eq!(request.client_software_name, "apache-kafka-java");
        assert_eq!(request.client_software_version, "4.3.1");
        assert_eq!(reader.remaining(), 0);
    }

    #[test]
    fn features_are_tagged_and_left_out_when_empty() {
        let response = ApiVersionsResponse {
            api_keys: vec![ApiVersion { api_key: 18, min_version: 0, max_version: 4 }],
            finalized_features_epoch: 7,
            ..Default::default()
        };
        let mut buf = Vec::new();
        response.write_message(&mut Writer::new(&mut buf), 3);
        assert_eq!(
            &buf[..],
            b"\x00\x00\x02\x00\x12\x00\x00\x00\x04\x00\x00\x00\x00\x00\
              \x01\x01\x08\x00\x00\x00\x00\x00\x00\x00\x07"
        );
    }
}
