//! The stream of a room whose messages are on disk, in its home: how much of it is known, the
//! newest messages in memory, and the appends that the store has not answered.
//!
//! Deliberately absent: events to members (`room`), and older messages, which are read on
//! request (`reading`).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use super::history_window::HistoryWindow;
use super::messages::{RoomOp, RoomRequest};
use super::options::WindowLimits;
use super::own_writes::OwnWrites;
use super::pending_messages::{MessageInFlight, PendingAppend, PendingMessages};
use super::pending_removals::PendingRemovals;
use super::requests::{PublishMode, RosterRequest};
use super::room_context::RoomContext;
use super::roster::Roster;
use super::store_client::{PendingOp, ReadClass, ReadPurpose, ReplyRoute, StoreRead, requester};
use super::{ChannelKey, IdSource, Namespace};
use crate::base::limits::IDS_MS;
use crate::base::{MonotonicMs, RoomId, ShardId, Timestamps};
use crate::store::{
    Addressee, Append, ChangeKind, ChannelCreated, OpenChannel, OpenedChannel, RequestId,
    Requester, StoreOp,
};
use crate::wire::{Epoch, ErrorCode, Publication};

/// The stream of a room whose messages are on disk: its end in memory, and the appends that
/// the store has not answered.
///
/// Invariants: the offsets in `pending` follow the window's head without a hole; neither
/// messages nor removals are pending unless the phase is `Open`; nothing waits when it is.
#[derive(Debug)]
pub(super) struct DurableStream {
    phase: StreamState,
    window: HistoryWindow,
    /// The lowest offset that was on disk when the room was read.
    first: u64,
    /// The count of losses of unsynced data in the store at that time.
    losses_count: u32,
    /// Whether the store knows the channel, or was given its first message.
    exists_in_store: bool,
    pending: PendingMessages,
    removals: PendingRemovals,
    /// Direct messages whose append failed, and which the store may have kept all the same.
    in_doubt: Vec<(u64, PublishMode)>,
    waiting: Vec<(ShardId, RoomRequest)>,
    own_writes: OwnWrites,
    /// Reads of the store that are under way for this room.
    readings_count: u32,
    /// Messages from the one to the other may have been reacted to.
    reacted: Option<(u64, u64)>,
    /// Of a group: its members.
    roster: Roster,
}

/// How much is known of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StreamState {
    /// Nothing, or nothing certain; the store may be asked from then on.
    Closed {
        /// It failed a moment ago.
        again_at: MonotonicMs,
    },
    /// The store is asked.
    Opening,
    /// All.
    Open,
}

/// What follows when the stream is known again.
pub(super) struct ReopenedStream {
    /// Messages that were not sent to members: the store has kept them although it refused
    /// them; `None` when it does not have all of them any more.
    pub unseen: Option<Vec<Arc<Publication>>>,
    /// The direct messages whose append failed, by offset.
    pub in_doubt: Vec<(u64, PublishMode)>,
    /// Requests that waited for the stream, oldest first.
    pub waiting: Vec<(ShardId, RoomRequest)>,
    /// Who was a member of the group, and is none on disk.
    pub expelled: Vec<Box<str>>,
    /// The head of the stream.
    head: u64,
}

impl ReopenedStream {
    /// Whose inboxes the direct messages wait in that were given up and are stored.
    pub fn addressees(&self) -> BTreeSet<RoomId> {
        let stored = self.in_doubt.iter().filter(|(offset, _)| *offset <= self.head);
        let to = stored.filter_map(|(_, mode)| match mode {
            PublishMode::Send { to, .. } => Some(*to),
            PublishMode::Publish | PublishMode::Post => None,
        });
        to.collect()
    }
}

/// What follows when it is not known any more what the store has.
pub(super) struct ClosedStream {
    /// What the store was given.
    pub pending: Vec<PendingAppend>,
    /// Who wait for the stream to be known.
    pub waiting: Vec<(ShardId, RoomRequest)>,
}

/// The store takes no more of whoever wrote this message, which was not given to it.
#[derive(Debug)]
pub(super) struct NoRoomError(pub Arc<Publication>);

impl DurableStream {
    /// Nothing is known yet; `epoch` counts if the store knows nothing either.
    pub fn new(epoch: Epoch) -> DurableStream {
        DurableStream {
            phase: StreamState::Closed { again_at: MonotonicMs(0) },
            window: HistoryWindow::new(epoch),
            first: 1,
            losses_count: 0,
            exists_in_store: false,
            pending: PendingMessages::default(),
            removals: PendingRemovals::default(),
            in_doubt: Vec::new(),
            waiting: Vec::new(),
            own_writes: OwnWrites::default(),
            readings_count: 0,
            reacted: None,
            roster: Roster::default(),
        }
    }

