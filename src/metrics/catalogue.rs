//! The table of everything that is counted, with the buckets of what is measured. A line here is
//! the whole registration.

use super::hook_labels::{FeedOutcome, Hook, HookMiss};
use super::labels::{
    AcceptFailure, BackendMethod, BackendOutcome, Blame, BlockKind, ChatType, CloseReason,
    DeadLetterReason, DeliveryOutcome, Direction, ErrorReply, HandshakeOutcome, HandshakeStage,
    HeartbeatOutcome, LaneKind, LogSegmentState, LostLine, Page, Protocol, PublishResult, Recovery,
    RejectReason, RunState, Sampled, Segment, SpanOutcome, StatusClass, StoreFailure, Suspected,
    TenantOutcome, TokenClaim,
};
use super::row::{Axis, MetricKind, MetricRow, catalogue, exemplar_places, places};

/// Four of these bounds are kept from where this product's monitoring comes
/// from (1 ms, 10 ms, 100 ms, 1 s), so that its rules read the same here.
const HANDSHAKE_US: &[u64] = &[
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000,
];

/// A threshold of a rule must be a bound, or what is read there is a guess: with
/// bounds that grow by a factor, 800 ms lies within one, and 600 ms for everybody
/// read as a 95th percentile of 851.
const MESSAGE_US: &[u64] = &[
    500, 1_000, 2_500, 5_000, 10_000, 15_000, 25_000, 50_000, 100_000, 200_000, 400_000, 800_000,
    1_300_000, 2_000_000, 5_000_000, 10_000_000,
];

/// A tenant's latencies are told coarsely: there are fifty of them.
const TENANT_US: &[u64] = &[100_000, 400_000, 800_000, 2_000_000, 10_000_000];

/// From a client that failed in its first second to one that stayed for half a day.
const UP_TIME_US: &[u64] =
    &[1_000_000, 10_000_000, 60_000_000, 300_000_000, 1_800_000_000, 7_200_000_000, 43_200_000_000];

/// From the same continent to the worst mobile network.
const ROUND_TRIP_US: &[u64] =
    &[5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000];

/// From a tab that was reloaded to a telephone that was in a tunnel.
const RESUME_US: &[u64] = &[
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
];

/// Pages are read from memory; what takes longer than 25 ms is a profile, or trouble.
const PAGE_US: &[u64] = &[5_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000];

/// A turn below the first bound is no stall and is not observed.
const STALL_US: &[u64] =
    &[2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000];

