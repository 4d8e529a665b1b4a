//! What no client should send: each gets an error, nothing panics, nothing
//! costs more than its own length.

use super::*;
use crate::base::limits;

fn check_refused(encoding: Encoding, frame: &[u8], why: CommandParseError) {
    let read: Vec<_> = commands(encoding, frame).collect();
    let shown = String::from_utf8_lossy(&frame[..frame.len().min(80)]);
    assert_eq!(read.last(), Some(&Err(why)), "{shown}");
    assert_eq!(read.iter().filter(|command| command.is_err()).count(), 1, "{shown}");
}

#[test]
fn an_empty_frame_is_refused() {
    check_refused(Encoding::Json, b"", CommandParseError::Empty);
    check_refused(Encoding::Json, b" \n\t\r", CommandParseError::Empty);
    check_refused(Encoding::Protobuf, b"", CommandParseError::Empty);
}

#[test]
fn what_is_not_the_protocols_json_is_refused() {
    for text in [
        "null",
        "[]",
        "1",
        "\"x\"",
        "{",
        "}",
        "{}x",
        "{},{}",
        "{\"id\":1,}",
        "{'id':1}",
        "{\"id\":1}]",
        "\u{feff}{}",
        "{\"id\":\"1\"}",
        "{\"id\":1.5}",
        "{\"id\":1e3}",
        "{\"id\":true}",
        "{\"id\":01}",
        "{\"id\":NaN}",
        "{\"id\":1,\"id\":1}",
        "{\"ping\":1}",
        "{\"ping\":[]}",
        "{\"publish\":[\"c\",1]}",
        "[1,null]",
        "{\"publish\":{\"channel\":1}}",
        "{\"publish\":{\"channel\":[]}}",
        "{\"publish\":{\"channel\":\"a\nb\"}}",
        "{\"publish\":{\"channel\":\"\\ud800\"}}",
        "{\"publish\":{\"data\":}}",
        "{\"publish\":{\"data\":{]}}",
        "{\"publish\":{\"data\":tru}}",
        "{\"publish\":{\"data\":1 2}}",
        "{\"publish\":{\"data\":\"\n\"}}",
        "{\"publish\":{\"data\":\"\\x\"}}",
        "{\"connect\":{\"subs\":[]}}",
        "{\"connect\":{\"subs\":{\"a\":1}}}",
        "{\"subscribe\":{\"recover\":1}}",
        "{\"subscribe\":{\"offset\":1e400}}",
        "{\"subscribe\":{\"offset\":18446744073709551616}}",
        "{}\0",
    ] {
        check_refused(Encoding::Json, text.as_bytes(), CommandParseError::Json);
    }
    for bytes in [&b"\xff"[..], b"{\"send\":{\"data\":\"\xc3\"}}", b"{}\n\xed\xa0\x80"] {
        check_refused(Encoding::Json, bytes, CommandParseError::Json);
    }
}

#[test]
fn numbers_out_of_range_are_refused() {
    for text in [
        "{\"id\":4294967296}",
        "{\"id\":-1}",
        "{\"subscribe\":{\"offset\":-1}}",
        "{\"history\":{\"limit\":2147483648}}",
        "{\"history\":{\"since\":{\"offset\":-9223372036854775808}}}",
    ] {
        check_refused(Encoding::Json, text.as_bytes(), CommandParseError::Limit);
    }
    let id = [6, 0x08, 0x80, 0x80, 0x80, 0x80, 0x10];
    check_refused(Encoding::Protobuf, &id, CommandParseError::Limit);
    let limit = [8, 0x52, 6, 0x38, 0x80, 0x80, 0x80, 0x80, 0x08];
    check_refused(Encoding::Protobuf, &limit, CommandParseError::Limit);
}

#[test]
fn names_end_at_their_limit() {
    let longest = Cow::Owned("x".repeat(limits::NAME_BYTES_MAX));
    let longer: Cow<'_, str> = Cow::Owned("x".repeat(limits::NAME_BYTES_MAX + 1));
    let with_sub = |channel: &Cow<'static, str>| {
        let sub = SubscribeRequest { channel: channel.clone(), ..SubscribeRequest::default() };
        Request::Connect(ConnectRequest { subs: vec![sub], ..ConnectRequest::default() })
    };
    let all_with = |name: &Cow<'static, str>| {
        [
            with_sub(name),
            Request::Subscribe(SubscribeRequest { channel: name.clone(), ..Default::default() }),
            Request::Unsubscribe { channel: name.clone() },
            Request::Publish { channel: name.clone(), data: json("1") },
            Request::Presence { channel: name.clone() },
            Request::PresenceStats { channel: name.clone() },
            Request::History(HistoryRequest {
                channel: name.clone(),
                limit: 0,
                since: None,
                reverse: false,
            }),
            Request::Rpc { method: name.clone(), data: json("1") },
            Request::SubRefresh { channel: name.clone(), token: Cow::Borrowed("") },
        ]
    };
    for encoding in Encoding::ALL {
        for request in all_with(&longest) {
            let frame = command_bytes(encoding, 1, &request);
            assert_eq!(all(encoding, &frame), Ok(vec![Command { id: 1, request }]));
        }
        for request in all_with(&longer) {
            check_refused(
                encoding,
                &command_bytes(encoding, 1, &request),
                CommandParseError::Limit,
            );
        }
    }
}

