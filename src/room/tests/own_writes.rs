//! What one connection says and then asks is served in that order.

use super::*;
use crate::base::limits::WAITING_REQUESTS_MAX;
use crate::store::{StoreError, StoreReply, StoreResult};

fn all_of(order: ReadOrder) -> RoomOp {
    let query = HistoryQuery { limit: 99, since: None, order };
    RoomOp::History(Box::new(HistoryPage {
        channel_key: Some(channel_key("room:9", 0)),
        query,
        reader: crate::base::UserHash::NOBODY,
    }))
}

fn found(answer: Option<RoomReply>) -> Vec<(u64, String)> {
    match answer {
        Some(RoomReply::History(all, _)) => all.iter().map(|one| shown(one)).collect(),
        other => panic!("{other:?}"),
    }
}

/// A world whose store has one message and answers nothing more.
fn asleep() -> World {
    let mut world = World::new();
    world.publish("1");
    world.asleep = true;
    world.out.events().clear();
    world
}

#[test]
fn who_says_something_finds_it_in_the_history() {
    // In a room that is in memory, and in one that is to be read first.
    for restarted in [false, true] {
        let mut world = asleep();
        if restarted {
            world = world.restart(Crash::PowerCut);
            world.asleep = true;
        }
        let said = world.begin(HOME, 7, ROOM, publish("2", None));
        let own = world.begin(HOME, 7, ROOM, all_of(ReadOrder::NewestFirst));
        let later = world.begin(HOME, 7, ROOM, publish("3", None));
        assert!(world.answer(own).is_none(), "its own message is under way");
        world.asleep = false;
        world.settle();
        assert!(matches!(world.answer(said), Some(RoomReply::Published(_))));
        let both = [(2, "2".to_owned()), (1, "1".to_owned())];
        assert_eq!(found(world.answer(own)), both, "and nothing that was said behind it");
        assert!(matches!(world.answer(later), Some(RoomReply::Published(_))));
    }
}

#[test]
fn nobody_waits_for_what_others_say() {
    let mut world = asleep();
    world.begin(HOME, 7, ROOM, publish("2", None));
    let other = world.begin(HOME, 8, ROOM, all_of(ReadOrder::OldestFirst));
    assert_eq!(found(world.answer(other)), [(1, "1".to_owned())]);
    let elsewhere = world.begin(ShardId(1), 7, ROOM, all_of(ReadOrder::OldestFirst));
    assert_eq!(found(world.answer(elsewhere)), [(1, "1".to_owned())], "another shard's seventh");
}

