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

/// The message that this one says was taken back.
pub fn retracted_offset(publication: &proto::Publication) -> Option<u64> {
    publication.tags.get("retracts")?.parse().ok()
}

/// Which message this one says got other words, whether or not it says them.
pub fn edited_offset(publication: &proto::Publication) -> Option<u64> {
    publication.tags.get("edits")?.parse().ok()
}

/// Whether an edit says no words any more.
pub fn is_superseded(publication: &proto::Publication) -> bool {
    publication.tags.contains_key("superseded")
}

/// Where the edit stands whose words a message has.
pub fn edit_offset(publication: &proto::Publication) -> Option<u64> {
    publication.tags.get("edit_offset")?.parse().ok()
}

/// Words of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Words {
    /// The message.
    pub number: u64,
    /// Which they are: 0 for the first ones.
    pub version: u64,
}

/// The words of a message of a world, or of an edit of one.
pub fn words_of(data: &[u8]) -> Option<Words> {
    let (number, _) = body_of(data)?;
    let text = std::str::from_utf8(data).ok()?;
    let version = text.split_once("\"v\":").and_then(|(_, rest)| rest.split_once(','));
    let version = version.map_or(Some(0), |(version, _)| version.parse().ok())?;
    Some(Words { number, version })
}

/// The number that a message of a world carries, and the connection it is from.
pub fn body_of(data: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(data).ok()?;
    let (_, numbers) = text.split_once("\"n\":[")?;
    let (number, rest) = numbers.split_once(',')?;
    let (line, _) = rest.split_once(']')?;
    Some((number.parse().ok()?, line.parse().ok()?))
}
