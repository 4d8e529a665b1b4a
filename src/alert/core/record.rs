//! The records of the journal: values by key, of which the last one counts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::sender;
use crate::alert::message::MessagePart;
use crate::alert::model::alert::Pairs;
use crate::alert::model::pending::{AlertLine, ChatQueue, QueuedAlerts};
use crate::alert::model::sent_state::SentState;
use crate::base::Timestamps;

/// The key of a record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RecordKey {
    /// The pending alerts of a chat queue.
    Pending(ChatQueue),
    /// A message in flight.
    Message(u64),
    /// The notification log of a chat queue.
    #[serde(rename = "Told")]
    Sent(ChatQueue),
    /// The saved state of a robot.
    Robot(String),
    /// The time of the last run of an action.
    Action(String),
    /// The alarm of the watchdog.
    Deadman,
    /// A message that a chat refused.
    Refused(u64),
    /// Unacknowledged critical alerts of a group; its chat is empty.
    Unacknowledged(ChatQueue),
}

/// The value of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RecordValue {
    /// See `RecordKey::Pending`.
    Pending(QueuedAlerts),
    /// See `RecordKey::Message`.
    Message(Sending),
    /// See `RecordKey::Sent`.
    #[serde(rename = "Told")]
    Sent(SentState),
    /// See `RecordKey::Robot`.
    Robot(sender::SavedSender),
    /// See `RecordKey::Action`; in milliseconds since 1970.
    Action(u64),
    /// See `RecordKey::Deadman`: since when it is silent, in milliseconds since 1970.
    Deadman(u64),
    /// See `RecordKey::Refused`.
    Refused(Box<RefusedMessage>),
    /// See `RecordKey::Unacknowledged`.
    Unacknowledged(Box<Unacknowledged>),
}

/// A message in flight.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sending {
    /// Its chat queue.
    #[serde(rename = "lane")]
    pub chat_queue: ChatQueue,
    /// The chat that it is sent to: that of the chat queue, or its fallback.
    pub chat: String,
    /// Its alerts.
    pub pending: QueuedAlerts,
    /// Its parts.
    pub parts: Vec<MessagePart>,
    /// Number of parts that were delivered.
    pub sent: usize,
    /// The next part is being sent, and its outcome is not known yet.
    pub is_leaving: bool,
    /// An earlier attempt to send the next part may have been delivered.
    pub again: bool,
    /// Ids of the refused messages that it is about, when it is a notice.
    #[serde(default)]
    pub about: Vec<u64>,
}

/// A message that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedMessage {
    /// Its chat queue.
    #[serde(rename = "lane")]
    pub chat_queue: ChatQueue,
    /// The chat that refused it.
    pub chat: String,
    /// The robot.
    pub robot: String,
    /// The robot's error code.
    pub code: i64,
    /// The time of the refusal, in milliseconds since 1970.
    pub at_ms: u64,
    /// Its content: one alert.
    pub pending: QueuedAlerts,
    /// Whether a notice about it was delivered to the chat.
    #[serde(rename = "is_told")]
    pub is_notified: bool,
}

/// A group with critical alerts that were sent and not acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unacknowledged {
    /// By fingerprint.
    pub alerts: BTreeMap<String, UnacknowledgedAlert>,
    /// The common labels.
    pub group_labels: Pairs,
    /// The URL of Alertmanager.
    pub external_url: String,
}

/// An alert that was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnacknowledgedAlert {
    /// The line that was sent.
    pub line: AlertLine,
    /// The time at which it was sent, in milliseconds since 1970.
    pub since_ms: u64,
    /// Whether it was sent to the escalation chat.
    pub is_escalated: bool,
}

impl Unacknowledged {
    /// Whether any of its alerts was sent to the escalation chat.
    pub(super) fn was_escalated(&self) -> bool {
        self.alerts.values().any(|alert| alert.is_escalated)
    }

    /// The names of its alerts.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.alerts.values().map(|alert| alert.line.alert.label("alertname"))
    }
}

impl UnacknowledgedAlert {
    /// Whether it is due for the escalation chat.
    pub(super) fn is_due(&self, after_s: u64, now: Timestamps) -> bool {
        let waited_ms = now.unix_ms.saturating_sub(self.since_ms);
        !self.is_escalated && waited_ms >= after_s * 1_000
    }
}

