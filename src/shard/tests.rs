//! Whole shards, fed by hand: what goes in at one socket comes out at others.

mod fairness;
mod late;
mod measured;
mod numbers;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::slice;
use std::sync::Arc;

use bytes::BytesMut;

use super::judge::EventsRead;
use super::observe::work_in;
use super::{
    Gap, Options, ScanRequest, ScanResult, Shard, ShardCommand, ShardMessage, ShardSetup, TopBy,
};
use crate::auth::{Algorithm, Demands, KeySpec, Keys, Material, NewToken, sign};
use crate::base::limits::LANE_PUSHES_MAX;
use crate::base::{
    Action, ConnId, Csprng, Ending, Event, MonotonicMs, PeerSigns, RoomId, ShardId, Timestamps,
};
use crate::metrics::{Agent, BusyWith, Cells, Tenants};
use crate::room::{self, Namespace, Permission};
use crate::session::{self, NameKey, Prefix};
use crate::store::Durability;
use crate::ws::client::{put_masked_frame, upgrade_request};
use crate::ws::{Incoming, Opcode, ReadBuffer, Reader, Role, Rules, Subprotocol};

const RULES: Rules = Rules { role: Role::Client, message_bytes_max: 1 << 20 };

const NAMES: NameKey = NameKey([1, 2]);

/// A peer of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Peer(usize, u32);

#[derive(Default)]
struct Inbox {
    reader: Reader,
    /// What the peer has read: text frames, and a close frame as its code.
    seen: Vec<String>,
    http: Vec<u8>,
    upgraded: bool,
    sends_count: usize,
    /// Sends that the peer leaves in flight.
    stuck: bool,
    in_flight: bool,
    gone: bool,
}

struct World {
    shards: Vec<Shard>,
    cells: Vec<Arc<Cells>>,
    tenants: Arc<Tenants>,
    peers: BTreeMap<Peer, Inbox>,
    now: Timestamps,
    next_slot: u32,
}

impl World {
    fn new(shards_count: u16, change: impl FnOnce(&mut Options)) -> World {
        World::with_keys(shards_count, Keys::default(), change)
    }

    fn with_keys(shards_count: u16, keys: Keys, change: impl FnOnce(&mut Options)) -> World {
        let named = |name: &str| Namespace {
            name: name.to_owned(),
            history_count_max: 100,
            history_age_ms_max: 300_000,
            durability: Durability::Memory,
            presence: true,
            join_leave: true,
            ..Namespace::default()
        };
        let session = session::Options {
            insecure: true,
            ping_interval_ms: 0,
            outbox_bytes_max: 4_096,
            ..session::Options::default()
        };
        let mut options = Options {
            connections_max: 100,
            handshakes_max: 100,
            room: room::Options {
                namespaces: vec![named("room")],
                rooms_max: 100,
                ..room::Options::default()
            },
            session,
            ..Options::default()
        };
        change(&mut options);
        let tenants = Arc::clone(&options.session.tenants);
        let (options, keys) = (Arc::new(options), Arc::new(keys));
        let now = Timestamps::at(MonotonicMs(1), 1_700_000_000_000);
        let cells: Vec<Arc<Cells>> = (0..shards_count).map(|_| Cells::new()).collect();
        let shards = (0..shards_count).zip(&cells).map(|(id, cells)| {
            Shard::new(ShardSetup {
                id: ShardId(id),
                shards_count,
                options: Arc::clone(&options),
                keys: Arc::clone(&keys),
                names: NAMES,
                seed: u64::from(id),
                ids: Csprng::from_key(u128::from(id).to_le_bytes()),
                now,
                metrics: Rc::new(cells.claim()),
            })
        });
        let shards = shards.collect();
        World { shards, cells, tenants, peers: BTreeMap::new(), now, next_slot: 0 }
    }

    /// A peer on `shard` that has not said anything yet.
    fn accept(&mut self, shard: usize) -> Peer {
        let peer = Peer(shard, self.next_slot);
        self.next_slot += 1;
        self.peers.insert(peer, Inbox::default());
        self.shards[shard].on_event(self.now, Event::Accepted(id(peer)));
        peer
    }

    /// A peer whose upgrade is done.
    fn upgrade(&mut self, shard: usize) -> Peer {
        self.upgrade_at(shard, "/connection/websocket")
    }

    fn upgrade_at(&mut self, shard: usize, target: &str) -> Peer {
        let peer = self.accept(shard);
        let request =
            upgrade_request("host", target, "dGhlIHNhbXBsZSBub25jZQ==", Subprotocol::None, &[]);
        self.feed(peer, &request);
        peer
    }