    /// How much is known.
    pub fn phase(&self) -> StreamState {
        self.phase
    }

    /// What is in memory of it, whatever the phase.
    pub fn window(&self) -> &HistoryWindow {
        &self.window
    }

    /// The oldest message that the namespace still shows.
    pub fn oldest_offset(&self, history_count_max: u32) -> u64 {
        let head = self.window.position().offset;
        self.first.max((head + 1).saturating_sub(u64::from(history_count_max)))
    }

    /// The offset that the next message gets.
    pub fn next_offset(&self) -> u64 {
        self.window.next_offset() + self.pending.len() as u64
    }

    /// How often the store had lost what was not synced when the room was read.
    pub fn losses_count(&self) -> u32 {
        self.losses_count
    }

    /// When the message was said with which the silence ends, if the store was given it.
    pub fn silent_until_unix_ms(&self) -> Option<u64> {
        self.pending.first().map(|first| first.message.publication.time_unix_ms)
    }

    /// Whether direct messages wait for the store to say whether it kept them.
    pub fn is_in_doubt(&self) -> bool {
        !self.in_doubt.is_empty()
    }

    /// Whether it is certain that nothing was said, and nothing is being said.
    pub fn is_silent(&self) -> bool {
        let is_open = self.phase == StreamState::Open && !self.is_in_doubt();
        is_open && self.window.is_silent() && self.is_at_rest()
    }

    /// Whether nothing is under way.
    pub fn is_at_rest(&self) -> bool {
        let is_given = !self.pending.is_empty() || !self.removals.is_empty();
        self.phase != StreamState::Opening && !is_given && self.readings_count == 0
    }

    /// Drops what is too old in memory. Returns when the next message will be.
    pub fn expire(&mut self, now: Timestamps, rules: &Namespace) -> Option<u64> {
        let next_unix_ms = self.window.expire(now, rules.window_limits());
        let first_offset = self.oldest_offset(rules.history_count_max);
        self.window.end_edits(now, first_offset, rules.history_age_ms_max);
        next_unix_ms
    }

