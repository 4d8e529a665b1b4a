//! The runs behind the figures: which load against which server, and which
//! number is taken from it.
//!
//! rookery and the floor take turns, so that whatever else the machine does
//! meets both.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::busy::Others;
use super::child::{Kept, Kind, Placement, Purpose, SECRET, Server};
use super::figure::FigureName;
use super::group::{Group, Sizes};
use super::machine::wait_for_rest;
use super::scrape::{Scrape, Scraper};
use super::stores::Stores;
use crate::attack::Attack;
use crate::engine::{self, Setting, threads_for};
use crate::floor::Mode;
use crate::outcome::Outcome;
use crate::process::descriptors_max;
use crate::progress::Progress;
use crate::scenario::{Load, Pace, Scenario, WireFormat};

/// What all runs of a report found.
#[derive(Debug, Default)]
pub struct Measured {
    /// rookery's numbers, by figure.
    pub values: BTreeMap<FigureName, Vec<f64>>,
    /// The floor's numbers, by figure.
    pub floors: BTreeMap<FigureName, Vec<f64>>,
    /// What went wrong, by figure.
    pub faults: BTreeMap<FigureName, Vec<String>>,
    /// Every run of rookery.
    pub outcomes: Vec<Outcome>,
}

/// Runs loads, one server after the other.
pub struct Bench {
    /// Where rookery is.
    pub rookery: PathBuf,
    /// The first of the ports that servers get.
    pub port: u16,
    /// How large.
    pub sizes: Sizes,
    /// How the chat protocol is encoded.
    pub format: WireFormat,
    /// The seed of every scenario; the round is added.
    pub seed: u64,
    /// Where servers keep messages.
    pub stores: Stores,
    /// What one user does to a bystander.
    pub attacks: Vec<Attack>,
    /// What was found.
    pub measured: Measured,
}

/// One core each where there are two.
const SERVER_CORE: usize = 0;
pub(super) const CLIENT_CORE: usize = 1;

/// As the figures say.
const ECHOES: u32 = 64;
const OUTSTANDING: u32 = 256;
pub(super) const TALKERS: u32 = 100;
const DATA_BYTES: u32 = 128;

/// As Prometheus does, and often enough to be seen in a p99.
const SCRAPE_INTERVAL: Duration = Duration::from_secs(10);
const SCRAPE_OFTEN: Duration = Duration::from_secs(1);

/// The part of every core that others take.
const BUSY_PERCENT: u32 = 33;

/// What connect and subscribe with a token take, about.
const JOIN_BYTES: u32 = 250;

/// Connections of one shard where a descriptor table ends at 20,000.
const CONNECTIONS_PER_SHARD: u32 = 16_700;

/// Whether server and client get a core each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cores {
    Apart,
    Any,
}

impl Cores {
    /// A core apart needs a second one.
    pub(super) fn are_apart(self) -> bool {
        let has_two = 1 < std::thread::available_parallelism().map_or(1, usize::from);
        self == Cores::Apart && has_two
    }
}

impl Bench {
    /// One round of a group: rookery and the floor, one after the other.
    pub fn round(&mut self, group: Group, round: u64) {
        let ran = match group {
            Group::Million => self.million(round),
            Group::Paced => self.paced(round),
            Group::Saturated => self.saturated(round),
            Group::Echo => self.echo(round),
            Group::AmongIdle => self.among_idle(round),
            Group::Console => self.console(round),
            Group::Busy => self.busy(round),
            Group::Pressure => self.pressure(round),
            Group::Bystander => self.bystander(round),
            Group::Api => self.api(round),
            Group::ApiDurable => self.api_durable(round),
            Group::DurablePublish => self.durable_publish(round),
            Group::DurableRetention => self.durable_retention(round),
            Group::DurableFanout => self.durable_fanout(round),
            Group::DurableStorm => self.durable_storm(round),
            Group::DurableStart => self.durable_start(round),
        };
        if let Err(why) = ran {
            eprintln!("{}: {why}", group.name());
            for figure in group.figures() {
                self.measured.faults.entry(*figure).or_default().push(why.clone());
            }
        }
    }

