//! OffsetDelete: what a group has committed for partitions is forgotten.

use super::coordinator::ask;
use super::{Call, Reply};
use crate::group::{Forget, GroupCommand};
use crate::net::conn::Ended;
use crate::wire::ErrorCode;
use crate::wire::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestTopic, OffsetDeleteResponse, OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
};

/// Hands the request on in order; the answer comes later.
pub(super) async fn handle(request: OffsetDeleteRequest, call: Call) -> Result<Reply, Ended> {
    if request.group_id.is_empty() {
        return call.now(&refusal(ErrorCode::InvalidGroupId));
    }
    let image = call.shard.image();
    let OffsetDeleteRequest { group_id, topics } = request;
    let exists = move |name: &str, index: i32| {
        image.by_name(name).is_some_and(|topic| topic.partition(index).is_some())
    };
    let known = |topic: &OffsetDeleteRequestTopic| {
        let indexes = topic.partitions.iter().map(|partition| partition.partition_index);
        (topic.name.clone(), indexes.filter(|index| exists(&topic.name, *index)).collect())
    };
    let known = topics.iter().map(known).collect();
    let forget = Forget { group: group_id.clone(), topics: known };
    let forgotten = ask(&call, &group_id, forget, GroupCommand::Forget).await;
    let answer = async move {
        match forgotten.await {
            Ok(codes) => call.answer(&respond(topics, &codes, exists)),
            Err(code) => call.answer(&refusal(code)),
        }
    };
    Ok(Reply::Later(Box::pin(answer)))
}

fn refusal(code: ErrorCode) -> OffsetDeleteResponse {
    OffsetDeleteResponse { error_code: code.code(), ..OffsetDeleteResponse::default() }
}

/// With the codes of the partitions that exist, in their order.
fn respond(
    topics: Vec<OffsetDeleteRequestTopic>,
    codes: &[ErrorCode],
    exists: impl Fn(&str, i32) -> bool,
) -> OffsetDeleteResponse {
    let mut codes = codes.iter().copied();
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let partition_index = partition.partition_index;
            let code = match exists(&topic.name, partition_index) {
                true => codes.next().expect("a partition that exists has a code"),
                false => ErrorCode::UnknownTopicOrPartition,
            };
            OffsetDeleteResponsePartition { partition_index, error_code: code.code() }
        });
        let partitions = partitions.collect();
        OffsetDeleteResponseTopic { name: topic.name, partitions }
    });
    OffsetDeleteResponse { topics: topics.collect(), ..OffsetDeleteResponse::default() }
}
