//! What a shard notes down when something goes wrong, so that it can be looked at
//! afterwards.
//!
//! Deliberately absent: who looks.

use std::rc::Rc;

use super::trace_events::{self, ChannelLabel, MessageIncident};
use crate::base::{RoomId, Timestamps};
use crate::metrics::{
    CloseReason, Counter, FlightCause, FlightRecord, HandshakeOutcome, LaneKind, MetricsWriter,
    StageDurations,
};
use crate::session::{Fault, NameKey, Prefix, Session};

/// A session that panicked soon after it began.
pub type EarlyPanic = Prefix;

/// Early panics that wait to be told; more of one turn say nothing new.
const EARLY_PANICS_MAX: usize = 16;

/// What waits to be noted down or told.
pub struct FlightLog {
    /// Sessions that panicked soon after they began, until that is told.
    early_panics: Vec<EarlyPanic>,
    early_ms_max: u64,
    /// Kinds of lanes that had no room in this turn.
    full_lanes: [bool; LaneKind::ALL.len()],
    names: NameKey,
    metrics: Rc<MetricsWriter>,
}

impl FlightLog {
    /// Nothing went wrong yet. A panic is early within `early_ms_max`.
    pub fn new(early_ms_max: u64, names: NameKey, metrics: Rc<MetricsWriter>) -> FlightLog {
        let (early_panics, full_lanes) = (Vec::new(), Default::default());
        FlightLog { early_panics, early_ms_max, full_lanes, names, metrics }
    }

    /// Notes down that a session of this age ends, if it should not end like this.
    pub fn on_end(&mut self, now: Timestamps, session: &Session, age_ms: u64, fault: Fault) {
        if fault == Fault::Panicked
            && age_ms <= self.early_ms_max
            && self.early_panics.len() < EARLY_PANICS_MAX
            && let Some(who) = session.who()
        {
            self.early_panics.push(Prefix::of(who.tenant, who.user, who.agent));
        }
        let Some(cause) = cause(fault) else { return };
        let client_hash = session.who().map_or(0, |who| self.names.client_hash(who.client));
        self.metrics.note(&FlightRecord {
            agent: session.agent(),
            client_hash,
            value_us: age_ms * 1_000,
            ..FlightRecord::new(now.unix_ms, cause)
        });
    }

    /// Notes down that an upgrade came to nothing.
    pub fn on_handshake(&self, now: Timestamps, outcome: HandshakeOutcome, took_us: u64) {
        match outcome {
            // Its peer went away, or was sent to a server that stays.
            HandshakeOutcome::Ok | HandshakeOutcome::Gone | HandshakeOutcome::Draining => (),
            HandshakeOutcome::ClientError
            | HandshakeOutcome::ServerError
            | HandshakeOutcome::Timeout => {
                let cause = FlightCause::HandshakeFailed(outcome);
                let flight = FlightRecord::new(now.unix_ms, cause);
                self.metrics.note(&FlightRecord { value_us: took_us, ..flight });
            }
        }
    }

    /// A lane had no room.
    pub fn count_full(&mut self, kind: LaneKind) {
        self.full_lanes[kind as usize] = true;
        self.metrics.add(Counter::LaneFull(kind), 1);
    }

    /// Notes down which lanes had no room in this turn; each once, however often it was.
    pub fn note_full_lanes(&mut self, now: Timestamps) {
        for (lane, full) in LaneKind::ALL.iter().zip(&mut self.full_lanes) {
            if std::mem::take(full) {
                self.metrics.note(&FlightRecord::new(now.unix_ms, FlightCause::LaneFull(*lane)));
            }
        }
    }

    /// Prefixes of sessions that panicked early since the last call.
    pub fn take_early_panics(&mut self) -> Vec<EarlyPanic> {
        std::mem::take(&mut self.early_panics)
    }
}

/// Says in which channel the core works from here on: by its name, unless that is made of
/// people's or not known.
pub fn work_in(metrics: &MetricsWriter, name: Option<&str>, room: RoomId) {
    let is_of_people = |name: &&str| name.starts_with('@') || name.starts_with("dm#");
    metrics.work_in(name.filter(|name| !is_of_people(name)), room.fold());
}

/// Notes down that a message was slow, or did not arrive. A channel that is named
/// after people is there as its hash.
pub fn note_message(
    metrics: &MetricsWriter,
    now: Timestamps,
    incident: &MessageIncident,
    hash: &str,
) {
    let cause = match incident.cause {
        trace_events::IncidentCause::Slow(segment) => FlightCause::SlowMessage(segment),
        trace_events::IncidentCause::Failed(outcome) => FlightCause::FailedMessage(outcome),
        trace_events::IncidentCause::Refused(result) => FlightCause::RefusedMessage(result),
    };
    let room = match &incident.room {
        ChannelLabel::Named(name) => name,
        ChannelLabel::Hashed(_) => hash,
    };
    let short = |us: Option<u64>| us.map(|us| u32::try_from(us).unwrap_or(u32::MAX - 1));
    let [p2b_us, queue_us, b2c_us, consume_us] = incident.segments_us.map(short);
    metrics.note(&FlightRecord {
        trace_id: incident.trace.bits(),
        room,
        agent: incident.agent,
        value_us: incident.segments_us.iter().flatten().sum(),
        stages: StageDurations { p2b_us, queue_us, b2c_us, consume_us },
        ..FlightRecord::new(now.unix_ms, cause)
    });
}

/// What is noted down about an end; nothing where it is how connections end.
fn cause(fault: Fault) -> Option<FlightCause> {
    if fault == Fault::Quarantined {
        return Some(FlightCause::Quarantined);
    }
    match fault.label() {
        CloseReason::Normal
        | CloseReason::NetError
        | CloseReason::PeerGone
        | CloseReason::Shutdown
        | CloseReason::Backend => None,
        // Clients come with old tokens every day.
        CloseReason::Auth => None,
        reason @ (CloseReason::Timeout
        | CloseReason::Panic
        | CloseReason::SlowConsumer
        | CloseReason::Overload
        | CloseReason::PartialMessages
        | CloseReason::ProtocolError
        | CloseReason::Quarantine
        | CloseReason::InternalError) => Some(FlightCause::Closed(reason)),
    }
}
