//! Every load against rookery's own core, hosted on a bare ring in this
//! process: both encodings, with tokens.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, mpsc};
use std::thread;

use rookery::auth::{Algorithm, KeyMaterial, KeySpec, Keys};
use rookery::base::{Csprng, Io, ShardId};
use rookery::metrics::Cells;
use rookery::ring::{self, KernelIo, PortUse};
use rookery::room::{self, Namespace, Permission};
use rookery::session::{self, NameKey};
use rookery::shard::{self, Options, Shard, ShardSetup};
use rookery::store::Durability;
use rookery_bench::alone::Alone;
use rookery_bench::attack::{self, Attack};
use rookery_bench::engine::{self, Setting, Target};
use rookery_bench::outcome::Outcome;
use rookery_bench::progress::Silent;
use rookery_bench::scenario::{Load, Pace, Scenario, WireFormat};

const SECRET: &str = "a secret of sixteen bytes and more";

fn options() -> Options {
    let namespace = Namespace {
        name: "room".to_owned(),
        subscribe: Permission::Users,
        publish: Permission::Subscribers,
        // Clients of one thread share the epoch of a room.
        see_history: Permission::Subscribers,
        history_count_max: 100,
        durability: Durability::Memory,
        ..Namespace::default()
    };
    let session =
        session::Options { commands_per_s: 0, bytes_per_s: 0, ..session::Options::default() };
    Options {
        connections_max: 1_000,
        handshakes_max: 1_000,
        room: room::Options {
            namespaces: vec![namespace],
            rooms_max: 1_000,
            ..room::Options::default()
        },
        session,
        ..Options::default()
    }
}

/// One shard that serves until the process ends.
fn server() -> SocketAddr {
    server_with(options())
}

fn server_with(options: Options) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = ring::listener(any, 1_024, PortUse::Alone).unwrap();
        let addr = listener.local_addr().unwrap();
        let metrics = Rc::new(Cells::new().claim());
        let ring_options = ring::Options { recv_buffers: 64, ..ring::Options::default() };
        let mut io = KernelIo::new(&ring_options, Rc::clone(&metrics)).unwrap();
        let material = KeyMaterial::Secret(SECRET.as_bytes().to_vec());
        let spec = KeySpec { kid: None, algorithm: Algorithm::Hs256, material };
        let mut shard = Shard::new(ShardSetup {
            id: ShardId(0),
            shards_count: 1,
            options: Arc::new(options),
            keys: Arc::new(Keys::build(&[spec]).unwrap()),
            blocks: rookery::blocks::BlockTable::default(),
            names: NameKey([1, 2]),
            seed: 3,
            ids: Csprng::from_key([3; 16]),
            now: io.now(),
            metrics,
        });
        io.listen(listener);
        tell.send(addr).unwrap();
        let mut work = Vec::new();
        loop {
            let now = io.now();
            let turned = shard::turn(now, &mut shard, &mut io, &mut Alone, &mut work);
            if turned.is_idle() {
                io.park(shard.next_wake());
            }
        }
    });
    told.recv().unwrap()
}

fn scenario(load: Load, format: WireFormat, connections: u32, active: u32) -> Scenario {
    Scenario {
        seed: 5,
        load,
        format,
        connections,
        active,
        room_members: 5,
        data_bytes: 128,
        greeting_bytes: 0,
        threads: 2,
        handshakes_max: 16,
    }
}

/// Runs a load in both encodings and wants every count to agree.
fn check(load: Load, connections: u32, active: u32, look: impl Fn(&Outcome)) {
    for format in [WireFormat::Protobuf, WireFormat::Json] {
        let target = Target::parse(&format!("ws://{}", server())).unwrap();
        let secret = Some(SECRET.to_owned());
        let setting = Setting { secret, standstill_ms: 3_000, ..Setting::default() };
        let scenario = scenario(load, format, connections, active);
        let ran = engine::run(&scenario, &target, &setting, &mut Silent);
        let (outcome, error_messages) = ran.unwrap();
        let faults = outcome.tally.faults();
        assert!(faults.is_empty(), "{format:?} {faults:?} {error_messages:?}");
        look(&outcome);
    }
}

#[test]
fn everyone_connects_and_answers() {
    check(Load::Connect { hold_ms: 1 }, 50, 0, |outcome| assert_eq!(outcome.tally.answered, 50));
}

