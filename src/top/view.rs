//! What is to be seen, in words: lines of facts, a row for each core, and a map of heat.
//!
//! Deliberately absent: where it stands on a screen, and colours (`draw`).

use super::figures::{CoreFigures, Figures, HookFigures, PresenceFigures, Shares, share};
use super::findings::{OverThreshold, Place, Urgency, over_thresholds};
use super::numbers::{UNKNOWN, age, bytes, count, duration, or_unknown, percent, rate};
use super::sample::ServerState;

/// A timer that is later than this is as hot as it gets.
const HOT_LAG_S: f64 = 0.1;

/// All there is to see of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    pub(super) version: String,
    pub(super) uptime: String,
    pub(super) state: String,
    pub(super) state_urgency: Urgency,
    /// The time over which rates are.
    pub(super) over_s: Option<f64>,
    pub(super) topics: Vec<Topic>,
    /// By number.
    pub(super) cores: Vec<CoreRow>,
    pub(super) heat: Vec<HeatRow>,
    /// The worst first.
    pub(super) over: Vec<OverThreshold>,
}

/// A line about one thing: its facts, the most important first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub name: &'static str,
    pub urgency: Urgency,
    pub facts: Vec<String>,
}

/// A core in the table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CoreRow {
    pub core: u64,
    pub urgency: Urgency,
    /// As [`COLUMNS`] has them.
    pub cells: [String; COLUMNS.len()],
    /// What else is known of it.
    pub detail: String,
    /// By which rows are sorted.
    pub connections: f64,
    pub busy: f64,
    pub late_s: f64,
    pub memory: f64,
}

/// The table's columns with their widths, those that have room first.
pub(super) const COLUMNS: [(&str, u16); 10] = [
    ("core", 4),
    ("conns", 9),
    ("busy", 5),
    ("lag", 7),
    ("ring", 11),
    ("memory", 13),
    ("late", 5),
    ("fds", 5),
    ("mailbox", 7),
    ("turn", 18),
];

/// One number of all cores, each from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HeatRow {
    pub name: &'static str,
    pub cells: Vec<HeatCell>,
}

/// How hot a core is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct HeatCell {
    pub heat: Option<f64>,
    pub urgency: Urgency,
}

impl View {
    /// What the figures say.
    pub fn new(figures: &Figures) -> View {
        let over = over_thresholds(figures);
        let worst = |place: Place| {
            let here = over.iter().filter(|one| one.place == place);
            here.map(|one| one.urgency).max().unwrap_or_default()
        };
        let topic = |name, place, facts| Topic { name, urgency: worst(place), facts };
        let mut topics = vec![
            topic("connections", Place::Connections, connections(figures)),
            topic("closes", Place::Closes, closes(figures)),
            topic("messages", Place::Messages, messages(figures)),
            topic("delivery", Place::Latency, latency(figures)),
            topic("store", Place::Store, store(figures)),
            Topic { name: "api", urgency: Urgency::None, facts: parts(figures.api.as_ref()) },
            topic("dead letters", Place::DeadLetters, dead_letters(figures)),
            topic("blocks", Place::Blocks, blocks(figures)),
            topic("process", Place::Process, process(figures)),
        ];
        if let Some(part) = &figures.hooks {
            topics.push(topic("hooks", Place::Hooks, hooks(part)));
        }
        if let Some(part) = &figures.presence {
            topics.push(topic("presence", Place::Presence, presence(part)));
        }
        if !figures.tenants.is_empty() {
            let tenants =
                figures.tenants.iter().map(|(name, open)| format!("{name} {}", count(*open)));
            topics.push(Topic {
                name: "tenants",
                urgency: Urgency::None,
                facts: tenants.collect(),
            });
        }
        let cores = figures.cores.iter().map(|core| row(core, worst(Place::Core(core.core))));
        View {
            version: version(figures),
            uptime: or_unknown(figures.uptime_s, age),
            state: figures.state.name().to_owned(),
            state_urgency: state_urgency(&figures.state),
            over_s: figures.over_s,
            topics,
            cores: cores.collect(),
            heat: heat(&figures.cores, &over),
            over,
        }
    }
}

fn version(figures: &Figures) -> String {
    match figures.commit.as_str() {
        "" | "unknown" => figures.version.clone(),
        commit => format!("{} ({commit})", figures.version),
    }
}

fn state_urgency(state: &ServerState) -> Urgency {
    match state {
        ServerState::Ready => Urgency::None,
        ServerState::Starting
        | ServerState::Draining
        | ServerState::Other(_)
        | ServerState::Unknown => Urgency::Warning,
        ServerState::StoreFull | ServerState::StoreBroken => Urgency::Critical,
    }
}

