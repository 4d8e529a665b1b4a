//! What is said in a room: how a message gets its place or changes an earlier one, who hears of
//! it, and what follows when the store has it.
//!
//! Deliberately absent: who comes and goes (`room`), what is remembered of it (`room_memory`)
//! and shown (`history`), which questions wait for what (`request_order`, `durable_stream`), and
//! a store that fails (`reopening`).

use std::sync::Arc;

use super::changes::{ChangeDecision, judge, message_of};
use super::conversation::DirectConversation;
use super::decision::{Decision, DuplicateCheck, OpenOutcome};
use super::durable_stream::{DurableStream, NoRoomError, StreamState};
use super::members::Members;
use super::pending_messages::{MessageInFlight, PendingAppend};
use super::reaction_notices::ReactionNotices;
use super::reactions;
use super::reading::{is_young, range_of_one};
use super::reopening;
use super::room_context::RoomContext;
use super::room_memory::RoomMemory;
use super::store_client::{ReadPurpose, ReplyRoute, StoreRead};
use super::stream::RoomStream;
use super::user_rates::UserRates;
use super::waiting_notices::WaitingNotices;
use super::{
    ChangeAction, ChangeRequest, ChannelKey, IdSource, InboxDelivery, MessageStep, MessageTiming,
    Namespace, PublishAck, PublishMode, Reaction, ReactionsPage, RetractRight, RoomEvent,
    RoomOutput, RoomPublish, RoomReply, RoomRequest, ack_key,
};
use crate::base::{Bucket, MinuteCount, MonotonicUs, RoomId, ShardId, Timestamps};
use crate::store::{
    OpenedChannel, ReactionTotals, RequestId, Requester, RosterChange, StoreError, StoreOp,
};
use crate::wire::chat::{self, Field, GroupRole};
use crate::wire::{Epoch, ErrorCode, ID_TAG, Payload, Position, Publication};

/// What is said in one room.
pub(super) struct RoomMessages {
    channel_key: ChannelKey,
    memory: RoomMemory,
    rate: Bucket,
    /// How much is said, for operators.
    said: MinuteCount,
    /// How it is told what messages are reacted to with, wherever they are.
    reaction_notices: ReactionNotices,
    /// Of a group: how it is told that messages wait for members who are away.
    waiting_notices: WaitingNotices,
}

impl RoomMessages {
    /// Nothing was said yet, as far as is known here.
    pub fn new(
        id: RoomId,
        channel_key: ChannelKey,
        stream: RoomStream,
        now: Timestamps,
    ) -> RoomMessages {
        RoomMessages {
            channel_key,
            memory: RoomMemory::new(id, stream, now),
            rate: Bucket::full(),
            said: MinuteCount::default(),
            reaction_notices: ReactionNotices::default(),
            waiting_notices: WaitingNotices::default(),
        }
    }

    /// Which room.
    pub fn id(&self) -> RoomId {
        self.memory.room()
    }

    /// Its name.
    pub fn channel_key(&self) -> &ChannelKey {
        &self.channel_key
    }

    /// How many messages got their place in the last minute, about.
    pub fn said_per_min(&self, now: Timestamps) -> u64 {
        self.said.count(now.tick)
    }

    /// Its stream, if it is on disk.
    pub fn durable(&self) -> Option<&DurableStream> {
        self.memory.durable()
    }

    /// The same, to change.
    pub fn durable_mut(&mut self) -> Option<&mut DurableStream> {
        self.memory.durable_mut()
    }

    /// What is remembered of what was said.
    pub fn memory(&self) -> &RoomMemory {
        &self.memory
    }

    /// The same, to change.
    pub fn memory_mut(&mut self) -> &mut RoomMemory {
        &mut self.memory
    }

    /// Whether nothing is remembered of what is said here.
    pub fn forgets_all(&self) -> bool {
        self.memory.window().is_none()
    }