/// A server that can't take all at once says so, and whoever was turned away comes again.
#[test]
fn who_is_turned_away_for_now_comes_again_and_gets_in() {
    let server = server_with(Options { handshakes_max: 2, ..options() });
    let target = Target::parse(&format!("ws://{server}")).unwrap();
    let secret = Some(SECRET.to_owned());
    let setting = Setting { secret, ..Setting::default() };
    let scenario = scenario(Load::Connect { hold_ms: 1 }, WireFormat::Protobuf, 40, 0);
    let (outcome, error_messages) = engine::run(&scenario, &target, &setting, &mut Silent).unwrap();
    let faults = outcome.tally.faults();
    assert!(faults.is_empty(), "{faults:?} {error_messages:?}");
    assert!(0 < outcome.tally.turned_away, "{:?}", outcome.tally);
}

#[test]
fn every_echo_comes_back() {
    for pace in [Pace::Closed { outstanding: 1 }, Pace::Open { per_s: 1_000 }] {
        check(Load::Echo { pace, measure_ms: 100 }, 50, 8, |outcome| {
            assert!(8 <= outcome.tally.delivered);
            assert_eq!(outcome.tally.delivered, outcome.tally.published);
        });
    }
}

#[test]
fn every_member_gets_every_message_of_every_publisher() {
    for (publishers, pace) in
        [(1, Pace::Closed { outstanding: 16 }), (3, Pace::Open { per_s: 300 })]
    {
        check(Load::Fanout { publishers, pace, measure_ms: 100 }, 50, 40, |outcome| {
            assert_eq!(outcome.tally.delivered, 40 * outcome.tally.published);
            assert!(16 <= outcome.tally.published);
        });
    }
}

#[test]
fn after_a_storm_everyone_has_what_it_missed() {
    check(Load::Storm { missed: 3, per_s: 0, calm_ms: 0 }, 50, 0, |outcome| {
        assert_eq!((outcome.tally.published, outcome.tally.delivered), (30, 150));
        assert_eq!(outcome.tally.recovered, 50);
        assert!(outcome.recover_ms.is_some());
    });
}

#[test]
fn who_stays_in_a_storm_talks_before_and_during_it() {
    check(Load::Storm { missed: 3, per_s: 500, calm_ms: 100 }, 52, 2, |outcome| {
        assert_eq!(outcome.tally.recovered, 50);
        let calm = outcome.calm.expect("two talked before the storm");
        assert_eq!(calm.count, 50);
        let talked = calm.count + outcome.latency.count;
        assert_eq!(outcome.tally.published, 30 + talked);
        assert_eq!(outcome.tally.delivered, 150 + talked);
    });
}

#[test]
fn a_soak_loses_nothing_while_members_come_and_go() {
    let load = Load::Soak { per_s: 200, churn_per_s: 100, measure_ms: 300 };
    check(load, 50, 4, |outcome| {
        assert_eq!(outcome.tally.delivered, 5 * outcome.tally.published);
        assert!(0 < outcome.tally.recovered, "{outcome:?}");
    });
}

#[test]
fn a_wrong_secret_is_a_failed_run() {
    let target = Target::parse(&format!("ws://{}", server())).unwrap();
    let secret = Some("another secret of sixteen bytes".to_owned());
    let setting = Setting { secret, standstill_ms: 3_000, ..Setting::default() };
    let scenario = scenario(Load::Connect { hold_ms: 1 }, WireFormat::Protobuf, 4, 0);
    let (outcome, _) = engine::run(&scenario, &target, &setting, &mut Silent).unwrap();
    assert_eq!((outcome.tally.live, outcome.tally.failed), (0, 4));
}

/// Each attack that needs no store does something, and the server is there afterwards.
#[test]
fn a_server_outlives_every_attack() {
    let target = Target::parse(&format!("ws://{}", server())).unwrap();
    let needs_store = [Attack::Conversations, Attack::Acks];
    for attack in Attack::ALL.into_iter().filter(|attack| !needs_store.contains(attack)) {
        let options = attack::Options {
            attack,
            target: target.clone(),
            secret: SECRET.to_owned(),
            for_ms: 50,
        };
        let mut has_begun = false;
        let outcome = attack::run(&options, || has_begun = true).unwrap();
        assert!(has_begun && 0 < outcome.sent, "{attack:?}: {outcome:?}");
    }
}
