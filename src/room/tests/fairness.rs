//! What one member asks for, or says, has a price and a bound.

use super::*;
use crate::base::Rate;
use crate::room::UserRateLimits;

const ANN: UserHash = UserHash::of_inbox(ANNS);

/// A message that is large in one of its parts.
fn heavy(part: usize, bytes: usize) -> RoomOp {
    let filler = || "x".repeat(bytes);
    let payload = || Payload { bytes: Bytes::from(format!("\"{}\"", filler())), is_json: true };
    let RoomOp::Publish(mut publish) = publish("1", None) else { unreachable!() };
    let client = ClientId(1);
    match part {
        0 => publish.data = payload(),
        1 => {
            let conn_info = Some(Box::new(payload()));
            publish.info = Some(Arc::new(ClientInfo { user: "ann".into(), client, conn_info }));
        }
        2 => publish.chan_info = Some(Arc::new(payload())),
        3 => publish.tags = vec![("t".into(), filler().into())],
        _ => {
            let user = filler().into();
            publish.info = Some(Arc::new(ClientInfo { user, client, conn_info: None }));
        }
    }
    RoomOp::Publish(publish)
}

#[test]
fn every_part_of_a_message_counts_against_every_limit() {
    for part in 0..4 {
        let mut world = World::new();
        let start = world.subscribe(1, None).position;
        for _ in 0..400 {
            world.ask(0, ROOM, heavy(part, 4_000));
        }
        // 1.6 MB, where a recovery has a MiB and a history half of one.
        assert_eq!(
            world.subscribe(2, start).recovery,
            RecoveryOutcome::Lost,
            "part {part} from disk"
        );
        let near = start.map(|start| Position { offset: 200, ..start });
        assert_eq!(world.subscribe(3, near).recovery, RecoveryOutcome::Whole, "part {part}");
        for order in [ReadOrder::OldestFirst, ReadOrder::NewestFirst] {
            let found = world.history(HistoryQuery { limit: 1_000, since: None, order });
            assert!((100..131).contains(&found.len()), "{} of part {part}", found.len());
        }
        // What waits for the store.
        world.asleep = true;
        world.out.events().clear();
        let mut refused = |user: UserHash, count: u32| {
            let begin = |slot| world.begin_as(user, HOME, slot, ROOM, heavy(part, 64_000));
            let waiting: Vec<u32> = (0..count).map(begin).collect();
            let mut is_refused = |id: u32| {
                matches!(world.answer(id), Some(RoomReply::Rejected(ErrorCode::TooManyRequests)))
            };
            waiting.into_iter().filter(|&id| is_refused(id)).count()
        };
        assert!((20..40).contains(&refused(ANN, 150)), "a user has 8 MiB of part {part}");
        assert!((50..120).contains(&refused(UserHash::NOBODY, 450)), "32 MiB wait of part {part}");
    }
}

