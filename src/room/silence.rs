//! Positions in rooms in which nothing was said.
//!
//! Such a room stores nothing, on the disk or in memory: the position that it gives
//! carries the time, and a seal of the room and of that time. With a key of the store it
//! is known again on every shard and in every life; with nobody's, where messages live
//! in memory and do not outlast the process.
//!
//! Invariant: a position of time t is one of a stream whose first message was said at b
//! exactly when t <= b < t + the age of messages. No other stream can lie between: it
//! would be forgotten only when its last message, behind t, is older than that.
//!
//! Deliberately absent: rights. Who may not read history has positions of its own under
//! another seal.

use super::{HistoryPage, Namespace, RoomReply};
use crate::base::{Csprng, RoomId, SealKey, Timestamps};
use crate::store::Durability;
use crate::wire::{Epoch, ErrorCode, Position, SilentEpoch};

/// Gives and knows again the epochs of silent rooms.
#[derive(Debug)]
pub(super) struct SilentEpochs {
    key: SealKey,
    /// Which process this is, for streams that end with it.
    boot_id: u128,
}

/// What ends all positions of a room's silence when it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    /// Nothing does: what was answered stays.
    Store,
    /// How often the store lost what was not synced.
    Losses(u32),
    /// The end of this process.
    Boot(u128),
}

impl SilentEpochs {
    /// With the key of the store; `ids` tells this process from others.
    pub fn new(key: SealKey, ids: &mut Csprng) -> SilentEpochs {
        SilentEpochs { key, boot_id: ids.draw_u128() }
    }

    /// The epoch of a room in which nothing was said until then. `losses_count` is what
    /// the store says.
    pub fn epoch(
        &self,
        until_unix_ms: u64,
        room: RoomId,
        rules: &Namespace,
        losses_count: u32,
    ) -> Epoch {
        let since_unix_ms = until_unix_ms & SilentEpoch::UNIX_MS_MAX;
        let seal = self.seal(since_unix_ms, room, self.bound(rules, losses_count));
        SilentEpoch { since_unix_ms, seal }.into()
    }

    /// Since when the room was silent when it gave this epoch; `None` for any epoch that
    /// it did not give, or not in silence.
    pub fn since_unix_ms(
        &self,
        epoch: Epoch,
        room: RoomId,
        rules: &Namespace,
        losses_count: u32,
    ) -> Option<u64> {
        let SilentEpoch { since_unix_ms, seal } = epoch.silent()?;
        let bound = self.bound(rules, losses_count);
        (self.seal(since_unix_ms, room, bound) == seal).then_some(since_unix_ms)
    }

    /// Whether a room in which nothing was said gave this epoch, and it is still good. No offset
    /// but 0 was given with it: behind a later one there is as little as behind the end of any
    /// stream, and whoever wants to recover from there is told that it cannot.
    pub fn knows(
        &self,
        now: Timestamps,
        room: RoomId,
        rules: &Namespace,
        losses_count: u32,
        epoch: Epoch,
    ) -> bool {
        let given = self.since_unix_ms(epoch, room, rules, losses_count);
        epoch == Epoch::ANY || given.is_some_and(|given| is_good(now, given, rules))
    }

    /// The history of a room that is not in memory because nothing was said in it.
    pub fn history(
        &self,
        now: Timestamps,
        id: RoomId,
        page: &HistoryPage,
        rules: &Namespace,
    ) -> RoomReply {
        if page.query.since.is_some_and(|since| !self.knows(now, id, rules, 0, since.epoch)) {
            return RoomReply::Rejected(ErrorCode::UnrecoverablePosition);
        }
        let epoch = self.epoch(now.unix_ms, id, rules, 0);
        RoomReply::History(Vec::new(), Position { offset: 0, epoch })
    }

    fn bound(&self, rules: &Namespace, losses_count: u32) -> Bound {
        if !rules.is_durable() {
            return Bound::Boot(self.boot_id);
        }
        match rules.durability {
            Durability::Fsync => Bound::Store,
            Durability::Interval => Bound::Losses(losses_count),
            Durability::Memory => Bound::Boot(self.boot_id),
        }
    }

