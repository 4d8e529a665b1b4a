//! Tokens as backends make them, good and bad.

mod subscribe_options;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_800_000_000;
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const RSA: [&str; 2] = [
    include_str!("../../tests/keys/rsa.private.pem"),
    include_str!("../../tests/keys/rsa.public.pem"),
];
const EC: [&str; 2] = [
    include_str!("../../tests/keys/ec.private.pem"),
    include_str!("../../tests/keys/ec.public.pem"),
];
const ED: [&str; 2] = [
    include_str!("../../tests/keys/ed.private.pem"),
    include_str!("../../tests/keys/ed.public.pem"),
];
const EC_384: &str = include_str!("../../tests/keys/ec384.public.pem");
const RSA_1024: &str = include_str!("../../tests/keys/rsa1024.public.pem");

fn secret(algorithm: Algorithm) -> KeySpec {
    KeySpec { kid: None, algorithm, material: KeyMaterial::Secret(SECRET.to_vec()) }
}

fn pem(algorithm: Algorithm, pem: &str) -> KeySpec {
    KeySpec { kid: None, algorithm, material: KeyMaterial::Pem(pem.to_owned()) }
}

/// What signs, and what checks.
fn pair(algorithm: Algorithm) -> (KeySpec, KeySpec) {
    let [private, public] = match algorithm {
        Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
            return (secret(algorithm), secret(algorithm));
        }
        Algorithm::Rs256 => RSA,
        Algorithm::Es256 => EC,
        Algorithm::EdDsa => ED,
    };
    (pem(algorithm, private), pem(algorithm, public))
}

fn named(spec: KeySpec, kid: &str) -> KeySpec {
    KeySpec { kid: Some(kid.to_owned()), ..spec }
}

fn keys(specs: &[KeySpec]) -> Keys {
    Keys::build(specs).expect("the keys of this test are good")
}

/// A token with exactly this header and these claims, as text.
fn raw(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET);
    let hs256 = jsonwebtoken::Algorithm::HS256;
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, hs256).unwrap();
    format!("{message}.{signature}")
}

