//! The settings of each entry of a list: namespaces, listeners and keys.
//!
//! A default is not written here: it is what the module's own `Options` say.

use super::hooks::HookEntry;
use super::{ApiKeyEntry, KeyEntry, OperatorEntry};
use crate::auth::Algorithm;
use crate::base::limits::NAME_BYTES_MAX;
use crate::config::row::{SettingKind, SettingRow, SettingValue, WordEnum};
use crate::hook::{Hook, OnFailure};
use crate::room::{GroupEntry, JoinLeaveScope, Namespace, Permission, PersonalChannel};
use crate::server::ListenerOptions;
use crate::store::Durability;

const ALGORITHMS: &[&str] = &["HS256", "HS384", "HS512", "RS256", "ES256", "EdDSA"];

const DAY_MS: u64 = 86_400_000;
const HOUR_MS: u64 = 3_600_000;

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

const PATH: SettingKind = SettingKind::Text { bytes_max: 4_096 };

/// The settings of one `[[namespaces]]`.
pub static NAMESPACES: &[SettingRow<Namespace>] = &[
    text!(
        "name",
        name,
        SettingKind::Text { bytes_max: 64 },
        "What stands before the colon of a channel: letters, digits, `-`, `_`, `.`. Empty for channels without a colon, `@` for personal inboxes (leave it out, and nobody has one), `dm` for conversations of two (`dm#a,b`; needs `@`)."
    ),
    word!("subscribe", subscribe, Permission, "Who may be in a channel."),
    switch!(
        "user_lists",
        user_lists,
        "Whether `#` in a channel's name begins a list of users, `room:1#ann,bob`, who alone may be in it and need no token for that, unless `subscribe` is `nobody`."
    ),
    word!(
        "personal_channel",
        personal_channel,
        PersonalChannel,
        "With `#`, the server subscribes each connection of a user to the channel that lists that user alone, `#ann`, behind the namespace's name and a colon where it has a name. For clients that come from Centrifugo with such channels; the inbox `@` is what direct messages need. It switches `user_lists` on."
    ),
    word!(
        "groups",
        groups,
        GroupEntry,
        "Whether channels are groups, whose members last longer than their connections, and alone may be in (`chat.join`). Whoever may subscribe by `subscribe` or a token may begin a group, and join one that is there (`open`), or needs to be invited (`invited`). Needs messages on disk, and `@` for the list of a user's groups."
    ),
    word!("publish", publish, Permission, "Who may publish."),
    word!("see_presence", see_presence, Permission, "Who may ask who is there."),
    word!("see_history", see_history, Permission, "Who may read what was said."),
    switch!("presence", presence, "Whether a room knows who is there."),
    switch!(
        "join_leave",
        join_leave,
        "Whether coming and going is told to those who ask for it at subscribe."
    ),
    word!(
        "join_leave_of",
        join_leave_of,
        JoinLeaveScope,
        "Whether each connection's coming and going is told (`clients`), or each user's (`users`): when the first of its connections comes, and when the last is gone for longer than `leave_grace_ms`."
    ),
    count!(
        "join_leave_members_max",
        join_leave_members_max,
        0..=1_000_000,
        "members",
        "In a room with more members coming and going is merged: once a second they are told how many came, left, and are there."
    ),
    switch!("push_join_leave", push_join_leave, "Tells it to every subscriber, asked or not."),
    count!(
        "leave_grace_ms",
        leave_grace_ms,
        0..=600_000,
        "ms",
        "How long a client may be away before its leaving is told."
    ),
    count!(
        "history_count_max",
        history_count_max,
        0..=1_000_000_000,
        "messages",
        "Messages that one room keeps; 0 keeps none, and nobody can recover. At most 1000000 in memory."
    ),
    count!(
        "history_age_ms_max",
        history_age_ms_max,
        1_000..=3_650 * DAY_MS,
        "ms",
        "How long a message is kept. A room in memory stays there as long after its last member has left."
    ),
    count!(
        "history_bytes_max",
        history_bytes_max,
        1_024..=TIB,
        "bytes",
        "Messages that one room keeps, by size. At most 1073741824 in memory."
    ),
    word!(
        "durability",
        durability,
        Durability,
        "When a message is answered and delivered, where messages are kept: when it is on the disk (`fsync`), when the operating system has it (`interval`; a power cut can take the last `store.interval_ms`), or at once (`memory`; it is gone with the process, and needs no `[store]`)."
    ),
    count!(
        "window_count_max",
        window_count_max,
        1..=1_000_000,
        "messages",
        "Of what one room keeps on disk, so many messages stay in memory, too, while the room is in use."
    ),
    count!("window_bytes_max", window_bytes_max, 1_024..=GIB, "bytes", "The same, by size."),
    count!(
        "recover_count_max",
        recover_count_max,
        1..=1_000_000_000,
        "messages",
        "What one subscription recovers from disk; who missed more is told that it is not whole, and reads the history."
    ),
    count!(
        "ack_wait_ms",
        ack_wait_ms,
        1_000..=HOUR_MS,
        "ms",
        "For `@`: a direct message that is not acknowledged is sent again after this time, if its reader is there."
    ),
    count!(
        "tries_max",
        tries_max,
        1..=10_000,
        "times",
        "For `@`: a direct message that was sent so often without being acknowledged becomes a dead letter."
    ),
    count!(
        "ttl_ms_max",
        ttl_ms_max,
        1_000..=365 * DAY_MS,
        "ms",
        "For `dm`: how long a direct message waits for its reader until it becomes a dead letter; its sender can ask for less."
    ),
    switch!(
        "deltas",
        deltas,
        "Whether a subscription may have publications as differences to the one before (`fossil`), where that is shorter."
    ),
    switch!(
        "tag_filters",
        tag_filters,
        "Whether a subscription may ask for publications with some tags only. Each such subscriber is served apart from the others."
    ),
    switch!(
        "channel_compaction",
        channel_compaction,
        "Whether pushes call the channel by a number of at most seven digits where the client asks for it, as SDKs of 2026 do: worth it where names are long and messages short."
    ),
    switch!(
        "force_recovery",
        force_recovery,
        "Every subscription recovers what it missed, asked or not."
    ),
    switch!(
        "force_positioning",
        force_positioning,
        "Every subscription is watched for gaps, asked or not."
    ),
    count!("data_bytes_max", data_bytes_max, 1..=16_777_216, "bytes", "One message's data."),
    count!("members_max", members_max, 1..=100_000_000, "subscribers", "Subscribers of one room."),
    count!(
        "publish_per_s_max",
        publish_per_s_max,
        0..=10_000_000,
        "messages/s",
        "Messages that one room takes. 0 means no limit."
    ),
    switch!(
        "subscribe_hook",
        subscribe_hook,
        "Whether the hook `subscribe` is asked about clients that subscribe without a token (docs/HOOKS.md). What it lets in is let in as by a token."
    ),
    switch!(
        "publish_hook",
        publish_hook,
        "Whether the hook `publish` is asked about messages of clients, edits too. What it lets pass may be published as by a token."
    ),
    switch!(
        "sub_refresh_hook",
        sub_refresh_hook,
        "Whether the hook `sub_refresh` is asked about subscriptions whose time is over, in the place of a fresh token."
    ),
    switch!(
        "presence_feed",
        presence_feed,
        "Whether the backend of `[presence_feed]` is told who comes into channels and leaves them, and when the first is there and the last is gone."
    ),
];

