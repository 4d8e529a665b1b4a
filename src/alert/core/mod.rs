//! The bridge without its surroundings: what comes in, what is kept, what goes out.
//!
//! What goes out in one call goes out when what is kept in it is on the disk, or when
//! the disk has refused: a reply says which.
//!
//! Invariants: a lane has one message at a time; a robot has one message at a time; an
//! alert that was kept is told, given up with a count, or still here.

pub mod answer;
pub mod counts;
mod dispatch;
mod escalation;
mod intake;
pub mod outlive;
pub mod pair;
pub mod questions;
pub mod record;
pub mod refused;
mod sender;
pub mod stats;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::answer::Answer;
use self::counts::{Count, Counts};
use self::escalation::Unacknowledged;
use self::outlive::{InhibitedAlert, InhibitedAlerts};
use self::pair::{Pair, PairAnswer, PairQuestion};
use self::questions::Question;
use self::record::{Key, Record, Sending, Value};
use self::refused::{RefusedMessage, RefusedWish};
use self::sender::{Kept, Speaker};
use self::stats::{RobotStats, Stats};
use crate::alert::message::{Settings, template};
use crate::alert::model::alert::Payload;
use crate::alert::model::pending::{Lane, Pending};
use crate::alert::model::snapshot::Evidence;
use crate::alert::model::told::Told;
use crate::alert::options::Channel;
use crate::base::{Now, Tick};

/// How often what is over is forgotten, in ms.
const TIDY_MS: u64 = 60_000;

/// Lanes whose past is remembered; over it the oldest is forgotten, and what repeats
/// it is told again.
const TOLD_MAX: usize = 20_000;

/// How long the past of a lane that Alertmanager no longer mentions is remembered.
const TOLD_MS_MAX: u64 = 8 * 86_400_000;

/// Whoever waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What comes in.
#[derive(Debug)]
pub enum Input {
    /// Alertmanager tells something.
    Notified {
        /// Who waits for the reply.
        ticket: Ticket,
        /// The route that it names.
        route: String,
        /// What it tells.
        payload: Payload,
    },
    /// The watchdog is heard.
    Beat(Ticket),
    /// What could be found out about a message in time.
    Found(u64, Evidence),
    /// What became of a part.
    Answered {
        /// The message.
        message: u64,
        /// Whose answer.
        robot: String,
        /// What it was.
        answer: Answer,
    },
    /// Somebody decides about a refused message.
    Decided {
        /// Who waits for the reply.
        ticket: Ticket,
        /// The message.
        id: u64,
        /// What is to become of it.
        wish: RefusedWish,
    },
    /// Somebody takes care of a group.
    Acknowledged {
        /// Who waits for the reply.
        ticket: Ticket,
        /// The group's route.
        route: String,
        /// The group.
        group_key: String,
        /// Who.
        who: String,
    },
    /// The other bridge asks what was told.
    PairAsked(Ticket, PairQuestion),
    /// What the other bridge has told; `None` when it does not answer.
    PairHeard(Option<Box<PairAnswer>>),
    /// What Alertmanager inhibits at the moment.
    Inhibited(Vec<InhibitedAlert>),
    /// Something happened elsewhere that is counted.
    Happened(Count),
    /// The operator changed the settings.
    Changed(Arc<Settings>),
    /// Time has passed.
    Woken,
    /// Nothing more is begun; what is under way is waited for.
    Stopping,
}

/// What goes out.
#[derive(Debug, PartialEq)]
pub enum Output {
    /// To be on the disk before anything else of this call happens.
    Keep(Box<Record>),
    /// The answer to a ticket.
    Reply(Ticket, Reply),
    /// To be found out within two seconds.
    Ask(u64, Vec<Question>),
    /// To be sent.
    Send(Request),
    /// To be done, or only written into the audit log.
    Do(Deed),
    /// To be told to the operator.
    Tell(Trouble),
}

/// An answer to a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It is kept.
    Kept,
    /// There is no room.
    Full,
    /// There is no such thing.
    Unknown,
    /// What was told.
    Pair(Box<PairAnswer>),
}

/// A part on its way. Its URL holds the token: nothing of it is for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The message.
    pub message: u64,
    /// The robot's name.
    pub robot: String,
    /// The kind of its answer.
    pub channel: Channel,
    /// Where to.
    pub url: String,
    /// Bearer token, empty for none.
    pub bearer: String,
    /// JSON.
    pub body: String,
    /// The same for each try.
    pub id: String,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("message", &self.message)
            .field("robot", &self.robot)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// What is done about an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// The action's name.
    pub action: String,
    /// The alert's name.
    pub alert: String,
    /// The instance that it would be done on, as the alert names it.
    pub instance: String,
    /// Where; empty when it is not done.
    pub url: String,
    /// With POST.
    pub post: bool,
    /// Whether, and why not.
    pub verdict: Verdict,
}

