//! The connections of one shard with their timers: a table in which a connection is found by
//! its slot and its generation, a wheel of deadlines, and how many are in which stage.
//!
//! Invariants: an id finds its own connection or none, never a later one in its slot;
//! `upgrading_count` counts the connections that are `ConnStage::Upgrading`, `open_count` those
//! that are `ConnStage::Open`, by encoding; the wheel holds at least one entry for each
//! connection whose timer is set.
//!
//! Deliberately absent: sockets, what waits for them, and what a timer leads to.

use std::rc::Rc;

use super::conn::{ConnStage, Connection};
use crate::base::limits::TURN_PINGS_MAX;
use crate::base::{ConnId, MonotonicMs, ShardId, Slots, Wheel};
use crate::metrics::{Counter, Gauge, MetricsWriter, Protocol, Tenant};
use crate::session::Session;
use crate::wire::Encoding;

/// How exactly connections keep their deadlines where there are many: more pings than one
/// turn sends are never due at once, and whoever talks does not wait behind them.
const WHEEL_GRANULARITY_MS: u64 = 8;

/// Where there are few, a core would wake for each, so they wait until so many are due
/// together, and this long at most.
const PINGS_TOGETHER: u64 = TURN_PINGS_MAX as u64;
const GRANULE_MS_MAX: u64 = 128;

/// All connections of a shard, in whatever stage.
pub struct Connections {
    table: Slots<Connection>,
    wheel: Wheel<ConnId>,
    /// Timers that were set since the beginning.
    timers_begun: u64,
    upgrading_count: u32,
    /// By encoding.
    open_count: [u64; 2],
    ping_interval_ms: u64,
    /// Shards that share a core fire their timers at different times.
    shard: ShardId,
    shards_count: u16,
    metrics: Rc<MetricsWriter>,
}

/// How far a scan through all connections has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Slots below were looked at.
    slot: u32,
}

impl Cursor {
    /// Whether everything before `end` was looked at.
    pub fn is_at(self, end: u32) -> bool {
        self.slot == end
    }
}

impl Connections {
    /// Nobody has come yet. `shard` is one of `shards_count`.
    pub fn new(
        now: MonotonicMs,
        (shard, shards_count): (ShardId, u16),
        ping_interval_ms: u64,
        metrics: Rc<MetricsWriter>,
    ) -> Connections {
        Connections {
            table: Slots::default(),
            wheel: Wheel::new(now, WHEEL_GRANULARITY_MS, 0),
            timers_begun: 0,
            upgrading_count: 0,
            open_count: [0; 2],
            ping_interval_ms,
            shard,
            shards_count,
            metrics,
        }
    }

    /// The connection, unless it is a later one in the same slot.
    pub fn get(&self, id: ConnId) -> Option<&Connection> {
        self.table.at(id.slot).filter(|conn| conn.generation() == id.generation)
    }

