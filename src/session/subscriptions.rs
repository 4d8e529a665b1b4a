//! The subscriptions of one session, sorted by room, with their states.
//!
//! Invariant: a room is in the list at most once.
//!
//! Deliberately absent: permissions (`permissions`, `rights`).

use std::sync::Arc;
use std::{mem, slice};

use super::backlog::Backlog;
use super::rights::MembershipStatus;
use crate::auth::{PermissionSet, SubscribeOverrides};
use crate::base::{MonotonicMs, RoomId};
use crate::room::{ChannelKey, LeaveReason, RecoveryOutcome, Unrecovered};
use crate::wire::{ErrorCode, Payload, TagFilter};

/// The slot of a subscriber in a channel of its shard. It is opaque to the session; the shard
/// changes it when others leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriberSlot {
    /// The shard's channel.
    pub channel: u32,
    /// The index among its subscribers.
    pub index: u32,
}

/// One channel of a session.
#[derive(Debug)]
struct Subscription {
    room: RoomId,
    stage: SubscriptionState,
}

/// The state of a subscription.
#[derive(Debug)]
enum SubscriptionState {
    /// The home has not answered.
    Pending(Box<PendingSubscribe>),
    /// It is active.
    Active(ActiveSubscription),
}

/// What is kept of an active subscription.
#[derive(Clone, Copy, Debug)]
struct ActiveSubscription {
    slot: SubscriberSlot,
    /// The permissions of its token.
    allow: PermissionSet,
    maker: SubscriptionSide,
    /// How long the filter is that its client sent.
    tag_filter_bytes: u16,
}

/// Who made a subscription: only its maker can make it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionSide {
    /// The client, by a command.
    Client,
    /// The server, at connect.
    Server,
    /// A backend, by the server API.
    Backend,
}

/// The data of a subscription until the home answers.
#[derive(Debug)]
pub struct PendingSubscribe {
    /// The client's command; 0 for a subscription that the server makes.
    pub id: u32,
    /// Who makes it.
    pub maker: SubscriptionSide,
    /// When it was asked for.
    pub at: MonotonicMs,
    /// The channel.
    pub channel_key: ChannelKey,
    /// Whether the client wants to recover later.
    pub recoverable: bool,
    /// Whether the client wants positioning.
    pub positioned: bool,
    /// Whether pushes to it call the channel by a number.
    pub compact: bool,
    /// Whether the client wants join and leave messages.
    pub join_leave: bool,
    /// The end of the token, Unix seconds.
    pub expires_unix_s: Option<u64>,
    /// The permissions of the token.
    pub allow: PermissionSet,
    /// What else the token says of the subscription.
    pub terms: SubscribeTerms,
    /// What becomes of it when it cannot recover.
    pub unrecovered: Unrecovered,
    /// Whether publications come as differences to the one before.
    pub takes_deltas: bool,
    /// Which publications it is for, and how long that was on the wire in bytes; `None` for all.
    pub tag_filter: Option<(Arc<TagFilter>, u16)>,
    /// The offset from which missed messages are the client's own, if it recovers.
    pub own_from: Option<u64>,
    /// Set when it ends as soon as it begins: the error code for the command.
    pub cancelled: Option<ErrorCode>,
    /// The command, while the backend is asked and the home is not.
    pub asked: Option<Backlog>,
}

/// What a token says of a subscription that its beginning depends on.
#[derive(Clone, Debug, Default)]
pub struct SubscribeTerms {
    /// What the client is told when it is in.
    pub data: Option<Box<Payload>>,
    /// What holds in the place of the namespace's settings.
    pub overrides: SubscribeOverrides,
}

/// Why the server ends a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Messages were lost.
    InsufficientState,
    /// Its token has expired.
    Expired,
    /// A fresh token does not allow it any more.
    Denied,
    /// A backend said so.
    ByBackend,
    /// A backend has revoked its token.
    Revoked,
}

