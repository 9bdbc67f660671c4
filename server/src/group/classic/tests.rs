//! Groups driven by hand: what members are told, and when.

use super::*;

const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;
const DELAY_MS: i64 = 3_000;

fn settings() -> GroupSettings {
    GroupSettings {
        session_ms_min: 6_000,
        session_ms_max: 1_800_000,
        initial_delay_ms: DELAY_MS as i32,
        size_max: 5,
        offsets_retention_ms: 1,
        offsets_check_interval_ms: 1,
    }
}

fn at(ms: i64) -> Now {
    Now { steady_ms: ms, wall_ms: 1_700_000_000_000 + ms }
}

/// A group, the time, and what was told.
struct Scene {
    group: ClassicGroup,
    now_ms: i64,
    settings: GroupSettings,
    waiters: u64,
    told: Vec<(Waiter, Answer)>,
    /// Generations that were written.
    written: Vec<crate::group::records::GroupMetadataValue>,
    refuses_writes: bool,
}

impl Scene {
    fn new() -> Scene {
        Scene {
            group: ClassicGroup::new(at(0)),
            now_ms: 0,
            settings: settings(),
            waiters: 0,
            told: Vec::new(),
            written: Vec::new(),
            refuses_writes: false,
        }
    }

    /// A group with these members, of which the first one leads, and their assignments.
    fn stable(ids: &[&str]) -> Scene {
        let mut scene = Scene::new();
        let waiters: Vec<Waiter> = ids.iter().map(|id| scene.join_with_fresh(id)).collect();
        scene.pass(DELAY_MS);
        while scene.group.state() == State::PreparingRebalance {
            scene.pass(DELAY_MS);
        }
        waiters.into_iter().for_each(|waiter| assert_eq!(scene.joined(waiter).code, ErrorCode::None));
        scene.sync_all();
        assert_eq!(scene.group.state(), State::Stable);
        scene
    }

    fn waiter(&mut self) -> Waiter {
        self.waiters += 1;
        Waiter(self.waiters)
    }

