//! What a seed decides about a simulated world before it begins: its size, its options, its
//! faults, and what its clients are like.
//!
//! Deliberately absent: what happens step by step, which the world draws as it goes.

use std::sync::Arc;

use rookery::auth::{Algorithm, ClaimRequirements, KeyMaterial, KeySpec, Keys, NewToken, sign};
use rookery::base::Prng;
use rookery::hook::{Hook, HookOptions};
use rookery::ring::simulated::FaultProfile;
use rookery::room::{self, GroupEntry, JoinLeaveScope, Namespace, Permission};
use rookery::session::{self, CONVERSATION_NAMESPACE, INBOX_NAMESPACE, TracerOptions};
use rookery::shard::{Options, PresenceListener, TracingOptions};
use rookery::store::{Crash, DiskFaultProfile, Durability};

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
    pub fault_profile: FaultProfile,
    /// Between cores.
    pub lanes: LaneFaultProfile,
    /// What one turn takes.
    pub turn: TurnLimits,
    /// How many of 1,000 turns begin with a long pause of that core.
    pub stalls_per_1_000: u64,
    /// How long such a pause is at most: where it is long, cores are late by more than any
    /// patience.
    pub stall_ms_max: u64,
    /// Where messages are kept on disk.
    pub store: Option<StoreScenario>,
    /// How many of 1,000 steps of the chaos remove what was said in a channel.
    pub removals_per_1_000: u64,
    /// How many of 1,000 steps of the chaos change who is in a group.
    pub role_changes_per_1_000: u64,
    /// What the first clients are like, and whose they are; chance decides about the others.
    pub profiles: Vec<(ClientProfile, &'static str)>,
}

/// The store and its disk.
#[derive(Clone, Debug)]
pub struct StoreScenario {
    /// For the disk, and for the key of names.
    pub seed: u64,
    /// What goes wrong in the chaos.
    pub disk: DiskFaultProfile,
    /// Bytes of the disk that stay free.
    pub reserve_bytes: u64,
    /// How many of 1,000 steps leave the disk little room for a while.
    pub squeezes_per_1_000: u64,
    /// A batch arrives at most this much later.
    pub delay_ms_max: u64,
    /// Batches that wait in one lane.
    pub batches_max: usize,
    /// How many of 1,000 steps end the process.
    pub crashes_per_1_000: u64,
    /// How it may end.
    pub crashes: &'static [Crash],
    /// Whether retention removes anything within the world's time, so that ids are
    /// forgotten and recoveries fail.
    pub retention_case: RetentionCase,
}

/// How much of what was said is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionCase {
    /// All.
    All,
    /// The last of it.
    Some,
}

/// What a client is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientProfile {
    /// It keeps to the protocol, reads what comes, and stays.
    Steady,
    /// It does what it likes.
    Wild,
    /// It keeps to the protocol, and asks for as much as it can, all the time.
    Flooding,
    /// It keeps to the protocol, and asks for one thing at a time.
    Patient,
    /// It keeps to the protocol and asks for a few things at a time, which are large. It is
    /// one of very many.
    Crowding,
}

/// How lanes behave.
#[derive(Clone, Copy, Debug)]
pub struct LaneFaultProfile {
    /// A message arrives at most this much later.
    pub delay_ms_max: u64,
    /// Messages that wait in one lane.
    pub messages_max: usize,
    /// How many of 1,000 posts lose all notices among them, as a full lane does.
    pub losses_per_1_000: u64,
}

/// What one turn of a core takes at most; small, so that it is reached.
#[derive(Clone, Copy, Debug)]
pub struct TurnLimits {
    /// From the `Io`.
    pub events_max: usize,
    /// From the lanes.
    pub messages_max: usize,
}

/// Connections of a crowd: more than a slice of what each reads may take of anybody's time.
const CROWD_COUNT: usize = 40;

/// Users of the world; several clients share a name, and some have none.
pub const USERS: [&str; 4] = ["", "ann", "bob", "cat"];

/// Channels of the world.
pub const CHANNELS: [&str; 10] =
    ["room:0", "room:1", "room:2", "room:3", "news:0", "news:1", "vip:0", "@ann", "@bob", "lobby"];

