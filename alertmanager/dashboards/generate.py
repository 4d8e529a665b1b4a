#!/usr/bin/env python3
"""Makes the Grafana dashboard from the catalogue of metrics (docs/metrics.json).

    generate.py            writes rookery.json beside this file
    generate.py --check    says whether it is what would be written

What a panel shows is decided here; what a metric is, its unit and its help come from the
catalogue, so that a panel cannot say something else. A name that the catalogue does not
have, and a metric that no panel shows, are mistakes.
"""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
CATALOGUE = json.loads((HERE.parents[1] / "docs/metrics.json").read_text())["families"]
FAMILIES = {family["name"]: family for family in CATALOGUE}
OUTPUT = HERE / "rookery.json"

SERVERS = 'job=~"$job", instance=~"$instance"'
# Those who watch the servers, and whose alerts are shown with theirs.
WATCHERS = "rookery-alert-bridge|prometheus|alertmanager|"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = {"seconds": "s", "bytes": "bytes", "": "short"}

# Metrics that say nothing as a picture, and why.
NOT_SHOWN = {
    "chat_conn_closed_blame_total": "the reasons are shown, each of which has one blame",
    "chat_pings_sent_total": "heartbeats that ended are shown",
    "chat_core_sleeps_total": "turns and busy time are shown",
    "chat_letters_total": "lanes that are full are shown",
    "chat_token_claims_unsupported_total": "a line of the log names each claim once",
    "chat_uring_submits_total": "completions are shown",
    "chat_uring_stale_completions_total": "for those who look for a mistake in the ring",
    "chat_uring_short_sends_total": "for those who look for a mistake in the ring",
    "process_virtual_memory_bytes": "says nothing about memory that is used",
    "process_open_fds": "descriptor slots are shown, which count those of the ring as well",
    "process_max_fds": "descriptor slots are shown, which count those of the ring as well",
}


def family(name):
    """The family of a series, which may be one of a histogram's."""
    return FAMILIES.get(name) or FAMILIES[re.sub(r"_(bucket|count|sum)$", "", name)]


def matchers(extra=""):
    return "{" + SERVERS + (f", {extra}" if extra else "") + "}"


def rate(name, by="", extra=""):
    """Events a second, of all servers that are chosen."""
    family(name)
    return f"sum{grouped(by)} (rate({name}{matchers(extra)}[$__rate_interval]))"


def total(name, by="", extra=""):
    """A gauge, of all servers that are chosen."""
    family(name)
    return f"sum{grouped(by)} ({name}{matchers(extra)})"


def worst(name, by=""):
    family(name)
    return f"max{grouped(by)} ({name}{matchers()})"


def quantile(name, by="", extra="", q="$quantile"):
    family(name)
    labels = f"{by}, le" if by else "le"
    buckets = f"rate({name}_bucket{matchers(extra)}[$__rate_interval])"
    return f"histogram_quantile({q}, sum by ({labels}) ({buckets}))"


def share(part, whole):
    return f"{part}\n  / {whole}"


def grouped(by):
    return f" by ({by})" if by else ""


def recorded(name, by_instance=False, extra=""):
    """A series that rules/ records. Those of a whole job have no instance."""
    chosen = SERVERS if by_instance else 'job=~"$job"'
    return f"{name}{{{chosen}{', ' + extra if extra else ''}}}"


def help_of(*names):
    return " ".join(dict.fromkeys(family(name)["help"] for name in names))


class Board:
    """Rows of panels, placed from left to right and from top to bottom."""

    def __init__(self):
        self.rows = []
        self.ids = 0

    def row(self, title, is_open):
        self.rows.append((title, is_open, []))

    def panel(self, title, targets, unit, about, width=8, height=7, kind="timeseries", **more):
        self.ids += 1
        self.rows[-1][2].append({
            "id": self.ids,
            "type": kind,
            "title": title,
            "description": about,
            "datasource": DATASOURCE,
            "targets": [
                {
                    "refId": chr(ord("A") + index),
                    "datasource": DATASOURCE,
                    "expr": expression,
                    "legendFormat": legend,
                    "exemplar": more.get("exemplars", False),
                    **({"format": "heatmap"} if kind == "heatmap" else {}),
                    **({"instant": True} if kind in ("stat", "table") else {}),
                }
                for index, (expression, legend) in enumerate(targets)
            ],
            "fieldConfig": field_config(unit, kind, more),
            "options": options(kind),
            "gridPos": {"w": width, "h": height},
        })

    def done(self):
        panels, y = [], 0
        for title, is_open, members in self.rows:
            self.ids += 1
            row = {
                "id": self.ids,
                "type": "row",
                "title": title,
                "collapsed": not is_open,
                "gridPos": {"h": 1, "w": 24, "x": 0, "y": y},
                "panels": [] if is_open else members,
            }
            y = place(members, y + 1)
            panels += [row, *(members if is_open else [])]
        return panels


