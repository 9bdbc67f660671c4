//! DescribeGroups: groups and their members, from their coordinators.

use std::collections::HashSet;

use super::operations::{NOT_ASKED, ON_GROUP};
use super::shares::{Place, Shares};
use super::{Answer, Call, Reply};
use crate::config::topic_name::CONSUMER_OFFSETS;
use crate::group::{GroupCommand, GroupDescription, GroupQueries, partition_of};
use crate::net::conn::Ended;
use crate::shard::Command;
use crate::wire::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use crate::wire::{ErrorCode, Text};

/// From this version on a group that does not exist is an error; before, it was dead.
const NOT_FOUND_FROM: i16 = 6;
/// The state of a group that does not exist.
const DEAD: Text = Text::from_static("Dead");

pub(super) fn handle(request: DescribeGroupsRequest, call: Call) -> Result<Reply, Ended> {
    Ok(Reply::Later(Box::pin(answer(request, call))))
}

async fn answer(request: DescribeGroupsRequest, call: Call) -> Answer {
    let image = call.shard.image();
    let mut shares = Shares::new();
    let mut names = request.groups;
    // A few bytes can name a group, and be answered with all its members.
    let mut seen = HashSet::new();
    names.retain(|name| seen.insert(name.clone()));
    let mut places = Vec::with_capacity(names.len());
    for group in &names {
        places.push(match image.by_name(CONSUMER_OFFSETS) {
            None => Place::Refused(ErrorCode::NotCoordinator),
            Some(topic) => {
                let coordinator = partition_of(group, topic);
                shares.add(&call.shard, coordinator, (coordinator, group.clone()))
            }
        });
    }
    let describe = |groups, reply| Command::Group(GroupCommand::Describe(GroupQueries { groups, reply }));
    let mut answers = shares.ask(&call.shard, describe).await.answers().await;
    let mut groups = Vec::with_capacity(places.len());
    for (name, place) in names.into_iter().zip(places) {
        let described = match answers.take(place) {
            Ok(Ok(held)) => held.release().await,
            Ok(Err(code)) | Err(code) => Err(code),
        };
        let mut group = match described {
            Ok(Some(description)) => described_group(name, description),
            Ok(None) => missing(name, call.version),
            Err(code) => DescribedGroup { error_code: code.code(), group_id: name, ..Default::default() },
        };
        let may = request.include_authorized_operations && group.error_code == 0;
        group.authorized_operations = if may { ON_GROUP } else { NOT_ASKED };
        groups.push(group);
    }
    call.answer(&DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() })
}

fn described_group(group_id: Text, description: GroupDescription) -> DescribedGroup {
    let members = description.members.into_iter().map(|member| DescribedGroupMember {
        member_id: member.id,
        group_instance_id: member.instance,
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    });
    DescribedGroup {
        group_id,
        group_state: Text::from_static(description.state.name()),
        protocol_type: description.protocol_type,
        protocol_data: description.protocol,
        members: members.collect(),
        ..DescribedGroup::default()
    }
}

fn missing(name: Text, version: i16) -> DescribedGroup {
    if version < NOT_FOUND_FROM {
        return DescribedGroup { group_id: name, group_state: DEAD, ..DescribedGroup::default() };
    }
    DescribedGroup {
        error_code: ErrorCode::GroupIdNotFound.code(),
        error_message: Some(Text::from(format!("Group {name} not found."))),
        group_id: name,
        group_state: DEAD,
        ..DescribedGroup::default()
    }
}
