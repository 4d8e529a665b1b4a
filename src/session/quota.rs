//! The quotas of one connection: commands, bytes, answers, and errors. Beyond them it is refused,
//! and closed when it goes on.
//!
//! Deliberately absent: limits that all connections of a user share (`shard`, `room`).

use super::{CommandError, Context, Fault, Options, SessionOutput};
use crate::base::{BriefBucket, Bucket, DebtClock, MonotonicMs, Rate};
use crate::wire::ErrorCode;

/// The quotas of one connection.
#[derive(Debug)]
pub struct Quota {
    commands: Bucket,
    bytes: Bucket,
    errors: BriefBucket,
    answers: DebtClock,
}

/// The quota before a valid connect command: a correct client sends nothing but WebSocket pings
/// then.
const STRANGERS_FRAMES: Rate = Rate { per_s: 4, burst: 16 };

/// Whether a command is served.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaDecision {
    /// It is served.
    Served,
    /// It is refused with 111.
    Throttled,
}

impl Quota {
    /// All buckets full.
    pub fn new() -> Quota {
        Quota {
            commands: Bucket::full(),
            bytes: Bucket::full(),
            errors: BriefBucket::full(),
            answers: DebtClock::paid(),
        }
    }

    /// Counts received bytes.
    pub fn on_bytes(&mut self, now: MonotonicMs, options: &Options, count: usize) -> QuotaDecision {
        let units = u32::try_from(count).unwrap_or(u32::MAX);
        take(&mut self.bytes, now, bytes(options), units)
    }

    /// Counts a command.
    pub fn on_command(&mut self, now: MonotonicMs, options: &Options) -> QuotaDecision {
        take(&mut self.commands, now, commands(options), 1)
    }

    /// Counts what is as dear as commands: frames without one (pings, pongs, tiny fragments), and
    /// the questions of a command beyond its first.
    pub fn on_further(
        &mut self,
        now: MonotonicMs,
        options: &Options,
        count: usize,
    ) -> QuotaDecision {
        let units = u32::try_from(count).unwrap_or(u32::MAX);
        take(&mut self.commands, now, commands(options), units)
    }

    /// The same, for a peer that is not connected yet.
    pub fn on_strangers_frames(&mut self, now: MonotonicMs, count: usize) -> QuotaDecision {
        let units = u32::try_from(count).unwrap_or(u32::MAX);
        take(&mut self.commands, now, STRANGERS_FRAMES, units)
    }

    /// The peer has connected: its quotas start again.
    pub fn on_admitted(&mut self) {
        self.commands = Bucket::full();
    }

    /// Counts an answer.
    pub fn on_answer(&mut self, now: MonotonicMs, options: &Options, bytes: usize) {
        let units = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.answers.spend(now, answers(options), units);
    }

    /// Whether a command with a long answer is served: not before the quota has recovered from
    /// earlier ones.
    pub fn on_long_question(&self, now: MonotonicMs, options: &Options) -> QuotaDecision {
        if self.answers.is_in_debt(now, answers(options)) {
            QuotaDecision::Throttled
        } else {
            QuotaDecision::Served
        }
    }

    /// The peer is over a quota. After many such refusals it is closed.
    pub fn on_throttled(&mut self, now: MonotonicMs, options: &Options) -> Option<Fault> {
        let within = self.errors.take(now, options.errors_per_s, 1);
        (!within).then_some(Fault::TooManyRequests)
    }

    /// The peer made an error that correct clients do not make. After many of them it is closed.
    pub fn on_mistake(&mut self, now: MonotonicMs, options: &Options) -> Option<Fault> {
        let within = self.errors.take(now, options.errors_per_s, 1);
        (!within).then_some(Fault::TooManyErrors)
    }

    /// Counts a refusal. Only errors that correct clients do not make count as mistakes: a client
    /// with hundreds of channels that was away may learn at once that its tokens have expired, or
    /// that its permissions have changed. Such a refusal costs no more than serving, and the quota
    /// of commands limits both.
    pub fn on_refusal(
        &mut self,
        now: MonotonicMs,
        options: &Options,
        code: ErrorCode,
    ) -> Option<Fault> {
        match code {
            ErrorCode::BadRequest | ErrorCode::MethodNotFound => self.on_mistake(now, options),
            // Problems of the server or a room, which are not the client's fault.
            ErrorCode::Internal | ErrorCode::TooManyRequests => None,
            ErrorCode::TokenExpired
            | ErrorCode::Expired
            | ErrorCode::Unauthorized
            | ErrorCode::UnknownChannel
            | ErrorCode::PermissionDenied
            | ErrorCode::AlreadySubscribed
            | ErrorCode::LimitExceeded
            | ErrorCode::NotAvailable
            | ErrorCode::UnrecoverablePosition => None,
        }
    }
}