/// Whether an action is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Done,
    /// No: only in words.
    DryRun,
    /// No: it was done a short while ago.
    TooSoon,
    /// No: the instance is not one of those that may be asked.
    UnknownInstance,
}

/// What an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A robot did not take a message.
    Robot {
        /// Its name.
        robot: String,
        /// What it answered.
        answer: Answer,
        /// How long it rests.
        pause_ms: u64,
    },
    /// A chat refused an alert for what stands in it.
    Refused {
        /// The chat.
        chat: String,
        /// What its robot said.
        code: i64,
        /// Its number in the list.
        id: u64,
    },
    /// A template could not be used.
    Template(template::Fault),
    /// Alerts were given up.
    GivenUp {
        /// Of which chat.
        chat: String,
        /// How many.
        count: u64,
        /// What for.
        why: &'static str,
    },
    /// A notification for a route that does not exist.
    Route,
    /// Both bridges are set to be the first one, or neither is.
    SameRole,
    /// What waits for these chats is told by the other bridge from here on.
    TurnPassed(Vec<String>),
    /// The watchdog was not heard.
    Silent,
}

/// A lane whose message waits for what can be found out.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) lane: Lane,
    pub(super) chat: String,
    pub(super) robot: String,
}

/// A message under way, and in whose hands it is.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) sending: Sending,
    pub(super) robot: Option<String>,
}

/// See the module.
#[derive(Debug)]
pub struct Core {
    pub(super) settings: Arc<Settings>,
    pub(super) speakers: Vec<Speaker>,
    pub(super) pending: BTreeMap<Lane, Pending>,
    pub(super) gathering: BTreeMap<u64, Gathering>,
    pub(super) messages: BTreeMap<u64, Message>,
    pub(super) told: BTreeMap<Lane, Told>,
    pub(super) refused: BTreeMap<u64, Arc<RefusedMessage>>,
    pub(super) inhibited: InhibitedAlerts,
    pub(super) unacknowledged: BTreeMap<Lane, Unacknowledged>,
    pub(super) acknowledged: BTreeMap<Lane, u64>,
    pair: Pair,
    pub(super) dropped: BTreeMap<String, u64>,
    pub(super) acted_ms: BTreeMap<String, u64>,
    pub(super) heard: Now,
    pub(super) silent_since_ms: Option<u64>,
    pub(super) counts: Counts,
    pub(super) next_id: u64,
    pub(super) is_stopping: bool,
    tidy_at: Tick,
}

