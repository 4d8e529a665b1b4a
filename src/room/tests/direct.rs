//! Messages of two: they reach their readers at least once, and receipts come back.

use super::*;

#[test]
fn a_direct_message_waits_until_it_is_acknowledged() {
    let mut world = World::new();
    assert_eq!(posted(&world.ask(0, TALK, send("1", "a"))), 1);
    let mut world = world.restart(Crash::PowerCut);
    come(&mut world, BOBS, "bob", 5);
    assert_eq!(world.said(BOBS), [(0, "1".to_owned())], "at the next connect");
    world.pass(9_000);
    assert_eq!(world.said(BOBS), []);
    world.pass(2_000);
    assert_eq!(world.said(BOBS), [(0, "1".to_owned())], "and again");
    world.ask(5, TALK, marker_update("bob", BOBS, ANNS, MarkerPosition::Delivered(1)));
    for _ in 0..10 {
        world.pass(11_000);
        assert_eq!(world.said(BOBS), []);
    }
}

/// Its author may not have been answered; when it asks again, it is.
#[test]
fn a_direct_message_that_survived_a_failed_sync_reaches_who_is_there() {
    let mut survivors_count = 0;
    for seed in 0..20 {
        let mut world = World::new();
        world.store = engine(SimulatedDisk::new(seed, DiskFaultProfile::CALM), &world.options);
        come(&mut world, BOBS, "bob", 5);
        let fails = DiskFaultProfile { sync_fails_percent: 100, ..DiskFaultProfile::CALM };
        world.store.disk_mut().set_fault_profile(fails);
        check_refused(&world.ask(4, TALK, send("1", "a")), ErrorCode::Internal);
        world.store.disk_mut().set_fault_profile(DiskFaultProfile::CALM);
        world.pass(3_000);
        let mut said = world.said(BOBS);
        survivors_count += said.len();
        assert_eq!(posted(&world.ask(4, TALK, send("1", "a"))), 1);
        said.extend(world.said(BOBS));
        assert_eq!(said, [(0, "1".to_owned())], "seed {seed}");
    }
    assert!((1..20).contains(&survivors_count));
}

/// Also those of which the conversation keeps only what waits.
#[test]
fn many_direct_messages_that_survived_a_failed_sync_reach_who_is_there() {
    let mut survivors_count = 0;
    for seed in 0..20 {
        let mut world = World::new();
        let mut options = Options::clone(&world.options);
        options.namespaces[1].history_count_max = 2;
        world.options = Arc::new(options);
        let ids = Csprng::from_key([1; 16]);
        world.rooms = Rooms::new(world.now, Arc::clone(&world.options), ids, silent_key());
        world.store = engine(SimulatedDisk::new(seed, DiskFaultProfile::CALM), &world.options);
        come(&mut world, BOBS, "bob", 5);
        let fails = DiskFaultProfile { sync_fails_percent: 100, ..DiskFaultProfile::CALM };
        world.store.disk_mut().set_fault_profile(fails);
        for n in 0..9 {
            world.begin(HOME, 4, TALK, send(&n.to_string(), &format!("id{n}")));
        }
        world.settle();
        world.store.disk_mut().set_fault_profile(DiskFaultProfile::CALM);
        let mut said: BTreeSet<String> = BTreeSet::new();
        for _ in 0..15 {
            world.pass(1_000);
            said.extend(world.said(BOBS).into_iter().map(|(_, text)| text));
        }
        let again = posted(&world.ask(4, TALK, send("again", "again")));
        let stored: BTreeSet<String> = (0..again - 1).map(|n| n.to_string()).collect();
        survivors_count += stored.len();
        assert_eq!(said, stored, "seed {seed}");
    }
    assert!(4 < survivors_count);
}

#[test]
fn a_message_that_the_store_brought_first_can_be_acknowledged() {
    let mut world = World::new();
    assert_eq!(posted(&world.ask(0, TALK, send("1", "a"))), 1);
    world.asleep = true;
    let sent = world.begin(HOME, 4, TALK, send("2", "b"));
    let position = MarkerPosition::Delivered(2);
    let acknowledged = world.begin(HOME, 5, TALK, marker_update("bob", BOBS, ANNS, position));
    world.asleep = false;
    world.settle();
    assert_eq!(posted(&world.answer(sent).expect("it is kept")), 2);
    assert!(matches!(world.answer(acknowledged), Some(RoomReply::Done)));
    let beyond = world.ask(5, TALK, marker_update("bob", BOBS, ANNS, MarkerPosition::Delivered(3)));
    assert!(matches!(beyond, RoomReply::InvalidField(Field::Offset)), "{beyond:?}");
}