/// Channels of a world with a store.
pub const STORED_CHANNELS: [&str; 9] = [
    "room:0",
    "room:1",
    "room:2",
    "vip:0",
    "news:0",
    "lobby",
    "dm#ann,bob",
    "dm#ann,cat",
    "dm#bob,cat",
];

/// The two of a conversation.
pub fn parties(channel: &str) -> Option<[&'static str; 2]> {
    match channel {
        "dm#ann,bob" => Some(["ann", "bob"]),
        "dm#ann,cat" => Some(["ann", "cat"]),
        "dm#bob,cat" => Some(["bob", "cat"]),
        _ => None,
    }
}

impl Scenario {
    /// The scenario of a seed.
    pub fn draw(seed: u64) -> Scenario {
        let mut prng = Prng::from_seed(seed);
        let options = Options {
            connections_max: pick(&mut prng, &[3, 8, 100, 100, 100]),
            handshakes_max: pick(&mut prng, &[2, 100, 100]),
            shards_per_core: 1,
            ws: rookery::ws::Options { message_bytes_max: 8 << 10, ..Default::default() },
            session: session_options(&mut prng),
            room: room::Options {
                namespaces: told_otherwise(namespaces(&mut prng), seed),
                rooms_max: pick(&mut prng, &[2, 100, 100]),
                ..room::Options::default()
            },
            // Worlds have no control thread that would lock anybody out.
            quarantine: Default::default(),
            tracing: tracing(seed),
            presence: PresenceListener::Feed,
        };
        let rough = prng.percent(70);
        Scenario {
            seed,
            shards_count: 1 + prng.below(5) as u16,
            clients_count: 4 + prng.below(16) as usize,
            steps_count: 250,
            options: Arc::new(options),
            fault_profile: FaultProfile {
                resets_per_10_000: pick(&mut prng, &[0, 0, 10, 50]),
                receive_bytes_max: pick(&mut prng, &[40, 500, 4_096]) as usize,
                window_bytes: pick(&mut prng, &[300, 4_096, 65_536]) as usize,
                ..if rough { FaultProfile::rough() } else { FaultProfile::calm() }
            },
            lanes: LaneFaultProfile {
                delay_ms_max: pick(&mut prng, &[0, 5, 60]),
                messages_max: pick(&mut prng, &[1, 10, 1_000]) as usize,
                losses_per_1_000: pick(&mut prng, &[0, 0, 5, 20]),
            },
            turn: TurnLimits {
                events_max: pick(&mut prng, &[3, 30, 4_096]) as usize,
                messages_max: pick(&mut prng, &[2, 50, 8_192]) as usize,
            },
            stalls_per_1_000: pick(&mut prng, &[0, 5, 20]),
            stall_ms_max: pick(&mut Prng::from_seed(seed ^ 0x1A7E), &[300, 300, 3_000]),
            store: None,
            removals_per_1_000: 0,
            role_changes_per_1_000: 0,
            profiles: Vec::new(),
        }
    }

    /// The scenario of a seed with rooms on disk, direct messages, and crashes.
    pub fn draw_stored(seed: u64) -> Scenario {
        let mut scenario = Scenario::draw(seed);
        let mut prng = Prng::from_seed(seed ^ 0xD15C);
        let mut options = Options::clone(&scenario.options);
        let durability =
            pick(&mut prng, &[Durability::Fsync, Durability::Fsync, Durability::Interval]);
        let retention_case =
            pick(&mut prng, &[RetentionCase::All, RetentionCase::All, RetentionCase::Some]);
        let namespaces = stored_namespaces(&mut prng, durability, retention_case);
        options.room.namespaces = told_otherwise(namespaces, seed);
        options.room.rooms_max = 100;
        options.session.channels_max = 12;
        if prng.percent(25) {
            options.session.single_session_tenants = vec![String::new()];
        }
        scenario.options = Arc::new(options);
        scenario.clients_count = 4 + prng.below(9) as usize;
        let fails_percent = pick(&mut prng, &[0, 0, 1, 4]) as u8;
        // Where the last moments may be lost, nothing may be said about them.
        let is_sure = durability == Durability::Fsync;
        scenario.store = Some(StoreScenario {
            seed,
            disk: DiskFaultProfile {
                commit_fails_percent: if is_sure { fails_percent } else { 0 },
                sync_fails_percent: if is_sure { fails_percent } else { 0 },
                reopen_fails_percent: pick(&mut prng, &[0, 50]) as u8,
                capacity_bytes: u64::MAX,
                sync_us: pick(&mut prng, &[0, 300, 5_000]),
                slow_percent: pick(&mut prng, &[0, 2]) as u8,
                takes_messages: true,
            },
            reserve_bytes: pick(&mut prng, &[0, 500, 4_000]),
            squeezes_per_1_000: if is_sure { pick(&mut prng, &[0, 0, 10]) } else { 0 },
            delay_ms_max: pick(&mut prng, &[0, 5, 40]),
            batches_max: pick(&mut prng, &[1, 8]) as usize,
            crashes_per_1_000: pick(&mut prng, &[0, 4, 12]),
            crashes: if is_sure { &[Crash::Killed, Crash::PowerCut] } else { &[Crash::Killed] },
            retention_case,
        });
        scenario
    }

