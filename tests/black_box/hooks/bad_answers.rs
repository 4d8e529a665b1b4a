//! Backends that hang, lie, and close: their clients are told to come again, and nobody else
//! notices.

use std::sync::mpsc::channel;
use std::time::Duration;

use serde_json::json;

use super::{Answer, Backend, asking, result, server};
use crate::common::{Peer, Server, Settings};

fn http(status: &str, headers: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Raw(
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").into(),
    )
}

/// What a client is told, and what is counted, when the backend answers so.
#[track_caller]
fn check(answer: Answer, outcome: &str) {
    let backend = Backend::start(move |_| answer.clone());
    let settings = asking(Settings::new(), &backend, &["rpc"], &["timeout_ms = 400"]);
    let server = Server::start(settings);
    let mut ann = Peer::user(server.address(), "ann");
    let reply = ann.call(json!({ "rpc": { "method": "m" } }));
    let error = json!({ "code": 100, "message": "internal server error", "temporary": true });
    assert_eq!(reply["error"], error, "{outcome}");
    let sample = format!("chat_hook_misses_total{{reason=\"{outcome}\"}}");
    server.wait_for_metric(&sample, 1.0);
    server.wait_for_log("the backend has no answer for the hook rpc", 1);
    assert!(ann.call(json!({ "ping": {} }))["ping"].is_object(), "it stays connected");
}

#[test]
fn one_that_says_nothing() {
    check(Answer::Hang(Vec::new()), "late");
}

#[test]
fn one_that_stops_in_the_middle() {
    let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"result\":";
    check(Answer::Hang(half.to_vec()), "invalid");
    check(Answer::Raw(half.to_vec()), "invalid");
}

#[test]
fn one_that_closes_without_a_word() {
    check(Answer::Raw(Vec::new()), "failed");
    check(Answer::Raw(b"SSH-2.0-OpenSSH\r\n".to_vec()), "failed");
}

#[test]
fn one_with_another_status() {
    check(http("500 Internal Server Error", "", "{\"result\":{}}"), "failed");
    check(http("204 No Content", "", ""), "failed");
}

#[test]
fn one_that_sends_somewhere_else() {
    let other = Backend::start(|_| Answer::Json(json!({ "result": { "data": 1 } })));
    let location = other.endpoint("rpc")[1].replace("url = ", "").replace('"', "");
    check(http("302 Found", &format!("Location: {location}\r\n"), ""), "failed");
    check(http("307 Temporary Redirect", &format!("Location: {location}\r\n"), ""), "failed");
    assert!(other.is_left_alone(), "nobody follows");
}

#[test]
fn one_that_answers_what_is_not_json() {
    for body in
        ["", "<html>", "[]", "{\"result\":1}", "{\"result\":{\"b64data\":\"%\"}}", "{\"error\":{}}"]
    {
        check(http("200 OK", "", body), "invalid");
    }
}

#[test]
fn one_that_sends_ten_megabytes() {
    let (told, sent) = channel();
    check(Answer::Endless(told), "invalid");
    let sent = sent.recv_timeout(Duration::from_secs(20)).expect("it was asked");
    assert!(sent < 8 << 20, "{sent} bytes were read, or lay in buffers");
}

#[test]
fn a_question_that_it_cannot_take_keeps_nobody_else_from_asking() {
    let backend = Backend::start(|asked| match asked.body["method"].as_str() {
        Some("bad") => http("500 Internal Server Error", "", ""),
        _ => result(json!({ "data": 7 })),
    });
    let server = server(&backend, &["rpc"]);
    let mut ann = Peer::user(server.address(), "ann");
    for _ in 0..20 {
        let reply = ann.call(json!({ "rpc": { "method": "bad" } }));
        assert_eq!(reply["error"]["code"], json!(100));
    }
    assert_eq!(server.metric("chat_hooks_suspended"), 0.0);
    let reply = ann.call(json!({ "rpc": { "method": "good" } }));
    assert_eq!(reply["rpc"]["data"], json!(7));
}

#[test]
fn a_proxy_that_says_that_nobody_is_there_counts_as_nobody() {
    let backend = Backend::start(|_| http("503 Service Unavailable", "", ""));
    let server = server(&backend, &["rpc"]);
    let mut ann = Peer::user(server.address(), "ann");
    for _ in 0..10 {
        ann.call(json!({ "rpc": { "method": "m" } }));
    }
    server.wait_for_metric("chat_hooks_suspended", 1.0);
}
