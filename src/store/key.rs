//! Keys: the order of their bytes is the order of what they name.
//!
//! Rooms and inboxes take 16 bytes, offsets 8, big-endian; a name comes last, so
//! it needs no length, and no byte of UTF-8 is 255, which ends a range of names.

use crate::base::limits::{IDS_MS, NAME_BYTES_MAX};
use crate::base::{RoomId, UserHash};

use super::disk::KeyRange;

const ROOM_BYTES: usize = 16;
const OFFSET_BYTES: usize = 8;
const MESSAGE_BYTES: usize = ROOM_BYTES + OFFSET_BYTES;
/// Bytes of the key of a message that is pending.
pub const PENDING_BYTES: usize = 2 * ROOM_BYTES + OFFSET_BYTES;
const PERIOD_BYTES: usize = 8;
const ID_BYTES: usize = PERIOD_BYTES + MESSAGE_BYTES;
const USER_BYTES: usize = 8;
const REACTION_BYTES: usize = MESSAGE_BYTES + USER_BYTES;

/// The key of the format's number, in `Meta`.
pub const FORMAT: &[u8] = b"format";
/// The key of what names are hashed with, in `Meta`.
pub const NAME_KEY: &[u8] = b"name_key";

/// The key of the time by which things expired last, in `Meta`, in ms since 1970.
pub const RETENTION_CLOCK: &[u8] = b"clock";

/// The key of the boot record, in `Meta`: in which boot was written last, and the losses so far.
pub const BOOT: &[u8] = b"life";

/// What the keys of batches of recent direct messages begin with, in `Meta`.
const RECENT_DIRECT: &[u8] = b"direct";

/// The key of the recent direct messages of a batch.
pub fn recent_direct(number: u64) -> Vec<u8> {
    [RECENT_DIRECT, &number.to_be_bytes()].concat()
}

/// The number of that batch.
pub fn recent_direct_from(key: &[u8]) -> Option<u64> {
    let number = key.strip_prefix(RECENT_DIRECT)?;
    number.try_into().ok().map(u64::from_be_bytes)
}

/// The keys of all of them.
pub fn all_recent_direct() -> KeyRange {
    KeyRange { first: recent_direct(0), last: recent_direct(u64::MAX) }
}

/// What the keys of removed channels begin with, in `Meta`.
const VOID_MESSAGES: &[u8] = b"void";

/// The key of the sequence of the log up to which nothing of a room counts, since its channel was
/// removed there.
pub fn void_messages(room: RoomId) -> Vec<u8> {
    [VOID_MESSAGES, &channel(room)].concat()
}

/// The room of that key.
#[cfg(test)]
pub fn void_messages_from(key: &[u8]) -> Option<RoomId> {
    key.strip_prefix(VOID_MESSAGES).and_then(room_of)
}

/// The keys of all of them.
pub fn all_void_messages() -> KeyRange {
    KeyRange { first: void_messages(RoomId(0)), last: void_messages(RoomId(u128::MAX)) }
}

/// The key of how far the lines of an input are loaded into a channel, in `Meta`.
pub fn load_position(room: RoomId) -> Vec<u8> {
    [b"load", &channel(room)[..]].concat()
}

/// The key of a channel's record.
pub fn channel(room: RoomId) -> [u8; ROOM_BYTES] {
    { room.0 }.to_be_bytes()
}

/// The key of a message.
pub fn message(room: RoomId, offset: u64) -> [u8; MESSAGE_BYTES] {
    let mut key = [0; MESSAGE_BYTES];
    key[..ROOM_BYTES].copy_from_slice(&channel(room));
    key[ROOM_BYTES..].copy_from_slice(&offset.to_be_bytes());
    key
}

/// The keys of messages from one offset to another, both included.
pub fn messages(room: RoomId, first: u64, last: u64) -> KeyRange {
    KeyRange { first: message(room, first).to_vec(), last: message(room, last).to_vec() }
}

/// The key of a user's read markers in a room, or of a channel among an inbox's
/// conversations.
pub fn named(room: RoomId, name: &str) -> Vec<u8> {
    [&channel(room), name.as_bytes()].concat()
}

/// The keys of the names behind `after`; of all but the empty one when that is empty.
pub fn names_behind(room: RoomId, after: &str) -> KeyRange {
    KeyRange {
        first: [&channel(room), after.as_bytes(), &[0]].concat(),
        last: [&channel(room)[..], &[u8::MAX]].concat(),
    }
}

/// The keys of all names of a room.
pub fn names_of(room: RoomId) -> KeyRange {
    KeyRange { first: channel(room).to_vec(), ..names_behind(room, "") }
}

