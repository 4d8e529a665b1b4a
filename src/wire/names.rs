//! What is a name: channels and epochs as text.

use std::fmt;

use super::types::Epoch;
use crate::base::limits;

/// Whether this can be a channel at all: 1 to `NAME_BYTES_MAX` bytes without
/// control characters. What a namespace demands beyond it is configuration.
pub fn channel_is_valid(name: &str) -> bool {
    (1..=limits::NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
}

impl Epoch {
    /// Length of the textual form in bytes.
    pub const TEXT_BYTES: usize = 8;

    /// What a client sent; `FOREIGN` for all that no stream of ours was called.
    pub fn parse(text: &str) -> Epoch {
        let is_ours = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != Epoch::TEXT_BYTES || !text.as_bytes().iter().all(is_ours) {
            return Epoch::FOREIGN;
        }
        u32::from_str_radix(text, 16).map_or(Epoch::FOREIGN, Epoch)
    }

    /// Lower-case hexadecimal, without allocation.
    pub fn text(self) -> [u8; Epoch::TEXT_BYTES] {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'0'; Epoch::TEXT_BYTES];
        for (index, place) in text.iter_mut().rev().enumerate() {
            *place = HEX[(self.0 >> (index * 4)) as usize & 0xf];
        }
        text
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_reads_back_from_its_text() {
        for epoch in [0, 1, 0x0123_abcd, u32::MAX].map(Epoch) {
            let text = epoch.to_string();
            assert_eq!(text.as_bytes(), epoch.text());
            assert_eq!(Epoch::parse(&text), epoch);
        }
    }

    #[test]
    fn what_is_no_epoch_of_ours_is_foreign() {
        for text in ["", "1", "123456789", "0000000g", "ABCDEF01", "+1234567", "日本ab", "xyz"] {
            assert_eq!(Epoch::parse(text), Epoch::FOREIGN, "{text:?}");
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
