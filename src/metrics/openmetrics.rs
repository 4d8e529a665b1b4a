//! OpenMetrics 1.0 text, over the families that the registry gathers: the crate's
//! own encoders know no examples, units or times of creation.
//!
//! One wrong line makes a reader refuse the whole answer, so every rule here has a
//! test that asks the readers themselves (tests/external/exposition).
//!
//! Deliberately absent: summaries and untyped metrics, which the catalogue has not.

use std::fmt::Write as _;

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

use super::exemplar::StoredExemplar;
use super::row::unit_of;

/// Who knows examples.
pub(super) trait ExemplarSource {
    /// By bucket, the one without a bound last; `None` for a series without.
    fn of(&self, family: &str, labels: &[LabelPair]) -> Option<Vec<Option<StoredExemplar>>>;
}

/// A `_created` for each series of a core, of a tenant, or of a method with each of its outcomes
/// would be a thousand samples that all say when the process began.
const NOT_DATED: [&str; 3] = ["core", "tenant_id", "method"];

/// Whole numbers from here on are written as the others are.
const WHOLE_MAX: f64 = 1e15;

/// All families, as one answer.
pub(super) fn encode(
    families: &[MetricFamily],
    began_unix_ms: u64,
    examples: &dyn ExemplarSource,
) -> String {
    let mut page = Page { text: String::with_capacity(64 << 10), began_unix_ms, examples };
    families.iter().for_each(|family| page.family(family));
    page.text.push_str("# EOF\n");
    page.text
}

struct Page<'e> {
    text: String,
    began_unix_ms: u64,
    examples: &'e dyn ExemplarSource,
}

impl Page<'_> {
    fn family(&mut self, family: &MetricFamily) {
        let full = family.name();
        let (kind, name) = match family.get_field_type() {
            MetricType::COUNTER => ("counter", full.strip_suffix("_total").unwrap_or(full)),
            MetricType::GAUGE => ("gauge", full),
            MetricType::HISTOGRAM => ("histogram", full),
            MetricType::SUMMARY | MetricType::UNTYPED => {
                unreachable!("the catalogue has no such family")
            }
        };
        self.line(format_args!("# TYPE {name} {kind}"));
        if let Some(unit) = unit_of(name) {
            self.line(format_args!("# UNIT {name} {unit}"));
        }
        self.line(format_args!("# HELP {name} {}", escaped(family.help())));
        for metric in family.get_metric() {
            match family.get_field_type() {
                MetricType::COUNTER => {
                    let value = metric.get_counter().get_value();
                    self.sample(name, "_total", metric, value);
                    self.created(name, metric);
                }
                MetricType::HISTOGRAM => self.histogram(name, metric),
                MetricType::GAUGE | MetricType::SUMMARY | MetricType::UNTYPED => {
                    self.sample(name, "", metric, metric.get_gauge().get_value());
                }
            }
        }
    }

    fn histogram(&mut self, name: &str, metric: &Metric) {
        let histogram = metric.get_histogram();
        let mut examples = self.examples.of(name, metric.get_label()).unwrap_or_default();
        let bounded = histogram.get_bucket().iter();
        let bounded = bounded.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
        let whole = (f64::INFINITY, histogram.get_sample_count());
        for (index, (bound, count)) in bounded.chain([whole]).enumerate() {
            let example = examples.get_mut(index).and_then(Option::take);
            self.bucket(name, metric, bound, count, example);
        }
        self.sample(name, "_count", metric, histogram.get_sample_count() as f64);
        self.sample(name, "_sum", metric, histogram.get_sample_sum());
        self.created(name, metric);
    }

    fn bucket(
        &mut self,
        name: &str,
        metric: &Metric,
        bound: f64,
        count: u64,
        example: Option<StoredExemplar>,
    ) {
        self.name(name, "_bucket");
        // A bound is a float, and written as one: "1" and "1.0" are two series.
        let is_whole = bound.is_finite() && bound.fract() == 0.0;
        let bound = if is_whole { format!("{bound:.1}") } else { number(bound) };
        self.labels(metric, Some(&bound));
        write!(self.text, " {count}").expect("a String takes everything");
        if let Some(StoredExemplar { value_us, unix_ms, trace_id, room, agent }) = example {
            let (value, room, agent) = (value_us as f64 / 1e6, plain(&room), agent.word());
            write!(
                self.text,
                " # {{trace_id=\"{trace_id:032x}\",room_id=\"{room}\",user_agent=\"{agent}\"}} \
                 {value} {}",
                time(unix_ms)
            )
            .expect("a String takes everything");
        }
        self.text.push('\n');
    }

    fn created(&mut self, name: &str, metric: &Metric) {
        if metric.get_label().iter().any(|pair| NOT_DATED.contains(&pair.name())) {
            return;
        }
        self.name(name, "_created");
        self.labels(metric, None);
        let began = time(self.began_unix_ms);
        self.line(format_args!(" {began}"));
    }

    fn sample(&mut self, name: &str, suffix: &str, metric: &Metric, value: f64) {
        self.name(name, suffix);
        self.labels(metric, None);
        self.line(format_args!(" {}", number(value)));
    }

    fn name(&mut self, name: &str, suffix: &str) {
        self.text.push_str(name);
        self.text.push_str(suffix);
    }

    fn labels(&mut self, metric: &Metric, bound: Option<&str>) {
        let pairs = metric.get_label().iter().map(|pair| (pair.name(), pair.value()));
        let mut before = '{';
        for (name, value) in pairs.chain(bound.map(|bound| ("le", bound))) {
            write!(self.text, "{before}{name}=\"{}\"", escaped(value))
                .expect("a String takes everything");
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).expect("a String takes everything");
        self.text.push('\n');
    }
}