    /// The floors go first: whoever is first makes the kernel build the slabs that
    /// the others find.
    fn million(&mut self, round: u64) -> Result<(), String> {
        let connections = self.sizes.connections;
        let hold_ms = self.sizes.hold_ms;
        let scenario = self.scenario(Load::Connect { hold_ms }, connections, 0, round);
        let greeting = Scenario { greeting_bytes: JOIN_BYTES, ..scenario.clone() };
        let empty = Load::Connect { hold_ms: 0 };
        let floor = self.run_floor(&scenario, empty, Mode::Hold, 0)?;
        let greeted = self.run_floor(&greeting, empty, Mode::Echo, 0)?;
        let (chat, scrapes) = self.run_scraped(&scenario, SCRAPE_INTERVAL)?;
        let all: Vec<&Scrape> =
            scrapes.iter().filter(|scrape| scrape.members == u64::from(connections)).collect();
        let cpu_ns = all.iter().map(|scrape| scrape.cpu_ns).max();
        let page_bytes = all.iter().map(|scrape| scrape.page_bytes).max();
        if let Some((cpu_ns, page_bytes)) = cpu_ns.zip(page_bytes) {
            eprintln!("  {} scrapes among all of them, {page_bytes} B, {cpu_ns} ns", all.len());
            self.value(FigureName::ScrapeCpu, cpu_ns as f64 / 1e6);
        }
        let each = |bytes: u64| bytes as f64 / f64::from(connections);
        self.value(FigureName::LiveConnections, chat.tally.answered as f64);
        self.value(FigureName::ConnectTime, chat.connect_ms as f64 / 1e3);
        self.floor(FigureName::ConnectTime, floor.connect_ms as f64 / 1e3);
        self.value(FigureName::JoinTime, chat.connect_ms as f64 / 1e3);
        self.floor(FigureName::JoinTime, greeted.connect_ms as f64 / 1e3);
        if let Some(after) = chat.server_after {
            self.value(FigureName::ResidentBytes, each(after.resident_bytes));
            if let Some(charged_bytes) = after.charged_bytes {
                self.value(FigureName::ChargedBytes, each(charged_bytes));
            }
        }
        if let Some(cpu_ns) = chat.server_cpu_ns() {
            let seconds = chat.measure_ns as f64 / 1e9;
            self.value(FigureName::IdleCpu, each(cpu_ns) / 1e3 / seconds);
            if let Some(busy_ns) = chat.machine_busy_ns() {
                self.value(FigureName::IdleBusy, each(busy_ns) / 1e3 / seconds);
            }
        }
        self.measured.outcomes.push(chat);
        Ok(())
    }

    /// As an operator would have it on a machine that others use, too: pings for
    /// proxies, and a third of every core taken, whatever priority the server has.
    fn busy(&mut self, round: u64) -> Result<(), String> {
        let connections = self.sizes.connections;
        let scenario =
            self.scenario(Load::Connect { hold_ms: self.sizes.hold_ms }, connections, 0, round);
        let others = Others::start(BUSY_PERCENT)?;
        let chat = self.run_rookery(&scenario, Cores::Any);
        drop(others);
        let chat = chat?;
        self.value(FigureName::BusyLive, chat.tally.answered as f64);
        self.measured.outcomes.push(chat);
        Ok(())
    }

    pub(super) fn fanout(&self, outstanding: u32, round: u64) -> Scenario {
        let (pace, measure_ms) = (Pace::Closed { outstanding }, self.sizes.measure_ms);
        let load = Load::Fanout { publishers: 1, pace, measure_ms };
        self.scenario(load, self.sizes.subscribers, self.sizes.subscribers, round)
    }

    fn paced(&mut self, round: u64) -> Result<(), String> {
        let scenario = self.fanout(1, round);
        let chat = self.run_rookery(&scenario, Cores::Apart)?;
        let bytes = frame_bytes(&chat);
        let floor = self.run_floor(&scenario, scenario.load, Mode::Fanout, bytes)?;
        self.cpu(FigureName::PacedCpu, &chat, &floor)?;
        self.measured.outcomes.push(chat);
        Ok(())
    }

    fn saturated(&mut self, round: u64) -> Result<(), String> {
        let chat = self.run_rookery(&self.fanout(OUTSTANDING, round), Cores::Apart)?;
        let single = self.fanout(1, round);
        let floor = self.run_floor(&single, single.load, Mode::Fanout, frame_bytes(&chat))?;
        self.value(FigureName::SaturatedRate, chat.deliveries_per_s());
        self.cpu(FigureName::SaturatedCpu, &chat, &floor)?;
        self.measured.outcomes.push(chat);
        Ok(())
    }

