//! What a shard notes down when something goes wrong, so that it can be looked at
//! afterwards.
//!
//! Deliberately absent: who looks.

use super::notes::{self, Room, Trouble};
use crate::base::{ConnId, Now, RoomId};
use crate::metrics::{Cause, CloseReason, Flight, HandshakeOutcome, LaneKind, Stages, UnderWay};
use crate::session::{Fault, Prefix};
use crate::shard::Shard;

/// A session that panicked soon after it began.
pub type EarlyPanic = Prefix;

/// Early panics that wait to be told; more of one turn say nothing new.
const EARLY_PANICS_MAX: usize = 16;

impl Shard {
    /// Says in which room the core works from here on: by its name, unless that is made of
    /// people's.
    pub(in crate::shard) fn say_room(&self, room: RoomId) {
        match self.rooms.name(room) {
            Some(name) => self.say_channel(name, room),
            None => self.scribe.work_in(None, room.fold()),
        }
    }

    /// The same, where the name is at hand.
    pub(in crate::shard) fn say_channel(&self, name: &str, room: RoomId) {
        let is_of_people = name.starts_with('@') || name.starts_with("dm#");
        self.scribe.work_in((!is_of_people).then_some(name), room.fold());
    }

    /// Notes down that a connection ends, if it should not end like this.
    pub(in crate::shard) fn note_end(&mut self, now: Now, id: ConnId, fault: Fault) {
        let Some(session) = self.connections.session(id) else { return };
        let age_ms = session.age_ms(now.tick, &self.options.session);
        if fault == Fault::Panicked
            && age_ms <= self.options.quarantine.early_ms_max
            && self.early_panics.len() < EARLY_PANICS_MAX
            && let Some(who) = session.who()
        {
            self.early_panics.push(Prefix::of(who.tenant, who.user, who.agent));
        }
        let Some(cause) = cause(fault) else { return };
        let client_hash = session.who().map_or(0, |who| self.env.names().client_hash(who.client));
        self.scribe.note(&Flight {
            agent: session.agent(),
            client_hash,
            value_us: age_ms * 1_000,
            ..Flight::new(now.unix_ms, cause)
        });
    }

    /// Notes down that a message was slow, or did not arrive. A channel that is named
    /// after people is there as its hash.
    pub(in crate::shard) fn note_message(&self, now: Now, trouble: &Trouble, hash: &str) {
        let cause = match trouble.cause {
            notes::Cause::Slow(segment) => Cause::SlowMessage(segment),
            notes::Cause::Failed(outcome) => Cause::FailedMessage(outcome),
            notes::Cause::Refused(result) => Cause::RefusedMessage(result),
        };
        let room = match &trouble.room {
            Room::Named(name) => name,
            Room::Hashed(_) => hash,
        };
        let short = |us: Option<u64>| us.map(|us| u32::try_from(us).unwrap_or(u32::MAX - 1));
        let [p2b_us, queue_us, b2c_us, consume_us] = trouble.segments_us.map(short);
        self.scribe.note(&Flight {
            trace_id: trouble.trace.bits(),
            room,
            agent: trouble.agent,
            value_us: trouble.segments_us.iter().flatten().sum(),
            stages: Stages { p2b_us, queue_us, b2c_us, consume_us },
            ..Flight::new(now.unix_ms, cause)
        });
    }

    /// Notes down that an upgrade came to nothing.
    pub(in crate::shard) fn note_handshake(
        &self,
        now: Now,
        outcome: HandshakeOutcome,
        took_us: u64,
    ) {
        match outcome {
            // Its peer went away, or was sent to a server that stays.
            HandshakeOutcome::Ok | HandshakeOutcome::Gone | HandshakeOutcome::Draining => (),
            HandshakeOutcome::ClientError
            | HandshakeOutcome::ServerError
            | HandshakeOutcome::Timeout => {
                let cause = Cause::HandshakeFailed(outcome);
                let flight = Flight::new(now.unix_ms, cause);
                self.scribe.note(&Flight { value_us: took_us, ..flight });
            }
        }
    }

    /// Prefixes of sessions that panicked early since the last call.
    pub fn take_early_panics(&mut self) -> Vec<EarlyPanic> {
        std::mem::take(&mut self.early_panics)
    }

    /// What this shard has under way; the ring's requests are the plane's to say.
    pub fn under_way(&self) -> UnderWay {
        UnderWay {
            connections: self.connections.len() as u64,
            timers: self.connections.timers_len() as u64,
            questions: self.mesh.open_asks(),
            ring_operations: 0,
            store_requests: self.rooms.requests_count() as u64,
        }
    }

    /// Tells `each` how many questions to a core are open, where that has changed since
    /// the last call.
    pub fn changed_lanes(&mut self, each: &mut dyn FnMut(u16, u32)) {
        self.mesh.changed_lanes(each);
    }

    /// Timers that were set and questions that were asked since the beginning.
    pub fn tasks_begun(&self) -> u64 {
        self.connections.timers_begun() + self.mesh.asks_begun()
    }

    /// Notes down which lanes had no room in this turn; each once, however often it was.
    pub(in crate::shard) fn note_full_lanes(&mut self, now: Now) {
        for (lane, full) in LaneKind::ALL.iter().zip(&mut self.full_lanes) {
            if std::mem::take(full) {
                self.scribe.note(&Flight::new(now.unix_ms, Cause::LaneFull(*lane)));
            }
        }
    }
}

/// What is noted down about an end; nothing where it is how connections end.
fn cause(fault: Fault) -> Option<Cause> {
    if fault == Fault::Quarantined {
        return Some(Cause::Quarantined);
    }
    match fault.label() {
        CloseReason::Normal
        | CloseReason::NetError
        | CloseReason::PeerGone
        | CloseReason::Shutdown => None,
        // Clients come with old tokens every day.
        CloseReason::Auth => None,
        reason @ (CloseReason::Timeout
        | CloseReason::Panic
        | CloseReason::SlowConsumer
        | CloseReason::Overload
        | CloseReason::HalfMessages
        | CloseReason::ProtocolError
        | CloseReason::Quarantine
        | CloseReason::InternalError) => Some(Cause::Closed(reason)),
    }
}
