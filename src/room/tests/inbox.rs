//! An acknowledgement covers all earlier messages of its conversation: none is sent before
//! those that wait.

use super::*;
use crate::store::{StoreError, StoreReply, StoreRequest, StoreResult};

/// Bob's next connection comes, and the store has not been asked yet what waits for him.
fn come_unread(world: &mut World, slot: u32) -> StoreRequest {
    world.asleep = true;
    let subscribe = subscribe(channel_key("@bob", 2), "bob", slot, None);
    let question = world.begin(HOME, slot, BOBS, subscribe);
    world.settle();
    assert!(matches!(world.answer(question), Some(RoomReply::Subscribed(_))));
    take_pending(world)
}

/// The request for what waits, which the store gets later.
fn take_pending(world: &mut World) -> StoreRequest {
    let requests = world.out.requests();
    let index = requests.iter().position(|one| matches!(one.op, StoreOp::Pending(_)));
    let request = requests.remove(index.expect("it is asked for"));
    world.asleep = false;
    request
}

/// The store's answer, which the room gets later.
fn read(world: &mut World, request: StoreRequest) -> StoreReply {
    world.settle();
    world.store.take(HOME, request);
    let mut replies = Vec::new();
    while world.store.turn(world.now.unix_ms, &mut replies) == TurnResult::Busy {}
    replies.pop().expect("it is answered").1
}

fn answer(world: &mut World, reply: StoreReply) {
    world.rooms.on_reply(world.now, reply, &mut world.out);
    world.settle();
}

fn say(world: &mut World, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        let text = number.to_string();
        world.begin(HOME, 4, TALK, send(&text, &text));
    }
    world.settle();
}

fn acknowledge(world: &mut World, offset: u64) {
    let position = MarkerPosition::Delivered(offset);
    world.begin(HOME, 5, TALK, marker_update("bob", BOBS, ANNS, position));
}

/// What Bob was sent since this was asked last.
fn sent(world: &mut World) -> Vec<u64> {
    world.said(BOBS).into_iter().map(|(_, text)| text.parse().unwrap()).collect()
}

#[test]
fn a_new_message_is_sent_after_those_that_wait() {
    let mut world = World::new();
    say(&mut world, 1..=2);
    let request = come_unread(&mut world, 5);
    say(&mut world, 3..=3);
    assert_eq!(sent(&mut world), [0; 0], "two wait before it");
    world.out.requests().push(request);
    world.settle();
    assert_eq!(sent(&mut world), [1, 2, 3], "once, though the store gives it, too");
    say(&mut world, 4..=4);
    assert_eq!(sent(&mut world), [4], "at once: nothing waits before it");
}

/// Its acknowledgement would cover what waits, too.
#[test]
fn what_one_says_oneself_is_sent_after_what_waits() {
    let mut world = World::new();
    say(&mut world, 1..=2);
    let request = come_unread(&mut world, 5);
    let mode = PublishMode::Send { from: BOBS, to: ANNS, ttl_ms: 0 };
    let own = draft(channel_key("dm#ann,bob", 1), "bob", "3", None, mode);
    world.begin(HOME, 6, TALK, own.clone());
    world.settle();
    assert_eq!(sent(&mut world), [0; 0]);
    world.out.requests().push(request);
    world.settle();
    assert_eq!(sent(&mut world), [1, 2, 3]);

    // Also while the rest of a long queue waits for an acknowledgement.
    let mut world = World::new();
    say(&mut world, 1..=200);
    let request = come_unread(&mut world, 5);
    world.out.requests().push(request);
    world.settle();
    let mut all = sent(&mut world);
    world.begin(HOME, 6, TALK, own);
    world.settle();
    acknowledge(&mut world, all.len() as u64);
    world.settle();
    all.extend(sent(&mut world));
    assert_eq!(all, (1..=200).chain([3]).collect::<Vec<_>>());
}

