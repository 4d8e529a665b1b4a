//! One session alone: commands, answers and time in, messages and effects out.

mod backends;
mod blocks;
mod chat;
mod compaction;
mod expiry;
mod handshake;
mod heartbeats;
mod hooks;
mod lists;
mod order;
mod quotas;
mod recovery;
mod token_subs;

use std::sync::Arc;

use super::quota::QuotaDecision;
use super::{
    Context, CoreLoad, CorePace, Effect, Fault, NameKey, Options, PongResult, Prefix, Session,
    SessionOutput, SubscriberSlot, Suspicion, Tracer, TracerOptions,
};
use crate::auth::{Algorithm, ClaimRequirements, KeyMaterial, KeySpec, Keys, NewToken, sign};
use crate::base::{
    ConnId, Csprng, MonotonicMs, Prng, RandomSources, RoomId, SealKey, SealPurpose, TcpLiveness,
    Timestamps,
};
use crate::blocks::{BlockKey, BlockTable, BlockTerms};
use crate::metrics::{
    Agent, Blame, BlockKind, ChatType, CloseReason, HandshakeStage, Histogram, PublishResult,
};
use crate::room::{
    self, LeaveReason, Namespace, Permission, RecoveryOutcome, RoomOp, RoomReply, RoomRequest,
    Subscribed, Unrecovered,
};
use crate::wire::{ClientInfo, Encoding, Epoch, ErrorCode, Position, commands};

const CONN: ConnId = ConnId { slot: 1, generation: 1 };
const START_UNIX_S: u64 = 1_700_000_000;

/// A session with everything it needs, at a time of the test's choosing.
struct SessionHarness {
    session: Session,
    options: Options,
    rooms: room::Options,
    keys: Keys,
    random: RandomSources,
    blocked_prefixes: Vec<Prefix>,
    blocks: BlockTable,
    tracer: Tracer,
    load: CoreLoad,
    now: Timestamps,
    /// Since the last step.
    out: SessionOutput,
    next_id: u32,
    encoding: Encoding,
}

fn key() -> KeySpec {
    let material = KeyMaterial::Secret(b"sixteen bytes and many more here".to_vec());
    KeySpec { kid: None, algorithm: Algorithm::Hs256, material }
}

fn token(new: &NewToken<'_>) -> String {
    sign(&key(), &ClaimRequirements::default(), new).unwrap()
}

/// A token with these claims, whatever they are.
fn signed(claims: &str) -> String {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let part = |json: &str| engine.encode(json);
    let message = format!("{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(claims));
    let KeyMaterial::Secret(secret) = key().material else { panic!("it is a secret") };
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
        subscribe: Permission::Users,
        publish: Permission::Subscribers,
        see_presence: Permission::Subscribers,
        see_history: Permission::Subscribers,
        presence: true,
        history_count_max: 10,
        ..Namespace::default()
    }
}

fn own_positions(names: NameKey) -> SealKey {
    SealKey::derive(names.0, SealPurpose::OwnPosition)
}

impl SessionHarness {
    fn new() -> SessionHarness {
        let options = Options { ping_interval_ms: 0, ..Options::default() };
        let closed = Namespace { name: "closed".to_owned(), ..Namespace::default() };
        let namespaces = vec![open_namespace("room"), closed];
        let rooms = room::Options { namespaces, rooms_max: 10, ..room::Options::default() };
        let now = Timestamps::at(MonotonicMs(50), START_UNIX_S * 1_000);
        let keys = Keys::build(&[key()]).unwrap();
        let ids = Csprng::from_key([1; 16]);
        let mut random = RandomSources { jitter: Prng::from_seed(1), ids };
        let names = NameKey([1, 2]);
        let mut tracer = Tracer::new(TracerOptions::default());
        let cx = Context {
            now,
            options: &options,
            rooms: &rooms,
            keys: &keys,
            names,
            own_positions: &own_positions(names),
            random: &mut random,
            blocked_prefixes: &[],
            blocks: &BlockTable::default(),
            tracer: &mut tracer,
            load: CoreLoad::default(),
            conn: CONN,
        };
        let mut session = Session::open(&cx, Agent::None, None);
        session.on_sent(now.tick, &options);
        let out = SessionOutput::new(Encoding::Json);
        let encoding = Encoding::Json;
        let blocked_prefixes = Vec::new();
        let load = CoreLoad::default();
        let next_id = 1;
        SessionHarness {
            session,
            options,
            rooms,
            keys,
            random,
            blocked_prefixes,
            blocks: BlockTable::default(),
            tracer,
            load,
            now,
            out,
            next_id,
            encoding,
        }
    }

