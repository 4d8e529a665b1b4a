//! Who may recover from where.

use super::*;
use crate::wire::client::{ClientAnswer, ClientMessage, messages};

/// Sessions of two users around one channel that keeps history, whose rule is the test's.
struct Stream {
    see_history: Permission,
    encoding: Encoding,
}

/// A position as a client has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    offset: u64,
    epoch: String,
}

const HEAD: u64 = 40;

impl Stream {
    fn harness(&self) -> SessionHarness {
        let mut harness = SessionHarness::new();
        harness.rooms.namespaces[0].see_history = self.see_history;
        harness.encoding = Encoding::Json;
        harness
    }

    fn connected(&self, name: &str) -> SessionHarness {
        let mut harness = self.harness();
        harness.connect(&user(name));
        harness
    }

    /// What the home is asked when this user subscribes and wants what it missed since then.
    fn asked_since(&self, name: &str, known: &Known) -> (SessionHarness, RoomId, Option<Position>) {
        let mut harness = self.connected(name);
        let Known { offset, epoch } = known;
        harness.command(&format!(
            r#""subscribe":{{"channel":"room:1","recover":true,"offset":{offset},"epoch":"{epoch}"}}"#
        ));
        let (room, op) = harness.asked();
        let RoomOp::Subscribe(subscribe) = op else { panic!("{op:?}") };
        let since = subscribe.since;
        (harness, room, since)
    }

