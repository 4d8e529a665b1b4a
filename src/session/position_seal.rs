//! Recovery without the permission to read history: only from a position of the user's own.
//!
//! A user who may read history may recover from any position. For others the epoch in the answer to
//! a subscribe carries a seal of the room, the user, the stream, and the offset at which the user
//! subscribed. Later offsets come with publications, without a seal, so the user may recover from
//! each of them, but from none before. A backend may also grant a position of its own, which it was
//! told by the server API, in the token of the subscription.

use super::Context;
use crate::auth::GrantedPosition;
use crate::base::RoomId;
use crate::room::{RecoveryOutcome, Subscribed};
use crate::wire::{Epoch, EpochSeal, Position, SubscribeResult, WrittenEpoch};

/// Whether a peer may read the history of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAccess {
    /// It may.
    OfAll,
    /// It may read only what is published while it is subscribed.
    OfItsOwn,
}

/// A user with a position in a room.
#[derive(Clone, Copy, Debug)]
pub struct PositionOwner<'o> {
    /// The room.
    pub room: RoomId,
    /// The user's name.
    pub user: &'o str,
}

/// From where a peer may recover.
#[derive(Clone, Copy, Debug)]
pub struct RecoveryRights<'r> {
    /// Whether it may read the history.
    pub reader: ReadAccess,
    /// What its token grants beside.
    pub granted: Option<&'r GrantedPosition>,
}

impl RecoveryRights<'_> {
    /// The offset from which it may recover the stream that it calls `text`, which is `epoch`; `None`
    /// where it may not from `offset`.
    fn from(self, (text, epoch): (&str, Epoch), offset: u64) -> Option<u64> {
        let granted = self.granted.filter(|granted| {
            // An empty one is the beginning of whichever stream it is, which has to be granted as
            // that: other texts that no stream is called by are not the same as it.
            let is_same = match text {
                "" => granted.epoch.is_empty(),
                _ => WrittenEpoch::parse(&granted.epoch).epoch == epoch,
            };
            is_same && granted.offset <= offset
        });
        match self.reader {
            ReadAccess::OfAll => Some(offset),
            ReadAccess::OfItsOwn => granted.map(|granted| granted.offset),
        }
    }
}

/// A position from which a client wants to recover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryPoint {
    /// The position that the room is asked for. Its epoch matches no stream when the client may not
    /// recover from there.
    pub position: Position,
    /// The offset from which the client may recover later.
    pub own_from: u64,
}

impl RecoveryPoint {
    /// The position that a client wrote.
    pub fn read(
        cx: &Context<'_>,
        owner: PositionOwner<'_>,
        rights: RecoveryRights<'_>,
        offset: u64,
        text: &str,
    ) -> RecoveryPoint {
        let WrittenEpoch { epoch, seal } = WrittenEpoch::parse(text);
        let sealed_from = seal.filter(|seal| {
            let is_ours = tag(cx, owner, epoch, seal.from) == seal.tag;
            is_ours && seal.from <= offset
        });
        let own_from = match sealed_from {
            Some(seal) => Some(seal.from),
            None => rights.from((text, epoch), offset),
        };
        let is_beginning = Position::is_beginning(offset, text);
        let epoch = match own_from {
            None => Epoch::FOREIGN,
            Some(_) if is_beginning => Epoch::ANY,
            Some(_) => epoch,
        };
        RecoveryPoint { position: Position { offset, epoch }, own_from: own_from.unwrap_or(offset) }
    }
}

/// The result of a subscribe for the client, without flags about later. `own_from` is the offset
/// from which recovered messages are its own.
pub fn subscribe_result<'w>(
    cx: &Context<'_>,
    owner: PositionOwner<'_>,
    reader: ReadAccess,
    own_from: Option<u64>,
    subscribed: &'w Subscribed,
) -> SubscribeResult<'w> {
    let own_from = own_from.filter(|_| subscribed.recovery == RecoveryOutcome::Whole);
    let sealed = subscribed
        .position
        .and_then(|head| seal(cx, owner, reader, head.epoch, own_from.unwrap_or(head.offset)));
    SubscribeResult {
        position: subscribed.position,
        seal: sealed,
        publications: &subscribed.missed,
        recovered: subscribed.recovery == RecoveryOutcome::Whole,
        was_recovering: subscribed.recovery != RecoveryOutcome::NotAsked,
        ..SubscribeResult::default()
    }
}

/// The seal of an epoch; none for a peer that may read all.
fn seal(
    cx: &Context<'_>,
    owner: PositionOwner<'_>,
    reader: ReadAccess,
    epoch: Epoch,
    from: u64,
) -> Option<EpochSeal> {
    match reader {
        ReadAccess::OfAll => None,
        ReadAccess::OfItsOwn => Some(EpochSeal { from, tag: tag(cx, owner, epoch, from) }),
    }
}

fn tag(cx: &Context<'_>, owner: PositionOwner<'_>, epoch: Epoch, from: u64) -> u128 {
    let PositionOwner { room, user } = owner;
    let (epoch, from) = (epoch.to_string(), from.to_be_bytes());
    cx.own_positions.tag(&[&room.0.to_be_bytes(), user.as_bytes(), epoch.as_bytes(), &from])
}
