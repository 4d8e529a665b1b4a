//! What is read of bodies, whole and damaged.

use super::*;

const GOOD: &str = r#"{"version":"4","groupKey":"{}:{alertname=\"A\"}","truncatedAlerts":2,
    "status":"firing","receiver":"x","groupLabels":{"alertname":"A"},"commonLabels":{},
    "commonAnnotations":{},"externalURL":"http://am:9093",
    "alerts":[{"status":"firing","labels":{"alertname":"A","severity":"critical"},
    "annotations":{"summary":"s"},"startsAt":"2023-11-14T22:13:20.5Z",
    "endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://p/graph","fingerprint":"00ff"}]}"#;

fn good(body: &str) -> WebhookPayload {
    read(&NotificationBody::whole(body.as_bytes()), &[]).unwrap()
}

#[test]
fn what_alertmanager_sends_is_read() {
    let payload = good(GOOD);
    assert_eq!((payload.alerts.len(), payload.truncated), (1, 2));
    assert_eq!(payload.group_key, "{}:{alertname=\"A\"}");
    let alert = &payload.alerts[0];
    assert!(alert.firing && alert.is_critical());
    assert_eq!((alert.starts_ms, alert.ends_ms), (1_700_000_000_500, 0));
    assert_eq!((alert.fingerprint.as_str(), alert.annotation("summary")), ("00ff", "s"));
}

#[test]
fn only_what_is_no_notification_at_all_is_refused_and_without_its_words() {
    for body in ["", "{", "[]", "\"x\"", "secret", "{\"alerts\":[}", "{\"secret\":1}"] {
        let malformed = read(&NotificationBody::whole(body.as_bytes()), &[]).unwrap_err();
        assert!(!malformed.to_string().contains("secret"), "{malformed}");
    }
}

#[test]
fn what_is_odd_about_a_notification_loses_no_alert() {
    #[track_caller]
    fn check(from: &str, to: &str) -> WebhookPayload {
        assert!(GOOD.contains(from));
        let payload = good(&GOOD.replace(from, to));
        assert_eq!(payload.alerts.len(), 1);
        assert!(payload.alerts[0].firing && !payload.group_key.is_empty());
        payload
    }
    check("\"version\":\"4\"", "\"version\":5,\"new\":{\"deep\":[1,null]}");
    check("\"version\":\"4\"", "\"version\":\"4\",\"version\":\"4\"");
    check("[{\"status\":\"firing\"", "[{\"status\":\"pending\"");
    assert_eq!(check("2023-11-14T22", "soon").alerts[0].starts_ms, 0);
    check("\"startsAt\":\"2023-11-14T22:13:20.5Z\",", "");
    check("{}:{alertname=\\\"A\\\"}", "");
    check("\"groupLabels\":{\"alertname\":\"A\"}", "\"groupLabels\":null");
    check("\"truncatedAlerts\":2", "\"truncatedAlerts\":\"many\"");
    let numbers = check("\"severity\":\"critical\"", "\"severity\":\"critical\",\"n\":7,\"x\":{}");
    assert_eq!(numbers.alerts[0].label("n"), "7");
    assert_eq!(good("{\"alerts\":null}").alerts, []);
}

#[test]
fn whatever_stands_in_an_alerts_place_or_in_its_labels_the_others_are_told() {
    let deep = format!("{}1{}", "[".repeat(5_000), "]".repeat(5_000));
    let maps = format!("{}1{}", "{\"x\":".repeat(5_000), "}".repeat(5_000));
    for odd in ["null", "7", "-1", "1.5", "true", "\"x\"", "[]", "[[{}]]", &deep] {
        let payload = good(&GOOD.replace("\"alerts\":[", &format!("\"alerts\":[{odd},")));
        assert_eq!((payload.alerts.len(), payload.truncated), (1, 3), "{odd:.20}");
    }
    for odd in ["null", "7", "-1", "1.5", "true", "\"x\"", "[{}]", &deep, &maps] {
        let mut parts = GOOD.split("\"annotations\":{\"summary\":\"s\"}");
        let (head, tail) = (parts.next().unwrap(), parts.next().unwrap());
        let payload = good(&format!("{head}\"annotations\":{odd}{tail}"));
        assert!(payload.alerts[0].is_critical(), "{odd:.20}");
        let payload = good(&GOOD.replace("\"version\":\"4\"", &format!("\"new\":{odd}")));
        assert_eq!(payload.alerts[0].annotation("summary"), "s", "{odd:.20}");
        let labels = format!("\"labels\":{{\"odd\":{odd},\"odd\":\"last\",");
        let payload = good(&GOOD.replace("\"labels\":{", &labels));
        assert_eq!(payload.alerts[0].label("odd"), "last", "{odd:.20}");
    }
    let all = good("{\"status\":\"resolved\",\"alerts\":[{\"labels\":{\"a\":\"b\"}}]}");
    assert!(!all.alerts[0].firing, "who does not say it of each says it of all");
}

