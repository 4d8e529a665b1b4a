//! The numbers of one thread, and the right to write them.

use std::array;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::catalogue::{
    CELLS, Counter, Gauge, Histogram, TENANT_CELLS, TenantCounter, TenantGauge, TenantHistogram,
};
use super::exemplar::{Exemplar, ExemplarResult, ExemplarSlot, StoredExemplar};
use super::flight::{FlightCounts, FlightRecord, FlightRecorder, RecordedEvent};
use super::pulse::{CorePulse, CoreWork, PulseReading, TurnPhase};
use super::row::{Merge, MetricRow, MetricSource};
use super::tenants::{TENANTS_MAX, Tenant};
use crate::base::{ClientId, ConnId};

/// One core's numbers: one writer, any number of readers.
///
/// The alignment keeps two cores' cells out of one prefetched pair of cache lines.
#[repr(align(128))]
pub struct Cells {
    values: [AtomicU64; CELLS],
    /// By tenant; the last are the others'.
    tenants: [[AtomicU64; TENANT_CELLS]; TENANTS_MAX + 1],
    examples: [ExemplarSlot; Histogram::EXEMPLARS],
    flights: FlightRecorder,
    pulse: CorePulse,
    source: MetricSource,
    claimed: AtomicBool,
}

impl Cells {
    /// Those of a core, all series at 0.
    pub fn new() -> Arc<Cells> {
        Cells::of(MetricSource::Core)
    }

    /// Those of the storage thread.
    pub fn of_store() -> Arc<Cells> {
        Cells::of(MetricSource::Store)
    }

    /// Those of the process, and the right to write them.
    pub fn of_process() -> (Arc<Cells>, SharedMetricsWriter) {
        let cells = Cells::of(MetricSource::Process);
        (Arc::clone(&cells), SharedMetricsWriter { cells })
    }

    fn of(source: MetricSource) -> Arc<Cells> {
        Arc::new(Cells {
            values: array::from_fn(|_| AtomicU64::new(0)),
            tenants: array::from_fn(|_| array::from_fn(|_| AtomicU64::new(0))),
            examples: array::from_fn(|_| ExemplarSlot::new()),
            flights: FlightRecorder::new(),
            pulse: CorePulse::new(),
            source,
            claimed: AtomicBool::new(source == MetricSource::Process),
        })
    }

    /// Gives the right to write, once and for ever.
    pub fn claim(self: &Arc<Cells>) -> MetricsWriter {
        assert!(!self.claimed.swap(true, Relaxed), "cells have one writer");
        MetricsWriter { cells: Arc::clone(self), noted: Cell::default(), stay: PhantomData }
    }

    /// What went wrong lately, in no order. Asks nobody.
    pub fn flights(&self) -> Vec<RecordedEvent> {
        self.flights.read()
    }

    /// What the core is doing. Asks nobody.
    pub fn read_pulse(&self) -> PulseReading {
        self.pulse.read()
    }

    /// What a gauge shows.
    pub fn gauge(&self, gauge: Gauge) -> u64 {
        self.load(gauge.index())
    }

    /// What a counter shows here, for whoever counts on.
    pub fn counted(&self, counter: Counter) -> u64 {
        self.load(counter.index())
    }

    /// What a reader sees. Two cells may be some turns apart.
    pub(super) fn load(&self, place: usize) -> u64 {
        self.values[place].load(Relaxed)
    }

    /// The same, for a tenant's.
    pub(super) fn load_tenant(&self, tenant: Tenant, place: usize) -> u64 {
        self.tenants[tenant.index()][place].load(Relaxed)
    }

    /// The example in this place.
    pub(super) fn example(&self, place: usize) -> Option<StoredExemplar> {
        self.examples[place].read()
    }

    /// The cell `place` of `row`, which must be one that this thread writes: in
    /// another's cells no scrape would look for it.
    #[inline]
    fn cell(&self, row: &MetricRow, place: usize) -> &AtomicU64 {
        debug_assert_eq!(row.source, self.source, "{} is written elsewhere", row.name);
        &self.values[place]
    }
}

/// The right to write one core's cells. The raw pointer makes it `!Send`, so it
/// cannot leave the core that claimed it.
pub struct MetricsWriter {
    cells: Arc<Cells>,
    /// Events in the flight recorder since the beginning.
    noted: Cell<FlightCounts>,
    stay: PhantomData<*const ()>,
}

impl MetricsWriter {
    /// Records what went wrong. The oldest of its layer's 128 gives way.
    pub fn note(&self, flight: &FlightRecord<'_>) {
        let mut counts = self.noted.get();
        self.cells.flights.note(&mut counts, flight);
        self.noted.set(counts);
    }

