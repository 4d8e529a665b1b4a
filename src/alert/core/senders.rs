//! All robots, and the choice among those that may send (when one may says `sender`).
//!
//! Invariant: a robot has one message at a time.
//!
//! Deliberately absent: messages (`queue`), and the rate limit of one robot (`sender`).

use std::collections::{BTreeMap, BTreeSet};

use super::answer::SendOutcome;
use super::call::Call;
use super::output::BridgeWarning;
use super::record::{JournalRecord, RecordKey, RecordValue};
use super::sender::{SavedSender, SenderState};
use super::stats::RobotStats;
use crate::alert::options::{Options, Robot};
use crate::base::{MonotonicMs, Timestamps};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Senders {
    all: Vec<SenderState>,
}

/// The period in which no robot of a chat was reached, until the last attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChatFailure {
    pub(super) since: MonotonicMs,
    pub(super) last: MonotonicMs,
}

impl Senders {
    /// The robots with their saved states. States of other robots are removed.
    pub(super) fn load(mut kept: BTreeMap<String, SavedSender>, call: &mut Call<'_>) -> Senders {
        let robot = |robot: &Robot| {
            let kept = kept.remove(&robot.name).unwrap_or_default();
            SenderState::new(robot.clone(), kept)
        };
        let all = call.options().robots.iter().map(robot).collect();
        for name in kept.into_keys() {
            call.forget(RecordKey::Robot(name));
        }
        Senders { all }
    }

    /// Takes new settings.
    pub(super) fn change(&mut self, call: &mut Call<'_>) {
        let mut before = std::mem::take(&mut self.all);
        for robot in &call.options().robots {
            let same = before.iter().position(|sender| sender.name() == robot.name);
            let sender = match same.map(|index| before.swap_remove(index)) {
                Some(mut sender) => {
                    sender.change(robot.clone());
                    sender
                }
                None => SenderState::new(robot.clone(), SavedSender::default()),
            };
            self.all.push(sender);
        }
        for gone in before {
            call.forget(RecordKey::Robot(gone.name().to_owned()));
        }
    }

    /// Appends all records that the journal needs to restore this part.
    pub(super) fn records(&self, all: &mut Vec<JournalRecord>) {
        let record = |sender: &SenderState| JournalRecord {
            key: RecordKey::Robot(sender.name().to_owned()),
            value: Some(RecordValue::Robot(sender.kept().clone())),
        };
        all.extend(self.all.iter().map(record));
    }

    /// The values for `/metrics`.
    pub(super) fn stats(&self, now_ms: u64) -> Vec<RobotStats> {
        let robot = |sender: &SenderState| RobotStats {
            name: sender.name().to_owned(),
            channel: sender.robot().channel.word(),
            rests: sender.rests_until_ms() > now_ms,
            rejects: sender.is_broken(),
        };
        self.all.iter().map(robot).collect()
    }

    /// Removes times in the future, which a clock that was set back has left.
    pub(super) fn settle(&mut self, now_ms: u64) {
        self.all.iter_mut().for_each(|sender| sender.settle(now_ms));
    }

    /// Whether any robot can take a message now.
    pub(super) fn is_any_ready(&self, now_ms: u64) -> bool {
        self.all.iter().any(|sender| sender.is_ready(now_ms))
    }

    /// The time until the next idle robot may send, in ms; `None` when there is none.
    pub(super) fn ready_in_ms(&self, now_ms: u64) -> Option<u64> {
        let free = self.all.iter().filter(|sender| !sender.is_busy());
        let ahead = free.map(|sender| sender.ready_ms().saturating_sub(now_ms));
        ahead.filter(|&ms| ms > 0).min()
    }

    /// The robot that takes a group of a chat: the same as before, if it is ready.
    pub(super) fn ready(&self, chat: &str, group_key: &str, now_ms: u64) -> Option<usize> {
        let robots: Vec<usize> =
            (0..self.all.len()).filter(|&index| self.all[index].robot().chat == chat).collect();
        if robots.is_empty() {
            return None;
        }
        let first = xxhash_rust::xxh3::xxh3_64(group_key.as_bytes()) as usize % robots.len();
        let in_turn = robots.iter().cycle().skip(first).take(robots.len());
        in_turn.copied().find(|&index| self.all[index].is_ready(now_ms))
    }

    /// The robot of this name, if it is ready; another one of its chat while it is paused.
    pub(super) fn ready_or_other(
        &self,
        name: &str,
        chat: &str,
        group_key: &str,
        now_ms: u64,
    ) -> Option<usize> {
        match self.index(name) {
            Some(index) if self.all[index].rests_until_ms() <= now_ms => {
                Some(index).filter(|&index| self.all[index].is_ready(now_ms))
            }
            Some(_) | None => self.ready(chat, group_key, now_ms),
        }
    }

