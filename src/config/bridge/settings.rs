//! Every setting of the alert bridge.

use crate::alert::{AlertAction, Language, Messenger, Options, Person, Robot, Route};
use crate::config::row::{SettingKind, SettingRow, SettingValue, WordEnum};

const METHODS: &[&str] = &["GET", "POST"];

const NAME: SettingKind = SettingKind::Text { bytes_max: 64 };
const PATH: SettingKind = SettingKind::Text { bytes_max: 4_096 };
const URL: SettingKind = SettingKind::Text { bytes_max: 2_048 };
const DAY_S: u64 = 86_400;

/// Baker Island and Line Islands: UTC-12 and UTC+14.
const OFFSET_MINUTES_MIN: i64 = -720;
const OFFSET_MINUTES_MAX: i64 = 840;

/// The settings outside of lists. Sections are contiguous.
pub(in crate::config) static SETTINGS: &[SettingRow<Options>] = &[
    address!(
        "bridge.listen",
        listen,
        "Where Alertmanager, Prometheus and operators reach the bridge. On an address that other machines reach it needs a token."
    ),
    text!(
        "bridge.token_file",
        token.file,
        PATH,
        "The file with the token, at least 16 bytes, that `/v1/notify` and `/v1/deadman` demand: as a bearer token (`authorization: {credentials_file: …}` in Alertmanager's `http_config`) or as the password of basic auth."
    ),
    text!("bridge.token_env", token.env, NAME, "Or the variable of the environment with it."),
    path!(
        "bridge.dir",
        dir,
        "A directory of the bridge's own, which it makes: the queue, the audit log, and what actions saved."
    ),
    text!(
        "bridge.default_route",
        default_route,
        NAME,
        "The route that takes notifications for routes that do not exist, so that a mistyped path loses nothing. Empty means the first."
    ),
    count!(
        "bridge.alerts_max",
        alerts_max,
        10..=1_000_000,
        "alerts",
        "Alerts that may wait. When it is reached, critical ones take the place of the oldest warnings, and others are refused (503), so that Alertmanager brings them again."
    ),
    count!(
        "bridge.bytes_max",
        bytes_max,
        65_536..=1u64 << 30,
        "bytes",
        "The same, in bytes of their labels and annotations."
    ),
    count!(
        "bridge.body_bytes_max",
        body_bytes_max,
        4_096..=64 << 20,
        "bytes",
        "What is kept of one notification; of a larger one the beginning is told, and the rest as a count. `max_alerts` of Alertmanager keeps them small."
    ),
    count!(
        "bridge.age_s_max",
        age_s_max,
        60..=30 * DAY_S,
        "seconds",
        "How long an alert waits for a robot until it is given up, and counted."
    ),
    count!(
        "bridge.same_within_s",
        same_within_s,
        0..=DAY_S,
        "seconds",
        "A notification that repeats what has been told within this time is a retry or another Alertmanager's, and is not told again. Must be less than Alertmanager's `repeat_interval`."
    ),
    count!(
        "bridge.outlive_s",
        outlive_s,
        0..=3_600,
        "seconds",
        "How long an alert that Alertmanager inhibited may outlive its cause before it is told: rules look back over minutes. The message that the cause is over names it. Needs `silence.alertmanager_url`. 0 tells it at once."
    ),
    SettingRow {
        key: "bridge.offset_minutes",
        kind: SettingKind::Integer { min: OFFSET_MINUTES_MIN, max: OFFSET_MINUTES_MAX },
        unit: "minutes",
        help: "How far local time is ahead of UTC, in messages and for the hours of people: 480 in Shanghai, 330 in Delhi, -300 in New York in winter. Who has hours needs it set.",
        read: |from| SettingValue::Integer(i64::from(from.offset_minutes)),
        write: |to, value| {
            to.offset_minutes = value.integer().try_into().expect("the range is that of a day");
        },
    },
    text!(
        "bridge.templates_dir",
        templates_dir,
        PATH,
        "A directory with templates, `<template>.<language>.<channel>.j2`. They replace those that are built in; `rookery alert-bridge templates` writes these as a start."
    ),
    text!(
        "bridge.proxy",
        proxy,
        URL,
        "The proxy that leads to robots, Prometheus and Alertmanager, such as `http://proxy.example:3128`. Empty means what `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy` of the environment say; `none` means no proxy, whatever they say. Instances, and what is on this host, are always reached straight."
    ),
    texts!(
        "bridge.no_proxy",
        no_proxy,
        1_024 * 255,
        "",
        "What is reached without `proxy`: domains with all beneath them, addresses, networks such as `10.0.0.0/8`, each perhaps with a port. For the environment's proxy, `no_proxy` of the environment says so."
    ),
    switch!("bridge.log_json", log_json, "Whether log lines are JSON."),
    text!(
        "tls.ca_file",
        ca_file,
        PATH,
        "Certificates (PEM) to trust besides those of the system. Nothing turns verification off."
    ),
    text!(
        "prometheus.url",
        prometheus_url,
        URL,
        "Where exemplars and current values are asked for, such as `http://127.0.0.1:9090`. Empty means nowhere."
    ),
    texts!(
        "instances.allowed",
        instances,
        1_024 * 255,
        "",
        "Admin listeners of rookery, `host:port` as the label `instance` says it, that are asked for snapshots and for actions. No other one ever gets the token."
    ),
    text!("instances.token_file", instances_token.file, PATH, "The file with their admin token."),
    text!(
        "instances.token_env",
        instances_token.env,
        NAME,
        "Or the variable of the environment with it."
    ),
    text!(
        "silence.alertmanager_url",
        alertmanager_url,
        URL,
        "Where silences are made, such as `http://127.0.0.1:9093`. Empty turns silence links off."
    ),
    text!(
        "silence.url",
        silence_url,
        URL,
        "How people reach the bridge from their chats, such as `https://alerts.example.com`: what the links in messages begin with."
    ),
    SettingRow {
        key: "silence.listen",
        kind: SettingKind::Text { bytes_max: 64 },
        unit: "",
        help: "An address of its own for the silence pages, so that only these are reachable from outside. Empty means that they are on `bridge.listen`.",
        read: |from| {
            SettingValue::Text(from.silence_listen.map(|one| one.to_string()).unwrap_or_default())
        },
        // What is no address is refused where relations are checked.
        write: |to, value| to.silence_listen = value.text().parse().ok(),
    },
    text!(
        "silence.key_file",
        silence_key.file,
        PATH,
        "The file with the key that links, and hashes of rooms, are made with: at least 16 bytes that nobody can guess."
    ),
    text!("silence.key_env", silence_key.env, NAME, "Or the variable of the environment with it."),
    count!(
        "silence.link_s",
        silence_link_s,
        60..=14_400,
        "seconds",
        "How long a link can be used. What it makes lasts four hours at most."
    ),
    count!(
        "deadman.after_s",
        deadman_s,
        0..=DAY_S,
        "seconds",
        "When `POST /v1/deadman` is not heard for this long, the bridge tells so by itself. 0 turns that off."
    ),
    text!(
        "deadman.route",
        deadman_route,
        NAME,
        "The route of that message. Empty means the default one."
    ),
    text!(
        "heartbeat.url",
        heartbeat_url,
        URL,
        "An address on another machine that is asked (GET) each time the watchdog is heard, and that tells people when it is not: a dead man's switch. Empty means none."
    ),
    text!(
        "heartbeat.url_file",
        heartbeat_secret.file,
        PATH,
        "Or the file with that address, since whoever knows it can feed it."
    ),
    text!(
        "heartbeat.url_env",
        heartbeat_secret.env,
        NAME,
        "Or the variable of the environment with it."
    ),
    text!(
        "peer.url",
        peer_url,
        URL,
        "Where another bridge listens that is told the same by the same Alertmanagers, such as `http://10.0.0.2:9494`: of the two one tells, and the other one when that is gone. Empty means that there is none."
    ),
    text!(
        "peer.token_file",
        peer_token.file,
        PATH,
        "The file with what the two know each other by: the same text of at least 16 bytes in both."
    ),
    text!("peer.token_env", peer_token.env, NAME, "Or the variable of the environment with it."),
    switch!(
        "peer.first",
        peer_first,
        "Whether this is the one that tells while both are well. Exactly one of the two must be first."
    ),
    count!(
        "peer.takeover_s",
        takeover_s,
        6..=600,
        "seconds",
        "How long the first one is not heard until the second one tells."
    ),
];

