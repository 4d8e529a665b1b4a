//! Personal channels: direct messages reach their readers at least once.
//!
//! A message waits on disk until it is acknowledged, wherever it is acknowledged.
//! The home of the reader's personal channel asks the store what waits: when a
//! connection of the user comes, and some time after something was brought.

use std::sync::Arc;

use super::letter::{Ask, Asker, Delivery};
use super::one::rules;
use super::storing::Awaited;
use super::{Out, Progress, Rooms, Step, Tell, Voice, Way, What, ack_key};
use crate::base::limits::PENDING_PAGE_MAX;
use crate::base::{Now, RoomId, SpanId, Tick, Trace, UserHash};
use crate::metrics::ChatType;
use crate::store::{Burial, Cause, Due, Job, Marks, Outcome, PendingPage, Requester, Try};
use crate::wire::{Payload, Publication, chat};

/// The namespace of personal channels; also the prefix of their names.
pub const INBOX_NAMESPACE: &str = "@";

/// How long after the store was too busy somebody looks again, in ms.
const LOOK_AGAIN_MS: u64 = 1_000;

/// What is known of messages that wait for a user.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    look: Look,
    /// When somebody looks again; the store is asked then.
    scan_at: Option<Tick>,
    /// Where the last look ended, if there was more.
    rest: Option<(RoomId, u64)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Look {
    #[default]
    Idle,
    /// The store is asked; all that waits is sent, or what has waited long enough.
    All,
    Overdue,
}

impl Rooms {
    /// A connection of the user came: what waits is sent.
    pub(super) fn look_for_waiting(&mut self, now: Now, slot: u32, out: &mut Out) {
        let room = &self.rooms[slot];
        let is_inbox = rules(&self.options, &room.title).name == INBOX_NAMESPACE;
        if is_inbox && self.options.has_store() {
            self.look(now, slot, Look::All, None, out);
        }
    }

    /// Time to look again.
    pub(super) fn scan(&mut self, now: Now, slot: u32, out: &mut Out) {
        let Some(room) = self.rooms.at_mut(slot) else { return };
        let Some(inbox) = &mut room.inbox else { return };
        if inbox.scan_at.is_none_or(|at| now.tick < at) {
            return;
        }
        inbox.scan_at = None;
        if !room.members.is_empty() {
            let rest = inbox.rest.take();
            self.look(now, slot, Look::Overdue, rest, out);
        }
    }

    fn look(
        &mut self,
        now: Now,
        slot: u32,
        look: Look,
        after: Option<(RoomId, u64)>,
        out: &mut Out,
    ) {
        let room = &mut self.rooms[slot];
        let known = room.inbox.get_or_insert_default();
        if known.look != Look::Idle {
            // The answer that is under way serves both.
            known.look = Look::All;
            return;
        }
        if self.storing.is_full() {
            // It waits on; whoever looks next asks.
            return self.scan_in(now, slot, LOOK_AGAIN_MS);
        }
        let room = &mut self.rooms[slot];
        let inbox = room.id;
        room.inbox.get_or_insert_default().look = look;
        let page = PendingPage { inbox, after, count_max: PENDING_PAGE_MAX };
        // All connections of the user get it, so it is the user's, and does not end with one.
        let by = Requester { user: UserHash::of_inbox(inbox), ..Requester::NOBODY };
        self.request_as(by, Awaited::Pending(inbox), Job::Pending(page), out);
    }

