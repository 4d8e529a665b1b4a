//! The way in: who comes in, what comes before, and what the server subscribes to.

use super::*;

#[test]
fn a_token_decides_who_comes_in() {
    let expired =
        NewToken { user: "ann", expires_at_unix_s: Some(START_UNIX_S - 1), ..NewToken::default() };
    let mut harness = SessionHarness::new();
    harness.connect(&token(&expired));
    harness.check_refused(ErrorCode::TokenExpired);
    harness.connect("");
    harness.check_refused(ErrorCode::Unauthorized);
    harness.connect(&user("ann"));
    assert!(harness.text().contains(r#""connect":"#), "a refused client may try again");
    let mut harness = SessionHarness::new();
    harness.connect("a.b.c");
    harness.check_closed(Fault::InvalidToken);
    let mut harness = SessionHarness::new();
    harness.options.anonymous = true;
    harness.connect("");
    assert!(harness.text().contains(r#""connect":"#));
    assert_eq!(&*harness.info().user, "");
}

#[test]
fn nothing_comes_before_connect_and_connect_comes_once() {
    for request in [r#""ping":{}"#, r#""subscribe":{"channel":"room:1"}"#, r#""none":{}"#] {
        let mut harness = SessionHarness::new();
        harness.command(request);
        harness.check_closed(Fault::BadRequest);
    }
    let mut harness = SessionHarness::new();
    harness.raw("{}");
    harness.check_closed(Fault::BadRequest);
    let mut harness = SessionHarness::new();
    harness.raw(r#"{"connect":{}}"#);
    harness.check_closed(Fault::BadRequest);
    let mut harness = SessionHarness::connected();
    harness.connect(&user("ann"));
    harness.check_closed(Fault::BadRequest);
}

/// What a connected session makes of a command without an id.
#[track_caller]
fn check_without_id(request: &str, fault: Option<Fault>) {
    let mut harness = SessionHarness::connected();
    harness.raw(&format!("{{{request}}}"));
    match fault {
        Some(fault) => harness.check_closed(fault),
        None => assert!(harness.out.effects().is_empty() && harness.text().is_empty()),
    }
}

/// As in Centrifugo: who does not want an answer sends, and a pong has none.
#[test]
fn only_what_has_no_answer_comes_without_an_id() {
    check_without_id("", None);
    // A method that we do not know is none, and what is left is a pong.
    check_without_id(r#""none":{}"#, None);
    check_without_id(r#""send":{"data":1}"#, None);
    for request in [
        r#""subscribe":{"channel":"room:1"}"#,
        r#""unsubscribe":{"channel":"room:1"}"#,
        r#""publish":{"channel":"room:1","data":1}"#,
        r#""presence":{"channel":"room:1"}"#,
        r#""presence_stats":{"channel":"room:1"}"#,
        r#""history":{"channel":"room:1"}"#,
        r#""ping":{}"#,
        r#""rpc":{"method":"m","data":1}"#,
        r#""refresh":{"token":"t"}"#,
        r#""sub_refresh":{"channel":"room:1","token":"t"}"#,
    ] {
        check_without_id(request, Some(Fault::BadRequest));
    }
}

#[test]
fn silence_before_connect_is_stale_at_the_deadline() {
    let mut harness = SessionHarness::new();
    harness.pass(harness.options.connect_ms_max - 1);
    assert!(harness.out.effects().is_empty());
    harness.pass(1);
    harness.check_closed(Fault::Stale);
}

#[test]
fn the_server_subscribes_to_what_the_token_and_the_inbox_say() {
    let channels = ["room:1".to_owned(), "room:1".to_owned()];
    let mut harness = SessionHarness::new();
    harness.rooms.namespaces.push(open_namespace("@"));
    harness.connect(&token(&NewToken { user: "ann", channels: &channels, ..NewToken::default() }));
    assert!(harness.text().is_empty(), "the answer waits for the rooms");
    let asked = harness.out.effects().iter().map(|effect| match effect {
        Effect::SendRequest(ask) => (ask.room, ask.reply_to.user),
        other => panic!("{other:?}"),
    });
    let (rooms, askers): (Vec<RoomId>, Vec<_>) = asked.unzip();
    assert_eq!(rooms.len(), 2);
    let ann = NameKey([1, 2]).user_hash("", "ann");
    assert_eq!(askers, [ann; 2], "they take their places in its user's share");
    harness.command(r#""ping":{}"#);
    assert!(harness.text().is_empty(), "the command waits, too");
    harness.answer(rooms[0], RoomReply::Subscribed(subscribed(4)));
    harness.session.activate(rooms[0], SubscriberSlot { channel: 0, index: 0 });
    assert!(harness.session.is_connecting(), "what the first room says is held back");
    harness.answer(rooms[1], RoomReply::Subscribed(subscribed(5)));
    let text = harness.text();
    assert!(text.contains(r#""room:1":{"#) && text.contains(r#""@ann":{"#), "{text}");
    assert!(matches!(
        harness.out.effects(),
        [
            Effect::AddSubscriber { .. },
            Effect::Release,
            Effect::Connected,
            Effect::Resume(blocked_prefixes)
        ]
            if blocked_prefixes.message().ends_with(br#""ping":{}}"#)
    ));
    harness.session.activate(rooms[1], SubscriberSlot { channel: 1, index: 0 });
    harness.step(|session, cx, out| session.on_gap(cx, rooms[0], "room:1", out));
    harness.check_closed(Fault::InsufficientState);
}

#[test]
fn an_expiry_while_the_room_is_asked_leaves_one_answer_to_the_command() {
    let mut harness = SessionHarness::connected();
    let expires_at_unix_s = Some(harness.now.unix_s() + 1);
    let (user, channel) = ("ann", Some("room:1"));
    let token = token(&NewToken { user, channel, expires_at_unix_s, ..NewToken::default() });
    harness.command(&format!(r#""subscribe":{{"channel":"room:1","token":"{token}"}}"#));
    let (room, id) = (harness.asked().0, harness.next_id);
    harness.pass(2_000 + harness.options.expiry_grace_ms);
    assert!(harness.text().is_empty() && harness.out.effects().is_empty());
    harness.next_id = id;
    harness.answer(room, RoomReply::Subscribed(subscribed(0)));
    harness.check_refused(ErrorCode::TokenExpired);
    assert!(matches!(harness.asked().1, RoomOp::Unsubscribe(_)));
}

#[test]
fn a_room_that_refuses_refuses_the_connection() {
    let channels = ["room:1".to_owned()];
    let mut harness = SessionHarness::new();
    harness.connect(&token(&NewToken { user: "ann", channels: &channels, ..NewToken::default() }));
    let room = harness.asked().0;
    harness.answer(room, RoomReply::SubscribeRejected(ErrorCode::Internal));
    harness.check_refused(ErrorCode::Internal);
    harness.check_closed(Fault::Refused(ErrorCode::Internal));
    assert_eq!(Fault::Refused(ErrorCode::Internal).close_code(), 3004);
    assert_eq!(Fault::Refused(ErrorCode::LimitExceeded).close_code(), 3507);
}

/// What a named user's session asks about its place, at connect and at its end.
#[track_caller]
fn check_single(tenants: &[&str], user_name: &str, wanted: bool) {
    let mut harness = SessionHarness::new();
    harness.options.single_session_tenants = tenants.iter().map(|&one| one.to_owned()).collect();
    harness.options.anonymous = true;
    let token = if user_name.is_empty() { String::new() } else { user(user_name) };
    harness.connect(&token);
    let asks = |harness: &SessionHarness| {
        let asks = harness.out.effects().iter().filter_map(|effect| match effect {
            Effect::SendRequest(ask) => Some(format!("{:?}", ask.op)),
            _ => None,
        });
        asks.collect::<Vec<_>>()
    };
    assert_eq!(asks(&harness), if wanted { vec!["Claim"] } else { vec![] });
    harness.step(|session, cx, out| session.leave(cx, out));
    assert_eq!(asks(&harness), if wanted { vec!["Release"] } else { vec![] });
}

#[test]
fn one_connection_a_user_is_an_option_of_a_tenant() {
    check_single(&[], "ann", false);
    check_single(&["other"], "ann", false);
    check_single(&[""], "ann", true);
    check_single(&["*"], "ann", true);
    check_single(&["*"], "", false);
}

#[test]
fn who_is_locked_out_is_sent_away_and_nobody_else() {
    let bots = Prefix::of("", "bot-1", Agent::None);
    for (name, want) in [("bot-2", true), ("bot", true), ("bots-1", false), ("ann", false)] {
        let mut harness = SessionHarness::new();
        harness.blocked_prefixes = vec![Prefix::of("", "robot", Agent::None), bots.clone()];
        harness.connect(&user(name));
        if want {
            harness.check_closed(Fault::Quarantined);
        } else {
            assert!(harness.text().contains(r#""connect":{"client":""#), "{name}");
        }
    }
    assert_eq!(Fault::Quarantined.close_code(), 3510);
    assert_eq!(Fault::Quarantined.label(), CloseReason::Quarantine);
}

/// What a connection with this chance shows of itself and of a message that it says.
fn shown(seed: u64, key: [u8; 16]) -> [String; 2] {
    let (mut harness, _) = SessionHarness::subscribed_session();
    harness.random = RandomSources { jitter: Prng::from_seed(seed), ids: Csprng::from_key(key) };
    let mut session = harness.step_opened();
    std::mem::swap(&mut harness.session, &mut session);
    harness.connect(&user("ann"));
    let client = harness.text();
    std::mem::swap(&mut harness.session, &mut session);
    harness.command(r#""rpc":{"method":"chat.publish","data":{"channel":"room:1","data":1}}"#);
    [client, format!("{:?}", harness.asked())]
}

#[test]
fn what_others_see_follows_from_the_key_and_not_from_the_seed_of_jitter() {
    let (one, other) = ([1; 16], [2; 16]);
    assert_eq!(shown(1, one), shown(2, one));
    let (by_one, by_other) = (shown(1, one), shown(1, other));
    assert!(by_one.iter().zip(&by_other).all(|(one, other)| one != other), "{by_one:?}");
}