#[test]
fn a_direct_message_reaches_both_and_receipts_come_back() {
    let mut world = World::new();
    come(&mut world, ANNS, "ann", 4);
    come(&mut world, BOBS, "bob", 5);
    world.out.events().clear();
    world.begin(HOME, 4, TALK, send("1", "a"));
    world.settle();
    let told = world.out.events().clone();
    assert_eq!(world.said(BOBS), [(0, "1".to_owned())]);
    *world.out.events() = told;
    assert_eq!(world.said(ANNS), [(0, "1".to_owned())], "for the other devices");
    world.begin(HOME, 5, TALK, marker_update("bob", BOBS, ANNS, MarkerPosition::Read(1)));
    world.settle();
    let receipt = r#"{"receipt":{"channel":"dm#ann,bob","user":"bob","delivered":1,"read":1}}"#;
    assert_eq!(world.notices(ANNS), [receipt]);
    for (position, wrong) in [
        (MarkerPosition::Delivered(2), true),
        (MarkerPosition::Delivered(0), false),
        (MarkerPosition::Read(1), false),
        (MarkerPosition::Read(0), true),
    ] {
        let answer = world.ask(5, TALK, marker_update("bob", BOBS, ANNS, position));
        let is_wrong = matches!(answer, RoomReply::InvalidField(Field::Offset));
        assert_eq!(is_wrong, wrong, "{position:?}: {answer:?}");
    }
}

#[test]
fn what_one_says_oneself_is_not_unread() {
    let mut world = World::new();
    world.ask(0, TALK, send("1", "a"));
    world.ask(0, TALK, send("2", "b"));
    for (inbox, user, read) in [(ANNS, "ann", 2), (BOBS, "bob", 0)] {
        let channel_key = channel_key(&format!("@{user}"), 2);
        let page =
            ConversationsPage { channel_key, user: user.into(), after: "".into(), count_max: 9 };
        match world.ask(0, inbox, RoomOp::Conversations(Box::new(page))) {
            RoomReply::Conversations(all, None) => {
                let [conversation] = &all[..] else { panic!("{all:?}") };
                assert_eq!((&*conversation.channel, conversation.head), ("dm#ann,bob", 2));
                assert_eq!(conversation.markers.read, read, "{user}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_never_acknowledges_gets_it_so_often_and_no_more() {
    let mut world = World::new();
    come(&mut world, BOBS, "bob", 5);
    world.ask(0, TALK, send("1", "a"));
    let mut times = world.said(BOBS).len();
    for _ in 0..20 {
        world.pass(11_000);
        times += world.said(BOBS).len();
    }
    assert_eq!(times, 4, "once and three times again");
}

/// The personal channel of its reader asks the store, and may have shown the message before the
/// store's answer reaches the room.
#[test]
fn who_may_have_been_shown_a_direct_message_finds_it_in_the_conversation() {
    let mut world = World::new();
    world.ask(0, TALK, send("1", "a"));
    world.asleep = true;
    let said = world.begin(HOME, 4, TALK, send("2", "b"));
    let query = HistoryQuery { limit: 99, since: None, order: ReadOrder::OldestFirst };
    let page = HistoryPage {
        channel_key: Some(channel_key("dm#ann,bob", 1)),
        query,
        reader: crate::base::UserHash::NOBODY,
    };
    let read = world.begin(ShardId(1), 5, TALK, RoomOp::History(Box::new(page)));
    let joined = subscribe(channel_key("dm#ann,bob", 1), "bob", 6, None);
    let joined = world.begin(ShardId(1), 6, TALK, joined);
    assert!(world.answer(read).is_none() && world.answer(joined).is_none());
    world.asleep = false;
    world.settle();
    assert_eq!(posted(&world.answer(said).unwrap()), 2);
    match world.answer(read) {
        Some(RoomReply::History(all, place)) => {
            assert_eq!((all.len(), place.offset), (2, 2));
        }
        other => panic!("{other:?}"),
    }
    match world.answer(joined) {
        Some(RoomReply::Subscribed(subscribed)) => {
            assert_eq!(subscribed.position.map(|place| place.offset), Some(2))
        }
        other => panic!("{other:?}"),
    }
}
