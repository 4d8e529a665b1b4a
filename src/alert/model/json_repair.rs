//! Repairs JSON that parsers reject.
//!
//! Deliberately absent: what stands in it (`notification`).

/// JSON without what some writers produce and parsers reject: raw control characters in strings,
/// and lone surrogates.
pub(super) fn repaired(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len());
    let mut chars = text.char_indices();
    let mut is_within = false;
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => is_within = !is_within,
            '\\' if is_within => {
                let escape = &text[at..];
                let bytes = escaped_bytes(escape);
                match is_half(escape) && bytes == HALF_BYTES {
                    true => repaired.push('\u{fffd}'),
                    false => repaired.push_str(&escape[..bytes]),
                }
                while chars.offset() < at + bytes && chars.next().is_some() {}
                continue;
            }
            c if is_within && c.is_ascii_control() => {
                repaired.push(' ');
                continue;
            }
            _ => {}
        }
        repaired.push(c);
    }
    repaired
}

/// Bytes of `\ud800`.
const HALF_BYTES: usize = 6;

/// The value of an escape such as `\ud800`.
fn code_unit(escape: &str) -> Option<u32> {
    u32::from_str_radix(escape.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

fn is_half(escape: &str) -> bool {
    code_unit(escape).is_some_and(|unit| (0xd800..0xe000).contains(&unit))
}

/// Bytes of the escape at the start of a text; for a surrogate pair, of both halves.
fn escaped_bytes(escape: &str) -> usize {
    let is_first = code_unit(escape).is_some_and(|unit| (0xd800..0xdc00).contains(&unit));
    let second = escape.get(HALF_BYTES..).and_then(code_unit);
    if is_first && second.is_some_and(|unit| (0xdc00..0xe000).contains(&unit)) {
        return 2 * HALF_BYTES;
    }
    if is_half(escape) {
        return HALF_BYTES;
    }
    1 + escape.chars().nth(1).map_or(0, char::len_utf8)
}
