//! Dead letters at the console: in pages, of all or of one reader, waiting again and dropped.

use serde_json::{Value, json};

use super::{Page, operator, with_operator};
use crate::common::{ADMIN_TOKEN, Peer, Server, Settings};

/// One more than two pages have room for.
const LETTERS: u64 = 51;

/// Conversations and personal channels on disk.
fn conversations() -> Settings {
    let rules = ["publish = \"users\"", "history_count_max = 100", "durability = \"fsync\""];
    let named = |name: &'static str| [name, rules[0], rules[1], rules[2]];
    Settings::new().with_table("[[namespaces]]", &named("name = \"dm\""))
}

/// Says so many things to somebody who is not there, until they are given up.
#[track_caller]
fn give_up(server: &Server, from: &str, to: &str, count: u64) {
    let before = server.metric("chat_dead_letter_messages");
    let mut peer = Peer::user(server.address(), from);
    for n in 1..=count {
        let data = json!({ "to": to, "data": { "n": n }, "ttl_s": 1 });
        let reply = peer.call(json!({ "rpc": { "method": "chat.send", "data": data } }));
        assert_eq!(reply["rpc"]["data"]["offset"], n, "{reply}");
    }
    server.wait_for_metric("chat_dead_letter_messages", before + count as f64);
}

fn offsets(page: &Value) -> Vec<u64> {
    let letters = page["dead_letters"].as_array().expect("a list").iter();
    letters.map(|one| one["offset"].as_u64().expect("a number")).collect()
}

#[test]
fn dead_letters_are_seen_in_pages_of_all_and_of_one_reader() {
    let server = Server::start(conversations());
    give_up(&server, "anna", "ben<b>", LETTERS);
    give_up(&server, "anna", "carl", 1);
    let page = Page::signed_in(&server, ADMIN_TOKEN);
    let (mut after, mut found) = (String::new(), Vec::new());
    let mut pages_count = 0;
    loop {
        let read = page.read(&format!("dead-letters?user=ben%3Cb%3E&after={after}"));
        assert!(offsets(&read).len() <= 25, "{read}");
        found.extend(offsets(&read));
        pages_count += 1;
        let Some(next) = read["next"].as_str() else { break };
        next.clone_into(&mut after);
    }
    assert_eq!((found, pages_count), ((1..=LETTERS).collect::<Vec<u64>>(), 3));
    let of_carl = page.read("dead-letters?user=carl");
    let one = &of_carl["dead_letters"][0];
    assert_eq!((offsets(&of_carl), &of_carl["next"]), (vec![1], &Value::Null));
    assert_eq!((&one["tenant"], &one["channel"]), (&json!(""), &json!("dm#anna,carl")));
    assert_eq!((&one["user"], &one["cause"]), (&json!("carl"), &json!("expired")));
    assert!(one["at_unix_ms"].as_u64().is_some_and(|at| at != 0), "{one}");
    assert_eq!(one.as_object().map(serde_json::Map::len), Some(7), "nothing else: {one}");
    let all = page.read("dead-letters");
    assert_eq!(offsets(&all).len(), 25);
    // Of another tenant there are none of these.
    assert!(offsets(&page.read("dead-letters?tenant=acme&user=carl")).is_empty());
    for (query, field) in [
        ("after=7", "after"),
        ("tenant=acme", "tenant"),
        (&*format!("user={}", "x".repeat(256)), "user"),
    ] {
        let refused = page.send("GET", &format!("dead-letters?{query}"), "");
        assert_eq!(refused.status, 400, "{refused:?}");
        assert!(refused.body.starts_with(field), "{refused:?}");
    }
    assert_eq!(page.send("GET", "dead-letters?limit=9", "").status, 400);
}

#[test]
fn dead_letters_wait_again_or_are_dropped_by_who_may_act() {
    let (ann, token) = operator("ann", "see");
    let server = Server::start(with_operator(conversations(), &ann));
    give_up(&server, "anna", "ben", 4);
    let page = Page::signed_in(&server, ADMIN_TOKEN);
    let looks = Page::signed_in(&server, &token);
    let letter =
        |act: &str, offset: u64| json!({ "act": act, "channel": "dm#anna,ben", "offset": offset });
    assert_eq!(looks.act(&letter("drop_dead_letters", 1)).status, 403);
    let forged =
        page.send_with("POST", "acts", &letter("drop_dead_letters", 1).to_string(), |all| {
            all.retain(|(name, _)| *name != "x-csrf-token");
        });
    assert_eq!(forged.status, 403);
    assert_eq!(offsets(&looks.read("dead-letters")), [1, 2, 3, 4]);
    assert_eq!(page.act(&letter("drop_dead_letters", 2)).status, 204);
    assert_eq!(page.act(&letter("requeue_dead_letters", 3)).status, 204);
    assert_eq!(offsets(&page.read("dead-letters")), [1, 4]);
    // What was changed is none any more.
    assert_eq!(page.act(&letter("requeue_dead_letters", 3)).status, 404);
    let whole =
        json!({ "act": "requeue_dead_letters", "channel": "dm#anna,ben", "seconds": 3_600 });
    assert_eq!(page.act(&whole).status, 204);
    assert_eq!(page.act(&whole).status, 404);
    assert!(offsets(&page.read("dead-letters")).is_empty());
    let room = json!({ "act": "drop_dead_letters", "channel": "room:1" });
    assert_eq!(page.act(&room).status, 404);
    // Ben gets what waits again, and not what was dropped.
    let mut ben = Peer::user(server.address(), "ben");
    let heard: Vec<u64> = (0..3)
        .map(|_| {
            let (data, _) = ben.publication();
            data["n"].as_u64().expect("a number")
        })
        .collect();
    assert_eq!(heard, [1, 3, 4]);
    let acts = page.read("audit")["acts"].clone();
    let told = |event: &str, target: &str, outcome: &str| {
        let rows = acts.as_array().expect("a list").iter();
        rows.filter(|one| {
            (&one["event"], &one["target"], &one["outcome"])
                == (&json!(event), &json!(target), &json!(outcome))
        })
        .count()
    };
    assert_eq!(told("dead_letters.dropped", "dm#anna,ben 2", "done"), 1);
    assert_eq!(told("dead_letters.requeued", "dm#anna,ben 3", "done"), 1);
    assert_eq!(told("dead_letters.requeued", "dm#anna,ben 3", "refused"), 1);
    assert_eq!(told("dead_letters.requeued", "dm#anna,ben", "done"), 1);
}

#[test]
fn without_a_store_the_console_has_no_dead_letters() {
    let server = Server::start(Settings::new());
    let page = Page::signed_in(&server, ADMIN_TOKEN);
    assert_eq!(page.send("GET", "dead-letters", "").status, 404);
    let drop = json!({ "act": "drop_dead_letters", "channel": "dm#anna,ben" });
    assert_eq!(page.act(&drop).status, 404);
}
