//! What is said in a room: how a message gets its place, who hears of it, what of it is in
//! memory, and what follows when the store has it, or refuses it.
//!
//! Deliberately absent: who comes and goes (`room`), and which questions wait for what
//! (`rooms`, `durable`).

use std::sync::Arc;

use super::changes::{ChangeDecision, judge, message_of};
use super::conversation::DirectConversation;
use super::decision::{
    Decision, DuplicateCheck, OpenOutcome, RecoveredMessages, RecoveryStart, RoomUse,
};
use super::durable_stream::{
    ClosedStream, DurableStream, NoRoomError, ReopenedStream, StreamState,
};
use super::members::Members;
use super::memory_reactions::MemoryReactions;
use super::message_ids::MessageIds;
use super::pending_messages::{MessageInFlight, PendingAppend};
use super::reaction_news::ReactionNews;
use super::reactions;
use super::reading::{
    RecoveryRead, RecoveryStep, end_edits, is_on_disk_only, is_young, range_of_one, range_on_disk,
    recovery_range,
};
use super::room_context::RoomContext;
use super::room_timers::{Lifetime, RoomTimers};
use super::store_client::{ReadPurpose, ReplyRoute, StoreRead};
use super::stream::RoomStream;
use super::user_rates::UserRates;
use super::{
    ChangeAction, ChangeRequest, ChannelKey, HistoryPage, HistoryQuery, IdSource, InboxDelivery,
    MessageStep, MessageTiming, Namespace, PublishAck, PublishMode, Reaction, ReactionsPage,
    RoomEvent, RoomOutput, RoomPublish, RoomReply, RoomRequest, RoomSubscribe, ack_key,
};
use crate::base::limits::HISTORY_ANSWER_MAX;
use crate::base::{Bucket, MonotonicMs, MonotonicUs, RoomId, ShardId, Timestamps};
use crate::store::{
    OpenedChannel, ReactionPage, ReactionTotals, RequestId, Requester, StoreError, StoreOp,
};
use crate::wire::chat::{self, Field};
use crate::wire::{Epoch, ErrorCode, ID_TAG, Payload, Position, Publication};

/// A room is looked at as often at least, so that deadlines of rooms that are gone
/// do not pile up until the oldest message would have been too old.
const SWEEP_MS_MAX: u64 = 300_000;

/// How long after a failure the store is asked again, in ms.
const AGAIN_MS: u64 = 1_000;

