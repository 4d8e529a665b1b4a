//! What comes into the core.
//!
//! Deliberately absent: whoever brings it.

use std::sync::Arc;

use super::answer::SendOutcome;
use super::counts::Count;
use super::inhibited::InhibitedAlert;
use super::pair_messages::{PairAnswer, PairQuestion};
use crate::alert::message::BridgeSettings;
use crate::alert::model::alert::WebhookPayload;
use crate::alert::model::snapshot::Snapshots;

/// Whoever waits for a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplyId(pub u64);

/// What somebody decides about a refused message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedDecision {
    /// It is told again.
    Retry,
    /// It goes.
    Drop,
}

/// What comes in.
#[derive(Debug)]
pub enum CoreInput {
    /// Alertmanager tells something.
    Notified {
        /// Who waits for the reply.
        reply_id: ReplyId,
        /// The route that it names.
        route: String,
        /// What it tells.
        payload: WebhookPayload,
    },
    /// The watchdog is heard.
    Beat(ReplyId),
    /// What could be found out about a message in time.
    Found(u64, Snapshots),
    /// What became of a part.
    Answered {
        /// The message.
        message: u64,
        /// Whose answer.
        robot: String,
        /// What it was.
        answer: SendOutcome,
    },
    /// Somebody decides about a refused message.
    Decided {
        /// Who waits for the reply.
        reply_id: ReplyId,
        /// The message.
        id: u64,
        /// What is to become of it.
        decision: RefusedDecision,
    },
    /// Somebody takes care of a group.
    Acknowledged {
        /// Who waits for the reply.
        reply_id: ReplyId,
        /// The group's route.
        route: String,
        /// The group.
        group_key: String,
        /// Who.
        who: String,
    },
    /// The other bridge asks what was told.
    PairAsked(ReplyId, PairQuestion),
    /// What the other bridge has told; `None` when it does not answer.
    PairHeard(Option<Box<PairAnswer>>),
    /// What Alertmanager inhibits at the moment.
    Inhibited(Vec<InhibitedAlert>),
    /// Something happened elsewhere that is counted.
    Happened(Count),
    /// The operator changed the settings.
    Changed(Arc<BridgeSettings>),
    /// Time has passed.
    Woken,
    /// Nothing more is begun; what is under way is waited for.
    Stopping,
}
