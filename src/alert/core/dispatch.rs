//! Who speaks next: robots, their turns, and what follows from their answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::answer::Answer;
use super::counts::Count;
use super::questions;
use super::record::{Key, Sending, Value};
use super::sender::Speaker;
use super::{Core, Gathering, Message, Output, Request, Trouble, forget, keep};
use crate::alert::message::{self, Draft};
use crate::alert::model::pending::{Lane, Line, Pending, Story};
use crate::alert::model::snapshot::{Evidence, Source};
use crate::alert::model::told::Told;
use crate::alert::options::{Channel, Language};
use crate::base::Now;

/// How long a chat's robots may rest until its fallback is told instead, in ms.
const PATIENCE_CRITICAL_MS: u64 = 5_000;
const PATIENCE_MS: u64 = 60_000;

/// Alerts of one message to a program.
const PROGRAM_ALERTS_MAX: usize = 1_000;

/// Alerts of a lane whose past is remembered; over it only those that fire.
const TOLD_STATES_MAX: usize = 2_000;

impl Core {
    /// Gives work to every robot that can take some.
    pub(super) fn dispatch(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.is_stopping {
            return;
        }
        for speaker in &mut self.speakers {
            speaker.settle(now.unix_ms);
        }
        self.release(now, out);
        self.pass_turns(now, out);
        self.escalate(now, out);
        let is_free = |core: &Core| core.speakers.iter().any(|one| one.is_ready(now.unix_ms));
        if !is_free(self) {
            return;
        }
        self.tell_refused(now, out);
        // What has begun to be told is told to its end first.
        let begun: Vec<u64> = self
            .messages
            .iter()
            .filter(|(_, message)| message.robot.is_none())
            .filter(|(_, message)| !message.sending.pending.tries.rests(now.unix_ms))
            .map(|(id, _)| *id)
            .collect();
        for id in begun {
            let Some(message) = self.messages.get(&id) else { continue };
            let (chat, group_key) = (&message.sending.chat, &message.sending.lane.group_key);
            if let Some(robot) = self.ready_robot(chat, group_key, now.unix_ms) {
                self.send(now, id, robot, out);
            }
        }
        // What failed by itself goes behind what was not tried yet: it keeps nobody waiting.
        let mut lanes: Vec<(bool, u32, u64, Lane)> = self
            .pending
            .iter()
            .filter(|(_, pending)| !pending.is_held() && !pending.tries.rests(now.unix_ms))
            .filter(|(lane, _)| !self.is_busy(lane) && !self.is_told_by_other(lane))
            .filter(|(lane, pending)| {
                self.may_tell(now, &lane.chat) || self.is_unknown_to_other(now, lane, pending)
            })
            .map(|(lane, pending)| {
                let (tries, since_ms) = (pending.tries.count, pending.since_ms);
                (!pending.is_critical(), tries, since_ms, lane.clone())
            })
            .collect();
        lanes.sort_unstable();
        for (is_calm, _, _, lane) in lanes {
            if !is_free(self) {
                return;
            }
            if let Some((chat, robot)) = self.choose(&lane, is_calm, now.unix_ms) {
                self.begin(now, lane, chat, robot, out);
            }
        }
    }

    /// What outlived its cause for too long is told.
    fn release(&mut self, now: Now, out: &mut Vec<Output>) {
        for (lane, pending) in &mut self.pending {
            if pending.release(now.unix_ms) {
                out.push(keep(Key::Pending(lane.clone()), Value::Pending(pending.clone())));
            }
        }
    }