    fn seal(&self, since_unix_ms: u64, room: RoomId, bound: Bound) -> u128 {
        let (kind, number) = match bound {
            Bound::Store => (0, 0),
            Bound::Losses(count) => (1, u128::from(count)),
            Bound::Boot(boot_id) => (2, boot_id),
        };
        let parts: [&[u8]; 4] = [
            &{ room.0 }.to_be_bytes(),
            &since_unix_ms.to_be_bytes(),
            &[kind],
            &number.to_be_bytes(),
        ];
        self.key.tag(&parts) & SilentEpoch::SEAL_MAX
    }
}

/// Whether a stream whose first message was said then is the one that a position in
/// silence waited for.
pub(super) fn is_awaited(since_unix_ms: u64, created_unix_ms: u64, age_ms_max: u64) -> bool {
    since_unix_ms <= created_unix_ms && created_unix_ms - since_unix_ms < age_ms_max
}

/// Whether a position in silence is good where nothing was said since.
fn is_good(now: Timestamps, given_unix_ms: u64, rules: &Namespace) -> bool {
    // A wall clock that was set back takes nothing from it.
    is_awaited(given_unix_ms, now.unix_ms.max(given_unix_ms), rules.history_age_ms_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{MonotonicMs, SealPurpose};

    fn rules(durability: Durability) -> Namespace {
        Namespace { durability, history_count_max: 1, ..Namespace::default() }
    }

    fn silence(key: u64, seed: u8) -> SilentEpochs {
        let key = SealKey::derive([key, 0], SealPurpose::SilentRoom);
        SilentEpochs::new(key, &mut Csprng::from_key([seed; 16]))
    }

    #[test]
    fn only_its_own_room_and_store_know_an_epoch_of_silence() {
        let now = Timestamps::at(MonotonicMs(5), 1_700_000_000_123);
        let rules = rules(Durability::Fsync);
        let (room, given) = (RoomId(7), silence(1, 1));
        let epoch = given.epoch(now.unix_ms, room, &rules, 0);
        let since = |by: &SilentEpochs, epoch, room| by.since_unix_ms(epoch, room, &rules, 9);
        assert_eq!(since(&given, epoch, room), Some(now.unix_ms));
        assert_eq!(since(&silence(1, 2), epoch, room), Some(now.unix_ms), "another life");
        assert_eq!(since(&silence(2, 1), epoch, room), None, "another store");
        assert_eq!(since(&given, epoch, RoomId(8)), None);
        let SilentEpoch { since_unix_ms, seal } = epoch.silent().unwrap();
        for forged in [
            SilentEpoch { since_unix_ms: since_unix_ms - 1, seal },
            SilentEpoch { since_unix_ms, seal: seal ^ 1 },
            SilentEpoch { since_unix_ms, seal: 0 },
        ] {
            assert_eq!(since(&given, forged.into(), room), None);
        }
        for foreign in [Epoch::FOREIGN, Epoch(1), Epoch(u128::MAX), Epoch(1 << 32)] {
            assert_eq!(since(&given, foreign, room), None);
        }
    }

    #[test]
    fn silence_ends_with_what_may_have_been_said_in_it_and_lost() {
        let (now, room) = (Timestamps::at(MonotonicMs(5), 1_000), RoomId(7));
        let check = |durability, seed: u8, losses_count: u32, want: bool| {
            let rules = rules(durability);
            let epoch = silence(1, 1).epoch(now.unix_ms, room, &rules, 3);
            let since = silence(1, seed).since_unix_ms(epoch, room, &rules, losses_count);
            assert_eq!(since.is_some(), want, "{durability:?}, {seed}, {losses_count}");
        };
        check(Durability::Fsync, 2, 4, true);
        check(Durability::Interval, 2, 3, true);
        check(Durability::Interval, 1, 4, false);
        check(Durability::Memory, 1, 4, true);
        check(Durability::Memory, 2, 3, false);
    }

    #[test]
    fn a_stream_is_awaited_for_as_long_as_messages_live() {
        for (since, born, want) in
            [(5, 5, true), (5, 4, false), (5, 14, true), (5, 15, false), (u64::MAX, 0, false)]
        {
            assert_eq!(is_awaited(since, born, 10), want, "{since} {born}");
        }
    }
}
