//! A shard's part played over a disk that fails and forgets, beside a model of
//! what was answered; and the same over disks that lie, where the checkers must
//! notice.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::*;
use crate::base::Prng;

/// Worlds of one run; each takes a quarter of a second.
const SEEDS: u64 = 24;
const ROOMS: u64 = 6;
const READERS: [&str; 2] = ["bob", "eve"];
const ANN: RoomId = RoomId(b'a' as u128);
const BOB: RoomId = RoomId(b'b' as u128);

/// Ids of one period become those of the one before on the way.
const STARTS_AT: u64 = 1_196_000;

/// When everything is over that has an end.
const ENDS_AT: u64 = 10_000_000;

fn channel(room: u64) -> &'static str {
    ["room:0", "room:1", "soon:2", "few:3", "dm#ann,bob", "few:dm"][room as usize]
}

fn id(room: u64) -> RoomId {
    RoomId(900 + u128::from(room))
}

fn is_direct(room: u64) -> bool {
    4 <= room
}

/// What a disk does behind its caller's back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// Nothing.
    None,
    /// It says that it synced.
    Sync,
    /// It drops some messages of a batch.
    Messages,
    /// It writes a message over the one before, too.
    Twice,
    /// It drops some read markers.
    Markers,
    /// It does not remove what waits.
    Removals,
    /// It drops what begins to wait.
    Waiting,
    /// It drops some ids.
    Ids,
}

/// A disk that may lie.
struct Liar {
    disk: SimulatedDisk,
    lie: Lie,
    calls_count: Cell<u64>,
}

impl Liar {
    fn falsified(&self, batch: &Batch) -> Batch {
        self.calls_count.set(self.calls_count.get() + 1);
        // Honest for long enough that there is something to lose.
        let is_due = self.calls_count.get() % 5 == 4;
        let mut false_batch = Batch::default();
        for (space, key, value) in batch.iter() {
            let is_lied_about = match (self.lie, space, value) {
                (Lie::Messages, StoreKeyspace::Messages, Some(_)) => is_due,
                (Lie::Markers, StoreKeyspace::Markers, Some(_)) => is_due,
                (Lie::Removals, StoreKeyspace::Pending, None) => true,
                (Lie::Waiting, StoreKeyspace::Pending, Some(_)) => is_due,
                (Lie::Ids, StoreKeyspace::Ids, Some(_)) => is_due,
                (Lie::Twice, StoreKeyspace::Messages, Some(value)) => {
                    let (room, offset) = key::message_of(key).unwrap();
                    if is_due && 1 < offset {
                        let key = key::message(room, offset - 1);
                        false_batch.put(space, &key, value);
                    }
                    false
                }
                (_, _, _) => false,
            };
            match value {
                _ if is_lied_about => {}
                Some(value) => false_batch.put(space, key, value),
                None => false_batch.remove(space, key),
            }
        }
        false_batch
    }
}

impl Disk for Liar {
    fn get(&self, space: StoreKeyspace, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        self.disk.get(space, key)
    }

    fn scan(
        &self,
        space: StoreKeyspace,
        range: &crate::store::KeyRange,
        order: ReadOrder,
        on_entry: &mut crate::store::ScanCallback<'_>,
    ) -> Result<(), DiskError> {
        self.disk.scan(space, range, order, on_entry)
    }

    fn commit(&mut self, batch: &mut Batch, durable: SyncMode) -> Result<(), DiskError> {
        match self.lie {
            Lie::None => self.disk.commit(batch, durable),
            Lie::Sync => self.disk.commit(batch, SyncMode::Later),
            Lie::Messages | Lie::Twice | Lie::Markers | Lie::Removals | Lie::Waiting | Lie::Ids => {
                let mut batch = self.falsified(batch);
                self.disk.commit(&mut batch, durable)
            }
        }
    }

    fn takes_messages(&self) -> bool {
        self.disk.takes_messages()
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        if self.lie == Lie::Sync { Ok(()) } else { self.disk.sync() }
    }

    fn reopen(&mut self) -> Result<(), DiskError> {
        self.disk.reopen()
    }

    fn reclaim(&mut self) -> Result<(), DiskError> {
        if self.lie == Lie::Sync { Ok(()) } else { self.disk.reclaim() }
    }

    fn tend(&mut self, now_unix_ms: u64) -> Result<(), DiskError> {
        self.disk.tend(now_unix_ms)
    }

    fn tend_due_ms(&self) -> Option<u64> {
        self.disk.tend_due_ms()
    }

    fn close(&mut self) -> Result<(), DiskError> {
        self.disk.close()
    }

