//! The counters, and their names in `/metrics`.

use std::collections::BTreeMap;

use super::answer::SendOutcome;
use crate::alert::options::Messenger;

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// A part of a message was delivered.
    Sent(Messenger),
    /// An attempt to send one failed, and is retried.
    Failed(Messenger),
    /// Alerts were dropped because they were too old.
    Expired(Messenger),
    /// Warnings were dropped because the queue was full.
    Dropped(Messenger),
    /// Alerts were put aside because their chat refused them.
    Refused(Messenger),
    /// A robot reported that its rate limit was exceeded.
    Throttled(Messenger),
    /// A notification was written.
    Kept,
    /// A body was no notification.
    Malformed,
    /// A notification came without the token.
    Unauthorized,
    /// There was no room for a notification.
    Full,
    /// The disk did not take a notification.
    Unkept,
    /// A notification had no changes.
    Repeated,
    /// A critical alert was sent to the escalation chat.
    Escalated,
    /// An alert was held after the end of its cause, and ended before it was sent.
    Outlived,
    /// A notification named a route that does not exist.
    Unrouted,
    /// A notification was merged into a pending message.
    Merged,
    /// A template could not be used.
    Untemplated,
    /// A snapshot came from an exemplar.
    FromExemplar,
    /// A snapshot came from a flight recorder.
    FromRecorder,
    /// There was no snapshot for an alert that has begun.
    NoSnapshot,
    /// An action was run.
    Acted,
    /// An action was a dry run.
    ActedDry,
    /// An action came too soon after its last run.
    ActedTooSoon,
    /// An action was for an instance that is not in the settings.
    ActedNowhere,
    /// A silence was made.
    Silenced,
    /// Alertmanager did not make a silence.
    SilenceFailed,
    /// A link was forged or too old.
    SilenceRefused,
    /// The watchdog was not heard for too long.
    Silent,
    /// A heartbeat was sent.
    Pinged,
    /// A heartbeat failed.
    PingFailed,
}

impl Count {
    /// All counters: each series exists from the start.
    pub fn all() -> impl Iterator<Item = Count> {
        let by_channel = [
            Count::Sent,
            Count::Failed,
            Count::Expired,
            Count::Dropped,
            Count::Refused,
            Count::Throttled,
        ];
        let others = [
            Count::Kept,
            Count::Malformed,
            Count::Unauthorized,
            Count::Full,
            Count::Unkept,
            Count::Repeated,
            Count::Outlived,
            Count::Escalated,
            Count::Unrouted,
            Count::Merged,
            Count::Untemplated,
            Count::FromExemplar,
            Count::FromRecorder,
            Count::NoSnapshot,
            Count::Acted,
            Count::ActedDry,
            Count::ActedTooSoon,
            Count::ActedNowhere,
            Count::Silenced,
            Count::SilenceFailed,
            Count::SilenceRefused,
            Count::Silent,
            Count::Pinged,
            Count::PingFailed,
        ];
        let by_channel =
            by_channel.into_iter().flat_map(|count| Messenger::ALL.into_iter().map(count));
        by_channel.chain(others)
    }

    /// The counter of an outcome, for a message to this messenger.
    pub fn of_answer(answer: &SendOutcome, channel: Messenger) -> Count {
        match answer {
            SendOutcome::Delivered => Count::Sent(channel),
            SendOutcome::TooOften(_) => Count::Throttled(channel),
            SendOutcome::TooLong(_)
            | SendOutcome::Stranger(_)
            | SendOutcome::Refused(_)
            | SendOutcome::Busy(_)
            | SendOutcome::Unreachable
            | SendOutcome::Unconfirmed => Count::Failed(channel),
        }
    }

