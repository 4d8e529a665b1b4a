//! Streams from their beginning, and clients that do not come in without what they missed.

use super::*;

const BEGINNING: Position = Position { offset: 0, epoch: Epoch::ANY };

fn demanding(slot: u32, since: Position) -> RoomOp {
    match subscribe(channel_key("room:9", 0), "ann", slot, Some(since)) {
        RoomOp::Subscribe(subscribe) => RoomOp::Subscribe(Box::new(RoomSubscribe {
            unrecovered: Unrecovered::Rejected,
            ..*subscribe
        })),
        other => panic!("{other:?}"),
    }
}

fn is_rejected(answer: &RoomReply) -> bool {
    matches!(answer, RoomReply::SubscribeRejected(ErrorCode::UnrecoverablePosition))
}

#[test]
fn the_beginning_is_that_of_whichever_stream_there_is() {
    let mut world = World::new();
    let silent = world.subscribe(1, Some(BEGINNING));
    assert_eq!((silent.recovery, silent.missed.len()), (RecoveryOutcome::Whole, 0));
    for n in 1..=300 {
        world.publish(&n.to_string());
    }
    for crash in [None, Some(Crash::PowerCut)] {
        if let Some(crash) = crash {
            world = world.restart(crash);
        }
        let all = world.subscribe(2, Some(BEGINNING));
        let missed: Vec<u64> = all.missed.iter().map(|one| one.offset).collect();
        assert_eq!(missed, (1..=300).collect::<Vec<_>>(), "most of them from disk");
        assert!(matches!(world.ask(3, ROOM, demanding(3, BEGINNING)), RoomReply::Subscribed(_)));
    }
    let beyond = Position { offset: 301, ..BEGINNING };
    assert_eq!(world.subscribe(4, Some(beyond)).recovery, RecoveryOutcome::Lost);
}

#[test]
fn the_history_begins_there_too() {
    let mut world = World::new();
    let query = HistoryQuery { limit: 9, since: Some(BEGINNING), order: ReadOrder::OldestFirst };
    assert_eq!(world.history(query), [0; 0], "of a room that is not there");
    world.publish("1");
    world.publish("2");
    assert_eq!(world.history(query), [1, 2]);
}

#[test]
fn who_demands_to_recover_does_not_come_in_without() {
    let mut world = World::new();
    let foreign = Position { offset: 0, epoch: Epoch(77) };
    assert!(is_rejected(&world.ask(1, ROOM, demanding(1, foreign))), "nothing was said");
    world.pass(1_000);
    assert!(world.rooms.is_empty(), "a room that nobody came into does not stay");
    for n in 1..=700 {
        world.publish(&n.to_string());
    }
    assert!(is_rejected(&world.ask(2, ROOM, demanding(2, foreign))));
    assert!(is_rejected(&world.ask(2, ROOM, demanding(2, BEGINNING))), "too much");
    let stats = world.ask(2, ROOM, RoomOp::PresenceStats);
    assert!(matches!(stats, RoomReply::PresenceStats { clients: 0, .. }), "{stats:?}");
    let head = world.subscribe(3, None).position.expect("it keeps messages");
    assert!(matches!(world.ask(4, ROOM, demanding(4, head)), RoomReply::Subscribed(_)));
}
