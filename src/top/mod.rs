//! What `rookery top` shows: the numbers of a server's admin listener, as a picture of text.
//!
//! `reader` reads the pages of metrics, `sample` what else was answered, `figures` takes two
//! samples apart into rates and shares, `findings` compares them with the thresholds of the
//! shipped alerts, `view` says all of it in words, and `draw` puts them into cells. `screen` is
//! what keys change.
//!
//! Invariants: no rate is negative; what the server says is escaped where it is read; a page
//! has a bound in series and in letters of a label.
//!
//! Deliberately absent: the terminal, HTTP, clocks (`cli`), and whatever names a single
//! connection: an operator's picture costs the server the same at any number of them.
#![forbid(unsafe_code)]
#![deny(clippy::wildcard_enum_match_arm)]

mod draw;
mod figures;
mod findings;
mod json;
mod numbers;
mod reader;
mod sample;
mod screen;
#[cfg(test)]
mod tests;
mod view;

pub use draw::{draw, text, without_colours};
pub use json::json;
pub use sample::AdminAnswer;
pub use screen::{Pressed, Screen, TopKey};

/// What is asked of `/metrics`, summed over the cores; what is a core's own has the label
/// `core` anyhow. A page may name 64.
pub const FAMILIES: &[&str] = &[
    "chat_build_info",
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "chat_cpu_limit_cores",
    "chat_memory_limit_bytes",
    "chat_config_last_reload_successful",
    "chat_log_lines_lost_total",
    "chat_scrape_duration_seconds",
    "chat_active_connections",
    "chat_conn_limit",
    "chat_conn_opened_total",
    "chat_conn_closed_total",
    "chat_conn_rejected_total",
    "chat_conn_accept_failed_total",
    "chat_conn_quarantined_total",
    "chat_conn_blocked_total",
    "chat_handshake_inflight",
    "chat_slow_consumers",
    "chat_slow_consumer_evicted_total",
    "chat_session_panics_total",
    "chat_ws_messages_received_total",
    "chat_msg_publish_total",
    "chat_msg_delivery_total",
    "chat_msg_inflight",
    "chat_msg_end2end_latency_seconds",
    "chat_rooms",
    "chat_subscriptions",
    "chat_core_busy_seconds_total",
    "chat_core_late_seconds_total",
    "chat_core_last_tick_timestamp_seconds",
    "chat_core_timer_lag_seconds",
    "chat_core_connections",
    "chat_core_mailbox_depth",
    "chat_core_mailbox_full_total",
    "chat_send_queue_bytes",
    "chat_send_queue_limit_bytes",
    "chat_fd_slots_used",
    "chat_fd_slots_limit",
    "chat_store_messages_total",
    "chat_store_syncs_total",
    "chat_store_refused_total",
    "chat_store_requests",
    "chat_store_used_bytes",
    "chat_store_free_bytes",
    "chat_store_turn_seconds",
    "chat_dead_letter_total",
    "chat_dead_letter_messages",
    "chat_dead_letter_oldest_age_seconds",
    "chat_api_requests_total",
    "chat_hook_requests_total",
    "chat_hook_misses_total",
    "chat_hooks_under_way",
    "chat_hooks_suspended",
    "chat_presence_feed_users",
    "chat_presence_feed_events_total",
    "chat_presence_feed_queued_bytes",
    "chat_presence_feed_queue_limit_bytes",
    "chat_presence_feed_oldest_age_seconds",
    "chat_presence_feed_lost_total",
    "chat_presence_feed_write_failures_total",
    "chat_blocks",
    "chat_tenant_active_connections",
];

/// What is asked of each core: a sum would not say which one's ring is short of something.
pub const FAMILIES_OF_CORES: &[&str] = &["chat_uring_overflow_total"];
