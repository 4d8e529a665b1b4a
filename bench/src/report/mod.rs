//! rookery beside the bare ring, in one run: every figure with its goal, as
//! JSON, as a Markdown table, and as two plots.
//!
//! Deliberately absent: how a load runs (`engine`).

mod api;
mod busy;
mod bystander;
mod child;
mod console;
mod durable;
mod figure;
mod group;
mod machine;
mod markdown;
mod measure;
mod pressure;
mod scrape;
mod stores;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

pub use bystander::BEGUN;
pub use figure::{Definition, Figure, FigureName, Goal, GoalIs, GoalOf};
pub use machine::Machine;
pub use markdown::table;

use crate::attack::Attack;
use crate::outcome::write_json;
use crate::plot;
use crate::scenario::WireFormat;
use group::{Group, Sizes};
use measure::{Bench, Measured};
use stores::Stores;

/// What a report is told.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The rookery binary; the one beside this program if not given.
    #[arg(long)]
    rookery: Option<PathBuf>,
    /// Only this figure, or this group: echo, paced, saturated, durable-publish,
    /// durable-retention, durable-fanout, durable-storm, durable-start, bystander,
    /// pressure, api, api-durable, among-idle, console, million, busy; or `durable` for all of those.
    #[arg(long, alias = "figure")]
    only: Option<String>,
    /// Rounds of rookery and floor in turn; the figures are medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=99))]
    rounds: u64,
    /// Small sizes, to see that everything works.
    #[arg(long)]
    quick: bool,
    /// Connections of the largest run, instead of 1,000,000.
    #[arg(long)]
    connections: Option<u32>,
    /// Idle connections beside the measured messages, instead of 500,000.
    #[arg(long)]
    idle: Option<u32>,
    /// How the chat protocol is encoded.
    #[arg(long, value_enum, default_value = "protobuf")]
    encoding: Encoding,
    /// The first port for servers; each takes three, and none is used twice.
    #[arg(long, default_value_t = 24_100)]
    port: u16,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where servers keep messages meanwhile; on the disk that is to be measured.
    #[arg(long, default_value = "target/bench-store")]
    store: PathBuf,
    /// Channels with messages that a server starts with, instead of 100,000.
    #[arg(long)]
    channels: Option<u32>,
    /// Clients that come back at once, instead of 50,000.
    #[arg(long)]
    storm: Option<u32>,
    /// Where report.json, report.md and the plots go.
    #[arg(long, default_value = "bench/results")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Encoding {
    Json,
    Protobuf,
}

/// A report as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// On which machine.
    pub machine: Machine,
    /// The commit; `-dirty` behind it when files were changed since.
    pub commit: String,
    /// What was measured.
    pub figures: Vec<Figure>,
}

