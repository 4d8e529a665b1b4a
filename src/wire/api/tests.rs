//! Bodies as `cent` and others write them, and answers as it reads them.

use bytes::BytesMut;
use serde_json::{Value, json};

use super::*;
use crate::base::ClientId;
use crate::base::limits::{
    API_CALLS_MAX, API_CHANNELS_MAX, API_WHITELIST_MAX, HISTORY_ANSWER_MAX, INFO_BYTES_MAX,
};
use crate::wire::chat::ChatPlace;
use crate::wire::{Epoch, ErrorCode, Payload, Position};

mod schemas;

fn parse(method: ApiMethod, body: &Value) -> Result<String, ApiRequestError> {
    parse_call(method, body.to_string().as_bytes()).map(|call| format!("{call:?}"))
}

#[track_caller]
fn check_wrong(method: ApiMethod, body: Value, field: ApiField) {
    assert_eq!(parse(method, &body).err(), Some(ApiRequestError::Field(field)), "{body}");
}

#[test]
fn a_publish_has_a_channel_and_data() {
    let body = br#"{"channel":"room:1","data":{"a":[1,
 2]},"tags":{"kind":"note"},"idempotency_key":"k","skip_history":null,"more":1}"#;
    let Ok(ApiCall::Publish { channel, message }) = parse_call(ApiMethod::Publish, body) else {
        panic!("it is right")
    };
    assert_eq!(channel, "room:1");
    assert_eq!((&*message.data.bytes, message.data.is_json), (&br#"{"a":[1,  2]}"#[..], true));
    assert_eq!(message.tags, [("kind".into(), "note".into())]);
    assert_eq!(message.idempotency_key.as_deref(), Some("k"));

    let body = json!({ "channel": "room:1", "b64data": "AAEC" }).to_string();
    let Ok(ApiCall::Publish { message, .. }) = parse_call(ApiMethod::Publish, body.as_bytes())
    else {
        panic!("it is right")
    };
    assert_eq!((&*message.data.bytes, message.data.is_json), (&[0, 1, 2][..], false));
}

#[test]
fn a_field_out_of_its_range_is_named() {
    use ApiField::{
        B64Data, Body, Channel, Channels, Commands, Data, IdempotencyKey, Limit, Offset, Reverse,
        Since, SkipHistory, Tags,
    };
    use ApiMethod::{Batch, Broadcast, History, Presence, Publish};
    let publish = |name: &str, value: Value| {
        let mut body = json!({ "channel": "room:1", "data": {} });
        body[name] = value;
        body
    };
    check_wrong(Publish, json!([]), Body);
    check_wrong(Publish, json!("a"), Body);
    check_wrong(Publish, json!({ "data": 1 }), Channel);
    check_wrong(Publish, json!({ "channel": "room:1" }), Data);
    for wrong in [json!(""), json!(1), json!("a".repeat(256)), json!("a\n"), json!(["a"])] {
        check_wrong(Publish, publish("channel", wrong), Channel);
    }
    for wrong in [json!("!"), json!(1), json!("AAEC")] {
        check_wrong(Publish, publish("b64data", wrong), B64Data);
    }
    let many: serde_json::Map<String, Value> =
        (0..17).map(|n| (format!("tag{n}"), json!(""))).collect();
    for wrong in [
        json!(1),
        json!({ "a": 1 }),
        json!({ "": "a" }),
        json!({ "a": "a".repeat(256) }),
        json!({ "id": "a" }),
        json!({ "traceparent": "a" }),
        json!({ "channel": "dm#anna,bob" }),
        json!({ "offset": "1" }),
        json!({ "retracts": "1" }),
        json!({ "edited": "1" }),
        json!({ "reactions": "{}" }),
        Value::Object(many),
    ] {
        check_wrong(Publish, publish("tags", wrong), Tags);
    }
    for wrong in [json!(""), json!("k".repeat(65)), json!(1), json!("a\u{7}")] {
        check_wrong(Publish, publish("idempotency_key", wrong), IdempotencyKey);
    }
    let twice = br#"{"channel":"room:1","data":1,"tags":{"a":"1","a":"2"}}"#;
    assert_eq!(parse_call(Publish, twice).err(), Some(ApiRequestError::Field(Tags)));
    let twice = br#"{"commands":[{"info":{},"info":{}}]}"#;
    assert_eq!(parse_call(Batch, twice).err(), Some(ApiRequestError::Field(Commands)));
    check_wrong(Publish, publish("skip_history", json!(1)), SkipHistory);
    // Nobody shall believe that it was heeded.
    check_wrong(Publish, publish("skip_history", json!(true)), SkipHistory);
    check_wrong(Presence, json!({}), Channel);
    let history = |name: &str, value: Value| json!({ "channel": "room:1", name: value });
    for wrong in [json!(-2), json!(1.5), json!("1"), json!(1u64 << 31)] {
        check_wrong(History, history("limit", wrong), Limit);
    }
    check_wrong(History, history("since", json!(1)), Since);
    check_wrong(History, history("since", json!({ "offset": -1 })), Offset);
    check_wrong(History, history("reverse", json!("true")), Reverse);
    for wrong in [json!([]), json!("room:1"), json!([""]), json!(vec!["a"; API_CHANNELS_MAX + 1])] {
        check_wrong(Broadcast, json!({ "channels": wrong, "data": 1 }), Channels);
    }
    for wrong in [
        json!(null),
        json!({}),
        json!([1]),
        json!([{}]),
        json!([{ "info": {}, "publish": {} }]),
        json!(vec![json!({ "info": {} }); API_CALLS_MAX + 1]),
    ] {
        check_wrong(Batch, json!({ "commands": wrong }), Commands);
    }
}

#[test]
fn a_call_about_connections_names_its_user() {
    use ApiField::{Client, Code, Disconnect, Expression, Reason, Session, User, Whitelist};
    use ApiMethod::{Connections, Disconnect as Close};
    let with = |name: &str, value: Value| json!({ "user": "anna", name: value });
    for wrong in [json!(null), json!(""), json!(1), json!("a".repeat(256)), json!("a\n")] {
        check_wrong(Close, with("user", wrong.clone()), User);
        check_wrong(Connections, with("user", wrong), User);
    }
    for wrong in [json!(1), json!("anna"), json!("00000000-0000-0000-0000-00000000000g")] {
        check_wrong(Close, with("client", wrong), Client);
    }
    check_wrong(Close, with("session", json!("a")), Session);
    check_wrong(Connections, with("expression", json!("1 == 1")), Expression);
    let id = "f0f1f2f3-f4f5-46f7-88f9-fafbfcfdfeff";
    for wrong in [json!("a"), json!([""]), json!(["a"]), json!(vec![id; API_WHITELIST_MAX + 1])] {
        check_wrong(Close, with("whitelist", wrong), Whitelist);
    }
    check_wrong(Close, with("disconnect", json!([])), Disconnect);
    for wrong in [json!(1), json!(1_000), json!(2_999), json!(5_000), json!("3000"), json!(-1)] {
        check_wrong(Close, with("disconnect", json!({ "code": wrong })), Code);
    }
    for wrong in [json!("a".repeat(124)), json!("a\u{0}"), json!(1)] {
        check_wrong(Close, with("disconnect", json!({ "reason": wrong })), Reason);
    }

    let body = json!({
        "user": "anna", "client": id, "session": "", "whitelist": vec![id; API_WHITELIST_MAX],
        "disconnect": { "code": 4999, "reason": "a".repeat(123) },
    })
    .to_string();
    let Ok(ApiCall::User(call)) = parse_call(Close, body.as_bytes()) else { panic!("it is right") };
    let client = ClientId::parse(id);
    assert!(call.user == "anna" && client.is_some() && call.client == client, "{call:?}");
    let ApiUserOp::Disconnect { kept, close } = call.op else { panic!("{call:?}") };
    assert_eq!((kept[0], kept.len()), (client.unwrap(), API_WHITELIST_MAX));
    assert_eq!((close.code, close.reason.len()), (Some(4_999), 123));
}

#[test]
fn a_subscription_by_a_backend_has_few_options_and_others_are_refused() {
    use ApiField::{B64Data, B64Info, Channel, Data, ExpireAt, Expired, Info, Override};
    use ApiField::{RecoverSince, Session, User};
    use ApiMethod::{Refresh, Subscribe, Unsubscribe};
    let with = |name: &str, value: Value| {
        let mut body = json!({ "user": "anna", "channel": "room:1" });
        body[name] = value;
        body
    };
    for method in [Subscribe, Unsubscribe] {
        check_wrong(method, with("user", json!("")), User);
        check_wrong(method, with("channel", json!("")), Channel);
        check_wrong(method, with("session", json!("a")), Session);
    }
    check_wrong(Subscribe, with("data", json!({})), Data);
    check_wrong(Subscribe, with("b64data", json!("AAEC")), B64Data);
    check_wrong(Subscribe, with("recover_since", json!({ "offset": 1 })), RecoverSince);
    check_wrong(Subscribe, with("override", json!({ "presence": { "value": true } })), Override);
    check_wrong(Subscribe, with("info", json!("a".repeat(INFO_BYTES_MAX))), Info);
    check_wrong(Subscribe, with("b64info", json!("!")), B64Info);
    for more in [json!({}), json!({ "expired": false }), json!({ "expire_at": 0 })] {
        let mut body = more;
        body["user"] = json!("anna");
        check_wrong(Refresh, body, ExpireAt);
    }
    check_wrong(Refresh, with("expire_at", json!(-1)), ExpireAt);
    check_wrong(Refresh, with("expire_at", json!(1u64 << 32)), ExpireAt);
    check_wrong(Refresh, with("expired", json!(1)), Expired);

    let op = |method, body: Value| match parse_call(method, body.to_string().as_bytes()) {
        Ok(ApiCall::User(ApiUserCall { op, .. })) => format!("{op:?}"),
        other => panic!("{other:?}"),
    };
    let told = op(Subscribe, with("info", json!({ "name": "A" })));
    assert!(told.contains("is_json: true"), "{told}");
    let told = op(Subscribe, with("b64info", json!("AAEC")));
    assert!(told.contains("is_json: false"), "{told}");
    assert!(op(Subscribe, with("info", json!(null))).contains("info: None"));
    assert_eq!(op(Refresh, with("expired", json!(true))), "Refresh { expire_at_unix_s: 0 }");
    assert_eq!(op(Refresh, with("expire_at", json!(7))), "Refresh { expire_at_unix_s: 7 }");
}

#[test]
fn a_pattern_has_stars_and_nothing_else() {
    let pattern = |value: Value| match parse_call(
        ApiMethod::Channels,
        json!({ "pattern": value }).to_string().as_bytes(),
    ) {
        Ok(ApiCall::Channels { pattern }) => pattern.into_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!(pattern(json!("room:*")), "room:*");
    assert_eq!((pattern(json!("")), pattern(json!(null))), ("*".to_owned(), "*".to_owned()));
    for wrong in ["room:?", "room:[ab]", "{a,b}", "a\\*", "a\n"] {
        check_wrong(ApiMethod::Channels, json!({ "pattern": wrong }), ApiField::Pattern);
    }
    check_wrong(ApiMethod::Channels, json!({ "pattern": "a".repeat(256) }), ApiField::Pattern);
    check_wrong(ApiMethod::Channels, json!({ "pattern": 1 }), ApiField::Pattern);
}

#[test]
fn what_stands_twice_is_wrong() {
    let body = br#"{"channel":"room:1","channel":"room:2"}"#;
    let wrong = ApiRequestError::Field(ApiField::Channel);
    assert_eq!(parse_call(ApiMethod::Presence, body).err(), Some(wrong));
}

#[test]
fn a_history_has_a_limit_and_a_place_to_begin_from() {
    let history = |more: Value| {
        let mut body = json!({ "channel": "room:1" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        match parse_call(ApiMethod::History, body.to_string().as_bytes()) {
            Ok(ApiCall::History { limit, since, reverse, .. }) => (limit, since, reverse),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(history(json!({})), (0, None, false));
    assert_eq!(history(json!({ "limit": -1 })).0, HISTORY_ANSWER_MAX);
    assert_eq!(history(json!({ "limit": 2_000_000 })).0, HISTORY_ANSWER_MAX);
    assert_eq!(history(json!({ "limit": 7, "reverse": true })), (7, None, true));
    let since = Position { offset: 3, epoch: Epoch(0xab) };
    let told = json!({ "since": { "offset": 3, "epoch": "000000ab" } });
    assert_eq!(history(told).1, Some(since));
    let nowhere = Position { offset: 0, epoch: Epoch::FOREIGN };
    assert_eq!(history(json!({ "since": {} })).1, Some(nowhere));
}

#[test]
fn a_batch_has_calls_and_each_its_own_fate() {
    let body = json!({ "commands": [
        { "publish": { "channel": "room:1", "data": 1 } },
        { "publish": { "channel": "" , "data": 1 } },
        { "send_push_notification": {} },
        { "batch": { "commands": [] } },
        { "info": {}, "publish": null },
    ], "parallel": true })
    .to_string();
    let Ok(ApiCall::Batch(calls)) = parse_call(ApiMethod::Batch, body.as_bytes()) else {
        panic!("it is right")
    };
    let unknown = ApiRequestError::Code(ErrorCode::MethodNotFound);
    assert!(matches!(&calls[0], Ok(ApiCall::Publish { .. })));
    assert_eq!(calls[1], Err(ApiRequestError::Field(ApiField::Channel)));
    assert_eq!(calls[2], Err(unknown));
    assert_eq!(calls[3], Err(unknown));
    assert_eq!(calls[4], Ok(ApiCall::Info));
}

#[track_caller]
fn check_answer(answer: &ApiAnswer<'_>, want: &Value) {
    let mut out = BytesMut::new();
    write_answer(answer, &mut out);
    let text = std::str::from_utf8(&out).unwrap();
    assert_eq!(&serde_json::from_str::<Value>(text).unwrap(), want, "{text}");
}

#[test]
fn answers_read_as_the_protocol_says() {
    let position = Position { offset: 7, epoch: Epoch(0xab) };
    let told = json!({ "offset": 7, "epoch": "000000ab" });
    check_answer(&ApiAnswer::Published(Some(position)), &json!({ "result": told }));
    check_answer(&ApiAnswer::Published(None), &json!({ "result": {} }));
    let error = json!({ "error": { "code": 102, "message": "unknown channel" } });
    check_answer(
        &ApiAnswer::Broadcast(vec![Ok(Some(position)), Err(ErrorCode::UnknownChannel)]),
        &json!({ "result": { "responses": [{ "result": told }, error] } }),
    );
    check_answer(&ApiAnswer::Presence(&[]), &json!({ "result": { "presence": {} } }));
    check_answer(
        &ApiAnswer::PresenceStats { clients_count: 2, users_count: 1 },
        &json!({ "result": { "num_clients": 2, "num_users": 1 } }),
    );
    check_answer(
        &ApiAnswer::History(&[], position),
        &json!({ "result": { "publications": [], "offset": 7, "epoch": "000000ab" } }),
    );
    let wrong = ApiRequestError::Field(ApiField::Limit);
    check_answer(
        &ApiAnswer::Error(wrong),
        &json!({ "error": { "code": 107, "message": "bad request: limit" } }),
    );
    let node = ApiNode { uid: "a\"b".to_owned(), num_clients: 3, ..ApiNode::default() };
    let nodes = json!({ "nodes": [{
        "uid": "a\"b", "name": "", "version": "", "num_clients": 3, "num_subs": 0,
        "num_channels": 0, "uptime": 0,
    }] });
    check_answer(&ApiAnswer::Info(node.clone()), &json!({ "result": nodes }));
    let client = ClientId::from_random(0);
    let connection = ApiConnection { client, app_name: "python", protocol: "json" };
    check_answer(
        &ApiAnswer::Connections("anna", vec![connection]),
        &json!({ "result": { "connections": { client.to_string(): {
            "app_name": "python", "transport": "websocket", "protocol": "json", "user": "anna",
        } } } }),
    );
    check_answer(
        &ApiAnswer::Channels(&[("a\"b".into(), 3)]),
        &json!({ "result": { "channels": { "a\"b": { "num_clients": 3 } } } }),
    );
    check_answer(&ApiAnswer::Done(ApiMethod::Disconnect), &json!({ "result": {} }));
    let unknown = ApiRequestError::Code(ErrorCode::MethodNotFound);
    check_answer(
        &ApiAnswer::Batch(vec![
            ApiAnswer::Published(Some(position)),
            ApiAnswer::Error(unknown),
            ApiAnswer::Info(node.clone()),
            ApiAnswer::Done(ApiMethod::Disconnect),
        ]),
        &json!({ "replies": [
            { "publish": told },
            { "error": { "code": 104, "message": "method not found" } },
            { "info": nodes },
            { "disconnect": {} },
        ] }),
    );
}

#[test]
fn a_chat_method_has_a_user_and_the_fields_of_clients() {
    use ApiChatMethod::{Ack, Publish, Retract, Rooms, Send};
    let call = |method, body: Value| {
        let body = body.to_string();
        match parse_call(ApiMethod::Chat(method), body.as_bytes()) {
            Ok(ApiCall::Chat(call)) => {
                assert_eq!(call.data.0, body.as_bytes());
                let place = match call.request.into_place() {
                    ChatPlace::Channel(channel) => channel.into_owned(),
                    ChatPlace::Conversation(to) => format!("to {to}"),
                    ChatPlace::Inbox => "inbox".to_owned(),
                    ChatPlace::Several => "several".to_owned(),
                };
                (call.user.into_owned(), place, call.as_moderator)
            }
            other => panic!("{other:?}"),
        }
    };
    let send = json!({ "user": "anna", "to": "bob", "data": null });
    assert_eq!(call(Send, send), ("anna".to_owned(), "to bob".to_owned(), false));
    let rooms = json!({ "user": "a,b" });
    assert_eq!(call(Rooms, rooms), ("a,b".to_owned(), "inbox".to_owned(), false));
    let retract = json!({ "user": "anna", "channel": "r:1", "offset": 1, "as_moderator": true });
    assert_eq!(call(Retract, retract.clone()), ("anna".to_owned(), "r:1".to_owned(), true));
    let ack = json!({ "user": "anna", "channel": "r:1", "offset": 0, "as_moderator": "maybe" });
    assert!(!call(Ack, ack).2, "it has no such field");

    let wrong = |method, field: ApiField, name: &str, value: Value| {
        let mut body = retract.clone();
        body["to"] = json!("bob");
        body["data"] = json!(1);
        body[name] = value;
        check_wrong(ApiMethod::Chat(method), body, field);
    };
    wrong(Publish, ApiField::User, "user", json!(null));
    wrong(Publish, ApiField::User, "user", json!(""));
    wrong(Publish, ApiField::Id, "id", json!("a b"));
    wrong(Publish, ApiField::Traceparent, "traceparent", json!("00-1-1-00"));
    wrong(Send, ApiField::User, "user", json!("a,b"));
    wrong(Send, ApiField::To, "to", json!("a#b"));
    wrong(Send, ApiField::TtlS, "ttl_s", json!(0));
    wrong(Retract, ApiField::Offset, "offset", json!(0));
    wrong(Retract, ApiField::AsModerator, "as_moderator", json!(1));
    wrong(Ack, ApiField::TookMs, "took_ms", json!(-1));
    wrong(Rooms, ApiField::Limit, "limit", json!(1_001));
    check_wrong(ApiMethod::Chat(Rooms), json!([]), ApiField::Body);
    let twice = br#"{"user":"anna","user":"bob"}"#;
    let wrong = Some(ApiRequestError::Field(ApiField::User));
    assert_eq!(parse_call(ApiMethod::Chat(Rooms), twice).err(), wrong);
}

#[test]
fn what_is_done_as_a_user_is_answered_with_what_clients_get() {
    let data = Payload { bytes: br#"{"id":"k"}"#.as_slice().into(), is_json: true };
    let answer = || ApiAnswer::Chat(ApiMethod::Chat(ApiChatMethod::Send), data.clone());
    check_answer(&answer(), &json!({ "result": { "id": "k" } }));
    let batch = ApiAnswer::Batch(vec![answer()]);
    check_answer(&batch, &json!({ "replies": [{ "chat.send": { "id": "k" } }] }));
    let unfit = ApiAnswer::Error(ApiRequestError::Unfit(ApiField::Offset));
    let error = json!({ "code": 107, "message": "bad request: offset" });
    check_answer(&unfit, &json!({ "error": error }));
}
