//! Texts that people read: moments, and what strangers wrote.

use crate::base::is_obeyed;
pub(super) use crate::base::plain;

/// A moment as RFC 3339 has it, by the calendar of 400 years with 146,097 days.
pub(super) fn date(unix_ms: u64) -> String {
    const DAY_MS: u64 = 86_400_000;
    let (days, ms) = (unix_ms / DAY_MS, unix_ms % DAY_MS);
    // Years begin with March here, so that the odd day is their last one.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, (month + 2) % 12 + 1);
    let year = era * 400 + year + u64::from(month <= 2);
    let (s, ms) = (ms / 1_000, ms % 1_000);
    let (hour, minute, second) = (s / 3_600, s / 60 % 60, s % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// JSON on one line: between tokens there may be line ends, and in texts everything else
/// that a terminal obeys.
pub(super) fn json_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len() + 1);
    for letter in json.chars() {
        match letter {
            '\n' | '\r' | '\t' => line.push(' '),
            letter if is_obeyed(letter) => {
                line += &format!("\\u{:04x}", u32::from(letter));
            }
            letter => line.push(letter),
        }
    }
    line
}

/// The beginning of what a stranger wrote, as [`plain`] has it, and how much is left out.
pub(super) fn plain_beginning(text: &str, chars_max: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(chars_max) else { return plain(text) };
    let (shown, rest) = text.split_at(end);
    format!("{}… ({} more)", plain(shown), rest.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (unix_ms, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599_001, "2024-12-31T23:59:59.001Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(date(unix_ms), want);
        }
        // Whatever a damaged record says.
        assert!(date(u64::MAX).ends_with('Z'));
    }

    #[test]
    fn what_strangers_wrote_is_cut_at_letters_and_moves_no_cursor() {
        assert_eq!(plain_beginning("小心\u{1b}[2J", 2), "小心… (4 more)");
        assert_eq!(plain_beginning("a\nb\u{202e}c", 5), "a\\nb\\u{202e}c");
        assert_eq!(json_line("{\n\"a\":\"\u{9b}\u{202e}é\"}"), "{ \"a\":\"\\u009b\\u202eé\"}");
    }
}
