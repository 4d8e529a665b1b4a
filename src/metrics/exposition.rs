//! What a scrape sees: the cells of all threads, merged at that moment.

use std::collections::HashMap;
use std::fmt;
use std::slice;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{self, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};

use super::catalogue::{IndexedRow, rows};
use super::cells::Cells;
use super::exemplar::StoredExemplar;
use super::openmetrics;
use super::row::{Merge, MetricKind, MetricRow, MetricSource, ScrapeScope};
use super::tenants::{Tenant, Tenants};

/// The content type of [`ExpositionFormat::Text`].
pub const TEXT_TYPE: &str = prometheus::TEXT_FORMAT;

/// The content type of [`ExpositionFormat::OpenMetrics`].
pub const OPEN_METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Samples of one answer: as many as the scrape configuration that is shipped takes.
/// 256 cores, each with all its series, would be six times as many.
const SAMPLES_MAX: usize = 20_000;

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpositionFormat {
    /// Prometheus text 0.0.4, by the `prometheus` crate.
    Text,
    /// OpenMetrics 1.0, with examples.
    OpenMetrics,
}

/// What a scrape asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScrapeQuery {
    /// Whether the whole server is shown, or each core.
    pub cores: ScrapeScope,
    /// Only families of these names, or that have samples of them; empty for all.
    pub names: Vec<String>,
    /// Only what is known of this tenant.
    pub tenant: Option<String>,
}

/// Why a scrape gets no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpositionError {
    /// No family has one of the names.
    UnknownName,
    /// No tenant of this name has series of its own.
    UnknownTenant,
    /// The answer would have too many samples.
    TooMany,
}

impl fmt::Display for ExpositionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ExpositionError::UnknownName => "name[] is no metric of this server",
            ExpositionError::UnknownTenant => "tenant_id is no tenant with series of its own",
            ExpositionError::TooMany => {
                "that would be too many samples: name the families with name[]"
            }
        })
    }
}

/// The threads that write cells.
#[derive(Clone)]
pub struct Threads {
    /// By rising shard.
    pub cores: Vec<Arc<Cells>>,
    /// Where messages are kept.
    pub store: Option<Arc<Cells>>,
    /// What belongs to the process.
    pub process: Arc<Cells>,
    /// Which tenants have series of their own.
    pub tenants: Arc<Tenants>,
    /// When all of them began at 0, Unix ms.
    pub began_unix_ms: u64,
}

impl Threads {
    /// Cores alone; for tests and the simulator.
    pub fn of_cores(cores: Vec<Arc<Cells>>) -> Threads {
        Threads {
            cores,
            store: None,
            process: Cells::of_process().0,
            tenants: Arc::default(),
            began_unix_ms: 0,
        }
    }
}

/// All threads' cells, as Prometheus wants to read them.
pub struct Exposition {
    threads: Arc<Threads>,
    /// For the scrape that asks for nothing special.
    whole: Registry,
}

impl Exposition {
    /// What these threads write.
    pub fn new(threads: Threads) -> Exposition {
        let threads = Arc::new(threads);
        let whole = registry(&threads, rows().collect(), &ScrapeQuery::default());
        Exposition { threads, whole }
    }

    /// The answer to a scrape. Asks no core.
    pub fn answer(
        &self,
        query: &ScrapeQuery,
        format: ExpositionFormat,
    ) -> Result<String, ExpositionError> {
        let families = if *query == ScrapeQuery::default() {
            self.whole.gather()
        } else {
            self.part(query)?.gather()
        };
        Ok(match format {
            ExpositionFormat::Text => TextEncoder::new()
                .encode_to_string(&families)
                .expect("no family is empty or nameless"),
            ExpositionFormat::OpenMetrics => {
                openmetrics::encode(&families, self.threads.began_unix_ms, self)
            }
        })
    }

    /// The text format 0.0.4 of everything.
    pub fn text(&self, cores: ScrapeScope) -> String {
        let query = ScrapeQuery { cores, ..ScrapeQuery::default() };
        self.answer(&query, ExpositionFormat::Text).expect("it is as much as a test can bear")
    }

