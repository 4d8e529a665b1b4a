//! `rookery doctor`: whether this machine can hold so many connections.
//!
//! `facts` reads what is there, `findings` decides what it means; where messages are kept,
//! `disk_facts` and `disk_findings` do so for the disk of the store, which is written to for a moment.
//!
//! Deliberately absent: changing anything else. Each finding has the command that
//! does, and tuning/ has scripts that can also undo it.

mod disk_facts;
mod disk_findings;
mod facts;
mod findings;

use clap::Args;
use serde::Serialize;

use super::output::print;
use super::{Configured, FAILED, OK};
use crate::config::Config;
use disk_facts::DiskFacts;
use disk_findings::examine_disk;
use facts::Facts;
use findings::{Finding, Severity, examine};

/// What to look for.
#[derive(Debug, Args)]
pub(super) struct DoctorArguments {
    /// How many connections are wanted; without it, server.connections_max.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    connections: Option<u32>,
    /// Print JSON instead of lines.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Serialize)]
struct Report<'a> {
    connections: u32,
    works: bool,
    findings: &'a [Finding],
}

/// Looks and tells; 1 when so many connections cannot work.
pub(super) fn run(arguments: DoctorArguments) -> u8 {
    let mut config: Config = match super::Inputs::from(arguments.configured).resolve() {
        Ok(config) => config,
        Err(refusal) => return refusal.tell(),
    };
    if let Some(connections) = arguments.connections {
        config.server.connections_max = connections;
    }
    let mut findings = examine(&config, &Facts::read());
    if let Some(store) = config.store() {
        findings.extend(examine_disk(&DiskFacts::read(&store.dir)));
    }
    let works = findings.iter().all(|finding| finding.grade != Severity::Blocks);
    let connections = config.server.connections_max;
    let report = Report { connections, works, findings: &findings };
    let text = if arguments.json {
        let json = serde_json::to_string_pretty(&report);
        json.expect("texts and numbers can always be written") + "\n"
    } else {
        lines(&report)
    };
    match (print(&text), works) {
        (OK, true) => OK,
        (OK, false) => FAILED,
        (code, _) => code,
    }
}

fn lines(report: &Report<'_>) -> String {
    let mut text = String::new();
    for finding in report.findings {
        let grade = match finding.grade {
            Severity::Good => "good",
            Severity::Better => "better",
            Severity::Blocks => "BLOCKS",
        };
        text += &format!("{grade:<7} {:<40} {}\n", finding.name, finding.is);
        if finding.grade != Severity::Good {
            text += &format!("{:<7} {:<40} should be {}\n", "", "", finding.should);
            text += &format!("{:<7} {:<40} -> {}\n", "", "", finding.change);
        }
    }
    let count = |grade| report.findings.iter().filter(|one| one.grade == grade).count();
    let (better, blocks) = (count(Severity::Better), count(Severity::Blocks));
    let verdict = if report.works { "can work here" } else { "cannot work here" };
    text + &format!(
        "\n{} connections {verdict}: {blocks} block it, {better} could be better\n",
        report.connections
    )
}