    fn capacity(&self) -> Result<crate::store::Capacity, DiskError> {
        self.disk.capacity()
    }

    fn take_log_activity(&mut self) -> crate::store::LogActivity {
        self.disk.take_log_activity()
    }

    fn boot_id(&self) -> u64 {
        self.disk.boot_id()
    }
}

/// A room as its shard sees it.
#[derive(Clone, Copy, Default)]
struct Room {
    /// The last offset that it gave; `None` when it must ask.
    given: Option<u64>,
    /// Its stream's epoch, once it is known.
    epoch: Option<Epoch>,
}

/// What was asked and is not answered yet.
#[derive(Clone)]
enum Asked {
    Append { room: u64, offset: u64, epoch: Epoch, text: String },
    Mark { room: u64, reader: usize },
    DeadLetter { room: u64, offset: u64 },
}

/// What must hold.
#[derive(Default)]
struct Model {
    /// By room and offset: what was answered, and whether a power cut may take it.
    answered: BTreeMap<(u64, u64), (String, SyncMode)>,
    /// By room, epoch and offset: all that was ever answered, and so shown.
    shown: BTreeMap<(u64, u128, u64), String>,
    /// By room: every text that was ever sent, by offset.
    sent: BTreeMap<u64, BTreeMap<u64, BTreeSet<String>>>,
    /// By room and reader.
    markers: BTreeMap<(u64, usize), ReadMarkers>,
    /// Direct messages that are answered as dead letters.
    dead_lettered: BTreeSet<(u64, u64)>,
}

struct World {
    bench: Bench<Liar>,
    prng: Prng,
    rooms: [Room; ROOMS as usize],
    /// Epochs of rooms whose first message is not answered yet, perhaps.
    created: [Option<Epoch>; ROOMS as usize],
    asked: BTreeMap<u32, Asked>,
    model: Model,
    texts_count: u64,
}

type Check = Result<(), String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(what()) }
}

impl World {
    fn new(seed: u64, lie: Lie) -> World {
        let disk = SimulatedDisk::new(seed, DiskFaultProfile::CALM);
        let mut bench = Bench::over(Liar { disk, lie, calls_count: Cell::new(0) });
        bench.now = STARTS_AT;
        World {
            bench,
            prng: Prng::from_seed(seed),
            rooms: Default::default(),
            created: Default::default(),
            asked: BTreeMap::new(),
            model: Model::default(),
            texts_count: 0,
        }
    }

    fn run(mut self) -> Check {
        for step in 0..400 {
            if step % 40 == 20 {
                let fault_profile = self.fault_profile();
                self.bench.engine.disk_mut().disk.set_fault_profile(fault_profile);
            }
            for _ in 0..self.prng.below(12) {
                self.act();
            }
            self.bench.now += self.prng.below(40);
            self.turns()?;
            if self.prng.percent(3) {
                self = self.crash()?;
            }
        }
        self = self.crash()?;
        self.ends()
    }

    fn fault_profile(&mut self) -> DiskFaultProfile {
        let mut some = |chance: u64| if self.prng.percent(50) { chance as u8 } else { 0 };
        DiskFaultProfile {
            commit_fails_percent: some(5),
            sync_fails_percent: some(5),
            reopen_fails_percent: some(40),
            ..DiskFaultProfile::CALM
        }
    }

    fn act(&mut self) {
        let room = self.prng.below(ROOMS);
        match self.prng.below(10) {
            0..6 => self.say(room),
            6..8 => {
                let reader = self.prng.below(2) as usize;
                let Some(given) = self.rooms[room as usize].given else { return };
                let offset = self.prng.below(given + 1);
                let position = match self.prng.percent(50) {
                    true => MarkerPosition::Delivered(offset),
                    false => MarkerPosition::Read(offset),
                };
                self.bench.give(mark(id(room), READERS[reader], position));
                self.asked.insert(self.bench.request_id, Asked::Mark { room, reader });
            }
            8 => self.bench.give(StoreOp::Read(all(id(room)))),
            _ => {
                let given = self.rooms[room as usize].given.filter(|_| is_direct(room));
                let Some(given) = given else { return };
                let offset = self.prng.below(given + 1);
                let (at_unix_ms, cause) = (self.bench.now, DeadLetterCause::Attempts);
                let new = NewDeadLetter { inbox: BOB, room: id(room), offset, cause, at_unix_ms };
                self.bench.give(StoreOp::DeadLetter(new));
                self.asked.insert(self.bench.request_id, Asked::DeadLetter { room, offset });
            }
        }
    }

