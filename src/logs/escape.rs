//! One event is one line that does nothing to a terminal, whoever wrote what is in it.

use std::fmt::Write as _;

use super::LogFormat;
use crate::base::is_obeyed;

/// A line as it is written: without control characters and what turns the direction of
/// text, at most so long, and with one line feed at its end.
pub(super) fn line(said: &[u8], format: LogFormat, bytes_max: usize) -> String {
    let said = said.strip_suffix(b"\n").unwrap_or(said);
    let text = String::from_utf8_lossy(said);
    let mut line = String::with_capacity(text.len() + 1);
    for letter in text.chars() {
        if bytes_max < line.len() + letter.len_utf8() {
            line.push_str(" (cut)");
            break;
        }
        match letter {
            letter if !is_obeyed(letter) => line.push(letter),
            letter => {
                // Writing to a string does not fail.
                let _ = match format {
                    LogFormat::Text => write!(line, "{}", letter.escape_default()),
                    // None of them lies beyond the first plane.
                    LogFormat::Json => write!(line, "\\u{:04x}", u32::from(letter)),
                };
            }
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(said: &str, text: &str, json: &str) {
        assert_eq!(line(said.as_bytes(), LogFormat::Text, 80), format!("{text}\n"));
        assert_eq!(line(said.as_bytes(), LogFormat::Json, 80), format!("{json}\n"));
    }

    #[test]
    fn what_would_do_something_is_escaped() {
        check("a line\n", "a line", "a line");
        check("日本 é", "日本 é", "日本 é");
        check("a\nb\r", r"a\nb\r", r"a\u000ab\u000d");
        check("\x1b[2J\u{9b}1m\x7f", r"\u{1b}[2J\u{9b}1m\u{7f}", r"\u001b[2J\u009b1m\u007f");
        check("a\u{202e}b\u{2028}", r"a\u{202e}b\u{2028}", r"a\u202eb\u2028");
    }

    #[test]
    fn a_long_line_is_cut_between_letters() {
        let cut = line("日本日本".as_bytes(), LogFormat::Text, 7);
        assert_eq!(cut, "日本 (cut)\n");
        assert_eq!(line(b"\xff\n", LogFormat::Text, 80), "\u{fffd}\n");
    }
}
