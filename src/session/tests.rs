//! One session alone: commands, answers and time in, messages and effects out.

mod chat;
mod order;
mod quotas;
mod recovery;

use std::sync::Arc;

use super::quota::Admission;
use super::{
    Context, CoreLoad, Effect, Fault, Finding, NameKey, Options, Outcome, Pace, Place, Prefix,
    Session, Suspicion, Tracer, TracerOptions,
};
use crate::auth::{Algorithm, Demands, KeySpec, Keys, Material, NewToken, sign};
use crate::base::{
    Chance, ConnId, Csprng, Now, PeerSigns, Prng, RoomId, SealKey, SealPurpose, Tick,
};
use crate::metrics::{
    Agent, Blame, ChatType, CloseReason, HandshakeStage, Histogram, PublishResult,
};
use crate::room::{self, Answer, Ask, Departure, Namespace, Recovery, Welcome, What, Who};
use crate::wire::{ClientInfo, Encoding, Epoch, ErrorCode, Position, commands};

const CONN: ConnId = ConnId { slot: 1, generation: 1 };
const START_UNIX_S: u64 = 1_700_000_000;

/// A session with everything it needs, at a time of the test's choosing.
struct Desk {
    session: Session,
    options: Options,
    rooms: room::Options,
    keys: Keys,
    chance: Chance,
    held: Vec<Prefix>,
    tracer: Tracer,
    load: CoreLoad,
    now: Now,
    /// Since the last step.
    out: Outcome,
    next_id: u32,
    encoding: Encoding,
}

fn key() -> KeySpec {
    let material = Material::Secret(b"sixteen bytes and many more here".to_vec());
    KeySpec { kid: None, algorithm: Algorithm::Hs256, material }
}

fn token(new: &NewToken<'_>) -> String {
    sign(&key(), &Demands::default(), new).unwrap()
}

/// A token with these claims, whatever they are.
fn signed(claims: &str) -> String {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = |json: &str| engine.encode(json);
    let message = format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(claims));
    let Material::Secret(secret) = key().material else { panic!("it is a secret") };
    let secret = jsonwebtoken::EncodingKey::from_secret(&secret);
    let algorithm = jsonwebtoken::Algorithm::HS256;
    let tag = jsonwebtoken::crypto::sign(message.as_bytes(), &secret, algorithm).unwrap();
    format!("{message}.{tag}")
}

fn user(name: &str) -> String {
    token(&NewToken { user: name, ..NewToken::default() })
}

fn open_namespace(name: &str) -> Namespace {
    Namespace {
        name: name.to_owned(),
        subscribe: Who::Users,
        publish: Who::Subscribers,
        see_presence: Who::Subscribers,
        see_history: Who::Subscribers,
        presence: true,
        history_count_max: 10,
        ..Namespace::default()
    }
}

fn own_positions(names: NameKey) -> SealKey {
    SealKey::derive(names.0, SealPurpose::OwnPosition)
}

impl Desk {
    fn new() -> Desk {
        let options = Options { ping_interval_ms: 0, ..Options::default() };
        let closed = Namespace { name: "closed".to_owned(), ..Namespace::default() };
        let namespaces = vec![open_namespace("room"), closed];
        let rooms = room::Options { namespaces, rooms_max: 10, ..room::Options::default() };
        let now = Now::at(Tick(50), START_UNIX_S * 1_000);
        let keys = Keys::build(&[key()]).unwrap();
        let ids = Csprng::from_key([1; 16]);
        let mut chance = Chance { jitter: Prng::from_seed(1), ids };
        let names = NameKey([1, 2]);
        let mut tracer = Tracer::new(TracerOptions::default());
        let cx = Context {
            now,
            options: &options,
            rooms: &rooms,
            keys: &keys,
            names,
            own_positions: &own_positions(names),
            chance: &mut chance,
            held: &[],
            tracer: &mut tracer,
            load: CoreLoad::default(),
            conn: CONN,
        };
        let session = Session::open(&cx, Agent::None, None);
        let out = Outcome::new(Encoding::Json);
        let encoding = Encoding::Json;
        let held = Vec::new();
        let load = CoreLoad::default();
        let next_id = 1;
        Desk {
            session,
            options,
            rooms,
            keys,
            chance,
            held,
            tracer,
            load,
            now,
            out,
            next_id,
            encoding,
        }
    }

