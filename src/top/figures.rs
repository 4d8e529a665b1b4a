//! Numbers for people out of two samples: rates, shares and quantiles.
//!
//! Invariant: what is not known is `None`, and no rate is negative: when a counter fell, the
//! server began anew, and there are rates again with the next sample.

use std::collections::BTreeMap;

use super::reader::Readings;
use super::sample::{CoreTask, Sample, ServerState};

/// Shares of something by a word, the largest first; those that are 0 are left out.
pub(super) type Shares = Vec<(String, f64)>;

/// What a server does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    pub(super) version: String,
    pub(super) commit: String,
    pub(super) state: ServerState,
    pub(super) uptime_s: Option<f64>,
    /// The time over which rates are.
    pub(super) over_s: Option<f64>,
    /// Whether the server began anew since the sample before.
    pub(super) has_restarted: bool,
    pub(super) connections: ConnectionFigures,
    pub(super) messages: MessageFigures,
    pub(super) store: StoreFigures,
    pub(super) process: ProcessFigures,
    /// Requests to the server API a second, by outcome; `None` without rates.
    pub(super) api: Option<Shares>,
    /// `None` when the application's backend was never asked.
    pub(super) hooks: Option<HookFigures>,
    /// `None` where no backend is told who is there.
    pub(super) presence: Option<PresenceFigures>,
    pub(super) dead_letters: Option<f64>,
    pub(super) dead_letter_oldest_s: Option<f64>,
    pub(super) dead_letters_per_s: Option<f64>,
    pub(super) blocks: Option<f64>,
    pub(super) blocked_per_s: Option<f64>,
    pub(super) quarantined_per_s: Option<f64>,
    /// By number.
    pub(super) cores: Vec<CoreFigures>,
    /// Connections of tenants, the largest first.
    pub(super) tenants: Shares,
}

/// Who is there, comes and goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ConnectionFigures {
    pub open: f64,
    pub limit: Option<f64>,
    pub handshakes: Option<f64>,
    pub opened_per_s: Option<f64>,
    pub closed_per_s: Option<f64>,
    /// By reason.
    pub closed: Option<Shares>,
    /// By reason.
    pub rejected: Option<Shares>,
    pub accept_failed_per_s: Option<f64>,
    pub slow: Option<f64>,
    pub evicted_per_s: Option<f64>,
    pub panics_per_s: Option<f64>,
}

/// What is said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct MessageFigures {
    pub received_per_s: Option<f64>,
    pub published_per_s: Option<f64>,
    pub deliveries_per_s: Option<f64>,
    /// Of these, those that did not arrive.
    pub failed_per_s: Option<f64>,
    pub in_flight: Option<f64>,
    pub p50_s: Option<f64>,
    pub p99_s: Option<f64>,
    /// Messages whose time was measured.
    pub measured_per_s: Option<f64>,
    pub rooms: Option<f64>,
    pub subscriptions: Option<f64>,
}

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StoreFigures {
    pub appends_per_s: Option<f64>,
    pub syncs_per_s: Option<f64>,
    /// Of a batch with its sync.
    pub p95_s: Option<f64>,
    pub p99_s: Option<f64>,
    pub waiting: Option<f64>,
    pub used_bytes: Option<f64>,
    pub free_bytes: Option<f64>,
    /// By cause.
    pub refused: Option<Shares>,
}

/// What the application's backend is asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct HookFigures {
    pub asked_per_s: Option<f64>,
    /// Without an answer, by reason.
    pub missed: Option<Shares>,
    pub under_way: Option<f64>,
    /// Hooks whose backend is not asked for a while.
    pub suspended: Option<f64>,
}

/// What a backend is told of who is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PresenceFigures {
    pub users: Option<f64>,
    /// Events.
    pub told_per_s: Option<f64>,
    /// Of events that it has not taken.
    pub waiting_bytes: Option<f64>,
    pub limit_bytes: Option<f64>,
    /// Age of the oldest of them.
    pub oldest_s: Option<f64>,
    /// Events that were dropped.
    pub lost_per_s: Option<f64>,
    pub write_failures_per_s: Option<f64>,
}

