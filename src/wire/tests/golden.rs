//! Frames as the official SDKs write and read them.

use std::sync::Arc;

use prost::Message as _;

use super::*;
use crate::base::ClientId;

/// Both ways: the text is what a client sends, and what our client side writes.
fn check_command(text: &str, id: u32, request: Request<'_>) {
    check_read(text, id, &request);
    let written = command_bytes(Encoding::Json, id, &request);
    assert_eq!(std::str::from_utf8(&written), Ok(text));
}

fn check_read(text: &str, id: u32, request: &Request<'_>) {
    let read = all(Encoding::Json, text.as_bytes()).expect(text);
    assert_eq!(read.len(), 1, "{text}");
    assert_eq!((read[0].id, &read[0].request), (id, request), "{text}");
}

fn check_message(message: Message<'_>, text: &str) {
    let written = encoded(Encoding::Json, &message);
    assert_eq!(std::str::from_utf8(&written), Ok(text));
}

#[test]
fn commands_read_as_sdks_write_them() {
    let token = Cow::Borrowed;
    check_command(
        r#"{"id":1,"connect":{"token":"t","data":{"a":1},"subs":{"@u":{"recover":true,"epoch":"0000002a","offset":7}},"name":"js","version":"5","headers":{"authorization":"x y"}}}"#,
        1,
        Request::Connect(ConnectRequest {
            token: token("t"),
            data: Some(json(r#"{"a":1}"#)),
            subs: vec![SubscribeRequest {
                channel: Cow::Borrowed("@u"),
                recover: true,
                epoch: Cow::Borrowed("0000002a"),
                offset: 7,
                ..SubscribeRequest::default()
            }],
            name: Cow::Borrowed("js"),
            version: Cow::Borrowed("5"),
            headers: vec![(Cow::Borrowed("authorization"), Cow::Borrowed("x y"))],
        }),
    );
    check_command(
        r#"{"id":2,"subscribe":{"channel":"room:1","token":"s","recover":true,"epoch":"e","offset":18446744073709551615,"data":[],"positioned":true,"recoverable":true,"join_leave":true,"delta":"fossil","tf":{"cmp":"ex","key":"a"},"flag":2}}"#,
        2,
        Request::Subscribe(SubscribeRequest {
            channel: Cow::Borrowed("room:1"),
            token: token("s"),
            recover: true,
            epoch: Cow::Borrowed("e"),
            offset: u64::MAX,
            data: Some(json("[]")),
            positioned: true,
            recoverable: true,
            join_leave: true,
            flags: SubscribeFlags::REJECT_UNRECOVERED,
            takes_deltas: true,
            tag_filter: Some(json(r#"{"cmp":"ex","key":"a"}"#)),
        }),
    );
    check_command(
        r#"{"id":3,"history":{"channel":"c","limit":-1,"since":{"offset":4,"epoch":"e"},"reverse":true}}"#,
        3,
        Request::History(HistoryRequest {
            channel: Cow::Borrowed("c"),
            limit: -1,
            since: Some((4, Cow::Borrowed("e"))),
            reverse: true,
        }),
    );
}

#[test]
fn small_commands_read_as_sdks_write_them() {
    let channel = Cow::Borrowed("c");
    let token = Cow::Borrowed("t");
    check_command(r#"{"id":1,"connect":{}}"#, 1, Request::Connect(ConnectRequest::default()));
    check_command(
        r#"{"id":4,"unsubscribe":{"channel":"c"}}"#,
        4,
        Request::Unsubscribe { channel: channel.clone() },
    );
    check_command(
        r#"{"id":5,"publish":{"channel":"c","data":{"text":"hi"}}}"#,
        5,
        Request::Publish { channel: channel.clone(), data: json(r#"{"text":"hi"}"#) },
    );
    check_command(
        r#"{"id":6,"presence":{"channel":"c"}}"#,
        6,
        Request::Presence { channel: channel.clone() },
    );
    check_command(
        r#"{"id":7,"presence_stats":{"channel":"c"}}"#,
        7,
        Request::PresenceStats { channel: channel.clone() },
    );
    check_command(r#"{"id":8,"ping":{}}"#, 8, Request::Ping);
    check_command(r#"{"send":{"data":1}}"#, 0, Request::Send { data: json("1") });
    check_command(
        r#"{"id":9,"rpc":{"data":{},"method":"chat.typing"}}"#,
        9,
        Request::Rpc { method: Cow::Borrowed("chat.typing"), data: json("{}") },
    );
    check_command(
        r#"{"id":10,"refresh":{"token":"t"}}"#,
        10,
        Request::Refresh { token: token.clone() },
    );
    check_command(
        r#"{"id":11,"sub_refresh":{"channel":"c","token":"t"}}"#,
        11,
        Request::SubRefresh { channel, token },
    );
    check_command("{}", 0, Request::Pong);
    check_command(r#"{"id":12}"#, 12, Request::Unknown);
}

#[test]
fn what_we_do_not_know_is_skipped_and_null_is_absent() {
    let publish = Request::Publish { channel: Cow::Borrowed("c"), data: json("null") };
    for (text, id, request) in [
        (r#" { "x" : [ {} ] , "id" : 3 , "map" : { "a" : 1 } } "#, 3, Request::Unknown),
        (r#"{"id":null,"connect":null,"ping":null}"#, 0, Request::Pong),
        (
            r#"{"id":1,"connect":{"token":null,"data":null,"subs":null,"flag":1}}"#,
            1,
            Request::Connect(ConnectRequest::default()),
        ),
        (
            r#"{"id":1,"subscribe":{"offset":null,"recover":null,"asc":{"op":""}}}"#,
            1,
            Request::Subscribe(SubscribeRequest::default()),
        ),
        (r#"{"publish":{"data":null,"channel":"c"}}"#, 0, publish),
        (r#"{"id":1,"ping":{"since":1}}"#, 1, Request::Ping),
    ] {
        check_read(text, id, &request);
    }
}

#[test]
fn of_several_requests_the_first_of_the_schema_counts() {
    let request = Request::Presence { channel: Cow::Borrowed("p") };
    check_read(r#"{"ping":{},"presence":{"channel":"p"},"id":1}"#, 1, &request);
    let command = client::proto::Command {
        id: 1,
        presence: Some(client::proto::PresenceRequest { channel: "p".into() }),
        ping: Some(client::proto::PingRequest {}),
        ..Default::default()
    };
    let frame = command.encode_length_delimited_to_vec();
    assert_eq!(all(Encoding::Protobuf, &frame), Ok(vec![Command { id: 1, request }]));
}

#[test]
fn texts_borrow_from_the_frame_unless_they_hold_an_escape() {
    let frame = br#"{"presence":{"channel":"plain"}}{"presence":{"channel":"a\u00e9\n\"b"}}"#;
    let read = all(Encoding::Json, frame).unwrap();
    let channels = read.iter().map(|command| match &command.request {
        Request::Presence { channel } => channel,
        other => panic!("{other:?}"),
    });
    let channels: Vec<_> = channels.collect();
    assert!(matches!(channels[0], Cow::Borrowed("plain")));
    assert_eq!(channels[1], "aé\n\"b");
}

#[test]
fn data_keeps_its_bytes_and_loses_its_line_feeds() {
    let frame = b"{\"send\":{\"data\":  {\"a\" :\r\n\t1.50e3, \"b\":\"\\n\\u0041\"} }}";
    let read = all(Encoding::Json, frame).unwrap();
    let data = json("{\"a\" :  \t1.50e3, \"b\":\"\\n\\u0041\"}");
    assert_eq!(read[0].request, Request::Send { data });
    let plain = all(Encoding::Json, br#"{"send":{"data":"x"}}"#).unwrap();
    match &plain[0].request {
        Request::Send { data } => assert!(matches!(data.bytes, Cow::Borrowed(b"\"x\""))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn protobuf_data_is_json_when_it_reads_as_one_value() {
    let cases: [(&[u8], &[u8], bool); 9] = [
        (b"{\"a\":1}", b"{\"a\":1}", true),
        (b"[1,\n2]\r", b"[1, 2] ", true),
        (b" null", b" null", true),
        (b"\"\xc3\xa9\"", b"\"\xc3\xa9\"", true),
        (b"\"\xc3\"", b"\"\xc3\"", false),
        (b"{\"a\":1}\n{}", b"{\"a\":1}\n{}", false),
        (b"{", b"{", false),
        (b"", b"", false),
        (b"\x00\xff\n", b"\x00\xff\n", false),
    ];
    for (sent, kept, is_json) in cases {
        let send = Request::Send { data: RawData { bytes: Cow::Borrowed(sent), is_json: false } };
        let frame = command_bytes(Encoding::Protobuf, 0, &send);
        let request = Request::Send { data: RawData { bytes: Cow::Borrowed(kept), is_json } };
        assert_eq!(all(Encoding::Protobuf, &frame), Ok(vec![Command { id: 0, request }]));
    }
}

#[test]
fn a_frame_holds_commands_behind_one_another() {
    let ping = |id| Command { id, request: Request::Ping };
    let pong = || Command { id: 0, request: Request::Pong };
    let texts = [
        "{\"id\":1,\"ping\":{}}\n{}\n{\"id\":2,\"ping\":{}}",
        " {\"id\":1,\"ping\":{}}{}\r\n\t{\"id\":2,\"ping\":{}} \n",
    ];
    for text in texts {
        assert_eq!(all(Encoding::Json, text.as_bytes()), Ok(vec![ping(1), pong(), ping(2)]));
    }
    let bytes = [4, 0x08, 1, 0x5a, 0, 0, 4, 0x5a, 0, 0x08, 2];
    assert_eq!(all(Encoding::Protobuf, &bytes), Ok(vec![ping(1), pong(), ping(2)]));
}

#[test]
fn protobuf_reads_as_sdks_write_it() {
    let connect = ConnectRequest { token: Cow::Borrowed("x"), ..ConnectRequest::default() };
    let bytes = [7, 0x08, 1, 0x22, 3, 0x0a, 1, b'x'];
    let request = Request::Connect(connect);
    assert_eq!(command_bytes(Encoding::Protobuf, 1, &request)[..], bytes);
    assert_eq!(all(Encoding::Protobuf, &bytes), Ok(vec![Command { id: 1, request }]));
    // Fields that we do not serve, of every wire type: 2 and 3, 16, 17.
    let unserved = [0x10, 5, 0x1d, 1, 2, 3, 4, 0x82, 1, 1, 9, 0x89, 1, 1, 2, 3, 4, 5, 6, 7, 8];
    let bytes = [&[25, 0x08, 1][..], &unserved, &[0x5a, 0]].concat();
    let request = Request::Ping;
    assert_eq!(all(Encoding::Protobuf, &bytes), Ok(vec![Command { id: 1, request }]));
}

const CLIENT: ClientId = ClientId(0x0011_2233_4455_4677_8899_aabb_ccdd_eeff);

fn publication() -> Publication {
    Publication {
        offset: 3,
        data: json_payload("{}"),
        info: None,
        chan_info: None,
        tags: Vec::new(),
        time_unix_ms: 0,
        trace: None,
    }
}

fn info() -> ClientInfo {
    ClientInfo { user: "u\"1".into(), client: CLIENT, conn_info: None }
}

#[test]
fn pushes_read_as_sdks_expect_them() {
    let plain = publication();
    check_message(
        Message::Push { channel: "x", push: Push::Publication(&plain, PublicationForm::Plain) },
        r#"{"push":{"channel":"x","pub":{"data":{},"offset":3}}}"#,
    );
    let push = Push::Publication(&plain, PublicationForm::Plain);
    check_message(
        Message::CompactPush { channel_id: 7, push },
        r#"{"push":{"id":7,"pub":{"data":{},"offset":3}}}"#,
    );
    let conn_info = Some(Box::new(json_payload("1")));
    let full = Publication {
        data: Payload { bytes: Bytes::from_static(b"\x00\xff\n"), is_json: false },
        info: Some(Arc::new(ClientInfo { conn_info, ..info() })),
        chan_info: Some(Arc::new(json_payload("[2]"))),
        tags: vec![("id".into(), "a\nb".into()), ("k".into(), "".into())],
        time_unix_ms: 1_700_000_000_000,
        trace: None,
        offset: 0,
    };
    check_message(
        Message::Push {
            channel: "é\u{1}", push: Push::Publication(&full, PublicationForm::Plain)
        },
        r#"{"push":{"channel":"é\u0001","pub":{"data":"AP8K","info":{"user":"u\"1","client":"00112233-4455-4677-8899-aabbccddeeff","conn_info":1,"chan_info":[2]},"tags":{"id":"a\nb","k":""},"time":1700000000000}}}"#,
    );
    for (publication, form, text) in [
        (&plain, PublicationForm::Whole, r#""data":"{}","offset":3"#),
        (
            &plain,
            PublicationForm::Delta(b"2\n2:{}1;"),
            r#""data":"2\n2:{}1;","offset":3,"delta":true"#,
        ),
    ] {
        check_message(
            Message::Push { channel: "x", push: Push::Publication(publication, form) },
            &format!(r#"{{"push":{{"channel":"x","pub":{{{text}}}}}}}"#),
        );
    }
    let mut whole = BytesMut::new();
    let push = Push::Publication(&full, PublicationForm::Whole);
    encode(Encoding::Json, &Message::Push { channel: "x", push }, &mut whole);
    let whole = String::from_utf8_lossy(&whole);
    assert!(whole.contains(r#""data":"\"AP8K\"","#), "{whole}");
    check_message(
        Message::Push { channel: "x", push: Push::Join { info: &info(), chan_info: None } },
        r#"{"push":{"channel":"x","join":{"info":{"user":"u\"1","client":"00112233-4455-4677-8899-aabbccddeeff"}}}}"#,
    );
    check_message(
        Message::Push { channel: "x", push: Push::Unsubscribe { code: 2500, reason: "gap" } },
        r#"{"push":{"channel":"x","unsubscribe":{"code":2500,"reason":"gap"}}}"#,
    );
}

#[test]
fn replies_read_as_sdks_expect_them() {
    let reply = |answer| Message::Reply { id: 1, answer };
    let position = Position { offset: 5, epoch: Epoch(0xabc) };
    check_message(
        reply(Answer::Error(ErrorCode::TooManyRequests)),
        r#"{"id":1,"error":{"code":111,"message":"too many requests","temporary":true}}"#,
    );
    check_message(reply(Answer::Publish), r#"{"id":1,"publish":{}}"#);
    check_message(Message::Ping, "{}");
    let missed = [Arc::new(publication())];
    let told = json_payload("[1]");
    fn subscribed<'a>(missed: &'a [Arc<Publication>], told: &'a Payload) -> SubscribeResult<'a> {
        SubscribeResult {
            recoverable: true,
            positioned: true,
            position: Some(Position { offset: 5, epoch: Epoch(0xabc) }),
            seal: None,
            publications: missed,
            recovered: true,
            was_recovering: true,
            expires_in_s: Some(60),
            data: Some(told),
            has_deltas: false,
            channel_id: 0,
        }
    }
    let compact = SubscribeResult { channel_id: 2_097_152, ..SubscribeResult::default() };
    check_message(reply(Answer::Subscribe(compact)), r#"{"id":1,"subscribe":{"id":2097152}}"#);
    let with_deltas = SubscribeResult { has_deltas: true, ..subscribed(&missed, &told) };
    check_message(
        reply(Answer::Subscribe(with_deltas)),
        r#"{"id":1,"subscribe":{"expires":true,"ttl":60,"recoverable":true,"epoch":"00000abc","publications":[{"data":"{}","offset":3}],"recovered":true,"offset":5,"positioned":true,"data":[1],"was_recovering":true,"delta":true}}"#,
    );
    check_message(
        reply(Answer::Subscribe(subscribed(&missed, &told))),
        r#"{"id":1,"subscribe":{"expires":true,"ttl":60,"recoverable":true,"epoch":"00000abc","publications":[{"data":{},"offset":3}],"recovered":true,"offset":5,"positioned":true,"data":[1],"was_recovering":true}}"#,
    );
    check_message(
        reply(Answer::Subscribe(SubscribeResult::default())),
        r#"{"id":1,"subscribe":{}}"#,
    );
    let connected = ConnectResult {
        client: CLIENT,
        version: "rookery 0",
        expires_in_s: None,
        subs: vec![("@u", SubscribeResult::default()), ("b", SubscribeResult::default())],
        ping_s: 25,
        pong: true,
        time_unix_ms: 9,
        node: "n",
        data: None,
    };
    check_message(
        reply(Answer::Connect(connected)),
        r#"{"id":1,"connect":{"client":"00112233-4455-4677-8899-aabbccddeeff","version":"rookery 0","subs":{"@u":{},"b":{}},"ping":25,"pong":true,"node":"n","time":9}}"#,
    );
    let hello = Payload { bytes: Bytes::from_static(b"[1]"), is_json: true };
    let connected = ConnectResult {
        client: CLIENT,
        version: "",
        expires_in_s: Some(9),
        subs: Vec::new(),
        ping_s: 0,
        pong: false,
        time_unix_ms: 0,
        node: "",
        data: Some(&hello),
    };
    check_message(
        reply(Answer::Connect(connected)),
        r#"{"id":1,"connect":{"client":"00112233-4455-4677-8899-aabbccddeeff","expires":true,"ttl":9,"data":[1]}}"#,
    );
    let error = BackendError { code: 1_404, message: "none".into(), is_temporary: true };
    check_message(
        reply(Answer::BackendError(&error)),
        r#"{"id":1,"error":{"code":1404,"message":"none","temporary":true}}"#,
    );
    let nothing = Payload { bytes: Bytes::new(), is_json: false };
    check_message(reply(Answer::Rpc { data: &nothing }), r#"{"id":1,"rpc":{}}"#);
    check_message(
        reply(Answer::History { publications: &[], position }),
        r#"{"id":1,"history":{"epoch":"00000abc","offset":5}}"#,
    );
    check_message(
        reply(Answer::PresenceStats { num_clients: 2, num_users: 0 }),
        r#"{"id":1,"presence_stats":{"num_clients":2,"num_users":0}}"#,
    );
    check_message(
        reply(Answer::Presence { clients: &[] }),
        r#"{"id":1,"presence":{"presence":{}}}"#,
    );
}

#[test]
fn protobuf_messages_stand_behind_their_length() {
    assert_eq!(encoded(Encoding::Protobuf, &Message::Ping)[..], [0]);
    let plain = publication();
    let push =
        Message::Push { channel: "x", push: Push::Publication(&plain, PublicationForm::Plain) };
    let bytes = [13, 0x22, 11, 0x12, 1, b'x', 0x22, 6, 0x22, 2, b'{', b'}', 0x30, 3];
    assert_eq!(encoded(Encoding::Protobuf, &push)[..], bytes);
}

#[test]
fn other_data_becomes_base64_in_json() {
    for (bytes, text) in [
        (&b""[..], r#""""#),
        (b"f", r#""Zg==""#),
        (b"fo", r#""Zm8=""#),
        (b"foo", r#""Zm9v""#),
        (b"foob", r#""Zm9vYg==""#),
        (b"\xfb\xff\xfe", r#""+//+""#),
    ] {
        let data = Payload { bytes: Bytes::from_static(bytes), is_json: false };
        let push = Push::Message { data: &data };
        let whole = format!(r#"{{"push":{{"message":{{"data":{text}}}}}}}"#);
        check_message(Message::Push { channel: "", push }, &whole);
    }
}

#[test]
fn publications_are_found_among_other_messages() {
    for encoding in Encoding::ALL {
        let plain = publication();
        let mut frame = BytesMut::new();
        encode(encoding, &Message::Reply { id: 1, answer: Answer::Publish }, &mut frame);
        separate(encoding, &mut frame);
        encode(
            encoding,
            &Message::Push {
                channel: "x",
                push: Push::Publication(&plain, PublicationForm::Plain),
            },
            &mut frame,
        );
        separate(encoding, &mut frame);
        encode(encoding, &Message::Ping, &mut frame);
        let found: Result<Vec<_>, _> = client::publications(encoding, &frame).collect();
        let delivery = client::ClientPublication { offset: 3, data: b"{}" };
        assert_eq!(found, Ok(vec![None, Some(delivery), None]));
        let read: Result<Vec<_>, _> = client::messages(encoding, &frame).collect();
        let read = read.unwrap();
        let reply = client::ClientMessage::Reply { id: 1, answer: client::ClientAnswer::Publish };
        assert_eq!((&read[0], &read[2]), (&reply, &client::ClientMessage::Ping));
    }
}
