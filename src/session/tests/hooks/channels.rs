//! What is asked about channels: who subscribes, what is published, and who stays.

use super::*;
use crate::hook::{HookSet, PublishTerms};

/// In a server that asks about `closed:` and `room:`.
fn asking(hooks: &[Hook]) -> SessionHarness {
    let mut harness = SessionHarness::hooked(hooks);
    for rules in &mut harness.rooms.namespaces {
        (rules.subscribe_hook, rules.publish_hook, rules.sub_refresh_hook) = (true, true, true);
    }
    harness.connect(&user("ann"));
    harness
}

fn subscribing() -> (SessionHarness, HookThen) {
    let mut harness = asking(&[Hook::Subscribe]);
    harness.command(r#""subscribe":{"channel":"closed:1","data":{"a":1}}"#);
    assert!(harness.text().is_empty());
    let (HookRequest { question, .. }, then) = harness.asked_backend();
    let (channel, data) = ("closed:1".into(), Some(json(r#"{"a":1}"#)));
    assert_eq!(question, HookQuestion::Subscribe { channel, data });
    (harness, then)
}

#[test]
fn the_backend_says_who_may_subscribe() {
    let (mut harness, then) = subscribing();
    let end = START_UNIX_S + 100;
    let told = format!(
        r#"{{"expire_at":{end},"info":{{"role":1}},"data":[1],"allow":["pub"],
             "override":{{"force_push_join_leave":{{"value":true}}}}}}"#
    );
    harness.backend(then, grant(&told));
    let (room, op) = harness.asked();
    let RoomOp::Subscribe(subscribe) = op else { panic!("{op:?}") };
    assert_eq!(
        subscribe.chan_info.as_ref().map(|info| &info.bytes[..]),
        Some(&br#"{"role":1}"#[..])
    );
    assert_eq!(harness.session.unanswered_count(), 1);
    harness.answer(room, RoomReply::Subscribed(subscribed(0)));
    let text = harness.text();
    assert!(text.starts_with(r#"{"id":3,"subscribe":{"expires":true,"ttl":100"#), "{text}");
    assert!(text.contains(r#""data":[1]"#), "{text}");
    let joins = |effect: &Effect| match effect {
        Effect::AddSubscriber { wants, .. } => wants.join_leave,
        _ => false,
    };
    assert!(harness.out.effects().iter().any(joins));
    harness.session.activate(room, SubscriberSlot { channel: 3, index: 4 });
    harness.command(r#""publish":{"channel":"closed:1","data":1}"#);
    harness.check_refused(ErrorCode::PermissionDenied); // its namespace says: nobody
}

#[test]
fn a_subscribe_that_the_backend_refuses_can_be_asked_again() {
    let error = BackendError { code: 4_003, message: "no".into(), is_temporary: false };
    for (reply, told) in [
        (HookReply::Error(error), r#""code":4003"#),
        (HookReply::Failed, r#""code":100"#),
        (HookReply::Busy, r#""code":111"#),
    ] {
        let (mut harness, then) = subscribing();
        harness.backend(then, reply);
        assert!(harness.text().contains(told), "{}", harness.text());
        assert_eq!((harness.session.channels_count(), harness.session.unanswered_count()), (0, 0));
        harness.command(r#""subscribe":{"channel":"closed:1"}"#);
        harness.asked_backend();
    }
    let (mut harness, then) = subscribing();
    harness.backend(then, HookReply::Result(HookResult::Grant(None)));
    assert!(matches!(harness.asked().1, RoomOp::Subscribe(_)), "nothing is a yes");
}

#[test]
fn a_subscribe_whose_time_is_over_when_the_backend_says_yes_is_refused() {
    for told in [r#"{"expired":true}"#, r#"{"expire_at":5}"#] {
        let (mut harness, then) = subscribing();
        harness.backend(then, grant(told));
        harness.check_refused(ErrorCode::Expired);
        assert_eq!((harness.session.channels_count(), harness.session.unanswered_count()), (0, 0));
    }
}

#[test]
fn a_filter_holds_for_whom_the_backend_lets_in() {
    let filter = r#""tf":{"cmp":"eq","key":"kind","val":"a"}"#;
    let mut harness = asking(&[Hook::Subscribe]);
    let command = format!(r#""subscribe":{{"channel":"room:1",{filter}}}"#);
    harness.command(&command);
    harness.check_refused(ErrorCode::NotAvailable); // before anybody is asked
    harness.rooms.namespaces[0].tag_filters = true;
    harness.command(&command);
    let (_, then) = harness.asked_backend();
    harness.backend(then, grant("{}"));
    let room = harness.asked().0;
    harness.answer(room, RoomReply::Subscribed(subscribed(0)));
    let filters = |effect: &Effect| match effect {
        Effect::AddSubscriber { wants, .. } => {
            let matches = |kind: &str| {
                let tags = [(Box::from("kind"), Box::from(kind))];
                wants.filter.as_ref().map(|filter| filter.matches(&tags))
            };
            Some((matches("a"), matches("b")))
        }
        _ => None,
    };
    let found = harness.out.effects().iter().find_map(filters);
    assert_eq!(found, Some((Some(true), Some(false))));
}

#[test]
fn commands_about_a_channel_wait_for_the_backend_and_others_do_not() {
    let (mut harness, then) = subscribing();
    harness.command(r#""presence":{"channel":"closed:1"}"#); // which it does not have
    harness.command(r#""unsubscribe":{"channel":"closed:1"}"#);
    assert!(harness.text().is_empty() && harness.out.effects().is_empty());
    harness.command(r#""ping":{}"#);
    assert!(harness.text().contains("ping"));
    harness.backend(then, HookReply::Failed);
    let last = harness.out.effects_mut().pop();
    let Some(Effect::Resume(held)) = last else { panic!("{last:?}") };
    harness.step(|session, cx, out| {
        session.resume(cx, held, 10, out);
    });
    let text = harness.text();
    assert!(text.contains(r#"{"id":4,"error":{"code":108"#), "{text}");
    assert!(text.contains(r#"{"id":5,"unsubscribe":{}}"#), "{text}");
}

#[test]
fn a_subscribe_without_an_answer_is_by_the_namespace_where_that_is_allowed() {
    let lenient: HookSet = [Hook::Subscribe].into_iter().collect();
    let (mut harness, then) = subscribing();
    harness.options.hooks.lenient = lenient;
    harness.backend(then, HookReply::Failed);
    harness.check_refused(ErrorCode::Internal); // its namespace wants a token
    let mut harness = asking(&[Hook::Subscribe]);
    harness.options.hooks.lenient = lenient;
    harness.command(r#""subscribe":{"channel":"room:1"}"#);
    let (_, then) = harness.asked_backend();
    harness.backend(then, HookReply::Failed);
    assert!(matches!(harness.asked().1, RoomOp::Subscribe(_)));
}

#[test]
fn who_may_not_come_in_by_any_token_is_not_asked_about() {
    let mut harness = asking(&[Hook::Subscribe]);
    harness.rooms.namespaces.push(Namespace { subscribe_hook: true, ..open_namespace("@") });
    harness.rooms.namespaces[1].subscribe = Permission::Nobody;
    for channel in ["closed:1", "@bob"] {
        harness.command(&format!(r#""subscribe":{{"channel":"{channel}"}}"#));
        harness.check_refused(ErrorCode::PermissionDenied);
    }
    let token = token(&NewToken { user: "ann", channel: Some("room:1"), ..NewToken::default() });
    harness.command(&format!(r#""subscribe":{{"channel":"room:1","token":"{token}"}}"#));
    assert!(matches!(harness.asked().1, RoomOp::Subscribe(_)), "the token decides");
    harness.command(r#""subscribe":{"channel":"room:2"}"#);
    harness.step(|session, cx, out| session.leave(cx, out));
    let asks = |effect: &Effect| matches!(effect, Effect::SendRequest(_));
    assert!(!harness.out.effects().iter().any(asks), "no room knows of it");
}

/// In `room:1`, with a message that waits for the backend, which is command 4.
fn publishing() -> (SessionHarness, RoomId, HookThen) {
    let mut harness = asking(&[Hook::Publish]);
    harness.command(r#""subscribe":{"channel":"room:1"}"#);
    let room = harness.asked().0;
    harness.answer(room, RoomReply::Subscribed(subscribed(0)));
    harness.session.activate(room, SubscriberSlot { channel: 3, index: 4 });
    harness.command(r#""publish":{"channel":"room:1","data":{"a":1}}"#);
    let (HookRequest { question, .. }, then) = harness.asked_backend();
    let publish = HookQuestion::Publish { channel: "room:1".into(), data: json(r#"{"a":1}"#) };
    assert_eq!(question, publish);
    (harness, room, then)
}

fn passes(result: PublishTerms) -> HookReply {
    HookReply::Result(HookResult::Publish(result))
}

#[test]
fn the_backend_says_what_is_published() {
    let (mut harness, room, then) = publishing();
    harness.backend(then, passes(PublishTerms::default()));
    let (asked, op) = harness.asked();
    let RoomOp::Publish(publish) = op else { panic!("{op:?}") };
    assert_eq!((asked, &publish.data), (room, &json(r#"{"a":1}"#)));
    let (mut harness, _, then) = publishing();
    let tags = vec![("checked".into(), "yes".into())];
    let terms = PublishTerms { data: Some(json("2")), tags: tags.clone(), skips_history: false };
    harness.backend(then, passes(terms));
    let op = harness.asked().1;
    let RoomOp::Publish(publish) = op else { panic!("{op:?}") };
    assert_eq!((&publish.data, &publish.tags), (&json("2"), &tags));
}

#[test]
fn messages_of_a_client_are_published_in_their_order() {
    let (mut harness, room, then) = publishing();
    harness.command(r#""publish":{"channel":"room:1","data":2}"#);
    harness.command(r#""publish":{"channel":"room:1","data":3}"#);
    assert!(harness.out.effects().is_empty(), "one is asked about at a time");
    harness.backend(then, passes(PublishTerms::default()));
    let [Effect::SendRequest(sent), Effect::Resume(_)] = harness.out.effects() else {
        panic!("{:?}", harness.out.effects());
    };
    assert_eq!(sent.room, room);
    let Some(Effect::Resume(held)) = harness.out.effects_mut().pop() else { panic!() };
    harness.step(|session, cx, out| {
        let (served_count, rest) = session.resume(cx, held, 10, out);
        assert!(served_count == 1 && rest.is_none(), "the next one waits again");
    });
    let (HookRequest { question, .. }, _) = harness.asked_backend();
    assert!(matches!(question, HookQuestion::Publish { data, .. } if data == json("2")));
}

#[test]
fn messages_that_the_backend_does_not_let_pass_are_refused_and_counted() {
    let error = BackendError { code: 4_003, message: "no".into(), is_temporary: false };
    let long = Payload { bytes: vec![b'1'; 70_000].into(), is_json: true };
    let kept = PublishTerms { skips_history: true, ..PublishTerms::default() };
    let too_long = PublishTerms { data: Some(long), ..PublishTerms::default() };
    for (reply, code, result) in [
        (HookReply::Error(error), 4_003, PublishResult::Denied),
        (HookReply::Failed, 100, PublishResult::Failed),
        (HookReply::Busy, 111, PublishResult::Limited),
        (passes(too_long), 106, PublishResult::Invalid),
        (passes(kept), 108, PublishResult::Failed),
    ] {
        let (mut harness, _, then) = publishing();
        harness.backend(then, reply);
        let told = format!(r#"{{"id":4,"error":{{"code":{code}"#);
        assert!(harness.text().contains(&told), "{}", harness.text());
        assert_eq!(harness.out.counts().unpublished, [(ChatType::Group, result)]);
        assert_eq!(harness.session.unanswered_count(), 0);
    }
}

#[test]
fn a_yes_of_the_backend_is_a_grant() {
    let mut harness = asking(&[Hook::Publish]);
    harness.rooms.namespaces[1].publish = Permission::Token;
    harness.command(r#""publish":{"channel":"closed:1","data":1}"#);
    let (_, then) = harness.asked_backend();
    harness.backend(then, passes(PublishTerms::default()));
    assert!(matches!(harness.asked().1, RoomOp::Publish(_)));
    harness.options.hooks.lenient = [Hook::Publish].into_iter().collect();
    harness.command(r#""publish":{"channel":"closed:2","data":1}"#);
    let (_, then) = harness.asked_backend();
    harness.backend(then, HookReply::Failed);
    harness.check_refused(ErrorCode::Internal); // nobody has granted it
    harness.rooms.namespaces[1].publish = Permission::Nobody;
    harness.command(r#""publish":{"channel":"closed:3","data":1}"#);
    harness.check_refused(ErrorCode::PermissionDenied);
    let (mut harness, room, then) = publishing();
    harness.options.hooks.lenient = [Hook::Publish].into_iter().collect();
    harness.backend(then, HookReply::Failed);
    assert!(matches!(harness.asked(), (asked, RoomOp::Publish(_)) if asked == room));
}

#[test]
fn messages_of_chat_and_edits_are_asked_about_too() {
    let (mut harness, _, then) = publishing();
    harness.backend(then, passes(PublishTerms::default()));
    harness.command(
        r#""rpc":{"method":"chat.publish","data":{"channel":"room:1","data":5,"id":"x"}}"#,
    );
    let (_, then) = harness.asked_backend();
    harness
        .backend(then, passes(PublishTerms { data: Some(json("6")), ..PublishTerms::default() }));
    let op = harness.asked().1;
    assert!(matches!(op, RoomOp::Publish(publish) if publish.data == json("6")), "{op:?}");
    harness
        .command(r#""rpc":{"method":"chat.edit","data":{"channel":"room:1","offset":1,"data":7}}"#);
    let (_, then) = harness.asked_backend();
    harness.backend(then, passes(PublishTerms::default()));
    let op = harness.asked().1;
    assert!(matches!(op, RoomOp::Change(change) if change.publish.data == json("7")), "{op:?}");
    harness
        .raw(r#"{"send":{"data":{"method":"chat.publish","data":{"channel":"room:1","data":8}}}}"#);
    let (_, then) = harness.asked_backend();
    harness.command(r#""publish":{"channel":"room:1","data":9}"#);
    assert!(harness.out.effects().is_empty(), "it waits for the one without an answer");
    harness.backend(then, HookReply::Failed);
    assert!(harness.text().is_empty());
    assert!(matches!(harness.out.effects(), [Effect::Resume(_)]));
}

/// In `room:1` by a token that ends in 100 s, which has passed: the backend is asked.
fn sub_expiring() -> (SessionHarness, RoomId, HookThen) {
    let mut harness = asking(&[Hook::SubRefresh]);
    let token = token(&NewToken {
        user: "ann",
        channel: Some("room:1"),
        expires_at_unix_s: Some(START_UNIX_S + 100),
        info: Some("[0]"),
        ..NewToken::default()
    });
    harness.command(&format!(r#""subscribe":{{"channel":"room:1","token":"{token}"}}"#));
    let room = harness.asked().0;
    harness.answer(room, RoomReply::Subscribed(subscribed(0)));
    assert!(!harness.text().contains("expires"), "{}: it brings no token", harness.text());
    harness.session.activate(room, SubscriberSlot { channel: 3, index: 4 });
    harness.pass(101_000);
    let (HookRequest { question, .. }, then) = harness.asked_backend();
    assert_eq!(question, HookQuestion::SubRefresh { channel: "room:1".into() });
    (harness, room, then)
}

#[test]
fn the_backend_says_whether_a_subscription_stays() {
    let (mut harness, room, then) = sub_expiring();
    let end = START_UNIX_S + 500;
    harness.backend(then, grant(&format!(r#"{{"expire_at":{end},"info":{{"b":1}}}}"#)));
    let said = harness.session.peer().channel(room).unwrap();
    assert_eq!(said.expires_unix_s, Some(end));
    assert_eq!(said.chan_info.as_ref().map(|info| info.bytes.len()), Some(7));
    harness.pass(400_000);
    let (_, then) = harness.asked_backend();
    harness.backend(then, grant("{}"));
    let said = harness.session.peer().channel(room).unwrap();
    assert!(said.expires_unix_s.is_none() && said.chan_info.is_some());
    for reply in [
        grant(r#"{"expired":true}"#),
        HookReply::Result(HookResult::Grant(None)),
        HookReply::Failed,
    ] {
        let (mut harness, room, then) = sub_expiring();
        harness.backend(then, reply);
        let unsubscribed = r#"{"push":{"channel":"room:1","unsubscribe":{"code":2501"#;
        assert!(harness.text().starts_with(unsubscribed), "{}", harness.text());
        assert!(matches!(harness.asked(), (asked, RoomOp::Unsubscribe(_)) if asked == room));
    }
    let (mut harness, _, then) = sub_expiring();
    harness.options.hooks.lenient = [Hook::SubRefresh].into_iter().collect();
    harness.backend(then, HookReply::Failed);
    assert!(harness.out.effects().is_empty());
    harness.pass(61_000);
    harness.asked_backend();
}