/// The settings of one `[[listeners]]`.
pub static LISTENERS: &[SettingRow<ListenerOptions>] = &[address!(
    "address",
    address,
    "Where clients connect. `[::]` takes both families; with port 0 the kernel chooses one, which the log names."
)];

/// The settings of one `[[auth.keys]]`.
pub static KEYS: &[SettingRow<KeyEntry>] = &[
    text!(
        "kid",
        kid,
        SettingKind::Text { bytes_max: 128 },
        "The key id. A token that names one is checked against that key alone; one that names none, against every key of its algorithm."
    ),
    text!("algorithm", algorithm, SettingKind::Word(ALGORITHMS), "What the key is for."),
    text!(
        "secret",
        secret,
        SettingKind::Secret { bytes_max: 1_024 },
        "For HS256, HS384 and HS512: the secret itself, at least 16 bytes (with `session.insecure` any). Better in a file that only the server can read."
    ),
    text!(
        "secret_file",
        secret_file,
        PATH,
        "The same in a file; a line feed at its end does not count. Relative to the configuration file."
    ),
    text!(
        "pem_file",
        pem_file,
        PATH,
        "For RS256, ES256 and EdDSA: the public key as PEM. Relative to the configuration file."
    ),
];

/// The settings of one `[[admin.operators]]`.
pub static OPERATORS: &[SettingRow<OperatorEntry>] = &[
    text!(
        "name",
        name,
        SettingKind::Text { bytes_max: 64 },
        "What the audit trail calls the operator: letters, digits, `-`, `_`, `.`; each once, and not `admin`, which is whoever has the admin token."
    ),
    text!(
        "sha256",
        sha256,
        SettingKind::Text { bytes_max: 64 },
        "The SHA-256 of the operator's token, as 64 hexadecimal letters. `rookery operator-token` makes a token and prints this."
    ),
    text!(
        "role",
        role,
        SettingKind::Text { bytes_max: 16 },
        "`see` to look, `act` to change something, too."
    ),
];