    /// Connected as `ann`.
    fn connected() -> SessionHarness {
        let mut harness = SessionHarness::new();
        harness.connect(&user("ann"));
        assert!(harness.text().contains(r#""connect":{"client":""#), "{}", harness.text());
        harness
    }

    /// Connected, and in `room:1`.
    fn subscribed_session() -> (SessionHarness, RoomId) {
        let mut harness = SessionHarness::connected();
        harness.command(r#""subscribe":{"channel":"room:1"}"#);
        let room = harness.asked().0;
        harness.answer(room, RoomReply::Subscribed(subscribed(0)));
        harness.session.activate(room, SubscriberSlot { channel: 3, index: 4 });
        (harness, room)
    }

    fn step(&mut self, decide: impl FnOnce(&mut Session, &mut Context<'_>, &mut SessionOutput)) {
        self.out = SessionOutput::new(self.encoding);
        let names = NameKey([1, 2]);
        let mut cx = Context {
            now: self.now,
            options: &self.options,
            rooms: &self.rooms,
            keys: &self.keys,
            names,
            own_positions: &own_positions(names),
            random: &mut self.random,
            blocked_prefixes: &self.blocked_prefixes,
            blocks: &self.blocks,
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
                session.on_command(cx, command.unwrap(), QuotaDecision::Served, out);
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

    fn answer(&mut self, room: RoomId, answer: RoomReply) {
        let id = self.next_id;
        self.step(|session, cx, out| session.on_answer(cx, room, id, answer, out));
    }

    /// Time passes; what is suspected is judged at once, and nothing is known of the peer.
    fn pass(&mut self, ms: u64) {
        self.pass_and_judge(ms, TcpLiveness::default());
    }

    fn pass_and_judge(&mut self, ms: u64, tcp_liveness: TcpLiveness) {
        self.now = self.now.plus_ms(ms);
        self.step(|session, cx, out| {
            session.on_timer(cx, out);
            let before = out.effects().len();
            out.effects_mut().retain(|effect| !matches!(effect, Effect::Suspect(_)));
            if out.effects().len() < before
                && session.judge(cx, tcp_liveness, out) == PongResult::Silent
            {
                out.close(Fault::NoPong);
            }
        });
        if self.out.effects().iter().any(|effect| matches!(effect, Effect::Ping)) {
            self.session.on_sent(self.now.tick, &self.options);
        }
    }

    /// Who is connected.
    fn info(&self) -> Arc<ClientInfo> {
        Arc::clone(self.session.peer().info())
    }

    fn text(&self) -> String {
        String::from_utf8(self.out.messages().to_vec()).unwrap()
    }

    /// The one question that the last step asked, beside what it brought to inboxes.
    #[track_caller]
    fn asked(&self) -> (RoomId, &RoomOp) {
        let mut asks = self.out.effects().iter().filter_map(|effect| match effect {
            Effect::SendRequest(RoomRequest { op: RoomOp::Deliver(_), .. }) => None,
            Effect::SendRequest(ask) => Some((ask.room, &ask.op)),
            Effect::AddSubscriber { .. }
            | Effect::RemoveSubscriber(..)
            | Effect::Connected
            | Effect::Release
            | Effect::Review(_)
            | Effect::Ping
            | Effect::Suspect(_)
            | Effect::Acknowledged { .. }
            | Effect::Resume(..)
            | Effect::AskBackend(_)
            | Effect::Disconnect(_)
            | Effect::Close(_) => None,
        });
        let first = asks.next().expect("something is asked");
        assert!(asks.next().is_none(), "one thing is asked");
        first
    }

    #[track_caller]
    fn check_closed(&self, fault: Fault) {
        let last = self.out.effects().last();
        assert!(matches!(last, Some(Effect::Close(why)) if *why == fault), "{last:?}");
    }

    #[track_caller]
    fn check_refused(&self, code: ErrorCode) {
        let want = format!(r#""code":{},"#, code.parts().0);
        assert!(self.text().contains(&want), "{want} in {}", self.text());
    }
}

fn subscribed(offset: u64) -> Box<Subscribed> {
    let position = Some(Position { offset, epoch: Epoch(7) });
    Box::new(Subscribed {
        name: "c".into(),
        position,
        missed: Vec::new(),
        recovery: RecoveryOutcome::NotAsked,
    })
}

#[test]
fn rights_are_the_namespaces_and_a_token_can_add_to_them() {
    let mut harness = SessionHarness::connected();
    harness.command(r#""subscribe":{"channel":"closed:1"}"#);
    harness.check_refused(ErrorCode::PermissionDenied);
    let wrong =
        |channel, user| token(&NewToken { user, channel: Some(channel), ..NewToken::default() });
    for bad in [wrong("closed:2", "ann"), wrong("closed:1", "bob"), "x".to_owned()] {
        harness.command(&format!(r#""subscribe":{{"channel":"closed:1","token":"{bad}"}}"#));
        harness.check_refused(ErrorCode::PermissionDenied);
    }
    let good = wrong("closed:1", "ann");
    harness.command(&format!(r#""subscribe":{{"channel":"closed:1","token":"{good}"}}"#));
    assert!(matches!(harness.asked().1, RoomOp::Subscribe(_)));
    harness.command(r#""publish":{"channel":"room:1","data":1}"#);
    harness.check_refused(ErrorCode::PermissionDenied);
    let (mut subscribed, room) = SessionHarness::subscribed_session();
    subscribed.command(r#""publish":{"channel":"room:1","data":1}"#);
    assert!(matches!(subscribed.asked(), (asked, RoomOp::Publish(_)) if asked == room));
}

/// What a publish counts as that comes to no room.
#[track_caller]
fn check_unpublished(
    mut harness: SessionHarness,
    channel: &str,
    data: &str,
    result: PublishResult,
) {
    harness.command(&format!(r#""publish":{{"channel":"{channel}","data":{data}}}"#));
    assert_eq!(harness.out.counts().unpublished, [(ChatType::Group, result)], "{}", harness.text());
}

#[test]
fn publishes_that_come_to_no_room_are_counted_by_cause() {
    check_unpublished(SessionHarness::connected(), "room:1", "1", PublishResult::Denied);
    check_unpublished(SessionHarness::connected(), "none:1", "1", PublishResult::Invalid);
    let large = format!("\"{}\"", "x".repeat(70_000));
    check_unpublished(
        SessionHarness::subscribed_session().0,
        "room:1",
        &large,
        PublishResult::Invalid,
    );
    let (mut tired, _) = SessionHarness::subscribed_session();
    tired.options.commands_per_s = 1;
    tired.options.commands_burst = 1;
    tired.command(r#""ping":{}"#);
    check_unpublished(tired, "room:1", "1", PublishResult::Limited);
    let (mut good, _) = SessionHarness::subscribed_session();
    good.command(r#""publish":{"channel":"room:1","data":1}"#);
    assert!(good.out.counts().unpublished.is_empty(), "its room counts it");
}

#[test]
fn our_own_failure_is_not_the_clients() {
    let ours = Fault::Refused(ErrorCode::Internal);
    assert_eq!((ours.label(), ours.blame()), (CloseReason::InternalError, Blame::Server));
    let theirs = Fault::Refused(ErrorCode::LimitExceeded);
    assert_eq!((theirs.label(), theirs.blame()), (CloseReason::Auth, Blame::Client));
}

#[test]
fn a_personal_channel_is_its_owners() {
    let mut harness = SessionHarness::connected();
    harness.rooms.namespaces.push(open_namespace("@"));
    harness.command(r#""subscribe":{"channel":"@bob"}"#);
    harness.check_refused(ErrorCode::PermissionDenied);
    harness.command(r#""subscribe":{"channel":"@ann"}"#);
    assert!(matches!(harness.asked().1, RoomOp::Subscribe(_)));
}

#[test]
fn an_id_used_twice_confuses_nobody_but_its_client() {
    let mut harness = SessionHarness::connected();
    harness.command(r#""subscribe":{"channel":"room:1"}"#);
    let room = harness.asked().0;
    harness.answer(room, RoomReply::Rejected(ErrorCode::TooManyRequests));
    harness.command(r#""subscribe":{"channel":"room:1"}"#);
    harness.check_refused(ErrorCode::AlreadySubscribed);
}

#[test]
fn a_refused_subscription_can_be_asked_again() {
    let mut harness = SessionHarness::connected();
    harness.command(r#""subscribe":{"channel":"room:1"}"#);
    let room = harness.asked().0;
    harness.answer(room, RoomReply::SubscribeRejected(ErrorCode::LimitExceeded));
    harness.check_refused(ErrorCode::LimitExceeded);
    harness.command(r#""subscribe":{"channel":"room:1"}"#);
    assert!(matches!(harness.asked().1, RoomOp::Subscribe(_)));
}

#[test]
fn who_leaves_frees_what_it_has_and_only_that() {
    let (mut harness, room) = SessionHarness::subscribed_session();
    harness.command(r#""subscribe":{"channel":"room:2"}"#);
    harness.step(|session, cx, out| session.leave(cx, out));
    let stood = |effect: &Effect| matches!(effect, Effect::RemoveSubscriber(place, _) if *place == SubscriberSlot { channel: 3, index: 4 });
    assert!(harness.out.effects().iter().any(stood));
    assert!(
        matches!(harness.asked(), (left, RoomOp::Unsubscribe(LeaveReason::Disconnected)) if left == room)
    );
    harness.command(r#""ping":{}"#);
    assert!(harness.text().is_empty() && harness.out.effects().is_empty(), "it is over");
}

#[test]
fn nothing_is_recovered_where_nothing_is_kept() {
    let asks_since = |channel: &str| {
        let channels = [channel.to_owned()];
        let token = token(&NewToken { user: "ann", channels: &channels, ..NewToken::default() });
        let mut harness = SessionHarness::new();
        let subs = format!(r#"{{"{channel}":{{"recover":true,"offset":1,"epoch":"e"}}}}"#);
        harness.command(&format!(r#""connect":{{"token":"{token}","subs":{subs}}}"#));
        match harness.asked().1 {
            RoomOp::Subscribe(subscribe) => subscribe.since.is_some(),
            other => panic!("{other:?}"),
        }
    };
    assert!(asks_since("room:1"));
    assert!(!asks_since("closed:1"));
}

#[test]
fn mistakes_are_answered_until_there_are_too_many() {
    for mistake in [r#""none":{}"#, r#""subscribe":{"channel":""}"#] {
        let mut harness = SessionHarness::connected();
        for _ in 0..harness.options.errors_per_s {
            harness.command(mistake);
            assert!(harness.text().contains("error") && !harness.out.is_closing());
        }
        harness.command(mistake);
        harness.check_closed(Fault::TooManyErrors);
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
        let mut harness = SessionHarness::connected();
        for _ in 0..350 {
            harness.command(&request);
            assert!(harness.text().contains(&format!(r#""code":{code},"#)), "{}", harness.text());
            assert!(!harness.out.is_closing(), "{request}");
        }
    }
    let mut full = SessionHarness::connected();
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
    let mut harness = SessionHarness::connected();
    for number in 0..350 {
        harness.command(&format!(r#""subscribe":{{"channel":"room:{number}"}}"#));
        let room = harness.asked().0;
        harness.answer(room, RoomReply::SubscribeRejected(ErrorCode::TooManyRequests));
        harness.check_refused(ErrorCode::TooManyRequests);
        assert!(!harness.out.is_closing());
    }
}

#[test]
fn limits_have_their_codes() {
    let (mut harness, _) = SessionHarness::subscribed_session();
    harness.options.channels_max = 1;
    harness.command(r#""subscribe":{"channel":"room:2"}"#);
    harness.check_refused(ErrorCode::LimitExceeded);
    harness.rooms.namespaces[0].data_bytes_max = 4;
    harness.command(r#""publish":{"channel":"room:1","data":12345}"#);
    harness.check_refused(ErrorCode::LimitExceeded);
    harness.command(r#""presence":{"channel":"closed:1"}"#);
    harness.check_refused(ErrorCode::NotAvailable);
    harness.command(r#""history":{"channel":"closed:1"}"#);
    harness.check_refused(ErrorCode::NotAvailable);
    harness.command(r#""subscribe":{"channel":"room:\u0007"}"#);
    harness.check_refused(ErrorCode::BadRequest);
}

#[test]
fn insecure_means_everything() {
    let mut harness = SessionHarness::new();
    harness.options.insecure = true;
    harness.connect("");
    for request in ["subscribe", "publish"] {
        harness.command(&format!(r#""{request}":{{"channel":"closed:1","data":1}}"#));
        assert!(!harness.text().contains("error"), "{}", harness.text());
    }
}

#[test]
fn what_a_send_calls_is_served_without_an_answer() {
    let (mut harness, _) = SessionHarness::subscribed_session();
    harness.raw(r#"{"send":{"data":{"method":"chat.typing","data":{"channel":"room:1"}}}}"#);
    assert!(matches!(harness.asked().1, RoomOp::Typing(info) if *info.user == *"ann"));
    assert!(harness.text().is_empty());
    harness.raw(r#"{"send":{"data":[1]}}"#);
    assert!(harness.text().is_empty() && harness.out.effects().is_empty());
    let shared = harness.info();
    assert_eq!(&*shared.user, "ann");
}