    /// The scenario of a seed in which an application's backend is asked about clients without
    /// a token, and about who subscribes and what is published where everybody may.
    pub fn draw_hooked(seed: u64) -> Scenario {
        let mut scenario =
            if seed.is_multiple_of(2) { Scenario::draw(seed) } else { Scenario::draw_stored(seed) };
        let mut options = Options::clone(&scenario.options);
        let hooks = [Hook::Connect, Hook::Subscribe, Hook::Publish];
        options.session.hooks.asked = hooks.into_iter().collect();
        options.session.hooks.lenient = [Hook::Subscribe].into_iter().collect();
        for rules in &mut options.room.namespaces {
            rules.subscribe_hook = rules.subscribe == Permission::Anyone;
            rules.publish_hook = rules.publish == Permission::Anyone;
        }
        scenario.options = Arc::new(options);
        scenario
    }

    /// The scenario of a seed in which a backend removes what was said, again and again.
    pub fn draw_removed(seed: u64) -> Scenario {
        let mut scenario =
            if seed.is_multiple_of(2) { Scenario::draw(seed) } else { Scenario::draw_stored(seed) };
        scenario.removals_per_1_000 = pick(&mut Prng::from_seed(seed ^ 0x4E_0FED), &[20, 60, 200]);
        scenario
    }

    /// The scenario of a seed with a store, in which a backend changes who is in groups.
    pub fn draw_grouped(seed: u64) -> Scenario {
        let mut scenario = Scenario::draw_stored(seed);
        let mut prng = Prng::from_seed(seed ^ 0x6_0008);
        let mut options = Options::clone(&scenario.options);
        let namespaces = &mut options.room.namespaces;
        let stored = namespaces.iter().find(|one| one.name == "vip").expect("it is there").clone();
        let entries = [GroupEntry::Open, GroupEntry::Invited];
        let groups = entries[usize::from(prng.percent(50))];
        namespaces.push(Namespace { name: "group".to_owned(), groups, ..stored });
        scenario.options = Arc::new(options);
        scenario.role_changes_per_1_000 = pick(&mut prng, &[100, 400, 900]);
        scenario
    }

