//! What leaves a room for personal channels: direct messages, and news of receipts and
//! retractions in conversations of two.
//!
//! Deliberately absent: how it is received there (`inbox`).

use std::sync::Arc;

use super::messages::{InboxDelivery, ReplyTo, RoomRequest};
use super::{ChannelKey, MessageTiming, PublishMode, ReadMarkerUpdate, RoomOp, RoomOutput};
use crate::base::{RoomId, Timestamps};
use crate::store::{PendingMessage, ReadMarkers};
use crate::wire::{Payload, Publication, chat};

impl RoomOutput {
    /// Something for a user, wherever its personal channel is at home.
    pub(super) fn deliver(&mut self, inbox: RoomId, delivery: InboxDelivery) {
        let reply_to = ReplyTo::NOBODY;
        let op = RoomOp::Deliver(Box::new(delivery));
        self.room_requests.push(RoomRequest { room: inbox, reply_to, op });
    }
}

/// A conversation that has something for the two who talk there.
#[derive(Clone, Copy)]
pub(super) struct DirectConversation<'r> {
    /// Which room it is,
    pub room: RoomId,
    /// and its name.
    pub channel_key: &'r ChannelKey,
}

impl DirectConversation<'_> {
    /// Brings a message to both, if it is a direct one.
    pub fn deliver_direct(
        self,
        now: Timestamps,
        publication: &Arc<Publication>,
        mode: PublishMode,
        timing: MessageTiming,
        out: &mut RoomOutput,
    ) {
        let PublishMode::Send { from, to, ttl_ms } = mode else { return };
        let channel = Arc::clone(&self.channel_key.channel);
        let due = PendingMessage {
            room: self.room,
            channel: Arc::clone(&channel),
            publication: Arc::clone(publication),
            tries_count: 0,
            expires_unix_ms: now.unix_ms.saturating_add(ttl_ms),
        };
        out.deliver(to, InboxDelivery::Message(due, timing));
        let publication = Arc::clone(publication);
        out.deliver(from, InboxDelivery::Copy { channel, publication, timing });
    }

    /// A message is gone that was said this way: both hear of it, too.
    pub fn notify_retraction(self, notice: &Arc<Payload>, mode: PublishMode, out: &mut RoomOutput) {
        for inbox in mode.parties().into_iter().flatten() {
            out.deliver(inbox, InboxDelivery::Notice(Arc::clone(notice)));
        }
    }

    /// A user got on: nothing of that waits for it any more, and the other side hears of it.
    pub fn notify_receipt(
        self,
        update: &ReadMarkerUpdate,
        markers: ReadMarkers,
        out: &mut RoomOutput,
    ) {
        let ReadMarkers { delivered, read } = markers;
        let acknowledged = InboxDelivery::Acknowledged { room: self.room, offset: delivered };
        out.deliver(update.inbox, acknowledged);
        if let Some(other) = update.other {
            let receipt = chat::Receipt { user: &update.info.user, delivered, read };
            let notice = chat::receipt(&self.channel_key.channel, receipt);
            out.deliver(other, InboxDelivery::Notice(Arc::new(notice)));
        }
    }
}
