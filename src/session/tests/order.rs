//! What a client says about a channel takes effect in the order in which it says it.

mod refreshed;

use std::collections::BTreeMap;

use super::*;
use crate::base::limits::{DEFERRED_SUBSCRIBES_MAX, HELD_BYTES_MAX, HELD_COUNT_MAX};
use crate::session::ServerAct;

/// A session whose rooms answer when the test says so.
struct Line {
    harness: SessionHarness,
    /// What rooms were asked and have not answered.
    asked: Vec<(RoomId, u32, Question)>,
    /// Answers to commands, in their order: id and error code, 0 for none.
    replies: Vec<(u32, u32)>,
    /// What rooms were asked, all of it.
    log: Vec<(RoomId, Question)>,
    subscribers_count: u32,
    /// The channels of rooms that were subscribed to.
    names: BTreeMap<RoomId, Arc<str>>,
    /// Pushes, as they came.
    pushes: Vec<String>,
    /// Where the commands lay that were taken up again.
    resumed: Vec<std::ops::Range<*const u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Question {
    Subscribe,
    Unsubscribe,
    Publish,
    Presence,
    History,
    Other,
}
use Question::{History, Other, Presence, Publish, Subscribe, Unsubscribe};

impl Line {
    fn new() -> Line {
        Line::of(SessionHarness::connected())
    }

    fn of(harness: SessionHarness) -> Line {
        Line {
            harness,
            asked: Vec::new(),
            replies: Vec::new(),
            log: Vec::new(),
            subscribers_count: 0,
            names: BTreeMap::new(),
            pushes: Vec::new(),
            resumed: Vec::new(),
        }
    }

    fn room(channel: &str) -> RoomId {
        NameKey([1, 2]).room("", channel)
    }

    /// Commands in one frame, numbered from the next id on.
    fn say(&mut self, requests: &[&str]) {
        let mut frame = String::new();
        for request in requests {
            self.harness.next_id += 1;
            frame += &format!("{{\"id\":{},{request}}}\n", self.harness.next_id);
        }
        self.harness.raw(frame.trim_end());
        self.carry_out();
    }

    /// The first question that is open about this channel is answered.
    fn answer(&mut self, channel: &str, answer: RoomReply) {
        let room = Line::room(channel);
        let index = self.asked.iter().position(|(other, ..)| *other == room);
        let (_, id, _) = self.asked.remove(index.expect("something is asked"));
        self.harness.step(|session, cx, out| session.on_answer(cx, room, id, answer, out));
        self.carry_out();
    }

    /// All rooms answer all that they are asked, as if all went well.
    fn answer_all(&mut self) {
        while let Some((room, id, question)) = self.asked.first().copied() {
            self.asked.remove(0);
            let answer = match question {
                Subscribe => RoomReply::Subscribed(subscribed(0)),
                Unsubscribe => RoomReply::Unsubscribed,
                Publish => RoomReply::Published(room::timing()),
                Presence => RoomReply::Presence(Vec::new()),
                History => RoomReply::History(Vec::new(), Position { offset: 0, epoch: Epoch(7) }),
                Other => RoomReply::Done,
            };
            self.harness.step(|session, cx, out| session.on_answer(cx, room, id, answer, out));
            self.carry_out();
        }
    }

