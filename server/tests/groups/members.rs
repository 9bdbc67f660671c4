//! Membership: generations, assignments, and what is left of them behind a start.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;
use kafka_protocol::messages::GroupId;
use kafka_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use kafka_protocol::messages::describe_groups_request::DescribeGroupsRequest;
use kafka_protocol::messages::heartbeat_request::HeartbeatRequest;
use kafka_protocol::messages::join_group_request::{JoinGroupRequest, JoinGroupRequestProtocol};
use kafka_protocol::messages::join_group_response::JoinGroupResponse;
use kafka_protocol::messages::leave_group_request::{LeaveGroupRequest, MemberIdentity};
use kafka_protocol::messages::list_groups_request::ListGroupsRequest;
use kafka_protocol::messages::sync_group_request::{SyncGroupRequest, SyncGroupRequestAssignment};
use kafka_protocol::protocol::StrBytes;
use logmill_engine::disk::sim::SimDisk;
use logmill_server::sim::SimSocket;
use logmill_server::wire::ErrorCode;

use crate::client::{ask, find, text, world};

fn group() -> GroupId {
    GroupId(text("g"))
}

async fn join(socket: &SimSocket, version: i16, member_id: &StrBytes) -> JoinGroupResponse {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t"));
    let request = JoinGroupRequest::default()
        .with_group_id(group())
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(if version == 0 { -1 } else { 60_000 })
        .with_member_id(member_id.clone())
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    ask(socket, version, request).await
}

/// Joins, with the id that the broker gives.
async fn become_member(socket: &SimSocket, version: i16) -> JoinGroupResponse {
    let joined = join(socket, version, &text("")).await;
    if joined.error_code == 0 {
        return joined;
    }
    assert_eq!(joined.error_code, ErrorCode::MemberIdRequired.code(), "version {version}");
    join(socket, version, &joined.member_id).await
}

/// Asks for the assignment; the leader gives each member its id for one.
async fn sync(socket: &SimSocket, version: i16, joined: &JoinGroupResponse) -> (i16, Bytes) {
    let assignment = |id: &StrBytes| {
        SyncGroupRequestAssignment::default()
            .with_member_id(id.clone())
            .with_assignment(Bytes::copy_from_slice(id.as_bytes()))
    };
    let mut request = SyncGroupRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone())
        .with_assignments(joined.members.iter().map(|member| assignment(&member.member_id)).collect());
    if version >= 5 {
        request = request.with_protocol_type(Some(text("consumer"))).with_protocol_name(Some(text("range")));
    }
    let response = ask(socket, version, request).await;
    (response.error_code, response.assignment)
}

async fn heartbeat(socket: &SimSocket, joined: &JoinGroupResponse) -> i16 {
    let request = HeartbeatRequest::default()
        .with_group_id(group())
        .with_generation_id(joined.generation_id)
        .with_member_id(joined.member_id.clone());
    ask(socket, 4, request).await.error_code
}

async fn leave(socket: &SimSocket, joined: &JoinGroupResponse) -> i16 {
    let member = MemberIdentity::default().with_member_id(joined.member_id.clone());
    let request = LeaveGroupRequest::default().with_group_id(group()).with_members(vec![member]);
    let response = ask(socket, 5, request).await;
    assert_eq!(response.error_code, 0);
    response.members[0].error_code
}

/// State and protocol of the group, and the ids and assignments of its members.
async fn describe(socket: &SimSocket) -> (String, String, Vec<(String, Bytes)>) {
    let request = DescribeGroupsRequest::default().with_groups(vec![group()]);
    let described = ask(socket, 5, request).await.groups.remove(0);
    let members = described.members.into_iter();
    let members = members.map(|member| (member.member_id.to_string(), member.member_assignment)).collect();
    (described.group_state.to_string(), described.protocol_data.to_string(), members)
}

async fn list(socket: &SimSocket, states: &[&'static str]) -> Vec<(String, String)> {
    let filter = states.iter().map(|state| text(state)).collect();
    let response = ask(socket, 5, ListGroupsRequest::default().with_states_filter(filter)).await;
    let groups = response.groups.into_iter();
    groups.map(|group| (group.group_id.to_string(), group.group_state.to_string())).collect()
}

async fn delete(socket: &SimSocket) -> i16 {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![group()]);
    ask(socket, 2, request).await.results[0].error_code
}

