//! Rooms whose messages are on disk: one shard's rooms over the store's engine and
//! a disk that a seed decides.

mod direct;
mod durability;
mod edits;
mod fairness;
mod groups;
mod ids;
mod inbox;
mod own_writes;
mod reactions;
mod recovery;
mod removals;
mod retractions;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::base::{
    ClientId, ConnId, Csprng, MonotonicMs, RoomId, SealKey, SealPurpose, ShardId, Timestamps,
    Trace, UserHash,
};
use crate::room::timing;
use crate::store::{
    Crash, DiskFaultProfile, Durability, Engine, EngineSetup, MarkerPosition,
    Options as StoreOptions, ReadOrder, Retention, SimulatedDisk, StoreOp, TurnResult,
};
use crate::wire::chat::{self, Field};
use crate::wire::{ClientInfo, Epoch, ErrorCode, ID_TAG, Payload, Position, Publication};

const HOME: ShardId = ShardId(0);
const FAR: ShardId = ShardId(3);
const ROOM: RoomId = RoomId(9);
const TALK: RoomId = RoomId(10);
const ANNS: RoomId = RoomId(11);
const BOBS: RoomId = RoomId(12);

fn silent_key() -> SealKey {
    SealKey::derive([1, 2], SealPurpose::SilentRoom)
}

/// The rooms of a shard, the store behind them, and all that was said.
struct World {
    rooms: Rooms,
    options: Arc<Options>,
    store: Engine<SimulatedDisk>,
    now: Timestamps,
    out: RoomOutput,
    next_id: u32,
    /// Whether the store gets what it is asked.
    asleep: bool,
}

fn namespaces() -> Vec<Namespace> {
    let durable = |name: &str| Namespace {
        name: name.to_owned(),
        history_count_max: 1_000,
        history_age_ms_max: 1_000_000_000,
        durability: Durability::Fsync,
        window_count_max: 4,
        recover_count_max: 600,
        presence: true,
        ack_wait_ms: 10_000,
        tries_max: 3,
        ttl_ms_max: 1_000_000,
        ..Namespace::default()
    };
    let few = Namespace { history_count_max: 2, history_age_ms_max: 60_000, ..durable("few") };
    let memory = Namespace { durability: Durability::Memory, ..few.clone() };
    let memory = Namespace { name: "memory".to_owned(), history_count_max: 20, ..memory };
    vec![
        durable("room"),
        durable("dm"),
        Namespace { history_count_max: 0, ..durable("@") },
        few,
        memory,
        Namespace { groups: GroupEntry::Open, subscribe: Permission::Users, ..durable("group") },
        Namespace { groups: GroupEntry::Invited, subscribe: Permission::Users, ..durable("club") },
    ]
}

fn engine(disk: SimulatedDisk, options: &Options) -> Engine<SimulatedDisk> {
    engine_with(disk, options, 0)
}

fn engine_with(
    disk: SimulatedDisk,
    options: &Options,
    reserve_bytes: u64,
) -> Engine<SimulatedDisk> {
    let retention = |one: &Namespace| Retention {
        durability: one.durability,
        count_max: one.history_count_max,
        bytes_max: u64::MAX,
        age_ms_max: one.history_age_ms_max,
        channel_ms_max: 2 * one.history_age_ms_max,
        has_rosters: one.is_group(),
    };
    let setup = EngineSetup {
        options: StoreOptions { reserve_bytes, ..StoreOptions::default() },
        retention: options.namespaces.iter().map(retention).collect(),
        namespace_of: Box::new(|channel| match channel {
            _ if channel.starts_with("few") => 3,
            _ if channel.starts_with("dm") => 1,
            _ if channel.starts_with("group") => 5,
            _ if channel.starts_with("club") => 6,
            _ => 0,
        }),
        new_name_key: [1; 16],
    };
    Engine::open(disk, setup).unwrap()
}

impl World {
    fn new() -> World {
        let options = Arc::new(Options {
            namespaces: namespaces(),
            rooms_max: 100,
            has_presence_feed: true,
            ..Options::default()
        });
        let now = Timestamps::at(MonotonicMs(5_000), 1_000_000_000);
        World {
            rooms: Rooms::new(now, Arc::clone(&options), Csprng::from_key([1; 16]), silent_key()),
            store: engine(SimulatedDisk::new(1, DiskFaultProfile::CALM), &options),
            options,
            now,
            out: RoomOutput::default(),
            next_id: 0,
            asleep: false,
        }
    }