    /// Its metric family, and its labels.
    pub fn series(self) -> (&'static str, Vec<(&'static str, &'static str)>) {
        let of = |channel: Messenger, outcome| {
            let labels = vec![("channel", channel.word()), ("outcome", outcome)];
            ("chatalert_notifications_total", labels)
        };
        let one = |name, label, word| (name, vec![(label, word)]);
        match self {
            Count::Sent(channel) => of(channel, "sent"),
            Count::Failed(channel) => of(channel, "failed"),
            Count::Expired(channel) => of(channel, "expired"),
            Count::Dropped(channel) => of(channel, "dropped"),
            Count::Refused(channel) => of(channel, "refused"),
            Count::Throttled(channel) => {
                one("chatalert_throttled_total", "channel", channel.word())
            }
            Count::Kept => one("chatalert_webhooks_total", "outcome", "kept"),
            Count::Malformed => one("chatalert_webhooks_total", "outcome", "malformed"),
            Count::Unauthorized => one("chatalert_webhooks_total", "outcome", "unauthorized"),
            Count::Full => one("chatalert_webhooks_total", "outcome", "full"),
            Count::Unkept => one("chatalert_webhooks_total", "outcome", "disk"),
            Count::Repeated => ("chatalert_repeated_total", Vec::new()),
            Count::Escalated => ("chatalert_escalated_total", Vec::new()),
            Count::Outlived => ("chatalert_outlived_total", Vec::new()),
            Count::Unrouted => ("chatalert_unknown_route_total", Vec::new()),
            Count::Merged => ("chatalert_merged_total", Vec::new()),
            Count::Untemplated => ("chatalert_template_failures_total", Vec::new()),
            Count::FromExemplar => one("chatalert_snapshots_total", "source", "exemplar"),
            Count::FromRecorder => one("chatalert_snapshots_total", "source", "recorder"),
            Count::NoSnapshot => one("chatalert_snapshots_total", "source", "none"),
            Count::Pinged => one("chatalert_heartbeats_total", "outcome", "sent"),
            Count::PingFailed => one("chatalert_heartbeats_total", "outcome", "failed"),
            Count::Acted => one("chatalert_actions_total", "outcome", "done"),
            Count::ActedDry => one("chatalert_actions_total", "outcome", "dry_run"),
            Count::ActedTooSoon => one("chatalert_actions_total", "outcome", "too_soon"),
            Count::ActedNowhere => one("chatalert_actions_total", "outcome", "unknown_instance"),
            Count::Silenced => one("chatalert_silences_total", "outcome", "made"),
            Count::SilenceFailed => one("chatalert_silences_total", "outcome", "failed"),
            Count::SilenceRefused => one("chatalert_silences_total", "outcome", "refused"),
            Count::Silent => ("chatalert_deadman_alarms_total", Vec::new()),
        }
    }
}

/// The help text of a metric family.
pub fn help(name: &str) -> &'static str {
    match name {
        "chatalert_notifications_total" => {
            "Parts of messages by what became of them; failed ones are tried again, refused alerts are put aside"
        }
        "chatalert_throttled_total" => "Answers of robots that they are asked too often",
        "chatalert_heartbeats_total" => "Pings of the heartbeat address outside",
        "chatalert_webhooks_total" => "Notifications of Alertmanager by answer",
        "chatalert_repeated_total" => "Notifications that told nothing new",
        "chatalert_escalated_total" => "Critical alerts that nobody acknowledged in time",
        "chatalert_unacknowledged_groups" => {
            "Groups with critical alerts that wait for somebody to acknowledge them"
        }
        "chatalert_tells" => "1 while this bridge tells; of two side by side one does",
        "chatalert_chat_reached" => {
            "0 while no robot of a chat takes anything from this bridge, for as long as another one would wait"
        }
        "chatalert_outlived_total" => "Alerts that only outlived their cause, and were not told",
        "chatalert_unknown_route_total" => "Notifications for routes that do not exist",
        "chatalert_merged_total" => "Notifications that went into a message that waited already",
        "chatalert_template_failures_total" => {
            "Messages that were plain since their template failed"
        }
        "chatalert_snapshots_total" => "Alerts that began, by where their snapshot came from",
        "chatalert_actions_total" => "Actions by outcome",
        "chatalert_silences_total" => "Uses of silence links by outcome",
        "chatalert_deadman_alarms_total" => "Alarms because the watchdog was not heard",
        "chat_log_lines_lost_total" => "Log lines that nobody can read, by why",
        "chatalert_queue_depth" => "Alerts that wait to be told",
        "chatalert_oldest_age_seconds" => "How long the oldest of them waits",
        "chatalert_robot_paused" => "1 while a robot rests after a failure or a refusal",
        "chatalert_robot_rejects" => "1 while a robot takes nothing from us",
        "chatalert_refused_messages" => {
            "Messages that were put aside because their chat refused them"
        }
        "chatalert_disk_ok" => "1 while the queue can be written",
        "chatalert_watchdog_age_seconds" => "How long ago the watchdog was heard",
        "chatalert_config_last_reload_success_timestamp_seconds" => {
            "When the configuration was read last"
        }
        _ => "",
    }
}

/// The values of all counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeCounts(BTreeMap<Count, u64>);

impl BridgeCounts {
    /// Adds `times` to a counter.
    pub fn add(&mut self, count: Count, times: u64) {
        *self.0.entry(count).or_default() += times;
    }

    /// The value of a counter.
    pub fn of(&self, count: Count) -> u64 {
        self.0.get(&count).copied().unwrap_or(0)
    }
}
