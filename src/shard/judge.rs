//! A core that is late, and what it does about peers that seem to be: it closes those that the
//! session found silent, when it may.
//!
//! Deliberately absent: when a pong is missing for good (`session::ping_timer`), the measure
//! (`liveness::lateness`), and who waits to be judged (`liveness::suspects`).

use super::conn::ConnStage;
use super::liveness::{Lateness, SuspectChecks};
use super::observe::Observer;
use super::sessions::Sessions;
use super::turn_context::TurnContext;
use super::upgrades;
use crate::base::{ConnId, MonotonicMs, TcpLiveness};
use crate::metrics::Suspected;
use crate::session::{CoreLoad, CorePace, Fault, PongResult};
use crate::ws::UpgradeError;

/// Whether the `Io` has told all that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReapProgress {
    /// There is nothing more to be heard in this turn.
    All,
    /// More waits for the next one.
    Partial,
}

/// Finds out how late this turn's timers are, and tells sessions.
pub fn observe_lateness(sessions: &mut Sessions, lateness: &mut Lateness, now: MonotonicMs) {
    let connections = sessions.connections();
    let due = connections.first_due().filter(|due| *due <= now);
    lateness.observe(now, due);
    let shards_per_core = u64::from(sessions.options().shards_per_core.max(1));
    let load = CoreLoad {
        core_connections: connections.len() as u64 * shards_per_core,
        lag_ms: lateness.lag_ms(),
        pace: lateness.pace(now),
    };
    sessions.env_mut().set_load(load);
}

/// Counts what was late.
pub fn count_lateness(lateness: &mut Lateness, observer: &Observer) {
    let (late_ms, rests_count) = lateness.take_counts();
    observer.on_lateness(late_ms, rests_count, lateness.worst_ms());
}

/// Checks some of the connections whose deadline has passed; `tcp_liveness` returns the socket's
/// signs of life.
pub fn judge(
    sessions: &mut Sessions,
    cx: &mut TurnContext<'_>,
    pace: CorePace,
    reap_progress: ReapProgress,
    tcp_liveness: &mut dyn FnMut(ConnId) -> TcpLiveness,
) {
    let now = cx.now.tick;
    let checks = cx.suspects.checks(now, pace, sessions.connections().len());
    match (checks, reap_progress) {
        (SuspectChecks::Paused, _) => {
            for id in cx.suspects.take_held() {
                if spare(sessions, cx, id) && reap_progress == ReapProgress::All {
                    judge_one(sessions, cx, id, tcp_liveness(id));
                }
            }
        }
        (SuspectChecks::Running, ReapProgress::All) => {
            for id in cx.suspects.take(now) {
                judge_one(sessions, cx, id, tcp_liveness(id));
            }
        }
        (SuspectChecks::Running, ReapProgress::Partial) => (),
    }
}

fn judge_one(
    sessions: &mut Sessions,
    cx: &mut TurnContext<'_>,
    id: ConnId,
    tcp_liveness: TcpLiveness,
) {
    let Some(conn) = sessions.connections().get(id) else { return };
    match conn.stage() {
        ConnStage::Upgrading(upgrading) => {
            let over_ms = cx.now.tick.ms_since(upgrading.since);
            let is_over = sessions.options().session.upgrade_ms_max <= over_ms;
            if is_over && !tcp_liveness.has_unread {
                upgrades::refuse(sessions, cx, id, UpgradeError::TimedOut);
            }
        }
        ConnStage::Open(_, session) => {
            let was_suspected = session.is_suspected();
            let found = sessions
                .with_session(cx, id, |session, cx, out| session.judge(cx, tcp_liveness, out));
            if was_suspected {
                act_on(sessions, cx, id, found.unwrap_or(PongResult::Alive));
            }
            sessions.set_next_timer(cx.now, id);
        }
        ConnStage::Closing(_) | ConnStage::Shut => (),
    }
}

/// A pong was missing, and this was found.
fn act_on(sessions: &mut Sessions, cx: &mut TurnContext<'_>, id: ConnId, found: PongResult) {
    let now = cx.now.tick;
    let outcome = match found {
        PongResult::Alive => Suspected::Alive,
        PongResult::Again => Suspected::AskedAgain,
        PongResult::Silent if cx.suspects.may_close(now, sessions.connections().len()) => {
            sessions.end(cx, id, Fault::NoPong);
            Suspected::Closed
        }
        PongResult::Silent => return cx.suspects.put_back(now, id),
    };
    cx.observer.on_suspicion(outcome);
}

/// Nobody is judged now. Says whether this one has had twice its time.
fn spare(sessions: &mut Sessions, cx: &mut TurnContext<'_>, id: ConnId) -> bool {
    let Some(conn) = sessions.connections().get(id) else { return false };
    match conn.stage() {
        ConnStage::Upgrading(upgrading) => {
            let over_ms = cx.now.tick.ms_since(upgrading.since);
            2 * sessions.options().session.upgrade_ms_max <= over_ms
        }
        ConnStage::Open(_, session) => {
            let was_suspected = session.is_suspected();
            let is_over = sessions.with_session(cx, id, |session, cx, _| session.spare(cx));
            if was_suspected {
                cx.observer.on_suspicion(Suspected::Spared);
            }
            sessions.set_next_timer(cx.now, id);
            is_over.unwrap_or(false)
        }
        ConnStage::Closing(_) | ConnStage::Shut => false,
    }
}
