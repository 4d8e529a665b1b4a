//! What is a name: channels and epochs as text.

use std::fmt;

use smallvec::SmallVec;

use super::types::{Epoch, EpochSeal, Position, WrittenEpoch};
use crate::base::limits;

/// The namespace of personal channels; also the prefix of their names.
pub const INBOX_NAMESPACE: &str = "@";

/// Whether this can be a channel at all: 1 to `NAME_BYTES_MAX` bytes without
/// control characters. What a namespace demands beyond it is configuration.
pub fn channel_is_valid(name: &str) -> bool {
    (1..=limits::NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

/// Letters in the textual form of a stream's epoch, and of a silent channel's.
const STREAM_LETTERS: usize = 8;
const SILENT_LETTERS: usize = 32;

impl Epoch {
    /// What a client sent; `FOREIGN` for all that no stream of ours was called.
    pub fn parse(text: &str) -> Epoch {
        let is_ours = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if !text.as_bytes().iter().all(is_ours) {
            return Epoch::FOREIGN;
        }
        let epoch = u128::from_str_radix(text, 16).map_or(Epoch::FOREIGN, Epoch);
        let letters = if epoch.is_stream() { STREAM_LETTERS } else { SILENT_LETTERS };
        if text.len() == letters && epoch != Epoch::ANY { epoch } else { Epoch::FOREIGN }
    }

    /// Lower-case hexadecimal, without allocation.
    pub fn text(self) -> SmallVec<[u8; SILENT_LETTERS]> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let letters = if self.is_stream() { STREAM_LETTERS } else { SILENT_LETTERS };
        let nibbles = (0..letters).rev();
        nibbles.map(|index| HEX[(self.0 >> (index * 4)) as usize & 0xf]).collect()
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters = if self.is_stream() { STREAM_LETTERS } else { SILENT_LETTERS };
        write!(f, "{:0letters$x}", self.0)
    }
}

impl Position {
    /// Whether a client writes this for the beginning of whichever stream there is.
    pub fn is_beginning(offset: u64, epoch: &str) -> bool {
        offset == 0 && epoch.is_empty()
    }

    /// What a client wrote who may read from any position.
    pub fn read(offset: u64, epoch: &str) -> Position {
        let is_beginning = Position::is_beginning(offset, epoch);
        let epoch = if is_beginning { Epoch::ANY } else { Epoch::parse(epoch) };
        Position { offset, epoch }
    }
}

impl WrittenEpoch {
    /// What a client sent. What is no seal in the one form that we write makes the whole
    /// foreign.
    pub fn parse(text: &str) -> WrittenEpoch {
        let seal_of = |from: &str, tag: &str| {
            let seal = EpochSeal {
                from: u64::from_str_radix(from, 16).ok()?,
                tag: u128::from_str_radix(tag, 16).ok()?,
            };
            (seal.to_string() == format!(".{from}.{tag}")).then_some(seal)
        };
        let mut parts = text.rsplitn(3, '.');
        let (tag, from, epoch) = (parts.next(), parts.next(), parts.next());
        let (Some(tag), Some(from), Some(epoch)) = (tag, from, epoch) else {
            return WrittenEpoch { epoch: Epoch::parse(text), seal: None };
        };
        let seal = seal_of(from, tag);
        let epoch = seal.map_or(Epoch::FOREIGN, |_| Epoch::parse(epoch));
        WrittenEpoch { epoch, seal }
    }
}

impl fmt::Display for EpochSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ".{:x}.{:032x}", self.from, self.tag)
    }
}

/// The epoch of a position as a client is told it.
pub(super) fn told_epoch(epoch: Epoch, seal: Option<EpochSeal>) -> SmallVec<[u8; 64]> {
    let mut text = SmallVec::from_slice(&epoch.text());
    if let Some(seal) = seal {
        text.extend_from_slice(seal.to_string().as_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::SilentEpoch;

    #[test]
    fn an_epoch_reads_back_from_its_text() {
        let silent = Epoch::from(SilentEpoch { since_unix_ms: 1_700_000_000_000, seal: 5 });
        assert_eq!(silent.to_string(), "018bcfe5680000000000000000000005");
        let streams = [0, 1, 0x0123_abcd, u32::MAX.into()].map(Epoch);
        for epoch in streams.into_iter().chain([silent, Epoch(u128::MAX - 1), Epoch(1 << 32)]) {
            let text = epoch.to_string();
            assert_eq!(text.as_bytes(), &epoch.text()[..]);
            assert_eq!(Epoch::parse(&text), epoch);
        }
    }

    #[test]
    fn a_sealed_epoch_reads_back_from_its_one_text() {
        let epoch = Epoch(0x0123_abcd);
        for (from, tag) in [(0, 0), (1, 2), (u64::MAX, u128::MAX), (0xabc, 1 << 100)] {
            let seal = Some(EpochSeal { from, tag });
            let text = String::from_utf8(told_epoch(epoch, seal).to_vec()).unwrap();
            assert_eq!(WrittenEpoch::parse(&text), WrittenEpoch { epoch, seal }, "{text}");
            assert!(text.len() <= 64, "{text}");
            for other in [text.to_uppercase(), format!("{text}0"), text.replacen('.', ".0", 1)] {
                assert_eq!(WrittenEpoch::parse(&other).epoch, Epoch::FOREIGN, "{other}");
            }
        }
        assert_eq!(&told_epoch(epoch, None)[..], b"0123abcd");
        let bare = WrittenEpoch { epoch, seal: None };
        assert_eq!(WrittenEpoch::parse("0123abcd"), bare);
        for text in ["", ".", "..", "...", "0123abcd.", "0123abcd..", "0123abcd.+1.0", "\u{301}.."]
        {
            assert_eq!(WrittenEpoch::parse(text).epoch, Epoch::FOREIGN, "{text}");
        }
    }

    #[test]
    fn what_is_no_epoch_of_ours_is_foreign() {
        for text in ["", "1", "123456789", "0000000g", "ABCDEF01", "+1234567", "日本ab", "xyz"] {
            assert_eq!(Epoch::parse(text), Epoch::FOREIGN, "{text:?}");
        }
        // A number that has a shorter form, and one of more bits.
        for text in [format!("{:032x}", 7), "f".repeat(33), format!("{:033x}", 1u128 << 100)] {
            assert_eq!(Epoch::parse(&text), Epoch::FOREIGN, "{text:?}");
        }
    }

    #[test]
    fn a_channel_has_1_to_255_bytes_and_no_control_characters() {
        let longest = "x".repeat(limits::NAME_BYTES_MAX);
        for name in ["a", "room:1", "@user", "dm#a,b", "日本", "a b", &longest] {
            assert!(channel_is_valid(name), "{name:?}");
        }
        let longer = "x".repeat(limits::NAME_BYTES_MAX + 1);
        for name in ["", "a\nb", "\0", "\u{7f}", "\u{85}", &longer] {
            assert!(!channel_is_valid(name), "{name:?}");
        }
    }
}