/// What the process takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ProcessFigures {
    /// Cores that it keeps busy.
    pub cpu: Option<f64>,
    pub cpu_limit: Option<f64>,
    pub resident_bytes: Option<f64>,
    pub memory_limit_bytes: Option<f64>,
    /// How long the last scrape took to gather.
    pub scrape_s: Option<f64>,
    pub log_lines_lost_per_s: Option<f64>,
    /// 0 when settings could not be read again.
    pub reload_good: Option<f64>,
}

/// What a core does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CoreFigures {
    pub core: u64,
    pub connections: f64,
    /// The share of the time in which its thread had a CPU.
    pub busy: Option<f64>,
    /// How late its timers were lately.
    pub lag_s: Option<f64>,
    /// The share of the time in which it was late.
    pub late: Option<f64>,
    /// How long ago its loop turned.
    pub tick_age_s: Option<f64>,
    /// Times a second that its queues to and from the kernel had no room.
    pub ring_full_per_s: Option<f64>,
    /// Receives a second that waited for a buffer.
    pub buffers_short_per_s: Option<f64>,
    pub mailbox: Option<f64>,
    pub mailbox_full_per_s: Option<f64>,
    pub send_queue_bytes: Option<f64>,
    pub send_queue_limit_bytes: Option<f64>,
    pub descriptors: Option<f64>,
    pub descriptors_limit: Option<f64>,
    pub task: Option<CoreTask>,
}

impl CoreFigures {
    /// What of its room for sends is taken.
    pub fn send_queue_share(&self) -> Option<f64> {
        share(self.send_queue_bytes, self.send_queue_limit_bytes)
    }

    /// What of its descriptors is taken.
    pub fn descriptors_share(&self) -> Option<f64> {
        share(self.descriptors, self.descriptors_limit)
    }
}

/// A part of a whole, where there is one.
pub(super) fn share(part: Option<f64>, whole: Option<f64>) -> Option<f64> {
    Some(part? / whole.filter(|whole| 0.0 < *whole)?)
}

/// What grew, and in which time; nothing for the first sample, and after a restart.
struct Rates {
    grown: Option<(Readings, f64)>,
}

impl Rates {
    fn of(&self, name: &str) -> Option<f64> {
        let (grown, over_s) = self.grown.as_ref()?;
        Some(grown.sum(name)? / over_s)
    }

    fn of_where(&self, name: &str, label: &str, value: &str) -> Option<f64> {
        let (grown, over_s) = self.grown.as_ref()?;
        Some(grown.sum_where(name, label, value)? / over_s)
    }

    fn by(&self, name: &str, label: &str) -> Option<Shares> {
        let (grown, over_s) = self.grown.as_ref()?;
        Some(shares(grown.by(name, label).into_iter().map(|(word, sum)| (word, sum / over_s))))
    }

    /// Of what was observed meanwhile.
    fn quantile(&self, family: &str, part: f64) -> Option<f64> {
        self.grown.as_ref()?.0.quantile(family, part)
    }

    /// For each core.
    fn of_cores(&self, name: &str) -> BTreeMap<u64, f64> {
        let Some((grown, over_s)) = &self.grown else { return BTreeMap::new() };
        by_core(grown, name).map(|(core, sum)| (core, sum / over_s)).collect()
    }

    /// For each core, of those series whose label has this value.
    fn of_cores_where(&self, name: &str, label: &str, value: &str) -> BTreeMap<u64, f64> {
        let Some((grown, over_s)) = &self.grown else { return BTreeMap::new() };
        let grown = grown.only(name, label, value);
        by_core(&grown, name).map(|(core, sum)| (core, sum / over_s)).collect()
    }
}

fn shares<'a>(all: impl Iterator<Item = (&'a str, f64)>) -> Shares {
    let some = all.filter(|(_, part)| 0.0 < *part);
    let mut shares: Shares = some.map(|(word, part)| (word.to_owned(), part)).collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    shares
}

fn by_core<'r>(readings: &'r Readings, name: &str) -> impl Iterator<Item = (u64, f64)> + use<'r> {
    readings.by(name, "core").into_iter().filter_map(|(core, sum)| Some((core.parse().ok()?, sum)))
}

