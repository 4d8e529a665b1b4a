//! What is taken back is gone, for whoever reads it and wherever it stands.

use super::*;

#[test]
fn a_retracted_message_is_gone_in_memory_and_on_disk() {
    let mut world = World::new();
    for n in 1..=10 {
        world.publish(&n.to_string());
    }
    for (offset, user, right) in [
        (10, "ann", RetractRight::Author),
        (2, "ann", RetractRight::Author),
        (3, "eve", RetractRight::Moderator),
    ] {
        let answer = world.ask(0, ROOM, retract(offset, user, right));
        assert!(matches!(answer, RoomReply::Done), "{offset}: {answer:?}");
    }
    for offset in [9, 4] {
        let answer = world.ask(0, ROOM, retract(offset, "eve", RetractRight::Author));
        check_refused(&answer, ErrorCode::PermissionDenied);
    }
    for offset in [0, 11] {
        let answer = world.ask(0, ROOM, retract(offset, "ann", RetractRight::Author));
        assert!(matches!(answer, RoomReply::InvalidField(Field::Offset)), "{answer:?}");
    }
    let mut world = world.restart(Crash::PowerCut);
    let query = HistoryQuery { limit: 100, since: None, order: ReadOrder::OldestFirst };
    let page = HistoryPage {
        channel_key: Some(channel_key("room:9", 0)),
        query,
        reader: crate::base::UserHash::NOBODY,
    };
    let RoomReply::History(all, _) = world.ask(0, ROOM, RoomOp::History(Box::new(page))) else {
        panic!("a history")
    };
    let gone = all.iter().filter(|one| chat::is_remainder(one)).map(|one| one.offset);
    assert_eq!(gone.collect::<Vec<_>>(), [2, 3, 10]);
    let said = all.iter().filter_map(|one| Some((one.offset, chat::retracted_offset(one)?)));
    assert_eq!(said.collect::<Vec<_>>(), [(11, 10), (12, 2), (13, 3)]);
}

#[test]
fn a_retraction_reaches_those_who_were_away_and_is_said_once() {
    let mut world = World::new();
    for n in 1..=10 {
        world.publish(&n.to_string());
    }
    let before = world.subscribe(1, None).position;
    let ann = |offset| retract(offset, "ann", RetractRight::Author);
    let first = world.begin(HOME, 2, ROOM, ann(9));
    let again = world.begin(HOME, 3, ROOM, ann(9));
    world.settle();
    for id in [first, again] {
        assert!(matches!(world.answer(id), Some(RoomReply::Done)), "while it is stored, too");
    }
    assert_eq!(world.said(ROOM), [(11, r#"{"retracted":9}"#.to_owned())]);
    for _ in 0..2 {
        assert!(matches!(world.ask(2, ROOM, ann(9)), RoomReply::Done), "it is taken back");
        check_refused(
            &world.ask(2, ROOM, retract(9, "eve", RetractRight::Author)),
            ErrorCode::PermissionDenied,
        );
        world = world.restart(Crash::Killed);
    }
    let answer = world.ask(2, ROOM, retract(11, "ann", RetractRight::Moderator));
    assert!(
        matches!(answer, RoomReply::InvalidField(Field::Offset)),
        "what says so stays: {answer:?}"
    );
    let subscribed = world.subscribe(1, before);
    assert_eq!(subscribed.recovery, RecoveryOutcome::Whole);
    let missed: Vec<_> = subscribed.missed.iter().map(|one| chat::retracted_offset(one)).collect();
    assert_eq!(missed, [Some(9)]);
}

#[test]
fn what_is_taken_back_while_a_member_recovers_it_comes_without_its_body() {
    let mut world = World::new();
    let start = world.subscribe(1, None).position;
    for n in 1..=600 {
        world.publish(&n.to_string());
    }
    let epoch = world.subscribe(7, None).position.unwrap().epoch;
    let since = start.map(|_| Position { offset: 3, epoch });
    world.asleep = true;
    let id = world.begin(HOME, 5, ROOM, subscribe(channel_key("room:9", 0), "bob", 5, since));
    // Its first step, and what is taken back before the next one.
    step(&mut world);
    world.begin(HOME, 6, ROOM, retract(600, "ann", RetractRight::Author));
    let old = world.begin(HOME, 6, ROOM, retract(5, "ann", RetractRight::Author));
    for _ in 0..20 {
        step(&mut world);
    }
    assert!(matches!(world.answer(old), Some(RoomReply::Done)));
    let Some(RoomReply::Subscribed(subscribed)) = world.answer(id) else { panic!("it is in") };
    let bodies = subscribed.missed.iter().filter(|one| [5, 600].contains(&one.offset));
    assert!(bodies.clone().count() == 0 || bodies.clone().all(|one| chat::is_remainder(one)));
    assert_eq!((subscribed.recovery, bodies.count()), (RecoveryOutcome::Whole, 2));
}

#[test]
fn a_retraction_waits_for_the_reader_of_a_direct_message() {
    let mut world = World::new();
    world.ask(0, TALK, send("1", "a"));
    let mode = PublishMode::Send { from: ANNS, to: BOBS, ttl_ms: 0 };
    let publish = draft(channel_key("dm#ann,bob", 1), "ann", r#"{"retracted":1}"#, None, mode);
    let retraction = retraction(publish, 1, RetractRight::Author);
    assert!(matches!(world.ask(0, TALK, retraction), RoomReply::Done));
    let mut world = world.restart(Crash::PowerCut);
    world.ask(1, BOBS, subscribe(channel_key("@bob", 2), "bob", 1, None));
    let brought: Vec<_> = world
        .out
        .events()
        .iter()
        .filter_map(|(_, tell)| match tell {
            RoomEvent::Published(BOBS, one, _) => {
                Some((chat::is_remainder(one), chat::retracted_offset(one)))
            }
            _ => None,
        })
        .collect();
    assert_eq!(brought, [(true, None), (false, Some(1))]);
}

#[test]
fn taking_back_goes_on_when_the_disk_is_full() {
    let mut world = World::new();
    world.publish("1");
    let disk = world.store.into_disk();
    world.store = engine_with(disk, &world.options, u64::MAX);
    check_refused(&world.publish("2"), ErrorCode::Internal);
    assert!(matches!(world.ask(0, ROOM, retract(1, "ann", RetractRight::Author)), RoomReply::Done));
    check_refused(&world.publish("3"), ErrorCode::Internal);
}
