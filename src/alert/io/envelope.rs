//! Envelopes: inputs for the core with a way to reply.
//!
//! Deliberately absent: the callers.

use tokio::sync::oneshot;

use crate::alert::core::{CoreInput, PairAnswer, ReplyId};

/// The outcome of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InputOutcome {
    /// It was written.
    Kept,
    /// There was no room.
    Full,
    /// It could not be written.
    Unkept,
    /// There is no such thing.
    Unknown,
    /// The notification log, for the other bridge.
    Pair(Box<PairAnswer>),
}

/// An input for the core, with the caller that waits for its outcome.
pub(super) struct Envelope {
    pub(super) input: CoreInput,
    pub(super) reply: Option<(ReplyId, oneshot::Sender<InputOutcome>)>,
}
