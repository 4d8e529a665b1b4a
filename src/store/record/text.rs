//! Texts of tags in few bytes: those that every message carries are known by a
//! number, and identities in hexadecimal take half their letters.

use super::DecodeError;
use super::fields::{RecordFields, put_number, text};

/// Names that need no letters. Only ever appended to.
const KNOWN: [&str; 3] = ["id", "traceparent", "sent_at_ms"];

/// Letters between the dashes of identities that are packed, by form.
const SHAPES: [(u64, &[usize]); 2] = [(UUID, &[8, 4, 4, 4, 12]), (TRACE, &[2, 32, 16, 2])];

// The lowest two bits of a text's first number; above them is its length, or the
// index among the known names.
const PLAIN: u64 = 0;
const IS_KNOWN: u64 = 1;
const UUID: u64 = 2;
const TRACE: u64 = 3;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Appends a text.
pub fn put_text(to: &mut Vec<u8>, text: &str) {
    if let Some(index) = KNOWN.iter().position(|known| *known == text) {
        return put_number(to, (index as u64) << 2 | IS_KNOWN);
    }
    for (form, shape) in SHAPES {
        if let Some(packed) = pack(text, shape) {
            put_number(to, (packed.len() as u64) << 2 | form);
            return to.extend(packed);
        }
    }
    put_number(to, (text.len() as u64) << 2 | PLAIN);
    to.extend_from_slice(text.as_bytes());
}

/// Reads a text again.
pub fn take_text(from: &mut RecordFields<'_>) -> Result<Box<str>, DecodeError> {
    let number = from.number()?;
    let len = usize::try_from(number >> 2).map_err(|_| DecodeError)?;
    match number & 3 {
        IS_KNOWN => KNOWN.get(len).map(|known| Box::from(*known)).ok_or(DecodeError),
        PLAIN => Ok(text(from.bytes(len)?)?.into()),
        form => {
            let (_, shape) = SHAPES.iter().find(|(shape, _)| *shape == form).ok_or(DecodeError)?;
            unpack(from.bytes(len)?, shape).ok_or(DecodeError)
        }
    }
}

fn pack(text: &str, shape: &[usize]) -> Option<Vec<u8>> {
    if text.len() != shape.iter().sum::<usize>() + shape.len() - 1 {
        return None;
    }
    let mut parts = text.split('-');
    let mut packed = Vec::with_capacity(text.len() / 2);
    for len in shape {
        let part = parts.next().filter(|part| part.len() == *len)?.as_bytes();
        for pair in part.chunks_exact(2) {
            packed.push(digit(pair[0])? << 4 | digit(pair[1])?);
        }
    }
    parts.next().is_none().then_some(packed)
}

fn unpack(packed: &[u8], shape: &[usize]) -> Option<Box<str>> {
    if packed.len() * 2 != shape.iter().sum::<usize>() {
        return None;
    }
    let mut letters = packed
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]));
    let mut text = String::new();
    for (index, len) in shape.iter().enumerate() {
        if 0 < index {
            text.push('-');
        }
        text.extend(letters.by_ref().take(*len));
    }
    Some(text.into())
}

/// Lower case only: what is packed must read back as it was.
fn digit(letter: u8) -> Option<u8> {
    DIGITS.iter().position(|digit| *digit == letter).map(|place| place as u8)
}
