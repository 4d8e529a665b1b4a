//! A refused message as a line or a page for people, or as a JSON object.
//!
//! Invariants: no line has a character that a terminal obeys, whatever stands in an alert,
//! and what people read has an end; programs get all of it.

use serde_json::Value;

use crate::cli::text::{date, json_line, plain_beginning};

/// Characters of a text in the list.
const LISTED_CHARS_MAX: usize = 100;

/// Characters of a text on the page of one message; as many as on the bridge's own page.
const SHOWN_CHARS_MAX: usize = 2_000;

/// Labels, and annotations, of an alert on that page.
const SHOWN_PAIRS_MAX: usize = 500;

/// For whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageFormat {
    /// People.
    Text,
    /// Programs: an object on each line.
    Json,
}

/// With which bridge has it.
pub(super) fn json(bridge: &str, message: &Value) -> String {
    let mut message = message.clone();
    if let Value::Object(fields) = &mut message {
        fields.insert("bridge".to_owned(), Value::from(bridge));
    }
    json_line(&message.to_string())
}

/// One line of the list.
pub(super) fn line(bridge: &str, message: &Value) -> String {
    let word = |value: &Value| plain_beginning(text(value), LISTED_CHARS_MAX);
    let mut line = format!(
        "{}  {bridge}  {}  {} by {}: {}",
        number(&message["id"]),
        date(message["unix_ms"].as_u64().unwrap_or(0)),
        word(&message["chat"]),
        word(&message["robot"]),
        number(&message["code"]),
    );
    // There is one; a line has an end whoever answers.
    for alert in alerts(message).take(1) {
        line += &format!("  {}", state(alert));
        let labels = &alert["labels"];
        for value in [&labels["severity"], &labels["alertname"], &alert["annotations"]["summary"]] {
            if !text(value).is_empty() {
                line += &format!("  {}", word(value));
            }
        }
    }
    line
}

/// All lines about one.
pub(super) fn whole(bridge: &str, message: &Value) -> Vec<String> {
    let word = |value: &Value| plain_beginning(text(value), SHOWN_CHARS_MAX);
    let row = |name: &str, value: &str| format!("{name:<12}{value}");
    let told = if message["told"] == true { "yes" } else { "not yet" };
    let mut lines = vec![
        row("id", &number(&message["id"])),
        row("bridge", bridge),
        row("chat", &word(&message["chat"])),
        row("told", told),
        row("robot", &word(&message["robot"])),
        row("code", &number(&message["code"])),
        row("at", &date(message["unix_ms"].as_u64().unwrap_or(0))),
        row("route", &word(&message["route"])),
    ];
    for alert in alerts(message) {
        lines.push(row("alert", state(alert)));
        lines.push(row("since", &date(alert["starts_ms"].as_u64().unwrap_or(0))));
        for (kind, pairs) in [("label", &alert["labels"]), ("annotation", &alert["annotations"])] {
            let Value::Object(pairs) = pairs else { continue };
            for (name, value) in pairs.iter().take(SHOWN_PAIRS_MAX) {
                let name = plain_beginning(name, LISTED_CHARS_MAX);
                lines.push(row(kind, &format!("{name}: {}", word(value))));
            }
            if let Some(left @ 1..) = pairs.len().checked_sub(SHOWN_PAIRS_MAX) {
                lines.push(row(kind, &format!("… ({left} more)")));
            }
        }
    }
    lines
}

fn alerts(message: &Value) -> impl Iterator<Item = &Value> {
    message["alerts"].as_array().into_iter().flatten()
}

fn state(alert: &Value) -> &'static str {
    if alert["firing"] == true { "firing" } else { "resolved" }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What is no number is none here, whoever answered.
fn number(value: &Value) -> String {
    value.as_number().map_or_else(|| "-".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message() -> Value {
        json!({
            "id": 7, "chat": "ops", "robot": "w\u{1b}[2J", "code": 40035, "unix_ms": 0,
            "told": true, "route": "page", "alerts": [{
                "firing": true, "starts_ms": 1000,
                "labels": {"alertname": "Chat\nTest", "severity": "critical", "room\u{202e}": "x"},
                "annotations": {"summary": "é".repeat(5_000)},
            }],
        })
    }

    #[track_caller]
    fn check(line: &str) {
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
        assert!(line.chars().count() < 2_500, "{line}");
    }

    #[test]
    fn a_line_says_which_bridge_has_what_and_has_an_end() {
        let line = line("http://a:1", &message());
        check(&line);
        let want = "7  http://a:1  1970-01-01T00:00:00.000Z  ops by w\\u{1b}[2J: 40035  firing  \
                    critical  Chat\\nTest  é";
        assert!(line.starts_with(want), "{line}");
        assert!(line.ends_with("é… (4900 more)"), "{line}");
    }

    #[test]
    fn a_page_has_every_label_and_annotation_on_a_line_of_its_own() {
        let lines = whole("http://a:1", &message());
        lines.iter().for_each(|line| check(line));
        for want in [
            "id          7",
            "bridge      http://a:1",
            "told        yes",
            "since       1970-01-01T00:00:01.000Z",
            "label       alertname: Chat\\nTest",
            "label       room\\u{202e}: x",
        ] {
            assert!(lines.iter().any(|line| line == want), "no {want}: {lines:#?}");
        }
        assert!(lines.last().is_some_and(|line| line.ends_with("é… (3000 more)")));
        let many: serde_json::Map<String, Value> =
            (0..600).map(|index| (format!("l{index}"), json!("v"))).collect();
        let lines = whole("b", &json!({"alerts": [{"labels": many}]}));
        assert_eq!(lines.len(), 8 + 2 + SHOWN_PAIRS_MAX + 1);
    }

    #[test]
    fn programs_get_all_of_it_on_one_line_that_is_the_same_json() {
        let line = json("http://a:1", &message());
        assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
        let mut read: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(read["bridge"], "http://a:1");
        read.as_object_mut().unwrap().remove("bridge");
        assert_eq!(read, message());
    }

    #[test]
    fn whatever_answers_nothing_of_it_panics_or_is_obeyed() {
        let odd = json!({"id": "\u{1b}", "code": {"\u{1b}": 1}, "unix_ms": -1, "alerts": {"a": 1}});
        let nulls = json!({"alerts": [null, {}]});
        for answer in [json!(null), json!(7), json!("x"), json!([1]), nulls, odd] {
            check(&line("b", &answer));
            whole("b", &answer).iter().for_each(|line| check(line));
            check(&json("b", &answer));
        }
    }
}