    /// The process ends and another begins over the same disk.
    fn restart(self, crash: Crash) -> World {
        let World { rooms: _, options, store, now, .. } = self;
        let mut disk = store.into_disk();
        disk.crash(crash);
        let store = engine(disk, &options);
        let rooms = Rooms::new(now, Arc::clone(&options), Csprng::from_key([2; 16]), silent_key());
        World { rooms, options, store, now, out: RoomOutput::default(), next_id: 0, asleep: false }
    }

    /// Lets the store and other rooms answer until nothing is under way.
    fn settle(&mut self) {
        loop {
            let room_requests = std::mem::take(self.out.room_requests());
            let requests = std::mem::take(self.out.requests());
            if room_requests.is_empty() && (requests.is_empty() || self.asleep) {
                *self.out.requests() = requests;
                return;
            }
            for request in room_requests {
                self.rooms.handle(self.now, HOME, request, &mut self.out);
            }
            requests.into_iter().for_each(|request| self.store.take(HOME, request));
            let mut replies = Vec::new();
            while self.store.turn(self.now.unix_ms, &mut replies) == TurnResult::Busy {}
            for (_, reply) in replies {
                self.rooms.on_reply(self.now, reply, &mut self.out);
            }
        }
    }

    /// Asks without waiting for what follows. Returns the question's number.
    fn begin(&mut self, from: ShardId, slot: u32, room: RoomId, op: RoomOp) -> u32 {
        self.begin_as(UserHash::NOBODY, from, slot, room, op)
    }

    /// The same, for a user's connection.
    fn begin_as(
        &mut self,
        user: UserHash,
        from: ShardId,
        slot: u32,
        room: RoomId,
        op: RoomOp,
    ) -> u32 {
        self.next_id += 1;
        let reply_to = ReplyTo { user, id: self.next_id, ..connection(slot) };
        self.rooms.handle(self.now, from, RoomRequest { room, reply_to, op }, &mut self.out);
        self.next_id
    }

    /// The answer to a question, if it came.
    fn answer(&mut self, id: u32) -> Option<RoomReply> {
        let is_it = |tell: &RoomEvent| matches!(tell, RoomEvent::Reply(_, reply_to, _) if reply_to.id == id);
        let place = self.out.events().iter().position(|(_, tell)| is_it(tell))?;
        match self.out.events().remove(place).1 {
            RoomEvent::Reply(_, _, answer) => Some(answer),
            _ => None,
        }
    }

    fn ask(&mut self, slot: u32, room: RoomId, op: RoomOp) -> RoomReply {
        self.out.events().clear();
        let id = self.begin(HOME, slot, room, op);
        self.settle();
        self.answer(id).expect("every question is answered")
    }

    fn subscribe(&mut self, slot: u32, since: Option<Position>) -> Subscribed {
        match self.ask(slot, ROOM, subscribe(channel_key("room:9", 0), "ann", slot, since)) {
            RoomReply::Subscribed(subscribed) => *subscribed,
            other => panic!("{other:?}"),
        }
    }

    fn publish(&mut self, text: &str) -> RoomReply {
        self.ask(0, ROOM, publish(text, None))
    }

