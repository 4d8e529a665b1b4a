//! A core that is late, and what it does about peers that seem to be.
//!
//! Deliberately absent: the measure (`lateness`), and who waits to be judged (`suspects`).

use super::Shard;
use super::conn::Stage;
use super::liveness::Judging;
use crate::base::{Action, ConnId, Now, PeerSigns};
use crate::metrics::{Counter, Gauge, Suspected};
use crate::session::{CoreLoad, Fault, Finding};
use crate::ws::Refusal;

/// What does not come in time is looked for again so long afterwards.
pub(super) const LOOK_AGAIN_MS: u64 = 250;

impl Shard {
    /// Finds out how late this turn's timers are, and tells whoever has to know.
    pub(super) fn observe_lateness(&mut self, now: Now, out: &mut Vec<Action>) {
        let due = self.connections.first_due().filter(|due| *due <= now.tick);
        self.lateness.observe(now.tick, due);
        let shards_per_core = u64::from(self.options.shards_per_core.max(1));
        let load = CoreLoad {
            core_connections: self.connections.len() as u64 * shards_per_core,
            lag_ms: self.lateness.lag_ms(),
            pace: self.lateness.pace(now.tick),
        };
        self.env.set_load(load);
        if self.drain.is_none() {
            out.extend(self.lateness.pace_accepting(now.tick));
        }
        let (late_ms, rests) = self.lateness.take_counts();
        self.scribe.add(Counter::LateTime, late_ms);
        self.scribe.add(Counter::AcceptRests, rests);
        self.scribe.set(Gauge::TimerLag, self.lateness.worst_ms());
    }

    /// The worst lateness of its timers in the last seconds, in ms.
    pub fn worst_lag_ms(&self) -> u64 {
        self.lateness.worst_ms()
    }

    /// Judges some of those whose time is over. `is_drained` says whether the plane has told
    /// all that happened; `signs` what it knows of one of them.
    pub fn judge(
        &mut self,
        now: Now,
        is_drained: bool,
        signs: &mut dyn FnMut(ConnId) -> PeerSigns,
    ) {
        let pace = self.lateness.pace(now.tick);
        let judging = self.suspects.judging(now.tick, pace, self.connections.len());
        match judging {
            Judging::Held => {
                for id in self.suspects.take_held() {
                    if self.spare(now, id) && is_drained {
                        self.judge_one(now, id, signs(id));
                    }
                }
            }
            Judging::Open if is_drained => {
                for id in self.suspects.take(now.tick) {
                    self.judge_one(now, id, signs(id));
                }
            }
            Judging::Open => (),
        }
    }

    fn judge_one(&mut self, now: Now, id: ConnId, signs: PeerSigns) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        match conn.stage() {
            Stage::Upgrading(upgrading) => {
                let since = upgrading.since;
                let is_over = self.options.session.upgrade_ms_max <= now.tick.ms_since(since);
                if is_over && !signs.has_unread {
                    self.refuse_upgrade(now, id, Refusal::TimedOut);
                }
            }
            Stage::Open(_, session) => {
                let was_suspected = session.is_suspected();
                let found =
                    self.with_session(now, id, |session, cx, out| session.judge(cx, signs, out));
                let found = found.unwrap_or(Finding::Alive);
                if was_suspected {
                    self.act_on(now, id, found);
                }
                self.rest(now, id);
            }
            Stage::Closing(_) | Stage::Shut => (),
        }
    }

    /// A pong was missing, and this was found.
    fn act_on(&mut self, now: Now, id: ConnId, found: Finding) {
        let outcome = match found {
            Finding::Alive => Suspected::Alive,
            Finding::Again => Suspected::AskedAgain,
            Finding::Silent if self.suspects.may_close(now.tick, self.connections.len()) => {
                self.end(now, id, Fault::NoPong);
                Suspected::Closed
            }
            Finding::Silent => return self.suspects.put_back(now.tick, id),
        };
        self.scribe.add(Counter::Suspicions(outcome), 1);
    }

    /// Nobody is judged now. Says whether this one has had twice its time.
    fn spare(&mut self, now: Now, id: ConnId) -> bool {
        let Some(conn) = self.connections.get_mut(id) else { return false };
        match conn.stage() {
            Stage::Upgrading(upgrading) => {
                let over_ms = now.tick.ms_since(upgrading.since);
                2 * self.options.session.upgrade_ms_max <= over_ms
            }
            Stage::Open(_, session) => {
                let was_suspected = session.is_suspected();
                let is_over = self.with_session(now, id, |session, cx, _| session.spare(cx));
                self.scribe.add(Counter::Suspicions(Suspected::Spared), was_suspected.into());
                self.rest(now, id);
                is_over.unwrap_or(false)
            }
            Stage::Closing(_) | Stage::Shut => false,
        }
    }

    /// Pings a client; behind a send that is under way, patience begins later.
    pub(super) fn ping(&mut self, id: ConnId) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        let (stage, send) = conn.split();
        let encoding = send.encoding();
        if let Stage::Open(_, session) = stage
            && send.is_sending()
        {
            session.on_ping_queued();
        }
        let frame = self.pinger.ping(encoding);
        self.queue.push_control(&mut self.connections, id, frame);
    }
}