/// `[[robots]]`.
pub(in crate::config) static ROBOTS: &[SettingRow<Robot>] = &[
    text!("name", name, NAME, "What metrics and logs call it."),
    word!(
        "channel",
        channel,
        Messenger,
        "Its kind. `slack` is whatever takes Slack's incoming webhooks; `webhook` is any program."
    ),
    text!(
        "chat",
        chat,
        NAME,
        "The group chat that it speaks in. Robots of one chat share its messages, so more robots bring more messages a minute."
    ),
    text!(
        "url",
        url,
        URL,
        "Where it lives, without its token. Empty means the usual place of its kind; `webhook` has none."
    ),
    text!(
        "token_file",
        token.file,
        PATH,
        "The file with its token: WeCom's `key`, DingTalk's `access_token`, what follows `services/` in Slack's URL, a bearer token for a webhook."
    ),
    text!("token_env", token.env, NAME, "Or the variable of the environment with it."),
    text!(
        "signature_file",
        signature.file,
        PATH,
        "DingTalk: the file with the secret that its messages are signed with (`SEC…`)."
    ),
    text!("signature_env", signature.env, NAME, "Or the variable of the environment with it."),
    text!(
        "keyword",
        keyword,
        NAME,
        "DingTalk: a word that must be in each message, if the robot demands one."
    ),
    count!(
        "rate_count",
        rate_count,
        1..=10_000,
        "messages",
        "How many it may send within `rate_window_s`. The robots of WeCom and DingTalk take 20 a minute, as their own clock counts."
    ),
    count!("rate_window_s", rate_window_s, 1..=3_600, "seconds", "See `rate_count`."),
    count!(
        "pause_s",
        pause_s,
        0..=DAY_S,
        "seconds",
        "How long it rests when it says that it is asked too often. 0 means 600 for DingTalk, which blocks for ten minutes, and 60 for others."
    ),
    text!(
        "proxy",
        proxy,
        URL,
        "The proxy that leads to this robot, without exceptions. Empty means what holds for the bridge, `none` no proxy."
    ),
];