    /// A registry for one scrape.
    fn part(&self, query: &ScrapeQuery) -> Result<Registry, ExpositionError> {
        let wanted = |row: &MetricRow| {
            let is_named = query.names.iter().any(|name| row.has_samples_of(name));
            (query.names.is_empty() || is_named)
                && (query.tenant.is_none() || row.merge == Merge::ByTenant)
        };
        let known = |name: &String| rows().any(|indexed| indexed.row.has_samples_of(name));
        if !query.names.iter().all(known) {
            return Err(ExpositionError::UnknownName);
        }
        if let Some(tenant) = &query.tenant
            && !self.threads.tenants.shown().any(|(_, name)| name == tenant)
        {
            return Err(ExpositionError::UnknownTenant);
        }
        let chosen: Vec<IndexedRow> = rows().filter(|indexed| wanted(indexed.row)).collect();
        let cores = self.threads.cores.len();
        let samples = |indexed: &IndexedRow| {
            let row = indexed.row;
            let writers = match row.merge {
                Merge::ByTenant => self.threads.tenants.shown().count(),
                Merge::Sum | Merge::ByCore if row.shows_cores(query.cores) => cores,
                Merge::Sum | Merge::ByCore => 1,
            };
            writers * row.series() * (row.cells_per_series() + 1)
        };
        if SAMPLES_MAX < chosen.iter().map(samples).sum() {
            return Err(ExpositionError::TooMany);
        }
        if chosen.is_empty() {
            // A name that has nothing to do with tenants, and a tenant.
            return Err(ExpositionError::UnknownName);
        }
        Ok(registry(&self.threads, chosen, query))
    }
}

impl openmetrics::ExemplarSource for Exposition {
    fn of(&self, family: &str, labels: &[LabelPair]) -> Option<Vec<Option<StoredExemplar>>> {
        let indexed = rows().find(|indexed| indexed.row.name == family && indexed.row.exemplars)?;
        let row = indexed.row;
        let value = |name: &str| labels.iter().find(|pair| pair.name() == name);
        let series = (0..row.series()).find(|&series| {
            let labels = row.labels(series);
            labels.iter().all(|(name, word)| value(name).is_some_and(|pair| pair.value() == *word))
        })?;
        let core = value("core").and_then(|pair| pair.value().parse::<usize>().ok());
        let cores = match core {
            Some(core) => self.threads.cores.get(core).map(slice::from_ref)?,
            None => &self.threads.cores[..],
        };
        let first = indexed.exemplar + series * row.exemplars_per_series();
        let newest = |place| {
            let kept = cores.iter().filter_map(|cells| cells.example(place));
            kept.max_by_key(|kept| kept.unix_ms)
        };
        let none = (0..row.tail_from()).map(|_| None);
        let tail = (first..first + row.exemplars_per_series()).map(newest);
        Some(none.chain(tail).collect())
    }
}

fn registry(threads: &Arc<Threads>, rows: Vec<IndexedRow>, query: &ScrapeQuery) -> Registry {
    let registry = Registry::new();
    let merging = Merging {
        descriptions: descriptions(&rows),
        threads: Arc::clone(threads),
        rows,
        cores: query.cores,
        tenant: query.tenant.clone(),
    };
    registry.register(Box::new(merging)).expect("a new registry knows none of these names");
    registry
}

/// Reads the cells of all threads at the moment of a scrape; keeps nothing.
struct Merging {
    threads: Arc<Threads>,
    rows: Vec<IndexedRow>,
    descriptions: Vec<Desc>,
    cores: ScrapeScope,
    tenant: Option<String>,
}

