//! What one connection says and then asks is served in that order.

use super::*;
use crate::base::limits::WAITING_ASKS_MAX;

fn all_of(order: Order) -> What {
    let passage = Passage { limit: 99, since: None, order };
    What::History(Box::new(HistoryPage { title: Some(title("room:9", 0)), passage }))
}

fn found(answer: Option<Answer>) -> Vec<(u64, String)> {
    match answer {
        Some(Answer::History(all, _)) => all.iter().map(|one| shown(one)).collect(),
        other => panic!("{other:?}"),
    }
}

/// A world whose store has one message and answers nothing more.
fn asleep() -> World {
    let mut world = World::new();
    world.publish("1");
    world.asleep = true;
    world.out.told.clear();
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
        let own = world.begin(HOME, 7, ROOM, all_of(Order::NewestFirst));
        let later = world.begin(HOME, 7, ROOM, publish("3", None));
        assert!(world.answer(own).is_none(), "its own message is under way");
        world.asleep = false;
        world.settle();
        assert!(matches!(world.answer(said), Some(Answer::Published(_))));
        let both = [(2, "2".to_owned()), (1, "1".to_owned())];
        assert_eq!(found(world.answer(own)), both, "and nothing that was said behind it");
        assert!(matches!(world.answer(later), Some(Answer::Published(_))));
    }
}

#[test]
fn nobody_waits_for_what_others_say() {
    let mut world = asleep();
    world.begin(HOME, 7, ROOM, publish("2", None));
    let other = world.begin(HOME, 8, ROOM, all_of(Order::OldestFirst));
    assert_eq!(found(world.answer(other)), [(1, "1".to_owned())]);
    let elsewhere = world.begin(ShardId(1), 7, ROOM, all_of(Order::OldestFirst));
    assert_eq!(found(world.answer(elsewhere)), [(1, "1".to_owned())], "another shard's seventh");
}

#[test]
fn a_message_is_taken_back_right_behind_itself() {
    let mut world = asleep();
    world.begin(HOME, 7, ROOM, publish("2", None));
    let back = world.begin(HOME, 7, ROOM, retract(2, "ann", Power::Author));
    let own = world.begin(HOME, 7, ROOM, all_of(Order::OldestFirst));
    world.asleep = false;
    world.settle();
    assert!(matches!(world.answer(back), Some(Answer::Noted)));
    let texts: Vec<_> = found(world.answer(own)).into_iter().map(|(_, text)| text).collect();
    assert_eq!(texts, ["1", r#"{"retracted":true}"#, r#"{"retracted":2}"#]);
}

#[test]
fn what_waits_behind_a_message_that_cannot_be_kept_is_refused() {
    let mut world = World::new();
    world.publish("1");
    let fails = DiskWeather { sync_fails_percent: 100, ..DiskWeather::CALM };
    world.store.disk_mut().set_weather(fails);
    let said = world.begin(HOME, 7, ROOM, publish("2", None));
    let own = world.begin(HOME, 7, ROOM, all_of(Order::OldestFirst));
    world.settle();
    check_refused(&world.answer(said).unwrap(), ErrorCode::Internal);
    check_refused(&world.answer(own).unwrap(), ErrorCode::Internal);
}

#[test]
fn questions_behind_a_message_are_bounded() {
    let mut world = asleep();
    world.begin(HOME, 7, ROOM, publish("2", None));
    let ids: Vec<u32> = (0..=WAITING_ASKS_MAX)
        .map(|_| world.begin(HOME, 7, ROOM, all_of(Order::OldestFirst)))
        .collect();
    let last = ids.last().copied().unwrap();
    check_refused(&world.answer(last).unwrap(), ErrorCode::TooManyRequests);
    assert!(world.answer(ids[0]).is_none());
}