    /// Gives a question back that can be decided now. Before the stream is known it waits,
    /// or is refused where too many do, and the first one lets the store be asked.
    pub fn wait_until_known(
        &mut self,
        from: ShardId,
        request: RoomRequest,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomRequest> {
        let is_closed = match self.phase {
            StreamState::Open => return Some(request),
            StreamState::Opening => false,
            StreamState::Closed { again_at } => {
                if cx.now.tick < again_at {
                    cx.out.refuse(from, &request, ErrorCode::Internal);
                    return None;
                }
                true
            }
        };
        let (room, by) = (request.room, (from, request.reply_to));
        if cx.store.begin_wait(from, &request) {
            self.waiting.push((from, request));
        } else {
            cx.out.refuse(from, &request, ErrorCode::TooManyRequests);
        }
        if is_closed {
            self.open(room, Some(by), cx);
        }
        None
    }

    /// Asks the store what it knows of the room, for whoever is the first to need it.
    pub fn open(&mut self, room: RoomId, by: Option<ReplyRoute>, cx: &mut RoomContext<'_>) {
        self.begin_opening();
        let limits = cx.rules.window_limits();
        let op = StoreOp::Open(OpenChannel {
            room,
            count_max: limits.count_max as u32,
            bytes_max: limits.bytes_max as u32,
            after: self.exists_in_store.then(|| self.window.position().offset),
            ids_since_unix_ms: cx.now.unix_ms.saturating_sub(IDS_MS),
        });
        let by = requester(by);
        cx.store.send(by, PendingOp::Opened(room, by), op, cx.out);
    }

    fn begin_opening(&mut self) {
        assert!(matches!(self.phase, StreamState::Closed { .. }), "it is asked once");
        assert!(self.pending.is_empty(), "what the store was given is answered first");
        self.phase = StreamState::Opening;
    }

    /// Whoever needed the room first is gone, so the store did not read it: it is asked again
    /// for the first of the others. False when there is none.
    pub fn open_for_next(
        &mut self,
        room: RoomId,
        gone: Requester,
        cx: &mut RoomContext<'_>,
    ) -> bool {
        // What changes the room is done all the same.
        let next = self.waiting.iter().find(|(from, request)| {
            requester(Some((*from, request.reply_to))) != gone || request.op.changes_room()
        });
        let Some(by) = next.map(|(from, request)| (*from, request.reply_to)) else { return false };
        assert_eq!(self.phase, StreamState::Opening, "the store was asked");
        self.phase = StreamState::Closed { again_at: MonotonicMs(0) };
        self.open(room, Some(by), cx);
        true
    }

    /// The store answered. `fresh` is the epoch of a stream that begins anew.
    pub fn on_opened(
        &mut self,
        mut opened: Option<OpenedChannel>,
        losses_count: u32,
        fresh: Epoch,
    ) -> ReopenedStream {
        let members = opened.as_mut().map(|opened| mem::take(&mut opened.roster));
        let roster = Roster::of(members.unwrap_or_default());
        let expelled = self.roster.members_not_in(&roster);
        self.roster = roster;
        let unseen = self.restore(opened, losses_count, fresh);
        let (in_doubt, waiting) = (mem::take(&mut self.in_doubt), mem::take(&mut self.waiting));
        let head = self.window.position().offset;
        ReopenedStream { unseen, in_doubt, waiting, expelled, head }
    }

    fn restore(
        &mut self,
        opened: Option<OpenedChannel>,
        losses_count: u32,
        fresh: Epoch,
    ) -> Option<Vec<Arc<Publication>>> {
        assert_eq!(self.phase, StreamState::Opening, "it was asked");
        self.phase = StreamState::Open;
        self.losses_count = losses_count;
        let Some(opened) = opened else {
            // It may have been told, and have lost it.
            (self.exists_in_store, self.reacted) = (false, None);
            if self.window.is_silent() {
                return Some(Vec::new());
            }
            (self.window, self.first) = (HistoryWindow::new(fresh), 1);
            return None;
        };
        let seen = if self.exists_in_store { self.window.position().offset } else { opened.head };
        self.exists_in_store = true;
        self.first = opened.first;
        self.reacted = opened.reacted;
        self.window = HistoryWindow::restored(
            opened.epoch,
            opened.created_unix_ms,
            opened.head,
            &opened.tail,
        );
        let is_unseen = |message: &Arc<Publication>| seen < message.offset;
        let unseen: Vec<_> = opened.tail.into_iter().filter(is_unseen).collect();
        (seen + unseen.len() as u64 == opened.head).then_some(unseen)
    }

    /// It is not known any more what the store has; it may be asked from `again_at` on.
    pub fn close(&mut self, again_at: MonotonicMs) -> ClosedStream {
        self.phase = StreamState::Closed { again_at };
        let pending = self.pending.take_all();
        let letters = pending.iter().filter(|one| one.message.mode.is_direct());
        self.in_doubt.extend(letters.map(|one| (one.offset(), one.message.mode)));
        let mut waiting = mem::take(&mut self.waiting);
        waiting.extend(self.removals.take_all());
        ClosedStream { pending, waiting }
    }

    /// Gives a message to the store. It comes back where no room is left for it.
    #[inline]
    pub fn append(
        &mut self,
        (room, channel_key): (RoomId, &ChannelKey),
        by: ReplyRoute,
        message: MessageInFlight,
        cx: &mut RoomContext<'_>,
    ) -> Result<(), NoRoomError> {
        if !cx.store.has_room_for(by, &message.publication) {
            return Err(NoRoomError(message.publication));
        }
        let publication = Arc::clone(&message.publication);
        // Where no message is left, the store may have forgotten the channel.
        let is_new = !mem::replace(&mut self.exists_in_store, true) || self.window.is_empty();
        let channel_created = is_new.then(|| ChannelCreated {
            tenant: Arc::clone(&channel_key.tenant),
            channel: Arc::clone(&channel_key.channel),
            epoch: self.window.position().epoch,
            created_unix_ms: self.created_unix_ms(&publication),
            // Messages before this one may be under way, and be refused.
            behind: self.window.position().offset,
            parties: message.mode.parties(),
        });
        let append = Append {
            room,
            namespace: channel_key.namespace,
            channel_created,
            addressee: addressee(&message, cx.rules),
            publication,
            keeps_id: message.id_source == IdSource::Client,
            change: message.change.clone(),
            roster: message.roster.clone(),
        };
        let request_id = cx.store.append(by, append, cx.out);
        let (given_at, reply_tos, behind) = (cx.now.moment, vec![by], Vec::new());
        self.push_pending(PendingAppend { request_id, message, given_at, reply_tos, behind });
        Ok(())
    }

    #[inline]
    fn push_pending(&mut self, pending: PendingAppend) {
        assert_eq!(self.phase, StreamState::Open, "only what is known goes on");
        assert_eq!(pending.offset(), self.next_offset(), "offsets are consecutive");
        self.pending.push(pending);
    }

    /// When the first message of the stream was said, or is being said: that of the one
    /// to be given next, if it is the first.
    fn created_unix_ms(&self, next: &Publication) -> u64 {
        let first = self.silent_until_unix_ms().unwrap_or(next.time_unix_ms);
        if self.window.is_silent() { first } else { self.window.created_unix_ms() }
    }

    /// The store has the message of this request, and memory has it from now on; `None` when
    /// it was given up before.
    #[inline]
    pub fn on_appended(
        &mut self,
        request_id: RequestId,
        limits: WindowLimits,
    ) -> Option<PendingAppend> {
        let pending = self.pending.take_first_of(request_id)?;
        if let Some(change) = &pending.message.change {
            self.window.change(change);
        }
        self.window.push(&pending.message.publication, limits);
        if let Some(change) = &pending.message.roster {
            self.roster.apply(change);
        }
        Some(pending)
    }

    /// The store was given a removal of all that it was given before.
    pub fn begin_removal(&mut self, request_id: RequestId) {
        assert_eq!(self.phase, StreamState::Open, "only what is known goes on");
        self.removals.push(request_id, self.next_offset());
    }

    /// The store has answered it. Returns what was asked behind it.
    pub fn end_removal(&mut self, request_id: RequestId) -> Vec<(ShardId, RoomRequest)> {
        self.removals.take_first_of(request_id)
    }

    /// Whether the removal of this request is still pending.
    pub fn is_removing(&self, request_id: RequestId) -> bool {
        self.removals.contains(request_id)
    }

    /// The store has no messages up to this offset any more; what is not known is read anew.
    pub fn remove_up_to(&mut self, last: u64) {
        if self.phase == StreamState::Open {
            self.window.remove_up_to(last);
            self.first = self.first.max(last + 1);
            self.reacted.take_if(|(_, highest)| *highest <= last);
        }
    }

    /// Whether the message of this request is still pending.
    pub fn is_pending(&self, request_id: RequestId) -> bool {
        self.pending.contains(request_id)
    }

    /// The pending message with this offset, if it is one.
    pub fn pending_at(&mut self, offset: u64) -> Option<&mut PendingAppend> {
        self.pending.at(offset)
    }

    /// The last pending message that changes the one with this offset, if there is one.
    pub fn change_of(&mut self, offset: u64) -> Option<&mut PendingAppend> {
        self.pending.change_of(offset)
    }

    /// The members of a group, as the store has them.
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The same, to change what is no message's.
    pub fn roster_mut(&mut self) -> &mut Roster {
        &mut self.roster
    }

    /// The same, as they will be when all that the store was given is kept.
    pub fn expected_roster(&self) -> Cow<'_, Roster> {
        self.roster.expected(self.pending.roster_changes())
    }

