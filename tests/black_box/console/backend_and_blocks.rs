//! What the console shows of who is kept out, and of the application's backend.

use serde_json::{Value, json};

use super::Page;
use crate::common::{ADMIN_TOKEN, Peer, Server, Settings, until};
use crate::hooks::backend::{Answer, Backend};

#[test]
fn who_is_kept_out_is_listed_in_pages() {
    let server = Server::start(Settings::new());
    let page = Page::signed_in(&server, ADMIN_TOKEN);
    assert_eq!(page.read("blocks"), json!({ "kind": "user", "blocks": [], "more": false }));
    let users: Vec<String> = (0..26).map(|n| format!("<u{n:02}> &+%")).collect();
    for user in &users {
        assert_eq!(page.act(&json!({ "act": "block_user", "user": user })).status, 204);
    }
    let address = json!({ "act": "block_address", "address": "203.0.113.0/24", "seconds": 60 });
    assert_eq!(page.act(&address).status, 204);
    let names = |answer: &Value| -> Vec<String> {
        let rows = answer["blocks"].as_array().expect("there are some");
        rows.iter().filter_map(|row| row["name"].as_str()).map(str::to_owned).collect()
    };
    let first = page.read("blocks?kind=user");
    assert_eq!((names(&first), &first["more"]), (users[..25].to_vec(), &json!(true)));
    assert_eq!(first["blocks"][0]["until_unix_ms"], Value::Null);
    let second = page.read("blocks?kind=user&tenant=&after=%3Cu24%3E+%26%2B%25");
    assert_eq!((names(&second), &second["more"]), (users[25..].to_vec(), &json!(false)));
    let addresses = page.read("blocks?kind=address");
    assert_eq!(names(&addresses), ["203.0.113.0/24"]);
    assert!(addresses["blocks"][0]["until_unix_ms"].is_u64(), "{addresses}");
    assert_eq!(page.read("blocks?kind=address&after=203.0.113.0%2F24")["blocks"], json!([]));
    let long = format!("blocks?after={}", "x".repeat(300));
    for wrong in ["blocks?kind=room", "blocks?kind=address&after=here", "blocks?page=1", &long] {
        assert_eq!(page.send("GET", wrong, "").status, 400, "{wrong}");
    }
}

#[test]
fn a_sample_says_what_the_backend_is_asked_and_told() {
    let server = Server::start(Settings::new());
    let sample = Page::signed_in(&server, ADMIN_TOKEN).read("overview");
    assert_eq!((&sample["hooks"]["rpc"], &sample["presence_feed"]), (&json!(0), &Value::Null));

    let backend = Backend::start(|_| Answer::Json(json!({ "result": {} })));
    let lines = backend.endpoint("rpc");
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let feed = [r#"url = "http://127.0.0.1:1/""#, r#"dir = "{folder}/presence""#];
    let settings = Settings::new().with_table("[[hooks.endpoints]]", &lines);
    let server = Server::start(settings.with_table("[presence_feed]", &feed));
    let mut ann = Peer::user(server.address(), "ann");
    ann.call(json!({ "rpc": { "method": "x" } }));
    let page = Page::signed_in(&server, ADMIN_TOKEN);
    let wanted = until(|| {
        let sample = page.read("overview");
        let waits = sample["presence_feed"]["queued"].as_i64()?;
        (sample["hooks"]["rpc"] == 1 && 0 < waits).then_some(sample)
    });
    let sample = wanted.expect("both are seen");
    assert_eq!(sample["hooks"]["failed"], 0);
    assert!(sample["presence_feed"]["queue_limit_bytes"].as_i64() > Some(0), "{sample}");
}
