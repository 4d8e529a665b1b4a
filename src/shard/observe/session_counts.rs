//! What upgrades and sessions come to, counted.
//!
//! Deliberately absent: how many are open, which their table counts (`connections`).

use std::rc::Rc;

use crate::auth::UnsupportedClaim;
use crate::metrics::{
    BlockKind, Counter, ErrorReply, Gauge, HandshakeOutcome, HandshakeStage, HeartbeatOutcome,
    Histogram, MetricsWriter, Recovery as Recovered, RejectReason, Suspected, Tenant,
    TenantCounter, TenantGauge, TokenClaim,
};
use crate::room::RecoveryOutcome;
use crate::session::{ConnectionEvent, Fault, OutputCounts};
use crate::wire::ErrorCode;
use crate::ws::UpgradeError;

/// Counts what becomes of peers.
pub struct SessionCounts {
    metrics: Rc<MetricsWriter>,
}

impl SessionCounts {
    /// Counts into these cells.
    pub fn new(metrics: Rc<MetricsWriter>) -> SessionCounts {
        SessionCounts { metrics }
    }

    /// An upgrade came to this. Returns what that is called.
    pub fn on_handshake(
        &self,
        took_us: u64,
        upgraded: Result<(), RejectReason>,
    ) -> HandshakeOutcome {
        match upgraded {
            Ok(()) => {
                let stage = Histogram::HandshakeStage(HandshakeStage::Upgrade);
                self.metrics.observe(stage, took_us);
            }
            Err(reason) => self.metrics.add(Counter::Rejected(reason), 1),
        }
        if upgraded == Err(RejectReason::Blocked) {
            self.metrics.add(Counter::Blocked(BlockKind::Address), 1);
        }
        let outcome = outcome(upgraded);
        self.metrics.observe(Histogram::Handshake(outcome), took_us);
        outcome
    }

    /// Takes out of what a session decided whatever is only counted.
    pub fn count_outcome(&self, decided: &mut OutputCounts) {
        self.metrics.add(Counter::Replies, std::mem::take(&mut decided.answers_count));
        for code in decided.refused.drain(..) {
            self.metrics.add(Counter::ErrorsSent(error_reply(code)), 1);
        }
        if let Some((tenant, passage)) = decided.of_tenant.take() {
            self.count_tenant(tenant, passage);
        }
        for (histogram, value_us) in decided.observed.drain(..) {
            if histogram == Histogram::HeartbeatRtt {
                self.metrics.add(Counter::Heartbeats(HeartbeatOutcome::Pong), 1);
            }
            self.metrics.observe(histogram, value_us);
        }
        for claim in std::mem::take(&mut decided.unsupported).iter() {
            self.metrics.add(Counter::UnsupportedClaims(token_claim(claim)), 1);
        }
        for (chat_type, result) in decided.unpublished.drain(..) {
            self.metrics.add(Counter::Published(chat_type, result), 1);
        }
    }

    /// A session of this age ends for this.
    pub fn on_end(&self, age_ms: u64, fault: Fault) {
        self.metrics.add(Counter::Closed(fault.label()), 1);
        self.metrics.observe(Histogram::UpTime(fault.label()), age_ms * 1_000);
        if fault == Fault::Quarantined {
            self.metrics.add(Counter::Quarantined, 1);
        }
        if let Fault::Blocked(kind) = fault {
            self.metrics.add(Counter::Blocked(kind), 1);
        }
        self.metrics.add(Counter::ClosedBy(fault.blame()), 1);
        // Whoever found out, the client did not answer.
        if matches!(fault, Fault::NoPong | Fault::PeerGone) {
            self.metrics.add(Counter::Heartbeats(HeartbeatOutcome::Timeout), 1);
        }
        if fault == Fault::Slow {
            self.metrics.add(Counter::SlowConsumersEvicted, 1);
        }
    }

    /// A client that comes back was told what it missed, or that it reads anew.
    pub fn on_recovery(&self, recovery: RecoveryOutcome) {
        match recovery {
            RecoveryOutcome::NotAsked => (),
            RecoveryOutcome::Whole => self.metrics.add(Counter::Recovered(Recovered::Whole), 1),
            RecoveryOutcome::Lost => self.metrics.add(Counter::Recovered(Recovered::Failed), 1),
        }
    }

    /// A core was late for so long, rested so often from accepting, and so late at most.
    pub fn on_lateness(&self, late_ms: u64, rests_count: u64, worst_ms: u64) {
        self.metrics.add(Counter::LateTime, late_ms);
        self.metrics.add(Counter::AcceptRests, rests_count);
        self.metrics.set(Gauge::TimerLag, worst_ms);
    }

