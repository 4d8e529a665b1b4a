//! What is asked an application's backend, and what its answers mean.

mod channels;

use super::*;
use crate::hook::{Hook, HookDisconnect, HookQuestion, HookReply, HookRequest, HookResult};
use crate::session::HookThen;
use crate::wire::{BackendError, Payload};

fn json(text: &str) -> Payload {
    Payload { bytes: text.as_bytes().to_vec().into(), is_json: true }
}

fn rpc_answer(text: &str) -> HookReply {
    HookReply::Result(HookResult::Rpc(json(text)))
}

impl SessionHarness {
    /// A session of a server that asks these hooks.
    fn hooked(hooks: &[Hook]) -> SessionHarness {
        let mut harness = SessionHarness::new();
        harness.options.hooks.asked = hooks.iter().copied().collect();
        harness
    }

    /// The one question that the last step asked the backend.
    #[track_caller]
    fn asked_backend(&mut self) -> (HookRequest, HookThen) {
        let effects = self.out.take_effects();
        let mut asks = effects.into_iter().filter_map(|effect| match effect {
            Effect::AskBackend(ask) => Some((ask.request, ask.then)),
            _ => None,
        });
        let first = asks.next().expect("the backend is asked");
        assert!(asks.next().is_none(), "one thing is asked");
        first
    }

    /// The backend answers.
    fn backend(&mut self, then: HookThen, reply: HookReply) {
        self.step(|session, cx, out| session.on_hook_reply(cx, then, reply, out));
    }
}

