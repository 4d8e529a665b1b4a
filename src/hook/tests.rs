//! Bodies as backends of Centrifugo read them, and their answers, right and wrong.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::auth::PermissionSet;
use crate::base::ClientId;
use crate::wire::{BackendError, Encoding, Payload};

fn payload(bytes: &[u8], is_json: bool) -> Payload {
    Payload { bytes: bytes.to_vec().into(), is_json }
}

fn body(question: HookQuestion) -> Value {
    let asker = HookAsker {
        client: ClientId::from_random(7),
        encoding: Encoding::Protobuf,
        user: "ann".into(),
        tenant: "acme".into(),
        meta: Some(Arc::from(&br#"{"plan":1}"#[..])),
        headers: None,
    };
    serde_json::from_slice(&write_body(&HookRequest { asker, question })).unwrap()
}

#[test]
fn bodies_are_those_of_centrifugos_proxies() {
    let with = |members: Value| {
        let mut all = json!({
            "client": ClientId::from_random(7).to_string(),
            "transport": "websocket",
            "protocol": "protobuf",
            "encoding": "json",
            "user": "ann",
            "tenant": "acme",
            "meta": { "plan": 1 },
        });
        let members = members.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(members);
        all
    };
    let data = payload(br#"{"a":[1,2]}"#, true);
    let rpc = HookQuestion::Rpc { method: "sum".into(), data: data.clone() };
    assert_eq!(body(rpc), with(json!({ "method": "sum", "data": { "a": [1, 2] } })));
    let bytes = HookQuestion::Rpc { method: "sum".into(), data: payload(&[0, 255], false) };
    let b64 = json!({ "method": "sum", "encoding": "binary", "b64data": "AP8=" });
    assert_eq!(body(bytes), with(b64));
    let empty = HookQuestion::Rpc { method: "sum".into(), data: payload(b"", false) };
    assert_eq!(body(empty), with(json!({ "method": "sum" })));
    assert_eq!(body(HookQuestion::Refresh), with(json!({})));
    let subscribe = HookQuestion::Subscribe { channel: "room:1".into(), data: Some(data.clone()) };
    assert_eq!(body(subscribe), with(json!({ "channel": "room:1", "data": { "a": [1, 2] } })));
    let publish = HookQuestion::Publish { channel: "room:1".into(), data: data.clone() };
    assert_eq!(body(publish), with(json!({ "channel": "room:1", "data": { "a": [1, 2] } })));
    let sub_refresh = HookQuestion::SubRefresh { channel: "room:1".into() };
    assert_eq!(body(sub_refresh), with(json!({ "channel": "room:1" })));
    let connect = HookQuestion::Connect(Box::new(ConnectQuestion {
        data: Some(data),
        name: "js".into(),
        version: "5".into(),
        channels: vec!["room:1".into()],
    }));
    let mut want = with(json!({
        "data": { "a": [1, 2] }, "name": "js", "version": "5", "channels": ["room:1"],
    }));
    want.as_object_mut().unwrap().remove("user");
    assert_eq!(body(connect), want);
}

fn read(hook: Hook, answer: &Value) -> Result<HookReply, HookAnswerError> {
    read_answer(hook, answer.to_string().as_bytes())
}

fn grant(hook: Hook, result: &Value) -> crate::auth::BackendGrant {
    match read(hook, &json!({ "result": result })) {
        Ok(HookReply::Result(HookResult::Grant(Some(grant)))) => *grant,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_result_an_error_and_a_disconnect_are_told_apart() {
    let data =
        |bytes: &[u8], is_json| Ok(HookReply::Result(HookResult::Rpc(payload(bytes, is_json))));
    assert_eq!(
        read(Hook::Rpc, &json!({ "result": { "data": { "b": 1 } } })),
        data(br#"{"b":1}"#, true)
    );
    assert_eq!(
        read(Hook::Rpc, &json!({ "result": { "b64data": "AP8=" } })),
        data(&[0, 255], false)
    );
    assert_eq!(
        read(Hook::Rpc, &json!({ "result": { "data": null, "b64data": "" } })),
        data(b"", false)
    );
    assert_eq!(read(Hook::Rpc, &json!({ "result": {} })), data(b"", false));
    assert_eq!(read(Hook::Rpc, &json!({})), data(b"", false));
    assert_eq!(read_answer(Hook::Rpc, b" {\"result\":{\"data\":[1,\n2]}}"), data(b"[1,2]", true));
    let error = BackendError { code: 404, message: "gone".into(), is_temporary: true };
    let answer =
        json!({ "error": { "code": 404, "message": "gone", "temporary": true }, "result": {} });
    assert_eq!(read(Hook::Rpc, &answer), Ok(HookReply::Error(error)));
    let answer = json!({ "disconnect": { "code": 4500, "reason": "bye" }, "error": { "code": 1 } });
    let disconnect = HookDisconnect { code: 4_500, reason: "bye".into() };
    assert_eq!(read(Hook::Publish, &answer), Ok(HookReply::Disconnect(disconnect)));
}

#[test]
fn grants_have_what_tokens_have() {
    let said = grant(
        Hook::Connect,
        &json!({
            "user": "ann",
            "tenant": "acme",
            "expire_at": 1_700_000_000,
            "info": { "name": "Ann" },
            "data": { "hello": 1 },
            "channels": ["room:1"],
            "subs": { "room:2": { "data": [1], "b64info": "", "override": { "force_recovery": { "value": true } } } },
            "meta": { "plan": 1 },
            "caps": [{ "channels": ["room:*"], "match": "wildcard", "allow": ["sub"] }],
        }),
    );
    assert_eq!((&*said.user, &*said.tenant), ("ann", "acme"));
    assert_eq!(said.expires_at_unix_s, Some(1_700_000_000));
    assert_eq!(said.options.info.as_deref(), Some(&br#"{"name":"Ann"}"#[..]));
    assert_eq!(said.options.data.unwrap().bytes[..], *br#"{"hello":1}"#);
    assert_eq!(said.channels, [Box::from("room:1")]);
    assert_eq!(said.subs[0].1.overrides.recovery, Some(true));
    assert_eq!(said.meta.as_deref(), Some(&br#"{"plan":1}"#[..]));
    assert!(said.caps[0].covers("room:9"));
    let said = grant(Hook::Refresh, &json!({ "expired": true, "expire_at": 0 }));
    assert!(said.is_expired && said.expires_at_unix_s.is_none());
    let said = grant(Hook::Subscribe, &json!({ "allow": ["pub", "hst"], "info": null }));
    assert!(said.allow.contains(PermissionSet::PUBLISH | PermissionSet::HISTORY));
    assert_eq!(read(Hook::Refresh, &json!({})), Ok(HookReply::Result(HookResult::Grant(None))));
}

#[test]
fn what_is_to_be_published_may_be_replaced() {
    let answer = json!({ "result": { "data": 1, "skip_history": true, "tags": { "a": "b" } } });
    let terms = PublishTerms {
        data: Some(payload(b"1", true)),
        tags: vec![("a".into(), "b".into())],
        skips_history: true,
    };
    assert_eq!(read(Hook::Publish, &answer), Ok(HookReply::Result(HookResult::Publish(terms))));
    let nothing = HookResult::Publish(PublishTerms::default());
    assert_eq!(read(Hook::Publish, &json!({})), Ok(HookReply::Result(nothing)));
}

#[test]
fn what_is_not_understood_is_no_answer() {
    for body in ["", "no", "[]", "[null]", "\"a\"", "{", "{\"result\":{}} x", "<html>", "null"] {
        for &hook in Hook::ALL {
            assert_eq!(read_answer(hook, body.as_bytes()), Err(HookAnswerError::Form), "{body}");
        }
    }
    for &hook in Hook::ALL {
        for result in [json!([]), json!(1), json!("a"), json!(false)] {
            let answer = read(hook, &json!({ "result": result }));
            assert_eq!(answer, Err(HookAnswerError::Result), "{hook:?} {result}");
        }
        for code in [0, 1_000, 2_999, 5_000, 70_000] {
            let answer = read(hook, &json!({ "disconnect": { "code": code } }));
            assert_eq!(answer, Err(HookAnswerError::Disconnect));
        }
        let long = json!({ "disconnect": { "code": 4_000, "reason": "a".repeat(124) } });
        assert_eq!(read(hook, &long), Err(HookAnswerError::Disconnect));
        assert_eq!(read(hook, &json!({ "error": {} })), Err(HookAnswerError::Error));
        let long = json!({ "error": { "code": 5, "message": "a".repeat(256) } });
        assert_eq!(read(hook, &long), Err(HookAnswerError::Error));
        assert_eq!(read(hook, &json!({ "error": { "code": "5" } })), Err(HookAnswerError::Form));
    }
    for result in [
        json!({ "user": 1 }),
        json!({ "user": "a\nb" }),
        json!({ "user": "a".repeat(256) }),
        json!({ "expire_at": "soon" }),
        json!({ "expire_at": -5 }),
        json!({ "expire_at": 1_700_000_000_000_u64 }),
        json!({ "channels": "room:1" }),
        json!({ "channels": [""] }),
        json!({ "caps": [{ "match": "regex" }] }),
        json!({ "b64info": "%" }),
        json!({ "b64info": "AP8=" }),
        json!({ "info": "a".repeat(5_000) }),
        json!({ "allow": ["everything"] }),
    ] {
        let answer = read(Hook::Connect, &json!({ "result": result }));
        assert_eq!(answer, Err(HookAnswerError::Result), "{result}");
    }
    for result in [
        json!({ "b64data": "%" }),
        json!({ "tags": [] }),
        json!({ "tags": { "id": "1" } }),
        json!({ "skip_history": 1 }),
    ] {
        let answer = read(Hook::Publish, &json!({ "result": result }));
        assert_eq!(answer, Err(HookAnswerError::Result), "{result}");
    }
}

#[test]
fn no_bytes_of_a_backend_harm() {
    let result = json!({
        "user": "ann", "expire_at": 5, "info": { "a": [1] }, "data": { "b": "c" }, "b64data": "AP8=",
        "channels": ["room:1"], "subs": { "room:2": { "info": 1, "override": {} } },
        "meta": {}, "caps": [{ "channels": ["a:*"], "match": "wildcard", "allow": ["sub"] }],
        "tags": { "a": "b" }, "skip_history": true, "expired": false, "unknown": [{}],
    });
    let error = json!({ "code": 1, "message": "m", "temporary": true });
    let disconnect = json!({ "code": 4_000, "reason": "r" });
    for answer in [
        json!({ "result": result }),
        json!({ "error": error }),
        json!({ "disconnect": disconnect, "result": null }),
    ] {
        let whole = answer.to_string().into_bytes();
        for at in 0..whole.len() {
            for hook in Hook::ALL {
                assert_eq!(read_answer(*hook, &whole[..at]), Err(HookAnswerError::Form));
            }
            for byte in [b'"', b'{', b'}', b'[', b'0', b'\\', 0, 0xff] {
                let mut changed = whole.clone();
                changed[at] = byte;
                for hook in Hook::ALL {
                    let _ = read_answer(*hook, &changed);
                }
            }
        }
    }
    for nested in ["[", "{\"a\":"] {
        for begin in ["", "{\"result\":", "{\"result\":{\"data\":", "{\"result\":{\"meta\":"] {
            let deep = begin.to_owned() + &nested.repeat(100_000);
            for hook in Hook::ALL {
                assert!(read_answer(*hook, deep.as_bytes()).is_err());
            }
        }
        let end = if nested == "[" { "]" } else { "}" };
        let closed = nested.repeat(100_000) + "1" + &end.repeat(100_000);
        let deep = format!("{{\"result\":{{\"data\":{closed}}}}}");
        let answer = read_answer(Hook::Rpc, deep.as_bytes());
        assert_eq!(answer, Err(HookAnswerError::Result));
    }
}