def place(panels, y):
    x, tallest = 0, 0
    for panel in panels:
        grid = panel["gridPos"]
        if x + grid["w"] > 24:
            x, y, tallest = 0, y + tallest, 0
        grid["x"], grid["y"] = x, y
        x, tallest = x + grid["w"], max(tallest, grid["h"])
    return y + tallest


def field_config(unit, kind, more):
    defaults = {"unit": unit}
    if kind == "timeseries":
        custom = {"lineWidth": 1, "fillOpacity": 10, "showPoints": "never", "spanNulls": False}
        if more.get("stacked"):
            custom |= {"stacking": {"mode": "normal", "group": "A"}, "fillOpacity": 40}
        defaults["custom"] = custom
    if "max" in more:
        defaults |= {"min": 0, "max": more["max"]}
    if "steps" in more:
        steps = [{"color": color, "value": value} for color, value in more["steps"]]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        if kind == "timeseries":
            defaults["custom"]["thresholdsStyle"] = {"mode": "line"}
    if more.get("exemplars"):
        url = "${traces}/${__data.fields.trace_id}"
        defaults["links"] = [{"title": "this trace", "url": url, "targetBlank": True}]
    return {"defaults": defaults, "overrides": []}


def options(kind):
    if kind == "timeseries":
        legend = {"displayMode": "list", "placement": "bottom", "showLegend": True}
        return {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}
    if kind == "heatmap":
        return {"calculate": False, "color": {"scheme": "Oranges"}, "tooltip": {"show": True}}
    if kind == "stat":
        return {"colorMode": "value", "reduceOptions": {"calcs": ["lastNotNull"]}}
    return {}


# --- rows -----------------------------------------------------------------------------


def objectives(board):
    board.row("Objectives", True)
    board.panel(
        "Budget left", [(recorded("slo:chat_error_budget:remaining_ratio"), "{{slo}}")],
        "percentunit", "What is left of thirty days' error budget. Below 0 it is overdrawn.",
        kind="stat", steps=[("red", None), ("orange", 0), ("green", 0.5)],
    )
    burn = "slo:chat_error:ratio_rate1h{job=~\"$job\"}\n  / on (slo) group_left () (1 - slo:chat_objective:ratio)"
    board.panel(
        "Burn", [(burn, "{{slo}}")], "short",
        "How many times too fast the budget is used, over an hour. At 14.4 somebody is woken; "
        "at 1 it is used up at the end of thirty days.",
        steps=[("green", None), ("orange", 3), ("red", 14.4)],
    )
    board.panel(
        "Bad events", [(recorded("slo:chat_error:ratio_rate5m"), "{{slo}}")], "percentunit",
        "The share of heartbeats that were lost, of recipients without their message, and of "
        "messages that took longer than 0.8 s.",
    )