    fn request(member_id: &str) -> Join {
        Join {
            member_id: member_id.into(),
            fresh_id: "fresh".to_owned(),
            comes_back_with_id: true,
            knows_skipping: true,
            instance: None,
            client_id: "client".into(),
            client_host: "/127.0.0.1".into(),
            session_ms: SESSION_MS,
            rebalance_ms: REBALANCE_MS,
            protocol_type: "consumer".into(),
            protocols: vec![("range".into(), Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t"))],
            reason: None,
        }
    }

    fn join(&mut self, join: &Join) -> Waiter {
        let waiter = self.waiter();
        let mut effects = Effects::default();
        let event = Event { group: "g", now: at(self.now_ms), settings: &self.settings };
        match self.group.join(join, waiter, event, &mut effects) {
            Joined::Done => (),
            Joined::Replaced { .. } if self.refuses_writes => {
                effects = Effects::default();
                effects.refuse_join(waiter, &Text::EMPTY, ErrorCode::NotCoordinator);
            }
            Joined::Replaced { group, value } => {
                self.group = *group;
                self.written.push(value);
            }
        }
        self.take(effects);
        waiter
    }

    /// Joins without an id, takes the one that is given, and comes back with it under a name of ours.
    fn join_with_fresh(&mut self, id: &str) -> Waiter {
        let without = Join { client_id: id.into(), ..Scene::request("") };
        let waiter = self.join(&without);
        let given = self.joined(waiter);
        assert_eq!((given.code, &*given.member_id), (ErrorCode::MemberIdRequired, &*format!("{id}-fresh")));
        self.join(&Join { member_id: given.member_id, ..without })
    }

    fn sync(&mut self, id: &str, generation: i32, assignments: &[(&str, &'static str)]) -> Waiter {
        let sync = Sync {
            member_id: id.into(),
            instance: None,
            generation,
            protocol_type: Some("consumer".into()),
            protocol: Some("range".into()),
            assignments: assignments.iter().map(|(id, bytes)| (Text::from(*id), (*bytes).into())).collect(),
        };
        let waiter = self.waiter();
        let mut effects = Effects::default();
        let event = Event { group: "g", now: at(self.now_ms), settings: &self.settings };
        match self.group.sync(&sync, waiter, event, &mut effects) {
            Synced::Done => (),
            Synced::Assigned { .. } if self.refuses_writes => {
                effects = Effects::default();
                self.group.refuse_assignment(waiter, ErrorCode::NotCoordinator, event, &mut effects);
            }
            Synced::Assigned { group, value } => {
                self.group = *group;
                self.written.push(value);
            }
        }
        self.take(effects);
        waiter
    }

    /// Every member asks for its assignment, the leader last.
    fn sync_all(&mut self) {
        let leader = self.group.leader.clone().unwrap();
        let ids: Vec<Text> = self.group.members.keys().cloned().collect();
        for id in ids.iter().filter(|id| **id != leader) {
            self.sync(id, self.group.generation, &[]);
        }
        self.sync(&leader, self.group.generation, &[]);
    }

    fn pass(&mut self, ms: i64) {
        self.now_ms += ms;
        let mut effects = Effects::default();
        let event = Event { group: "g", now: at(self.now_ms), settings: &self.settings };
        self.group.pass_time(event, &mut effects);
        self.take(effects);
    }

    fn heartbeat(&mut self, id: &str) -> ErrorCode {
        let event = Event { group: "g", now: at(self.now_ms), settings: &self.settings };
        self.group.heartbeat(&id.into(), None, self.group.generation, event)
    }

    fn leave(&mut self, id: &str) -> ErrorCode {
        let leaving = Leaving { member_id: id.into(), instance: None, reason: None };
        let mut effects = Effects::default();
        let event = Event { group: "g", now: at(self.now_ms), settings: &self.settings };
        let codes = self.group.leave(&[leaving], event, &mut effects);
        self.take(effects);
        codes[0]
    }

    fn take(&mut self, effects: Effects) {
        if effects.is_deserted {
            self.written.push(self.group.to_record());
        }
        for (waiter, answer) in effects.answers {
            assert!(self.told.iter().all(|(told, _)| *told != waiter), "{waiter:?} is told twice");
            self.told.push((waiter, answer));
        }
    }

    fn told(&self, waiter: Waiter) -> Option<&Answer> {
        self.told.iter().find(|(told, _)| *told == waiter).map(|(_, answer)| answer)
    }

    fn joined(&self, waiter: Waiter) -> JoinAnswer {
        match self.told(waiter) {
            Some(Answer::Join(answer)) => answer.clone(),
            other => panic!("{waiter:?} was told {other:?}"),
        }
    }

    fn synced(&self, waiter: Waiter) -> SyncAnswer {
        match self.told(waiter) {
            Some(Answer::Sync(answer)) => answer.clone(),
            other => panic!("{waiter:?} was told {other:?}"),
        }
    }
}

#[test]
fn a_first_generation_waits_for_more_members_and_no_longer_than_they_allow() {
    let mut scene = Scene::new();
    let first = scene.join_with_fresh("a");
    scene.pass(DELAY_MS - 1);
    let second = scene.join_with_fresh("b");
    scene.pass(1);
    assert_eq!(scene.told(first), None, "the second one gives more time");
    scene.pass(DELAY_MS);
    let (first, second) = (scene.joined(first), scene.joined(second));
    assert_eq!((first.generation, second.generation), (1, 1));
    assert_eq!((&*first.leader, &*second.leader), ("a-fresh", "a-fresh"));
    assert_eq!(first.members.len(), 2, "the leader learns who there is");
    assert!(second.members.is_empty());
    assert_eq!(first.protocol.as_deref(), Some("range"));
}

#[test]
fn an_assignment_is_given_to_all_when_the_leader_has_handed_it_in() {
    let mut scene = Scene::new();
    let joined = [scene.join_with_fresh("a"), scene.join_with_fresh("b")];
    scene.pass(DELAY_MS);
    scene.pass(DELAY_MS);
    assert!(joined.iter().all(|waiter| scene.joined(*waiter).code == ErrorCode::None));
    let follower = scene.sync("b-fresh", 1, &[]);
    assert_eq!(scene.told(follower), None);
    let leader = scene.sync("a-fresh", 1, &[("a-fresh", "0"), ("b-fresh", "1")]);
    assert_eq!(
        (&scene.synced(leader).assignment[..], &scene.synced(follower).assignment[..]),
        (&b"0"[..], &b"1"[..])
    );
    assert_eq!(scene.group.state(), State::Stable);
    let again = scene.sync("b-fresh", 1, &[]);
    assert_eq!(&scene.synced(again).assignment[..], b"1");
    let [written] = &scene.written[..] else { panic!("{:?}", scene.written) };
    assert_eq!((written.generation, written.members.len()), (1, 2));
    assert_eq!(&written.members[1].assignment[..], b"1");
}

#[test]
fn an_assignment_that_cannot_be_written_is_given_to_nobody_and_all_join_again() {
    let mut scene = Scene::new();
    scene.join_with_fresh("a");
    scene.join_with_fresh("b");
    scene.pass(DELAY_MS);
    scene.pass(DELAY_MS);
    scene.refuses_writes = true;
    let follower = scene.sync("b-fresh", 1, &[]);
    let leader = scene.sync("a-fresh", 1, &[("a-fresh", "0"), ("b-fresh", "1")]);
    for waiter in [leader, follower] {
        assert_eq!(scene.synced(waiter), SyncAnswer::refusal(ErrorCode::NotCoordinator));
    }
    assert_eq!((scene.group.state(), scene.written.len()), (State::PreparingRebalance, 0));
    let joined = [scene.join(&Scene::request("a-fresh")), scene.join(&Scene::request("b-fresh"))];
    assert!(joined.iter().all(|waiter| scene.joined(*waiter).generation == 2));
}

#[test]
fn members_that_allow_no_time_to_join_are_waited_for_and_not_asked_all_the_time() {
    for rebalance_ms in [0, -1, i32::MIN] {
        let of = |name: &str| Join {
            instance: Some(name.into()),
            fresh_id: name.to_owned(),
            rebalance_ms,
            ..Scene::request("")
        };
        let mut scene = Scene::new();
        scene.join(&of("a"));
        scene.join(&of("b"));
        scene.pass(DELAY_MS);
        scene.sync_all();
        assert_eq!(scene.leave("a-a"), ErrorCode::None);
        // The one that stays is static, and does not join.
        let mut looks = 0;
        while scene.group.state() == State::PreparingRebalance {
            let next = scene.group.next_deadline_ms().unwrap();
            scene.pass((next - scene.now_ms).max(1));
            looks += 1;
        }
        assert_eq!(scene.group.state(), State::Empty);
        assert!(looks <= SESSION_MS / 1_000 + 2, "{looks} looks in a session of {SESSION_MS} ms");
    }
}

#[test]
fn times_as_long_as_can_be_asked_for_do_not_overflow() {
    let mut scene = Scene::new();
    let join = Join { session_ms: i32::MAX, rebalance_ms: i32::MAX, ..Scene::request("") };
    scene.join(&Join { comes_back_with_id: false, ..join });
    scene.pass(DELAY_MS);
    scene.sync_all();
    assert_eq!(scene.group.next_deadline_ms(), Some(DELAY_MS + i64::from(i32::MAX)));
}

#[test]
fn a_first_generation_comes_however_many_join() {
    let mut scene = Scene::new();
    scene.settings.size_max = 1_000;
    let short = Join { rebalance_ms: 10_000, comes_back_with_id: false, ..Scene::request("") };
    let first = scene.join(&short);
    for more in 0..9 {
        scene.pass(1_000);
        scene.join(&Join { fresh_id: more.to_string(), ..short.clone() });
    }
    assert_eq!(scene.told(first), None);
    scene.pass(1_000);
    assert_eq!(scene.joined(first).generation, 1);
}

#[test]
fn a_static_member_that_comes_back_while_others_are_waited_for_is_waited_for_like_them() {
    let with_instance = |id: &str| Join { instance: Some("i".into()), ..Scene::request(id) };
    let mut scene = Scene::stable(&["a"]);
    scene.join(&with_instance(""));
    let back = scene.join(&Join { fresh_id: "second".to_owned(), ..with_instance("") });
    for _ in 0..4 {
        scene.pass(i64::from(SESSION_MS) / 2);
        scene.heartbeat("a-fresh");
    }
    assert_eq!(scene.told(back), None, "it waits for the one that has not joined again");
    scene.join(&Scene::request("a-fresh"));
    assert_eq!(scene.joined(back).code, ErrorCode::None);
}

#[test]
fn a_start_with_a_lower_limit_has_members_join_again() {
    let mut scene = Scene::stable(&["a", "b"]);
    scene.group = ClassicGroup::from_record(scene.written.last().unwrap());
    scene.settings.size_max = 1;
    let mut effects = Effects::default();
    let event = Event { group: "g", now: at(scene.now_ms), settings: &scene.settings };
    scene.group.await_members(event, &mut effects);
    assert_eq!(scene.group.state(), State::PreparingRebalance);
    let first = scene.join(&Scene::request("b-fresh"));
    let second = scene.join(&Scene::request("a-fresh"));
    assert_eq!(scene.joined(second).code, ErrorCode::GroupMaxSizeReached);
    assert_eq!(scene.joined(first).generation, 2);
}

#[test]
fn ids_differ_however_long_the_names_are() {
    let mut scene = Scene::new();
    let long = Join { client_id: "c".repeat(Text::BYTES_MAX).into(), ..Scene::request("") };
    let ids = ["one", "other"].map(|fresh| {
        let waiter = scene.join(&Join { fresh_id: fresh.to_owned(), ..long.clone() });
        scene.joined(waiter).member_id
    });
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn a_new_member_has_the_others_join_again() {
    let mut scene = Scene::stable(&["a", "b"]);
    let third = scene.join_with_fresh("c");
    assert_eq!(scene.group.state(), State::PreparingRebalance);
    assert_eq!(scene.heartbeat("a-fresh"), ErrorCode::RebalanceInProgress);
    let first = scene.join(&Scene::request("a-fresh"));
    assert_eq!(scene.told(third), None);
    let second = scene.join(&Scene::request("b-fresh"));
    for waiter in [first, second, third] {
        assert_eq!((scene.joined(waiter).code, scene.joined(waiter).generation), (ErrorCode::None, 2));
    }
}

#[test]
fn who_does_not_join_again_in_time_is_out_and_another_leads() {
    let mut scene = Scene::stable(&["a", "b"]);
    let second = scene.join(&Join {
        reason: Some("topics".into()),
        protocols: vec![("range".into(), Bytes::from_static(b"new"))],
        ..Scene::request("b-fresh")
    });
    assert_eq!(scene.group.state(), State::PreparingRebalance);
    // The first one is alive and does not join.
    for _ in 0..REBALANCE_MS / 5_000 {
        scene.heartbeat("a-fresh");
        assert_eq!(scene.told(second), None);
        scene.pass(5_000);
    }
    let answer = scene.joined(second);
    assert_eq!((answer.generation, &*answer.leader, answer.members.len()), (2, "b-fresh", 1));
    assert_eq!(scene.heartbeat("a-fresh"), ErrorCode::UnknownMemberId);
}

#[test]
fn who_says_nothing_for_a_session_is_evicted() {
    let mut scene = Scene::stable(&["a", "b"]);
    scene.pass(i64::from(SESSION_MS) - 1);
    scene.heartbeat("a-fresh");
    assert_eq!(scene.group.members.len(), 2);
    scene.pass(1);
    assert_eq!((scene.group.members.len(), scene.group.state()), (1, State::PreparingRebalance));
    assert_eq!(scene.heartbeat("b-fresh"), ErrorCode::UnknownMemberId);
    let first = scene.join(&Scene::request("a-fresh"));
    assert_eq!((scene.joined(first).generation, scene.group.members.len()), (2, 1));
}

#[test]
fn who_waits_for_others_is_not_expected_to_say_anything() {
    let mut scene = Scene::stable(&["a", "b"]);
    let first = scene.join(&Scene::request("a-fresh"));
    for _ in 0..5 {
        scene.heartbeat("b-fresh");
        scene.pass(i64::from(SESSION_MS) / 2);
    }
    assert_eq!((scene.told(first), scene.group.members.len()), (None, 2));
    scene.join(&Scene::request("b-fresh"));
    assert_eq!(scene.joined(first).generation, 2);
}

#[test]
fn an_id_that_nobody_comes_back_with_holds_the_others_up_for_a_session_at_most() {
    let mut scene = Scene::stable(&["a"]);
    let without = scene.join(&Scene::request(""));
    assert_eq!(scene.joined(without).code, ErrorCode::MemberIdRequired);
    let first = scene.join(&Scene::request("a-fresh"));
    assert_eq!(scene.told(first), None);
    scene.pass(i64::from(SESSION_MS));
    assert_eq!(scene.joined(first).generation, 2);
}

#[test]
fn the_last_one_that_leaves_leaves_an_empty_generation_behind() {
    let mut scene = Scene::stable(&["a"]);
    assert_eq!(scene.leave("nobody"), ErrorCode::UnknownMemberId);
    assert_eq!(scene.leave("a-fresh"), ErrorCode::None);
    assert_eq!(scene.group.state(), State::Empty);
    let last = scene.written.last().unwrap();
    assert_eq!((last.generation, last.members.len(), &last.protocol), (2, 0, &None));
    assert_eq!(last.protocol_type, "consumer");
}

#[test]
fn who_does_not_ask_for_its_assignment_is_out() {
    let mut scene = Scene::new();
    scene.join_with_fresh("a");
    scene.join_with_fresh("b");
    scene.pass(DELAY_MS);
    scene.pass(DELAY_MS);
    let leader = scene.sync("a-fresh", 1, &[]);
    assert_eq!(scene.synced(leader).code, ErrorCode::None);
    for _ in 0..REBALANCE_MS / 5_000 {
        assert_eq!(scene.group.members.len(), 2);
        scene.heartbeat("a-fresh");
        scene.heartbeat("b-fresh");
        scene.pass(5_000);
    }
    assert_eq!((scene.group.members.len(), scene.group.state()), (1, State::PreparingRebalance));
}

#[test]
fn a_static_member_comes_back_to_its_assignment_and_the_one_before_is_fenced() {
    let with_instance = |id: &str| Join { instance: Some("i".into()), ..Scene::request(id) };
    let mut scene = Scene::new();
    let first = scene.join(&with_instance(""));
    scene.pass(DELAY_MS);
    let before = scene.joined(first).member_id;
    scene.sync(&before, 1, &[(&before, "mine")]);
    let back = scene.join(&Join { fresh_id: "second".to_owned(), ..with_instance("") });
    let answer = scene.joined(back);
    assert_eq!((answer.code, answer.generation, &*answer.member_id), (ErrorCode::None, 1, "i-second"));
    assert!(answer.skips_assignment, "it leads, and keeps what was assigned");
    let synced = scene.sync("i-second", 1, &[]);
    assert_eq!(&scene.synced(synced).assignment[..], b"mine");
    let late = scene.join(&with_instance(&before));
    assert_eq!(scene.joined(late).code, ErrorCode::FencedInstanceId);
    scene.refuses_writes = true;
    let refused = scene.join(&Join { fresh_id: "third".to_owned(), ..with_instance("") });
    assert_eq!(scene.joined(refused).code, ErrorCode::NotCoordinator);
    assert!(scene.group.members.contains_key(&Text::from("i-second")), "a refused write changes nothing");
}

#[test]
fn a_full_group_takes_nobody_more() {
    let ids = ["a", "b", "c", "d", "e"];
    let mut scene = Scene::stable(&ids);
    let refused = scene.join(&Scene::request(""));
    assert_eq!(scene.joined(refused).code, ErrorCode::GroupMaxSizeReached);
    assert_eq!((scene.group.members.len(), scene.group.state()), (ids.len(), State::Stable));
}

#[test]
fn the_protocol_is_one_that_all_support_and_most_like_best() {
    let of = |names: &[&str]| names.iter().map(|name| (Text::from(*name), Bytes::new())).collect();
    let mut scene = Scene::new();
    let joins: [&[&str]; 3] =
        [&["range", "sticky", "robin"], &["robin", "range", "lonely"], &["robin", "range"]];
    let mut last = None;
    for (index, names) in joins.into_iter().enumerate() {
        let join = Join {
            comes_back_with_id: false,
            fresh_id: index.to_string(),
            protocols: of(names),
            ..Scene::request("")
        };
        last = Some(scene.join(&join));
    }
    let stranger = Join { protocols: of(&["lonely"]), comes_back_with_id: false, ..Scene::request("") };
    let stranger = scene.join(&stranger);
    assert_eq!(scene.joined(stranger).code, ErrorCode::InconsistentGroupProtocol);
    scene.pass(DELAY_MS);
    scene.pass(DELAY_MS);
    assert_eq!(scene.joined(last.unwrap()).protocol.as_deref(), Some("robin"));
}

#[test]
fn who_may_commit() {
    let mut scene = Scene::stable(&["a", "b"]);
    let may = |scene: &Scene, id: &str, generation| scene.group.validate_commit(&id.into(), None, generation);
    assert_eq!(may(&scene, "a-fresh", 1), Ok(()));
    assert_eq!(may(&scene, "a-fresh", 0), Err(ErrorCode::IllegalGeneration));
    assert_eq!(may(&scene, "nobody", 1), Err(ErrorCode::UnknownMemberId));
    assert_eq!(may(&scene, "", -1), Err(ErrorCode::UnknownMemberId));
    scene.join(&Scene::request("a-fresh"));
    assert_eq!(may(&scene, "b-fresh", 1), Ok(()), "it commits before it joins again");
    scene.join(&Scene::request("b-fresh"));
    assert_eq!(may(&scene, "b-fresh", 2), Err(ErrorCode::RebalanceInProgress));
    scene.leave("a-fresh");
    scene.leave("b-fresh");
    assert_eq!(may(&scene, "", -1), Ok(()));
}

#[test]
fn what_was_written_comes_back_with_a_start() {
    let mut scene = Scene::stable(&["a", "b"]);
    let written = scene.written.last().unwrap().clone();
    scene.group = ClassicGroup::from_record(&written);
    assert_eq!(scene.group.next_deadline_ms(), None);
    let event = Event { group: "g", now: at(scene.now_ms), settings: &scene.settings };
    scene.group.await_members(event, &mut Effects::default());
    assert_eq!(scene.group.to_record(), written);
    assert_eq!(scene.heartbeat("a-fresh"), ErrorCode::None);
    scene.pass(i64::from(SESSION_MS));
    assert_eq!(scene.group.state(), State::Empty, "members that do not come back are given up");
}

#[test]
fn topics_of_consumers_are_known_and_what_cannot_be_read_may_be_any() {
    let scene = Scene::stable(&["a"]);
    assert_eq!(scene.group.subscribed_topics(), Some([Text::from("t")].into()));
    let mut scene = Scene::new();
    let join = Join { protocols: vec![("range".into(), Bytes::from_static(b"\0"))], ..Scene::request("") };
    scene.join(&Join { comes_back_with_id: false, ..join });
    scene.pass(DELAY_MS);
    assert_eq!(scene.group.subscribed_topics(), None);
}