fn connections(figures: &Figures) -> Vec<String> {
    let part = &figures.connections;
    let taken = share(Some(part.open), part.limit).map_or(String::new(), |taken| {
        format!(" of {} ({})", count(part.limit.unwrap_or_default()), percent(taken))
    });
    let mut facts = vec![
        format!("{}{taken}", count(part.open)),
        format!("opened {}", or_unknown(part.opened_per_s, rate)),
        format!("closed {}", or_unknown(part.closed_per_s, rate)),
        format!("handshakes {}", or_unknown(part.handshakes, count)),
        format!("slow {}", or_unknown(part.slow, count)),
    ];
    let refused = part.rejected.iter().flatten();
    facts.extend(refused.map(|(reason, refused)| format!("refused {reason} {}", rate(*refused))));
    facts
}

fn closes(figures: &Figures) -> Vec<String> {
    parts(figures.connections.closed.as_ref())
}

/// Rates by a word.
fn parts(shares: Option<&Shares>) -> Vec<String> {
    match shares {
        None => vec![UNKNOWN.to_owned()],
        Some(none) if none.is_empty() => vec!["none".to_owned()],
        Some(some) => some.iter().map(|(word, part)| format!("{word} {}", rate(*part))).collect(),
    }
}

fn messages(figures: &Figures) -> Vec<String> {
    let part = &figures.messages;
    vec![
        format!("in {}", or_unknown(part.received_per_s, rate)),
        format!("delivered {}", or_unknown(part.deliveries_per_s, rate)),
        format!("failed {}", or_unknown(part.failed_per_s, rate)),
        format!("published {}", or_unknown(part.published_per_s, rate)),
        format!("rooms {}", or_unknown(part.rooms, count)),
        format!("subscriptions {}", or_unknown(part.subscriptions, count)),
    ]
}

fn latency(figures: &Figures) -> Vec<String> {
    let part = &figures.messages;
    vec![
        format!("p50 {}", or_unknown(part.p50_s, duration)),
        format!("p99 {}", or_unknown(part.p99_s, duration)),
        format!("in flight {}", or_unknown(part.in_flight, count)),
    ]
}

fn store(figures: &Figures) -> Vec<String> {
    let part = &figures.store;
    let mut facts = vec![
        format!("appends {}", or_unknown(part.appends_per_s, rate)),
        format!("sync p99 {}", or_unknown(part.p99_s, duration)),
    ];
    let refused = part.refused.iter().flatten();
    facts.extend(refused.map(|(cause, refused)| format!("refused {cause} {}", rate(*refused))));
    facts.push(format!("syncs {}", or_unknown(part.syncs_per_s, rate)));
    facts.push(format!("waiting {}", or_unknown(part.waiting, count)));
    facts.push(format!("used {}", or_unknown(part.used_bytes, bytes)));
    facts.push(format!("free {}", or_unknown(part.free_bytes, bytes)));
    facts
}

fn dead_letters(figures: &Figures) -> Vec<String> {
    let mut facts = vec![or_unknown(figures.dead_letters, count)];
    if let Some(oldest) = figures.dead_letter_oldest_s.filter(|oldest| 0.0 < *oldest) {
        facts.push(format!("oldest {}", age(oldest)));
    }
    facts.push(format!("new {}", or_unknown(figures.dead_letters_per_s, rate)));
    facts
}

fn blocks(figures: &Figures) -> Vec<String> {
    vec![
        or_unknown(figures.blocks, count),
        format!("kept out {}", or_unknown(figures.blocked_per_s, rate)),
        format!("quarantined {}", or_unknown(figures.quarantined_per_s, rate)),
    ]
}

fn process(figures: &Figures) -> Vec<String> {
    let part = &figures.process;
    let of = |whole: Option<f64>, text: &dyn Fn(f64) -> String| {
        let whole = whole.filter(|whole| 0.0 < *whole);
        whole.map_or(String::new(), |whole| format!(" of {}", text(whole)))
    };
    let cores = |cores: f64| format!("{cores:.2}");
    let limit = |cores: f64| ((100.0 * cores).round() / 100.0).to_string();
    let taken = share(part.resident_bytes, part.memory_limit_bytes);
    let taken = taken.map_or(String::new(), |taken| format!(" ({})", percent(taken)));
    vec![
        format!("CPU {}{}", or_unknown(part.cpu, cores), of(part.cpu_limit, &limit)),
        format!(
            "memory {}{}{taken}",
            or_unknown(part.resident_bytes, bytes),
            of(part.memory_limit_bytes, &bytes)
        ),
        format!("scrape {}", or_unknown(part.scrape_s, duration)),
    ]
}

