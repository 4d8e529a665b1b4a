//! Chat's data from outside: texts that clients send and get.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::base::limits::{DATA_LEVELS_MAX, NAME_BYTES_MAX};
use crate::base::{ClientId, ConnId, ShardId};
use crate::wire::{ClientInfo, Epoch, Position, Publication, RawData};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[track_caller]
fn check(method: Method, data: Value, want: Result<ChatRequest<'_>, InvalidFieldError>) {
    let text = data.to_string();
    assert_eq!(method.read(text.as_bytes()), want, "{method:?} {text}");
}

/// `good` with each of these in its place is wrong there.
#[track_caller]
fn check_wrong(method: Method, good: &Value, field: Field, values: &[Value]) {
    assert!(method.read(good.to_string().as_bytes()).is_ok(), "{good}");
    for value in values {
        let mut bad = good.clone();
        bad[field.name()] = value.clone();
        check(method, bad, Err(InvalidFieldError(field)));
    }
}

#[track_caller]
fn check_needed(method: Method, good: &Value, fields: &[Field]) {
    for &field in fields {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(field.name());
        check(method, bad, Err(InvalidFieldError(field)));
    }
}

fn said(data: &str) -> ChatMessage<'_> {
    let data = RawData { bytes: data.as_bytes().into(), is_json: true };
    ChatMessage { data, id: None, traceparent: None, sent_at_ms: None }
}

fn no_names() -> Vec<Value> {
    let long = "x".repeat(NAME_BYTES_MAX + 1);
    vec![json!(""), json!("a\nb"), json!("\u{85}"), json!(long), json!(1), json!(["a"]), json!({})]
}

fn no_offsets() -> Vec<Value> {
    vec![json!(-1), json!(1.5), json!(1.0), json!("1"), json!(true), json!([]), json!(1e20)]
}

#[test]
fn methods_have_their_names() {
    for (name, method) in [
        ("publish", Method::Publish),
        ("send", Method::Send),
        ("ack", Method::Ack),
        ("read", Method::Read),
        ("receipts", Method::Receipts),
        ("rooms", Method::Rooms),
        ("members", Method::Members),
        ("typing", Method::Typing),
        ("retract", Method::Retract),
        ("react", Method::React),
        ("reactions", Method::Reactions),
        ("edit", Method::Edit),
        ("history", Method::History),
    ] {
        assert_eq!(Method::named(name), Some(method));
    }
    for name in ["", "Publish", "publish ", "none", "chat.publish"] {
        assert_eq!(Method::named(name), None);
    }
}

#[test]
fn publish_has_a_channel_and_data_and_what_goes_with_it() {
    let good = json!({
        "channel": "room:1", "data": {"text": "hi"}, "id": "a-1", "traceparent": TRACE,
        "sent_at_ms": 1_700_000_000_000_u64, "to": 7, "more": [{}],
    });
    let want = ChatMessage {
        id: Some("a-1".into()),
        traceparent: Some(TRACE.into()),
        sent_at_ms: Some(1_700_000_000_000),
        ..said(r#"{"text":"hi"}"#)
    };
    check(
        Method::Publish,
        good.clone(),
        Ok(ChatRequest::Publish { channel: "room:1".into(), said: want }),
    );
    let least = json!({ "channel": "c", "data": null, "id": null });
    check(
        Method::Publish,
        least,
        Ok(ChatRequest::Publish { channel: "c".into(), said: said("null") }),
    );
    check_needed(Method::Publish, &good, &[Field::Channel, Field::Data]);
    check_wrong(Method::Publish, &good, Field::Channel, &no_names());
    let ids = ["", "a b", "a\n", "\u{7f}", "é", &"x".repeat(65)].map(|id| json!(id));
    check_wrong(Method::Publish, &good, Field::Id, &ids);
    check_wrong(Method::Publish, &good, Field::Id, &[json!(1), json!(["a"])]);
    check_wrong(Method::Publish, &good, Field::SentAtMs, &no_offsets());
    let longest = json!({ "channel": "c", "data": 1, "id": "~!".repeat(32) });
    assert!(Method::Publish.read(longest.to_string().as_bytes()).is_ok());
}

#[test]
fn an_edit_names_a_message_and_has_what_a_publish_has() {
    let good = json!({ "channel": "c", "offset": 7, "data": [1], "id": "e-1", "sent_at_ms": 5 });
    let said = ChatMessage { id: Some("e-1".into()), sent_at_ms: Some(5), ..said("[1]") };
    let want = ChatRequest::Edit { channel: "c".into(), offset: 7, said };
    check(Method::Edit, good.clone(), Ok(want));
    check_needed(Method::Edit, &good, &[Field::Channel, Field::Offset, Field::Data]);
    check_wrong(Method::Edit, &good, Field::Channel, &no_names());
    check_wrong(Method::Edit, &good, Field::Offset, &no_offsets());
    check_wrong(Method::Edit, &good, Field::Offset, &[json!(0)]);
    check_wrong(Method::Edit, &good, Field::Id, &[json!("")]);
    check_wrong(Method::Edit, &good, Field::Traceparent, &[json!("x")]);
    check_wrong(Method::Edit, &good, Field::SentAtMs, &no_offsets());
}

#[test]
fn react_has_a_value_or_takes_it_back() {
    let good = json!({ "channel": "room:1", "offset": 7, "value": "👍" });
    let react = |value: Option<&'static str>| {
        let value = value.map(Into::into);
        Ok(ChatRequest::React { channel: "room:1".into(), offset: 7, value })
    };
    check(Method::React, good.clone(), react(Some("👍")));
    for none in [json!(""), Value::Null] {
        let mut data = good.clone();
        data["value"] = none;
        check(Method::React, data, react(None));
    }
    check(Method::React, json!({ "channel": "room:1", "offset": 7 }), react(None));
    check_needed(Method::React, &good, &[Field::Channel, Field::Offset]);
    check_wrong(Method::React, &good, Field::Channel, &no_names());
    check_wrong(Method::React, &good, Field::Offset, &no_offsets());
    check_wrong(Method::React, &good, Field::Offset, &[json!(0)]);
    let values = [json!("a\n"), json!("\u{85}"), json!("x".repeat(33)), json!(1), json!(["👍"])];
    check_wrong(Method::React, &good, Field::Value, &values);
}