    /// Those that outlive a cause whose end is told.
    fn outliving(&self, pending: &Pending) -> Vec<String> {
        let over = pending.lines.iter().filter(|(_, line)| line.story == Story::Recovered);
        let mut names: Vec<String> = over
            .flat_map(|(fingerprint, line)| {
                self.inhibited.outliving(fingerprint, line.alert.ends_ms)
            })
            .filter(|(fingerprint, _)| !pending.lines.contains_key(*fingerprint))
            .map(|(_, name)| name.to_owned())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Whether a lane has a message under way already.
    fn is_busy(&self, lane: &Lane) -> bool {
        self.gathering.values().any(|gathering| gathering.lane == *lane)
            || self.messages.values().any(|message| message.sending.lane == *lane)
    }

    /// The robot that tells a group in a chat: the same one as before if it can.
    pub(super) fn ready_robot(&self, chat: &str, group_key: &str, now_ms: u64) -> Option<usize> {
        let robots: Vec<usize> = (0..self.speakers.len())
            .filter(|&index| self.speakers[index].robot.chat == chat)
            .collect();
        if robots.is_empty() {
            return None;
        }
        let first = xxhash_rust::xxh3::xxh3_64(group_key.as_bytes()) as usize % robots.len();
        let in_turn = robots.iter().cycle().skip(first).take(robots.len());
        in_turn.copied().find(|&index| self.speakers[index].is_ready(now_ms))
    }

    fn choose(&self, lane: &Lane, is_calm: bool, now_ms: u64) -> Option<(String, usize)> {
        if let Some(robot) = self.ready_robot(&lane.chat, &lane.group_key, now_ms) {
            return Some((lane.chat.clone(), robot));
        }
        let (route, _) = self.settings.options.route(&lane.route)?;
        let robots = self.speakers.iter().filter(|speaker| speaker.robot.chat == lane.chat);
        let rests_ms = |speaker: &Speaker| speaker.rests_until_ms().saturating_sub(now_ms);
        let shortest_ms = robots.map(rests_ms).min().unwrap_or(u64::MAX);
        let patience_ms = if is_calm { PATIENCE_MS } else { PATIENCE_CRITICAL_MS };
        // A rest that is short and comes again and again is a long one.
        let since_ms = self.pending.get(lane).map_or(now_ms, |pending| pending.since_ms);
        let waited_ms = now_ms.saturating_sub(since_ms);
        let is_patient = shortest_ms == 0 || shortest_ms.saturating_add(waited_ms) <= patience_ms;
        if route.fallback.is_empty() || is_patient {
            return None;
        }
        let robot = self.ready_robot(&route.fallback, &lane.group_key, now_ms)?;
        Some((route.fallback.clone(), robot))
    }

    /// Takes a robot for a lane, and finds out what can be found out.
    fn begin(&mut self, now: Now, lane: Lane, chat: String, robot: usize, out: &mut Vec<Output>) {
        let Some(pending) = self.pending.get(&lane) else { return };
        let questions = questions::plan(pending.lines.iter(), &self.settings.options, now.unix_ms);
        let id = self.next_id;
        self.next_id += 1;
        self.speakers[robot].is_busy = true;
        let robot = self.speakers[robot].robot.name.clone();
        self.gathering.insert(id, Gathering { lane, chat, robot });
        if questions.is_empty() {
            self.found(now, id, &Evidence::new(), out);
        } else {
            out.push(Output::Ask(id, questions));
        }
    }

    /// Writes the message, and sends its first part.
    pub(super) fn found(&mut self, now: Now, id: u64, evidence: &Evidence, out: &mut Vec<Output>) {
        let Some(Gathering { lane, chat, robot }) = self.gathering.remove(&id) else { return };
        let settings = Arc::clone(&self.settings);
        let options = &settings.options;
        let speaker = self.speakers.iter().position(|speaker| speaker.robot.name == robot);
        if let Some(index) = speaker {
            self.speakers[index].is_busy = false;
        }
        // A reload may have taken the robot, the chat or the route away.
        let (Some(index), Some(channel), Some((route, _))) =
            (speaker, options.channel(&chat), options.route(&lane.route))
        else {
            return;
        };
        let Some(mut waiting) = self.pending.remove(&lane) else { return };
        if channel == Channel::Webhook {
            // A program is told of everything, in pieces; people are told how much it is.
            waiting.piece_max = match waiting.piece_max {
                0 => PROGRAM_ALERTS_MAX,
                max => max.min(PROGRAM_ALERTS_MAX),
            };
        }
        let pending = waiting.next_piece();
        self.count_snapshots(&pending, evidence);
        let dropped = self.dropped.remove(&chat).unwrap_or(0);
        let instead_of = if chat == lane.chat { "" } else { lane.chat.as_str() };
        let outliving = self.outliving(&pending);
        let draft = Draft {
            group_key: &lane.group_key,
            outliving: &outliving,
            pending: &pending,
            evidence,
            route,
            channel,
            instead_of,
            dropped,
            now_ms: now.unix_ms,
        };
        let rendered = match pending.lines.is_empty() {
            true => message::of_words(&pending.words, route.language, channel),
            false => message::render(&draft, options, &settings.templates),
        };
        if let Some(fault) = rendered.fault {
            self.counts.add(Count::Untemplated, 1);
            out.push(Output::Tell(Trouble::Template(fault)));
        }
        if waiting.is_empty() {
            out.push(forget(Key::Pending(lane.clone())));
        } else {
            out.push(keep(Key::Pending(lane.clone()), Value::Pending(waiting.clone())));
            self.pending.insert(lane.clone(), waiting);
        }
        let sending = Sending { lane, chat, pending, parts: rendered.parts, ..Sending::default() };
        self.messages.insert(id, Message { sending, robot: None });
        self.send(now, id, index, out);
    }

    fn count_snapshots(&mut self, pending: &Pending, evidence: &Evidence) {
        let begun = pending.lines.iter().filter(|(_, line)| line.story == Story::Firing);
        for (fingerprint, _) in begun {
            let snapshot = evidence.get(fingerprint).and_then(|found| found.snapshot.as_ref());
            let count = match snapshot.map(|snapshot| snapshot.source) {
                Some(Source::Exemplar) => Count::FromExemplar,
                Some(Source::Recorder) => Count::FromRecorder,
                None => Count::NoSnapshot,
            };
            self.counts.add(count, 1);
        }
    }

    /// Gives the next part of a message to a robot. That it leaves is kept before.
    pub(super) fn send(&mut self, now: Now, id: u64, robot: usize, out: &mut Vec<Output>) {
        let settings = Arc::clone(&self.settings);
        let Some(message) = self.messages.get_mut(&id) else { return };
        let speaker = &mut self.speakers[robot];
        speaker.is_busy = true;
        speaker.sends(now.unix_ms);
        speaker.leaves(now.tick);
        let (robot, sending) = (&speaker.robot, &mut message.sending);
        message.robot = Some(robot.name.clone());
        sending.is_leaving = true;
        let language = settings
            .options
            .route(&sending.lane.route)
            .map_or(Language::En, |(route, _)| route.language);
        let part_id = format!("{id:x}-{}", sending.sent);
        let part = &sending.parts[sending.sent];
        let attempt = if sending.again { message::Attempt::Again } else { message::Attempt::First };
        let is_program = robot.channel == Channel::Webhook;
        let request = Request {
            message: id,
            robot: robot.name.clone(),
            channel: robot.channel,
            url: message::url(robot, now.unix_ms),
            bearer: if is_program { robot.token.value.clone() } else { String::new() },
            body: message::body(part, robot, language, attempt, &part_id),
            id: part_id,
        };
        out.push(keep(Key::Robot(robot.name.clone()), Value::Robot(speaker.kept.clone())));
        out.push(keep(Key::Message(id), Value::Message(sending.clone())));
        out.push(Output::Send(request));
    }

    /// Draws the consequences of a robot's answer.
    pub(super) fn answered(
        &mut self,
        now: Now,
        id: u64,
        robot: &str,
        answer: Answer,
        out: &mut Vec<Output>,
    ) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        message.robot = None;
        message.sending.is_leaving = false;
        let is_plain = message.sending.pending.plain;
        let channel = self.settings.options.channel(&message.sending.chat).unwrap_or_default();
        // What even a short plain text is too long for is no matter of length.
        let answer = match answer {
            Answer::TooLong(code) if is_plain || message.sending.sent > 0 => Answer::Refused(code),
            other => other,
        };
        self.count(channel, &answer);
        self.hear(now, robot, &answer, out);
        match answer {
            Answer::Delivered => self.delivered(now, id, out),
            Answer::Refused(code) => self.refuse(now, id, robot, code, out),
            // A filter between us and the robot may say of one message that we may not.
            Answer::Busy(code) | Answer::Stranger(code) => {
                self.failed(now, id, robot, code, out);
            }
            Answer::TooLong(_) | Answer::Doubtful => {
                let is_doubtful = answer == Answer::Doubtful;
                if let Some(Message { sending, .. }) = self.messages.get_mut(&id) {
                    sending.again |= is_doubtful && sending.sent > 0;
                    sending.pending.doubtful |= is_doubtful && sending.sent == 0;
                    sending.pending.plain |= !is_doubtful;
                }
                match is_doubtful {
                    true => self.failed(now, id, robot, 0, out),
                    false => self.again(id, out),
                }
            }
            Answer::TooOften(_) | Answer::Unreachable => self.again(id, out),
        }
    }