/// One change: a value, or `None` when the key is removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JournalRecord {
    /// The key.
    pub key: RecordKey,
    /// The new value.
    pub value: Option<RecordValue>,
}

#[cfg(test)]
mod tests {
    use super::super::pair_messages::PairAnswer;
    use super::*;

    const LANE: &str = r#"{"route":"page","chat":"ops","group_key":"g"}"#;
    const LINE: &str = r#"{"alert":{"firing":true,"labels":{"alertname":"A"},"annotations":{"summary":"s"},"starts_ms":1,"ends_ms":0,"generator_url":"http://p","fingerprint":"f"},"story":"FiredAndRecovered","action":"dump: done","held_until_ms":2}"#;

    fn pending() -> String {
        format!(
            r#"{{"lines":{{"f":{LINE}}},"group_labels":{{"a":"b"}},"since_ms":1,"still":2,"truncated":3,"doubtful":true,"plain":true,"unknown_route":"r","external_url":"http://am","truncated_critical":true,"piece_max":4,"tries":{{"count":5,"failed_ms":6,"rests_until_ms":7,"alone_count":8}},"words":["w"],"unacknowledged_s":9}}"#
        )
    }

    /// A queue that another version has left is read, and what two bridges of different
    /// versions tell each other is understood: the words stand on the disk and on the wire.
    #[test]
    fn what_is_kept_has_the_names_that_it_always_had() {
        let pending = pending();
        let part = r#"{"title":"t","text":"x","is_plain":true,"mobiles":["1"],"ids":["i"],"fingerprints":["f"],"alerts":[{"name":"A","story":"firing","severity":"critical","summary":"s","labels":["a=b"],"fingerprint":"f"}]}"#;
        let records = [
            (format!(r#"{{"Pending":{LANE}}}"#), format!(r#"{{"Pending":{pending}}}"#)),
            (
                r#"{"Message":7}"#.to_owned(),
                format!(
                    r#"{{"Message":{{"lane":{LANE},"chat":"ops","pending":{pending},"parts":[{part}],"sent":1,"is_leaving":true,"again":true,"about":[3]}}}}"#
                ),
            ),
            (
                format!(r#"{{"Told":{LANE}}}"#),
                r#"{"Told":{"states":{"f":{"firing":true,"starts_ms":1,"ends_ms":2}},"at_ms":3}}"#
                    .to_owned(),
            ),
            (
                r#"{"Robot":"w1"}"#.to_owned(),
                r#"{"Robot":{"sent_ms":[1,2],"paused_until_ms":3}}"#.to_owned(),
            ),
            (r#"{"Action":"dump"}"#.to_owned(), r#"{"Action":4}"#.to_owned()),
            (r#""Deadman""#.to_owned(), r#"{"Deadman":5}"#.to_owned()),
            (
                r#"{"Refused":8}"#.to_owned(),
                format!(
                    r#"{{"Refused":{{"lane":{LANE},"chat":"ops","robot":"w1","code":400,"at_ms":1,"pending":{pending},"is_told":true}}}}"#
                ),
            ),
            (
                format!(r#"{{"Unacknowledged":{LANE}}}"#),
                format!(
                    r#"{{"Unacknowledged":{{"alerts":{{"f":{{"line":{LINE},"since_ms":1,"is_escalated":true}}}},"group_labels":{{"a":"b"}},"external_url":"http://am"}}}}"#
                ),
            ),
        ];
        for (key, value) in records {
            let text = format!(r#"{{"key":{key},"value":{value}}}"#);
            let record: JournalRecord = serde_json::from_str(&text).expect("it is a record");
            assert_eq!(serde_json::to_string(&record).expect("it becomes JSON"), text);
        }
        let sent = r#"{"states":{},"at_ms":3}"#;
        let text = format!(
            r#"{{"told":[[{LANE},{sent}]],"until_ms":1,"more":true,"under_way":[{LANE}],"acknowledged_ago":[[{LANE},2]],"role":{{"is_first":true,"began_ms":3}},"turns":{{"ops":4}},"waiting":[5],"doubtful":[{LANE}]}}"#
        );
        let answer: PairAnswer = serde_json::from_str(&text).expect("it is an answer");
        assert_eq!(serde_json::to_string(&answer).expect("it becomes JSON"), text);
    }
}