/// The key of a message that is pending, or a dead letter.
pub fn pending(inbox: RoomId, room: RoomId, offset: u64) -> [u8; PENDING_BYTES] {
    let mut key = [0; PENDING_BYTES];
    key[..ROOM_BYTES].copy_from_slice(&channel(inbox));
    key[ROOM_BYTES..].copy_from_slice(&message(room, offset));
    key
}

/// The keys of one room's pending messages in an inbox, both offsets included.
pub fn pending_of(inbox: RoomId, room: RoomId, first: u64, last: u64) -> KeyRange {
    KeyRange {
        first: pending(inbox, room, first).to_vec(),
        last: pending(inbox, room, last).to_vec(),
    }
}

/// The keys of all pending messages in an inbox, behind a message.
pub fn pending_behind(inbox: RoomId, after: Option<(RoomId, u64)>) -> KeyRange {
    let first = match after {
        None => pending(inbox, RoomId(0), 0).to_vec(),
        Some((room, offset)) => behind(&pending(inbox, room, offset)),
    };
    KeyRange { first, last: pending(inbox, RoomId(u128::MAX), u64::MAX).to_vec() }
}

/// The keys of dead letters behind a place, of one inbox or of all.
pub fn dead_behind(inbox: Option<RoomId>, after: Option<(RoomId, RoomId, u64)>) -> KeyRange {
    let all = match inbox {
        Some(inbox) => pending_behind(inbox, None),
        None => KeyRange {
            first: pending(RoomId(0), RoomId(0), 0).to_vec(),
            last: pending(RoomId(u128::MAX), RoomId(u128::MAX), u64::MAX).to_vec(),
        },
    };
    let first = after.map(|(inbox, room, offset)| behind(&pending(inbox, room, offset)));
    KeyRange { first: all.first.max(first.unwrap_or_default()), last: all.last }
}

/// The period in which a message is said. Ids of a period are read with those of the
/// next, and go when that is over: so what is over stands before everything else.
pub fn period(time_unix_ms: u64) -> u64 {
    time_unix_ms / IDS_MS
}

/// The key of the id that an author gave to a message.
pub fn id(period: u64, room: RoomId, offset: u64) -> [u8; ID_BYTES] {
    let mut key = [0; ID_BYTES];
    key[..PERIOD_BYTES].copy_from_slice(&period.to_be_bytes());
    key[PERIOD_BYTES..].copy_from_slice(&message(room, offset));
    key
}

/// The keys of all ids from one place on.
pub fn ids_from(period: u64, room: RoomId, offset: u64) -> KeyRange {
    let last = id(u64::MAX, RoomId(u128::MAX), u64::MAX).to_vec();
    KeyRange { first: id(period, room, offset).to_vec(), last }
}

/// The keys of all ids behind a key, up to and with a period.
pub fn ids_up_to(after: &[u8], period: u64) -> KeyRange {
    let last = id(period, RoomId(u128::MAX), u64::MAX).to_vec();
    KeyRange { first: rest(after).first, last }
}

/// The key of what a user reacted to a message with.
pub fn reaction(room: RoomId, offset: u64, user: UserHash) -> [u8; REACTION_BYTES] {
    let mut key = [0; REACTION_BYTES];
    key[..MESSAGE_BYTES].copy_from_slice(&message(room, offset));
    key[MESSAGE_BYTES..].copy_from_slice(&user.bits().to_be_bytes());
    key
}

/// The keys of all reactions to a message.
pub fn reactions_to(room: RoomId, offset: u64) -> KeyRange {
    let message = message(room, offset);
    let last = [&message[..], &[u8::MAX; USER_BYTES]].concat();
    KeyRange { first: message.to_vec(), last }
}

/// Everything of a space behind a key; all of it when that is empty.
pub fn rest(after: &[u8]) -> KeyRange {
    let first = if after.is_empty() { Vec::new() } else { behind(after) };
    // One byte more than any key has.
    KeyRange { first, last: vec![u8::MAX; ROOM_BYTES + NAME_BYTES_MAX + PENDING_BYTES] }
}

/// The room of a channel's key.
pub fn room_of(key: &[u8]) -> Option<RoomId> {
    Some(RoomId(u128::from_be_bytes(key.try_into().ok()?)))
}

/// Room and offset of a message's key.
pub fn message_of(key: &[u8]) -> Option<(RoomId, u64)> {
    let (room, offset) = key.split_at_checked(ROOM_BYTES)?;
    Some((room_of(room)?, u64::from_be_bytes(offset.try_into().ok()?)))
}

/// Inbox, room and offset of what is pending, or a dead letter.
pub fn pending_from(key: &[u8]) -> Option<(RoomId, RoomId, u64)> {
    let (inbox, message) = key.split_at_checked(ROOM_BYTES)?;
    let (room, offset) = message_of(message)?;
    Some((room_of(inbox)?, room, offset))
}

