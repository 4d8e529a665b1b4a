//! Records of the log, as JSON: events exactly as a backend gets them, and what only the log needs,
//! whose words begin with a dot.
//!
//! Invariant: what is written is read as the same value; what no record says is not read.
//!
//! Deliberately absent: the frame of a record (`base`), and what follows from one (`feed`).

use std::borrow::Cow;
use std::sync::Arc;

use super::event::{ChannelState, FeedEvent, FeedNews, UserState};
use super::fact::{DeadLetterNotice, GoneReason, UserKey, WaitingMessage};
use crate::base::limits::NAME_BYTES_MAX;

/// With what each record begins, so that the search for whole ones is fast.
pub(super) const PAYLOAD_START: &[u8] = b"{\"event\":";

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FeedRecord {
    /// A segment begins.
    Segment {
        /// For which numbers hold.
        epoch: u64,
        /// Events of this segment have this number or a higher one.
        next_number: u64,
        /// All events up to this one are acknowledged.
        acknowledged: u64,
    },
    /// An event.
    Event(FeedEvent),
    /// All events up to this one are acknowledged.
    Acknowledged(u64),
    /// A user is there.
    User(UserState),
    /// A channel is occupied.
    Channel(ChannelState),
    /// All that was there since this segment began stands in it.
    Whole,
}

/// A record as it stands in the file, and an event as it is sent.
#[derive(Default, serde::Serialize, serde::Deserialize)]
struct RecordJson<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    number: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    previous: u64,
    /// Unix ms.
    #[serde(default, skip_serializing_if = "is_zero")]
    at: u64,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    tenant: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    user: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    channel: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    code: u64,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    reason: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "str::is_empty")]
    from: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "is_zero")]
    offset: u64,
    #[serde(default, skip_serializing_if = "is_zero")]
    count: u64,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    channels: Vec<Cow<'a, str>>,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The payload of a record.
pub(super) fn write_payload(record: &FeedRecord) -> Vec<u8> {
    let json = match record {
        FeedRecord::Segment { epoch, next_number, acknowledged } => RecordJson {
            number: *next_number,
            offset: *acknowledged,
            count: *epoch,
            ..named(".segment")
        },
        FeedRecord::Event(event) => event_json(event),
        FeedRecord::Acknowledged(number) => {
            RecordJson { number: *number, ..named(".acknowledged") }
        }
        FeedRecord::User(UserState { tenant, user, number, since_unix_ms, channels }) => {
            RecordJson {
                number: *number,
                at: *since_unix_ms,
                tenant: Cow::Borrowed(tenant),
                user: Cow::Borrowed(user),
                channels: channels.iter().map(|channel| Cow::Borrowed(&**channel)).collect(),
                ..named(".user")
            }
        }
        FeedRecord::Channel(ChannelState { tenant, channel, number, since_unix_ms }) => {
            RecordJson {
                number: *number,
                at: *since_unix_ms,
                tenant: Cow::Borrowed(tenant),
                channel: Cow::Borrowed(channel),
                ..named(".channel")
            }
        }
        FeedRecord::Whole => named(".whole"),
    };
    serde_json::to_vec(&json).expect("it is texts and numbers")
}

fn named(event: &str) -> RecordJson<'_> {
    RecordJson { event: Cow::Borrowed(event), ..RecordJson::default() }
}

fn event_json(event: &FeedEvent) -> RecordJson<'_> {
    let FeedEvent { number, previous, at_unix_ms, tenant, user, news } = event;
    let json = match news {
        FeedNews::Connected => named("connected"),
        FeedNews::Disconnected(GoneReason { code, reason }) => RecordJson {
            code: u64::from(*code),
            reason: Cow::Borrowed(reason),
            ..named("disconnected")
        },
        FeedNews::Subscribed(channel) => in_channel("subscribed", channel),
        FeedNews::Unsubscribed(channel) => in_channel("unsubscribed", channel),
        FeedNews::Occupied(channel) => in_channel("occupied", channel),
        FeedNews::Vacated(channel) => in_channel("vacated", channel),
        FeedNews::MessageWaits(WaitingMessage { from, channel, offset, count, .. }) => RecordJson {
            from: Cow::Borrowed(from),
            offset: *offset,
            count: *count,
            ..in_channel("message_waits", channel)
        },
        FeedNews::DeadLetter(DeadLetterNotice { channel, offset, cause, .. }) => RecordJson {
            offset: *offset,
            reason: Cow::Borrowed(cause),
            ..in_channel("dead_letter", channel)
        },
        FeedNews::NoticesLost(count) => RecordJson { count: *count, ..named("notices_lost") },
    };
    RecordJson {
        number: *number,
        previous: *previous,
        at: *at_unix_ms,
        tenant: Cow::Borrowed(tenant),
        user: Cow::Borrowed(user),
        ..json
    }
}

fn in_channel<'a>(event: &'a str, channel: &'a str) -> RecordJson<'a> {
    RecordJson { channel: Cow::Borrowed(channel), ..named(event) }
}

