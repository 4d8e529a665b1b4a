//! Every setting of the server outside of lists: key, kind, range, what it means, and where
//! it goes. Those of the presence feed stand beside what is made of them (`presence_feed`).
//!
//! A default is not written here: it is what the module's own `Options` say.

use super::Config;
use super::presence_feed::PRESENCE_FEED;
use crate::auth::LEEWAY_S_MAX;
use crate::base::limits;
use crate::config::row::{SettingKind, SettingRow, SettingValue, WordEnum, joined};
use crate::logs::{LogFormat, LogLevel};
use crate::server::DescriptorTable;

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

const NAME: SettingKind = SettingKind::Text { bytes_max: limits::NAME_BYTES_MAX };
const PATH: SettingKind = SettingKind::Text { bytes_max: 4_096 };

/// The settings outside of lists. Sections are contiguous.
pub static SETTINGS: &[SettingRow<Config>] =
    &joined::<_, { OWN.len() + PRESENCE_FEED.len() }>([OWN, PRESENCE_FEED]);

/// Those that stand here.
const OWN: &[SettingRow<Config>] = &[
    address!(
        "server.listen",
        server.listen,
        "Where clients connect; more than one address is `[[listeners]]`. `[::]` takes IPv4, too. The port should lie outside of `net.ipv4.ip_local_port_range`, or be reserved in `net.ipv4.ip_local_reserved_ports`."
    ),
    address!(
        "server.admin_listen",
        server.admin_listen,
        "Where `/metrics`, `/health`, `/ready`, `/debug` and `/console` are. All but the last two answer whoever asks: only operators should reach it."
    ),
    count!(
        "server.shards",
        server.shards,
        0..=limits::SHARDS_MAX,
        "shards",
        "Threads that serve connections. 0 means one a core (where a CPU quota of a control group allows less, as many as it allows, rounded up), or as many as `connections_max` needs where each has a descriptor table of its own."
    ),
    SettingRow {
        key: "server.cores",
        kind: SettingKind::Numbers { count_max: 1_024, max: 4_095 },
        unit: "CPU numbers",
        help: "CPUs to run on, shard after shard. Empty means all that the process may use.",
        read: |from| {
            SettingValue::Numbers(from.server.cores.iter().map(|&core| core as u64).collect())
        },
        write: |to, value| {
            to.server.cores = value.numbers().into_iter().map(|core| core as usize).collect();
        },
    },
    word!(
        "server.descriptor_table",
        server.descriptor_table,
        DescriptorTable,
        "Whether `RLIMIT_NOFILE` counts for the process (`shared`) or for each shard (`per-shard`). `auto` splits when `connections_max` needs it."
    ),
    count!(
        "server.connections_max",
        server.connections_max,
        1..=100_000_000,
        "connections",
        "Connections of the whole server; more are answered with 503."
    ),
    count!(
        "server.handshakes_max",
        shard.handshakes_max,
        1..=1_000_000,
        "connections",
        "Connections of one shard whose upgrade is not finished; more are answered with 503."
    ),
    count!(
        "server.backlog",
        server.backlog,
        16..=65_535,
        "connections",
        "Peers that may wait to be accepted, for each shard. `net.core.somaxconn` must allow it."
    ),
    switch!(
        "server.steer_by_cpu",
        server.steer_by_cpu,
        "Lets the CPU that took a peer's packet choose the shard. Has an effect only with one shard for each core."
    ),
    count!(
        "server.drain_ms",
        server.drain_ms,
        0..=HOUR_MS,
        "ms",
        "How long connections are closed in batches after SIGTERM, until the rest is cut off."
    ),
    switch!(
        "server.proxied",
        shard.session.proxied,
        "Whether something that closes idle connections (a proxy, a load balancer) may stand before the server. Without one, pings may be 110 s apart: the kernel finds out who is gone."
    ),
    word!("server.log_format", server.log_format, LogFormat, "What a log line looks like."),
    word!(
        "server.log_level",
        server.log_level,
        LogLevel,
        "The least important line that is written."
    ),
    power!(
        "ring.recv_buffers",
        ring.recv_buffers,
        16..=32_768,
        "buffers",
        "Receive buffers that all connections of a shard share; a power of two."
    ),
    count!(
        "ring.recv_buffer_bytes",
        ring.recv_buffer_bytes,
        512..=65_536,
        "bytes",
        "What one receive can bring at most; shards that share a core cut theirs into pieces of 2 KiB."
    ),
    power!(
        "ring.submission_entries",
        ring.submission_entries,
        64..=32_768,
        "requests",
        "Requests that fit into one system call; a power of two."
    ),
    power!(
        "ring.completion_entries",
        ring.completion_entries,
        128..=65_536,
        "completions",
        "Completions that the kernel can leave before it needs memory of its own; a power of two."
    ),
    text!(
        "ws.path",
        shard.ws.path,
        SettingKind::Text { bytes_max: 255 },
        "Path of the endpoint; others are answered with 404."
    ),
    texts!(
        "ws.origins",
        shard.ws.origins,
        64 * 255,
        "origins",
        "Pages that may connect, such as `https://example.com`; a `*` stands for one part of the host, or alone for everything. Apps that are pages send `file://`, `capacitor://localhost`, `app://.` or `chrome-extension://<id>`, which can be listed like that. `null` is what all pages without an origin send, also a sandboxed frame of any site: list it only where a token that no other site can get decides who connects. Empty allows pages of the same host. Requests without an `Origin` do not come from a browser's page and are always allowed."
    ),
    count!(
        "ws.message_bytes_max",
        shard.ws.message_bytes_max,
        1_024..=16_777_216,
        "bytes",
        "One message of a client, reassembled (close code 1009). An SDK that comes back puts the subscribes of all its channels, with their tokens, into one. Where nothing is set it is at most `session.outbox_bytes_max` and `session.bytes_burst`, but 65536 at least."
    ),
    count!(
        "session.upgrade_ms_max",
        shard.session.upgrade_ms_max,
        100..=120_000,
        "ms",
        "From the TCP connection to the end of the upgrade."
    ),
    count!(
        "session.connect_ms_max",
        shard.session.connect_ms_max,
        100..=120_000,
        "ms",
        "From the upgrade to the connect command (close code 3502)."
    ),
    count!(
        "session.ping_interval_ms",
        shard.session.ping_interval_ms,
        0..=HOUR_MS,
        "ms",
        "The server pings each client so often, with up to a tenth of jitter. At its default it grows with the connections of a core; another value is always the same, unless `ping_interval_ms_max` says otherwise. 0 means never, and clients cannot tell a silent server from a lost one."
    ),
    count!(
        "session.ping_interval_ms_max",
        shard.session.ping_interval_ms_max,
        0..=110_000,
        "ms",
        "How far the interval grows with the connections of a core; each client is told its own once, when it connects. 0 means 50 s behind proxies and 110 s without (`server.proxied`), or, where `ping_interval_ms` is not the default, not at all."
    ),
    count!(
        "session.pong_ms_max",
        shard.session.pong_ms_max,
        0..=HOUR_MS,
        "ms",
        "How long the answer to a ping may take, from when the ping left. Two in a row that are missing end the connection (close code 3012), unless it is the server that is late. 0 asks for none."
    ),
    count!(
        "session.close_ms_max",
        shard.session.close_ms_max,
        10..=60_000,
        "ms",
        "How long a close frame waits for the client's."
    ),
    count!(
        "session.expiry_grace_ms",
        shard.session.expiry_grace_ms,
        0..=HOUR_MS,
        "ms",
        "After a token's end, how long a refresh may still come."
    ),
    count!(
        "session.outbox_bytes_max",
        shard.session.outbox_bytes_max,
        4_096..=268_435_456,
        "bytes",
        "What waits for one slow reader (close code 3008)."
    ),
    count!(
        "session.control_bytes_max",
        shard.session.control_bytes_max,
        1_024..=16_777_216,
        "bytes",
        "Replies and pongs that wait beside it."
    ),
    count!(
        "session.channels_max",
        shard.session.channels_max,
        1..=limits::CHANNELS_PER_CONNECTION_MAX,
        "channels",
        "Channels that one connection may be in."
    ),
    count!(
        "session.commands_per_s",
        shard.session.commands_per_s,
        0..=1_000_000,
        "commands/s",
        "Steady commands of one connection; a ping, a pong, a tiny fragment, or a channel of a `chat.history` counts as one. 0 means no limit."
    ),
    count!(
        "session.commands_burst",
        shard.session.commands_burst,
        1..=1_000_000,
        "commands",
        "Commands at once, after silence."
    ),
    count!(
        "session.bytes_per_s",
        shard.session.bytes_per_s,
        0..=1_073_741_824,
        "bytes/s",
        "Steady bytes of one connection. 0 means no limit."
    ),
    count!(
        "session.bytes_burst",
        shard.session.bytes_burst,
        1_024..=1_073_741_824,
        "bytes",
        "Bytes at once, after silence."
    ),
    count!(
        "session.answer_bytes_per_s",
        shard.session.answer_bytes_per_s,
        0..=1_073_741_824,
        "bytes/s",
        "Steady bytes of answers to one connection; over it, what has long answers (history, recovery, presence, lists) is answered with 111. 0 means no limit."
    ),
    count!(
        "session.answer_bytes_burst",
        shard.session.answer_bytes_burst,
        65_536..=1_073_741_824,
        "bytes",
        "Bytes of answers at once, after silence."
    ),
    count!(
        "session.errors_per_s",
        shard.session.errors_per_s,
        1..=1_000_000,
        "errors/s",
        "Errors that are answered before the connection is closed (close code 3013 for quota, 3509 for mistakes)."
    ),
    switch!(
        "session.insecure",
        shard.session.insecure,
        "Anyone may do everything without a token. For trying out only; the server says so at each start."
    ),
    switch!(
        "session.anonymous",
        shard.session.anonymous,
        "Peers without a token are let in, as anonymous; what they may do is for each namespace to say."
    ),
    text!(
        "session.node",
        shard.session.node,
        NAME,
        "Tells clients which host it is. Empty tells nothing."
    ),
    texts!(
        "session.single_session_tenants",
        shard.session.single_session_tenants,
        1_000 * 255,
        "tenants",
        "Tenants whose users may have one connection: the newest; the older one is closed with 3503 and does not come back. `*` stands for all tenants, the empty name for tokens without one."
    ),
    texts!(
        "session.metrics_tenants",
        shard.session.metrics_tenants,
        50 * 64,
        "tenants",
        "Tenants that have metrics of their own (label `tenant_id`) before they come. Others have, too, as they come, up to 50 together; what is over that is counted as `_other`."
    ),
    count!(
        "room.rooms_max",
        shard.room.rooms_max,
        1..=100_000_000,
        "rooms",
        "Rooms that one shard is home of; at the limit a new one is refused (error 100)."
    ),
    count!(
        "room.user_begun_burst",
        shard.room.user_rates.room_creations.burst,
        1..=1_000_000,
        "rooms",
        "Conversations and rooms that one user begins at once with a first message, by all its connections, among those that have their home on one shard; over it they are refused (error 111). With N shards a user begins up to N times as many."
    ),
    count!(
        "room.user_begun_per_s",
        shard.room.user_rates.room_creations.per_s,
        1..=100_000,
        "rooms a second",
        "The same, a second, when those at once are used up."
    ),
    count!(
        "room.user_news_burst",
        shard.room.user_rates.join_leave.burst,
        1..=1_000_000,
        "times",
        "How often at once one user's coming and going is told by name to the other members of a room, by all its connections; over it they are told how many came and left, once a second. It counts for each room by itself, and only in rooms of more than 16 members."
    ),
    count!(
        "room.user_news_per_s",
        shard.room.user_rates.join_leave.per_s,
        1..=100_000,
        "times a second",
        "The same, a second, when those at once are used up."
    ),
    text!(
        "tracing.otlp_endpoint",
        server.otlp_endpoint,
        SettingKind::Text { bytes_max: 1_024 },
        "Where spans of messages go, in OTLP over HTTP with Protobuf: the whole address, as in `http://127.0.0.1:4318/v1/traces`. Without TLS, so the collector should be near. Empty tells none."
    ),
    count!(
        "tracing.sample_per_million",
        shard.tracing.tracer.sample_per_million,
        0..=1_000_000,
        "messages",
        "Of a million messages, so many are told as spans whatever becomes of them, chosen by their trace id. Slow, failed, given up and repeated ones are told anyway."
    ),
    count!(
        "tracing.sampled_per_s_max",
        shard.tracing.tracer.sampled_per_s_max,
        0..=1_000_000,
        "messages/s",
        "Messages that one shard tells because of their trace id, or because their `traceparent` asks for it. 0 means no limit."
    ),
    count!(
        "tracing.slow_ms",
        shard.tracing.slow_ms,
        1..=600_000,
        "ms",
        "A message that takes so long from its command to the last byte for its last reader is slow: it is told as spans and written into the log."
    ),
    path!(
        "store.dir",
        store.dir,
        "The directory of the store, for namespaces whose `durability` is not `memory`. It must exist and belong to this server alone. A relative one is relative to the directory that the server is started in."
    ),
    count!(
        "store.disk_bytes_max",
        store.disk_bytes_max,
        0..=1_024 * TIB,
        "bytes",
        "What the store may use of the disk. 0 means all but the reserve."
    ),
    count!(
        "store.log_segment_bytes",
        store.log_segment_bytes,
        0..=67_108_864,
        "bytes",
        "Size of the files that the store's log consists of: a power of two, at least 131072, and the log keeps what it was made with. At least four are there. 0 means a 64th of what is free, a 16th of `disk_bytes_max`, and at most 64 MiB."
    ),
    count!(
        "store.reserve_bytes",
        store.reserve_bytes,
        1_048_576..=TIB,
        "bytes",
        "What stays free, of the disk and of `disk_bytes_max`. Where only that is left, messages are refused (error 100) until space comes back; reading, acknowledging and deleting go on."
    ),
    count!(
        "store.interval_ms",
        store.interval_ms,
        1..=60_000,
        "ms",
        "Where `durability` is `interval`: the longest time between a message's answer and its sync, so the most that a power cut can take."
    ),
    count!(
        "store.cache_bytes",
        store.cache_bytes,
        1_048_576..=64 * GIB,
        "bytes",
        "Memory of the store: what was read, and what was written and is in no table yet."
    ),
    switch!(
        "store.ignore_damage",
        store.ignore_damage,
        "Starts although the store is damaged: what can be read is copied, and what cannot is logged; the damaged one stays beside it. `rookery store check` says before what that is."
    ),
    optional_text!(
        "auth.audience",
        auth.requirements.audience,
        "An audience (`aud`) that every token must have. Empty demands none."
    ),
    optional_text!(
        "auth.issuer",
        auth.requirements.issuer,
        "The issuer (`iss`) that every token must have. Empty demands none."
    ),
    count!(
        "auth.leeway_s",
        auth.requirements.leeway_s,
        0..=LEEWAY_S_MAX,
        "s",
        "By how much the clocks of a backend and of this host may differ."
    ),
    text!(
        "admin.token",
        admin.token,
        SettingKind::Secret { bytes_max: 1_024 },
        "What a request for `/debug` must show, as `Authorization: Bearer <token>`: at least 16 visible characters of ASCII. Better in a file, or in the environment. Without one, `/debug` answers 403. In the console it is the token of the operator `admin`, who may act."
    ),
    text!(
        "admin.token_file",
        admin.token_file,
        PATH,
        "The same in a file; a line feed at its end does not count. Relative to the configuration file. SIGHUP reads it again."
    ),
    text!(
        "admin.console_dir",
        admin.console_dir,
        PATH,
        "A build of the operators' console (`make web` makes web/console/dist), which is served at `/console`. Empty serves none."
    ),
    texts!(
        "admin.console_origins",
        admin.console_origins,
        16 * 255,
        "origins",
        "Where operators open the console by a name, such as `https://ops.example.org` behind a proxy with TLS. An address and `localhost` need not be listed; a name that is not opens nothing."
    ),
    text!(
        "admin.alertmanager_url",
        admin.alertmanager_url,
        // It may have a password.
        SettingKind::Secret { bytes_max: 1_024 },
        "Where Alertmanager is, such as `http://127.0.0.1:9093`: the console shows which alerts fire. It is asked while somebody looks, at most once in five seconds. Empty for nowhere."
    ),
    text!(
        "admin.evidence_dir",
        admin.evidence_dir,
        PATH,
        "A directory for what the server writes down when connections leak tasks; it must exist, and keeps the newest 16 files. Empty writes nothing."
    ),
    count!(
        "admin.leak_hold_ms",
        admin.leak_hold_ms,
        1_000..=HOUR_MS,
        "ms",
        "When one connection has had more than 15 tasks under way for so long, what all cores are doing is written down."
    ),
    text!(
        "api.listen",
        api.listen,
        SettingKind::Text { bytes_max: 64 },
        "Where backends call the server API (`POST /api/<method>`, with a key of `[[api.keys]]`), as an address and a port. Empty for nowhere. It speaks plain HTTP: a loopback or management address, or a proxy before it."
    ),
    count!(
        "api.body_bytes_max",
        api.body_bytes_max,
        1_024..=67_108_864,
        "bytes",
        "The body of one call; larger ones are answered with 413."
    ),
    text!(
        "blocks.dir",
        blocks.dir,
        PATH,
        "A directory of its own for the list of users, tokens and addresses that backends keep out (docs/SERVER_API.md); made where it does not exist. Empty keeps the list in memory: after a restart all of them come in again."
    ),
    text!(
        "hooks.secret",
        hooks.secret,
        SettingKind::Secret { bytes_max: 1_024 },
        "Signs what the backend of `[[hooks.endpoints]]` is asked: `X-Rookery-Signature: t=<Unix seconds>,v1=<HMAC-SHA256 of \"<t>.<body>\" in hexadecimal>`. Empty signs nothing."
    ),
    text!(
        "hooks.secret_file",
        hooks.secret_file,
        PATH,
        "The same in a file; a line feed at its end does not count. Relative to the configuration file."
    ),
    text!(
        "hooks.ca_file",
        hooks.ca_file,
        PATH,
        "Certificates that are trusted beside those of the system, as PEM, where the backend is asked by `https`."
    ),
    count!(
        "hooks.answer_bytes_max",
        hooks.answer_bytes_max,
        1_024..=4_194_304,
        "bytes",
        "An answer of the backend; a longer one is none, and not read to its end."
    ),
    texts!(
        "hooks.headers",
        hooks.headers,
        32 * 64,
        "headers",
        "Headers of a client's upgrade that its hooks get, such as `cookie`, `authorization`, `origin` and `x-forwarded-for`. A connection keeps them in memory where other hooks than `connect` are asked."
    ),
    texts!(
        "hooks.client_headers",
        hooks.client_headers,
        32 * 64,
        "headers",
        "Headers that hooks get where a client gives them in its connect command, because browsers let pages set none. They are the client's word alone; no name may be in `hooks.headers`, too."
    ),
    text!(
        "hooks.address_header",
        hooks.address_header,
        SettingKind::Text { bytes_max: 64 },
        "The header in which a backend is told the address that a client connects from, as the server sees it. Empty for none."
    ),
    count!(
        "quarantine.panics_min",
        shard.quarantine.panics_min,
        0..=1_000,
        "panics",
        "So many early panics of one client prefix lock that prefix out for a while (close code 3510). 0 never does."
    ),
    count!(
        "quarantine.early_ms_max",
        shard.quarantine.early_ms_max,
        100..=HOUR_MS,
        "ms",
        "A panic is early so long after the upgrade."
    ),
    count!(
        "quarantine.window_ms",
        shard.quarantine.window_ms,
        1_000..=HOUR_MS,
        "ms",
        "The panics must come within this time."
    ),
    count!(
        "quarantine.hold_ms",
        shard.quarantine.hold_ms,
        1_000..=DAY_MS,
        "ms",
        "How long a prefix is blocked."
    ),
    count!(
        "quarantine.share_percent_max",
        shard.quarantine.share_percent_max,
        0..=100,
        "percent",
        "A prefix to which more of the open connections belong is never blocked by itself: that would hurt more people than the panics."
    ),
];
