//! Rooms whose messages are on disk: one shard's rooms over the store's engine and
//! a disk that a seed decides.

mod fairness;
mod ids;
mod own_writes;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::base::{
    ClientId, ConnId, Csprng, Now, RoomId, SealKey, SealPurpose, ShardId, Tick, Trace, UserHash,
};
use crate::room::way;
use crate::store::{
    Crash, DiskWeather, Durability, Engine, Job, Options as StoreOptions, Reached, Retention,
    Setup, SimulatedDisk, Turned,
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
    now: Now,
    out: Out,
    next_id: u32,
    /// Whether the store gets what it is asked.
    asleep: bool,
}

fn namespaces() -> Vec<Namespace> {
    let kept = |name: &str| Namespace {
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
    let few = Namespace { history_count_max: 2, history_age_ms_max: 60_000, ..kept("few") };
    vec![kept("room"), kept("dm"), Namespace { history_count_max: 0, ..kept("@") }, few]
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
    };
    let setup = Setup {
        options: StoreOptions { reserve_bytes, ..StoreOptions::default() },
        retention: options.namespaces.iter().map(retention).collect(),
        namespace_of: Box::new(|channel| match channel {
            _ if channel.starts_with("few") => 3,
            _ if channel.starts_with("dm") => 1,
            _ => 0,
        }),
        new_name_key: [1; 16],
    };
    Engine::open(disk, setup).unwrap()
}

