//! The heartbeat of a session: turns the actions of its timer into a ping, a suspicion or the end.
//!
//! Deliberately absent: times (`ping_timer`), and the check of suspects (the shard).

use super::ping_timer::{HeartbeatAction, PingTimer, PongResult};
use super::{Context, Effect, Fault, Options, SessionOutput, Suspicion};
use crate::base::{MonotonicMs, TcpLiveness};
use crate::metrics::Histogram;

/// One connection's heartbeat.
#[derive(Debug)]
pub(super) struct Heartbeat(PingTimer);

impl Heartbeat {
    /// Before the interval is chosen; `asked_s` is the longest that the client wants.
    pub fn new(asked_s: Option<u32>) -> Heartbeat {
        Heartbeat(PingTimer::new(asked_s))
    }

    /// Notes that bytes of the client came.
    pub fn on_bytes(&mut self) {
        self.0.on_heard();
    }

    /// Chooses the interval, which the client is told. Returns it.
    pub fn settle(&mut self, cx: &mut Context<'_>) -> u64 {
        let (now, load) = (cx.now.tick, cx.load.core_connections);
        self.0.settle(now, cx.options, load, &mut cx.random.jitter);
        self.0.interval_ms(cx.options)
    }

    /// The time of its next action; never, without pings.
    pub fn due(&self, cx: &Context<'_>) -> MonotonicMs {
        match cx.options.ping_interval_ms {
            0 => MonotonicMs(u64::MAX),
            1.. => self.0.due(cx.now.tick, cx.options, cx.load.lag_ms),
        }
    }

    /// Time has passed.
    pub fn on_timer(&mut self, cx: &mut Context<'_>, out: &mut SessionOutput) {
        if cx.now.tick < self.due(cx) {
            return;
        }
        let (now, load) = (cx.now.tick, cx.load.core_connections);
        match self.0.on_due(now, cx.options, load, &mut cx.random.jitter) {
            HeartbeatAction::Rest => (),
            HeartbeatAction::Ping => out.effect(Effect::Ping),
            HeartbeatAction::Suspect => out.effect(Effect::Suspect(Suspicion::Silence)),
            // The client does not read, so its outbox would never become empty.
            HeartbeatAction::Unsent => out.close(Fault::Slow),
        }
    }

    /// A pong came.
    pub fn on_pong(&mut self, cx: &mut Context<'_>, out: &mut SessionOutput) {
        let (now, load) = (cx.now.tick, cx.load.core_connections);
        if let Some(pinged) = self.0.on_pong(now, cx.options, load, &mut cx.random.jitter) {
            out.observe(Histogram::HeartbeatRtt, pinged, now);
            cx.tracer.on_round_trip(now, cx.conn, now.ms_since(pinged));
        }
    }

    /// Judges a missing pong by the socket's signs of life.
    pub fn judge(
        &mut self,
        cx: &mut Context<'_>,
        tcp_liveness: TcpLiveness,
        out: &mut SessionOutput,
    ) -> PongResult {
        let (now, load) = (cx.now.tick, cx.load.core_connections);
        let found = self.0.judge(now, cx.options, load, tcp_liveness, &mut cx.random.jitter);
        if found == PongResult::Again {
            out.effect(Effect::Ping);
        }
        found
    }

    /// Spares a suspect: the client is pinged again in its time, as if it had answered.
    pub fn spare(&mut self, cx: &mut Context<'_>) {
        let (now, load) = (cx.now.tick, cx.load.core_connections);
        self.0.spare(now, cx.options, load, &mut cx.random.jitter);
    }

    /// Whether a pong is missing.
    pub fn is_suspected(&self) -> bool {
        self.0.is_suspected()
    }

    /// The ping waits for a send that is under way.
    pub fn on_queued(&mut self) {
        self.0.on_queued();
    }

    /// A send has left.
    pub fn on_sent(&mut self, now: MonotonicMs, options: &Options) {
        self.0.on_sent(now, options);
    }
}