impl Removal {
    /// The code for the client, which subscribes again with codes from 2500 on.
    pub fn parts(self) -> (u32, &'static str) {
        match self {
            Removal::InsufficientState => (2500, "insufficient state"),
            Removal::Expired => (2501, "subscription expired"),
            Removal::Denied => (2000, "permission denied"),
            Removal::ByBackend => (2000, "server unsubscribe"),
            Removal::Revoked => (2000, "token revoked"),
        }
    }

    /// The error code for a subscribe command that is unanswered.
    pub fn refusal(self) -> ErrorCode {
        match self {
            Removal::InsufficientState => ErrorCode::TooManyRequests,
            Removal::Expired => ErrorCode::TokenExpired,
            Removal::Denied | Removal::ByBackend | Removal::Revoked => ErrorCode::PermissionDenied,
        }
    }

    /// A client that cannot subscribe again has left.
    pub fn leave_reason(self) -> LeaveReason {
        match self {
            Removal::InsufficientState | Removal::Expired => LeaveReason::Disconnected,
            Removal::Denied | Removal::ByBackend | Removal::Revoked => LeaveReason::Unsubscribed,
        }
    }
}

/// The state of a subscription that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CancelledSubscription {
    /// There is none.
    Unknown,
    /// The home has not answered; its answer ends it.
    Pending,
    /// The subscription was active, with this slot.
    Active(SubscriberSlot),
}

/// The channels of a session, sorted by room: most sessions have one, some have thousands. A single
/// one is stored inline.
#[derive(Debug, Default)]
pub struct Subscriptions(List);

#[derive(Debug, Default)]
enum List {
    #[default]
    None,
    One(Subscription),
    #[expect(clippy::box_collection, reason = "a pointer, for the sake of those with one")]
    Many(Box<Vec<Subscription>>),
}

impl PendingSubscribe {
    /// Why it ends as soon as the home has let it in. A recovery that the home gave may have had
    /// no room in the outbox.
    pub fn refusal(&self, recovery: RecoveryOutcome) -> Option<ErrorCode> {
        let is_unrecovered =
            (recovery, self.unrecovered) == (RecoveryOutcome::Lost, Unrecovered::Rejected);
        self.cancelled.or(is_unrecovered.then_some(ErrorCode::UnrecoverablePosition))
    }

    /// A pending subscription without a command of the client.
    fn by(
        maker: SubscriptionSide,
        channel_key: ChannelKey,
        terms: SubscribeTerms,
    ) -> PendingSubscribe {
        let SubscribeOverrides { recovery, positioning, .. } = terms.overrides;
        PendingSubscribe {
            id: 0,
            maker,
            at: MonotonicMs(0),
            allow: PermissionSet::NONE,
            terms,
            unrecovered: Unrecovered::Admitted,
            takes_deltas: false,
            compact: false,
            tag_filter: None,
            own_from: None,
            channel_key,
            recoverable: recovery.unwrap_or(true),
            positioned: positioning.unwrap_or(true),
            join_leave: false,
            expires_unix_s: None,
            cancelled: None,
            asked: None,
        }
    }
}

impl Subscription {
    /// The permissions of its token.
    fn allow(&self) -> PermissionSet {
        match &self.stage {
            SubscriptionState::Pending(pending) => pending.allow,
            SubscriptionState::Active(active) => active.allow,
        }
    }

    /// Its maker.
    fn maker(&self) -> SubscriptionSide {
        match &self.stage {
            SubscriptionState::Pending(pending) => pending.maker,
            SubscriptionState::Active(active) => active.maker,
        }
    }

    fn place(&self) -> Option<SubscriberSlot> {
        match &self.stage {
            SubscriptionState::Pending(_) => None,
            SubscriptionState::Active(active) => Some(active.slot),
        }
    }

