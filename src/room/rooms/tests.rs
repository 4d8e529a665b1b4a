//! One room, asked by hand, with its messages in memory.

mod edits;
mod join_leave;

use bytes::Bytes;

use super::*;
use crate::base::{ClientId, ConnId, Csprng, Prng, SealPurpose, Trace, UserHash};
use crate::room::timing;
use crate::room::{
    ChangeAction, ChangeRequest, ChannelKey, HistoryPage, HistoryQuery, JoinLeaveScope,
    MembersPage, Namespace, PublishMode, RecoveryOutcome, ReplyTo, RetractRight, Subscribed,
    Unrecovered,
};
use crate::store::Durability;
use crate::wire::{ClientInfo, Epoch, Payload, Position, chat};

const ROOM: RoomId = RoomId(9);
const HOME: ShardId = ShardId(0);
const FAR: ShardId = ShardId(3);

/// One room of a namespace, asked by hand.
struct World {
    rooms: Rooms,
    now: Timestamps,
    out: RoomOutput,
}

impl World {
    fn new(rules: Namespace) -> World {
        let options = Options { namespaces: vec![rules], rooms_max: 2, ..Options::default() };
        let now = Timestamps::at(MonotonicMs(0), 1_000_000);
        World {
            rooms: Rooms::new(
                now,
                Arc::new(options),
                Csprng::from_key([1; 16]),
                SealKey::derive([1, 2], SealPurpose::SilentRoom),
            ),
            now,
            out: RoomOutput::default(),
        }
    }

    fn pass(&mut self, ms: u64) {
        let (tick, unix_ms) = (self.now.tick.plus_ms(ms), self.now.unix_ms + ms);
        self.now = Timestamps::at(tick, unix_ms);
        self.out = RoomOutput::default();
        self.rooms.tick(self.now, 100, &mut self.out);
    }

    /// The answer, and to which shards how many tells went besides.
    fn ask(&mut self, from: ShardId, slot: u32, op: RoomOp) -> (RoomReply, Vec<ShardId>) {
        self.out = RoomOutput::default();
        let reply_to =
            ReplyTo { conn: ConnId { slot, generation: 0 }, user: UserHash::NOBODY, id: 1 };
        self.rooms.handle(self.now, from, RoomRequest { room: ROOM, reply_to, op }, &mut self.out);
        let mut out = self.out.events().drain(..);
        let Some((to, RoomEvent::Reply(ROOM, to_asker, answer))) = out.next() else {
            panic!("the answer comes first");
        };
        assert_eq!((to, to_asker), (from, reply_to));
        (answer, out.map(|(shard, _)| shard).collect())
    }

