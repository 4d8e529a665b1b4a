//! What probes found, as Prometheus reads it. Every series is there from the start.

use prometheus::{CounterVec, Encoder as _, GaugeVec, Opts, Registry, TextEncoder};

use super::round::{ProbeReport, ProbeStage};
use crate::logs::{self, LogLoss};

/// The content type of `text`.
pub(super) const TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The outcome of a round in which nothing failed; else the stage that did.
const OK: &str = "ok";

/// The cells. Copies share them.
#[derive(Clone)]
pub(super) struct Meters {
    registry: Registry,
    success: GaugeVec,
    duration: GaugeVec,
    rounds: CounterVec,
    lines_lost: CounterVec,
}

impl Meters {
    /// For these servers.
    pub(super) fn new(servers: impl Iterator<Item = String>) -> Meters {
        let success = GaugeVec::new(
            Opts::new("chat_probe_success", "Whether two clients could chat in the last round."),
            &["server"],
        );
        let duration = GaugeVec::new(
            Opts::new(
                "chat_probe_duration_seconds",
                "How long each part of the last round took; 0 for one that did not succeed.",
            ),
            &["server", "stage"],
        );
        let rounds = CounterVec::new(
            Opts::new("chat_probe_rounds_total", "Rounds, by ok or the part that failed."),
            &["server", "outcome"],
        );
        let lines_lost = CounterVec::new(
            Opts::new("chat_log_lines_lost_total", "Log lines that nobody can read, by why."),
            &["reason"],
        );
        let valid = "names and labels are valid";
        let meters = Meters {
            registry: Registry::new(),
            success: success.expect(valid),
            duration: duration.expect(valid),
            rounds: rounds.expect(valid),
            lines_lost: lines_lost.expect(valid),
        };
        for collector in [
            Box::new(meters.success.clone()) as Box<dyn prometheus::core::Collector>,
            Box::new(meters.duration.clone()),
            Box::new(meters.rounds.clone()),
            Box::new(meters.lines_lost.clone()),
        ] {
            meters.registry.register(collector).expect("no two have a name");
        }
        for server in servers {
            meters.rounds.with_label_values(&[&*server, OK]);
            for stage in ProbeStage::ALL {
                meters.rounds.with_label_values(&[&*server, stage.name()]);
                meters.duration.with_label_values(&[&*server, stage.name()]);
            }
        }
        meters
    }

    /// A round has ended.
    pub(super) fn take(&self, server: &str, report: &ProbeReport) {
        let outcome = report.failed.as_ref().map_or(OK, |(stage, _)| stage.name());
        self.rounds.with_label_values(&[server, outcome]).inc();
        // No value before the first round: 0 would be a server that nobody can reach.
        let is_ok = report.failed.is_none();
        self.success.with_label_values(&[server]).set(f64::from(u8::from(is_ok)));
        for stage in ProbeStage::ALL {
            let took = report.took.iter().find(|(taken, _)| *taken == stage);
            let seconds = took.map_or(0.0, |(_, took)| took.as_secs_f64());
            self.duration.with_label_values(&[server, stage.name()]).set(seconds);
        }
    }

    /// What `/metrics` shows.
    pub(super) fn text(&self) -> String {
        for why in LogLoss::ALL {
            let lost = self.lines_lost.with_label_values(&[why.word()]);
            lost.inc_by((logs::lost(why) as f64 - lost.get()).max(0.0));
        }
        let mut bytes = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut bytes)
            .expect("each family has a name and a metric, and memory takes them");
        String::from_utf8(bytes).expect("names and labels are texts")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::probe::ProbeError;

    #[test]
    fn a_round_that_failed_says_where_and_shows_what_succeeded() {
        let meters = Meters::new(["a:1".to_owned()].into_iter());
        assert!(
            meters.text().contains("chat_probe_rounds_total{outcome=\"deliver\",server=\"a:1\"} 0")
        );
        assert!(!meters.text().contains("chat_probe_success{"));
        let took = vec![(ProbeStage::Handshake, Duration::from_millis(250))];
        let failed = Some((ProbeStage::Connect, ProbeError::Late));
        meters.take("a:1", &ProbeReport { took, failed });
        let text = meters.text();
        for line in [
            "chat_log_lines_lost_total{reason=\"failed\"} 0",
            "chat_probe_success{server=\"a:1\"} 0",
            "chat_probe_duration_seconds{server=\"a:1\",stage=\"handshake\"} 0.25",
            "chat_probe_duration_seconds{server=\"a:1\",stage=\"connect\"} 0",
            "chat_probe_rounds_total{outcome=\"connect\",server=\"a:1\"} 1",
            "chat_probe_rounds_total{outcome=\"ok\",server=\"a:1\"} 0",
        ] {
            assert!(text.lines().any(|one| one == line), "no {line} in {text}");
        }
        meters.take("a:1", &ProbeReport::default());
        assert!(meters.text().contains("chat_probe_success{server=\"a:1\"} 1"));
    }
}