def connections(board):
    board.row("Connections", True)
    name = "chat_active_connections"
    board.panel("Open", [(total(name, "instance"), "{{instance}}"),
                         (total("chat_conn_limit"), "limit")], "short",
                help_of(name, "chat_conn_limit"))
    name = "chat_conn_opened_total"
    board.panel("Opened and accepted", [(rate(name, "protocol"), "{{protocol}}"),
                                        (rate("chat_conn_accepted_total"), "from the listener")],
                "cps", help_of(name, "chat_conn_accepted_total"))
    name = "chat_conn_closed_total"
    board.panel("Closed", [(rate(name, "reason"), "{{reason}}")], "cps", help_of(name), stacked=True)
    name = "chat_handshake_duration_seconds"
    board.panel("Upgrade", [(quantile(name, "outcome"), "{{outcome}}")], "s", help_of(name))
    name = "chat_handshake_stage_seconds"
    board.panel("Parts of the way in", [(quantile(name, "stage"), "{{stage}}")], "s", help_of(name))
    board.panel(
        "Upgrades that failed", [
            (rate("chat_conn_rejected_total", "reason"), "{{reason}}"),
            (rate("chat_conn_accept_failed_total", "reason"), "accept: {{reason}}"),
            (rate("chat_conn_quarantined_total"), "quarantined"),
            (rate("chat_conn_blocked_total", "kind"), "blocked: {{kind}}"),
        ], "cps",
        help_of("chat_conn_rejected_total", "chat_conn_accept_failed_total", "chat_conn_quarantined_total",
                "chat_conn_blocked_total"),
    )
    name = "chat_heartbeat_total"
    lost = share(rate(name, "instance", 'outcome="timeout"'), rate(name, "instance"))
    board.panel("Heartbeats lost", [(lost, "{{instance}}")], "percentunit", help_of(name))
    name = "chat_heartbeat_rtt_seconds"
    board.panel("Round trip", [(quantile(name, "instance"), "{{instance}}")], "s", help_of(name))
    name = "chat_conn_up_time_seconds"
    board.panel("How long they lived", [(quantile(name, "reason"), "{{reason}}")], "s", help_of(name))
    name = "chat_session_resume_seconds"
    board.panel("Away before they came back", [(quantile(name), "$quantile")], "s", help_of(name))
    name = "chat_recoveries_total"
    board.panel("What they missed", [(rate(name, "result"), "{{result}}"),
                                     (rate("chat_subscription_gaps_total"), "gaps")], "cps",
                help_of(name, "chat_subscription_gaps_total"))
    board.panel("Under way, and most operations", [
        (total("chat_handshake_inflight"), "upgrades under way"),
        (worst("chat_conn_tasks_max"), "most operations of one connection"),
    ], "short", help_of("chat_handshake_inflight", "chat_conn_tasks_max"))
    name = "chat_conn_oldest_age_seconds"
    board.panel("Oldest connection", [(worst(name, "instance"), "{{instance}}")], "s", help_of(name))
    name = "chat_session_panics_total"
    board.panel("Panics", [(rate(name, "instance"), "{{instance}}")], "cps", help_of(name))


