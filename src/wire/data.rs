//! Application data on its way in: whether it is JSON, and that it harms no reader.
//!
//! It is looked at once, here, and then handed on by everybody as it is.
//!
//! Deliberately absent: what the data means, a tree of it.

use std::borrow::Cow;

use serde::de::IgnoredAny;

use super::types::{CommandParseError, RawData};
use crate::base::{json_depth, limits};

/// Data that is one valid JSON value. Deeper than `DATA_LEVELS_MAX` it is
/// refused: it would go to parsers that recurse.
pub(super) fn json(bytes: &[u8]) -> Result<RawData<'_>, CommandParseError> {
    within(limits::DATA_LEVELS_MAX, bytes)
}

/// Data that is one valid JSON value and calls a method. It goes to our own readers, which
/// do not recurse; what somebody says by it is `json` on its own.
pub(super) fn call(bytes: &[u8]) -> Result<RawData<'_>, CommandParseError> {
    within(limits::CALL_LEVELS_MAX, bytes)
}

fn within(levels_max: usize, bytes: &[u8]) -> Result<RawData<'_>, CommandParseError> {
    let found = Found::of(bytes);
    if found.opened > levels_max && json_depth(bytes) > levels_max {
        return Err(CommandParseError::Limit);
    }
    // Inside a JSON text they are escaped, so here they separate tokens and
    // mean nothing; left in place they would cut a JSON frame.
    let bytes = if found.has_break {
        Cow::Owned(bytes.iter().map(|&byte| if is_break(byte) { b' ' } else { byte }).collect())
    } else {
        Cow::Borrowed(bytes)
    };
    Ok(RawData { bytes, is_json: true })
}

/// Data of unknown form. JSON that is too deep to be handed on as such stays
/// bytes like any other.
pub(super) fn any(bytes: &[u8]) -> RawData<'_> {
    let data = if is_json(bytes) { json(bytes).ok() } else { None };
    data.unwrap_or(RawData { bytes: Cow::Borrowed(bytes), is_json: false })
}

fn is_json(bytes: &[u8]) -> bool {
    simdutf8::basic::from_utf8(bytes)
        .is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

fn is_break(byte: u8) -> bool {
    byte == b'\n' || byte == b'\r'
}

/// What a fast look at all bytes finds, inside of texts too.
struct Found {
    has_break: bool,
    /// Brackets and braces that open: no fewer than levels.
    opened: usize,
}

impl Found {
    fn of(bytes: &[u8]) -> Found {
        // Short enough for a count in a byte, without an early exit: the
        // compiler looks at many bytes at once.
        const BLOCK_BYTES: usize = 128;
        let mut found = Found { has_break: false, opened: 0 };
        for block in bytes.chunks(BLOCK_BYTES) {
            let (mut breaks, mut opened) = (0_u8, 0_u8);
            for &byte in block {
                breaks |= u8::from(is_break(byte));
                // `[` and `{` differ in this bit only.
                opened += u8::from(byte | 0x20 == b'{');
            }
            found.has_break |= breaks != 0;
            found.opened += usize::from(opened);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_ends_at_its_deepest_level() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let deepest = nested(limits::DATA_LEVELS_MAX);
        let deeper = nested(limits::DATA_LEVELS_MAX + 1);
        assert!(json(deepest.as_bytes()).is_ok() && any(deepest.as_bytes()).is_json);
        assert_eq!(json(deeper.as_bytes()), Err(CommandParseError::Limit));
        assert!(!any(deeper.as_bytes()).is_json);
        // Many, but beside one another.
        let wide = format!("[{}[]]", "{},".repeat(10 * limits::DATA_LEVELS_MAX));
        assert!(json(wide.as_bytes()).is_ok());
        let text = format!("\"{}\"", "[".repeat(10 * limits::DATA_LEVELS_MAX));
        assert!(json(text.as_bytes()).is_ok());
    }

    #[test]
    fn a_line_feed_is_found_at_every_place() {
        for length in [1, 127, 128, 129, 300] {
            for place in 0..length {
                let mut bytes = vec![b' '; length];
                bytes[place] = b'\n';
                assert_eq!(json(&bytes).unwrap().bytes[..], vec![b' '; length]);
            }
        }
    }
}
