//! Clients that use chat's own methods: they say things with ids and say them again
//! when they do not know what became of them, write to each other, acknowledge, read
//! and take back.

use std::collections::BTreeMap;

use rookery::store::ReadMarkers;
use rookery::wire::client::proto;
use rookery::wire::{RawData, Request};
use serde_json::Value;

use crate::answers::PendingCommand;
use crate::client::{Client, ClientContext};
use crate::durable_oracle::KnownBefore;
use crate::post::Post;
use crate::publication::{Words, edited_offset, is_retracted, retracted_offset, words_of};
use crate::scenario::{USERS, parties};
use crate::violation::{CheckResult, Checker, demand};

/// Messages that a client remembers, to say them again.
const POSTS_MAX: usize = 24;

/// Numbers of connections that no connection has: a message that may be said again
/// keeps no order with others.
const NO_LINE: u64 = 1 << 40;

impl Client {
    /// Says something in a channel, mostly with an id, and sometimes twice.
    pub(crate) fn post(&mut self, channel: &'static str, cx: &mut ClientContext<'_>) {
        let field = format!("\"channel\":\"{channel}\"");
        self.say_by_chat("chat.publish", channel, &field, cx);
    }

    /// Writes to another user.
    pub(crate) fn send_to(&mut self, cx: &mut ClientContext<'_>) {
        let to = USERS[1 + self.prng.below(USERS.len() as u64 - 1) as usize];
        let channel = if to < self.user {
            format!("dm#{to},{}", self.user)
        } else {
            format!("dm#{},{to}", self.user)
        };
        let ttl = if self.prng.percent(20) { ",\"ttl_s\":2" } else { "" };
        self.say_by_chat("chat.send", &channel, &format!("\"to\":\"{to}\"{ttl}"), cx);
    }

    fn say_by_chat(
        &mut self,
        method: &'static str,
        channel: &str,
        field: &str,
        cx: &mut ClientContext<'_>,
    ) {
        // Who has no name is not told apart from others without one, and what is not
        // on disk is forgotten with its room.
        let is_told_apart = !self.user.is_empty() && cx.oracle.durable_oracle.is_stored(channel);
        let has_id = self.prng.percent(80) && is_told_apart;
        let line = self.line.as_ref().map_or(0, |line| line.number);
        let number = cx.publish(channel, self.user);
        let id = match has_id {
            true => format!(",\"id\":\"i{number}\""),
            false if self.user.is_empty() => format!(",\"id\":\"a{}\"", number % 3),
            false => String::new(),
        };
        let line = if has_id { NO_LINE + number } else { line };
        let padding = "x".repeat(self.prng.below(60) as usize);
        let data =
            format!("{{{field}{id},\"data\":{{\"n\":[{number},{line}],\"x\":\"{padding}\"}}}}");
        let post = Post { number, method, data, is_answered: false };
        self.call(method, post.data.clone(), PendingCommand::Post(number), cx);
        if has_id {
            if self.prng.percent(10) {
                self.call(method, post.data.clone(), PendingCommand::Post(number), cx);
            }
            if POSTS_MAX <= self.posts.len() {
                self.posts.remove(0);
            }
            self.posts.push(post);
        }
    }

    /// Says again what was not answered, or what was.
    pub(crate) fn repeat(&mut self, cx: &mut ClientContext<'_>) {
        let again = self.posts.iter().position(|post| !post.is_answered);
        let any = self.prng.below(self.posts.len() as u64) as usize;
        let index = again.filter(|_| self.prng.percent(70)).unwrap_or(any);
        if let Some(Post { number, method, data, .. }) = self.posts.get(index).cloned() {
            self.call(method, data, PendingCommand::Post(number), cx);
        }
    }