#[test]
fn a_batch_ends_at_its_limit() {
    for (encoding, pong) in [(Encoding::Json, &b"{}"[..]), (Encoding::Protobuf, b"\0")] {
        let full = pong.repeat(limits::COMMANDS_PER_MESSAGE_MAX);
        assert_eq!(all(encoding, &full).unwrap().len(), limits::COMMANDS_PER_MESSAGE_MAX);
        check_refused(
            encoding,
            &pong.repeat(limits::COMMANDS_PER_MESSAGE_MAX + 1),
            CommandParseError::Limit,
        );
    }
}

#[test]
fn recovered_channels_end_at_their_limit() {
    let with = |count: usize| {
        let sub = |index| SubscribeRequest {
            channel: Cow::Owned(format!("{index}")),
            ..SubscribeRequest::default()
        };
        let subs = (0..count).map(sub).collect();
        Request::Connect(ConnectRequest { subs, ..ConnectRequest::default() })
    };
    for encoding in Encoding::ALL {
        let request = with(limits::CHANNELS_PER_CONNECTION_MAX);
        let frame = command_bytes(encoding, 1, &request);
        assert_eq!(all(encoding, &frame), Ok(vec![Command { id: 1, request }]));
        let request = with(limits::CHANNELS_PER_CONNECTION_MAX + 1);
        check_refused(encoding, &command_bytes(encoding, 1, &request), CommandParseError::Limit);
    }
}

#[test]
fn nesting_costs_no_stack() {
    const LEVELS: usize = 100_000;
    let deep = format!("{}{}", "[".repeat(LEVELS), "]".repeat(LEVELS));
    let objects = format!("{}1{}", "{\"a\":".repeat(LEVELS), "}".repeat(LEVELS));
    for nested in [&deep, &objects] {
        let text = format!("{{\"unknown\":{nested},\"id\":1,\"ping\":{{}}}}");
        let ping = Command { id: 1, request: Request::Ping };
        assert_eq!(all(Encoding::Json, text.as_bytes()), Ok(vec![ping]));
        let text = format!("{{\"send\":{{\"data\":{nested}}}}}");
        check_refused(Encoding::Json, text.as_bytes(), CommandParseError::Limit);
        // Where data may be anything, it is taken, but not as JSON.
        let data = RawData { bytes: Cow::Borrowed(nested.as_bytes()), is_json: false };
        let request = Request::Send { data };
        let frame = command_bytes(Encoding::Protobuf, 0, &request);
        assert_eq!(all(Encoding::Protobuf, &frame), Ok(vec![Command { id: 0, request }]));
    }
    for open in
        ["[", "{\"a\":", "{\"publish\":", "{\"send\":{\"data\":[", "{\"connect\":{\"subs\":"]
    {
        check_refused(Encoding::Json, open.repeat(LEVELS).as_bytes(), CommandParseError::Json);
    }
}

/// What a chat method says has its own limit, and what is around it takes none of that.
#[test]
fn a_call_has_room_for_the_deepest_data() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let deepest = nested(limits::DATA_LEVELS_MAX);
    let said = format!("{{\"channel\":\"c\",\"data\":{deepest}}}");
    let sent = format!("{{\"method\":\"chat.publish\",\"data\":{said}}}");
    for text in [
        format!("{{\"id\":1,\"publish\":{{\"channel\":\"c\",\"data\":{deepest}}}}}"),
        format!("{{\"id\":1,\"rpc\":{{\"method\":\"chat.publish\",\"data\":{said}}}}}"),
        format!("{{\"send\":{{\"data\":{sent}}}}}"),
        format!("{{\"send\":{{\"data\":{}}}}}", nested(limits::CALL_LEVELS_MAX)),
    ] {
        assert_eq!(all(Encoding::Json, text.as_bytes()).map(|all| all.len()), Ok(1), "{text}");
    }
    let deeper = nested(limits::CALL_LEVELS_MAX + 1);
    let text = format!("{{\"id\":1,\"rpc\":{{\"method\":\"m\",\"data\":{deeper}}}}}");
    check_refused(Encoding::Json, text.as_bytes(), CommandParseError::Limit);
}

#[test]
fn what_is_not_the_protocols_protobuf_is_refused() {
    for (bytes, why) in [
        (&[1][..], CommandParseError::Length),
        (&[2, 0x08], CommandParseError::Length),
        (&[0xff; 10], CommandParseError::Protobuf),
        (&[0x80], CommandParseError::Protobuf),
        (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], CommandParseError::Length),
        // A key without its value, field 0, a group, an unknown wire type.
        (&[1, 0x08], CommandParseError::Protobuf),
        (&[2, 0x00, 1], CommandParseError::Protobuf),
        (&[2, 0x0b, 0x0c], CommandParseError::Protobuf),
        (&[1, 0x0f], CommandParseError::Protobuf),
        // A key beyond 32 bits.
        (&[7, 0x88, 0x80, 0x80, 0x80, 0x80, 0x01, 1], CommandParseError::Protobuf),
        // An id that is bytes, a request that is a number, a fixed width cut.
        (&[2, 0x0a, 0], CommandParseError::Protobuf),
        (&[2, 0x20, 0], CommandParseError::Protobuf),
        (&[4, 0x1d, 1, 2, 3], CommandParseError::Length),
        // A field longer than its message, although the frame goes on.
        (&[2, 0x22, 1, 0], CommandParseError::Length),
        // A channel that is not UTF-8.
        (&[5, 0x42, 3, 0x0a, 1, 0xff], CommandParseError::Protobuf),
    ] {
        check_refused(Encoding::Protobuf, bytes, why);
    }
}
