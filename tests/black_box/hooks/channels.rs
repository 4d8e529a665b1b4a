//! Who may subscribe and what is published, by the backend.

use serde_json::json;

use super::{Answer, Backend, asking, result};
use crate::common::{Frame, Opcode, Peer, Server, Settings, masked};

const NAMESPACE: &[&str] = &[
    r#"name = "hooked""#,
    r#"publish = "token""#,
    r#"see_history = "subscribers""#,
    "history_count_max = 100",
    r#"durability = "memory""#,
    "subscribe_hook = true",
    "publish_hook = true",
];

fn refusal(code: u32) -> Answer {
    Answer::Json(json!({ "error": { "code": code, "message": "no" } }))
}

#[test]
fn the_backend_decides_who_comes_in_and_what_is_said() {
    let backend = Backend::start(|asked| match (&*asked.path, asked.body["channel"].as_str()) {
        ("/hooks/subscribe", Some("hooked:1")) => result(json!({ "data": { "topic": "cats" } })),
        ("/hooks/subscribe", _) => refusal(4003),
        (_, _) if asked.body["data"] == json!("bad") => refusal(4004),
        (_, _) if asked.body["data"] == json!("worse") => {
            Answer::Json(json!({ "disconnect": { "code": 4505, "reason": "language" } }))
        }
        (_, _) if asked.body["data"] == json!("replace") => result(json!({ "data": "replaced" })),
        _ => result(json!({})),
    });
    let settings = asking(Settings::new(), &backend, &["subscribe", "publish"], &[])
        .with_table("[[namespaces]]", NAMESPACE);
    let server = Server::start(settings);
    let mut ann = Peer::user(server.address(), "ann");
    let mut bob = Peer::user(server.address(), "bob");
    for peer in [&mut ann, &mut bob] {
        let reply = peer.call(json!({ "subscribe": { "channel": "hooked:1", "data": [1] } }));
        assert_eq!(reply["subscribe"]["data"], json!({ "topic": "cats" }), "{reply}");
        let asked = backend.asked();
        assert_eq!(
            (&asked.body["channel"], &asked.body["data"]),
            (&json!("hooked:1"), &json!([1]))
        );
    }
    let reply = ann.call(json!({ "subscribe": { "channel": "hooked:2" } }));
    assert_eq!(reply["error"], json!({ "code": 4003, "message": "no" }));
    for (said, heard) in [(json!("good"), "good"), (json!("replace"), "replaced")] {
        let reply = ann.call(json!({ "publish": { "channel": "hooked:1", "data": said } }));
        assert!(reply["publish"].is_object(), "{reply}");
        assert_eq!(bob.publication().0, json!(heard));
    }
    let reply = ann.call(json!({ "publish": { "channel": "hooked:1", "data": "bad" } }));
    assert_eq!(reply["error"]["code"], json!(4004));
    // Others of the server are not asked about.
    let reply = ann.call(json!({ "subscribe": { "channel": "room:1" } }));
    assert!(reply["subscribe"].is_object(), "{reply}");
    ann.send(json!({ "publish": { "channel": "hooked:1", "data": "worse" } }));
    assert_eq!(ann.closed(), (4505, "language".to_owned()));
}

#[test]
fn messages_stay_in_their_order_whatever_the_backend_does() {
    let backend = Backend::start(|asked| {
        let Some(n) = asked.body["data"].as_u64() else { return result(json!({})) };
        if n % 3 == 0 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        if n % 5 == 0 { refusal(4005) } else { result(json!({ "data": n * 10 })) }
    });
    let settings = asking(Settings::new(), &backend, &["publish", "subscribe"], &[])
        .with_table("[[namespaces]]", NAMESPACE);
    let server = Server::start(settings);
    let mut ann = Peer::user(server.address(), "ann");
    ann.call(json!({ "subscribe": { "channel": "hooked:1" } }));
    let commands: String = (1..=60)
        .map(|n: u64| {
            json!({ "id": 100 + n, "publish": { "channel": "hooked:1", "data": n } }).to_string()
                + "\n"
        })
        .collect();
    ann.send_raw(&masked(Opcode::TEXT, commands.as_bytes()));
    let (mut heard, mut answered) = (Vec::new(), Vec::new());
    while heard.len() < 48 || answered.len() < 60 {
        let object = ann.object();
        if let Some(id) = object["id"].as_u64() {
            assert_eq!(object["error"].is_object(), (id - 100) % 5 == 0, "{object}");
            answered.push(id - 100);
        } else {
            heard.push(object["push"]["pub"]["data"].as_u64().expect("a message"));
        }
    }
    // A refusal needs no room, which may be on another core: it may come before an answer that does.
    let (mut refused, published): (Vec<u64>, Vec<u64>) =
        answered.into_iter().partition(|n| n % 5 == 0);
    refused.sort_unstable();
    assert_eq!(refused, (1..=12).map(|n| n * 5).collect::<Vec<u64>>());
    assert_eq!(published, (1..=60).filter(|n| n % 5 != 0).collect::<Vec<u64>>());
    let want = (1..=60_u64).filter(|n| n % 5 != 0).map(|n| n * 10);
    assert_eq!(heard, want.collect::<Vec<u64>>());
}

#[test]
fn a_filter_holds_for_whom_the_backend_lets_in() {
    let backend = Backend::start(|asked| match &*asked.path {
        "/hooks/publish" => {
            let kind = &asked.body["data"]["kind"];
            result(json!({ "tags": { "kind": kind } }))
        }
        _ => result(json!({})),
    });
    let settings = asking(Settings::new(), &backend, &["subscribe", "publish"], &[])
        .with_table("[[namespaces]]", &[NAMESPACE, &["tag_filters = true"]].concat());
    let server = Server::start(settings);
    let mut ann = Peer::user(server.address(), "ann");
    ann.call(json!({ "subscribe": { "channel": "hooked:1" } }));
    let filter = json!({ "cmp": "eq", "key": "kind", "val": "news" });
    let mut bob = Peer::user(server.address(), "bob");
    let mut cora = Peer::protobuf_user(server.address(), "cora");
    let reply = bob.call(json!({ "subscribe": { "channel": "hooked:1", "tf": filter } }));
    assert!(reply["subscribe"].is_object(), "{reply}");
    // The same by Protobuf: id 2, subscribe with channel (1), and a filter (13) with op, key, cmp
    // and val.
    let leaf = [&[0x12, 4][..], b"kind", &[0x1a, 2], b"eq", &[0x22, 4], b"news"].concat();
    let subscribe = [&[0x0a, 8][..], b"hooked:1", &[0x6a, leaf.len() as u8], &leaf].concat();
    let command = [&[8, 2, 0x2a, subscribe.len() as u8][..], &subscribe].concat();
    assert_eq!(cora.call_protobuf(&command)[..2], [8, 2]);
    for kind in ["noise", "news", "noise", "news"] {
        let data = json!({ "kind": kind });
        let reply = ann.call(json!({ "publish": { "channel": "hooked:1", "data": data } }));
        assert!(reply["publish"].is_object(), "{reply}");
    }
    let mut heard = String::new();
    while heard.matches(r#"{"kind":"news"}"#).count() < 2 {
        let Frame::Frame(Opcode::BINARY, payload) = cora.frame() else { panic!("{heard}") };
        heard.push_str(&String::from_utf8_lossy(&payload));
    }
    assert!(!heard.contains("noise"), "{heard}");
    for _ in 0..2 {
        assert_eq!(bob.publication().0, json!({ "kind": "news" }));
    }
}
