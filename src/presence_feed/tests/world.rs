//! Cores, a feed, a disk and a backend from a seed, with all that ends in between: kills, writes
//! that fail, full lanes, answers that are lost, copies that come late. At the end everybody
//! agrees on who is there.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::backend::Backend;
use super::disk::TestDisk;
use super::{OPTIONS, at, conn, connected, entered, events, gone, left};
use crate::base::{Prng, ShardId, find_records};
use crate::presence_feed::record::{PAYLOAD_START, read_payload};
use crate::presence_feed::{
    FeedBatch, FeedEvent, FeedNews, FeedOptions, FeedWrite, Leaving, PeerConn, PresenceFact,
    PresenceFeed,
};

const CORES_COUNT: u16 = 3;
const SLOTS_COUNT: u32 = 4;
const LANE_FACTS_MAX: usize = 10;
const USERS: [&str; 6] = ["", "ann", "bob", "carl", "dora", "eve"];
const ROOMS: [&str; 3] = ["kitchen", "lobby", "office"];

/// What a seed does not say.
#[derive(Clone, Copy)]
struct Plan {
    steps_count: u32,
    /// In a thousand steps.
    kills_per_mille: u64,
    /// Of a hundred.
    failed_writes_percent: u64,
    queue_bytes_max: usize,
    /// The server is killed when this record has been written, and never else.
    killed_at_record: Option<usize>,
}

const PLAN: Plan = Plan {
    steps_count: 1_500,
    kills_per_mille: 4,
    failed_writes_percent: 5,
    queue_bytes_max: 1 << 20,
    killed_at_record: None,
};

struct Connection {
    user: &'static str,
    rooms: BTreeSet<&'static str>,
}

/// What a core has yet to say.
#[derive(Default)]
struct Core {
    lane: VecDeque<PresenceFact>,
    has_lost: bool,
    /// The slot that a pass is at.
    pass: Option<u32>,
}

struct World {
    plan: Plan,
    prng: Prng,
    now_ms: u64,
    cores: Vec<Core>,
    generations: BTreeMap<(u16, u32), u32>,
    connections: BTreeMap<PeerConn, Connection>,
    feed: PresenceFeed,
    disk: TestDisk,
    is_disk_broken: bool,
    backend: Backend,
    /// Requests that a backend gets to when their time is over.
    late: Vec<FeedBatch>,
    /// What is on the disk.
    told: BTreeMap<u64, FeedEvent>,
    written_records: usize,
    kills_count: u32,
}

impl World {
    fn new(seed: u64, plan: Plan) -> World {
        let options = World::options(plan);
        let mut feed = PresenceFeed::new(options, 7);
        feed.begin(at(0));
        World {
            plan,
            prng: Prng::from_seed(seed),
            now_ms: 0,
            cores: (0..CORES_COUNT).map(|_| Core::default()).collect(),
            generations: BTreeMap::new(),
            connections: BTreeMap::new(),
            feed,
            disk: TestDisk::default(),
            is_disk_broken: false,
            backend: Backend::default(),
            late: Vec::new(),
            told: BTreeMap::new(),
            written_records: 0,
            kills_count: 0,
        }
    }