#[test]
fn reactions_are_asked_for_by_offset_each_once() {
    let good = json!({ "channel": "room:1", "offsets": [9, 7, 9] });
    let want = ChatRequest::Reactions { channel: "room:1".into(), offsets: vec![7, 9] };
    check(Method::Reactions, good.clone(), Ok(want));
    check_needed(Method::Reactions, &good, &[Field::Channel, Field::Offsets]);
    let most: Vec<u64> = (1..=100).collect();
    let data = json!({ "channel": "c", "offsets": most });
    check(
        Method::Reactions,
        data,
        Ok(ChatRequest::Reactions { channel: "c".into(), offsets: most.clone() }),
    );
    let more: Vec<u64> = (1..=101).collect();
    let wrong = [json!([]), json!([0]), json!([7, -1]), json!(7), json!(["7"]), json!(more)];
    check_wrong(Method::Reactions, &good, Field::Offsets, &wrong);
}

#[test]
fn a_history_is_of_channels() {
    let good = json!({ "channels": ["a"], "limit": 5, "reverse": true });
    let channels = || vec![ChannelSince { channel: "a".into(), since: None }];
    let want = ChatRequest::History { channels: channels(), limit: 5, reverse: true };
    check(Method::History, good.clone(), Ok(want));
    let least = ChatRequest::History { channels: channels(), limit: 100, reverse: false };
    check(Method::History, json!({ "channels": ["a"] }), Ok(least));
    check_needed(Method::History, &good, &[Field::Channels]);
    check_wrong(Method::History, &good, Field::Channels, &[json!([]), json!("a"), json!([1])]);
    check_wrong(Method::History, &good, Field::Limit, &[json!(0), json!(1_001)]);
    check_wrong(Method::History, &good, Field::Reverse, &[json!(1), json!("true"), json!([])]);
}

#[test]
fn a_trace_is_of_version_00() {
    let good = json!({ "channel": "c", "data": 1, "traceparent": TRACE });
    let wrong = [
        "".to_owned(),
        TRACE.replace("00-0a", "01-0a"),
        TRACE.to_uppercase(),
        TRACE.replace('-', "_"),
        format!("{TRACE}-00"),
        format!("{TRACE} "),
        TRACE[..54].to_owned(),
        "00-00000000000000000000000000000000-b7ad6b7169203331-01".to_owned(),
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01".to_owned(),
        "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01".to_owned(),
        "00-日f7651916cd43dd8448eb211c80319-b7ad6b7169203331-01".to_owned(),
    ];
    check_wrong(Method::Publish, &good, Field::Traceparent, &wrong.map(Value::from));
    check_wrong(Method::Publish, &good, Field::Traceparent, &[json!(0), json!({})]);
}