    /// What waits, as far as the store knows.
    pub(super) fn on_pending(&mut self, now: Now, inbox: RoomId, outcome: Outcome, out: &mut Out) {
        // Nobody is there any more: it waits on.
        let Some(slot) = self.find(inbox) else { return };
        let room = &mut self.rooms[slot];
        let known = room.inbox.get_or_insert_default();
        let look = std::mem::take(&mut known.look);
        let (ack_wait_ms, tries_max) = {
            let rules = rules(&self.options, &room.title);
            (u64::from(rules.ack_wait_ms), rules.tries_max)
        };
        let (due, rest) = match outcome {
            Outcome::Pending(due, rest) => (due, rest),
            // Damaged or broken: the next look tells.
            _ => return self.scan_in(now, slot, ack_wait_ms),
        };
        if room.members.is_empty() {
            return;
        }
        if let Some(known) = &mut room.inbox {
            known.rest = rest;
        }
        let waits = !due.is_empty();
        for one in due {
            let waited_ms = now.unix_ms.saturating_sub(one.publication.time_unix_ms);
            if look == Look::Overdue && waited_ms < ack_wait_ms {
                continue;
            }
            self.send_again(now, inbox, one, tries_max, out);
        }
        if waits {
            self.scan_in(now, slot, ack_wait_ms);
        }
    }

    fn send_again(&mut self, now: Now, inbox: RoomId, due: Due, tries_max: u16, out: &mut Out) {
        let Due { room, channel, publication, tries_count, .. } = due;
        let offset = publication.offset;
        let at_unix_ms = now.unix_ms;
        let job = if tries_max <= tries_count {
            let cause = Cause::Tries;
            let trace = publication.trace;
            out.steps.push(Step::GivenUp { room, offset, trace });
            Job::Bury(Burial { inbox, room, offset, cause, at_unix_ms })
        } else {
            let message = direct(&channel, &publication);
            let trace = publication.trace.unwrap_or_else(|| Trace::made(&mut self.ids));
            let span = SpanId::made(&mut self.ids);
            let key = ack_key(room, offset);
            let way = Way { key, ..Way::again(now, trace, span, ChatType::OneToOne) };
            out.steps.push(Step::Again { way });
            self.spread(inbox, &Tell::Said(inbox, Arc::new(message), way), out);
            Job::Tried(Try { inbox, room, offset, tries_count: tries_count + 1 })
        };
        self.request(None, Awaited::Done, job, out);
    }

    /// Something for the user of this personal channel.
    pub(super) fn deliver(&mut self, now: Now, inbox: RoomId, delivery: Delivery, out: &mut Out) {
        let slot = self.find(inbox);
        let is_here = slot.is_some_and(|slot| self.rooms[slot].members.count() != 0);
        if let Delivery::Message(..) = &delivery
            && !is_here
        {
            out.steps.push(Step::Waits);
        }
        // Who has no connection finds it at the next one.
        let Some(slot) = slot else { return };
        match delivery {
            Delivery::Message(due, way) => {
                let message = direct(&due.channel, &due.publication);
                self.spread(inbox, &Tell::Said(inbox, Arc::new(message), way), out);
                if self.options.has_store() {
                    self.scan_overdue(now, slot);
                }
            }
            Delivery::Copy { channel, publication, way } => {
                let message = direct(&channel, &publication);
                self.spread(inbox, &Tell::Said(inbox, Arc::new(message), way), out);
            }
            Delivery::Acknowledged { .. } => {
                // Room for the rest of a long queue.
                let known = self.rooms[slot].inbox.as_mut();
                if let Some(rest) = known.and_then(|known| known.rest.take()) {
                    self.look(now, slot, Look::All, Some(rest), out);
                }
            }
            Delivery::Stored => {
                if is_here && self.options.has_store() {
                    self.look(now, slot, Look::All, None, out);
                    // An answer that is under way may have been read before.
                    self.scan_overdue(now, slot);
                }
            }
            Delivery::Typing { channel, info } => {
                if self.may_tell_of_typing(now, slot, &info) {
                    let notice = Arc::new(chat::typing(&channel, &info));
                    self.spread(inbox, &Tell::Notice(inbox, notice), out);
                }
            }
            Delivery::Notice(notice) => {
                self.spread(inbox, &Tell::Notice(inbox, notice), out);
            }
        }
    }

    /// Somebody looks when what was brought should have been acknowledged.
    fn scan_overdue(&mut self, now: Now, slot: u32) {
        let ack_wait_ms = rules(&self.options, &self.rooms[slot].title).ack_wait_ms;
        self.scan_in(now, slot, u64::from(ack_wait_ms));
    }

