//! What the store answers, as values: one result for each operation, and how whoever asked takes it.
//!
//! Deliberately absent: what is asked (`messages`).

use std::sync::Arc;

use super::{
    ChangedDeadLetters, Conversation, DeadLetterEntry, DuePage, MuteResult, OpenedChannel,
    PendingMessage, ReactionPage, ReactionResult, ReadMarkers, RequestId, StoreError,
};
use crate::base::{DeadLetterPlace, RoomId};
use crate::wire::Publication;

/// An answer of the store.
#[derive(Clone, Debug)]
pub struct StoreReply {
    /// The request.
    pub request_id: RequestId,
    /// Its result.
    pub outcome: StoreResult,
}

/// The results, by operation.
#[derive(Clone, Debug)]
pub enum StoreResult {
    /// To `Open`: the channel, or `None` where it has no messages; and the count of losses of
    /// unsynced data.
    Opened(Option<Box<OpenedChannel>>, u32),
    /// To `Append`.
    Appended,
    /// To `Read`, in the order asked for.
    History(Vec<Arc<Publication>>),
    /// To `AdvanceMarker`: the markers before and after.
    MarkerAdvanced {
        /// The markers before.
        before: ReadMarkers,
        /// The markers from now on.
        after: ReadMarkers,
    },
    /// To `AdvanceMarker`: it would go backwards; nothing changed.
    Behind(ReadMarkers),
    /// To `ReadMarkers`.
    ReadMarkers(Vec<(Box<str>, ReadMarkers)>),
    /// To `Conversations`: as many as one answer may hold, and the channel that the next page
    /// comes after, unless this is the last.
    Conversations(Vec<Conversation>, Option<Box<str>>),
    /// To `Pending`: as many as one answer may hold, and the message that the next page comes
    /// after, unless this is the last.
    Pending(Vec<PendingMessage>, Option<(RoomId, u64)>),
    /// To `React`.
    Reacted(ReactionResult),
    /// To `Reactions`.
    Reactions(ReactionPage),
    /// To `CountGroups`: at most as many as there may be.
    GroupsCounted(u32),
    /// To `MuteGroup`.
    Muted(MuteResult),
    /// To `RemoveHistory`: the last offset that is removed; 0 where the store has no channel.
    HistoryRemoved(u64),
    /// To `DeadLetters`: as many as one answer may hold, and the place that the next page comes
    /// after, unless this is the last.
    DeadLetters(Vec<DeadLetterEntry>, Option<DeadLetterPlace>),
    /// To `ChangeDeadLetters`.
    DeadLettersChanged(ChangedDeadLetters),
    /// To `Attempted` and `DeadLetter`.
    Done,
    /// To any: it failed.
    Failed(StoreError),
}

impl StoreResult {
    /// The answer to `Open`: the channel, and the count of losses of unsynced data.
    pub fn opened(self) -> Result<(Option<Box<OpenedChannel>>, u32), StoreError> {
        let StoreResult::Opened(opened, losses_count) = self else { return Err(self.failure()) };
        Ok((opened, losses_count))
    }

    /// The answer to `Append`.
    pub fn appended(self) -> Result<(), StoreError> {
        let StoreResult::Appended = self else { return Err(self.failure()) };
        Ok(())
    }

    /// The answer to `Read`: the messages.
    pub fn history(self) -> Result<Vec<Arc<Publication>>, StoreError> {
        let StoreResult::History(found) = self else { return Err(self.failure()) };
        Ok(found)
    }

    /// The answer to `Read`, or to `Reactions` for a part of a channel: the messages, and what
    /// they are reacted to with, as far as that was asked for.
    pub fn reacted_passage(self) -> Result<ReactionPage, StoreError> {
        if let StoreResult::History(messages) = self {
            return Ok(ReactionPage { messages, reactions: Vec::new() });
        }
        self.reactions()
    }

    /// The answer to `ReadMarkers`: users with their markers.
    pub fn markers(self) -> Result<Vec<(Box<str>, ReadMarkers)>, StoreError> {
        let StoreResult::ReadMarkers(all) = self else { return Err(self.failure()) };
        Ok(all)
    }

    /// The answer to `Conversations`: a page, and the channel that the next one comes after.
    pub fn conversations(self) -> Result<(Vec<Conversation>, Option<Box<str>>), StoreError> {
        let StoreResult::Conversations(all, next) = self else { return Err(self.failure()) };
        Ok((all, next))
    }

    /// The answer to `Pending`: a page of pending messages.
    pub fn pending(self) -> Result<DuePage, StoreError> {
        let StoreResult::Pending(due, next) = self else { return Err(self.failure()) };
        Ok(DuePage { due, next })
    }

    /// The answer to `DeadLetters`: a page, and the place that the next one comes after.
    pub fn dead_letters(
        self,
    ) -> Result<(Vec<DeadLetterEntry>, Option<DeadLetterPlace>), StoreError> {
        let StoreResult::DeadLetters(all, next) = self else { return Err(self.failure()) };
        Ok((all, next))
    }

    /// The answer to `ChangeDeadLetters`: what became of them.
    pub fn dead_letters_changed(self) -> Result<ChangedDeadLetters, StoreError> {
        let StoreResult::DeadLettersChanged(changed) = self else { return Err(self.failure()) };
        Ok(changed)
    }

    /// The answer to `React`: what it came to.
    pub fn reacted(self) -> Result<ReactionResult, StoreError> {
        let StoreResult::Reacted(result) = self else { return Err(self.failure()) };
        Ok(result)
    }

    /// The answer to `Reactions`: a page.
    pub fn reactions(self) -> Result<ReactionPage, StoreError> {
        let StoreResult::Reactions(page) = self else { return Err(self.failure()) };
        Ok(page)
    }

    /// The answer to `RemoveHistory`: the last offset that is removed.
    pub fn history_removed(self) -> Result<u64, StoreError> {
        let StoreResult::HistoryRemoved(last) = self else { return Err(self.failure()) };
        Ok(last)
    }

    /// The answer to `CountGroups`: how many there are.
    pub fn groups_counted(self) -> Result<u32, StoreError> {
        let StoreResult::GroupsCounted(count) = self else { return Err(self.failure()) };
        Ok(count)
    }

    /// The answer to `MuteGroup`: what became of it.
    pub fn muted(self) -> Result<MuteResult, StoreError> {
        let StoreResult::Muted(result) = self else { return Err(self.failure()) };
        Ok(result)
    }

    /// Why it failed.
    pub fn failure(self) -> StoreError {
        match self {
            StoreResult::Failed(failure) => failure,
            StoreResult::Opened(..)
            | StoreResult::Appended
            | StoreResult::History(_)
            | StoreResult::MarkerAdvanced { .. }
            | StoreResult::Behind(_)
            | StoreResult::ReadMarkers(_)
            | StoreResult::Conversations(..)
            | StoreResult::Pending(..)
            | StoreResult::Reacted(_)
            | StoreResult::Reactions(_)
            | StoreResult::GroupsCounted(_)
            | StoreResult::Muted(_)
            | StoreResult::HistoryRemoved(_)
            | StoreResult::DeadLetters(..)
            | StoreResult::DeadLettersChanged(_)
            | StoreResult::Done => unreachable!("the store answers what it was asked"),
        }
    }
}
