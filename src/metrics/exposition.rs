use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};

use super::catalogue::{Kind, Row, rows};
use super::cells::Cells;

/// The content type of [`Exposition::text`].
pub const TEXT_TYPE: &str = prometheus::TEXT_FORMAT;

/// Whether a scrape sees the server or its cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cores {
    /// One sample a series: the sum over all cores.
    Summed,
    /// One sample a series and core, with the label `core`.
    Each,
}

/// All cores' cells, as Prometheus wants to read them.
pub struct Exposition {
    summed: Registry,
    by_core: Registry,
}

impl Exposition {
    /// Cells by rising shard, and those of the storage thread.
    pub fn new(cells: Vec<Arc<Cells>>, store: Option<Arc<Cells>>) -> Exposition {
        let core = |(index, cells): (usize, Arc<Cells>)| (index.to_string(), cells);
        let cells = cells.into_iter().enumerate().map(core);
        let store = store.map(|cells| ("store".to_owned(), cells));
        let cells: Arc<[Named]> = cells.chain(store).collect();
        let register = |cores| {
            let registry = Registry::new();
            let merge = Merge { cells: Arc::clone(&cells), descriptions: descriptions(), cores };
            registry.register(Box::new(merge)).expect("a new registry knows none of these names");
            registry
        };
        Exposition { summed: register(Cores::Summed), by_core: register(Cores::Each) }
    }

    /// The text format 0.0.4.
    pub fn text(&self, cores: Cores) -> String {
        let families = match cores {
            Cores::Summed => self.summed.gather(),
            Cores::Each => self.by_core.gather(),
        };
        TextEncoder::new().encode_to_string(&families).expect("no family is empty or nameless")
    }
}

/// A thread's cells, and what its label `core` says.
type Named = (String, Arc<Cells>);

/// Reads the cells of all cores at the moment of a scrape; keeps nothing.
struct Merge {
    cells: Arc<[Named]>,
    descriptions: Vec<Desc>,
    cores: Cores,
}

impl Collector for Merge {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families: Vec<MetricFamily> = Vec::new();
        for (row, first) in rows() {
            if families.last().is_none_or(|family| family.name() != row.name) {
                families.push(empty_family(row));
            }
            let family = families.last_mut().expect("one was just pushed");
            for series in 0..row.series() {
                let place = first + series * row.cells_per_series();
                let mut give = |core: Option<&str>, cells: &[Named]| {
                    let mut metric = value(row, place, cells);
                    metric.set_label(labels(row, series, core));
                    family.mut_metric().push(metric);
                };
                match self.cores {
                    Cores::Summed => give(None, &self.cells),
                    Cores::Each => {
                        self.cells.chunks(1).for_each(|cells| give(Some(&cells[0].0), cells));
                    }
                }
            }
        }
        families
    }
}

/// docs/METRICS.md: the catalogue for people.
pub fn reference() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         What `/metrics` on the admin listener shows. Made from the catalogue in \
         `src/metrics/catalogue.rs`; a test compares the two, and \
         `BLESS=1 cargo test --lib metrics::` writes this file anew.\n\n\
         Values are sums over all cores; `/metrics?core=each` shows each core, with the label \
         `core`, and the storage thread as the core `store`. Every series exists from the start with 0.\n\n\
         | name | type | unit | labels | what it is |\n|---|---|---|---|---|\n",
    );
    let rows: Vec<&Row> = rows().map(|(row, _)| row).collect();
    for family in rows.chunk_by(|a, b| a.name == b.name) {
        let row = family[0];
        let fixed = row.fixed.iter().enumerate().map(|(index, (label, _))| {
            let words: Vec<&str> = family.iter().map(|row| row.fixed[index].1).collect();
            (*label, words.join(", "))
        });
        let axes = row.axes.iter().map(|axis| (axis.label, axis.words.join(", ")));
        let labels: Vec<String> =
            fixed.chain(axes).map(|(label, words)| format!("`{label}`: {words}")).collect();
        let kind = match row.kind {
            Kind::Counter => "counter".to_owned(),
            Kind::Gauge => "gauge".to_owned(),
            Kind::Histogram => {
                let bounds: Vec<String> =
                    row.bounds_us.iter().map(|&us| seconds(us).to_string()).collect();
                format!("histogram: {}", bounds.join(", "))
            }
        };
        let (labels, unit, help) = (labels.join("; "), row.unit(), row.help);
        writeln!(text, "| `{}` | {kind} | {unit} | {labels} | {help} |", row.name)
            .expect("a String takes everything");
    }
    text
}

fn descriptions() -> Vec<Desc> {
    let rows: Vec<&Row> = rows().map(|(row, _)| row).collect();
    let families = rows.chunk_by(|a, b| a.name == b.name).map(|family| family[0]);
    let describe = |row: &Row| {
        let fixed = row.fixed.iter().map(|(label, _)| *label);
        let labels = fixed.chain(row.axes.iter().map(|axis| axis.label)).map(str::to_owned);
        Desc::new(row.name.to_owned(), row.help.to_owned(), labels.collect(), HashMap::new())
            .expect("names and labels of the catalogue are valid")
    };
    families.map(describe).collect()
}

fn empty_family(row: &Row) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(row.name.to_owned());
    family.set_help(row.help.to_owned());
    family.set_field_type(match row.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    family
}

fn labels(row: &Row, series: usize, core: Option<&str>) -> Vec<LabelPair> {
    let mut rest = series;
    let mut axes: Vec<LabelPair> = Vec::with_capacity(row.axes.len());
    for axis in row.axes.iter().rev() {
        axes.push(pair(axis.label, axis.words[rest % axis.words.len()]));
        rest /= axis.words.len();
    }
    let core = core.map(|core| pair("core", core));
    let fixed = row.fixed.iter().map(|(label, word)| pair(label, word));
    core.into_iter().chain(fixed).chain(axes.into_iter().rev()).collect()
}

