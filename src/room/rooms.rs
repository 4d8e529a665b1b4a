//! All rooms whose home is one shard: every request and every answer of the store enters
//! here, and goes to its room.
//!
//! A room is created by the first request that needs it, and removed when it has no members
//! and nothing in memory or under way.
//!
//! Invariants: every request gets one answer, some of them after an answer of the store; a
//! durable message is answered and delivered only when the store has it; appends of one room
//! are answered in their order.
//!
//! Deliberately absent: the decisions of one room (`room`, `room_messages`), the table of rooms
//! (`room_set`), and which requests wait (`request_order`).

use std::sync::Arc;

use super::abandoned;
use super::dead_letters;
use super::decision::{Decision, OpenOutcome, ReadProgress, RoomUse};
use super::history;
use super::history_removal;
use super::members::{MemberId, Members};
use super::message_requests::{self, on_message};
use super::mutes;
use super::presence;
use super::reactions;
use super::reading::RecoveryRead;
use super::receipts;
use super::reopening::on_append_failed;
use super::request_order::{wait_for_shown, wait_for_stream};
use super::room::Room;
use super::room_set::RoomSet;
use super::roster_changes::{self, change_roster};
use super::single_sessions::SingleSessions;
use super::store_client::{PendingOp, ReadPurpose, ReplyRoute, StoreRead};
use super::user_rates::UserRates;
use super::{
    InboxDelivery, LeaveReason, MessageStep, Options, ReplyTo, RoomEvent, RoomOp, RoomOutput,
    RoomPublish, RoomReply, RoomRequest, RoomSubscribe, RoomSummary,
};
use crate::base::limits::ROOM_CREATORS_MAX;
use crate::base::{Csprng, MonotonicMs, RoomId, SealKey, ShardId, Timestamps};
use crate::store::{ReactionPage, RequestId, Requester, StoreReply, StoreResult, WriteEpoch};
use crate::wire::ErrorCode;

/// All rooms whose home is one shard.
pub struct Rooms {
    set: RoomSet,
    sessions: SingleSessions,
    /// Rates at which users create rooms.
    room_creations: UserRates,
    /// The members of a room that is not here.
    nobody: Members,
}

impl Rooms {
    /// No rooms yet. `ids` decides epochs and spans; with `silent_key`, the same on all
    /// shards and in all lives of a store, positions in silent rooms are known again.
    pub fn new(now: Timestamps, options: Arc<Options>, ids: Csprng, silent_key: SealKey) -> Rooms {
        let room_creations = options.user_rates.room_creations;
        Rooms {
            set: RoomSet::new(now, options, ids, silent_key),
            sessions: SingleSessions::default(),
            room_creations: UserRates::new(room_creations, ROOM_CREATORS_MAX),
            nobody: Members::default(),
        }
    }

    /// The number of rooms.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// True when there is no room.
    pub fn is_empty(&self) -> bool {
        self.set.len() == 0
    }

    /// Members by room and shard.
    pub fn members(&self) -> impl Iterator<Item = (RoomId, ShardId, u32)> {
        self.set.iter().flat_map(|room| {
            room.members().counts().map(|(shard, count)| (room.id(), shard, count))
        })
    }