    fn say(&mut self, room: u64) {
        let Some(given) = self.rooms[room as usize].given else {
            // It must be read before anything is said.
            return self.bench.give(StoreOp::Open(open(id(room))));
        };
        let offset = given + 1;
        self.rooms[room as usize].given = Some(offset);
        let epoch = self.rooms[room as usize].epoch;
        self.texts_count += 1;
        let text = format!("t{}", self.texts_count);
        let op = with_id(append(id(room), channel(room), offset));
        let StoreOp::Append(mut append) = op else { return };
        append.publication = Arc::new(message(offset, &text, "ann", self.bench.now));
        let new_epoch = Epoch(u128::from(self.texts_count as u32));
        match &mut append.channel_created {
            Some(channel_created) if epoch.is_none() || epoch == self.created[room as usize] => {
                channel_created.epoch = epoch.unwrap_or(new_epoch);
                channel_created.parties = is_direct(room).then_some([ANN, BOB]);
                self.created[room as usize] = Some(channel_created.epoch);
            }
            channel_created => *channel_created = None,
        }
        let epoch = epoch.unwrap_or(new_epoch);
        self.rooms[room as usize].epoch = Some(epoch);
        if is_direct(room) {
            let expires_unix_ms = self.bench.now + 1_000_000;
            append.addressee = Some(Addressee { inbox: BOB, expires_unix_ms });
        }
        self.model.sent.entry(room).or_default().entry(offset).or_default().insert(text.clone());
        self.bench.give(StoreOp::Append(append));
        self.asked.insert(self.bench.request_id, Asked::Append { room, offset, epoch, text });
    }

    /// Takes turns, and learns from the answers as a shard does.
    fn turns(&mut self) -> Check {
        let mut out = Vec::new();
        let losses_count = self.bench.engine.channels.losses_count();
        while self.bench.engine.turn(self.bench.now, &mut out) == TurnResult::Busy {}
        let mut is_refused = false;
        for (_, reply) in out {
            let asked = self.asked.remove(&reply.request_id.0);
            is_refused |= matches!(
                (&asked, &reply.outcome),
                (Some(Asked::Append { .. }), StoreResult::Failed(_))
            );
            self.learn(asked, reply.outcome)?;
        }
        if is_refused {
            // Nobody knows where any of them stands.
            self.bench.write_epoch.0 += 1;
            self.rooms = Default::default();
            self.created = Default::default();
            if self.bench.engine.channels.losses_count() != losses_count {
                self.forget_what_may_be_lost();
            }
        }
        self.read_rooms()
    }

    fn learn(&mut self, asked: Option<Asked>, outcome: StoreResult) -> Check {
        match (asked, outcome) {
            (Some(Asked::Append { room, offset, epoch, text }), StoreResult::Appended) => {
                self.model.shown.insert((room, epoch.0, offset), text.clone());
                let durable = self.bench.engine.channels.durable(namespace_of(channel(room)));
                self.model.answered.insert((room, offset), (text, durable));
            }
            (Some(Asked::Mark { room, reader }), StoreResult::MarkerAdvanced { before, after }) => {
                self.check_marks(room, reader, before)?;
                self.model.markers.insert((room, reader), after);
            }
            (Some(Asked::Mark { room, reader }), StoreResult::Behind(held)) => {
                self.check_marks(room, reader, held)?;
            }
            (Some(Asked::DeadLetter { room, offset }), StoreResult::Done) => {
                self.model.dead_lettered.insert((room, offset));
            }
            (_, _) => {}
        }
        Ok(())
    }

    /// Where little is kept, nothing is left of a channel in the end.
    fn is_over(&self, room: u64) -> bool {
        channel(room).starts_with("few") && ENDS_AT <= self.bench.now
    }

    fn check_marks(&self, room: u64, reader: usize, held: ReadMarkers) -> Check {
        let known = self.model.markers.get(&(room, reader)).copied().unwrap_or_default();
        let is_kept = (known.delivered <= held.delivered && known.read <= held.read)
            || (held == ReadMarkers::default() && self.is_over(room));
        ensure(is_kept, || format!("marks went back in room {room}: {known:?}, {held:?}"))
    }