    /// A message gets its place, and goes to the store where one keeps it.
    pub fn publish(
        &mut self,
        by: ReplyRoute,
        publish: Box<RoomPublish>,
        room_creations: &mut UserRates,
        cx: &mut RoomContext<'_>,
    ) -> Decision {
        if publish.info.as_ref().is_some_and(|info| !self.admits(&info.user, cx.rules)) {
            return Decision::refused(ErrorCode::PermissionDenied);
        }
        if publish.id_source == IdSource::Client {
            match self.check_duplicate(by, &publish, cx.now) {
                DuplicateCheck::New => (),
                DuplicateCheck::Pending => return Decision::Later,
                DuplicateCheck::Known(answer) => return Decision::Answered(answer),
            }
        }
        if !self.takes_message(by, &publish, room_creations, cx) {
            return Decision::refused(ErrorCode::TooManyRequests);
        }
        let (mode, timing, id_source) = (publish.mode, publish.timing, publish.id_source);
        let publication = Arc::new(publish.into_publication(cx.now, self.memory.next_offset()));
        if id_source == IdSource::Client && self.memory.remember_id(&publication).is_err() {
            return Decision::refused(ErrorCode::TooManyRequests);
        }
        let message =
            MessageInFlight { publication, change: None, roster: None, mode, id_source, timing };
        self.said.add(cx.now.tick);
        if self.durable().is_some() {
            return Decision::of(self.keep(by, message, cx));
        }
        self.memory.put(&message, cx);
        let (answer, timing) = self.placed(&message, None, cx);
        Decision::AnsweredWithEvent(
            answer,
            RoomEvent::Published(self.id(), message.publication, timing),
        )
    }

    /// Whether a message may be said now: a room takes so many a second, and a user begins so many
    /// rooms.
    pub fn takes_message(
        &mut self,
        by: ReplyRoute,
        publish: &RoomPublish,
        room_creations: &mut UserRates,
        cx: &mut RoomContext<'_>,
    ) -> bool {
        if !self.rate.take(cx.now.tick, cx.rules.publish_rate(), 1) {
            return false;
        }
        if self.memory.next_offset() == 1
            && let Some(info) = &publish.info
            && !by.1.is_backend()
            && !room_creations.take(cx.now.tick, &self.channel_key.tenant, info)
        {
            self.memory.sweep_at(cx.now.tick, cx);
            return false;
        }
        true
    }

    /// Whether a user may do something here: in a group its members alone.
    pub fn admits(&self, user: &str, rules: &Namespace) -> bool {
        !rules.is_group() || self.durable().is_some_and(|durable| durable.roster().has_member(user))
    }

    /// What somebody may do about a message: who leads a group takes back what others said there.
    fn action_of(&self, request: &ChangeRequest, rules: &Namespace) -> ChangeAction {
        let user = request.publish.info.as_ref().map_or("", |info| &info.user);
        let role = self.durable().and_then(|durable| durable.roster().role(user));
        let leads = rules.is_group() && role.is_some_and(|role| GroupRole::Admin <= role);
        match request.action {
            ChangeAction::Retract(_) if leads => ChangeAction::Retract(RetractRight::Moderator),
            action @ (ChangeAction::Retract(_) | ChangeAction::Edit) => action,
        }
    }

