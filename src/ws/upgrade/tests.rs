//! Upgrade requests: that of RFC 6455, every cut, limits, and what each wrong one is answered.

use super::*;

const REQUEST: &str = "GET /connection/websocket HTTP/1.1\r\n\
    Host: chat.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\
    \r\n";

fn answer(head: &str) -> Result<Option<Upgrade>, UpgradeError> {
    upgrade(head.as_bytes(), &Options::default())
}

#[track_caller]
fn granted(head: &str) -> Upgrade {
    answer(head).expect(head).expect(head)
}

/// `REQUEST` with one text in place of another is refused.
#[track_caller]
fn check(from: &str, to: &str, want: UpgradeError) {
    assert!(REQUEST.contains(from), "{from}");
    let head = REQUEST.replace(from, to);
    assert_eq!(answer(&head), Err(want), "{head}");
}

/// `REQUEST` with further header lines.
fn with(lines: &str) -> String {
    REQUEST.replace("Host:", &format!("{lines}\r\nHost:"))
}

#[test]
fn the_handshake_of_the_rfc() {
    let upgrade = granted(REQUEST);
    let response = "HTTP/1.1 101 Switching Protocols\r\n\
        Upgrade: websocket\r\n\
        Connection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        \r\n";
    assert_eq!(upgrade.response, response.as_bytes());
    assert_eq!((upgrade.used, upgrade.query.as_str()), (REQUEST.len(), ""));
    assert_eq!(upgrade.format, PayloadFormat::Json);
    assert_eq!(upgrade.user_agent, None);
}

#[test]
fn every_cut_asks_for_more_and_frames_behind_are_left() {
    for cut in 0..REQUEST.len() {
        assert_eq!(answer(&REQUEST[..cut]), Ok(None), "cut={cut}");
    }
    let upgrade = granted(&format!("{REQUEST}frames"));
    assert_eq!(upgrade.used, REQUEST.len());
}

#[test]
fn the_head_ends_at_its_limit() {
    let padded = |bytes: usize| with(&format!("X: {}", "x".repeat(bytes)));
    let bare = padded(0).len();
    assert_eq!(granted(&padded(HEAD_BYTES_MAX - bare)).used, HEAD_BYTES_MAX);
    let long = padded(HEAD_BYTES_MAX - bare + 1);
    assert_eq!(answer(&long), Err(UpgradeError::HeadTooLarge));
    assert_eq!(answer(&long[..HEAD_BYTES_MAX]), Err(UpgradeError::HeadTooLarge));
    assert_eq!(answer(&long[..HEAD_BYTES_MAX - 1]), Ok(None));
    let lines = |count: usize| vec!["X: x"; count].join("\r\n");
    assert!(answer(&with(&lines(HEADERS_MAX - 5))).is_ok());
    assert_eq!(answer(&with(&lines(HEADERS_MAX - 4))), Err(UpgradeError::HeadTooLarge));
}

#[test]
fn names_and_tokens_have_no_case_and_lists_are_lists() {
    granted(
        &REQUEST
            .to_ascii_uppercase()
            .replace("/CONNECTION/WEBSOCKET", "/connection/websocket")
            .replace("DGHLIHNHBXBSZSBUB25JZQ==", "dGhlIHNhbXBsZSBub25jZQ=="),
    );
    granted(&REQUEST.replace("Connection: Upgrade", "connection: keep-alive , upgrade"));
    granted(&REQUEST.replace("Connection: Upgrade", "Connection: close\r\nConnection: UPGRADE"));
    granted(&REQUEST.replace("Upgrade: websocket", "Upgrade: h2c, WebSocket"));
    granted(&with("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"));
    granted(&with("Content-Length: 0"));
    granted(&format!("\r\n{REQUEST}"));
}