#[test]
fn members_that_join_at_the_same_time_share_one_generation_in_every_version() {
    for seed in 0..10 {
        for version in 0..=9 {
            let world = world(seed, &SimDisk::default());
            let (one, other, looker) = (world.connect(), world.connect(), world.connect());
            let sync_version = version.min(5);
            world.run(async move {
                find(&looker, 6, 0).await;
                let (one_joined, other_joined) =
                    tokio::join!(become_member(&one, version), become_member(&other, version));
                let context = format!("version {version}, seed {seed}");
                assert_eq!((one_joined.error_code, other_joined.error_code), (0, 0), "{context}");
                assert_eq!((one_joined.generation_id, other_joined.generation_id), (1, 1), "{context}");
                assert_eq!(one_joined.leader, other_joined.leader, "{context}");
                assert_eq!(one_joined.members.len() + other_joined.members.len(), 2, "{context}");
                let (one_synced, other_synced) = tokio::join!(
                    sync(&one, sync_version, &one_joined),
                    sync(&other, sync_version, &other_joined)
                );
                assert_eq!(one_synced, (0, Bytes::copy_from_slice(one_joined.member_id.as_bytes())));
                assert_eq!(other_synced, (0, Bytes::copy_from_slice(other_joined.member_id.as_bytes())));
                let (state, protocol, members) = describe(&looker).await;
                assert_eq!((&*state, &*protocol, members.len()), ("Stable", "range", 2), "{context}");
            });
        }
    }
}

#[test]
fn a_start_finds_members_and_assignments_and_gives_up_who_does_not_come_back() {
    for seed in 0..10 {
        let disk = SimDisk::default();
        let before = world(seed, &disk);
        let socket = before.connect();
        let joined = Rc::new(RefCell::new(None));
        let keep = joined.clone();
        before.run(async move {
            find(&socket, 6, 0).await;
            let member = become_member(&socket, 9).await;
            assert_eq!(sync(&socket, 5, &member).await.0, 0);
            *keep.borrow_mut() = Some(member);
        });
        drop(before);
        let joined = joined.take().unwrap();
        let after = world(seed, &disk);
        let socket = after.connect();
        after.run(async move {
            let id = joined.member_id.to_string();
            let expected = vec![(id.clone(), Bytes::from(id))];
            assert_eq!(describe(&socket).await, ("Stable".to_owned(), "range".to_owned(), expected));
            assert_eq!(heartbeat(&socket, &joined).await, 0);
            assert_eq!(delete(&socket).await, ErrorCode::NonEmptyGroup.code());
            // Silent for its session, whose end the next one that joins waits for.
            let next = become_member(&socket, 9).await;
            assert_eq!((next.error_code, next.generation_id, next.members.len()), (0, 2, 1), "seed {seed}");
            assert_eq!(heartbeat(&socket, &joined).await, ErrorCode::UnknownMemberId.code());
        });
    }
}

#[test]
fn a_group_that_everybody_left_is_listed_until_it_is_deleted() {
    let disk = SimDisk::default();
    let before = world(1, &disk);
    let socket = before.connect();
    before.run(async move {
        assert_eq!(list(&socket, &[]).await, []);
        find(&socket, 6, 0).await;
        assert_eq!(delete(&socket).await, ErrorCode::GroupIdNotFound.code());
        let member = become_member(&socket, 9).await;
        assert_eq!(sync(&socket, 5, &member).await.0, 0);
        assert_eq!(leave(&socket, &member).await, 0);
        assert_eq!(leave(&socket, &member).await, ErrorCode::UnknownMemberId.code());
    });
    drop(before);
    let after = world(2, &disk);
    let socket = after.connect();
    after.run(async move {
        let empty = [("g".to_owned(), "Empty".to_owned())];
        assert_eq!(list(&socket, &["empty", "Dead"]).await, empty);
        assert_eq!(list(&socket, &["Stable"]).await, []);
        assert_eq!(delete(&socket).await, 0);
        assert_eq!(list(&socket, &[]).await, []);
        assert_eq!(describe(&socket).await.0, "Dead");
    });
}

#[test]
fn what_no_member_can_be_is_refused() {
    let world = world(1, &SimDisk::default());
    let socket = world.connect();
    world.run(async move {
        let code = |joined: JoinGroupResponse| joined.error_code;
        // Before anybody looked for a coordinator there is none.
        assert_eq!(code(join(&socket, 9, &text("")).await), ErrorCode::NotCoordinator.code());
        find(&socket, 6, 0).await;
        assert_eq!(code(join(&socket, 9, &text("stranger")).await), ErrorCode::UnknownMemberId.code());
        let unnamed = JoinGroupRequest::default().with_session_timeout_ms(10_000);
        assert_eq!(ask(&socket, 9, unnamed).await.error_code, ErrorCode::InvalidGroupId.code());
        let hasty = JoinGroupRequest::default().with_group_id(group()).with_session_timeout_ms(5_999);
        assert_eq!(ask(&socket, 9, hasty).await.error_code, ErrorCode::InvalidSessionTimeout.code());
        let nothing = JoinGroupRequest::default().with_group_id(group()).with_session_timeout_ms(6_000);
        assert_eq!(ask(&socket, 9, nothing).await.error_code, ErrorCode::InconsistentGroupProtocol.code());
        assert_eq!(list(&socket, &[]).await, [], "who is refused leaves no group behind");
        let stranger = JoinGroupResponse::default().with_member_id(text("stranger"));
        assert_eq!(sync(&socket, 5, &stranger).await.0, ErrorCode::UnknownMemberId.code());
        assert_eq!(heartbeat(&socket, &stranger).await, ErrorCode::UnknownMemberId.code());
        assert_eq!(leave(&socket, &stranger).await, ErrorCode::UnknownMemberId.code());
    });
}