/// `[[routes]]`.
pub(in crate::config) static ROUTES: &[SettingRow<Route>] = &[
    text!(
        "name",
        name,
        NAME,
        "The last part of the path in Alertmanager's `webhook_configs`: `/v1/notify/<name>`."
    ),
    texts!("chats", chats, 8 * 64, "", "The chats that are told, each of them."),
    text!(
        "fallback",
        fallback,
        NAME,
        "The chat that is told instead when all robots of a chat rest: for more than 5 seconds if it is critical, else 60."
    ),
    word!("language", language, Language, "What its messages are written in."),
    text!(
        "template",
        template,
        NAME,
        "The family of templates: the first part of their files' names."
    ),
    switch!("mentions", mentions, "Whether people are called when something critical begins."),
    switch!(
        "hash_rooms",
        hash_rooms,
        "Whether rooms are shown as a hash, so that their names do not leave the company. Needs the key of `[silence]`."
    ),
    text!(
        "escalation",
        escalation,
        NAME,
        "The chat that is told, too, when nobody acknowledges something critical by the link in its message. Empty means none. Needs `silence.url` and its key."
    ),
    count!(
        "escalate_after_s",
        escalate_after_s,
        10..=DAY_S,
        "seconds",
        "How long somebody has to acknowledge it."
    ),
];

/// `[[people]]`.
pub(in crate::config) static PEOPLE: &[SettingRow<Person>] = &[
    text!("name", name, NAME, "Who it is, for programs."),
    text!(
        "label",
        label,
        NAME,
        "The label of alerts that decides: `owner`, `tenant_id`, `layer`, or any other."
    ),
    text!("value", value, NAME, "What it must be. `*` means anything."),
    count!(
        "from_hour",
        from_hour,
        0..=23,
        "o'clock",
        "From when on it is this person's turn, in local time."
    ),
    count!(
        "until_hour",
        until_hour,
        0..=23,
        "o'clock",
        "Until when. The same as `from_hour` means the whole day; before it, over midnight."
    ),
    text!("wecom_id", wecom_id, NAME, "The id in WeCom."),
    text!(
        "mobile",
        mobile,
        NAME,
        "The mobile number, for DingTalk, and for WeCom where there is no id: that takes a second message. Abroad as `+852-123`."
    ),
    text!("dingtalk_id", dingtalk_id, NAME, "The id in DingTalk, where there is no number."),
    text!("slack_id", slack_id, NAME, "The member id in Slack."),
];

/// `[[actions]]`.
pub(in crate::config) static ACTIONS: &[SettingRow<AlertAction>] = &[
    text!("name", name, NAME, "What messages and the audit log call it."),
    text!("alert", alert, NAME, "The `alertname` that it is for."),
    SettingRow {
        key: "method",
        kind: SettingKind::Word(METHODS),
        unit: "",
        help: "GET asks, and what comes back is saved; POST changes something.",
        read: |from| SettingValue::Text(if from.post { "POST" } else { "GET" }.to_owned()),
        write: |to, value| to.post = value.text() == "POST",
    },
    text!(
        "path",
        path,
        PATH,
        "The path on the admin listener of the alert's instance, which must be one of `instances.allowed`."
    ),
    switch!("dry_run", dry_run, "Only say what would be done."),
    count!(
        "interval_s",
        interval_s,
        1..=7 * DAY_S,
        "seconds",
        "It is done at most once in this time, whatever the instance."
    ),
];
