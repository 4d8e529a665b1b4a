//! One room on its home shard: who comes and goes, and what its parts are.
//!
//! A room knows nothing of the others: what follows elsewhere it says in its context's `out`,
//! and whether it is still needed is asked by `Rooms`, which drops it.
//!
//! Deliberately absent: what is said in it (`room_messages`), and which questions wait for
//! what (`rooms`, `durable_stream`).

use std::sync::Arc;

use super::decision::{Decision, ReadProgress, RecoveredMessages, RecoveryStart, RoomUse};
use super::inbox::{Inbox, InboxRoom};
use super::members::{JoinResult, Member, MemberId, Members};
use super::membership_events::{JoinLeave, is_counted_by_user};
use super::reading::RecoveryRead;
use super::room_context::RoomContext;
use super::room_messages::RoomMessages;
use super::store_client::ReplyRoute;
use super::stream::RoomStream;
use super::typing::TypingUsers;
use super::{
    ChannelKey, LeaveReason, MemberReplacement, Namespace, Options, RecoveryOutcome, RoomEvent,
    RoomReply, RoomSubscribe, Subscribed, Unrecovered, history,
};
use crate::base::{RoomId, Timestamps};
use crate::wire::{ClientInfo, ErrorCode, Payload, Publication, chat};

/// One room on its home shard.
pub(super) struct Room {
    messages: RoomMessages,
    members: Members,
    typing: TypingUsers,
    /// Of a personal channel: what is known of messages that wait for its user.
    inbox: Option<Box<Inbox>>,
    join_leave: JoinLeave,
}

impl Room {
    /// One that nobody is in yet.
    pub fn new(id: RoomId, channel_key: ChannelKey, stream: RoomStream, now: Timestamps) -> Room {
        Room {
            messages: RoomMessages::new(id, channel_key, stream, now),
            members: Members::default(),
            typing: TypingUsers::default(),
            inbox: None,
            join_leave: JoinLeave::default(),
        }
    }

    /// Which.
    pub fn id(&self) -> RoomId {
        self.messages.id()
    }

