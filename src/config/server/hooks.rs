//! What is written about hooks, and what is made of it.
//!
//! Deliberately absent: names, ranges and texts of settings (`settings`, `lists`).

use super::Config;
use crate::config::draft::ConfigDraft;
use crate::hook::{Hook, HookOptions, OnFailure};
use crate::outbound::HttpUrl;
use crate::server::{HookBackend, HookEndpoint};

/// Hooks, as they were written and as they are used.
#[derive(Clone, Default)]
pub struct HookSettings {
    /// The secret itself; empty where none was written.
    pub secret: String,
    /// A file with the secret.
    pub secret_file: String,
    /// A file with certificates that are trusted beside those of the system.
    pub ca_file: String,
    /// Bytes of one answer.
    pub answer_bytes_max: u32,
    /// Headers of an upgrade that are handed on.
    pub headers: Vec<String>,
    /// Headers of a connect command that are handed on.
    pub client_headers: Vec<String>,
    /// The header in which a backend is told where a client connects from.
    pub address_header: String,
    /// The endpoints as they were written, for printing.
    pub entries: Vec<HookEntry>,
    /// The endpoints, ready for use.
    pub endpoints: Vec<HookEndpoint>,
    /// The secret, ready for use.
    pub key: Vec<u8>,
}

/// The secret is not printed.
impl std::fmt::Debug for HookSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let HookSettings { secret_file, ca_file, endpoints, .. } = self;
        f.debug_struct("HookSettings")
            .field("secret_file", secret_file)
            .field("ca_file", ca_file)
            .field("endpoints", endpoints)
            .finish_non_exhaustive()
    }
}

/// One `[[hooks.endpoints]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookEntry {
    /// The word of the hook.
    pub hook: String,
    /// Where it is asked.
    pub url: String,
    /// How long an answer may take, in ms.
    pub timeout_ms: u64,
    /// Questions that are asked at once.
    pub at_once_max: u32,
    /// What holds where there is no answer.
    pub on_failure: OnFailure,
}

impl Default for HookEntry {
    fn default() -> HookEntry {
        HookEntry {
            hook: String::new(),
            url: String::new(),
            timeout_ms: 1_000,
            at_once_max: 64,
            on_failure: OnFailure::Auto,
        }
    }
}

/// Headers that a connection between two programs has of its own, or that say what a body is.
const OWN_HEADERS: [&str; 15] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "accept-encoding",
    "x-rookery-signature",
    "sec-websocket-key",
];

/// Makes endpoints and what sessions know of them of what was written.
pub(super) fn resolve(draft: &mut ConfigDraft<Config>, key: Option<Vec<u8>>) {
    let entries = draft.value().hooks.entries.clone();
    let mut endpoints: Vec<HookEndpoint> = Vec::new();
    let mut options = HookOptions::default();
    for (index, entry) in entries.iter().enumerate() {
        let Some(&hook) = Hook::ALL.iter().find(|hook| hook.word() == entry.hook) else {
            continue; // noted when the entry was read
        };
        match endpoint(hook, entry, &endpoints) {
            Ok(endpoint) => {
                endpoints.push(endpoint);
                options.asked.insert(hook);
                if is_lenient(hook, entry.on_failure) {
                    options.lenient.insert(hook);
                }
            }
            Err(sentence) => draft.refuse_entry("hooks.endpoints", index, sentence),
        }
    }
    headers(draft);
    let is_later = endpoints.iter().any(|endpoint| endpoint.hook != Hook::Connect);
    options.keeps_headers = is_later;
    let config = draft.value_mut();
    if !endpoints.is_empty() {
        let names = config.hooks.headers.iter().map(|name| name.to_ascii_lowercase());
        config.shard.ws.kept_headers = names.collect();
    }
    let names = config.hooks.client_headers.iter().map(|name| name.to_ascii_lowercase());
    options.client_headers = names.collect();
    config.shard.session.hooks = options;
    config.hooks.endpoints = endpoints;
    config.hooks.key = key.unwrap_or_default();
}

fn endpoint(
    hook: Hook,
    entry: &HookEntry,
    earlier: &[HookEndpoint],
) -> Result<HookEndpoint, String> {
    if earlier.iter().any(|other| other.hook == hook) {
        return Err(format!("{:?} is there twice", entry.hook));
    }
    if entry.on_failure == OnFailure::Allow && [Hook::Connect, Hook::Rpc].contains(&hook) {
        return Err(format!(
            "on_failure of {:?} cannot be \"allow\": without an answer there is nothing to allow",
            entry.hook
        ));
    }
    let url = HttpUrl::parse(&entry.url)
        .map_err(|error| format!("url: {error}, such as http://127.0.0.1:3000/rookery/rpc"))?;
    let HookEntry { timeout_ms, at_once_max, .. } = *entry;
    Ok(HookEndpoint { hook, url, timeout_ms, at_once_max: at_once_max as usize })
}

fn is_lenient(hook: Hook, on_failure: OnFailure) -> bool {
    match on_failure {
        OnFailure::Auto => [Hook::Refresh, Hook::SubRefresh].contains(&hook),
        OnFailure::Refuse => false,
        OnFailure::Allow => true,
    }
}

/// Names of headers are right, and stand in one list alone.
fn headers(draft: &mut ConfigDraft<Config>) {
    let hooks = &draft.value().hooks;
    let is_name = |name: &str| {
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        !name.is_empty() && name.bytes().all(is_letter)
    };
    let (headers, address) = (hooks.headers.clone(), hooks.address_header.clone());
    let clients = hooks.client_headers.clone();
    let named = headers.iter().map(|name| ("hooks.headers", name));
    let named = named.chain(clients.iter().map(|name| ("hooks.client_headers", name)));
    let all = named
        .chain([("hooks.address_header", &address)].into_iter().filter(|one| !one.1.is_empty()));
    let mut seen: Vec<String> = Vec::new();
    for (key, name) in all {
        let lower = name.to_ascii_lowercase();
        if !is_name(name) {
            draft.refuse_setting(key, format!("{name:?} is no name of a header"));
        } else if OWN_HEADERS.contains(&&*lower) {
            draft.refuse_setting(key, format!("{name} is a header of the request itself"));
        } else if seen.contains(&lower) {
            draft.refuse_setting(key, format!("{name} is there twice"));
        }
        seen.push(lower);
    }
}

/// Where hooks are asked.
pub(super) fn backend(hooks: &HookSettings) -> HookBackend {
    HookBackend {
        endpoints: hooks.endpoints.clone(),
        answer_bytes_max: hooks.answer_bytes_max as usize,
        secret: hooks.key.clone(),
        ca_file: hooks.ca_file.clone(),
        address_header: hooks.address_header.clone(),
    }
}
