//! Produce: record batches to append, and the offsets they got.

use logmill_engine::format::Uuid;

use crate::wire::few::Few;
use crate::wire::message::message;
use crate::wire::records::Records;
use crate::wire::text::Text;

message! {
    ProduceRequest "3-13", flexible "9+" {
        transactional_id: Option<Text> = "3+", nullable "3+", default None;
        acks: i16 = "0+";
        timeout_ms: i32 = "0+";
        topic_data: Few<TopicProduceData> = "0+";
    }

    TopicProduceData {
        name: Text = "0-12";
        topic_id: Uuid = "13+";
        partition_data: Few<PartitionProduceData> = "0+";
    }

    PartitionProduceData {
        index: i32 = "0+";
        records: Records = "0+", nullable "0+";
    }
}

message! {
    ProduceResponse "3-13", flexible "9+" {
        responses: Vec<TopicProduceResponse> = "0+";
        throttle_time_ms: i32 = "1+", default 0;
        node_endpoints: Vec<NodeEndpoint> = "10+", tag 0 "10+";
    }

    TopicProduceResponse {
        name: Text = "0-12";
        topic_id: Uuid = "13+";
        partition_responses: Vec<PartitionProduceResponse> = "0+";
    }

    PartitionProduceResponse {
        index: i32 = "0+";
        error_code: i16 = "0+";
        base_offset: i64 = "0+";
        log_append_time_ms: i64 = "2+", default -1;
        log_start_offset: i64 = "5+", default -1;
        record_errors: Vec<BatchIndexAndErrorMessage> = "8+";
        error_message: Option<Text> = "8+", nullable "8+", default None;
        current_leader: LeaderIdAndEpoch = "10+", tag 0 "10+";
    }

    BatchIndexAndErrorMessage {
        batch_index: i32 = "8+";
        batch_index_error_message: Option<Text> = "8+", nullable "8+", default None;
    }

    LeaderIdAndEpoch {
        leader_id: i32 = "10+", default -1;
        leader_epoch: i32 = "10+", default -1;
    }

    NodeEndpoint {
        node_id: i32 = "10+";
        host: Text = "10+";
        port: i32 = "10+";
        rack: Option<Text> = "10+", nullable "10+", default None;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use smallvec::smallvec;

    use super::*;
    use crate::wire::{Message, Reader, Writer};

    fn check(version: i16, bytes: &'static [u8]) {
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 30_000,
            topic_data: smallvec![TopicProduceData {
                name: Text::from_static("topic"),
                partition_data: smallvec![PartitionProduceData {
                    index: 1,
                    records: Records::Bytes(Bytes::from_static(&[0xaa, 0xbb, 0xcc])),
                }],
                ..Default::default()
            }],
            ..Default::default()
        };
        let mut buf = Vec::new();
        request.write_message(&mut Writer::new(&mut buf), version);
        assert_eq!(&buf[..], bytes);
        let frame = Bytes::from_static(bytes);
        assert_eq!(ProduceRequest::read_message(&mut Reader::new(&frame), version), Ok(request));
    }

    #[test]
    fn version_3_has_lengths_of_fixed_width() {
        check(
            3,
            b"\xff\xff\xff\xff\x00\x00\x75\x30\
              \x00\x00\x00\x01\x00\x05topic\
              \x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x03\xaa\xbb\xcc",
        );
    }

    #[test]
    fn version_9_has_compact_lengths_and_tagged_fields() {
        check(
            9,
            b"\x00\xff\xff\x00\x00\x75\x30\
              \x02\x06topic\
              \x02\x00\x00\x00\x01\x04\xaa\xbb\xcc\x00\
              \x00\
              \x00",
        );
    }
}
