//! What goes out of the core: what is to be kept, asked, sent, done and told.
//!
//! Deliberately absent: doing it.

use super::answer::SendOutcome;
use super::input::ReplyId;
use super::pair_messages::PairAnswer;
use super::questions::SnapshotQuestion;
use super::record::JournalRecord;
use crate::alert::message::template;
use crate::alert::options::Messenger;

/// What goes out.
#[derive(Debug, PartialEq)]
pub enum CoreOutput {
    /// To be on the disk before anything else of this call happens.
    Keep(Box<JournalRecord>),
    /// The answer to a ticket.
    Reply(ReplyId, CoreReply),
    /// To be found out within two seconds.
    Ask(u64, Vec<SnapshotQuestion>),
    /// To be sent.
    Send(SendRequest),
    /// To be done, or only written into the audit log.
    Do(ActionRun),
    /// To be told to the operator.
    Warn(BridgeWarning),
}

/// An answer to a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoreReply {
    /// It is kept.
    Kept,
    /// There is no room.
    Full,
    /// There is no such thing.
    Unknown,
    /// What was told.
    Pair(Box<PairAnswer>),
}

/// A part on its way. Its URL holds the token: nothing of it is for logs.
#[derive(Clone, PartialEq, Eq)]
pub struct SendRequest {
    /// The message.
    pub message: u64,
    /// The robot's name.
    pub robot: String,
    /// The kind of its answer.
    pub channel: Messenger,
    /// Where to.
    pub url: String,
    /// Bearer token, empty for none.
    pub bearer: String,
    /// JSON.
    pub body: String,
    /// The same for each try.
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

/// What is done about an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRun {
    /// The action's name.
    pub action: String,
    /// The alert's name.
    pub alert: String,
    /// The instance that it would be done on, as the alert names it.
    pub instance: String,
    /// Where; empty when it is not done.
    pub url: String,
    /// With POST.
    pub post: bool,
    /// Whether, and why not.
    pub verdict: ActionState,
}

/// Whether an action is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionState {
    /// Yes.
    Done,
    /// No: only in words.
    DryRun,
    /// No: it was done a short while ago.
    TooSoon,
    /// No: the instance is not one of those that may be asked.
    UnknownInstance,
}

/// What an operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BridgeWarning {
    /// A robot did not take a message.
    Robot {
        /// Its name.
        robot: String,
        /// What it answered.
        answer: SendOutcome,
        /// How long it rests.
        pause_ms: u64,
    },
    /// A chat refused an alert for what stands in it.
    Refused {
        /// The chat.
        chat: String,
        /// What its robot said.
        code: i64,
        /// Its number in the list.
        id: u64,
    },
    /// A template could not be used.
    Template(template::TemplateError),
    /// Alerts were given up.
    GivenUp {
        /// Of which chat.
        chat: String,
        /// How many.
        count: u64,
        /// What for.
        why: &'static str,
    },
    /// A notification for a route that does not exist.
    Route,
    /// Both bridges are set to be the first one, or neither is.
    SameRole,
    /// What waits for these chats is told by the other bridge from here on.
    TurnPassed(Vec<String>),
    /// The watchdog was not heard.
    Silent,
}