#[test]
fn send_names_a_user() {
    let good = json!({ "to": "bob", "data": "hi", "ttl_s": 60, "id": "1" });
    let want = ChatMessage { id: Some("1".into()), ..said("\"hi\"") };
    let want = ChatRequest::Send { to: "bob".into(), said: want, ttl_s: Some(60) };
    check(Method::Send, good.clone(), Ok(want));
    check_needed(Method::Send, &good, &[Field::To, Field::Data]);
    check_wrong(Method::Send, &good, Field::To, &no_names());
    check_wrong(Method::Send, &good, Field::To, &["a,b", "#", "a#b", ","].map(Value::from));
    check_wrong(Method::Send, &good, Field::TtlS, &no_offsets());
    check_wrong(Method::Send, &good, Field::TtlS, &[json!(0)]);
    check_wrong(Method::Send, &good, Field::Id, &[json!("")]);
    check_wrong(Method::Send, &good, Field::Traceparent, &[json!("x")]);
    check_wrong(Method::Send, &good, Field::SentAtMs, &[json!(-1)]);
}

#[test]
fn marks_have_a_channel_and_an_offset() {
    let good = json!({ "channel": "c", "offset": 7, "took_ms": 20 });
    let ack = ChatRequest::Ack { channel: "c".into(), offset: 7, took_ms: Some(20) };
    check(Method::Ack, good.clone(), Ok(ack));
    check(Method::Read, good.clone(), Ok(ChatRequest::Read { channel: "c".into(), offset: 7 }));
    check(
        Method::Retract,
        good.clone(),
        Ok(ChatRequest::Retract { channel: "c".into(), offset: 7 }),
    );
    check_wrong(Method::Ack, &good, Field::TookMs, &no_offsets());
    for method in [Method::Ack, Method::Read, Method::Retract] {
        check_needed(method, &good, &[Field::Channel, Field::Offset]);
        check_wrong(method, &good, Field::Channel, &no_names());
        check_wrong(method, &good, Field::Offset, &no_offsets());
    }
    check_wrong(Method::Retract, &good, Field::Offset, &[json!(0)]);
    let most = json!({ "channel": "c", "offset": u64::MAX });
    check(Method::Read, most, Ok(ChatRequest::Read { channel: "c".into(), offset: u64::MAX }));
}

#[test]
fn pages_begin_behind_something_and_have_an_end() {
    let receipts = |after: &'static str, limit| ChatRequest::Receipts {
        channel: "c".into(),
        after: after.into(),
        limit,
    };
    check(Method::Receipts, json!({ "channel": "c" }), Ok(receipts("", 100)));
    check(
        Method::Receipts,
        json!({ "channel": "c", "after": "ann", "limit": 1 }),
        Ok(receipts("ann", 1)),
    );
    check(Method::Receipts, json!({}), Err(InvalidFieldError(Field::Channel)));
    let rooms = |after: &'static str, limit| Ok(ChatRequest::Rooms { after: after.into(), limit });
    check(Method::Rooms, json!({}), rooms("", 100));
    check(Method::Rooms, json!(null), rooms("", 100));
    assert_eq!(Method::Rooms.read(b""), rooms("", 100));
    check(Method::Rooms, json!({ "after": "dm#a,b", "limit": 1_000 }), rooms("dm#a,b", 1_000));
    let not_behind = [json!("a\n"), json!("x".repeat(NAME_BYTES_MAX + 1)), json!(1), json!([])];
    let limits = [json!(0), json!(1_001), json!(-1), json!(1.0), json!("1")];
    let good = json!({ "channel": "c" });
    for method in [Method::Receipts, Method::Rooms, Method::Members] {
        check_wrong(method, &good, Field::After, &not_behind);
        check_wrong(method, &good, Field::Limit, &limits);
    }
    check_wrong(Method::Members, &good, Field::After, &[json!("ann"), json!("0")]);
    check(Method::Members, json!({}), Err(InvalidFieldError(Field::Channel)));
    check(
        Method::Typing,
        json!({ "channel": "c" }),
        Ok(ChatRequest::Typing { channel: "c".into() }),
    );
    check(Method::Typing, json!({}), Err(InvalidFieldError(Field::Channel)));
}