#[test]
fn a_message_that_the_store_was_asked_before_is_sent_after_its_answer() {
    for count in [1, 16, 17, 200] {
        let mut world = World::new();
        say(&mut world, 1..=2);
        let request = come_unread(&mut world, 5);
        let reply = read(&mut world, request);
        say(&mut world, 3..=2 + count);
        assert_eq!(sent(&mut world), [0; 0]);
        answer(&mut world, reply);
        let mut all = sent(&mut world);
        while let Some(&last) = all.last().filter(|last| **last < 2 + count) {
            acknowledge(&mut world, last);
            world.settle();
            let more = sent(&mut world);
            assert!(!more.is_empty(), "the rest comes with an acknowledgement");
            all.extend(more);
        }
        assert_eq!(all, (1..=2 + count).collect::<Vec<_>>());
    }
}

#[test]
fn what_comes_while_a_long_queue_is_sent_comes_at_its_end() {
    let mut world = World::new();
    say(&mut world, 1..=300);
    let request = come_unread(&mut world, 5);
    world.out.requests().push(request);
    world.settle();
    let mut all = sent(&mut world);
    assert!(all.len() < 300);
    say(&mut world, 301..=301);
    assert_eq!(sent(&mut world), [0; 0]);
    while all.len() < 301 {
        acknowledge(&mut world, all.len() as u64);
        world.settle();
        let more = sent(&mut world);
        assert!(!more.is_empty(), "the rest comes with an acknowledgement");
        all.extend(more);
    }
    assert_eq!(all, (1..=301).collect::<Vec<_>>());
}

#[test]
fn nothing_is_sent_before_what_the_store_could_not_give() {
    for failure in [StoreError::Crowded, StoreError::Broken] {
        let mut world = World::new();
        say(&mut world, 1..=2);
        let request = come_unread(&mut world, 5);
        say(&mut world, 3..=3);
        let outcome = StoreResult::Failed(failure);
        answer(&mut world, StoreReply { request_id: request.request_id, outcome });
        say(&mut world, 4..=4);
        assert_eq!(sent(&mut world), [0; 0]);
        world.pass(1_100);
        assert_eq!(sent(&mut world), [1, 2, 3, 4], "{failure:?}");
    }
}

#[test]
fn what_is_damaged_keeps_nothing_back() {
    let mut world = World::new();
    let request = come_unread(&mut world, 5);
    say(&mut world, 1..=1);
    let outcome = StoreResult::Failed(StoreError::Damaged);
    answer(&mut world, StoreReply { request_id: request.request_id, outcome });
    say(&mut world, 2..=2);
    assert_eq!(sent(&mut world), [1, 2]);
}

#[test]
fn who_comes_in_the_middle_of_a_long_queue_is_sent_it_from_its_beginning() {
    let mut world = World::new();
    say(&mut world, 1..=300);
    let request = come_unread(&mut world, 5);
    world.out.requests().push(request);
    world.settle();
    sent(&mut world);
    acknowledge(&mut world, 50);
    // The mark is written, and the rest of the queue asked for.
    step(&mut world);
    let room_requests = std::mem::take(world.out.room_requests());
    for request in room_requests {
        world.rooms.handle(world.now, HOME, request, &mut world.out);
    }
    let request = take_pending(&mut world);
    let reply = read(&mut world, request);
    come(&mut world, BOBS, "bob", 6);
    answer(&mut world, reply);
    let all = sent(&mut world);
    assert_eq!(all.first(), Some(&51), "{all:?}");
    assert!(all.is_sorted() && all.windows(2).all(|two| two[0] + 1 == two[1]), "{all:?}");
}

#[test]
fn an_answer_to_a_room_that_was_there_before_is_nobodys() {
    let mut world = World::new();
    let request = come_unread(&mut world, 5);
    let reply = read(&mut world, request);
    world.begin(HOME, 5, BOBS, RoomOp::Unsubscribe(LeaveReason::Disconnected));
    world.pass(1_000_000);
    assert!(world.rooms.find(BOBS).is_none());
    say(&mut world, 1..=1);
    let request = come_unread(&mut world, 6);
    answer(&mut world, reply);
    say(&mut world, 2..=2);
    assert_eq!(sent(&mut world), [0; 0]);
    world.out.requests().push(request);
    world.settle();
    assert_eq!(sent(&mut world), [1, 2]);
}