    /// Where the rooms stand that the shard does not know.
    fn read_rooms(&mut self) -> Check {
        for room in 0..ROOMS {
            if self.rooms[room as usize].given.is_some() || self.prng.percent(50) {
                continue;
            }
            match self.bench.ask(StoreOp::Open(open(id(room)))) {
                StoreResult::Opened(None, _) => self.rooms[room as usize].given = Some(0),
                StoreResult::Opened(Some(opened), _) => {
                    let (given, epoch) = (Some(opened.head), Some(opened.epoch));
                    self.rooms[room as usize] = Room { given, epoch };
                }
                StoreResult::Failed(StoreError::Broken) => {}
                other => return Err(format!("room {room} does not open: {other:?}")),
            }
        }
        Ok(())
    }

    fn crash(mut self) -> Result<World, String> {
        let kind = if self.prng.percent(50) { Crash::Killed } else { Crash::PowerCut };
        let Bench { engine, now, request_id, write_epoch, .. } = self.bench;
        let mut disk = engine.into_disk();
        disk.disk.crash(kind);
        disk.disk.set_fault_profile(DiskFaultProfile::CALM);
        self.bench = Bench { now, request_id, write_epoch, ..Bench::over(disk) };
        self.bench.write_epoch.0 += 1;
        self.rooms = Default::default();
        self.created = Default::default();
        self.asked.clear();
        if kind == Crash::PowerCut {
            self.forget_what_may_be_lost();
        }
        self.check()?;
        Ok(self)
    }

    /// What was answered before its sync may be gone, and read markers of it with it.
    fn forget_what_may_be_lost(&mut self) {
        self.model.answered.retain(|_, (_, durable)| *durable == SyncMode::Now);
        self.model.markers.retain(|(room, _), _| namespace_of(channel(*room)) != 1);
    }

    fn check(&mut self) -> Check {
        for room in 0..ROOMS {
            self.check_room(room)?;
            for (reader, name) in READERS.into_iter().enumerate() {
                let key = key::named(id(room), name);
                let held = self
                    .bench
                    .engine
                    .channels
                    .markers_at(&key)
                    .map_err(|fault| format!("{fault:?}"))?;
                self.check_marks(room, reader, held.unwrap_or_default())?;
            }
            if is_direct(room) {
                self.check_waiting(room)?;
            }
        }
        Ok(())
    }

    fn check_room(&mut self, room: u64) -> Check {
        let answered = self.model.answered.range((room, 0)..(room + 1, 0));
        let newest = answered.last().map_or(0, |((_, offset), _)| *offset);
        let Some(opened) = self.bench.opened_or(id(room))? else {
            return ensure(newest == 0 || self.is_over(room), || format!("room {room} is gone"));
        };
        ensure(newest <= opened.head, || format!("answered {newest} is gone from room {room}"))?;
        let ids: BTreeMap<u64, Box<str>> =
            opened.ids.iter().map(|one| (one.offset, one.id.clone())).collect();
        let mut texts = BTreeSet::new();
        let mut next = opened.first;
        while next <= opened.head {
            let passage = match self
                .bench
                .ask(StoreOp::Read(HistoryRange { first: next, ..all(id(room)) }))
            {
                StoreResult::History(passage) if !passage.is_empty() => passage,
                other => return Err(format!("room {room} has no message {next}: {other:?}")),
            };
            for message in passage {
                ensure(message.offset == next, || format!("room {room} has a hole at {next}"))?;
                let text = String::from_utf8_lossy(&message.data.bytes).into_owned();
                let is_sent =
                    self.model.sent[&room].get(&next).is_some_and(|sent| sent.contains(&text));
                ensure(is_sent, || format!("{text} was never given {next} in room {room}"))?;
                let shown = self.model.shown.get(&(room, opened.epoch.0, next));
                let is_once = shown.is_none_or(|shown| *shown == text);
                ensure(is_once, || format!("room {room} gave {next} twice"))?;
                let answered = self.model.answered.get(&(room, next));
                let is_kept = answered.is_none_or(|(answered, _)| *answered == text);
                ensure(is_kept, || format!("answered {next} is gone from room {room}"))?;
                let known = ids.get(&next);
                let is_its_own = known.is_none_or(|known| **known == *format!("id-{text}"));
                ensure(texts.insert(text), || format!("room {room} says the same twice"))?;
                ensure(is_its_own, || format!("{known:?} is known as {next} in room {room}"))?;
                next += 1;
            }
        }
        self.check_ids(room, &ids)
    }

    /// What was answered can be repeated, also where it is not kept any more.
    fn check_ids(&self, room: u64, ids: &BTreeMap<u64, Box<str>>) -> Check {
        if ENDS_AT <= self.bench.now {
            return ensure(ids.is_empty(), || format!("ids stay in room {room}"));
        }
        let mut answered = self.model.answered.range((room, 0)..(room + 1, 0));
        let lost = answered.find(|((_, offset), (text, _))| {
            ids.get(offset).is_none_or(|known| **known != *format!("id-{text}"))
        });
        ensure(lost.is_none(), || format!("the id is forgotten of room {room}: {lost:?}"))
    }

