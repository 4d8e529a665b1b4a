//! What users react to messages with is kept with these, on disk or in memory, and told.

use super::*;
use crate::base::limits::{REACTION_KINDS_MAX, ROOM_REACTIONS_MAX};
use crate::store::MessageReactions;

/// Rooms whose messages are on disk, and in memory only.
const PLACES: [(RoomId, &str, u16); 2] = [(ROOM, "room:9", 0), (RoomId(20), "memory:1", 4)];

fn user(name: &str) -> UserHash {
    let name = name.bytes().fold(1, |all, byte| all * 256 + u128::from(byte));
    UserHash::of_inbox(RoomId(name))
}

fn react(channel: (&str, u16), offset: u64, name: &str, value: Option<&str>) -> RoomOp {
    RoomOp::React(Box::new(Reaction {
        channel_key: Some(channel_key(channel.0, channel.1)),
        info: info(name, 0),
        user: user(name),
        offset,
        value: value.map(Into::into),
        parties: (channel.1 == 1).then_some([ANNS, BOBS]),
    }))
}

impl World {
    fn ask_as(&mut self, name: &str, room: RoomId, op: RoomOp) -> RoomReply {
        self.out.events().clear();
        let id = self.begin_as(user(name), HOME, 0, room, op);
        self.settle();
        self.answer(id).expect("every question is answered")
    }

    #[track_caller]
    fn reacts(&mut self, place: (RoomId, &str, u16), offset: u64, name: &str, value: &str) {
        let value = Some(value).filter(|value| !value.is_empty());
        let answer = self.ask_as(name, place.0, react((place.1, place.2), offset, name, value));
        assert!(matches!(answer, RoomReply::Done), "{answer:?}");
    }