/// Bob has been sent both as often as that may be, and more is said meanwhile.
fn given_up(world: &mut World) {
    let tries = u64::from(world.options.namespaces[2].tries_max);
    say(world, 1..=2);
    for turn in 0..tries {
        let request = come_unread(world, 5);
        world.out.requests().push(request);
        world.settle();
        assert_eq!(sent(world), [1, 2], "attempt {turn}");
        world.ask(5, BOBS, RoomOp::Unsubscribe(LeaveReason::Disconnected));
    }
    say(world, 3..=3);
}

/// An acknowledgement of what comes after it would take it out of the store, without a trace.
#[test]
fn what_is_given_up_is_a_dead_letter_before_anything_else_is_sent() {
    let mut world = World::new();
    given_up(&mut world);
    let request = come_unread(&mut world, 5);
    let reply = read(&mut world, request);
    world.asleep = true;
    answer(&mut world, reply);
    assert_eq!(sent(&mut world), [0; 0]);
    let dead: Vec<u64> = world
        .out
        .requests()
        .iter()
        .filter_map(|one| match &one.op {
            StoreOp::DeadLetter(dead) => Some(dead.offset),
            _ => None,
        })
        .collect();
    assert_eq!(dead, [1, 2]);
    // The disk is full: it is tried again.
    for request in world.out.requests().drain(..).collect::<Vec<_>>() {
        let outcome = StoreResult::Failed(StoreError::Full);
        let request_id = request.request_id;
        world.rooms.on_reply(world.now, StoreReply { request_id, outcome }, &mut world.out);
    }
    world.asleep = false;
    say(&mut world, 4..=4);
    assert_eq!(sent(&mut world), [0; 0]);
    world.pass(1_200);
    world.settle();
    assert_eq!(sent(&mut world), [3, 4]);
}

#[test]
fn a_look_that_was_under_way_is_no_look_for_what_is_sent_behind_it() {
    let mut world = World::new();
    come(&mut world, BOBS, "bob", 5);
    say(&mut world, 1..=1);
    assert_eq!(sent(&mut world), [1]);
    acknowledge(&mut world, 1);
    world.settle();
    world.pass(9_900);
    let request = come_unread(&mut world, 6);
    let reply = read(&mut world, request);
    say(&mut world, 2..=2);
    // When the first message would have been overdue.
    world.pass(200);
    assert_eq!(sent(&mut world), [0; 0]);
    answer(&mut world, reply);
    assert_eq!(sent(&mut world), [2]);
    world.pass(10_100);
    assert_eq!(sent(&mut world), [2], "it was not acknowledged");
}

#[test]
fn what_waits_behind_a_dead_letter_does_not_keep_from_looking_before_it() {
    let mut world = World::new();
    let mode = PublishMode::Send { from: ANNS, to: BOBS, ttl_ms: 0 };
    let cats = draft(channel_key("dm#bob,cat", 1), "cat", "9", Some("9"), mode);
    world.ask(4, RoomId(20), cats);
    for _ in 0..world.options.namespaces[2].tries_max {
        come(&mut world, BOBS, "bob", 5);
        world.ask(5, BOBS, RoomOp::Unsubscribe(LeaveReason::Disconnected));
    }
    say(&mut world, 1..=1);
    world.out.events().clear();
    let request = come_unread(&mut world, 5);
    let reply = read(&mut world, request);
    world.asleep = true;
    answer(&mut world, reply);
    assert_eq!(sent(&mut world), [1]);
    // It is overdue, and the store has not said that the other one is a dead letter.
    world.pass(10_100);
    world.asleep = false;
    world.settle();
    assert_eq!(sent(&mut world), [0; 0]);
    world.pass(10_100);
    assert_eq!(sent(&mut world), [1]);
}