    fn options(plan: Plan) -> FeedOptions {
        FeedOptions { queue_bytes_max: plan.queue_bytes_max, ..OPTIONS }
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.prng.below(from.len() as u64) as usize]
    }

    /// A core says something, or loses it.
    fn say(&mut self, core: u16, fact: PresenceFact) {
        let core = &mut self.cores[usize::from(core)];
        if LANE_FACTS_MAX <= core.lane.len() {
            (core.has_lost, core.pass) = (true, None);
        } else {
            core.lane.push_back(fact);
        }
    }

    /// A core that has lost something says all that is there, when there is room.
    fn pass(&mut self, index: u16) {
        let core = &mut self.cores[usize::from(index)];
        if core.has_lost && core.lane.is_empty() {
            (core.has_lost, core.pass) = (false, Some(0));
            core.lane.push_back(PresenceFact::PassBegan(ShardId(index)));
        }
        let Some(slot) = core.pass else { return };
        let facts_max = 1 + ROOMS.len();
        if LANE_FACTS_MAX < core.lane.len() + facts_max {
            return;
        }
        if slot == SLOTS_COUNT {
            core.pass = None;
            return core.lane.push_back(PresenceFact::PassEnded(ShardId(index)));
        }
        core.pass = Some(slot + 1);
        let is_here = |conn: &PeerConn| conn.shard == ShardId(index) && conn.conn.slot == slot;
        let found = self.connections.iter().find(|(conn, _)| is_here(conn));
        if let Some((&conn, Connection { user, rooms })) = found {
            core.lane.push_back(connected(user, conn));
            rooms.iter().for_each(|room| core.lane.push_back(entered(user, conn, room)));
        }
    }

    fn connect(&mut self) {
        let (core, slot) = (
            self.prng.below(CORES_COUNT.into()) as u16,
            self.prng.below(SLOTS_COUNT.into()) as u32,
        );
        let is_taken = |conn: &PeerConn| conn.shard == ShardId(core) && conn.conn.slot == slot;
        if self.connections.keys().any(is_taken) {
            return;
        }
        let generation = self.generations.entry((core, slot)).or_default();
        *generation += 1;
        let (conn, user) = (conn(core, slot, *generation), self.pick(&USERS));
        self.connections.insert(conn, Connection { user, rooms: BTreeSet::new() });
        self.say(core, connected(user, conn));
    }

    fn some_connection(&mut self) -> Option<PeerConn> {
        let all: Vec<PeerConn> = self.connections.keys().copied().collect();
        (!all.is_empty()).then(|| self.pick(&all))
    }

    fn disconnect(&mut self) {
        let Some(conn) = self.some_connection() else { return };
        let Connection { user, .. } = self.connections.remove(&conn).unwrap();
        self.say(conn.shard.0, gone(user, conn));
    }

    fn move_in_rooms(&mut self) {
        let Some(conn) = self.some_connection() else { return };
        let room = self.pick(&ROOMS);
        let leaving = self.pick(&[Leaving::ForGood, Leaving::ForNow]);
        let connection = self.connections.get_mut(&conn).unwrap();
        let fact = if connection.rooms.remove(room) {
            left(connection.user, conn, room, leaving)
        } else {
            connection.rooms.insert(room);
            entered(connection.user, conn, room)
        };
        self.say(conn.shard.0, fact);
    }

    /// The feed takes some facts of a core.
    fn take_facts(&mut self, index: u16, count_max: usize) {
        for _ in 0..count_max {
            let Some(fact) = self.cores[usize::from(index)].lane.pop_front() else { return };
            self.feed.take(at(self.now_ms), fact);
        }
    }

    /// The feed's owner does what it does in a pass.
    fn feed_pass(&mut self) {
        if self.is_disk_broken && self.prng.percent(60) {
            self.is_disk_broken = false;
            self.feed.begin_again();
        }
        self.feed.tick(at(self.now_ms));
        self.feed.advance();
        if let Some(write) = self.feed.take_write() {
            if self.is_killed_in(&write) {
                return;
            }
            if self.prng.percent(self.plan.failed_writes_percent) {
                let bytes = self.prng.below(write.records.len() as u64 + 1) as usize;
                self.disk.write_some(&write, bytes);
                self.is_disk_broken = true;
                return self.feed.on_write_failed();
            }
            self.disk.write(&write);
            self.feed.on_synced();
            self.keep_told(&write.records);
            // What was dropped while the disk failed is nowhere.
            if self.plan.queue_bytes_max == PLAN.queue_bytes_max {
                self.check_pages();
            }
        }
        for segment in self.feed.take_unneeded() {
            self.disk.remove(segment);
        }
    }

    /// Kills the server in the middle of a write, if that is its place.
    fn is_killed_in(&mut self, write: &FeedWrite) -> bool {
        let before_count = self.written_records;
        let bounds = bounds(&write.records);
        self.written_records += bounds.len() - 1;
        let Some(killed_at) = self.plan.killed_at_record else { return false };
        if !(before_count..=self.written_records).contains(&killed_at) || self.kills_count != 0 {
            return false;
        }
        self.disk.write_some(write, bounds[killed_at - before_count]);
        self.disk.kill_softly();
        self.restart();
        true
    }

    fn keep_told(&mut self, records: &[u8]) {
        for event in events(records) {
            let before = self.told.insert(event.number, event.clone());
            assert!(before.is_none_or(|before| before == event), "a number means one event");
        }
    }

    fn kill(&mut self) {
        // What was told, and not written.
        self.feed.tick(at(self.now_ms));
        self.feed.advance();
        if let Some(write) = self.feed.take_write()
            && self.prng.percent(50)
        {
            let bytes = self.prng.below(write.records.len() as u64 + 1) as usize;
            self.disk.write_some(&write, bytes);
        }
        self.disk.kill(&mut self.prng);
        self.restart();
    }

    fn restart(&mut self) {
        self.kills_count += 1;
        self.is_disk_broken = false;
        self.connections.clear();
        self.cores.iter_mut().for_each(|core| *core = Core::default());
        self.generations.clear();
        let segments = self.disk.read();
        for (_, bytes) in &segments {
            let found = find_records(bytes, PAYLOAD_START, read_payload);
            assert_eq!(found.damaged_bytes, 0);
            self.keep_told(&bytes[..bounds(bytes).last().copied().unwrap()]);
        }
        let (feed, damaged_bytes) = PresenceFeed::read(World::options(self.plan), 8, segments);
        assert_eq!(damaged_bytes, 0);
        self.feed = feed;
        self.feed.begin(at(self.now_ms));
    }

    /// What is shown is what the events lead to.
    fn check_pages(&self) {
        let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut channels = BTreeSet::new();
        for (index, (number, event)) in self.told.iter().enumerate() {
            assert_eq!(*number, index as u64 + 1, "numbers have no holes");
            let user = &*event.user;
            let is_new = match &event.news {
                FeedNews::Connected => users.insert(user, BTreeSet::new()).is_none(),
                FeedNews::Disconnected(_) => users.remove(user).is_some(),
                FeedNews::Subscribed(room) => users.get_mut(user).unwrap().insert(room),
                FeedNews::Unsubscribed(room) => users.get_mut(user).unwrap().remove(&**room),
                FeedNews::Occupied(room) => channels.insert(&**room),
                FeedNews::Vacated(room) => channels.remove(&**room),
                FeedNews::MessageWaits(_) | FeedNews::DeadLetter(_) | FeedNews::NoticesLost(_) => {
                    true
                }
            };
            assert!(is_new, "{event:?} changes nothing");
        }
        let shown = self.feed.users_page(&Arc::default(), &Arc::default(), 100).unwrap();
        assert_eq!(shown.number, self.told.len() as u64);
        let entries = shown.entries.iter();
        let entries = entries.map(|state| {
            (&*state.user, state.channels.iter().map(|room| &**room).collect::<BTreeSet<&str>>())
        });
        assert!(entries.eq(users), "{shown:?}");
        let shown = self.feed.channels_page(&Arc::default(), &Arc::default(), 100).unwrap();
        assert!(shown.entries.iter().map(|state| &*state.channel).eq(channels), "{shown:?}");
    }

    /// A request to the backend, and what can become of it.
    fn send(&mut self) {
        let Some(batch) = self.feed.batch() else { return };
        let taken = match self.prng.below(10) {
            0 => return, // it did not come
            1 => return self.late.push(batch),
            _ => self.backend.take(&batch.body, &self.feed),
        };
        if taken && !self.prng.percent(15) {
            self.feed.on_acknowledged(batch.last_number);
        }
    }

    /// A worker of the backend gets to a request that was given up.
    fn take_late(&mut self) {
        if !self.late.is_empty() {
            let index = self.prng.below(self.late.len() as u64) as usize;
            let batch = self.late.swap_remove(index);
            self.backend.take(&batch.body, &self.feed);
        }
    }

    fn step(&mut self) {
        let core = self.prng.below(CORES_COUNT.into()) as u16;
        match self.prng.below(100) {
            0..15 => self.connect(),
            15..25 => self.disconnect(),
            25..40 => self.move_in_rooms(),
            40..60 => {
                let count = self.prng.below(4) as usize;
                self.take_facts(core, count);
            }
            60..70 => self.pass(core),
            70..82 => self.feed_pass(),
            82..90 => self.send(),
            90..92 => self.take_late(),
            92..96 => self.backend.read_page(&self.feed),
            _ => self.now_ms += self.prng.below(60),
        }
        if self.plan.killed_at_record.is_none()
            && self.prng.below(1_000) < self.plan.kills_per_mille
        {
            self.kill();
        }
    }

    /// Nothing fails any more, and everything comes to its end.
    fn settle(&mut self) {
        self.plan = Plan { failed_writes_percent: 0, killed_at_record: None, ..self.plan };
        for _ in 0..60 {
            self.now_ms += 50;
            for core in 0..CORES_COUNT {
                for _ in 0..=2 * SLOTS_COUNT {
                    self.take_facts(core, usize::MAX);
                    self.pass(core);
                }
                self.take_facts(core, usize::MAX);
            }
            self.feed_pass();
            self.take_late();
            while let Some(batch) = self.feed.batch() {
                assert!(self.backend.take(&batch.body, &self.feed));
                self.feed.on_acknowledged(batch.last_number);
            }
            self.feed_pass();
            self.backend.read_page(&self.feed);
        }
        while !self.late.is_empty() {
            self.take_late();
        }
    }

    fn check_end(&self) {
        assert!(!self.backend.is_reading() && self.feed.batch().is_none());
        let (mut users, mut channels) =
            (BTreeMap::<String, BTreeSet<String>>::new(), BTreeSet::new());
        for Connection { user, rooms } in self.connections.values() {
            let rooms = rooms.iter().map(ToString::to_string);
            channels.extend(rooms.clone());
            if !user.is_empty() {
                users.entry((*user).to_owned()).or_default().extend(rooms);
            }
        }
        assert_eq!(self.backend.users(), users);
        assert_eq!(self.backend.channels(), channels);
        for number in self.told.keys() {
            let is_told = self.backend.received().contains_key(number);
            assert!(is_told || self.backend.missing().contains(number), "{number} was not told");
        }
        if self.plan.queue_bytes_max == PLAN.queue_bytes_max {
            assert!(self.backend.missing().is_empty());
        }
        assert_eq!(self.disk.segments_count(), 1, "what is done is removed");
    }

    fn run(seed: u64, plan: Plan) -> World {
        let mut world = World::new(seed, plan);
        (0..plan.steps_count).for_each(|_| world.step());
        world.settle();
        world.check_end();
        world
    }
}

