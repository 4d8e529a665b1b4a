//! Recovery without the right to history: only from a position of one's own.
//!
//! Who may read what was said may recover from any position. For anybody else the epoch
//! that a subscribe answers carries a seal: of the room, the user, the stream, and the
//! offset at which the user came in. Offsets behind it come with publications, bare, so
//! the user may recover from each of them, but from none before.

use super::Context;
use crate::base::RoomId;
use crate::room::{RecoveryOutcome, Subscribed};
use crate::wire::{Epoch, EpochSeal, Position, SubscribeResult, WrittenEpoch};

/// Whether a peer may read what was said in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadAccess {
    /// It may.
    OfAll,
    /// It may read what is said while it is there.
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

/// A position from which a client wants to recover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryPoint {
    /// What the room is asked. It is foreign to every stream where the client may not
    /// recover from there.
    pub position: Position,
    /// From where on the client may recover another time.
    pub own_from: u64,
}

impl RecoveryPoint {
    /// The position that a client wrote.
    pub fn read(
        cx: &Context<'_>,
        owner: PositionOwner<'_>,
        reader: ReadAccess,
        offset: u64,
        epoch: &str,
    ) -> RecoveryPoint {
        let WrittenEpoch { epoch, seal } = WrittenEpoch::parse(epoch);
        let sealed_from = seal.filter(|seal| {
            let is_ours = tag(cx, owner, epoch, seal.from) == seal.tag;
            is_ours && seal.from <= offset
        });
        let own_from = match (sealed_from, reader) {
            (Some(seal), _) => Some(seal.from),
            (None, ReadAccess::OfAll) => Some(offset),
            (None, ReadAccess::OfItsOwn) => None,
        };
        let epoch = own_from.map_or(Epoch::FOREIGN, |_| epoch);
        RecoveryPoint { position: Position { offset, epoch }, own_from: own_from.unwrap_or(offset) }
    }
}

/// What a welcome means to a client; flags about later are the caller's. `own_from` is
/// from where on what it recovered is its own.
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

/// What an epoch is told with: nothing to whoever may read all.
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

/// A client's place in a stream, as it wrote it.
pub fn position(offset: u64, epoch: &str) -> Position {
    Position { offset, epoch: Epoch::parse(epoch) }
}

fn tag(cx: &Context<'_>, owner: PositionOwner<'_>, epoch: Epoch, from: u64) -> u128 {
    let PositionOwner { room, user } = owner;
    let (epoch, from) = (epoch.to_string(), from.to_be_bytes());
    cx.own_positions.tag(&[&room.0.to_be_bytes(), user.as_bytes(), epoch.as_bytes(), &from])
}
