//! Messages that a chat refuses for what stands in them: found within a larger message,
//! put aside, told of without their words, and told again or dropped as somebody decides.
//!
//! Who is to blame is found out by the message that tells of it: it has nothing of the
//! alert in it, so a robot that refuses that, too, takes nothing from us, and what it
//! refused before waits for it to be mended.
//!
//! Invariants: a refused message keeps nobody waiting but itself; an alert that was
//! refused is in the list until it is told, dropped by somebody, or a week old.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::counts::Count;
use super::record::{Key, Sending, Value};
use super::{Core, Message, Output, Trouble, forget, keep};
use crate::alert::message::Part;
use crate::alert::message::link::{self, Purpose};
use crate::alert::message::oncall;
use crate::alert::model::pending::{Lane, Line, Pending, Story};
use crate::alert::options::{Channel, Language, Options, Route};
use crate::base::Now;

/// Messages in the list; over it the oldest is dropped, and counted.
const REFUSED_MAX: usize = 500;

/// How long one stays there, in ms.
const REFUSED_MS_MAX: u64 = 7 * 86_400_000;

/// Tries that fail, each after others succeeded, until a message is as good as refused.
const TRIES_MAX: u32 = 8;

/// The group of the messages that tell of refused ones. No group of Alertmanager's has
/// a control character in its name.
const NOTICE_KEY: &str = "\u{1}refused";

/// A message that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedMessage {
    /// Its lane.
    pub lane: Lane,
    /// The chat that refused it.
    pub chat: String,
    /// The robot that said so.
    pub robot: String,
    /// What it said.
    pub code: i64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What it would have told: one alert.
    pub pending: Pending,
    /// The chat has been told that there is something that it refused.
    pub is_told: bool,
}

/// What somebody decides about a refused message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedWish {
    /// It is told again.
    Retry,
    /// It goes.
    Drop,
}

impl Core {
    /// Whether a message fails by itself: again and again, while others of its chat
    /// arrive.
    pub(super) fn is_poison(&self, id: u64) -> bool {
        let Some(Message { sending, .. }) = self.messages.get(&id) else { return false };
        sending.pending.tries.alone_count >= TRIES_MAX
    }

    /// A part was refused for what stands in it. Of several alerts the one that is to
    /// blame is found by halving; it is tried as a short text, and then put aside.
    pub(super) fn refuse(
        &mut self,
        now: Now,
        id: u64,
        robot: &str,
        code: i64,
        out: &mut Vec<Output>,
    ) {
        let Some(Message { sending, .. }) = self.messages.remove(&id) else { return };
        out.push(forget(Key::Message(id)));
        if !sending.about.is_empty() {
            self.notice_refused(now, robot, code, &sending.about, out);
            return;
        }
        let Sending { lane, chat, mut pending, parts, sent, .. } = sending;
        let mut arrived: BTreeMap<String, Line> = BTreeMap::new();
        for fingerprint in parts.iter().take(sent).flat_map(|part| &part.fingerprints) {
            if let Some(line) = pending.lines.remove(fingerprint) {
                arrived.insert(fingerprint.clone(), line);
            }
        }
        self.note(now, &lane, &arrived, &pending, out);
        let count = parts.get(sent).map_or(0, |part| part.fingerprints.len());
        if count == 0 {
            // It only called somebody by number; what is left was told as a count.
            self.note(now, &lane, &pending.lines, &pending, out);
            return;
        }
        if pending.lines.len() > 1 {
            pending.piece_max = (count / 2).max(1);
        } else if !pending.plain {
            pending.plain = true;
        } else {
            let robot = robot.to_owned();
            let at_ms = now.unix_ms;
            let refused =
                RefusedMessage { lane, chat, robot, code, at_ms, pending, is_told: false };
            self.put_aside(now, refused, out);
            return;
        }
        pending.tries.refuse(now.unix_ms);
        self.put_back(lane, pending, out);
    }