    /// Acknowledges up to a place that it was shown, or says that it read up to one.
    pub(crate) fn mark(&mut self, cx: &mut ClientContext<'_>) {
        let known: Vec<_> =
            self.received.iter().map(|(&channel, &offset)| (channel, offset)).collect();
        let index = self.prng.below(known.len() as u64) as usize;
        let Some(&(channel, newest)) = known.get(index) else { return };
        if self.prng.percent(50) {
            self.acknowledge(channel, newest, cx);
        } else {
            let offset = newest - self.prng.below(newest.min(3));
            cx.oracle.durable_oracle.markers(channel, self.user, offset);
            let data = format!("{{\"channel\":\"{channel}\",\"offset\":{offset}}}");
            self.call("chat.read", data, PendingCommand::Read(channel, offset), cx);
        }
    }

    fn acknowledge(&mut self, channel: &'static str, offset: u64, cx: &mut ClientContext<'_>) {
        cx.oracle.durable_oracle.markers(channel, self.user, offset);
        let data = format!("{{\"channel\":\"{channel}\",\"offset\":{offset},\"took_ms\":3}}");
        self.call("chat.ack", data, PendingCommand::Ack(channel, offset), cx);
    }

    /// Takes back one of its own messages.
    pub(crate) fn retract(&mut self, cx: &mut ClientContext<'_>) {
        let durable_oracle = &cx.oracle.durable_oracle;
        let mut mine = self.posts.iter().filter_map(|post| {
            Some((post.number, durable_oracle.place(post.number)?)).filter(|_| post.is_answered)
        });
        let Some((number, (channel, offset))) = mine.next_back() else { return };
        cx.oracle.durable_oracle.retracts(number);
        let data = format!("{{\"channel\":\"{channel}\",\"offset\":{offset}}}");
        self.call("chat.retract", data, PendingCommand::Retract(number), cx);
    }

    /// Gives one of its own messages other words, or says again that it did.
    pub(crate) fn edit(&mut self, cx: &mut ClientContext<'_>) {
        if let Some((number, version, data)) = self.edited.clone()
            && self.prng.percent(20)
        {
            return self.call("chat.edit", data, PendingCommand::Edit(number, version), cx);
        }
        let durable_oracle = &mut cx.oracle.durable_oracle;
        let mine = self.posts.iter().filter_map(|post| {
            Some((post.number, durable_oracle.place(post.number)?)).filter(|_| post.is_answered)
        });
        let mine: Vec<_> = mine.collect();
        let index = self.prng.below(mine.len() as u64) as usize;
        let Some(&(number, (channel, offset))) = mine.get(index) else { return };
        let version = durable_oracle.edits.asks(number);
        let padding = "y".repeat(self.prng.below(60) as usize);
        let words = edited_words(Words { number, version }, &padding);
        let place = format!("\"channel\":\"{channel}\",\"offset\":{offset}");
        let data = format!("{{{place},\"id\":\"e{number}-{version}\",\"data\":{words}}}");
        self.edited = Some((number, version, data.clone()));
        let times_count = if self.prng.percent(10) { 2 } else { 1 };
        for _ in 0..times_count {
            self.call("chat.edit", data.clone(), PendingCommand::Edit(number, version), cx);
        }
    }

    /// Asks how far others are, or with whom it talks.
    pub(crate) fn ask_around(&mut self, channel: &'static str, cx: &mut ClientContext<'_>) {
        if self.prng.percent(50) || self.user.is_empty() {
            let before = cx.oracle.before(channel);
            let data = format!("{{\"channel\":\"{channel}\"}}");
            return self.call("chat.receipts", data, PendingCommand::Receipts(channel, before), cx);
        }
        let mine = cx
            .channels
            .iter()
            .filter(|channel| parties(channel).is_some_and(|parties| parties.contains(&self.user)));
        let mine: Vec<_> = mine.map(|&channel| (channel, cx.oracle.before(channel))).collect();
        self.call("chat.rooms", "{}".to_owned(), PendingCommand::Rooms(mine), cx);
    }

    fn call(
        &mut self,
        method: &str,
        data: String,
        asked: PendingCommand,
        cx: &mut ClientContext<'_>,
    ) {
        let data = RawData { bytes: data.into_bytes().into(), is_json: true };
        let request = Request::Rpc { method: method.to_owned().into(), data };
        self.ask(cx, vec![(request, asked)]);
    }

