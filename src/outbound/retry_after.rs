//! `Retry-After`: for how long somebody who was asked wants to be left alone.
//!
//! It is seconds, with a fraction from some, or a date in any of the three forms of HTTP.
//! A date is counted from the answer's own `Date`, so that it does not matter whose clock is
//! wrong. Deliberately absent: a bound, which is for whoever obeys.

use std::time::{Duration, SystemTime};

/// The milliseconds that it asks for; `None` for what means nothing.
pub(super) fn wait_ms(value: &str, date: Option<&str>, now: SystemTime) -> Option<u64> {
    let value = value.trim();
    if let Some(ms) = seconds_ms(value) {
        return Some(ms);
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let from = date.and_then(|date| httpdate::parse_http_date(date.trim()).ok()).unwrap_or(now);
    let left = until.duration_since(from).unwrap_or(Duration::ZERO);
    Some(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
}

/// Digits, and perhaps a point and digits; more of them than a number has are for ever.
fn seconds_ms(value: &str) -> Option<u64> {
    let (whole, part) = value.split_once('.').unwrap_or((value, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(part) {
        return None;
    }
    let whole_ms = whole.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1_000);
    let part = format!("{part:0<3}");
    Some(whole_ms.saturating_add(part[..3].parse().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_dates_and_nonsense_are_told_apart() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let check = |value: &str, want: Option<u64>| {
            assert_eq!(wait_ms(value, None, now), want, "{value:?}")
        };
        check("0", Some(0));
        check(" 120 ", Some(120_000));
        check("0.25", Some(250));
        check("1.5", Some(1_500));
        check("2.00049", Some(2_000));
        check("99999999999999999999999", Some(u64::MAX));
        check("18446744073709551615", Some(u64::MAX));
        // `now` is 08:49:37 of that day.
        check("Sun, 06 Nov 1994 08:49:57 GMT", Some(20_000));
        check("Sunday, 06-Nov-94 08:49:57 GMT", Some(20_000));
        check("Sun Nov  6 08:49:57 1994", Some(20_000));
        check("Sun, 06 Nov 1994 08:49:17 GMT", Some(0));
        check("Fri, 31 Dec 9999 23:59:59 GMT", Some(252_618_189_022_000));
        for nonsense in [
            "",
            " ",
            "-1",
            "+5",
            "soon",
            "1e9",
            "NaN",
            "5 s",
            "1.",
            ".5",
            "1.5.5",
            "0x10",
            "٣",
            "Sun, 99 Nov 1994 08:49:57 GMT",
            "1994-11-06T08:49:57Z",
        ] {
            check(nonsense, None);
        }
    }

    #[test]
    fn a_date_is_counted_from_the_answers_own() {
        let until = "Sun, 06 Nov 1994 08:49:57 GMT";
        let ours = SystemTime::UNIX_EPOCH;
        assert_eq!(wait_ms(until, Some("Sun, 06 Nov 1994 08:49:27 GMT"), ours), Some(30_000));
        assert_eq!(wait_ms(until, Some("nonsense"), ours), Some(784_111_797_000));
    }
}
