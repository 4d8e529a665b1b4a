//! The parts of a bridge, together: what those functions take that need several of them.
//!
//! Deliberately absent: decisions. Each part decides about its own.

use std::collections::BTreeMap;

use super::actions::Actions;
use super::call::Call;
use super::counts::{Count, Counts};
use super::escalation::Escalations;
use super::history::History;
use super::outlive::InhibitedAlerts;
use super::output::Trouble;
use super::pair::Pair;
use super::queue::AlertQueue;
use super::record::{Key, Record, Value};
use super::refused::RefusedList;
use super::senders::Senders;
use super::watchdog::Watchdog;
use crate::alert::model::pending::Lane;
use crate::alert::options::Channel;

/// See the module.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) queue: AlertQueue,
    pub(super) senders: Senders,
    pub(super) history: History,
    pub(super) refused: RefusedList,
    pub(super) escalations: Escalations,
    pub(super) pair: Pair,
    pub(super) watchdog: Watchdog,
    pub(super) actions: Actions,
    pub(super) inhibited: InhibitedAlerts,
    pub(super) counts: Counts,
}

/// Why nobody will be told of alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// Too much was waiting.
    Dropped,
    /// They were too old.
    Expired,
}

impl Parts {
    /// A bridge as it was left.
    pub(super) fn load(records: Vec<Record>, call: &mut Call<'_>) -> Parts {
        let mut parts = Parts {
            queue: AlertQueue::new(call.now.unix_ms.saturating_mul(1_000)),
            senders: Senders::default(),
            history: History::default(),
            refused: RefusedList::default(),
            escalations: Escalations::default(),
            pair: Pair::new(call.now),
            watchdog: Watchdog::new(call.now),
            actions: Actions::default(),
            inhibited: InhibitedAlerts::default(),
            counts: Counts::default(),
        };
        let mut robots = BTreeMap::new();
        for record in records {
            match (record.key, record.value) {
                (Key::Robot(name), Some(Value::Robot(times))) => {
                    robots.insert(name, times);
                }
                (key, value) => parts.restore(key, value),
            }
        }
        parts.senders = Senders::load(robots, call);
        parts
    }

    /// Gives one record to the part that wrote it.
    fn restore(&mut self, key: Key, value: Option<Value>) {
        match (key, value) {
            (Key::Pending(lane), Some(Value::Pending(pending))) => {
                self.queue.restore_pending(lane, pending);
            }
            (Key::Message(id), Some(Value::Message(sending))) => {
                self.queue.restore_message(id, sending);
            }
            (Key::Told(lane), Some(Value::Told(told))) => self.history.restore(lane, told),
            (Key::Action(name), Some(Value::Action(at_ms))) => self.actions.restore(name, at_ms),
            (Key::Refused(id), Some(Value::Refused(refused))) => {
                self.queue.pass_id(id);
                self.refused.restore(id, *refused);
            }
            (Key::Unacknowledged(key), Some(Value::Unacknowledged(group))) => {
                self.escalations.restore(key, *group);
            }
            (Key::Deadman, Some(Value::Deadman(since_ms))) => self.watchdog.restore(since_ms),
            // A value of another kind than its key is nothing that was written here.
            (
                Key::Pending(_)
                | Key::Message(_)
                | Key::Told(_)
                | Key::Robot(_)
                | Key::Action(_)
                | Key::Deadman
                | Key::Refused(_)
                | Key::Unacknowledged(_),
                Some(_) | None,
            ) => {}
        }
    }

    /// Everything that is kept, as the queue's file would have it.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut all = Vec::new();
        self.queue.records(&mut all);
        self.history.records(&mut all);
        self.senders.records(&mut all);
        self.actions.records(&mut all);
        self.watchdog.records(&mut all);
        self.escalations.records(&mut all);
        self.refused.records(&mut all);
        all
    }

    /// Counts what nobody will be told, and says so.
    pub(super) fn give_up(&mut self, lane: &Lane, count: usize, why: GivenUp, call: &mut Call<'_>) {
        let channel = call.options().channel(&lane.chat).unwrap_or_default();
        let count = count as u64;
        self.counts.add(why.count(channel), count);
        let why = why.words();
        call.tell(Trouble::GivenUp { chat: lane.chat.clone(), count, why });
    }
}

impl GivenUp {
    fn count(self, channel: Channel) -> Count {
        match self {
            GivenUp::Dropped => Count::Dropped(channel),
            GivenUp::Expired => Count::Expired(channel),
        }
    }

    fn words(self) -> &'static str {
        match self {
            GivenUp::Dropped => "too much was waiting",
            GivenUp::Expired => "they were too old",
        }
    }
}
