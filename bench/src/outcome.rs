//! What a run found: counts that must agree, latencies, and what it cost the
//! server. This is the JSON that `--json` writes.
//!
//! A run is good only when every count agrees; a figure out of a run that lost
//! or repeated a delivery is no figure.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::process::Sample;
use crate::scenario::Scenario;
use crate::stats::Summary;

/// One run of one scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was run; the same again gives the same load.
    pub scenario: Scenario,
    /// Against what.
    pub target: String,
    /// What was counted.
    pub tally: LoadCounters,
    /// From the first connection until the last one was in its room.
    pub connect_ms: u64,
    /// How long the measured part took.
    pub measure_ns: u64,
    /// From the moment a message should have been sent until it was received.
    pub latency: Summary,
    /// `storm`: the same before the storm.
    #[serde(default)]
    pub calm: Option<Summary>,
    /// How many deliveries there are for one latency recorded.
    pub deliveries_per_latency: u32,
    /// `storm`: from the moment all were dropped until all had recovered.
    pub recover_ms: Option<u64>,
    /// The server before the first connection, if its process is known.
    pub server_start: Option<Sample>,
    /// With all connections in, before the measured part.
    pub server_before: Option<Sample>,
    /// After the measured part.
    pub server_after: Option<Sample>,
    /// While connections came in: how many, and the server then.
    pub ramp: Vec<RampPoint>,
}

/// A look at the server while connections come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct RampPoint {
    pub connections: u64,
    pub resident_bytes: u64,
    pub charged_bytes: Option<u64>,
}

/// Everything that is counted. Every number is a sum over connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadCounters {
    /// Connections that were wanted.
    pub wanted: u64,
    /// Connections that got into their room.
    pub live: u64,
    /// Connections that ended without having been asked to.
    pub died: u64,
    /// Attempts that failed, by address, refusal or answer.
    pub failed: u64,
    /// Attempts that the server turned away for now, and that were made again later.
    pub turned_away: u64,
    /// Connections that answered at the end.
    pub answered: u64,
    /// Messages published.
    pub published: u64,
    /// Publications that had to be accepted and were.
    pub accepted: u64,
    /// Error replies.
    pub errors: u64,
    /// Deliveries that had to come.
    pub expected: u64,
    /// Deliveries that came.
    pub delivered: u64,
    /// Places in a stream that were left out.
    pub lost: u64,
    /// Deliveries of a place that had been there already, or out of order.
    pub repeated: u64,
    /// Deliveries whose data is not what was published.
    pub damaged: u64,
    /// `storm`, `soak`: connections that came back and had missed nothing.
    pub recovered: u64,
    /// `storm`, `soak`: connections that came back and could not recover.
    pub unrecovered: u64,
    /// Pings of the server.
    pub pings: u64,
    /// Bytes received in the measured part.
    pub received_bytes: u64,
    /// Frames received in the measured part.
    pub frames: u64,
    /// What the peer sent and the protocol does not allow.
    pub malformed: u64,
}

impl LoadCounters {
    /// Takes what another thread counted.
    pub fn add(&mut self, other: &LoadCounters) {
        let LoadCounters {
            wanted,
            live,
            died,
            failed,
            turned_away,
            answered,
            published,
            accepted,
            errors,
            expected,
            delivered,
            lost,
            repeated,
            damaged,
            recovered,
            unrecovered,
            pings,
            received_bytes,
            frames,
            malformed,
        } = other;
        self.wanted += wanted;
        self.live += live;
        self.died += died;
        self.failed += failed;
        self.turned_away += turned_away;
        self.answered += answered;
        self.published += published;
        self.accepted += accepted;
        self.errors += errors;
        self.expected += expected;
        self.delivered += delivered;
        self.lost += lost;
        self.repeated += repeated;
        self.damaged += damaged;
        self.recovered += recovered;
        self.unrecovered += unrecovered;
        self.pings += pings;
        self.received_bytes += received_bytes;
        self.frames += frames;
        self.malformed += malformed;
    }

    /// Everything that is wrong with a run, as sentences; empty for a good one.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut none = |count: u64, what: &str| {
            if 0 < count {
                faults.push(format!("{count} {what}"));
            }
        };
        none(self.wanted.abs_diff(self.live), "connections did not get in");
        none(self.died, "connections died");
        none(self.failed, "attempts to connect failed");
        none(self.wanted.abs_diff(self.answered), "connections did not answer at the end");
        none(self.published.abs_diff(self.accepted), "publications were not accepted");
        none(self.errors, "error replies");
        none(self.expected.saturating_sub(self.delivered), "deliveries did not come");
        none(self.delivered.saturating_sub(self.expected), "deliveries too many");
        none(self.lost, "messages left out");
        none(self.repeated, "messages repeated or out of order");
        none(self.damaged, "messages damaged");
        none(self.unrecovered, "connections could not recover");
        none(self.malformed, "frames against the protocol");
        faults
    }
}

impl Outcome {
    /// What all cores were busy for while it was measured.
    pub fn machine_busy_ns(&self) -> Option<u64> {
        let (before, after) = self.server_before.zip(self.server_after)?;
        after.machine_busy_ns?.checked_sub(before.machine_busy_ns?)
    }

    /// Server CPU time of the measured part.
    pub fn server_cpu_ns(&self) -> Option<u64> {
        let (before, after) = (self.server_before?, self.server_after?);
        Some(after.cpu_ns.saturating_sub(before.cpu_ns))
    }