#[test]
fn query_and_subprotocol_choose_the_format() {
    use PayloadFormat::*;
    let formats = |query: &str, offer: &str| {
        let head = REQUEST.replace("websocket HTTP", &format!("websocket{query} HTTP"));
        let upgrade = granted(&head.replace("Host:", &format!("{offer}Host:")));
        let response = String::from_utf8(upgrade.response).unwrap();
        let agreed_on =
            response.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
        let agreed_on = agreed_on.map(str::to_owned);
        assert_eq!(format!("?{}", upgrade.query).trim_end_matches('?'), query);
        (agreed_on, upgrade.format)
    };
    let offer = |list| format!("Sec-WebSocket-Protocol: {list}\r\n");
    let (json, protobuf) = (offer("centrifuge-json"), offer("centrifuge-protobuf"));
    let json_name = || Some("centrifuge-json".to_owned());
    let protobuf_name = || Some("centrifuge-protobuf".to_owned());
    assert_eq!(formats("", ""), (None, Json));
    assert_eq!(formats("?format=protobuf", ""), (None, Protobuf));
    assert_eq!(formats("?a=b&cf_protocol=protobuf", ""), (None, Protobuf));
    assert_eq!(formats("?format=protobuf2&xformat=protobuf", ""), (None, Json));
    assert_eq!(formats("", &protobuf), (protobuf_name(), Protobuf));
    assert_eq!(formats("", &json), (json_name(), Json));
    assert_eq!(formats("?format=protobuf", &json), (json_name(), Json));
    assert_eq!(formats("", &offer("x, centrifuge-json,y")), (json_name(), Json));
    assert_eq!(formats("", &format!("{}{protobuf}", offer("x"))).0, protobuf_name());
    assert_eq!(formats("", &format!("{protobuf}{json}")).0, protobuf_name());
    assert_eq!(formats("", &offer("mqtt")), (None, Json));
}

#[test]
fn absolute_targets_are_taken_and_others_refused() {
    let target = |target| REQUEST.replace("/connection/websocket", target);
    let upgrade = granted(&target("HTTP://other.example/connection/websocket?a"));
    assert_eq!(upgrade.query, "a");
    assert_eq!(answer(&target("http://other.example")), Err(UpgradeError::NotFound));
    assert_eq!(answer(&target("http://other.example?x")), Err(UpgradeError::NotFound));
    for wrong in [
        "http:///connection/websocket",
        "http://me@a/connection/websocket",
        "*",
        "chat.example.com:80",
        "ftp://a/connection/websocket",
        "connection",
    ] {
        assert_eq!(
            answer(&target(wrong)),
            Err(UpgradeError::BadRequest(BadRequestReason::Target)),
            "{wrong}"
        );
    }
    // The authority of an absolute target counts, not the header.
    let from = |origin: &str| {
        let head = target("http://other.example/connection/websocket");
        answer(&head.replace("Host:", &format!("Origin: {origin}\r\nHost:")))
    };
    assert!(from("http://other.example").is_ok());
    assert_eq!(from("http://chat.example.com"), Err(UpgradeError::Origin));
}

