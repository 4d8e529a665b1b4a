//! What lies on a disk of a world, read without the engine: keys are rooms, inboxes and offsets
//! in big-endian order.
//!
//! Deliberately absent: what should lie there (`durable_oracle`, `edits`).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use rookery::base::RoomId;
use rookery::store::{Disk, KeyRange, ReadMarkers, ReadOrder, StoreKeyspace};

use crate::publication::{Words, words_of};

const RETRACTED: &[u8] = b"{\"retracted\":true}";

/// Only what says new words has a tag of this name.
const EDITS_TAG: &[u8] = b"edits_time";

/// What a message on disk says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The words of a message.
    Body(Words),
    /// It was taken back.
    Retracted,
    /// Says that the message at this offset was taken back.
    Retraction(u64),
    /// Says that a message has these words from then on.
    Edit(Words),
    /// Said so of the message at this offset, and says nothing any more.
    Superseded(u64),
    /// What nobody says.
    Unknown,
}

/// What is on a disk.
#[derive(Debug, Default)]
pub struct OnDisk {
    /// What each message says, by room and offset.
    pub messages: BTreeMap<RoomId, BTreeMap<u64, Content>>,
    /// How far users are, by room.
    pub markers: BTreeMap<RoomId, BTreeMap<String, ReadMarkers>>,
    /// Direct messages that wait: inbox, room and offset.
    pub pending: BTreeSet<(RoomId, RoomId, u64)>,
    /// Dead letters, in the same way.
    pub dead: BTreeSet<(RoomId, RoomId, u64)>,
}

impl OnDisk {
    /// All of it.
    pub fn read(disk: &impl Disk) -> OnDisk {
        let mut found = OnDisk::default();
        for (key, value) in entries(disk, StoreKeyspace::Messages) {
            let (room, offset) = (room_at(&key, 0), offset_at(&key, 16));
            found.messages.entry(room).or_default().insert(offset, content_of(&value));
        }
        // What was removed by order lies there until it is deleted, and is not shown.
        for (key, value) in entries(disk, StoreKeyspace::Channels) {
            if let Some(messages) = found.messages.get_mut(&room_at(&key, 0)) {
                *messages = messages.split_off(&first_of(&value));
            }
        }
        for (key, value) in entries(disk, StoreKeyspace::Markers) {
            let user = String::from_utf8_lossy(&key[16..]).into_owned();
            found.markers.entry(room_at(&key, 0)).or_default().insert(user, markers(&value));
        }
        let waiting =
            |(key, _): (Vec<u8>, _)| (room_at(&key, 0), room_at(&key, 16), offset_at(&key, 32));
        found.pending = entries(disk, StoreKeyspace::Pending).into_iter().map(waiting).collect();
        found.dead = entries(disk, StoreKeyspace::Dead).into_iter().map(waiting).collect();
        found
    }

    /// Whether a direct message waits for the user of this inbox.
    pub fn waits_for(&self, inbox: RoomId) -> bool {
        self.pending.iter().any(|(to, _, _)| *to == inbox)
    }

    /// The last offset of a room, if anything was said there.
    pub fn head(&self, room: RoomId) -> Option<u64> {
        self.messages.get(&room)?.last_key_value().map(|(last, _)| *last)
    }
}

/// All entries of a space, by key.
pub fn entries(disk: &impl Disk, space: StoreKeyspace) -> Vec<(Vec<u8>, Vec<u8>)> {
    let range = KeyRange { first: Vec::new(), last: vec![u8::MAX; 512] };
    let mut all = Vec::new();
    disk.scan(space, &range, ReadOrder::OldestFirst, &mut |key, value| {
        all.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    })
    .expect("nothing is damaged");
    all
}

/// The room in a key.
pub fn room_at(key: &[u8], at: usize) -> RoomId {
    RoomId(u128::from_be_bytes(key[at..at + 16].try_into().expect("16 bytes")))
}

/// The offset in a key, or another number of its length.
pub fn offset_at(key: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(key[at..at + 8].try_into().expect("8 bytes"))
}

/// What a message's record says.
pub fn content_of(value: &[u8]) -> Content {
    let start = value.iter().rposition(|&byte| byte == b'{').unwrap_or(0);
    let data = &value[start..];
    let is_edit = value.windows(EDITS_TAG.len()).any(|some| some == EDITS_TAG);
    match words_of(data) {
        Some(words) if is_edit => Content::Edit(words),
        Some(words) => Content::Body(words),
        None if value.ends_with(RETRACTED) => Content::Retracted,
        None => {
            let target = |name| target(data, name);
            let retraction = target("retracted").map(Content::Retraction);
            let superseded = target("edited").map(Content::Superseded);
            retraction.or(superseded).unwrap_or(Content::Unknown)
        }
    }
}

/// The offset that `{"name":7}` says.
fn target(data: &[u8], name: &str) -> Option<u64> {
    let text = std::str::from_utf8(data).ok()?.strip_prefix("{\"")?;
    text.strip_prefix(name)?.strip_prefix("\":")?.strip_suffix('}')?.parse().ok()
}

/// A version, and two numbers.
fn markers(value: &[u8]) -> ReadMarkers {
    let [delivered, read] = numbers(&value[1..]);
    ReadMarkers { delivered, read }
}

/// The first offset that a channel shows: behind a version, an epoch of four bytes, and when and
/// after how many losses its record was begun.
fn first_of(value: &[u8]) -> u64 {
    let [_, _, first] = numbers(&value[5..]);
    first
}

/// Numbers of seven bits a byte.
fn numbers<const COUNT: usize>(bytes: &[u8]) -> [u64; COUNT] {
    let mut numbers = [0u64; COUNT];
    let mut bytes = bytes.iter();
    for number in &mut numbers {
        for (shift, byte) in (0..).step_by(7).zip(&mut bytes) {
            *number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    numbers
}
