use std::sync::Arc;

use rookery::auth::{Algorithm, Demands, KeySpec, Keys, Material, NewToken, sign};
use rookery::base::Prng;
use rookery::ring::simulated::Weather;
use rookery::room::{self, Namespace, Who};
use rookery::session::{self, INBOX_NAMESPACE};
use rookery::shard::Options;
use rookery::store::Durability;

/// Everything about a world that is decided before it begins.
pub struct Scenario {
    /// Where it all comes from.
    pub seed: u64,
    /// Cores.
    pub shards_count: u16,
    /// Clients, each with one connection at a time.
    pub clients_count: usize,
    /// Steps of chaos.
    pub steps_count: u64,
    /// For all shards.
    pub options: Arc<Options>,
    /// Between cores and clients.
    pub weather: Weather,
    /// Between cores.
    pub lanes: LaneWeather,
    /// What one turn takes.
    pub turn: TurnLimits,
    /// How many of 1,000 turns begin with a long pause of that core.
    pub stalls_per_1_000: u64,
}

/// How lanes behave.
#[derive(Clone, Copy, Debug)]
pub struct LaneWeather {
    /// A letter arrives at most this much later.
    pub delay_ms_max: u64,
    /// Letters that wait in one lane.
    pub letters_max: usize,
    /// How many of 1,000 posts lose all news among them, as a full lane does.
    pub losses_per_1_000: u64,
}

/// What one turn of a core takes at most; small, so that it is reached.
#[derive(Clone, Copy, Debug)]
pub struct TurnLimits {
    /// From the plane.
    pub events_max: usize,
    /// From the lanes.
    pub letters_max: usize,
}

/// Users of the world; several clients share a name, and some have none.
pub const USERS: [&str; 4] = ["", "ann", "bob", "cat"];

/// Channels of the world.
pub const CHANNELS: [&str; 10] =
    ["room:0", "room:1", "room:2", "room:3", "news:0", "news:1", "vip:0", "@ann", "@bob", "lobby"];

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Scenario {
        let mut prng = Prng::from_seed(seed);
        let options = Options {
            connections_max: pick(&mut prng, &[3, 8, 100, 100, 100]),
            handshakes_max: pick(&mut prng, &[2, 100, 100]),
            ws: rookery::ws::Options { message_bytes_max: 8 << 10, ..Default::default() },
            session: session_options(&mut prng),
            room: room::Options {
                namespaces: namespaces(&mut prng),
                rooms_max: pick(&mut prng, &[2, 100, 100]),
            },
        };
        let rough = prng.percent(70);
        Scenario {
            seed,
            shards_count: 1 + prng.below(5) as u16,
            clients_count: 4 + prng.below(16) as usize,
            steps_count: 250,
            options: Arc::new(options),
            weather: Weather {
                resets_per_10_000: pick(&mut prng, &[0, 0, 10, 50]),
                receive_bytes_max: pick(&mut prng, &[40, 500, 4_096]) as usize,
                window_bytes: pick(&mut prng, &[300, 4_096, 65_536]) as usize,
                ..if rough { Weather::rough() } else { Weather::calm() }
            },
            lanes: LaneWeather {
                delay_ms_max: pick(&mut prng, &[0, 5, 60]),
                letters_max: pick(&mut prng, &[1, 10, 1_000]) as usize,
                losses_per_1_000: pick(&mut prng, &[0, 0, 5, 20]),
            },
            turn: TurnLimits {
                events_max: pick(&mut prng, &[3, 30, 4_096]) as usize,
                letters_max: pick(&mut prng, &[2, 50, 8_192]) as usize,
            },
            stalls_per_1_000: pick(&mut prng, &[0, 5, 20]),
        }
    }
}

fn session_options(prng: &mut Prng) -> session::Options {
    session::Options {
        single_session_tenants: Vec::new(),
        upgrade_ms_max: 600,
        connect_ms_max: 600,
        ping_interval_ms: pick(prng, &[0, 700, 2_000]),
        pong_ms_max: pick(prng, &[0, 400, 600]),
        close_ms_max: 400,
        expiry_grace_ms: pick(prng, &[0, 1_000]),
        outbox_bytes_max: pick(prng, &[1_500, 8_000, 64_000]),
        control_bytes_max: pick(prng, &[2_000, 64_000]),
        channels_max: pick(prng, &[3, 8]),
        commands_per_s: pick(prng, &[0, 0, 40]),
        commands_burst: 60,
        bytes_per_s: pick(prng, &[0, 0, 8_000]),
        bytes_burst: 16_000,
        errors_per_s: 6,
        insecure: false,
        anonymous: true,
        node: "sim".to_owned(),
    }
}

fn namespaces(prng: &mut Prng) -> Vec<Namespace> {
    let open = Namespace {
        subscribe: Who::Anyone,
        publish: Who::Anyone,
        see_presence: Who::Anyone,
        see_history: Who::Subscribers,
        presence: true,
        join_leave: true,
        leave_grace_ms: pick(prng, &[0, 300, 1_000]),
        history_count_max: pick(prng, &[3, 15, 200]),
        history_age_ms_max: pick(prng, &[400, 3_000, 10_000]),
        history_bytes_max: pick(prng, &[1_000, 100_000]),
        durability: Durability::Memory,
        force_recovery: prng.percent(50),
        force_positioning: prng.percent(50),
        data_bytes_max: 1_000,
        members_max: pick(prng, &[3, 100, 100]),
        publish_per_s_max: pick(prng, &[0, 0, 20]),
        ..Namespace::default()
    };
    vec![
        Namespace { name: "room".to_owned(), ..open.clone() },
        Namespace { name: "vip".to_owned(), subscribe: Who::Token, ..open.clone() },
        Namespace {
            name: INBOX_NAMESPACE.to_owned(),
            subscribe: Who::Users,
            publish: Who::Users,
            ..open.clone()
        },
        Namespace {
            name: "news".to_owned(),
            history_count_max: 0,
            push_join_leave: true,
            ..open.clone()
        },
        Namespace { presence: false, join_leave: false, history_count_max: 0, ..open },
    ]
}

/// The keys of every world.
pub fn keys() -> Arc<Keys> {
    Arc::new(Keys::build(&[key()]).expect("the key is long enough"))
}

/// A token that the keys of every world accept.
pub fn token(token: &NewToken<'_>) -> String {
    sign(&key(), &Demands::default(), token).expect("a secret can sign")
}

fn key() -> KeySpec {
    let material = Material::Secret(b"a secret that everybody here knows".to_vec());
    KeySpec { kid: None, algorithm: Algorithm::Hs256, material }
}

fn pick<T: Copy>(prng: &mut Prng, from: &[T]) -> T {
    from[prng.below(from.len() as u64) as usize]
}