    fn tag_filter_bytes(&self) -> u16 {
        match &self.stage {
            SubscriptionState::Pending(pending) => {
                pending.tag_filter.as_ref().map_or(0, |&(_, bytes)| bytes)
            }
            SubscriptionState::Active(active) => active.tag_filter_bytes,
        }
    }

    /// The same, active in this slot.
    fn active_in(&self, slot: SubscriberSlot) -> SubscriptionState {
        SubscriptionState::Active(ActiveSubscription {
            slot,
            allow: self.allow(),
            maker: self.maker(),
            tag_filter_bytes: self.tag_filter_bytes(),
        })
    }
}

impl Subscriptions {
    /// The number of subscriptions.
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// Whether the session has an active or pending subscription to a room.
    pub fn contains(&self, room: RoomId) -> bool {
        self.at(room).is_some()
    }

    /// Whether the session has an active subscription to a room.
    pub fn standing(&self, room: RoomId) -> MembershipStatus {
        match self.at(room).and_then(Subscription::place) {
            Some(_) => MembershipStatus::Subscribed,
            None => MembershipStatus::Outside,
        }
    }

    /// How long all filters together are that the client sent with its subscriptions, in bytes.
    pub fn tag_filters_bytes(&self) -> usize {
        self.all().iter().map(|sub| usize::from(sub.tag_filter_bytes())).sum()
    }

    /// Whether no other room of the session has the number by which pushes may call this one.
    pub fn is_compact_unique(&self, room: RoomId) -> bool {
        self.all().iter().all(|sub| sub.room == room || sub.room.compact() != room.compact())
    }

    /// The permissions of the token of a room's subscription.
    pub fn allow(&self, room: RoomId) -> PermissionSet {
        self.at(room).map_or(PermissionSet::NONE, Subscription::allow)
    }

    /// The maker of a room's subscription.
    pub fn maker(&self, room: RoomId) -> Option<SubscriptionSide> {
        self.at(room).map(Subscription::maker)
    }

    /// The pending subscription to a room.
    pub fn pending(&self, room: RoomId) -> Option<&PendingSubscribe> {
        match &self.at(room)?.stage {
            SubscriptionState::Pending(pending) => Some(pending),
            SubscriptionState::Active(..) => None,
        }
    }

    /// The slots of the session, by ascending room.
    pub fn active_slots(&self) -> impl Iterator<Item = (RoomId, SubscriberSlot)> {
        self.all().iter().filter_map(|sub| Some((sub.room, sub.place()?)))
    }

    /// The pending subscriptions, by ascending room.
    pub fn pending_names(&self) -> impl Iterator<Item = (RoomId, Arc<str>)> {
        self.all().iter().filter_map(|sub| match &sub.stage {
            SubscriptionState::Pending(pending) => {
                Some((sub.room, Arc::clone(&pending.channel_key.channel)))
            }
            SubscriptionState::Active(..) => None,
        })
    }

    /// Adds a pending subscription of the client.
    pub fn begin_subscribe(&mut self, room: RoomId, pending: PendingSubscribe) {
        self.insert(Subscription { room, stage: SubscriptionState::Pending(Box::new(pending)) });
    }

    /// Adds a pending subscription of the server, or of a backend.
    pub fn begin_subscribe_by(
        &mut self,
        maker: SubscriptionSide,
        room: RoomId,
        channel_key: ChannelKey,
        terms: SubscribeTerms,
    ) {
        self.begin_subscribe(room, PendingSubscribe::by(maker, channel_key, terms));
    }

    /// Adds a subscription of the client about which the backend is asked.
    pub fn begin_asking(
        &mut self,
        room: RoomId,
        id: u32,
        channel_key: ChannelKey,
        command: Backlog,
    ) {
        let (client, terms) = (SubscriptionSide::Client, SubscribeTerms::default());
        let pending = PendingSubscribe::by(client, channel_key, terms);
        self.begin_subscribe(room, PendingSubscribe { id, asked: Some(command), ..pending });
    }

