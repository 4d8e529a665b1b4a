//! What tokens say of subscriptions: `subs` of connection tokens, and the same in those of one
//! channel.

use super::*;
use crate::base::limits::{EPOCH_BYTES_MAX, INFO_BYTES_MAX};

fn subs(claims: Value) -> Result<Vec<(Box<str>, SubscribeOptions)>, TokenError> {
    connection(&json!({ "sub": "ann", "subs": claims }).to_string()).map(|got| got.subs)
}

fn data(bytes: &[u8], is_json: bool) -> Option<SubscribeData> {
    Some(SubscribeData { bytes: bytes.into(), is_json })
}

#[test]
fn subs_are_channels_with_options() {
    let got = subs(json!({
        "room:b": {},
        "room:a": {
            "info": { "role": "host" }, "data": [1, 2],
            "override": {
                "force_push_join_leave": { "value": true },
                "force_recovery": { "value": false },
                "force_positioning": {},
            },
        },
        "room:c": { "b64info": STANDARD.encode("7"), "b64data": STANDARD.encode(b"\xff\n") },
        "room:d": { "info": null, "data": null, "override": null, "unknown": [1] },
    }));
    let host = SubscribeOptions {
        info: Some(br#"{"role":"host"}"#.to_vec().into()),
        data: data(b"[1,2]", true),
        overrides: SubscribeOverrides {
            push_join_leave: Some(true),
            recovery: Some(false),
            positioning: Some(false),
        },
        recover_since: None,
    };
    let binary = SubscribeOptions {
        info: Some(b"7".to_vec().into()),
        data: data(b"\xff\n", false),
        ..SubscribeOptions::default()
    };
    let none = SubscribeOptions::default;
    let want = [("room:a", host), ("room:b", none()), ("room:c", binary), ("room:d", none())];
    assert_eq!(got.unwrap(), want.map(|(name, options)| (name.into(), options)));
    assert_eq!(subs(json!(null)), Ok(vec![]));
}

#[test]
fn a_token_of_one_channel_has_the_same_options() {
    let got = subscription(
        r#"{"channel":"a","info":{"n":1},"data":"hi","override":{"force_recovery":{"value":true}}}"#,
    );
    let got = got.unwrap();
    assert_eq!(got.options.data, data(b"\"hi\"", true));
    assert_eq!(got.options.info.as_deref(), Some(&br#"{"n":1}"#[..]));
    assert_eq!(got.options.overrides.recovery, Some(true));
    assert_eq!(got.unsupported.iter().count(), 0);
}

#[test]
fn options_beyond_a_limit_or_of_another_type_are_refused() {
    let long = |bytes: usize| json!("x".repeat(bytes - 2));
    assert!(subs(json!({ "a": { "data": long(INFO_BYTES_MAX) } })).is_ok());
    let name = |bytes: usize| json!({ "x".repeat(bytes): {} });
    let longest = crate::base::limits::NAME_BYTES_MAX;
    assert!(subs(name(longest)).is_ok());
    for bad in [
        json!({ "a": { "data": long(INFO_BYTES_MAX + 1) } }),
        json!({ "a": { "info": long(INFO_BYTES_MAX + 1) } }),
        json!({ "a": { "b64data": STANDARD.encode([0xff].repeat(INFO_BYTES_MAX + 1)) } }),
        json!({ "a": { "b64data": "*" } }),
        json!({ "a": { "b64info": STANDARD.encode(b"\xff") } }),
        json!({ "a": { "b64info": STANDARD.encode(b"\"\xff\"") } }),
        json!({ "a": { "override": { "force_recovery": { "value": 1 } } } }),
        json!({ "a": { "override": { "presence": true } } }),
        json!({ "": {} }),
        json!({ "a\nb": {} }),
        name(longest + 1),
        json!({ "a": null }),
        json!(["a"]),
        json!("a"),
    ] {
        assert_eq!(subs(bad.clone()), Err(TokenError::Claims), "{bad}");
    }
    let twice = r#"{"subs":{"a":{},"a":{"info":1}}}"#;
    assert_eq!(connection(twice).map(drop), Err(TokenError::Claims), "two readers could differ");
    let both = json!({ "channel": "a", "subs": {} }).to_string();
    assert_eq!(subscription(&both).map(drop), Err(TokenError::Kind));
}

#[test]
fn what_is_not_supported_is_told_apart_from_what_is_an_applications_own() {
    let found = |claims: Value| {
        let claims = connection(&claims.to_string()).unwrap();
        claims.unsupported.iter().collect::<Vec<_>>()
    };
    let switch = json!({ "value": false });
    use UnsupportedClaim::{OverrideJoinLeave, OverridePresence};
    assert_eq!(found(json!({ "roles": [], "email": "x", "subs": { "a": { "y": 1 } } })), []);
    let one = json!({ "subs": { "a": {}, "b": { "override": { "join_leave": switch } } } });
    assert_eq!(found(one), [OverrideJoinLeave]);
    let both = json!({ "subs": {
        "a": { "override": { "presence": switch } }, "b": { "override": { "join_leave": switch } },
    } });
    assert_eq!(found(both), [OverridePresence, OverrideJoinLeave]);
    let of_one = json!({ "channel": "a", "override": { "presence": switch } }).to_string();
    let of_one = subscription(&of_one).unwrap().unsupported;
    assert_eq!(of_one.iter().collect::<Vec<_>>(), [OverridePresence]);
}

#[test]
fn meta_is_one_json_value_within_its_limit() {
    let meta = |json: &str| connection(&format!(r#"{{"meta":{json}}}"#)).map(|got| got.meta);
    assert_eq!(meta("{\"a\":\n1}"), Ok(Some(b"{\"a\":1}".to_vec().into())));
    assert_eq!(meta("null"), Ok(None));
    let long = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    assert!(meta(&long(INFO_BYTES_MAX)).is_ok());
    assert_eq!(meta(&long(INFO_BYTES_MAX + 1)), Err(TokenError::Claims));
}

#[test]
fn a_granted_position_is_an_offset_and_an_epoch_of_bounded_length() {
    let of_one = |position: Value| {
        let claims = json!({ "channel": "a", "recover_since": position }).to_string();
        subscription(&claims).map(|got| got.options.recover_since)
    };
    let granted = |offset, epoch: &str| Some(GrantedPosition { offset, epoch: epoch.into() });
    assert_eq!(of_one(json!({ "offset": 3, "epoch": "e" })), Ok(granted(3, "e")));
    assert_eq!(of_one(json!(null)), Ok(None));
    let longest = "e".repeat(EPOCH_BYTES_MAX);
    assert_eq!(of_one(json!({ "offset": 0, "epoch": longest })), Ok(granted(0, &longest)));
    for bad in [
        json!({ "offset": 0, "epoch": format!("{longest}e") }),
        json!({ "offset": -1, "epoch": "e" }),
        json!({ "offset": "1", "epoch": "e" }),
        json!({ "offset": 1 }),
        json!({ "epoch": "e" }),
        json!([]),
        json!("e"),
    ] {
        assert_eq!(of_one(bad.clone()), Err(TokenError::Claims), "{bad}");
    }
    let got = subs(json!({ "room:a": { "recover_since": { "offset": 1, "epoch": "e" } } }));
    assert_eq!(got.map(|got| got[0].1.recover_since.clone()), Ok(granted(1, "e")));
}