    /// The same, to change.
    #[inline]
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        self.table.at_mut(id.slot).filter(|conn| conn.generation() == id.generation)
    }

    /// The connection of a subscriber: subscribers are removed before their connection, so a slot
    /// is enough to find it.
    pub fn subscriber(&self, slot: u32) -> Option<(ConnId, &Connection)> {
        let conn = self.table.at(slot)?;
        Some((ConnId { slot, generation: conn.generation() }, conn))
    }

    /// The same, to change.
    #[inline]
    pub fn subscriber_mut(&mut self, slot: u32) -> Option<(ConnId, &mut Connection)> {
        let conn = self.table.at_mut(slot)?;
        Some((ConnId { slot, generation: conn.generation() }, conn))
    }

    /// The session of a connection that is open.
    pub fn session(&self, id: ConnId) -> Option<&Session> {
        match self.get(id)?.stage() {
            ConnStage::Open(_, session) => Some(session),
            ConnStage::Upgrading(_) | ConnStage::Closing(_) | ConnStage::Shut => None,
        }
    }

    /// As whose a connection is counted.
    pub fn tenant_of(&self, id: ConnId) -> Option<Tenant> {
        self.session(id)?.counted_as()
    }

    /// A socket came.
    pub fn accept(&mut self, now: MonotonicMs, id: ConnId) {
        let previous = self.table.insert(id.slot, Connection::accepted(id, now));
        assert!(previous.is_none(), "the `Io` reused a live connection");
        self.upgrading_count += 1;
    }

    /// A socket is gone.
    pub fn remove(&mut self, id: ConnId) -> Option<Connection> {
        self.get(id)?;
        self.table.remove(id.slot)
    }

    /// One upgrade less is under way.
    pub fn end_upgrade(&mut self) {
        assert!(0 < self.upgrading_count, "an upgrade ends once");
        self.upgrading_count -= 1;
    }

    /// One more is open.
    pub fn opened(&mut self, encoding: Encoding) {
        self.open_count[encoding.index()] += 1;
        self.metrics.add(Counter::Opened(protocol(encoding)), 1);
        self.show_open(encoding);
    }

    /// One less is open.
    pub fn closed(&mut self, encoding: Encoding) {
        assert!(0 < self.open_count[encoding.index()], "a session ends once");
        self.open_count[encoding.index()] -= 1;
        self.show_open(encoding);
    }

    fn show_open(&self, encoding: Encoding) {
        let count = self.open_count[encoding.index()];
        self.metrics.set(Gauge::Connections(protocol(encoding)), count);
    }

    /// How many there are, in whatever stage.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How many are not upgraded yet.
    pub fn upgrading_count(&self) -> u32 {
        self.upgrading_count
    }

    /// How many are open, by encoding.
    pub fn open_count(&self) -> [u64; 2] {
        self.open_count
    }

    /// Timers that have not fired.
    pub fn timers_len(&self) -> usize {
        self.wheel.len()
    }

    /// Timers that were set since the beginning.
    pub fn timers_begun(&self) -> u64 {
        self.timers_begun
    }

    /// Lets a connection's timer fire at `at` or before.
    pub fn wake(&mut self, now: MonotonicMs, id: ConnId, at: MonotonicMs) {
        if let Some(conn) = self.get_mut(id)
            && let Some(at) = conn.wake(now, at)
        {
            self.timers_begun += 1;
            let deadline = self.together(at);
            self.wheel.set(deadline, id);
        }
    }

    /// When what is due at `at` happens, together with what is due at about the same time.
    /// Shards that share a core take turns within that time.
    fn together(&self, at: MonotonicMs) -> MonotonicMs {
        let interval_ms = self.ping_interval_ms.max(1);
        let pings_per_granule =
            |granule_ms: u64| self.table.len() as u64 * granule_ms / interval_ms;
        let mut granule_ms = GRANULE_MS_MAX;
        while WHEEL_GRANULARITY_MS < granule_ms && PINGS_TOGETHER < pings_per_granule(granule_ms) {
            granule_ms /= 2;
        }
        let phase_ms = granule_ms * u64::from(self.shard.0) / u64::from(self.shards_count);
        let granule = at.plus_ms(phase_ms).0.div_ceil(granule_ms);
        MonotonicMs((granule * granule_ms).saturating_sub(phase_ms)).max(at)
    }

    /// When the next timer is due.
    pub fn first_due(&self) -> Option<MonotonicMs> {
        self.wheel.next()
    }

    /// Names connections whose timers are due, at most so many timers. Returns how many.
    pub fn due(&mut self, now: MonotonicMs, max: usize, ids: &mut Vec<ConnId>) -> usize {
        self.wheel.turn(now, max, |id| ids.push(id))
    }

    /// A timer of a connection is due. Returns the connection, unless an earlier timer took
    /// over from this one.
    pub fn fire(&mut self, now: MonotonicMs, id: ConnId) -> Option<&mut Connection> {
        let conn = self.get_mut(id)?;
        conn.fire(now).then_some(conn)
    }

    /// One behind the highest slot.
    pub fn span(&self) -> u32 {
        self.table.span()
    }

    /// Where a step of a scan ends that looks at so many slots.
    pub fn end_of_step(&self, cursor: Cursor, slots_count: u32) -> u32 {
        self.span().min(cursor.slot.saturating_add(slots_count))
    }

    /// The next connection of a scan, before `end`; without one the cursor is at `end`.
    pub fn next(&self, cursor: &mut Cursor, end: u32) -> Option<(ConnId, &Connection)> {
        while cursor.slot < end {
            let slot = cursor.slot;
            cursor.slot += 1;
            if let Some(found) = self.subscriber(slot) {
                return Some(found);
            }
        }
        None
    }

    /// All connections, for tests and the simulator.
    pub fn iter(&self) -> impl Iterator<Item = (ConnId, &Connection)> {
        self.table.iter().map(|(slot, conn)| (ConnId { slot, generation: conn.generation() }, conn))
    }
}