#[test]
fn what_no_reader_of_json_takes_is_mended() {
    #[track_caller]
    fn check(body: &str, want: &str) {
        assert_eq!(good(body).alerts[0].annotation("summary"), want);
    }
    let with =
        |summary: &str| GOOD.replace("\"summary\":\"s\"", &format!("\"summary\":\"{summary}\""));
    check(&with("a\nb\u{1}c\td"), "a b c d");
    check(&with("x\\ud800y"), "x\u{fffd}y");
    check(&with("x\\udc00\\ud83d\\ude00\\ud83d"), "x\u{fffd}\u{1f600}\u{fffd}");
    check(&with("a\n\\\"q\\\\"), "a \"q\\");
    check(&with("a\n\\u00e9\\n"), "a é\n");
    check(&format!("\u{feff}{GOOD}"), "s");
    check(&format!("{GOOD}\0\0 {{"), "s");
    let broken = with("a\n\\").replace("\"}]}", "");
    assert!(read(&NotificationBody::whole(broken.as_bytes()), &[]).is_err());
}

#[test]
fn one_fingerprint_for_two_alerts_loses_neither() {
    let two = GOOD.replace(
        "\"alerts\":[",
        "\"alerts\":[{\"labels\":{\"alertname\":\"B\"},\"fingerprint\":\"00ff\"},\
         {\"labels\":{\"alertname\":\"B\"},\"fingerprint\":\"00ff\"},",
    );
    let prints: std::collections::BTreeSet<String> =
        good(&two).alerts.into_iter().map(|alert| alert.fingerprint).collect();
    assert_eq!(prints.len(), 2, "{prints:?}");
}

#[test]
fn times_that_are_none_and_severities_that_are_shouted_are_understood() {
    for odd in ["0001-01-01T00:00:00Z", "", "soon", "-0001-01-01T00:00:00Z", "1e99"] {
        let payload = good(&GOOD.replace("2023-11-14T22:13:20.5Z", odd));
        assert_eq!(payload.alerts[0].starts_ms, 0, "{odd}");
    }
    let payload = good(&GOOD.replace("2023-11-14T22:13:20.5Z", "9999-12-31T23:59:59Z"));
    assert_eq!(payload.alerts[0].starts_ms, 253_402_300_799_000);
    for severity in ["Critical", "CRITICAL", " critical "] {
        assert!(
            good(&GOOD.replace("\"critical\"", &format!("\"{severity}\""))).alerts[0].is_critical()
        );
    }
    for severity in ["", "page", "critical!", "\u{202e}lacitirc"] {
        assert!(
            !good(&GOOD.replace("\"critical\"", &format!("\"{severity}\""))).alerts[0]
                .is_critical()
        );
    }
}

#[test]
fn of_one_alert_that_is_too_large_to_be_read_it_is_told_that_there_is_something() {
    let whole = giant(1);
    let body = NotificationBody {
        bytes: whole.as_bytes()[..90].to_vec(),
        tail: whole.as_bytes()[whole.len() - 120..].to_vec(),
        skipped: 0,
        skipped_critical: true,
    };
    let payload = read(&body, &[]).unwrap();
    let [alert] = &payload.alerts[..] else { panic!("{payload:?}") };
    assert!(alert.firing && alert.is_critical() && payload.truncated > 0);
    assert_eq!((payload.group_key.as_str(), alert.label("alertname")), ("g", "A"));
}

#[test]
fn every_cut_of_a_body_is_refused() {
    for end in 0..GOOD.len() {
        let body = NotificationBody::whole(&GOOD.as_bytes()[..end]);
        assert!(read(&body, &[]).is_err(), "{end}");
    }
}

#[test]
fn names_of_any_length_stay_distinct() {
    let with = |key: &str| good(&GOOD.replace("{}:{alertname=\\\"A\\\"}", key)).group_key;
    let long = "k".repeat(100_000);
    let (one, other) = (with(&format!("{long}1")), with(&format!("{long}2")));
    assert!(one != other && one.len() <= GROUP_KEY_BYTES_MAX, "{one}");
    assert_eq!(one, with(&format!("{long}1")));
    let of = |print: &str| good(&GOOD.replace("00ff", print)).alerts[0].fingerprint.clone();
    assert_ne!(of(&format!("{long}1")), of(&format!("{long}2")));
}