def messages(board):
    board.row("Messages", True)
    name = "chat_e2e_latency_seconds"
    board.panel("From client to client", [(quantile(name, "chat_type, direction"), "{{chat_type}} {{direction}}")],
                "s", help_of(name) + " A point is one message, and leads to its trace.",
                width=12, height=9, exemplars=True, steps=[("green", None), ("red", 0.8)])
    name = "chat_msg_segment_duration_seconds"
    mean = share(rate(f"{name}_sum", "segment"), rate(f"{name}_count", "segment"))
    board.panel("Where the time goes", [(mean, "{{segment}}")], "s",
                help_of(name) + " Mean of each, so that they add up to the whole.",
                width=12, height=9, stacked=True, exemplars=True)
    name = "chat_msg_end2end_latency_seconds"
    board.panel("Within the server", [(quantile(name, "instance"), "{{instance}}")], "s",
                help_of(name), exemplars=True)
    name = "chat_broadcast_duration_seconds"
    board.panel("To all of a broadcast", [(quantile(name), "$quantile")], "s", help_of(name))
    name = "chat_msg_publish_total"
    board.panel("Published", [(rate(name, "chat_type, result"), "{{chat_type}} {{result}}")], "cps", help_of(name))
    name = "chat_msg_delivery_total"
    board.panel("Outcomes", [(rate(name, "outcome"), "{{outcome}}"),
                             (rate("chat_msg_recipients_total"), "recipients")], "cps",
                help_of(name, "chat_msg_recipients_total"))
    kept = "\n  - ".join((total("chat_msg_recipients_total", "instance"),
                          total(name, "instance"), total("chat_msg_inflight", "instance")))
    board.panel("Without an outcome", [(kept, "{{instance}}"),
                                       (total("chat_msg_inflight", "instance"), "{{instance}} under way")],
                "short", "Recipients that were accepted and have no outcome: 0, or something is lost. "
                + help_of("chat_msg_inflight"))
    board.panel("Slow readers", [
        (total("chat_slow_consumers", "instance"), "{{instance}}"),
        (rate("chat_slow_consumer_evicted_total", "instance"), "{{instance}} closed a second"),
    ], "short", help_of("chat_slow_consumers", "chat_slow_consumer_evicted_total"))
    name = "chat_send_queue_bytes"
    board.panel("Waiting to be sent", [(total(name, "instance"), "{{instance}}"),
                                       (total("chat_send_queue_limit_bytes"), "limit")], "bytes",
                help_of(name, "chat_send_queue_limit_bytes"))
    name = "chat_bytes_total"
    board.panel("Bytes", [(rate(name, "direction"), "{{direction}}")], "Bps", help_of(name))
    board.panel("Commands, replies, errors", [
        (rate("chat_ws_messages_received_total", "protocol"), "messages, {{protocol}}"),
        (rate("chat_commands_received_total"), "commands"),
        (rate("chat_replies_sent_total"), "replies"),
    ], "cps", help_of("chat_ws_messages_received_total", "chat_commands_received_total",
                      "chat_replies_sent_total"))
    name = "chat_error_replies_sent_total"
    board.panel("Commands that were refused", [(rate(name, "code"), "{{code}}")], "cps",
                help_of(name) + " 111 asks to come again; what the others mean stands in docs/PROTOCOL.md.",
                stacked=True)
    board.panel("Rooms and subscriptions", [(total("chat_rooms"), "rooms"),
                                            (total("chat_subscriptions"), "subscriptions")],
                "short", help_of("chat_rooms", "chat_subscriptions"))
    board.panel("Direct messages again, and given up", [
        (rate("chat_msg_retry_total"), "sent again"),
        (rate("chat_dead_letter_total", "reason"), "dead letter: {{reason}}"),
        (total("chat_dead_letter_messages"), "dead letters that lie there"),
    ], "short", help_of("chat_msg_retry_total", "chat_dead_letter_total", "chat_dead_letter_messages"))
    name = "chat_dead_letter_oldest_age_seconds"
    board.panel("Oldest dead letter", [(worst(name, "instance"), "{{instance}}")], "s", help_of(name))
    name = "chat_api_requests_total"
    board.panel("Requests of backends", [(rate(name, "method, outcome"), "{{method}} {{outcome}}")],
                "reqps", help_of(name))
    board.panel("Blocks", [(total("chat_blocks"), "blocks")], "short", help_of("chat_blocks"))
    board.panel("Hooks of an application's backend", [
        (rate("chat_hook_requests_total", "hook"), "{{hook}}"),
        (rate("chat_hook_misses_total", "reason"), "no answer: {{reason}}"),
    ], "reqps", help_of("chat_hook_requests_total", "chat_hook_misses_total"))
    board.panel("Hooks under way", [
        (total("chat_hooks_under_way"), "under way"),
        (total("chat_hooks_suspended"), "hooks that are left alone"),
        (rate("chat_hook_wait_seconds_total"), "that wait, on average"),
    ], "short", help_of("chat_hooks_under_way", "chat_hooks_suspended", "chat_hook_wait_seconds_total"))
    board.panel("Presence feed", [
        (rate("chat_presence_feed_events_total"), "events"),
        (rate("chat_presence_feed_requests_total", "outcome"), "requests {{outcome}}"),
        (rate("chat_presence_feed_lost_total"), "events lost"),
        (rate("chat_presence_feed_write_failures_total"), "writes that failed"),
        (rate("chat_presence_feed_passes_total"), "passes of cores"),
    ], "short", help_of("chat_presence_feed_events_total", "chat_presence_feed_requests_total",
                        "chat_presence_feed_lost_total", "chat_presence_feed_write_failures_total",
                        "chat_presence_feed_passes_total"))
    board.panel("Presence feed: what waits, and who is there", [
        (total("chat_presence_feed_queued_events"), "events that wait"),
        (total("chat_presence_feed_queued_bytes"), "their bytes"),
        (total("chat_presence_feed_queue_limit_bytes"), "bytes that may wait"),
        (total("chat_presence_feed_oldest_age_seconds"), "seconds that the oldest waits"),
        (total("chat_presence_feed_users"), "users"),
        (total("chat_presence_feed_subscriptions"), "subscriptions"),
    ], "short", help_of("chat_presence_feed_queued_events", "chat_presence_feed_queued_bytes",
                        "chat_presence_feed_queue_limit_bytes", "chat_presence_feed_oldest_age_seconds",
                        "chat_presence_feed_users", "chat_presence_feed_subscriptions"))
    board.panel("Traces and log", [
        (rate("chat_trace_sampled_total", "sampled"), "sampled: {{sampled}}"),
        (rate("chat_trace_spans_total", "outcome"), "spans {{outcome}}"),
        (rate("chat_exemplars_dropped_total"), "examples not kept"),
        (rate("chat_clock_skew_clamped_total"), "clock skew"),
        (rate("chat_log_lines_lost_total", "reason"), "log lines lost: {{reason}}"),
    ], "cps", help_of("chat_trace_sampled_total", "chat_trace_spans_total",
                      "chat_exemplars_dropped_total", "chat_clock_skew_clamped_total",
                      "chat_log_lines_lost_total"))