    /// The backend has answered: removes the subscription. Returns its command with its id, and
    /// the error code for it if it was cancelled.
    pub fn take_asked(&mut self, room: RoomId) -> Option<(u32, Option<ErrorCode>, Backlog)> {
        let Some(SubscriptionState::Pending(pending)) = self.at_mut(room).map(|sub| &mut sub.stage)
        else {
            return None;
        };
        let (id, cancelled) = (pending.id, pending.cancelled);
        let command = pending.asked.take()?;
        self.take(room);
        Some((id, cancelled, command))
    }

    /// The home has added the member, and the shard the subscriber, with this slot; or the slot
    /// has changed, because another subscriber has left the channel.
    pub fn activate(&mut self, room: RoomId, place: SubscriberSlot) {
        let sub = self.at_mut(room).expect("who is in a channel has asked for that");
        sub.stage = sub.active_in(place);
    }

    /// Takes the permissions of a fresh token.
    pub fn set_allow(&mut self, room: RoomId, allow: PermissionSet) {
        let stage = self.at_mut(room).map(|sub| &mut sub.stage);
        if let Some(SubscriptionState::Active(active)) = stage {
            active.allow = allow;
        }
    }

    /// Ends a subscription; a pending one ends with the home's answer, and its command is refused
    /// with `code`.
    pub fn cancel(&mut self, room: RoomId, code: ErrorCode) -> CancelledSubscription {
        let place = match self.at_mut(room).map(|sub| &mut sub.stage) {
            None => return CancelledSubscription::Unknown,
            Some(SubscriptionState::Pending(pending)) => {
                pending.cancelled = Some(code);
                return CancelledSubscription::Pending;
            }
            Some(SubscriptionState::Active(active)) => active.slot,
        };
        self.take(room);
        CancelledSubscription::Active(place)
    }

    /// Removes a subscription. Returns its maker.
    pub fn remove(&mut self, room: RoomId) -> Option<SubscriptionSide> {
        self.take(room).map(|sub| sub.maker())
    }

    /// Removes all. Returns the slots, by ascending room.
    pub fn take_active_slots(&mut self) -> impl Iterator<Item = (RoomId, SubscriberSlot)> + use<> {
        self.take_all().filter_map(|sub| Some((sub.room, sub.place()?)))
    }

    fn at(&self, room: RoomId) -> Option<&Subscription> {
        let all = self.all();
        index(all, room).ok().map(|index| &all[index])
    }

    fn at_mut(&mut self, room: RoomId) -> Option<&mut Subscription> {
        let all = self.all_mut();
        index(all, room).ok().map(|index| &mut all[index])
    }

    /// Adds a subscription; its room must not be in the list.
    fn insert(&mut self, sub: Subscription) {
        let index = index(self.all(), sub.room);
        let index = index.expect_err("rooms are checked before they are asked");
        self.0 = match mem::take(&mut self.0) {
            List::None => List::One(sub),
            List::One(other) => {
                let mut many = vec![other];
                many.insert(index, sub);
                List::Many(Box::new(many))
            }
            List::Many(mut many) => {
                many.insert(index, sub);
                List::Many(many)
            }
        };
    }

    /// Removes a subscription. A list of many stays a list until it is empty.
    fn take(&mut self, room: RoomId) -> Option<Subscription> {
        let index = index(self.all(), room).ok()?;
        match mem::take(&mut self.0) {
            List::None => unreachable!("it has an index"),
            List::One(sub) => Some(sub),
            List::Many(mut many) => {
                let sub = many.remove(index);
                if !many.is_empty() {
                    self.0 = List::Many(many);
                }
                Some(sub)
            }
        }
    }

    fn take_all(&mut self) -> impl Iterator<Item = Subscription> + use<> {
        let (one, many) = match mem::take(&mut self.0) {
            List::None => (None, Vec::new()),
            List::One(sub) => (Some(sub), Vec::new()),
            List::Many(many) => (None, *many),
        };
        one.into_iter().chain(many)
    }