    /// Every message that is kept or was let go waits, is delivered, or is dead, unless
    /// dead letters are let go, too.
    fn check_waiting(&mut self, room: u64) -> Check {
        let Some(opened) = self.bench.opened_or(id(room))? else { return Ok(()) };
        let key = key::named(id(room), READERS[0]);
        let held =
            self.bench.engine.channels.markers_at(&key).map_err(|fault| format!("{fault:?}"))?;
        let delivered = held.unwrap_or_default().delivered;
        let mut found = BTreeMap::new();
        for (space, name) in [(StoreKeyspace::Pending, "waits"), (StoreKeyspace::Dead, "is dead")] {
            let range = key::pending_of(BOB, id(room), 0, u64::MAX);
            let scan = self.bench.engine.channels.staged().disk().scan(
                space,
                &range,
                ReadOrder::OldestFirst,
                &mut |key, _| {
                    found
                        .entry(key::pending_from(key).unwrap().2)
                        .or_insert_with(Vec::new)
                        .push(name);
                    ControlFlow::Continue(())
                },
            );
            scan.map_err(|fault| format!("{fault:?}"))?;
        }
        for offset in 1..=opened.head {
            let places = found.remove(&offset).unwrap_or_default();
            let is_dead = places == ["is dead"];
            // Of a dead one nobody says any more whether it was delivered since.
            let is_right = match offset <= delivered {
                true => places.is_empty() || is_dead,
                // Where little is kept, little is kept of dead letters, too.
                false if places.is_empty() => channel(room).starts_with("few"),
                false => places == ["waits"] || is_dead,
            };
            ensure(is_right, || {
                format!("message {offset} of room {room}, delivered {delivered}: {places:?}")
            })?;
            let is_dead_letter = self.model.dead_lettered.contains(&(room, offset));
            ensure(!is_dead_letter || places != ["waits"], || {
                format!("{offset} of {room} is back")
            })?;
        }
        ensure(found.is_empty(), || format!("room {room} waits for what was never said"))
    }

    /// With time, nothing waits any more.
    fn ends(mut self) -> Check {
        self.bench.now = ENDS_AT.max(self.bench.now + 2_000_000);
        self.bench.pass(3_000);
        let mut waiting = 0;
        let scan = self.bench.engine.channels.staged().disk().scan(
            StoreKeyspace::Pending,
            &key::rest(&[]),
            ReadOrder::OldestFirst,
            &mut |_, _| {
                waiting += 1;
                ControlFlow::Continue(())
            },
        );
        scan.map_err(|fault| format!("{fault:?}"))?;
        ensure(waiting == 0, || format!("{waiting} messages wait for ever"))?;
        self.check()
    }
}

impl<D: Disk> Bench<D> {
    fn opened_or(&mut self, room: RoomId) -> Result<Option<Box<OpenedChannel>>, String> {
        match self.ask(StoreOp::Open(OpenChannel { ids_since_unix_ms: 0, ..open(room) })) {
            StoreResult::Opened(opened, _) => Ok(opened),
            other => Err(format!("{room:?} does not open: {other:?}")),
        }
    }
}

#[test]
fn what_was_answered_is_there_after_any_crash() {
    for seed in 0..SEEDS {
        if let Err(what) = World::new(seed, Lie::None).run() {
            panic!("seed {seed}: {what}");
        }
    }
}

#[test]
fn a_disk_that_lies_is_found_out() {
    for (lie, signs) in [
        (Lie::Sync, &["is gone", "marks went back", "is back"][..]),
        (Lie::Messages, &["has no message", "does not open", "is gone"]),
        (Lie::Twice, &["was never given", "gave", "says the same twice"]),
        (Lie::Markers, &["marks went back", "delivered"]),
        (Lie::Removals, &["[\"waits", "wait for ever", "is back"]),
        (Lie::Waiting, &[": []"]),
        (Lie::Ids, &["the id is forgotten"]),
    ] {
        let found: Vec<String> =
            (0..SEEDS / 2).filter_map(|seed| World::new(seed, lie).run().err()).collect();
        assert!(SEEDS / 4 <= found.len() as u64, "{lie:?}: {found:?}");
        assert!(
            found.iter().all(|what| signs.iter().any(|sign| what.contains(sign))),
            "{lie:?}: {found:#?}"
        );
    }
}
