//! Words of strangers: they have no meaning, wherever they stand.

use super::*;

const HOSTILE: &[&str] = &[
    "<@all>",
    "<!channel>",
    "@all",
    "[pay here](https://evil.example)",
    "<https://evil.example|pay here>",
    "![x](https://evil.example/x.png)",
    "**bold** _it_ ~no~ `code`",
    "<font color=\"warning\">RED</font>",
    "a\n# heading\r\n> quote\u{2028}- list",
    "\u{202e}gnp.exe\u{2066}\u{200b}\u{feff}",
    "&lt;@all&gt; &#60;",
    "\\` \\[x\\]",
    "{{ m.name }} {% raw %}",
    "\u{0}\u{7}\u{1b}[31m",
    "| a | b |",
    "z\u{301}\u{302}\u{303}\u{304}",
];

/// Wherever a stranger's words stand, and however long they are, a message keeps its
/// mark-up to itself and its size within the limit.
#[test]
fn no_words_of_strangers_have_a_meaning_in_any_channel() {
    let templates = Templates::new(&[]).expect("they are good");
    let options = options();
    for words in HOSTILE.iter().map(|words| (*words).to_owned()).chain(["x<@all>".repeat(9_000)]) {
        let mut alert = sample(0);
        for name in ["alertname", "instance", "tenant_id", "layer", "room", "severity"] {
            alert.labels.insert(name.to_owned(), words.clone());
        }
        for name in ["summary", "description", "runbook_url", "dashboard_url"] {
            alert.annotations.insert(name.to_owned(), words.clone());
        }
        alert.labels.insert(words.chars().take(100).collect(), words.clone());
        alert.generator_url = format!("http://g/{words}");
        let snapshot = Snapshot {
            trace_id: words.clone(),
            room_id: words.clone(),
            user_agent: words.clone(),
            ..Snapshot::default()
        };
        let found = SnapshotResult { snapshot: Some(snapshot), ..SnapshotResult::default() };
        let snapshots = Snapshots::from([("test".to_owned(), found)]);
        let mut pending = QueuedAlerts::default();
        pending.unknown_route.clone_from(&words);
        pending.group_labels.insert("alertname".to_owned(), words.clone());
        pending.external_url.clone_from(&words);
        let line = AlertLine::new(alert, Transition::Firing);
        pending.lines.insert("test".to_owned(), line);
        for language in Language::ALL {
            for channel in Messenger::ALL {
                let input = MessageInput {
                    pending: &pending,
                    snapshots: &snapshots,
                    route: &route(language),
                    channel,
                    instead_of: &words,
                    dropped: 1,
                    outliving: &[],
                    group_key: "g",
                    now_ms: 0,
                };
                for part in render(&input, &options, &templates).parts {
                    let text = &part.text;
                    for meaning in [
                        "<@all",
                        "<!",
                        "evil.example)",
                        "evil.example|",
                        "](https://evil",
                        "<font color=\"warning\">RED",
                    ] {
                        assert!(!text.contains(meaning), "{meaning} of {words:.40} in {text}");
                    }
                    let strange = |c: char| c.is_control() && c != '\n';
                    assert!(!text.contains(strange), "{text}");
                    assert!(!text.contains(['\u{202e}', '\u{2028}', '\u{301}']), "{text}");
                    assert!(encoded_bytes(channel, text) <= bytes_max(channel));
                    assert!(!text.lines().any(|line| line.starts_with("# ")), "{text}");
                }
            }
        }
    }
}

#[test]
fn rooms_are_hashed_where_the_route_says_so() {
    let templates = Templates::new(&[]).expect("they are good");
    let alert = Alert { fingerprint: "f1".to_owned(), ..sample(0) };
    let mut pending = QueuedAlerts::default();
    let line = AlertLine::new(alert, Transition::Firing);
    pending.lines.insert("f1".to_owned(), line);
    let route = Route { hash_rooms: true, ..route(Language::En) };
    let input = MessageInput {
        pending: &pending,
        snapshots: &snapshots(),
        route: &route,
        channel: Messenger::Wecom,
        instead_of: "",
        dropped: 0,
        outliving: &[],
        group_key: "g",
        now_ms: 0,
    };
    let text = render(&input, &options(), &templates).parts.remove(0).text;
    let room = signature::room("0123456789abcdef", "r42` <@all>");
    assert!(text.contains(&format!("room `{room}`")) && !text.contains("r42"), "{text}");
}

#[test]
fn an_alert_about_a_core_says_whose_work_it_does_and_nothing_of_it_has_a_meaning() {
    let hostile = "`<@all>[x](http://e)\n# big";
    let core = CoreSnapshot {
        core: "3".to_owned(),
        phase: "reaping".to_owned(),
        for_seconds: 12.5,
        connection: "3.17.1".to_owned(),
        client: "6f3e8f0e-33a5-4d0e-8f0a-0123456789ab".to_owned(),
        room_id: format!("room:1{hostile}"),
        recent: vec![
            ("closed".to_owned(), "slow_consumer".to_owned(), 2),
            ("stall".to_owned(), hostile.to_owned(), 1),
        ],
    };
    let found = SnapshotResult { core: Some(core), ..SnapshotResult::default() };
    let body =
        fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/src/alert/message/golden/firing.json"));
    let body = body.expect("a payload");
    let body = NotificationBody::whole(&body);
    let payload = notification::read(&body, &[]).expect("it is one");
    let pending = pending(&payload);
    let snapshots = payload.alerts.iter().map(|one| (one.fingerprint.clone(), found.clone()));
    let snapshots: Snapshots = snapshots.collect();
    let templates = Templates::new(&[]).expect("they are good");
    for channel in Messenger::ALL {
        for language in Language::ALL {
            let route = route(language);
            let input = MessageInput {
                group_key: "g",
                pending: &pending,
                snapshots: &snapshots,
                route: &route,
                channel,
                instead_of: "",
                dropped: 0,
                outliving: &[],
                now_ms: 1_700_000_600_000,
            };
            let rendered = render(&input, &options(), &templates);
            assert_eq!(rendered.fault, None);
            let text = &rendered.parts[0].text;
            for words in ["reaping", "12.5", "3.17.1", "6f3e8f0e", "room:1", "slow_consumer ×2"] {
                assert!(text.contains(words), "no {words} in {text}");
            }
            for mark in ["<@all>", "](http://e", "\n# big"] {
                assert!(!text.contains(mark), "{mark} in {text}");
            }
        }
    }
}
