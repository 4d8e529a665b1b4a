//! Formats times, durations and numbers for people.
//!
//! Deliberately absent: clocks, and time zones other than an offset.

use time::OffsetDateTime;

use crate::alert::options::Language;

/// Most characters of a label, and of a name.
pub(super) const LABEL_CHARS_MAX: usize = 120;
pub(super) const NAME_CHARS_MAX: usize = 100;

pub(super) fn local_time(unix_ms: u64, offset_minutes: i32) -> String {
    let local_s = (unix_ms / 1_000) as i64 + i64::from(offset_minutes) * 60;
    let Ok(time) = OffsetDateTime::from_unix_timestamp(local_s) else {
        return "-".to_owned();
    };
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    format!("{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02}", u8::from(month))
}

pub(super) fn duration(ms: u64, language: Language) -> String {
    let seconds = ms / 1_000;
    let units = match language {
        Language::En => ["d", "h", "m", "s"],
        Language::Zh => ["天", "小时", "分", "秒"],
    };
    let amounts = [seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60];
    let first = amounts.iter().position(|amount| *amount > 0).unwrap_or(3);
    let shown = amounts.iter().zip(units).skip(first).take(2);
    let words: Vec<String> = shown.map(|(amount, unit)| format!("{amount}{unit}")).collect();
    words.join(if language == Language::En { " " } else { "" })
}

/// A number with four significant digits.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-3..1e9).contains(&size) {
        return format!("{value:.3e}");
    }
    let digits = if size >= 1_000.0 {
        0
    } else if size >= 10.0 {
        1
    } else {
        4
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}
