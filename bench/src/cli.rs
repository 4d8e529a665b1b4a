//! The command line: which load, against what, and where the outcome goes.
//!
//! The process ends with 1 when a count of a run does not agree, and with 2
//! when it could not run at all.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::attack::{self, Attack};
use crate::backend;
use crate::busy;
use crate::disks;
use crate::engine::{self, Setting, Target};
use crate::floor::{self, Floor};
use crate::outcome::write_json;
use crate::process::Process;
use crate::progress::Progress;
use crate::report;
use crate::scenario::{Load, Pace, Scenario, WireFormat};

/// Where the secret comes from when it is not given.
const SECRET_VARIABLE: &str = "ROOKERY_BENCH_SECRET";

/// Loads for servers that speak the Centrifugal client protocol.
#[derive(Debug, Parser)]
#[command(name = "rookery-bench", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connections come, stay, and have to answer at the end.
    Connect {
        #[command(flatten)]
        common: Common,
        /// How long they stay.
        #[arg(long, default_value_t = 5_000)]
        hold_ms: u64,
    },
    /// Each active connection publishes into its own room and waits for its message.
    Echo {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        timing: Timing,
        /// Connections that do so; the others are idle.
        #[arg(long, default_value_t = 64)]
        active: u32,
    },
    /// One room of many: every message reaches every member.
    Fanout {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        timing: Timing,
        /// Members of the room; all connections if not given.
        #[arg(long)]
        subscribers: Option<u32>,
        /// Members that publish.
        #[arg(long, default_value_t = 1)]
        publishers: u32,
    },
    /// All drop at once, and come back with recovery.
    Storm {
        #[command(flatten)]
        common: Common,
        /// Messages of each room that are said while they are away.
        #[arg(long, default_value_t = 5)]
        missed: u32,
        /// Connections that stay, and talk to themselves before and during the storm.
        #[arg(long, default_value_t = 0)]
        active: u32,
        /// Messages a second over all of these.
        #[arg(long, default_value_t = 500)]
        rate: u32,
        /// How long they talk before the storm.
        #[arg(long, default_value_t = 5_000)]
        calm_ms: u64,
    },
    /// A steady mix of messages, and of connections that drop and recover.
    Soak {
        #[command(flatten)]
        common: Common,
        /// For how long.
        #[arg(long, default_value_t = 60_000)]
        measure_ms: u64,
        /// Rooms that are spoken in.
        #[arg(long, default_value_t = 1)]
        active: u32,
        /// Messages a second over all of them.
        #[arg(long, default_value_t = 100)]
        rate: u32,
        /// Connections a second that drop and come back.
        #[arg(long, default_value_t = 10)]
        churn: u32,
    },
    /// Runs a scenario again, from the JSON of an earlier run.
    Again {
        /// A file that `--json` wrote.
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// A bare ring that upgrades and sends frames, without a chat server.
    Floor {
        /// Where it listens.
        #[arg(long, default_value = "127.0.0.1:8001")]
        listen: SocketAddr,
        /// Rings, each with a thread of its own.
        #[arg(long, default_value_t = 1)]
        shards: u16,
        /// What it does with a frame.
        #[arg(long, value_enum, default_value = "echo")]
        mode: floor::Mode,
    },
    /// One user does the worst it can, in one of several ways.
    Attack {
        /// Which way.
        #[arg(value_enum)]
        attack: Attack,
        /// The server.
        #[arg(long, default_value = "ws://127.0.0.1:8000/connection/websocket")]
        url: String,
        /// Signs the attacker's token by HS256; or ROOKERY_BENCH_SECRET.
        #[arg(long, env = SECRET_VARIABLE)]
        secret: String,
        /// For how long.
        #[arg(long, default_value_t = 10_000)]
        for_ms: u64,
    },
    /// Publishes by the server API as fast as it is answered.
    Backend {
        /// The listener of the API.
        #[arg(long, default_value = "127.0.0.1:8002")]
        api: SocketAddr,
        /// A key with the scope `publish`, for channels `room:*`; or ROOKERY_BENCH_API_KEY.
        #[arg(long, env = "ROOKERY_BENCH_API_KEY")]
        key: String,
        /// Connections, each with one call under way.
        #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=256))]
        connections: u32,
        /// Messages in one call: 1 for `publish`, more for a `batch`.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
        batch: u32,
        /// Bytes of each message's data.
        #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u32).range(2..=65536))]
        bytes: u32,
        /// For how long.
        #[arg(long, default_value_t = 10_000)]
        for_ms: u64,
    },
    /// Takes a part of every core, until it is ended.
    Busy {
        /// The part of each core that is taken.
        #[arg(long, default_value_t = 33, value_parser = clap::value_parser!(u32).range(1..=99))]
        percent: u32,
    },
    /// The bare disk: batches in fjall and in the log, in turns, and no server.
    Disks {
        /// A directory that exists, on the disk that is measured.
        #[arg(long)]
        dir: PathBuf,
        /// Messages in a batch, one size after the other; a batch of the log has at most 256 KiB.
        #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 116, 256, 900])]
        batches: Vec<u32>,
        /// Bytes of a message.
        #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=65536))]
        bytes: u32,
        /// For how long each.
        #[arg(long, default_value_t = 3_000)]
        measure_ms: u64,
        /// How often, for medians.
        #[arg(long, default_value_t = 3)]
        rounds: u32,
    },
    /// rookery and the floor in turns, as figures beside their goals.
    Report(report::Arguments),
}