def cores(board):
    board.row("Cores", False)
    name = "chat_core_busy_seconds_total"
    board.panel("Busy, by core", [(rate(name, "core"), "{{core}}")], "percentunit", help_of(name),
                kind="heatmap", width=12, height=9)
    board.panel("Busy", [(rate(name, "instance, core"), "{{instance}} {{core}}")], "percentunit",
                help_of(name), width=12, height=9, max=1)
    name = "chat_core_last_tick_timestamp_seconds"
    family(name)
    age = f"clamp_min(timestamp({name}{matchers()})\n  - {name}{matchers()}, 0)"
    board.panel("Last turn", [(age, "{{instance}} {{core}}")], "s",
                "Age of the core's last turn when it was scraped. Above 5 s it hangs.",
                steps=[("green", None), ("red", 5)])
    name = "chat_executor_stall_seconds"
    board.panel("Long turns", [(rate(f"{name}_count", "instance"), "{{instance}}")], "cps", help_of(name))
    board.panel("How long those take", [(quantile(name, "instance", q="0.99"), "{{instance}}: p99")],
                "s", help_of(name))
    board.panel("Turns and completions", [
        (rate("chat_core_turns_total", "instance"), "{{instance}} turns"),
        (rate("chat_uring_completions_total", "instance"), "{{instance}} completions"),
    ], "cps", help_of("chat_core_turns_total", "chat_uring_completions_total"))
    name = "chat_core_timer_lag_seconds"
    board.panel("How late", [(total(name, "instance, core"), "{{instance}} {{core}}")], "s",
                help_of(name) + " From 0.02 s on the core is late and judges nobody, from 0.25 s on it rests "
                "from accepting, from 1 s on newcomers are told to come again; clients bear 8 s.",
                steps=[("green", None), ("orange", 0.25), ("red", 1)])
    name = "chat_core_late_seconds_total"
    board.panel("Time that was late", [(rate(name, "instance, core"), "{{instance}} {{core}}")],
                "percentunit", help_of(name) + " Above half of the time somebody is told.",
                steps=[("green", None), ("orange", 0.5)], max=1)
    periods = "chat_cpu_periods_total"
    throttled = "chat_cpu_throttled_periods_total"
    board.panel("Stopped by its quota",
                [(share(rate(throttled, "instance"), rate(periods, "instance")), "{{instance}}")],
                "percentunit", help_of(periods, throttled) + " Empty where there is no quota.", max=1)
    board.panel("What lateness held back", [
        (rate("chat_accept_rests_total", "instance"), "{{instance}} rests of accepting"),
        (rate("chat_conn_rejected_total", "instance", 'reason="late"'), "{{instance}} upgrades told 503"),
        (rate("chat_error_replies_sent_total", "instance", 'code="111"'), "{{instance}} commands told 111"),
    ], "cps", help_of("chat_accept_rests_total")
        + " Upgrades that a late server refused, and commands that were told to come again.")
    name = "chat_pong_suspicions_total"
    board.panel("Pongs that were missing", [(rate(name, "instance, outcome"), "{{instance}} {{outcome}}")],
                "cps", help_of(name))
    name = "chat_core_connections"
    board.panel("Connections of each core", [(total(name, "instance, core"), "{{instance}} {{core}}")],
                "short", help_of(name))
    board.panel("Lanes between cores", [
        (total("chat_core_mailbox_depth", "instance"), "{{instance}} waiting"),
        (rate("chat_core_mailbox_full_total", "instance, lane"), "{{instance}} full: {{lane}}"),
    ], "short", help_of("chat_core_mailbox_depth", "chat_core_mailbox_full_total"))
    name = "chat_uring_overflow_total"
    board.panel("Overflows", [(rate(name, "kind"), "{{kind}}")], "cps", help_of(name))
    name = "chat_buffer_pool_hits_total"
    missed = "chat_buffer_pool_misses_total"
    board.panel("Receives that found a buffer",
                [(share(rate(name, "instance"), f"({rate(name, 'instance')} + {rate(missed, 'instance')})"),
                  "{{instance}}")], "percentunit", help_of(name, missed), max=1)
    board.panel("Operations", [(total("chat_tasks", "instance"), "{{instance}} under way"),
                               (rate("chat_tasks_spawned_total", "instance"), "{{instance}} begun a second")],
                "short", help_of("chat_tasks", "chat_tasks_spawned_total"))


