use super::{Fault, Options};
use crate::base::{Bucket, Rate, Tick};
use crate::wire::ErrorCode;

/// How much one connection may ask for, and how often it may be wrong.
#[derive(Debug)]
pub struct Quota {
    commands: Bucket,
    bytes: Bucket,
    errors: Bucket,
}

/// Whether a command is served.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is.
    Served,
    /// It is answered with 111.
    Throttled,
}

impl Quota {
    /// All buckets full.
    pub fn new() -> Quota {
        Quota { commands: Bucket::full(), bytes: Bucket::full(), errors: Bucket::full() }
    }

    /// So many bytes came in at once.
    pub fn on_bytes(&mut self, now: Tick, options: &Options, count: usize) -> Admission {
        let units = u32::try_from(count).unwrap_or(u32::MAX);
        admit(self.bytes.take(now, bytes(options), units))
    }

    /// One command came in.
    pub fn on_command(&mut self, now: Tick, options: &Options) -> Admission {
        admit(self.commands.take(now, commands(options), 1))
    }

    /// A refusal goes out. Who collects too many is closed: told to slow down
    /// again and again, or wrong again and again.
    pub fn on_error(&mut self, now: Tick, options: &Options, code: ErrorCode) -> Option<Fault> {
        let cause = match code {
            ErrorCode::TooManyRequests => Fault::TooManyRequests,
            // Not the client's doing.
            ErrorCode::Internal => return None,
            // Once is how clients learn of it; a check of a token is not free.
            ErrorCode::TokenExpired | ErrorCode::Expired => Fault::TooManyErrors,
            ErrorCode::Unauthorized
            | ErrorCode::UnknownChannel
            | ErrorCode::PermissionDenied
            | ErrorCode::MethodNotFound
            | ErrorCode::AlreadySubscribed
            | ErrorCode::LimitExceeded
            | ErrorCode::BadRequest
            | ErrorCode::NotAvailable
            | ErrorCode::UnrecoverablePosition => Fault::TooManyErrors,
        };
        let within = self.errors.take(now, errors(options), 1);
        (!within).then_some(cause)
    }
}

fn admit(within: bool) -> Admission {
    if within { Admission::Served } else { Admission::Throttled }
}

fn commands(options: &Options) -> Rate {
    Rate { per_s: options.commands_per_s, burst: options.commands_burst }
}

fn bytes(options: &Options) -> Rate {
    Rate { per_s: options.bytes_per_s, burst: options.bytes_burst }
}

fn errors(options: &Options) -> Rate {
    Rate { per_s: options.errors_per_s, burst: options.errors_per_s }
}
