//! What lies on a disk of a world, read without the engine: keys are rooms, inboxes and offsets
//! in big-endian order.
//!
//! Deliberately absent: what should lie there (`durable_oracle`).

use std::ops::ControlFlow;

use rookery::base::RoomId;
use rookery::store::{Disk, KeyRange, ReadOrder, StoreKeyspace};

use crate::publication::body_of;

const RETRACTED: &[u8] = b"{\"retracted\":true}";

/// What stands at a place on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The message of this number.
    Body(u64),
    /// What is left of one that was taken back.
    Retracted,
    /// Says that the message at this offset was taken back.
    Retraction(u64),
    /// Anything else.
    Unknown,
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
    match body_of(&value[start..]) {
        Some((number, _)) => Content::Body(number),
        None if value.ends_with(RETRACTED) => Content::Retracted,
        None => retraction(&value[start..]).map_or(Content::Unknown, Content::Retraction),
    }
}

fn retraction(data: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(data).ok()?;
    text.strip_prefix("{\"retracted\":")?.strip_suffix('}')?.parse().ok()
}
