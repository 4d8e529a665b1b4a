//! Deliveries of a conversation of two to personal channels: direct messages, and notices of
//! receipts and retractions.
//!
//! Deliberately absent: the receiving side (`inbox`).

use std::sync::Arc;

use super::messages::{DirectMessage, InboxDelivery, ReplyTo, RoomRequest};
use super::{ChannelKey, MessageTiming, PublishMode, ReadMarkerUpdate, RoomOp, RoomOutput};
use crate::base::RoomId;
use crate::store::ReadMarkers;
use crate::wire::{Payload, Publication, chat};

impl RoomOutput {
    /// Sends a delivery to the home of a user's personal channel.
    pub(super) fn deliver(&mut self, inbox: RoomId, delivery: InboxDelivery) {
        let reply_to = ReplyTo::NOBODY;
        let op = RoomOp::Deliver(Box::new(delivery));
        self.request_of_room(RoomRequest { room: inbox, reply_to, op });
    }
}

/// A conversation of two users.
#[derive(Clone, Copy)]
pub(super) struct DirectConversation<'r> {
    /// Its room.
    pub room: RoomId,
    /// Its name.
    pub channel_key: &'r ChannelKey,
}

impl DirectConversation<'_> {
    /// Delivers a direct message to both users.
    pub fn deliver_direct(
        self,
        publication: &Arc<Publication>,
        mode: PublishMode,
        timing: MessageTiming,
        out: &mut RoomOutput,
    ) {
        let PublishMode::Send { from, to, ttl_ms: _ } = mode else { return };
        let message = DirectMessage {
            room: self.room,
            channel: Arc::clone(&self.channel_key.channel),
            publication: Arc::clone(publication),
            timing,
        };
        let tenant = Arc::clone(&self.channel_key.tenant);
        out.deliver(to, InboxDelivery::Message { tenant, message: message.clone() });
        out.deliver(from, InboxDelivery::Copy(message));
    }

    /// A direct message was retracted: both users are notified.
    pub fn notify_retraction(self, notice: &Arc<Payload>, mode: PublishMode, out: &mut RoomOutput) {
        for inbox in mode.parties().into_iter().flatten() {
            out.deliver(inbox, InboxDelivery::Notice(Arc::clone(notice)));
        }
    }

    /// A read marker was advanced: its messages are no longer pending, and the other user gets a
    /// receipt.
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
