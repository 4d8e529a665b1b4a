//! Personal channels: direct messages reach their readers at least once.
//!
//! A message waits on disk until it is acknowledged, wherever it is acknowledged.
//! The home of the reader's personal channel asks the store what waits: when a
//! connection of the user comes, and some time after something was brought.
//!
//! Deliberately absent: conversations, and what is stored of them.

use std::mem;
use std::sync::Arc;

use super::members::Members;
use super::messages::InboxDelivery;
use super::room_context::RoomContext;
use super::store_client::PendingOp;
use super::typing::TypingUsers;
use super::{MessageStep, MessageTiming, RoomEvent, RoomOutput};
use crate::base::limits::PENDING_PAGE_MAX;
use crate::base::{MonotonicMs, RoomId, UserHash};
use crate::metrics::ChatType;
use crate::store::{
    DeadLetterCause, DeliveryAttempt, DuePage, NewDeadLetter, PendingMessage, PendingQuery,
    Requester, StoreOp, StoreResult,
};
use crate::wire::{INBOX_NAMESPACE, Publication, chat};

/// How long after the store was too busy somebody looks again, in ms.
const RETRY_MS: u64 = 1_000;

/// What is known of messages that wait for a user.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    redelivery: Redelivery,
    /// When somebody looks again; the store is asked then.
    redeliver_at: Option<MonotonicMs>,
    /// Where the last look ended, if there was more.
    rest: Option<(RoomId, u64)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Redelivery {
    #[default]
    Idle,
    /// The store is asked; all that waits is sent, or what has waited long enough.
    All,
    Overdue,
}

/// A room as far as it concerns who waits for messages in it.
pub(super) struct InboxRoom<'r> {
    /// The personal channel.
    id: RoomId,
    /// Connections of its user.
    members: &'r Members,
    /// What is known of messages that wait.
    inbox: &'r mut Option<Box<Inbox>>,
    /// Who was told to be typing.
    typing: &'r mut TypingUsers,
}