    /// What a shard does with what was decided.
    fn carry_out(&mut self) {
        for line in self.harness.text().lines() {
            let reply: serde_json::Value = serde_json::from_str(line).unwrap();
            if let Some(id) = reply["id"].as_u64() {
                let code = reply["error"]["code"].as_u64().unwrap_or(0);
                self.replies.push((id as u32, code as u32));
            } else {
                self.pushes.push(line.to_owned());
            }
        }
        for effect in std::mem::take(self.harness.out.effects_mut()) {
            match effect {
                Effect::SendRequest(RoomRequest { room, reply_to, op }) => {
                    if let RoomOp::Subscribe(subscribe) = &op {
                        self.names.insert(room, Arc::clone(&subscribe.channel_key.channel));
                    }
                    let question = match op {
                        RoomOp::Subscribe(_) => Subscribe,
                        RoomOp::Unsubscribe(_) => Unsubscribe,
                        RoomOp::Publish(_) => Publish,
                        RoomOp::Presence => Presence,
                        RoomOp::History(_) => History,
                        _ => Other,
                    };
                    self.asked.push((room, reply_to.id, question));
                    self.log.push((room, question));
                }
                Effect::AddSubscriber { room, .. } => {
                    self.subscribers_count += 1;
                    self.harness.session.activate(
                        room,
                        SubscriberSlot { channel: self.subscribers_count, index: 0 },
                    );
                }
                Effect::Resume(held) => {
                    self.resumed.push(held.message().as_ptr_range());
                    // A turn serves some of them, and the next one goes on.
                    let mut held = Some(held);
                    while let Some(some) = held.take() {
                        self.harness.step(|session, cx, out| {
                            (_, held) = session.resume(cx, some, 3, out);
                        });
                        self.carry_out();
                    }
                }
                Effect::RemoveSubscriber(..)
                | Effect::Connected
                | Effect::Release
                | Effect::Ping
                | Effect::Suspect(_)
                | Effect::Acknowledged { .. } => {}
                Effect::Review(wanted) => {
                    let subscriber_slots = self.harness.session.subscriber_slots();
                    let named =
                        subscriber_slots.map(|(room, _)| (room, Arc::clone(&self.names[&room])));
                    let active: Vec<(RoomId, Arc<str>)> = named.collect();
                    let act = ServerAct::Review { active: &active, wanted: &wanted };
                    self.harness
                        .step(|session, cx, out| session.on_server_act(cx, act, out).unwrap());
                    self.carry_out();
                }
                Effect::AskBackend(_) | Effect::Disconnect(_) => panic!("no hook is asked"),
                Effect::Close(fault) => panic!("closed: {fault:?}"),
            }
        }
    }

    fn asked_of(&self, channel: &str) -> Vec<Question> {
        let room = Line::room(channel);
        self.log.iter().filter(|(other, _)| *other == room).map(|(_, op)| *op).collect()
    }

