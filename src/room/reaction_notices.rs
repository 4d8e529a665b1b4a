//! Notices of reactions: who gets them, and how often.
//!
//! A change in a quiet room is sent at once, with the user who made it. Changes within the next
//! moment are gathered by message, and sent together, with the totals only: so however many users
//! react, members get a few notices a second about a message. Totals that are not sent are in the
//! history, and each notice has all totals of its message, so the next one makes up for one that is
//! lost.
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

/// Time between two notices, in ms.
const INTERVAL_MS: u64 = 250;

/// Most messages in one batch of notices; changes of others are not sent.
const GATHERED_MAX: usize = 16;

/// The notices of a room.
#[derive(Debug)]
pub(super) struct ReactionNotices {
    rate: Bucket,
    /// Changes since the last notice, which was sent a moment ago.
    gathered: Option<Box<Gathered>>,
}

/// Changes since the last notice.
#[derive(Debug)]
struct Gathered {
    send_at: MonotonicMs,
    /// The personal channels of the two users, in a conversation.
    parties: Option<[RoomId; 2]>,
    /// By offset.
    totals: BTreeMap<u64, ReactionTotals>,
}

impl Default for ReactionNotices {
    fn default() -> ReactionNotices {
        ReactionNotices { rate: Bucket::full(), gathered: None }
    }
}

impl ReactionNotices {
    /// Whether one more reaction is admitted now, by the rate limit of publishes.
    pub fn may_react(&mut self, cx: &RoomContext<'_>) -> bool {
        self.rate.take(cx.now.tick, cx.rules.publish_rate(), 1)
    }

    /// Sends or gathers the totals of a message.
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

    /// Sends gathered totals, when they are due.
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

    /// Messages up to this offset are removed: their totals are not sent.
    pub fn forget_up_to(&mut self, last: u64) {
        if let Some(gathered) = &mut self.gathered {
            gathered.totals.retain(|offset, _| last < *offset);
        }
    }

    fn gather(&mut self, parties: Option<[RoomId; 2]>, cx: &mut RoomContext<'_>) {
        let send_at = cx.now.tick.plus_ms(INTERVAL_MS);
        cx.timers.set_redelivery(send_at, cx.slot);
        self.gathered = Some(Box::new(Gathered { send_at, parties, totals: BTreeMap::new() }));
    }
}

/// Sends a notice to all members, and to the two users of a conversation wherever they are.
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