#[test]
fn the_next_page_of_members_is_asked_with_what_the_last_one_said() {
    let member = (ShardId(3), ConnId { slot: 70_000, generation: 9 });
    let page: Value = serde_json::from_slice(&members(&[], Some(member)).bytes).unwrap();
    let asked = json!({ "channel": "c", "after": page["next"], "limit": 5 });
    let want = ChatRequest::Members { channel: "c".into(), after: Some(member), limit: 5 };
    check(Method::Members, asked, Ok(want));
    let first = ChatRequest::Members { channel: "c".into(), after: None, limit: 100 };
    check(Method::Members, json!({ "channel": "c", "after": "" }), Ok(first));
}

#[test]
fn data_stays_as_it_came_on_one_line_and_not_too_deep() {
    let data = |text: String| match Method::Publish.read(text.as_bytes()) {
        Ok(ChatRequest::Publish { said, .. }) => Ok(said.data.bytes.into_owned()),
        Err(InvalidFieldError(field)) => Err(InvalidFieldError(field)),
        Ok(other) => panic!("{other:?}"),
    };
    let around = |inner: &str| format!("{{\"channel\":\"c\",\"data\":{inner}}}");
    assert_eq!(data(around("[1.0, 1e2,\r\n2]")), Ok(b"[1.0, 1e2,  2]".to_vec()));
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let deepest = nested(DATA_LEVELS_MAX);
    assert_eq!(data(around(&deepest)), Ok(deepest.into_bytes()));
    assert_eq!(data(around(&nested(DATA_LEVELS_MAX + 1))), Err(InvalidFieldError(Field::Data)));
    // Deep enough to end a stack, in a field of this method and in one of none.
    assert_eq!(data(around(&nested(1_000_000))), Err(InvalidFieldError(Field::Data)));
    let unknown = format!("{{\"channel\":\"c\",\"data\":1,\"x\":{}}}", nested(1_000_000));
    assert_eq!(data(unknown), Ok(b"1".to_vec()));
    let channel = format!("{{\"data\":1,\"channel\":{}}}", nested(1_000_000));
    assert_eq!(data(channel), Err(InvalidFieldError(Field::Channel)));
    assert_eq!(
        data(around("1").replace("1}", "1,\"data\":2}")),
        Err(InvalidFieldError(Field::Data))
    );
}