    /// A direct message came into the personal channel.
    pub(crate) fn on_direct(
        &mut self,
        publication: &proto::Publication,
        cx: &mut ClientContext<'_>,
    ) -> CheckResult {
        let tag = |name: &str| publication.tags.get(name).map(String::as_str).unwrap_or_default();
        let channel = cx.channels.iter().find(|channel| **channel == tag("channel"));
        let offset = tag("offset").parse::<u64>().unwrap_or(0);
        let is_mine = channel.is_some_and(|channel| {
            parties(channel).is_some_and(|parties| parties.contains(&self.user))
        });
        demand!(
            is_mine && offset != 0,
            Checker::DeadLetters,
            "client {} of {} got {publication:?}",
            self.index,
            self.user
        )?;
        let Some(&channel) = channel else { return Ok(()) };
        if let Some(target) = retracted_offset(publication) {
            cx.oracle.check_emptied(channel, target)?;
        } else if let Some(target) = edited_offset(publication) {
            cx.oracle.check_edit(channel, publication, (offset, target), 0)?;
        } else if !is_retracted(publication) {
            let number = words_of(&publication.data).map_or(u64::MAX, |words| words.number);
            cx.oracle.durable_oracle.delivered_direct(channel, offset, number)?;
            cx.oracle.check_words(channel, publication, 0)?;
        }
        cx.oracle.inboxes.brought(channel, self.user, offset, &cx.oracle.durable_oracle);
        let newest = self.received.entry(channel).or_default();
        *newest = offset.max(*newest);
        let is_known = cx.oracle.durable_oracle.is_acknowledged(channel, self.user, offset);
        if !is_known && (cx.acknowledges || self.prng.percent(60)) {
            self.acknowledge(channel, offset, cx);
        }
        Ok(())
    }

    /// A chat method was answered.
    pub(crate) fn on_chat_answer(
        &mut self,
        asked: PendingCommand,
        data: &[u8],
        cx: &mut ClientContext<'_>,
    ) -> CheckResult {
        let data: Value = serde_json::from_slice(data).unwrap_or_default();
        let moment = cx.oracle.tick();
        match asked {
            PendingCommand::Post(number) => self.on_posted(number, &data, cx),
            PendingCommand::Ack(channel, offset) => {
                let markers = ReadMarkers { delivered: offset, read: 0 };
                cx.oracle.durable_oracle.marker_answered(channel, self.user, markers);
                Ok(())
            }
            PendingCommand::Read(channel, offset) => {
                let markers = ReadMarkers { delivered: offset, read: offset };
                cx.oracle.durable_oracle.marker_answered(channel, self.user, markers);
                Ok(())
            }
            PendingCommand::Retract(number) => {
                cx.oracle.durable_oracle.retracted(number, moment);
                Ok(())
            }
            PendingCommand::Edit(number, version) => {
                let (channel, offset) = (text_at(&data, "channel"), number_at(&data, "offset"));
                cx.oracle.durable_oracle.edit_stands(channel, offset, Words { number, version })?;
                cx.oracle.durable_oracle.edits.answered(number, offset, moment);
                Ok(())
            }
            PendingCommand::Receipts(channel, before) => {
                let shown = data["receipts"].as_array().into_iter().flatten();
                let shown =
                    shown.map(|one| (one["user"].as_str().unwrap_or_default(), markers(one)));
                let shown: BTreeMap<&str, ReadMarkers> = shown.collect();
                for user in &USERS[1..] {
                    let now = shown.get(user).copied().unwrap_or_default();
                    cx.oracle.durable_oracle.check_markers(channel, &before, user, now)?;
                }
                Ok(())
            }
            PendingCommand::Rooms(known) => self.on_rooms(known, &data, cx),
            PendingCommand::React(channel, offset, value) => {
                cx.oracle.reactions.answered(channel, offset, self.user, value);
                Ok(())
            }
            PendingCommand::Reactions(channel, offsets, known) => {
                self.on_reactions(channel, (&offsets, &known), &data, cx)
            }
            PendingCommand::Histories(asked) => self.on_histories(&asked, &data, cx),
            PendingCommand::Connect(_)
            | PendingCommand::Subscribe(..)
            | PendingCommand::Presence(_)
            | PendingCommand::Unsubscribe(_)
            | PendingCommand::Publish(_)
            | PendingCommand::History(..)
            | PendingCommand::Other => Ok(()),
        }
    }

