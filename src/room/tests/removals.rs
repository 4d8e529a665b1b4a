//! What was said is removed by order: gone for all who read, whether it is on disk or in memory,
//! and the stream goes on.

use super::*;

const MEMORY: RoomId = RoomId(20);

/// Rooms whose messages are on disk, and in memory only.
const PLACES: [(RoomId, &str, u16); 2] = [(ROOM, "room:9", 0), (MEMORY, "memory:1", 4)];

type Place = (RoomId, &'static str, u16);

fn removal(channel: &str, namespace: u16) -> RoomOp {
    let parties = (namespace == 1).then_some([ANNS, BOBS]);
    let channel_key = channel_key(channel, namespace);
    RoomOp::RemoveHistory(Box::new(HistoryRemoval { channel_key, parties }))
}

fn page(place: Place) -> RoomOp {
    let query = HistoryQuery { limit: 100, since: None, order: ReadOrder::OldestFirst };
    let channel_key = Some(channel_key(place.1, place.2));
    RoomOp::History(Box::new(HistoryPage {
        channel_key,
        query,
        reader: crate::base::UserHash::NOBODY,
    }))
}

#[track_caller]
fn offsets(answer: Option<RoomReply>) -> (Vec<u64>, u64) {
    match answer {
        Some(RoomReply::History(all, position)) => {
            (all.iter().map(|one| one.offset).collect(), position.offset)
        }
        other => panic!("{other:?}"),
    }
}

impl World {
    fn says_in(&mut self, place: Place, text: &str, id: Option<&str>) -> RoomReply {
        let channel_key = channel_key(place.1, place.2);
        self.ask(0, place.0, draft(channel_key, "ann", text, id, PublishMode::Post))
    }

    #[track_caller]
    fn removes(&mut self, place: Place) {
        let answer = self.ask(9, place.0, removal(place.1, place.2));
        assert!(matches!(answer, RoomReply::Done), "{answer:?}");
    }

    /// The offsets that a history shows, and where it ends.
    #[track_caller]
    fn left_in(&mut self, place: Place) -> (Vec<u64>, u64) {
        let answer = self.ask(0, place.0, page(place));
        offsets(Some(answer))
    }

    fn comes(&mut self, place: Place, slot: u32, since: Option<Position>) -> Subscribed {
        let subscribe = subscribe(channel_key(place.1, place.2), "ann", slot, since);
        match self.ask(slot, place.0, subscribe) {
            RoomReply::Subscribed(subscribed) => *subscribed,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check_removed(&mut self, place: Place, before: Position, end: Position) {
        assert_eq!(self.left_in(place), (vec![], end.offset));
        assert_eq!(
            self.comes(place, 100 + self.next_id, Some(before)).recovery,
            RecoveryOutcome::Lost
        );
        let at_the_end = self.comes(place, 100 + self.next_id, Some(end));
        assert_eq!(
            (at_the_end.recovery, at_the_end.missed.len(), at_the_end.position),
            (RecoveryOutcome::Whole, 0, Some(end))
        );
    }
}

#[test]
fn a_removed_history_is_gone_and_the_next_message_has_the_next_place() {
    for place in PLACES {
        let mut world = World::new();
        let start = world.comes(place, 1, None).position.unwrap();
        (1..=10).for_each(|n| drop(world.says_in(place, &n.to_string(), None)));
        let end = world.comes(place, 2, None).position.unwrap();
        world.removes(place);
        for before in [start, Position { offset: 9, ..end }] {
            world.check_removed(place, before, end);
        }
        if place.0 == ROOM {
            for crash in [Crash::Killed, Crash::PowerCut] {
                world = world.restart(crash);
                world.check_removed(place, start, end);
            }
        }
        world.says_in(place, "11", None);
        assert_eq!(world.left_in(place), (vec![11], 11));
        let missed = world.comes(place, 4, Some(end));
        assert_eq!((missed.recovery, missed.missed.len()), (RecoveryOutcome::Whole, 1));
        world.removes(place);
        assert_eq!(world.left_in(place), (vec![], 11), "and again");
    }
}

#[test]
fn what_was_never_said_is_removed_without_a_word() {
    let mut world = World::new();
    for place in PLACES {
        world.removes(place);
        world.pass(1_000);
        assert!(world.rooms.is_empty(), "nobody is there");
        world.comes(place, 1, None);
        world.removes(place);
        world.ask(1, place.0, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    }
    let answer = world.ask(9, RoomId(30), removal("@eve", 2));
    assert!(matches!(answer, RoomReply::Done), "no room is there to ask");
    come(&mut world, BOBS, "bob", 1);
    check_refused(&world.ask(9, BOBS, removal("@bob", 2)), ErrorCode::NotAvailable);
}

#[test]
fn it_removes_what_was_asked_before_and_a_history_behind_it_shows_that() {
    let mut world = World::new();
    world.publish("1");
    world.asleep = true;
    world.out.events().clear();
    let said = world.begin(HOME, 0, ROOM, publish("2", None));
    let removed = world.begin(HOME, 9, ROOM, removal("room:9", 0));
    let first = world.begin(HOME, 8, ROOM, page(PLACES[0]));
    let said_since = world.begin(HOME, 0, ROOM, publish("3", None));
    let own = world.begin(HOME, 0, ROOM, page(PLACES[0]));
    let again = world.begin(HOME, 9, ROOM, removal("room:9", 0));
    let last = world.begin(HOME, 8, ROOM, page(PLACES[0]));
    world.settle();
    assert!(world.out.events().is_empty(), "all of it waits for the store");
    world.asleep = false;
    world.settle();
    for id in [said, said_since] {
        assert!(matches!(world.answer(id), Some(RoomReply::Published(_))));
    }
    for id in [removed, again] {
        assert!(matches!(world.answer(id), Some(RoomReply::Done)));
    }
    assert_eq!(offsets(world.answer(first)), (vec![], 2));
    assert_eq!(offsets(world.answer(own)), (vec![3], 3));
    assert_eq!(offsets(world.answer(last)), (vec![], 3));
}

#[test]
fn a_removed_message_that_is_repeated_has_its_place_and_is_not_said_again() {
    for place in PLACES {
        let mut world = World::new();
        assert_eq!(posted(&world.says_in(place, "1", Some("mine"))), 1);
        world.removes(place);
        assert_eq!(posted(&world.says_in(place, "1", Some("mine"))), 1);
        if place.0 == ROOM {
            world = world.restart(Crash::PowerCut);
            assert_eq!(posted(&world.says_in(place, "1", Some("mine"))), 1);
        }
        assert_eq!(world.left_in(place), (vec![], 1));
        assert_eq!(posted(&world.says_in(place, "2", Some("other"))), 2);
    }
}

#[test]
fn nobody_changes_or_reacts_to_what_was_removed() {
    let mut world = World::new();
    (1..=10).for_each(|n| drop(world.publish(&n.to_string())));
    world.removes(PLACES[0]);
    for offset in [1, 10] {
        for op in [retract(offset, "ann", RetractRight::Author), edit(offset, "ann", "other", None)]
        {
            let answer = world.ask(0, ROOM, op);
            assert!(matches!(answer, RoomReply::InvalidField(Field::Offset)), "{answer:?}");
        }
    }
    for place in PLACES {
        let mut world = World::new();
        world.says_in(place, "1", None);
        let react = |value: &str| {
            RoomOp::React(Box::new(Reaction {
                channel_key: Some(channel_key(place.1, place.2)),
                info: info("bob", 0),
                user: UserHash::NOBODY,
                offset: 1,
                value: Some(value.into()),
                parties: None,
            }))
        };
        // The first one is told at once, and the second gathered.
        for value in ["a", "b"] {
            assert!(matches!(world.ask(0, place.0, react(value)), RoomReply::Done));
        }
        world.comes(place, 1, None);
        world.removes(place);
        let offsets = [1].into();
        let page = ReactionsPage {
            channel_key: Some(channel_key(place.1, place.2)),
            offsets,
            reader: crate::base::UserHash::NOBODY,
        };
        let answer = world.ask(0, place.0, RoomOp::Reactions(Box::new(page)));
        assert!(matches!(answer, RoomReply::Reactions(found) if found.is_empty()));
        let answer = world.ask(0, place.0, react("c"));
        assert!(matches!(answer, RoomReply::InvalidField(Field::Offset)), "{answer:?}");
        world.out.events().clear();
        world.pass(1_000);
        assert_eq!(world.notices(place.0), [""; 0], "what was gathered is not told");
    }
}

#[test]
fn a_room_in_memory_keeps_the_place_of_what_was_removed() {
    let mut world = World::new();
    let place = PLACES[1];
    let start = world.comes(place, 1, None).position;
    world.says_in(place, "1", None);
    let end = world.comes(place, 2, None).position;
    for slot in [1, 2] {
        world.ask(slot, MEMORY, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    }
    world.pass(50_000);
    world.removes(place);
    world.pass(59_000);
    // Messages would be a minute old at most.
    assert_eq!(world.comes(place, 3, end).recovery, RecoveryOutcome::Whole);
    assert_eq!(world.comes(place, 4, start).recovery, RecoveryOutcome::Lost, "one was missed");
    for slot in [3, 4] {
        world.ask(slot, MEMORY, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    }
    world.pass(61_000);
    world.pass(1_000);
    assert!(world.rooms.is_empty());
}

#[test]
fn a_store_that_cannot_remove_is_read_again() {
    let mut world = World::new();
    let start = world.subscribe(1, None).position.unwrap();
    (1..=10).for_each(|n| drop(world.publish(&n.to_string())));
    let end = world.subscribe(2, None).position.unwrap();
    let disk = world.store.disk_mut();
    disk.set_fault_profile(DiskFaultProfile {
        commit_fails_percent: 100,
        ..DiskFaultProfile::CALM
    });
    world.out.events().clear();
    let removed = world.begin(HOME, 9, ROOM, removal("room:9", 0));
    let behind = world.begin(HOME, 8, ROOM, page(PLACES[0]));
    world.settle();
    for id in [removed, behind] {
        check_refused(&world.answer(id).unwrap(), ErrorCode::Internal);
    }
    world.store.disk_mut().set_fault_profile(DiskFaultProfile::CALM);
    world.pass(2_000);
    world.pass(2_000);
    let (found, head) = world.left_in(PLACES[0]);
    assert!(found.is_empty() || found.len() == 10, "all of it, or nothing: {found:?}");
    assert_eq!(head, 10);
    world.removes(PLACES[0]);
    world.check_removed(PLACES[0], start, end);
}

#[test]
fn a_removed_direct_message_waits_no_more_on_disk_and_in_memory() {
    let mut world = World::new();
    let place = (TALK, "dm#ann,bob", 1);
    for n in ["1", "2", "3"] {
        assert!(matches!(world.ask(4, TALK, send(n, n)), RoomReply::Posted(_)));
    }
    world.removes(place);
    come(&mut world, BOBS, "bob", 5);
    assert_eq!(world.said(BOBS), []);
    world.ask(4, TALK, send("4", "4"));
    assert_eq!(world.said(BOBS), [(0, "4".to_owned())], "what comes since is brought");
    // Held in memory until what waits before it was brought, which is removed, too.
    let mut world = World::new();
    world.ask(4, TALK, send("1", "1"));
    world.asleep = true;
    world.begin(HOME, 5, BOBS, subscribe(channel_key("@bob", 2), "bob", 5, None));
    world.settle();
    let asked = std::mem::take(world.out.requests());
    world.asleep = false;
    world.ask(4, TALK, send("2", "2"));
    world.removes(place);
    world.out.requests().extend(asked);
    world.settle();
    assert_eq!(world.said(BOBS), []);
}