    /// A try failed for a reason that may be the message's own.
    fn failed(&mut self, now: Now, id: u64, robot: &str, code: i64, out: &mut Vec<Output>) {
        let speaker = self.speakers.iter().find(|speaker| speaker.robot.name == robot);
        let (ready_ms, delivered_ms) =
            speaker.map_or((0, 0), |speaker| (speaker.ready_ms(), speaker.delivered_ms));
        let Some(Message { sending, .. }) = self.messages.get_mut(&id) else { return };
        sending.pending.tries.fail(now.unix_ms, ready_ms, delivered_ms);
        match self.is_poison(id) {
            true => self.refuse(now, id, robot, code, out),
            false => self.again(id, out),
        }
    }

    fn count(&mut self, channel: Channel, answer: &Answer) {
        let count = match answer {
            Answer::Delivered => Count::Sent(channel),
            Answer::TooOften(_) => Count::Throttled(channel),
            Answer::TooLong(_)
            | Answer::Stranger(_)
            | Answer::Refused(_)
            | Answer::Busy(_)
            | Answer::Unreachable
            | Answer::Doubtful => Count::Failed(channel),
        };
        self.counts.add(count, 1);
    }

    fn hear(&mut self, now: Now, robot: &str, answer: &Answer, out: &mut Vec<Output>) {
        let speaker = self.speakers.iter_mut().find(|speaker| speaker.robot.name == robot);
        let Some(speaker) = speaker else { return };
        speaker.is_busy = false;
        speaker.is_heard(answer, now.tick);
        let pause_ms = speaker.hears(answer, now.unix_ms);
        if *answer == Answer::Delivered {
            return;
        }
        out.push(keep(Key::Robot(robot.to_owned()), Value::Robot(speaker.kept.clone())));
        let answer = answer.clone();
        out.push(Output::Tell(Trouble::Robot { robot: robot.to_owned(), answer, pause_ms }));
    }

