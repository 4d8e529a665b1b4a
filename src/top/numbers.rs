//! Numbers as an operator reads them, in few columns.

/// What stands for a number that is not known.
pub(super) const UNKNOWN: &str = "–";

/// How many, with commas.
pub(super) fn count(number: f64) -> String {
    let digits = format!("{:.0}", number.max(0.0));
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if 0 < index && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many a second; of few, a digit behind the point.
pub(super) fn rate(per_s: f64) -> String {
    match per_s {
        0.05..9.95 => format!("{per_s:.1}/s"),
        // Rare, and not never.
        f64::MIN_POSITIVE..0.05 => "<0.1/s".to_owned(),
        more => count(more) + "/s",
    }
}

/// A share of 1.
pub(super) fn percent(share: f64) -> String {
    format!("{:.0}%", 100.0 * share)
}

/// A length of time that is short, with two digits that mean something.
pub(super) fn duration(seconds: f64) -> String {
    let ms = 1e3 * seconds;
    match ms {
        9_950.0.. => format!("{seconds:.0} s"),
        995.0..9_950.0 => format!("{seconds:.1} s"),
        9.95..995.0 => format!("{ms:.0} ms"),
        0.05..9.95 => format!("{ms:.1} ms"),
        next_to_none => format!("{:.0} ms", next_to_none.max(0.0)),
    }
}

/// A length of time that may be long, in its two largest units.
pub(super) fn age(seconds: f64) -> String {
    let s = seconds.max(0.0) as u64;
    let (minutes, hours, days) = (s / 60, s / 3_600, s / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{s}s"),
        (0, 0, _) => format!("{minutes}m {:02}s", s % 60),
        (0, _, _) => format!("{hours}h {:02}m", minutes % 60),
        (_, _, _) => format!("{days}d {:02}h", hours % 24),
    }
}

/// An amount of memory.
pub(super) fn bytes(bytes: f64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1_024.0 {
        return format!("{:.0} B", bytes.max(0.0));
    }
    let mut amount = bytes / 1_024.0;
    let mut unit = 0;
    while 999.5 <= amount && unit + 1 < UNITS.len() {
        (amount, unit) = (amount / 1_024.0, unit + 1);
    }
    let digits = if amount < 9.95 { 1 } else { 0 };
    format!("{amount:.digits$} {}", UNITS[unit])
}

/// A number that may not be known.
pub(super) fn or_unknown(number: Option<f64>, text: impl Fn(f64) -> String) -> String {
    number.map_or_else(|| UNKNOWN.to_owned(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_mean_something() {
        assert_eq!(
            [0.0, 999.0, 1_000.0, 1_234_567.0, -1.0].map(count),
            ["0", "999", "1,000", "1,234,567", "0"]
        );
        assert_eq!(
            [0.0, 0.01, 0.4, 9.94, 9.96, 12_345.6].map(rate),
            ["0/s", "<0.1/s", "0.4/s", "9.9/s", "10/s", "12,346/s"]
        );
        assert_eq!([0.0, 0.954, 1.5].map(percent), ["0%", "95%", "150%"]);
        assert_eq!(
            [0.0, 0.000_25, 0.0123, 0.85, 1.25, 12.4].map(duration),
            ["0 ms", "0.2 ms", "12 ms", "850 ms", "1.2 s", "12 s"]
        );
        assert_eq!(
            [-1.0, 59.9, 61.0, 3_661.0, 90_061.0].map(age),
            ["0s", "59s", "1m 01s", "1h 01m", "1d 01h"]
        );
        assert_eq!(
            [0.0, 1_023.0, 1_024.0, 5e6, 1_048_575_000.0, 3e12].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "4.8 MiB", "1.0 GiB", "2.7 TiB"]
        );
        assert_eq!(
            (or_unknown(None, count), or_unknown(Some(2.0), count)),
            ("–".to_owned(), "2".to_owned())
        );
    }
}