    /// What operators ask about the room in a slot; `None` for an empty slot.
    pub fn in_slot(&self, slot: u32, now: Timestamps) -> Option<RoomSummary<'_>> {
        let room = self.set.in_slot(slot)?;
        Some(RoomSummary {
            channel_key: room.messages().channel_key(),
            members_count: room.members().count(),
            messages_per_min: room.messages().said_per_min(now),
        })
    }

    /// One behind the highest slot.
    pub fn span(&self) -> u32 {
        self.set.span()
    }

    /// A room's name, if it is here.
    pub fn name(&self, room: RoomId) -> Option<&str> {
        self.set.find(room).map(|room| &*room.messages().channel_key().channel)
    }

    /// Members of a room on a shard.
    pub fn members_on(&self, room: RoomId, shard: ShardId) -> u64 {
        self.set.find(room).map_or(0, |room| u64::from(room.members().count_on(shard)))
    }

    /// Requests that the store has not answered.
    pub fn requests_count(&self) -> usize {
        self.set.requests_count()
    }

    /// A room, if it is here.
    #[cfg(test)]
    pub(super) fn find(&self, id: RoomId) -> Option<&Room> {
        self.set.find(id)
    }

    /// The only entry point for requests. Total: every request gets one answer, which stands
    /// in `out` before the events that the request causes.
    pub fn handle(
        &mut self,
        now: Timestamps,
        from: ShardId,
        request: RoomRequest,
        out: &mut RoomOutput,
    ) {
        let request = wait_for_stream(&mut self.set, now, from, request, out);
        if let Some(request) =
            request.and_then(|request| wait_for_shown(&mut self.set, now, from, request, out))
        {
            self.decide(now, from, request, out);
        }
    }

    /// Decides a request to a room whose stream is known.
    fn decide(
        &mut self,
        now: Timestamps,
        from: ShardId,
        request: RoomRequest,
        out: &mut RoomOutput,
    ) {
        let RoomRequest { room, reply_to, op } = request;
        let (by, member_id) = ((from, reply_to), MemberId { shard: from, conn: reply_to.conn });
        let (set, rates) = (&mut self.set, &mut self.room_creations);
        let decision = match op {
            RoomOp::Subscribe(subscribe) => self.subscribe(now, room, by, *subscribe, out),
            RoomOp::Unsubscribe(reason) => self.unsubscribe(now, room, member_id, reason, out),
            RoomOp::Publish(publish) => self.publish(now, room, by, publish, out),
            RoomOp::Presence => Decision::Answered(presence::list(self.members_of(room))),
            RoomOp::PresenceStats => Decision::Answered(presence::stats(self.members_of(room))),
            RoomOp::Members(page) => {
                Decision::Answered(presence::page(self.members_of(room), page))
            }
            RoomOp::History(page) => {
                Decision::of(message_requests::history(set, now, room, by, &page, out))
            }
            RoomOp::RemoveHistory(removal) => {
                Decision::of(history_removal::remove(set, now, room, by, &removal, out))
            }
            RoomOp::Typing(info) => message_requests::typing(set, now, room, info),
            RoomOp::AdvanceMarker(update) => {
                Decision::of(message_requests::advance_marker(set, room, by, update, out))
            }
            RoomOp::Receipts(page) => {
                Decision::of(message_requests::receipts(set, room, by, *page, out))
            }
            RoomOp::Conversations(page) => {
                Decision::of(message_requests::conversations(set, room, by, *page, out))
            }
            RoomOp::Change(request) => {
                Decision::of(on_message(set, now, room, out, |messages, members, cx| {
                    messages.change(members, by, *request, cx)
                }))
            }
            RoomOp::React(reaction) => {
                Decision::of(on_message(set, now, room, out, |messages, members, cx| {
                    messages.react(members, by, *reaction, cx)
                }))
            }
            RoomOp::Reactions(page) => {
                Decision::of(message_requests::reactions(set, now, room, by, *page, out))
            }
            RoomOp::ChangeRoster(wish) => change_roster(set, rates, now, (room, by, wish), out),
            RoomOp::Roster(page) => message_requests::roster(set, room, &page),
            RoomOp::Mute(request) => Decision::of(mutes::mute(set, room, by, request, out)),
            RoomOp::DeadLetters(ask) => Decision::of(dead_letters::ask(set, room, by, *ask, out)),
            RoomOp::Claim => self.claim(room, by, member_id, out),
            RoomOp::Release => {
                self.sessions.release(room, member_id);
                Decision::Answered(RoomReply::Done)
            }
            RoomOp::Deliver(delivery) => {
                self.deliver(now, room, *delivery, out);
                Decision::Answered(RoomReply::Done)
            }
        };
        // The room may be gone by now, and has no members then.
        decision.act_on(room, by, self.set.find(room).map(Room::members), out);
    }

    /// A connection is the only one of its user from now on.
    fn claim(
        &mut self,
        room: RoomId,
        by: ReplyRoute,
        member_id: MemberId,
        out: &mut RoomOutput,
    ) -> Decision {
        out.answer(room, by, RoomReply::Done);
        if let Some(old) = self.sessions.claim(room, member_id) {
            out.send(old.shard, RoomEvent::Replaced(old.conn));
        }
        Decision::Later
    }

    fn subscribe(
        &mut self,
        now: Timestamps,
        id: RoomId,
        by: ReplyRoute,
        subscribe: RoomSubscribe,
        out: &mut RoomOutput,
    ) -> Decision {
        let Some(slot) = self.set.get_or_create(now, id, &subscribe.channel_key) else {
            return Decision::Answered(RoomReply::SubscribeRejected(ErrorCode::Internal));
        };
        let (room, mut cx) = self.set.visit(now, slot, out);
        room.subscribe(by, subscribe, &mut cx)
    }

    fn unsubscribe(
        &mut self,
        now: Timestamps,
        id: RoomId,
        member_id: MemberId,
        reason: LeaveReason,
        out: &mut RoomOutput,
    ) -> Decision {
        let Some(slot) = self.set.slot_of(id) else {
            return Decision::Answered(RoomReply::Unsubscribed);
        };
        let (room, mut cx) = self.set.visit(now, slot, out);
        let event = room.leave(member_id, reason, &mut cx);
        self.set.after_leaving(now, slot);
        Decision::with(RoomReply::Unsubscribed, event)
    }

    fn publish(
        &mut self,
        now: Timestamps,
        id: RoomId,
        by: ReplyRoute,
        publish: Box<RoomPublish>,
        out: &mut RoomOutput,
    ) -> Decision {
        let chat_type = publish.timing.chat_type;
        let slot = match &publish.channel_key {
            Some(channel_key) => self.set.get_or_create(now, id, channel_key),
            None => self.set.slot_of(id),
        };
        let decision = match slot {
            Some(slot) => self.publish_in(now, slot, by, publish, out),
            None => Decision::refused(ErrorCode::Internal),
        };
        if let Some(answer) = decision.answer() {
            out.count_publish(chat_type, answer);
        }
        decision
    }

    fn publish_in(
        &mut self,
        now: Timestamps,
        slot: u32,
        by: ReplyRoute,
        publish: Box<RoomPublish>,
        out: &mut RoomOutput,
    ) -> Decision {
        let (room, mut cx) = self.set.visit(now, slot, out);
        let (messages, members) = room.messages_and_members();
        let decision = messages.publish(by, publish, &mut self.room_creations, &mut cx);
        if let Decision::AnsweredWithEvent(..) = &decision
            && messages.forgets_all()
            && members.is_empty()
        {
            self.set.remove(slot);
        }
        decision
    }

    /// The members of a room: none, where it is not here.
    fn members_of(&self, id: RoomId) -> &Members {
        self.set.find(id).map_or(&self.nobody, Room::members)
    }

    /// Delivers to the user of this personal channel.
    fn deliver(
        &mut self,
        now: Timestamps,
        inbox: RoomId,
        delivery: InboxDelivery,
        out: &mut RoomOutput,
    ) {
        let slot = self.set.slot_of(inbox);
        let is_here = slot.is_some_and(|slot| self.set[slot].members().count() != 0);
        if let InboxDelivery::Message { tenant, message } = &delivery
            && !is_here
        {
            out.step(MessageStep::Waits);
            out.find_nobody(tenant, message);
        }
        // A user without connections gets it with the next one.
        let Some(slot) = slot else { return };
        let (room, mut cx) = self.set.visit(now, slot, out);
        room.inbox().deliver(delivery, &mut cx);
    }

    /// Handles timers: old messages, absences that are over, empty rooms. At most `max` of
    /// each; the rest at the next call.
    pub fn tick(&mut self, now: Timestamps, max: usize, out: &mut RoomOutput) {
        self.room_creations.tick(now.tick);
        for (slot, member_id) in self.set.timers().take_absence_ends(now.tick, max) {
            if let Some((room, mut cx)) = self.set.at(now, slot, out)
                && room.end_absence(member_id, &mut cx)
            {
                self.set.after_leaving(now, slot);
            }
        }
        for slot in self.set.timers().take_sweeps(now.tick, max) {
            if let Some((room, mut cx)) = self.set.at(now, slot, out)
                && room.sweep(&mut cx) == RoomUse::Unneeded
            {
                self.set.remove(slot);
            }
        }
        for slot in self.set.timers().take_redeliveries(now.tick, max) {
            if let Some((room, mut cx)) = self.set.at(now, slot, out) {
                room.inbox().redeliver_overdue(&mut cx);
                room.send_membership_summary(&mut cx);
                let (messages, members) = room.messages_and_members();
                messages.tell_gathered(members, &mut cx);
            }
        }
    }

    /// When `tick` should be called next.
    pub fn next_wake(&self) -> Option<MonotonicMs> {
        self.set.next_wake()
    }

    /// A join or leave event did not reach a shard, because its lane was full. The lists of its
    /// members are wrong from here on, so they soon get a summary, as in a large room, and
    /// read the list anew.
    pub fn on_event_lost(&mut self, now: Timestamps, lost: &RoomEvent) {
        let (RoomEvent::Joined(id, ..)
        | RoomEvent::Left(id, ..)
        | RoomEvent::MemberReplaced(id, _)
        | RoomEvent::MembershipSummary(id, _)) = lost
        else {
            return;
        };
        self.set.on_event_lost(now, *id, lost);
    }

    /// A connection is gone: its reads are withdrawn.
    pub fn abandon(
        &mut self,
        now: Timestamps,
        shard: ShardId,
        reply_to: ReplyTo,
        out: &mut RoomOutput,
    ) {
        abandoned::abandon(&mut self.set, now, (shard, reply_to), out);
    }

    /// The only entry point for answers of the store.
    pub fn on_reply(&mut self, now: Timestamps, reply: StoreReply, out: &mut RoomOutput) {
        let StoreReply { request_id, outcome } = reply;
        match self.set.store().take(request_id) {
            PendingOp::Opened(room, by) => self.on_opened(now, room, by, outcome, out),
            PendingOp::Appended(room, write_epoch) => {
                self.on_append_done(now, room, (write_epoch, request_id), outcome, out)
            }
            PendingOp::Read(reading) => self.on_read(now, *reading, outcome, out),
            PendingOp::MarkerAdvanced(id, by, update) => {
                message_requests::marker_advanced(&self.set, (id, by, &update), outcome, out);
            }
            PendingOp::Muted(id, by, request) => {
                mutes::on_muted(&mut self.set, (id, by, &request), outcome, out);
            }
            PendingOp::Receipts(room, by, count_max) => {
                out.answer(room, by, receipts::receipts_answer(outcome, count_max));
                self.set.store().end_reading(by, out);
            }
            PendingOp::Conversations(room, by) => {
                out.answer(room, by, receipts::conversations_answer(outcome));
                self.set.store().end_reading(by, out);
            }
            PendingOp::Reacted(id, by, reaction) => {
                let (answer, totals) = reactions::reacted(outcome.reacted());
                out.answer(id, by, answer);
                if let Some(slot) = self.set.slot_of(id) {
                    let (room, mut cx) = self.set.visit(now, slot, out);
                    let (messages, members) = room.messages_and_members();
                    messages.tell_of_reaction(members, &reaction, totals, &mut cx);
                }
            }
            PendingOp::Reactions(room, by) => {
                out.answer(room, by, reactions::reactions_answer(outcome));
                self.set.store().end_reading(by, out);
            }
            PendingOp::GroupsCounted(id, by, request) => {
                let creations = &mut self.room_creations;
                let asked = (id, by, request);
                roster_changes::on_counted(&mut self.set, creations, now, asked, outcome, out);
            }
            PendingOp::HistoryRemoved(id, by, parties) => {
                let (removal, reply) = ((id, by, parties), (request_id, outcome));
                let behind = history_removal::on_removed(&mut self.set, now, removal, reply, out);
                self.decide_behind(now, behind, out);
                if let Some(slot) = self.set.slot_of(id) {
                    self.set.rest(now, slot, id);
                }
            }
            PendingOp::OfDeadLetters(room, by, step) => {
                dead_letters::on_answer(&mut self.set, (room, by), step, outcome, out);
            }
            PendingOp::Pending(inbox) => {
                // When the user has no connection any more, messages stay pending.
                if let Some(slot) = self.set.slot_of(inbox) {
                    let (room, mut cx) = self.set.visit(now, slot, out);
                    room.inbox().on_pending(request_id, outcome, &mut cx);
                }
            }
            PendingOp::DeadLetter(inbox) => {
                if let Some(slot) = self.set.slot_of(inbox) {
                    let (room, mut cx) = self.set.visit(now, slot, out);
                    room.inbox().on_dead_letter(&outcome, &mut cx);
                }
            }
            PendingOp::Done => (),
        }
    }

    fn on_opened(
        &mut self,
        now: Timestamps,
        id: RoomId,
        by: Requester,
        outcome: StoreResult,
        out: &mut RoomOutput,
    ) {
        let slot = self.set.slot_of(id).expect("a room stays while the store is asked");
        let (room, mut cx) = self.set.visit(now, slot, out);
        let (messages, members) = room.messages_and_members();
        let waiting = match messages.on_opened(members, by, outcome.opened(), &mut cx) {
            OpenOutcome::Retried => return,
            OpenOutcome::Known(waiting) => waiting,
        };
        for (from, request) in waiting {
            self.set.store().end_wait(from, &request);
            if let Some(request) = wait_for_shown(&mut self.set, now, from, request, out) {
                self.decide(now, from, request, out);
            }
        }
        self.set.rest(now, slot, id);
    }

    fn on_append_done(
        &mut self,
        now: Timestamps,
        id: RoomId,
        (write_epoch, request_id): (WriteEpoch, RequestId),
        outcome: StoreResult,
        out: &mut RoomOutput,
    ) {
        let appended = outcome.appended();
        if appended.is_err() {
            self.set.store().on_append_failed(write_epoch);
        }
        // An append that was given up is found when the stream is read again.
        let Some(slot) = self.set.slot_of(id) else { return };
        let (room, mut cx) = self.set.visit(now, slot, out);
        let (messages, members) = room.messages_and_members();
        match appended {
            Ok(()) => {
                let Some(behind) = messages.on_appended(members, request_id, &mut cx) else {
                    return;
                };
                self.decide_behind(now, behind, out);
                let (room, mut cx) = self.set.visit(now, slot, out);
                room.messages_mut().memory_mut().sweep_when_old(&mut cx);
            }
            Err(failure) => {
                if !on_append_failed(messages.memory_mut(), request_id, failure, &mut cx) {
                    return;
                }
            }
        }
        self.set.rest(now, slot, id);
    }

    fn on_read(
        &mut self,
        now: Timestamps,
        reading: StoreRead,
        outcome: StoreResult,
        out: &mut RoomOutput,
    ) {
        let StoreRead { room: id, by, purpose, found, bytes } = reading;
        self.set.store().release_found(bytes);
        let slot = self.set.slot_of(id).expect("a room stays while it is read");
        let (room, mut cx) = self.set.visit(now, slot, out);
        let read = outcome.reacted_passage().ok();
        let passage = |read: Option<ReactionPage>| read.map(|page| page.messages);
        match purpose {
            ReadPurpose::History => {
                let answer = history::history_read(room.messages().memory(), read, &cx);
                out.answer(id, by, answer);
            }
            ReadPurpose::Change(request) => {
                let (messages, members) = room.messages_and_members();
                let answer = messages.change_read(members, by, *request, passage(read), &mut cx);
                if let Some(answer) = answer {
                    out.answer(id, by, answer);
                }
                self.set.store().end_reading(by, out);
                self.handle_behind_read(now, slot, by, out);
                return self.set.end_read(now, id);
            }
            ReadPurpose::Recovery(subscribe) => {
                let recovery = RecoveryRead::new(subscribe, found, bytes);
                if room.recover(by, recovery, passage(read), &mut cx) == ReadProgress::Continues {
                    return;
                }
            }
        }
        self.set.store().end_reading(by, out);
        self.set.end_read(now, id);
    }

    /// The store has a message: requests that waited for it are decided, in their order. A
    /// request waits for the changes of an earlier one of its connection.
    fn decide_behind(
        &mut self,
        now: Timestamps,
        behind: Vec<(ShardId, RoomRequest)>,
        out: &mut RoomOutput,
    ) {
        let mut decided: Vec<ReplyRoute> = Vec::new();
        for (from, request) in behind {
            let RoomRequest { room, reply_to, .. } = request;
            let mut own =
                decided.iter().rev().filter(|by| (by.0, by.1.conn) == (from, reply_to.conn));
            if let Some(slot) = self.set.slot_of(room)
                && let Some(durable) = self.set[slot].messages_mut().durable_mut()
                && let Some(by) = own.find(|by| durable.behind(by).is_some())
                && let Some(behind) = durable.behind(by)
            {
                behind.push((from, request));
                continue;
            }
            self.set.store().end_wait(from, &request);
            decided.push((from, reply_to));
            self.decide(now, from, request, out);
        }
    }

    /// The message of a change has been read, and the change is decided. What was
    /// asked behind it waits for what else its connection says, or is decided: meanwhile
    /// it may have become unknown what the store has.
    fn handle_behind_read(
        &mut self,
        now: Timestamps,
        slot: u32,
        by: ReplyRoute,
        out: &mut RoomOutput,
    ) {
        let durable =
            self.set[slot].messages_mut().durable_mut().expect("what was read is on disk");
        for (from, request) in durable.end_change_read(by) {
            self.set.store().end_wait(from, &request);
            self.handle(now, from, request, out);
        }
    }
}

#[cfg(test)]
mod tests;