def store(board):
    board.row("Store", False)
    board.panel("Kept", [(rate("chat_store_messages_total", "instance"), "{{instance}} messages"),
                         (rate("chat_store_expired_total", "instance"), "{{instance}} expired")],
                "cps", help_of("chat_store_messages_total", "chat_store_expired_total"))
    name = "chat_store_message_bytes_total"
    board.panel("Bytes kept", [(rate(name, "instance"), "{{instance}}")], "Bps", help_of(name))
    name = "chat_store_turn_seconds"
    board.panel("Turns with writes", [(quantile(name, "instance"), "{{instance}}")], "s", help_of(name))
    board.panel("Batches and syncs", [
        (rate("chat_store_commits_total", "instance"), "{{instance}} batches"),
        (rate("chat_store_syncs_total", "instance"), "{{instance}} syncs"),
    ], "cps", help_of("chat_store_commits_total", "chat_store_syncs_total"))
    board.panel("Refused", [(rate("chat_store_refused_total", "cause"), "{{cause}}"),
                            (rate("chat_store_reopened_total"), "read anew")], "cps",
                help_of("chat_store_refused_total", "chat_store_reopened_total"))
    name = "chat_store_requests"
    board.panel("Waiting for the store", [(total(name, "instance"), "{{instance}}")], "short", help_of(name))
    board.panel("Space", [(total("chat_store_used_bytes", "instance"), "{{instance}} used"),
                          (total("chat_store_free_bytes", "instance"), "{{instance}} free")],
                "bytes", help_of("chat_store_used_bytes", "chat_store_free_bytes"), stacked=True)


def store_log(board):
    board.row("Log of the store", False)
    name = "chat_store_log_batches_total"
    board.panel("Batches of the log", [(rate(name, "instance"), "{{instance}}")], "cps", help_of(name))
    name = "chat_store_log_bytes_total"
    board.panel("Bytes of the log", [(rate(name, "instance"), "{{instance}}")], "Bps", help_of(name))
    name = "chat_store_log_sync_seconds"
    board.panel("Synced writes", [
        (quantile(name, "instance", q="0.5"), "{{instance}}: p50"),
        (quantile(name, "instance", q="0.99"), "{{instance}}: p99"),
    ], "s", help_of(name) + " Above 0.1 s somebody is told.", steps=[("green", None), ("orange", 0.1)])
    waits, limit = "chat_store_log_unapplied_bytes", "chat_store_log_unapplied_limit_bytes"
    layers = "chat_store_log_layers_bytes"
    board.panel("What the database does not have", [
        (total(waits, "instance"), "{{instance}} in the log"),
        (total(layers, "instance"), "{{instance}} in memory"),
        (total(limit, "instance"), "{{instance}} limit"),
    ], "bytes", help_of(waits, layers, limit))
    name = "chat_store_log_unapplied_age_seconds"
    board.panel("Since when it lacks that", [(total(name, "instance"), "{{instance}}")], "s",
                help_of(name) + " Above 10 s somebody is told.", steps=[("green", None), ("orange", 10)])
    waits, limit = "chat_store_log_unsorted_bytes", "chat_store_log_unsorted_limit_bytes"
    board.panel("What is not sorted", [
        (total(waits, "instance"), "{{instance}} in the log"),
        (total(limit, "instance"), "{{instance}} limit"),
    ], "bytes", help_of(waits, limit) + " Above half of it somebody is told.")
    name = "chat_store_log_sorting_age_seconds"
    board.panel("Since when it is sorted", [(total(name, "instance"), "{{instance}}")], "s",
                help_of(name) + " Above two minutes somebody is told.",
                steps=[("green", None), ("orange", 120)])
    name = "chat_store_run_bytes"
    board.panel("Sorted messages", [(total(name, "instance, state"), "{{instance}} {{state}}")],
                "bytes", help_of(name), stacked=True)
    name, failures = "chat_store_run_moved_bytes_total", "chat_store_run_failures_total"
    board.panel("Sorting and merging", [(rate(name, "instance"), "{{instance}}")], "Bps", help_of(name))
    board.panel("Sorting that failed", [(rate(failures, "instance"), "{{instance}}")], "cps", help_of(failures))
    name = "chat_store_log_segments"
    board.panel("Segments", [(total(name, "instance, state"), "{{instance}} {{state}}")], "short",
                help_of(name), stacked=True)
    name = "chat_store_log_checkpoint_seconds"
    board.panel("Checkpoints", [(rate(f"{name}_count", "instance"), "{{instance}}")], "cps", help_of(name))
    board.panel("How long checkpoints take", [(quantile(name, "instance", q="0.99"), "{{instance}}: p99")],
                "s", help_of(name))
    name, damages = "chat_store_log_failures_total", "chat_store_log_damages_total"
    board.panel("Segments given up, and damage", [
        (rate(name, "instance"), "{{instance}} given up"),
        (total(damages, "instance"), "{{instance}} damaged since the start"),
    ], "short", help_of(name, damages))