    /// The list of conversations: none is behind what was answered before it was asked for.
    fn on_rooms(
        &self,
        known: Vec<(&'static str, KnownBefore)>,
        data: &Value,
        cx: &mut ClientContext<'_>,
    ) -> CheckResult {
        for (channel, before) in known {
            let mut rooms = data["rooms"].as_array().into_iter().flatten();
            let room = rooms.find(|room| room["channel"] == channel);
            let head = room.map_or(0, |room| number_at(room, "head"));
            demand!(
                before.head <= head,
                Checker::Kept,
                "{}: {channel} ends at {head}, not {}",
                self.user,
                before.head
            )?;
            let now = room.map(markers).unwrap_or_default();
            cx.oracle.durable_oracle.check_markers(channel, &before, self.user, now)?;
        }
        Ok(())
    }

    /// A message stands.
    fn on_posted(&mut self, number: u64, data: &Value, cx: &mut ClientContext<'_>) -> CheckResult {
        for post in self.posts.iter_mut().filter(|post| post.number == number) {
            post.is_answered = true;
        }
        cx.oracle.answered(number);
        let channel = data["channel"].as_str().unwrap_or_default();
        let epoch = data["epoch"].as_str().unwrap_or_default();
        let offset = number_at(data, "offset");
        if offset == 0 {
            return Ok(());
        }
        cx.oracle.durable_oracle.stands(channel, epoch, offset, number)?;
        cx.oracle.check_content(channel, epoch, offset, number)
    }

    /// A chat method was refused.
    pub(crate) fn on_chat_refusal(
        &self,
        asked: &PendingCommand,
        code: u32,
        cx: &mut ClientContext<'_>,
    ) -> CheckResult {
        if let PendingCommand::React(channel, offset, _) = asked {
            cx.oracle.reactions.refused(channel, *offset, self.user, code);
        }
        let is_wrong = matches!(asked, PendingCommand::Ack(..)) && code == 107;
        demand!(
            !is_wrong,
            Checker::Markers,
            "{} got what it cannot acknowledge: {asked:?}",
            self.user
        )
    }
}

/// Other words for a message that may be said again: they keep no order either.
fn edited_words(Words { number, version }: Words, padding: &str) -> String {
    let line = NO_LINE + number;
    format!("{{\"n\":[{number},{line}],\"v\":{version},\"x\":\"{padding}\"}}")
}

fn text_at<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_default()
}

fn number_at(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or(0)
}

fn markers(value: &Value) -> ReadMarkers {
    ReadMarkers { delivered: number_at(value, "delivered"), read: number_at(value, "read") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable_oracle::KnownBefore;
    use crate::oracle::Oracle;
    use crate::reading::{Place, Reading};

    #[test]
    fn edited_messages_that_were_said_again_are_read_in_any_order() {
        let (mut oracle, mut reading) = (Oracle::default(), Reading::default());
        (0..=40).for_each(|number| assert_eq!(oracle.publish("room:1"), number));
        // The first one was said again, and came behind the second.
        let mut edited = |offset, number| {
            let version = oracle.durable_oracle.edits.asks(number);
            let words = edited_words(Words { number, version }, "");
            proto::Publication {
                data: words.into_bytes().into(),
                offset,
                tags: [("edit_offset".to_owned(), (offset + 2).to_string())].into(),
                ..proto::Publication::default()
            }
        };
        let result = proto::SubscribeResult {
            epoch: "e".to_owned(),
            publications: vec![edited(1, 40), edited(2, 36)],
            recovered: true,
            offset: 2,
            ..proto::SubscribeResult::default()
        };
        let asked = Place { epoch: "e".to_owned(), offset: 0 };
        let before = KnownBefore::default();
        reading.subscribed(&mut oracle, "room:1", Some(&asked), &before, &result).unwrap();
        assert_eq!(reading.newest(), Some(2));
    }
}