/// One sync of a good disk takes 0.1 ms, of a bad one tens of ms.
const STORE_TURN_US: &[u64] =
    &[100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// One write that is durable: from a drive that keeps its cache without power to one that
/// stands still. `rookery doctor` wants 25 ms, and a rule 0.1 s.
const STORE_LOG_SYNC_US: &[u64] = &[
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_000_000,
];

/// A checkpoint is a sync of some MiB, which nobody waits for.
const STORE_LOG_CHECKPOINT_US: &[u64] = &[1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// The version that `chat_build_info` tells.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that it tells, where whoever builds says it.
const COMMIT: &str = match option_env!("ROOKERY_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

catalogue! {
    /// What only grows.
    Counter from 0, Counter of

    /// Connections taken from the listener.
    Accepted = "chat_conn_accepted_total";
    /// Connections that could not be taken from the listener.
    AcceptFailed(reason: AcceptFailure) = "chat_conn_accept_failed_total";
    /// Upgrades to WebSocket that came to nothing.
    Rejected(reason: RejectReason) = "chat_conn_rejected_total";
    /// Connections that were upgraded.
    Opened(protocol: Protocol) = "chat_conn_opened_total";
    /// Upgraded connections that ended.
    Closed(reason: CloseReason) = "chat_conn_closed_total".article("2.3", "conn_close_reason").of_17(5, 5);
    /// Upgraded connections that ended, by who has to do something about it.
    ClosedBy(blame: Blame) = "chat_conn_closed_blame_total";
    /// Connections refused because their client's prefix is blocked for a while.
    Quarantined = "chat_conn_quarantined_total".article("2.3", "client_id isolation");
    /// Connections that were refused or closed because of a block.
    Blocked(kind: BlockKind) = "chat_conn_blocked_total";
    /// Pings sent.
    Pings = "chat_pings_sent_total";
    /// Heartbeats that ended.
    Heartbeats(outcome: HeartbeatOutcome) = "chat_heartbeat_total".article("4.1", "survival rate");
    /// Pongs that were missing, by what became of the suspicion.
    Suspicions(outcome: Suspected) = "chat_pong_suspicions_total";

    /// WebSocket messages received.
    MessagesIn(protocol: Protocol) = "chat_ws_messages_received_total";
    /// Commands of the chat protocol received.
    CommandsIn = "chat_commands_received_total";
    /// Replies to commands, errors too.
    Replies = "chat_replies_sent_total";
    /// Replies that say an error, by the protocol's code.
    ErrorsSent(code: ErrorReply) = "chat_error_replies_sent_total";
    /// Bytes of TCP payload.
    BytesIn = "chat_bytes_total" {direction = "in"};
    /// Bytes of TCP payload.
    BytesOut = "chat_bytes_total" {direction = "out"};
    /// Publish commands.
    Published(chat_type: ChatType, result: PublishResult) = "chat_msg_publish_total".article("3.2", "msg_publish_total").of_17(6, 6);
    /// Recipients of messages that were taken: each has one outcome, or is in flight.
    Recipients = "chat_msg_recipients_total";
    /// What became of messages, for each recipient.
    Delivered(chat_type: ChatType, outcome: DeliveryOutcome) = "chat_msg_delivery_total".article("3.2", "msg_delivery_failure_rate").of_17(7, 7);
    /// Direct messages that were sent again.
    Retries = "chat_msg_retry_total";
    /// Latencies that a client's clock made negative, and that count as 0.
    ClockSkewClamped = "chat_clock_skew_clamped_total";
    /// Messages, by whether their way is written down as spans.
    TraceSampled(sampled: Sampled) = "chat_trace_sampled_total".article("5", "trace coverage");
    /// Examples of slow messages that were not kept, as their bucket had a fresh one.
    ExemplarsDropped = "chat_exemplars_dropped_total";
    /// Connections closed because what waited for them passed the limit.
    SlowConsumersEvicted = "chat_slow_consumer_evicted_total";
    /// Connections of tenants beyond those that have a label value.
    TenantOverflow = "chat_tenant_overflow_total";
    /// Tokens that say something of a subscription that is not supported, and was passed over.
    UnsupportedClaims(claim: TokenClaim) = "chat_token_claims_unsupported_total";
    /// Subscriptions that asked for what they had missed.
    Recovered(result: Recovery) = "chat_recoveries_total";
    /// Subscriptions that lost a publication and were told to recover.
    DroppedGaps = "chat_subscription_gaps_total";
    /// Panics that ended one session only.
    Panics = "chat_session_panics_total";

    /// CPU time of the core's thread.
    Busy = "chat_core_busy_seconds_total".by_core().in_ns();
    /// Time in which the core was late with its timers, and judged nobody.
    LateTime = "chat_core_late_seconds_total".by_core().in_ms();
    /// Times that a core took no newcomers for 0.1 s, because its pings were late.
    AcceptRests = "chat_accept_rests_total";
    /// Turns of the core's loop.
    Turns = "chat_core_turns_total";
    /// Turns after which the core went to sleep.
    Sleeps = "chat_core_sleeps_total";
    /// What was begun: requests of the ring, timers, and questions to rooms.
    TasksSpawned = "chat_tasks_spawned_total".article("3.3", "goroutines_total");
    /// Batches of work given to the kernel.
    RingSubmits = "chat_uring_submits_total";
    /// Completions taken from the kernel.
    CompletionsReaped = "chat_uring_completions_total";
    /// Completions that came for a connection that was over.
    StaleCompletions = "chat_uring_stale_completions_total";
    /// Sends of which the kernel took a part.
    SendsShort = "chat_uring_short_sends_total";
    /// Times that a queue or a pool shared with the kernel had no room.
    RecvBufferEmpty = "chat_uring_overflow_total" {kind = "bufring_empty"};
    /// Times that a queue or a pool shared with the kernel had no room.
    CompletionOverflow = "chat_uring_overflow_total" {kind = "cq_overflow"};
    /// Times that a queue or a pool shared with the kernel had no room.
    SubmissionFull = "chat_uring_overflow_total" {kind = "sq_full"};
    /// Receives that got a buffer of the pool.
    BufferHits = "chat_buffer_pool_hits_total".article("1", "buffer pool");
    /// Receives that found the pool empty, and waited.
    BufferMisses = "chat_buffer_pool_misses_total".article("1", "buffer pool");
    /// Messages between cores.
    LettersSent = "chat_letters_total" {direction = "sent"};
    /// Messages between cores.
    LettersReceived = "chat_letters_total" {direction = "received"};
    /// Messages between cores that were refused because the lane was full.
    LaneFull(lane: LaneKind) = "chat_core_mailbox_full_total".by_core();

    /// Messages that the store keeps since the start.
    StoreMessages = "chat_store_messages_total".store();
    /// Bytes of their data.
    StoreMessageBytes = "chat_store_message_bytes_total".store();
    /// Batches that the store wrote.
    StoreCommits = "chat_store_commits_total".store();
    /// Times that the store waited for the disk.
    StoreSyncs = "chat_store_syncs_total".store();
    /// Requests that the store refused.
    StoreRefused(cause: StoreFailure) = "chat_store_refused_total".store();
    /// Times that the store was read anew after a failure.
    StoreReopened = "chat_store_reopened_total".store();
    /// Messages that the store removed because of their number, age or bytes.
    StoreExpired = "chat_store_expired_total".store();
    /// Batches that the store's log wrote, also those that only carry a mark.
    StoreLogBatches = "chat_store_log_batches_total".store();
    /// Bytes of their pages.
    StoreLogBytes = "chat_store_log_bytes_total".store();
    /// Times that the log gave up a segment because a write, a sync or the manifest failed.
    StoreLogFailures = "chat_store_log_failures_total".store();
    /// Times that a part of the log was damaged when it was read, and that the database had all of it.
    StoreLogDamages = "chat_store_log_damages_total".store();
    /// Bytes that were written to sort messages, and read and written to merge what is sorted.
    StoreRunMovedBytes = "chat_store_run_moved_bytes_total".store();
    /// Times that sorted messages could not be written, or not be merged.
    StoreRunFailures = "chat_store_run_failures_total".store();
    /// Direct messages that were given up.
    DeadLetters(reason: DeadLetterReason) = "chat_dead_letter_total".store();

    /// Requests to the server API; a batch is one.
    BackendRequests(method: BackendMethod, outcome: BackendOutcome) = "chat_api_requests_total".process();
    /// Questions to an application's backend that were answered, or not.
    HookRequests(hook: Hook) = "chat_hook_requests_total".process();
    /// Those that it did not answer, by why.
    HookMisses(reason: HookMiss) = "chat_hook_misses_total".process();
    /// Time from questions of cores to answers of the backend, all together.
    HookTime = "chat_hook_wait_seconds_total".process().in_ms();
    /// Events of who is there that have a number.
    PresenceEvents = "chat_presence_feed_events_total".process();
    /// Requests that tell a backend of them.
    PresenceRequests(outcome: FeedOutcome) = "chat_presence_feed_requests_total".process();
    /// Events that were dropped because the backend did not take them for too long.
    PresenceLost = "chat_presence_feed_lost_total".process();
    /// Times that they could not be written to the disk.
    PresenceWriteFailures = "chat_presence_feed_write_failures_total".process();
    /// Times that a core said anew all that is there, because something had no room.
    PresencePasses = "chat_presence_feed_passes_total".process();
    /// Spans for the collector, and incidents of messages, by what became of them.
    Spans(outcome: SpanOutcome) = "chat_trace_spans_total".process();
    /// Log lines that nobody can read, by why.
    LogLinesLost(reason: LostLine) = "chat_log_lines_lost_total".process();
    /// Periods of the CPU quota of the control group in which the process ran; 0 without a quota.
    CpuPeriods = "chat_cpu_periods_total".process();
    /// Periods in which that quota was used up, and the process stood still.
    CpuPeriodsThrottled = "chat_cpu_throttled_periods_total".process();
    /// CPU time of the process.
    ProcessCpu = "process_cpu_seconds_total".process().in_ns();
}

catalogue! {
    /// What goes both ways.
    Gauge from Counter::END, Gauge of

    /// Upgraded connections.
    Connections(protocol: Protocol) = "chat_active_connections".article("3.1", "active_connections").of_17(1, 1);
    /// Connections that the server takes at most.
    ConnLimit = "chat_conn_limit".process();
    /// Connections whose upgrade is not finished.
    HandshakesInFlight = "chat_handshake_inflight";
    /// Age of the core's oldest upgraded connection.
    OldestAge = "chat_conn_oldest_age_seconds".by_core().in_ms();
    /// The most that one connection of the core has under way: its receive, a send, its timer, and questions that rooms have not answered.
    ConnTasksMax = "chat_conn_tasks_max".by_core().article("2.3", "goroutines_per_conn").of_17(4, 4);
    /// Recipients of messages that have no outcome yet.
    InFlight = "chat_msg_inflight";
    /// Bytes that wait for a connection's send under way to leave.
    SendQueueBytes = "chat_send_queue_bytes".by_core();
    /// Bytes that may wait so: what the connections' limits allow together, or the core's part of the memory, if that is less.
    SendQueueLimitBytes = "chat_send_queue_limit_bytes".by_core();
    /// Connections for which more than half of what may wait does.
    SlowConsumers = "chat_slow_consumers";
    /// Rooms that exist, each counted on its home shard.
    Rooms = "chat_rooms";
    /// Subscriptions of connections to rooms.
    Subscriptions = "chat_subscriptions";

    /// What is under way: requests of the ring, timers, questions to other cores and to the store.
    Tasks = "chat_tasks".article("3.3", "goroutines_total").of_17(15, 15);
    /// When the core's loop last turned, Unix time.
    LastTick = "chat_core_last_tick_timestamp_seconds".by_core().in_ms();
    /// How late the core's timers were at the worst, in the last five to ten seconds.
    TimerLag = "chat_core_timer_lag_seconds".by_core().in_ms();
    /// Connections of the core, in whatever stage.
    CoreConnections = "chat_core_connections".by_core();
    /// Messages of other cores that the core has not taken yet.
    MailboxDepth = "chat_core_mailbox_depth".by_core();
    /// Descriptors in use in the core's table; where cores share one, all of them.
    FdSlotsUsed = "chat_fd_slots_used".by_core();
    /// Descriptors that the table has room for.
    FdSlotsLimit = "chat_fd_slots_limit".by_core();

    /// Requests that the store has not answered.
    StoreRequests = "chat_store_requests";
    /// Bytes that the store takes on the disk.
    StoreUsedBytes = "chat_store_used_bytes".store();
    /// Bytes that it may still take.
    StoreFreeBytes = "chat_store_free_bytes".store();
    /// Segments of the store's log.
    StoreLogSegments(state: LogSegmentState) = "chat_store_log_segments".store();
    /// Bytes of the log that the database behind it does not have.
    StoreLogUnappliedBytes = "chat_store_log_unapplied_bytes".store();
    /// At so many, messages wait for the database.
    StoreLogUnappliedLimitBytes = "chat_store_log_unapplied_limit_bytes".store();
    /// Age of the oldest change that the database does not have.
    StoreLogUnappliedAge = "chat_store_log_unapplied_age_seconds".store().in_ms();
    /// Bytes of keys and values that are in memory until the database has them.
    StoreLogLayersBytes = "chat_store_log_layers_bytes".store();
    /// Bytes of the log whose messages are not sorted yet.
    StoreLogUnsortedBytes = "chat_store_log_unsorted_bytes".store();
    /// At so many, no messages are taken until a quarter of it is sorted.
    StoreLogUnsortedLimitBytes = "chat_store_log_unsorted_limit_bytes".store();
    /// For how long messages have been sorted that are in memory until that is over.
    StoreLogSortingAge = "chat_store_log_sorting_age_seconds".store().in_ms();
    /// Bytes of files of sorted messages.
    StoreRunBytes(state: RunState) = "chat_store_run_bytes".store();
    /// Dead letters that nobody has sent again or dropped.
    DeadLetterMessages = "chat_dead_letter_messages".store();
    /// Age of the oldest of them.
    DeadLetterOldestAge = "chat_dead_letter_oldest_age_seconds".store().in_ms();

    /// Bytes that the program has allocated.
    HeapAlloc = "chat_memory_heap_alloc_bytes".process().article("3.3", "memory_heap_alloc_bytes").of_17(17, 17);
    /// Bytes of memory that the allocator holds for that; the rest is fragmentation.
    HeapResident = "chat_memory_heap_resident_bytes".process().article("3.3", "heap_inuse");
    /// Memory that the process may use: of its control group, or of the machine.
    MemoryLimit = "chat_memory_limit_bytes".process();
    /// CPUs that the process may keep busy: by its control group's quota, or of the machine.
    CpuLimit = "chat_cpu_limit_cores".process().in_thousandths();
    /// Questions to an application's backend that it has not answered, those that wait for their turn too.
    HooksUnderWay = "chat_hooks_under_way".process();
    /// Hooks whose backend is not asked for a while, because the last answers were missing.
    HooksSuspended = "chat_hooks_suspended".process();
    /// Events of who is there that the backend has not taken.
    PresenceQueued = "chat_presence_feed_queued_events".process();
    /// What they cost, in bytes.
    PresenceQueuedBytes = "chat_presence_feed_queued_bytes".process();
    /// What they may cost.
    PresenceQueueLimitBytes = "chat_presence_feed_queue_limit_bytes".process();
    /// Age of the oldest of them.
    PresenceOldestAge = "chat_presence_feed_oldest_age_seconds".process().in_ms();
    /// Users of whom the feed knows that they are there, or were a moment ago.
    PresenceUsers = "chat_presence_feed_users".process();
    /// Their subscriptions that are told of.
    PresenceSubscriptions = "chat_presence_feed_subscriptions".process();
    /// Which build runs.
    BuildInfo = "chat_build_info" {version = VERSION, commit = COMMIT}.process();
    /// Blocks of users, tokens and addresses.
    Blocks = "chat_blocks".process();
    /// Whether the server lets its clients go.
    Draining = "chat_draining".process();
    /// When settings were last read and taken, Unix time.
    ConfigReloaded = "chat_config_last_reload_success_timestamp_seconds".process().in_ms();
    /// Whether settings could be read the last time that they were read again; 1 before the first time.
    ConfigReloadGood = "chat_config_last_reload_successful".process();
    /// How long the last scrape took to gather.
    ScrapeDuration = "chat_scrape_duration_seconds".process().in_ns();
    /// Physical memory of the process.
    ResidentBytes = "process_resident_memory_bytes".process();
    /// Address space of the process.
    VirtualBytes = "process_virtual_memory_bytes".process();
    /// Descriptors of the table that the process began with.
    OpenFds = "process_open_fds".process();
    /// How many it may have; 0 for no limit.
    MaxFds = "process_max_fds".process();
    /// Threads of the process.
    Threads = "process_threads".process();
    /// When the process began, Unix time.
    StartTime = "process_start_time_seconds".process().in_ms();
}

catalogue! {
    /// What is spread over buckets.
    Histogram from Gauge::END, Histogram of

    /// Time from the TCP connection to the end of the upgrade.
    Handshake(outcome: HandshakeOutcome) = "chat_handshake_duration_seconds".bounds(HANDSHAKE_US).article("3.1", "handshake_duration_seconds_bucket").of_17(2, 2);
    /// The parts of a client's way in.
    HandshakeStage(stage: HandshakeStage) = "chat_handshake_stage_seconds".bounds(HANDSHAKE_US);
    /// How long upgraded connections lived, when they end.
    UpTime(reason: CloseReason) = "chat_conn_up_time_seconds".bounds(UP_TIME_US).article("2.3", "websocket_conn_up_time_seconds").of_17(3, 3);
    /// Time from a ping to its pong.
    HeartbeatRtt = "chat_heartbeat_rtt_seconds".bounds(ROUND_TRIP_US);
    /// Time from asking for what was missed, or from the upgrade of who asks at connect, to getting it.
    SessionResume = "chat_session_resume_seconds".bounds(RESUME_US).article("4.1", "reconnect time");
    /// Time from a publish command to the last byte that the kernel took for the last recipient.
    EndToEnd = "chat_msg_end2end_latency_seconds".bounds(MESSAGE_US).exemplars().article("3.2", "msg_end2end_p99_latency_ms").of_17(8, 8);
    /// The pieces of a message's way.
    Segment(segment: Segment) = "chat_msg_segment_duration_seconds".bounds(MESSAGE_US).exemplars().article("2.4", "P\u{2192}B, B, B\u{2192}C, C").of_17(9, 12);
    /// From client to client and its acknowledgement.
    E2e(chat_type: ChatType, direction: Direction) = "chat_e2e_latency_seconds".bounds(MESSAGE_US).exemplars().article("4.1", "chat_e2e_latency_milliseconds_bucket").of_17(13, 13);
    /// Time in which one message of a broadcast channel went to all subscribers of a core.
    Broadcast = "chat_broadcast_duration_seconds".bounds(MESSAGE_US);
    /// Requests to the admin listener.
    Http(page: Page, status_class: StatusClass) = "http_request_duration_seconds".process().bounds(PAGE_US).article("2.2", "HTTPDuration").of_17(14, 14);
    /// Turns of a core's loop that took longer than 1 ms.
    Stall = "chat_executor_stall_seconds".bounds(STALL_US).article("3.3", "gc_pause_ns_sum").of_17(16, 16);
    /// Turns of the storage thread in which something was written.
    StoreTurn = "chat_store_turn_seconds".store().bounds(STORE_TURN_US);
    /// Writes of the store's log that returned when all was durable, and syncs of those that did not.
    StoreLogSync = "chat_store_log_sync_seconds".store().bounds(STORE_LOG_SYNC_US);
    /// Checkpoints of the database behind the log: one lets the log's segments go.
    StoreLogCheckpoint = "chat_store_log_checkpoint_seconds".store().bounds(STORE_LOG_CHECKPOINT_US);
}

catalogue! {
    /// What only grows, by tenant.
    TenantCounter from 0, Counter of

    /// Connections of the tenant's clients that were let in.
    Opened = "chat_tenant_conn_opened_total".by_tenant().article("2.5", "acme_http_requests_total");
    /// Messages of the tenant's clients that were taken.
    Published = "chat_tenant_msg_publish_total".by_tenant().article("2.5", "acme_http_requests_total");
    /// What became of the tenant's messages, for each recipient that was online.
    Delivered(outcome: TenantOutcome) = "chat_tenant_msg_delivery_total".by_tenant().article("2.5", "acme_http_requests_total");
}

catalogue! {
    /// What goes both ways, by tenant.
    TenantGauge from TenantCounter::END, Gauge of

    /// Connections of the tenant's clients that are let in.
    Connections = "chat_tenant_active_connections".by_tenant().article("2.5", "acme_http_requests_total");
}

catalogue! {
    /// What is spread over buckets, by tenant.
    TenantHistogram from TenantGauge::END, Histogram of

    /// From client to client and its acknowledgement.
    E2e = "chat_tenant_e2e_latency_seconds".by_tenant().bounds(TENANT_US).article("2.5", "acme_http_requests_total");
}

/// Cells of one core that belong to no tenant.
pub(super) const CELLS: usize = Histogram::END;

/// Cells of one core and tenant.
pub(super) const TENANT_CELLS: usize = TenantHistogram::END;

/// A core pays for every tenant that could come: this is how much, in cells.
const _: () = assert!(TENANT_CELLS <= 16);

impl Histogram {
    const EXEMPLAR_PLACES: [usize; Histogram::ROWS.len() + 1] = exemplar_places(Histogram::ROWS);

    /// Places for examples, of all histograms.
    pub(super) const EXEMPLARS: usize = Self::EXEMPLAR_PLACES[Self::ROWS.len()];

    /// The place for an example of this series' first bucket of the tail.
    #[inline]
    pub(super) const fn exemplar_index(self) -> usize {
        let (row, series) = self.place();
        Self::EXEMPLAR_PLACES[row] + series * Self::ROWS[row].exemplars_per_series()
    }
}

/// A row, and where its series begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexedRow {
    pub row: &'static MetricRow,
    /// Its first cell, among the core's or the tenant's.
    pub cell: usize,
    /// Its first place for an example.
    pub exemplar: usize,
}

/// All rows in the order of their cells.
pub(super) fn rows() -> impl Iterator<Item = IndexedRow> {
    let own = indexed([Counter::ROWS, Gauge::ROWS, Histogram::ROWS]);
    own.chain(indexed([TenantCounter::ROWS, TenantGauge::ROWS, TenantHistogram::ROWS]))
}

fn indexed(tables: [&'static [MetricRow]; 3]) -> impl Iterator<Item = IndexedRow> {
    tables.into_iter().flatten().scan((0, 0), |(cell, exemplar), row| {
        let indexed = IndexedRow { row, cell: *cell, exemplar: *exemplar };
        *cell += row.series() * row.cells_per_series();
        *exemplar += row.series() * row.exemplars_per_series();
        Some(indexed)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::row::{Merge, MetricSource};
    use super::*;

    #[test]
    fn cells_are_dense() {
        assert_eq!(Counter::Accepted.index(), 0);
        assert_eq!(Counter::AcceptFailed(AcceptFailure::Other).index(), 3);
        assert_eq!(Counter::ProcessCpu.index() + 1, Gauge::Connections(Protocol::Json).index());
        let last = Histogram::Handshake(HandshakeOutcome::Gone);
        let stage = Histogram::HandshakeStage(HandshakeStage::Upgrade);
        assert_eq!(last.index() + HANDSHAKE_US.len() + 2, stage.index());
        let end = |merge: fn(Merge) -> bool| {
            let last = rows().filter(|indexed| merge(indexed.row.merge)).last().unwrap();
            last.cell + last.row.series() * last.row.cells_per_series()
        };
        assert_eq!(end(|merge| merge != Merge::ByTenant), CELLS);
        assert_eq!(end(|merge| merge == Merge::ByTenant), TENANT_CELLS);
        let segment = Histogram::Segment(Segment::P2b).exemplar_index();
        assert_eq!((Histogram::EndToEnd.exemplar_index(), segment), (0, 7));
        assert_eq!(Histogram::EXEMPLARS, 11 * 7);
    }

    #[test]
    fn everything_is_written_by_somebody() {
        let mut source = String::new();
        let mut folders = vec![std::path::PathBuf::from("src")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                if path.is_dir() {
                    folders.push(path);
                } else if name != "catalogue.rs" && name.ends_with(".rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    source.push_str(text.split("#[cfg(test)]\nmod tests {").next().unwrap());
                }
            }
        }
        let words: BTreeSet<&str> =
            source.split(|c: char| !c.is_alphanumeric() && c != ':').collect();
        let all = [
            Counter::WRITTEN_AS,
            Gauge::WRITTEN_AS,
            Histogram::WRITTEN_AS,
            TenantCounter::WRITTEN_AS,
            TenantGauge::WRITTEN_AS,
            TenantHistogram::WRITTEN_AS,
        ];
        for name in all.into_iter().flatten() {
            assert!(words.contains(name), "{name} would be 0 for ever");
        }
    }

    #[test]
    fn names_follow_the_rules_of_prometheus() {
        let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let prefixes = ["chat_", "http_", "process_"];
        for IndexedRow { row, .. } in rows() {
            assert!(prefixes.iter().any(|prefix| row.name.starts_with(prefix)), "{}", row.name);
            assert!(row.name.chars().all(snake), "{}", row.name);
            assert_eq!(
                row.name.ends_with("_total"),
                row.kind == MetricKind::Counter,
                "{}",
                row.name
            );
            assert!(row.help.ends_with('.') && !row.help.contains('\n'), "{}", row.name);
            assert_eq!(row.bounds_us.is_empty(), row.kind != MetricKind::Histogram, "{}", row.name);
            assert!(row.bounds_us.is_sorted_by(|a, b| a < b), "{}", row.name);
            let is_scaled = ["seconds", "cores"].contains(&row.unit());
            assert_eq!(is_scaled, row.per_unit != 1, "{}", row.name);
            assert!(!row.exemplars || row.source == MetricSource::Core, "{}", row.name);
        }
    }

    #[test]
    fn rows_of_a_family_stand_together_and_agree() {
        let rows: Vec<&MetricRow> = rows().map(|indexed| indexed.row).collect();
        let mut seen = BTreeSet::new();
        for family in rows.chunk_by(|a, b| a.name == b.name) {
            assert!(seen.insert(family[0].name), "{} stands apart", family[0].name);
            for row in family {
                let shape =
                    |row: &MetricRow| (row.kind, row.help, row.source, row.merge, row.article);
                assert_eq!(shape(row), shape(family[0]), "{}", row.name);
            }
            let fixed: BTreeSet<_> = family.iter().map(|row| row.fixed).collect();
            assert_eq!(fixed.len(), family.len(), "{}: rows look the same", family[0].name);
        }
    }
}
