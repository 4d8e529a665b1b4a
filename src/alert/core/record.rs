//! What lies in the queue's file: values by key, of which the last one counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::escalation::Unacknowledged;
use super::refused::RefusedMessage;
use super::sender;
use crate::alert::message::Part;
use crate::alert::model::pending::{Lane, Line, Pending};
use crate::alert::model::told::Told;

/// Whose value it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Key {
    /// What waits in a lane.
    Pending(Lane),
    /// A message that is under way.
    Message(u64),
    /// What a lane has been told.
    Told(Lane),
    /// A robot's times.
    Robot(String),
    /// When an action was done last.
    Action(String),
    /// The alarm of the watchdog.
    Deadman,
    /// A message that a chat refused.
    Refused(u64),
    /// Critical alerts of a group, without a chat, that nobody has acknowledged.
    Unacknowledged(Lane),
}

/// What is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// See `Key::Pending`.
    Pending(Pending),
    /// See `Key::Message`.
    Message(Sending),
    /// See `Key::Told`.
    Told(Told),
    /// See `Key::Robot`.
    Robot(sender::Kept),
    /// See `Key::Action`; in milliseconds since 1970.
    Action(u64),
    /// See `Key::Deadman`: since when it is silent, in milliseconds since 1970.
    Deadman(u64),
    /// See `Key::Refused`.
    Refused(Box<RefusedMessage>),
    /// See `Key::Unacknowledged`.
    Unacknowledged(Box<Unacknowledged>),
}

/// A message that is under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sending {
    /// Its lane.
    pub lane: Lane,
    /// The chat that it goes to: the lane's, or the fallback.
    pub chat: String,
    /// What it tells.
    pub pending: Pending,
    /// Its parts.
    pub parts: Vec<Part>,
    /// Parts that have arrived.
    pub sent: usize,
    /// The next part is on its way: nobody knows whether it arrived until it is known.
    pub is_leaving: bool,
    /// An earlier try of the next part may have arrived.
    pub again: bool,
    /// The refused messages that it tells of, when it tells of such.
    #[serde(default)]
    pub about: Vec<u64>,
}

impl Sending {
    /// Takes out the alerts whose part has arrived.
    pub fn take_arrived(&mut self) -> BTreeMap<String, Line> {
        let mut arrived = BTreeMap::new();
        for fingerprint in self.parts.iter().take(self.sent).flat_map(|part| &part.fingerprints) {
            if let Some(line) = self.pending.lines.remove(fingerprint) {
                arrived.insert(fingerprint.clone(), line);
            }
        }
        arrived
    }
}

/// A change: a value, or `None` for none any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Whose.
    pub key: Key,
    /// What is kept from here on.
    pub value: Option<Value>,
}