    fn history(&mut self, query: HistoryQuery) -> Vec<u64> {
        let page = HistoryPage {
            channel_key: Some(channel_key("room:9", 0)),
            query,
            reader: crate::base::UserHash::NOBODY,
        };
        match self.ask(0, ROOM, RoomOp::History(Box::new(page))) {
            RoomReply::History(all, _) => all.iter().map(|one| one.offset).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn pass(&mut self, ms: u64) {
        let (tick, unix_ms) = (self.now.tick.plus_ms(ms), self.now.unix_ms + ms);
        self.now = Timestamps::at(tick, unix_ms);
        self.rooms.tick(self.now, 100, &mut self.out);
        self.settle();
    }

    /// What subscribers were told since this was asked last: offset and data.
    fn said(&mut self, room: RoomId) -> Vec<(u64, String)> {
        let told = std::mem::take(self.out.events());
        let said = told.into_iter().filter_map(|(_, tell)| match tell {
            RoomEvent::Published(to, publication, _) if to == room => Some(shown(&publication)),
            _ => None,
        });
        said.collect()
    }

    /// The notices for a room since this was asked last.
    fn notices(&mut self, room: RoomId) -> Vec<String> {
        let told = std::mem::take(self.out.events());
        let notices = told.into_iter().filter_map(|(_, tell)| match tell {
            RoomEvent::Notice(to, data) if to == room => {
                Some(String::from_utf8(data.bytes.to_vec()).unwrap())
            }
            _ => None,
        });
        notices.collect()
    }
}

fn shown(publication: &Publication) -> (u64, String) {
    let text = String::from_utf8(publication.data.bytes.to_vec()).unwrap();
    (publication.offset, text)
}

/// Nobody's connection.
fn connection(slot: u32) -> ReplyTo {
    ReplyTo { conn: ConnId { slot, generation: 0 }, ..ReplyTo::NOBODY }
}

fn channel_key(channel: &str, namespace: u16) -> ChannelKey {
    ChannelKey { tenant: "".into(), channel: channel.into(), namespace }
}

fn info(user: &str, client: u32) -> Arc<ClientInfo> {
    let client = ClientId(u128::from(client));
    Arc::new(ClientInfo { user: user.into(), client, conn_info: None })
}

fn subscribe(channel_key: ChannelKey, user: &str, slot: u32, since: Option<Position>) -> RoomOp {
    RoomOp::Subscribe(Box::new(RoomSubscribe {
        channel_key,
        info: info(user, slot),
        chan_info: None,
        since,
        unrecovered: Unrecovered::Admitted,
    }))
}

fn draft(
    channel_key: ChannelKey,
    user: &str,
    text: &str,
    id: Option<&str>,
    mode: PublishMode,
) -> RoomOp {
    RoomOp::Publish(Box::new(RoomPublish {
        channel_key: Some(channel_key),
        data: Payload { bytes: Bytes::from(text.to_owned()), is_json: true },
        info: Some(info(user, 0)),
        chan_info: None,
        tags: id.map(|id| (ID_TAG.into(), id.into())).into_iter().collect(),
        id_source: IdSource::Client,
        mode,
        trace: Trace::made(&mut Csprng::from_key([1; 16])),
        timing: timing(),
    }))
}

fn publish(text: &str, id: Option<&str>) -> RoomOp {
    let mode = if id.is_some() { PublishMode::Post } else { PublishMode::Publish };
    draft(channel_key("room:9", 0), "ann", text, id, mode)
}

/// From ann to bob.
fn send(text: &str, id: &str) -> RoomOp {
    let mode = PublishMode::Send { from: ANNS, to: BOBS, ttl_ms: 0 };
    draft(channel_key("dm#ann,bob", 1), "ann", text, Some(id), mode)
}

fn posted(answer: &RoomReply) -> u64 {
    match answer {
        RoomReply::Posted(posted) => posted.position.offset,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_refused(answer: &RoomReply, code: ErrorCode) {
    assert!(matches!(answer, RoomReply::Rejected(other) if *other == code), "{answer:?}");
}

fn come(world: &mut World, inbox: RoomId, user: &str, slot: u32) {
    let channel_key = channel_key(&format!("@{user}"), 2);
    let answer = world.ask(slot, inbox, subscribe(channel_key, user, slot, None));
    assert!(matches!(answer, RoomReply::Subscribed(_)), "{answer:?}");
}

fn marker_update(user: &str, inbox: RoomId, other: RoomId, position: MarkerPosition) -> RoomOp {
    RoomOp::AdvanceMarker(Box::new(ReadMarkerUpdate {
        channel_key: Some(channel_key("dm#ann,bob", 1)),
        info: info(user, 0),
        inbox,
        position,
        other: Some(other),
    }))
}

/// The store answers what it was asked, and nothing more.
fn step(world: &mut World) {
    let mut replies = Vec::new();
    for request in std::mem::take(world.out.requests()) {
        world.store.take(HOME, request);
    }
    while world.store.turn(world.now.unix_ms, &mut replies) == TurnResult::Busy {}
    for (_, reply) in replies {
        world.rooms.on_reply(world.now, reply, &mut world.out);
    }
}

/// That a message is taken back.
fn retract(offset: u64, user: &str, right: RetractRight) -> RoomOp {
    let text = format!(r#"{{"retracted":{offset}}}"#);
    let publish = draft(channel_key("room:9", 0), user, &text, None, PublishMode::Post);
    retraction(publish, offset, right)
}

fn retraction(publish: RoomOp, offset: u64, right: RetractRight) -> RoomOp {
    let RoomOp::Publish(publish) = publish else { unreachable!() };
    let (id_source, tags) = (IdSource::Server, vec![chat::retraction(offset).1]);
    let publish = RoomPublish { tags, id_source, ..*publish };
    RoomOp::Change(Box::new(ChangeRequest {
        offset,
        action: ChangeAction::Retract(right),
        publish,
    }))
}

/// With new words, and an id if the author wants to be able to repeat it.
fn edit(offset: u64, user: &str, words: &str, id: Option<&str>) -> RoomOp {
    edit_in(draft(channel_key("room:9", 0), user, words, id, PublishMode::Post), offset)
}

fn edit_in(publish: RoomOp, offset: u64) -> RoomOp {
    let RoomOp::Publish(publish) = publish else { unreachable!() };
    RoomOp::Change(Box::new(ChangeRequest {
        offset,
        action: ChangeAction::Edit,
        publish: *publish,
    }))
}

#[test]
fn a_position_in_a_silent_room_outlives_rest_and_restart() {
    for crash in [None, Some(Crash::Killed), Some(Crash::PowerCut)] {
        let mut world = World::new();
        let start = world.subscribe(1, None).position;
        assert_eq!(world.subscribe(2, start).recovery, RecoveryOutcome::Whole, "while it is there");
        for slot in [1, 2] {
            world.ask(slot, ROOM, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
        }
        world.pass(1_000);
        assert!(world.rooms.is_empty(), "nothing was said, so nothing is kept");
        if let Some(crash) = crash {
            world = world.restart(crash);
        }
        world.pass(40_000);
        let subscribed = world.subscribe(1, start);
        assert_eq!((subscribed.recovery, subscribed.missed.len()), (RecoveryOutcome::Whole, 0));
        world.publish("1");
        if let Some(crash) = crash {
            world = world.restart(crash);
        }
        let subscribed = world.subscribe(3, start);
        assert_eq!(
            (subscribed.recovery, subscribed.missed.len()),
            (RecoveryOutcome::Whole, 1),
            "{crash:?}"
        );
        let head = start.map(|start| Position { offset: 1, ..start });
        assert_eq!(
            world.subscribe(4, head).recovery,
            RecoveryOutcome::Whole,
            "it saw the first one"
        );
        let other = start.map(|start| Position { epoch: Epoch(start.epoch.0 ^ 1), ..start });
        assert_eq!(world.subscribe(5, other).recovery, RecoveryOutcome::Lost, "forged");
    }
}

#[test]
fn a_position_is_good_that_was_given_while_the_first_message_was_on_its_way() {
    let mut world = World::new();
    world.subscribe(1, None);
    world.asleep = true;
    world.begin(HOME, 1, ROOM, publish("1", None));
    let (tick, unix_ms) = (world.now.tick.plus_ms(500), world.now.unix_ms + 500);
    world.now = Timestamps::at(tick, unix_ms);
    let start = world.subscribe(2, None).position;
    assert_eq!(start.map(|start| start.offset), Some(0));
    world.asleep = false;
    world.settle();
    let subscribed = world.subscribe(3, start);
    assert_eq!((subscribed.recovery, subscribed.missed.len()), (RecoveryOutcome::Whole, 1));
}

#[test]
fn a_position_in_silence_is_good_in_its_own_room_only() {
    let mut world = World::new();
    let start = world.subscribe(1, None).position;
    let elsewhere = subscribe(channel_key("room:10", 0), "ann", 1, start);
    let answer = world.ask(1, RoomId(77), elsewhere);
    let RoomReply::Subscribed(subscribed) = answer else { panic!("{answer:?}") };
    assert_eq!(subscribed.recovery, RecoveryOutcome::Lost);
}