impl Figures {
    /// What `sample` says, with rates since `before`.
    pub fn new(sample: &Sample, before: Option<&Sample>) -> Figures {
        let now = &sample.readings;
        let began = now.sum("process_start_time_seconds");
        let grown = before.map(|before| {
            let is_same = began == before.readings.sum("process_start_time_seconds");
            now.since(&before.readings).filter(|_| is_same)
        });
        let has_restarted = grown.as_ref().is_some_and(Option::is_none);
        let over_ms = before.map_or(0, |before| sample.at_ms.saturating_sub(before.at_ms));
        let over_s = over_ms as f64 / 1e3;
        let grown = grown.flatten().filter(|_| 0 < over_ms);
        let rates = Rates { grown: grown.map(|grown| (grown, over_s)) };
        Figures {
            version: now.label("chat_build_info", "version").unwrap_or("?").to_owned(),
            commit: now.label("chat_build_info", "commit").unwrap_or_default().to_owned(),
            state: sample.state.clone(),
            uptime_s: began.map(|began| (sample.now_unix_s - began).max(0.0)),
            over_s: rates.grown.as_ref().map(|(_, over_s)| *over_s),
            has_restarted,
            connections: connections(now, &rates),
            messages: messages(now, &rates),
            store: store(now, &rates),
            process: process(now, &rates),
            api: rates.by("chat_api_requests_total", "outcome"),
            hooks: hooks(now, &rates),
            presence: presence(now, &rates),
            dead_letters: now.sum("chat_dead_letter_messages"),
            dead_letter_oldest_s: now.sum("chat_dead_letter_oldest_age_seconds"),
            dead_letters_per_s: rates.of("chat_dead_letter_total"),
            blocks: now.sum("chat_blocks"),
            blocked_per_s: rates.of("chat_conn_blocked_total"),
            quarantined_per_s: rates.of("chat_conn_quarantined_total"),
            cores: cores(sample, &rates),
            tenants: shares(now.by("chat_tenant_active_connections", "tenant_id").into_iter()),
        }
    }
}

fn connections(now: &Readings, rates: &Rates) -> ConnectionFigures {
    ConnectionFigures {
        open: now.sum("chat_active_connections").unwrap_or_default(),
        limit: now.sum("chat_conn_limit"),
        handshakes: now.sum("chat_handshake_inflight"),
        opened_per_s: rates.of("chat_conn_opened_total"),
        closed_per_s: rates.of("chat_conn_closed_total"),
        closed: rates.by("chat_conn_closed_total", "reason"),
        rejected: rates.by("chat_conn_rejected_total", "reason"),
        accept_failed_per_s: rates.of("chat_conn_accept_failed_total"),
        slow: now.sum("chat_slow_consumers"),
        evicted_per_s: rates.of("chat_slow_consumer_evicted_total"),
        panics_per_s: rates.of("chat_session_panics_total"),
    }
}

fn messages(now: &Readings, rates: &Rates) -> MessageFigures {
    const DELIVERIES: &str = "chat_msg_delivery_total";
    const TIME: &str = "chat_msg_end2end_latency_seconds";
    let failed = ["failed", "expired", "dead_letter"]
        .map(|outcome| rates.of_where(DELIVERIES, "outcome", outcome));
    MessageFigures {
        received_per_s: rates.of("chat_ws_messages_received_total"),
        published_per_s: rates.of_where("chat_msg_publish_total", "result", "accepted"),
        deliveries_per_s: rates.of_where(DELIVERIES, "outcome", "delivered"),
        failed_per_s: failed.into_iter().sum(),
        in_flight: now.sum("chat_msg_inflight"),
        p50_s: rates.quantile(TIME, 0.5),
        p99_s: rates.quantile(TIME, 0.99),
        measured_per_s: rates.of("chat_msg_end2end_latency_seconds_count"),
        rooms: now.sum("chat_rooms"),
        subscriptions: now.sum("chat_subscriptions"),
    }
}