/// Period, room and offset of an id.
pub fn id_from(key: &[u8]) -> Option<(u64, RoomId, u64)> {
    let (period, message) = key.split_at_checked(PERIOD_BYTES)?;
    let (room, offset) = message_of(message)?;
    Some((u64::from_be_bytes(period.try_into().ok()?), room, offset))
}

/// Room and offset of the message of a reaction's key.
pub fn reaction_from(key: &[u8]) -> Option<(RoomId, u64)> {
    let (message, user) = key.split_at_checked(MESSAGE_BYTES)?;
    message_of(message).filter(|_| user.len() == USER_BYTES)
}

/// Room and name of a `named` key.
pub fn name_of(key: &[u8]) -> Option<(RoomId, &str)> {
    let (room, name) = key.split_at_checked(ROOM_BYTES)?;
    let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= NAME_BYTES_MAX)?;
    Some((room_of(room)?, name))
}

fn behind(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: RoomId = RoomId(7);
    const B: RoomId = RoomId(u128::MAX - 7);

    #[test]
    fn keys_read_back_and_their_order_is_that_of_what_they_name() {
        let places = [(A, 0), (A, 1), (A, 256), (A, u64::MAX), (B, 0), (B, 255)];
        for pair in places.windows(2) {
            let [(room, offset), next] = [pair[0], pair[1]];
            assert!(message(room, offset) < message(next.0, next.1));
            assert!(pending(A, room, offset) < pending(A, next.0, next.1));
            assert!(pending(A, room, offset) < pending(B, room, offset));
            assert_eq!(message_of(&message(room, offset)), Some((room, offset)));
            assert_eq!(pending_from(&pending(B, room, offset)), Some((B, room, offset)));
        }
        for pair in [(2, B, 9), (3, A, 0), (3, A, 1), (3, B, 0), (256, A, 0)].windows(2) {
            let [(period, room, offset), next] = [pair[0], pair[1]];
            assert!(id(period, room, offset) < id(next.0, next.1, next.2));
            assert_eq!(id_from(&id(period, room, offset)), Some((period, room, offset)));
            let key = reaction(room, offset, UserHash::of_inbox(A));
            assert_eq!(reaction_from(&key), Some((room, offset)));
        }
        assert_eq!(room_of(&channel(B)), Some(B));
        assert_eq!(name_of(&named(A, "ann")), Some((A, "ann")));
        assert_eq!(name_of(&named(A, "")), Some((A, "")));
    }

    #[test]
    fn ranges_hold_what_they_say_and_nothing_else() {
        let holds =
            |range: &KeyRange, key: &[u8]| range.first[..] <= *key && *key <= range.last[..];
        let names = names_behind(A, "bob");
        for (name, want) in [("bo", false), ("bob", false), ("boba", true), ("\u{10ffff}", true)] {
            assert_eq!(holds(&names, &named(A, name)), want, "{name}");
            assert!(!holds(&names, &named(B, name)));
        }
        let waiting = pending_behind(A, Some((A, 5)));
        assert!(!holds(&waiting, &pending(A, A, 5)) && holds(&waiting, &pending(A, A, 6)));
        assert!(holds(&waiting, &pending(A, B, 0)) && !holds(&waiting, &pending(B, A, 0)));
        assert!(holds(&pending_behind(A, None), &pending(A, RoomId(0), 0)));
        let reactions = reactions_to(A, 5);
        for user in [A, B] {
            let user = UserHash::of_inbox(user);
            assert!(holds(&reactions, &reaction(A, 5, user)));
            for (room, offset) in [(A, 4), (A, 6), (B, 5)] {
                assert!(!holds(&reactions, &reaction(room, offset, user)));
            }
        }
        assert!(holds(&rest(&[]), &named(RoomId(u128::MAX), &"\u{10ffff}".repeat(63))));
        assert!(!holds(&rest(&channel(A)), &channel(A)) && holds(&rest(&channel(A)), &channel(B)));
    }

    #[test]
    fn what_is_no_key_is_none() {
        for len in 0..64 {
            let bytes = vec![0xff; len];
            assert_eq!(room_of(&bytes).is_some(), len == 16);
            assert_eq!(message_of(&bytes).is_some(), len == 24);
            assert_eq!(pending_from(&bytes).is_some(), len == 40);
            assert_eq!(id_from(&bytes).is_some(), len == 32);
            assert_eq!(reaction_from(&bytes).is_some(), len == 32);
            assert_eq!(name_of(&bytes).is_some(), len == 16, "255 is no UTF-8");
        }
        assert_eq!(name_of(&[b'a'; 16 + 256]), None);
    }
}
