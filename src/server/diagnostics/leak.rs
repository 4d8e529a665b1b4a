//! When the diagnostics of a leak are written down: tasks of one connection that do not
//! come back, for two minutes.

use std::path::Path;
use std::sync::Arc;

use crate::admin::tasks_report;
use crate::base::MonotonicMs;
use crate::clock::unix_ms;
use crate::metrics::Cells;
use crate::server::dump;

/// More tasks than this of one connection are a leak, if they stay.
const TASKS_MAX: u64 = 15;

/// Watches the busiest connection.
#[derive(Debug, Default)]
pub(super) struct LeakWatch {
    /// Since when it has been above the limit.
    since: Option<MonotonicMs>,
    /// Whether that was written down already.
    told: bool,
}

impl LeakWatch {
    /// The busiest connection of all cores has so many tasks. True once, when that was
    /// too many for `hold_ms` without a break.
    pub fn on_sample(&mut self, now: MonotonicMs, hold_ms: u64, tasks_max: u64) -> bool {
        if tasks_max <= TASKS_MAX {
            *self = LeakWatch::default();
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let is_leak = hold_ms <= now.ms_since(since) && !self.told;
        self.told |= is_leak;
        is_leak
    }
}

/// Says that there is a leak, and writes down what all cores are doing, where there is a folder.
pub(super) fn write(hold_ms: u64, instance: &str, cells: &[Arc<Cells>], folder: Option<&Path>) {
    tracing::warn!(
        "a connection has had more tasks under way than it should for {} s; \
         GET /debug/conns?sort=tasks names it",
        hold_ms / 1_000
    );
    let Some(folder) = folder.map(Path::to_path_buf) else { return };
    let unix_ms = unix_ms();
    let report = tasks_report(instance, unix_ms, cells);
    // A slow disk must not keep the control thread from its signals.
    drop(tokio::task::spawn_blocking(move || {
        match dump::write(&folder, unix_ms, &format!("{report}\n")) {
            Ok(path) => tracing::warn!("what all cores were doing is in {}", path.display()),
            Err(error) => tracing::error!(
                "what all cores were doing cannot be written to {}: {error}",
                folder.display()
            ),
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples as (second, tasks), and the seconds at which something is written.
    #[track_caller]
    fn check(samples: impl IntoIterator<Item = (u64, u64)>, want: &[u64]) {
        let mut watch = LeakWatch::default();
        let told = samples
            .into_iter()
            .filter(|&(at_s, tasks)| watch.on_sample(MonotonicMs(at_s * 1_000), 120_000, tasks));
        assert_eq!(told.map(|(at_s, _)| at_s).collect::<Vec<_>>(), want);
    }

    #[test]
    fn a_leak_is_told_once_when_it_has_lasted() {
        check((0..600).map(|at_s| (at_s, 16)), &[120]);
        check((0..600).map(|at_s| (at_s, 15)), &[]);
        check((0..120).map(|at_s| (at_s, 99)), &[]);
        check([(0, 16), (60, 15), (61, 16), (180, 16)], &[]);
        check([(0, 16), (120, 16), (121, 0), (122, 16), (242, 16), (300, 16)], &[120, 242]);
        check([(0, 16), (500, 16)], &[500]);
    }
}
