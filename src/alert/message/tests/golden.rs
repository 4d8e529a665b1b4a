//! Messages, byte for byte.

use super::*;

/// Payload in, message out: `golden/*.json`, and beside it what each channel gets in
/// each language. With `BLESS` set they are written instead.
#[test]
fn messages_are_those_of_the_golden_files() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/alert/message/golden"));
    let templates = Templates::new(&[]).expect("they are good");
    let (options, snapshots) = (options(), snapshots());
    let mut wrong = Vec::new();
    for case in ["firing", "recovered", "hostile"] {
        let body = fs::read(folder.join(format!("{case}.json"))).expect("a payload");
        let body = NotificationBody::whole(&body);
        let pending = pending(&notification::read(&body, &[]).expect("it is one"));
        for language in Language::ALL {
            for channel in Messenger::ALL {
                let input = MessageInput {
                    pending: &pending,
                    snapshots: &snapshots,
                    route: &route(language),
                    channel,
                    instead_of: "",
                    dropped: 0,
                    outliving: &[],
                    group_key: "g",
                    now_ms: 1_700_000_300_000,
                };
                let rendered = render(&input, &options, &templates);
                assert_eq!(rendered.fault, None);
                let robot = Robot { channel, ..Robot::default() };
                let bodies: Vec<String> = rendered
                    .parts
                    .iter()
                    .map(|part| {
                        let body = body_of(part, &robot, language);
                        let parsed: serde_json::Value = serde_json::from_str(&body).expect("JSON");
                        serde_json::to_string_pretty(&parsed).expect("JSON")
                    })
                    .collect();
                let got = format!("{}\n\n{}\n", rendered.parts[0].text, bodies.join("\n"));
                let name = format!("{case}.{}.{}.txt", language.word(), channel.word());
                let path = folder.join(&name);
                if std::env::var_os("BLESS").is_some() {
                    fs::write(&path, &got).expect("it can be written");
                }
                if fs::read_to_string(&path).unwrap_or_default() != got {
                    wrong.push(name);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "look at the change, then BLESS=1: {wrong:?}");
}

fn body_of(part: &MessagePart, robot: &Robot, language: Language) -> String {
    body(part, robot, language, Attempt::First, "1-0")
}