    fn put_aside(&mut self, now: Now, mut refused: RefusedMessage, out: &mut Vec<Output>) {
        self.note(now, &refused.lane, &refused.pending.lines, &refused.pending, out);
        let is_same = |old: &RefusedMessage| {
            (&old.lane, &old.chat) == (&refused.lane, &refused.chat)
                && old.pending.lines.keys().eq(refused.pending.lines.keys())
        };
        let same = self.refused.iter().find(|(_, old)| is_same(old)).map(|(id, _)| *id);
        if let Some(old) = same.and_then(|id| self.remove_refused(id, out)) {
            // A reminder of what the chat knows to be refused says nothing new.
            let fires = |one: &RefusedMessage| one.pending.lines.values().any(|l| l.alert.firing);
            refused.is_told = old.is_told && fires(&old) == fires(&refused);
        }
        while self.refused.len() >= REFUSED_MAX {
            let Some((&id, _)) = self.refused.first_key_value() else { break };
            if let Some(old) = self.remove_refused(id, out) {
                self.give_up(&old.lane, old.pending.lines.len(), Count::Dropped, out);
            }
        }
        let channel = self.settings.options.channel(&refused.chat).unwrap_or_default();
        self.counts.add(Count::Refused(channel), refused.pending.lines.len() as u64);
        let id = self.next_id;
        self.next_id += 1;
        let (chat, code) = (refused.chat.clone(), refused.code);
        out.push(Output::Tell(Trouble::Refused { chat, code, id }));
        out.push(keep(Key::Refused(id), Value::Refused(Box::new(refused.clone()))));
        self.refused.insert(id, Arc::new(refused));
    }

    fn remove_refused(&mut self, id: u64, out: &mut Vec<Output>) -> Option<RefusedMessage> {
        let refused = self.refused.remove(&id)?;
        out.push(forget(Key::Refused(id)));
        Some(Arc::unwrap_or_clone(refused))
    }

    /// Tells each chat of what it refused, by the robot that refused it if that can.
    pub(super) fn tell_refused(&mut self, now: Now, out: &mut Vec<Output>) {
        let mut chats: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (id, refused) in self.refused.iter().filter(|(_, refused)| !refused.is_told) {
            chats.entry(refused.chat.clone()).or_default().push(*id);
        }
        for (chat, about) in chats {
            let is_told = |one: &Message| !one.sending.about.is_empty() && one.sending.chat == chat;
            let Some(first) = about.first().and_then(|id| self.refused.get(id)).cloned() else {
                continue;
            };
            if self.messages.values().any(is_told) {
                continue;
            }
            let same = self.speakers.iter().position(|one| one.robot.name == first.robot);
            let robot = match same {
                Some(index) if self.speakers[index].rests_until_ms() <= now.unix_ms => {
                    Some(index).filter(|&index| self.speakers[index].is_ready(now.unix_ms))
                }
                Some(_) | None => self.ready_robot(&chat, NOTICE_KEY, now.unix_ms),
            };
            let Some(robot) = robot else { continue };
            let settings = Arc::clone(&self.settings);
            let Some((route, _)) = settings.options.route(&first.lane.route) else { continue };
            let all: Vec<&RefusedMessage> =
                about.iter().filter_map(|id| self.refused.get(id).map(Arc::as_ref)).collect();
            let part = notice(&all, &chat, route, &settings.options, now.unix_ms);
            let lane =
                Lane { chat: chat.clone(), group_key: NOTICE_KEY.to_owned(), ..first.lane.clone() };
            let pending = Pending { since_ms: now.unix_ms, plain: true, ..Pending::default() };
            let sending =
                Sending { lane, chat, pending, parts: vec![part], about, ..Sending::default() };
            let id = self.next_id;
            self.next_id += 1;
            self.messages.insert(id, Message { sending, robot: None });
            self.send(now, id, robot, out);
        }
    }

    /// The chat knows of these.
    pub(super) fn refused_are_told(&mut self, about: &[u64], out: &mut Vec<Output>) {
        for id in about {
            let Some(refused) = self.refused.get_mut(id) else { continue };
            Arc::make_mut(refused).is_told = true;
            let value = Value::Refused(Box::new(refused.as_ref().clone()));
            out.push(keep(Key::Refused(*id), value));
        }
    }