/// The record that a payload is.
pub(super) fn read_payload(payload: &[u8]) -> Option<FeedRecord> {
    let json: RecordJson<'_> = serde_json::from_slice(payload).ok()?;
    let texts = [&json.tenant, &json.user, &json.channel, &json.from, &json.reason];
    if texts.into_iter().chain(&json.channels).any(|text| NAME_BYTES_MAX < text.len()) {
        return None;
    }
    let text = |text: &str| Arc::<str>::from(text);
    let (tenant, user, channel) = (text(&json.tenant), text(&json.user), text(&json.channel));
    let RecordJson { number, at, count, offset, .. } = json;
    let key = || UserKey { tenant: Arc::clone(&tenant), user: Arc::clone(&user), unnamed: None };
    let reason = || Cow::Owned(json.reason.to_string());
    let news = match &*json.event {
        ".segment" => {
            let (epoch, next_number, acknowledged) = (count, number, offset);
            return Some(FeedRecord::Segment { epoch, next_number, acknowledged });
        }
        ".acknowledged" => return Some(FeedRecord::Acknowledged(number)),
        ".whole" => return Some(FeedRecord::Whole),
        ".user" => {
            let channels = json.channels.iter().map(|channel| text(channel)).collect();
            let state = UserState { tenant, user, number, since_unix_ms: at, channels };
            return Some(FeedRecord::User(state));
        }
        ".channel" => {
            let state = ChannelState { tenant, channel, number, since_unix_ms: at };
            return Some(FeedRecord::Channel(state));
        }
        "connected" => FeedNews::Connected,
        "disconnected" => {
            let code = u16::try_from(json.code).ok()?;
            FeedNews::Disconnected(GoneReason { code, reason: reason() })
        }
        "subscribed" => FeedNews::Subscribed(channel),
        "unsubscribed" => FeedNews::Unsubscribed(channel),
        "occupied" => FeedNews::Occupied(channel),
        "vacated" => FeedNews::Vacated(channel),
        "message_waits" => {
            let from = text(&json.from);
            FeedNews::MessageWaits(WaitingMessage { user: key(), from, channel, offset, count })
        }
        "dead_letter" => {
            let cause = reason();
            FeedNews::DeadLetter(DeadLetterNotice { user: key(), channel, offset, cause })
        }
        "notices_lost" => FeedNews::NoticesLost(count),
        _ => return None,
    };
    let previous = json.previous;
    Some(FeedRecord::Event(FeedEvent { number, previous, at_unix_ms: at, tenant, user, news }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{find_records, put_record};

    fn event(number: u64, news: FeedNews) -> FeedRecord {
        let (tenant, user) = ("acme".into(), "安娜 \"\\\n".into());
        let event =
            FeedEvent { number, previous: number - 1, at_unix_ms: 1_700, tenant, user, news };
        FeedRecord::Event(event)
    }

    fn records() -> Vec<FeedRecord> {
        let user = UserKey { tenant: "acme".into(), user: "安娜 \"\\\n".into(), unnamed: None };
        let (from, channel) = (Arc::<str>::from("bob"), Arc::<str>::from("dm#bob,安娜"));
        let waiting = WaitingMessage {
            user: user.clone(),
            from,
            channel: Arc::clone(&channel),
            offset: 7,
            count: 2,
        };
        let cause = Cow::Borrowed("expired");
        let dead = DeadLetterNotice { user, channel: Arc::clone(&channel), offset: 8, cause };
        let gone = GoneReason { code: 3012, reason: Cow::Borrowed("no pong") };
        let state = UserState {
            tenant: "".into(),
            user: "bob".into(),
            number: 9,
            since_unix_ms: 5,
            channels: vec!["room:1".into(), "房间".into()],
        };
        let (tenant, number) = ("".into(), u64::MAX);
        let occupied =
            ChannelState { tenant, channel: Arc::clone(&channel), number, since_unix_ms: 1 };
        vec![
            FeedRecord::Segment { epoch: u64::MAX, next_number: 4, acknowledged: 3 },
            event(1, FeedNews::Connected),
            event(2, FeedNews::Disconnected(gone)),
            event(3, FeedNews::Disconnected(GoneReason::RESTARTED)),
            event(4, FeedNews::Subscribed(Arc::clone(&channel))),
            event(5, FeedNews::Unsubscribed(Arc::clone(&channel))),
            event(6, FeedNews::Occupied(Arc::clone(&channel))),
            event(7, FeedNews::Vacated(channel)),
            event(8, FeedNews::MessageWaits(waiting)),
            event(9, FeedNews::DeadLetter(dead)),
            event(10, FeedNews::NoticesLost(3)),
            FeedRecord::Acknowledged(5),
            FeedRecord::User(state),
            FeedRecord::Channel(occupied),
            FeedRecord::Whole,
        ]
    }

    #[test]
    fn after_every_cut_the_whole_records_are_read() {
        let (mut bytes, mut bounds) = (Vec::new(), vec![0]);
        for record in records() {
            put_record(&write_payload(&record), &mut bytes);
            bounds.push(bytes.len());
        }
        for end in 0..=bytes.len() {
            let whole = bounds.iter().filter(|&&bound| bound <= end).count() - 1;
            let found = find_records(&bytes[..end], PAYLOAD_START, read_payload);
            assert_eq!(found.records, records()[..whole], "cut at {end}");
            assert_eq!(found.damaged_bytes, 0);
        }
    }

    #[test]
    fn an_event_is_sent_as_it_stands_in_the_log() {
        let told = FeedNews::Disconnected(GoneReason { code: 3012, reason: "no pong".into() });
        assert_eq!(
            String::from_utf8(write_payload(&event(17, told))).unwrap(),
            "{\"event\":\"disconnected\",\"number\":17,\"previous\":16,\"at\":1700,\
             \"tenant\":\"acme\",\"user\":\"安娜 \\\"\\\\\\n\",\"code\":3012,\"reason\":\"no pong\"}"
        );
    }

    #[test]
    fn what_no_record_says_is_not_read() {
        let long = format!("{{\"event\":\"connected\",\"user\":\"{}\"}}", "x".repeat(256));
        for payload in [
            "{\"event\":\"arrived\",\"number\":1}",
            "{\"event\":\"disconnected\",\"number\":1,\"code\":70000}",
            "{\"number\":1}",
            "{\"event\":7}",
            &long,
        ] {
            assert_eq!(read_payload(payload.as_bytes()), None, "{payload}");
        }
    }
}