/// Where records begin, and where the last one ends.
fn bounds(records: &[u8]) -> Vec<usize> {
    let (mut bounds, mut at) = (vec![0], 0);
    while let Some(head) = records.get(at..at + 4) {
        at += 12 + u32::from_le_bytes(head.try_into().unwrap()) as usize;
        if records.len() < at {
            break;
        }
        bounds.push(at);
    }
    bounds
}

#[test]
fn whatever_ends_in_between_the_backend_knows_who_is_there() {
    let (mut kills, mut told, mut missing) = (0, 0, 0);
    for seed in 0..200 {
        let queue_bytes_max = if seed % 3 == 0 { 2_000 } else { PLAN.queue_bytes_max };
        let world = World::run(seed, Plan { queue_bytes_max, ..PLAN });
        kills += world.kills_count;
        told += world.told.len();
        missing += world.backend.missing().len();
    }
    assert!(500 < kills && 5_000 < told && 50 < missing, "{kills} {told} {missing}");
}

/// The same seed is killed at each record that it writes.
#[test]
fn a_kill_at_each_record_loses_nothing() {
    for seed in 0..3 {
        let plan = Plan { steps_count: 400, kills_per_mille: 0, ..PLAN };
        let records_count = World::run(seed, plan).written_records;
        let mut kills = 0;
        for record in 0..records_count {
            kills += World::run(seed, Plan { killed_at_record: Some(record), ..plan }).kills_count;
        }
        assert!(records_count / 2 < kills as usize, "{kills} of {records_count}");
    }
}
