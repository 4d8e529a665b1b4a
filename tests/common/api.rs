//! The server API, as a backend calls it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::Value;

use super::settings::Settings;

/// A key that nobody else knows.
pub const API_KEY: &str = "a key that only the black-box tests know";

/// Settings with a server API on this port, and that key with these scopes.
pub fn with_api(settings: Settings, port: u16, scopes: &[&str]) -> Settings {
    let settings = settings.with_table("[api]", &[&format!("listen = \"127.0.0.1:{port}\"")]);
    with_api_key(settings, API_KEY, scopes, "*")
}

/// Settings with one more key, for these channels.
pub fn with_api_key(settings: Settings, key: &str, scopes: &[&str], channels: &str) -> Settings {
    add_key(settings, key, scopes, channels, "")
}

/// The same for all channels of a tenant.
pub fn with_tenant_key(settings: Settings, key: &str, scopes: &[&str], tenant: &str) -> Settings {
    add_key(settings, key, scopes, "*", tenant)
}

fn add_key(
    settings: Settings,
    key: &str,
    scopes: &[&str],
    channels: &str,
    tenant: &str,
) -> Settings {
    let hash: String =
        digest(&SHA256, key.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = [
        format!("name = \"{}\"", key.replace(' ', "-")),
        format!("sha256 = {hash:?}"),
        format!("scopes = {scopes:?}"),
        format!("channels = [{channels:?}]"),
        format!("tenant = {tenant:?}"),
    ];
    settings.with_table("[[api.keys]]", &lines.each_ref().map(String::as_str))
}

/// The status and the answer of a call; an answer that is no JSON is a text.
#[track_caller]
pub fn call_api(port: u16, key: &str, path: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let head = format!(
        "POST /api/{path} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\n\
         Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the API listens");
    stream.write_all((head + &body).as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = serde_json::from_str(body).unwrap_or_else(|_| Value::from(body));
    (status.expect("a status"), body)
}
