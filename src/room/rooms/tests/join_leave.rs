//! What is told of who comes and goes, and lists of members.

use super::*;

/// The names that were told, in order, and the numbers; who went has a minus.
fn told(world: &mut World) -> Vec<String> {
    let told = std::mem::take(world.out.events()).into_iter();
    let said = told.flat_map(|(_, tell)| match tell {
        RoomEvent::Joined(_, info, _) => vec![format!("+{}", { info.client.0 })],
        RoomEvent::Left(_, info, _) => vec![format!("-{}", { info.client.0 })],
        RoomEvent::MemberReplaced(_, replacement) => {
            vec![
                format!("+{}", { replacement.joined.client.0 }),
                format!("-{}", { replacement.left.client.0 }),
            ]
        }
        RoomEvent::MembershipSummary(_, data) => {
            vec![String::from_utf8(data.bytes.to_vec()).unwrap()]
        }
        _ => Vec::new(),
    });
    said.collect()
}

#[test]
fn in_a_large_room_coming_and_going_is_told_in_numbers_once_a_second() {
    let rules =
        Namespace { join_leave_members_max: 2, members_max: 10, leave_grace_ms: 0, ..chatty() };
    let mut world = World::new(rules);
    let mut heard = Vec::new();
    for slot in 1..=5 {
        world.claim(HOME, slot, RoomOp::Subscribe(Box::new(room_subscribe(slot))));
        heard.extend(told(&mut world));
    }
    world.claim(HOME, 1, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    heard.extend(told(&mut world));
    assert_eq!(heard, ["+1", "+2"], "the others make it a large room");
    world.pass(999);
    assert!(told(&mut world).is_empty());
    world.pass(100);
    let crowd = r#"{"crowd":{"channel":"room:9","came":3,"went":1,"clients":4,"users":1}}"#;
    assert_eq!(told(&mut world), [crowd]);
    world.pass(5_000);
    assert!(told(&mut world).is_empty(), "nothing happened since");
    // Small again, it is told of each.
    for slot in [2, 3, 4] {
        world.claim(HOME, slot, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    }
    assert_eq!(told(&mut world), ["-4"]);
}

#[test]
fn a_room_of_100_000_is_listed_page_by_page_each_member_once() {
    const MEMBERS_COUNT: u32 = 100_000;
    let rules = Namespace { join_leave: false, members_max: MEMBERS_COUNT, ..chatty() };
    let mut world = World::new(rules);
    for slot in 1..=MEMBERS_COUNT {
        world.subscribe(HOME, slot, None);
    }
    let too_many = world.ask(HOME, 1, RoomOp::Presence).0;
    assert!(matches!(too_many, RoomReply::Rejected(ErrorCode::LimitExceeded)), "{too_many:?}");
    let mut seen = std::collections::BTreeSet::new();
    let (mut after, mut pages_count) = (None, 0);
    loop {
        let page = MembersPage { after, count_max: 1_000 };
        let (members, next) = match world.ask(HOME, 1, RoomOp::Members(page)).0 {
            RoomReply::Members(members, next) => (members, next),
            other => panic!("{other:?}"),
        };
        assert!(members.len() <= 1_000);
        for (info, _) in members {
            assert!(seen.insert(info.client), "{:?} is there twice", info.client);
        }
        pages_count += 1;
        // Whoever leaves in between takes nobody along.
        world.ask(HOME, pages_count, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
        match next {
            None => break,
            Some(next) => after = Some(next),
        }
    }
    let stayed = (pages_count + 1..=MEMBERS_COUNT).map(|slot| ClientId(slot.into()));
    assert!(stayed.into_iter().all(|client| seen.contains(&client)));
    assert!((100..=110).contains(&pages_count), "{pages_count} pages");
}

/// As what somebody comes and goes.
fn name_in_list(of: JoinLeaveScope, info: &ClientInfo) -> String {
    match of {
        JoinLeaveScope::Users if !info.user.is_empty() => info.user.to_string(),
        JoinLeaveScope::Users | JoinLeaveScope::Clients => format!("client {}", { info.client.0 }),
    }
}

/// A reader's list of a room: what it asked for, and each join and leave since.
#[derive(Default)]
struct Reader {
    list: std::collections::BTreeSet<String>,
    /// It was told in numbers, and has to ask.
    is_stale: bool,
}

impl Reader {
    fn hear(&mut self, of: JoinLeaveScope, told: impl IntoIterator<Item = (ShardId, RoomEvent)>) {
        for (_, tell) in told.into_iter().filter(|(shard, _)| *shard == HOME) {
            match tell {
                RoomEvent::Joined(_, info, _) => drop(self.list.insert(name_in_list(of, &info))),
                RoomEvent::Left(_, info, _) => drop(self.list.remove(&name_in_list(of, &info))),
                RoomEvent::MemberReplaced(_, replacement) => {
                    self.list.insert(name_in_list(of, &replacement.joined));
                    self.list.remove(&name_in_list(of, &replacement.left));
                }
                RoomEvent::MembershipSummary(..) => self.is_stale = true,
                _ => (),
            }
        }
    }
}

/// Join and leave, in their order, make the presence list at every moment: whatever
/// devices a user has, however they leave, and whenever they come back.
#[track_caller]
fn check_lists(of: JoinLeaveScope, join_leave_members_max: u32, loss_percent: u64) {
    const READER: u32 = 1_000;
    for seed in 0..40 {
        let mut prng = Prng::from_seed(seed);
        let rules = Namespace {
            join_leave_of: of,
            join_leave_members_max,
            leave_grace_ms: 500,
            members_max: 100,
            ..chatty()
        };
        let mut world = World::new(rules);
        let mut reader = Reader::default();
        world.claim(HOME, READER, RoomOp::Subscribe(Box::new(room_subscribe(READER))));
        reader.is_stale = true;
        let mut here: Vec<(u32, ShardId, &str)> = Vec::new();
        let mut member_ids = 0;
        for step in 0..400 {
            match prng.below(4) {
                0 | 1 => {
                    member_ids += 1;
                    let shard = if prng.percent(50) { HOME } else { FAR };
                    let user = ["", "ann", "bob", "cat"][prng.below(4) as usize];
                    let client = ClientId(u128::from(member_ids));
                    let info = Arc::new(ClientInfo { user: user.into(), client, conn_info: None });
                    here.push((member_ids, shard, user));
                    world.claim(
                        shard,
                        member_ids,
                        RoomOp::Subscribe(Box::new(RoomSubscribe {
                            info,
                            ..room_subscribe(member_ids)
                        })),
                    );
                }
                2 if !here.is_empty() => {
                    let at = prng.below(here.len() as u64) as usize;
                    let (member_id, shard, user) = here[at];
                    let how = if prng.percent(70) {
                        LeaveReason::Disconnected
                    } else {
                        LeaveReason::Unsubscribed
                    };
                    world.claim(shard, member_id, RoomOp::Unsubscribe(how));
                    // A gap makes a connection subscribe again by itself.
                    if how == LeaveReason::Disconnected && prng.percent(20) {
                        let told = std::mem::take(world.out.events());
                        let client = ClientId(u128::from(member_id));
                        let info = ClientInfo { user: user.into(), client, conn_info: None };
                        let subscribe =
                            RoomSubscribe { info: Arc::new(info), ..room_subscribe(member_id) };
                        world.claim(shard, member_id, RoomOp::Subscribe(Box::new(subscribe)));
                        world.out.events().splice(0..0, told);
                    } else {
                        here.swap_remove(at);
                    }
                }
                _ => world.pass(prng.below(400)),
            }
            let told = std::mem::take(world.out.events());
            let (lost, told): (Vec<_>, Vec<_>) =
                told.into_iter().partition(|_| prng.percent(loss_percent));
            for (_, tell) in lost {
                world.rooms.on_event_lost(world.now, &tell);
                reader.is_stale = true;
            }
            reader.hear(of, told);
            let RoomReply::Presence(all) = world.claim(HOME, READER, RoomOp::Presence) else {
                panic!("who is there is no secret");
            };
            let listed = all.iter().map(|(info, _)| name_in_list(of, info)).collect();
            let crowd = world.rooms.set.find(ROOM).unwrap().has_counts();
            if reader.is_stale || crowd {
                // In a large room the list is right again with the next numbers.
                reader = Reader { list: listed, is_stale: crowd };
                continue;
            }
            assert_eq!(reader.list, listed, "seed {seed}, step {step}");
        }
    }
}

#[test]
fn join_and_leave_make_the_presence_list() {
    for of in [JoinLeaveScope::Clients, JoinLeaveScope::Users] {
        check_lists(of, 1_000, 0);
        check_lists(of, 5, 0);
        check_lists(of, 1_000, 5);
    }
}

#[test]
fn a_page_that_is_loaded_again_is_another_client_and_the_same_user() {
    for (of, want) in [(JoinLeaveScope::Clients, vec!["+3", "-2"]), (JoinLeaveScope::Users, vec![])]
    {
        let mut world = World::new(Namespace { join_leave_of: of, ..chatty() });
        let bob = |slot: u32| {
            let client = ClientId(u128::from(slot));
            let info = ClientInfo { user: "bob".into(), client, conn_info: None };
            RoomOp::Subscribe(Box::new(RoomSubscribe {
                info: Arc::new(info),
                ..room_subscribe(slot)
            }))
        };
        world.subscribe(HOME, 1, None);
        world.claim(FAR, 2, bob(2));
        world.claim(FAR, 2, RoomOp::Unsubscribe(LeaveReason::Disconnected));
        world.pass(200);
        world.claim(FAR, 3, bob(3));
        world.out.events().retain(|(shard, _)| *shard == HOME);
        assert_eq!(told(&mut world), want);
        world.pass(5_000);
        assert!(world.out.events().is_empty(), "the old absence has no end of its own");
    }
}