    /// A turn begins.
    #[inline]
    pub fn begin_turn(&self, unix_ms: u64) {
        self.cells.pulse.begin(unix_ms);
    }

    /// The turn comes to this.
    #[inline]
    pub fn enter(&self, phase: TurnPhase) {
        self.cells.pulse.enter(phase);
    }

    /// What comes next is of this connection, of that core.
    #[inline]
    pub fn work_on(&self, core: u16, id: ConnId) {
        self.cells.pulse.current_work.connection(core, id);
    }

    /// And the connection is this client's.
    #[inline]
    pub fn work_for(&self, client: ClientId) {
        self.cells.pulse.current_work.client(client);
    }

    /// What comes next happens in this room; one that has no name to tell, by its hash.
    #[inline]
    pub fn work_in(&self, name: Option<&str>, hash: u64) {
        self.cells.pulse.current_work.room(name, hash);
    }

    /// What is under way at the end of a turn.
    #[inline]
    pub fn set_work(&self, under_way: &CoreWork) {
        self.cells.pulse.set_work(under_way);
    }

    /// So many questions to this core are open.
    pub fn set_open_requests(&self, to: u16, questions: u32) {
        self.cells.pulse.set_open_requests(to, questions);
    }

    /// Counts `n` more. Of a time, in the unit of its cell.
    #[inline]
    pub fn add(&self, counter: Counter, n: u64) {
        grow(self.cells.cell(counter.row(), counter.index()), n);
    }

    /// Says what a gauge shows from here on.
    #[inline]
    pub fn set(&self, gauge: Gauge, value: u64) {
        self.cells.cell(gauge.row(), gauge.index()).store(value, Relaxed);
    }

    /// Adds one observation in microseconds.
    #[inline]
    pub fn observe(&self, histogram: Histogram, value_us: u64) {
        self.put(histogram, value_us);
    }

    /// Adds one observation in microseconds, and in the tail keeps which one it was,
    /// where its histogram has examples. `example` is asked only then.
    #[inline]
    pub fn observe_with<'a>(
        &self,
        histogram: Histogram,
        value_us: u64,
        unix_ms: u64,
        example: impl FnOnce() -> Exemplar<'a>,
    ) {
        let bucket = self.put(histogram, value_us);
        let tail_from = histogram.row().tail_from();
        if histogram.row().exemplars && tail_from <= bucket {
            let place = histogram.exemplar_index() + bucket - tail_from;
            let noted = self.cells.examples[place].note(value_us, unix_ms, example);
            self.add(Counter::ExemplarsDropped, u64::from(noted == ExemplarResult::Dropped));
        }
    }

    /// Counts `n` more of a tenant.
    pub fn add_tenant(&self, tenant: Tenant, counter: TenantCounter, n: u64) {
        debug_assert!(counter.row().merge == Merge::ByTenant);
        grow(&self.cells.tenants[tenant.index()][counter.index()], n);
    }

    /// Moves a tenant's gauge up or down.
    pub fn adjust_tenant(&self, tenant: Tenant, gauge: TenantGauge, by: i64) {
        debug_assert!(gauge.row().merge == Merge::ByTenant);
        let value = &self.cells.tenants[tenant.index()][gauge.index()];
        value.store(value.load(Relaxed).wrapping_add_signed(by), Relaxed);
    }

    /// Adds one observation of a tenant, in microseconds.
    pub fn observe_tenant(&self, tenant: Tenant, histogram: TenantHistogram, value_us: u64) {
        let (row, first) = (histogram.row(), histogram.index());
        let cells = &self.cells.tenants[tenant.index()];
        grow(&cells[first + bucket(row, value_us)], 1);
        grow(&cells[first + row.bounds_us.len() + 1], value_us);
    }

    /// Says into which bucket it fell.
    #[inline]
    fn put(&self, histogram: Histogram, value_us: u64) -> usize {
        let (row, first) = (histogram.row(), histogram.index());
        let bucket = bucket(row, value_us);
        grow(self.cells.cell(row, first + bucket), 1);
        grow(self.cells.cell(row, first + row.bounds_us.len() + 1), value_us);
        bucket
    }
}

/// Counting beats searching: no branch depends on the value.
#[inline]
fn bucket(row: &MetricRow, value_us: u64) -> usize {
    row.bounds_us.iter().map(|&bound_us| usize::from(bound_us < value_us)).sum()
}

/// Load and store, not `fetch_add`: with one writer nothing is lost, and the hot
/// path pays for no locked instruction.
#[inline]
fn grow(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
}

/// The right to write the cells of the process, for any thread that is no core: it
/// pays for locked instructions, seldom.
#[derive(Clone)]
pub struct SharedMetricsWriter {
    cells: Arc<Cells>,
}

