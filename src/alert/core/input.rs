//! The inputs of the core.
//!
//! Deliberately absent: where they come from.

use std::sync::Arc;

use super::answer::SendOutcome;
use super::counts::Count;
use super::inhibited::InhibitedAlert;
use super::pair_messages::{PairAnswer, PairQuestion};
use crate::alert::message::BridgeSettings;
use crate::alert::model::alert::WebhookPayload;
use crate::alert::model::snapshot::Snapshots;

/// Names the caller that waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplyId(pub u64);

/// A user's decision about a refused message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedDecision {
    /// It is sent again.
    Retry,
    /// It is dropped.
    Drop,
}

/// An input.
#[derive(Debug)]
pub enum CoreInput {
    /// Alertmanager has sent a notification.
    Notified {
        /// The caller that waits for the reply.
        reply_id: ReplyId,
        /// The route that it names.
        route: String,
        /// Its payload.
        payload: WebhookPayload,
    },
    /// The watchdog alert has come.
    Beat(ReplyId),
    /// The snapshots for a message that have come in time.
    Found(u64, Snapshots),
    /// The outcome of a send.
    Answered {
        /// The message.
        message: u64,
        /// The robot that sent it.
        robot: String,
        /// The outcome.
        answer: SendOutcome,
    },
    /// A user has decided about a refused message.
    Decided {
        /// The caller that waits for the reply.
        reply_id: ReplyId,
        /// The message.
        id: u64,
        /// The decision.
        decision: RefusedDecision,
    },
    /// A user has acknowledged a group.
    Acknowledged {
        /// The caller that waits for the reply.
        reply_id: ReplyId,
        /// The group's route.
        route: String,
        /// The group.
        group_key: String,
        /// The user.
        who: String,
    },
    /// The other bridge asks for the notification log.
    PairAsked(ReplyId, PairQuestion),
    /// The answer of the other bridge; `None` when it does not answer.
    PairHeard(Option<Box<PairAnswer>>),
    /// The alerts that Alertmanager inhibits at the moment.
    Inhibited(Vec<InhibitedAlert>),
    /// An event outside of the core that is counted.
    Happened(Count),
    /// The settings have changed.
    Changed(Arc<BridgeSettings>),
    /// Time has passed.
    Woken,
    /// The process is about to end: no message is begun, and those in flight are waited for.
    Stopping,
}
