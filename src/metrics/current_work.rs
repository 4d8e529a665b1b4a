//! What a core is busy with at this moment: a connection, its client, a room. Written with
//! plain stores before it is handled, so that of a core that does not come back one sees
//! whose message it was.
//!
//! Exact for a core that stands still. Of one that works, parts may belong to two moments
//! that follow each other.
//!
//! Deliberately absent: which room may be named. Who writes gives a hash in place of a name
//! that is that of people.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::flight::FLIGHT_ROOM_BYTES_MAX;
use crate::base::{ClientId, ConnId};

/// No connection: a slot that none has.
const NOBODY: u64 = u64::MAX;

const GENERATION_BITS: u32 = 24;
const SLOT_BITS: u32 = 32;
const WORDS: usize = FLIGHT_ROOM_BYTES_MAX / 8;

/// How a room is there.
const NO_ROOM: u64 = 0;
const NAMED: u64 = 1;
const HASHED: u64 = 2;

/// One writer, any number of readers.
#[derive(Debug)]
pub(super) struct CurrentWorkCell {
    /// Core, slot and generation.
    connection: AtomicU64,
    client: [AtomicU64; 2],
    form: AtomicU64,
    room: [AtomicU64; WORDS],
}

/// What a reader sees of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CurrentWork {
    /// The connection, and its core, which may be another one.
    pub connection: Option<(u16, ConnId)>,
    /// What SDKs call it, if it is of this core and connected.
    pub client: Option<ClientId>,
    /// The first bytes of the room's name, or `~` and its hash.
    pub room: Option<String>,
}

impl CurrentWorkCell {
    pub fn new() -> CurrentWorkCell {
        CurrentWorkCell {
            connection: AtomicU64::new(NOBODY),
            client: array::from_fn(|_| AtomicU64::new(0)),
            form: AtomicU64::new(NO_ROOM),
            room: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Something else follows.
    #[inline]
    pub fn clear(&self) {
        self.connection.store(NOBODY, Relaxed);
        self.form.store(NO_ROOM, Relaxed);
        self.client[1].store(0, Relaxed);
    }

    #[inline]
    pub fn connection(&self, core: u16, id: ConnId) {
        let generation = id.generation & ((1 << GENERATION_BITS) - 1);
        let place = u64::from(core) << SLOT_BITS | u64::from(id.slot);
        self.connection.store(place << GENERATION_BITS | u64::from(generation), Relaxed);
        self.form.store(NO_ROOM, Relaxed);
        self.client[1].store(0, Relaxed);
    }

    #[inline]
    pub fn client(&self, client: ClientId) {
        self.client[0].store(client.0 as u64, Relaxed);
        self.client[1].store((client.0 >> 64) as u64, Relaxed);
    }

    /// The room that comes next; without a name it is there as its hash.
    #[inline]
    pub fn room(&self, name: Option<&str>, hash: u64) {
        let Some(name) = name else {
            self.room[0].store(hash, Relaxed);
            return self.form.store(HASHED, Relaxed);
        };
        let bytes = &name.as_bytes()[..name.floor_char_boundary(FLIGHT_ROOM_BYTES_MAX)];
        for (index, place) in self.room.iter().enumerate() {
            let mut word = [0; 8];
            if let Some(part) = bytes.get(8 * index..) {
                let part = &part[..part.len().min(8)];
                word[..part.len()].copy_from_slice(part);
            }
            place.store(u64::from_le_bytes(word), Relaxed);
        }
        self.form.store(NAMED, Relaxed);
    }

    pub fn read(&self) -> CurrentWork {
        let connection = self.connection.load(Relaxed);
        let slot = (connection >> GENERATION_BITS) as u32;
        let id = ConnId { slot, generation: connection as u32 & ((1 << GENERATION_BITS) - 1) };
        let core = (connection >> (GENERATION_BITS + SLOT_BITS)) as u16;
        let [low, high] = array::from_fn(|index| self.client[index].load(Relaxed));
        let words: [u64; WORDS] = array::from_fn(|index| self.room[index].load(Relaxed));
        let room = match self.form.load(Relaxed) {
            HASHED => Some(format!("~{:016x}", words[0])),
            NAMED => {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                // Of two names that follow each other the parts may be no text.
                Some(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned())
            }
            _ => None,
        };
        CurrentWork {
            connection: (slot != u32::MAX).then_some((core, id)),
            // The high half of an identity has the bits of its version, and is never 0.
            client: (high != 0).then_some(ClientId(u128::from(high) << 64 | u128::from(low))),
            room,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_last_is_read() {
        let current_work = CurrentWorkCell::new();
        assert_eq!(current_work.read(), CurrentWork::default());
        let id = ConnId { slot: 7, generation: 0xff_ffff };
        let client = ClientId::from_random(u128::MAX / 3);
        current_work.connection(255, id);
        current_work.client(client);
        current_work.room(Some("room:1"), 0);
        let all = CurrentWork {
            connection: Some((255, id)),
            client: Some(client),
            room: Some("room:1".to_owned()),
        };
        assert_eq!(current_work.read(), all);
        current_work.room(None, 0xab);
        assert_eq!(current_work.read().room.as_deref(), Some("~00000000000000ab"));
        current_work.connection(0, ConnId { slot: 0, generation: 0 });
        let other = ConnId { slot: 0, generation: 0 };
        let want = CurrentWork { connection: Some((0, other)), ..CurrentWork::default() };
        assert_eq!(current_work.read(), want, "the client and the room were those of another");
        current_work.connection(0, ConnId::NOBODY);
        assert_eq!(current_work.read(), CurrentWork::default());
        current_work.connection(1, id);
        current_work.clear();
        assert_eq!(current_work.read(), CurrentWork::default());
    }

    #[test]
    fn names_are_cut_between_letters() {
        let current_work = CurrentWorkCell::new();
        for (name, want) in [
            ("", ""),
            ("room:12", "room:12"),
            ("room:123", "room:123"),
            ("room:of-twenty-four-byte", "room:of-twenty-four-byte"),
            ("room:of-more-than-twenty-four", "room:of-more-than-twenty"),
            ("room:聊天室聊天室聊天室", "room:聊天室聊天室"),
        ] {
            current_work.room(Some(name), 0);
            assert_eq!(current_work.read().room.as_deref(), Some(want));
        }
    }
}
