//! The core of the bridge, which `io` calls: inputs lead to records that are written, and to
//! outputs.
//!
//! The outputs of a call are carried out when its records are on the disk, or when the disk has
//! failed: a reply says which.
//!
//! The state is in parts, each in a file of its own: pending alerts and messages (`queue`), robots
//! (`senders`), what was sent (`notification_log`), refused alerts (`refused`), unacknowledged
//! groups (`escalation`), the other bridge (`pair`), the watchdog and actions. Decisions that need
//! several of them are functions over `parts`: `intake`, `dispatch`, `answers`, `blame`,
//! `acknowledge` and `peer`.
//!
//! Invariants: a chat queue has one message at a time; a robot has one message at a time; an alert
//! that was accepted is sent, dropped with a count, or still here.
//!
//! Deliberately absent: clocks, files and sockets.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod acknowledge;
mod actions;
pub mod answer;
mod answers;
mod blame;
mod call;
pub mod counts;
mod dispatch;
mod escalation;
pub mod inhibited;
mod input;
mod intake;
mod known;
mod notification_log;
mod output;
pub mod pair;
mod pair_messages;
mod parts;
mod peer;
pub mod questions;
mod queue;
pub mod record;
mod refused;
mod sender;
mod senders;
mod sending;
pub mod stats;
#[cfg(test)]
mod tests;
mod watchdog;

use std::sync::Arc;

use self::call::Call;
use self::counts::Count;
use self::parts::{GivenUp, Parts, give_up};
use self::record::JournalRecord;
use self::stats::BridgeStats;
use crate::alert::message::BridgeSettings;
use crate::base::{MonotonicMs, Timestamps};

pub use self::input::{CoreInput, RefusedDecision, ReplyId};
pub use self::output::{ActionRun, ActionState, BridgeWarning, CoreOutput, CoreReply, SendRequest};
pub use self::pair_messages::{PairAnswer, PairQuestion};

/// Time between two prunings, in ms.
const PRUNE_MS: u64 = 60_000;

/// See the module.
#[derive(Debug)]
pub struct Core {
    settings: Arc<BridgeSettings>,
    parts: Parts,
    is_stopping: bool,
    prune_at: MonotonicMs,
}

impl Core {
    /// A bridge, restored from the records of the last run. `out` gets the changes.
    pub fn load(
        now: Timestamps,
        settings: Arc<BridgeSettings>,
        records: Vec<JournalRecord>,
        out: &mut Vec<CoreOutput>,
    ) -> Core {
        let call = &mut Call::new(now, &settings, out);
        let mut parts = Parts::load(records, call);
        parts.queue.resume(call);
        parts.queue.reroute(call);
        let prune_at = now.tick.plus_ms(PRUNE_MS);
        Core { settings, parts, is_stopping: false, prune_at }
    }

    /// Handles an input; the outputs go to `out`.
    pub fn handle(&mut self, now: Timestamps, input: CoreInput, out: &mut Vec<CoreOutput>) {
        if let CoreInput::Changed(settings) = &input {
            self.settings = Arc::clone(settings);
        }
        let settings = Arc::clone(&self.settings);
        let call = &mut Call::new(now, &settings, out);
        self.take(input, call);
        if let Some(change) = self.parts.watchdog.watch(call) {
            self.parts.counts.add(Count::Silent, 1);
            intake::watchdog_changed(&mut self.parts, change, call);
        }
        self.prune(call);
        if !self.is_stopping {
            dispatch::dispatch(&mut self.parts, call);
        }
    }