impl SharedMetricsWriter {
    /// Counts `n` more. Of a time, in the unit of its cell.
    pub fn add(&self, counter: Counter, n: u64) {
        self.cells.cell(counter.row(), counter.index()).fetch_add(n, Relaxed);
    }

    /// Says what a total that is counted elsewhere has come to.
    pub fn set_total(&self, counter: Counter, total: u64) {
        self.cells.cell(counter.row(), counter.index()).fetch_max(total, Relaxed);
    }

    /// Says what a gauge shows from here on.
    pub fn set(&self, gauge: Gauge, value: u64) {
        self.cells.cell(gauge.row(), gauge.index()).store(value, Relaxed);
    }

    /// Adds one observation in microseconds.
    pub fn observe(&self, histogram: Histogram, value_us: u64) {
        let (row, first) = (histogram.row(), histogram.index());
        self.cells.cell(row, first + bucket(row, value_us)).fetch_add(1, Relaxed);
        let sum = self.cells.cell(row, first + row.bounds_us.len() + 1);
        sum.fetch_add(value_us, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Agent, ChatType, Direction, Page, StatusClass};

    #[test]
    #[should_panic(expected = "cells have one writer")]
    fn cells_are_claimed_once() {
        let cells = Cells::new();
        let _first = cells.claim();
        let _second = cells.claim();
    }

    #[test]
    #[should_panic(expected = "cells have one writer")]
    fn the_cells_of_the_process_have_their_writer() {
        let (cells, _metrics) = Cells::of_process();
        let _second = cells.claim();
    }

    #[test]
    #[should_panic(expected = "chat_store_syncs_total is written elsewhere")]
    fn nobody_writes_where_no_scrape_looks() {
        Cells::new().claim().add(Counter::StoreSyncs, 1);
    }

    #[track_caller]
    fn check(cells: &Cells, histogram: Histogram, want_buckets: &[u64], want_sum: u64) {
        let (first, end) = (histogram.index(), histogram.row().bounds_us.len());
        let buckets: Vec<u64> = (0..=end).map(|bucket| cells.load(first + bucket)).collect();
        assert_eq!((&buckets[..], cells.load(first + end + 1)), (want_buckets, want_sum));
    }

    #[test]
    fn an_observation_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let cells = Cells::new();
        let metrics = cells.claim();
        let bounds_us = Histogram::Stall.row().bounds_us;
        metrics.observe(Histogram::Stall, bounds_us[1]);
        metrics.observe(Histogram::Stall, bounds_us[1] + 1);
        metrics.observe(Histogram::Stall, u64::from(u32::MAX));
        let sum = 2 * bounds_us[1] + 1 + u64::from(u32::MAX);
        check(&cells, Histogram::Stall, &[0, 1, 1, 0, 0, 0, 0, 0, 0, 1], sum);
    }

    #[test]
    fn the_process_counts_as_cores_do() {
        let (cells, metrics) = Cells::of_process();
        let histogram = Histogram::Http(Page::Metrics, StatusClass::Success);
        metrics.observe(histogram, 5_000);
        metrics.clone().observe(histogram, 5_001);
        check(&cells, histogram, &[1, 1, 0, 0, 0, 0, 0], 10_001);
        metrics.set_total(Counter::ProcessCpu, 7);
        metrics.set_total(Counter::ProcessCpu, 6);
        metrics.add(Counter::ProcessCpu, 1);
        assert_eq!(cells.load(Counter::ProcessCpu.index()), 8);
    }

    #[test]
    fn only_the_tail_keeps_examples() {
        let cells = Cells::new();
        let metrics = cells.claim();
        let histogram = Histogram::E2e(ChatType::Group, Direction::Recv);
        let asked = || -> Exemplar<'_> { panic!("it is not slow") };
        metrics.observe_with(histogram, 200_000, 1, asked);
        let one = || Exemplar { trace_id: 7, room: "room:1", agent: Agent::Ios };
        metrics.observe_with(histogram, 200_001, 5_000, one);
        metrics.observe_with(histogram, 900_000, 5_000, one);
        metrics.observe_with(histogram, u64::from(u32::MAX), 5_000, one);
        metrics.observe_with(histogram, u64::from(u32::MAX), 5_000, asked);
        let place = histogram.exemplar_index();
        let kept: Vec<Option<u64>> = (place..place + histogram.row().exemplars_per_series())
            .map(|place| cells.example(place).map(|kept| kept.value_us))
            .collect();
        let last = Some(u64::from(u32::MAX));
        assert_eq!(kept, [Some(200_001), None, Some(900_000), None, None, None, last]);
        assert_eq!(cells.load(Counter::ExemplarsDropped.index()), 1);
        // A histogram without examples takes the observation, and asks nobody.
        metrics.observe_with(Histogram::Stall, u64::from(u32::MAX), 9, asked);
    }
}
