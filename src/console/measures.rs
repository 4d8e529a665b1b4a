//! What of the cells of a thread stands in a sample, and under which name.
//!
//! A page makes rates of what grows, and shows the rest as it is; which is which, it knows.
//!
//! Deliberately absent: sums over cores. A page adds up what it shows.

use crate::metrics::{
    Blame, Cells, ChatType, CloseReason, Counter, DeadLetterReason, DeliveryOutcome, FeedOutcome,
    Gauge, HeartbeatOutcome, Hook, HookMiss, LaneKind, Protocol, PublishResult, RejectReason,
    StoreFailure,
};

/// A number of one thread, by name. Some go below zero: what a core took over from another one
/// was counted there.
pub(super) type Measure = (&'static str, fn(&Cells) -> i64);

/// Of each core.
pub(super) const CORE_MEASURES: &[Measure] = &[
    // What there is.
    ("connections", |cells| gauge(cells, Gauge::CoreConnections)),
    ("active_connections", |cells| all(Protocol::ALL, |one| gauge(cells, Gauge::Connections(one)))),
    ("handshakes", |cells| gauge(cells, Gauge::HandshakesInFlight)),
    ("subscriptions", |cells| gauge(cells, Gauge::Subscriptions)),
    ("rooms", |cells| gauge(cells, Gauge::Rooms)),
    ("slow_consumers", |cells| gauge(cells, Gauge::SlowConsumers)),
    ("inflight", |cells| gauge(cells, Gauge::InFlight)),
    ("tasks", |cells| gauge(cells, Gauge::Tasks)),
    ("store_requests", |cells| gauge(cells, Gauge::StoreRequests)),
    ("send_queue_bytes", |cells| gauge(cells, Gauge::SendQueueBytes)),
    ("send_queue_limit_bytes", |cells| gauge(cells, Gauge::SendQueueLimitBytes)),
    ("mailbox_depth", |cells| gauge(cells, Gauge::MailboxDepth)),
    ("fd_slots_used", |cells| gauge(cells, Gauge::FdSlotsUsed)),
    ("fd_slots_limit", |cells| gauge(cells, Gauge::FdSlotsLimit)),
    // How it goes.
    ("timer_lag_ms", |cells| gauge(cells, Gauge::TimerLag)),
    ("last_tick_unix_ms", |cells| gauge(cells, Gauge::LastTick)),
    ("late_ms", |cells| counter(cells, Counter::LateTime)),
    ("busy_ns", |cells| counter(cells, Counter::Busy)),
    ("turns", |cells| counter(cells, Counter::Turns)),
    // What was done.
    ("accepted", |cells| counter(cells, Counter::Accepted)),
    ("rejected", |cells| all(RejectReason::ALL, |one| counter(cells, Counter::Rejected(one)))),
    ("opened", |cells| all(Protocol::ALL, |one| counter(cells, Counter::Opened(one)))),
    ("closed", |cells| all(CloseReason::ALL, |one| counter(cells, Counter::Closed(one)))),
    ("closed_by_server", |cells| counter(cells, Counter::ClosedBy(Blame::Server))),
    ("quarantined", |cells| counter(cells, Counter::Quarantined)),
    ("panics", |cells| counter(cells, Counter::Panics)),
    ("pings", |cells| counter(cells, Counter::Pings)),
    ("pong_timeouts", |cells| counter(cells, Counter::Heartbeats(HeartbeatOutcome::Timeout))),
    ("commands", |cells| counter(cells, Counter::CommandsIn)),
    ("messages_in", |cells| all(Protocol::ALL, |one| counter(cells, Counter::MessagesIn(one)))),
    ("bytes_in", |cells| counter(cells, Counter::BytesIn)),
    ("bytes_out", |cells| counter(cells, Counter::BytesOut)),
    ("published", |cells| published(cells, &[PublishResult::Accepted])),
    ("publish_refused", |cells| published(cells, REFUSED)),
    ("delivered", |cells| delivered(cells, &[DeliveryOutcome::Delivered])),
    ("delivered_later", |cells| delivered(cells, &[DeliveryOutcome::OfflineStored])),
    ("not_delivered", |cells| delivered(cells, LOST)),
    ("slow_evicted", |cells| counter(cells, Counter::SlowConsumersEvicted)),
    // The ring and the lanes.
    ("ring_submits", |cells| counter(cells, Counter::RingSubmits)),
    ("ring_completions", |cells| counter(cells, Counter::CompletionsReaped)),
    ("ring_stale", |cells| counter(cells, Counter::StaleCompletions)),
    ("ring_short_sends", |cells| counter(cells, Counter::SendsShort)),
    ("ring_no_buffer", |cells| counter(cells, Counter::RecvBufferEmpty)),
    ("ring_cq_overflow", |cells| counter(cells, Counter::CompletionOverflow)),
    ("ring_sq_full", |cells| counter(cells, Counter::SubmissionFull)),
    ("buffer_hits", |cells| counter(cells, Counter::BufferHits)),
    ("buffer_misses", |cells| counter(cells, Counter::BufferMisses)),
    ("lane_full", |cells| all(LaneKind::ALL, |one| counter(cells, Counter::LaneFull(one)))),
];

/// Of the process.
pub(super) const PROCESS_MEASURES: &[Measure] = &[
    ("connections_max", |cells| gauge(cells, Gauge::ConnLimit)),
    ("cpu_ns", |cells| counter(cells, Counter::ProcessCpu)),
    ("cpu_limit_millis", |cells| gauge(cells, Gauge::CpuLimit)),
    ("cpu_periods", |cells| counter(cells, Counter::CpuPeriods)),
    ("cpu_periods_throttled", |cells| counter(cells, Counter::CpuPeriodsThrottled)),
    ("resident_bytes", |cells| gauge(cells, Gauge::ResidentBytes)),
    ("heap_bytes", |cells| gauge(cells, Gauge::HeapAlloc)),
    ("heap_resident_bytes", |cells| gauge(cells, Gauge::HeapResident)),
    ("memory_limit_bytes", |cells| gauge(cells, Gauge::MemoryLimit)),
    ("open_fds", |cells| gauge(cells, Gauge::OpenFds)),
    ("max_fds", |cells| gauge(cells, Gauge::MaxFds)),
    ("threads", |cells| gauge(cells, Gauge::Threads)),
    ("blocks", |cells| gauge(cells, Gauge::Blocks)),
    ("config_reloaded_unix_ms", |cells| gauge(cells, Gauge::ConfigReloaded)),
    ("config_reload_good", |cells| gauge(cells, Gauge::ConfigReloadGood)),
];

/// Of the store.
pub(super) const STORE_MEASURES: &[Measure] = &[
    ("messages", |cells| counter(cells, Counter::StoreMessages)),
    ("message_bytes", |cells| counter(cells, Counter::StoreMessageBytes)),
    ("commits", |cells| counter(cells, Counter::StoreCommits)),
    ("syncs", |cells| counter(cells, Counter::StoreSyncs)),
    ("refused", |cells| all(StoreFailure::ALL, |one| counter(cells, Counter::StoreRefused(one)))),
    ("reopened", |cells| counter(cells, Counter::StoreReopened)),
    ("expired", |cells| counter(cells, Counter::StoreExpired)),
    ("used_bytes", |cells| gauge(cells, Gauge::StoreUsedBytes)),
    ("free_bytes", |cells| gauge(cells, Gauge::StoreFreeBytes)),
    ("dead_letters", |cells| gauge(cells, Gauge::DeadLetterMessages)),
    ("dead_letter_oldest_ms", |cells| gauge(cells, Gauge::DeadLetterOldestAge)),
    ("dead_letters_tries", |cells| dead_letters(cells, DeadLetterReason::Tries)),
    ("dead_letters_expired", |cells| dead_letters(cells, DeadLetterReason::Expired)),
];

/// Of an application's backend: what it is asked.
pub(super) const HOOK_MEASURES: &[Measure] = &[
    ("under_way", |cells| gauge(cells, Gauge::HooksUnderWay)),
    ("suspended", |cells| gauge(cells, Gauge::HooksSuspended)),
    ("wait_ms", |cells| counter(cells, Counter::HookTime)),
    ("connect", |cells| counter(cells, Counter::HookRequests(Hook::Connect))),
    ("refresh", |cells| counter(cells, Counter::HookRequests(Hook::Refresh))),
    ("rpc", |cells| counter(cells, Counter::HookRequests(Hook::Rpc))),
    ("subscribe", |cells| counter(cells, Counter::HookRequests(Hook::Subscribe))),
    ("publish", |cells| counter(cells, Counter::HookRequests(Hook::Publish))),
    ("sub_refresh", |cells| counter(cells, Counter::HookRequests(Hook::SubRefresh))),
    ("failed", |cells| counter(cells, Counter::HookMisses(HookMiss::Failed))),
    ("late", |cells| counter(cells, Counter::HookMisses(HookMiss::Late))),
    ("invalid", |cells| counter(cells, Counter::HookMisses(HookMiss::Invalid))),
    ("skipped", |cells| counter(cells, Counter::HookMisses(HookMiss::Skipped))),
];

/// Of an application's backend: what it is told of who is there. Without a limit there is no feed.
pub(super) const FEED_MEASURES: &[Measure] = &[
    ("events", |cells| counter(cells, Counter::PresenceEvents)),
    ("taken", |cells| counter(cells, Counter::PresenceRequests(FeedOutcome::Taken))),
    ("failed", |cells| counter(cells, Counter::PresenceRequests(FeedOutcome::Failed))),
    ("lost", |cells| counter(cells, Counter::PresenceLost)),
    ("write_failures", |cells| counter(cells, Counter::PresenceWriteFailures)),
    ("passes", |cells| counter(cells, Counter::PresencePasses)),
    ("queued", |cells| gauge(cells, Gauge::PresenceQueued)),
    ("queued_bytes", |cells| gauge(cells, Gauge::PresenceQueuedBytes)),
    ("queue_limit_bytes", |cells| gauge(cells, Gauge::PresenceQueueLimitBytes)),
    ("oldest_ms", |cells| gauge(cells, Gauge::PresenceOldestAge)),
    ("users", |cells| gauge(cells, Gauge::PresenceUsers)),
    ("subscriptions", |cells| gauge(cells, Gauge::PresenceSubscriptions)),
];

/// What the author was told that it was not taken.
const REFUSED: &[PublishResult] =
    &[PublishResult::Denied, PublishResult::Limited, PublishResult::Invalid, PublishResult::Failed];

/// What a recipient does not get, or not by itself.
const LOST: &[DeliveryOutcome] =
    &[DeliveryOutcome::Failed, DeliveryOutcome::Expired, DeliveryOutcome::DeadLetter];

fn gauge(cells: &Cells, gauge: Gauge) -> i64 {
    cells.gauge(gauge).cast_signed()
}

fn counter(cells: &Cells, counter: Counter) -> i64 {
    cells.counted(counter).cast_signed()
}

/// The sum over all values of a label.
fn all<L: Copy>(labels: &[L], value: impl Fn(L) -> i64) -> i64 {
    labels.iter().map(|&label| value(label)).fold(0, i64::wrapping_add)
}

fn published(cells: &Cells, results: &[PublishResult]) -> i64 {
    let of = |kind, result| counter(cells, Counter::Published(kind, result));
    all(ChatType::ALL, |kind| all(results, |result| of(kind, result)))
}

fn delivered(cells: &Cells, outcomes: &[DeliveryOutcome]) -> i64 {
    let of = |kind, outcome| counter(cells, Counter::Delivered(kind, outcome));
    all(ChatType::ALL, |kind| all(outcomes, |outcome| of(kind, outcome)))
}

fn dead_letters(cells: &Cells, reason: DeadLetterReason) -> i64 {
    counter(cells, Counter::DeadLetters(reason))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn value(measures: &[Measure], name: &str, cells: &Cells) -> i64 {
        let (_, read) = measures.iter().find(|(other, _)| *other == name).unwrap();
        read(cells)
    }

    #[test]
    fn no_name_stands_twice_and_all_begin_at_zero() {
        let all = [CORE_MEASURES, PROCESS_MEASURES, STORE_MEASURES, HOOK_MEASURES, FEED_MEASURES];
        for measures in all {
            let names: BTreeSet<&str> = measures.iter().map(|(name, _)| *name).collect();
            assert_eq!(names.len(), measures.len());
            assert!(measures.iter().all(|(_, read)| read(&Cells::new()) == 0));
        }
    }

    #[test]
    fn each_hook_and_each_miss_stands_in_a_sample() {
        let (cells, metrics) = Cells::of_process();
        for (n, hook) in Hook::ALL.iter().enumerate() {
            metrics.add(Counter::HookRequests(*hook), n as u64 + 1);
        }
        for (n, miss) in HookMiss::ALL.iter().enumerate() {
            metrics.add(Counter::HookMisses(*miss), n as u64 + 10);
        }
        for (n, hook) in Hook::ALL.iter().enumerate() {
            assert_eq!(value(HOOK_MEASURES, hook.word(), &cells), n as i64 + 1);
        }
        for (n, miss) in HookMiss::ALL.iter().enumerate() {
            assert_eq!(value(HOOK_MEASURES, miss.word(), &cells), n as i64 + 10);
        }
    }

    #[test]
    fn what_has_a_label_is_the_sum_of_all_its_values() {
        let cells = Cells::new();
        let metrics = cells.claim();
        metrics.add(Counter::Published(ChatType::Group, PublishResult::Accepted), 2);
        metrics.add(Counter::Published(ChatType::OneToOne, PublishResult::Accepted), 3);
        metrics.add(Counter::Published(ChatType::Group, PublishResult::Limited), 5);
        metrics.add(Counter::Delivered(ChatType::Group, DeliveryOutcome::Expired), 7);
        metrics.set(Gauge::Connections(Protocol::Json), 9);
        metrics.set(Gauge::Connections(Protocol::Protobuf), (-1_i64).cast_unsigned());
        metrics.set(Gauge::InFlight, (-4_i64).cast_unsigned());
        for (name, want) in [
            ("published", 5),
            ("publish_refused", 5),
            ("delivered", 0),
            ("not_delivered", 7),
            ("active_connections", 8),
            ("inflight", -4),
        ] {
            assert_eq!(value(CORE_MEASURES, name, &cells), want, "{name}");
        }
    }
}