    /// A robot refused a message that has nothing of any alert in it.
    fn notice_refused(
        &mut self,
        now: Now,
        robot: &str,
        code: i64,
        about: &[u64],
        out: &mut Vec<Output>,
    ) {
        let speaker = self.speakers.iter_mut().find(|speaker| speaker.robot.name == robot);
        let Some(speaker) = speaker.filter(|speaker| speaker.refuses_all()) else {
            // It took others meanwhile. The list, its metric and the log have it.
            self.refused_are_told(about, out);
            return;
        };
        let pause_ms = speaker.breaks(now.unix_ms);
        out.push(keep(Key::Robot(robot.to_owned()), Value::Robot(speaker.kept.clone())));
        let answer = super::answer::Answer::Stranger(code);
        out.push(Output::Tell(Trouble::Robot { robot: robot.to_owned(), answer, pause_ms }));
        for id in about {
            self.bring_back(*id, out);
        }
    }

    /// What was refused waits as if it had never been tried.
    fn bring_back(&mut self, id: u64, out: &mut Vec<Output>) -> bool {
        let Some(refused) = self.remove_refused(id, out) else { return false };
        let mut pending = refused.pending;
        (pending.plain, pending.piece_max) = (false, 0);
        pending.tries = Default::default();
        self.put_back(refused.lane, pending, out);
        true
    }

    /// Does what somebody decided; whether there is such a message.
    pub(super) fn decide(&mut self, id: u64, wish: RefusedWish, out: &mut Vec<Output>) -> bool {
        match wish {
            RefusedWish::Retry => self.bring_back(id, out),
            RefusedWish::Drop => self.remove_refused(id, out).is_some(),
        }
    }

    /// Forgets what is too old.
    pub(super) fn tidy_refused(&mut self, now: Now, out: &mut Vec<Output>) {
        let is_old = |one: &RefusedMessage| now.unix_ms.saturating_sub(one.at_ms) > REFUSED_MS_MAX;
        let old: Vec<u64> =
            self.refused.iter().filter(|(_, one)| is_old(one)).map(|(id, _)| *id).collect();
        for id in old {
            self.remove_refused(id, out);
        }
    }
}

/// What tells of refused messages: how many, how grave, and where they can be read. It
/// has nothing in it that an alert or a stranger wrote.
fn notice(
    refused: &[&RefusedMessage],
    chat: &str,
    route: &Route,
    options: &Options,
    now_ms: u64,
) -> Part {
    let channel = options.channel(chat).unwrap_or_default();
    let lines = || refused.iter().flat_map(|one| one.pending.lines.values());
    let (count, code) = (lines().count(), refused.first().map_or(0, |one| one.code));
    let begun = |line: &&Line| line.story == Story::Firing && line.alert.is_critical();
    let critical = lines().filter(begun).count();
    let firing = lines().filter(|line| line.alert.firing).count();
    let people = match route.mentions {
        true => oncall::called(lines().filter(begun).map(|line| &line.alert), options, now_ms),
        false => Vec::new(),
    };
    let mentions = oncall::mentions(channel, &people);
    let url = link::link(options, Purpose::Refused, &chat.to_owned(), now_ms / 1_000);
    let (title, mut text) = match route.language {
        Language::En => (
            "Refused",
            format!(
                "{count} alerts cannot be shown here, because this chat refuses what stands in \
                 them ({code}): {firing} firing, {critical} of these critical and new. Look them up"
            ),
        ),
        Language::Zh => (
            "消息被拒",
            format!(
                "{count} 条告警无法在此显示：群聊拒绝了其内容（{code}），其中触发中 {firing} 条，\
                 新的严重告警 {critical} 条。请查看"
            ),
        ),
    };
    text.push_str(&match (route.language, url) {
        (_, Some(url)) => format!(": {url}"),
        (Language::En, None) => " on the page /v1/refused of the alert bridge.".to_owned(),
        (Language::Zh, None) => "告警桥的 /v1/refused 页面。".to_owned(),
    });
    if !mentions.text.is_empty() {
        text.push(' ');
        text.push_str(&mentions.text);
    }
    let (mobiles, ids) = match channel {
        Channel::Wecom => (Vec::new(), Vec::new()),
        Channel::Dingtalk | Channel::Slack | Channel::Webhook => (mentions.mobiles, mentions.ids),
    };
    Part { title: title.to_owned(), text, mobiles, ids, ..Part::default() }
}
