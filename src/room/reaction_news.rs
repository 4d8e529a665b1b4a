//! Who hears what messages are reacted to with, and how often.
//!
//! A change in a quiet room is told at once, with who made it. What changes within the next
//! moment is gathered by message, and told together, with the totals alone: so however many
//! users react, members hear of a message a few times a second. What is not told is found in
//! the history, and each notice has all totals of its message, so one that is lost is made
//! good by the next.
//!
//! Deliberately absent: the reactions themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::conversation::DirectConversation;
use super::members::Members;
use super::messages::InboxDelivery;
use super::requests::Reaction;
use super::room_context::RoomContext;
use super::{RoomEvent, RoomOutput};
use crate::base::{Bucket, MonotonicMs, RoomId};
use crate::store::ReactionTotals;
use crate::wire::{Payload, chat};

/// How often members are told, in ms.
const INTERVAL_MS: u64 = 250;

/// Messages of which they are told together; of more, nobody is told.
const GATHERED_MAX: usize = 16;

/// What is told of reactions in a room.
#[derive(Debug)]
pub(super) struct ReactionNews {
    rate: Bucket,
    /// Since something was told a moment ago.
    gathered: Option<Box<Gathered>>,
}

/// What has changed since members were told.
#[derive(Debug)]
struct Gathered {
    send_at: MonotonicMs,
    /// In a conversation of two: their personal channels.
    parties: Option<[RoomId; 2]>,
    /// By offset.
    totals: BTreeMap<u64, ReactionTotals>,
}

impl Default for ReactionNews {
    fn default() -> ReactionNews {
        ReactionNews { rate: Bucket::full(), gathered: None }
    }
}

impl ReactionNews {
    /// Whether one more reacts now: as many a second as may say something.
    pub fn may_react(&mut self, cx: &RoomContext<'_>) -> bool {
        self.rate.take(cx.now.tick, cx.rules.publish_rate(), 1)
    }

    /// A message has these totals now.
    pub fn tell(
        &mut self,
        conversation: DirectConversation<'_>,
        members: &Members,
        reaction: &Reaction,
        totals: ReactionTotals,
        cx: &mut RoomContext<'_>,
    ) {
        let Reaction { info, offset, value, parties, .. } = reaction;
        if let Some(gathered) = &mut self.gathered {
            if gathered.totals.len() < GATHERED_MAX || gathered.totals.contains_key(offset) {
                gathered.totals.insert(*offset, totals);
            }
            return;
        }
        let by = chat::Reactor { user: &info.user, value: value.as_deref() };
        let notice =
            chat::reacted(&conversation.channel_key.channel, *offset, Some(by), totals.iter());
        send_to_shards(conversation.room, members, *parties, notice, cx.out);
        self.gather(*parties, cx);
    }

    /// Tells what has been gathered, when it is time to.
    pub fn tell_gathered(
        &mut self,
        conversation: DirectConversation<'_>,
        members: &Members,
        cx: &mut RoomContext<'_>,
    ) {
        let is_due = |gathered: &mut Box<Gathered>| gathered.send_at <= cx.now.tick;
        let Some(gathered) = self.gathered.take_if(is_due) else { return };
        if gathered.totals.is_empty() {
            return;
        }
        for (offset, totals) in &gathered.totals {
            let notice =
                chat::reacted(&conversation.channel_key.channel, *offset, None, totals.iter());
            send_to_shards(conversation.room, members, gathered.parties, notice, cx.out);
        }
        self.gather(gathered.parties, cx);
    }

    fn gather(&mut self, parties: Option<[RoomId; 2]>, cx: &mut RoomContext<'_>) {
        let send_at = cx.now.tick.plus_ms(INTERVAL_MS);
        cx.timers.set_redelivery(send_at, cx.slot);
        self.gathered = Some(Box::new(Gathered { send_at, parties, totals: BTreeMap::new() }));
    }
}

/// Everybody in the room hears it, and the two of a conversation wherever they are.
fn send_to_shards(
    room: RoomId,
    members: &Members,
    parties: Option<[RoomId; 2]>,
    notice: Payload,
    out: &mut RoomOutput,
) {
    let notice = Arc::new(notice);
    members.send_to_shards(&RoomEvent::Notice(room, Arc::clone(&notice)), out);
    for inbox in parties.into_iter().flatten() {
        out.deliver(inbox, InboxDelivery::Notice(Arc::clone(&notice)));
    }
}