    /// The rules that hold in it.
    pub fn rules<'o>(&self, options: &'o Options) -> &'o Namespace {
        options.rules(self.messages.channel_key())
    }

    /// Who is in it.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// What is said in it.
    pub fn messages(&self) -> &RoomMessages {
        &self.messages
    }

    /// The same, to change.
    pub fn messages_mut(&mut self) -> &mut RoomMessages {
        &mut self.messages
    }

    /// The same, and who hears what is changed.
    pub fn messages_and_members(&mut self) -> (&mut RoomMessages, &Members) {
        (&mut self.messages, &self.members)
    }

    /// What of it concerns messages that wait for the user of a personal channel.
    pub fn inbox(&mut self) -> InboxRoom<'_> {
        let Room { messages, members, typing, inbox, .. } = self;
        InboxRoom::new(messages.id(), members, inbox, typing)
    }

    /// What was told of who comes and goes.
    pub fn join_leave(&mut self) -> &mut JoinLeave {
        &mut self.join_leave
    }

    /// Lets somebody in, when it is known what it missed.
    pub fn subscribe(
        &mut self,
        by: ReplyRoute,
        subscribe: RoomSubscribe,
        cx: &mut RoomContext<'_>,
    ) -> Decision {
        if cx.rules.members_max <= self.members.count() {
            return Decision::Answered(RoomReply::SubscribeRejected(ErrorCode::LimitExceeded));
        }
        if !self.messages.admits(&subscribe.info.user, cx.rules) {
            return Decision::Answered(RoomReply::SubscribeRejected(ErrorCode::PermissionDenied));
        }
        match history::catch_up(self.messages.memory_mut(), by, subscribe, cx) {
            RecoveryStart::Ready(subscribe, missed) => self.admit(by, subscribe, missed, cx),
            RecoveryStart::Reading => Decision::Later,
            RecoveryStart::Refused(code) => Decision::Answered(RoomReply::SubscribeRejected(code)),
        }
    }

    /// A step of what a new member missed has been read; it comes in with the last one.
    pub fn recover(
        &mut self,
        by: ReplyRoute,
        read: RecoveryRead,
        found: Option<Vec<Arc<Publication>>>,
        cx: &mut RoomContext<'_>,
    ) -> ReadProgress {
        let decision = match history::recover(self.messages.memory(), by, read, found, cx) {
            RecoveryStart::Reading => return ReadProgress::Continues,
            RecoveryStart::Refused(code) => Decision::Answered(RoomReply::SubscribeRejected(code)),
            RecoveryStart::Ready(subscribe, missed) => {
                if cx.rules.members_max <= self.members.count() {
                    Decision::Answered(RoomReply::SubscribeRejected(ErrorCode::LimitExceeded))
                } else if !self.messages.admits(&subscribe.info.user, cx.rules) {
                    Decision::Answered(RoomReply::SubscribeRejected(ErrorCode::PermissionDenied))
                } else {
                    self.admit(by, subscribe, missed, cx)
                }
            }
        };
        decision.act_on(self.id(), by, Some(&self.members), cx.out);
        ReadProgress::Over
    }

    fn admit(
        &mut self,
        (shard, reply_to): ReplyRoute,
        subscribe: RoomSubscribe,
        missed: RecoveredMessages,
        cx: &mut RoomContext<'_>,
    ) -> Decision {
        if let (RecoveredMessages::Lost, Unrecovered::Rejected) = (&missed, subscribe.unrecovered) {
            let code = ErrorCode::UnrecoverablePosition;
            return Decision::Answered(RoomReply::SubscribeRejected(code));
        }
        self.members.count_in(shard);
        let subscribed = self.subscribed(missed, cx);
        let mut event = None;
        if cx.rules.lists_members() {
            let member_id = MemberId { shard, conn: reply_to.conn };
            let joined = self.add_to_list(member_id, subscribe.info, subscribe.chan_info, cx.rules);
            event = joined.and_then(|joined| self.join_leave.event(&self.members, joined, cx));
        }
        self.inbox().redeliver_pending(cx);
        Decision::with(RoomReply::Subscribed(Box::new(subscribed)), event)
    }

    /// Puts a member on the list. Gives what the others may hear of it.
    fn add_to_list(
        &mut self,
        member_id: MemberId,
        info: Arc<ClientInfo>,
        chan_info: Option<Arc<Payload>>,
        rules: &Namespace,
    ) -> Option<RoomEvent> {
        let was_here = is_counted_by_user(rules, &info) && self.members.has_user(&info.user);
        match self.members.insert(member_id, Arc::clone(&info), chan_info.clone()) {
            JoinResult::Resumed => None,
            JoinResult::Joined | JoinResult::Replaced(_) if was_here => None,
            JoinResult::Joined => Some(RoomEvent::Joined(self.id(), info, chan_info)),
            JoinResult::Replaced(before) => {
                let replacement = MemberReplacement {
                    joined: info,
                    joined_chan_info: chan_info,
                    left: before.info,
                    left_chan_info: before.chan_info,
                };
                Some(RoomEvent::MemberReplaced(self.id(), Box::new(replacement)))
            }
        }
    }

    fn subscribed(&self, missed: RecoveredMessages, cx: &RoomContext<'_>) -> Subscribed {
        let (recovery, missed) = match missed {
            RecoveredMessages::NotRequested => (RecoveryOutcome::NotAsked, Vec::new()),
            RecoveredMessages::Lost => (RecoveryOutcome::Lost, Vec::new()),
            RecoveredMessages::Whole(missed) => (RecoveryOutcome::Whole, missed),
        };
        let name = Arc::clone(&self.messages.channel_key().channel);
        let position = self.messages.memory().client_position(cx);
        Subscribed { name, position, missed, recovery }
    }

    /// A member goes, or is away for a while. Gives what the others hear of it.
    pub fn leave(
        &mut self,
        member_id: MemberId,
        reason: LeaveReason,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomEvent> {
        self.members.count_out(member_id.shard);
        let end = cx.now.tick.plus_ms(u64::from(cx.rules.leave_grace_ms));
        let may_stay = reason == LeaveReason::Disconnected && cx.now.tick < end;
        if may_stay && self.members.begin_absence(member_id, end) {
            cx.timers.set_absence_end(end, cx.slot, member_id);
            return None;
        }
        let Member { info, chan_info, .. } = self.members.remove(member_id)?;
        self.join_leave.event(&self.members, RoomEvent::Left(self.id(), info, chan_info), cx)
    }

    /// A grace is over; whether it is the member's latest, its list knows. True when it was.
    pub fn end_absence(&mut self, member_id: MemberId, cx: &mut RoomContext<'_>) -> bool {
        let Some(Member { info, chan_info, .. }) = self.members.end_absence(member_id, cx.now.tick)
        else {
            return false;
        };
        let left = RoomEvent::Left(self.id(), info, chan_info);
        if let Some(event) = self.join_leave.event(&self.members, left, cx) {
            self.members.send_to_shards(&event, cx.out);
        }
        true
    }

    /// Tells a large room how many came and left, when it is time to.
    pub fn send_membership_summary(&mut self, cx: &mut RoomContext<'_>) {
        if let Some(counts) = self.join_leave.take_counts(cx.now, &self.members) {
            let notice = chat::membership_summary(&self.messages.channel_key().channel, counts);
            self.members
                .send_to_shards(&RoomEvent::MembershipSummary(self.id(), Arc::new(notice)), cx.out);
        }
    }

    /// A member is writing.
    pub fn typing(&mut self, info: Arc<ClientInfo>, now: Timestamps) -> Decision {
        let may_tell = self.typing.may_tell(now.tick, &info);
        let event = may_tell.then(|| RoomEvent::Typing(self.id(), info));
        Decision::with(RoomReply::Done, event)
    }

    /// Lets pass what has passed, and says whether the room is still needed.
    pub fn sweep(&mut self, cx: &mut RoomContext<'_>) -> RoomUse {
        self.messages.memory_mut().sweep(&self.members, cx)
    }

    /// Whether something is still to be told in numbers.
    #[cfg(test)]
    pub fn has_counts(&self) -> bool {
        self.join_leave.has_counts()
    }
}
