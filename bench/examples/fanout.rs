//! One shard, one room, so many messages to all of it, and nothing else: to be run where
//! instructions are counted (`scripts/metrics-cost`). The ring is missing, so what is
//! counted is what the shard does for a delivery; the kernel's part is far larger.
//!
//! `fanout <subscribers> <messages>`; two numbers of messages give the price of one.

use std::rc::Rc;
use std::sync::Arc;

use rookery::auth::Keys;
use rookery::base::{Action, ConnId, Csprng, Event, MonotonicMs, ShardId, Timestamps};
use rookery::metrics::Cells;
use rookery::room::{self, Namespace, Permission};
use rookery::session::{self, NameKey};
use rookery::shard::{Options, Shard, ShardSetup};
use rookery::store::Durability;
use rookery::ws::client::{put_masked_frame, upgrade_request};
use rookery::ws::{Opcode, Subprotocol};

fn main() {
    let mut numbers = std::env::args().skip(1).map(|number| number.parse().expect("a number"));
    let (Some(subscribers), Some(messages)) = (numbers.next(), numbers.next()) else {
        panic!("fanout <subscribers> <messages>");
    };
    let mut world = World::new();
    for slot in 0..subscribers {
        world.join(slot);
    }
    for number in 0..messages {
        world.now = Timestamps::at(MonotonicMs(world.now.tick.0 + 1), world.now.unix_ms + 1);
        world.say(
            0,
            &format!(r#"{{"id":9,"publish":{{"channel":"room:1","data":"{number:0126}"}}}}"#),
        );
    }
    let deliveries = u64::from(subscribers) * u64::from(messages);
    assert!(deliveries <= world.sends, "{} sends for {deliveries} deliveries", world.sends);
}

struct World {
    shard: Shard,
    now: Timestamps,
    sends: u64,
}

impl World {
    fn new() -> World {
        let namespace = Namespace {
            name: "room".to_owned(),
            subscribe: Permission::Anyone,
            publish: Permission::Subscribers,
            durability: Durability::Memory,
            ..Namespace::default()
        };
        let session = session::Options {
            insecure: true,
            ping_interval_ms: 0,
            commands_per_s: 0,
            bytes_per_s: 0,
            ..session::Options::default()
        };
        let options = Options {
            connections_max: 1_000_000,
            handshakes_max: 1_000_000,
            room: room::Options {
                namespaces: vec![namespace],
                rooms_max: 10,
                ..room::Options::default()
            },
            session,
            ..Options::default()
        };
        let now = Timestamps::at(MonotonicMs(1), 1_700_000_000_000);
        let shard = Shard::new(ShardSetup {
            id: ShardId(0),
            shards_count: 1,
            options: Arc::new(options),
            keys: Arc::new(Keys::default()),
            blocks: rookery::blocks::BlockTable::default(),
            names: NameKey([1, 2]),
            seed: 1,
            ids: Csprng::from_key([1; 16]),
            now,
            metrics: Rc::new(Cells::new().claim()),
        });
        World { shard, now, sends: 0 }
    }

    fn join(&mut self, slot: u32) {
        self.shard.on_event(self.now, Event::Accepted(id(slot)));
        let key = "dGhlIHNhbXBsZSBub25jZQ==";
        let path = "/connection/websocket";
        self.feed(slot, &upgrade_request("host", path, key, Subprotocol::None, &[]));
        self.say(slot, r#"{"id":1,"connect":{}}"#);
        self.say(slot, r#"{"id":2,"subscribe":{"channel":"room:1"}}"#);
    }

    fn say(&mut self, slot: u32, text: &str) {
        let mut frame = bytes::BytesMut::new();
        put_masked_frame(&mut frame, Opcode::Text, text.as_bytes(), [1, 2, 3, 4]);
        self.feed(slot, &frame);
    }

    /// What comes, and all that follows: every send leaves at once.
    fn feed(&mut self, slot: u32, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        self.shard.on_event(self.now, Event::Received(id(slot), &mut bytes));
        let mut out = Vec::new();
        loop {
            self.shard.finish_turn(self.now, &mut out);
            if out.is_empty() {
                return;
            }
            for action in out.drain(..) {
                if let Action::Send(id, _) = action {
                    self.sends += 1;
                    self.shard.on_event(self.now, Event::Sent(id));
                }
            }
        }
    }
}

fn id(slot: u32) -> ConnId {
    ConnId { slot, generation: 0 }
}
