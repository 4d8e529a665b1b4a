//! Clients that react to messages, and ask what others reacted with.
//!
//! Deliberately absent: what must come of it (`reaction_oracle`).

use rookery::wire::client::proto;
use rookery::wire::{RawData, Request};
use serde_json::Value;

use crate::answers::PendingCommand;
use crate::client::{Client, ClientContext};
use crate::reaction::{Known, VALUES};
use crate::reaction_oracle::Strictness;
use crate::violation::CheckResult;

/// Messages of which one question asks.
const ASKED_COUNT: u64 = 6;

impl Client {
    /// Reacts to one of the last messages that it has seen, or asks what these are reacted to
    /// with.
    pub(crate) fn react(&mut self, cx: &mut ClientContext<'_>) {
        let read = self.readings.iter().filter_map(|(channel, reading)| {
            let channel = cx.channels.iter().find(|one| *one == channel)?;
            Some((*channel, reading.newest()?))
        });
        let delivered_direct = self.received.iter().map(|(channel, offset)| (*channel, *offset));
        let known: Vec<(&'static str, u64)> = read.chain(delivered_direct).collect();
        let index = self.prng.below(known.len().max(1) as u64) as usize;
        let Some(&(channel, newest)) = known.get(index) else { return };
        if self.prng.percent(30) {
            return self.ask_reactions(channel, newest, cx);
        }
        // Now and then one that is not there.
        let beyond = if self.prng.percent(3) { 1_000_000 } else { 0 };
        let offset = beyond + newest - self.prng.below(newest.min(4));
        let value = VALUES.get(self.prng.below(1 + VALUES.len() as u64) as usize).copied();
        let data = serde_json::json!({ "channel": channel, "offset": offset, "value": value });
        cx.oracle.reactions.asks(channel, offset, self.user, value);
        self.call_chat("chat.react", data, PendingCommand::React(channel, offset, value), cx);
    }

    fn ask_reactions(&mut self, channel: &'static str, newest: u64, cx: &mut ClientContext<'_>) {
        let offsets: Vec<u64> = (0..ASKED_COUNT.min(newest)).map(|back| newest - back).collect();
        let known = cx.oracle.reactions.known(channel);
        let data = serde_json::json!({ "channel": channel, "offsets": offsets });
        let asked = PendingCommand::Reactions(channel, offsets, known);
        self.call_chat("chat.reactions", data, asked, cx);
    }

    fn call_chat(
        &mut self,
        method: &'static str,
        data: Value,
        asked: PendingCommand,
        cx: &mut ClientContext<'_>,
    ) {
        let data = RawData { bytes: data.to_string().into_bytes().into(), is_json: true };
        self.ask(cx, vec![(Request::Rpc { method: method.into(), data }, asked)]);
    }

    /// What messages are reacted to with was answered.
    pub(crate) fn on_reactions(
        &self,
        channel: &'static str,
        (offsets, known): (&[u64], &Known),
        data: &Value,
        cx: &ClientContext<'_>,
    ) -> CheckResult {
        let oracle = &cx.oracle;
        offsets.iter().try_for_each(|offset| {
            let mut shown = data["messages"].as_array().into_iter().flatten();
            let shown = shown.find(|one| one["offset"].as_u64() == Some(*offset));
            let strictness = match oracle.durable_oracle.is_kept(channel, *offset, cx.now.unix_ms) {
                true => Strictness::All,
                false => Strictness::Some,
            };
            let shown = shown.unwrap_or(&Value::Null);
            let asked = (self.user, known);
            oracle.reactions.check_shown(channel, *offset, asked, shown, strictness)
        })
    }

    /// A history shows what its messages are reacted to with.
    pub(crate) fn check_history_reactions(
        &self,
        channel: &str,
        known: &Known,
        publications: &[proto::Publication],
        cx: &ClientContext<'_>,
    ) -> CheckResult {
        let oracle = &cx.oracle;
        publications.iter().try_for_each(|one| {
            let text = one.tags.get("reactions").map_or("null", String::as_str);
            let shown = serde_json::from_str(text).unwrap_or_default();
            let strictness = match oracle.durable_oracle.is_whole(channel, one.offset) {
                true => Strictness::All,
                false => Strictness::Some,
            };
            let asked = (self.user, known);
            oracle.reactions.check_shown(channel, one.offset, asked, &shown, strictness)
        })
    }

    /// A notice says what a message is reacted to with.
    pub(crate) fn check_reacted(&self, notice: &[u8], cx: &ClientContext<'_>) -> CheckResult {
        let notice: Value = serde_json::from_slice(notice).unwrap_or_default();
        let reacted = &notice["reacted"];
        let (Some(channel), Some(offset)) =
            (reacted["channel"].as_str(), reacted["offset"].as_u64())
        else {
            return Ok(());
        };
        let nobody = ("", &Known::new());
        let reactions = &cx.oracle.reactions;
        reactions.check_shown(channel, offset, nobody, reacted, Strictness::Some)
    }
}
