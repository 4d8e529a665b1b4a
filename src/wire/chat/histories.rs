//! What was said in several channels: which a client asks for, and what each of them answers.
//!
//! Deliberately absent: who may read what, and how much fits one answer.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::payload;
use crate::base::limits::HISTORY_CHANNELS_MAX;
use crate::wire::json_bounded::BoundedList;
use crate::wire::json_out::put_publication;
use crate::wire::json_values::JsonText;
use crate::wire::{ErrorCode, Payload, Position, Publication, channel_is_valid};

/// A channel, and behind which place of it a client wants to know what was said.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelSince<'a> {
    /// Its name.
    pub channel: Cow<'a, str>,
    /// An offset, and its epoch.
    pub since: Option<(u64, Cow<'a, str>)>,
}

/// What one of several channels answers.
#[derive(Clone, Copy, Debug)]
pub enum HistoryPart<'a> {
    /// The page, and where the stream ends.
    Page(&'a [Arc<Publication>], Position),
    /// The reason why there is no page.
    Refused(ErrorCode),
    /// The page has no place in this answer.
    Truncated,
}

/// The channels of a request, each of them once; `None` when they cannot be right.
pub(super) fn channels(json: &str) -> Option<Vec<ChannelSince<'_>>> {
    let BoundedList::<&RawValue, HISTORY_CHANNELS_MAX>(list) = serde_json::from_str(json).ok()?;
    let channels: Option<Vec<ChannelSince<'_>>> =
        list.into_iter().map(|one| channel(one.get())).collect();
    let channels = channels?;
    let is_once = |(index, one): (usize, &ChannelSince<'_>)| {
        channels[..index].iter().all(|other| other.channel != one.channel)
    };
    let is_right = !channels.is_empty() && channels.iter().enumerate().all(is_once);
    is_right.then_some(channels)
}

/// The answer to a history of several channels:
/// `{channels: [{channel, publications, offset, epoch} or {channel, error} or {channel, truncated}]}`.
pub fn histories<'a>(parts: impl IntoIterator<Item = (&'a str, HistoryPart<'a>)>) -> Payload {
    payload(|members| {
        members.list("channels", parts, |(channel, part), members| {
            members.text("channel", channel);
            match part {
                HistoryPart::Page(publications, position) => {
                    members.list("publications", publications, |one, members| {
                        put_publication(one, members);
                    });
                    members.number("offset", position.offset);
                    members.ascii("epoch", &position.epoch.text());
                }
                HistoryPart::Refused(code) => {
                    let (code, message, is_temporary) = code.parts();
                    members.object("error", |members| {
                        members.number("code", code.into());
                        members.text("message", message);
                        members.flags([("temporary", is_temporary)]);
                    });
                }
                HistoryPart::Truncated => members.flags([("truncated", true)]),
            }
        });
    })
}

/// Reads one of the list: a name, or a place in a channel.
fn channel(json: &str) -> Option<ChannelSince<'_>> {
    #[derive(Deserialize)]
    struct Place<'a> {
        #[serde(borrow)]
        channel: JsonText<'a>,
        offset: u64,
        #[serde(borrow)]
        epoch: JsonText<'a>,
    }
    let one = if json.starts_with('{') {
        let Place { channel, offset, epoch } = serde_json::from_str(json).ok()?;
        ChannelSince { channel: channel.0, since: Some((offset, epoch.0)) }
    } else {
        let JsonText(channel) = serde_json::from_str(json).ok()?;
        ChannelSince { channel, since: None }
    };
    channel_is_valid(&one.channel).then_some(one)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::wire::Epoch;

    #[test]
    fn channels_are_names_or_places_and_each_is_there_once() {
        let json = json!(["a", { "channel": "b", "offset": 7, "epoch": "0a", "more": [1] }]);
        let text = json.to_string();
        let want = [
            ChannelSince { channel: "a".into(), since: None },
            ChannelSince { channel: "b".into(), since: Some((7, "0a".into())) },
        ];
        assert_eq!(channels(&text).unwrap(), want);
        let many = |count: usize| {
            let names: Vec<String> = (0..count).map(|number| format!("c{number}")).collect();
            channels(&json!(names).to_string()).map(|channels| channels.len())
        };
        assert_eq!(many(HISTORY_CHANNELS_MAX), Some(HISTORY_CHANNELS_MAX));
        assert_eq!((many(0), many(HISTORY_CHANNELS_MAX + 1)), (None, None));
        for wrong in [
            json!("a"),
            json!({}),
            json!([""]),
            json!(["a", "a"]),
            json!([1]),
            json!([null]),
            json!([["a", 1, "e"]]),
            json!([{ "channel": "a", "offset": 1 }]),
            json!([{ "channel": "a", "epoch": "e" }]),
            json!([{ "channel": "a", "offset": -1, "epoch": "e" }]),
            json!(["a", { "channel": "a", "offset": 1, "epoch": "e" }]),
        ] {
            assert_eq!(channels(&wrong.to_string()), None, "{wrong}");
        }
    }

    #[test]
    fn each_channel_answers_for_itself() {
        let position = Position { offset: 4, epoch: Epoch(0xab) };
        let parts = [
            ("a\n", HistoryPart::Page(&[], position)),
            ("b", HistoryPart::Refused(ErrorCode::PermissionDenied)),
            ("c", HistoryPart::Refused(ErrorCode::TooManyRequests)),
            ("d", HistoryPart::Truncated),
        ];
        let payload = histories(parts);
        let want = json!({ "channels": [
            { "channel": "a\n", "publications": [], "offset": 4, "epoch": "000000ab" },
            { "channel": "b", "error": { "code": 103, "message": "permission denied" } },
            { "channel": "c",
                "error": { "code": 111, "message": "too many requests", "temporary": true } },
            { "channel": "d", "truncated": true },
        ]});
        assert_eq!(serde_json::from_slice::<Value>(&payload.bytes).unwrap(), want);
    }
}