    /// Server CPU time for one delivery.
    pub fn cpu_us_per_delivery(&self) -> Option<f64> {
        if self.tally.delivered == 0 {
            return None;
        }
        Some(self.server_cpu_ns()? as f64 / 1e3 / self.tally.delivered as f64)
    }

    /// Over the measured part.
    pub fn deliveries_per_s(&self) -> f64 {
        self.tally.delivered as f64 / self.measure_s()
    }

    /// Over the measured part.
    pub fn received_bytes_per_s(&self) -> f64 {
        self.tally.received_bytes as f64 / self.measure_s()
    }

    fn measure_s(&self) -> f64 {
        (self.measure_ns.max(1)) as f64 / 1e9
    }

    /// What people read at the end of a run.
    pub fn lines(&self) -> Vec<String> {
        let (tally, scenario) = (&self.tally, &self.scenario);
        let mut lines = vec![
            format!(
                "{} with seed {}: {} of {} connections in after {:.1} s, {} answered at the end",
                scenario.load.name(),
                scenario.seed,
                tally.live,
                tally.wanted,
                self.connect_ms as f64 / 1e3,
                tally.answered
            ),
            format!(
                "{} published, {} deliveries of {} expected in {:.2} s: {:.0}/s, {:.1} MB/s",
                tally.published,
                tally.delivered,
                tally.expected,
                self.measure_s(),
                self.deliveries_per_s(),
                self.received_bytes_per_s() / 1e6
            ),
        ];
        if 0 < tally.turned_away {
            lines.push(format!("{} were turned away for now, and came again", tally.turned_away));
        }
        let ms = |ns: u64| ns as f64 / 1e6;
        let mut latency = |name: &str, found: &Summary| {
            lines.push(format!(
                "{name} ms: p50 {:.3}, p90 {:.3}, p99 {:.3}, p99.9 {:.3}, max {:.3} ({} recorded)",
                ms(found.p50_ns),
                ms(found.p90_ns),
                ms(found.p99_ns),
                ms(found.p999_ns),
                ms(found.max_ns),
                found.count
            ));
        };
        if let Some(calm) = &self.calm {
            latency("latency before", calm);
        }
        if 0 < self.latency.count {
            latency("latency", &self.latency);
        }
        if let Some(recover_ms) = self.recover_ms {
            lines.push(format!("{} recovered in {recover_ms} ms", tally.recovered));
        }
        lines.extend(self.server_lines());
        lines
    }

    fn server_lines(&self) -> Vec<String> {
        let (Some(start), Some(before)) = (self.server_start, self.server_before) else {
            return Vec::new();
        };
        let each = |bytes: u64| bytes as f64 / self.tally.live.max(1) as f64;
        let mut memory = format!(
            "server: {:.0} B resident a connection ({:.1} MB before the first)",
            each(before.resident_bytes),
            start.resident_bytes as f64 / 1e6
        );
        if let Some(charged_bytes) = before.charged_bytes {
            memory += &format!(", {:.0} B charged", each(charged_bytes));
        }
        if let Some(slab) = before.tcp_slab {
            memory += &format!("; TCP slab {:.0} MB for the machine", slab.bytes as f64 / 1e6);
        }
        let mut lines = vec![memory];
        if let Some(cpu_ns) = self.server_cpu_ns() {
            let cpu_s = cpu_ns as f64 / 1e9;
            let mut cpu = format!("server CPU: {cpu_s:.2} s in {:.2} s", self.measure_s());
            if let Some(each_us) = self.cpu_us_per_delivery() {
                cpu += &format!(", {each_us:.3} us a delivery");
            }
            lines.push(cpu);
        }
        lines
    }
}

/// Writes a value as JSON for people and programs, and makes its directory.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(|error| failed(&error))?;
    }
    let text = serde_json::to_string_pretty(value).map_err(|error| failed(&error))?;
    fs::write(path, text + "\n").map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> LoadCounters {
        LoadCounters {
            wanted: 5,
            live: 5,
            answered: 5,
            published: 2,
            accepted: 2,
            expected: 10,
            delivered: 10,
            ..LoadCounters::default()
        }
    }

    #[test]
    fn a_run_is_good_only_when_every_count_agrees() {
        assert_eq!(good().faults(), Vec::<String>::new());
        let check = |spoil: &dyn Fn(&mut LoadCounters)| {
            let mut tally = good();
            spoil(&mut tally);
            assert_eq!(tally.faults().len(), 1, "{tally:?}");
        };
        check(&|t| t.live = 4);
        check(&|t| t.died = 1);
        check(&|t| t.failed = 1);
        check(&|t| t.answered = 4);
        check(&|t| t.accepted = 1);
        check(&|t| t.errors = 1);
        check(&|t| t.delivered = 9);
        check(&|t| t.delivered = 11);
        check(&|t| t.lost = 1);
        check(&|t| t.repeated = 1);
        check(&|t| t.damaged = 1);
        check(&|t| t.unrecovered = 1);
        check(&|t| t.malformed = 1);
    }

    #[test]
    fn sums_take_every_field() {
        let mut ones = serde_json::to_value(LoadCounters::default()).unwrap();
        for (_, value) in ones.as_object_mut().unwrap() {
            *value = 1.into();
        }
        let ones: LoadCounters = serde_json::from_value(ones).unwrap();
        let mut sum = ones;
        sum.add(&ones);
        let sum = serde_json::to_value(sum).unwrap();
        assert!(sum.as_object().unwrap().values().all(|value| *value == 2));
    }
}