def capacity(board):
    board.row("Capacity", False)
    used, limit = "chat_fd_slots_used", "chat_fd_slots_limit"
    board.panel("Descriptors", [(share(total(used, "instance, core"), total(limit, "instance, core")),
                                 "{{instance}} {{core}}")], "percentunit", help_of(used, limit), max=1,
                steps=[("green", None), ("orange", 0.8), ("red", 0.9)])
    board.panel("Memory", [
        (total("process_resident_memory_bytes", "instance"), "{{instance}} resident"),
        (total("chat_memory_heap_alloc_bytes", "instance"), "{{instance}} allocated"),
        (total("chat_memory_heap_resident_bytes", "instance"), "{{instance}} held for that"),
        (total("chat_memory_limit_bytes", "instance"), "{{instance}} limit"),
    ], "bytes", help_of("process_resident_memory_bytes", "chat_memory_heap_alloc_bytes",
                        "chat_memory_heap_resident_bytes", "chat_memory_limit_bytes"))
    board.panel("Heap for each connection",
                [(share(total("chat_memory_heap_alloc_bytes", "instance"),
                        total("chat_active_connections", "instance")), "{{instance}}")],
                "bytes", help_of("chat_memory_heap_alloc_bytes"))
    name = "process_cpu_seconds_total"
    limit = "chat_cpu_limit_cores"
    board.panel("CPU", [(rate(name, "instance"), "{{instance}}"), (total(limit, "instance"), "{{instance}} limit")],
                "short", help_of(name, limit) + " In CPUs.")
    name = "process_threads"
    board.panel("Threads", [(total(name, "instance"), "{{instance}}")], "short", help_of(name))
    name = "process_start_time_seconds"
    family(name)
    board.panel("Up", [(f"time() - {name}{matchers()}", "{{instance}}")], "s",
                "How long the process has been there.", kind="stat")
    name = "chat_build_info"
    board.panel("Builds", [(f"sum by (version, commit) ({name}{matchers()})", "{{version}} {{commit}}")],
                "short", help_of(name), kind="stat")


