//! Text that does nothing to a terminal, whoever wrote it.

/// What cannot move the cursor, or end the line.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_obeyed(letter) {
            plain.extend(letter.escape_default());
        } else {
            plain.push(letter);
        }
    }
    plain
}

/// Control characters (C0, DEL, C1), separators of lines, and the marks with which text
/// can be shown in another order than it has (Unicode, UAX 9).
pub fn is_obeyed(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
        || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_nothing_else() {
        assert_eq!(plain("日本 é 🦀"), "日本 é 🦀");
        assert_eq!(plain("a\nb\u{1b}[2J\u{9b}\u{7f}"), "a\\nb\\u{1b}[2J\\u{9b}\\u{7f}");
        assert_eq!(plain("\u{61c}\u{202e}\u{2028}\u{2066}"), "\\u{61c}\\u{202e}\\u{2028}\\u{2066}");
    }
}