/// Measures, writes, and says whether every goal was reached. A goal that was
/// not reached is no failure of the command; a run that went wrong is one.
pub fn main(arguments: &Arguments) -> Result<ExitCode, String> {
    let groups = groups(arguments.only.as_deref())?;
    let mut bench = bench(arguments)?;
    for round in 0..arguments.rounds {
        for group in &groups {
            bench.round(*group, round);
        }
    }
    let names = groups.iter().flat_map(|group| group.figures());
    let figures: Vec<Figure> = names
        .filter(|name| match arguments.only.as_deref() {
            Some(only) => is_wanted(only, **name),
            None => true,
        })
        .map(|name| put_together(*name, &bench.measured))
        .collect();
    let report = Report { machine: Machine::look(&arguments.store), commit: commit(), figures };
    write(arguments, &report, &mut bench)?;
    println!("{}", table(&report));
    let has_failed = report.figures.iter().any(|figure| !figure.faults.is_empty());
    Ok(if has_failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// All groups whose servers keep messages on disk.
const DURABLE: &str = "durable";

/// Whether a word names the figure, or the group that it comes from.
fn is_wanted(only: &str, name: FigureName) -> bool {
    let is_group = Group::ALL.iter().any(|group| group.name() == only);
    is_group || only == DURABLE || name.definition().name == only
}

fn groups(only: Option<&str>) -> Result<Vec<Group>, String> {
    let Some(only) = only else { return Ok(Group::ALL.to_vec()) };
    let has = |group: &Group| {
        group.name() == only
            || (only == DURABLE && group.is_durable())
            || group.figures().iter().any(|name| name.definition().name == only)
    };
    let chosen: Vec<Group> = Group::ALL.into_iter().filter(has).collect();
    if chosen.is_empty() {
        let figures = FigureName::ALL.map(|name| name.definition().name).join(", ");
        let groups = Group::ALL.map(Group::name).join(", ");
        return Err(format!("no figure `{only}`; there are {figures}, and the groups {groups}"));
    }
    Ok(chosen)
}

/// The one whose figure is asked for, or all.
fn attacks(only: Option<&str>) -> Vec<Attack> {
    let is_asked =
        |attack: &Attack| only.is_none_or(|only| is_wanted(only, FigureName::Bystander(*attack)));
    Attack::ALL.into_iter().filter(is_asked).collect()
}

fn bench(arguments: &Arguments) -> Result<Bench, String> {
    let rookery = match &arguments.rookery {
        Some(path) => path.clone(),
        None => {
            std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("rookery")
        }
    };
    if !rookery.exists() {
        return Err(format!("no rookery at {}: build it, or use --rookery", rookery.display()));
    }
    let mut sizes = if arguments.quick { Sizes::QUICK } else { Sizes::FULL };
    sizes.connections = arguments.connections.unwrap_or(sizes.connections);
    sizes.idle = arguments.idle.unwrap_or(sizes.idle);
    sizes.channels = arguments.channels.unwrap_or(sizes.channels);
    sizes.storm = arguments.storm.unwrap_or(sizes.storm);
    let format = match arguments.encoding {
        Encoding::Json => WireFormat::Json,
        Encoding::Protobuf => WireFormat::Protobuf,
    };
    let (port, seed) = (arguments.port, arguments.seed);
    let stores = Stores::new(&arguments.store)?;
    let attacks = attacks(arguments.only.as_deref());
    let measured = Measured::default();
    Ok(Bench { rookery, port, sizes, format, seed, stores, attacks, measured })
}

fn put_together(name: FigureName, measured: &Measured) -> Figure {
    let values = measured.values.get(&name).map_or(&[][..], Vec::as_slice);
    let floors = measured.floors.get(&name).map_or(&[][..], Vec::as_slice);
    let faults = measured.faults.get(&name).map_or(&[][..], Vec::as_slice);
    Figure::new(name, values, floors, faults)
}

fn write(arguments: &Arguments, report: &Report, bench: &mut Bench) -> Result<(), String> {
    let out = &arguments.out;
    let failed = |error: std::io::Error| format!("{}: {error}", out.display());
    write_json(&out.join("report.json"), report)?;
    fs::write(out.join("report.md"), table(report)).map_err(failed)?;
    let ramps = bench.measured.outcomes.iter().map(|outcome| &outcome.ramp);
    let largest = ramps.max_by_key(|ramp| ramp.last().map_or(0, |point| point.connections));
    if let Some(ramp) = largest.filter(|ramp| !ramp.is_empty()) {
        let svg = plot::memory_against_connections(ramp)?;
        fs::write(out.join("memory.svg"), svg).map_err(failed)?;
    }
    if arguments.only.is_none() {
        let svg = plot::latency_against_load(&latencies(arguments, bench))?;
        fs::write(out.join("latency.svg"), svg).map_err(failed)?;
    }
    Ok(())
}

/// Echoes at rising rates, until the server cannot follow.
fn latencies(arguments: &Arguments, bench: &mut Bench) -> Vec<plot::LoadPoint> {
    const FULL: [u32; 7] = [1_000, 2_000, 5_000, 10_000, 20_000, 40_000, 60_000];
    let rates = if arguments.quick { &FULL[..2] } else { &FULL[..] };
    let mut points = Vec::new();
    for per_s in rates {
        match bench.latency_at(*per_s) {
            Ok(outcome) => {
                points.push(plot::LoadPoint { per_s: *per_s, latency: outcome.latency });
            }
            Err(why) => {
                eprintln!("latency at {per_s}/s: {why}");
                break;
            }
        }
    }
    points
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else { return "unknown".to_owned() };
    let is_dirty = git(&["status", "--porcelain", "-uno"]).is_some_and(|list| !list.is_empty());
    if is_dirty { format!("{commit}-dirty") } else { commit }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_report_has_the_promised_shape() {
        let faults = ["a run went wrong".to_owned()];
        let figures = FigureName::ALL.map(|name| Figure::new(name, &[3.0, 1.0, 2.0], &[4.0], &[]));
        let mut figures = figures.to_vec();
        figures.push(Figure::new(FigureName::EchoCpu, &[], &[], &faults));
        let report =
            Report { machine: Machine::look(Path::new("/")), commit: "c".to_owned(), figures };
        let json = serde_json::to_value(&report).unwrap();
        for key in ["machine", "commit", "figures"] {
            assert!(json.get(key).is_some(), "{key}");
        }
        for figure in json["figures"].as_array().unwrap() {
            for key in ["name", "unit", "runs", "value", "floor", "ratio", "goal", "reached"] {
                assert!(figure.get(key).is_some(), "{key}");
            }
            assert!(figure["goal_of"].is_string() && figure["goal_is"].is_string());
        }
        assert_eq!(json["figures"][0]["value"], 2.0);
        assert_eq!(json["figures"][0]["ratio"], 0.5);
        assert!(report.machine.memory_bytes > 0 && !report.machine.kernel.is_empty());
        let back: Report = serde_json::from_value(json).unwrap();
        assert_eq!(back, report);
    }

    #[test]
    fn every_figure_comes_from_one_group_and_can_be_asked_for() {
        for name in FigureName::ALL {
            let word = name.definition().name;
            assert_eq!(groups(Some(word)).unwrap().len(), 1, "{word}");
            assert!(is_wanted(word, name) && !is_wanted("nothing", name));
        }
        assert_eq!(groups(Some("million")).unwrap(), [Group::Million]);
        assert!(is_wanted("million", FigureName::IdleCpu));
        assert_eq!(groups(Some("durable")).unwrap().len(), 6);
        assert_eq!(groups(None).unwrap().len(), Group::ALL.len());
        let pings = FigureName::Bystander(Attack::Pings).definition().name;
        assert_eq!(attacks(Some(pings)), [Attack::Pings]);
        assert_eq!(attacks(Some("bystander")), Attack::ALL);
        assert_eq!(attacks(None), Attack::ALL);
        assert!(groups(Some("x")).unwrap_err().contains("echo_cpu"));
    }
}
