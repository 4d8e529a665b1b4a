//! Where a dead letter is among all of them, and how pages name that place.
//!
//! Deliberately absent: what a dead letter is.

use super::RoomId;

/// The place of a dead letter: the personal channel of its reader, the conversation, and its
/// offset there. As a text it tells nothing to whoever has no names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLetterPlace {
    /// The reader's personal channel.
    pub inbox: RoomId,
    /// The conversation.
    pub room: RoomId,
    /// The message's offset.
    pub offset: u64,
}

impl DeadLetterPlace {
    /// Letters of its text.
    pub const TEXT_BYTES: usize = 80;

    /// As a text.
    pub fn text(self) -> String {
        let DeadLetterPlace { inbox: RoomId(inbox), room: RoomId(room), offset } = self;
        format!("{inbox:032x}{room:032x}{offset:016x}")
    }

    /// Out of its text.
    pub fn parse(text: &str) -> Option<DeadLetterPlace> {
        let is_digit = |letter: u8| letter.is_ascii_digit() || (b'a'..=b'f').contains(&letter);
        if text.len() != Self::TEXT_BYTES || !text.bytes().all(is_digit) {
            return None;
        }
        let (inbox, rest) = text.split_at(32);
        let (room, offset) = rest.split_at(32);
        let hash = |digits: &str| u128::from_str_radix(digits, 16).ok().map(RoomId);
        let offset = u64::from_str_radix(offset, 16).ok()?;
        Some(DeadLetterPlace { inbox: hash(inbox)?, room: hash(room)?, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written_and_nothing_else_is_one() {
        let place = DeadLetterPlace { inbox: RoomId(1 << 127), room: RoomId(7), offset: u64::MAX };
        let text = place.text();
        assert_eq!(text.len(), DeadLetterPlace::TEXT_BYTES);
        assert_eq!(DeadLetterPlace::parse(&text), Some(place));
        for wrong in ["".to_owned(), "7".repeat(79), "7".repeat(81), "A".repeat(80), "é".repeat(40)]
        {
            assert_eq!(DeadLetterPlace::parse(&wrong), None, "{wrong}");
        }
    }
}
