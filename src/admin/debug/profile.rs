//! Where time or memory goes, in the format of pprof: a gzipped protobuf, with the
//! names of functions.
//!
//! CPU: a signal after each 10 ms of CPU time, and the stack that it finds. Memory:
//! the allocator's own profile of what was allocated in the time and is still held,
//! one sample for each 512 KiB. There is none of CPU time where shards have descriptor
//! tables of their own. Neither costs anything while nobody asks; the first
//! CPU profile takes 70 MB for its table and keeps them.
//!
//! Deliberately absent: signals and the allocator's switches, which are the
//! libraries'.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jemalloc_pprof::{PROF_CTL, StackProfile, WeightedStack};

use super::DiagnosticsState;
use super::access_guard::DebugVisitor;
use crate::admin::query::QueryParams;
use crate::base::catch_panic;
use crate::console::{AuditAction, AuditOutcome};
use crate::http_server::ExchangeDeadline;

/// The longest profile.
const SECONDS_MAX: u64 = 60;

/// Where nobody says.
const SECONDS_DEFAULT: u64 = 10;

/// What finding names and sending may take beyond the profile itself.
const AFTERWARDS: Duration = Duration::from_secs(60);

/// Samples a second of CPU time; not 100, so as not to keep step with timers.
const CPU_HZ: i32 = 99;

/// Parts of names of libraries that must not be unwound from within: a signal may
/// come while they hold their locks.
const BLOCKED: [&str; 4] = ["libc", "libgcc", "pthread", "vdso"];

#[derive(Clone, Copy, Debug)]
enum Kind {
    Cpu,
    Heap,
}

/// Whether a profile of CPU time can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuProfiles {
    /// All threads share one descriptor table.
    Possible,
    /// They do not, and the sampler writes to a file by its number, from the signal
    /// handler, on whatever thread the signal comes to: in a shard's table that number is
    /// somebody's connection (decision 0003).
    Impossible,
}

/// Said where a profile of CPU time would write into connections.
const SPLIT: &str = "there is no CPU profile while each shard has a descriptor table of its own: \
                     the sampler would write into connections. `perf record -g -p <pid>` makes \
                     one from outside; type=heap works\n";

/// Why there is no profile.
#[derive(Debug)]
enum ProfileError {
    /// The allocator was built without.
    Unbuilt,
    /// A mistake in making it; the log has the place.
    Panicked,
    /// Something did not work; the words are a library's, and name nobody.
    Failed(String),
}

/// `GET /debug/profile?seconds=&type=`
pub(super) async fn page(
    State(diagnostics): State<DiagnosticsState>,
    Extension(life): Extension<ExchangeDeadline>,
    Extension(visitor): Extension<DebugVisitor>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    let query = QueryParams::read(raw.as_deref(), &["seconds", "type"])?;
    let length = query.number("seconds", SECONDS_DEFAULT, 1, SECONDS_MAX)?;
    let length = Duration::from_secs(length);
    let kind = query.word("type", &[("cpu", Kind::Cpu), ("heap", Kind::Heap)])?;
    let kind = kind.unwrap_or(Kind::Cpu);
    if matches!((kind, diagnostics.cpu_profiles), (Kind::Cpu, CpuProfiles::Impossible)) {
        return Err((StatusCode::CONFLICT, SPLIT).into_response());
    }
    let Ok(alone) = Arc::clone(&diagnostics.profile).try_acquire_owned() else {
        let words = "another profile is being made; ask again\n";
        return Err((StatusCode::TOO_MANY_REQUESTS, words).into_response());
    };
    life.extend(length + AFTERWARDS);
    let target = match kind {
        Kind::Cpu => "cpu",
        Kind::Heap => "heap",
    };
    visitor.tell(AuditAction::ProfileTaken, target.into(), AuditOutcome::Done).await;
    // On a thread of its own: finding names takes a second of CPU, and the control
    // thread has signals to answer.
    let made = tokio::task::spawn_blocking(move || {
        // Whatever is wrong with it is no reason to end a server.
        let made = catch_panic("a profile", || match kind {
            Kind::Cpu => cpu(length),
            Kind::Heap => heap(length),
        });
        drop(alone);
        made.unwrap_or(Err(ProfileError::Panicked))
    });
    match made.await {
        Ok(Ok(profile)) => {
            let types = [
                (header::CONTENT_TYPE, "application/octet-stream"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"profile.pb.gz\""),
            ];
            Ok((types, profile).into_response())
        }
        Ok(Err(ProfileError::Unbuilt)) => {
            let words = "the allocator does not profile: start with \
                         MALLOC_CONF=prof:true,prof_active:false in the environment\n";
            Err((StatusCode::NOT_IMPLEMENTED, words).into_response())
        }
        Ok(Err(ProfileError::Failed(why))) => {
            let words = format!("there is no profile: {why}\n");
            Err((StatusCode::INTERNAL_SERVER_ERROR, words).into_response())
        }
        Ok(Err(ProfileError::Panicked)) | Err(_) => {
            let words = "there is no profile: making it panicked\n";
            Err((StatusCode::INTERNAL_SERVER_ERROR, words).into_response())
        }
    }
}

fn cpu(length: Duration) -> Result<Vec<u8>, ProfileError> {
    let failed = |error: pprof::Error| ProfileError::Failed(error.to_string());
    let builder = pprof::ProfilerGuardBuilder::default().frequency(CPU_HZ).blocklist(&BLOCKED);
    let guard = builder.build().map_err(failed)?;
    thread::sleep(length);
    let report = guard.report().build_unresolved().map_err(failed)?;
    drop(guard);
    let mut profile = StackProfile::default();
    let sample_ns = 1e9 / f64::from(CPU_HZ);
    for (stack, count) in &report.data {
        let frames = stack.frames.iter().map(|frame| frame.ip() as usize);
        // Where unwinding does not get through, it ends with 0.
        let mut addrs: Vec<usize> = frames.filter(|&ip| ip != 0).collect();
        // The library wants the outermost first.
        addrs.reverse();
        let name = &stack.thread_name[..stack.thread_name_length];
        let weight = *count as f64 * sample_ns;
        let stack = WeightedStack { addrs, weight };
        profile.push_stack(stack, Some(&String::from_utf8_lossy(name)));
    }
    Ok(profile.to_pprof(("cpu", "nanoseconds"), ("cpu", "nanoseconds"), Some("thread".into())))
}

fn heap(length: Duration) -> Result<Vec<u8>, ProfileError> {
    let Some(control) = PROF_CTL.as_ref() else { return Err(ProfileError::Unbuilt) };
    let mut control = control.blocking_lock();
    // Switched on from the start by whoever wanted all of it.
    let was_active = control.activated();
    if !was_active {
        control.activate().map_err(|error| ProfileError::Failed(error.to_string()))?;
        thread::sleep(length);
    }
    let dumped = control.dump_pprof();
    if !was_active {
        control.deactivate().map_err(|error| ProfileError::Failed(error.to_string()))?;
    }
    dumped.map_err(|error| ProfileError::Failed(error.to_string()))
}
