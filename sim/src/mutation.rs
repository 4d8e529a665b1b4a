//! Ways to break a world on purpose, between its shards and their rings: each
//! proves that one checker looks.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rookery::base::{ConnId, MonotonicUs, RoomId, ShardId, UserHash};
use rookery::room::{RecoveryOutcome, RoomEvent, RoomOp, RoomReply, RoomRequest};
use rookery::shard::ShardMessage;
use rookery::store::{Batch, ChangeKind, Disk, StoreKeyspace, StoreOp, StoreRequest, SyncMode};
use rookery::wire::{Position, Publication};

use crate::on_disk::entries;

/// What goes wrong. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Nothing.
    None,
    /// A message of a room with history never reaches a shard.
    DropMessage,
    /// A message of a room without history never reaches a shard.
    DropFleeting,
    /// A direct message never reaches a shard.
    DropDirect,
    /// Two messages of one room change places.
    SwapMessages,
    /// A message comes with the body of another.
    SwapBodies,
    /// A message comes twice.
    DoubleMessage,
    /// A whole recovery lacks its first message.
    ShortenRecovery,
    /// That somebody left never reaches a shard.
    DropLeave,
    /// An unsubscribe never reaches the room's home.
    DropUnsubscribe,
    /// An answer that is no subscription never comes.
    DropAnswer,
    /// An answer that is no subscription comes twice.
    DoubleAnswer,
    /// A lane loses a message.
    LoseInLane,
    /// A core gives a second send before the first has left.
    DoubleSend,
    /// A byte of a send is another one.
    FlipByte,
    /// A core takes all messages that there are.
    GreedyTurn,
    /// A connection is handed over and not counted.
    ForgetAccepted,
    /// A delivery has no outcome.
    ForgetOutcome,
    /// A message is taken at its home before its command was read.
    TurnBack,
    /// A core is not told that a connection is gone.
    KeepGone,
    /// A core is never told of a pong, and what is known of its peer is nothing.
    LosePongs,
    /// A core judges its peers before it has read what they sent.
    JudgeUnread,
    /// A request of the store succeeds that has failed.
    AnswerEarly,
    /// The store does not remember the ids of messages.
    ForgetIds,
    /// The store does not say what waits for a user.
    HideWaiting,
    /// The store does not answer what nobody waits for.
    LoseReply,
    /// The store takes requests of a core one by one, in the order in which they came.
    ServeInOrder,
    /// What a user may ask is what each of its connections may.
    ShareByConnection,
    /// A message is answered with the place before its own.
    MisplaceAnswer,
    /// A recovery that could be whole is none.
    RefuseRecovery,
    /// A page of a history of several channels is that of another one.
    MisplacePage,
    /// A connection is not told that it is replaced.
    KeepReplaced,
    /// A message is only said to be taken back.
    KeepRetracted,
    /// A message is only said to have other words.
    KeepEdited,
    /// The words of an edit stay when others come, or its message is taken back.
    KeepEditWords,
    /// After a crash the last message of a channel is not on the disk.
    LoseLast,
    /// After a crash a message in the middle of a channel is not on the disk.
    LoseMiddle,
    /// After a crash it is not on the disk how far a user is.
    LoseMark,
    /// After a crash it is not on the disk what waits for a user.
    LoseWaiting,
    /// After a crash it is not on the disk what a user reacts with.
    LoseReaction,
    /// After a crash a member of a group is not on the disk.
    LoseMember,
    /// After a crash one of the groups of a user is not on the disk.
    LoseGroup,
    /// A user is told that it reacts, and the store is asked for something else.
    ReactOtherwise,
    /// The last message of an answer about reactions is left out, each time.
    HideReactions,
    /// The presence feed does not hear of something.
    LosePresence,
    /// A channel is only said to be removed: another one is.
    KeepRemoved,
    /// A room is told that less is removed than is.
    RemoveLess,
}

/// A room with a page of what was said in it, and where its stream ends.
type HistoryReply = (RoomId, Vec<Arc<Publication>>, Position);

/// Applies a mutation once, at the first opportunity after `skip` others.
#[derive(Clone, Debug)]
pub struct Mutator {
    mutation: Mutation,
    skip: u32,
    done: bool,
    /// Connections that are a user each, by what that is called, and whose they are.
    whose: BTreeMap<UserHash, UserHash>,
    /// Of each history, by connection and command, the first page that was not empty.
    pages: BTreeMap<(ShardId, u32, u32, u32), HistoryReply>,
}

impl Mutator {
    /// A mutator that has not done anything yet.
    pub fn new(mutation: Mutation, skip: u32) -> Mutator {
        Mutator { mutation, skip, done: false, whose: BTreeMap::new(), pages: BTreeMap::new() }
    }