    /// A peer that has connected.
    fn join(&mut self, shard: usize) -> Peer {
        let peer = self.upgrade(shard);
        self.say(peer, r#"{"id":1,"connect":{}}"#);
        let seen = self.take(peer);
        assert!(seen[0].starts_with(r#"{"id":1,"connect":{"client":""#), "{seen:?}");
        peer
    }

    /// Connected, and in `channel`.
    fn join_room(&mut self, shard: usize, channel: &str) -> Peer {
        let peer = self.join(shard);
        self.say(peer, &format!(r#"{{"id":2,"subscribe":{{"channel":"{channel}"}}}}"#));
        let seen = self.take(peer);
        assert!(seen[0].starts_with(r#"{"id":2,"subscribe":{"#), "{seen:?}");
        peer
    }

    fn feed(&mut self, peer: Peer, bytes: &[u8]) {
        self.queue(peer, bytes);
        self.settle();
    }

    /// One text frame, and everything that follows from it.
    fn say(&mut self, peer: Peer, text: &str) {
        self.queue(peer, &frame(text));
        self.settle();
    }

    /// Bytes within the current turn.
    fn queue(&mut self, peer: Peer, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        self.shards[peer.0].on_event(self.now, Event::Received(id(peer), &mut bytes));
    }

    /// Turns until nothing happens any more.
    fn settle(&mut self) {
        loop {
            let mut busy = false;
            for index in 0..self.shards.len() {
                let mut out = Vec::new();
                self.shards[index].judge(self.now, EventsRead::All, &mut |_| PeerSigns::default());
                self.shards[index].finish_turn(self.now, &mut out);
                busy |= !out.is_empty() || !self.shards[index].sessions().postponed().is_empty();
                out.into_iter().for_each(|action| self.act(index, action));
                let mut mail = Vec::new();
                self.shards[index].post(&mut |to, messages| {
                    mail.extend(messages.drain(..).map(|message| (to, message)));
                });
                busy |= !mail.is_empty();
                for (to, message) in mail {
                    self.carry(index, usize::from(to.0), message);
                }
            }
            if !busy {
                return;
            }
        }
    }

    /// One turn of one shard; its messages stay where they are.
    fn turn(&mut self, shard: usize) {
        let mut out = Vec::new();
        self.shards[shard].judge(self.now, EventsRead::All, &mut |_| PeerSigns::default());
        self.shards[shard].finish_turn(self.now, &mut out);
        out.into_iter().for_each(|action| self.act(shard, action));
    }

    /// A channel whose home is `shard`.
    fn channel_of(&self, shard: u16) -> String {
        let home =
            |name: &String| self.shards[0].mesh().home(NAMES.room("", name)) == ShardId(shard);
        (0..).map(|n| format!("room:{n}")).find(home).unwrap()
    }

    /// What a shard has for its neighbours.
    fn posted(&mut self, shard: usize) -> Vec<ShardMessage> {
        let mut all = Vec::new();
        self.shards[shard].post(&mut |_, messages| all.append(messages));
        all
    }

    fn carry(&mut self, from: usize, to: usize, message: ShardMessage) {
        self.shards[to].on_message(self.now, ShardId(from as u16), message);
    }

    fn act(&mut self, shard: usize, action: Action) {
        match action {
            Action::Send(conn, bytes) => {
                let inbox = self.peers.get_mut(&Peer(shard, conn.slot)).unwrap();
                assert!(!inbox.in_flight, "one send in flight");
                inbox.sends_count += 1;
                if inbox.stuck {
                    inbox.in_flight = true;
                } else {
                    inbox.read(&bytes);
                    self.shards[shard].on_event(self.now, Event::Sent(conn));
                }
            }
            Action::Close(conn) => {
                self.peers.get_mut(&Peer(shard, conn.slot)).unwrap().gone = true;
                self.shards[shard].on_event(self.now, Event::Gone(conn, Ending::Closed));
            }
            Action::PaceAccepting { .. } | Action::StopAccepting => (),
        }
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now.tick.plus_ms(ms);
        while self.now.tick < end {
            self.now = self.now.plus_ms(10);
            self.settle();
        }
    }

    fn take(&mut self, peer: Peer) -> Vec<String> {
        std::mem::take(&mut self.peers.get_mut(&peer).unwrap().seen)
    }

    #[track_caller]
    fn check_closed(&mut self, peer: Peer, code: u16) {
        let seen = self.take(peer);
        assert_eq!(seen.last().map(String::as_str), Some(&*format!("close {code}")), "{seen:?}");
    }
}

impl Inbox {
    fn read(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        if !self.upgraded {
            self.http.extend_from_slice(&bytes);
            let Some(end) = self.http.windows(4).position(|four| four == b"\r\n\r\n") else {
                return;
            };
            bytes = self.http.split_off(end + 4);
            self.upgraded = true;
        }
        let mut input = ReadBuffer::new(&mut bytes);
        while let Ok(Some(incoming)) = self.reader.next(&mut input, RULES) {
            match incoming {
                Incoming::Text(text) => self.seen.extend(text.split('\n').map(str::to_owned)),
                Incoming::Close(said) => {
                    self.seen.push(format!("close {}", said.map_or(0, |(code, _)| code)));
                }
                Incoming::Pong(_) => self.seen.push("pong".to_owned()),
                Incoming::Binary(_) | Incoming::Ping(_) => panic!("JSON comes as text"),
            }
        }
    }
}

fn id(peer: Peer) -> ConnId {
    ConnId { slot: peer.1, generation: 0 }
}

fn frame(text: &str) -> Vec<u8> {
    let mut frame = BytesMut::new();
    put_masked_frame(&mut frame, Opcode::Text, text.as_bytes(), [1, 2, 3, 4]);
    frame.to_vec()
}

fn publish(channel: &str, id: u32) -> String {
    format!(r#"{{"id":{id},"publish":{{"channel":"{channel}","data":{{"n":{id}}}}}}}"#)
}

#[test]
fn everyone_in_a_room_hears_in_order_whichever_core_they_are_on() {
    for shards_count in [1, 2, 5] {
        let mut world = World::new(shards_count, |_| ());
        let peers: Vec<Peer> =
            (0..10).map(|n| world.join_room(n % usize::from(shards_count), "room:1")).collect();
        for &peer in &peers[3..6] {
            world.say(peer, &publish("room:1", 3));
        }
        for &peer in &peers {
            let seen = world.take(peer);
            let said = seen.iter().filter(|text| text.contains(r#""pub":"#));
            let ends: Vec<bool> = said
                .enumerate()
                .map(|(n, text)| text.contains(&format!(r#""offset":{}"#, n + 1)))
                .collect();
            assert_eq!(ends, [true; 3], "{seen:?}");
        }
    }
}

#[test]
fn what_a_turn_has_for_one_connection_leaves_in_one_send() {
    let mut world = World::new(1, |_| ());
    let [ann, bob] = [0, 0].map(|_| world.join_room(0, "room:1"));
    let before = [ann, bob].map(|peer| world.peers[&peer].sends_count);
    for n in 3..103 {
        world.queue(ann, &frame(&publish("room:1", n)));
    }
    world.settle();
    let after = [ann, bob].map(|peer| world.peers[&peer].sends_count);
    assert_eq!(after, before.map(|count| count + 1));
    let said = |world: &mut World, peer| {
        let seen = world.take(peer);
        seen.iter().filter(|text| text.contains(r#""pub":"#)).count()
    };
    assert_eq!((said(&mut world, ann), said(&mut world, bob)), (100, 100));
}

#[test]
fn a_newcomer_hears_nothing_from_before_its_welcome() {
    let mut world = World::new(1, |_| ());
    let ann = world.join_room(0, "room:1");
    let bob = world.join(0);
    world.queue(ann, &frame(&publish("room:1", 3)));
    world.queue(bob, &frame(r#"{"id":2,"subscribe":{"channel":"room:1","recoverable":true}}"#));
    world.queue(ann, &frame(&publish("room:1", 4)));
    world.settle();
    let seen = world.take(bob);
    assert!(seen[0].contains(r#""offset":1"#) && seen[0].contains(r#""subscribe":"#), "{seen:?}");
    assert!(seen[1].contains(r#""offset":2"#) && seen.len() == 2, "{seen:?}");
}

#[test]
fn a_slow_reader_is_closed_and_the_others_hear_everything() {
    let mut world = World::new(1, |_| ());
    let [ann, bob] = [0, 0].map(|_| world.join_room(0, "room:1"));
    world.peers.get_mut(&bob).unwrap().stuck = true;
    for n in 3..103 {
        world.say(ann, &publish("room:1", n));
    }
    let seen = world.take(ann);
    assert_eq!(seen.iter().filter(|text| text.contains(r#""pub":"#)).count(), 100);
    let inbox = world.peers.get_mut(&bob).unwrap();
    (inbox.stuck, inbox.in_flight) = (false, false);
    world.shards[0].on_event(world.now, Event::Sent(id(bob)));
    world.settle();
    world.check_closed(bob, 3008);
    world.pass(10_000);
    assert!(world.peers[&bob].gone, "a reader that says nothing is closed all the same");
}

#[test]
fn a_panic_ends_one_session_and_its_neighbours_notice_nothing() {
    let mut world = World::new(2, |_| ());
    let [ann, bob] = [0, 0].map(|_| world.join_room(0, "room:1"));
    world.say(bob, r#"{"id":9,"rpc":{"method":"chat.panic","data":{}}}"#);
    world.check_closed(bob, 1011);
    world.say(ann, &publish("room:1", 3));
    assert!(world.take(ann).iter().any(|text| text.contains(r#""pub":"#)));
}

#[test]
fn commands_out_of_place_end_the_connection() {
    let upgraded = |world: &mut World| {
        let peer = world.join(0);
        world.take(peer);
        peer
    };
    let mut world = World::new(1, |_| ());
    for text in [r#"{"id":2,"connect":{}}"#, "{", "[]", "", r#"{"id":-1}"#] {
        let peer = upgraded(&mut world);
        world.say(peer, text);
        world.check_closed(peer, 3501);
    }
    let peer = upgraded(&mut world);
    let mut binary = BytesMut::new();
    put_masked_frame(&mut binary, Opcode::Binary, b"{}", [0; 4]);
    world.feed(peer, &binary);
    world.check_closed(peer, 1003);
}

#[test]
fn every_question_has_its_answer() {
    let mut world = World::new(3, |_| ());
    let ann = world.join_room(1, "room:1");
    for (request, want) in [
        (r#""presence":{"channel":"room:1"}"#, r#""presence":{"presence":{""#),
        (r#""presence_stats":{"channel":"room:1"}"#, r#""num_clients":1"#),
        (r#""history":{"channel":"room:1","limit":5}"#, r#""epoch":""#),
        (r#""history":{"channel":"room:none","limit":5}"#, r#""epoch":""#),
        (r#""ping":{}"#, r#""ping":{}"#),
        (r#""subscribe":{"channel":"room:1"}"#, r#""code":105"#),
        (r#""subscribe":{"channel":"none:1"}"#, r#""code":102"#),
        (r#""publish":{"channel":"room:1"}"#, r#""code":107"#),
        (r#""rpc":{"method":"chat.none","data":{}}"#, r#""code":104"#),
        (r#""rpc":{"method":"other","data":{}}"#, r#""code":108"#),
        (r#""rpc":{"method":"chat.typing","data":{"channel":"room:1"}}"#, r#""rpc":{"#),
        (r#""rpc":{"method":"chat.typing","data":{}}"#, r#""code":107"#),
        (r#""unsubscribe":{"channel":"room:1"}"#, r#""unsubscribe":{}"#),
        (r#""unsubscribe":{"channel":"room:1"}"#, r#""unsubscribe":{}"#),
        (r#""none":{}"#, r#""code":104"#),
    ] {
        world.say(ann, &format!(r#"{{"id":7,{request}}}"#));
        let seen = world.take(ann);
        let answer = seen.iter().find(|text| text.contains(r#""id":7"#));
        assert!(answer.is_some_and(|text| text.contains(want)), "{request}: {seen:?}");
    }
}

#[test]
fn who_is_silent_is_closed_in_each_stage() {
    let mut world = World::new(1, |options| options.session.ping_interval_ms = 25_000);
    let mute = world.accept(0);
    let half = world.accept(0);
    world.feed(half, b"GET /connection/websocket HTTP/1.1\r\nHost: ");
    let pinged = world.join(0);
    world.pass(11_000);
    for peer in [mute, half] {
        assert!(world.peers[&peer].http.starts_with(b"HTTP/1.1 408"), "answered in HTTP");
        assert!(world.peers[&peer].gone);
    }
    world.pass(32_000);
    let seen = world.take(pinged);
    assert_eq!(seen, ["{}", "{}", "close 3012"]);
}

#[test]
fn over_the_limit_there_is_no_room() {
    let mut world = World::new(1, |options| options.connections_max = 2);
    let _first = [world.join(0), world.join(0)];
    let late = world.accept(0);
    world.settle();
    assert!(world.peers[&late].http.starts_with(b"HTTP/1.1 503"));
}

#[test]
fn a_flood_is_told_to_stop_and_then_closed() {
    let mut world = World::new(1, |options| {
        options.session.commands_per_s = 10;
        options.session.commands_burst = 10;
        options.session.errors_per_s = 5;
    });
    let ann = world.join(0);
    for n in 2..40 {
        world.say(ann, &format!(r#"{{"id":{n},"ping":{{}}}}"#));
    }
    let seen = world.take(ann);
    let refused = seen.iter().filter(|text| text.contains(r#""code":111"#)).count();
    assert_eq!(refused, 6, "{seen:?}");
    assert_eq!(seen.last().map(String::as_str), Some("close 3013"));
}

#[test]
fn a_drain_catches_up_with_its_time() {
    let mut world = World::new(1, |options| {
        options.connections_max = 1_000;
        options.handshakes_max = 1_000;
    });
    let peers: Vec<Peer> = (0..700).map(|_| world.join(0)).collect();
    let mut out = Vec::new();
    world.shards[0].on_shard_command(world.now, ShardCommand::Drain { over_ms: 1_000 }, &mut out);
    // A core that is busy takes a turn every 100 ms, and two in a row.
    for _ in 0..5 {
        world.now.tick = world.now.tick.plus_ms(100);
        world.turn(0);
        world.turn(0);
    }
    let told = peers.iter().filter(|&&peer| !world.peers[&peer].seen.is_empty()).count();
    assert_eq!(told, 700, "after half of the time everybody knows");
}

#[test]
fn a_drain_says_goodbye_to_everybody_and_then_all_is_empty() {
    let mut world = World::new(2, |_| ());
    let peers: Vec<Peer> = (0..90).map(|n| world.join_room(n % 2, "room:1")).collect();
    let mut out = Vec::new();
    for shard in &mut world.shards {
        shard.on_shard_command(world.now, ShardCommand::Drain { over_ms: 1_000 }, &mut out);
    }
    assert_eq!(out, [Action::StopAccepting, Action::StopAccepting]);
    world.pass(100);
    for &peer in &peers {
        world.check_closed(peer, 3001);
        let mut bye = BytesMut::new();
        put_masked_frame(&mut bye, Opcode::Close, &3001u16.to_be_bytes(), [9; 4]);
        world.feed(peer, &bye);
        assert!(world.peers[&peer].gone);
    }
    assert!(world.shards.iter().all(Shard::is_drained));
    world.pass(700_000);
    for shard in &world.shards {
        assert!(
            shard.home().rooms().is_empty()
                && shard.sessions().fanout().channels().subscribers_count() == 0
        );
    }
}

#[test]
fn whose_work_a_core_does_is_there_before_it_is_done() {
    let mut world = World::new(2, |_| ());
    let room = world.channel_of(0);
    let (near, far) = (world.join_room(0, &room), world.join_room(1, &room));
    let client_of = |world: &World, peer: Peer| {
        let session =
            world.shards[peer.0].sessions().connections().session(id(peer)).expect("it is open");
        session.who().map(|who| who.client)
    };
    let busy = |world: &World, core: usize| world.cells[core].read_pulse().busy_with;
    // Within the turn, when the message was read and its room was not asked yet.
    let client = client_of(&world, near);
    world.queue(near, &frame(&format!(r#"{{"id":7,"publish":{{"channel":"{room}","data":1}}}}"#)));
    let want = BusyWith { connection: Some((0, id(near))), client, room: None };
    assert_eq!(busy(&world, 0), want);
    // A question of another core: the room, and whose question it is there.
    world.settle();
    let (publish, connection) =
        (format!(r#"{{"id":8,"publish":{{"channel":"{room}","data":2}}}}"#), id(far));
    world.queue(far, &frame(&publish));
    world.turn(1);
    let mut messages = Vec::new();
    world.shards[1].post(&mut |_, mail| messages.append(mail));
    for message in messages {
        world.shards[0].on_message(world.now, ShardId(1), message);
    }
    let want = BusyWith { connection: Some((1, connection)), client: None, room: Some(room) };
    assert_eq!(busy(&world, 0), want);
    world.turn(0);
    assert_eq!(busy(&world, 1).room, None, "it waits for the other");
}

#[test]
fn rooms_that_are_named_after_people_are_told_by_their_hash() {
    let world = World::new(1, |_| ());
    for (name, is_told) in [("room:1", true), ("@ann", false), ("dm#ann,bob", false)] {
        work_in(world.shards[0].metrics(), Some(name), RoomId(7 << 64 | 9));
        let room = world.cells[0].read_pulse().busy_with.room.expect("there is one");
        assert_eq!(room == name, is_told, "{room}");
        assert_eq!(room.starts_with('~'), !is_told, "{room}");
    }
}

#[test]
fn a_gap_makes_everybody_subscribe_again() {
    let mut world = World::new(2, |_| ());
    let ann = world.join_room(0, "room:1");
    let home = world.shards[0].mesh().home(NAMES.room("", "room:1"));
    let far = world.join_room(1 - usize::from(home.0), "room:1");
    world.shards[far.0].on_message(world.now, home, ShardMessage::Gap(Gap::All));
    world.settle();
    assert!(world.take(far).iter().any(|text| text.contains(r#""code":2500"#)));
    world.say(far, r#"{"id":5,"subscribe":{"channel":"room:1"}}"#);
    assert!(world.take(far)[0].contains(r#""subscribe":{"#));
    world.say(ann, &publish("room:1", 3));
    assert_eq!(world.take(far).iter().filter(|text| text.contains(r#""pub":"#)).count(), 1);
}

/// Five members with default quotas can make a home answer more in a turn than
/// a lane holds notices.
#[test]
fn a_flood_in_one_room_is_no_gap_in_another() {
    let mut world = World::new(2, |options| {
        options.session.commands_burst = 10 * LANE_PUSHES_MAX as u32;
        options.session.bytes_burst = u32::MAX;
    });
    let name_key = NAMES;
    let mesh = |world: &World, name: &str| world.shards[0].mesh().home(name_key.room("", name));
    let names = (0..).map(|n| format!("room:{n}")).filter(|name| mesh(&world, name) == ShardId(1));
    let names: Vec<String> = names.take(2).collect();
    // A connection may have a thousand that are not answered.
    let louds: Vec<_> = (0..9).map(|_| world.join_room(1, &names[0])).collect();
    let hears_loud = world.join_room(0, &names[0]);
    let quiet = world.join_room(0, &names[1]);
    world.take(quiet);
    for n in 0..=LANE_PUSHES_MAX as u32 + 10 {
        world.queue(louds[n as usize % 9], &frame(&publish(&names[0], n + 1)));
    }
    world.settle();
    let told = |world: &mut World, peer| world.take(peer).join("\n");
    assert!(told(&mut world, hears_loud).contains(r#""code":2500"#), "it lost some");
    assert_eq!(told(&mut world, quiet), "");
    world.say(louds[0], &publish(&names[0], 1));
    assert_eq!(told(&mut world, quiet), "");
}

fn key() -> KeySpec {
    let material = Material::Secret(b"sixteen bytes and many more here".to_vec());
    KeySpec { kid: None, algorithm: Algorithm::Hs256, material }
}

/// Both in the same moment: one of them stays, whichever.
#[test]
fn of_two_connections_of_one_user_one_stays() {
    let keys = Keys::build(&[key()]).unwrap();
    let mut world = World::with_keys(2, keys, |options| {
        options.session.insecure = false;
        options.session.single_session_tenants = vec![String::new()];
    });
    let new = NewToken { user: "ann", ..NewToken::default() };
    let token = sign(&key(), &Demands::default(), &new).unwrap();
    let connect = format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#);
    let peers = [world.upgrade(0), world.upgrade(1)];
    peers.iter().for_each(|&peer| world.queue(peer, &frame(&connect)));
    world.settle();
    let is_told_to_go =
        |world: &World, peer: &Peer| world.peers[peer].seen.iter().any(|text| text == "close 3503");
    assert_eq!(peers.iter().filter(|peer| is_told_to_go(&world, peer)).count(), 1);
    let stays = *peers.iter().find(|peer| !is_told_to_go(&world, peer)).unwrap();
    world.take(stays);
    let newer = world.upgrade(0);
    world.say(newer, &connect);
    world.check_closed(stays, 3503);
    assert!(world.take(newer)[0].contains(r#""connect":{"#));
}

/// SDKs send connect and what follows in one message.
#[test]
fn commands_behind_a_connect_have_its_seats() {
    let key = key();
    let keys = Keys::build(slice::from_ref(&key)).unwrap();
    let mut world = World::with_keys(2, keys, |options| {
        options.session.insecure = false;
        options.room.namespaces[0].publish = Permission::Subscribers;
    });
    let channels: Vec<String> = (0..6).map(|n| format!("room:{n}")).collect();
    let new = NewToken { user: "ann", channels: &channels, ..NewToken::default() };
    let token = sign(&key, &Demands::default(), &new).unwrap();
    let ann = world.upgrade(0);
    let mut message = format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#);
    for (n, channel) in channels.iter().enumerate() {
        let (publish_id, leave_id) = (10 + n, 20 + n);
        message += &format!(
            r#"
{{"id":{publish_id},"publish":{{"channel":"{channel}","data":{n}}}}}
{{"id":{leave_id},"unsubscribe":{{"channel":"{channel}"}}}}"#
        );
    }
    world.say(ann, &message);
    let said = world.take(ann).join("\n");
    for n in 0..channels.len() {
        assert!(said.contains(&format!(r#"{{"id":{},"publish":{{}}}}"#, 10 + n)), "{said}");
        assert!(said.contains(&format!(r#"{{"id":{},"unsubscribe":{{}}}}"#, 20 + n)), "{said}");
    }
    assert_eq!(
        world.shards[0].sessions().fanout().channels().subscribers_count(),
        0,
        "it left all of them"
    );
}

/// One frame had no place, later ones had: they would leave a gap before the end, whatever
/// the connection ends for.
#[test]
fn who_ends_with_a_gap_in_what_it_was_to_hear_hears_no_more() {
    let mut world = World::new(2, |_| ());
    let channel = world.channel_of(1);
    let ben = world.join_room(1, &channel);
    let ann = world.join_room(0, &channel);
    let newcomers = [world.join(0), world.join(0), world.join(0)];
    world.take(ann);
    world.peers.get_mut(&ann).unwrap().stuck = true;
    let publish = |bytes: usize| {
        let data = "x".repeat(bytes);
        frame(&format!(r#"{{"id":9,"publish":{{"channel":"{channel}","data":"{data}"}}}}"#))
    };
    world.feed(ben, &publish(5));
    let subscribe = frame(&format!(r#"{{"id":2,"subscribe":{{"channel":"{channel}"}}}}"#));
    newcomers.iter().for_each(|&newcomer| world.queue(newcomer, &subscribe));
    let room_requests = world.posted(0);
    assert_eq!(room_requests.len(), newcomers.len());
    // The second finds no room behind the first, and the third does. Whoever comes has all
    // that was said before handed out.
    let mut messages = Vec::new();
    for (request, bytes) in room_requests.into_iter().zip([3_000, 3_000, 6]) {
        world.queue(ben, &publish(bytes));
        world.turn(1);
        world.carry(0, 1, request);
        messages.append(&mut world.posted(1));
    }
    messages.into_iter().for_each(|message| world.carry(1, 0, message));
    world.queue(ann, &[0x81, 0x00]); // no mask
    world.turn(0);
    let inbox = world.peers.get_mut(&ann).unwrap();
    (inbox.stuck, inbox.in_flight) = (false, false);
    world.shards[0].on_event(world.now, Event::Sent(id(ann)));
    world.settle();
    assert_eq!(world.take(ann), ["close 1002"]);
}

/// Wherever the room lives, and in one frame or in several.
#[test]
fn commands_behind_a_subscribe_take_effect_in_order() {
    for home in 0..2 {
        let mut world = World::new(2, |_| ());
        let channel = world.channel_of(home);
        let ben = world.join_room(1, &channel);
        let ann = world.join(0);
        let command =
            |id: u32, what: &str| format!(r#"{{"id":{id},"{what}":{{"channel":"{channel}"}}}}"#);
        let three = ["subscribe", "unsubscribe", "subscribe"];
        let together: Vec<String> =
            three.iter().zip(10..).map(|(what, id)| command(id, what)).collect();
        let hello = format!(r#"{{"id":13,"publish":{{"channel":"{channel}","data":"hello"}}}}"#);
        world.say(ann, &format!("{}\n{hello}", together.join("\n")));
        let said = world.take(ann).join("\n");
        assert!(!said.contains("error"), "{said}");
        assert!(said.contains(r#""data":"hello""#), "it is in, and hears itself: {said}");
        // In a frame each, before the other core has read any.
        for (what, id) in ["unsubscribe", "subscribe", "unsubscribe", "subscribe"].iter().zip(20..)
        {
            world.queue(ann, &frame(&command(id, what)));
        }
        world.settle();
        let said = world.take(ann).join("\n");
        assert!(!said.contains("error"), "{said}");
        world.take(ben);
        world.say(ben, &publish(&channel, 5));
        assert!(world.take(ann).join("\n").contains(r#""pub""#), "the last command counts");
        world.queue(ann, &frame(&command(30, "unsubscribe")));
        for (what, id) in three.iter().zip(31..) {
            world.queue(ann, &frame(&command(id, what)));
        }
        // And it goes before the answers.
        world.shards[0].on_event(world.now, Event::Gone(id(ann), Ending::Closed));
        world.settle();
        let members: u32 =
            world.shards[usize::from(home)].home().rooms().members().map(|one| one.2).sum();
        assert_eq!(members, 1, "only ben is left");
    }
}

#[test]
fn bytes_that_never_become_a_message_count_too() {
    let mut world = World::new(1, |options| {
        options.session.bytes_per_s = 1_000;
        options.session.bytes_burst = 2_000;
        options.session.errors_per_s = 3;
    });
    let ann = world.join(0);
    let mut begun = BytesMut::new();
    put_masked_frame(&mut begun, Opcode::Text, b"", [0; 4]);
    begun[0] &= 0x7f; // more fragments follow
    world.feed(ann, &begun);
    // Empty continuation frames that never end.
    for _ in 0..10 {
        world.feed(ann, &[0x00, 0x80, 0, 0, 0, 0].repeat(100));
    }
    world.check_closed(ann, 3013);
}

#[test]
fn patience_with_a_goodbye_is_not_cut_short_by_an_older_timer() {
    let mut world = World::new(1, |options| {
        options.session.ping_interval_ms = 3_000;
        options.session.close_ms_max = 20_000;
    });
    let ann = world.join(0);
    world.say(ann, "{");
    world.check_closed(ann, 3501);
    world.pass(19_000);
    assert!(!world.peers[&ann].gone);
    world.pass(2_000);
    assert!(world.peers[&ann].gone);
}

/// A peer that has sent its commands in one message, up to where the home of
/// the room has not answered yet.
fn half_answered(commands: &[&str]) -> (World, Peer) {
    let mut world = World::new(2, |_| ());
    let far = world.channel_of(1);
    let ann = world.join(0);
    let text = commands.join("\n").replace("far", &far);
    world.queue(ann, &frame(&text));
    world.turn(0);
    (world, ann)
}

const PING_AND_FAR: [&str; 2] =
    [r#"{"id":2,"ping":{}}"#, r#"{"id":3,"subscribe":{"channel":"far"}}"#];

#[test]
fn answers_to_one_message_leave_together_though_rooms_live_elsewhere() {
    let (mut world, ann) = half_answered(&PING_AND_FAR);
    let before = world.peers[&ann].sends_count;
    assert_eq!(world.take(ann), [""; 0], "the first answer waits for the second");
    world.settle();
    let seen = world.take(ann);
    assert!(seen[0].starts_with(r#"{"id":2"#) && seen[1].starts_with(r#"{"id":3"#), "{seen:?}");
    assert_eq!(world.peers[&ann].sends_count, before + 1);
}

#[test]
fn answers_do_not_wait_for_a_home_in_trouble() {
    let (mut world, ann) = half_answered(&PING_AND_FAR);
    let wake = world.shards[0].next_wake().unwrap();
    assert_eq!(wake, world.now.tick.plus_ms(20));
    world.now.tick = wake;
    world.turn(0);
    assert!(world.take(ann)[0].starts_with(r#"{"id":2"#));
    assert!(world.shards[0].next_wake().is_none_or(|next| wake.plus_ms(20) < next));
    world.settle();
    assert!(world.take(ann)[0].starts_with(r#"{"id":3"#));
}

#[test]
fn what_else_a_connection_is_told_does_not_overtake_its_answers() {
    let (mut world, ann) = half_answered(&PING_AND_FAR);
    let mut ping = BytesMut::new();
    put_masked_frame(&mut ping, Opcode::Ping, b"", [1, 2, 3, 4]);
    world.queue(ann, &ping);
    world.turn(0);
    let seen = world.take(ann);
    assert!(seen[0].starts_with(r#"{"id":2"#) && seen[1] == "pong", "{seen:?}");
}

#[test]
fn who_leaves_while_answers_wait_leaves_nothing_behind() {
    let (mut world, ann) = half_answered(&PING_AND_FAR);
    world.shards[0].on_event(world.now, Event::Gone(id(ann), Ending::Reset));
    world.turn(0);
    assert!(world.shards[0].sessions().queue().len() == 0);
    world.settle();
    assert_eq!(world.shards[1].home().rooms().members().count(), 0, "it was let in, and out again");
}

#[test]
fn long_answers_do_not_pile_up_for_one_who_asks_again_and_again() {
    let mut world = World::new(1, |options| options.session.outbox_bytes_max = 4_096);
    let ann = world.join_room(0, "room:1");
    let long = "x".repeat(1_000);
    for id in 3..6 {
        world.say(
            ann,
            &format!(r#"{{"id":{id},"publish":{{"channel":"room:1","data":"{long}"}}}}"#),
        );
    }
    world.take(ann);
    let history = |id| format!(r#"{{"id":{id},"history":{{"channel":"room:1","limit":9}}}}"#);
    world.say(ann, &(10..30).map(history).collect::<Vec<_>>().join("\n"));
    let seen = world.take(ann);
    let bytes: usize = seen.iter().map(String::len).sum();
    assert!(bytes < 4_096 + 2 * 4_096, "{bytes} B in one turn");
    assert_eq!(seen.len(), 20, "every command has its answer");
    assert!(seen[0].contains(&long) && seen[19].contains(r#""code":111"#), "{}", seen[19]);
}

/// Lets a shard look, and says in how many turns it was done.
fn look(world: &mut World, look: ScanRequest) -> (usize, ScanResult) {
    let mut out = Vec::new();
    world.shards[0].on_shard_command(world.now, ShardCommand::Scan(7, look), &mut out);
    for turns in 1.. {
        world.turn(0);
        if let Some((scan_id, found)) = world.shards[0].take_scan_result() {
            assert_eq!(scan_id, 7);
            return (turns, found);
        }
        assert_eq!(world.shards[0].next_wake(), Some(MonotonicMs(0)), "it goes on at once");
    }
    unreachable!("a look ends")
}

#[test]
fn a_look_at_many_connections_takes_several_turns() {
    let mut world = World::new(1, |options| {
        options.connections_max = 20_000;
        options.handshakes_max = 20_000;
    });
    let ann = world.join_room(0, "room:1");
    world.pass(1_000);
    let bob = world.join(0);
    for _ in 0..9_000 {
        world.accept(0);
    }
    let (turns, found) = look(&mut world, ScanRequest::Top(TopBy::Age, 1));
    let ScanResult::Top(sights, all) = found else { panic!("{found:?}") };
    assert_eq!((turns, all, sights.len()), (3, 2, 1), "those that are upgraded, the oldest");
    assert_eq!((sights[0].conn, sights[0].channels_count), (id(ann), 1));
    assert!((700..1_300).contains(&sights[0].age_ms), "{}", sights[0].age_ms);
    let (_, found) = look(&mut world, ScanRequest::Top(TopBy::Tasks, 5));
    let ScanResult::Top(sights, _) = found else { panic!("{found:?}") };
    let seen: Vec<ConnId> = sights.iter().map(|sight| sight.conn).collect();
    assert!(seen.len() == 2 && seen.contains(&id(bob)), "{seen:?}");
    // Without pings an idle connection waits for nothing but bytes.
    assert!(sights.iter().all(|sight| sight.tasks <= 2), "{sights:?}");
    let nobody = Prefix::of("", "", Agent::None);
    let (_, found) = look(&mut world, ScanRequest::CountPrefix(nobody));
    assert!(matches!(found, ScanResult::CountPrefix { having: 2, all: 2 }), "{found:?}");
    let (_, found) = look(&mut world, ScanRequest::CountPrefix(Prefix::of("", "ann", Agent::None)));
    assert!(matches!(found, ScanResult::CountPrefix { having: 0, all: 2 }), "{found:?}");
}

#[test]
fn what_waits_for_a_reader_makes_it_the_worst() {
    let mut world = World::new(1, |_| ());
    let [ann, bob] = [0, 0].map(|_| world.join_room(0, "room:1"));
    world.peers.get_mut(&bob).unwrap().stuck = true;
    for n in 3..6 {
        world.say(ann, &publish("room:1", n));
    }
    let (_, found) = look(&mut world, ScanRequest::Top(TopBy::Pending, 2));
    let ScanResult::Top(sights, _) = found else { panic!("{found:?}") };
    assert_eq!((sights[0].conn, sights[0].sends_in_flight), (id(bob), 1));
    assert!(sights[1].outbox_bytes < sights[0].outbox_bytes, "{sights:?}");
}

#[test]
fn a_panic_soon_after_the_upgrade_is_told_and_a_late_one_is_not() {
    let mut world = World::new(1, |options| options.quarantine.early_ms_max = 1_000);
    let early = world.join(0);
    world.say(early, r#"{"id":9,"rpc":{"method":"chat.panic","data":{}}}"#);
    assert_eq!(world.shards[0].take_early_panics(), [Prefix::of("", "", Agent::None)]);
    let late = world.join(0);
    world.pass(1_300);
    world.say(late, r#"{"id":9,"rpc":{"method":"chat.panic","data":{}}}"#);
    assert_eq!(world.shards[0].take_early_panics(), []);
    let held = [Prefix::of("", "", Agent::None)];
    let mut out = Vec::new();
    world.shards[0].on_shard_command(
        world.now,
        ShardCommand::BlockedPrefixes(held.into()),
        &mut out,
    );
    let third = world.upgrade(0);
    world.say(third, r#"{"id":1,"connect":{}}"#);
    world.check_closed(third, 3510);
    world.shards[0].on_shard_command(world.now, ShardCommand::BlockedPrefixes([].into()), &mut out);
    world.join(0);
}
