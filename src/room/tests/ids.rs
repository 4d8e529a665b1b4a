//! A message that is said again is no second one, whatever became of the first.

use super::*;
use crate::base::limits::{IDS_MS, USER_IDS_MAX};

fn few(user: &str, text: &str, id: &str) -> RoomOp {
    draft(channel_key("few:9", 3), user, text, Some(id), PublishMode::Post)
}

fn called_by_the_server(op: RoomOp) -> RoomOp {
    let RoomOp::Publish(mut publish) = op else { unreachable!() };
    publish.id_source = IdSource::Server;
    RoomOp::Publish(publish)
}

impl World {
    fn say(&mut self, user: &str, id: &str) -> u64 {
        posted(&self.ask(0, ROOM, few(user, id, id)))
    }

    /// The room is in memory no more.
    fn rest(&mut self) {
        self.pass(31_000);
        assert!(self.rooms.is_empty());
        // The store has its time, too.
        let mut replies = Vec::new();
        while self.store.turn(self.now.unix_ms, &mut replies) == TurnResult::Busy {}
        assert!(replies.is_empty());
    }

    fn durable(&mut self) -> Vec<u64> {
        let query = HistoryQuery { limit: 99, since: None, order: ReadOrder::OldestFirst };
        let page = HistoryPage {
            channel_key: Some(channel_key("few:9", 3)),
            query,
            reader: crate::base::UserHash::NOBODY,
        };
        match self.ask(0, ROOM, RoomOp::History(Box::new(page))) {
            RoomReply::History(all, _) => all.iter().map(|one| one.offset).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Whether the room remembers nothing.
    fn has_no_ids(&mut self) -> bool {
        assert!(matches!(self.durable()[..], [_, ..]), "it is in memory");
        !self.rooms.find(ROOM).unwrap().messages().memory().has_ids()
    }
}

#[test]
fn a_message_that_is_removed_is_not_said_a_second_time() {
    let mut world = World::new();
    for n in 1..=10 {
        assert_eq!(world.say("ann", &n.to_string()), n);
    }
    assert_eq!(world.durable(), [9, 10]);
    assert_eq!(world.say("ann", "1"), 1, "in memory");
    world.rest();
    assert_eq!(world.say("ann", "1"), 1, "after a rest");
    let mut world = world.restart(Crash::PowerCut);
    assert_eq!(world.say("ann", "1"), 1, "after a restart");
    assert_eq!(world.say("bob", "1"), 11, "and another user's is another");
    for _ in 0..7 {
        world.rest();
        assert_eq!(world.say("ann", "2"), 2);
    }
    assert!(world.durable().is_empty(), "for age, and the channel as well but for its ids");
    let mut world = world.restart(Crash::Killed);
    assert_eq!(world.say("ann", "10"), 10, "the answer is the same");
}

#[test]
fn five_minutes_are_counted_from_the_message_and_not_from_a_restart() {
    let mut world = World::new();
    assert_eq!(world.say("ann", "1"), 1);
    world.pass(200_000);
    assert_eq!(world.say("ann", "2"), 2);
    let mut world = world.restart(Crash::PowerCut);
    assert_eq!(world.say("ann", "1"), 1);
    world.pass(IDS_MS - 200_000 - 1);
    assert_eq!(world.say("ann", "1"), 1);
    world.pass(1);
    assert_eq!(world.say("ann", "1"), 3, "five minutes are over");
    assert_eq!(world.say("ann", "2"), 2);
}

#[test]
fn ids_that_the_server_made_are_not_remembered() {
    let mut world = World::new();
    for n in 1..=3 {
        let said = world.ask(0, ROOM, called_by_the_server(few("ann", "x", &n.to_string())));
        assert_eq!(posted(&said), n);
    }
    assert!(world.has_no_ids());
    world.rest();
    assert!(world.has_no_ids());
    let mut world = world.restart(Crash::PowerCut);
    assert!(world.has_no_ids());
}

#[test]
fn the_bound_of_a_user_holds_across_a_restart() {
    let mut world = World::new();
    for first in (0..USER_IDS_MAX).step_by(512) {
        for n in first..first + 512 {
            world.begin(HOME, 0, ROOM, few("ann", "x", &n.to_string()));
        }
        world.settle();
        world.out.events().clear();
        world.out.steps().clear();
    }
    let mut world = world.restart(Crash::PowerCut);
    check_refused(&world.ask(0, ROOM, few("ann", "x", "more")), ErrorCode::TooManyRequests);
    assert_eq!(world.say("ann", "0"), 1, "and nothing is forgotten");
    assert_eq!(world.say("bob", "0"), USER_IDS_MAX as u64 + 1, "others are not touched");
    world.pass(IDS_MS);
    assert_eq!(world.say("ann", "more"), USER_IDS_MAX as u64 + 2);
}

#[test]
fn a_message_that_was_refused_is_there_once_however_it_ended() {
    let mut world = World::new();
    assert_eq!(world.say("ann", "1"), 1);
    let mut world = world.restart(Crash::PowerCut);
    let fails = DiskFaultProfile { commit_fails_percent: 100, ..DiskFaultProfile::CALM };
    world.store.disk_mut().set_fault_profile(fails);
    check_refused(&world.ask(0, ROOM, few("ann", "2", "2")), ErrorCode::Internal);
    world.store.disk_mut().set_fault_profile(DiskFaultProfile::CALM);
    world.pass(20_000);
    // Whether it was kept all the same: there is one of it.
    let again = world.say("ann", "2");
    assert_eq!(world.say("ann", "2"), again);
    assert_eq!(world.durable(), (1..=again).collect::<Vec<_>>());
    assert_eq!(again, 2);
}