    /// The shortest remaining pause among the robots of a chat, in ms.
    pub(super) fn rests_ms(&self, chat: &str, now_ms: u64) -> u64 {
        let robots = self.all.iter().filter(|sender| sender.robot().chat == chat);
        let rests_ms = robots.map(|sender| sender.rests_until_ms().saturating_sub(now_ms));
        rests_ms.min().unwrap_or(u64::MAX)
    }

    /// The index of the robot with this name.
    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.all.iter().position(|sender| sender.name() == name)
    }

    /// Reserves a robot for a message. Returns its name.
    pub(super) fn reserve(&mut self, index: usize) -> String {
        self.all[index].reserve();
        self.all[index].name().to_owned()
    }

    /// Frees a robot. Returns its index, if it still exists.
    pub(super) fn free(&mut self, name: &str) -> Option<usize> {
        let index = self.index(name)?;
        self.all[index].free();
        Some(index)
    }

    /// Notes that a robot sends a message. Returns its settings.
    pub(super) fn send(&mut self, index: usize, call: &mut Call<'_>) -> &Robot {
        let sender = &mut self.all[index];
        sender.sends(call.now());
        keep(sender, call);
        sender.robot()
    }

    /// Handles the outcome of a send for its robot.
    pub(super) fn on_outcome(&mut self, name: &str, answer: &SendOutcome, call: &mut Call<'_>) {
        let Some(index) = self.free(name) else { return };
        let sender = &mut self.all[index];
        sender.note_reached(answer, call.now().tick);
        let pause_ms = sender.on_outcome(answer, call.now().unix_ms);
        if *answer == SendOutcome::Delivered {
            return;
        }
        keep(sender, call);
        let answer = answer.clone();
        call.warn(BridgeWarning::Robot { robot: name.to_owned(), answer, pause_ms });
    }

    /// The times at which a robot is ready again, and of its last delivery; 0 for one that no
    /// longer exists.
    pub(super) fn times(&self, name: &str) -> (u64, u64) {
        let Some(index) = self.index(name) else { return (0, 0) };
        (self.all[index].ready_ms(), self.all[index].delivered_ms())
    }

    /// A robot refused a notice, which has no content of any alert. True when it rejects
    /// everything; then it is paused until somebody repairs it.
    pub(super) fn refuses_notice(&mut self, name: &str, code: i64, call: &mut Call<'_>) -> bool {
        let Some(index) = self.index(name) else { return false };
        let sender = &mut self.all[index];
        if !sender.refuses_all() {
            return false;
        }
        let pause_ms = sender.breaks(call.now().unix_ms);
        keep(sender, call);
        let answer = SendOutcome::Stranger(code);
        call.warn(BridgeWarning::Robot { robot: name.to_owned(), answer, pause_ms });
        true
    }

    /// All chats that have robots.
    pub(super) fn chats(&self) -> BTreeSet<String> {
        self.all.iter().map(|sender| sender.robot().chat.clone()).collect()
    }

    /// The period in which no robot of a chat was reached; `None` when one was, or was not tried
    /// yet.
    pub(super) fn failing(&self, chat: &str) -> Option<ChatFailure> {
        let robots = self.all.iter().filter(|one| one.robot().chat == chat);
        let mut failing = robots.map(SenderState::failing);
        let first = failing.next().flatten()?;
        let first = ChatFailure { since: first.since, last: first.last };
        failing.try_fold(first, |all, one| {
            let one = one?;
            Some(ChatFailure { since: all.since.max(one.since), last: all.last.max(one.last) })
        })
    }

    /// Each chat, and whether a robot of it can be reached.
    pub(super) fn chats_reached(&self, now: Timestamps, options: &Options) -> Vec<(String, bool)> {
        let patience_ms = options.takeover_s * 1_000;
        let is_reached = |chat: &str| {
            let failing = self.failing(chat);
            failing.is_none_or(|failing| now.tick.ms_since(failing.since) < patience_ms)
        };
        let chats = self.chats().into_iter();
        chats.map(|chat| (chat.clone(), is_reached(&chat))).collect()
    }

    /// Whether any robot of any chat was reached since then.
    pub(super) fn is_any_reached_since(&self, since: MonotonicMs) -> bool {
        self.all.iter().any(|one| one.reached().is_some_and(|reached| reached >= since))
    }

    /// It is this bridge's turn in a chat again: pauses of an earlier turn end.
    pub(super) fn begin_turn(&mut self, chat: &str) {
        let robots = self.all.iter_mut().filter(|one| one.robot().chat == chat);
        robots.for_each(SenderState::begin_turn);
    }
}

fn keep(sender: &SenderState, call: &mut Call<'_>) {
    call.keep(
        RecordKey::Robot(sender.name().to_owned()),
        RecordValue::Robot(sender.kept().clone()),
    );
}