    fn echo(&mut self, round: u64) -> Result<(), String> {
        let (pace, measure_ms) = (Pace::Closed { outstanding: 1 }, self.sizes.measure_ms);
        let scenario = self.scenario(Load::Echo { pace, measure_ms }, ECHOES, ECHOES, round);
        let chat = self.run_rookery(&scenario, Cores::Apart)?;
        let floor = self.run_floor(&scenario, scenario.load, Mode::Echo, 0)?;
        self.cpu(FigureName::EchoCpu, &chat, &floor)?;
        self.measured.outcomes.push(chat);
        Ok(())
    }

    fn among_idle(&mut self, round: u64) -> Result<(), String> {
        let pace = Pace::Open { per_s: self.sizes.rate };
        let load = Load::Echo { pace, measure_ms: self.sizes.measure_ms };
        let many = self.scenario(load, self.sizes.idle + TALKERS, TALKERS, round);
        // The same server, as many shards, without the idle ones. It has few connections to
        // make, so what the kernel still takes down of the run before would be in its latency;
        // among idle ones that is over long before the last of them is in.
        wait_for_rest();
        let few = Scenario { connections: TALKERS, threads: 1, ..many.clone() };
        let shards = shards_for(many.connections);
        let alone = self.run_rookery_with(&few, Cores::Any, shards)?;
        let chat = self.run_rookery(&many, Cores::Any)?;
        let ms = |outcome: &Outcome| outcome.latency.p99_ns as f64 / 1e6;
        self.value(FigureName::LatencyAmongIdle, ms(&chat));
        self.floor(FigureName::LatencyAmongIdle, ms(&alone));
        let (scraped, scrapes) = self.run_scraped(&many, SCRAPE_OFTEN)?;
        eprintln!("  {} scrapes", scrapes.len());
        self.value(FigureName::ScrapeLatency, ms(&scraped));
        self.floor(FigureName::ScrapeLatency, ms(&chat));
        self.measured.outcomes.push(chat);
        Ok(())
    }

    /// Latency against load: echoes at rising rates, for a plot.
    pub fn latency_at(&mut self, per_s: u32) -> Result<Outcome, String> {
        let measure_ms = self.sizes.measure_ms.min(3_000);
        let load = Load::Echo { pace: Pace::Open { per_s }, measure_ms };
        let scenario = self.scenario(load, ECHOES, ECHOES, u64::from(per_s));
        self.run_rookery(&scenario, Cores::Apart)
    }

    pub(super) fn scenario(
        &self,
        load: Load,
        connections: u32,
        active: u32,
        round: u64,
    ) -> Scenario {
        Scenario {
            seed: self.seed + round,
            load,
            format: self.format,
            connections,
            active,
            room_members: 10,
            data_bytes: DATA_BYTES,
            greeting_bytes: 0,
            threads: threads_for(connections, descriptors_max()),
            handshakes_max: 512,
        }
    }

    pub(super) fn run_rookery(
        &mut self,
        scenario: &Scenario,
        cores: Cores,
    ) -> Result<Outcome, String> {
        self.run_rookery_with(scenario, cores, shards_for(scenario.connections))
    }

    fn run_rookery_with(
        &mut self,
        scenario: &Scenario,
        cores: Cores,
        shards: u16,
    ) -> Result<Outcome, String> {
        let connections = scenario.connections.max(u32::from(shards - 1) * CONNECTIONS_PER_SHARD);
        let kind = self.kind(connections, None);
        self.run("rookery", &kind, scenario, cores, shards)
    }

    pub(super) fn kind(&self, connections: u32, store: Option<Kept>) -> Kind {
        self.kind_for(connections, store, Purpose::Load)
    }

    pub(super) fn kind_for(&self, connections: u32, store: Option<Kept>, purpose: Purpose) -> Kind {
        Kind::Rookery { binary: self.rookery.clone(), connections, store, purpose }
    }