/// What every load has.
#[derive(Debug, Args)]
struct Common {
    #[command(flatten)]
    place: Place,
    /// Connections in all.
    #[arg(short = 'n', long, default_value_t = 1_000)]
    connections: u32,
    /// Members of each room of idle connections.
    #[arg(long, default_value_t = 10)]
    room_members: u32,
    /// How the chat protocol is encoded.
    #[arg(long, value_enum, default_value = "protobuf")]
    encoding: EncodingName,
    /// Raw binary frames instead of the chat protocol, for the floor.
    #[arg(long)]
    plain: bool,
    /// With --plain: each connection first has a frame of so many bytes come back.
    #[arg(long, default_value_t = 0, requires = "plain", value_parser = clap::value_parser!(u32).range(0..=60_000))]
    greeting: u32,
    /// Bytes of a message's data.
    #[arg(long, default_value_t = 128)]
    bytes: u32,
    /// Client threads; as many as the descriptor limit needs, if not given.
    #[arg(long)]
    threads: Option<u16>,
    /// Handshakes under way at a time.
    #[arg(long, default_value_t = 512)]
    handshakes: u32,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Against what, and where the outcome goes.
#[derive(Debug, Args)]
struct Place {
    /// The server.
    #[arg(long, default_value = "ws://127.0.0.1:8000/connection/websocket")]
    url: String,
    /// Signs tokens by HS256; or ROOKERY_BENCH_SECRET. Without it, clients are anonymous.
    #[arg(long)]
    secret: Option<String>,
    /// The server's process, whose memory and CPU time are looked at.
    #[arg(long)]
    pid: Option<u32>,
    /// Cores for the client's threads in turn, such as 1,2,3.
    #[arg(long, value_delimiter = ',')]
    cores: Vec<usize>,
    /// Writes the outcome here.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// When messages are sent.
#[derive(Debug, Args)]
struct Timing {
    /// For how long.
    #[arg(long, default_value_t = 10_000)]
    measure_ms: u64,
    /// Messages a second at fixed times, whatever the server does (open loop).
    #[arg(long, conflicts_with = "outstanding")]
    rate: Option<u32>,
    /// Messages that may be under way (closed loop).
    #[arg(long, default_value_t = 1)]
    outstanding: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EncodingName {
    Json,
    Protobuf,
}

impl Timing {
    fn pace(&self) -> Pace {
        match self.rate {
            Some(per_s) => Pace::Open { per_s },
            None => Pace::Closed { outstanding: self.outstanding },
        }
    }
}

impl Common {
    fn scenario(&self, load: Load, active: u32) -> Scenario {
        let format = match (self.plain, self.encoding) {
            (true, _) => WireFormat::Plain,
            (false, EncodingName::Json) => WireFormat::Json,
            (false, EncodingName::Protobuf) => WireFormat::Protobuf,
        };
        let descriptors = crate::process::descriptors_max();
        // Those who stay in a storm have a thread for themselves.
        let stay = u16::from(matches!(load, Load::Storm { .. }) && 0 < active);
        let needed = engine::threads_for(self.connections, descriptors) + stay;
        Scenario {
            seed: self.seed,
            load,
            format,
            connections: self.connections,
            active,
            room_members: self.room_members,
            data_bytes: self.bytes,
            greeting_bytes: self.greeting,
            threads: self.threads.unwrap_or(needed),
            handshakes_max: self.handshakes,
        }
    }
}

/// Runs what the command line says.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Floor { listen, shards, mode } => serve_floor(listen, shards, mode),
        Command::Report(arguments) => report::main(&arguments),
        Command::Again { file, place } => again(&file, &place),
        Command::Busy { percent } => busy::run(percent),
        Command::Disks { dir, batches, bytes: message_bytes, measure_ms, rounds } => {
            disks::run(&dir, &disks::Arguments { batches, message_bytes, measure_ms, rounds })
        }
        Command::Attack { attack, url, secret, for_ms } => {
            attack_server(attack, &url, secret, for_ms)
        }
        Command::Backend { api, key, connections, batch, bytes: data_bytes, for_ms } => {
            publish(&backend::Options { api, key, connections, batch, data_bytes, for_ms })
        }
        Command::Connect { common, hold_ms } => {
            run(&common.scenario(Load::Connect { hold_ms }, 0), &common.place)
        }
        Command::Echo { common, timing, active } => {
            let load = Load::Echo { pace: timing.pace(), measure_ms: timing.measure_ms };
            run(&common.scenario(load, active), &common.place)
        }
        Command::Fanout { common, timing, subscribers, publishers } => {
            let (pace, measure_ms) = (timing.pace(), timing.measure_ms);
            let load = Load::Fanout { publishers, pace, measure_ms };
            let subscribers = subscribers.unwrap_or(common.connections);
            run(&common.scenario(load, subscribers), &common.place)
        }
        Command::Storm { common, missed, active, rate, calm_ms } => {
            // Nobody talks in a calm without those who stay.
            let calm_ms = if active == 0 { 0 } else { calm_ms };
            let load = Load::Storm { missed, per_s: rate, calm_ms };
            run(&common.scenario(load, active), &common.place)
        }
        Command::Soak { common, measure_ms, active, rate, churn } => {
            let load = Load::Soak { per_s: rate, churn_per_s: churn, measure_ms };
            run(&common.scenario(load, active), &common.place)
        }
    };
    match outcome {
        Ok(code) => code,
        Err(why) => {
            eprintln!("rookery-bench: {why}");
            ExitCode::from(2)
        }
    }
}

fn serve_floor(listen: SocketAddr, shards: u16, mode: floor::Mode) -> Result<ExitCode, String> {
    let floor = Floor::start(floor::Options { listen, shards, mode })?;
    eprintln!("the floor listens on {}", floor.addr);
    floor.wait();
    Ok(ExitCode::SUCCESS)
}

fn attack_server(
    attack: Attack,
    url: &str,
    secret: String,
    for_ms: u64,
) -> Result<ExitCode, String> {
    let target = Target::parse(url).map_err(|flaw| flaw.to_string())?;
    let options = attack::Options { attack, target, secret, for_ms };
    show(&attack::run(&options, || println!("{}", report::BEGUN))?)
}

fn publish(options: &backend::Options) -> Result<ExitCode, String> {
    println!("{}", report::BEGUN);
    show(&backend::run(options)?)
}

fn show(outcome: &impl serde::Serialize) -> Result<ExitCode, String> {
    let text = serde_json::to_string_pretty(outcome).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}

fn again(file: &Path, place: &Place) -> Result<ExitCode, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let outcome: crate::outcome::Outcome = serde_json::from_str(&text)
        .map_err(|error| format!("{} is not of a run: {error}", file.display()))?;
    run(&outcome.scenario, place)
}

