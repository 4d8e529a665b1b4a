//! The figures as JSON, for programs. What is not known is `null`.

use serde_json::{Map, Value, json};

use super::figures::{CoreFigures, Figures, HookFigures, PresenceFigures, Shares};
use super::findings::{Urgency, over_thresholds};

/// All figures of a server, and what is over its threshold.
pub fn json(figures: &Figures) -> Value {
    let (connections, messages) = (&figures.connections, &figures.messages);
    let (store, process) = (&figures.store, &figures.process);
    json!({
        "version": figures.version,
        "commit": figures.commit,
        "state": figures.state.name(),
        "uptime_seconds": figures.uptime_s,
        "over_seconds": figures.over_s,
        "restarted": figures.has_restarted,
        "connections": {
            "open": connections.open,
            "limit": connections.limit,
            "handshakes": connections.handshakes,
            "opened_per_second": connections.opened_per_s,
            "closed_per_second": connections.closed_per_s,
            "closed_per_second_by_reason": object(connections.closed.as_ref()),
            "rejected_per_second_by_reason": object(connections.rejected.as_ref()),
            "slow": connections.slow,
        },
        "messages": {
            "received_per_second": messages.received_per_s,
            "published_per_second": messages.published_per_s,
            "delivered_per_second": messages.deliveries_per_s,
            "failed_per_second": messages.failed_per_s,
            "in_flight": messages.in_flight,
            "delivery_p50_seconds": messages.p50_s,
            "delivery_p99_seconds": messages.p99_s,
            "rooms": messages.rooms,
            "subscriptions": messages.subscriptions,
        },
        "store": {
            "appends_per_second": store.appends_per_s,
            "syncs_per_second": store.syncs_per_s,
            "sync_p99_seconds": store.p99_s,
            "waiting": store.waiting,
            "used_bytes": store.used_bytes,
            "free_bytes": store.free_bytes,
            "refused_per_second_by_cause": object(store.refused.as_ref()),
        },
        "api_requests_per_second_by_outcome": object(figures.api.as_ref()),
        "hooks": figures.hooks.as_ref().map(hooks),
        "presence_feed": figures.presence.as_ref().map(presence),
        "dead_letters": {
            "waiting": figures.dead_letters,
            "oldest_age_seconds": figures.dead_letter_oldest_s,
            "new_per_second": figures.dead_letters_per_s,
        },
        "blocks": figures.blocks,
        "blocked_per_second": figures.blocked_per_s,
        "quarantined_per_second": figures.quarantined_per_s,
        "process": {
            "cpu_cores": process.cpu,
            "cpu_limit_cores": process.cpu_limit,
            "resident_bytes": process.resident_bytes,
            "memory_limit_bytes": process.memory_limit_bytes,
            "scrape_seconds": process.scrape_s,
        },
        "tenants": object(Some(&figures.tenants)),
        "cores": figures.cores.iter().map(core).collect::<Vec<_>>(),
        "over_thresholds": over(figures),
    })
}

fn hooks(hooks: &HookFigures) -> Value {
    json!({
        "asked_per_second": hooks.asked_per_s,
        "missed_per_second_by_reason": object(hooks.missed.as_ref()),
        "under_way": hooks.under_way,
        "suspended": hooks.suspended,
    })
}

fn presence(presence: &PresenceFigures) -> Value {
    json!({
        "users": presence.users,
        "told_per_second": presence.told_per_s,
        "waiting_bytes": presence.waiting_bytes,
        "limit_bytes": presence.limit_bytes,
        "oldest_age_seconds": presence.oldest_s,
        "lost_per_second": presence.lost_per_s,
        "write_failures_per_second": presence.write_failures_per_s,
    })
}

fn object(shares: Option<&Shares>) -> Value {
    let pairs = |all: &Shares| {
        all.iter().map(|(word, part)| (word.clone(), Value::from(*part))).collect::<Map<_, _>>()
    };
    shares.map_or(Value::Null, |all| pairs(all).into())
}

fn core(core: &CoreFigures) -> Value {
    json!({
        "core": core.core,
        "connections": core.connections,
        "busy": core.busy,
        "timer_lag_seconds": core.lag_s,
        "late": core.late,
        "turned_seconds_ago": core.tick_age_s,
        "ring_full_per_second": core.ring_full_per_s,
        "buffers_short_per_second": core.buffers_short_per_s,
        "mailbox": core.mailbox,
        "send_queue_bytes": core.send_queue_bytes,
        "send_queue_limit_bytes": core.send_queue_limit_bytes,
        "descriptors": core.descriptors,
        "descriptors_limit": core.descriptors_limit,
        "phase": core.task.as_ref().map(|task| task.phase.clone()),
        "ring_operations": core.task.as_ref().map(|task| task.ring_operations),
    })
}

fn over(figures: &Figures) -> Vec<Value> {
    let urgency = |urgency| match urgency {
        Urgency::None => "none",
        Urgency::Warning => "warning",
        Urgency::Critical => "critical",
    };
    let all = over_thresholds(figures).into_iter();
    all.map(|one| json!({"severity": urgency(one.urgency), "alert": one.alert, "words": one.words}))
        .collect()
}