    fn codes(&self) -> Vec<u32> {
        self.replies.iter().map(|(_, code)| *code).collect()
    }
}

const SUBSCRIBE: &str = r#""subscribe":{"channel":"room:1"}"#;
const UNSUBSCRIBE: &str = r#""unsubscribe":{"channel":"room:1"}"#;
const PUBLISH: &str = r#""publish":{"channel":"room:1","data":1}"#;
const PRESENCE: &str = r#""presence":{"channel":"room:1"}"#;
const HISTORY: &str = r#""history":{"channel":"room:1"}"#;
const TYPING: &str = r#""rpc":{"method":"chat.typing","data":{"channel":"room:1"}}"#;
const SEND_TYPING: &str = r#""send":{"data":{"method":"chat.typing","data":{"channel":"room:1"}}}"#;

/// These commands, in one frame and in a frame each: how they are answered, and what the
/// room is asked in which order.
#[track_caller]
fn check(commands: &[&str], codes: &[u32], asked: &[Question]) {
    for frames in
        [commands.chunks(commands.len()).collect(), commands.chunks(1).collect::<Vec<_>>()]
    {
        let mut line = Line::new();
        frames.into_iter().for_each(|frame| line.say(frame));
        assert_eq!(line.asked_of("room:1"), [Subscribe], "what is behind it waits");
        line.answer_all();
        line.replies.sort_unstable();
        assert_eq!(line.codes(), codes, "{commands:?}");
        assert_eq!(line.asked_of("room:1"), asked, "{commands:?}");
    }
}

fn refresh(claims: &str) -> String {
    format!(r#""refresh":{{"token":"{}"}}"#, signed(claims))
}

#[test]
fn commands_take_effect_in_order_behind_a_subscribe() {
    // A component that is mounted, unmounted and mounted again.
    let twice = [Subscribe, Unsubscribe, Subscribe];
    check(&[SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE], &[0, 0, 0], &twice);
    check(&[SUBSCRIBE, UNSUBSCRIBE], &[0, 0], &twice[..2]);
    check(&[SUBSCRIBE, SUBSCRIBE], &[0, 105], &[Subscribe]);
    check(&[SUBSCRIBE, PUBLISH, PRESENCE], &[0, 0, 0], &[Subscribe, Publish, Presence]);
    check(&[SUBSCRIBE, HISTORY, TYPING], &[0, 0, 0], &[Subscribe, History, Other]);
    check(&[SUBSCRIBE, UNSUBSCRIBE, PUBLISH], &[0, 0, 103], &twice[..2]);
    let again = [SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE, PUBLISH, UNSUBSCRIBE, SUBSCRIBE, HISTORY];
    let all = [Subscribe, Unsubscribe, Subscribe, Publish, Unsubscribe, Subscribe, History];
    check(&again, &[0; 7], &all);
}

/// Else a message of a thousand holds its core for as long as half a million commands take.
#[test]
fn what_waits_again_stays_as_it_is() {
    let mut line = Line::new();
    let turns = 200;
    line.say(&[SUBSCRIBE, UNSUBSCRIBE].repeat(turns));
    line.answer_all();
    assert_eq!(line.asked_of("room:1"), [Subscribe, Unsubscribe].repeat(turns));
    assert_eq!(line.codes(), vec![0; 2 * turns]);
    assert_eq!(line.resumed.len(), turns, "each subscribe is waited for");
    for pair in line.resumed.windows(2) {
        assert!(pair[0].start < pair[1].start && pair[0].end == pair[1].end, "{pair:?}");
    }
}

#[test]
fn what_has_no_id_keeps_its_order_too() {
    let mut line = Line::new();
    line.say(&[SUBSCRIBE]);
    line.harness.raw(&format!("{{{SEND_TYPING}}}"));
    line.carry_out();
    line.answer_all();
    assert_eq!(line.asked_of("room:1"), [Subscribe, Other]);
}

#[test]
fn a_token_that_comes_behind_a_subscribe_renews_it() {
    let ends = |in_s| {
        let expires_at_unix_s = Some(START_UNIX_S + in_s);
        let (user, channel) = ("ann", Some("closed:1"));
        token(&NewToken { user, channel, expires_at_unix_s, ..NewToken::default() })
    };
    let mut line = Line::new();
    let with = |command: &str, token: &str| {
        format!(r#""{command}":{{"channel":"closed:1","token":"{token}"}}"#)
    };
    line.say(&[&with("subscribe", &ends(10)), &with("sub_refresh", &ends(90))]);
    line.answer_all();
    assert_eq!(line.codes(), [0, 0]);
    line.harness.pass(11_000 + line.harness.options.expiry_grace_ms);
    assert!(line.harness.text().is_empty(), "{}", line.harness.text());
}

#[test]
fn other_channels_do_not_wait() {
    let mut line = Line::new();
    line.say(&[SUBSCRIBE, r#""subscribe":{"channel":"room:2"}"#, PUBLISH, r#""ping":{}"#]);
    line.say(&[r#""unsubscribe":{"channel":"room:2"}"#, r#""presence":{"channel":"room:3"}"#]);
    assert_eq!(line.replies, [(6, 0), (8, 103)], "neither ping nor room:3 waits");
    line.answer("room:2", RoomReply::Subscribed(subscribed(0)));
    assert_eq!(line.asked_of("room:2"), [Subscribe, Unsubscribe]);
    assert_eq!(line.asked_of("room:1"), [Subscribe]);
    line.answer_all();
    assert_eq!(line.asked_of("room:1"), [Subscribe, Publish]);
    assert!(line.codes().iter().all(|&code| code == 0 || code == 103));
    assert_eq!(line.replies.len(), 6, "each is answered once");
}

#[test]
fn a_history_of_several_channels_waits_for_all_that_are_being_subscribed_to() {
    const BOTH: &str = r#""rpc":{"method":"chat.history","data":{"channels":["room:1","room:2"]}}"#;
    let mut line = Line::new();
    line.say(&[SUBSCRIBE, r#""subscribe":{"channel":"room:2"}"#, BOTH]);
    for channel in ["room:1", "room:2"] {
        assert_eq!(line.asked_of("room:1"), [Subscribe]);
        line.answer(channel, RoomReply::Subscribed(subscribed(0)));
    }
    for channel in ["room:1", "room:2"] {
        assert_eq!(line.asked_of(channel), [Subscribe, History]);
    }
    line.answer_all();
    assert_eq!(line.codes(), [0; 3]);
}

/// A subscribe that is refused for a while has not made anything else wrong for good.
#[test]
fn a_subscribe_that_is_refused_lets_the_others_through() {
    for (code, publish) in [(ErrorCode::TooManyRequests, 111), (ErrorCode::LimitExceeded, 103)] {
        let mut line = Line::new();
        line.say(&[SUBSCRIBE, PUBLISH, UNSUBSCRIBE, SUBSCRIBE, PUBLISH]);
        line.answer("room:1", RoomReply::SubscribeRejected(code));
        line.answer_all();
        assert_eq!(line.codes(), [code.parts().0, publish, 0, 0, 0]);
        assert_eq!(line.asked_of("room:1"), [Subscribe, Subscribe, Publish]);
    }
}

#[test]
fn behind_a_subscribe_that_is_put_off_at_once_nothing_is_wrong_for_good() {
    let mut line = Line::new();
    line.harness.load.pace = CorePace::FarBehind;
    line.say(&[SUBSCRIBE, PUBLISH, PRESENCE, TYPING]);
    line.say(&[PUBLISH, r#""publish":{"channel":"room:2","data":1}"#]);
    assert_eq!(line.codes(), [111, 111, 111, 111, 111, 103], "the other one was not asked for");
    line.replies.clear();
    line.say(&[UNSUBSCRIBE, PUBLISH]);
    assert_eq!(line.codes(), [0, 103], "it was given up");
    line.say(&[SUBSCRIBE]);
    line.harness.load.pace = CorePace::OnTime;
    line.replies.clear();
    line.say(&[SUBSCRIBE, PUBLISH]);
    line.answer_all();
    line.say(&[UNSUBSCRIBE, PUBLISH]);
    line.answer_all();
    line.replies.sort_unstable();
    assert_eq!(line.codes(), [0, 0, 0, 103]);
}

#[test]
fn a_subscribe_that_is_refused_for_good_later_was_asked_again() {
    let mut line = Line::new();
    line.harness.load.pace = CorePace::FarBehind;
    let publish = r#""publish":{"channel":"closed:1","data":1}"#;
    line.say(&[r#""subscribe":{"channel":"closed:1"}"#, publish]);
    line.harness.load.pace = CorePace::OnTime;
    line.say(&[r#""subscribe":{"channel":"closed:1"}"#, publish]);
    assert_eq!(line.codes(), [111, 111, 103, 103]);
}

#[test]
fn a_subscribe_beyond_the_own_quota_puts_off_what_follows_within_it() {
    let mut line = Line::new();
    line.harness.options.commands_per_s = 1;
    line.harness.options.commands_burst = 2;
    line.say(&[r#""ping":{}"#, r#""ping":{}"#, SUBSCRIBE]);
    line.harness.pass(2_000);
    line.say(&[PUBLISH]);
    assert_eq!(line.codes(), [0, 0, 111, 111]);
    let results = line.harness.out.counts().unpublished.iter().map(|(_, result)| *result);
    assert!(results.eq([PublishResult::Limited]), "{:?}", line.harness.out.counts().unpublished);
}

#[test]
fn a_room_that_refused_for_a_while_puts_off_what_comes_after_its_answer() {
    for (code, publish) in [(ErrorCode::TooManyRequests, 111), (ErrorCode::LimitExceeded, 103)] {
        let mut line = Line::new();
        line.say(&[SUBSCRIBE]);
        line.answer("room:1", RoomReply::SubscribeRejected(code));
        line.say(&[PUBLISH]);
        assert_eq!(line.codes(), [code.parts().0, publish]);
    }
}

#[test]
fn of_many_that_are_put_off_the_latest_are_remembered() {
    let mut line = Line::new();
    line.harness.options.commands_per_s = 0;
    line.harness.load.pace = CorePace::FarBehind;
    for n in 0..=DEFERRED_SUBSCRIBES_MAX {
        line.say(&[&format!(r#""subscribe":{{"channel":"room:{n}"}}"#)]);
    }
    line.replies.clear();
    for n in 0..=DEFERRED_SUBSCRIBES_MAX {
        line.say(&[&format!(r#""publish":{{"channel":"room:{n}","data":1}}"#)]);
    }
    assert_eq!(line.codes()[0], 103);
    assert_eq!(line.codes()[1..], [111; DEFERRED_SUBSCRIBES_MAX]);
}

#[test]
fn who_goes_meanwhile_leaves_nothing() {
    let mut line = Line::new();
    line.say(&[SUBSCRIBE, UNSUBSCRIBE, SUBSCRIBE]);
    line.harness.step(|session, cx, out| session.leave(cx, out));
    line.carry_out();
    line.answer("room:1", RoomReply::Subscribed(subscribed(0)));
    assert_eq!(line.asked_of("room:1"), [Subscribe, Unsubscribe], "the home lets it go again");
    assert!(line.replies.is_empty());
}

#[test]
fn what_waits_has_a_limit_and_is_refused_for_a_while_beyond_it() {
    let mut line = Line::new();
    line.harness.options.commands_per_s = 0;
    line.say(&[SUBSCRIBE]);
    for _ in 0..HELD_COUNT_MAX {
        line.say(&[PRESENCE]);
    }
    assert!(line.replies.is_empty());
    for _ in 0..100 {
        line.say(&[PRESENCE]);
    }
    assert_eq!(line.codes(), [111; 100], "and nobody is sent away for it");
    line.answer_all();
    assert_eq!(line.replies.len(), 1 + HELD_COUNT_MAX + 100);
    assert!(line.codes()[100..].iter().all(|&code| code == 0));

    let long = "x".repeat(HELD_BYTES_MAX - 100);
    let mut line = Line::new();
    line.harness.rooms.namespaces[0].data_bytes_max = 1 << 20;
    let publish = format!(r#""publish":{{"channel":"room:1","data":"{long}"}}"#);
    line.say(&[SUBSCRIBE, &publish, &publish]);
    assert_eq!(line.replies, [(5, 111)]);
    line.answer_all();
    assert_eq!(line.codes(), [111, 0, 0]);
}

/// More small commands than a message may have are held behind a connect, or refused
/// for a while; none of them ends the connection.
#[test]
fn many_small_commands_behind_connect_are_served_or_refused_for_a_while() {
    let channels = ["room:9".to_owned()];
    let mut harness = SessionHarness::new();
    harness.options.commands_per_s = 0;
    harness.connect(&token(&NewToken { user: "ann", channels: &channels, ..NewToken::default() }));
    let mut line = Line::of(harness);
    line.carry_out();
    for _ in 0..HELD_COUNT_MAX + 60 {
        line.say(&[r#""ping":{}"#]);
    }
    assert_eq!(line.codes(), [111; 60]);
    line.answer_all();
    assert_eq!(line.replies.len(), 1 + HELD_COUNT_MAX + 60);
    assert!(line.codes()[60..].iter().all(|&code| code == 0));
}

#[test]
fn a_passing_refusal_is_told_only_to_who_would_be_refused() {
    let mut line = Line::new();
    line.harness.rooms.namespaces[0].publish = Permission::Users;
    line.say(&[SUBSCRIBE, PUBLISH, PRESENCE]);
    line.answer("room:1", RoomReply::SubscribeRejected(ErrorCode::Internal));
    line.answer_all();
    assert_eq!(line.codes(), [100, 100, 0], "to publish it need not be there");
}

/// What a client says about a channel that the server is about to subscribe it to.
#[test]
fn commands_wait_behind_a_subscription_by_the_server_too() {
    let mut line = Line::new();
    line.say(&[&refresh(r#"{"sub":"ann","channels":["room:1"]}"#)]);
    line.say(&[SUBSCRIBE, PUBLISH, UNSUBSCRIBE, SUBSCRIBE]);
    line.answer_all();
    line.replies.sort_unstable();
    assert_eq!(line.codes(), [0, 105, 0, 0, 0]);
    let asked = [Subscribe, Publish, Unsubscribe, Subscribe];
    assert_eq!(line.asked_of("room:1"), asked);
}

/// SDKs send connect and their subscribes in one message; a laptop that slept does so with
/// a token that has ended.
#[test]
fn what_stands_behind_a_refused_connect_fails_as_it_did() {
    let ended = format!(r#"{{"sub":"ann","exp":{}}}"#, START_UNIX_S - 1);
    let soon = format!(r#"{{"sub":"ann","nbf":{}}}"#, START_UNIX_S + 60);
    for (claims, pace, code) in [
        (&*ended, CorePace::OnTime, 109),
        (&*soon, CorePace::OnTime, 111),
        (r#"{"sub":"ann"}"#, CorePace::FarBehind, 111),
    ] {
        let mut line = Line::of(SessionHarness::new());
        line.harness.load.pace = pace;
        let connect = format!(r#""connect":{{"token":"{}"}}"#, signed(claims));
        line.say(&[&connect, SUBSCRIBE, PUBLISH, r#""ping":{}"#, r#""zork":{}"#]);
        line.harness.raw(r#"{"send":{"data":1}}"#);
        assert_eq!(line.codes(), [code; 5], "{claims}");
        // The client is not gone: it brings a fresh token, and all is served.
        line.harness.load.pace = CorePace::OnTime;
        line.replies.clear();
        line.say(&[&format!(r#""connect":{{"token":"{}"}}"#, user("ann")), SUBSCRIBE]);
        line.answer_all();
        assert_eq!(line.codes(), [0, 0], "{claims}");
    }
    // What has no place there has none, and who goes on is closed for a while.
    let mut harness = SessionHarness::new();
    harness.connect(&signed(&ended));
    harness.raw("{}");
    harness.check_closed(Fault::BadRequest);
    let mut harness = SessionHarness::new();
    harness.connect(&signed(&ended));
    while !harness.out.is_closing() {
        harness.command(r#""ping":{}"#);
        assert!(harness.next_id < 2_000, "it is closed in the end");
    }
    harness.check_closed(Fault::TooManyRequests);
}