/// What is said in one room.
pub(super) struct RoomMessages {
    id: RoomId,
    channel_key: ChannelKey,
    stream: RoomStream,
    rate: Bucket,
    /// What its messages are reacted to with, where they are in memory only.
    reactions: MemoryReactions,
    /// How that is told, wherever they are.
    reaction_news: ReactionNews,
    /// Of messages that came with an id.
    ids: MessageIds,
    /// How long they keep the room.
    lifetime: Lifetime,
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
            id,
            channel_key,
            stream,
            rate: Bucket::full(),
            reactions: MemoryReactions::default(),
            reaction_news: ReactionNews::default(),
            ids: MessageIds::default(),
            lifetime: Lifetime::new(now.tick),
        }
    }

    /// Which room.
    pub fn id(&self) -> RoomId {
        self.id
    }

    /// Its name.
    pub fn channel_key(&self) -> &ChannelKey {
        &self.channel_key
    }

    /// Its stream, if it is on disk.
    pub fn durable(&self) -> Option<&DurableStream> {
        self.stream.durable()
    }

    /// The same, to change.
    pub fn durable_mut(&mut self) -> Option<&mut DurableStream> {
        self.stream.durable_mut()
    }

    /// Whether nothing is remembered of what is said here.
    pub fn forgets_all(&self) -> bool {
        self.stream.window().is_none()
    }

    /// Where the stream ends, as clients are told.
    pub fn position(&self, cx: &RoomContext<'_>) -> Option<Position> {
        self.stream.client_position(self.id, cx)
    }

    /// Looks for what a new member missed.
    pub fn catch_up(
        &mut self,
        by: ReplyRoute,
        mut subscribe: RoomSubscribe,
        cx: &mut RoomContext<'_>,
    ) -> RecoveryStart {
        self.expire(cx);
        subscribe.since =
            subscribe.since.map(|since| self.stream.known_position(self.id, since, cx));
        let Some(since) = subscribe.since else {
            return RecoveryStart::Ready(subscribe, RecoveredMessages::NotRequested);
        };
        if let Some(durable) = self.stream.durable_mut()
            && is_on_disk_only(durable, cx.rules, since)
        {
            let range = recovery_range(self.id, durable, since.offset.saturating_add(1));
            let purpose = ReadPurpose::Recovery(Box::new(subscribe));
            let reading = StoreRead::new(self.id, by, purpose);
            let begun = durable.begin_read(reading, StoreOp::Read(range), cx);
            return begun.map_or_else(RecoveryStart::Refused, |()| RecoveryStart::Reading);
        }
        let missed = self.stream.window().and_then(|window| window.missed(since));
        RecoveryStart::Ready(
            subscribe,
            missed.map_or(RecoveredMessages::Lost, RecoveredMessages::Whole),
        )
    }

    /// A step of what a new member missed has been read.
    pub fn recover(
        &mut self,
        by: ReplyRoute,
        read: RecoveryRead,
        found: Option<Vec<Arc<Publication>>>,
        cx: &mut RoomContext<'_>,
    ) -> RecoveryStart {
        let durable = self.stream.durable().expect("what was read is on disk");
        match read.take(self.id, found, durable, cx) {
            RecoveryStep::Failed => RecoveryStart::Refused(ErrorCode::Internal),
            RecoveryStep::Over(subscribe, missed) => RecoveryStart::Ready(*subscribe, missed),
            RecoveryStep::Next(read, range) => {
                read.go_on(by, range, cx);
                RecoveryStart::Reading
            }
        }
    }

    /// A message gets its place, and goes to the store where one keeps it.
    pub fn publish(
        &mut self,
        by: ReplyRoute,
        publish: RoomPublish,
        room_creations: &mut UserRates,
        cx: &mut RoomContext<'_>,
    ) -> Decision {
        if publish.id_source == IdSource::Client {
            match self.check_duplicate(by, &publish, cx.now) {
                DuplicateCheck::New => (),
                DuplicateCheck::Pending => return Decision::Later,
                DuplicateCheck::Known(answer) => return Decision::Answered(answer),
            }
        }
        if !self.rate.take(cx.now.tick, cx.rules.publish_rate(), 1) {
            return Decision::refused(ErrorCode::TooManyRequests);
        }
        let begins = self.stream.next_offset() == 1;
        if begins
            && let Some(info) = &publish.info
            && !room_creations.take(cx.now.tick, &self.channel_key.tenant, info)
        {
            self.sweep_at(cx.now.tick, cx);
            return Decision::refused(ErrorCode::TooManyRequests);
        }
        let (mode, timing, id_source) = (publish.mode, publish.timing, publish.id_source);
        let publication = Arc::new(publish.into_publication(cx.now, self.stream.next_offset()));
        if id_source == IdSource::Client && self.ids.remember(&publication).is_err() {
            return Decision::refused(ErrorCode::TooManyRequests);
        }
        let message = MessageInFlight { publication, change: None, mode, id_source, timing };
        match &mut self.stream {
            RoomStream::Durable(_) => return Decision::of(self.keep(by, message, cx)),
            RoomStream::Memory(window) => {
                window.push(&message.publication, cx.rules.window_limits());
                self.reactions.forget_below(window.first_offset());
                self.sweep_at(cx.now.tick.plus_ms(cx.rules.history_age_ms_max), cx);
            }
            RoomStream::None => (),
        }
        let (answer, timing) = self.placed(&message, None, cx);
        Decision::AnsweredWithEvent(
            answer,
            RoomEvent::Published(self.id, message.publication, timing),
        )
    }

    /// Gives a message to the store. Its author is answered when it is kept.
    fn keep(
        &mut self,
        by: ReplyRoute,
        message: MessageInFlight,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomReply> {
        let durable = self.stream.durable_mut().expect("what is kept is on disk");
        let appended = durable.append((self.id, &self.channel_key), by, message, cx);
        let NoRoomError(refused) = appended.err()?;
        self.ids.forget(&refused);
        Some(RoomReply::Rejected(ErrorCode::TooManyRequests))
    }

    /// The author's repeated message, if this is one.
    fn check_duplicate(
        &mut self,
        by: ReplyRoute,
        publish: &RoomPublish,
        now: Timestamps,
    ) -> DuplicateCheck {
        let Some((offset, id)) = self.ids.place_of(publish, now) else {
            return DuplicateCheck::New;
        };
        if let Some(durable) = self.stream.durable_mut()
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
        let (room, offset) = (self.id, message.publication.offset);
        let timing =
            MessageTiming { taken_at: cx.now.moment, key: ack_key(room, offset), ..message.timing };
        cx.out.step(MessageStep::Taken { room, offset, timing, given_at });
        self.conversation().deliver_direct(
            cx.now,
            &message.publication,
            message.mode,
            timing,
            cx.out,
        );
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
        let window = self.stream.window();
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
        request: ChangeRequest,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomReply> {
        match self.repeated_edit(by, &request, cx.now) {
            DuplicateCheck::New => (),
            DuplicateCheck::Pending => return None,
            DuplicateCheck::Known(answer) => return Some(answer),
        }
        if request.action == ChangeAction::Edit {
            self.expire(cx);
        }
        let Some(window) = self.stream.window() else {
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
        let Some(durable) = self.stream.durable_mut() else {
            return Some(RoomReply::InvalidField(Field::Offset));
        };
        let range = range_of_one(self.id, request.offset);
        let reading = StoreRead::new(self.id, by, ReadPurpose::Change(Box::new(request)));
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
                match self.ids.place_of(&request.publish, now) {
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
        if let Some(durable) = self.stream.durable_mut() {
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
        let message = message_of(request, &target, cx.now, self.stream.next_offset());
        if message.id_source == IdSource::Client && self.ids.remember(&message.publication).is_err()
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
        match &mut self.stream {
            RoomStream::Durable(_) => return self.keep(by, message, cx),
            RoomStream::Memory(window) => {
                if let Some(change) = &message.change {
                    window.change(change);
                }
                window.push(&message.publication, cx.rules.window_limits());
                if let Some(offset) = message.takes_back() {
                    self.reactions.forget(offset);
                }
                self.reactions.forget_below(window.first_offset());
            }
            RoomStream::None => return Some(RoomReply::Rejected(ErrorCode::NotAvailable)),
        }
        self.sweep_at(cx.now.tick.plus_ms(cx.rules.history_age_ms_max), cx);
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
        let answer = if taken_back.is_some() { RoomReply::Done } else { placed };
        message.answer(self.id, reply_tos, &answer, cx.out);
        let event = RoomEvent::Published(self.id, Arc::clone(&message.publication), timing);
        members.send_to_shards(&event, cx.out);
        if let Some(offset) = taken_back {
            self.notify_retraction(members, offset, message, cx.out);
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
        members.send_to_shards(&RoomEvent::Notice(self.id, Arc::clone(&notice)), out);
        self.conversation().notify_retraction(&notice, retraction.mode, out);
    }

    /// A user reacts to a message, or not any more.
    pub fn react(
        &mut self,
        members: &Members,
        by: ReplyRoute,
        reaction: Reaction,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomReply> {
        self.expire(cx);
        if !self.reaction_news.may_react(cx) {
            return Some(RoomReply::Rejected(ErrorCode::TooManyRequests));
        }
        let window = match &mut self.stream {
            RoomStream::None => return Some(RoomReply::Rejected(ErrorCode::NotAvailable)),
            RoomStream::Durable(durable) => {
                return reactions::keep(self.id, durable, by, reaction, cx);
            }
            RoomStream::Memory(window) => window,
        };
        let message = window.at(reaction.offset).filter(|message| chat::takes_reactions(message));
        if message.is_none() {
            return Some(RoomReply::InvalidField(Field::Offset));
        }
        let value = reaction.value.as_deref();
        let result = self.reactions.react(reaction.offset, by.1.user, value);
        let (answer, totals) = reactions::reacted(Ok(result));
        cx.out.answer(self.id, by, answer);
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
        let conversation = DirectConversation { room: self.id, channel_key: &self.channel_key };
        self.reaction_news.tell(conversation, members, reaction, totals, cx);
    }

    /// Tells what messages are reacted to with that have changed since it was told last, when
    /// it is time to.
    pub fn tell_of_reactions(&mut self, members: &Members, cx: &mut RoomContext<'_>) {
        let conversation = DirectConversation { room: self.id, channel_key: &self.channel_key };
        self.reaction_news.tell_gathered(conversation, members, cx);
    }

    /// What some messages are reacted to with.
    pub fn reactions(
        &mut self,
        by: ReplyRoute,
        page: ReactionsPage,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomReply> {
        self.expire(cx);
        match &self.stream {
            RoomStream::None => Some(RoomReply::Rejected(ErrorCode::NotAvailable)),
            RoomStream::Durable(_) => reactions::ask(self.id, by, page, cx),
            RoomStream::Memory(_) => {
                let found = self.reactions.of(page.offsets.iter().copied(), by.1.user);
                Some(RoomReply::Reactions(found))
            }
        }
    }

    /// What of it concerns the two of a conversation.
    pub fn conversation(&self) -> DirectConversation<'_> {
        DirectConversation { room: self.id, channel_key: &self.channel_key }
    }

    /// A part of what was said.
    pub fn history(
        &mut self,
        by: ReplyRoute,
        page: &HistoryPage,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomReply> {
        let query = page.query;
        let mut query = HistoryQuery { limit: query.limit.min(HISTORY_ANSWER_MAX), ..query };
        self.expire(cx);
        query.since = query.since.map(|since| self.stream.known_position(self.id, since, cx));
        let Some(window) = self.stream.window() else {
            return Some(RoomReply::Rejected(ErrorCode::NotAvailable));
        };
        if query.since.is_some_and(|since| since.epoch != window.position().epoch) {
            return Some(RoomReply::Rejected(ErrorCode::UnrecoverablePosition));
        }
        let durable = self.stream.durable();
        let range = durable.and_then(|durable| range_on_disk(self.id, durable, cx.rules, query));
        if let (Some(range), Some(durable)) = (range, self.stream.durable_mut()) {
            let reading = StoreRead::new(self.id, by, ReadPurpose::History);
            let op = reactions::history_read(durable, by, range);
            return durable.begin_read(reading, op, cx).err().map(RoomReply::Rejected);
        }
        let found = self.stream.window()?.read(query).unwrap_or_default();
        let reactions = self.reactions.of(found.iter().map(|one| one.offset), by.1.user);
        let position = self.stream.client_position(self.id, cx)?;
        Some(RoomReply::History(reactions::shown(found, reactions), position))
    }

    /// A part of what was said has been read.
    pub fn history_read(&self, found: Option<ReactionPage>, cx: &RoomContext<'_>) -> RoomReply {
        let (Some(page), Some(window)) = (found, self.stream.window()) else {
            return RoomReply::Rejected(ErrorCode::Internal);
        };
        let ReactionPage { mut messages, reactions } = page;
        messages.retain(|one| is_young(cx.now, one, cx.rules.history_age_ms_max));
        if let Some(durable) = self.stream.durable() {
            end_edits(cx.now, durable, cx.rules, &mut messages);
        }
        RoomReply::History(reactions::shown(messages, reactions), window.position())
    }

    /// The store says what it knows of the room, whoever wanted to know.
    pub fn on_opened(
        &mut self,
        members: &Members,
        by: Requester,
        opened: Result<(Option<Box<OpenedChannel>>, u32), StoreError>,
        cx: &mut RoomContext<'_>,
    ) -> OpenOutcome {
        let failure = match opened {
            Ok((opened, losses_count)) => {
                let waiting = self.reopen(members, opened.map(|opened| *opened), losses_count, cx);
                return OpenOutcome::Known(waiting);
            }
            Err(failure) => failure,
        };
        let durable = self.stream.durable_mut().expect("what is opened is on disk");
        let is_abandoned = failure == StoreError::Abandoned;
        if is_abandoned && durable.open_for_next(self.id, by, cx) {
            return OpenOutcome::Retried;
        }
        let again_ms = if is_abandoned { 0 } else { AGAIN_MS };
        self.close_stream(cx.now.tick.plus_ms(again_ms), ErrorCode::Internal, cx);
        OpenOutcome::Known(Vec::new())
    }

    /// It is known again what the store has. Gives who waited for that.
    fn reopen(
        &mut self,
        members: &Members,
        mut opened: Option<OpenedChannel>,
        losses_count: u32,
        cx: &mut RoomContext<'_>,
    ) -> Vec<(ShardId, RoomRequest)> {
        let fresh = cx.epochs.fresh();
        self.ids = MessageIds::restored(opened.as_mut());
        let durable = self.stream.durable_mut().expect("what is opened is on disk");
        let reopened = durable.on_opened(opened, losses_count, fresh);
        if reopened.unseen.is_none() {
            members.send_to_shards(&RoomEvent::Lost(self.id), cx.out);
            for to in reopened.addressees() {
                cx.out.deliver(to, InboxDelivery::Stored);
            }
        }
        let ReopenedStream { unseen, in_doubt, waiting, .. } = reopened;
        for publication in unseen.into_iter().flatten() {
            let letter = in_doubt.iter().find(|(offset, _)| *offset == publication.offset);
            let chat_type = cx.rules.chat_type();
            let timing = cx.epochs.redelivery_timing(cx.now, self.id, &publication, chat_type);
            if let Some(&(_, mode)) = letter {
                self.conversation().deliver_direct(cx.now, &publication, mode, timing, cx.out);
            }
            members.send_to_shards(&RoomEvent::Published(self.id, publication, timing), cx.out);
        }
        waiting
    }

    /// The store has a message: who waits for it is answered, and the others hear it. Gives
    /// what was asked behind it; `None` when it was given up before.
    pub fn on_appended(
        &mut self,
        members: &Members,
        request_id: RequestId,
        cx: &mut RoomContext<'_>,
    ) -> Option<Vec<(ShardId, RoomRequest)>> {
        let durable = self.stream.durable_mut().expect("what was appended is on disk");
        let pending = durable.on_appended(request_id, cx.rules.window_limits())?;
        let PendingAppend { message, given_at, reply_tos, behind, .. } = pending;
        cx.store.end_append(&message.publication, &reply_tos);
        self.tell_of_message(members, &message, reply_tos, Some(given_at), cx);
        Some(behind)
    }

    /// The store refused a message. False when that was given up before.
    pub fn on_append_failed(
        &mut self,
        request_id: RequestId,
        failure: StoreError,
        cx: &mut RoomContext<'_>,
    ) -> bool {
        let is_pending =
            self.stream.durable().is_some_and(|durable| durable.is_pending(request_id));
        if is_pending {
            let now = cx.now.tick;
            let (again_at, code) = match failure {
                // Nothing was written, and what is there may be read at once.
                StoreError::Full | StoreError::Stale => (now, ErrorCode::Internal),
                StoreError::Crowded => (now, ErrorCode::TooManyRequests),
                StoreError::Broken | StoreError::Damaged | StoreError::Abandoned => {
                    (now.plus_ms(AGAIN_MS), ErrorCode::Internal)
                }
            };
            self.close_stream(again_at, code, cx);
        }
        is_pending
    }

    /// It is not known any more what the store has of this room: who waits for it is
    /// told to try again, with this code, and it is read anew, from `again_at` on.
    fn close_stream(&mut self, again_at: MonotonicMs, code: ErrorCode, cx: &mut RoomContext<'_>) {
        let durable = self.stream.durable_mut().expect("what is given up is on disk");
        let ClosedStream { pending, mut waiting } = durable.close(again_at);
        for PendingAppend { message, reply_tos, behind, .. } in pending {
            waiting.extend(behind);
            cx.store.end_append(&message.publication, &reply_tos);
            self.ids.forget(&message.publication);
            cx.out.step(MessageStep::Refused { room: self.id, timing: message.timing });
            message.answer(self.id, reply_tos, &RoomReply::Rejected(code), cx.out);
        }
        for (from, request) in waiting {
            cx.store.end_wait(from, &request);
            cx.out.refuse(from, &request, code);
        }
        self.sweep_at(again_at, cx);
    }

    /// Drops what is too old in memory. Returns when the next message will be.
    fn expire(&mut self, cx: &RoomContext<'_>) -> Option<u64> {
        self.ids.expire(cx.now);
        let next_unix_ms = self.stream.expire(cx.now, cx.rules);
        if let RoomStream::Memory(window) = &self.stream {
            self.reactions.forget_below(window.first_offset());
        }
        next_unix_ms
    }

    /// The room is looked at before its messages that were said until now are too old.
    pub fn sweep_when_old(&mut self, cx: &mut RoomContext<'_>) {
        let age_ms = cx.rules.history_age_ms_max.min(SWEEP_MS_MAX);
        self.sweep_at(cx.now.tick.plus_ms(age_ms), cx);
    }

    /// Lets the room be swept at `at`, or before.
    fn sweep_at(&mut self, at: MonotonicMs, cx: &mut RoomContext<'_>) {
        cx.timers.set_sweep(&mut self.lifetime, cx.slot, at);
    }

    /// Lets pass what has passed, and says when to look again.
    pub fn sweep(&mut self, members: &Members, cx: &mut RoomContext<'_>) -> RoomUse {
        let now = cx.now.tick;
        if !self.lifetime.begin_sweep(now) {
            return RoomUse::Needed;
        }
        if self.opens_again_at(members).is_some_and(|again_at| again_at <= now) {
            let durable = self.stream.durable_mut().expect("what is opened is on disk");
            durable.open(self.id, None, cx);
        }
        let next_unix_ms = self.expire(cx);
        let leaves_at = self.lifetime.leaves_at(self.stays_ms(cx.rules));
        // Messages in memory only keep their room; those on disk do not.
        let has_messages = self.stream.lives_in_memory() && next_unix_ms.is_some();
        let is_unused = members.is_empty() && self.stream.is_at_rest() && leaves_at <= now;
        if is_unused && !has_messages {
            return RoomUse::Unneeded;
        }
        let wait_ms = |at: u64| at.saturating_sub(cx.now.unix_ms).min(SWEEP_MS_MAX);
        let message = next_unix_ms.map(|at| now.plus_ms(wait_ms(at)));
        let empty = members.is_empty().then(|| leaves_at.max(now.plus_ms(1_000)));
        let again_at = self.opens_again_at(members);
        if let Some(at) = [message, empty, again_at].into_iter().flatten().min() {
            self.sweep_at(at, cx);
        }
        RoomUse::Needed
    }

    /// When the store is asked again by itself, after it failed: somebody is here, or
    /// waits elsewhere for what it may have kept.
    fn opens_again_at(&self, members: &Members) -> Option<MonotonicMs> {
        let durable = self.stream.durable()?;
        match durable.phase() {
            StreamState::Closed { again_at } if !members.is_empty() || durable.is_in_doubt() => {
                Some(again_at)
            }
            StreamState::Closed { .. } | StreamState::Opening | StreamState::Open => None,
        }
    }

    /// Somebody left, or something is over. An empty room without a stream goes at once, and
    /// so does one in which nothing was said; one with a stream stays as long as its messages
    /// would, so that who comes back finds its position; one on disk stays for a moment.
    pub fn leaves(
        &mut self,
        members: &Members,
        now: Timestamps,
        rules: &Namespace,
        slot: u32,
        timers: &mut RoomTimers,
    ) -> RoomUse {
        if !members.is_empty() {
            return RoomUse::Needed;
        }
        self.lifetime.begin_empty(now.tick);
        let stays_ms = self.stays_ms(rules);
        if stays_ms == 0 {
            return RoomUse::Unneeded;
        }
        timers.set_sweep(&mut self.lifetime, slot, now.tick.plus_ms(stays_ms));
        RoomUse::Needed
    }

    /// How long it stays when the last member has left.
    fn stays_ms(&self, rules: &Namespace) -> u64 {
        self.stream.stays_ms(rules, self.ids.stay_ms())
    }

    /// Whether ids of messages are remembered.
    #[cfg(test)]
    pub fn has_ids(&self) -> bool {
        !self.ids.is_empty()
    }
}