    /// Whether `mutation` happens at this opportunity.
    pub fn applies(&mut self, mutation: Mutation) -> bool {
        if self.done || self.mutation != mutation {
            return false;
        }
        if self.skip != 0 {
            self.skip -= 1;
            return false;
        }
        self.done = true;
        true
    }

    /// Whether `mutation` happens all the time.
    pub fn holds(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }

    /// Changes what the store is asked.
    pub fn change_request(&mut self, request: &mut StoreRequest) {
        if let StoreOp::Append(append) = &mut request.op
            && let Some(change) = &mut append.change
            && let Some(number) = change.replacement.tag("id").and_then(|id| id.strip_prefix('i'))
        {
            let first_words = Bytes::from(format!("{{\"n\":[{number},0]}}"));
            let retention_case = match change.kind {
                ChangeKind::Retraction => Mutation::KeepRetracted,
                ChangeKind::Edit => Mutation::KeepEdited,
            };
            if self.applies(retention_case) {
                Arc::make_mut(&mut change.replacement).data.bytes = first_words;
            }
            if change.superseded.is_some() && self.applies(Mutation::KeepEditWords) {
                change.superseded = None;
            }
        }
        if let StoreOp::RemoveHistory(removal) = &mut request.op
            && self.applies(Mutation::KeepRemoved)
        {
            removal.room = RoomId(1);
        }
        if let StoreOp::React(react) = &mut request.op
            && self.applies(Mutation::ReactOtherwise)
        {
            react.value = react.value.as_ref().map_or(Some("no".into()), |_| None);
        }
    }

    /// Changes for whom a core asks others.
    pub fn change_reply_tos(&mut self, core: ShardId, messages: &mut [ShardMessage]) {
        if !self.holds(Mutation::ShareByConnection) {
            return;
        }
        for message in messages {
            if let ShardMessage::Request(RoomRequest { reply_to, .. })
            | ShardMessage::ConnectionGone(reply_to) = message
            {
                reply_to.user = self.of_connection(core, reply_to.conn, reply_to.user);
            }
        }
    }

    /// Changes for whom a core asks the store.
    pub fn change_requesters(&mut self, requests: &mut [StoreRequest]) {
        if !self.holds(Mutation::ShareByConnection) {
            return;
        }
        for StoreRequest { by, op, .. } in requests {
            by.user = self.of_connection(by.shard, by.conn, by.user);
            if let StoreOp::Abandon(by) = op {
                by.user = self.of_connection(by.shard, by.conn, by.user);
            }
        }
    }

    /// Gives an answer the user back of whoever asked, whose shard notices nothing.
    pub fn restore_reply_to(&self, message: &mut ShardMessage) {
        if let ShardMessage::Event(RoomEvent::Reply(_, reply_to, _)) = message
            && let Some(user) = self.whose.get(&reply_to.user)
        {
            reply_to.user = *user;
        }
    }

    /// A user who is this connection only.
    fn of_connection(&mut self, shard: ShardId, conn: ConnId, user: UserHash) -> UserHash {
        let is_known = self.whose.contains_key(&user);
        if conn == ConnId::NOBODY || user == UserHash::NOBODY || is_known {
            return user;
        }
        let ConnId { slot, generation } = conn;
        let numbers = [u128::from(shard.0), u128::from(slot), u128::from(generation)];
        let own =
            UserHash::of_inbox(RoomId(numbers.into_iter().fold(1, |all, one| all << 20 | one)));
        self.whose.insert(own, user);
        own
    }

    /// Changes what is left on the disk after a crash.
    pub fn change_disk(&mut self, disk: &mut impl Disk) {
        let space = match self.mutation {
            Mutation::LoseLast | Mutation::LoseMiddle => StoreKeyspace::Messages,
            Mutation::LoseMark => StoreKeyspace::Markers,
            Mutation::LoseWaiting => StoreKeyspace::Pending,
            Mutation::LoseReaction => StoreKeyspace::Reactions,
            Mutation::LoseMember => StoreKeyspace::GroupMembers,
            Mutation::LoseGroup => StoreKeyspace::UserGroups,
            _ => return,
        };
        let keys: Vec<_> = entries(disk, space).into_iter().map(|(key, _)| key).collect();
        let room = |index: usize| keys.get(index).map(|key| &key[..16]);
        let chosen = (0..keys.len()).find(|&index| match self.mutation {
            Mutation::LoseLast => room(index) != room(index + 1),
            Mutation::LoseMiddle => {
                index != 0 && room(index) == room(index + 1) && room(index) == room(index - 1)
            }
            _ => true,
        });
        if let Some(index) = chosen
            && self.applies(self.mutation)
        {
            let mut batch = Batch::default();
            batch.remove(space, &keys[index]);
            disk.commit(&mut batch, SyncMode::Now).expect("the disk is well");
        }
    }