fn hooks(part: &HookFigures) -> Vec<String> {
    let mut facts = vec![format!("asked {}", or_unknown(part.asked_per_s, rate))];
    let missed = part.missed.iter().flatten();
    facts.extend(missed.map(|(reason, missed)| format!("missed {reason} {}", rate(*missed))));
    facts.push(format!("under way {}", or_unknown(part.under_way, count)));
    facts.push(format!("suspended {}", or_unknown(part.suspended, count)));
    facts
}

fn presence(part: &PresenceFigures) -> Vec<String> {
    vec![
        format!("users {}", or_unknown(part.users, count)),
        format!("told {}", or_unknown(part.told_per_s, rate)),
        format!("waiting {}", or_unknown(part.waiting_bytes, bytes)),
        format!("oldest {}", or_unknown(part.oldest_s, age)),
        format!("lost {}", or_unknown(part.lost_per_s, rate)),
    ]
}

fn row(core: &CoreFigures, urgency: Urgency) -> CoreRow {
    let memory =
        core.send_queue_share().map_or(String::new(), |taken| format!(" {}", percent(taken)));
    let late_s = core.lag_s.unwrap_or_default().max(core.tick_age_s.unwrap_or_default() - 1.0);
    let turn = match (&core.task, core.tick_age_s) {
        (Some(task), _) => format!("{} {}", task.phase, duration(task.for_s)),
        (None, Some(tick)) => format!("{} ago", duration(tick)),
        (None, None) => UNKNOWN.to_owned(),
    };
    CoreRow {
        core: core.core,
        urgency,
        cells: [
            core.core.to_string(),
            count(core.connections),
            or_unknown(core.busy, percent),
            or_unknown(core.lag_s, duration),
            ring(core),
            or_unknown(core.send_queue_bytes, bytes) + &memory,
            or_unknown(core.late, percent),
            or_unknown(core.descriptors_share(), percent),
            or_unknown(core.mailbox, count),
            turn,
        ],
        detail: detail(core),
        connections: core.connections,
        busy: core.busy.unwrap_or_default(),
        late_s,
        memory: core.send_queue_bytes.unwrap_or_default(),
    }
}

/// Whether the kernel and the core have room for each other.
fn ring(core: &CoreFigures) -> String {
    match (core.ring_full_per_s, core.buffers_short_per_s, &core.task) {
        (Some(full), _, _) if 0.0 < full => format!("full {}", rate(full)),
        (_, Some(short), _) if 0.0 < short => format!("short {}", rate(short)),
        (_, _, Some(task)) => format!("{} ops", count(task.ring_operations as f64)),
        (Some(_), Some(_), None) => "ok".to_owned(),
        (_, _, None) => UNKNOWN.to_owned(),
    }
}

/// What only the page of tasks says, which wants a token; and what had no column.
fn detail(core: &CoreFigures) -> String {
    let mut facts = Vec::new();
    if let Some(task) = &core.task {
        facts.push(format!("{} for {}", task.phase, duration(task.for_s)));
        // The longest, and what is looked for when a core hangs.
        if !task.busy_with.is_empty() {
            facts.push(task.busy_with.clone());
        }
        facts.push(format!("timers {}", count(task.timers as f64)));
        facts.push(format!("asks cores {}", count(task.questions_open as f64)));
        facts.push(format!("asks store {}", count(task.store_requests as f64)));
    }
    facts.extend(core.tick_age_s.map(|tick| format!("turned {} ago", duration(tick))));
    facts.join(" · ")
}

fn heat(cores: &[CoreFigures], over: &[OverThreshold]) -> Vec<HeatRow> {
    let most = cores.iter().map(|core| core.connections).fold(1.0, f64::max);
    let row = |name, alerts: &[&str], heat: &dyn Fn(&CoreFigures) -> Option<f64>| {
        let cell = |core: &CoreFigures| {
            let is_here = |one: &&OverThreshold| {
                one.place == Place::Core(core.core) && alerts.contains(&one.alert)
            };
            let urgency = over.iter().filter(is_here).map(|one| one.urgency).max();
            HeatCell { heat: heat(core), urgency: urgency.unwrap_or_default() }
        };
        HeatRow { name, cells: cores.iter().map(cell).collect() }
    };
    vec![
        row("connections", &[], &|core| Some(core.connections / most)),
        row("busy", &["ChatCoreSaturated"], &|core| core.busy),
        row("lateness", &["ChatCoreHung", "ChatCoreLate"], &|core| Some(core.lag_s? / HOT_LAG_S)),
        row("ring", &["ChatUringOverflow", "ChatCoreMailboxFull"], &|core| {
            // Waiting receives are warm, and what has no room at all is over a threshold.
            Some((core.buffers_short_per_s? / 10.0).max(core.ring_full_per_s?))
        }),
        row("memory", &["ChatFdHeadroomLow"], &|core| {
            let descriptors = core.descriptors_share().unwrap_or_default();
            Some(core.send_queue_share()?.max(descriptors))
        }),
    ]
}
