//! Runs that are made when a seed says so, fail, and are merged.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{Prng, RoomId};
use crate::runs::EntryKey;
use crate::store::disk::DiskError;
use crate::store::layered_messages::ChannelFloor;
use crate::store::log_activity::RunsActivity;
use crate::store::message_layer::MessageLayer;
use crate::store::message_runs::{MessageRuns, RunsEvent, SortedCallback, SortedMessage};
use crate::store::messages::ReadOrder;

type Run = (u64, BTreeMap<EntryKey, Vec<u8>>);

/// Runs that are made when the seed says so, and are durable then.
pub struct SimulatedRuns {
    runs: Vec<Run>,
    sorted: u64,
    under_way: Option<Arc<MessageLayer>>,
    has_failed: bool,
    fails: u64,
    is_late: bool,
    prng: Prng,
}

impl SimulatedRuns {
    /// None.
    pub fn new(seed: u64) -> SimulatedRuns {
        SimulatedRuns {
            runs: Vec::new(),
            sorted: 0,
            under_way: None,
            has_failed: false,
            fails: 0,
            is_late: false,
            prng: Prng::from_seed(seed),
        }
    }

    /// Whether nothing is over before somebody waits for it.
    pub fn set_late(&mut self, is_late: bool) {
        self.is_late = is_late;
    }

    /// So many of a hundred fail from now on.
    pub fn set_faults(&mut self, fails: u64) {
        self.fails = fails;
    }

    /// Whoever was at it is gone.
    pub fn crash(&mut self) {
        self.under_way = None;
        self.has_failed = false;
        self.fails = 0;
    }

    fn finish_one(&mut self) -> Option<RunsEvent> {
        if self.has_failed {
            return None;
        }
        let layer = self.under_way.take()?;
        let fails = self.prng.percent(self.fails);
        // Also one that fails may have been made.
        if !fails || self.prng.percent(50) {
            let messages = layer.messages().map(|(key, value)| (key, value.to_vec())).collect();
            self.runs.push((layer.last(), messages));
            self.sorted = layer.last();
        }
        self.has_failed = fails;
        match fails {
            true => Some(RunsEvent::Failed(DiskError::Broken)),
            false => Some(RunsEvent::Sorted(self.sorted)),
        }
    }

    /// Two neighbours become one, without what is gone.
    pub fn merge(
        &mut self,
        applied: u64,
        floor_of: &dyn Fn(RoomId) -> Option<ChannelFloor>,
    ) -> bool {
        let pairs = self.runs.len().saturating_sub(1);
        if pairs == 0 {
            return false;
        }
        let number = self.prng.below(pairs as u64) as usize;
        // What a follower does not know yet may be a channel that is there.
        if applied < self.runs[number + 1].0 {
            return false;
        }
        let (newer_last, newer) = self.runs.remove(number + 1);
        let (older_last, older) = self.runs.remove(number);
        let kept = |run: BTreeMap<EntryKey, Vec<u8>>, last| {
            let is_there = move |key: &EntryKey| {
                floor_of(key.room).is_some_and(|floor| floor.shows(key.offset, last))
            };
            run.into_iter().filter(move |(key, _)| is_there(key))
        };
        let merged = kept(older, older_last).chain(kept(newer, newer_last)).collect();
        self.runs.insert(number, (newer_last, merged));
        true
    }
}

impl MessageRuns for SimulatedRuns {
    fn get(&self, key: EntryKey) -> Result<Option<SortedMessage>, DiskError> {
        let found = self.runs.iter().rev().find_map(|(run_last, run)| {
            Some(SortedMessage { value: run.get(&key)?.clone(), run_last: *run_last })
        });
        Ok(found)
    }

    fn scan(
        &self,
        (low, high): (EntryKey, EntryKey),
        order: ReadOrder,
        on_message: &mut SortedCallback<'_>,
    ) -> Result<(), DiskError> {
        let mut all = BTreeMap::new();
        for (run_last, run) in self.runs.iter().filter(|_| low <= high) {
            all.extend(run.range(low..=high).map(|(key, value)| (*key, (value, *run_last))));
        }
        let mut found: Vec<_> = all.into_iter().collect();
        if order == ReadOrder::NewestFirst {
            found.reverse();
        }
        for (key, (value, run_last)) in found {
            if on_message(key, value, run_last).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn sorted(&self) -> Result<u64, DiskError> {
        Ok(self.sorted)
    }

    fn oldest_last(&self) -> Option<u64> {
        self.runs.first().map(|(last, _)| *last)
    }

    fn sort(&mut self, layer: Arc<MessageLayer>) {
        assert!(self.under_way.replace(layer).is_none());
    }

    fn reclaim(&mut self) {}

    fn dispose(&mut self, _layer: Arc<MessageLayer>) {}

    fn poll(&mut self) -> Option<RunsEvent> {
        if !self.is_late && self.prng.percent(20) { self.finish_one() } else { None }
    }

    fn wait(&mut self) -> Option<RunsEvent> {
        self.finish_one()
    }

    fn reopen(&mut self) -> Result<(), DiskError> {
        self.under_way = None;
        self.has_failed = false;
        Ok(())
    }

    fn used_bytes(&self) -> u64 {
        0
    }

    fn take_activity(&mut self) -> RunsActivity {
        RunsActivity::default()
    }
}