#[test]
fn other_requests_get_their_answers() {
    let bad = UpgradeError::BadRequest;
    check("GET", "POST", UpgradeError::Method);
    check("GET", "HEAD", UpgradeError::Method);
    check("GET", "get", UpgradeError::Method);
    check("websocket HTTP", "websocket/ HTTP", UpgradeError::NotFound);
    check("/connection/websocket", "/", UpgradeError::NotFound);
    check("HTTP/1.1", "HTTP/1.0", UpgradeError::HttpVersion);
    check("HTTP/1.1", "HTTP/2.0", UpgradeError::HttpVersion);
    check("HTTP/1.1", "HTCPCP/1.0", UpgradeError::HttpVersion);
    check("GET /", "GET\t/", bad(BadRequestReason::Malformed));
    check("Host: ", "Host : ", bad(BadRequestReason::Malformed));
    check("Host: ", " Host: ", bad(BadRequestReason::Malformed));
    check("chat.example.com", "chat\0", bad(BadRequestReason::Malformed));
    check("GET", "\u{16}\u{3}\u{1}", bad(BadRequestReason::Malformed));
    check("13\r\n\r\n", "13\n\r\n", bad(BadRequestReason::LineEnd));
    check("13\r\n\r\n", "13\r\n\n", bad(BadRequestReason::LineEnd));
    check("1.1\r\n", "1.1\n", bad(BadRequestReason::LineEnd));
    check("Host: ", "X-Host: ", bad(BadRequestReason::Host));
    check("Host: ", "Host: a, ", bad(BadRequestReason::Host));
    check("Host: chat.example.com", "Host:", bad(BadRequestReason::Host));
    check("Host: ", "Host: a\r\nHost: ", bad(BadRequestReason::Repeated));
    check("Host: ", "Content-Length: 1\r\nHost: ", bad(BadRequestReason::Body));
    check("Host: ", "Transfer-Encoding: chunked\r\nHost: ", bad(BadRequestReason::Body));
    check("Upgrade: websocket\r\n", "", UpgradeError::UpgradeMissing);
    check("Upgrade: websocket", "Upgrade: h2c", UpgradeError::UpgradeMissing);
    check("Connection: Upgrade", "Connection: keep-alive", bad(BadRequestReason::Connection));
    check("Connection: Upgrade\r\n", "", bad(BadRequestReason::Connection));
    check("Version: 13", "Version: 8", UpgradeError::Version);
    check("Version: 13", "Version: 013", UpgradeError::Version);
    check("Sec-WebSocket-Version: 13\r\n", "", UpgradeError::Version);
    check("Host:", "Sec-WebSocket-Version: 13\r\nHost:", bad(BadRequestReason::Repeated));
    check("Sec-WebSocket-Key", "Sec-WebSocket-Lock", bad(BadRequestReason::Key));
    check("b25jZQ==", "b25jZQ=", bad(BadRequestReason::Key));
    check("b25jZQ==", "b25jZR==", bad(BadRequestReason::Key));
    check("b25jZQ==", "b25jZQAA", bad(BadRequestReason::Key));
    check("b25jZQ==", "b25j*Q==", bad(BadRequestReason::Key));
    check(
        "Host:",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nHost:",
        bad(BadRequestReason::Repeated),
    );
    check("Host:", "Origin: https://evil.example\r\nHost:", UpgradeError::Origin);
    check("Host:", "Origin: \u{e9}\r\nHost:", UpgradeError::Origin);
    check("Host:", "Origin: a\r\nOrigin: a\r\nHost:", bad(BadRequestReason::Repeated));
}

#[test]
fn origins_are_held_against_the_list() {
    let options =
        Options { origins: vec!["https://*.example.org".to_owned()], ..Options::default() };
    let from =
        |origin: &str| upgrade(with(origin).as_bytes(), &options).map(|granted| granted.is_some());
    assert_eq!(from("Origin: https://a.example.org"), Ok(true));
    assert_eq!(from("Origin: https://chat.example.com"), Err(UpgradeError::Origin));
    assert_eq!(from("X: no origin"), Ok(true));
    assert!(answer(&with("Origin: https://chat.example.com")).is_ok());
}

#[test]
fn a_user_agent_is_made_fit_for_a_log() {
    let named = |name: &str| granted(&with(&format!("User-Agent: {name}"))).user_agent.unwrap();
    assert_eq!(&*named("curl/8"), "curl/8");
    assert_eq!(&*named("a\tb\u{e9}"), "a?b??");
    assert_eq!(named(&"x".repeat(999)).len(), USER_AGENT_BYTES_MAX);
}

#[test]
fn a_bare_line_feed_is_one_without_a_carriage_return_before_it() {
    for (head, want) in
        [("\n", true), ("\r\n\n", true), ("a\nb", true), ("\r\n\r\n", false), ("", false)]
    {
        assert_eq!(has_bare_line_feed(head.as_bytes()), want, "{head:?}");
    }
}