impl Merging {
    /// All series of a row.
    fn give(&self, indexed: &IndexedRow, give: &mut dyn FnMut(Metric)) {
        let row = indexed.row;
        let mut series_of = |whose: Option<(&str, &str)>, load: &dyn Fn(usize) -> u64| {
            for series in 0..row.series() {
                let place = indexed.cell + series * row.cells_per_series();
                let mut metric = value(row, &|offset| load(place + offset));
                metric.set_label(labels(row, series, whose));
                give(metric);
            }
        };
        let sum = |cells: &[Arc<Cells>], place: usize| {
            let values = cells.iter().map(|cells| cells.load(place));
            values.fold(0, u64::wrapping_add)
        };
        let Threads { cores, store, process, tenants, .. } = &*self.threads;
        match (row.source, row.merge) {
            (MetricSource::Store, _) => series_of(None, &|place| sum(store.as_slice(), place)),
            (MetricSource::Process, _) => series_of(None, &|place| process.load(place)),
            (MetricSource::Core, Merge::ByTenant) => {
                let wanted = |name: &str| self.tenant.as_ref().is_none_or(|one| one == name);
                for (tenant, name) in tenants.shown().filter(|(_, name)| wanted(name)) {
                    series_of(Some(("tenant_id", name)), &|place| sum_tenant(cores, tenant, place));
                }
            }
            (MetricSource::Core, Merge::Sum | Merge::ByCore) if row.shows_cores(self.cores) => {
                for (core, cells) in cores.iter().enumerate() {
                    series_of(Some(("core", &core.to_string())), &|place| cells.load(place));
                }
            }
            (MetricSource::Core, Merge::Sum | Merge::ByCore) => {
                series_of(None, &|place| sum(cores, place))
            }
        }
    }
}

impl Collector for Merging {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families: Vec<MetricFamily> = Vec::new();
        for indexed in &self.rows {
            if families.last().is_none_or(|family| family.name() != indexed.row.name) {
                families.push(empty_family(indexed.row));
            }
            let family = families.last_mut().expect("one was just pushed");
            self.give(indexed, &mut |metric| family.mut_metric().push(metric));
        }
        families
    }
}

fn sum_tenant(cores: &[Arc<Cells>], tenant: Tenant, place: usize) -> u64 {
    let values = cores.iter().map(|cells| cells.load_tenant(tenant, place));
    values.fold(0, u64::wrapping_add)
}

fn descriptions(rows: &[IndexedRow]) -> Vec<Desc> {
    let families = rows.chunk_by(|a, b| a.row.name == b.row.name).map(|family| family[0].row);
    let describe = |row: &MetricRow| {
        let labels = row.labels(0).into_iter().map(|(label, _)| label.to_owned());
        Desc::new(row.name.to_owned(), row.help.to_owned(), labels.collect(), HashMap::new())
            .expect("names and labels of the catalogue are valid")
    };
    families.map(describe).collect()
}

fn empty_family(row: &MetricRow) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(row.name.to_owned());
    family.set_help(row.help.to_owned());
    family.set_field_type(match row.kind {
        MetricKind::Counter => MetricType::COUNTER,
        MetricKind::Gauge => MetricType::GAUGE,
        MetricKind::Histogram => MetricType::HISTOGRAM,
    });
    family
}

fn labels(row: &MetricRow, series: usize, whose: Option<(&str, &str)>) -> Vec<LabelPair> {
    let whose = whose.map(|(label, word)| pair(label, word));
    let own = row.labels(series);
    whose.into_iter().chain(own.iter().map(|(label, word)| pair(label, word))).collect()
}

fn pair(label: &str, word: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(label.to_owned());
    pair.set_value(word.to_owned());
    pair
}

