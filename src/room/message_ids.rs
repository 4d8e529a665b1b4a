//! Which messages of a room came with an id of their author's, and where they stand: who says
//! one of them again is answered with its place. A room without any takes no memory for it.
//!
//! Deliberately absent: for how long and how many (`dedup`), and what is answered.

use std::mem;

use super::RoomPublish;
use super::dedup::{DedupIndex, TooManyIdsError};
use crate::base::Timestamps;
use crate::base::limits::IDS_MS;
use crate::store::{KnownId, OpenedChannel};
use crate::wire::{ID_TAG, Publication, repeating_author};

/// The ids that authors gave to the messages of a room.
#[derive(Debug, Default)]
pub(super) struct MessageIds(Option<Box<DedupIndex>>);

impl MessageIds {
    /// What the store remembers, and nothing else.
    pub fn restored(opened: Option<&mut OpenedChannel>) -> MessageIds {
        let mut said = MessageIds(None);
        let known = opened.map(|opened| mem::take(&mut opened.ids));
        for KnownId { user, id, offset, time_unix_ms } in known.into_iter().flatten() {
            said.0.get_or_insert_default().restore(time_unix_ms, &user, &id, offset);
        }
        said
    }

    /// Where a message has its place already that is to be said, and its id.
    pub fn place_of<'d>(
        &mut self,
        publish: &'d RoomPublish,
        now: Timestamps,
    ) -> Option<(u64, &'d str)> {
        let user = repeating_author(publish.info.as_deref())?;
        let (_, id) = publish.tags.iter().find(|(name, _)| **name == *ID_TAG)?;
        let offset = self.0.as_mut()?.offset(now.unix_ms, user, id)?;
        Some((offset, id))
    }

    /// Remembers the message's id, if it has one. Fails when its author has too many.
    pub fn remember(&mut self, publication: &Publication) -> Result<(), TooManyIdsError> {
        let Some((user, id)) = name_of(publication) else { return Ok(()) };
        let ids = self.0.get_or_insert_default();
        ids.remember(publication.time_unix_ms, user, id, publication.offset)
    }

    /// Forgets it again.
    pub fn forget(&mut self, publication: &Publication) {
        if let (Some((user, id)), Some(ids)) = (name_of(publication), &mut self.0) {
            ids.forget(user, id);
        }
    }

    /// Forgets what is old.
    pub fn expire(&mut self, now: Timestamps) {
        if let Some(ids) = &mut self.0 {
            ids.expire(now.unix_ms);
            if ids.is_empty() {
                self.0 = None;
            }
        }
    }

    /// How long a room stays for them that remembers them alone.
    pub fn stay_ms(&self) -> u64 {
        if self.0.is_some() { IDS_MS } else { 0 }
    }

    /// Whether there are none.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// What makes a message the same as an earlier one: its author's name and its id.
fn name_of(publication: &Publication) -> Option<(&str, &str)> {
    let user = repeating_author(publication.info.as_deref())?;
    Some((user, publication.tag(ID_TAG)?))
}