impl World {
    fn new() -> World {
        let options =
            Arc::new(Options { namespaces: namespaces(), rooms_max: 100, ..Options::default() });
        let now = Now::at(Tick(5_000), 1_000_000_000);
        World {
            rooms: Rooms::new(now, Arc::clone(&options), Csprng::from_key([1; 16]), silent_key()),
            store: engine(SimulatedDisk::new(1, DiskWeather::CALM), &options),
            options,
            now,
            out: Out::default(),
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
        World { rooms, options, store, now, out: Out::default(), next_id: 0, asleep: false }
    }

    /// Lets the store and other rooms answer until nothing is under way.
    fn settle(&mut self) {
        loop {
            let asks = std::mem::take(&mut self.out.asks);
            let requests = std::mem::take(&mut self.out.requests);
            if asks.is_empty() && (requests.is_empty() || self.asleep) {
                self.out.requests = requests;
                return;
            }
            for ask in asks {
                self.rooms.handle(self.now, HOME, ask, &mut self.out);
            }
            requests.into_iter().for_each(|request| self.store.take(HOME, request));
            let mut replies = Vec::new();
            while self.store.turn(self.now.unix_ms, &mut replies) == Turned::Busy {}
            for (_, reply) in replies {
                self.rooms.on_reply(self.now, reply, &mut self.out);
            }
        }
    }

    /// Asks without waiting for what follows. Returns the question's number.
    fn begin(&mut self, from: ShardId, slot: u32, room: RoomId, what: What) -> u32 {
        self.begin_as(UserHash::NOBODY, from, slot, room, what)
    }

    /// The same, for a user's connection.
    fn begin_as(
        &mut self,
        user: UserHash,
        from: ShardId,
        slot: u32,
        room: RoomId,
        what: What,
    ) -> u32 {
        self.next_id += 1;
        let asker = Asker { user, id: self.next_id, ..connection(slot) };
        self.rooms.handle(self.now, from, Ask { room, asker, what }, &mut self.out);
        self.next_id
    }

    /// The answer to a question, if it came.
    fn answer(&mut self, id: u32) -> Option<Answer> {
        let is_it = |tell: &Tell| matches!(tell, Tell::Answer(_, asker, _) if asker.id == id);
        let place = self.out.told.iter().position(|(_, tell)| is_it(tell))?;
        match self.out.told.remove(place).1 {
            Tell::Answer(_, _, answer) => Some(answer),
            _ => None,
        }
    }

    fn ask(&mut self, slot: u32, room: RoomId, what: What) -> Answer {
        self.out.told.clear();
        let id = self.begin(HOME, slot, room, what);
        self.settle();
        self.answer(id).expect("every question is answered")
    }

    fn subscribe(&mut self, slot: u32, since: Option<Position>) -> Welcome {
        match self.ask(slot, ROOM, subscribe(title("room:9", 0), "ann", slot, since)) {
            Answer::Subscribed(welcome) => *welcome,
            other => panic!("{other:?}"),
        }
    }

    fn publish(&mut self, text: &str) -> Answer {
        self.ask(0, ROOM, publish(text, None))
    }

    fn history(&mut self, passage: Passage) -> Vec<u64> {
        let page = HistoryPage { title: Some(title("room:9", 0)), passage };
        match self.ask(0, ROOM, What::History(Box::new(page))) {
            Answer::History(all, _) => all.iter().map(|one| one.offset).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn pass(&mut self, ms: u64) {
        let (tick, unix_ms) = (self.now.tick.plus_ms(ms), self.now.unix_ms + ms);
        self.now = Now::at(tick, unix_ms);
        self.rooms.tick(self.now, 100, &mut self.out);
        self.settle();
    }

    /// What subscribers were told since this was asked last: offset and data.
    fn said(&mut self, room: RoomId) -> Vec<(u64, String)> {
        let told = std::mem::take(&mut self.out.told);
        let said = told.into_iter().filter_map(|(_, tell)| match tell {
            Tell::Said(to, publication, _) if to == room => Some(shown(&publication)),
            _ => None,
        });
        said.collect()
    }

    /// The notices for a room since this was asked last.
    fn notices(&mut self, room: RoomId) -> Vec<String> {
        let told = std::mem::take(&mut self.out.told);
        let notices = told.into_iter().filter_map(|(_, tell)| match tell {
            Tell::Notice(to, data) if to == room => {
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
fn connection(slot: u32) -> Asker {
    Asker { conn: ConnId { slot, generation: 0 }, ..Asker::NOBODY }
}

fn title(channel: &str, namespace: u16) -> Title {
    Title { tenant: "".into(), channel: channel.into(), namespace }
}

fn info(user: &str, client: u32) -> Arc<ClientInfo> {
    let client = ClientId(u128::from(client));
    Arc::new(ClientInfo { user: user.into(), client, conn_info: None })
}

fn subscribe(title: Title, user: &str, slot: u32, since: Option<Position>) -> What {
    What::Subscribe(Box::new(Entry { title, info: info(user, slot), chan_info: None, since }))
}

fn draft(title: Title, user: &str, text: &str, id: Option<&str>, voice: Voice) -> What {
    What::Publish(Box::new(Draft {
        title: Some(title),
        data: Payload { bytes: Bytes::from(text.to_owned()), is_json: true },
        info: Some(info(user, 0)),
        chan_info: None,
        tags: id.map(|id| (ID_TAG.into(), id.into())).into_iter().collect(),
        id_source: IdSource::Client,
        voice,
        trace: Trace::made(&mut Csprng::from_key([1; 16])),
        way: way(),
    }))
}

fn publish(text: &str, id: Option<&str>) -> What {
    let voice = if id.is_some() { Voice::Post } else { Voice::Publish };
    draft(title("room:9", 0), "ann", text, id, voice)
}

/// From ann to bob.
fn send(text: &str, id: &str) -> What {
    let voice = Voice::Send { from: ANNS, to: BOBS, ttl_ms: 0 };
    draft(title("dm#ann,bob", 1), "ann", text, Some(id), voice)
}

fn posted(answer: &Answer) -> u64 {
    match answer {
        Answer::Posted(posted) => posted.position.offset,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check_refused(answer: &Answer, code: ErrorCode) {
    assert!(matches!(answer, Answer::Refused(other) if *other == code), "{answer:?}");
}

#[test]
fn a_message_is_answered_and_told_when_it_is_kept() {
    let mut world = World::new();
    world.subscribe(1, None);
    world.asleep = true;
    world.out.told.clear();
    let id = world.begin(FAR, 7, ROOM, publish("1", None));
    world.settle();
    assert!(world.out.told.is_empty(), "neither answered nor told yet");
    world.asleep = false;
    world.settle();
    assert!(matches!(world.answer(id), Some(Answer::Published(_))));
    assert_eq!(world.said(ROOM), [(1, "1".to_owned())]);
}

#[test]
fn a_stream_goes_on_after_a_power_cut() {
    let mut world = World::new();
    let start = world.subscribe(1, None).position;
    for n in 1..=10 {
        world.publish(&n.to_string());
    }
    let mut world = world.restart(Crash::PowerCut);
    let welcome = world.subscribe(1, start);
    let missed: Vec<u64> = welcome.missed.iter().map(|one| one.offset).collect();
    assert_eq!(missed, (1..=10).collect::<Vec<_>>(), "the first six from disk");
    assert_eq!(welcome.recovery, Recovery::Whole);
    assert!(welcome.position.is_some_and(|one| one.epoch.is_stream()), "and not silent");
    world.out.told.clear();
    world.publish("11");
    assert_eq!(world.said(ROOM), [(11, "11".to_owned())]);
}

#[test]
fn recovery_from_disk_takes_steps_and_misses_nothing_said_meanwhile() {
    let mut world = World::new();
    let start = world.subscribe(1, None).position;
    for n in 1..=500 {
        world.publish(&n.to_string());
    }
    world.asleep = true;
    world.out.told.clear();
    let returned = world.begin(HOME, 2, ROOM, subscribe(title("room:9", 0), "bob", 2, start));
    for n in 501..=510 {
        world.begin(HOME, 1, ROOM, publish(&n.to_string(), None));
    }
    world.asleep = false;
    world.settle();
    let Some(Answer::Subscribed(welcome)) = world.answer(returned) else { panic!("let in") };
    let missed: Vec<u64> = welcome.missed.iter().map(|one| one.offset).collect();
    assert_eq!(missed, (1..=510).collect::<Vec<_>>());
    // More than a subscription recovers.
    for n in 511..=700 {
        world.publish(&n.to_string());
    }
    assert_eq!(world.subscribe(3, start).recovery, Recovery::Lost);
}

#[test]
fn history_is_the_same_from_memory_and_from_disk() {
    let mut world = World::new();
    for n in 1..=20 {
        world.publish(&n.to_string());
    }
    let epoch = world.subscribe(1, None).position.map(|one| one.epoch).unwrap();
    let passage = |limit, since: Option<u64>, order| Passage {
        limit,
        since: since.map(|offset| Position { offset, epoch }),
        order,
    };
    use Order::{NewestFirst, OldestFirst};
    for (passage, want) in [
        (passage(3, None, OldestFirst), vec![1, 2, 3]),
        (passage(2, Some(17), OldestFirst), vec![18, 19]),
        (passage(2, Some(14), OldestFirst), vec![15, 16]),
        (passage(100, Some(15), OldestFirst), vec![16, 17, 18, 19, 20]),
        (passage(3, None, NewestFirst), vec![20, 19, 18]),
        (passage(6, None, NewestFirst), vec![20, 19, 18, 17, 16, 15]),
        (passage(3, Some(3), NewestFirst), vec![2, 1]),
        (passage(0, None, OldestFirst), vec![]),
        // Offsets that no message has are a client's word, too.
        (passage(100, Some(20), OldestFirst), vec![]),
        (passage(100, Some(u64::MAX), OldestFirst), vec![]),
        (passage(100, Some(u64::MAX - 1), OldestFirst), vec![]),
        (passage(2, Some(u64::MAX), NewestFirst), vec![20, 19]),
        (passage(u32::MAX, Some(0), NewestFirst), vec![]),
    ] {
        assert_eq!(world.history(passage), want, "{passage:?}");
    }
    for offset in [21, u64::MAX - 1, u64::MAX] {
        let welcome = world.subscribe(2, Some(Position { offset, epoch }));
        assert_eq!((welcome.recovery, welcome.missed.len()), (Recovery::Lost, 0), "{offset}");
        world.ask(2, ROOM, What::Unsubscribe(Departure::Said));
    }
}

#[test]
fn a_room_without_members_leaves_memory_and_comes_back() {
    let mut world = World::new();
    let start = world.subscribe(1, None).position;
    world.publish("1");
    world.ask(1, ROOM, What::Unsubscribe(Departure::Said));
    assert_eq!(world.rooms.len(), 1);
    world.pass(31_000);
    assert!(world.rooms.is_empty() && world.rooms.requests_count() == 0);
    assert_eq!(world.subscribe(2, start).missed.len(), 1);
    // So does one that was only looked at.
    let mut world = world.restart(Crash::Killed);
    let passage = Passage { limit: 9, since: None, order: Order::OldestFirst };
    assert_eq!(world.history(passage), [1]);
    world.pass(31_000);
    assert!(world.rooms.is_empty());
}

#[test]
fn a_repeated_id_gets_the_first_answer_across_a_restart() {
    let mut world = World::new();
    assert_eq!(posted(&world.ask(0, ROOM, publish("1", Some("a")))), 1);
    assert_eq!(posted(&world.ask(0, ROOM, publish("2", Some("b")))), 2);
    assert_eq!(posted(&world.ask(0, ROOM, publish("1", Some("a")))), 1);
    let mut world = world.restart(Crash::PowerCut);
    assert_eq!(posted(&world.ask(0, ROOM, publish("1", Some("a")))), 1);
    assert_eq!(posted(&world.ask(0, ROOM, publish("3", Some("c")))), 3);
    world.pass(299_000);
    assert_eq!(posted(&world.ask(0, ROOM, publish("3", Some("c")))), 3);
    world.pass(301_000);
    assert_eq!(posted(&world.ask(0, ROOM, publish("3", Some("c")))), 4, "five minutes are over");
}

#[test]
fn who_has_no_name_is_not_answered_with_the_message_of_another_after_a_restart() {
    let anonymous = |text| draft(title("room:9", 0), "", text, Some("a"), Voice::Post);
    let mut world = World::new();
    assert_eq!(posted(&world.ask(0, ROOM, anonymous("1"))), 1);
    assert_eq!(posted(&world.ask(0, ROOM, anonymous("2"))), 2);
    let mut world = world.restart(Crash::PowerCut);
    assert_eq!(posted(&world.ask(0, ROOM, anonymous("3"))), 3);
}

#[test]
fn an_id_repeated_before_the_first_is_kept_waits_for_it() {
    let mut world = World::new();
    world.subscribe(1, None);
    world.asleep = true;
    let first = world.begin(HOME, 1, ROOM, publish("1", Some("a")));
    let again = world.begin(FAR, 2, ROOM, publish("1", Some("a")));
    world.out.told.clear();
    world.asleep = false;
    world.settle();
    for id in [first, again] {
        let answer = world.answer(id).expect("both are answered");
        assert_eq!(posted(&answer), 1);
    }
    assert_eq!(world.said(ROOM).len(), 1);
}

#[test]
fn a_full_disk_refuses_and_heals_without_a_restart() {
    let mut world = World::new();
    world.subscribe(1, None);
    world.publish("1");
    let full = DiskWeather { capacity_bytes: 0, ..DiskWeather::CALM };
    world.store.disk_mut().set_weather(full);
    world.pass(1_000);
    check_refused(&world.publish("2"), ErrorCode::Internal);
    check_refused(&world.publish("3"), ErrorCode::Internal);
    world.store.disk_mut().set_weather(DiskWeather::CALM);
    world.pass(2_000);
    world.out.told.clear();
    assert!(matches!(world.publish("4"), Answer::Published(_)));
    assert_eq!(world.said(ROOM), [(2, "4".to_owned())], "no offset is left out");
}

#[test]
fn where_only_the_reserve_is_left_reading_goes_on_right_behind_a_refusal() {
    let mut world = World::new();
    world.store = engine_with(SimulatedDisk::new(1, DiskWeather::CALM), &world.options, 1);
    world.publish("1");
    let full = DiskWeather { capacity_bytes: 0, ..DiskWeather::CALM };
    world.store.disk_mut().set_weather(full);
    world.pass(1_000);
    check_refused(&world.publish("2"), ErrorCode::Internal);
    let passage = Passage { limit: 9, since: None, order: Order::OldestFirst };
    assert_eq!(world.history(passage), [1]);
    world.store.disk_mut().set_weather(DiskWeather::CALM);
    world.pass(1_000);
    assert!(matches!(world.publish("3"), Answer::Published(_)));
}

#[test]
fn a_channel_whose_first_message_was_refused_begins_later() {
    let mut world = World::new();
    world.subscribe(1, None);
    let full = DiskWeather { capacity_bytes: 0, ..DiskWeather::CALM };
    world.store.disk_mut().set_weather(full);
    world.pass(1_000);
    check_refused(&world.publish("1"), ErrorCode::Internal);
    world.store.disk_mut().set_weather(DiskWeather::CALM);
    world.pass(2_000);
    assert!(matches!(world.publish("2"), Answer::Published(_)));
    let passage = Passage { limit: 9, since: None, order: Order::OldestFirst };
    assert_eq!(world.history(passage), [1]);
}

#[test]
fn a_channel_whose_first_message_failed_takes_the_next_one() {
    for seed in 0..20 {
        let mut world = World::new();
        world.store = engine(SimulatedDisk::new(seed, DiskWeather::CALM), &world.options);
        world.subscribe(1, None);
        let fails = DiskWeather { sync_fails_percent: 100, ..DiskWeather::CALM };
        world.store.disk_mut().set_weather(fails);
        check_refused(&world.publish("1"), ErrorCode::Internal);
        // While the room waits until it may ask the store again.
        check_refused(&world.publish("1"), ErrorCode::Internal);
        let refused = world.out.steps.iter().filter(|step| matches!(step, Step::Refused { .. }));
        assert_eq!(refused.count(), 2, "each is shown to whoever looks for the cause");
        world.store.disk_mut().set_weather(DiskWeather::CALM);
        world.pass(3_000);
        assert!(matches!(world.publish("2"), Answer::Published(_)), "seed {seed}");
    }
}

/// A room is looked at for several reasons, and none may push another aside.
#[test]
fn a_room_is_read_again_after_a_failure_whatever_else_was_due_before() {
    let mut survivors_count = 0;
    for seed in 0..20 {
        let mut world = World::new();
        world.store = engine(SimulatedDisk::new(seed, DiskWeather::CALM), &world.options);
        world.subscribe(1, None);
        world.ask(1, ROOM, What::Unsubscribe(Departure::Said));
        world.subscribe(1, None);
        world.pass(29_500);
        let fails = DiskWeather { sync_fails_percent: 100, ..DiskWeather::CALM };
        world.store.disk_mut().set_weather(fails);
        check_refused(&world.publish("1"), ErrorCode::Internal);
        world.store.disk_mut().set_weather(DiskWeather::CALM);
        world.pass(600);
        world.pass(2_000);
        survivors_count += world.said(ROOM).len();
    }
    assert!(0 < survivors_count, "nobody asked, and nobody heard of them");
}

/// Whatever a failing disk kept of unanswered messages, everybody agrees on it.
#[test]
fn a_failed_sync_leaves_no_hole_and_tells_of_what_survived() {
    for seed in 0..50 {
        let mut world = World::new();
        world.store = engine(SimulatedDisk::new(seed, DiskWeather::CALM), &world.options);
        world.subscribe(1, None);
        let mut answered = Vec::new();
        let mut heard = Vec::new();
        for n in 0..60 {
            let weather = DiskWeather { sync_fails_percent: 30, ..DiskWeather::CALM };
            let calm = n % 10 == 9;
            world.store.disk_mut().set_weather(if calm { DiskWeather::CALM } else { weather });
            let ids: Vec<u32> = (0..3)
                .map(|m| world.begin(HOME, 1, ROOM, publish(&format!("{n}.{m}"), None)))
                .collect();
            world.settle();
            let told = world.out.told.clone();
            for (m, id) in ids.into_iter().enumerate() {
                if matches!(world.answer(id), Some(Answer::Published(_))) {
                    answered.push(format!("{n}.{m}"));
                }
            }
            world.out.told = told;
            heard.extend(world.said(ROOM));
            world.pass(3_000);
            heard.extend(world.said(ROOM));
        }
        let offsets: Vec<u64> = heard.iter().map(|(offset, _)| *offset).collect();
        assert_eq!(offsets, (1..=heard.len() as u64).collect::<Vec<_>>(), "seed {seed}");
        let texts: Vec<&String> = heard.iter().map(|(_, text)| text).collect();
        assert!(answered.iter().all(|text| texts.contains(&text)), "seed {seed}");
        let mut world = world.restart(Crash::PowerCut);
        let mut stored = Vec::new();
        loop {
            let since = stored.len() as u64;
            let page = HistoryPage {
                title: Some(title("room:9", 0)),
                passage: Passage { limit: 100, since: None, order: Order::OldestFirst },
            };
            let position = match world.ask(0, ROOM, What::History(Box::new(page))) {
                Answer::History(_, position) => position,
                other => panic!("{other:?}"),
            };
            let since = Some(Position { offset: since, ..position });
            let passage = Passage { limit: 100, since, order: Order::OldestFirst };
            let page = HistoryPage { title: Some(title("room:9", 0)), passage };
            match world.ask(0, ROOM, What::History(Box::new(page))) {
                Answer::History(all, _) if all.is_empty() => break,
                Answer::History(all, _) => stored.extend(all.iter().map(|one| shown(one))),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(stored, heard, "seed {seed}: who stayed saw what is there");
    }
}

fn come(world: &mut World, inbox: RoomId, user: &str, slot: u32) {
    let title = title(&format!("@{user}"), 2);
    let answer = world.ask(slot, inbox, subscribe(title, user, slot, None));
    assert!(matches!(answer, Answer::Subscribed(_)), "{answer:?}");
}

fn progress(user: &str, inbox: RoomId, other: RoomId, reached: Reached) -> What {
    What::Mark(Box::new(Progress {
        title: Some(title("dm#ann,bob", 1)),
        info: info(user, 0),
        inbox,
        reached,
        other: Some(other),
    }))
}

#[test]
fn a_direct_message_waits_until_it_is_acknowledged() {
    let mut world = World::new();
    assert_eq!(posted(&world.ask(0, TALK, send("1", "a"))), 1);
    let mut world = world.restart(Crash::PowerCut);
    come(&mut world, BOBS, "bob", 5);
    assert_eq!(world.said(BOBS), [(0, "1".to_owned())], "at the next connect");
    world.pass(9_000);
    assert_eq!(world.said(BOBS), []);
    world.pass(2_000);
    assert_eq!(world.said(BOBS), [(0, "1".to_owned())], "and again");
    world.ask(5, TALK, progress("bob", BOBS, ANNS, Reached::Delivered(1)));
    for _ in 0..10 {
        world.pass(11_000);
        assert_eq!(world.said(BOBS), []);
    }
}

/// Its author may not have been answered; when it asks again, it is.
#[test]
fn a_direct_message_that_survived_a_failed_sync_reaches_who_is_there() {
    let mut survivors_count = 0;
    for seed in 0..20 {
        let mut world = World::new();
        world.store = engine(SimulatedDisk::new(seed, DiskWeather::CALM), &world.options);
        come(&mut world, BOBS, "bob", 5);
        let fails = DiskWeather { sync_fails_percent: 100, ..DiskWeather::CALM };
        world.store.disk_mut().set_weather(fails);
        check_refused(&world.ask(4, TALK, send("1", "a")), ErrorCode::Internal);
        world.store.disk_mut().set_weather(DiskWeather::CALM);
        world.pass(3_000);
        let mut said = world.said(BOBS);
        survivors_count += said.len();
        assert_eq!(posted(&world.ask(4, TALK, send("1", "a"))), 1);
        said.extend(world.said(BOBS));
        assert_eq!(said, [(0, "1".to_owned())], "seed {seed}");
    }
    assert!((1..20).contains(&survivors_count));
}

/// Also those of which the conversation keeps only what waits.
#[test]
fn many_direct_messages_that_survived_a_failed_sync_reach_who_is_there() {
    let mut survivors_count = 0;
    for seed in 0..20 {
        let mut world = World::new();
        let mut options = Options::clone(&world.options);
        options.namespaces[1].history_count_max = 2;
        world.options = Arc::new(options);
        let ids = Csprng::from_key([1; 16]);
        world.rooms = Rooms::new(world.now, Arc::clone(&world.options), ids, silent_key());
        world.store = engine(SimulatedDisk::new(seed, DiskWeather::CALM), &world.options);
        come(&mut world, BOBS, "bob", 5);
        let fails = DiskWeather { sync_fails_percent: 100, ..DiskWeather::CALM };
        world.store.disk_mut().set_weather(fails);
        for n in 0..9 {
            world.begin(HOME, 4, TALK, send(&n.to_string(), &format!("id{n}")));
        }
        world.settle();
        world.store.disk_mut().set_weather(DiskWeather::CALM);
        let mut said: BTreeSet<String> = BTreeSet::new();
        for _ in 0..15 {
            world.pass(1_000);
            said.extend(world.said(BOBS).into_iter().map(|(_, text)| text));
        }
        let again = posted(&world.ask(4, TALK, send("again", "again")));
        let stored: BTreeSet<String> = (0..again - 1).map(|n| n.to_string()).collect();
        survivors_count += stored.len();
        assert_eq!(said, stored, "seed {seed}");
    }
    assert!(4 < survivors_count);
}

#[test]
fn a_message_that_the_store_brought_first_can_be_acknowledged() {
    let mut world = World::new();
    assert_eq!(posted(&world.ask(0, TALK, send("1", "a"))), 1);
    world.asleep = true;
    let sent = world.begin(HOME, 4, TALK, send("2", "b"));
    let reached = Reached::Delivered(2);
    let acknowledged = world.begin(HOME, 5, TALK, progress("bob", BOBS, ANNS, reached));
    world.asleep = false;
    world.settle();
    assert_eq!(posted(&world.answer(sent).expect("it is kept")), 2);
    assert!(matches!(world.answer(acknowledged), Some(Answer::Noted)));
    let beyond = world.ask(5, TALK, progress("bob", BOBS, ANNS, Reached::Delivered(3)));
    assert!(matches!(beyond, Answer::Wrong(Field::Offset)), "{beyond:?}");
}

#[test]
fn a_direct_message_reaches_both_and_receipts_come_back() {
    let mut world = World::new();
    come(&mut world, ANNS, "ann", 4);
    come(&mut world, BOBS, "bob", 5);
    world.out.told.clear();
    world.begin(HOME, 4, TALK, send("1", "a"));
    world.settle();
    let told = world.out.told.clone();
    assert_eq!(world.said(BOBS), [(0, "1".to_owned())]);
    world.out.told = told;
    assert_eq!(world.said(ANNS), [(0, "1".to_owned())], "for the other devices");
    world.begin(HOME, 5, TALK, progress("bob", BOBS, ANNS, Reached::Read(1)));
    world.settle();
    let receipt = r#"{"receipt":{"channel":"dm#ann,bob","user":"bob","delivered":1,"read":1}}"#;
    assert_eq!(world.notices(ANNS), [receipt]);
    for (reached, wrong) in [
        (Reached::Delivered(2), true),
        (Reached::Delivered(0), false),
        (Reached::Read(1), false),
        (Reached::Read(0), true),
    ] {
        let answer = world.ask(5, TALK, progress("bob", BOBS, ANNS, reached));
        let is_wrong = matches!(answer, Answer::Wrong(Field::Offset));
        assert_eq!(is_wrong, wrong, "{reached:?}: {answer:?}");
    }
}

#[test]
fn what_one_says_oneself_is_not_unread() {
    let mut world = World::new();
    world.ask(0, TALK, send("1", "a"));
    world.ask(0, TALK, send("2", "b"));
    for (inbox, user, read) in [(ANNS, "ann", 2), (BOBS, "bob", 0)] {
        let title = title(&format!("@{user}"), 2);
        let page = ConversationsPage { title, user: user.into(), after: "".into(), count_max: 9 };
        match world.ask(0, inbox, What::Conversations(Box::new(page))) {
            Answer::Conversations(all, None) => {
                let [talk] = &all[..] else { panic!("{all:?}") };
                assert_eq!((&*talk.channel, talk.head), ("dm#ann,bob", 2));
                assert_eq!(talk.marks.read, read, "{user}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn who_never_acknowledges_gets_it_so_often_and_no_more() {
    let mut world = World::new();
    come(&mut world, BOBS, "bob", 5);
    world.ask(0, TALK, send("1", "a"));
    let mut times = world.said(BOBS).len();
    for _ in 0..20 {
        world.pass(11_000);
        times += world.said(BOBS).len();
    }
    assert_eq!(times, 4, "once and three times again");
}

#[test]
fn a_retracted_message_is_gone_in_memory_and_on_disk() {
    let mut world = World::new();
    for n in 1..=10 {
        world.publish(&n.to_string());
    }
    for (offset, user, power) in
        [(10, "ann", Power::Author), (2, "ann", Power::Author), (3, "eve", Power::Moderator)]
    {
        let answer = world.ask(0, ROOM, retract(offset, user, power));
        assert!(matches!(answer, Answer::Noted), "{offset}: {answer:?}");
    }
    for offset in [9, 4] {
        let answer = world.ask(0, ROOM, retract(offset, "eve", Power::Author));
        check_refused(&answer, ErrorCode::PermissionDenied);
    }
    for offset in [0, 11] {
        let answer = world.ask(0, ROOM, retract(offset, "ann", Power::Author));
        assert!(matches!(answer, Answer::Wrong(Field::Offset)), "{answer:?}");
    }
    let mut world = world.restart(Crash::PowerCut);
    let passage = Passage { limit: 100, since: None, order: Order::OldestFirst };
    let page = HistoryPage { title: Some(title("room:9", 0)), passage };
    let Answer::History(all, _) = world.ask(0, ROOM, What::History(Box::new(page))) else {
        panic!("a history")
    };
    let gone = all.iter().filter(|one| chat::is_remainder(one)).map(|one| one.offset);
    assert_eq!(gone.collect::<Vec<_>>(), [2, 3, 10]);
    let said = all.iter().filter_map(|one| Some((one.offset, chat::retracted_offset(one)?)));
    assert_eq!(said.collect::<Vec<_>>(), [(11, 10), (12, 2), (13, 3)]);
}

#[test]
fn a_retraction_reaches_those_who_were_away_and_is_said_once() {
    let mut world = World::new();
    for n in 1..=10 {
        world.publish(&n.to_string());
    }
    let before = world.subscribe(1, None).position;
    let ann = |offset| retract(offset, "ann", Power::Author);
    let first = world.begin(HOME, 2, ROOM, ann(9));
    let again = world.begin(HOME, 3, ROOM, ann(9));
    world.settle();
    for id in [first, again] {
        assert!(matches!(world.answer(id), Some(Answer::Noted)), "while it is stored, too");
    }
    assert_eq!(world.said(ROOM), [(11, r#"{"retracted":9}"#.to_owned())]);
    for _ in 0..2 {
        assert!(matches!(world.ask(2, ROOM, ann(9)), Answer::Noted), "it is taken back");
        check_refused(
            &world.ask(2, ROOM, retract(9, "eve", Power::Author)),
            ErrorCode::PermissionDenied,
        );
        world = world.restart(Crash::Killed);
    }
    let answer = world.ask(2, ROOM, retract(11, "ann", Power::Moderator));
    assert!(matches!(answer, Answer::Wrong(Field::Offset)), "what says so stays: {answer:?}");
    let welcome = world.subscribe(1, before);
    assert_eq!(welcome.recovery, Recovery::Whole);
    let missed: Vec<_> = welcome.missed.iter().map(|one| chat::retracted_offset(one)).collect();
    assert_eq!(missed, [Some(9)]);
}

#[test]
fn what_is_taken_back_while_a_member_recovers_it_comes_without_its_body() {
    let mut world = World::new();
    let start = world.subscribe(1, None).position;
    for n in 1..=600 {
        world.publish(&n.to_string());
    }
    let epoch = world.subscribe(7, None).position.unwrap().epoch;
    let since = start.map(|_| Position { offset: 3, epoch });
    world.asleep = true;
    let id = world.begin(HOME, 5, ROOM, subscribe(title("room:9", 0), "bob", 5, since));
    // Its first step, and what is taken back before the next one.
    step(&mut world);
    world.begin(HOME, 6, ROOM, retract(600, "ann", Power::Author));
    let old = world.begin(HOME, 6, ROOM, retract(5, "ann", Power::Author));
    for _ in 0..20 {
        step(&mut world);
    }
    assert!(matches!(world.answer(old), Some(Answer::Noted)));
    let Some(Answer::Subscribed(welcome)) = world.answer(id) else { panic!("it is in") };
    let bodies = welcome.missed.iter().filter(|one| [5, 600].contains(&one.offset));
    assert!(bodies.clone().count() == 0 || bodies.clone().all(|one| chat::is_remainder(one)));
    assert_eq!((welcome.recovery, bodies.count()), (Recovery::Whole, 2));
}

/// The store answers what it was asked, and nothing more.
fn step(world: &mut World) {
    let mut replies = Vec::new();
    for request in std::mem::take(&mut world.out.requests) {
        world.store.take(HOME, request);
    }
    while world.store.turn(world.now.unix_ms, &mut replies) == Turned::Busy {}
    for (_, reply) in replies {
        world.rooms.on_reply(world.now, reply, &mut world.out);
    }
}

#[test]
fn a_retraction_waits_for_the_reader_of_a_direct_message() {
    let mut world = World::new();
    world.ask(0, TALK, send("1", "a"));
    let voice = Voice::Send { from: ANNS, to: BOBS, ttl_ms: 0 };
    let draft = draft(title("dm#ann,bob", 1), "ann", r#"{"retracted":1}"#, None, voice);
    let wish = retraction(draft, 1, Power::Author);
    assert!(matches!(world.ask(0, TALK, wish), Answer::Noted));
    let mut world = world.restart(Crash::PowerCut);
    world.ask(1, BOBS, subscribe(title("@bob", 2), "bob", 1, None));
    let brought: Vec<_> = world
        .out
        .told
        .iter()
        .filter_map(|(_, tell)| match tell {
            Tell::Said(BOBS, one, _) => {
                Some((chat::is_remainder(one), chat::retracted_offset(one)))
            }
            _ => None,
        })
        .collect();
    assert_eq!(brought, [(true, None), (false, Some(1))]);
}

#[test]
fn taking_back_goes_on_when_the_disk_is_full() {
    let mut world = World::new();
    world.publish("1");
    let disk = world.store.into_disk();
    world.store = engine_with(disk, &world.options, u64::MAX);
    check_refused(&world.publish("2"), ErrorCode::Internal);
    assert!(matches!(world.ask(0, ROOM, retract(1, "ann", Power::Author)), Answer::Noted));
    check_refused(&world.publish("3"), ErrorCode::Internal);
}

/// That a message is taken back.
fn retract(offset: u64, user: &str, power: Power) -> What {
    let text = format!(r#"{{"retracted":{offset}}}"#);
    let draft = draft(title("room:9", 0), user, &text, None, Voice::Post);
    retraction(draft, offset, power)
}

fn retraction(draft: What, offset: u64, power: Power) -> What {
    let What::Publish(draft) = draft else { unreachable!() };
    let (id_source, tags) = (IdSource::Server, vec![chat::retraction(offset).1]);
    let draft = Draft { tags, id_source, ..*draft };
    What::Retract(Box::new(Retraction { offset, power, draft }))
}

#[test]
fn a_position_in_a_silent_room_outlives_rest_and_restart() {
    for crash in [None, Some(Crash::Killed), Some(Crash::PowerCut)] {
        let mut world = World::new();
        let start = world.subscribe(1, None).position;
        assert_eq!(world.subscribe(2, start).recovery, Recovery::Whole, "while it is there");
        for slot in [1, 2] {
            world.ask(slot, ROOM, What::Unsubscribe(Departure::Said));
        }
        world.pass(1_000);
        assert!(world.rooms.is_empty(), "nothing was said, so nothing is kept");
        if let Some(crash) = crash {
            world = world.restart(crash);
        }
        world.pass(40_000);
        let welcome = world.subscribe(1, start);
        assert_eq!((welcome.recovery, welcome.missed.len()), (Recovery::Whole, 0));
        world.publish("1");
        if let Some(crash) = crash {
            world = world.restart(crash);
        }
        let welcome = world.subscribe(3, start);
        assert_eq!((welcome.recovery, welcome.missed.len()), (Recovery::Whole, 1), "{crash:?}");
        let head = start.map(|start| Position { offset: 1, ..start });
        assert_eq!(world.subscribe(4, head).recovery, Recovery::Whole, "it saw the first one");
        let other = start.map(|start| Position { epoch: Epoch(start.epoch.0 ^ 1), ..start });
        assert_eq!(world.subscribe(5, other).recovery, Recovery::Lost, "forged");
    }
}

#[test]
fn a_position_is_good_that_was_given_while_the_first_message_was_on_its_way() {
    let mut world = World::new();
    world.subscribe(1, None);
    world.asleep = true;
    world.begin(HOME, 1, ROOM, publish("1", None));
    let (tick, unix_ms) = (world.now.tick.plus_ms(500), world.now.unix_ms + 500);
    world.now = Now::at(tick, unix_ms);
    let start = world.subscribe(2, None).position;
    assert_eq!(start.map(|start| start.offset), Some(0));
    world.asleep = false;
    world.settle();
    let welcome = world.subscribe(3, start);
    assert_eq!((welcome.recovery, welcome.missed.len()), (Recovery::Whole, 1));
}

#[test]
fn a_position_in_silence_is_good_in_its_own_room_only() {
    let mut world = World::new();
    let start = world.subscribe(1, None).position;
    let elsewhere = subscribe(title("room:10", 0), "ann", 1, start);
    let answer = world.ask(1, RoomId(77), elsewhere);
    let Answer::Subscribed(welcome) = answer else { panic!("{answer:?}") };
    assert_eq!(welcome.recovery, Recovery::Lost);
}