impl Core {
    /// A bridge as it was left. `out` gets what is different from then on.
    pub fn load(
        now: Now,
        settings: Arc<Settings>,
        records: Vec<Record>,
        out: &mut Vec<Output>,
    ) -> Core {
        let mut core = Core {
            settings,
            speakers: Vec::new(),
            pending: BTreeMap::new(),
            gathering: BTreeMap::new(),
            messages: BTreeMap::new(),
            told: BTreeMap::new(),
            refused: BTreeMap::new(),
            inhibited: InhibitedAlerts::default(),
            unacknowledged: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            pair: Pair::new(now),
            dropped: BTreeMap::new(),
            acted_ms: BTreeMap::new(),
            heard: now,
            silent_since_ms: None,
            counts: Counts::default(),
            next_id: now.unix_ms.saturating_mul(1_000),
            is_stopping: false,
            tidy_at: now.tick.plus_ms(TIDY_MS),
        };
        let mut kept: BTreeMap<String, Kept> = BTreeMap::new();
        for Record { key, value } in records {
            match (key, value) {
                (Key::Pending(lane), Some(Value::Pending(pending))) => {
                    core.pending.insert(lane, pending);
                }
                (Key::Message(id), Some(Value::Message(sending))) => {
                    core.next_id = core.next_id.max(id + 1);
                    core.messages.insert(id, Message { sending, robot: None });
                }
                (Key::Told(lane), Some(Value::Told(told))) => {
                    core.told.insert(lane, told);
                }
                (Key::Robot(name), Some(Value::Robot(times))) => {
                    kept.insert(name, times);
                }
                (Key::Action(name), Some(Value::Action(at_ms))) => {
                    core.acted_ms.insert(name, at_ms);
                }
                (Key::Refused(id), Some(Value::Refused(refused))) => {
                    core.next_id = core.next_id.max(id + 1);
                    core.refused.insert(id, Arc::new(*refused));
                }
                (Key::Unacknowledged(key), Some(Value::Unacknowledged(group))) => {
                    core.unacknowledged.insert(key, *group);
                }
                (Key::Deadman, Some(Value::Deadman(since_ms))) => {
                    core.silent_since_ms = Some(since_ms);
                }
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
                    _,
                ) => {}
            }
        }
        for robot in &core.settings.options.robots {
            let kept = kept.remove(&robot.name).unwrap_or_default();
            core.speakers.push(Speaker::new(robot.clone(), kept));
        }
        for name in kept.into_keys() {
            out.push(forget(Key::Robot(name)));
        }
        core.resume(out);
        core.reroute(out);
        core
    }

    /// Takes what comes in; what is to be done about it goes to `out`.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Notified { ticket, route, payload } => {
                let reply = self.notified(now, &route, &payload, out);
                out.push(Output::Reply(ticket, reply));
            }
            Input::Beat(ticket) => {
                self.beat(now, out);
                out.push(Output::Reply(ticket, Reply::Kept));
            }
            Input::Found(id, evidence) => self.found(now, id, &evidence, out),
            Input::Answered { message, robot, answer } => {
                self.answered(now, message, &robot, answer, out);
            }
            Input::Decided { ticket, id, wish } => {
                let reply = if self.decide(id, wish, out) { Reply::Kept } else { Reply::Unknown };
                out.push(Output::Reply(ticket, reply));
            }
            Input::Acknowledged { ticket, route, group_key, who } => {
                let is_done = self.acknowledge(now, &route, &group_key, &who, out);
                let reply = if is_done { Reply::Kept } else { Reply::Unknown };
                out.push(Output::Reply(ticket, reply));
            }
            Input::PairAsked(ticket, question) => {
                let answer = Box::new(self.answer_pair(now, question));
                out.push(Output::Reply(ticket, Reply::Pair(answer)));
            }
            Input::PairHeard(answer) => self.hear_pair(now, answer.map(|answer| *answer), out),
            Input::Inhibited(alerts) => {
                let outlive_ms = self.settings.options.outlive_s * 1_000;
                self.inhibited.note(now.unix_ms, outlive_ms, alerts);
            }
            Input::Happened(count) => self.counts.add(count, 1),
            Input::Changed(settings) => self.change(settings, out),
            Input::Woken => {}
            Input::Stopping => self.is_stopping = true,
        }
        self.watch(now, out);
        self.tidy(now, out);
        self.dispatch(now, out);
    }

    /// Whether no robot has a message in its hands.
    pub fn is_quiet(&self) -> bool {
        self.messages.values().all(|message| message.robot.is_none())
    }

    /// How long nothing happens unless something comes in, in ms.
    pub fn idle_ms(&self, now: Now) -> u64 {
        let mut idle_ms = TIDY_MS;
        let waits = self.pending.len() > self.gathering.len()
            || self.refused.values().any(|refused| !refused.is_told)
            || !self.unacknowledged.is_empty()
            || self.messages.values().any(|message| message.robot.is_none());
        if waits {
            let ready = self.speakers.iter().filter(|speaker| !speaker.is_busy);
            let ahead = ready.map(|speaker| speaker.ready_ms().saturating_sub(now.unix_ms));
            // A fallback becomes due without any robot's being ready.
            idle_ms = ahead.filter(|&ms| ms > 0).min().unwrap_or(1_000).min(1_000);
        }
        let deadman_ms = self.settings.options.deadman_s * 1_000;
        if deadman_ms > 0 && self.silent_since_ms.is_none() {
            let passed_ms = now.tick.ms_since(self.heard.tick);
            idle_ms = idle_ms.min((deadman_ms + 1).saturating_sub(passed_ms));
        }
        idle_ms.max(1)
    }

    /// Everything that is kept, as the queue's file would have it.
    pub fn records(&self) -> Vec<Record> {
        let mut all = Vec::new();
        let mut keep = |key, value| all.push(Record { key, value: Some(value) });
        for (lane, pending) in &self.pending {
            keep(Key::Pending(lane.clone()), Value::Pending(pending.clone()));
        }
        for (id, message) in &self.messages {
            keep(Key::Message(*id), Value::Message(message.sending.clone()));
        }
        for (lane, told) in &self.told {
            keep(Key::Told(lane.clone()), Value::Told(told.clone()));
        }
        for speaker in &self.speakers {
            keep(Key::Robot(speaker.robot.name.clone()), Value::Robot(speaker.kept.clone()));
        }
        for (name, at_ms) in &self.acted_ms {
            keep(Key::Action(name.clone()), Value::Action(*at_ms));
        }
        if let Some(since_ms) = self.silent_since_ms {
            keep(Key::Deadman, Value::Deadman(since_ms));
        }
        for (key, group) in &self.unacknowledged {
            let value = Value::Unacknowledged(Box::new(group.clone()));
            keep(Key::Unacknowledged(key.clone()), value);
        }
        for (id, refused) in &self.refused {
            keep(Key::Refused(*id), Value::Refused(Box::new(refused.as_ref().clone())));
        }
        all
    }

    /// What `/metrics` shows; the caller knows about the disk and reloads.
    pub fn stats(&self, now: Now) -> Stats {
        let options = &self.settings.options;
        let waiting = self.pending.values().filter(|pending| !pending.is_held());
        let waiting = waiting.chain(self.messages.values().map(|message| &message.sending.pending));
        let oldest_ms = waiting.clone().map(|pending| pending.since_ms).min();
        let robot = |speaker: &Speaker| RobotStats {
            name: speaker.robot.name.clone(),
            channel: speaker.robot.channel.word(),
            rests: speaker.rests_until_ms() > now.unix_ms,
            rejects: speaker.is_broken,
        };
        Stats {
            counts: self.counts.clone(),
            depth: waiting.map(|pending| pending.told().count() as u64).sum(),
            oldest_ms,
            robots: self.speakers.iter().map(robot).collect(),
            refused: self.refused.iter().map(|(id, one)| (*id, Arc::clone(one))).collect(),
            watchdog_ms: self.heard.unix_ms,
            tells: options.robots.iter().any(|robot| self.may_tell(now, &robot.chat)),
            chats: self.chats_reached(now),
            unacknowledged: self.unacknowledged.len() as u64,
            question: self.pair.question(),
            ..Stats::default()
        }
    }

    /// What was under way when the process ended.
    fn resume(&mut self, out: &mut Vec<Output>) {
        let ids: Vec<u64> = self.messages.keys().copied().collect();
        for id in ids {
            let Some(message) = self.messages.get_mut(&id) else { continue };
            let sending = &mut message.sending;
            // Nobody is left who heard the answer.
            let is_doubtful = std::mem::take(&mut sending.is_leaving);
            if sending.sent == 0 {
                sending.pending.doubtful |= is_doubtful;
                self.requeue(id, out);
            } else {
                sending.again |= is_doubtful;
                let value = Value::Message(sending.clone());
                out.push(keep(Key::Message(id), value));
            }
        }
    }

    fn change(&mut self, settings: Arc<Settings>, out: &mut Vec<Output>) {
        self.settings = settings;
        let mut before = std::mem::take(&mut self.speakers);
        for robot in &self.settings.options.robots {
            let same = before.iter().position(|speaker| speaker.robot.name == robot.name);
            let speaker = match same.map(|index| before.swap_remove(index)) {
                Some(mut speaker) => {
                    speaker.change(robot.clone());
                    speaker
                }
                None => Speaker::new(robot.clone(), Kept::default()),
            };
            self.speakers.push(speaker);
        }
        for gone in before {
            out.push(forget(Key::Robot(gone.robot.name)));
        }
        self.reroute(out);
    }

    /// What waits for a chat or a route that there is no more goes where a
    /// notification for that route would go now.
    fn reroute(&mut self, out: &mut Vec<Output>) {
        let settings = Arc::clone(&self.settings);
        let options = &settings.options;
        let stale: Vec<u64> = self
            .messages
            .iter()
            .filter_map(|(id, message)| {
                let is_here =
                    message.robot.is_some() || options.channel(&message.sending.chat).is_some();
                (!is_here).then_some(*id)
            })
            .collect();
        for id in stale {
            // What has arrived stays told.
            if let Some(message) = self.messages.get_mut(&id) {
                let sending = &mut message.sending;
                for part in &sending.parts[..sending.sent] {
                    for fingerprint in &part.fingerprints {
                        sending.pending.lines.remove(fingerprint);
                    }
                }
            }
            self.requeue(id, out);
        }
        let is_lost = |lane: &Lane| !matches!(options.route(&lane.route), Some((route, true)) if route.chats.contains(&lane.chat) || route.escalation == lane.chat);
        let lost: Vec<Lane> = self.pending.keys().filter(|lane| is_lost(lane)).cloned().collect();
        for lane in lost {
            if self.gathering.values().any(|gathering| gathering.lane == lane) {
                continue; // it is told in a moment
            }
            let Some(pending) = self.pending.remove(&lane) else { continue };
            out.push(forget(Key::Pending(lane.clone())));
            let Some((route, _)) = options.route(&lane.route) else { continue };
            for chat in &route.chats {
                let lane = Lane { route: route.name.clone(), chat: chat.clone(), ..lane.clone() };
                self.put_back(lane, pending.clone(), out);
            }
        }
    }

    /// Puts what waited before in front of what waits now.
    pub(super) fn put_back(&mut self, lane: Lane, mut before: Pending, out: &mut Vec<Output>) {
        if let Some(newer) = self.pending.remove(&lane) {
            before.still = newer.still;
            before.truncated = before.truncated.max(newer.truncated);
            before.truncated_critical |= newer.truncated_critical;
            before.unacknowledged_s = before.unacknowledged_s.max(newer.unacknowledged_s);
            before.words.extend(newer.words);
            before.doubtful |= newer.doubtful;
            for (fingerprint, line) in newer.lines {
                before.merge(fingerprint, line);
            }
        }
        if before.is_empty() {
            out.push(forget(Key::Pending(lane)));
            return;
        }
        out.push(keep(Key::Pending(lane.clone()), Value::Pending(before.clone())));
        self.pending.insert(lane, before);
    }

    /// Takes a message apart that could not be sent.
    pub(super) fn requeue(&mut self, id: u64, out: &mut Vec<Output>) {
        let Some(Message { sending, .. }) = self.messages.remove(&id) else { return };
        out.push(forget(Key::Message(id)));
        self.put_back(sending.lane, sending.pending, out);
    }

    /// Forgets what is over, and gives up what is too old.
    fn tidy(&mut self, now: Now, out: &mut Vec<Output>) {
        if now.tick < self.tidy_at {
            return;
        }
        self.tidy_at = now.tick.plus_ms(TIDY_MS);
        self.tidy_refused(now, out);
        let options = &self.settings.options;
        let over_ms = options.same_within_s * 1_000;
        let age_ms_max = options.age_s_max * 1_000;
        let mut forgotten: Vec<Lane> = Vec::new();
        for (lane, told) in &self.told {
            let age_ms = now.unix_ms.saturating_sub(told.at_ms);
            if (told.is_over() && age_ms > over_ms) || age_ms > TOLD_MS_MAX {
                forgotten.push(lane.clone());
            }
        }
        if self.told.len() - forgotten.len() > TOLD_MAX {
            let mut by_age: Vec<(u64, &Lane)> =
                self.told.iter().map(|(lane, told)| (told.at_ms, lane)).collect();
            by_age.sort_unstable();
            let over = self.told.len() - TOLD_MAX;
            forgotten.extend(by_age.into_iter().take(over).map(|(_, lane)| lane.clone()));
        }
        for lane in forgotten {
            self.told.remove(&lane);
            out.push(forget(Key::Told(lane)));
        }
        let is_old = |pending: &Pending| now.unix_ms.saturating_sub(pending.since_ms) > age_ms_max;
        let busy = |lane: &Lane| self.gathering.values().any(|gathering| gathering.lane == *lane);
        let old: Vec<Lane> = self
            .pending
            .iter()
            .filter(|(lane, pending)| is_old(pending) && !busy(lane))
            .map(|(lane, _)| lane.clone())
            .collect();
        for lane in old {
            let Some(pending) = self.pending.remove(&lane) else { continue };
            out.push(forget(Key::Pending(lane.clone())));
            self.give_up(&lane, pending.lines.len(), Count::Expired, out);
        }
        let is_old =
            |message: &Message| message.robot.is_none() && is_old(&message.sending.pending);
        let old: Vec<u64> = self
            .messages
            .iter()
            .filter(|(_, message)| is_old(message))
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            let Some(message) = self.messages.remove(&id) else { continue };
            out.push(forget(Key::Message(id)));
            let left = message.sending.parts.len() - message.sending.sent;
            self.give_up(&message.sending.lane, left, Count::Expired, out);
        }
    }

    /// Counts what nobody will be told.
    pub(super) fn give_up(
        &mut self,
        lane: &Lane,
        count: usize,
        how: fn(Channel) -> Count,
        out: &mut Vec<Output>,
    ) {
        let channel = self.settings.options.channel(&lane.chat).unwrap_or_default();
        self.counts.add(how(channel), count as u64);
        let why = match how(channel) {
            Count::Dropped(_) => "too much was waiting",
            _ => "they were too old",
        };
        let count = count as u64;
        out.push(Output::Tell(Trouble::GivenUp { chat: lane.chat.clone(), count, why }));
    }
}

pub(super) fn keep(key: Key, value: Value) -> Output {
    Output::Keep(Box::new(Record { key, value: Some(value) }))
}

pub(super) fn forget(key: Key) -> Output {
    Output::Keep(Box::new(Record { key, value: None }))
}