    fn take(&mut self, input: CoreInput, call: &mut Call<'_>) {
        let parts = &mut self.parts;
        match input {
            CoreInput::Notified { reply_id, route, payload } => {
                let reply = intake::notified(parts, &route, &payload, call);
                call.push(CoreOutput::Reply(reply_id, reply));
            }
            CoreInput::Beat(reply_id) => {
                if let Some(change) = parts.watchdog.beat(call) {
                    intake::watchdog_changed(parts, change, call);
                }
                call.push(CoreOutput::Reply(reply_id, CoreReply::Kept));
            }
            CoreInput::Found(id, snapshots) => dispatch::found(parts, id, &snapshots, call),
            CoreInput::Answered { message, robot, answer } => {
                answers::answered(parts, message, &robot, answer, call);
            }
            CoreInput::Decided { reply_id, id, decision } => {
                let is_there = blame::decide(parts, id, decision, call);
                let reply = if is_there { CoreReply::Kept } else { CoreReply::Unknown };
                call.push(CoreOutput::Reply(reply_id, reply));
            }
            CoreInput::Acknowledged { reply_id, route, group_key, who } => {
                let is_done = acknowledge::acknowledge(parts, &route, &group_key, &who, call);
                let reply = if is_done { CoreReply::Kept } else { CoreReply::Unknown };
                call.push(CoreOutput::Reply(reply_id, reply));
            }
            CoreInput::PairAsked(reply_id, question) => {
                let answer = Box::new(peer::answer(parts, question, call));
                call.push(CoreOutput::Reply(reply_id, CoreReply::Pair(answer)));
            }
            CoreInput::PairHeard(answer) => {
                peer::on_answer(parts, answer.map(|answer| *answer), call)
            }
            CoreInput::Inhibited(alerts) => {
                let outlive_ms = call.options().outlive_s * 1_000;
                parts.inhibited.note(call.now().unix_ms, outlive_ms, alerts);
            }
            CoreInput::Happened(count) => parts.counts.add(count, 1),
            CoreInput::Changed(_) => {
                parts.senders.change(call);
                parts.queue.reroute(call);
            }
            CoreInput::Woken => {}
            CoreInput::Stopping => self.is_stopping = true,
        }
    }

    /// Whether no robot is sending a message.
    pub fn is_quiet(&self) -> bool {
        self.parts.queue.is_quiet()
    }

    /// The time until the next call without an input, in ms.
    pub fn idle_ms(&self, now: Timestamps) -> u64 {
        let parts = &self.parts;
        let mut idle_ms = PRUNE_MS;
        let waits =
            parts.queue.waits() || parts.refused.has_unnotified() || !parts.escalations.is_empty();
        if waits {
            // A fallback becomes due although no robot becomes ready.
            idle_ms = parts.senders.ready_in_ms(now.unix_ms).unwrap_or(1_000).min(1_000);
        }
        let alarm_in_ms = parts.watchdog.alarm_in_ms(now, self.settings.options.deadman_s);
        idle_ms.min(alarm_in_ms.unwrap_or(u64::MAX)).max(1)
    }

    /// All records that the journal needs to restore the bridge.
    pub fn records(&self) -> Vec<JournalRecord> {
        self.parts.records()
    }

    /// The values for `/metrics`; the caller adds those of the disk and of reloads.
    pub fn stats(&self, now: Timestamps) -> BridgeStats {
        let (options, parts) = (&self.settings.options, &self.parts);
        let (depth, oldest_ms) = parts.queue.depth();
        let mut robots = options.robots.iter();
        BridgeStats {
            counts: parts.counts.clone(),
            depth,
            oldest_ms,
            robots: parts.senders.stats(now.unix_ms),
            refused: parts.refused.all(),
            watchdog_ms: parts.watchdog.last_beat_ms(),
            tells: robots.any(|robot| parts.pair.may_send(now, options, &robot.chat)),
            chats: parts.senders.chats_reached(now, options),
            unacknowledged: parts.escalations.len() as u64,
            question: parts.pair.question(),
            ..BridgeStats::default()
        }
    }

    /// Removes state that is over, and drops alerts that are too old.
    fn prune(&mut self, call: &mut Call<'_>) {
        if call.now().tick < self.prune_at {
            return;
        }
        self.prune_at = call.now().tick.plus_ms(PRUNE_MS);
        let parts = &mut self.parts;
        parts.refused.prune(call);
        parts.notification_log.prune(call);
        for (chat_queue, count) in parts.queue.expire(call.options().age_s_max * 1_000, call) {
            give_up(parts, &chat_queue, count, GivenUp::Expired, call);
        }
    }
}