#[test]
fn a_recovery_from_memory_has_a_limit_of_bytes_too() {
    for part in 0..5 {
        let mut options =
            Options { namespaces: namespaces(), rooms_max: 100, ..Options::default() };
        options.namespaces[0].durability = Durability::Memory;
        options.namespaces[0].history_bytes_max = 64 << 20;
        let now = Timestamps::at(MonotonicMs(5_000), 1_000_000_000);
        let mut rooms = Rooms::new(now, Arc::new(options), Csprng::from_key([1; 16]), silent_key());
        let mut request = |op: RoomOp| {
            let mut out = RoomOutput::default();
            let request =
                RoomRequest { room: ROOM, reply_to: ReplyTo { id: 1, ..connection(1) }, op };
            rooms.handle(now, HOME, request, &mut out);
            match out.events().swap_remove(0).1 {
                RoomEvent::Reply(_, _, answer) => answer,
                other => panic!("{other:?}"),
            }
        };
        let mut member_id = 0;
        let mut join = |request: &mut dyn FnMut(RoomOp) -> RoomReply, since| {
            member_id += 1;
            match request(subscribe(channel_key("room:9", 0), "", member_id, since)) {
                RoomReply::Subscribed(subscribed) => {
                    request(RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
                    *subscribed
                }
                other => panic!("{other:?}"),
            }
        };
        request(heavy(part, 10));
        let start = join(&mut request, None).position;
        (0..400).for_each(|_| drop(request(heavy(part, 4_000))));
        assert_eq!(join(&mut request, start).recovery, RecoveryOutcome::Lost, "part {part}");
        let near = start.map(|start| Position { offset: 201, ..start });
        assert_eq!(join(&mut request, near).recovery, RecoveryOutcome::Whole, "part {part}");
    }
}

/// Numbers of clients have 64 bits, and rooms are outside of what a session's panic
/// stays within.
#[test]
fn no_number_is_too_large_for_a_room() {
    let numbers = [0, 1, 19, 20, 21, u64::from(u32::MAX), u64::MAX - 1, u64::MAX];
    let mut world = World::new();
    for n in 1..=20 {
        world.publish(&n.to_string());
    }
    let epoch = world.subscribe(1, None).position.map(|one| one.epoch).unwrap();
    let ann = |offset| ReadMarkerUpdate {
        channel_key: Some(channel_key("room:9", 0)),
        info: info("ann", 0),
        inbox: ANNS,
        position: MarkerPosition::Delivered(offset),
        other: None,
    };
    for (offset, slot) in numbers.into_iter().zip(100..) {
        for order in [ReadOrder::OldestFirst, ReadOrder::NewestFirst] {
            for limit in [0, 1, 1_000, u32::MAX] {
                let since = Some(Position { offset, epoch });
                let found = world.history(HistoryQuery { limit, since, order });
                let behind = matches!(order, ReadOrder::OldestFirst);
                assert!(found.iter().all(|&one| if behind { offset < one } else { one < offset }));
            }
        }
        let since = Some(Position { offset, epoch });
        let recovery = world.subscribe(slot, since).recovery;
        assert_eq!(recovery == RecoveryOutcome::Whole, offset <= 20, "{offset}");
        world.ask(1, ROOM, RoomOp::AdvanceMarker(Box::new(ann(offset))));
        world.ask(1, ROOM, retract(offset, "eve", RetractRight::Author));
    }
}

#[test]
fn a_connection_with_hundreds_of_channels_recovers_them_all_in_turn() {
    let mut world = World::new();
    let rooms: Vec<RoomId> = (0..300u128).map(|n| RoomId(1_000 + n)).collect();
    world.rooms =
        Rooms::new(world.now, roomy(&world.options), Csprng::from_key([3; 16]), silent_key());
    let of = |room: RoomId| channel_key(&format!("room:{}", { room.0 }), 0);
    let mut starts = Vec::new();
    for (&room, slot) in rooms.iter().zip(1_000..) {
        let entered = world.ask(slot, room, subscribe(of(room), "ann", slot, None));
        let RoomReply::Subscribed(subscribed) = entered else { panic!() };
        starts.push(subscribed.position);
        for n in 0..8 {
            let author = format!("bob{}", slot / 100);
            let publish = draft(of(room), &author, &n.to_string(), None, PublishMode::Publish);
            world.ask(0, room, publish);
        }
    }
    world.asleep = true;
    world.out.events().clear();
    world.out.requests().clear();
    let back: Vec<u32> = rooms
        .iter()
        .zip(&starts)
        .map(|(&room, &start)| world.begin(FAR, 7, room, subscribe(of(room), "eve", 7, start)))
        .collect();
    let reads = |world: &mut World| {
        world.out.requests().iter().filter(|one| matches!(one.op, StoreOp::Read(_))).count()
    };
    assert_eq!(reads(&mut world), 4, "the others stand in line");
    // Somebody else does not.
    world.begin(FAR, 8, rooms[0], subscribe(of(rooms[0]), "bob", 8, starts[0]));
    assert_eq!(reads(&mut world), 5);
    world.asleep = false;
    world.settle();
    for id in back {
        let Some(RoomReply::Subscribed(subscribed)) = world.answer(id) else { panic!("let in") };
        assert_eq!((subscribed.recovery, subscribed.missed.len()), (RecoveryOutcome::Whole, 8));
    }
}

fn roomy(options: &Options) -> Arc<Options> {
    Arc::new(Options { rooms_max: 1_000, ..options.clone() })
}

#[test]
fn what_a_connection_asked_for_is_not_read_when_it_is_gone() {
    let mut world = World::new();
    for n in 1..=20 {
        world.publish(&n.to_string());
    }
    world.asleep = true;
    world.out.events().clear();
    let page = || {
        let query = HistoryQuery { limit: 20, since: None, order: ReadOrder::OldestFirst };
        RoomOp::History(Box::new(HistoryPage {
            channel_key: Some(channel_key("room:9", 0)),
            query,
            reader: crate::base::UserHash::NOBODY,
        }))
    };
    let asked: Vec<u32> = (0..100).map(|_| world.begin(FAR, 7, ROOM, page())).collect();
    let refused = asked.iter().filter(|&&id| world.answer(id).is_some()).count();
    assert_eq!(refused, 100 - 4 - 64, "over the line's end");
    world.rooms.abandon(world.now, FAR, connection(7), &mut world.out);
    let answered = asked.iter().filter(|&&id| world.answer(id).is_some()).count();
    assert_eq!(answered, 64, "each question has its answer");
    assert!(matches!(world.out.requests().last().map(|one| &one.op), Some(StoreOp::Abandon(_))));
    world.asleep = false;
    world.settle();
    assert_eq!(asked.iter().filter(|&&id| world.answer(id).is_some()).count(), 4);
    assert_eq!(world.rooms.requests_count(), 0);
}

#[test]
fn a_user_asks_as_much_by_many_connections_as_by_one() {
    let mut world = World::new();
    for n in 1..=20 {
        world.publish(&n.to_string());
    }
    world.asleep = true;
    world.out.events().clear();
    let begin = |world: &mut World, user, slot| world.begin_as(user, FAR, slot, ROOM, look());
    let asked: Vec<u32> = (0..180).map(|n| begin(&mut world, ANN, n % 18)).collect();
    let refused = asked.iter().filter(|&&id| world.answer(id).is_some()).count();
    assert_eq!(refused, 180 - 4 - 64, "a user has one line");
    let other = begin(&mut world, UserHash::of_inbox(BOBS), 40);
    world.asleep = false;
    world.settle();
    assert!(matches!(world.answer(other), Some(RoomReply::History(..))));
}

#[test]
fn what_waits_for_a_user_is_read_although_the_device_that_came_first_is_gone() {
    let mut world = World::new();
    world.ask(0, TALK, send("1", "a"));
    let bob = UserHash::of_inbox(BOBS);
    world.asleep = true;
    for slot in [5, 6] {
        world.begin_as(bob, FAR, slot, BOBS, subscribe(channel_key("@bob", 2), "bob", slot, None));
    }
    assert!(world.out.requests().iter().any(|one| matches!(one.op, StoreOp::Pending(_))));
    // Something of the device's own is under way, so the store hears that it is gone.
    let page = ConversationsPage {
        channel_key: channel_key("@bob", 2),
        user: "bob".into(),
        after: "".into(),
        count_max: 10,
    };
    world.begin_as(bob, FAR, 5, BOBS, RoomOp::Conversations(Box::new(page)));
    let gone = ReplyTo { user: bob, ..connection(5) };
    world.rooms.abandon(world.now, FAR, gone, &mut world.out);
    world.out.events().clear();
    world.asleep = false;
    world.settle();
    assert_eq!(world.said(BOBS), [(0, "1".to_owned())], "for the other device, and at once");
}

#[test]
fn who_speaks_to_somebody_who_is_away_is_refused_for_a_while_and_nobody_else() {
    let mut world = World::new();
    let say = |world: &mut World| {
        let text = format!("\"{}\"", "x".repeat(60_000));
        world.ask(0, TALK, send(&text, &world.next_id.to_string()))
    };
    let mut said = 0;
    let refused = loop {
        match say(&mut world) {
            RoomReply::Posted(_) => said += 1,
            other => break other,
        }
    };
    assert!(matches!(refused, RoomReply::Rejected(ErrorCode::TooManyRequests)), "{refused:?}");
    assert!((270..290).contains(&said), "16 MiB wait: {said}");
    assert!(matches!(say(&mut world), RoomReply::Rejected(ErrorCode::TooManyRequests)));
    assert!(matches!(world.publish("1"), RoomReply::Published(_)), "others are not concerned");
    let position = MarkerPosition::Delivered(said);
    world.ask(5, TALK, marker_update("bob", BOBS, ANNS, position));
    let answer = say(&mut world);
    assert_eq!(posted(&answer), said + 1, "without a hole");
    assert_eq!(world.rooms.requests_count(), 0);
}

/// The first who needs the room is gone before the store has read it.
fn leave_before_it_is_read(world: &mut World, op: RoomOp) {
    world.asleep = true;
    world.begin(FAR, 7, ROOM, op);
    // Whoever has something to be read is told of.
    let page = ConversationsPage {
        channel_key: channel_key("@ann", 2),
        user: "ann".into(),
        after: "".into(),
        count_max: 10,
    };
    world.begin(FAR, 7, ANNS, RoomOp::Conversations(Box::new(page)));
}

fn is_gone(world: &mut World) {
    world.rooms.abandon(world.now, FAR, connection(7), &mut world.out);
    assert!(matches!(world.out.requests().last().map(|one| &one.op), Some(StoreOp::Abandon(_))));
    world.asleep = false;
    world.settle();
}

fn with_a_room_on_disk() -> World {
    let mut world = World::new();
    (1..=3).for_each(|n| drop(world.publish(&n.to_string())));
    world.restart(Crash::Killed)
}

fn look() -> RoomOp {
    let query = HistoryQuery { limit: 20, since: None, order: ReadOrder::OldestFirst };
    RoomOp::History(Box::new(HistoryPage {
        channel_key: Some(channel_key("room:9", 0)),
        query,
        reader: crate::base::UserHash::NOBODY,
    }))
}

#[test]
fn whoever_waits_for_a_room_is_served_when_the_first_to_need_it_is_gone() {
    let mut world = with_a_room_on_disk();
    leave_before_it_is_read(&mut world, look());
    let others =
        [world.begin(HOME, 8, ROOM, publish("4", None)), world.begin(FAR, 9, ROOM, look())];
    is_gone(&mut world);
    let answers = others.map(|id| world.answer(id));
    assert!(matches!(answers[0], Some(RoomReply::Published(_))), "{:?}", answers[0]);
    assert!(matches!(answers[1], Some(RoomReply::History(..))), "{:?}", answers[1]);
    assert_eq!(world.rooms.requests_count(), 0);
}

#[test]
fn whoever_comes_to_a_room_is_served_when_the_only_one_who_needed_it_is_gone() {
    let mut world = with_a_room_on_disk();
    leave_before_it_is_read(&mut world, look());
    is_gone(&mut world);
    let answer = world.publish("4");
    assert!(matches!(answer, RoomReply::Published(_)), "{answer:?}");
}

#[test]
fn what_was_said_in_a_room_is_kept_when_its_author_is_gone_before_it_was_read() {
    let mut world = with_a_room_on_disk();
    leave_before_it_is_read(&mut world, publish("4", None));
    is_gone(&mut world);
    assert_eq!(
        world.history(HistoryQuery { limit: 9, since: None, order: ReadOrder::OldestFirst }).len(),
        4
    );
}

#[test]
fn a_user_begins_so_many_rooms_at_once_and_speaks_on_in_those_that_there_are() {
    let mut world = World::new();
    let room_creations = Rate { per_s: 3, burst: 100 };
    let user_rates = UserRateLimits { room_creations, ..UserRateLimits::default() };
    let options = Options { user_rates, ..Options::clone(&roomy(&world.options)) };
    world.rooms = Rooms::new(world.now, Arc::new(options), Csprng::from_key([3; 16]), silent_key());
    let first_words = |user: &str, n: u32| {
        let channel_key = channel_key(&format!("dm#{user},{n:05}"), 1);
        let mode = PublishMode::Send { from: ANNS, to: RoomId(70_000 + u128::from(n)), ttl_ms: 0 };
        let op = draft(channel_key, user, "1", Some("a"), mode);
        (RoomId(u128::from(n) + 1_000_000 * u128::from(user.as_bytes()[0])), op)
    };
    let begin = |world: &mut World, user: &str, n: u32| {
        let (room, op) = first_words(user, n);
        matches!(world.ask(1, room, op), RoomReply::Posted(_))
    };
    let begun = (0..400).filter(|&n| begin(&mut world, "ann", n)).count();
    assert_eq!(begun, 100);
    assert!(begin(&mut world, "bob", 1), "others are not concerned");
    assert!(begin(&mut world, "ann", 5), "neither is what there is");
    world.pass(10_000);
    let begun = (500..900).filter(|&n| begin(&mut world, "ann", n)).count();
    assert_eq!(begun, 10 * 3);
    // What a backend says as a user is no haste of that user's.
    let said_for_it = |world: &mut World, n: u32| {
        let (room, op) = first_words("ann", n);
        let reply_to = ReplyTo { id: n, ..ReplyTo::NOBODY };
        let request = RoomRequest { room, reply_to, op };
        world.rooms.handle(world.now, HOME, request, &mut world.out);
        world.settle();
        matches!(world.answer(n), Some(RoomReply::Posted(_)))
    };
    assert!((1_000..1_200).all(|n| said_for_it(&mut world, n)));
    assert!(!begin(&mut world, "ann", 950), "the user has none left");
}

#[test]
fn who_comes_and_goes_all_the_time_is_told_in_numbers() {
    let (mut world, counted) = come_and_go(20);
    let (join_leave, numbers) = counted;
    assert!((20..40).contains(&join_leave), "{join_leave} by name in five seconds");
    assert!((3..10).contains(&numbers), "{numbers} times in numbers");
    // Somebody else is told as ever.
    world.ask(99, ROOM, subscribe(channel_key("room:9", 0), "cat", 99, None));
    assert!(world.out.events().iter().any(|(_, tell)| matches!(tell, RoomEvent::Joined(..))));
}

/// In a room of a few each costs no more than a message.
#[test]
fn a_few_are_told_however_often_one_of_them_comes_and_goes() {
    let (_, counted) = come_and_go(15);
    assert_eq!(counted, (2_000, 0));
}

/// One user enters and leaves a room with so many others a thousand times in five seconds: what
/// these are told by name, and in numbers.
fn come_and_go(others: u32) -> (World, (u32, u32)) {
    let mut options = Options { namespaces: namespaces(), rooms_max: 100, ..Options::default() };
    options.namespaces[0].join_leave = true;
    options.namespaces[0].join_leave_members_max = 100;
    let now = Timestamps::at(MonotonicMs(5_000), 1_000_000_000);
    let mut world = World::new();
    world.rooms = Rooms::new(now, Arc::new(options), Csprng::from_key([1; 16]), silent_key());
    world.now = now;
    for slot in 10..10 + others {
        let user = format!("user-{slot}");
        world.ask(slot, ROOM, subscribe(channel_key("room:9", 0), &user, slot, None));
    }
    world.out.events().clear();
    let (mut join_leave, mut numbers) = (0, 0);
    let mut count = |world: &mut World| {
        for (_, tell) in world.out.events() {
            join_leave += u32::from(matches!(tell, RoomEvent::Joined(..) | RoomEvent::Left(..)));
            numbers += u32::from(matches!(tell, RoomEvent::MembershipSummary(..)));
        }
    };
    for n in 0..1_000 {
        world.ask(2, ROOM, subscribe(channel_key("room:9", 0), "eve", 2, None));
        count(&mut world);
        world.ask(2, ROOM, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
        count(&mut world);
        if n % 10 == 0 {
            world.out.events().clear();
            world.pass(50);
            count(&mut world);
        }
    }
    (world, (join_leave, numbers))
}
