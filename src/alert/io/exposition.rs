//! `/metrics`: every series from the start, in the text format.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Encoder as _, TextEncoder};

use crate::alert::core::counts::{Count, help};
use crate::alert::core::stats::BridgeStats;
use crate::logs::{self, LogLoss};

/// The content type of `text`.
pub const TEXT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What `/metrics` shows.
pub fn text(stats: &BridgeStats, now_ms: u64) -> String {
    let mut families: Vec<MetricFamily> = Vec::new();
    for count in Count::all() {
        let (name, labels) = count.series();
        let mut counter = Counter::default();
        counter.set_value(stats.counts.of(count) as f64);
        let mut metric = labelled(&labels);
        metric.set_counter(counter);
        add(&mut families, name, MetricType::COUNTER, metric);
    }
    for why in LogLoss::ALL {
        let mut counter = Counter::default();
        counter.set_value(logs::lost(why) as f64);
        let mut metric = labelled(&[("reason", why.word())]);
        metric.set_counter(counter);
        add(&mut families, "chat_log_lines_lost_total", MetricType::COUNTER, metric);
    }
    let age_s = |since_ms: u64| now_ms.saturating_sub(since_ms) as f64 / 1_000.0;
    let oldest_s = stats.oldest_ms.map_or(0.0, age_s);
    for (name, value) in [
        ("chatalert_queue_depth", stats.depth as f64),
        ("chatalert_oldest_age_seconds", oldest_s),
        ("chatalert_tells", f64::from(u8::from(stats.tells))),
        ("chatalert_unacknowledged_groups", stats.unacknowledged as f64),
        ("chatalert_refused_messages", stats.refused.len() as f64),
        ("chatalert_disk_ok", f64::from(u8::from(stats.disk_ok))),
        ("chatalert_watchdog_age_seconds", age_s(stats.watchdog_ms)),
        (
            "chatalert_config_last_reload_success_timestamp_seconds",
            stats.reloaded_ms as f64 / 1_000.0,
        ),
    ] {
        gauge(&mut families, name, &[], value);
    }
    for (chat, is_reached) in &stats.chats {
        let value = f64::from(u8::from(*is_reached));
        gauge(&mut families, "chatalert_chat_reached", &[("chat", chat.as_str())], value);
    }
    for robot in &stats.robots {
        let labels = [("channel", robot.channel), ("robot", robot.name.as_str())];
        let is = |so: bool| f64::from(u8::from(so));
        gauge(&mut families, "chatalert_robot_paused", &labels, is(robot.rests));
        gauge(&mut families, "chatalert_robot_rejects", &labels, is(robot.rejects));
    }
    let mut bytes = Vec::new();
    TextEncoder::new()
        .encode(&families, &mut bytes)
        .expect("each family has a name and a metric, and memory takes them");
    String::from_utf8(bytes).expect("names and labels are texts")
}

fn gauge(families: &mut Vec<MetricFamily>, name: &str, labels: &[(&str, &str)], value: f64) {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = labelled(labels);
    metric.set_gauge(gauge);
    add(families, name, MetricType::GAUGE, metric);
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    let mut metric = Metric::default();
    metric.set_label(labels.iter().map(pair).collect());
    metric
}

fn add(families: &mut Vec<MetricFamily>, name: &str, kind: MetricType, metric: Metric) {
    if let Some(family) = families.iter_mut().find(|family| family.name() == name) {
        family.mut_metric().push(metric);
        return;
    }
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help(name).to_owned());
    family.set_field_type(kind);
    family.mut_metric().push(metric);
    families.push(family);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::core::stats::RobotStats;

    #[test]
    fn every_series_is_there_from_the_start_and_has_its_help() {
        let stats = BridgeStats {
            robots: vec![RobotStats {
                name: "w1".to_owned(),
                channel: "wecom",
                rests: true,
                rejects: false,
            }],
            disk_ok: true,
            chats: vec![("ops".to_owned(), true), ("spare".to_owned(), false)],
            ..BridgeStats::default()
        };
        let text = text(&stats, 0);
        for count in Count::all() {
            assert!(!help(count.series().0).is_empty(), "{count:?}");
        }
        for line in [
            "chatalert_notifications_total{channel=\"wecom\",outcome=\"sent\"} 0",
            "chatalert_notifications_total{channel=\"slack\",outcome=\"failed\"} 0",
            "chatalert_queue_depth 0",
            "chatalert_oldest_age_seconds 0",
            "chatalert_robot_paused{channel=\"wecom\",robot=\"w1\"} 1",
            "chatalert_robot_rejects{channel=\"wecom\",robot=\"w1\"} 0",
            "chatalert_notifications_total{channel=\"dingtalk\",outcome=\"refused\"} 0",
            "chatalert_refused_messages 0",
            "chatalert_chat_reached{chat=\"ops\"} 1",
            "chatalert_chat_reached{chat=\"spare\"} 0",
            "chatalert_disk_ok 1",
            "chat_log_lines_lost_total{reason=\"full\"} 0",
            "# TYPE chatalert_snapshots_total counter",
        ] {
            assert!(text.lines().any(|one| one == line), "no {line} in {text}");
        }
        assert!(!text.lines().any(|line| line.starts_with("# HELP") && line.ends_with("_total")));
    }
}
