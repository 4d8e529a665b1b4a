//! How a worker goes through the stages of a run together with the others.

use std::mem;
use std::sync::Arc;

use super::Worker;
use crate::engine::peer::{Peer, State};
use crate::loads::{Driver, Part};
use crate::loads::{SharedProgress, Shown, Stage};
use crate::scenario::Load;

impl Worker {
    /// Whether a new one has begun.
    pub(super) fn follow_stage(&mut self, now_ns: u64) -> bool {
        let (stage, began_ns) = self.setup.shared_progress.stage();
        if stage == self.stage {
            return false;
        }
        if !self.has_ended_stage {
            self.stages += 1;
        }
        self.stage = stage;
        self.has_ended_stage = false;
        match stage {
            Stage::Ramp | Stage::Prove | Stage::Over => {}
            Stage::Measure => {
                self.driver = Driver::begin(self.part(), began_ns);
            }
            Stage::Drop => {
                self.found.calm = mem::take(&mut self.found.latency);
                for peer in 0..self.peers.len() as u32 {
                    if self.peers[peer as usize].state == State::Live && !self.stays(peer) {
                        self.leave(peer);
                    }
                }
            }
            Stage::Talk | Stage::Return => {
                let absent = |one: &Peer| one.state == State::Absent;
                let back = (0..self.peers.len() as u32).filter(|peer| {
                    absent(&self.peers[*peer as usize])
                        && (stage == Stage::Return || self.is_publisher(*peer))
                });
                self.to_dial = back.collect();
                if stage == Stage::Return {
                    self.driver = Driver::begin_return(self.part(), began_ns);
                }
            }
        }
        self.last_ns = now_ns;
        true
    }

    fn part(&self) -> Part<'_> {
        Part { scenario: &self.setup.scenario, thread: self.setup.thread }
    }

    fn is_settled(&self) -> bool {
        self.to_dial.is_empty() && self.retry.is_empty() && self.handshakes == 0
    }

    pub(super) fn end_turn(&mut self, now_ns: u64) {
        let shared_progress = Arc::clone(&self.setup.shared_progress);
        let tally = &self.found.tally;
        let is_silent = self.stage == Stage::Measure && self.driver.is_silent(now_ns);
        let steps =
            tally.published + tally.accepted + tally.failed + tally.died + tally.turned_away;
        let mut shown = Shown {
            progress: steps + u64::from(self.live) + tally.delivered + tally.answered,
            live: u64::from(self.live),
            delivered: tally.delivered,
            answered: tally.answered,
            recovered: tally.recovered,
            watermark: u64::MAX,
            is_silent,
            is_back: self.stage == Stage::Return && self.is_settled(),
            last_ns: self.last_ns,
        };
        self.driver.show(&mut shown);
        shared_progress.show(self.setup.thread, shown);
        if !self.has_ended_stage && self.is_stage_over(&shared_progress) {
            self.has_ended_stage = true;
            self.stages += 1;
            shared_progress.end_stage(self.setup.thread, self.stages);
        }
    }

    fn is_stage_over(&self, shared_progress: &SharedProgress) -> bool {
        let tally = &self.found.tally;
        let is_settled = self.is_settled();
        match self.stage {
            Stage::Ramp => is_settled,
            Stage::Measure => {
                is_settled
                    && shared_progress.shown().is_silent
                    && tally.accepted == tally.published
                    && self.expected() <= tally.delivered
                    && u64::from(self.live) + tally.died + tally.failed >= tally.wanted
            }
            Stage::Drop => (0..self.peers.len() as u32)
                .all(|peer| self.peers[peer as usize].state == State::Absent || self.stays(peer)),
            Stage::Talk => {
                is_settled && {
                    let stayed = (0..self.peers.len() as u32).filter(|peer| self.stays(*peer));
                    let talkers = u64::from(self.live).saturating_sub(stayed.count() as u64);
                    self.talked == talkers * self.missed()
                        && tally.accepted == tally.published
                        && tally.published <= tally.delivered
                }
            }
            Stage::Return => {
                shared_progress.shown().is_back
                    && self.driver.is_silent(self.setup.clock.ns())
                    && tally.accepted == tally.published
                    && (self.expected() <= tally.delivered || 0 < tally.unrecovered)
            }
            Stage::Prove => self.to_prove as usize == self.peers.len() && self.proving == 0,
            Stage::Over => true,
        }
    }

    fn missed(&self) -> u64 {
        match self.setup.scenario.load {
            Load::Storm { missed, .. } => u64::from(missed),
            Load::Connect { .. } | Load::Echo { .. } | Load::Fanout { .. } | Load::Soak { .. } => 0,
        }
    }

    /// Deliveries that must come: all that was published into a room, for each
    /// of its members here.
    fn expected(&self) -> u64 {
        let scenario = &self.setup.scenario;
        let range = scenario.of_thread(self.setup.thread);
        let rooms = range.filter_map(|connection| scenario.hears(connection));
        rooms.map(|room| self.setup.shared_progress.published(room)).sum()
    }

    pub(super) fn count_expected(&mut self) {
        self.found.tally.expected = self.expected();
    }
}
