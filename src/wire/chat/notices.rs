//! What is told about messages beside the messages themselves.

use bytes::Bytes;

use super::answers::Receipt;
use super::payload;
use crate::base::Trace;
use crate::wire::{ClientInfo, ID_TAG, Payload, Publication};

/// Somebody is writing: `{"typing": {channel, user, client}}`.
pub fn typing(channel: &str, who: &ClientInfo) -> Payload {
    payload(|members| {
        members.object("typing", |members| {
            members.text("channel", channel);
            members.text("user", &who.user);
            members.ascii("client", &who.client.text());
        });
    })
}

/// How many came to a large room, left it, and are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MembershipSummary {
    /// Connections or users that came since the last notice.
    pub joined: u32,
    /// Those that left.
    pub left: u32,
    /// Connections.
    pub clients: u32,
    /// Users.
    pub users: u32,
}

/// How many came and left: `{"crowd": {channel, came, went, clients, users}}`.
pub fn membership_summary(channel: &str, crowd: MembershipSummary) -> Payload {
    payload(|members| {
        members.object("crowd", |members| {
            members.text("channel", channel);
            members.number("came", u64::from(crowd.joined));
            members.number("went", u64::from(crowd.left));
            members.number("clients", u64::from(crowd.clients));
            members.number("users", u64::from(crowd.users));
        });
    })
}

/// A user got on: `{"receipt": {channel, user, delivered, read}}`.
pub fn receipt(channel: &str, receipt: Receipt<'_>) -> Payload {
    payload(|members| {
        members.object("receipt", |members| {
            members.text("channel", channel);
            members.text("user", receipt.user);
            members.number("delivered", receipt.delivered);
            members.number("read", receipt.read);
        });
    })
}

/// A message was taken back by `user`: `{"retracted": {channel, offset, user}}`.
pub fn retracted(channel: &str, offset: u64, user: &str) -> Payload {
    payload(|members| {
        members.object("retracted", |members| {
            members.text("channel", channel);
            members.number("offset", offset);
            members.text("user", user);
        });
    })
}

/// The tag of a message that was taken back.
pub(super) const RETRACTED_TAG: &str = "retracted";

/// The tag of a message that says that another one was taken back: which.
pub(super) const RETRACTS_TAG: &str = "retracts";

/// What says in a channel that a message was taken back: `{"retracted":3}`, and the tag
/// that a client finds it by.
pub fn retraction(offset: u64) -> (Payload, (Box<str>, Box<str>)) {
    let data = payload(|members| members.number("retracted", offset));
    (data, (RETRACTS_TAG.into(), offset.to_string().into()))
}

/// The message that this one says was taken back, if it is such a one. No client
/// chooses a tag, so none is forged.
pub fn retracted_offset(message: &Publication) -> Option<u64> {
    message.tag(RETRACTS_TAG)?.parse().ok()
}

/// Whether a message was taken back, and only its place is left.
pub fn is_remainder(message: &Publication) -> bool {
    message.tag(RETRACTED_TAG).is_some()
}

/// What is left of a message that was taken back: its place, author, time and
/// id, and where its content was `{"retracted":true}`. A tag says so to those who
/// do not look into data.
pub fn remainder(whole: &Publication) -> Publication {
    let id = whole.tags.iter().find(|(name, _)| **name == *ID_TAG);
    let tags = id.cloned().into_iter().chain([(RETRACTED_TAG.into(), "true".into())]);
    Publication {
        offset: whole.offset,
        data: Payload { bytes: Bytes::from_static(b"{\"retracted\":true}"), is_json: true },
        info: whole.info.clone(),
        chan_info: None,
        tags: tags.collect(),
        time_unix_ms: whole.time_unix_ms,
        // The span that it hung under is gone with its tag.
        trace: whole.trace.map(|trace| Trace::of_server(trace.id)),
    }
}