    /// The answer; what went besides stays in `out`.
    fn claim(&mut self, from: ShardId, slot: u32, op: RoomOp) -> RoomReply {
        self.out = RoomOutput::default();
        let reply_to =
            ReplyTo { conn: ConnId { slot, generation: 0 }, user: UserHash::NOBODY, id: 0 };
        self.rooms.handle(self.now, from, RoomRequest { room: ROOM, reply_to, op }, &mut self.out);
        match self.out.events().remove(0).1 {
            RoomEvent::Reply(_, _, answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn subscribe(&mut self, from: ShardId, slot: u32, since: Option<Position>) -> Subscribed {
        let op = RoomOp::Subscribe(Box::new(RoomSubscribe { since, ..room_subscribe(slot) }));
        match self.ask(from, slot, op).0 {
            RoomReply::Subscribed(subscribed) => *subscribed,
            other => panic!("{other:?}"),
        }
    }

    fn publish(&mut self) -> (RoomReply, Vec<ShardId>) {
        self.ask(HOME, 0, RoomOp::Publish(Box::new(draft())))
    }

    /// Takes back as a moderator.
    fn retract(&mut self, offset: u64) -> (RoomReply, Vec<ShardId>) {
        let (data, tag) = chat::retraction(offset);
        let publish = RoomPublish { data, tags: vec![tag], mode: PublishMode::Post, ..draft() };
        let action = ChangeAction::Retract(RetractRight::Moderator);
        self.ask(HOME, 0, RoomOp::Change(Box::new(ChangeRequest { offset, action, publish })))
    }
}

fn draft() -> RoomPublish {
    let data = Payload { bytes: Bytes::from_static(b"1"), is_json: true };
    RoomPublish {
        channel_key: Some(channel_key()),
        data,
        info: None,
        chan_info: None,
        tags: Vec::new(),
        id_source: crate::room::IdSource::Server,
        mode: PublishMode::Publish,
        trace: Trace::made(&mut Csprng::from_key([1; 16])),
        timing: timing(),
    }
}

fn channel_key() -> ChannelKey {
    ChannelKey { tenant: "".into(), channel: "room:9".into(), namespace: 0 }
}

fn room_subscribe(slot: u32) -> RoomSubscribe {
    let client = ClientId(u128::from(slot));
    let info = Arc::new(ClientInfo { user: "ann".into(), client, conn_info: None });
    RoomSubscribe {
        channel_key: channel_key(),
        info,
        chan_info: None,
        since: None,
        unrecovered: Unrecovered::Admitted,
    }
}

fn chatty() -> Namespace {
    Namespace {
        history_count_max: 3,
        history_age_ms_max: 300_000,
        durability: Durability::Memory,
        presence: true,
        join_leave: true,
        members_max: 3,
        ..Namespace::default()
    }
}

#[test]
fn messages_go_once_to_each_shard_with_subscribers() {
    let mut world = World::new(chatty());
    world.subscribe(HOME, 1, None);
    world.subscribe(FAR, 1, None);
    world.subscribe(FAR, 2, None);
    assert_eq!(world.publish().1, [HOME, FAR]);
    let (full, _) = world.ask(HOME, 4, RoomOp::Subscribe(Box::new(room_subscribe(4))));
    assert!(matches!(full, RoomReply::SubscribeRejected(ErrorCode::LimitExceeded)));
}

#[test]
fn who_comes_back_gets_all_or_is_told() {
    let mut world = World::new(chatty());
    let start = world.subscribe(HOME, 1, None).position;
    assert_eq!(start.map(|position| position.offset), Some(0));
    world.publish();
    world.publish();
    let subscribed = world.subscribe(FAR, 2, start);
    assert_eq!((subscribed.recovery, subscribed.missed.len()), (RecoveryOutcome::Whole, 2));
    world.publish();
    world.publish();
    let subscribed = world.subscribe(FAR, 3, start);
    assert_eq!((subscribed.recovery, subscribed.missed.len()), (RecoveryOutcome::Lost, 0));
}

#[test]
fn a_retraction_in_memory_has_a_place_behind_all_others() {
    let mut world = World::new(chatty());
    let start = world.subscribe(FAR, 1, None).position;
    world.publish();
    world.publish();
    for told in [2, 0] {
        let (answer, tells) = world.retract(1);
        assert!(matches!(answer, RoomReply::Done), "{answer:?}");
        assert_eq!(tells, vec![FAR; told], "a message and a notice, once");
    }
    assert!(
        matches!(world.retract(3).0, RoomReply::InvalidField(_)),
        "that one says what happened"
    );
    assert!(matches!(world.retract(4).0, RoomReply::InvalidField(_)), "nobody said that");
    let missed = world.subscribe(HOME, 2, start).missed;
    let told: Vec<_> = missed
        .iter()
        .map(|one| (one.offset, chat::is_remainder(one), chat::retracted_offset(one)))
        .collect();
    assert_eq!(told, [(1, true, None), (2, false, None), (3, false, Some(1))]);
}

#[test]
fn leaving_is_told_after_the_grace_and_saying_so_at_once() {
    let mut world = World::new(chatty());
    world.subscribe(HOME, 1, None);
    let joined = world.ask(FAR, 2, RoomOp::Subscribe(Box::new(room_subscribe(2)))).1;
    assert_eq!(joined, [HOME, FAR]);
    let lost = world.ask(FAR, 2, RoomOp::Unsubscribe(LeaveReason::Disconnected)).1;
    assert!(lost.is_empty());
    world.pass(500);
    assert!(world.out.events().is_empty());
    world.pass(700);
    assert!(matches!(world.out.events()[..], [(HOME, RoomEvent::Left(..))]));
    world.subscribe(FAR, 3, None);
    let said = world.ask(FAR, 3, RoomOp::Unsubscribe(LeaveReason::Unsubscribed)).1;
    assert_eq!(said, [HOME]);
}

#[test]
fn an_absence_is_not_cut_short_by_an_earlier_one() {
    let mut world = World::new(chatty());
    world.subscribe(HOME, 1, None);
    world.subscribe(FAR, 2, None);
    world.ask(FAR, 2, RoomOp::Unsubscribe(LeaveReason::Disconnected));
    world.pass(500);
    world.subscribe(FAR, 2, None);
    world.ask(FAR, 2, RoomOp::Unsubscribe(LeaveReason::Disconnected));
    world.pass(900);
    assert!(
        world.out.events().is_empty(),
        "the grace of the first is over, that of the second is not"
    );
    world.pass(200);
    assert!(matches!(world.out.events()[..], [(HOME, RoomEvent::Left(..))]));
}

#[test]
fn a_stream_outlives_its_members_by_the_age_of_messages() {
    let mut world = World::new(chatty());
    world.subscribe(HOME, 1, None);
    world.publish();
    let seen = world.subscribe(HOME, 3, None).position;
    world.ask(HOME, 3, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    world.ask(HOME, 1, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    world.pass(299_000);
    assert_eq!(world.subscribe(HOME, 2, seen).recovery, RecoveryOutcome::Whole);
    world.ask(HOME, 2, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    world.pass(301_000);
    world.pass(301_000);
    assert!(world.rooms.is_empty());
    assert_eq!(world.subscribe(HOME, 3, seen).recovery, RecoveryOutcome::Lost);
}

/// Who leaves, and what it gets when it comes back that much later. Nothing is kept of
/// the room meanwhile, unless somebody speaks.
#[track_caller]
fn check_silence(away_ms: u64, says: &[u64], want: Option<usize>) {
    let mut world = World::new(chatty());
    let start = world.subscribe(HOME, 1, None).position;
    world.ask(HOME, 1, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    assert!(world.rooms.is_empty(), "nothing was said, so nothing is kept");
    let mut passed_ms = 0;
    for &at_ms in says {
        world.pass(at_ms - passed_ms);
        passed_ms = at_ms;
        world.publish();
    }
    world.pass(away_ms - passed_ms);
    let subscribed = world.subscribe(FAR, 2, start);
    let missed = (subscribed.recovery == RecoveryOutcome::Whole).then_some(subscribed.missed.len());
    assert_eq!(missed, want, "away for {away_ms}, said at {says:?}");
}

#[test]
fn a_position_in_silence_is_kept_as_long_as_messages() {
    check_silence(0, &[], Some(0));
    check_silence(299_000, &[], Some(0));
    check_silence(301_000, &[], None);
    check_silence(60_000, &[40_000], Some(1));
    check_silence(60_000, &[0, 1, 2], Some(3));
    check_silence(60_000, &[0, 1, 2, 3], None); // the first is gone
    check_silence(400_000, &[299_999], Some(1));
    check_silence(400_000, &[300_001], None);
    // Another stream was said, and forgotten, before this one.
    check_silence(1_000_000, &[0, 999_000], None);
}

#[test]
fn who_was_there_when_a_stream_began_recovers_with_the_epoch_of_silence() {
    let rules = Namespace { history_count_max: 9, members_max: 9, ..chatty() };
    let mut world = World::new(rules);
    let start = world.subscribe(HOME, 1, None).position.unwrap();
    for _ in 0..4 {
        world.pass(250_000);
        world.publish();
    }
    // Its client saw two of them, and knows no other epoch.
    let seen = |offset| Some(Position { offset, ..start });
    let recovers = |world: &mut World, slot, offset| {
        let subscribed = world.subscribe(FAR, slot, seen(offset));
        (subscribed.recovery == RecoveryOutcome::Whole).then_some(subscribed.missed.len())
    };
    assert_eq!(recovers(&mut world, 2, 3), Some(1));
    assert_eq!(recovers(&mut world, 3, 4), Some(0));
    world.ask(FAR, 3, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    assert_eq!(recovers(&mut world, 4, 5), None, "ahead of the head");
    assert_eq!(recovers(&mut world, 5, 1), None, "some of it is too old");
    let page = |since| HistoryPage {
        channel_key: Some(channel_key()),
        query: HistoryQuery { limit: 9, since, order: crate::store::ReadOrder::OldestFirst },
        reader: crate::base::UserHash::NOBODY,
    };
    let history = world.ask(HOME, 1, RoomOp::History(Box::new(page(seen(3))))).0;
    let RoomReply::History(all, position) = history else { panic!("{history:?}") };
    assert_eq!((all.len(), position.epoch.is_stream()), (1, true));
}

#[test]
fn history_of_a_room_that_is_not_there_is_silent_and_knows_its_positions() {
    let mut world = World::new(chatty());
    let request = |world: &mut World, since| {
        let query = HistoryQuery { limit: 9, since, order: crate::store::ReadOrder::OldestFirst };
        let page = HistoryPage {
            channel_key: Some(channel_key()),
            query,
            reader: crate::base::UserHash::NOBODY,
        };
        world.ask(HOME, 1, RoomOp::History(Box::new(page))).0
    };
    let RoomReply::History(none, position) = request(&mut world, None) else { panic!("nothing") };
    assert!(none.is_empty() && world.rooms.is_empty());
    let beyond = Position { offset: 1, ..position };
    let any = Position { offset: 1, epoch: Epoch::ANY };
    let check = |world: &mut World| {
        for since in [position, beyond, any] {
            let answer = request(world, Some(since));
            let RoomReply::History(none, told) = answer else { panic!("{since:?} {answer:?}") };
            assert_eq!((none.len(), told.offset), (0, 0), "as behind the end of any stream");
        }
        let answer = request(world, Some(Position { epoch: Epoch(7), ..position }));
        let code = ErrorCode::UnrecoverablePosition;
        assert!(matches!(answer, RoomReply::Rejected(told) if told == code), "{answer:?}");
    };
    check(&mut world);
    // The same where somebody is there, and who was further than anything said does not recover.
    for since in [beyond, any] {
        let subscribed = world.subscribe(FAR, 2, Some(since));
        assert_eq!((subscribed.recovery, subscribed.missed.len()), (RecoveryOutcome::Lost, 0));
        world.ask(FAR, 2, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    }
    world.subscribe(HOME, 1, None);
    check(&mut world);
}

#[test]
fn rooms_that_were_only_visited_leave_nothing() {
    let rules = Namespace { presence: false, join_leave: false, ..chatty() };
    let mut world = World::new(rules);
    for number in 0..1_000u128 {
        let reply_to =
            ReplyTo { conn: ConnId { slot: 1, generation: 0 }, user: UserHash::NOBODY, id: 1 };
        for op in [
            RoomOp::Subscribe(Box::new(room_subscribe(1))),
            RoomOp::Unsubscribe(LeaveReason::Disconnected),
        ] {
            let room = RoomId(number);
            world.rooms.handle(world.now, HOME, RoomRequest { room, reply_to, op }, &mut world.out);
        }
    }
    assert!(
        world.out.events().iter().all(|(_, tell)| !matches!(
            tell,
            RoomEvent::Reply(_, _, RoomReply::SubscribeRejected(_))
        ))
    );
    assert!(world.rooms.is_empty() && world.rooms.next_wake().is_none());
}

#[test]
fn rooms_without_history_go_with_the_last_member() {
    let mut world = World::new(Namespace::default());
    world.subscribe(HOME, 1, None);
    assert_eq!(world.publish().1, [HOME]);
    world.ask(HOME, 1, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
    assert!(world.rooms.is_empty());
    world.publish();
    assert!(world.rooms.is_empty());
}

#[test]
fn the_number_of_rooms_and_the_rate_are_limited() {
    let mut world = World::new(Namespace { publish_per_s_max: 1, ..chatty() });
    assert!(matches!(world.publish().0, RoomReply::Published(_)));
    assert!(matches!(world.publish().0, RoomReply::Rejected(ErrorCode::TooManyRequests)));
    world.pass(1_000);
    assert!(matches!(world.publish().0, RoomReply::Published(_)));
    for (room, fits) in [(RoomId(1), true), (RoomId(2), false)] {
        let reply_to =
            ReplyTo { conn: ConnId { slot: 0, generation: 0 }, user: UserHash::NOBODY, id: 1 };
        let request =
            RoomRequest { room, reply_to, op: RoomOp::Subscribe(Box::new(room_subscribe(0))) };
        world.out = RoomOutput::default();
        world.rooms.handle(world.now, HOME, request, &mut world.out);
        let refused = matches!(
            world.out.events()[0].1,
            RoomEvent::Reply(_, _, RoomReply::SubscribeRejected(_))
        );
        assert_eq!(refused, !fits);
    }
}

#[test]
fn the_newest_connection_of_a_user_wins() {
    let mut world = World::new(chatty());
    let replaced = |world: &mut World| match world.out.events()[..] {
        [] => None,
        [(shard, RoomEvent::Replaced(conn))] => Some((shard, conn.slot)),
        ref other => panic!("{other:?}"),
    };
    for (shard, slot, old) in
        [(HOME, 1, None), (FAR, 2, Some((HOME, 1))), (FAR, 2, None), (HOME, 3, Some((FAR, 2)))]
    {
        assert!(matches!(world.claim(shard, slot, RoomOp::Claim), RoomReply::Done));
        assert_eq!(replaced(&mut world), old);
    }
    world.claim(FAR, 2, RoomOp::Release);
    world.claim(FAR, 4, RoomOp::Claim);
    assert_eq!(replaced(&mut world), Some((HOME, 3)), "who was replaced releases nothing");
    world.claim(FAR, 4, RoomOp::Release);
    assert!(world.rooms.sessions.is_empty());
}

#[test]
fn typing_is_told_once_a_second_a_user() {
    let mut world = World::new(chatty());
    world.subscribe(HOME, 1, None);
    let types = |world: &mut World, user: &str, client: u128| {
        let (user, client) = (user.into(), ClientId(client));
        let info = Arc::new(ClientInfo { user, client, conn_info: None });
        world.ask(HOME, 1, RoomOp::Typing(info)).1 == [HOME]
    };
    assert!(types(&mut world, "ann", 1));
    assert!(!types(&mut world, "ann", 1) && !types(&mut world, "ann", 2), "on both devices");
    assert!(types(&mut world, "bob", 3));
    assert!(types(&mut world, "", 4) && types(&mut world, "", 5), "nobody is not one user");
    assert!(!types(&mut world, "", 4));
    world.pass(1_000);
    assert!(types(&mut world, "ann", 2));
}