fn number(value: f64) -> String {
    if value == f64::INFINITY {
        "+Inf".to_owned()
    } else if value.fract() == 0.0 && value.abs() < WHOLE_MAX {
        format!("{}", value as i64)
    } else {
        value.to_string()
    }
}

/// Seconds, exactly.
fn time(unix_ms: u64) -> String {
    format!("{}.{:03}", unix_ms / 1_000, unix_ms % 1_000)
}

/// What is between the quotes of an example. Prometheus 2.42 leaves escapes there as
/// they are, and the reference parser refuses them, so what would need one is replaced.
fn plain(text: &str) -> String {
    let needs_escape = |letter: char| matches!(letter, '"' | '\\') || letter.is_control();
    text.replace(needs_escape, "\u{fffd}")
}

/// What is between other quotes. Control characters that the format has no escape for are
/// replaced: whoever reads the line next may not be as careful.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => safe.push_str("\\\\"),
            '"' => safe.push_str("\\\""),
            '\n' => safe.push_str("\\n"),
            letter if letter.is_control() => safe.push('\u{fffd}'),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use crate::metrics::{
        Agent, Cells, ChatType, Counter, Direction, Exemplar, Exposition, ExpositionFormat, Gauge,
        Histogram, Protocol, ScrapeQuery, Threads,
    };

    /// What one core writes, as lines.
    #[track_caller]
    fn check(write: impl FnOnce(&crate::metrics::MetricsWriter), want: &str) {
        let cells = Cells::new();
        write(&cells.claim());
        let threads =
            Threads { began_unix_ms: 1_700_000_000_050, ..Threads::of_cores(vec![cells]) };
        let exposition = Exposition::new(threads);
        let text =
            exposition.answer(&ScrapeQuery::default(), ExpositionFormat::OpenMetrics).unwrap();
        assert!(text.contains(want), "no\n{want}\nin\n{text}");
        assert!(text.ends_with("\n# EOF\n") && !text.contains("\n\n"));
    }

    #[test]
    fn counters_lose_their_ending_in_what_is_said_about_them() {
        check(
            |metrics| metrics.add(Counter::BytesIn, 7),
            "# TYPE chat_bytes counter\n\
             # UNIT chat_bytes bytes\n\
             # HELP chat_bytes Bytes of TCP payload.\n\
             chat_bytes_total{direction=\"in\"} 7\n\
             chat_bytes_created{direction=\"in\"} 1700000000.050\n\
             chat_bytes_total{direction=\"out\"} 0\n\
             chat_bytes_created{direction=\"out\"} 1700000000.050\n",
        );
    }

    #[test]
    fn each_core_is_not_dated() {
        check(
            |metrics| metrics.add(Counter::Busy, 1_250_000_000),
            "chat_core_busy_seconds_total{core=\"0\"} 1.25\n# ",
        );
    }

    #[test]
    fn gauges_are_numbers() {
        check(
            |metrics| metrics.set(Gauge::Connections(Protocol::Json), 3),
            "# TYPE chat_active_connections gauge\n\
             # HELP chat_active_connections Upgraded connections.\n\
             chat_active_connections{protocol=\"json\"} 3\n",
        );
    }

    #[test]
    fn buckets_of_the_tail_have_their_examples() {
        let trace_id = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
        check(
            |metrics| {
                let histogram = Histogram::E2e(ChatType::Group, Direction::Recv);
                let room = "r\"\\\n\u{7}";
                let example = || Exemplar { trace_id, room, agent: Agent::Ios };
                metrics.observe_with(histogram, 750_000, 1_700_000_001_002, example);
                metrics.observe_with(histogram, 1_000, 1, example);
            },
            "chat_e2e_latency_seconds_bucket{chat_type=\"group\",direction=\"recv\",le=\"0.4\"} 1\n\
             chat_e2e_latency_seconds_bucket{chat_type=\"group\",direction=\"recv\",le=\"0.8\"} 2 \
             # {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\",room_id=\"r\u{fffd}\u{fffd}\u{fffd}\u{fffd}\",\
             user_agent=\"ios\"} 0.75 1700000001.002\n\
             chat_e2e_latency_seconds_bucket{chat_type=\"group\",direction=\"recv\",le=\"1.3\"} 2\n\
             chat_e2e_latency_seconds_bucket{chat_type=\"group\",direction=\"recv\",le=\"2.0\"} 2\n",
        );
    }

    #[test]
    fn a_histogram_ends_with_its_sum() {
        check(
            |metrics| metrics.observe(Histogram::Stall, 2_500),
            "chat_executor_stall_seconds_bucket{le=\"1.0\"} 1\n\
             chat_executor_stall_seconds_bucket{le=\"+Inf\"} 1\n\
             chat_executor_stall_seconds_count 1\n\
             chat_executor_stall_seconds_sum 0.0025\n\
             chat_executor_stall_seconds_created 1700000000.050\n",
        );
    }
}