    fn delivered(&mut self, now: Now, id: u64, out: &mut Vec<Output>) {
        let Some(message) = self.messages.get_mut(&id) else { return };
        let sending = &mut message.sending;
        sending.sent += 1;
        sending.again = false;
        if sending.sent < sending.parts.len() {
            out.push(keep(Key::Message(id), Value::Message(sending.clone())));
            return;
        }
        let Some(Message { sending, .. }) = self.messages.remove(&id) else { return };
        out.push(forget(Key::Message(id)));
        if !sending.about.is_empty() {
            self.refused_are_told(&sending.about, out);
            return;
        }
        self.note(now, &sending.lane, &sending.pending.lines, &sending.pending, out);
        // What is left after a refusal is told in pieces that become larger again.
        if let Some(rest) = self.pending.get_mut(&sending.lane)
            && rest.piece_max > 0
        {
            rest.piece_max = rest.piece_max.saturating_mul(2);
            out.push(keep(Key::Pending(sending.lane), Value::Pending(rest.clone())));
        }
    }

    /// Notes what a lane has been told of what `of` was.
    pub(super) fn note(
        &mut self,
        now: Now,
        lane: &Lane,
        lines: &BTreeMap<String, Line>,
        of: &Pending,
        out: &mut Vec<Output>,
    ) {
        if lines.is_empty() {
            return;
        }
        let told: &mut Told = self.told.entry(lane.clone()).or_default();
        told.note(lines.iter(), now.unix_ms);
        if told.states.len() > TOLD_STATES_MAX {
            told.states.retain(|_, state| state.firing);
        }
        out.push(keep(Key::Told(lane.clone()), Value::Told(told.clone())));
        self.await_acknowledgement(now, lane, lines, of, out);
    }

    /// Tries again later: as a whole, merged with what has come since, when no part has
    /// arrived, else only what is missing.
    fn again(&mut self, id: u64, out: &mut Vec<Output>) {
        let Some(Message { sending, .. }) = self.messages.get(&id) else { return };
        if sending.sent == 0 {
            self.requeue(id, out);
        } else {
            out.push(keep(Key::Message(id), Value::Message(sending.clone())));
        }
    }
}