fn run(scenario: &Scenario, place: &Place) -> Result<ExitCode, String> {
    let target = Target::parse(&place.url).map_err(|flaw| flaw.to_string())?;
    let server = match place.pid {
        Some(pid) => Some(Process::find(pid).map_err(|error| format!("process {pid}: {error}"))?),
        None => None,
    };
    let secret = place.secret.clone().or_else(|| std::env::var(SECRET_VARIABLE).ok());
    let setting = Setting { secret, server, cores: place.cores.clone(), ..Setting::default() };
    let mut progress = Progress::new();
    let ran = engine::run(scenario, &target, &setting, &mut progress);
    drop(progress);
    let (outcome, error_messages) = ran.map_err(|failure| failure.to_string())?;
    for line in outcome.lines() {
        println!("{line}");
    }
    if let Some(path) = &place.json {
        write_json(path, &outcome)?;
    }
    let faults = outcome.tally.faults();
    for fault in &faults {
        eprintln!("FAULT: {fault}");
    }
    const ERROR_MESSAGES_SHOWN_MAX: usize = 10;
    for complaint in error_messages.iter().take(ERROR_MESSAGES_SHOWN_MAX) {
        eprintln!("  {complaint}");
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let cli = Cli::parse_from(["rookery-bench", "fanout", "-n", "50", "--rate", "9"]);
        match cli.command {
            Command::Fanout { common, timing, subscribers, publishers } => {
                assert_eq!(timing.pace(), Pace::Open { per_s: 9 });
                assert_eq!((common.connections, subscribers, publishers), (50, None, 1));
            }
            other => panic!("{other:?}"),
        }
    }
}
