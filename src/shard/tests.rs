//! Whole shards, fed by hand: what goes in at one socket comes out at others.

mod answers;
mod backends;
mod blocks;
mod ends;
mod fairness;
mod late;
mod measured;
mod numbers;
mod users;
mod watched;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::slice;
use std::sync::Arc;

use bytes::BytesMut;

use super::judge::ReapProgress;
use super::observe::work_in;
use super::{
    Gap, Options, ScanRequest, ScanResult, Shard, ShardCommand, ShardMessage, ShardSetup, TopBy,
};
use crate::auth::{Algorithm, ClaimRequirements, KeyMaterial, KeySpec, Keys, NewToken, sign};
use crate::base::limits::LANE_PUSHES_MAX;
use crate::base::{
    Action, ConnId, Csprng, DisconnectReason, Event, MonotonicMs, RoomId, ShardId, TcpLiveness,
    Timestamps,
};
use crate::blocks::BlockTable;
use crate::metrics::{Agent, Cells, CurrentWork, Tenants};
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
                blocks: BlockTable::default(),
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
                self.shards[index]
                    .judge(self.now, ReapProgress::All, &mut |_| TcpLiveness::default());
                self.shards[index].step_passes(self.now, &mut |id| Some(address_of(id)));
                self.shards[index].finish_turn(self.now, &mut out);
                busy |= !out.is_empty() || self.shards[index].next_wake() == Some(MonotonicMs(0));
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
        self.shards[shard].judge(self.now, ReapProgress::All, &mut |_| TcpLiveness::default());
        self.shards[shard].step_passes(self.now, &mut |id| Some(address_of(id)));
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
                self.shards[shard].on_event(self.now, Event::Gone(conn, DisconnectReason::Closed));
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

/// Each peer has one of its own.
fn address_of(id: ConnId) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + id.slot).into()
}

fn frame(text: &str) -> Vec<u8> {
    let mut frame = BytesMut::new();
    put_masked_frame(&mut frame, Opcode::Text, text.as_bytes(), [1, 2, 3, 4]);
    frame.to_vec()
}

fn publish(channel: &str, id: u32) -> String {
    format!(r#"{{"id":{id},"publish":{{"channel":"{channel}","data":{{"n":{id}}}}}}}"#)
}

fn key() -> KeySpec {
    let material = KeyMaterial::Secret(b"sixteen bytes and many more here".to_vec());
    KeySpec { kid: None, algorithm: Algorithm::Hs256, material }
}

/// A world with room for many, in which tokens are checked.
fn crowd_world(shards_count: u16) -> World {
    let keys = Keys::build(&[key()]).unwrap();
    World::with_keys(shards_count, keys, |options| {
        options.connections_max = 20_000;
        options.handshakes_max = 20_000;
    })
}

/// A connect command with a token.
fn connect_with(new: &NewToken<'_>) -> String {
    let token = sign(&key(), &ClaimRequirements::default(), new).unwrap();
    format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#)
}

/// A peer that was let in by this command.
fn join_by(world: &mut World, shard: usize, connect: &str) -> Peer {
    let peer = world.upgrade(shard);
    world.say(peer, connect);
    let seen = world.take(peer);
    assert!(seen[0].starts_with(r#"{"id":1,"connect":{"#), "{seen:?}");
    peer
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
