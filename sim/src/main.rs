//! Replays worlds from their seeds.

use std::ops::Range;
use std::process::ExitCode;

use clap::Parser;
use rookery_sim::digest::Digest;
use rookery_sim::mutation::{Mutation, Mutator};
use rookery_sim::{Scenario, Trace, run};

/// Whole servers from seeds, with faults and checkers.
#[derive(Parser)]
#[command(name = "rookery-sim")]
struct Arguments {
    /// Replays one world.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Lets many worlds happen, one after the other: A..B.
    #[arg(long, value_parser = range, default_value = "0..200")]
    seeds: Range<u64>,
    /// Steps of chaos in each world.
    #[arg(long)]
    steps: Option<u64>,
    /// Worlds with rooms on disk, direct messages, and crashes.
    #[arg(long)]
    store: bool,
    /// Worlds with a store in which some ask for all that they can, all the time.
    #[arg(long, conflicts_with = "store")]
    pressed: bool,
    /// Worlds with a store in which one user asks for all that it can, by many connections.
    #[arg(long, conflicts_with_all = ["store", "pressed"])]
    crowded: bool,
    /// Worlds with an application's backend that is asked by hooks.
    #[arg(long, conflicts_with_all = ["store", "pressed", "crowded"])]
    hooked: bool,
    /// Worlds in which a backend removes what was said.
    #[arg(long, conflicts_with_all = ["store", "pressed", "crowded", "hooked"])]
    removed: bool,
    /// Worlds with a store, in which a backend changes who is in groups.
    #[arg(long, conflicts_with_all = ["store", "pressed", "crowded", "hooked", "removed"])]
    grouped: bool,
    /// Tells what happens.
    #[arg(long)]
    trace: bool,
    /// Prints a number for all that happened in these worlds: equal for two builds that
    /// behave alike.
    #[arg(long)]
    digest: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seeds = arguments.seed.map_or(arguments.seeds, |seed| seed..seed.saturating_add(1));
    let trace = if arguments.trace { Trace::Printed } else { Trace::Silent };
    let (mut passed, mut failed) = (0, 0);
    let mut digest = Digest::default();
    for seed in seeds {
        let draw = match (arguments.store, arguments.pressed, arguments.crowded) {
            _ if arguments.hooked => Scenario::draw_hooked,
            _ if arguments.removed => Scenario::draw_removed,
            _ if arguments.grouped => Scenario::draw_grouped,
            (_, _, true) => Scenario::draw_crowded,
            (_, true, false) => Scenario::draw_pressed,
            (true, false, false) => Scenario::draw_stored,
            (false, false, false) => Scenario::draw,
        };
        let mut scenario = draw(seed);
        scenario.steps_count = arguments.steps.unwrap_or(scenario.steps_count);
        match run(&scenario, Mutator::new(Mutation::None, 0), trace) {
            Ok(summary) => {
                passed += 1;
                digest.join(summary.digest);
                if arguments.seed.is_some() {
                    println!("seed {seed}: {summary:?}");
                }
            }
            Err(violation) => {
                failed += 1;
                println!("seed {seed}: {violation}");
            }
        }
    }
    if arguments.digest {
        println!("digest {:016x}", digest.value());
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let bad = || format!("`{text}` is not of the form A..B");
    let (from, to) = text.split_once("..").ok_or_else(bad)?;
    Ok(from.parse().map_err(|_| bad())?..to.parse().map_err(|_| bad())?)
}