    /// The scenario of a seed in which some ask for all that they can, all the time, and
    /// others for one thing at a time. Nothing else makes anybody wait: cores and lanes take
    /// all that comes, the disk does not fail, and no bound is shared by users.
    pub fn draw_pressed(seed: u64) -> Scenario {
        let mut scenario = Scenario::draw_stored(seed);
        let mut prng = Prng::from_seed(seed ^ 0x0F_1A1F);
        let mut options = Options::clone(&scenario.options);
        (options.connections_max, options.handshakes_max) = (100, 100);
        let session = &mut options.session;
        session.single_session_tenants = Vec::new();
        session.commands_per_s = pick(&mut prng, &[0, 200]);
        // Some floods do not end with their connection.
        session.errors_per_s = pick(&mut prng, &[6, 10_000]);
        session.bytes_per_s = pick(&mut prng, &[0, 100_000]);
        session.bytes_burst = 200_000;
        session.answer_bytes_per_s = pick(&mut prng, &[0, 400_000]);
        session.answer_bytes_burst = 400_000;
        (session.outbox_bytes_max, session.control_bytes_max) = (16 << 20, 16 << 20);
        for one in &mut options.room.namespaces {
            (one.publish_per_s_max, one.members_max) = (0, 100);
        }
        scenario.options = Arc::new(options);
        scenario.profiles = vec![(ClientProfile::Patient, "ann"), (ClientProfile::Flooding, "bob")];
        scenario.profiles.extend(prng.percent(50).then_some((ClientProfile::Flooding, "cat")));
        scenario.clients_count = scenario.profiles.len();
        scenario.steps_count = 120;
        scenario.fault_profile = FaultProfile { window_bytes: 16 << 20, ..FaultProfile::calm() };
        scenario.lanes =
            LaneFaultProfile { delay_ms_max: 0, messages_max: 1_000_000, losses_per_1_000: 0 };
        scenario.turn = TurnLimits { events_max: 4_096, messages_max: 8_192 };
        scenario.stalls_per_1_000 = 0;
        if let Some(store) = &mut scenario.store {
            store.disk = DiskFaultProfile { sync_us: store.disk.sync_us, ..DiskFaultProfile::CALM };
            (store.squeezes_per_1_000, store.crashes_per_1_000) = (0, 0);
            (store.delay_ms_max, store.batches_max) = (0, 1_000);
        }
        scenario
    }

    /// The scenario of a seed in which one user asks for all that it can by many connections,
    /// and others for one thing at a time: a pressed world in which bounds of one connection
    /// bound nothing.
    pub fn draw_crowded(seed: u64) -> Scenario {
        let mut scenario = Scenario::draw_pressed(seed);
        let mut options = Options::clone(&scenario.options);
        let session = &mut options.session;
        session.commands_per_s = 0;
        (session.bytes_per_s, session.answer_bytes_per_s) = (0, 0);
        session.errors_per_s = 10_000;
        for one in &mut options.room.namespaces {
            // What is asked for is read of the disk, and is long.
            one.window_count_max = one.window_count_max.min(10);
            if one.is_durable() && one.keeps_history() {
                one.history_count_max = 100_000;
                one.history_age_ms_max = 250_000;
            }
        }
        scenario.options = Arc::new(options);
        scenario.profiles = vec![(ClientProfile::Patient, "ann"), (ClientProfile::Patient, "cat")];
        scenario.profiles.extend((0..CROWD_COUNT).map(|_| (ClientProfile::Crowding, "bob")));
        scenario.clients_count = scenario.profiles.len();
        scenario.steps_count = 80;
        if let Some(store) = &mut scenario.store {
            store.retention_case = RetentionCase::All;
        }
        // Whoever is at one core asks rooms of others.
        scenario.shards_count = scenario.shards_count.max(2);
        scenario
    }

    /// How a channel is kept on disk, if it is.
    pub fn stored(&self, channel: &str) -> Option<&Namespace> {
        let namespaces = &self.options.room.namespaces;
        let index = session::namespace_of(namespaces, channel)?;
        Some(&namespaces[usize::from(index)]).filter(|one| one.is_durable())
    }

    /// Channels that clients speak of.
    pub fn channels(&self) -> &'static [&'static str] {
        match self.store {
            None => &CHANNELS,
            Some(_) => &STORED_CHANNELS,
        }
    }
}

fn stored_namespaces(
    prng: &mut Prng,
    durability: Durability,
    retention_case: RetentionCase,
) -> Vec<Namespace> {
    let [mut room, mut vip, mut inbox, news, plain] =
        <[Namespace; 5]>::try_from(namespaces(prng)).expect("they are five");
    let ack_wait_ms = pick(prng, &[800, 2_000]) as u32;
    let tries_max = pick(prng, &[2, 5, 100]) as u16;
    let ttl_ms_max = pick(prng, &[3_000, 1_000_000]);
    let window_count_max = pick(prng, &[2, 10, 256]) as u32;
    let (count_max, age_ms) = match retention_case {
        RetentionCase::All => (10_000, 250_000),
        RetentionCase::Some => (pick(prng, &[4, 10_000]) as u32, pick(prng, &[3_000, 250_000])),
    };
    for one in [&mut room, &mut vip, &mut inbox] {
        one.history_count_max = count_max;
        one.history_age_ms_max = age_ms;
        one.history_bytes_max = 100_000_000;
        one.durability = durability;
        one.window_count_max = window_count_max;
        one.ack_wait_ms = ack_wait_ms;
        one.tries_max = tries_max;
        one.ttl_ms_max = ttl_ms_max;
        one.see_history = Permission::Anyone;
    }
    let dm = Namespace { name: CONVERSATION_NAMESPACE.to_owned(), ..room.clone() };
    if prng.percent(50) {
        inbox.history_count_max = 0;
    }
    vec![room, vip, inbox, news, plain, dm]
}