    /// Connected as `ann`.
    fn connected() -> Desk {
        let mut desk = Desk::new();
        desk.connect(&user("ann"));
        assert!(desk.text().contains(r#""connect":{"client":""#), "{}", desk.text());
        desk
    }

    /// Connected, and in `room:1`.
    fn seated() -> (Desk, RoomId) {
        let mut desk = Desk::connected();
        desk.command(r#""subscribe":{"channel":"room:1"}"#);
        let room = desk.asked().0;
        desk.answer(room, Answer::Subscribed(welcome(0)));
        desk.session.sit(room, Place { channel: 3, index: 4 });
        (desk, room)
    }

    fn step(&mut self, decide: impl FnOnce(&mut Session, &mut Context<'_>, &mut Outcome)) {
        self.out = Outcome::new(self.encoding);
        let names = NameKey([1, 2]);
        let mut cx = Context {
            now: self.now,
            options: &self.options,
            rooms: &self.rooms,
            keys: &self.keys,
            names,
            own_positions: &own_positions(names),
            chance: &mut self.chance,
            held: &self.held,
            tracer: &mut self.tracer,
            load: self.load,
            conn: CONN,
        };
        decide(&mut self.session, &mut cx, &mut self.out);
    }

    /// Another session, beside the one that there is.
    fn step_opened(&mut self) -> Session {
        let mut opened = None;
        self.step(|_, cx, _| opened = Some(Session::open(cx, Agent::None, None)));
        opened.expect("it was made a moment ago")
    }

    fn raw(&mut self, text: &str) {
        self.step(|session, cx, out| {
            for command in commands(Encoding::Json, text.as_bytes()) {
                session.on_command(cx, command.unwrap(), Admission::Served, out);
            }
        });
    }

    fn command(&mut self, request: &str) {
        self.next_id += 1;
        self.raw(&format!(r#"{{"id":{},{request}}}"#, self.next_id));
    }

    fn connect(&mut self, token: &str) {
        self.command(&format!(r#""connect":{{"token":"{token}"}}"#));
    }

    fn answer(&mut self, room: RoomId, answer: Answer) {
        let id = self.next_id;
        self.step(|session, cx, out| session.on_answer(cx, room, id, answer, out));
    }

    /// Time passes; what is suspected is judged at once, and nothing is known of the peer.
    fn pass(&mut self, ms: u64) {
        self.pass_and_judge(ms, PeerSigns::default());
    }

    fn pass_and_judge(&mut self, ms: u64, signs: PeerSigns) {
        self.now = self.now.plus_ms(ms);
        self.step(|session, cx, out| {
            session.on_timer(cx, out);
            let before = out.effects.len();
            out.effects.retain(|effect| !matches!(effect, Effect::Suspect(_)));
            if out.effects.len() < before && session.judge(cx, signs, out) == Finding::Silent {
                out.close(Fault::NoPong);
            }
        });
        if self.out.effects.iter().any(|effect| matches!(effect, Effect::Ping)) {
            self.session.on_sent(self.now.tick, &self.options);
        }
    }

    /// Who is connected.
    fn info(&self) -> Arc<ClientInfo> {
        Arc::clone(self.session.peer().info())
    }

    fn text(&self) -> String {
        String::from_utf8(self.out.messages.to_vec()).unwrap()
    }

    /// The one question that the last step asked, beside what it brought to inboxes.
    #[track_caller]
    fn asked(&self) -> (RoomId, &What) {
        let mut asks = self.out.effects.iter().filter_map(|effect| match effect {
            Effect::Ask(Ask { what: What::Deliver(_), .. }) => None,
            Effect::Ask(ask) => Some((ask.room, &ask.what)),
            Effect::Sit { .. }
            | Effect::Stand(_)
            | Effect::Release
            | Effect::Review(_)
            | Effect::Ping
            | Effect::Suspect(_)
            | Effect::Acknowledged { .. }
            | Effect::Resume(..)
            | Effect::Close(_) => None,
        });
        let first = asks.next().expect("something is asked");
        assert!(asks.next().is_none(), "one thing is asked");
        first
    }

    #[track_caller]
    fn check_closed(&self, fault: Fault) {
        let last = self.out.effects.last();
        assert!(matches!(last, Some(Effect::Close(why)) if *why == fault), "{last:?}");
    }

    #[track_caller]
    fn check_refused(&self, code: ErrorCode) {
        let want = format!(r#""code":{},"#, code.parts().0);
        assert!(self.text().contains(&want), "{want} in {}", self.text());
    }
}

fn welcome(offset: u64) -> Box<Welcome> {
    let position = Some(Position { offset, epoch: Epoch(7) });
    Box::new(Welcome {
        name: "c".into(),
        position,
        missed: Vec::new(),
        recovery: Recovery::NotAsked,
    })
}

#[test]
fn a_token_decides_who_comes_in() {
    let expired =
        NewToken { user: "ann", expires_at_unix_s: Some(START_UNIX_S - 1), ..NewToken::default() };
    let mut desk = Desk::new();
    desk.connect(&token(&expired));
    desk.check_refused(ErrorCode::TokenExpired);
    desk.connect("");
    desk.check_refused(ErrorCode::Unauthorized);
    desk.connect(&user("ann"));
    assert!(desk.text().contains(r#""connect":"#), "a refused client may try again");
    let mut desk = Desk::new();
    desk.connect("a.b.c");
    desk.check_closed(Fault::InvalidToken);
    let mut desk = Desk::new();
    desk.options.anonymous = true;
    desk.connect("");
    assert!(desk.text().contains(r#""connect":"#));
    assert_eq!(&*desk.info().user, "");
}

#[test]
fn nothing_comes_before_connect_and_connect_comes_once() {
    for request in [r#""ping":{}"#, r#""subscribe":{"channel":"room:1"}"#, r#""none":{}"#] {
        let mut desk = Desk::new();
        desk.command(request);
        desk.check_closed(Fault::BadRequest);
    }
    let mut desk = Desk::new();
    desk.raw("{}");
    desk.check_closed(Fault::BadRequest);
    let mut desk = Desk::new();
    desk.raw(r#"{"connect":{}}"#);
    desk.check_closed(Fault::BadRequest);
    let mut desk = Desk::connected();
    desk.connect(&user("ann"));
    desk.check_closed(Fault::BadRequest);
}

/// What a connected session makes of a command without an id.
#[track_caller]
fn check_without_id(request: &str, fault: Option<Fault>) {
    let mut desk = Desk::connected();
    desk.raw(&format!("{{{request}}}"));
    match fault {
        Some(fault) => desk.check_closed(fault),
        None => assert!(desk.out.effects.is_empty() && desk.text().is_empty()),
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
    let mut desk = Desk::new();
    desk.pass(desk.options.connect_ms_max - 1);
    assert!(desk.out.effects.is_empty());
    desk.pass(1);
    desk.check_closed(Fault::Stale);
}

#[test]
fn the_server_subscribes_to_what_the_token_and_the_inbox_say() {
    let channels = ["room:1".to_owned(), "room:1".to_owned()];
    let mut desk = Desk::new();
    desk.rooms.namespaces.push(open_namespace("@"));
    desk.connect(&token(&NewToken { user: "ann", channels: &channels, ..NewToken::default() }));
    assert!(desk.text().is_empty(), "the answer waits for the rooms");
    let asked = desk.out.effects.iter().map(|effect| match effect {
        Effect::Ask(ask) => (ask.room, ask.asker.user),
        other => panic!("{other:?}"),
    });
    let (rooms, askers): (Vec<RoomId>, Vec<_>) = asked.unzip();
    assert_eq!(rooms.len(), 2);
    let ann = NameKey([1, 2]).user_hash("", "ann");
    assert_eq!(askers, [ann; 2], "they take their places in its user's share");
    desk.command(r#""ping":{}"#);
    assert!(desk.text().is_empty(), "the command waits, too");
    desk.answer(rooms[0], Answer::Subscribed(welcome(4)));
    desk.session.sit(rooms[0], Place { channel: 0, index: 0 });
    assert!(desk.session.is_connecting(), "what the first room says is held back");
    desk.answer(rooms[1], Answer::Subscribed(welcome(5)));
    let text = desk.text();
    assert!(text.contains(r#""room:1":{"#) && text.contains(r#""@ann":{"#), "{text}");
    assert!(matches!(
        &desk.out.effects[..],
        [Effect::Sit { .. }, Effect::Release, Effect::Resume(held)]
            if held.message().ends_with(br#""ping":{}}"#)
    ));
    desk.session.sit(rooms[1], Place { channel: 1, index: 0 });
    desk.step(|session, cx, out| session.on_gap(cx, rooms[0], "room:1", out));
    desk.check_closed(Fault::InsufficientState);
}

#[test]
fn an_expiry_while_the_room_is_asked_leaves_one_answer_to_the_command() {
    let mut desk = Desk::connected();
    let expires_at_unix_s = Some(desk.now.unix_s() + 1);
    let (user, channel) = ("ann", Some("room:1"));
    let token = token(&NewToken { user, channel, expires_at_unix_s, ..NewToken::default() });
    desk.command(&format!(r#""subscribe":{{"channel":"room:1","token":"{token}"}}"#));
    let (room, id) = (desk.asked().0, desk.next_id);
    desk.pass(2_000 + desk.options.expiry_grace_ms);
    assert!(desk.text().is_empty() && desk.out.effects.is_empty());
    desk.next_id = id;
    desk.answer(room, Answer::Subscribed(welcome(0)));
    desk.check_refused(ErrorCode::TokenExpired);
    assert!(matches!(desk.asked().1, What::Unsubscribe(_)));
}

#[test]
fn a_room_that_refuses_refuses_the_connection() {
    let channels = ["room:1".to_owned()];
    let mut desk = Desk::new();
    desk.connect(&token(&NewToken { user: "ann", channels: &channels, ..NewToken::default() }));
    let room = desk.asked().0;
    desk.answer(room, Answer::Unwelcome(ErrorCode::Internal));
    desk.check_refused(ErrorCode::Internal);
    desk.check_closed(Fault::Refused(ErrorCode::Internal));
    assert_eq!(Fault::Refused(ErrorCode::Internal).close_code(), 3004);
    assert_eq!(Fault::Refused(ErrorCode::LimitExceeded).close_code(), 3507);
}

#[test]
fn rights_are_the_namespaces_and_a_token_can_add_to_them() {
    let mut desk = Desk::connected();
    desk.command(r#""subscribe":{"channel":"closed:1"}"#);
    desk.check_refused(ErrorCode::PermissionDenied);
    let wrong =
        |channel, user| token(&NewToken { user, channel: Some(channel), ..NewToken::default() });
    for bad in [wrong("closed:2", "ann"), wrong("closed:1", "bob"), "x".to_owned()] {
        desk.command(&format!(r#""subscribe":{{"channel":"closed:1","token":"{bad}"}}"#));
        desk.check_refused(ErrorCode::PermissionDenied);
    }
    let good = wrong("closed:1", "ann");
    desk.command(&format!(r#""subscribe":{{"channel":"closed:1","token":"{good}"}}"#));
    assert!(matches!(desk.asked().1, What::Subscribe(_)));
    desk.command(r#""publish":{"channel":"room:1","data":1}"#);
    desk.check_refused(ErrorCode::PermissionDenied);
    let (mut seated, room) = Desk::seated();
    seated.command(r#""publish":{"channel":"room:1","data":1}"#);
    assert!(matches!(seated.asked(), (asked, What::Publish(_)) if asked == room));
}

/// What a publish counts as that comes to no room.
#[track_caller]
fn check_unpublished(mut desk: Desk, channel: &str, data: &str, result: PublishResult) {
    desk.command(&format!(r#""publish":{{"channel":"{channel}","data":{data}}}"#));
    assert_eq!(desk.out.unpublished, [(ChatType::Group, result)], "{}", desk.text());
}

#[test]
fn publishes_that_come_to_no_room_are_counted_by_cause() {
    check_unpublished(Desk::connected(), "room:1", "1", PublishResult::Denied);
    check_unpublished(Desk::connected(), "none:1", "1", PublishResult::Invalid);
    let large = format!("\"{}\"", "x".repeat(70_000));
    check_unpublished(Desk::seated().0, "room:1", &large, PublishResult::Invalid);
    let (mut tired, _) = Desk::seated();
    tired.options.commands_per_s = 1;
    tired.options.commands_burst = 1;
    tired.command(r#""ping":{}"#);
    check_unpublished(tired, "room:1", "1", PublishResult::Limited);
    let (mut good, _) = Desk::seated();
    good.command(r#""publish":{"channel":"room:1","data":1}"#);
    assert!(good.out.unpublished.is_empty(), "its room counts it");
}

#[test]
fn our_own_failure_is_not_the_clients() {
    let ours = Fault::Refused(ErrorCode::Internal);
    assert_eq!((ours.label(), ours.blame()), (CloseReason::InternalError, Blame::Server));
    let theirs = Fault::Refused(ErrorCode::LimitExceeded);
    assert_eq!((theirs.label(), theirs.blame()), (CloseReason::Auth, Blame::Client));
}

/// What a named user's session asks about its place, at connect and at its end.
#[track_caller]
fn check_single(tenants: &[&str], user_name: &str, wanted: bool) {
    let mut desk = Desk::new();
    desk.options.single_session_tenants = tenants.iter().map(|&one| one.to_owned()).collect();
    desk.options.anonymous = true;
    let token = if user_name.is_empty() { String::new() } else { user(user_name) };
    desk.connect(&token);
    let asks = |desk: &Desk| {
        let asks = desk.out.effects.iter().filter_map(|effect| match effect {
            Effect::Ask(ask) => Some(format!("{:?}", ask.what)),
            _ => None,
        });
        asks.collect::<Vec<_>>()
    };
    assert_eq!(asks(&desk), if wanted { vec!["Claim"] } else { vec![] });
    desk.step(|session, cx, out| session.leave(cx, out));
    assert_eq!(asks(&desk), if wanted { vec!["Release"] } else { vec![] });
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
fn a_personal_channel_is_its_owners() {
    let mut desk = Desk::connected();
    desk.rooms.namespaces.push(open_namespace("@"));
    desk.command(r#""subscribe":{"channel":"@bob"}"#);
    desk.check_refused(ErrorCode::PermissionDenied);
    desk.command(r#""subscribe":{"channel":"@ann"}"#);
    assert!(matches!(desk.asked().1, What::Subscribe(_)));
}

#[test]
fn an_id_used_twice_confuses_nobody_but_its_client() {
    let mut desk = Desk::connected();
    desk.command(r#""subscribe":{"channel":"room:1"}"#);
    let room = desk.asked().0;
    desk.answer(room, Answer::Refused(ErrorCode::TooManyRequests));
    desk.command(r#""subscribe":{"channel":"room:1"}"#);
    desk.check_refused(ErrorCode::AlreadySubscribed);
}

#[test]
fn a_refused_subscription_can_be_asked_again() {
    let mut desk = Desk::connected();
    desk.command(r#""subscribe":{"channel":"room:1"}"#);
    let room = desk.asked().0;
    desk.answer(room, Answer::Unwelcome(ErrorCode::LimitExceeded));
    desk.check_refused(ErrorCode::LimitExceeded);
    desk.command(r#""subscribe":{"channel":"room:1"}"#);
    assert!(matches!(desk.asked().1, What::Subscribe(_)));
}

#[test]
fn who_leaves_frees_what_it_has_and_only_that() {
    let (mut desk, room) = Desk::seated();
    desk.command(r#""subscribe":{"channel":"room:2"}"#);
    desk.step(|session, cx, out| session.leave(cx, out));
    let stood = |effect: &Effect| matches!(effect, Effect::Stand(place) if *place == Place { channel: 3, index: 4 });
    assert!(desk.out.effects.iter().any(stood));
    assert!(matches!(desk.asked(), (left, What::Unsubscribe(Departure::Lost)) if left == room));
    desk.command(r#""ping":{}"#);
    assert!(desk.text().is_empty() && desk.out.effects.is_empty(), "it is over");
}

#[test]
fn a_token_that_ends_is_refreshed_or_ends_the_connection() {
    let ends = |in_s| NewToken {
        user: "ann",
        expires_at_unix_s: Some(START_UNIX_S + in_s),
        ..NewToken::default()
    };
    let mut desk = Desk::new();
    desk.connect(&token(&ends(10)));
    assert!(desk.text().contains(r#""expires":true,"ttl":10"#), "{}", desk.text());
    desk.pass(30_000);
    desk.command(&format!(r#""refresh":{{"token":"{}"}}"#, user("bob")));
    desk.check_refused(ErrorCode::PermissionDenied);
    desk.command(&format!(r#""refresh":{{"token":"{}"}}"#, token(&ends(100))));
    assert!(desk.text().contains(r#""refresh":{"client":""#), "{}", desk.text());
    desk.pass(70_000 + desk.options.expiry_grace_ms - 1_000);
    assert!(desk.out.effects.is_empty());
    desk.pass(1_000);
    desk.check_closed(Fault::Expired);
}

#[test]
fn nothing_is_recovered_where_nothing_is_kept() {
    let asks_since = |channel: &str| {
        let channels = [channel.to_owned()];
        let token = token(&NewToken { user: "ann", channels: &channels, ..NewToken::default() });
        let mut desk = Desk::new();
        let subs = format!(r#"{{"{channel}":{{"recover":true,"offset":1,"epoch":"e"}}}}"#);
        desk.command(&format!(r#""connect":{{"token":"{token}","subs":{subs}}}"#));
        match desk.asked().1 {
            What::Subscribe(entry) => entry.since.is_some(),
            other => panic!("{other:?}"),
        }
    };
    assert!(asks_since("room:1"));
    assert!(!asks_since("closed:1"));
}

#[test]
fn the_grace_of_a_token_begins_at_its_end_whenever_one_looks() {
    let expires_at_unix_s = Some(START_UNIX_S + 10);
    let ends = NewToken { user: "ann", expires_at_unix_s, ..NewToken::default() };
    let mut desk = Desk::new();
    desk.connect(&token(&ends));
    let over = desk.now.tick.plus_ms(10_000 + desk.options.expiry_grace_ms);
    for _ in 0..2 {
        let mut next = Tick(0);
        desk.step(|session, cx, _| next = session.next_timer(cx));
        assert_eq!(next, over);
        desk.pass(15_000);
    }
}

#[test]
fn who_insists_on_a_token_that_has_ended_is_closed() {
    let expires_at_unix_s = Some(START_UNIX_S - 1);
    let ended = token(&NewToken { user: "ann", expires_at_unix_s, ..NewToken::default() });
    let mut desk = Desk::new();
    for _ in 0..desk.options.errors_per_s {
        desk.connect(&ended);
        desk.check_refused(ErrorCode::TokenExpired);
    }
    desk.connect(&ended);
    desk.check_closed(Fault::TooManyErrors);
}

#[test]
fn a_subscription_that_ends_is_refreshed_or_ends_alone() {
    let ends = |in_s| {
        token(&NewToken {
            user: "ann",
            channel: Some("closed:1"),
            expires_at_unix_s: Some(START_UNIX_S + in_s),
            ..NewToken::default()
        })
    };
    let mut desk = Desk::connected();
    desk.command(&format!(r#""subscribe":{{"channel":"closed:1","token":"{}"}}"#, ends(10)));
    let room = desk.asked().0;
    desk.answer(room, Answer::Subscribed(welcome(0)));
    assert!(desk.text().contains(r#""ttl":10"#), "{}", desk.text());
    desk.session.sit(room, Place { channel: 0, index: 0 });
    desk.command(&format!(r#""sub_refresh":{{"channel":"closed:1","token":"{}"}}"#, ends(50)));
    assert!(desk.text().contains(r#""sub_refresh":{"#), "{}", desk.text());
    desk.pass(49_000 + desk.options.expiry_grace_ms);
    assert!(desk.text().is_empty());
    desk.pass(1_000);
    assert!(desk.text().contains(r#""unsubscribe":{"code":2501"#), "{}", desk.text());
    assert!(matches!(desk.asked().1, What::Unsubscribe(_)));
    desk.pass(1_000);
    assert!(desk.text().is_empty() && desk.out.effects.is_empty());
}

#[test]
fn pings_come_in_their_interval_and_pongs_in_their_time() {
    let mut desk = Desk::new();
    desk.options = Options { ping_interval_ms: 1_000, pong_ms_max: 300, ..Options::default() };
    desk.connect(&user("ann"));
    let pinged = |desk: &Desk| matches!(desk.out.effects[..], [Effect::Ping]);
    let mut pings = Vec::new();
    for ms in (0..10_000).step_by(10) {
        desk.pass(10);
        if pinged(&desk) {
            pings.push(ms);
            desk.raw("{}");
        }
        assert!(!desk.out.is_closing());
    }
    let gaps: Vec<u64> = pings.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.iter().all(|gap| (890..=1_010).contains(gap)) && 8 < gaps.len(), "{gaps:?}");
    while !pinged(&desk) {
        desk.pass(10);
    }
    desk.pass(290);
    assert!(desk.out.effects.is_empty());
    desk.pass(10);
    assert!(pinged(&desk), "it is asked again");
    desk.pass(290);
    assert!(desk.out.effects.is_empty());
    desk.pass(10);
    desk.check_closed(Fault::NoPong);
}

/// A client that is pinged for the first time, each 25 s and with 8 s of patience.
fn pinged_desk() -> Desk {
    let mut desk = Desk::new();
    desk.options = Options::default();
    desk.connect(&user("ann"));
    while !matches!(desk.out.effects[..], [Effect::Ping]) {
        desk.pass(100);
        assert!(!desk.out.is_closing());
    }
    desk
}

#[test]
fn who_talks_is_not_suspected_and_pinged_all_the_same() {
    let mut desk = pinged_desk();
    desk.pass(1_000);
    desk.step(|session, cx, out| _ = session.on_bytes(cx, 3, out));
    for _ in 0..300 {
        desk.pass(100);
        match desk.out.effects[..] {
            [] => (),
            [Effect::Ping] => return,
            ref other => panic!("{other:?}"),
        }
    }
    panic!("it is pinged again");
}

#[test]
fn a_missing_pong_is_judged_by_what_the_kernel_knows() {
    let unread = PeerSigns { has_unread: true, ..PeerSigns::default() };
    let heard = |ms| PeerSigns { heard_ms_ago: Some(ms), ..PeerSigns::default() };
    let acknowledged = |ms| PeerSigns { acknowledged_ms_ago: Some(ms), ..PeerSigns::default() };
    // How often a silent client is asked again before it is closed; `None` when it is not.
    for (signs, want) in [
        (PeerSigns::default(), Some(1)),
        (heard(8_001), Some(1)),
        (acknowledged(8_001), Some(1)),
        (acknowledged(7_900), Some(2)),
        (heard(7_900), None),
        (unread, None),
    ] {
        let mut desk = pinged_desk();
        let mut again = 0;
        for _ in 0..4 {
            desk.pass_and_judge(8_000, signs);
            again += usize::from(matches!(desk.out.effects[..], [Effect::Ping]));
            if desk.out.is_closing() {
                break;
            }
        }
        match want {
            Some(want) => {
                desk.check_closed(Fault::NoPong);
                assert_eq!(again, want, "{signs:?}");
            }
            None => assert!(!desk.out.is_closing(), "{signs:?}"),
        }
    }
}

#[test]
fn patience_counts_from_when_the_ping_left_and_grows_with_the_cores_lag() {
    let mut desk = Desk::new();
    desk.options = Options { ping_interval_ms: 30_000, pong_ms_max: 300, ..Options::default() };
    desk.connect(&user("ann"));
    let on_timer = |desk: &mut Desk, ms| {
        desk.now = desk.now.plus_ms(ms);
        desk.step(|session, cx, out| session.on_timer(cx, out));
    };
    let suspected =
        |desk: &Desk| matches!(desk.out.effects[..], [Effect::Suspect(Suspicion::Silence)]);
    on_timer(&mut desk, 30_000);
    assert!(matches!(desk.out.effects[..], [Effect::Ping]));
    // The socket takes it late.
    desk.session.on_ping_queued();
    for _ in 0..2 {
        on_timer(&mut desk, 5_000);
        assert!(desk.out.effects.is_empty());
        desk.session.on_sent(desk.now.tick, &desk.options);
    }
    on_timer(&mut desk, 299);
    assert!(desk.out.effects.is_empty());
    desk.load.lag_ms = 400;
    on_timer(&mut desk, 400);
    assert!(desk.out.effects.is_empty());
    on_timer(&mut desk, 1);
    assert!(suspected(&desk));
    // What came in between counts for it, and what is late is not measured again.
    desk.raw("{}");
    assert_eq!(desk.out.observed, [(Histogram::HeartbeatRtt, 700_000)]);
    desk.step(|session, cx, out| {
        assert_eq!(session.judge(cx, PeerSigns::default(), out), Finding::Alive);
    });
    assert!(desk.out.effects.is_empty());
}

#[test]
fn a_ping_that_does_not_leave_ends_who_does_not_read() {
    let mut desk = Desk::new();
    desk.options = Options::default();
    desk.connect(&user("ann"));
    let mut pings = 0;
    while pings == 0 {
        desk.now = desk.now.plus_ms(100);
        desk.step(|session, cx, out| session.on_timer(cx, out));
        pings = desk.out.effects.len();
    }
    desk.now = desk.now.plus_ms(44_900);
    desk.step(|session, cx, out| session.on_timer(cx, out));
    assert!(desk.out.effects.is_empty());
    desk.now = desk.now.plus_ms(100);
    desk.step(|session, cx, out| session.on_timer(cx, out));
    desk.check_closed(Fault::Slow);
}

#[test]
fn a_late_core_gives_newcomers_twice_their_time_and_no_more() {
    let mut desk = Desk::new();
    desk.load.pace = Pace::Late;
    let connect_ms_max = desk.options.connect_ms_max;
    for (ms, closes) in [(connect_ms_max, false), (connect_ms_max - 1, false), (1, true)] {
        desk.now = desk.now.plus_ms(ms);
        desk.step(|session, cx, out| {
            session.on_timer(cx, out);
            assert!(matches!(out.effects[..], [Effect::Suspect(Suspicion::Deadline)]));
            if session.spare(cx) {
                assert_eq!(session.judge(cx, PeerSigns::default(), out), Finding::Alive);
            }
        });
        assert_eq!(desk.out.is_closing(), closes);
    }
    desk.check_closed(Fault::Stale);
    // What it said and nobody read is no silence.
    let mut desk = Desk::new();
    let unread = PeerSigns { has_unread: true, ..PeerSigns::default() };
    desk.pass_and_judge(connect_ms_max, unread);
    assert!(!desk.out.is_closing());
    desk.pass(250);
    desk.check_closed(Fault::Stale);
}

#[test]
fn a_core_that_is_far_behind_refuses_what_is_new_as_temporary_and_counts_no_mistake() {
    let (mut desk, _) = Desk::seated();
    desk.load.pace = Pace::FarBehind;
    for _ in 0..2 * desk.options.errors_per_s {
        desk.command(r#""subscribe":{"channel":"room:2"}"#);
        desk.check_refused(ErrorCode::TooManyRequests);
        assert!(!desk.out.is_closing());
    }
    desk.command(r#""publish":{"channel":"room:1","data":1}"#);
    assert!(matches!(desk.asked().1, What::Publish(..)), "what is live goes on");
    let mut late = Desk::new();
    late.load.pace = Pace::FarBehind;
    late.connect(&user("ann"));
    late.check_refused(ErrorCode::TooManyRequests);
    assert!(!late.out.is_closing());
    late.load.pace = Pace::Late;
    late.connect(&user("ann"));
    assert!(late.text().contains(r#""connect":{"client":""#), "{}", late.text());
}

#[test]
fn waits_are_measured_where_they_end() {
    let mut desk = Desk::new();
    desk.options = Options { ping_interval_ms: 1_000, pong_ms_max: 300, ..Options::default() };
    desk.pass(70);
    desk.connect(&user("ann"));
    let auth = Histogram::HandshakeStage(HandshakeStage::Auth);
    assert_eq!(desk.out.observed, [(auth, 70_000)]);
    desk.out.observed.clear();
    while !matches!(desk.out.effects[..], [Effect::Ping]) {
        desk.pass(10);
    }
    desk.pass(40);
    desk.raw("{}");
    assert_eq!(desk.out.observed, [(Histogram::HeartbeatRtt, 40_000)]);
    desk.out.observed.clear();
    desk.raw("{}");
    assert!(desk.out.observed.is_empty(), "nobody asked");
}

#[test]
fn mistakes_are_answered_until_there_are_too_many() {
    for mistake in [r#""none":{}"#, r#""subscribe":{"channel":""}"#] {
        let mut desk = Desk::connected();
        for _ in 0..desk.options.errors_per_s {
            desk.command(mistake);
            assert!(desk.text().contains("error") && !desk.out.is_closing());
        }
        desk.command(mistake);
        desk.check_closed(Fault::TooManyErrors);
    }
}

/// What each of many channels of a good client may be answered when it comes back.
#[test]
fn what_good_clients_are_told_by_the_hundred_is_no_mistake() {
    let expires_at_unix_s = Some(START_UNIX_S - 60);
    let (user, channel) = ("ann", Some("closed:1"));
    let ended = token(&NewToken { user, channel, expires_at_unix_s, ..NewToken::default() });
    for (request, code) in [
        (format!(r#""subscribe":{{"channel":"closed:1","token":"{ended}"}}"#), 109),
        (r#""subscribe":{"channel":"closed:1"}"#.to_owned(), 103),
        (r#""subscribe":{"channel":"none:1"}"#.to_owned(), 102),
        (r#""presence":{"channel":"closed:1"}"#.to_owned(), 108),
        (r#""publish":{"channel":"room:1","data":1}"#.to_owned(), 103),
    ] {
        let mut desk = Desk::connected();
        for _ in 0..350 {
            desk.command(&request);
            assert!(desk.text().contains(&format!(r#""code":{code},"#)), "{}", desk.text());
            assert!(!desk.out.is_closing(), "{request}");
        }
    }
    let mut full = Desk::connected();
    full.options.channels_max = 0;
    for number in 0..350 {
        full.command(&format!(r#""subscribe":{{"channel":"room:{number}"}}"#));
        full.check_refused(ErrorCode::LimitExceeded);
        assert!(!full.out.is_closing());
    }
}

/// A full lane, or a store that is slow, is nothing that a client did.
#[test]
fn what_rooms_refuse_for_a_while_is_not_the_clients_fault() {
    let mut desk = Desk::connected();
    for number in 0..350 {
        desk.command(&format!(r#""subscribe":{{"channel":"room:{number}"}}"#));
        let room = desk.asked().0;
        desk.answer(room, Answer::Unwelcome(ErrorCode::TooManyRequests));
        desk.check_refused(ErrorCode::TooManyRequests);
        assert!(!desk.out.is_closing());
    }
}

#[test]
fn limits_have_their_codes() {
    let (mut desk, _) = Desk::seated();
    desk.options.channels_max = 1;
    desk.command(r#""subscribe":{"channel":"room:2"}"#);
    desk.check_refused(ErrorCode::LimitExceeded);
    desk.rooms.namespaces[0].data_bytes_max = 4;
    desk.command(r#""publish":{"channel":"room:1","data":12345}"#);
    desk.check_refused(ErrorCode::LimitExceeded);
    desk.command(r#""presence":{"channel":"closed:1"}"#);
    desk.check_refused(ErrorCode::NotAvailable);
    desk.command(r#""history":{"channel":"closed:1"}"#);
    desk.check_refused(ErrorCode::NotAvailable);
    desk.command(r#""subscribe":{"channel":"room:\u0007"}"#);
    desk.check_refused(ErrorCode::BadRequest);
}

#[test]
fn insecure_means_everything() {
    let mut desk = Desk::new();
    desk.options.insecure = true;
    desk.connect("");
    for request in ["subscribe", "publish"] {
        desk.command(&format!(r#""{request}":{{"channel":"closed:1","data":1}}"#));
        assert!(!desk.text().contains("error"), "{}", desk.text());
    }
}

#[test]
fn what_a_send_calls_is_served_without_an_answer() {
    let (mut desk, _) = Desk::seated();
    desk.raw(r#"{"send":{"data":{"method":"chat.typing","data":{"channel":"room:1"}}}}"#);
    assert!(matches!(desk.asked().1, What::Typing(info) if *info.user == *"ann"));
    assert!(desk.text().is_empty());
    desk.raw(r#"{"send":{"data":[1]}}"#);
    assert!(desk.text().is_empty() && desk.out.effects.is_empty());
    let shared = desk.info();
    assert_eq!(&*shared.user, "ann");
}

#[test]
fn who_is_locked_out_is_sent_away_and_nobody_else() {
    let bots = Prefix::of("", "bot-1", Agent::None);
    for (name, want) in [("bot-2", true), ("bot", true), ("bots-1", false), ("ann", false)] {
        let mut desk = Desk::new();
        desk.held = vec![Prefix::of("", "robot", Agent::None), bots.clone()];
        desk.connect(&user(name));
        if want {
            desk.check_closed(Fault::Quarantined);
        } else {
            assert!(desk.text().contains(r#""connect":{"client":""#), "{name}");
        }
    }
    assert_eq!(Fault::Quarantined.close_code(), 3510);
    assert_eq!(Fault::Quarantined.label(), CloseReason::Quarantine);
}

/// What a connection with this chance shows of itself and of a message that it says.
fn shown(seed: u64, key: [u8; 16]) -> [String; 2] {
    let (mut desk, _) = Desk::seated();
    desk.chance = Chance { jitter: Prng::from_seed(seed), ids: Csprng::from_key(key) };
    let mut session = desk.step_opened();
    std::mem::swap(&mut desk.session, &mut session);
    desk.connect(&user("ann"));
    let client = desk.text();
    std::mem::swap(&mut desk.session, &mut session);
    desk.command(r#""rpc":{"method":"chat.publish","data":{"channel":"room:1","data":1}}"#);
    [client, format!("{:?}", desk.asked())]
}

#[test]
fn what_others_see_follows_from_the_key_and_not_from_the_seed_of_jitter() {
    let (one, other) = ([1; 16], [2; 16]);
    assert_eq!(shown(1, one), shown(2, one));
    let (by_one, by_other) = (shown(1, one), shown(1, other));
    assert!(by_one.iter().zip(&by_other).all(|(one, other)| one != other), "{by_one:?}");
}
