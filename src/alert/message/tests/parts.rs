//! What fits, what is counted, and what is left when a template fails.

use super::*;

#[test]
fn a_template_that_fails_gives_a_plain_text_that_says_so() {
    let broken = "{% block header %}{% for x in m.group %}{{ x.y.z }}{% endfor %}{% endblock %}\
                  {% block alert %}{% endblock %}{% block footer %}{% endblock %}";
    let name = template::name("standard", Language::En, Messenger::Wecom);
    let templates = Templates::new(&[(name, broken.to_owned())]).expect("it can be read");
    let mut pending = QueuedAlerts::default();
    pending.group_labels.insert("job".to_owned(), "chat".to_owned());
    let line = AlertLine::new(sample(0), Transition::Firing);
    pending.lines.insert("test".to_owned(), line);
    let input = MessageInput {
        pending: &pending,
        snapshots: &Snapshots::new(),
        route: &route(Language::En),
        channel: Messenger::Wecom,
        instead_of: "",
        dropped: 0,
        outliving: &[],
        group_key: "g",
        now_ms: 0,
    };
    let rendered = render(&input, &options(), &templates);
    assert!(rendered.fault.is_some());
    let text = &rendered.parts[0].text;
    assert!(text.contains("plain, because of this fault: template standard.en.wecom"), "{text}");
    assert!(text.contains("ChatAlertBridgeTest firing"), "{text}");
}

#[test]
fn times_are_right_on_both_sides_of_greenwich() {
    const NEW_YEAR_MS: u64 = 1_735_689_600_000;
    for (offset_minutes, want) in [
        (0, "2025-01-01 00:00:00"),
        (480, "2025-01-01 08:00:00"),
        (-300, "2024-12-31 19:00:00"),
        (-210, "2024-12-31 20:30:00"),
        (345, "2025-01-01 05:45:00"),
    ] {
        assert_eq!(local_time(NEW_YEAR_MS, offset_minutes), want);
    }
    assert_eq!(local_time(0, -60), "1969-12-31 23:00:00");
    assert_eq!(local_time(u64::MAX, 0), "-");
}

#[test]
fn parts_are_whole_alerts_within_the_limit_and_the_rest_is_counted() {
    let templates = Templates::new(&[]).expect("they are good");
    for channel in Messenger::ALL {
        for (count, chars) in [(1, 10), (7, 600), (40, 600), (200, 90), (400, 600), (9_000, 9)] {
            let mut pending = QueuedAlerts::default();
            for index in 0..count {
                let mut alert = sample(index);
                alert.annotations.insert("description".to_owned(), "停\"\\".repeat(chars / 3));
                alert.annotations.insert("summary".to_owned(), format!("about {index}."));
                let line = AlertLine::new(alert, Transition::Firing);
                pending.lines.insert(format!("{index}"), line);
            }
            let input = MessageInput {
                pending: &pending,
                snapshots: &Snapshots::new(),
                route: &route(Language::En),
                channel,
                instead_of: "",
                dropped: 0,
                outliving: &[],
                group_key: "g",
                now_ms: 0,
            };
            let parts = render(&input, &options(), &templates).parts;
            assert!(parts.len() <= parts_max(channel));
            let robot = Robot { channel, keyword: "word".to_owned(), ..Robot::default() };
            let mut shown = 0;
            for part in &parts {
                let body = body(part, &robot, Language::Zh, Attempt::Again, "id");
                match channel {
                    Messenger::Wecom => {
                        let parsed: serde_json::Value = serde_json::from_str(&body).expect("JSON");
                        let content = parsed["markdown"]["content"].as_str().expect("a text");
                        assert!(content.len() <= 4_096, "{}", content.len());
                    }
                    Messenger::Dingtalk => assert!(body.len() <= 20_000, "{}", body.len()),
                    Messenger::Slack | Messenger::Webhook => {}
                }
                assert!(!part.text.contains('…'), "nothing is cut: {}", part.text);
                shown += part.text.matches("about ").count() as u64;
            }
            let more = format!("+{} more", count - shown);
            let last = &parts.last().expect("one").text;
            assert_eq!(shown < count, last.contains(&more), "{channel:?} {count} {last}");
            assert!(shown > 0);
        }
    }
}