fn store(now: &Readings, rates: &Rates) -> StoreFigures {
    StoreFigures {
        appends_per_s: rates.of("chat_store_messages_total"),
        syncs_per_s: rates.of("chat_store_syncs_total"),
        p95_s: rates.quantile("chat_store_turn_seconds", 0.95),
        p99_s: rates.quantile("chat_store_turn_seconds", 0.99),
        waiting: now.sum("chat_store_requests"),
        used_bytes: now.sum("chat_store_used_bytes"),
        free_bytes: now.sum("chat_store_free_bytes"),
        refused: rates.by("chat_store_refused_total", "cause"),
    }
}

fn hooks(now: &Readings, rates: &Rates) -> Option<HookFigures> {
    now.sum("chat_hook_requests_total").filter(|asked| 0.0 < *asked)?;
    Some(HookFigures {
        asked_per_s: rates.of("chat_hook_requests_total"),
        missed: rates.by("chat_hook_misses_total", "reason"),
        under_way: now.sum("chat_hooks_under_way"),
        suspended: now.sum("chat_hooks_suspended"),
    })
}

fn presence(now: &Readings, rates: &Rates) -> Option<PresenceFigures> {
    let limit_bytes = now.sum("chat_presence_feed_queue_limit_bytes").filter(|max| 0.0 < *max)?;
    Some(PresenceFigures {
        users: now.sum("chat_presence_feed_users"),
        told_per_s: rates.of("chat_presence_feed_events_total"),
        waiting_bytes: now.sum("chat_presence_feed_queued_bytes"),
        limit_bytes: Some(limit_bytes),
        oldest_s: now.sum("chat_presence_feed_oldest_age_seconds"),
        lost_per_s: rates.of("chat_presence_feed_lost_total"),
        write_failures_per_s: rates.of("chat_presence_feed_write_failures_total"),
    })
}

fn process(now: &Readings, rates: &Rates) -> ProcessFigures {
    ProcessFigures {
        cpu: rates.of("process_cpu_seconds_total"),
        cpu_limit: now.sum("chat_cpu_limit_cores"),
        resident_bytes: now.sum("process_resident_memory_bytes"),
        memory_limit_bytes: now.sum("chat_memory_limit_bytes"),
        scrape_s: now.sum("chat_scrape_duration_seconds"),
        log_lines_lost_per_s: rates.of("chat_log_lines_lost_total"),
        reload_good: now.sum("chat_config_last_reload_successful"),
    }
}

fn cores(sample: &Sample, rates: &Rates) -> Vec<CoreFigures> {
    let gauges = |name: &str| by_core(&sample.readings, name).collect::<BTreeMap<u64, f64>>();
    let busy = rates.of_cores("chat_core_busy_seconds_total");
    let late = rates.of_cores("chat_core_late_seconds_total");
    let [full, overflowed, short] = ["sq_full", "cq_overflow", "bufring_empty"]
        .map(|kind| rates.of_cores_where("chat_uring_overflow_total", "kind", kind));
    let mailbox_full = rates.of_cores("chat_core_mailbox_full_total");
    let lag = gauges("chat_core_timer_lag_seconds");
    let mailbox = gauges("chat_core_mailbox_depth");
    let send_queue = gauges("chat_send_queue_bytes");
    let send_queue_limit = gauges("chat_send_queue_limit_bytes");
    let descriptors = gauges("chat_fd_slots_used");
    let descriptors_limit = gauges("chat_fd_slots_limit");
    let of = |all: &BTreeMap<u64, f64>, core: u64| all.get(&core).copied();
    gauges("chat_core_connections")
        .into_iter()
        .map(|(core, connections)| CoreFigures {
            core,
            connections,
            busy: of(&busy, core),
            lag_s: of(&lag, core),
            late: of(&late, core),
            tick_age_s: sample.tick_age_s(core),
            ring_full_per_s: [of(&full, core), of(&overflowed, core)].into_iter().sum(),
            buffers_short_per_s: of(&short, core),
            mailbox: of(&mailbox, core),
            mailbox_full_per_s: of(&mailbox_full, core),
            send_queue_bytes: of(&send_queue, core),
            send_queue_limit_bytes: of(&send_queue_limit, core),
            descriptors: of(&descriptors, core),
            descriptors_limit: of(&descriptors_limit, core),
            task: sample.tasks.iter().find(|task| task.core == core).cloned(),
        })
        .collect()
}