#[test]
fn alerts_without_a_fingerprint_differ_by_any_of_their_labels() {
    let with = |last: &str| {
        let many: String = (0..200).map(|index| format!("\"label_{index:03}\":\"x\",")).collect();
        let labels = format!("\"labels\":{{{many}\"zone\":\"{last}\",");
        let body = GOOD.replace("\"labels\":{", &labels).replace("00ff", "");
        good(&body).alerts[0].fingerprint.clone()
    };
    assert_ne!(with("a"), with("b"));
}

#[test]
fn what_decides_is_kept_among_any_number_of_labels() {
    for count in [10, 72, 5_000] {
        let many: String = (0..count)
            .map(|index| format!("\"label_{index:05}\":\"{}\",", "x".repeat(40)))
            .collect();
        let body = GOOD
            .replace(
                "\"labels\":{",
                &format!("\"labels\":{{{many}\"team\":\"chat\",\"zone\":\"z\","),
            )
            .replace("\"annotations\":{", &format!("\"annotations\":{{{many}"))
            .replace("\"groupLabels\":{", "\"groupLabels\":{\"zone\":\"z\",");
        let payload = read(&NotificationBody::whole(body.as_bytes()), &["team"]).unwrap();
        let alert = &payload.alerts[0];
        assert!(alert.is_critical(), "{count}");
        assert_eq!((alert.label("team"), alert.label("zone")), ("chat", "z"), "{count}");
        assert_eq!(alert.annotation("summary"), "s", "{count}");
        assert!(alert.bytes() < 4 * DECORATION_BYTES_MAX, "{count}");
    }
}

#[test]
fn what_is_no_utf8_is_replaced_and_what_is_too_long_is_cut() {
    let mut body = GOOD.replace("\"s\"", "\"s?\"").into_bytes();
    let at = body.windows(4).position(|part| part == b"\"s?\"").unwrap();
    body[at + 2] = 0xff;
    let payload = read(&NotificationBody::whole(&body), &[]).unwrap();
    assert_eq!(payload.alerts[0].annotation("summary"), "s\u{fffd}");
    let long = GOOD.replace("\"s\"", &format!("\"{}\"", "é".repeat(VALUE_BYTES_MAX)));
    assert_eq!(good(&long).alerts[0].annotation("summary").len(), 4_096);
}

/// A body with so many alerts, of which the last is critical, as Alertmanager orders
/// its fields: what names the group comes last.
fn giant(count: usize) -> String {
    let alert = |index: usize| {
        let severity = if index + 1 == count { "critical" } else { "warning" };
        format!(
            "{{\"status\":\"firing\",\"labels\":{{\"alertname\":\"A\",\"severity\":\"{severity}\"}},\
             \"annotations\":{{\"summary\":\"s{index}\"}},\"startsAt\":\"2023-11-14T22:13:20Z\",\
             \"endsAt\":\"0001-01-01T00:00:00Z\",\"fingerprint\":\"{index:016x}\"}}"
        )
    };
    let alerts: Vec<String> = (0..count).map(alert).collect();
    format!(
        "{{\"receiver\":\"x\",\"status\":\"firing\",\"alerts\":[{}],\
         \"groupLabels\":{{\"alertname\":\"A\"}},\"externalURL\":\"http://am\",\
         \"version\":\"4\",\"groupKey\":\"g\",\"truncatedAlerts\":7}}",
        alerts.join(",")
    )
}

#[test]
fn of_too_many_alerts_the_critical_ones_are_kept_and_the_rest_is_counted() {
    let payload = good(&giant(ALERTS_MAX + 3));
    assert_eq!((payload.alerts.len(), payload.truncated), (ALERTS_MAX, 10));
    assert!(payload.alerts[0].is_critical() && !payload.truncated_critical);
}

#[test]
fn of_a_body_that_is_too_large_its_beginning_and_its_name_are_kept() {
    let whole = giant(1_000);
    for bytes_max in [500, 5_000, 77_777] {
        let body = NotificationBody {
            bytes: whole.as_bytes()[..bytes_max].to_vec(),
            tail: whole.as_bytes()[whole.len() - 300..].to_vec(),
            skipped: 11,
            skipped_critical: true,
        };
        let payload = read(&body, &[]).unwrap();
        assert!(!payload.alerts.is_empty());
        assert_eq!((payload.group_key.as_str(), payload.truncated), ("g", 18));
        assert_eq!(payload.group_labels["alertname"], "A");
        assert!(payload.truncated_critical);
    }
}