/// Connected as `ann`, and a method of the application was called by command 3.
fn called() -> (SessionHarness, HookThen) {
    let mut harness = SessionHarness::hooked(&[Hook::Rpc]);
    harness.connect(&signed(r#"{"sub":"ann","meta":{"plan":1}}"#));
    harness.command(r#""rpc":{"method":"sum","data":[1,2]}"#);
    let (HookRequest { asker, question }, then) = harness.asked_backend();
    assert_eq!((&*asker.user, asker.meta.as_deref()), ("ann", Some(&br#"{"plan":1}"#[..])));
    assert_eq!(asker.client, harness.session.peer().info().client);
    assert_eq!(question, HookQuestion::Rpc { method: "sum".into(), data: json("[1,2]") });
    assert_eq!(harness.session.unanswered_count(), 1);
    (harness, then)
}

#[test]
fn a_method_of_the_application_is_answered_by_its_backend() {
    let (mut harness, then) = called();
    harness.backend(then, rpc_answer("3"));
    assert_eq!(harness.text(), r#"{"id":3,"rpc":{"data":3}}"#);
    assert_eq!(harness.session.unanswered_count(), 0);
    let (mut harness, then) = called();
    let nothing = Payload { bytes: bytes::Bytes::new(), is_json: false };
    harness.backend(then, HookReply::Result(HookResult::Rpc(nothing)));
    assert_eq!(harness.text(), r#"{"id":3,"rpc":{}}"#);
}

#[test]
fn what_the_backend_refuses_is_told_as_it_says() {
    let (mut harness, then) = called();
    let error = BackendError { code: 1_404, message: "none".into(), is_temporary: true };
    harness.backend(then, HookReply::Error(error));
    let told = r#"{"id":3,"error":{"code":1404,"message":"none","temporary":true}}"#;
    assert_eq!(harness.text(), told);
    let (mut harness, then) = called();
    let told = HookDisconnect { code: 4_001, reason: "bye".into() };
    harness.backend(then, HookReply::Disconnect(told.clone()));
    assert!(matches!(harness.out.effects(), [Effect::Disconnect(said)] if *said == told));
    for (reply, code) in [
        (HookReply::Busy, ErrorCode::TooManyRequests),
        (HookReply::Failed, ErrorCode::Internal),
        (HookReply::Result(HookResult::Grant(None)), ErrorCode::Internal),
    ] {
        let (mut harness, then) = called();
        harness.backend(then, reply);
        harness.check_refused(code);
        assert!(code.parts().2, "clients try again");
    }
}

#[test]
fn methods_are_asked_in_any_order_and_only_where_there_is_a_backend() {
    let (mut harness, first) = called();
    harness.command(r#""rpc":{"method":"twice"}"#);
    let (_, second) = harness.asked_backend();
    harness.backend(second, rpc_answer("2"));
    assert!(harness.text().starts_with(r#"{"id":4,"#));
    harness.backend(first, rpc_answer("1"));
    assert!(harness.text().starts_with(r#"{"id":3,"#));
    let mut harness = SessionHarness::connected();
    harness.command(r#""rpc":{"method":"sum","data":1}"#);
    harness.check_refused(ErrorCode::NotAvailable);
    let (mut harness, _) = called();
    harness.command(r#""rpc":{"method":"chat.none"}"#);
    harness.check_refused(ErrorCode::MethodNotFound);
    harness.raw(r#"{"send":{"data":{"method":"sum","data":1}}}"#);
    assert!(harness.out.effects().is_empty(), "nobody would hear the answer");
}

#[test]
fn what_tokens_say_for_hooks_is_kept_where_there_are_some() {
    let mut harness = SessionHarness::new();
    harness.connect(&signed(r#"{"sub":"ann","meta":{"plan":1}}"#));
    assert_eq!(harness.session.peer().meta(), None);
    let (mut harness, _) = called();
    let fresh = signed(r#"{"sub":"ann","meta":{"plan":2}}"#);
    harness.command(&format!(r#""refresh":{{"token":"{fresh}"}}"#));
    assert_eq!(harness.session.peer().meta().map(|meta| &meta[..]), Some(&br#"{"plan":2}"#[..]));
}

fn grant(result: &str) -> HookReply {
    let json = serde_json::value::RawValue::from_string(result.to_owned()).unwrap();
    let grant = crate::auth::read_grant(&json).unwrap();
    HookReply::Result(HookResult::Grant(Some(Box::new(grant))))
}

/// A client without a token, about whom the backend is asked.
fn connecting() -> (SessionHarness, HookThen) {
    let mut harness = SessionHarness::hooked(&[Hook::Connect]);
    let subs = r#"{"room:1":{"recover":true,"offset":1,"epoch":"e"}}"#;
    let members = format!(r#""data":{{"a":1}},"name":"js","version":"5","subs":{subs}"#);
    harness.command(&format!(r#""connect":{{{members}}}"#));
    assert!(harness.text().is_empty());
    let (HookRequest { asker, question }, then) = harness.asked_backend();
    assert_eq!(&*asker.user, "");
    let HookQuestion::Connect(question) = question else { panic!("{question:?}") };
    assert_eq!((&*question.name, &*question.version), ("js", "5"));
    assert_eq!(question.data, Some(json(r#"{"a":1}"#)));
    assert_eq!(question.channels, [Box::from("room:1")]);
    (harness, then)
}

#[test]
fn the_backend_says_who_a_client_is() {
    let (mut harness, then) = connecting();
    let end = START_UNIX_S + 100;
    harness.backend(
        then,
        grant(&format!(
            r#"{{"user":"ann","expire_at":{end},"info":{{"name":"Ann"}},"data":{{"hello":1}},
                 "meta":{{"plan":1}},"tenant":"acme",
                 "caps":[{{"channels":["closed:1"],"allow":["sub"]}}]}}"#
        )),
    );
    let text = harness.text();
    assert!(text.starts_with(r#"{"id":2,"connect":{"client":""#), "{text}");
    assert!(text.contains(r#""expires":true,"ttl":100,"data":{"hello":1}"#), "{text}");
    let peer = harness.session.peer();
    assert_eq!((&*peer.info().user, peer.tenant()), ("ann", "acme"));
    assert_eq!(peer.meta().map(|meta| &meta[..]), Some(&br#"{"plan":1}"#[..]));
    let conn_info = peer.info().conn_info.clone().unwrap();
    assert_eq!(conn_info.bytes[..], *br#"{"name":"Ann"}"#);
    harness.command(r#""subscribe":{"channel":"closed:1"}"#);
    assert!(matches!(harness.asked().1, RoomOp::Subscribe(_)));
}

#[test]
fn channels_of_the_backend_are_subscribed_and_recovered() {
    let (mut harness, then) = connecting();
    let subs = r#"{"room:2":{"info":{"role":1},"data":[1]}}"#;
    harness
        .backend(then, grant(&format!(r#"{{"user":"ann","channels":["room:1"],"subs":{subs}}}"#)));
    assert!(harness.text().is_empty(), "rooms are asked first");
    let asks: Vec<_> = (harness.out.effects().iter())
        .filter_map(|effect| match effect {
            Effect::SendRequest(RoomRequest { room, op: RoomOp::Subscribe(subscribe), .. }) => {
                Some((
                    *room,
                    subscribe.channel_key.channel.to_string(),
                    subscribe.since.is_some(),
                    subscribe.chan_info.is_some(),
                ))
            }
            _ => None,
        })
        .collect();
    let told = |ask: &(RoomId, String, bool, bool)| (ask.1.clone(), ask.2, ask.3);
    let want = [("room:2".to_owned(), false, true), ("room:1".to_owned(), true, false)];
    assert_eq!(asks.iter().map(told).collect::<Vec<_>>(), want);
    for (room, ..) in asks {
        harness.answer(room, RoomReply::Subscribed(subscribed(0)));
    }
    assert!(harness.text().contains(r#""room:2":{"#) && harness.text().contains(r#""data":[1]"#));
}

#[test]
fn commands_wait_until_the_backend_has_answered() {
    let (mut harness, then) = connecting();
    harness.command(r#""subscribe":{"channel":"room:3"}"#);
    harness.raw("{}");
    assert!(harness.text().is_empty() && harness.out.effects().is_empty());
    harness.pass(600_000);
    assert!(harness.out.effects().is_empty(), "its answer comes in time");
    harness.backend(then, grant(r#"{"user":"ann"}"#));
    let last = harness.out.effects_mut().pop();
    let Some(Effect::Resume(held)) = last else { panic!("{last:?}") };
    harness.step(|session, cx, out| {
        session.resume(cx, held, 10, out);
    });
    assert!(matches!(harness.asked().1, RoomOp::Subscribe(_)));
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let ends = |reply: HookReply, told: &str, fault: Fault| {
        let (mut harness, then) = connecting();
        harness.backend(then, reply);
        assert!(harness.text().contains(told), "{} {}", harness.text(), told);
        harness.check_closed(fault);
    };
    let error = |is_temporary| {
        HookReply::Error(BackendError { code: 4_000, message: "no".into(), is_temporary })
    };
    let unauthorized = Fault::Refused(ErrorCode::Unauthorized);
    let later = Fault::Refused(ErrorCode::TooManyRequests);
    ends(error(false), r#"{"id":2,"error":{"code":4000,"message":"no"}}"#, unauthorized);
    ends(error(true), r#""temporary":true"#, later);
    ends(HookReply::Busy, r#""code":111"#, later);
    ends(HookReply::Failed, r#""code":100"#, Fault::Refused(ErrorCode::Internal));
    ends(HookReply::Result(HookResult::Grant(None)), r#""code":101"#, unauthorized);
    ends(grant(r#"{"user":"ann","expire_at":5}"#), "", Fault::Expired);
    ends(grant(r#"{"user":"ann","expired":true}"#), "", Fault::Expired);
    let unknown = Fault::Refused(ErrorCode::UnknownChannel);
    ends(grant(r#"{"user":"ann","channels":["none:1"]}"#), r#""code":102"#, unknown);
    let (mut harness, then) = connecting();
    harness
        .backend(then, HookReply::Disconnect(HookDisconnect { code: 4_500, reason: "no".into() }));
    assert!(matches!(harness.out.effects(), [Effect::Disconnect(_)]) && harness.text().is_empty());
}

#[test]
fn a_client_may_be_anonymous_by_the_backend_or_by_the_settings() {
    let (mut harness, then) = connecting();
    harness.backend(then, grant("{}"));
    assert!(harness.text().contains(r#""connect":{"client":""#), "{}", harness.text());
    assert!(harness.info().user.is_empty());
    let (mut harness, then) = connecting();
    harness.options.anonymous = true;
    harness.backend(then, HookReply::Result(HookResult::Grant(None)));
    assert!(harness.info().user.is_empty());
}

#[test]
fn who_is_blocked_is_kept_out_whatever_the_backend_says() {
    let ann = BlockKey::User(NameKey([1, 2]).user_hash("", "ann"));
    let is_out = |told: &str| {
        // The block comes while the backend is asked.
        let (mut harness, then) = connecting();
        harness.blocks.set(ann, Some(BlockTerms::default()));
        harness.backend(then, grant(told));
        if harness.text().is_empty() {
            harness.check_closed(Fault::Blocked(BlockKind::User));
            return true;
        }
        assert!(harness.text().contains(r#""connect":{"client":""#), "{}", harness.text());
        false
    };
    assert!(is_out(r#"{"user":"ann"}"#));
    assert!(!is_out(r#"{"user":"ann","tenant":"acme"}"#), "that is somebody else");
    assert!(!is_out(r#"{"user":"bob"}"#));
    assert!(!is_out("{}"), "nobody");
}

#[test]
fn the_backends_word_counts_as_a_token_of_that_moment() {
    for (s, is_refused) in [(0, false), (1, true)] {
        let (mut harness, then) = connecting();
        let tokens = BlockKey::UserTokens(NameKey([1, 2]).user_hash("", "ann"));
        let issued_before_unix_s = u32::try_from(START_UNIX_S + s).unwrap();
        harness.blocks.set(tokens, Some(BlockTerms { until_unix_s: 0, issued_before_unix_s }));
        harness.backend(then, grant(r#"{"user":"ann"}"#));
        match is_refused {
            true => harness.check_closed(Fault::Blocked(BlockKind::UserTokens)),
            false => assert!(harness.text().contains(r#""connect":{"client":""#)),
        }
    }
}

#[test]
fn who_brings_a_token_is_who_it_says() {
    let mut harness = SessionHarness::hooked(&[Hook::Connect]);
    harness.connect(&user("ann"));
    assert!(harness.text().contains(r#""connect":{"client":""#), "{}", harness.text());
    assert!(matches!(harness.out.effects(), [Effect::Connected]), "nobody is asked");
}

#[test]
fn an_answer_for_nobody_is_dropped() {
    let (mut harness, then) = connecting();
    harness.step(|session, cx, out| session.leave(cx, out));
    harness.backend(then, grant(r#"{"user":"ann","channels":["room:1"]}"#));
    assert!(harness.text().is_empty() && harness.out.effects().is_empty());
}

/// Connected as `ann` by a token that ends in 100 s, which has passed: the backend is asked.
fn expiring() -> (SessionHarness, HookThen) {
    let mut harness = SessionHarness::hooked(&[Hook::Refresh]);
    harness.connect(&token(&NewToken {
        user: "ann",
        expires_at_unix_s: Some(START_UNIX_S + 100),
        ..NewToken::default()
    }));
    assert!(!harness.text().contains("expires"), "{}: it brings no token", harness.text());
    harness.pass(99_000);
    assert!(harness.out.effects().is_empty());
    harness.pass(1_100);
    let (HookRequest { asker, question }, then) = harness.asked_backend();
    assert_eq!((&*asker.user, question), ("ann", HookQuestion::Refresh));
    (harness, then)
}

#[test]
fn the_backend_says_whether_a_connection_stays() {
    let (mut harness, then) = expiring();
    let end = START_UNIX_S + 500;
    let told = format!(r#"{{"expire_at":{end},"info":{{"a":1}},"meta":{{"plan":3}}}}"#);
    harness.backend(then, grant(&told));
    assert!(harness.text().is_empty() && harness.out.effects().is_empty());
    let peer = harness.session.peer();
    assert_eq!(peer.expires_unix_s(), Some(end));
    assert_eq!(peer.info().conn_info.as_ref().map(|info| info.bytes.len()), Some(7));
    assert_eq!(peer.meta().map(|meta| &meta[..]), Some(&br#"{"plan":3}"#[..]));
    harness.pass(390_000);
    assert!(harness.out.effects().is_empty());
    harness.pass(10_000);
    let (_, then) = harness.asked_backend();
    harness.backend(then, grant("{}"));
    assert_eq!(harness.session.peer().expires_unix_s(), None, "it stays for good");
}

#[test]
fn a_connection_that_may_not_stay_ends() {
    let over = START_UNIX_S + 50;
    for reply in [
        grant(r#"{"expired":true}"#),
        grant(&format!(r#"{{"expire_at":{over}}}"#)),
        HookReply::Result(HookResult::Grant(None)),
        HookReply::Error(BackendError { code: 4_000, message: "no".into(), is_temporary: true }),
        HookReply::Failed,
    ] {
        let (mut harness, then) = expiring();
        harness.backend(then, reply);
        harness.check_closed(Fault::Expired);
    }
    let (mut harness, then) = expiring();
    let disconnect = HookDisconnect { code: 4_500, reason: "no".into() };
    harness.backend(then, HookReply::Disconnect(disconnect));
    assert!(matches!(harness.out.effects(), [Effect::Disconnect(_)]));
}

#[test]
fn a_connection_whose_backend_is_gone_is_asked_about_again_after_a_minute() {
    let (mut harness, mut then) = expiring();
    harness.options.hooks.lenient = [Hook::Refresh].into_iter().collect();
    for reply in [HookReply::Failed, HookReply::Busy, HookReply::Failed] {
        harness.backend(then, reply);
        assert!(harness.out.effects().is_empty());
        harness.pass(58_000);
        assert!(harness.out.effects().is_empty());
        harness.pass(3_000);
        then = harness.asked_backend().1;
    }
}