fn session_options(prng: &mut Prng) -> session::Options {
    session::Options {
        single_session_tenants: Vec::new(),
        metrics_tenants: Vec::new(),
        tenants: Arc::default(),
        hooks: HookOptions::default(),
        upgrade_ms_max: 600,
        connect_ms_max: 600,
        ping_interval_ms: pick(prng, &[0, 700, 2_000]),
        ping_interval_ms_max: 0,
        proxied: true,
        pong_ms_max: pick(prng, &[0, 400, 600]),
        close_ms_max: 400,
        expiry_grace_ms: pick(prng, &[0, 1_000]),
        outbox_bytes_max: pick(prng, &[1_500, 8_000, 1 << 20]),
        control_bytes_max: pick(prng, &[2_000, 64_000]),
        channels_max: pick(prng, &[3, 8]),
        commands_per_s: pick(prng, &[0, 0, 40]),
        commands_burst: 60,
        bytes_per_s: pick(prng, &[0, 0, 8_000]),
        bytes_burst: 16_000,
        answer_bytes_per_s: pick(prng, &[0, 20_000]),
        answer_bytes_burst: 65_536,
        errors_per_s: 6,
        insecure: false,
        anonymous: true,
        node: "sim".to_owned(),
    }
}

fn namespaces(prng: &mut Prng) -> Vec<Namespace> {
    let open = Namespace {
        subscribe: Permission::Anyone,
        publish: Permission::Anyone,
        see_presence: Permission::Anyone,
        see_history: Permission::Subscribers,
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
        Namespace { name: "vip".to_owned(), subscribe: Permission::Token, ..open.clone() },
        Namespace {
            name: INBOX_NAMESPACE.to_owned(),
            subscribe: Permission::Users,
            publish: Permission::Users,
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

/// How coming and going is told, the same way in all channels of a world.
fn told_otherwise(mut namespaces: Vec<Namespace>, seed: u64) -> Vec<Namespace> {
    let mut prng = Prng::from_seed(seed ^ 0x10_1EA7E);
    let join_leave_scope = pick(&mut prng, &[JoinLeaveScope::Clients, JoinLeaveScope::Users]);
    let members_max = pick(&mut prng, &[1_000, 1_000, 1_000, 2]) as u32;
    for one in &mut namespaces {
        one.join_leave_of = join_leave_scope;
        one.join_leave_members_max = members_max;
        one.presence_feed = true;
    }
    namespaces
}

/// The keys of every world.
pub fn keys() -> Arc<Keys> {
    Arc::new(Keys::build(&[key()]).expect("the key is long enough"))
}

/// A token that the keys of every world accept.
pub fn token(token: &NewToken<'_>) -> String {
    sign(&key(), &ClaimRequirements::default(), token).expect("a secret can sign")
}

/// What is told of messages: of none, some or all.
fn tracing(seed: u64) -> TracingOptions {
    let mut prng = Prng::from_seed(seed ^ 0x7EACE);
    let tracer = TracerOptions {
        exports: prng.percent(80),
        sample_per_million: pick(&mut prng, &[0, 200_000, 1_000_000]),
        sampled_per_s_max: pick(&mut prng, &[0, 5]),
    };
    TracingOptions { tracer, slow_ms: pick(&mut prng, &[1, 100, 400]) }
}

fn key() -> KeySpec {
    let material = KeyMaterial::Secret(b"a secret that everybody here knows".to_vec());
    KeySpec { kid: None, algorithm: Algorithm::Hs256, material }
}

fn pick<T: Copy>(prng: &mut Prng, from: &[T]) -> T {
    from[prng.below(from.len() as u64) as usize]
}