    /// The same while somebody scrapes.
    fn run_scraped(
        &mut self,
        scenario: &Scenario,
        interval: Duration,
    ) -> Result<(Outcome, Vec<Scrape>), String> {
        let connections = scenario.connections;
        let kind = self.kind_for(connections, None, Purpose::Direct);
        let server = self.start(&kind, Cores::Any, shards_for(connections))?;
        let scraper = Scraper::start(server.admin(), server.process.clone(), interval);
        let outcome = load("rookery, scraped", &server, scenario, Cores::Any);
        let scrapes = scraper.finish()?;
        Ok((outcome?, scrapes))
    }

    /// The same load on the bare ring. `frame_bytes` above 0 makes its frames
    /// as long as those that rookery sent.
    fn run_floor(
        &mut self,
        scenario: &Scenario,
        load: Load,
        mode: Mode,
        frame_bytes: u32,
    ) -> Result<Outcome, String> {
        let data_bytes = if 0 < frame_bytes { frame_bytes } else { scenario.data_bytes };
        let plain = Scenario { format: WireFormat::Plain, load, data_bytes, ..scenario.clone() };
        let cores = if plain.threads == 1 { Cores::Apart } else { Cores::Any };
        self.run("floor", &Kind::Floor { mode }, &plain, cores, shards_for(plain.connections))
    }

    fn run(
        &mut self,
        who: &str,
        kind: &Kind,
        scenario: &Scenario,
        cores: Cores,
        shards: u16,
    ) -> Result<Outcome, String> {
        let server = self.start(kind, cores, shards)?;
        load(who, &server, scenario, cores)
    }

    /// Starts a server at the next place.
    pub(super) fn start(
        &mut self,
        kind: &Kind,
        cores: Cores,
        shards: u16,
    ) -> Result<Server, String> {
        let core = cores.are_apart().then_some(SERVER_CORE);
        let place = Placement { port: self.port, shards, core };
        // No port is used twice: what the last server left is no matter.
        self.port += Placement::PORTS;
        Server::start(kind, place)
    }

    pub(super) fn cpu(
        &mut self,
        figure: FigureName,
        chat: &Outcome,
        floor: &Outcome,
    ) -> Result<(), String> {
        let missing = || "no CPU time of the server".to_owned();
        self.value(figure, chat.cpu_us_per_delivery().ok_or_else(missing)?);
        self.floor(figure, floor.cpu_us_per_delivery().ok_or_else(missing)?);
        Ok(())
    }

    pub(super) fn value(&mut self, figure: FigureName, value: f64) {
        self.measured.values.entry(figure).or_default().push(value);
    }

    pub(super) fn floor(&mut self, figure: FigureName, value: f64) {
        self.measured.floors.entry(figure).or_default().push(value);
    }
}

/// One load against a server; a run whose counts do not agree is an error.
pub(super) fn load(
    who: &str,
    server: &Server,
    scenario: &Scenario,
    cores: Cores,
) -> Result<Outcome, String> {
    eprintln!("{who}: {} with {} connections", scenario.load.name(), scenario.connections);
    let client_cores = if cores.are_apart() { vec![CLIENT_CORE] } else { Vec::new() };
    let setting = Setting {
        secret: Some(SECRET.to_owned()),
        server: Some(server.process.clone()),
        cores: client_cores,
        ..Setting::default()
    };
    let mut progress = Progress::new();
    let ran = engine::run(scenario, &server.target, &setting, &mut progress);
    drop(progress);
    let (outcome, error_messages) = ran.map_err(|failure| failure.to_string())?;
    outcome.lines().iter().for_each(|line| eprintln!("  {line}"));
    let faults = outcome.tally.faults();
    if faults.is_empty() {
        return Ok(outcome);
    }
    let first = error_messages.first().map(String::as_str).unwrap_or_default();
    Err(format!("{who}: {} ({first})", faults.join(", ")))
}

/// Payload bytes of a frame that a subscriber got, the header of 4 left out.
fn frame_bytes(outcome: &Outcome) -> u32 {
    const HEADER_BYTES: u64 = 4;
    let tally = &outcome.tally;
    let each = tally.received_bytes.checked_div(tally.delivered).unwrap_or_default();
    each.saturating_sub(HEADER_BYTES) as u32
}

pub(super) fn shards_for(connections: u32) -> u16 {
    connections.div_ceil(CONNECTIONS_PER_SHARD).max(1) as u16
}