    fn scan_in(&mut self, now: Now, slot: u32, wait_ms: u64) {
        let inbox = self.rooms[slot].inbox.get_or_insert_default();
        let at = now.tick.plus_ms(wait_ms);
        if inbox.scan_at.is_none() {
            inbox.scan_at = Some(at);
            self.scans.set(at, slot);
        }
    }

    /// The way of a message that comes to light late: what is measured begins anew.
    pub(super) fn way_again(&mut self, now: Now, slot: u32, late: &Publication) -> Way {
        let room = &self.rooms[slot];
        let chat_type = rules(&self.options, &room.title).chat_type();
        let key = ack_key(room.id, late.offset);
        let trace = late.trace.unwrap_or_else(|| Trace::made(&mut self.ids));
        let span = SpanId::made(&mut self.ids);
        Way { key, ..Way::again(now, trace, span, chat_type) }
    }

    /// Brings a direct message to the two of its conversation.
    #[expect(clippy::too_many_arguments, reason = "a message, and where it goes")]
    pub(super) fn bring(
        &mut self,
        now: Now,
        slot: u32,
        publication: &Arc<Publication>,
        [from, to]: [RoomId; 2],
        ttl_ms: u64,
        way: Way,
        out: &mut Out,
    ) {
        let room = &self.rooms[slot];
        let channel = Arc::clone(&room.title.channel);
        let due = Due {
            room: room.id,
            channel: Arc::clone(&channel),
            publication: Arc::clone(publication),
            tries_count: 0,
            expires_unix_ms: now.unix_ms.saturating_add(ttl_ms),
        };
        out.deliver(to, Delivery::Message(due, way));
        let publication = Arc::clone(publication);
        out.deliver(from, Delivery::Copy { channel, publication, way });
    }

    /// A user got on in a conversation: the other side hears of it.
    pub(super) fn tell_of_marks(
        &mut self,
        id: RoomId,
        progress: &Progress,
        marks: Marks,
        out: &mut Out,
    ) {
        let Some(slot) = self.find(id) else { return };
        let channel = &self.rooms[slot].title.channel;
        let offset = marks.delivered;
        out.deliver(progress.inbox, Delivery::Acknowledged { room: id, offset });
        if let Some(other) = progress.other {
            let notice = chat::receipt(
                channel,
                chat::Receipt {
                    user: &progress.info.user,
                    delivered: marks.delivered,
                    read: marks.read,
                },
            );
            out.deliver(other, Delivery::Notice(Arc::new(notice)));
        }
    }

    /// A message is gone, as another one says that has its place: who is here now hears
    /// of it by a notice, too.
    pub(super) fn tell_of_retraction(
        &mut self,
        slot: u32,
        offset: u64,
        retraction: &Publication,
        voice: Voice,
        out: &mut Out,
    ) {
        let room = &self.rooms[slot];
        let id = room.id;
        let user = retraction.info.as_ref().map_or("", |info| &info.user);
        let notice: Arc<Payload> = Arc::new(chat::retracted(&room.title.channel, offset, user));
        self.spread(id, &Tell::Notice(id, Arc::clone(&notice)), out);
        let Voice::Send { from, to, .. } = voice else { return };
        for inbox in [from, to] {
            out.deliver(inbox, Delivery::Notice(Arc::clone(&notice)));
        }
    }
}

/// A direct message as it appears in a personal channel: without a place there,
/// and with that in its conversation.
fn direct(channel: &str, message: &Publication) -> Publication {
    let place = [
        ("channel".into(), channel.into()),
        ("offset".into(), message.offset.to_string().into_boxed_str()),
    ];
    let tags = message.tags.iter().cloned().chain(place).collect();
    Publication { offset: 0, tags, ..message.clone() }
}

impl Out {
    /// Something for a user, wherever its personal channel is at home.
    pub(super) fn deliver(&mut self, inbox: RoomId, delivery: Delivery) {
        let asker = Asker::NOBODY;
        let what = What::Deliver(Box::new(delivery));
        self.asks.push(Ask { room: inbox, asker, what });
    }
}
