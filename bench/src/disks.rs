//! The bare disk in two ways, in turns: batches in fjall, and in a log of our own.
//!
//! Deliberately absent: servers.

use std::path::Path;
use std::process::ExitCode;

use rookery::log_disk::FileAccess;

use crate::disk_loop::{self, Found, Options};
use crate::log_loop::{self, LogUse, Overlap};
use crate::stats::median;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// Messages in a batch, one size after the other.
    pub batches: Vec<u32>,
    /// Bytes of a message.
    pub message_bytes: u32,
    /// For how long each.
    pub measure_ms: u64,
    /// How often.
    pub rounds: u32,
}

/// One way to keep batches.
type Way = (&'static str, fn(&Path, Options) -> Result<Found, String>);

const WAYS: [Way; 3] = [
    ("fjall", disk_loop::run),
    ("log", |dir, options| run_log(dir, options, Overlap::None)),
    ("log, two under way", |dir, options| run_log(dir, options, Overlap::Threads)),
];

fn run_log(dir: &Path, options: Options, overlap: Overlap) -> Result<Found, String> {
    let used = LogUse { overlap, ..LogUse::default() };
    let (found, access) = log_loop::run(dir, options, used)?;
    if access == FileAccess::Buffered {
        eprintln!("{}: {access}", dir.display());
    }
    Ok(found)
}

/// Runs all ways in turns in a directory that exists, and prints medians of the rounds.
pub fn run(dir: &Path, arguments: &Arguments) -> Result<ExitCode, String> {
    println!("| batch | way | messages/s | of fjall | batch p50 ms | p99 ms | p999 ms |");
    println!("|---|---|---|---|---|---|---|");
    for batch_count in &arguments.batches {
        let Arguments { message_bytes, measure_ms, rounds, .. } = *arguments;
        let options = Options { batch_count: *batch_count, message_bytes, measure_ms };
        let mut found: [Vec<Found>; WAYS.len()] = Default::default();
        for _ in 0..rounds {
            for ((_, way), found) in WAYS.iter().zip(&mut found) {
                found.push(way(&dir.join("disks"), options)?);
            }
        }
        let middle = |found: &[Found], of: fn(&Found) -> f64| {
            median(&found.iter().map(of).collect::<Vec<_>>()).unwrap_or(0.0)
        };
        let fjall_per_s = middle(&found[0], |one| one.messages_per_s);
        for ((name, _), found) in WAYS.iter().zip(&found) {
            let per_s = middle(found, |one| one.messages_per_s);
            let ms = |of: fn(&Found) -> u64| {
                let all: Vec<f64> = found.iter().map(|one| of(one) as f64 / 1e6).collect();
                median(&all).unwrap_or(0.0)
            };
            println!(
                "| {batch_count} | {name} | {per_s:.0} | {:.2} | {:.2} | {:.2} | {:.2} |",
                per_s / fjall_per_s,
                ms(|one| one.batch.p50_ns),
                ms(|one| one.batch.p99_ns),
                ms(|one| one.batch.p999_ns)
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}