/// The settings of one `[[api.keys]]`.
pub static API_KEYS: &[SettingRow<ApiKeyEntry>] = &[
    text!(
        "name",
        name,
        SettingKind::Text { bytes_max: 64 },
        "What logs call the key: letters, digits, `-`, `_`, `.`; each once."
    ),
    text!(
        "sha256",
        sha256,
        SettingKind::Text { bytes_max: 64 },
        "The SHA-256 of the key, as 64 hexadecimal letters. `rookery api-key` makes a key and prints this."
    ),
    texts!(
        "scopes",
        scopes,
        12 * 16,
        "scopes",
        "What it may call: `publish` (publish, broadcast), `presence` (presence, presence_stats), `history`, `history_remove`, `info`, `channels`, `connections` (connections, disconnect, subscribe, unsubscribe, refresh), `blocks` (who is kept out), `chat` (`chat.*` as any user), `dead_letters` (those of conversations), `quarantine` (kinds of clients that are kept out for a while), `drain` (to let all clients go, and to see how far that is)."
    ),
    text!(
        "tenant",
        tenant,
        SettingKind::Text { bytes_max: NAME_BYTES_MAX },
        "The tenant whose channels and users it means. Empty where there is only one."
    ),
    texts!(
        "channels",
        channels,
        64 * 255,
        "patterns",
        "The channels that it may name; a star stands for any text, also for none. `*` means all."
    ),
];

/// The settings of one `[[hooks.endpoints]]`.
pub static HOOK_ENDPOINTS: &[SettingRow<HookEntry>] = &[
    text!("hook", hook, SettingKind::Word(Hook::WORDS), "What the backend is asked there."),
    text!(
        "url",
        url,
        SettingKind::Secret { bytes_max: 2_048 },
        "Where: `http://` or `https://`, a host, and a path; a user and a password before the host are sent as `Authorization`."
    ),
    count!(
        "timeout_ms",
        timeout_ms,
        10..=60_000,
        "ms",
        "How long the answer may take, from when the client asked."
    ),
    count!(
        "at_once_max",
        at_once_max,
        1..=4_096,
        "requests",
        "Requests that the whole server has under way there; more wait for their turn, at most `timeout_ms`."
    ),
    word!(
        "on_failure",
        on_failure,
        OnFailure,
        "What holds where there is no answer, or one that means nothing: `refuse` it (error 100, which clients try again), or `allow` it as if there were no hook. `auto` is `allow` for `refresh` and `sub_refresh`, which ask again after a minute, and `refuse` for all others. `connect` and `rpc` cannot be allowed."
    ),
];

const _: () = assert!(ALGORITHMS.len() == Algorithm::ALL.len());
