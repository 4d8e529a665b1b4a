//! The settings of the presence feed, and what is made of them.
//!
//! Deliberately absent: which namespaces it tells of (`lists`).

use super::Config;
use super::hooks::HookSettings;
use crate::config::draft::ConfigDraft;
use crate::config::row::{SettingKind, SettingRow, SettingValue};
use crate::outbound::HttpUrl;
use crate::presence_feed::FeedOptions;
use crate::server::{PresenceBackend, PresenceSetup};
use crate::shard::PresenceListener;

/// Subscriptions that are told of; a hundred bytes each.
const SUBSCRIPTIONS_MAX: usize = 1 << 23;

/// A file of the log grows by so many bytes, or as many as the state takes.
const SEGMENT_BYTES_MIN: u64 = 16 << 20;

const HOUR_MS: u64 = 3_600_000;

const GIB: u64 = 1 << 30;

/// Its settings.
pub(super) const PRESENCE_FEED: &[SettingRow<Config>] = &[
    text!(
        "presence_feed.url",
        presence_feed.url,
        SettingKind::Secret { bytes_max: 2_048 },
        "Where a backend is told who connects and who is gone, as `http://` or `https://`, a host, and a path (docs/PRESENCE_FEED.md); signed as hooks are, with `hooks.secret`. Empty for nowhere."
    ),
    text!(
        "presence_feed.dir",
        presence_feed.dir,
        SettingKind::Text { bytes_max: 4_096 },
        "A directory of its own for what the backend does not have yet, and for who was told to be there; made where it does not exist. Needed with `presence_feed.url`."
    ),
    count!(
        "presence_feed.grace_ms",
        presence_feed.grace_ms,
        0..=HOUR_MS,
        "ms",
        "How long a user may be without a connection, or a subscription may be gone, until that is told: as long as a page takes to be loaded again."
    ),
    count!(
        "presence_feed.restart_grace_ms",
        presence_feed.restart_grace_ms,
        1_000..=HOUR_MS,
        "ms",
        "The same for those who were there when the server ended, from when it listens again. Clients wait for up to 20 s before they come back."
    ),
    count!(
        "presence_feed.timeout_ms",
        presence_feed.timeout_ms,
        100..=60_000,
        "ms",
        "How long the backend may take for one request; then the same events are sent again."
    ),
    count!(
        "presence_feed.batch_events_max",
        presence_feed.batch_events_max,
        1..=10_000,
        "events",
        "Events of one request, which has up to 256 KiB."
    ),
    count!(
        "presence_feed.queue_bytes_max",
        presence_feed.queue_bytes_max,
        1_048_576..=16 * GIB,
        "bytes",
        "Events that the backend does not have yet, in memory and on the disk: about 150 bytes each. Beyond it the oldest are dropped, and the backend is told to read the state."
    ),
];

/// The presence feed, as it was written and as it is used.
#[derive(Clone)]
pub struct PresenceFeedSettings {
    /// Where a backend is told; empty for nowhere.
    pub url: String,
    /// Where the log is.
    pub dir: String,
    /// How long a user may be away until that is told, in ms.
    pub grace_ms: u64,
    /// The same over the end of the server, in ms.
    pub restart_grace_ms: u64,
    /// How long an answer may take, in ms.
    pub timeout_ms: u64,
    /// Events of one request.
    pub batch_events_max: u32,
    /// Bytes of events that wait.
    pub queue_bytes_max: u64,
    /// The address, ready for use.
    pub parsed_url: Option<HttpUrl>,
}

/// An address may have a password in it.
impl std::fmt::Debug for PresenceFeedSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let PresenceFeedSettings { parsed_url, dir, .. } = self;
        f.debug_struct("PresenceFeedSettings")
            .field("url", parsed_url)
            .field("dir", dir)
            .finish_non_exhaustive()
    }
}

impl Default for PresenceFeedSettings {
    fn default() -> PresenceFeedSettings {
        PresenceFeedSettings {
            url: String::new(),
            dir: String::new(),
            grace_ms: 10_000,
            restart_grace_ms: 60_000,
            timeout_ms: 5_000,
            batch_events_max: 1_000,
            queue_bytes_max: 128 << 20,
            parsed_url: None,
        }
    }
}

/// Makes of what was written who is told.
pub(super) fn resolve(draft: &mut ConfigDraft<Config>) {
    let PresenceFeedSettings { url, dir, .. } = draft.value().presence_feed.clone();
    if url.is_empty() {
        let namespaces = &draft.value().shard.room.namespaces;
        if namespaces.iter().any(|namespace| namespace.presence_feed) {
            let sentence = "a namespace has presence_feed, and nobody is told: it needs an address";
            draft.refuse_setting("presence_feed.url", sentence.to_owned());
        }
        return;
    }
    if dir.is_empty() {
        let sentence = "it needs presence_feed.dir: what was not told must survive a restart";
        draft.refuse_setting("presence_feed.url", sentence.to_owned());
    }
    match HttpUrl::parse(&url) {
        Ok(url) => {
            let config = draft.value_mut();
            config.presence_feed.parsed_url = Some(url);
            config.shard.presence = PresenceListener::Feed;
            config.shard.room.has_presence_feed = true;
        }
        Err(error) => {
            let sentence = format!("{error}, such as http://127.0.0.1:3000/rookery/presence");
            draft.refuse_setting("presence_feed.url", sentence);
        }
    }
}

/// Who is told who is there, if somebody is.
pub(super) fn setup(feed: &PresenceFeedSettings, hooks: &HookSettings) -> Option<PresenceSetup> {
    let url = feed.parsed_url.clone()?;
    let options = FeedOptions {
        grace_ms: feed.grace_ms,
        restart_grace_ms: feed.restart_grace_ms,
        queue_bytes_max: usize::try_from(feed.queue_bytes_max).unwrap_or(usize::MAX),
        batch_events_max: feed.batch_events_max as usize,
        subscriptions_max: SUBSCRIPTIONS_MAX,
        segment_bytes_min: SEGMENT_BYTES_MIN,
    };
    let (secret, ca_file) = (hooks.key.clone(), hooks.ca_file.clone());
    let backend = PresenceBackend { url, timeout_ms: feed.timeout_ms, secret, ca_file };
    Some(PresenceSetup { dir: feed.dir.clone().into(), options, backend })
}