fn value(row: &MetricRow, cell: &dyn Fn(usize) -> u64) -> Metric {
    let mut metric = Metric::default();
    match row.kind {
        MetricKind::Counter => {
            let mut counter = proto::Counter::default();
            counter.set_value(cell(0) as f64 / row.per_unit as f64);
            metric.set_counter(counter);
        }
        MetricKind::Gauge => {
            let mut gauge = proto::Gauge::default();
            gauge.set_value(cell(0).cast_signed() as f64 / row.per_unit as f64);
            metric.set_gauge(gauge);
        }
        MetricKind::Histogram => metric.set_histogram(histogram(row.bounds_us, cell)),
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

pub(super) fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{
        Agent, CloseReason, Counter, Exemplar, Gauge, HandshakeOutcome, Histogram, Page, Protocol,
        StatusClass, TenantCounter, TenantHistogram,
    };

    /// Two cores; the second one says something with every kind.
    #[track_caller]
    fn check(cores: ScrapeScope, want: &[&str]) {
        let cells = vec![Cells::new(), Cells::new()];
        let (first, second) = (cells[0].claim(), cells[1].claim());
        first.add(Counter::Closed(CloseReason::Auth), 2);
        second.add(Counter::Closed(CloseReason::Auth), 3);
        second.add(Counter::BytesOut, 7);
        first.set(Gauge::Connections(Protocol::Protobuf), 9);
        second.set(Gauge::Connections(Protocol::Protobuf), (-1_i64).cast_unsigned());
        second.observe(Histogram::Handshake(HandshakeOutcome::Ok), 2_500);
        second.observe(Histogram::Handshake(HandshakeOutcome::Ok), 9_000_000);
        let text = Exposition::new(Threads::of_cores(cells)).text(cores);
        let lines: Vec<&str> = text.lines().collect();
        for line in want {
            assert!(lines.contains(line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn a_scrape_sums_over_cores() {
        check(
            ScrapeScope::Summed,
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
    fn what_is_no_cores_has_no_core() {
        let store = Cells::of_store();
        store.claim().add(Counter::StoreSyncs, 2);
        let (process, metrics) = Cells::of_process();
        metrics.set(Gauge::StartTime, 1_700_000_000_250);
        metrics.add(Counter::ProcessCpu, 2_500_000_000);
        metrics.observe(Histogram::Http(Page::Metrics, StatusClass::Success), 1_000);
        let store = Some(store);
        let threads = Threads { store, process, ..Threads::of_cores(vec![Cells::new()]) };
        let exposition = Exposition::new(threads);
        for cores in [ScrapeScope::Summed, ScrapeScope::Each] {
            let text = exposition.text(cores);
            for line in [
                "chat_store_syncs_total 2",
                "process_start_time_seconds 1700000000.25",
                "process_cpu_seconds_total 2.5",
                "http_request_duration_seconds_sum{method=\"GET\",route=\"/metrics\",\
                 status_class=\"2xx\"} 0.001",
            ] {
                assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
            }
        }
    }

    #[test]
    fn what_cannot_be_summed_shows_each_core() {
        let cells = vec![Cells::new(), Cells::new()];
        cells[1].claim().add(Counter::Busy, 1_500_000_000);
        let text = Exposition::new(Threads::of_cores(cells)).text(ScrapeScope::Summed);
        assert!(text.contains("\nchat_core_busy_seconds_total{core=\"0\"} 0\n"), "{text}");
        assert!(text.contains("\nchat_core_busy_seconds_total{core=\"1\"} 1.5\n"), "{text}");
    }

    #[test]
    fn a_scrape_shows_each_core_when_asked() {
        check(
            ScrapeScope::Each,
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
        let text = Exposition::new(Threads::of_cores(vec![Cells::new()])).text(ScrapeScope::Summed);
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        // A histogram's `_count` and `+Inf` are one cell. Of tenants there are the others.
        let want: usize = rows()
            .map(|IndexedRow { row, .. }| {
                let count = usize::from(row.kind == MetricKind::Histogram);
                row.series() * (row.cells_per_series() + count)
            })
            .sum();
        assert_eq!(samples.count(), want);
    }

    /// What a scrape of the shape that is shipped takes in, with 64 cores and 60 tenants.
    fn large() -> Exposition {
        let cores: Vec<Arc<Cells>> = (0..64).map(|_| Cells::new()).collect();
        let threads = Threads::of_cores(cores);
        for tenant in 0..60 {
            threads.tenants.of(&format!("tenant-{tenant}"));
        }
        let metrics = threads.cores[63].claim();
        metrics.add_tenant(threads.tenants.of("tenant-59").unwrap(), TenantCounter::Opened, 2);
        metrics.add_tenant(threads.tenants.of("tenant-49").unwrap(), TenantCounter::Opened, 3);
        metrics.observe_tenant(Tenant::OTHER, TenantHistogram::E2e, 2_000_000);
        Exposition::new(threads)
    }

    fn samples(text: &str) -> usize {
        text.lines().filter(|line| !line.starts_with('#')).count()
    }

    /// A core that hangs in the middle of a turn, or of writing an example.
    #[test]
    fn a_core_that_stopped_is_seen_by_its_last_tick() {
        let cells = vec![Cells::new(), Cells::new()];
        let (stopped, hangs) = std::sync::mpsc::channel::<()>();
        let (release, released) = std::sync::mpsc::channel::<()>();
        let core = std::thread::spawn({
            let cells = Arc::clone(&cells[1]);
            move || {
                let metrics = cells.claim();
                metrics.set(Gauge::LastTick, 1_700_000_000_125);
                let histogram = Histogram::EndToEnd;
                metrics.observe_with(histogram, 500_000, 1, || {
                    stopped.send(()).unwrap();
                    released.recv().unwrap();
                    Exemplar { trace_id: 1, room: "", agent: Agent::None }
                });
            }
        });
        hangs.recv().unwrap();
        let exposition = Exposition::new(Threads::of_cores(cells));
        let text =
            exposition.answer(&ScrapeQuery::default(), ExpositionFormat::OpenMetrics).unwrap();
        let line = "chat_core_last_tick_timestamp_seconds{core=\"1\"} 1700000000.125";
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        release.send(()).unwrap();
        core.join().unwrap();
    }

    #[test]
    fn series_stay_within_their_budget() {
        let exposition = large();
        let count =
            |query: &ScrapeQuery, format| samples(&exposition.answer(query, format).unwrap());
        let scrape = ScrapeQuery::default();
        let (text, open_metrics) =
            (count(&scrape, ExpositionFormat::Text), count(&scrape, ExpositionFormat::OpenMetrics));
        println!("64 cores, 60 tenants: {text} samples as text, {open_metrics} as OpenMetrics");
        assert!(text <= open_metrics && open_metrics <= 3_000, "{text} {open_metrics}");
        let each = ScrapeQuery { cores: ScrapeScope::Each, ..ScrapeQuery::default() };
        assert_eq!(
            exposition.answer(&each, ExpositionFormat::Text).err(),
            Some(ExpositionError::TooMany)
        );
        let some =
            ScrapeQuery { names: vec!["chat_executor_stall_seconds_sum".to_owned()], ..each };
        assert_eq!(count(&some, ExpositionFormat::Text), 64 * 12);
    }

    #[test]
    fn tenants_have_their_series_and_the_others_one() {
        let exposition = large();
        let text = exposition.text(ScrapeScope::Summed);
        for line in [
            "chat_tenant_conn_opened_total{tenant_id=\"tenant-0\"} 0",
            "chat_tenant_conn_opened_total{tenant_id=\"tenant-49\"} 3",
            "chat_tenant_conn_opened_total{tenant_id=\"_other\"} 2",
            "chat_tenant_e2e_latency_seconds_bucket{tenant_id=\"_other\",le=\"0.8\"} 0",
            "chat_tenant_e2e_latency_seconds_bucket{tenant_id=\"_other\",le=\"2\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        }
        assert!(!text.contains("tenant-50"));
        let labelled = rows().filter(|indexed| indexed.row.merge == Merge::ByTenant);
        let families: std::collections::BTreeSet<_> =
            labelled.map(|indexed| indexed.row.name).collect();
        assert_eq!(families.len(), 5, "tenant_id is a label of five families");

        let tenant = Some("tenant-49".to_owned());
        let query = ScrapeQuery { tenant, ..ScrapeQuery::default() };
        let own = exposition.answer(&query, ExpositionFormat::OpenMetrics).unwrap();
        assert!(own.contains("chat_tenant_conn_opened_total{tenant_id=\"tenant-49\"} 3\n"));
        let foreign = own.lines().filter(|line| !line.starts_with('#') && !line.contains("t-49"));
        assert_eq!(foreign.count(), 0, "{own}");
        let refused = |tenant: &str, names: &[&str]| {
            let names = names.iter().map(|&name| name.to_owned()).collect();
            let query =
                ScrapeQuery { tenant: Some(tenant.to_owned()), names, ..ScrapeQuery::default() };
            exposition.answer(&query, ExpositionFormat::Text).unwrap_err()
        };
        assert_eq!(refused("tenant-50", &[]), ExpositionError::UnknownTenant);
        assert_eq!(refused("tenant-49", &["chat_rooms"]), ExpositionError::UnknownName);
    }

    #[test]
    fn a_tenants_name_stays_between_its_quotes() {
        let threads = Threads::of_cores(vec![Cells::new()]);
        threads.tenants.of("\"} 1\\");
        let exposition = Exposition::new(threads);
        for format in [ExpositionFormat::Text, ExpositionFormat::OpenMetrics] {
            let text = exposition.answer(&ScrapeQuery::default(), format).unwrap();
            let line = "chat_tenant_active_connections{tenant_id=\"\\\"} 1\\\\\"} 0";
            assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        }
    }
}
