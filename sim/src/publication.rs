//! What the messages of a world say of themselves.
//!
//! Deliberately absent: what a reader concludes from that.

use rookery::wire::client::proto;

/// Whether an epoch is of a room in which nothing was said.
pub fn is_silent(epoch: &str) -> bool {
    epoch.len() == 32
}

/// Whether a message was taken back, and only its place is left.
pub fn is_retracted(publication: &proto::Publication) -> bool {
    publication.tags.contains_key("retracted")
}

/// Of which message this one says that it was taken back.
pub fn retracted_offset(publication: &proto::Publication) -> Option<u64> {
    publication.tags.get("retracts")?.parse().ok()
}

/// The number that a message of a world carries, and the connection it is from.
pub fn body_of(data: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(data).ok()?;
    let (_, numbers) = text.split_once("\"n\":[")?;
    let (number, rest) = numbers.split_once(',')?;
    let (line, _) = rest.split_once(']')?;
    Some((number.parse().ok()?, line.parse().ok()?))
}
