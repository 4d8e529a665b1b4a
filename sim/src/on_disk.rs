//! What lies on a disk of a world, read without the engine: keys are rooms, inboxes and offsets
//! in big-endian order.
//!
//! Deliberately absent: what should lie there (`durable_oracle`, `edits`).

use std::ops::ControlFlow;

use rookery::base::RoomId;
use rookery::store::{Disk, KeyRange, ReadOrder, StoreKeyspace};

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