    /// The last pending message that changes this user's role, if there is one.
    pub fn roster_change_of(&mut self, user: &str) -> Option<&mut PendingAppend> {
        self.pending.roster_change_of(user)
    }

    /// What waits for the same as this question, if it has to find something done of which the
    /// store has not said yet that it has done it.
    pub fn behind_shown(
        &mut self,
        from: ShardId,
        request: &RoomRequest,
    ) -> Option<&mut Vec<(ShardId, RoomRequest)>> {
        let conn = request.reply_to.conn;
        match &request.op {
            // Changes whose message is being read come first: they are given to the store
            // behind all that it has.
            RoomOp::History(_) => match self.own_writes.behind_latest(from, conn) {
                Some(behind) => Some(behind),
                None => {
                    let shown = self.pending.latest_shown(from, conn);
                    let offset = shown.as_ref().map(|shown| shown.offset());
                    let removal = self.removals.behind_latest(offset);
                    removal.or(shown.map(|shown| &mut shown.behind))
                }
            },
            RoomOp::Subscribe(_) => self.pending.latest_direct().map(|latest| &mut latest.behind),
            // Of messages that are not kept yet it can know its own alone.
            RoomOp::Change(request) => {
                let own = self.pending.at(request.offset);
                own.filter(|own| own.is_said_by(from, conn)).map(|own| &mut own.behind)
            }
            RoomOp::Unsubscribe(_)
            | RoomOp::RemoveHistory(_)
            | RoomOp::Publish(_)
            | RoomOp::Presence
            | RoomOp::PresenceStats
            | RoomOp::Typing(_)
            | RoomOp::Members(_)
            | RoomOp::AdvanceMarker(_)
            | RoomOp::Receipts(_)
            | RoomOp::Conversations(_)
            | RoomOp::React(_)
            | RoomOp::Reactions(_)
            | RoomOp::ChangeRoster(_)
            | RoomOp::Roster(_)
            | RoomOp::Mute(_)
            | RoomOp::DeadLetters(_)
            | RoomOp::Claim
            | RoomOp::Release
            | RoomOp::Deliver(_) => None,
        }
    }

