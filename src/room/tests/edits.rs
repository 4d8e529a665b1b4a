//! A message gets other words: where they are seen, by whom, and what becomes of the others.

use super::*;

fn all() -> RoomOp {
    let query = HistoryQuery { limit: 100, since: None, order: ReadOrder::OldestFirst };
    RoomOp::History(Box::new(HistoryPage {
        channel_key: Some(channel_key("room:9", 0)),
        query,
        reader: crate::base::UserHash::NOBODY,
    }))
}

impl World {
    fn read(&mut self) -> Vec<Arc<Publication>> {
        match self.ask(0, ROOM, all()) {
            RoomReply::History(all, _) => all,
            other => panic!("{other:?}"),
        }
    }

    /// What stands in the room, from its beginning.
    fn words(&mut self) -> Vec<String> {
        self.read().iter().map(|one| shown(one).1).collect()
    }

    fn says(&mut self, count: u64) {
        (1..=count)
            .for_each(|n| assert!(matches!(self.publish(&n.to_string()), RoomReply::Published(_))));
    }
}

const GONE: &str = r#"{"edited":2}"#;

#[track_caller]
fn check_offset(answer: &RoomReply) {
    assert!(matches!(answer, RoomReply::InvalidField(Field::Offset)), "{answer:?}");
}

#[test]
fn an_edited_message_has_its_new_words_in_memory_and_on_disk() {
    let mut world = World::new();
    world.says(10);
    // One is in memory, one has to be read.
    for (offset, at) in [(9, 11), (2, 12)] {
        assert_eq!(posted(&world.ask(0, ROOM, edit(offset, "ann", "new", None))), at);
    }
    for _ in 0..2 {
        let all = world.read();
        let said: Vec<_> =
            all.iter().map(|one| (chat::edit_offset(one), &*one.data.bytes)).collect();
        assert_eq!((said[1], said[8]), ((Some(12), &b"new"[..]), (Some(11), &b"new"[..])));
        let says = all[10..].iter().map(|one| (chat::edited_offset(one), &*one.data.bytes));
        assert_eq!(says.collect::<Vec<_>>(), [(Some(9), &b"new"[..]), (Some(2), b"new")]);
        assert_eq!(all[8].time_unix_ms, world.now.unix_ms, "when it was said stays");
        let edited = all[8].tag("edited").and_then(|at| at.parse().ok());
        assert_eq!(edited, Some(all[10].time_unix_ms));
        world = world.restart(Crash::PowerCut);
    }
}

#[test]
fn nobody_edits_others_messages_nor_what_is_no_message() {
    let mut world = World::new();
    world.says(10);
    for offset in [2, 10] {
        let answer = world.ask(0, ROOM, edit(offset, "eve", "new", None));
        check_refused(&answer, ErrorCode::PermissionDenied);
    }
    for offset in [0, 11, u64::MAX] {
        check_offset(&world.ask(0, ROOM, edit(offset, "ann", "new", None)));
    }
    world.ask(0, ROOM, retract(2, "ann", RetractRight::Author));
    world.ask(0, ROOM, edit(3, "ann", "new", None));
    for offset in [2, 11, 12] {
        check_offset(&world.ask(0, ROOM, edit(offset, "ann", "new", None)));
    }
    // What says new words is taken back with the message that has them.
    check_offset(&world.ask(0, ROOM, retract(12, "ann", RetractRight::Moderator)));
}