    /// Somebody who was suspected was judged.
    pub fn on_suspicion(&self, outcome: Suspected) {
        self.metrics.add(Counter::Suspicions(outcome), 1);
    }

    fn count_tenant(&self, tenant: Tenant, passage: ConnectionEvent) {
        let by = match passage {
            ConnectionEvent::Opened => {
                self.metrics.add_tenant(tenant, TenantCounter::Opened, 1);
                self.metrics.add(Counter::TenantOverflow, u64::from(tenant == Tenant::OTHER));
                1
            }
            ConnectionEvent::Closed => -1,
        };
        self.metrics.adjust_tenant(tenant, TenantGauge::Connections, by);
    }
}

/// What metrics call the refusal of an upgrade.
pub fn reject_reason(refusal: UpgradeError) -> RejectReason {
    match refusal {
        UpgradeError::BadRequest(_) | UpgradeError::UpgradeMissing | UpgradeError::HttpVersion => {
            RejectReason::BadRequest
        }
        UpgradeError::NotFound => RejectReason::NotFound,
        UpgradeError::Method => RejectReason::Method,
        UpgradeError::Version => RejectReason::Version,
        UpgradeError::Origin => RejectReason::Origin,
        UpgradeError::Blocked => RejectReason::Blocked,
        UpgradeError::HeadTooLarge => RejectReason::TooLarge,
        UpgradeError::TimedOut => RejectReason::Timeout,
        UpgradeError::NoRoom { .. } => RejectReason::NoRoom,
        UpgradeError::Late { .. } => RejectReason::Late,
        UpgradeError::Draining { .. } => RejectReason::Draining,
    }
}

/// Whether it went well, and if not, whose fault it was.
fn outcome(upgraded: Result<(), RejectReason>) -> HandshakeOutcome {
    match upgraded {
        Ok(()) => HandshakeOutcome::Ok,
        Err(
            RejectReason::BadRequest
            | RejectReason::NotFound
            | RejectReason::Method
            | RejectReason::Version
            | RejectReason::Origin
            | RejectReason::Blocked
            | RejectReason::TooLarge,
        ) => HandshakeOutcome::ClientError,
        Err(RejectReason::NoRoom | RejectReason::Late) => HandshakeOutcome::ServerError,
        Err(RejectReason::Timeout) => HandshakeOutcome::Timeout,
        Err(RejectReason::Draining) => HandshakeOutcome::Draining,
        Err(RejectReason::Gone) => HandshakeOutcome::Gone,
    }
}

/// What metrics call a claim that is not supported.
fn token_claim(claim: UnsupportedClaim) -> TokenClaim {
    match claim {
        UnsupportedClaim::OverridePresence => TokenClaim::OverridePresence,
        UnsupportedClaim::OverrideJoinLeave => TokenClaim::OverrideJoinLeave,
    }
}

/// What metrics call an error code.
fn error_reply(code: ErrorCode) -> ErrorReply {
    match code {
        ErrorCode::Internal => ErrorReply::Internal,
        ErrorCode::Unauthorized => ErrorReply::Unauthorized,
        ErrorCode::UnknownChannel => ErrorReply::UnknownChannel,
        ErrorCode::PermissionDenied => ErrorReply::PermissionDenied,
        ErrorCode::MethodNotFound => ErrorReply::MethodNotFound,
        ErrorCode::AlreadySubscribed => ErrorReply::AlreadySubscribed,
        ErrorCode::LimitExceeded => ErrorReply::LimitExceeded,
        ErrorCode::BadRequest => ErrorReply::BadRequest,
        ErrorCode::NotAvailable => ErrorReply::NotAvailable,
        ErrorCode::TokenExpired => ErrorReply::TokenExpired,
        ErrorCode::Expired => ErrorReply::Expired,
        ErrorCode::TooManyRequests => ErrorReply::TooManyRequests,
        ErrorCode::UnrecoverablePosition => ErrorReply::UnrecoverablePosition,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_have_the_numbers_that_clients_read() {
        for (number, word) in (100..).zip(ErrorReply::WORDS) {
            assert_eq!(number.to_string(), *word);
        }
        for code in [
            ErrorCode::Internal,
            ErrorCode::Unauthorized,
            ErrorCode::UnknownChannel,
            ErrorCode::PermissionDenied,
            ErrorCode::MethodNotFound,
            ErrorCode::AlreadySubscribed,
            ErrorCode::LimitExceeded,
            ErrorCode::BadRequest,
            ErrorCode::NotAvailable,
            ErrorCode::TokenExpired,
            ErrorCode::Expired,
            ErrorCode::TooManyRequests,
            ErrorCode::UnrecoverablePosition,
        ] {
            assert_eq!(error_reply(code).word(), code.parts().0.to_string());
        }
    }
}
