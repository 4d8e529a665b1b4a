//! The outputs of the core: records, requests, messages, actions and warnings.
//!
//! Deliberately absent: carrying them out.

use super::answer::SendOutcome;
use super::input::ReplyId;
use super::pair_messages::PairAnswer;
use super::questions::SnapshotQuestion;
use super::record::JournalRecord;
use crate::alert::message::template;
use crate::alert::options::Messenger;

/// An output.
#[derive(Debug, PartialEq)]
pub enum CoreOutput {
    /// Write this record before anything else of this call is done.
    Keep(Box<JournalRecord>),
    /// Reply to a caller.
    Reply(ReplyId, CoreReply),
    /// Ask for snapshots, and answer within two seconds.
    Ask(u64, Vec<SnapshotQuestion>),
    /// Send a part of a message.
    Send(SendRequest),
    /// Run an action, or only write it into the audit log.
    Do(ActionRun),
    /// Log a warning for the operator.
    Warn(BridgeWarning),
}

/// A reply to a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoreReply {
    /// The input was accepted.
    Kept,
    /// There is no room.
    Full,
    /// There is no such thing.
    Unknown,
    /// The notification log.
    Pair(Box<PairAnswer>),
}

/// A part of a message to be sent. Its URL holds the token, so it must not be logged.
#[derive(Clone, PartialEq, Eq)]
pub struct SendRequest {
    /// The message.
    pub message: u64,
    /// The robot's name.
    pub robot: String,
    /// The messenger of the robot.
    pub channel: Messenger,
    /// The URL.
    pub url: String,
    /// Bearer token, empty for none.
    pub bearer: String,
    /// JSON.
    pub body: String,
    /// An id that stays the same for each attempt.
    pub id: String,
}

impl std::fmt::Debug for SendRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("message", &self.message)
            .field("robot", &self.robot)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// An action for one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRun {
    /// The action's name.
    pub action: String,
    /// The alert's name.
    pub alert: String,
    /// The instance, as the alert names it.
    pub instance: String,
    /// The URL; empty when it is not run.
    pub url: String,
    /// Whether the method is POST.
    pub post: bool,
    /// Whether it is run, and why not.
    pub verdict: ActionState,
}

/// Whether an action is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionState {
    /// It is run.
    Done,
    /// It is only reported.
    DryRun,
    /// It was run a short while ago.
    TooSoon,
    /// The instance is not among those of the settings.
    UnknownInstance,
}

/// A warning for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BridgeWarning {
    /// A robot did not take a message.
    Robot {
        /// Its name.
        robot: String,
        /// What it answered.
        answer: SendOutcome,
        /// The pause that follows, in ms.
        pause_ms: u64,
    },
    /// A chat refused an alert for its content.
    Refused {
        /// The chat.
        chat: String,
        /// The robot's error code.
        code: i64,
        /// Its id in the list.
        id: u64,
    },
    /// A template could not be used.
    Template(template::TemplateError),
    /// Alerts were dropped.
    GivenUp {
        /// The chat.
        chat: String,
        /// How many.
        count: u64,
        /// Why.
        why: &'static str,
    },
    /// A notification named a route that does not exist.
    Route,
    /// Both bridges are configured as the first one, or neither is.
    SameRole,
    /// The other bridge sends to these chats from now on.
    TurnPassed(Vec<String>),
    /// The watchdog alert has not come in time.
    Silent,
}
