//! Personal channels: direct messages reach their readers at least once, or are given up. A message
//! waits on disk until it is acknowledged, wherever it is acknowledged.
//!
//! The home of the reader's personal channel asks the store what waits: when a
//! connection of the user comes, and some time after something was brought.
//!
//! Deliberately absent: conversations, and what is stored of them.

use std::sync::Arc;

use super::inbox_order::{DirectKind, InboxOrder, PageUse, Redelivery, before};
use super::members::Members;
use super::messages::{DirectMessage, InboxDelivery};
use super::room_context::RoomContext;
use super::store_client::PendingOp;
use super::typing::TypingUsers;
use super::{MessageStep, RoomEvent, RoomOutput};
use crate::base::limits::PENDING_PAGE_MAX;
use crate::base::{MonotonicMs, RoomId, UserHash};
use crate::metrics::ChatType;
use crate::store::{
    DeadLetterCause, DeliveryAttempt, DuePage, NewDeadLetter, PendingMessage, PendingQuery,
    RequestId, Requester, StoreError, StoreOp, StoreResult,
};
use crate::wire::{INBOX_NAMESPACE, Publication, chat};

/// How long after the store could not say it is asked again, in ms.
const RETRY_MS: u64 = 1_000;

/// What is known of messages that wait for a user.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    order: InboxOrder,
    /// When somebody looks again; the store is asked then.
    redeliver_at: Option<MonotonicMs>,
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
            self.inbox.get_or_insert_default().order.restart();
            self.query(cx);
        }
    }

    /// Time to look again.
    pub fn redeliver_overdue(&mut self, cx: &mut RoomContext<'_>) {
        let Some(inbox) = self.inbox else { return };
        if inbox.redeliver_at.is_none_or(|at| cx.now.tick < at) {
            return;
        }
        inbox.redeliver_at = None;
        if self.members.is_empty() {
            return;
        }
        if inbox.order.is_asked() {
            // The answer may have been read before what was sent last.
            return inbox.schedule_overdue(cx);
        }
        self.query(cx);
    }

    /// Asks the store for what was not sent, or else for what is overdue.
    fn query(&mut self, cx: &mut RoomContext<'_>) {
        let known = self.inbox.get_or_insert_default();
        let Some(after) = known.order.next_query() else { return };
        if cx.store.is_full() {
            // It waits on; whoever looks next asks.
            return known.schedule_in(RETRY_MS, cx);
        }
        let inbox = self.id;
        let page = PendingQuery { inbox, after, count_max: PENDING_PAGE_MAX };
        // All connections of the user get it, so it is the user's, and does not end with one.
        let by = Requester { user: UserHash::of_inbox(inbox), ..Requester::NOBODY };
        let (pending_op, op) = (PendingOp::Pending(inbox), StoreOp::Pending(page));
        let request_id = cx.store.send(by, pending_op, op, cx.out);
        known.order.asked(request_id, after);
    }

    /// What waits, as far as the store knows.
    pub fn on_pending(
        &mut self,
        request_id: RequestId,
        outcome: StoreResult,
        cx: &mut RoomContext<'_>,
    ) {
        let Some(known) = self.inbox else { return };
        if self.members.is_empty() {
            return known.order.on_empty(request_id);
        }
        let DuePage { due, next } = match outcome.pending() {
            Ok(page) => page,
            Err(StoreError::Damaged) => {
                known.schedule_overdue(cx);
                // It cannot be sent, now or later, and does not keep others from being sent.
                DuePage { due: Vec::new(), next: None }
            }
            Err(
                StoreError::Full
                | StoreError::Broken
                | StoreError::Stale
                | StoreError::Abandoned
                | StoreError::Crowded
                | StoreError::Overloaded,
            ) => {
                known.order.on_failure(request_id);
                return known.schedule_in(RETRY_MS, cx);
            }
        };
        let mut page = DuePage { due, next };
        let redelivery = known.order.redelivery();
        let given_up = take_given_up(&mut page, redelivery, cx);
        match known.order.on_page(request_id, &page.due, page.next) {
            PageUse::Stale => (),
            PageUse::AskAgain => self.query(cx),
            PageUse::Send { held, asks_again, looks_again } => {
                if looks_again {
                    self.schedule_overdue(cx);
                }
                self.send_page(page.due, redelivery, cx);
                held.iter().for_each(|message| self.send_direct(message, cx.out));
                self.give_up(given_up, cx);
                if asks_again {
                    self.query(cx);
                }
            }
        }
    }

    /// Sends of a page what is to be sent.
    fn send_page(
        &self,
        due: Vec<PendingMessage>,
        redelivery: Redelivery,
        cx: &mut RoomContext<'_>,
    ) {
        for one in due {
            if is_sent_again(&one, redelivery, cx) {
                self.redeliver(one, cx);
            }
        }
    }

    /// Brings a message that waits, once more.
    fn redeliver(&self, due: PendingMessage, cx: &mut RoomContext<'_>) {
        let PendingMessage { room, channel, publication, tries_count, .. } = due;
        let (inbox, offset) = (self.id, publication.offset);
        let timing = cx.epochs.redelivery_timing(cx.now, room, &publication, ChatType::OneToOne);
        cx.out.step(MessageStep::Again { timing });
        self.send_direct(&DirectMessage { room, channel, publication, timing }, cx.out);
        let tries_count = tries_count + 1;
        let op = StoreOp::Attempted(DeliveryAttempt { inbox, room, offset, tries_count });
        cx.store.send(Requester::NOBODY, PendingOp::Done, op, cx.out);
    }

    /// Messages that were sent as often as they may be become dead letters. What comes after the
    /// first of them is sent when the store has them as such: its acknowledgement would take them
    /// out of the store.
    fn give_up(&mut self, given_up: Vec<PendingMessage>, cx: &mut RoomContext<'_>) {
        let (Some(first), Some(known)) = (given_up.first(), &mut *self.inbox) else { return };
        known.order.wait_before(before(first.room, first.publication.offset));
        for one in given_up {
            let (room, offset, trace) = (one.room, one.publication.offset, one.publication.trace);
            cx.out.step(MessageStep::GivenUp { room, offset, trace });
            let (inbox, cause) = (self.id, DeadLetterCause::Attempts);
            let at_unix_ms = cx.now.unix_ms;
            let op = StoreOp::DeadLetter(NewDeadLetter { inbox, room, offset, cause, at_unix_ms });
            cx.store.send(Requester::NOBODY, PendingOp::DeadLetter(inbox), op, cx.out);
        }
    }

    /// A message has become a dead letter, or has not.
    pub fn on_dead_letter(&mut self, outcome: &StoreResult, cx: &mut RoomContext<'_>) {
        let (false, Some(known)) = (self.members.is_empty(), &mut *self.inbox) else { return };
        if matches!(outcome, StoreResult::Failed(_)) {
            // It is tried again when the message is read again.
            known.schedule_in(RETRY_MS, cx);
        } else {
            self.query(cx);
        }
    }

    /// Something for the user.
    pub fn deliver(&mut self, delivery: InboxDelivery, cx: &mut RoomContext<'_>) {
        match delivery {
            InboxDelivery::Message { tenant: _, message } => {
                self.send_in_order(DirectKind::Pending, message, cx.out);
                if cx.options.has_store() {
                    self.schedule_overdue(cx);
                }
            }
            InboxDelivery::Copy(message) => self.send_in_order(DirectKind::Copy, message, cx.out),
            InboxDelivery::Acknowledged { .. } => {
                // Room for the rest of a long queue.
                if self.inbox.as_ref().is_some_and(|known| known.order.has_rest()) {
                    self.query(cx);
                }
            }
            InboxDelivery::Stored => {
                if self.members.count() != 0 && cx.options.has_store() {
                    self.inbox.get_or_insert_default().order.miss_all();
                    self.query(cx);
                }
            }
            InboxDelivery::Removed { room, offset } => {
                if let Some(known) = self.inbox {
                    known.order.forget(room, offset);
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

    /// Sends a new message, unless something that waits is sent first.
    fn send_in_order(&mut self, kind: DirectKind, message: DirectMessage, out: &mut RoomOutput) {
        let message = match self.inbox {
            Some(known) => known.order.admit(kind, message),
            None => Some(message),
        };
        if let Some(message) = message {
            self.send_direct(&message, out);
        }
    }

    /// A message of a conversation goes to the user's connections.
    fn send_direct(&self, message: &DirectMessage, out: &mut RoomOutput) {
        let DirectMessage { room: _, channel, publication, timing } = message;
        let copy = Arc::new(personal_copy(channel, publication));
        self.members.send_to_shards(&RoomEvent::Published(self.id, copy, *timing), out);
    }

    fn schedule_overdue(&mut self, cx: &mut RoomContext<'_>) {
        self.inbox.get_or_insert_default().schedule_overdue(cx);
    }
}

impl Inbox {
    /// Somebody looks when what was sent should have been acknowledged.
    fn schedule_overdue(&mut self, cx: &mut RoomContext<'_>) {
        self.schedule_in(u64::from(cx.rules.ack_wait_ms), cx);
    }

    fn schedule_in(&mut self, wait_ms: u64, cx: &mut RoomContext<'_>) {
        let at = cx.now.tick.plus_ms(wait_ms);
        if self.redeliver_at.is_none_or(|other| at < other) {
            self.redeliver_at = Some(at);
            cx.timers.set_redelivery(at, cx.slot);
        }
    }
}

/// Whether a message that waits is brought to a reader of a page now.
fn is_sent_again(one: &PendingMessage, redelivery: Redelivery, cx: &RoomContext<'_>) -> bool {
    let waited_ms = cx.now.unix_ms.saturating_sub(one.publication.time_unix_ms);
    redelivery == Redelivery::Unsent || u64::from(cx.rules.ack_wait_ms) <= waited_ms
}

/// Takes out of a page what was sent as often as it may be. The page ends before the first of
/// these.
fn take_given_up(
    page: &mut DuePage,
    redelivery: Redelivery,
    cx: &RoomContext<'_>,
) -> Vec<PendingMessage> {
    let is_over = |one: &PendingMessage| {
        cx.rules.tries_max <= one.tries_count && is_sent_again(one, redelivery, cx)
    };
    let Some(first) = page.due.iter().position(is_over) else { return Vec::new() };
    let mut given_up = page.due.split_off(first);
    page.next = before(given_up[0].room, given_up[0].publication.offset);
    given_up.retain(is_over);
    given_up
}

/// A direct message as it appears in a personal channel: without a place there,
/// and with that in its conversation.
fn personal_copy(channel: &str, message: &Publication) -> Publication {
    let place = [
        (chat::CHANNEL_TAG.into(), channel.into()),
        (chat::OFFSET_TAG.into(), message.offset.to_string().into_boxed_str()),
    ];
    let tags = message.tags.iter().cloned().chain(place).collect();
    Publication { offset: 0, tags, ..message.clone() }
}
