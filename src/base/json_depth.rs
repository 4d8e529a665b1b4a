//! How deep JSON is nested, which is bounded wherever it is handed on to parsers that recurse.
//!
//! Deliberately absent: whether it is JSON at all.

/// How deep the arrays and objects of valid JSON go.
pub fn json_depth(json: &[u8]) -> usize {
    let (mut level, mut deepest) = (0_usize, 0);
    let mut is_text = false;
    let mut bytes = json.iter();
    while let Some(&byte) = bytes.next() {
        if byte == b'"' {
            is_text = !is_text;
        } else if byte == b'\\' {
            // An escape stands in a text only; what it escapes is no quote.
            bytes.next();
        } else if !is_text && (byte == b'[' || byte == b'{') {
            level += 1;
            deepest = deepest.max(level);
        } else if !is_text && (byte == b']' || byte == b'}') {
            level = level.saturating_sub(1);
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_counted_outside_of_texts() {
        for (text, expected) in [
            ("1", 0),
            ("[]", 1),
            ("[[],{},[{}]]", 3),
            (r#"{"[[[":"]\"[{","a\\":[1]}"#, 2),
            (r#"["\\\"[[["]"#, 1),
        ] {
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(), "{text}");
            assert_eq!(json_depth(text.as_bytes()), expected, "{text}");
        }
    }
}
