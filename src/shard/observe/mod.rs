//! What one shard tells of itself: what is measured of messages (`message_tracker`), noted when
//! something goes wrong (`flights`), told of single messages (`trace_events`), counted of sessions
//! and sampled, and what is looked for among its connections (`connection_scan`). The other parts
//! of the shard call it.
//!
//! Deliberately absent: whoever reads it.

mod connection_scan;
mod flights;
mod message_tracker;
mod recent;
mod sampler;
mod session_counts;
mod trace_events;

use std::rc::Rc;

pub use connection_scan::{ConnectionInfo, SCAN_RESULTS_MAX, ScanRequest, ScanResult, TopBy};
pub use flights::{EarlyPanic, work_in};
pub use message_tracker::{Observing, hashed};
pub use session_counts::reject_reason;
pub use trace_events::{
    ChannelLabel, IncidentCause, MessageIncident, Span, SpanAction, SpanExport, TraceEvent,
    TraceEvents,
};

use connection_scan::ConnectionScan;
use flights::FlightLog;
use message_tracker::MessageTracker;
use recent::{DeliveredMessage, RecentDeliveries};
use sampler::ConnSampler;
use session_counts::SessionCounts;

use super::connections::Connections;
use super::fanout::Channels;
use super::options::Options;
use crate::base::{Csprng, MonotonicMs, Timestamps};
use crate::metrics::{ChatType, DeliveryOutcome, LaneKind, MetricsWriter, RejectReason, Suspected};
use crate::room::{RecoveryOutcome, Rooms};
use crate::session::{self, Fault, NameKey, OutputCounts, Session};

/// All that is measured, noted down, sampled and looked for.
pub struct Observer {
    tracker: MessageTracker,
    flights: FlightLog,
    counts: SessionCounts,
    scan: ConnectionScan,
    sampler: ConnSampler,
}

impl Observer {
    /// Nothing was seen yet.
    pub fn new(options: &Options, names: NameKey, metrics: &Rc<MetricsWriter>) -> Observer {
        let early_ms_max = options.quarantine.early_ms_max;
        Observer {
            tracker: MessageTracker::new(&options.tracing, Rc::clone(metrics)),
            flights: FlightLog::new(early_ms_max, names, Rc::clone(metrics)),
            counts: SessionCounts::new(Rc::clone(metrics)),
            scan: ConnectionScan::default(),
            sampler: ConnSampler::new(Rc::clone(metrics)),
        }
    }

    /// The moment of an observation. Identities come from those of the sessions.
    pub fn observing<'o>(
        &'o mut self,
        now: Timestamps,
        rooms: &'o Rooms,
        channels: &'o Channels,
        ids: &'o mut Csprng,
    ) -> Observing<'o> {
        self.tracker.observing(now, rooms, channels, ids)
    }

    /// What there is to tell of single messages, in order.
    pub fn trace_events(&mut self) -> &mut TraceEvents {
        self.tracker.trace_events()
    }

    /// So many direct messages waited in the store until their time was over.
    pub fn on_expired(&mut self, count: u64) {
        self.tracker.count(ChatType::OneToOne, DeliveryOutcome::Expired, count);
    }

    /// An upgrade came to this after so long.
    pub fn on_handshake(&self, now: Timestamps, took_us: u64, upgraded: Result<(), RejectReason>) {
        let outcome = self.counts.on_handshake(took_us, upgraded);
        self.flights.on_handshake(now, outcome, took_us);
    }

    /// Takes out of what a session decided whatever is only counted.
    pub fn count_outcome(&self, decided: &mut OutputCounts) {
        self.counts.count_outcome(decided);
    }

    /// A session ends for this.
    pub fn on_end(
        &mut self,
        now: Timestamps,
        session: &Session,
        options: &session::Options,
        fault: Fault,
    ) {
        let age_ms = session.age_ms(now.tick, options);
        self.flights.on_end(now, session, age_ms, fault);
        self.counts.on_end(age_ms, fault);
    }

    /// A client that comes back was told what it missed, or that it reads anew.
    pub fn on_recovery(&self, recovery: RecoveryOutcome) {
        self.counts.on_recovery(recovery);
    }

    /// A core was late for so long, rested so often from accepting, and so late at most.
    pub fn on_lateness(&self, late_ms: u64, rests_count: u64, worst_ms: u64) {
        self.counts.on_lateness(late_ms, rests_count, worst_ms);
    }

    /// Somebody who was suspected was judged.
    pub fn on_suspicion(&self, outcome: Suspected) {
        self.counts.on_suspicion(outcome);
    }

    /// A lane had no room.
    pub fn count_full(&mut self, kind: LaneKind) {
        self.flights.count_full(kind);
    }

    /// Notes down which lanes had no room in this turn.
    pub fn note_full_lanes(&mut self, now: Timestamps) {
        self.flights.note_full_lanes(now);
    }

    /// Prefixes of sessions that panicked early since the last call.
    pub fn take_early_panics(&mut self) -> Vec<EarlyPanic> {
        self.flights.take_early_panics()
    }

    /// Begins to look through all connections. Whoever asked before gets no answer.
    pub fn begin_scan(&mut self, scan_id: u64, request: ScanRequest) {
        self.scan.begin(scan_id, request);
    }

    /// Looks at the next few connections, for the gauges and for whoever asked.
    pub fn step_scans(
        &mut self,
        now: Timestamps,
        connections: &Connections,
        options: &session::Options,
    ) {
        self.sampler.step(now, connections, options);
        self.scan.step(now, connections, options);
    }

    /// What a look found, and which look it was.
    pub fn take_scan_result(&mut self) -> Option<(u64, ScanResult)> {
        self.scan.take_scan_result()
    }

    /// When scans go on though nothing happens.
    pub fn next_wake(&self, connections: &Connections) -> Option<MonotonicMs> {
        let sampler = (!connections.is_empty()).then(|| self.sampler.next_wake());
        // A look goes on in the next turn, which begins at once.
        let scan = self.scan.is_running().then_some(MonotonicMs(0));
        sampler.into_iter().chain(scan).min()
    }
}