    fn all(&self) -> &[Subscription] {
        match &self.0 {
            List::None => &[],
            List::One(sub) => slice::from_ref(sub),
            List::Many(many) => many,
        }
    }

    fn all_mut(&mut self) -> &mut [Subscription] {
        match &mut self.0 {
            List::None => &mut [],
            List::One(sub) => slice::from_mut(sub),
            List::Many(many) => many,
        }
    }
}

fn index(all: &[Subscription], room: RoomId) -> Result<usize, usize> {
    all.binary_search_by_key(&room, |sub| sub.room)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::Prng;

    fn active(room: RoomId, channel: u32) -> Subscription {
        let place = SubscriberSlot { channel, index: 0 };
        let (allow, maker) = (PermissionSet::NONE, SubscriptionSide::Client);
        let active = ActiveSubscription { slot: place, allow, maker, tag_filter_bytes: 0 };
        Subscription { room, stage: SubscriptionState::Active(active) }
    }

    #[track_caller]
    fn check(subs: &mut Subscriptions, model: &BTreeMap<RoomId, u32>) {
        let place = |sub: &Subscription| match &sub.stage {
            SubscriptionState::Active(active) => (sub.room, active.slot.channel),
            SubscriptionState::Pending(_) => panic!("nobody asked"),
        };
        assert!(
            subs.all().iter().map(place).eq(model.iter().map(|(&room, &channel)| (room, channel)))
        );
        assert_eq!(subs.len(), model.len());
        for n in 0..6 {
            let found = subs.at(RoomId(n)).map(place);
            assert_eq!(found, model.get(&RoomId(n)).map(|&channel| (RoomId(n), channel)));
            assert_eq!(subs.at_mut(RoomId(n)).is_some(), found.is_some());
        }
    }

    /// A sorted map beside the list, through none, one and many, both ways.
    #[test]
    fn the_list_is_a_sorted_map() {
        let mut prng = Prng::from_seed(5);
        let (mut subs, mut model) = (Subscriptions::default(), BTreeMap::new());
        for channel in 0..2_000 {
            let room = RoomId(u128::from(prng.below(6)));
            if prng.percent(2) {
                let taken: Vec<RoomId> = subs.take_all().map(|sub| sub.room).collect();
                assert!(taken.into_iter().eq(std::mem::take(&mut model).into_keys()));
            } else if prng.percent(50) {
                assert_eq!(subs.take(room).is_some(), model.remove(&room).is_some());
            } else if let std::collections::btree_map::Entry::Vacant(place) = model.entry(room) {
                place.insert(channel);
                subs.insert(active(room, channel));
            }
            check(&mut subs, &model);
        }
    }

    #[test]
    fn one_costs_nothing_but_itself() {
        assert_eq!(size_of::<Subscriptions>(), size_of::<Subscription>());
    }

    #[test]
    fn what_ends_was_unknown_pending_or_active() {
        let (room, code) = (RoomId(4), ErrorCode::NotAvailable);
        let channel_key = ChannelKey { tenant: "".into(), channel: "room:4".into(), namespace: 0 };
        let place = SubscriberSlot { channel: 3, index: 4 };
        let mut subs = Subscriptions::default();
        assert_eq!(subs.cancel(room, code), CancelledSubscription::Unknown);
        let server = SubscriptionSide::Server;
        subs.begin_subscribe_by(server, room, channel_key, SubscribeTerms::default());
        assert_eq!(subs.cancel(room, code), CancelledSubscription::Pending);
        assert_eq!(subs.pending(room).and_then(|pending| pending.cancelled), Some(code));
        subs.activate(room, place);
        assert_eq!(
            (subs.standing(room), subs.maker(room)),
            (MembershipStatus::Subscribed, Some(SubscriptionSide::Server))
        );
        assert_eq!(subs.cancel(room, code), CancelledSubscription::Active(place));
        assert!(!subs.contains(room));
    }
}