    fn reactions(
        &mut self,
        place: (RoomId, &str, u16),
        name: &str,
        offsets: &[u64],
    ) -> Vec<String> {
        let page = ReactionsPage {
            channel_key: Some(channel_key(place.1, place.2)),
            offsets: offsets.into(),
            reader: user(name),
        };
        match self.ask_as(name, place.0, RoomOp::Reactions(Box::new(page))) {
            RoomReply::Reactions(found) => found.iter().map(text_of).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Offsets and what tags say, of messages that were reacted to.
    fn shown_reactions(&mut self, place: (RoomId, &str, u16), name: &str) -> Vec<(u64, String)> {
        let query = HistoryQuery { limit: 100, since: None, order: ReadOrder::NewestFirst };
        let page = HistoryPage {
            channel_key: Some(channel_key(place.1, place.2)),
            query,
            reader: user(name),
        };
        match self.ask_as(name, place.0, RoomOp::History(Box::new(page))) {
            RoomReply::History(all, _) => all
                .iter()
                .filter_map(|one| Some((one.offset, one.tag("reactions")?.to_owned())))
                .collect(),
            other => panic!("{other:?}"),
        }
    }
}

/// `7 👍2 no1 own no`.
fn text_of(one: &MessageReactions) -> String {
    let totals = one.totals.iter().map(|(value, count)| format!(" {value}{count}"));
    let own = one.own.as_ref().map(|own| format!(" own {own}"));
    format!("{}{}{}", one.offset, totals.collect::<String>(), own.unwrap_or_default())
}

fn said(world: &mut World, place: (RoomId, &str, u16), count: u64) {
    for n in 1..=count {
        let publish =
            draft(channel_key(place.1, place.2), "ann", &n.to_string(), None, PublishMode::Post);
        assert_eq!(posted(&world.ask(0, place.0, publish)), n);
    }
}

#[test]
fn totals_and_ones_own_come_with_the_history_and_for_a_list() {
    for place in PLACES {
        let mut world = World::new();
        said(&mut world, place, 9);
        for (offset, name, value) in [
            (9, "ann", "👍"),
            (9, "bob", "👍"),
            (2, "ann", "no"),
            (9, "ann", "no"),
            (8, "ann", "👍"),
            (8, "ann", ""),
        ] {
            world.reacts(place, offset, name, value);
        }
        let totals = r#""totals":[{"value":"👍","count":1},{"value":"no","count":1}]"#;
        let two = r#"{"totals":[{"value":"no","count":1}],"own":"no"}"#.to_owned();
        let nine = |own: &str| format!(r#"{{{totals},"own":"{own}"}}"#);
        assert_eq!(world.shown_reactions(place, "ann"), [(9, nine("no")), (2, two)]);
        assert_eq!(world.shown_reactions(place, "bob")[0], (9, nine("👍")));
        assert_eq!(world.shown_reactions(place, "eve")[0], (9, format!("{{{totals}}}")));
        assert_eq!(
            world.reactions(place, "ann", &[1, 2, 8, 9, 77]),
            ["2 no1 own no", "9 👍1 no1 own no"]
        );
        assert_eq!(world.reactions(place, "eve", &[2]), ["2 no1"]);
        if place.2 == 0 {
            let mut world = world.restart(Crash::PowerCut);
            assert_eq!(world.shown_reactions(place, "bob")[0], (9, nine("👍")));
        }
    }
}

#[test]
fn only_what_is_there_and_may_be_seen_is_reacted_to() {
    for place in PLACES {
        let (room, channel, namespace) = place;
        let mut world = World::new();
        let none = |world: &mut World, offset| {
            let op = react((channel, namespace), offset, "ann", Some("a"));
            let answer = world.ask_as("ann", room, op);
            assert!(matches!(answer, RoomReply::InvalidField(Field::Offset)), "{answer:?}");
        };
        none(&mut world, 1);
        said(&mut world, place, 3);
        none(&mut world, 4);
        world.reacts(place, 2, "ann", "a");
        world.reacts(place, 3, "ann", "a");
        let publish = draft(
            channel_key(channel, namespace),
            "ann",
            r#"{"retracted":2}"#,
            None,
            PublishMode::Post,
        );
        let publish = retraction(publish, 2, RetractRight::Author);
        assert!(matches!(world.ask(0, room, publish), RoomReply::Done));
        none(&mut world, 2);
        none(&mut world, 4); // it says that one was taken back
        assert_eq!(world.reactions(place, "ann", &[2, 3, 4]), ["3 a1 own a"]);
        assert_eq!(world.shown_reactions(place, "ann").len(), 1);
        world.pass(if namespace == 0 { 1_000_000_000 } else { 60_000 });
        none(&mut world, 3);
        assert_eq!(world.reactions(place, "ann", &[3]), [""; 0]);
    }
    let mut world = World::new();
    let forgets = react(("@ann", 2), 1, "ann", Some("a"));
    come(&mut world, ANNS, "ann", 1);
    check_refused(&world.ask_as("ann", ANNS, forgets), ErrorCode::NotAvailable);
}

#[test]
fn in_memory_reactions_go_with_the_messages_that_the_window_loses() {
    let place = PLACES[1];
    let mut world = World::new();
    said(&mut world, place, 20);
    for offset in 1..=20 {
        world.reacts(place, offset, "ann", "a");
    }
    for _ in 0..5 {
        let more = draft(channel_key(place.1, place.2), "ann", "more", None, PublishMode::Post);
        world.ask(0, place.0, more);
    }
    let all: Vec<u64> = (1..=25).collect();
    assert_eq!(world.reactions(place, "ann", &all).len(), 15);
    const { assert!(20 * 1_000 > ROOM_REACTIONS_MAX) };
}

#[test]
fn a_message_has_so_many_kinds() {
    for place in PLACES {
        let mut world = World::new();
        said(&mut world, place, 1);
        for kind in 0..REACTION_KINDS_MAX {
            world.reacts(place, 1, &format!("u{kind}"), &format!("k{kind}"));
        }
        let more = |value| react((place.1, place.2), 1, "eve", Some(value));
        check_refused(&world.ask_as("eve", place.0, more("new")), ErrorCode::LimitExceeded);
        world.reacts(place, 1, "u3", "");
        assert!(matches!(world.ask_as("eve", place.0, more("new")), RoomReply::Done));
    }
}

#[test]
fn a_history_in_memory_asks_the_store_only_for_what_was_reacted_to() {
    let place = PLACES[0];
    let mut world = World::new();
    said(&mut world, place, 9);
    world.reacts(place, 3, "ann", "a");
    world.asleep = true;
    let newest = |limit| {
        let query = HistoryQuery { limit, since: None, order: ReadOrder::NewestFirst };
        RoomOp::History(Box::new(HistoryPage { channel_key: None, query, reader: user("ann") }))
    };
    let id = world.begin(HOME, 0, ROOM, newest(4));
    assert!(matches!(world.answer(id), Some(RoomReply::History(all, _)) if all.len() == 4));
    assert!(world.out.requests().is_empty());
    world.asleep = false;
    world.reacts(place, 9, "ann", "a");
    // Its own reaction is found by whoever asks behind it, without waiting for the answer.
    let first =
        world.begin_as(user("ann"), HOME, 0, ROOM, react(("room:9", 0), 9, "ann", Some("b")));
    let behind = world.begin_as(user("ann"), HOME, 0, ROOM, newest(4));
    assert_eq!(world.out.requests().len(), 2);
    world.settle();
    assert!(matches!(world.answer(first), Some(RoomReply::Done)));
    let Some(RoomReply::History(all, _)) = world.answer(behind) else { panic!("a history") };
    assert_eq!(all[0].tag("reactions"), Some(r#"{"totals":[{"value":"b","count":1}],"own":"b"}"#));
}

#[test]
fn a_change_is_told_at_once_and_those_behind_it_together() {
    for place in PLACES {
        let (room, channel, namespace) = place;
        let mut world = World::new();
        world.ask(1, room, subscribe(channel_key(channel, namespace), "bob", 1, None));
        said(&mut world, place, 3);
        let notice =
            |rest: &str| format!(r#"{{"reacted":{{"channel":"{channel}","offset":{rest}}}}}"#);
        let one = r#""totals":[{"value":"a","count":1}]"#;
        world.reacts(place, 2, "ann", "a");
        let first = notice(&format!(r#"2,"user":"ann","value":"a",{one}"#));
        assert_eq!(world.notices(room), [first]);
        world.reacts(place, 2, "ann", "a");
        assert_eq!(world.notices(room), [""; 0], "nothing has changed");
        for name in ["bob", "eve", "cat"] {
            world.reacts(place, 2, name, "a");
            world.reacts(place, 3, name, "b");
        }
        assert_eq!(world.notices(room), [""; 0]);
        world.pass(320);
        let both = [
            notice(r#"2,"totals":[{"value":"a","count":4}]"#),
            notice(r#"3,"totals":[{"value":"b","count":3}]"#),
        ];
        assert_eq!(world.notices(room), both);
        world.pass(320);
        assert_eq!(world.notices(room), [""; 0]);
        world.reacts(place, 2, "ann", "");
        let taken = notice(r#"2,"user":"ann","value":"","totals":[{"value":"a","count":3}]"#);
        assert_eq!(world.notices(room), [taken]);
    }
}

#[test]
fn both_of_a_conversation_hear_of_it_wherever_they_are() {
    let mut world = World::new();
    come(&mut world, ANNS, "ann", 4);
    come(&mut world, BOBS, "bob", 5);
    assert_eq!(posted(&world.ask(0, TALK, send("1", "a"))), 1);
    world.reacts((TALK, "dm#ann,bob", 1), 1, "bob", "👍");
    let told = std::mem::take(world.out.events());
    let want = r#"{"reacted":{"channel":"dm#ann,bob","offset":1,"user":"bob","value":"👍","totals":[{"value":"👍","count":1}]}}"#;
    for inbox in [ANNS, BOBS] {
        let notices = told.iter().filter_map(|(_, tell)| match tell {
            RoomEvent::Notice(to, data) if *to == inbox => Some(&data.bytes[..]),
            _ => None,
        });
        assert_eq!(notices.collect::<Vec<_>>(), [want.as_bytes()]);
    }
}

#[test]
fn a_room_takes_as_many_reactions_a_second_as_messages() {
    let mut options = Options { namespaces: namespaces(), rooms_max: 100, ..Options::default() };
    options.namespaces[0].publish_per_s_max = 5;
    let mut world = World::new();
    world.options = Arc::new(options);
    let ids = Csprng::from_key([1; 16]);
    world.rooms = Rooms::new(world.now, Arc::clone(&world.options), ids, silent_key());
    said(&mut world, PLACES[0], 1);
    for number in 0..5 {
        world.reacts(PLACES[0], 1, "ann", &format!("k{number}"));
    }
    let more = react(("room:9", 0), 1, "ann", Some("more"));
    check_refused(&world.ask_as("ann", ROOM, more), ErrorCode::TooManyRequests);
    world.pass(1_000);
    world.reacts(PLACES[0], 1, "ann", "more");
}

#[test]
fn what_a_broken_disk_does_not_keep_is_not_told() {
    let mut world = World::new();
    world.ask(1, ROOM, subscribe(channel_key("room:9", 0), "bob", 1, None));
    said(&mut world, PLACES[0], 1);
    let fails = DiskFaultProfile { sync_fails_percent: 100, ..DiskFaultProfile::CALM };
    world.store.disk_mut().set_fault_profile(fails);
    let op = react(("room:9", 0), 1, "ann", Some("a"));
    check_refused(&world.ask_as("ann", ROOM, op), ErrorCode::Internal);
    assert_eq!(world.notices(ROOM), [""; 0]);
}
