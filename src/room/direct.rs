//! What leaves a room for personal channels: direct messages, and news of receipts and
//! retractions in conversations of two.
//!
//! Deliberately absent: how it is received there (`inbox`).

use std::sync::Arc;

use super::letter::{Ask, Asker, Delivery};
use super::{Out, Progress, Title, Voice, Way, What};
use crate::base::{RoomId, Timestamps};
use crate::store::{PendingMessage, ReadMarkers};
use crate::wire::{Payload, Publication, chat};

impl Out {
    /// Something for a user, wherever its personal channel is at home.
    pub(super) fn deliver(&mut self, inbox: RoomId, delivery: Delivery) {
        let asker = Asker::NOBODY;
        let what = What::Deliver(Box::new(delivery));
        self.asks.push(Ask { room: inbox, asker, what });
    }
}

/// A conversation that has something for the two who talk there.
#[derive(Clone, Copy)]
pub(super) struct Talk<'r> {
    /// Which room it is,
    pub room: RoomId,
    /// and its name.
    pub title: &'r Title,
}

impl Talk<'_> {
    /// Brings a message to both, if it is a direct one.
    pub fn bring(
        self,
        now: Timestamps,
        publication: &Arc<Publication>,
        voice: Voice,
        way: Way,
        out: &mut Out,
    ) {
        let Voice::Send { from, to, ttl_ms } = voice else { return };
        let channel = Arc::clone(&self.title.channel);
        let due = PendingMessage {
            room: self.room,
            channel: Arc::clone(&channel),
            publication: Arc::clone(publication),
            tries_count: 0,
            expires_unix_ms: now.unix_ms.saturating_add(ttl_ms),
        };
        out.deliver(to, Delivery::Message(due, way));
        let publication = Arc::clone(publication);
        out.deliver(from, Delivery::Copy { channel, publication, way });
    }

    /// A message is gone that was said this way: both hear of it, too.
    pub fn tell_of_retraction(self, notice: &Arc<Payload>, voice: Voice, out: &mut Out) {
        for inbox in voice.parties().into_iter().flatten() {
            out.deliver(inbox, Delivery::Notice(Arc::clone(notice)));
        }
    }

    /// A user got on: nothing of that waits for it any more, and the other side hears of it.
    pub fn tell_of_marks(self, progress: &Progress, marks: ReadMarkers, out: &mut Out) {
        let ReadMarkers { delivered, read } = marks;
        let acknowledged = Delivery::Acknowledged { room: self.room, offset: delivered };
        out.deliver(progress.inbox, acknowledged);
        if let Some(other) = progress.other {
            let receipt = chat::Receipt { user: &progress.info.user, delivered, read };
            let notice = chat::receipt(&self.title.channel, receipt);
            out.deliver(other, Delivery::Notice(Arc::new(notice)));
        }
    }
}