#[test]
fn a_message_is_taken_back_right_behind_itself() {
    let mut world = asleep();
    world.begin(HOME, 7, ROOM, publish("2", None));
    let back = world.begin(HOME, 7, ROOM, retract(2, "ann", RetractRight::Author));
    let own = world.begin(HOME, 7, ROOM, all_of(ReadOrder::OldestFirst));
    world.asleep = false;
    world.settle();
    assert!(matches!(world.answer(back), Some(RoomReply::Done)));
    let texts: Vec<_> = found(world.answer(own)).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["1", r#"{"retracted":true}"#, r#"{"retracted":2}"#]);
}

#[test]
fn what_waits_behind_a_message_that_cannot_be_kept_is_refused() {
    let mut world = World::new();
    world.publish("1");
    let fails = DiskFaultProfile { sync_fails_percent: 100, ..DiskFaultProfile::CALM };
    world.store.disk_mut().set_fault_profile(fails);
    let said = world.begin(HOME, 7, ROOM, publish("2", None));
    let own = world.begin(HOME, 7, ROOM, all_of(ReadOrder::OldestFirst));
    world.settle();
    check_refused(&world.answer(said).unwrap(), ErrorCode::Internal);
    check_refused(&world.answer(own).unwrap(), ErrorCode::Internal);
}

#[test]
fn questions_behind_a_message_are_bounded() {
    let mut world = asleep();
    world.begin(HOME, 7, ROOM, publish("2", None));
    let ids: Vec<u32> = (0..=WAITING_REQUESTS_MAX)
        .map(|_| world.begin(HOME, 7, ROOM, all_of(ReadOrder::OldestFirst)))
        .collect();
    let last = ids.last().copied().unwrap();
    check_refused(&world.answer(last).unwrap(), ErrorCode::TooManyRequests);
    assert!(world.answer(ids[0]).is_none());
}

/// A world with ten messages, of which memory has the last few, whose store answers nothing
/// more.
fn asleep_and_long() -> World {
    let mut world = World::new();
    for n in 1..=10 {
        world.publish(&n.to_string());
    }
    world.asleep = true;
    world.out.events().clear();
    world
}

fn texts(answer: Option<RoomReply>) -> Vec<String> {
    found(answer).into_iter().map(|(_, text)| text).collect()
}

#[test]
fn what_is_asked_behind_a_retraction_that_is_read_first_finds_it_done() {
    for restarted in [false, true] {
        let mut world = asleep_and_long();
        if restarted {
            world = world.restart(Crash::PowerCut);
            world.asleep = true;
        }
        let back = world.begin(HOME, 7, ROOM, retract(1, "ann", RetractRight::Author));
        let again = world.begin(HOME, 7, ROOM, retract(2, "ann", RetractRight::Author));
        let said = world.begin(HOME, 7, ROOM, publish("11", None));
        let own = world.begin(HOME, 7, ROOM, all_of(ReadOrder::OldestFirst));
        let latest = RoomOp::History(Box::new(HistoryPage {
            channel_key: Some(channel_key("room:9", 0)),
            query: HistoryQuery { limit: 2, since: None, order: ReadOrder::NewestFirst },
            reader: crate::base::UserHash::NOBODY,
        }));
        let latest = world.begin(HOME, 7, ROOM, latest);
        assert!(world.answer(latest).is_none(), "memory would have it");
        world.asleep = false;
        world.settle();
        assert!(matches!(world.answer(back), Some(RoomReply::Done)));
        assert!(matches!(world.answer(again), Some(RoomReply::Done)));
        assert!(matches!(world.answer(said), Some(RoomReply::Published(_))));
        let all = texts(world.answer(own));
        assert_eq!(all[..3], [r#"{"retracted":true}"#, r#"{"retracted":true}"#, "3"]);
        assert_eq!(all[10..], ["11", r#"{"retracted":1}"#, r#"{"retracted":2}"#]);
        assert_eq!(texts(world.answer(latest)), [r#"{"retracted":2}"#, r#"{"retracted":1}"#]);
    }
}

#[test]
fn a_retraction_that_is_refused_lets_those_behind_it_go() {
    let mut world = asleep_and_long();
    let back = world.begin(HOME, 7, ROOM, retract(1, "bob", RetractRight::Author));
    let own = world.begin(HOME, 7, ROOM, all_of(ReadOrder::OldestFirst));
    let other = world.begin(HOME, 8, ROOM, all_of(ReadOrder::NewestFirst));
    world.asleep = false;
    world.settle();
    check_refused(&world.answer(back).unwrap(), ErrorCode::PermissionDenied);
    assert_eq!(texts(world.answer(own))[0], "1");
    assert_eq!(texts(world.answer(other))[9], "1");
}

#[test]
fn whoever_leaves_behind_retractions_is_answered_and_leaves_nothing() {
    let mut world = asleep_and_long();
    // Some of them are under way, and some in line.
    let mut asked: Vec<u32> = (1..=6)
        .map(|offset| world.begin(HOME, 7, ROOM, retract(offset, "ann", RetractRight::Author)))
        .collect();
    asked.push(world.begin(HOME, 7, ROOM, all_of(ReadOrder::OldestFirst)));
    world.rooms.abandon(world.now, HOME, connection(7), &mut world.out);
    world.asleep = false;
    world.settle();
    for id in asked {
        assert!(world.answer(id).is_some(), "each question has its answer");
    }
    let room = world.rooms.find(ROOM).expect("its messages are on disk");
    assert!(room.messages().durable().is_some_and(|durable| durable.is_at_rest()));
}

#[test]
fn a_retraction_that_cannot_be_read_is_nobodys_fault() {
    let mut world = asleep_and_long();
    let back = world.begin(HOME, 7, ROOM, retract(1, "ann", RetractRight::Author));
    let own = world.begin(HOME, 7, ROOM, all_of(ReadOrder::OldestFirst));
    let requests = std::mem::take(world.out.requests());
    let [read] = <[_; 1]>::try_from(requests).expect("the history waits for it");
    let outcome = StoreResult::Failed(StoreError::Broken);
    let reply = StoreReply { request_id: read.request_id, outcome };
    world.rooms.on_reply(world.now, reply, &mut world.out);
    check_refused(&world.answer(back).unwrap(), ErrorCode::Internal);
    world.asleep = false;
    world.settle();
    assert_eq!(texts(world.answer(own))[0], "1");
}

/// Nothing of it is written: it may be tried again at once, and gets the offset.
#[test]
fn what_a_late_store_refuses_is_to_be_tried_again_later() {
    let mut world = asleep();
    let said = [publish("2", None), publish("3", None)].map(|op| world.begin(HOME, 7, ROOM, op));
    let own = world.begin(HOME, 7, ROOM, all_of(ReadOrder::OldestFirst));
    for request in std::mem::take(world.out.requests()) {
        let outcome = StoreResult::Failed(StoreError::Overloaded);
        let reply = StoreReply { request_id: request.request_id, outcome };
        world.rooms.on_reply(world.now, reply, &mut world.out);
    }
    for asked in said.into_iter().chain([own]) {
        check_refused(&world.answer(asked).unwrap(), ErrorCode::TooManyRequests);
    }
    world.asleep = false;
    world.settle();
    let again = world.begin(HOME, 7, ROOM, publish("4", None));
    world.settle();
    assert!(matches!(world.answer(again), Some(RoomReply::Published(_))));
    let own = world.begin(HOME, 7, ROOM, all_of(ReadOrder::OldestFirst));
    world.settle();
    assert_eq!(found(world.answer(own)), [(1, "1".to_owned()), (2, "4".to_owned())]);
}

/// The first one may be refused, and then the next one must not be kept either: it would
/// begin the stream behind a hole.
#[test]
fn what_is_said_behind_the_first_message_begins_no_stream_of_its_own() {
    let mut world = World::new();
    world.ask(7, ROOM, subscribe(channel_key("room:9", 0), "ann", 7, None));
    world.asleep = true;
    for text in ["1", "2"] {
        world.begin(HOME, 7, ROOM, publish(text, None));
    }
    let creations: Vec<_> = world
        .out
        .requests()
        .iter()
        .map(|request| match &request.op {
            StoreOp::Append(append) => (
                append.publication.offset,
                append.channel_created.as_ref().map(|channel_created| channel_created.behind),
            ),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(creations, [(1, Some(0)), (2, Some(0))]);
}