#[test]
fn the_last_words_stand_and_a_retraction_takes_all_of_them_back() {
    let mut world = World::new();
    world.says(10);
    let before = world.subscribe(1, None).position;
    for (words, at) in [("first", 11), ("second", 12)] {
        assert_eq!(posted(&world.ask(0, ROOM, edit(2, "ann", words, None))), at);
    }
    world = world.restart(Crash::Killed);
    assert_eq!(posted(&world.ask(0, ROOM, edit(2, "ann", "third", None))), 13);
    let words = world.words();
    assert_eq!(
        (&*words[1], &words[10..]),
        ("third", &[GONE, GONE, "third"].map(str::to_owned)[..])
    );
    let subscribed = world.subscribe(1, before);
    let missed: Vec<_> = subscribed.missed.iter().map(|one| shown(one).1).collect();
    assert_eq!(missed, [GONE, GONE, "third"]);
    for restarted in [false, true] {
        if restarted {
            world = world.restart(Crash::PowerCut);
        }
        let answer = world.ask(0, ROOM, retract(2, "eve", RetractRight::Moderator));
        assert!(matches!(answer, RoomReply::Done), "{answer:?}");
        let subscribed = world.subscribe(2, before);
        let missed: Vec<_> = subscribed.missed.iter().map(|one| shown(one).1).collect();
        assert_eq!(missed, [GONE, GONE, GONE, r#"{"retracted":2}"#]);
        assert_eq!(world.words()[1], r#"{"retracted":true}"#);
    }
}

#[test]
fn changes_of_one_message_happen_in_the_order_in_which_they_were_asked() {
    let mut world = World::new();
    world.says(3);
    world.asleep = true;
    let first = world.begin(HOME, 1, ROOM, edit(2, "ann", "first", None));
    let second = world.begin(HOME, 2, ROOM, edit(2, "ann", "second", None));
    let back = world.begin(HOME, 3, ROOM, retract(2, "eve", RetractRight::Moderator));
    let again = world.begin(HOME, 4, ROOM, retract(2, "ann", RetractRight::Author));
    let late = world.begin(HOME, 5, ROOM, edit(2, "ann", "late", None));
    world.asleep = false;
    world.settle();
    for (id, at) in [(first, 4), (second, 5)] {
        assert_eq!(posted(&world.answer(id).unwrap()), at);
    }
    for id in [back, again] {
        assert!(matches!(world.answer(id), Some(RoomReply::Done)));
    }
    check_offset(&world.answer(late).unwrap());
    let words = ["1", r#"{"retracted":true}"#, "3", GONE, GONE, r#"{"retracted":2}"#];
    assert_eq!(world.words(), words);
    assert_eq!(world.restart(Crash::PowerCut).words(), words);
}

#[test]
fn changes_of_a_message_that_is_read_first_happen_in_their_order_too() {
    let mut world = World::new();
    world.says(10);
    world.asleep = true;
    let ids =
        ["first", "second"].map(|words| world.begin(HOME, 7, ROOM, edit(2, "ann", words, None)));
    let own = world.begin(HOME, 7, ROOM, all());
    world.asleep = false;
    world.settle();
    assert_eq!(ids.map(|id| posted(&world.answer(id).unwrap())), [11, 12]);
    let Some(RoomReply::History(found, _)) = world.answer(own) else { panic!("a history") };
    let words: Vec<_> = found.iter().map(|one| shown(one).1).collect();
    assert_eq!((&*words[1], &*words[10], &*words[11]), ("second", GONE, "second"));
}

#[test]
fn an_edit_with_an_id_is_said_once() {
    let mut world = World::new();
    world.ask(0, ROOM, publish("1", Some("m")));
    let first = edit(1, "ann", "2", Some("e"));
    world.asleep = true;
    let ids = [(); 2].map(|()| world.begin(HOME, 1, ROOM, first.clone()));
    world.asleep = false;
    world.settle();
    assert_eq!(ids.map(|id| posted(&world.answer(id).unwrap())), [2, 2]);
    world = world.restart(Crash::PowerCut);
    assert_eq!(posted(&world.ask(0, ROOM, first.clone())), 2);
    assert_eq!(posted(&world.ask(0, ROOM, edit(1, "ann", "3", Some("f")))), 3);
    world.ask(0, ROOM, retract(1, "ann", RetractRight::Author));
    assert_eq!(posted(&world.ask(0, ROOM, first)), 2, "also when the message is gone");
    let wrong = world.ask(0, ROOM, edit(1, "ann", "4", Some("m")));
    assert!(matches!(wrong, RoomReply::InvalidField(Field::Id)), "its own name: {wrong:?}");
}

#[test]
fn an_edit_that_cannot_be_kept_changes_nothing() {
    let mut world = World::new();
    world.says(2);
    let fails = DiskFaultProfile { sync_fails_percent: 100, ..DiskFaultProfile::CALM };
    world.store.disk_mut().set_fault_profile(fails);
    check_refused(&world.ask(0, ROOM, edit(2, "ann", "new", Some("e"))), ErrorCode::Internal);
    world.store.disk_mut().set_fault_profile(DiskFaultProfile::CALM);
    world.pass(2_000);
    let words = world.words();
    let (whole, none) = (["1", "new", "new"].map(str::to_owned), ["1", "2"].map(str::to_owned));
    assert!(words == whole || words == none, "both or neither: {words:?}");
}

#[test]
fn what_is_edited_while_a_member_recovers_it_comes_with_its_last_words() {
    let mut world = World::new();
    let start = world.subscribe(1, None).position;
    world.says(600);
    let epoch = world.subscribe(7, None).position.unwrap().epoch;
    let since = start.map(|_| Position { offset: 3, epoch });
    world.asleep = true;
    let id = world.begin(HOME, 5, ROOM, subscribe(channel_key("room:9", 0), "bob", 5, since));
    // Its first step, and what is changed before the next one.
    step(&mut world);
    for (offset, words) in [(5, "first"), (5, "last"), (6, "secret")] {
        world.begin(HOME, 6, ROOM, edit(offset, "ann", words, None));
    }
    world.begin(HOME, 6, ROOM, retract(6, "ann", RetractRight::Author));
    for _ in 0..20 {
        step(&mut world);
    }
    let Some(RoomReply::Subscribed(subscribed)) = world.answer(id) else { panic!("it is in") };
    assert_eq!(subscribed.recovery, RecoveryOutcome::Whole);
    let words: Vec<_> = subscribed.missed.iter().map(|one| shown(one).1).collect();
    assert_eq!(words[1..4], ["last", r#"{"retracted":true}"#, "7"]);
    assert!(!words.iter().any(|words| words == "first" || words == "secret"), "{words:?}");
}

#[test]
fn a_direct_message_that_waits_is_delivered_as_edited() {
    let mut world = World::new();
    world.ask(0, TALK, send("1", "a"));
    let mode = PublishMode::Send { from: ANNS, to: BOBS, ttl_ms: 0 };
    let wanted = draft(channel_key("dm#ann,bob", 1), "ann", "2", Some("e"), mode);
    come(&mut world, ANNS, "ann", 3);
    assert_eq!(posted(&world.ask(0, TALK, edit_in(wanted, 1))), 2);
    let others = draft(channel_key("dm#ann,bob", 1), "bob", "3", None, mode);
    check_refused(&world.ask(0, TALK, edit_in(others, 1)), ErrorCode::PermissionDenied);
    let mut world = world.restart(Crash::PowerCut);
    world.ask(1, BOBS, subscribe(channel_key("@bob", 2), "bob", 1, None));
    let brought: Vec<_> = world
        .out
        .events()
        .iter()
        .filter_map(|(_, tell)| match tell {
            RoomEvent::Published(BOBS, one, _) => Some((shown(one).1, chat::edited_offset(one))),
            _ => None,
        })
        .collect();
    assert_eq!(brought, [("2".to_owned(), None), ("2".to_owned(), Some(1))]);
}

#[test]
fn both_of_a_conversation_hear_of_an_edit() {
    let mut world = World::new();
    world.ask(0, TALK, send("1", "a"));
    come(&mut world, ANNS, "ann", 3);
    come(&mut world, BOBS, "bob", 4);
    let mode = PublishMode::Send { from: ANNS, to: BOBS, ttl_ms: 0 };
    let wanted = draft(channel_key("dm#ann,bob", 1), "ann", "2", None, mode);
    let id = world.begin(HOME, 0, TALK, edit_in(wanted, 1));
    world.out.events().clear();
    world.settle();
    assert_eq!(posted(&world.answer(id).unwrap()), 2);
    let heard: Vec<_> = world
        .out
        .events()
        .iter()
        .filter_map(|(_, tell)| match tell {
            RoomEvent::Published(inbox, one, _) => {
                Some((*inbox, shown(one).1, one.tag("edits").map(str::to_owned)))
            }
            _ => None,
        })
        .collect();
    for inbox in [ANNS, BOBS] {
        let want = (inbox, "2".to_owned(), Some("1".to_owned()));
        assert!(heard.contains(&want), "{heard:?}");
    }
}

#[test]
fn the_words_of_an_edit_are_shown_no_longer_than_its_message() {
    let mut world = World::new();
    let few = || draft(channel_key("few:1", 3), "ann", "1", None, PublishMode::Post);
    let read = |world: &mut World| {
        let query = HistoryQuery { limit: 9, since: None, order: ReadOrder::OldestFirst };
        let page = HistoryPage {
            channel_key: Some(channel_key("few:1", 3)),
            query,
            reader: crate::base::UserHash::NOBODY,
        };
        match world.ask(0, TALK, RoomOp::History(Box::new(page))) {
            RoomReply::History(all, _) => all.iter().map(|one| shown(one).1).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    world.ask(0, TALK, few());
    world.pass(50_000);
    let words = draft(channel_key("few:1", 3), "ann", "2", None, PublishMode::Post);
    assert_eq!(posted(&world.ask(0, TALK, edit_in(words, 1))), 2);
    assert_eq!(read(&mut world), ["2", "2"]);
    // It is too old now, and its edit is not.
    world.pass(11_000);
    assert_eq!(read(&mut world), [r#"{"edited":1}"#]);
    let late = draft(channel_key("few:1", 3), "ann", "3", None, PublishMode::Post);
    check_offset(&world.ask(0, TALK, edit_in(late, 1)));
    // By count, too: two are kept.
    world.ask(0, TALK, few());
    let words = draft(channel_key("few:1", 3), "ann", "4", None, PublishMode::Post);
    assert_eq!(posted(&world.ask(0, TALK, edit_in(words, 3))), 4);
    assert_eq!(read(&mut world), ["4", "4"]);
    world.ask(0, TALK, few());
    assert_eq!(read(&mut world), [r#"{"edited":3}"#, "1"]);
}