#[test]
fn a_call_may_leave_its_data_out() {
    assert_eq!(call(br#"{"method":"m","data":[1]}"#), Some(("m".into(), &b"[1]"[..])));
    assert_eq!(call(br#"{"method":"m"}"#), Some(("m".into(), &b""[..])));
    assert_eq!(call(b"1"), None);
}

#[track_caller]
fn check_said(payload: &Payload, want: Value) {
    assert!(payload.is_json && !payload.bytes.contains(&b'\n'), "{payload:?}");
    assert_eq!(serde_json::from_slice::<Value>(&payload.bytes).unwrap(), want);
}

fn info() -> Arc<ClientInfo> {
    Arc::new(ClientInfo { user: "a\"\n".into(), client: ClientId(0), conn_info: None })
}

const CLIENT: &str = "00000000-0000-0000-0000-000000000000";

#[test]
fn answers_say_where_messages_and_people_are() {
    let position = Position { offset: 7, epoch: Epoch(0xab) };
    let want = json!({ "channel": "dm#a,b\n", "offset": 7, "epoch": "000000ab", "id": "\"" });
    check_said(&posted("dm#a,b\n", position, "\""), want);
    let nowhere = Position { offset: 0, ..position };
    check_said(&posted("c", nowhere, "i"), json!({ "channel": "c", "offset": 0, "id": "i" }));
    check_said(&nothing(), json!({}));
    let payload = |json: &'static str| Payload { bytes: json.as_bytes().into(), is_json: true };
    let named = ClientInfo { conn_info: Some(Box::new(payload("[1]"))), ..(*info()).clone() };
    let page = [(info(), Some(Arc::new(payload("{}")))), (Arc::new(named), None)];
    let want = json!({ "members": [
        { "user": "a\"\n", "client": CLIENT, "chan_info": {} },
        { "user": "a\"\n", "client": CLIENT, "conn_info": [1] },
    ]});
    check_said(&members(&page, None), want);
}

#[test]
fn answers_say_how_far_everybody_is() {
    let ann = Receipt { user: "ann\n", delivered: 5, read: 0 };
    let want = json!({ "user": "ann\n", "delivered": 5, "read": 0 });
    check_said(&receipts([ann], Some("ann\n")), json!({ "receipts": [want], "next": "ann\n" }));
    check_said(&receipts([], None), json!({ "receipts": [] }));
    let last = publication();
    let with = ConversationEntry {
        channel: "c",
        head: 9,
        delivered: 8,
        read: 7,
        unread: 1,
        last: Some(&last),
        role: Some(GroupRole::Admin),
        muted_until: 77,
    };
    let ahead = ConversationEntry {
        channel: "d",
        head: 1,
        delivered: 2,
        read: 2,
        unread: 0,
        last: None,
        role: None,
        muted_until: 0,
    };
    let want = json!({ "rooms": [
        {
            "channel": "c", "head": 9, "delivered": 8, "read": 7, "unread": 1,
            "role": "admin", "muted_until": 77,
            "last": {
                "data": 1, "offset": 9,
                "info": { "user": "a\"\n", "client": CLIENT, "chan_info": {} },
                "tags": { "id": "i", "sent_at_ms": "5" }, "time": 6,
            },
        },
        { "channel": "d", "head": 1, "delivered": 2, "read": 2, "unread": 0 },
    ], "next": "d" });
    check_said(&conversations([with, ahead], Some("d")), want);
}

fn publication() -> Publication {
    Publication {
        offset: 9,
        data: Payload { bytes: (&b"1"[..]).into(), is_json: true },
        info: Some(info()),
        chan_info: Some(Arc::new(nothing())),
        tags: vec![("id".into(), "i".into()), ("sent_at_ms".into(), "5".into())],
        time_unix_ms: 6,
        trace: None,
    }
}

#[test]
fn notices_name_channel_and_user() {
    let want = json!({ "typing": { "channel": "c\n", "user": "a\"\n", "client": CLIENT } });
    check_said(&typing("c\n", &info()), want);
    let ann = Receipt { user: "ann", delivered: 5, read: 4 };
    let want = json!({ "receipt": { "channel": "c", "user": "ann", "delivered": 5, "read": 4 } });
    check_said(&receipt("c", ann), want);
    let membership_summary =
        membership_summary("c", MembershipSummary { joined: 1, left: 2, clients: 3, users: 4 });
    let want = json!({ "channel": "c", "came": 1, "went": 2, "clients": 3, "users": 4 });
    check_said(&membership_summary, json!({ "crowd": want }));
    let want = json!({ "retracted": { "channel": "c", "offset": 3, "user": "ann\n" } });
    check_said(&retracted("c", 3, "ann\n"), want);
}

#[test]
fn of_a_message_that_was_taken_back_its_place_is_left() {
    let whole = Publication { chan_info: None, ..publication() };
    let left = remainder(&publication());
    check_said(&left.data, json!({ "retracted": true }));
    let tags = vec![("id".into(), "i".into()), ("retracted".into(), "true".into())];
    assert_eq!(left, Publication { data: left.data.clone(), tags, ..whole });
    assert_eq!(remainder(&left), left);
    let nameless = Publication { tags: Vec::new(), ..publication() };
    assert_eq!(remainder(&nameless).tags, [("retracted".into(), "true".into())]);
    assert!(
        is_remainder(&left) && !is_remainder(&publication()) && retracted_offset(&left).is_none()
    );
}

#[test]
fn what_says_that_a_message_was_taken_back_names_it() {
    let (data, tag) = retraction(u64::MAX);
    check_said(&data, json!({ "retracted": u64::MAX }));
    let says = Publication { data, tags: vec![tag], ..publication() };
    assert_eq!((retracted_offset(&says), is_remainder(&says)), (Some(u64::MAX), false));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        text in "[\\[\\]{}\":,0-9a-z\\\\ \n-]{0,200}",
    ) {
        for method in Method::ALL {
            method.read(&bytes).ok();
            method.read(text.as_bytes()).ok();
        }
    }

    #[test]
    fn a_changed_byte_never_panics_and_a_cut_is_wrong(
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let good = json!({
            "channel": "room:1", "data": [{"a": "\u{1f600}"}], "id": "i", "traceparent": TRACE,
            "sent_at_ms": 1, "to": "bob", "ttl_s": 1, "offset": 1, "took_ms": 1, "limit": 1,
            "value": "👍", "offsets": [1, 2], "member": "ann", "role": "owner",
            "channels": ["a", { "channel": "b", "offset": 1, "epoch": "e" }],
        }).to_string().into_bytes();
        let mut changed = good.clone();
        *place.get_mut(&mut changed) = byte;
        let end = place.index(good.len() - 1) + 1;
        for method in Method::ALL {
            prop_assert!(method.read(&good).is_ok());
            method.read(&changed).ok();
            prop_assert_eq!(method.read(&good[..end]), Err(InvalidFieldError(Field::Data)));
        }
    }
}