    /// Changes the messages that a shard has for shard `to`.
    pub fn change(&mut self, to: ShardId, messages: &mut Vec<ShardMessage>) {
        if self.done {
            return;
        }
        if self.holds(Mutation::MisplacePage) {
            messages.iter_mut().for_each(|message| self.misplace_page(to, message));
        }
        self.drop_each(messages);
        let mutation = self.mutation;
        let Some(index) = messages.iter().position(|message| self.concerns(message)) else {
            return;
        };
        match mutation {
            Mutation::DropMessage
            | Mutation::DropFleeting
            | Mutation::DropDirect
            | Mutation::DropUnsubscribe
            | Mutation::DropLeave
            | Mutation::DropAnswer => {
                if self.applies(mutation) {
                    messages.remove(index);
                }
            }
            Mutation::DoubleMessage | Mutation::DoubleAnswer => {
                if self.applies(mutation) {
                    messages.insert(index, messages[index].clone());
                }
            }
            Mutation::SwapMessages | Mutation::SwapBodies => self.swap(messages, index),
            Mutation::ShortenRecovery
            | Mutation::RefuseRecovery
            | Mutation::MisplaceAnswer
            | Mutation::HideReactions
            | Mutation::TurnBack => self.change_message(&mut messages[index]),
            Mutation::None
            | Mutation::LoseInLane
            | Mutation::DoubleSend
            | Mutation::FlipByte
            | Mutation::GreedyTurn
            | Mutation::ForgetAccepted
            | Mutation::ForgetOutcome
            | Mutation::KeepGone
            | Mutation::LosePongs
            | Mutation::JudgeUnread
            | Mutation::AnswerEarly
            | Mutation::ForgetIds
            | Mutation::HideWaiting
            | Mutation::LoseReply
            | Mutation::ServeInOrder
            | Mutation::ShareByConnection
            | Mutation::MisplacePage
            | Mutation::KeepReplaced
            | Mutation::KeepRetracted
            | Mutation::KeepEdited
            | Mutation::KeepEditWords
            | Mutation::LoseLast
            | Mutation::LoseMiddle
            | Mutation::LoseMark
            | Mutation::LoseWaiting
            | Mutation::LoseReaction
            | Mutation::LoseMember
            | Mutation::LoseGroup
            | Mutation::ReactOtherwise
            | Mutation::LosePresence
            | Mutation::KeepRemoved
            | Mutation::RemoveLess => (),
        }
    }

    /// Drops all messages that a mutation concerns which holds all the time.
    fn drop_each(&self, messages: &mut Vec<ShardMessage>) {
        if self.holds(Mutation::KeepReplaced) {
            messages
                .retain(|message| !matches!(message, ShardMessage::Event(RoomEvent::Replaced(_))));
        }
        if self.holds(Mutation::DropLeave) {
            messages.retain(|message| !self.concerns(message));
        }
    }

    /// Puts the first page of a history of several channels in the place of another.
    fn misplace_page(&mut self, to: ShardId, message: &mut ShardMessage) {
        let ShardMessage::Event(RoomEvent::Reply(room, by, RoomReply::History(page, position))) =
            message
        else {
            return;
        };
        let history = (to, by.conn.slot, by.conn.generation, by.id);
        if let Some((first_room, first, end)) = self.pages.get(&history).cloned() {
            if first_room != *room && self.applies(Mutation::MisplacePage) {
                (*page, *position) = (first, end);
            }
        } else if !page.is_empty() {
            self.pages.insert(history, (*room, page.clone(), *position));
        }
    }

    /// Swaps a message with the next one that tells the same room, or what both tell.
    fn swap(&mut self, messages: &mut [ShardMessage], index: usize) {
        let mutation = self.mutation;
        let twin =
            messages[index..].iter().skip(1).position(|other| twins(&messages[index], other));
        let Some(twin) = twin.map(|behind| index + 1 + behind) else { return };
        if !self.applies(mutation) {
            return;
        }
        match mutation == Mutation::SwapBodies {
            true => swap_bodies(messages, index, twin),
            false => messages.swap(index, twin),
        }
    }