    /// Gives a message to the store. Its author is answered when it is kept.
    #[inline]
    pub fn keep(
        &mut self,
        by: ReplyRoute,
        message: MessageInFlight,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomReply> {
        let room = self.id();
        let durable = self.memory.durable_mut().expect("what is kept is on disk");
        let appended = durable.append((room, &self.channel_key), by, message, cx);
        let NoRoomError(refused) = appended.err()?;
        self.memory.forget_id(&refused);
        Some(RoomReply::Rejected(ErrorCode::TooManyRequests))
    }

    /// The author's repeated message, if this is one.
    fn check_duplicate(
        &mut self,
        by: ReplyRoute,
        publish: &RoomPublish,
        now: Timestamps,
    ) -> DuplicateCheck {
        let Some((offset, id)) = self.memory.place_of(publish, now) else {
            return DuplicateCheck::New;
        };
        if let Some(durable) = self.durable_mut()
            && let Some(pending) = durable.pending_at(offset)
        {
            pending.reply_tos.push(by);
            return DuplicateCheck::Pending;
        }
        DuplicateCheck::Known(self.posted(offset, id, None))
    }

    /// A message has its place. Sets off what follows from it elsewhere, and says
    /// what its author is answered, and how far the message's way goes now.
    fn placed(
        &self,
        message: &MessageInFlight,
        given_at: Option<MonotonicUs>,
        cx: &mut RoomContext<'_>,
    ) -> (RoomReply, MessageTiming) {
        let (room, offset) = (self.id(), message.publication.offset);
        let timing =
            MessageTiming { taken_at: cx.now.moment, key: ack_key(room, offset), ..message.timing };
        cx.out.step(MessageStep::Taken { room, offset, timing, given_at });
        self.conversation().deliver_direct(&message.publication, message.mode, timing, cx.out);
        let answer = match message.mode {
            PublishMode::Publish => RoomReply::Published(timing),
            PublishMode::Post | PublishMode::Send { .. } => {
                let id = message.publication.tag(ID_TAG).unwrap_or_default();
                self.posted(offset, id, Some(timing))
            }
        };
        (answer, timing)
    }

    /// The answer to a chat method that said something.
    fn posted(&self, offset: u64, id: &str, timing: Option<MessageTiming>) -> RoomReply {
        let window = self.memory.window();
        let epoch = window.map_or(Epoch::FOREIGN, |window| window.position().epoch);
        let position = Position { offset, epoch };
        let channel = Arc::clone(&self.channel_key.channel);
        RoomReply::Posted(Box::new(PublishAck { channel, position, id: id.into(), timing }))
    }

    /// Changes a message, once it is known what stands there.
    pub fn change(
        &mut self,
        members: &Members,
        by: ReplyRoute,
        mut request: ChangeRequest,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomReply> {
        let author = request.publish.info.as_ref().map_or("", |info| &info.user);
        if !self.admits(author, cx.rules) {
            return Some(RoomReply::Rejected(ErrorCode::PermissionDenied));
        }
        request.action = self.action_of(&request, cx.rules);
        match self.repeated_edit(by, &request, cx.now) {
            DuplicateCheck::New => (),
            DuplicateCheck::Pending => return None,
            DuplicateCheck::Known(answer) => return Some(answer),
        }
        if request.action == ChangeAction::Edit {
            self.memory.expire(cx);
        }
        let Some(window) = self.memory.window() else {
            return Some(RoomReply::Rejected(ErrorCode::NotAvailable));
        };
        let head = window.position().offset;
        if request.offset == 0 || head < request.offset {
            return Some(RoomReply::InvalidField(Field::Offset));
        }
        if let Some(message) = window.at(request.offset) {
            let message = Arc::clone(message);
            return self.change_known(members, by, request, message, cx);
        }
        let room = self.id();
        let Some(durable) = self.durable_mut() else {
            return Some(RoomReply::InvalidField(Field::Offset));
        };
        let range = range_of_one(room, request.offset);
        let reading = StoreRead::new(room, by, ReadPurpose::Change(Box::new(request)));
        durable.begin_read(reading, StoreOp::Read(range), cx).err().map(RoomReply::Rejected)
    }

    /// The message of a change has been read, if it is still there.
    pub fn change_read(
        &mut self,
        members: &Members,
        by: ReplyRoute,
        request: ChangeRequest,
        found: Option<Vec<Arc<Publication>>>,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomReply> {
        // It may have been said twice before it was read once.
        match self.repeated_edit(by, &request, cx.now) {
            DuplicateCheck::New => (),
            DuplicateCheck::Pending => return None,
            DuplicateCheck::Known(answer) => return Some(answer),
        }
        let Some(found) = found else { return Some(RoomReply::Rejected(ErrorCode::Internal)) };
        // What is too old to be shown may still be taken back, and gets no other words.
        let age_ms_max = cx.rules.history_age_ms_max;
        let may_be_old = matches!(request.action, ChangeAction::Retract(_));
        let message = found.into_iter().next();
        match message.filter(|one| may_be_old || is_young(cx.now, one, age_ms_max)) {
            Some(message) => self.change_known(members, by, request, message, cx),
            None => Some(RoomReply::InvalidField(Field::Offset)),
        }
    }

    /// The edit that this one repeats, if it does.
    fn repeated_edit(
        &mut self,
        by: ReplyRoute,
        request: &ChangeRequest,
        now: Timestamps,
    ) -> DuplicateCheck {
        match (request.action, request.publish.id_source) {
            (ChangeAction::Retract(_), _) | (ChangeAction::Edit, IdSource::Server) => {
                DuplicateCheck::New
            }
            (ChangeAction::Edit, IdSource::Client) => {
                match self.memory.place_of(&request.publish, now) {
                    // An id of the message itself, or of one before it, is no edit's of it.
                    Some((offset, _)) if offset <= request.offset => {
                        DuplicateCheck::Known(RoomReply::InvalidField(Field::Id))
                    }
                    Some(_) | None => self.check_duplicate(by, &request.publish, now),
                }
            }
        }
    }

    /// Changes a message that is known, and a message of its own says so behind all others,
    /// both at once. What is taken back already stays so.
    fn change_known(
        &mut self,
        members: &Members,
        by: ReplyRoute,
        request: ChangeRequest,
        message: Arc<Publication>,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomReply> {
        let mut target = message;
        if let Some(durable) = self.durable_mut() {
            if durable.phase() != StreamState::Open {
                return Some(RoomReply::Rejected(ErrorCode::Internal));
            }
            // What was asked before happens before, or neither does.
            if let Some(pending) = durable.change_of(request.offset)
                && let Some(change) = &pending.message.change
            {
                target = Arc::clone(&change.replacement);
                if matches!(judge(&request, &target), ChangeDecision::AlreadyGone) {
                    pending.reply_tos.push(by);
                    return None;
                }
            }
        }
        match judge(&request, &target) {
            ChangeDecision::May => (),
            ChangeDecision::AlreadyGone => return Some(RoomReply::Done),
            ChangeDecision::Refused(answer) => return Some(answer),
        }
        if !self.rate.take(cx.now.tick, cx.rules.publish_rate(), 1) {
            return Some(RoomReply::Rejected(ErrorCode::TooManyRequests));
        }
        let message = message_of(request, &target, cx.now, self.memory.next_offset());
        if message.id_source == IdSource::Client
            && self.memory.remember_id(&message.publication).is_err()
        {
            return Some(RoomReply::Rejected(ErrorCode::TooManyRequests));
        }
        self.say_change(members, by, message, cx)
    }

    /// Gives a change its place.
    fn say_change(
        &mut self,
        members: &Members,
        by: ReplyRoute,
        message: MessageInFlight,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomReply> {
        self.said.add(cx.now.tick);
        if self.durable().is_some() {
            return self.keep(by, message, cx);
        }
        self.memory.put(&message, cx);
        self.tell_of_message(members, &message, vec![by], None, cx);
        None
    }

    /// A message that was given its place is there: who waits for it is answered, and the
    /// others hear it.
    fn tell_of_message(
        &self,
        members: &Members,
        message: &MessageInFlight,
        reply_tos: Vec<ReplyRoute>,
        given_at: Option<MonotonicUs>,
        cx: &mut RoomContext<'_>,
    ) {
        let (placed, timing) = self.placed(message, given_at, cx);
        let taken_back = message.takes_back();
        let is_done = taken_back.is_some() || message.roster.is_some();
        let answer = if is_done { RoomReply::Done } else { placed };
        message.answer(self.id(), reply_tos, &answer, cx.out);
        let event = RoomEvent::Published(self.id(), Arc::clone(&message.publication), timing);
        members.send_to_shards(&event, cx.out);
        if let Some(offset) = taken_back {
            self.notify_retraction(members, offset, message, cx.out);
        }
        if let Some(change) = &message.roster {
            self.notify_role_change(members, change, message, cx.out);
        }
    }

    /// A user has another role: its connections hear of it wherever they are, and those that are
    /// here leave with who is no member any more.
    fn notify_role_change(
        &self,
        members: &Members,
        change: &RosterChange,
        message: &MessageInFlight,
        out: &mut RoomOutput,
    ) {
        let by = message.publication.info.as_ref().map_or("", |info| &info.user);
        let RosterChange { channel, user, inbox, after, .. } = change;
        let notice = chat::role_notice(channel, user, *after, by);
        out.deliver(*inbox, InboxDelivery::Notice(Arc::new(notice)));
        if !after.is_some_and(GroupRole::is_member) {
            members.send_to_shards(&RoomEvent::Expelled(self.id(), user.clone()), out);
        }
    }

    /// A message is gone, as another one says that has its place: who is here now hears
    /// of it by a notice, too.
    fn notify_retraction(
        &self,
        members: &Members,
        offset: u64,
        retraction: &MessageInFlight,
        out: &mut RoomOutput,
    ) {
        let user = retraction.publication.info.as_ref().map_or("", |info| &info.user);
        let notice: Arc<Payload> =
            Arc::new(chat::retracted(&self.channel_key.channel, offset, user));
        members.send_to_shards(&RoomEvent::Notice(self.id(), Arc::clone(&notice)), out);
        self.conversation().notify_retraction(&notice, retraction.mode, out);
    }

    /// Messages up to this offset are removed, and nothing is told of them any more.
    pub fn remove_up_to(&mut self, last: u64) {
        self.memory.remove_up_to(last);
        self.reaction_notices.forget_up_to(last);
    }

    /// A user reacts to a message, or not any more.
    pub fn react(
        &mut self,
        members: &Members,
        by: ReplyRoute,
        reaction: Reaction,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomReply> {
        if !self.admits(&reaction.info.user, cx.rules) {
            return Some(RoomReply::Rejected(ErrorCode::PermissionDenied));
        }
        self.memory.expire(cx);
        if !self.reaction_notices.may_react(cx) {
            return Some(RoomReply::Rejected(ErrorCode::TooManyRequests));
        }
        if self.forgets_all() {
            return Some(RoomReply::Rejected(ErrorCode::NotAvailable));
        }
        let room = self.id();
        if let Some(durable) = self.durable_mut() {
            return reactions::keep(room, durable, by, reaction, cx);
        }
        let result = self.memory.react(&reaction);
        let (answer, totals) = reactions::reacted(Ok(result));
        cx.out.answer(room, by, answer);
        self.tell_of_reaction(members, &reaction, totals, cx);
        None
    }

    /// A user's reaction is what it was, or a message has other totals now: whoever is here
    /// hears of it.
    pub fn tell_of_reaction(
        &mut self,
        members: &Members,
        reaction: &Reaction,
        totals: Option<ReactionTotals>,
        cx: &mut RoomContext<'_>,
    ) {
        let Some(totals) = totals else { return };
        let conversation = DirectConversation { room: self.id(), channel_key: &self.channel_key };
        self.reaction_notices.tell(conversation, members, reaction, totals, cx);
    }

    /// Tells what messages are reacted to with that have changed since it was told last, and what
    /// was said in a group since then, when it is time to.
    pub fn tell_gathered(&mut self, members: &Members, cx: &mut RoomContext<'_>) {
        let conversation = DirectConversation { room: self.id(), channel_key: &self.channel_key };
        self.reaction_notices.tell_gathered(conversation, members, cx);
        let RoomMessages { channel_key, memory, waiting_notices, .. } = self;
        if let Some(durable) = memory.durable_mut() {
            waiting_notices.tell_gathered(channel_key, durable.roster_mut(), cx);
        }
    }

    /// A message of a group waits for those of its members who are away.
    fn tell_of_waiting(&mut self, message: &MessageInFlight, cx: &mut RoomContext<'_>) {
        let is_said = message.change.is_none() && message.roster.is_none();
        let RoomMessages { channel_key, memory, waiting_notices, .. } = self;
        if let Some(durable) = memory.durable_mut()
            && is_said
            && cx.rules.is_group()
            && cx.options.has_presence_feed
        {
            let roster = durable.roster_mut();
            waiting_notices.add(channel_key, roster, &message.publication, cx);
        }
    }

    /// What some messages are reacted to with.
    pub fn reactions(
        &mut self,
        by: ReplyRoute,
        page: ReactionsPage,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomReply> {
        self.memory.expire(cx);
        match self.memory.stream() {
            RoomStream::None => Some(RoomReply::Rejected(ErrorCode::NotAvailable)),
            RoomStream::Durable(_) => reactions::ask(self.id(), by, page, cx),
            RoomStream::Memory(_) => {
                let found = self.memory.reactions().of(page.offsets.iter().copied(), page.reader);
                Some(RoomReply::Reactions(found))
            }
        }
    }

    /// What of it concerns the two of a conversation.
    pub fn conversation(&self) -> DirectConversation<'_> {
        DirectConversation { room: self.id(), channel_key: &self.channel_key }
    }

    /// The store says what it knows of the room, whoever wanted to know.
    pub fn on_opened(
        &mut self,
        members: &Members,
        by: Requester,
        opened: Result<(Option<Box<OpenedChannel>>, u32), StoreError>,
        cx: &mut RoomContext<'_>,
    ) -> OpenOutcome {
        let (opened, losses_count) = match opened {
            Ok((opened, losses_count)) => (opened.map(|opened| *opened), losses_count),
            Err(failure) => return reopening::on_open_failed(&mut self.memory, by, failure, cx),
        };
        let conversation = DirectConversation { room: self.id(), channel_key: &self.channel_key };
        let memory = &mut self.memory;
        let waiting = reopening::reopen(memory, conversation, members, opened, losses_count, cx);
        OpenOutcome::Known(waiting)
    }

    /// The store has a message: who waits for it is answered, and the others hear it. Gives
    /// what was asked behind it; `None` when it was given up before.
    pub fn on_appended(
        &mut self,
        members: &Members,
        request_id: RequestId,
        cx: &mut RoomContext<'_>,
    ) -> Option<Vec<(ShardId, RoomRequest)>> {
        let durable = self.durable_mut().expect("what was appended is on disk");
        let pending = durable.on_appended(request_id, cx.rules.window_limits())?;
        let PendingAppend { message, given_at, reply_tos, behind, .. } = pending;
        cx.store.end_append(&message.publication, &reply_tos);
        self.tell_of_message(members, &message, reply_tos, Some(given_at), cx);
        self.tell_of_waiting(&message, cx);
        Some(behind)
    }
}