fn pair(label: &str, word: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(label.to_owned());
    pair.set_value(word.to_owned());
    pair
}

fn value(row: &Row, place: usize, cells: &[Named]) -> Metric {
    let sum = |offset: usize| {
        let values = cells.iter().map(|(_, cells)| cells.load(place + offset));
        values.fold(0, u64::wrapping_add)
    };
    let mut metric = Metric::default();
    match row.kind {
        Kind::Counter => {
            let mut counter = proto::Counter::default();
            counter.set_value(sum(0) as f64);
            metric.set_counter(counter);
        }
        Kind::Gauge => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(sum(0).cast_signed() as f64);
            metric.set_gauge(gauge);
        }
        Kind::Histogram => metric.set_histogram(histogram(row.bounds_us, &sum)),
    }
    metric
}

/// The count is that of the buckets just read, so `+Inf` always equals it; the
/// sum may be an observation ahead or behind.
fn histogram(bounds_us: &[u64], cell: &dyn Fn(usize) -> u64) -> proto::Histogram {
    let mut below = 0;
    let buckets = bounds_us.iter().enumerate().map(|(index, &bound_us)| {
        below += cell(index);
        let mut bucket = proto::Bucket::default();
        bucket.set_cumulative_count(below);
        bucket.set_upper_bound(seconds(bound_us));
        bucket
    });
    let mut histogram = proto::Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(below + cell(bounds_us.len()));
    histogram.set_sample_sum(seconds(cell(bounds_us.len() + 1)));
    histogram
}

fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{CloseReason, Counter, Gauge, HandshakeOutcome, Histogram, Protocol};

    /// Two cores; the second one says something with every kind.
    #[track_caller]
    fn check(cores: Cores, want: &[&str]) {
        let cells = vec![Cells::new(), Cells::new()];
        let (first, second) = (cells[0].claim(), cells[1].claim());
        first.add(Counter::Closed(CloseReason::Auth), 2);
        second.add(Counter::Closed(CloseReason::Auth), 3);
        second.add(Counter::BytesOut, 7);
        first.set(Gauge::Connections(Protocol::Protobuf), 9);
        second.adjust(Gauge::Connections(Protocol::Protobuf), -1);
        second.observe(Histogram::Handshake(HandshakeOutcome::Ok), 2_500);
        second.observe(Histogram::Handshake(HandshakeOutcome::Ok), 9_000_000);
        let text = Exposition::new(cells, None).text(cores);
        let lines: Vec<&str> = text.lines().collect();
        for line in want {
            assert!(lines.contains(line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn a_scrape_sums_over_cores() {
        check(
            Cores::Summed,
            &[
                "# TYPE chat_conn_closed_total counter",
                "chat_conn_closed_total{reason=\"auth\"} 5",
                "chat_conn_closed_total{reason=\"panic\"} 0",
                "chat_bytes_total{direction=\"in\"} 0",
                "chat_bytes_total{direction=\"out\"} 7",
                "chat_active_connections{protocol=\"protobuf\"} 8",
                "chat_handshake_duration_seconds_bucket{outcome=\"ok\",le=\"0.001\"} 0",
                "chat_handshake_duration_seconds_bucket{outcome=\"ok\",le=\"0.0025\"} 1",
                "chat_handshake_duration_seconds_bucket{outcome=\"ok\",le=\"5\"} 1",
                "chat_handshake_duration_seconds_bucket{outcome=\"ok\",le=\"+Inf\"} 2",
                "chat_handshake_duration_seconds_sum{outcome=\"ok\"} 9.0025",
                "chat_handshake_duration_seconds_count{outcome=\"ok\"} 2",
                "chat_handshake_duration_seconds_count{outcome=\"gone\"} 0",
            ],
        );
    }

    #[test]
    fn the_storage_thread_is_a_core_of_its_own() {
        let (core, store) = (Cells::new(), Cells::new());
        core.claim().add(Counter::StoreSyncs, 1);
        store.claim().add(Counter::StoreSyncs, 2);
        let exposition = Exposition::new(vec![core], Some(store));
        assert!(exposition.text(Cores::Summed).contains("\nchat_store_syncs_total 3\n"));
        let each = exposition.text(Cores::Each);
        assert!(each.contains("chat_store_syncs_total{core=\"store\"} 2"), "{each}");
    }

    #[test]
    fn a_scrape_shows_each_core_when_asked() {
        check(
            Cores::Each,
            &[
                "chat_conn_closed_total{core=\"0\",reason=\"auth\"} 2",
                "chat_conn_closed_total{core=\"1\",reason=\"auth\"} 3",
                "chat_bytes_total{core=\"0\",direction=\"out\"} 0",
                "chat_active_connections{core=\"0\",protocol=\"protobuf\"} 9",
                "chat_active_connections{core=\"1\",protocol=\"protobuf\"} -1",
            ],
        );
    }

    #[test]
    fn every_series_is_there_before_anything_happens() {
        let text = Exposition::new(vec![Cells::new()], None).text(Cores::Summed);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        // A histogram's `_count` and `+Inf` are one cell.
        let want: usize = rows()
            .map(|(row, _)| {
                let count = usize::from(row.kind == Kind::Histogram);
                row.series() * (row.cells_per_series() + count)
            })
            .sum();
        assert_eq!(samples.count(), want);
    }

    #[test]
    fn the_reference_is_the_catalogue() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/METRICS.md");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, reference(), "BLESS=1 writes docs/METRICS.md anew");
    }
}