def alert_path(board):
    board.row("Alert path", False)
    board.panel("Alerts", [(f'sum by (alertname, severity) (ALERTS{{alertstate="firing", alertname!="ChatWatchdog", job=~"$job|{WATCHERS}"}})',
                            "{{severity}} {{alertname}}")], "short", "Alerts that fire.", stacked=True)
    bridge = '{job="rookery-alert-bridge"}'
    board.panel("Messages to people",
                [(f"sum by (channel, outcome) (rate(chatalert_notifications_total{bridge}[$__rate_interval]))",
                  "{{channel}} {{outcome}}")], "cps", "Messages of the alert bridge, by what became of them.")
    board.panel("Waiting in the bridge", [(f"sum (chatalert_queue_depth{bridge})", "messages"),
                                          (f"max (chatalert_oldest_age_seconds{bridge})", "age of the oldest, seconds")],
                "short", "Messages that wait for a robot.")
    name = "chat_scrape_duration_seconds"
    board.panel("Scrapes", [(worst(name, "instance"), "{{instance}}")], "s", help_of(name))
    board.panel("Samples of a scrape", [(f"max by (instance) (scrape_samples_post_metric_relabeling{matchers()})", "{{instance}}")],
                "short", "What Prometheus takes of each scrape. Planned are 3,000; at 20,000 it refuses all.",
                steps=[("green", None), ("orange", 8000), ("red", 20000)])
    name = "http_request_duration_seconds"
    board.panel("Admin listener", [(rate(f"{name}_count", "route, status_class"), "{{route}} {{status_class}}")],
                "reqps", help_of(name))
    board.panel("Draining", [(total("chat_draining", "instance"), "{{instance}}")], "short",
                help_of("chat_draining"), kind="stat")
    name = "chat_config_last_reload_success_timestamp_seconds"
    family(name)
    board.panel("Configuration", [(f"time() - {name}{matchers()}", "{{instance}}")], "s",
                "How long ago it was read and taken.", kind="stat")
    name = "chat_config_last_reload_successful"
    board.panel("Read again", [(total(name, "instance"), "{{instance}}")], "short", help_of(name),
                kind="stat", steps=[("red", None), ("green", 1)])


def tenants(board):
    board.row("Tenants", False)
    for name in (name for name, one in FAMILIES.items() if one["tenants"]):
        kind, unit = FAMILIES[name]["type"], UNITS[FAMILIES[name]["unit"]]
        target, unit = {
            "counter": lambda: (rate(name, "tenant_id"), "cps"),
            "gauge": lambda: (total(name, "tenant_id"), unit),
            "histogram": lambda: (quantile(name, "tenant_id"), unit),
        }[kind]()
        title = name.removeprefix("chat_").removesuffix("_total").replace("_", " ")
        board.panel(f"{title}, by tenant", [(target, "{{tenant_id}}")], unit, help_of(name))
    name = "chat_tenant_overflow_total"
    board.panel("Tenants without a place", [(rate(name, "instance"), "{{instance}}")], "cps", help_of(name))


# --- the whole ------------------------------------------------------------------------


def variable(name, label, query, **more):
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "current": {"text": "All", "value": "$__all"},
        **more,
    }


def variables():
    quantiles = ["0.5", "0.95", "0.99"]
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        # All of them are those that the query gives: Prometheus has a process, too.
        variable("job", "Job", "label_values(chat_build_info, job)"),
        variable("instance", "Server", 'label_values(chat_build_info{job=~"$job"}, instance)', allValue=".+"),
        {
            "name": "quantile",
            "label": "Quantile",
            "type": "custom",
            "query": ",".join(quantiles),
            "options": [{"text": q, "value": q, "selected": q == "0.95"} for q in quantiles],
            "current": {"text": "0.95", "value": "0.95"},
        },
        {
            "name": "traces",
            "label": "Traces at",
            "type": "textbox",
            "query": "https://traces.example.org/trace",
            "current": {"text": "https://traces.example.org/trace", "value": "https://traces.example.org/trace"},
        },
    ]


def dashboard():
    board = Board()
    for row in (objectives, connections, messages, cores, store, store_log, capacity, alert_path, tenants):
        row(board)
    made = {
        "uid": "rookery",
        "title": "rookery",
        "description": "Made by alertmanager/dashboards/generate.py from the catalogue of metrics.",
        "tags": ["rookery"],
        "editable": False,
        "graphTooltip": 1,
        "schemaVersion": 38,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": variables()},
        "annotations": {"list": []},
        "links": [],
        "panels": board.done(),
    }
    text = json.dumps(made)
    shown = {name for name in FAMILIES if re.search(rf"\b{name}(_bucket|_count|_sum)?\b", text)}
    missing = set(FAMILIES) - shown - set(NOT_SHOWN)
    assert not missing, f"no panel shows {sorted(missing)}; see NOT_SHOWN"
    needless = set(NOT_SHOWN) & shown | set(NOT_SHOWN) - set(FAMILIES)
    assert not needless, f"NOT_SHOWN has {sorted(needless)}"
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def main():
    made = dashboard()
    if "--check" in sys.argv[1:]:
        if OUTPUT.read_text() != made:
            sys.exit("rookery.json is not what the catalogue says: alertmanager/dashboards/generate.py")
    else:
        OUTPUT.write_text(made)


if __name__ == "__main__":
    main()