    /// What waits for this command, if it is not done.
    pub fn behind(&mut self, by: &ReplyRoute) -> Option<&mut Vec<(ShardId, RoomRequest)>> {
        match self.own_writes.behind(by) {
            Some(behind) => Some(behind),
            None => self.pending.latest_asked_by(by).map(|pending| &mut pending.behind),
        }
    }

    /// Begins a read of the room, or lets it stand in line. The room stays until it is over.
    pub fn begin_read(
        &mut self,
        reading: StoreRead,
        op: StoreOp,
        cx: &mut RoomContext<'_>,
    ) -> Result<(), ErrorCode> {
        let by = reading.by;
        let (class, is_change) = match reading.purpose {
            ReadPurpose::Recovery(_) => (ReadClass::Recovery, false),
            ReadPurpose::History => (ReadClass::Question, false),
            ReadPurpose::Change(_) => (ReadClass::Question, true),
        };
        let pending_op = PendingOp::Read(Box::new(reading));
        cx.store.want(class, by, pending_op, op, cx.out)?;
        self.readings_count += 1;
        if is_change {
            self.own_writes.begin_read(by);
        }
        Ok(())
    }

    /// Asks the store how many groups a user is in that shall be in this one. The room stays until
    /// it is known.
    pub fn begin_count(
        &mut self,
        (room, by): (RoomId, ReplyRoute),
        request: Box<RosterRequest>,
        cx: &mut RoomContext<'_>,
    ) -> Result<(), ErrorCode> {
        let op = StoreOp::CountGroups(request.inbox);
        let pending_op = PendingOp::GroupsCounted(room, by, request);
        cx.store.want(ReadClass::Question, by, pending_op, op, cx.out)?;
        self.readings_count += 1;
        Ok(())
    }

    /// Somebody reacts to a message.
    pub fn on_react(&mut self, offset: u64) {
        let (lowest, highest) = self.reacted.unwrap_or((offset, offset));
        self.reacted = Some((lowest.min(offset), highest.max(offset)));
    }

    /// Whether any of these messages may have been reacted to.
    pub fn may_be_reacted_to(&self, first: u64, last: u64) -> bool {
        self.reacted.is_some_and(|(lowest, highest)| lowest <= last && first <= highest)
    }

    /// Something of the room has been read, or will not be.
    pub fn end_read(&mut self) {
        self.readings_count -= 1;
    }

    /// The message of a change has been read, or will not be. Returns what waits for that.
    pub fn end_change_read(&mut self, by: ReplyRoute) -> Vec<(ShardId, RoomRequest)> {
        self.own_writes.end_read(by)
    }
}

/// For whom a direct message waits, and how long.
fn addressee(message: &MessageInFlight, rules: &Namespace) -> Option<Addressee> {
    match message.mode {
        PublishMode::Publish | PublishMode::Post => None,
        PublishMode::Send { from: _, to, ttl_ms } => {
            let waits_ms = if ttl_ms == 0 { rules.ttl_ms_max } else { ttl_ms };
            let waits_ms = waits_ms.min(rules.ttl_ms_max);
            // An edit waits no longer than what it edits.
            let edited = message.change.as_ref().filter(|change| change.kind == ChangeKind::Edit);
            let said = edited.map_or(&message.publication, |edit| &edit.replacement);
            let expires_unix_ms = said.time_unix_ms.saturating_add(waits_ms);
            Some(Addressee { inbox: to, expires_unix_ms })
        }
    }
}

#[cfg(test)]
mod tests;
