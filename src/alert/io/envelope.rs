//! An input on its way to the core, and what it became.
//!
//! Deliberately absent: who brings it.

use tokio::sync::oneshot;

use crate::alert::core::{CoreInput, PairAnswer, ReplyId};

/// What an input became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InputOutcome {
    /// It is on the disk.
    Kept,
    /// There was no room.
    Full,
    /// The disk did not take it.
    Unkept,
    /// There is no such thing.
    Unknown,
    /// What was told, for the other bridge.
    Pair(Box<PairAnswer>),
}

/// An input on its way to the core, and who waits for what it becomes.
pub(super) struct Envelope {
    pub(super) input: CoreInput,
    pub(super) reply: Option<(ReplyId, oneshot::Sender<InputOutcome>)>,
}