impl<'r> InboxRoom<'r> {
    /// The room with this id.
    pub fn new(
        id: RoomId,
        members: &'r Members,
        inbox: &'r mut Option<Box<Inbox>>,
        typing: &'r mut TypingUsers,
    ) -> InboxRoom<'r> {
        InboxRoom { id, members, inbox, typing }
    }

    /// A connection of the user came: what waits is sent.
    pub fn redeliver_pending(&mut self, cx: &mut RoomContext<'_>) {
        if cx.rules.name == INBOX_NAMESPACE && cx.options.has_store() {
            self.query_pending(Redelivery::All, None, cx);
        }
    }

    /// Time to look again.
    pub fn redeliver_overdue(&mut self, cx: &mut RoomContext<'_>) {
        let Some(inbox) = self.inbox else { return };
        if inbox.redeliver_at.is_none_or(|at| cx.now.tick < at) {
            return;
        }
        inbox.redeliver_at = None;
        if !self.members.is_empty() {
            let rest = inbox.rest.take();
            self.query_pending(Redelivery::Overdue, rest, cx);
        }
    }

    fn query_pending(
        &mut self,
        redelivery: Redelivery,
        after: Option<(RoomId, u64)>,
        cx: &mut RoomContext<'_>,
    ) {
        let known = self.inbox.get_or_insert_default();
        if known.redelivery != Redelivery::Idle {
            // The answer that is under way serves both.
            known.redelivery = Redelivery::All;
            return;
        }
        if cx.store.is_full() {
            // It waits on; whoever looks next asks.
            return known.schedule_in(RETRY_MS, cx);
        }
        known.redelivery = redelivery;
        let inbox = self.id;
        let page = PendingQuery { inbox, after, count_max: PENDING_PAGE_MAX };
        // All connections of the user get it, so it is the user's, and does not end with one.
        let by = Requester { user: UserHash::of_inbox(inbox), ..Requester::NOBODY };
        cx.store.send(by, PendingOp::Pending(inbox), StoreOp::Pending(page), cx.out);
    }

    /// What waits, as far as the store knows.
    pub fn on_pending(&mut self, outcome: StoreResult, cx: &mut RoomContext<'_>) {
        let known = self.inbox.get_or_insert_default();
        let redelivery = mem::take(&mut known.redelivery);
        let ack_wait_ms = u64::from(cx.rules.ack_wait_ms);
        // Damaged or broken: the next look tells.
        let Ok(DuePage { due, next }) = outcome.pending() else {
            return known.schedule_in(ack_wait_ms, cx);
        };
        if self.members.is_empty() {
            return;
        }
        known.rest = next;
        let waits = !due.is_empty();
        for one in due {
            let waited_ms = cx.now.unix_ms.saturating_sub(one.publication.time_unix_ms);
            if redelivery == Redelivery::Overdue && waited_ms < ack_wait_ms {
                continue;
            }
            self.redeliver(one, cx);
        }
        if waits {
            self.schedule_in(ack_wait_ms, cx);
        }
    }

    fn redeliver(&self, due: PendingMessage, cx: &mut RoomContext<'_>) {
        let PendingMessage { room, channel, publication, tries_count, .. } = due;
        let (inbox, offset) = (self.id, publication.offset);
        let op = if cx.rules.tries_max <= tries_count {
            let (cause, trace) = (DeadLetterCause::Attempts, publication.trace);
            cx.out.step(MessageStep::GivenUp { room, offset, trace });
            StoreOp::DeadLetter(NewDeadLetter {
                inbox,
                room,
                offset,
                cause,
                at_unix_ms: cx.now.unix_ms,
            })
        } else {
            let timing =
                cx.epochs.redelivery_timing(cx.now, room, &publication, ChatType::OneToOne);
            cx.out.step(MessageStep::Again { timing });
            self.send_direct(&channel, &publication, timing, cx.out);
            StoreOp::Attempted(DeliveryAttempt {
                inbox,
                room,
                offset,
                tries_count: tries_count + 1,
            })
        };
        cx.store.send(Requester::NOBODY, PendingOp::Done, op, cx.out);
    }

    /// Something for the user.
    pub fn deliver(&mut self, delivery: InboxDelivery, cx: &mut RoomContext<'_>) {
        match delivery {
            InboxDelivery::Message(due, timing) => {
                self.send_direct(&due.channel, &due.publication, timing, cx.out);
                if cx.options.has_store() {
                    self.schedule_overdue(cx);
                }
            }
            InboxDelivery::Copy { channel, publication, timing } => {
                self.send_direct(&channel, &publication, timing, cx.out);
            }
            InboxDelivery::Acknowledged { .. } => {
                // Room for the rest of a long queue.
                let known = self.inbox.as_mut();
                if let Some(rest) = known.and_then(|known| known.rest.take()) {
                    self.query_pending(Redelivery::All, Some(rest), cx);
                }
            }
            InboxDelivery::Stored => {
                if self.members.count() != 0 && cx.options.has_store() {
                    self.query_pending(Redelivery::All, None, cx);
                    // An answer that is under way may have been read before.
                    self.schedule_overdue(cx);
                }
            }
            InboxDelivery::Typing { channel, info } => {
                if self.typing.may_tell(cx.now.tick, &info) {
                    let notice = Arc::new(chat::typing(&channel, &info));
                    self.members.send_to_shards(&RoomEvent::Notice(self.id, notice), cx.out);
                }
            }
            InboxDelivery::Notice(notice) => {
                self.members.send_to_shards(&RoomEvent::Notice(self.id, notice), cx.out);
            }
        }
    }

    /// A message of a conversation goes to the user's connections.
    fn send_direct(
        &self,
        channel: &str,
        publication: &Publication,
        timing: MessageTiming,
        out: &mut RoomOutput,
    ) {
        let message = Arc::new(personal_copy(channel, publication));
        self.members.send_to_shards(&RoomEvent::Published(self.id, message, timing), out);
    }

    /// Somebody looks when what was brought should have been acknowledged.
    fn schedule_overdue(&mut self, cx: &mut RoomContext<'_>) {
        self.schedule_in(u64::from(cx.rules.ack_wait_ms), cx);
    }

    fn schedule_in(&mut self, wait_ms: u64, cx: &mut RoomContext<'_>) {
        self.inbox.get_or_insert_default().schedule_in(wait_ms, cx);
    }
}

impl Inbox {
    fn schedule_in(&mut self, wait_ms: u64, cx: &mut RoomContext<'_>) {
        if self.redeliver_at.is_none() {
            let at = cx.now.tick.plus_ms(wait_ms);
            self.redeliver_at = Some(at);
            cx.timers.set_redelivery(at, cx.slot);
        }
    }
}

/// A direct message as it appears in a personal channel: without a place there,
/// and with that in its conversation.
fn personal_copy(channel: &str, message: &Publication) -> Publication {
    let place = [
        ("channel".into(), channel.into()),
        ("offset".into(), message.offset.to_string().into_boxed_str()),
    ];
    let tags = message.tags.iter().cloned().chain(place).collect();
    Publication { offset: 0, tags, ..message.clone() }
}
