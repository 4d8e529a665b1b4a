//! Escapes texts of strangers for chats.
//!
//! Invariant: what comes out of `of_stranger` and `of_operator` holds no character
//! that any of the robots' mark-ups gives a meaning, no control or format
//! character, and one line.

/// Replaces a character that is not allowed.
const DOT: char = '·';

/// The text up to `bytes_max`, never within a character.
pub fn cut_bytes(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// What a peer of the server chose (a room, a user agent): a dot for all that could
/// be mark-up. It belongs in a code span, where nothing becomes a link by itself.
pub fn of_stranger(text: &str, chars_max: usize) -> String {
    neutral(text, chars_max, |_| DOT)
}

/// What rules and labels say: look-alikes without a meaning, so that it stays legible.
pub fn of_operator(text: &str, chars_max: usize) -> String {
    neutral(text, chars_max, |mark| {
        // The full-width forms of ASCII lie at one distance.
        char::from_u32(u32::from(mark) + 0xfee0).unwrap_or(DOT)
    })
}

/// A link that stays within its brackets; `None` for what is no link to a web page.
pub fn link(text: &str) -> Option<String> {
    const BYTES_MAX: usize = 2_048;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    if rest.is_empty() || rest.starts_with('/') || text.len() > BYTES_MAX {
        return None;
    }
    let mut link = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&+,;=%".contains(&byte);
        match plain {
            true => link.push(char::from(byte)),
            false => link.push_str(&format!("%{byte:02X}")),
        }
    }
    // An `@` before the path would let a link look as if it led elsewhere.
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    (!host.contains('@')).then_some(link)
}

fn neutral(text: &str, chars_max: usize, stand_in: impl Fn(char) -> char) -> String {
    let mut out = String::new();
    let mut chars = text.trim().chars().filter(|&c| !is_format(c)).peekable();
    let mut count = 0;
    while let Some(c) = chars.next() {
        if count == chars_max {
            out.push('…');
            break;
        }
        count += 1;
        out.push(match c {
            // `http://…` must not become a link by itself.
            ':' if chars.peek() == Some(&'/') => stand_in(':'),
            c if c.is_control() || is_line_end(c) => ' ',
            c if is_mark(c) => stand_in(c),
            c => c,
        });
    }
    out
}

/// Has a meaning in the mark-up of WeCom, DingTalk, Slack or HTML.
fn is_mark(c: char) -> bool {
    matches!(
        c,
        '<' | '>' | '[' | ']' | '(' | ')' | '`' | '*' | '_' | '#' | '@' | '|' | '~' | '&' | '\\'
    )
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

/// Invisible, or changes the direction or the look of its neighbours: Unicode's Cf,
/// variation selectors, tags, and marks that pile up on the character before.
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe20}'..='\u{fe2f}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn marks_of_strangers_become_dots_and_those_of_operators_look_alikes() {
        #[track_caller]
        fn check(text: &str, want_stranger: &str, want_operator: &str) {
            assert_eq!(of_stranger(text, 60), want_stranger);
            assert_eq!(of_operator(text, 60), want_operator);
        }
        check("<@all>[x](http://e)", "··all··x··http·//e·", "＜＠all＞［x］（http：//e）");
        check("a\r\nb\tc\u{2028}d\0e", "a  b c d e", "a  b c d e");
        check("job=chat_server", "job=chat·server", "job=chat＿server");
        check("\u{202e}evil\u{2066}\u{200b}", "evil", "evil");
        check("z\u{301}\u{302}\u{303}algo", "zalgo", "zalgo");
        check("`a` &lt;b&gt; \\*", "·a· ·lt;b·gt; ··", "｀a｀ ＆lt;b＆gt; ＼＊");
        check("核心 3 停了", "核心 3 停了", "核心 3 停了");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(of_stranger(&"é".repeat(9), 4), "éééé…");
        assert_eq!(of_stranger("abcd", 4), "abcd");
        assert_eq!((cut_bytes("aé", 2), cut_bytes("aé", 3), cut_bytes("aé", 9)), ("a", "aé", "aé"));
    }

    #[test]
    fn links_lead_where_they_seem_to_and_stay_in_their_brackets() {
        assert_eq!(link("https://g/d?x=a b)"), Some("https://g/d?x=a%20b%29".to_owned()));
        assert_eq!(link("http://g/]<é>"), Some("http://g/%5D%3C%C3%A9%3E".to_owned()));
        assert_eq!(link("http://g/a@b"), Some("http://g/a@b".to_owned()));
        for not in ["", "javascript:alert(1)", "ftp://x", "http://", "http:///x", "http://a@b/"] {
            assert_eq!(link(not), None, "{not}");
        }
        assert_eq!(link(&format!("http://{}", "a".repeat(3_000))), None);
    }

    proptest! {
        #[test]
        fn nothing_with_a_meaning_comes_through(text in ".{0,200}", max in 0usize..100) {
            for out in [of_stranger(&text, max), of_operator(&text, max)] {
                prop_assert!(!out.chars().any(|c| is_mark(c) || is_format(c) || c.is_control()));
                prop_assert!(!out.contains("://"));
                prop_assert!(out.chars().count() <= max + 1);
            }
        }

        #[test]
        fn links_hold_no_mark(text in "https?://.{0,200}") {
            if let Some(link) = link(&text) {
                prop_assert!(!link.contains(['<', '>', '[', ']', '(', ')', '`', '*', '|', '\\', ' ', '\n']));
                prop_assert!(link.is_ascii());
            }
        }
    }
}