/// The label of an encoding.
pub fn protocol(encoding: Encoding) -> Protocol {
    match encoding {
        Encoding::Json => Protocol::Json,
        Encoding::Protobuf => Protocol::Protobuf,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;
    use crate::metrics::Cells;

    fn connections() -> Connections {
        let metrics = Rc::new(Cells::new().claim());
        Connections::new(MonotonicMs(0), (ShardId(0), 1), 25_000, metrics)
    }

    /// A list of ids with the deadlines of their timers beside the table.
    #[test]
    fn an_id_finds_its_own_connection_or_none() {
        let (mut connections, mut prng) = (connections(), Prng::from_seed(5));
        let mut model: Vec<(ConnId, Option<MonotonicMs>)> = Vec::new();
        let (mut generations, mut gone) = ([0u32; 600], Vec::new());
        let mut now = MonotonicMs(0);
        for _ in 0..6_000 {
            now = now.plus_ms(prng.below(20));
            let slot = prng.below(600) as u32;
            let at = model.iter().position(|(id, _)| id.slot == slot);
            match at {
                None => {
                    let id = ConnId { slot, generation: generations[slot as usize] };
                    connections.accept(now, id);
                    model.push((id, None));
                }
                Some(at) if prng.percent(50) => {
                    let (id, _) = model.swap_remove(at);
                    assert!(connections.remove(id).is_some());
                    generations[slot as usize] += 1;
                    gone.push(id);
                }
                Some(at) => {
                    let (id, wakes_at) = &mut model[at];
                    let wanted = now.plus_ms(1 + prng.below(5_000));
                    connections.wake(now, *id, wanted);
                    *wakes_at = Some(wakes_at.map_or(wanted, |other| other.min(wanted)));
                }
            }
            let mut ids = Vec::new();
            while 0 < connections.due(now, 10, &mut ids) {}
            for id in ids {
                if let Some(conn) = connections.fire(now, id) {
                    assert_eq!(conn.generation(), id.generation);
                    let (_, wakes_at) = model.iter_mut().find(|one| one.0 == id).unwrap();
                    assert!(wakes_at.take().is_some_and(|at| at <= now), "it is due");
                }
            }
            assert_eq!(connections.len(), model.len());
            assert!(model.iter().all(|&(id, _)| connections.get(id).is_some()));
            assert!(gone.iter().rev().take(50).all(|&id| connections.get(id).is_none()));
        }
        let is_in_time = |at: MonotonicMs| now <= at.plus_ms(GRANULE_MS_MAX + WHEEL_GRANULARITY_MS);
        assert!(model.iter().all(|&(_, wakes_at)| wakes_at.is_none_or(is_in_time)));
    }

    /// What stays from the beginning to the end of a scan is seen once, whoever comes and goes.
    #[test]
    fn a_scan_sees_everybody_who_stays_once() {
        for seed in 0..20 {
            let (mut connections, mut prng) = (connections(), Prng::from_seed(seed));
            let id = |slot| ConnId { slot, generation: 0 };
            let staying: Vec<u32> = (0..2_000).filter(|_| prng.percent(30)).collect();
            let mut passing: Vec<u32> = (0..2_000).filter(|slot| !staying.contains(slot)).collect();
            let all = staying.iter().chain(&passing);
            all.for_each(|&slot| connections.accept(MonotonicMs(0), id(slot)));
            let (mut cursor, mut seen) = (Cursor::default(), Vec::new());
            loop {
                let end = connections.end_of_step(cursor, 1 + prng.below(300) as u32);
                while let Some((id, _)) = connections.next(&mut cursor, end) {
                    seen.push(id.slot);
                }
                if connections.span() <= end {
                    break;
                }
                assert!(cursor.is_at(end));
                for _ in 0..prng.below(100).min(passing.len() as u64) {
                    let slot = passing.swap_remove(prng.below(passing.len() as u64) as usize);
                    assert!(connections.remove(id(slot)).is_some());
                }
            }
            seen.retain(|slot| staying.contains(slot));
            assert_eq!(seen, staying, "seed {seed}");
        }
    }
}