fn connection(claims: &str) -> Result<Claims, TokenError> {
    keys(&[secret(Algorithm::Hs256)]).connection(&raw(r#"{"alg":"HS256"}"#, claims), NOW)
}

fn subscription(claims: &str) -> Result<ChannelClaims, TokenError> {
    keys(&[secret(Algorithm::Hs256)]).subscription(&raw(r#"{"alg":"HS256"}"#, claims), NOW)
}

/// What a connection token with these claims comes to.
fn check(claims: Value, want: Result<Claims, TokenError>) {
    assert_eq!(connection(&claims.to_string()), want, "{claims}");
}

#[test]
fn every_algorithm_reads_what_it_signed_and_nothing_of_the_others() {
    let token = NewToken { user: "ann", ..NewToken::default() };
    for signs in Algorithm::ALL {
        let signed = sign(&pair(signs).0, &ClaimRequirements::default(), &token).unwrap();
        for checks in Algorithm::ALL {
            let got = keys(&[pair(checks).1]).connection(&signed, NOW);
            if signs == checks {
                assert_eq!(&*got.unwrap().user, "ann");
            } else {
                assert_eq!(got, Err(TokenError::Algorithm), "{signs:?} against {checks:?}");
            }
        }
    }
}

#[test]
fn no_byte_of_a_token_can_be_changed() {
    let token = NewToken { user: "ann", info: Some("{\"a\":1}"), ..NewToken::default() };
    for algorithm in Algorithm::ALL {
        let (private, public) = pair(algorithm);
        let signed = sign(&named(private, "k"), &ClaimRequirements::default(), &token).unwrap();
        let keys = keys(&[named(public, "k")]);
        assert!(keys.connection(&signed, NOW).is_ok());
        for at in 0..signed.len() {
            for byte in [b'A', b'B', b'_', b'.', b'=', b'\n', signed.as_bytes()[at] ^ 1] {
                let mut changed = signed.clone().into_bytes();
                if changed[at] == byte {
                    continue;
                }
                changed[at] = byte;
                let changed = String::from_utf8(changed).unwrap();
                assert!(keys.connection(&changed, NOW).is_err(), "{algorithm:?} {at} {byte}");
            }
            assert!(keys.connection(&signed[..at], NOW).is_err(), "{algorithm:?} cut at {at}");
        }
        assert!(keys.connection(&format!("{signed}A"), NOW).is_err());
        assert!(keys.connection(&format!("{signed}="), NOW).is_err());
    }
}

#[test]
fn what_is_no_token_is_malformed() {
    let keys = keys(&[secret(Algorithm::Hs256)]);
    let long = "a".repeat(TOKEN_BYTES_MAX + 1);
    let good = raw(r#"{"alg":"HS256"}"#, "{}");
    let five_parts = format!("{good}.e30.e30");
    let not_utf8 = format!("{}.e30.e30", URL_SAFE_NO_PAD.encode(b"\xff\xfe"));
    for token in ["", ".", "..", "...", "a.b.c", "e30.e30.", "e30..e30", ".e30.e30", "日.本.語"]
    {
        assert_eq!(keys.connection(token, NOW), Err(TokenError::Malformed), "{token}");
    }
    for token in [&long, &five_parts, &not_utf8] {
        assert_eq!(keys.connection(token, NOW), Err(TokenError::Malformed), "{token}");
    }
    for header in ["{}", "[]", "null", "1", r#"{"alg":1}"#, r#"{"alg":"HS256","alg":"HS256"}"#] {
        assert_eq!(
            keys.connection(&raw(header, "{}"), NOW),
            Err(TokenError::Malformed),
            "{header}"
        );
    }
    let critical = raw(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, "{}");
    assert_eq!(keys.connection(&critical, NOW), Err(TokenError::Malformed));
}

#[test]
fn none_and_unknown_algorithms_are_refused_whatever_the_signature() {
    let keys = keys(&[secret(Algorithm::Hs256)]);
    for alg in ["none", "None", "NONE", "", "hs256", "HS1", "PS256", "RS256"] {
        let token = raw(&json!({ "alg": alg }).to_string(), "{}");
        assert_eq!(keys.connection(&token, NOW), Err(TokenError::Algorithm), "{alg}");
    }
    let unsigned = format!("{}.e30.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#));
    assert!(keys.connection(&unsigned, NOW).is_err());
}

#[test]
fn a_public_key_is_never_taken_for_a_secret() {
    // The attack: sign with HMAC, and the text of the public key as the secret.
    let forged_with = KeySpec {
        kid: None,
        algorithm: Algorithm::Hs256,
        material: KeyMaterial::Secret(RSA[1].as_bytes().to_vec()),
    };
    let forged = sign(&forged_with, &ClaimRequirements::default(), &NewToken::default()).unwrap();
    let real = named(pem(Algorithm::Rs256, RSA[1]), "k");
    assert_eq!(
        keys(std::slice::from_ref(&real)).connection(&forged, NOW),
        Err(TokenError::Algorithm)
    );
    let forged =
        sign(&named(forged_with.clone(), "k"), &ClaimRequirements::default(), &NewToken::default());
    assert_eq!(keys(&[real]).connection(&forged.unwrap(), NOW), Err(TokenError::Algorithm));
    let trouble = KeyErrorKind::PemAsSecret;
    assert_eq!(Keys::build(&[forged_with]).unwrap_err(), [KeyError { index: 0, trouble }]);
}

#[test]
fn keys_rotate_by_name_and_without() {
    let other = |kid: Option<&str>| KeySpec {
        kid: kid.map(str::to_owned),
        algorithm: Algorithm::Hs256,
        material: KeyMaterial::Secret(b"another secret of enough bytes".to_vec()),
    };
    let token = NewToken { user: "ann", ..NewToken::default() };
    let sign = |spec: &KeySpec| sign(spec, &ClaimRequirements::default(), &token).unwrap();
    let old = named(secret(Algorithm::Hs256), "old");
    let (by_old, by_new, by_unnamed) = (sign(&old), sign(&other(Some("new"))), sign(&other(None)));
    let both = keys(&[old.clone(), other(Some("new"))]);
    for token in [&by_old, &by_new, &by_unnamed] {
        assert!(both.connection(token, NOW).is_ok());
    }
    let only_old = keys(&[old]);
    assert!(only_old.connection(&by_old, NOW).is_ok());
    assert_eq!(only_old.connection(&by_new, NOW), Err(TokenError::UnknownKey));
    assert_eq!(only_old.connection(&by_unnamed, NOW), Err(TokenError::Signature));
    // A name binds: the right secret under another name is not looked at.
    let swapped = keys(&[named(secret(Algorithm::Hs256), "new"), other(Some("old"))]);
    assert_eq!(swapped.connection(&by_old, NOW), Err(TokenError::Signature));
    let none = Keys::build(&[]).unwrap();
    assert!(none.is_empty() && !both.is_empty());
    assert_eq!(none.connection(&by_unnamed, NOW), Err(TokenError::Algorithm));
}

#[test]
fn keys_that_cannot_work_are_named_all_at_once() {
    let short = |bytes: usize| KeySpec {
        kid: None,
        algorithm: Algorithm::Hs256,
        material: KeyMaterial::Secret(vec![7; bytes]),
    };
    use Algorithm::{EdDsa, Es256, Hs256, Rs256};
    let specs = [
        named(secret(Hs256), "a"),
        named(secret(Hs256), "a"),
        named(secret(Hs256), ""),
        short(15),
        short(16),
        secret(Rs256),
        pem(Hs256, RSA[1]),
        pem(Rs256, RSA[0]),
        pem(Rs256, RSA_1024),
        pem(Rs256, EC[1]),
        pem(Es256, EC_384),
        pem(Es256, ED[1]),
        pem(EdDsa, "nothing"),
    ];
    let faults = Keys::build(&specs).unwrap_err();
    let got: Vec<_> = faults.iter().map(|fault| (fault.index, fault.trouble)).collect();
    let want = [
        (1, KeyErrorKind::KidTwice),
        (2, KeyErrorKind::KidEmpty),
        (3, KeyErrorKind::TooShort(15)),
        (5, KeyErrorKind::WrongKind(Rs256)),
        (6, KeyErrorKind::WrongKind(Hs256)),
        (7, KeyErrorKind::Private),
        (8, KeyErrorKind::RsaBits(1_024)),
        (9, KeyErrorKind::Unusable(Rs256)),
        (10, KeyErrorKind::Unusable(Es256)),
        (11, KeyErrorKind::Unusable(Es256)),
        (12, KeyErrorKind::Unusable(EdDsa)),
    ];
    assert_eq!(got, want);
    let crowd = vec![secret(Hs256); KEYS_MAX + 1];
    let trouble = KeyErrorKind::TooMany;
    assert_eq!(Keys::build(&crowd).unwrap_err(), [KeyError { index: KEYS_MAX, trouble }]);
    assert!(Keys::build(&crowd[1..]).is_ok());
}

#[test]
fn a_secret_shorter_than_its_digest_is_weak() {
    let weakness = |algorithm, bytes| {
        KeySpec { kid: None, algorithm, material: KeyMaterial::Secret(vec![7; bytes]) }.weakness()
    };
    for (algorithm, bytes_wanted) in
        [(Algorithm::Hs256, 32), (Algorithm::Hs384, 48), (Algorithm::Hs512, 64)]
    {
        let bytes = bytes_wanted - 1;
        assert_eq!(weakness(algorithm, bytes), Some(WeakKey { bytes, bytes_wanted }));
        assert_eq!(weakness(algorithm, bytes_wanted), None);
    }
    assert_eq!(pem(Algorithm::Rs256, RSA[1]).weakness(), None);
}

#[test]
fn time_counts_from_the_first_second_of_nbf_to_the_last_before_exp() {
    let at = |claims: Value| connection(&claims.to_string());
    assert_eq!(at(json!({ "exp": NOW })), Err(TokenError::Expired));
    assert_eq!(at(json!({ "exp": NOW + 1 })).unwrap().expires_at_unix_s, Some(NOW + 1));
    assert_eq!(at(json!({ "exp": NOW as f64 + 1.9 })).unwrap().expires_at_unix_s, Some(NOW + 1));
    assert_eq!(at(json!({ "exp": 0 })), Err(TokenError::Expired));
    assert_eq!(at(json!({ "nbf": NOW + 1 })), Err(TokenError::NotYet));
    assert_eq!(at(json!({ "nbf": NOW + 300 })), Err(TokenError::NotYet));
    assert_eq!(at(json!({ "nbf": NOW + 301 })), Err(TokenError::Claims), "nobody waits for that");
    assert!(at(json!({ "nbf": NOW })).is_ok());
    assert_eq!(at(json!({})).unwrap().expires_at_unix_s, None);
    for bad in [json!(-1), json!("1"), json!([1]), json!(-0.5), json!(true)] {
        for claim in ["exp", "nbf", "iat", "expire_at"] {
            assert_eq!(at(json!({ claim: bad })), Err(TokenError::Claims), "{claim} {bad}");
        }
    }
}

#[test]
fn a_time_in_milliseconds_is_refused_and_one_in_the_far_future_is_not() {
    let kinds = |claims: Value| {
        let mut of_channel = claims.clone();
        of_channel["channel"] = json!("room:1");
        [
            connection(&claims.to_string()).map(|got| got.expires_at_unix_s),
            subscription(&of_channel.to_string()).map(|got| got.expires_at_unix_s),
        ]
    };
    let in_ms = [json!(NOW * 1_000), json!((NOW + 60) * 1_000), json!(u64::MAX), json!(1e300)];
    for bad in in_ms.into_iter().chain([json!(253_402_300_800_u64), json!(1.7e18)]) {
        for claim in ["exp", "nbf", "iat", "expire_at"] {
            assert_eq!(
                kinds(json!({ claim: bad })),
                [Err(TokenError::Claims), Err(TokenError::Claims)]
            );
        }
    }
    for end in [u64::from(u32::MAX), 1 << 33, 253_402_300_799] {
        assert_eq!(kinds(json!({ "exp": end, "iat": NOW })), [Ok(Some(end)), Ok(Some(end))]);
    }
}

#[test]
fn a_token_of_one_kind_is_none_of_the_other() {
    for claims in [
        json!({ "sub": "ann", "channel": "room:1" }),
        json!({ "sub": "ann", "channel": "" }),
        json!({ "sub": "ann", "client": "c" }),
        json!({ "sub": "ann", "allow": [] }),
        json!({ "sub": "ann", "channel": "room:1", "exp": NOW - 1 }),
    ] {
        assert_eq!(connection(&claims.to_string()), Err(TokenError::Kind), "{claims}");
    }
    for claims in [
        json!({ "sub": "ann" }),
        json!({ "sub": "ann", "exp": NOW - 1 }),
        json!({ "sub": "ann", "channel": "room:1", "channels": ["room:1"] }),
        json!({ "sub": "ann", "channel": "room:1", "caps": [] }),
    ] {
        assert_eq!(subscription(&claims.to_string()), Err(TokenError::Kind), "{claims}");
    }
}

#[test]
fn expire_at_decides_over_exp_when_the_connection_ends() {
    let end = |claims: Value| connection(&claims.to_string()).map(|got| got.expires_at_unix_s);
    assert_eq!(end(json!({ "exp": NOW + 5, "expire_at": NOW + 9 })), Ok(Some(NOW + 9)));
    assert_eq!(end(json!({ "exp": NOW + 5, "expire_at": 0 })), Ok(None));
    assert_eq!(end(json!({ "expire_at": NOW + 9 })), Ok(Some(NOW + 9)));
    assert_eq!(end(json!({ "exp": NOW, "expire_at": NOW + 9 })), Err(TokenError::Expired));
    assert_eq!(end(json!({ "exp": NOW + 5, "expire_at": NOW })), Err(TokenError::Expired));
}

#[test]
fn leeway_widens_both_ends() {
    let requirements = ClaimRequirements { leeway_s: 10, ..ClaimRequirements::default() };
    let keys = keys(&[secret(Algorithm::Hs256)]).requiring(requirements);
    let at = |claims: Value| keys.connection(&raw(r#"{"alg":"HS256"}"#, &claims.to_string()), NOW);
    assert!(at(json!({ "exp": NOW - 9 })).is_ok());
    assert_eq!(at(json!({ "exp": NOW - 10 })), Err(TokenError::Expired));
    assert!(at(json!({ "nbf": NOW + 10 })).is_ok());
    assert_eq!(at(json!({ "nbf": NOW + 11 })), Err(TokenError::NotYet));
}

#[test]
fn audience_and_issuer_count_only_when_demanded() {
    let requirements = ClaimRequirements {
        audience: Some("chat".to_owned()),
        issuer: Some("app".to_owned()),
        ..ClaimRequirements::default()
    };
    let strict = keys(&[secret(Algorithm::Hs256)]).requiring(requirements.clone());
    let lax = keys(&[secret(Algorithm::Hs256)]);
    for (claims, want) in [
        (json!({ "aud": "chat", "iss": "app" }), Ok(())),
        (json!({ "aud": ["x", "chat"], "iss": "app" }), Ok(())),
        (json!({ "iss": "app" }), Err(TokenError::Audience)),
        (json!({ "aud": "chats", "iss": "app" }), Err(TokenError::Audience)),
        (json!({ "aud": [], "iss": "app" }), Err(TokenError::Audience)),
        (json!({ "aud": 7, "iss": "app" }), Err(TokenError::Audience)),
        (json!({ "aud": "chat" }), Err(TokenError::Issuer)),
        (json!({ "aud": "chat", "iss": "App" }), Err(TokenError::Issuer)),
    ] {
        let token = raw(r#"{"alg":"HS256"}"#, &claims.to_string());
        assert_eq!(strict.connection(&token, NOW).map(drop), want, "{claims}");
        assert!(lax.connection(&token, NOW).is_ok(), "{claims}");
    }
    let made = sign(&secret(Algorithm::Hs256), &requirements, &NewToken::default()).unwrap();
    assert!(strict.connection(&made, NOW).is_ok());
}

#[test]
fn claims_are_read_as_backends_write_them() {
    check(json!({}), Ok(Claims::default()));
    check(
        json!({
            "sub": "ann", "tenant": "acme", "channels": ["room:1", "news:a"],
            "info": { "name": "Ann" }, "iat": 1, "jti": "x", "meta": { "deep": [[[]]] },
            "roles": ["admin"],
            "caps": [
                { "channels": ["room:*"], "match": "wildcard", "allow": ["sub", "pub"] },
                { "channels": ["news:a"], "allow": ["prs", "hst"] },
                {},
            ],
        }),
        Ok(Claims {
            user: "ann".into(),
            expires_at_unix_s: None,
            id: "x".into(),
            issued_unix_s: Some(1),
            info: Some(br#"{"name":"Ann"}"#.to_vec().into()),
            channels: vec!["room:1".into(), "news:a".into()],
            meta: Some(br#"{"deep":[[[]]]}"#.to_vec().into()),
            tenant: "acme".into(),
            caps: vec![
                Capability {
                    channels: vec!["room:*".into()],
                    pattern_kind: PatternKind::Wildcard,
                    allow: PermissionSet::SUBSCRIBE | PermissionSet::PUBLISH,
                },
                Capability {
                    channels: vec!["news:a".into()],
                    pattern_kind: PatternKind::Exact,
                    allow: PermissionSet::PRESENCE | PermissionSet::HISTORY,
                },
                Capability {
                    channels: vec![],
                    pattern_kind: PatternKind::Exact,
                    allow: PermissionSet::NONE,
                },
            ],
            ..Claims::default()
        }),
    );
}

#[test]
fn claims_of_another_type_or_beyond_a_limit_are_refused() {
    let name = |bytes: usize| "x".repeat(bytes);
    let longest = crate::base::limits::NAME_BYTES_MAX;
    let info = |bytes: usize| json!(name(bytes - 2));
    let caps = |count: usize| vec![json!({}); count];
    let cap_channels = |count: usize| json!([{ "channels": vec!["a"; count] }]);
    for good in [
        json!({ "sub": name(longest), "tenant": name(longest) }),
        json!({ "channels": [name(longest)] }),
        json!({ "info": info(crate::base::limits::INFO_BYTES_MAX) }),
        json!({ "caps": caps(CAPS_MAX) }),
        json!({ "caps": cap_channels(CAP_CHANNELS_MAX) }),
        json!({ "sub": null, "info": null, "channels": null, "caps": null, "exp": null }),
    ] {
        assert!(connection(&good.to_string()).is_ok(), "{good}");
    }
    for bad in [
        json!({ "sub": 7 }),
        json!({ "sub": name(longest + 1) }),
        json!({ "sub": "a\nb" }),
        json!({ "tenant": name(longest + 1) }),
        json!({ "tenant": "\u{85}" }),
        json!({ "channels": "room:1" }),
        json!({ "channels": [""] }),
        json!({ "channels": [name(longest + 1)] }),
        json!({ "info": info(crate::base::limits::INFO_BYTES_MAX + 1) }),
        json!({ "caps": caps(CAPS_MAX + 1) }),
        json!({ "caps": cap_channels(CAP_CHANNELS_MAX + 1) }),
        json!({ "caps": [{ "match": "regex", "channels": [".*"], "allow": ["sub"] }] }),
        json!({ "caps": [{ "channels": ["a"], "allow": ["all"] }] }),
        json!([]),
        json!(null),
    ] {
        check(bad, Err(TokenError::Claims));
    }
    for text in ["", "{", "{} {}", r#"{"sub":"a","sub":"b"}"#, r#"{"info":[1,]}"#] {
        assert_eq!(
            connection(text).map(drop),
            if text.is_empty() { Err(TokenError::Malformed) } else { Err(TokenError::Claims) }
        );
    }
}

#[test]
fn info_is_one_json_value_on_one_line() {
    let info = |claims: &str| connection(claims).map(|got| got.info);
    let bytes = |text: &str| Ok(Some(text.as_bytes().into()));
    assert_eq!(info("{\"info\":{\r\n \"a\\n\": 1\n}}"), bytes("{ \"a\\n\": 1}"));
    assert_eq!(info(r#"{"info":"x"}"#), bytes("\"x\""));
    let b64 = |text: &[u8]| json!({ "b64info": STANDARD.encode(text) }).to_string();
    assert_eq!(info(&b64(b"{\"a\":\n1}")), bytes("{\"a\":1}"));
    for bad in [&b"\xff"[..], b"not json", b"1 2", b""] {
        assert_eq!(info(&b64(bad)), Err(TokenError::Claims), "{bad:?}");
    }
    assert_eq!(info(r#"{"b64info":"*"}"#), Err(TokenError::Claims));
    let deep =
        |levels: usize| format!(r#"{{"info":{}"]\"]"{}}}"#, "[".repeat(levels), "]".repeat(levels));
    let levels_max = crate::base::limits::DATA_LEVELS_MAX;
    assert!(info(&deep(levels_max)).is_ok());
    assert_eq!(info(&deep(levels_max + 1)), Err(TokenError::Claims));
}

#[test]
fn a_subscription_token_is_for_one_channel() {
    let claims = json!({
        "sub": "ann", "channel": "room:1", "client": "c", "info": 7, "tenant": "acme",
        "exp": NOW + 1, "allow": ["pub", "hst"],
    });
    let want = ChannelClaims {
        user: "ann".into(),
        channel: "room:1".into(),
        client: Some("c".into()),
        expires_at_unix_s: Some(NOW + 1),
        id: "".into(),
        issued_unix_s: None,
        options: SubscribeOptions {
            info: Some(b"7".to_vec().into()),
            ..SubscribeOptions::default()
        },
        tenant: "acme".into(),
        allow: PermissionSet::SUBSCRIBE | PermissionSet::PUBLISH | PermissionSet::HISTORY,
        unsupported: UnsupportedClaims::default(),
    };
    assert_eq!(subscription(&claims.to_string()), Ok(want));
    let least = subscription(r#"{"channel":"room:1"}"#).unwrap();
    assert_eq!((least.allow, &*least.user), (PermissionSet::SUBSCRIBE, ""));
    for bad in [json!({ "channel": "" }), json!({ "channel": "a", "allow": ["x"] })] {
        assert_eq!(subscription(&bad.to_string()), Err(TokenError::Claims), "{bad}");
    }
}

#[test]
fn tokens_are_made_as_asked() {
    let channels = ["room:1".to_owned()];
    let token = NewToken {
        user: "ann",
        channel: None,
        channels: &channels,
        expires_at_unix_s: Some(NOW + 60),
        issued_unix_s: Some(NOW),
        id: "t1",
        info: Some("{\"name\": \"Ann\"}"),
        tenant: "acme",
    };
    let key = secret(Algorithm::Hs384);
    let signed = sign(&key, &ClaimRequirements::default(), &token).unwrap();
    let claims = keys(std::slice::from_ref(&key)).connection(&signed, NOW).unwrap();
    let want = Claims {
        user: "ann".into(),
        expires_at_unix_s: Some(NOW + 60),
        id: "t1".into(),
        issued_unix_s: Some(NOW),
        info: Some(b"{\"name\": \"Ann\"}".to_vec().into()),
        channels: vec!["room:1".into()],
        tenant: "acme".into(),
        ..Claims::default()
    };
    assert_eq!(claims, want);
    let fault =
        |key: &KeySpec, token: NewToken<'_>| sign(key, &ClaimRequirements::default(), &token);
    let none = NewToken::default();
    assert_eq!(fault(&key, NewToken { info: Some("{"), ..none.clone() }), Err(SignError::Info));
    let long = "x".repeat(TOKEN_BYTES_MAX);
    let too_long = NewToken { user: &long, ..none.clone() };
    assert_eq!(fault(&key, too_long), Err(SignError::TooLong));
    for (algorithm, pem_text) in [(Algorithm::Rs256, RSA[1]), (Algorithm::Es256, "x")] {
        let got = fault(&pem(algorithm, pem_text), none.clone());
        assert_eq!(got, Err(SignError::Key(algorithm)));
    }
}

#[test]
fn nothing_of_a_key_shows_when_it_is_printed() {
    let specs = [secret(Algorithm::Hs256), pem(Algorithm::Rs256, RSA[1])];
    let text = format!("{specs:?} {:?}", keys(&specs));
    assert!(
        !text.contains("0123456789") && !text.contains("48, 49, 50") && !text.contains("BEGIN")
    );
}