    /// Changes what stands in a message.
    fn change_message(&mut self, message: &mut ShardMessage) {
        let mutation = self.mutation;
        match (mutation, message) {
            (
                Mutation::ShortenRecovery,
                ShardMessage::Event(RoomEvent::Reply(_, _, RoomReply::Subscribed(subscribed))),
            ) if self.applies(mutation) => {
                subscribed.missed.remove(0);
            }
            (
                Mutation::RefuseRecovery,
                ShardMessage::Event(RoomEvent::Reply(_, _, RoomReply::Subscribed(subscribed))),
            ) if self.applies(mutation) => {
                subscribed.missed.clear();
                subscribed.recovery = RecoveryOutcome::Lost;
            }
            (
                Mutation::MisplaceAnswer,
                ShardMessage::Event(RoomEvent::Reply(_, _, RoomReply::Posted(posted))),
            ) if self.applies(mutation) => posted.position.offset -= 1,
            (
                Mutation::HideReactions,
                ShardMessage::Event(RoomEvent::Reply(_, _, RoomReply::Reactions(found))),
            ) if self.holds(mutation) => drop(found.pop()),
            (Mutation::TurnBack, ShardMessage::Event(RoomEvent::Published(_, _, timing)))
                if self.applies(mutation) =>
            {
                (timing.taken_at, timing.sampled) = (MonotonicUs(u64::MAX), true);
            }
            _ => {}
        }
    }

    fn concerns(&self, message: &ShardMessage) -> bool {
        match (self.mutation, message) {
            (
                Mutation::DropMessage
                | Mutation::SwapMessages
                | Mutation::SwapBodies
                | Mutation::DoubleMessage,
                ShardMessage::Event(RoomEvent::Published(_, publication, _)),
            ) => publication.offset != 0,
            (Mutation::TurnBack, ShardMessage::Event(RoomEvent::Published(..))) => true,
            (
                Mutation::DropFleeting,
                ShardMessage::Event(RoomEvent::Published(_, publication, _)),
            ) => publication.offset == 0,
            (
                Mutation::DropDirect,
                ShardMessage::Event(RoomEvent::Published(_, publication, _)),
            ) => publication.tags.iter().any(|(name, _)| &**name == "channel"),
            (
                Mutation::ShortenRecovery,
                ShardMessage::Event(RoomEvent::Reply(_, _, RoomReply::Subscribed(subscribed))),
            ) => subscribed.recovery == RecoveryOutcome::Whole && !subscribed.missed.is_empty(),
            (
                Mutation::RefuseRecovery,
                ShardMessage::Event(RoomEvent::Reply(_, _, RoomReply::Subscribed(subscribed))),
            ) => subscribed.recovery == RecoveryOutcome::Whole,
            (
                Mutation::MisplaceAnswer,
                ShardMessage::Event(RoomEvent::Reply(_, _, RoomReply::Posted(posted))),
            ) => posted.position.offset != 0,
            (
                Mutation::HideReactions,
                ShardMessage::Event(RoomEvent::Reply(_, _, RoomReply::Reactions(found))),
            ) => !found.is_empty(),
            (
                Mutation::DropLeave,
                ShardMessage::Event(RoomEvent::Left(..) | RoomEvent::MemberReplaced(..)),
            ) => true,
            (Mutation::DropUnsubscribe, ShardMessage::Request(request)) => {
                matches!(request.op, RoomOp::Unsubscribe(_))
            }
            (
                Mutation::DropAnswer,
                ShardMessage::Event(RoomEvent::Reply(
                    _,
                    reply_to,
                    RoomReply::Published(_) | RoomReply::Presence(_),
                )),
            ) => reply_to.id != 0,
            // One that no client waits for: it would see a second one first.
            (
                Mutation::DoubleAnswer,
                ShardMessage::Event(RoomEvent::Reply(_, reply_to, answer)),
            ) => reply_to.id == 0 && matches!(answer, RoomReply::Unsubscribed),
            (_, _) => false,
        }
    }
}

fn twins(one: &ShardMessage, other: &ShardMessage) -> bool {
    match (one, other) {
        (
            ShardMessage::Event(RoomEvent::Published(room, ..)),
            ShardMessage::Event(RoomEvent::Published(again, ..)),
        ) => room == again,
        (_, _) => false,
    }
}

fn swap_bodies(messages: &mut [ShardMessage], index: usize, twin: usize) {
    let body = |message: &ShardMessage| match message {
        ShardMessage::Event(RoomEvent::Published(_, publication, _)) => {
            Some(publication.data.clone())
        }
        ShardMessage::Event(_)
        | ShardMessage::Request(_)
        | ShardMessage::Gap(_)
        | ShardMessage::ConnectionGone(_) => None,
    };
    let bodies = [body(&messages[twin]), body(&messages[index])];
    for (at, body) in [index, twin].into_iter().zip(bodies) {
        if let (ShardMessage::Event(RoomEvent::Published(_, publication, _)), Some(body)) =
            (&mut messages[at], body)
        {
            Arc::make_mut(publication).data = body;
        }
    }
}