    /// Subscribes without recovery; what the client is told.
    fn comes_in(&self, name: &str) -> Known {
        let mut harness = self.connected(name);
        harness.command(r#""subscribe":{"channel":"room:1"}"#);
        let room = harness.asked().0;
        self.welcomed(harness, room, RecoveryOutcome::NotAsked)
    }

    fn welcomed(
        &self,
        mut harness: SessionHarness,
        room: RoomId,
        recovery: RecoveryOutcome,
    ) -> Known {
        harness.encoding = self.encoding;
        harness.answer(
            room,
            RoomReply::Subscribed(Box::new(Subscribed { recovery, ..*subscribed(HEAD) })),
        );
        let heard = messages(self.encoding, harness.out.messages()).next().unwrap().unwrap();
        let ClientMessage::Reply { answer: ClientAnswer::Subscribe(result), .. } = heard else {
            panic!("{heard:?}")
        };
        Known { offset: result.offset, epoch: result.epoch }
    }

    /// From where on this user may recover, of all offsets.
    #[track_caller]
    fn check(&self, name: &str, known: &Known, first: Option<u64>) {
        for offset in [0, 1, HEAD - 1, HEAD, HEAD + 1, HEAD + 9, u64::MAX] {
            let wanted = Known { offset, epoch: known.epoch.clone() };
            let (_, _, since) = self.asked_since(name, &wanted);
            let epoch = match first {
                Some(first) if first <= offset => Epoch(7),
                Some(_) | None => Epoch::FOREIGN,
            };
            assert_eq!(
                since,
                Some(Position { offset, epoch }),
                "{name} from {offset} of {known:?}"
            );
        }
    }
}

const ENCODINGS: [Encoding; 2] = Encoding::ALL;

#[test]
fn who_may_read_all_recovers_from_anywhere() {
    for (see_history, encoding) in
        [(Permission::Subscribers, ENCODINGS[0]), (Permission::Users, ENCODINGS[1])]
    {
        let stream = Stream { see_history, encoding };
        let known = stream.comes_in("ann");
        assert_eq!(known, Known { offset: HEAD, epoch: "00000007".to_owned() });
        stream.check("ann", &known, Some(0));
        stream.check("bob", &known, Some(0));
    }
}

#[test]
fn who_may_not_recovers_from_its_own_position_on() {
    for see_history in [Permission::Nobody, Permission::Token] {
        for encoding in ENCODINGS {
            let stream = Stream { see_history, encoding };
            let known = stream.comes_in("ann");
            assert!(known.epoch.starts_with("00000007."), "{known:?}");
            stream.check("ann", &known, Some(HEAD));
            // Nobody else, and with no other epoch.
            stream.check("bob", &known, None);
            for epoch in ["00000007", "", "0", "00000000", "00000007.0.0", "00000007.28"] {
                stream.check("ann", &Known { offset: 0, epoch: epoch.to_owned() }, None);
            }
        }
    }
}

#[test]
fn the_beginning_is_for_who_may_read_all() {
    for (see_history, epoch) in
        [(Permission::Users, Epoch::ANY), (Permission::Nobody, Epoch::FOREIGN)]
    {
        let stream = Stream { see_history, encoding: Encoding::Json };
        let (_, _, since) = stream.asked_since("ann", &Known { offset: 0, epoch: String::new() });
        assert_eq!(since, Some(Position { offset: 0, epoch }), "{see_history:?}");
        // Neither another offset, nor what the number looks like in a text.
        for (offset, epoch) in [(1, String::new()), (0, Epoch::ANY.to_string())] {
            let (_, _, since) = stream.asked_since("ann", &Known { offset, epoch });
            assert_eq!(since, Some(Position { offset, epoch: Epoch::FOREIGN }));
        }
    }
}

#[test]
fn who_cannot_recover_is_refused_where_the_client_wants_that() {
    let stream = Stream { see_history: Permission::Users, encoding: Encoding::Json };
    for (flag, want) in [
        (0, Unrecovered::Admitted),
        (1, Unrecovered::Admitted),
        (2, Unrecovered::Rejected),
        (-1, Unrecovered::Rejected),
    ] {
        let mut harness = stream.connected("ann");
        harness.command(&format!(
            r#""subscribe":{{"channel":"room:1","recover":true,"epoch":"a","flag":{flag}}}"#
        ));
        let (room, op) = harness.asked();
        assert!(matches!(op, RoomOp::Subscribe(asked) if asked.unrecovered == want), "{flag}");
        let code = ErrorCode::UnrecoverablePosition;
        harness.answer(room, RoomReply::SubscribeRejected(code));
        let text = harness.text();
        assert!(text.contains(r#""code":112,"message":"unrecoverable position"}"#), "{text}");
        // It may come at once from another position.
        harness.command(r#""subscribe":{"channel":"room:1"}"#);
        assert!(matches!(harness.asked().1, RoomOp::Subscribe(_)));
    }
}

/// The home let it in, but what it missed had no room in the outbox.
#[test]
fn a_recovery_without_room_is_none_for_who_wants_all_or_nothing() {
    let stream = Stream { see_history: Permission::Users, encoding: Encoding::Json };
    for (flag, is_in) in [(0, true), (2, false)] {
        let mut harness = stream.connected("ann");
        harness.command(&format!(
            r#""subscribe":{{"channel":"room:1","recover":true,"flag":{flag}}}"#
        ));
        let room = harness.asked().0;
        let lost = Subscribed { recovery: RecoveryOutcome::Lost, ..*subscribed(HEAD) };
        harness.answer(room, RoomReply::Subscribed(Box::new(lost)));
        let text = harness.text();
        assert_eq!(text.contains(r#""was_recovering":true"#), is_in, "{text}");
        assert_eq!(text.contains(r#""code":112"#), !is_in, "{text}");
        if !is_in {
            let left = RoomOp::Unsubscribe(LeaveReason::Unsubscribed);
            assert_eq!(format!("{:?}", harness.asked().1), format!("{left:?}"));
        }
    }
}

#[test]
fn a_filter_is_for_namespaces_that_have_filters_and_holds_for_what_was_missed() {
    let command = |filter: &str| {
        format!(r#""subscribe":{{"channel":"room:1","recover":true,"tf":{filter}}}"#)
    };
    let filter = r#"{"cmp":"eq","key":"kind","val":"a"}"#;
    let stream = Stream { see_history: Permission::Users, encoding: Encoding::Json };
    let mut harness = stream.connected("ann");
    harness.command(&command(filter));
    assert!(harness.text().contains(r#""code":108"#), "{}", harness.text());
    harness.rooms.namespaces[0].tag_filters = true;
    harness.command(&command(r#"{"cmp":"eq"}"#));
    assert!(harness.text().contains(r#""code":107"#), "{}", harness.text());
    let long = format!(r#"{{"cmp":"eq","key":"kind","val":"{}"}}"#, "a".repeat(2_000));
    for n in 1..=8 {
        harness.command(&command(&long).replace("room:1", &format!("room:long{n}")));
        harness.asked();
    }
    harness.command(&command(&long).replace("room:1", "room:long9"));
    assert!(harness.text().contains(r#""code":106"#), "{}", harness.text());
    harness.command(&command(filter));
    let room = harness.asked().0;
    let publication = |offset: u64, kind: &str| {
        let data = crate::wire::Payload { bytes: "1".into(), is_json: true };
        let tags = vec![("kind".into(), kind.into())];
        let (info, chan_info, trace) = (None, None, None);
        let time_unix_ms = 0;
        let one =
            crate::wire::Publication { offset, data, info, chan_info, tags, time_unix_ms, trace };
        Arc::new(one)
    };
    let missed = vec![publication(1, "a"), publication(2, "b"), publication(3, "a")];
    let recovery = RecoveryOutcome::Whole;
    let subscribed = Subscribed { missed, recovery, ..*subscribed(3) };
    harness.answer(room, RoomReply::Subscribed(Box::new(subscribed)));
    let text = harness.text();
    assert_eq!(text.matches(r#""kind":"a""#).count(), 2, "{text}");
    assert!(!text.contains(r#""kind":"b""#) && text.contains(r#""offset":3,"#), "{text}");
    let has_filter = |effect: &Effect| match effect {
        Effect::AddSubscriber { wants, .. } => wants.filter.is_some(),
        _ => false,
    };
    assert!(harness.out.effects().iter().any(has_filter));
}

#[test]
fn no_part_of_a_seal_can_be_changed() {
    let stream = Stream { see_history: Permission::Nobody, encoding: Encoding::Json };
    let known = stream.comes_in("ann");
    for index in 0..known.epoch.len() {
        let mut bytes = known.epoch.clone().into_bytes();
        bytes[index] = if bytes[index] == b'0' { b'1' } else { b'0' };
        let epoch = String::from_utf8(bytes).unwrap();
        let (_, _, since) = stream.asked_since("ann", &Known { offset: HEAD, epoch });
        assert_eq!(since.map(|since| since.epoch), Some(Epoch::FOREIGN), "at {index}");
    }
}

#[test]
fn what_was_ones_own_stays_so_while_recovery_is_whole() {
    let stream = Stream { see_history: Permission::Nobody, encoding: Encoding::Json };
    let known = stream.comes_in("ann");
    let later = Known { offset: HEAD + 3, ..known.clone() };
    let (harness, room, _) = stream.asked_since("ann", &later);
    assert_eq!(
        stream.welcomed(harness, room, RecoveryOutcome::Whole),
        known,
        "the first one's seal"
    );
    let early = Known { offset: 5, ..known };
    let (harness, room, since) = stream.asked_since("ann", &early);
    assert_eq!(since.map(|since| since.epoch), Some(Epoch::FOREIGN));
    let fresh = stream.welcomed(harness, room, RecoveryOutcome::Lost);
    stream.check("ann", &fresh, Some(HEAD));
}

/// A right that a token gives, and one that it does not give any more.
#[test]
fn a_token_with_history_gives_a_plain_epoch() {
    let stream = Stream { see_history: Permission::Token, encoding: Encoding::Json };
    let plain = Known { offset: 3, epoch: "00000007".to_owned() };
    let caps = r#"[{"channels":["room:1"],"allow":["hst"]}]"#;
    let mut harness = stream.harness();
    harness.connect(&signed(&format!(r#"{{"sub":"ann","caps":{caps}}}"#)));
    harness.command(
        r#""subscribe":{"channel":"room:1","recover":true,"offset":3,"epoch":"00000007"}"#,
    );
    let (room, op) = harness.asked();
    assert!(matches!(op, RoomOp::Subscribe(subscribe) if subscribe.since
        == Some(Position { offset: 3, epoch: Epoch(7) })));
    let known = stream.welcomed(harness, room, RecoveryOutcome::Whole);
    assert_eq!(known.epoch, plain.epoch);
    stream.check("ann", &plain, None);
    let by_sub = signed(r#"{"sub":"ann","channel":"room:1","allow":["hst"]}"#);
    let mut harness = stream.connected("ann");
    harness.command(&format!(
        r#""subscribe":{{"channel":"room:1","token":"{by_sub}","recover":true,"offset":3,"epoch":"00000007"}}"#
    ));
    assert!(matches!(harness.asked().1, RoomOp::Subscribe(subscribe)
        if subscribe.since.map(|since| since.epoch) == Some(Epoch(7))));
}

#[test]
fn the_same_holds_for_what_the_server_subscribes_to() {
    let stream = Stream { see_history: Permission::Nobody, encoding: Encoding::Json };
    let channels = ["room:1".to_owned()];
    let token = token(&NewToken { user: "ann", channels: &channels, ..NewToken::default() });
    let comes = |epoch: &str, offset: u64| {
        let mut harness = stream.harness();
        let sub = format!(r#"{{"recover":true,"offset":{offset},"epoch":"{epoch}"}}"#);
        harness.command(&format!(r#""connect":{{"token":"{token}","subs":{{"room:1":{sub}}}}}"#));
        let (room, op) = harness.asked();
        let RoomOp::Subscribe(subscribe) = op else { panic!("{op:?}") };
        let since = subscribe.since.unwrap();
        (harness, room, since.epoch)
    };
    let (mut harness, room, since) = comes("00000007", 0);
    assert_eq!(since, Epoch::FOREIGN, "a bare epoch is nobody's own");
    let lost = Subscribed { recovery: RecoveryOutcome::Lost, ..*subscribed(HEAD) };
    harness.answer(room, RoomReply::Subscribed(Box::new(lost)));
    let heard = messages(Encoding::Json, harness.out.messages()).next().unwrap().unwrap();
    let ClientMessage::Reply { answer: ClientAnswer::Connect(result), .. } = heard else {
        panic!("{heard:?}")
    };
    let epoch = &result.subs["room:1"].epoch;
    assert_eq!(comes(epoch, HEAD).2, Epoch(7));
    assert_eq!(comes(epoch, HEAD + 7).2, Epoch(7));
    assert_eq!(comes(epoch, HEAD - 1).2, Epoch::FOREIGN);
    stream.check("ann", &Known { offset: 0, epoch: epoch.clone() }, Some(HEAD));
}

/// What the home is asked when Ann recovers with a token that grants a position.
fn granted_since(granted: &str, known: &Known) -> Option<Position> {
    let stream = Stream { see_history: Permission::Nobody, encoding: Encoding::Json };
    let mut harness = stream.connected("ann");
    let claims = format!(r#"{{"sub":"ann","channel":"room:1","recover_since":{granted}}}"#);
    let (token, Known { offset, epoch }) = (signed(&claims), known);
    harness.command(&format!(
        r#""subscribe":{{"channel":"room:1","recover":true,"offset":{offset},"epoch":"{epoch}","token":"{token}"}}"#
    ));
    let (_, op) = harness.asked();
    let RoomOp::Subscribe(subscribe) = op else { panic!("{op:?}") };
    subscribe.since
}

#[test]
fn a_token_grants_a_position_and_what_is_behind_it() {
    const GRANTED: &str = r#"{"offset":12,"epoch":"00000007"}"#;
    let known = |offset, epoch: &str| Known { offset, epoch: epoch.to_owned() };
    for (offset, epoch, is_granted) in [
        (12, "00000007", true),
        (13, "00000007", true),
        (u64::MAX, "00000007", true),
        (11, "00000007", false),
        (0, "00000007", false),
        (12, "00000008", false),
        (0, "", false),
        (12, "", false),
        (12, "none", false),
    ] {
        let epoch_asked = if is_granted { Epoch(7) } else { Epoch::FOREIGN };
        let got = granted_since(GRANTED, &known(offset, epoch));
        assert_eq!(got, Some(Position { offset, epoch: epoch_asked }), "{offset} {epoch:?}");
    }
}

#[test]
fn the_beginning_is_granted_by_its_own_words_alone() {
    let beginning = Known { offset: 0, epoch: String::new() };
    for (granted, epoch) in [
        (r#"{"offset":0,"epoch":""}"#, Epoch::ANY),
        (r#"{"offset":0,"epoch":"none"}"#, Epoch::FOREIGN),
        (r#"{"offset":0,"epoch":"00000007"}"#, Epoch::FOREIGN),
        (r#"{"offset":1,"epoch":""}"#, Epoch::FOREIGN),
        ("null", Epoch::FOREIGN),
    ] {
        let got = granted_since(granted, &beginning);
        assert_eq!(got, Some(Position { offset: 0, epoch }), "{granted}");
    }
}
