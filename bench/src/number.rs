//! How numbers are shown to people.
//!
//! Deliberately absent: units, which stand in a heading or at an axis.

/// Four digits that count, with separators for thousands.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v < 1.0 => 4,
        v if v < 10.0 => 3,
        v if v < 100.0 => 2,
        v if v < 1_000.0 => 1,
        _ => return grouped(value.round() as i64),
    };
    let text = format!("{value:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn grouped(value: i64) -> String {
    let plain = value.to_string();
    let mut text = String::new();
    for (index, digit) in plain.chars().enumerate() {
        if 0 < index && (plain.len() - index).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let check = |value: f64, text: &str| assert_eq!(number(value), text);
        check(0.03, "0.03");
        check(1.1, "1.1");
        check(12.345, "12.35");
        check(450.0, "450");
        check(1_957.0, "1,957");
        check(6e6, "6,000,000");
        check(-123_456.0, "-123,456");
        check(0.0, "0");
    }
}