impl Quota {
    /// Counts received bytes. A client that does not stop is closed.
    pub fn take_bytes(
        &mut self,
        cx: &Context<'_>,
        count: usize,
        out: &mut SessionOutput,
    ) -> QuotaDecision {
        let admission = self.on_bytes(cx.now.tick, cx.options, count);
        self.close_if_throttled(cx, admission, out);
        admission
    }

    /// Counts frames without a command. A client that does not stop is closed.
    pub fn take_frames(
        &mut self,
        cx: &Context<'_>,
        count: usize,
        out: &mut SessionOutput,
    ) -> QuotaDecision {
        let admission = self.on_further(cx.now.tick, cx.options, count);
        self.close_if_throttled(cx, admission, out);
        admission
    }

    fn close_if_throttled(
        &mut self,
        cx: &Context<'_>,
        admission: QuotaDecision,
        out: &mut SessionOutput,
    ) {
        if admission == QuotaDecision::Throttled
            && let Some(fault) = self.on_throttled(cx.now.tick, cx.options)
        {
            out.close(fault);
        }
    }

    /// The same, for a peer that is not connected yet, which is closed at once.
    pub fn take_strangers_frames(
        &mut self,
        cx: &Context<'_>,
        count: usize,
        out: &mut SessionOutput,
    ) -> QuotaDecision {
        let admission = self.on_strangers_frames(cx.now.tick, count);
        if admission == QuotaDecision::Throttled {
            out.close(Fault::TooManyRequests);
        }
        admission
    }

    /// Refuses command `id`, and counts it against the peer if it was a mistake.
    pub fn refuse(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        refusal: impl Into<CommandError>,
        out: &mut SessionOutput,
    ) {
        let refusal = refusal.into();
        out.refuse(id, refusal);
        if let Some(fault) = self.on_refusal(cx.now.tick, cx.options, refusal.code()) {
            out.close(fault);
        }
    }

    /// Refuses command `id`, because the peer asks for more than its quota.
    pub fn throttle(&mut self, cx: &Context<'_>, id: u32, out: &mut SessionOutput) {
        out.refuse(id, ErrorCode::TooManyRequests);
        if let Some(fault) = self.on_throttled(cx.now.tick, cx.options) {
            out.close(fault);
        }
    }

    /// Refuses a command after a refused connect command: SDKs send both in one message, and it
    /// fails like that, permanently or temporarily.
    pub fn refuse_behind(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        code: ErrorCode,
        admission: QuotaDecision,
        out: &mut SessionOutput,
    ) {
        let within = self.on_command(cx.now.tick, cx.options);
        if within == QuotaDecision::Served && admission == QuotaDecision::Served {
            out.refuse(id, code);
        } else {
            self.throttle(cx, id, out);
        }
    }

    /// Refuses a connect command. Each costs a check of a token, and a good client makes
    /// one on a connection.
    pub fn refuse_stranger(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        code: ErrorCode,
        out: &mut SessionOutput,
    ) {
        out.refuse(id, code);
        if let Some(fault) = self.on_mistake(cx.now.tick, cx.options) {
            out.close(fault);
        }
    }
}

fn take(bucket: &mut Bucket, now: MonotonicMs, rate: Rate, units: u32) -> QuotaDecision {
    if bucket.take(now, rate, units) { QuotaDecision::Served } else { QuotaDecision::Throttled }
}

fn commands(options: &Options) -> Rate {
    Rate { per_s: options.commands_per_s, burst: options.commands_burst }
}

fn bytes(options: &Options) -> Rate {
    Rate { per_s: options.bytes_per_s, burst: options.bytes_burst }
}

fn answers(options: &Options) -> Rate {
    Rate { per_s: options.answer_bytes_per_s, burst: options.answer_bytes_burst }
}
