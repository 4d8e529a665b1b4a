//! The configuration of the server: its settings (`settings`, and `lists` for namespaces,
//! listeners and keys), what they demand of each other (`relations`), and how a `Config` comes
//! from all sources (`resolve`).
//!
//! Deliberately absent: reading files, and the process's environment and arguments.

pub mod development;
pub mod hooks;
pub mod lists;
mod namespaces;
pub mod presence_feed;
mod relations;
pub mod resolve;
pub mod settings;

use self::hooks::HookSettings;
use self::namespaces::standard_namespaces;
use self::presence_feed::PresenceFeedSettings;
use crate::admin::AdminToken;
use crate::auth::{ApiKey, ApiKeys, ApiScope, ClaimRequirements, KeySpec, Keys};
use crate::console::{Operator, Operators, PageOrigin};
use crate::outbound::{HttpUrl, UrlError};
use crate::room::Namespace;
use crate::store::{Durability, Retention};
use crate::{ring, room, server, shard, store};

/// Namespaces of one server: each name that a peer sends is looked up in the list.
pub const NAMESPACES_MAX: usize = 64;

/// If one of these exists, it is usable.
#[derive(Clone, Debug)]
pub struct Config {
    /// Addresses, threads, the process.
    pub server: server::Options,
    /// One core's ring.
    pub ring: ring::Options,
    /// One shard: frames, connections, rooms.
    pub shard: shard::Options,
    /// Where messages are kept.
    pub store: store::Options,
    /// Tokens.
    pub auth: Auth,
    /// What backends may call.
    pub api: Api,
    /// Where it is kept who is kept out.
    pub blocks: Blocks,
    /// What an application's backend is asked.
    pub hooks: HookSettings,
    /// Who is told who is there.
    pub presence_feed: PresenceFeedSettings,
    /// Who may see the diagnostics, and where they are kept.
    pub admin: Admin,
    /// Variables that look like ours and set nothing, each with the one that was probably
    /// meant.
    pub ignored_variables: Vec<(String, String)>,
}

/// What concerns `/debug` and `/console` on the admin listener.
#[derive(Clone)]
pub struct Admin {
    /// The token, ready for use.
    pub ready: Option<AdminToken>,
    /// The token itself, as it was written; empty where none was.
    pub token: String,
    /// A file with the token.
    pub token_file: String,
    /// Operators, ready for use.
    pub operators: Vec<Operator>,
    /// Operators as they were written, for printing.
    pub entries: Vec<OperatorEntry>,
    /// The folder of the console's page; empty for none.
    pub console_dir: String,
    /// Origins of that page, as they were written.
    pub console_origins: Vec<String>,
    /// Where Alertmanager is, as it was written; empty for nowhere.
    pub alertmanager_url: String,
    /// Where dumps go; empty for nowhere.
    pub evidence_dir: String,
    /// How long a connection must have too many tasks until that is written down.
    pub leak_hold_ms: u64,
}

impl Default for Admin {
    fn default() -> Admin {
        Admin {
            ready: None,
            token: String::new(),
            token_file: String::new(),
            operators: Vec::new(),
            entries: Vec::new(),
            console_dir: String::new(),
            console_origins: Vec::new(),
            alertmanager_url: String::new(),
            evidence_dir: String::new(),
            leak_hold_ms: 120_000,
        }
    }
}

/// The token is not printed.
impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("token_file", &self.token_file)
            .field("entries", &self.entries)
            .field("console_dir", &self.console_dir)
            .field("console_origins", &self.console_origins)
            .field("evidence_dir", &self.evidence_dir)
            .field("leak_hold_ms", &self.leak_hold_ms)
            .finish_non_exhaustive()
    }
}

/// The server API.
#[derive(Clone, Debug, Default)]
pub struct Api {
    /// Where it listens, as it was written; empty for nowhere.
    pub listen: String,
    /// Bytes of one body.
    pub body_bytes_max: u32,
    /// The keys, ready for use.
    pub keys: Vec<ApiKey>,
    /// The keys as they were written, for printing.
    pub entries: Vec<ApiKeyEntry>,
}

/// Users, tokens and addresses that backends keep out.
#[derive(Clone, Debug, Default)]
pub struct Blocks {
    /// A directory; empty for in memory alone.
    pub dir: String,
}

/// One `[[admin.operators]]`. An empty text is one that was not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorEntry {
    /// What the audit trail calls them.
    pub name: String,
    /// The hash of their token.
    pub sha256: String,
    /// The word of their role.
    pub role: String,
}

/// One `[[api.keys]]`. An empty text is one that was not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiKeyEntry {
    /// What logs call it.
    pub name: String,
    /// The hash of the key.
    pub sha256: String,
    /// The words of its scopes.
    pub scopes: Vec<String>,
    /// Its tenant.
    pub tenant: String,
    /// Patterns of channels.
    pub channels: Vec<String>,
}

/// How tokens are checked.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// The keys, ready for use.
    pub keys: Vec<KeySpec>,
    /// What a token must say beside being signed.
    pub requirements: ClaimRequirements,
    /// The keys as they were written, for printing.
    pub entries: Vec<KeyEntry>,
}

/// One `[[auth.keys]]`. An empty text is one that was not given.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeyEntry {
    /// The key id.
    pub kid: String,
    /// The algorithm's name.
    pub algorithm: String,
    /// The secret itself.
    pub secret: String,
    /// A file with the secret.
    pub secret_file: String,
    /// A file with the public key.
    pub pem_file: String,
}

/// The secret is not printed.
impl std::fmt::Debug for KeyEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyEntry")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .field("secret_file", &self.secret_file)
            .field("pem_file", &self.pem_file)
            .finish_non_exhaustive()
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            server: server::Options::default(),
            ring: ring::Options::default(),
            shard: shard::Options {
                handshakes_max: 16_384,
                room: room::Options {
                    namespaces: standard_namespaces(),
                    rooms_max: 1_000_000,
                    ..room::Options::default()
                },
                ..shard::Options::default()
            },
            store: store::Options::default(),
            auth: Auth::default(),
            api: Api {
                body_bytes_max: server::ApiOptions::default().body_bytes_max,
                ..Api::default()
            },
            blocks: Blocks::default(),
            hooks: HookSettings { answer_bytes_max: 64 << 10, ..HookSettings::default() },
            presence_feed: PresenceFeedSettings::default(),
            admin: Admin::default(),
            ignored_variables: Vec::new(),
        }
    }
}

/// What Alertmanager is asked, from where it is: what fires, and is neither silenced nor inhibited.
fn alerts_url(written: &str) -> Result<HttpUrl, UrlError> {
    const ALERTS: &str = "/api/v2/alerts?active=true&silenced=false&inhibited=false";
    HttpUrl::parse(&format!("{}{ALERTS}", written.trim_end_matches('/')))
}

impl Config {
    /// The keys, with the demands on tokens.
    pub fn keys(&self) -> Keys {
        let keys = Keys::build(&self.auth.keys).expect("resolve has built them before");
        keys.requiring(self.auth.requirements.clone())
    }

    /// The keys of backends.
    pub fn api_keys(&self) -> ApiKeys {
        ApiKeys::new(self.api.keys.clone())
    }

    /// Who may come into the console, whoever has the admin token among them.
    pub fn operators(&self) -> Operators {
        let admin = self.admin.ready.iter().map(AdminToken::operator);
        Operators::new(admin.chain(self.admin.operators.iter().cloned()).collect())
    }

    /// Origins of the console's page.
    pub fn console_origins(&self) -> Vec<PageOrigin> {
        let origins = self.admin.console_origins.iter();
        origins.map(|text| PageOrigin::parse(text).expect("resolve has parsed it before")).collect()
    }

    /// Where it is asked what fires.
    pub fn alertmanager(&self) -> Option<HttpUrl> {
        let written = &self.admin.alertmanager_url;
        let url = || alerts_url(written).expect("resolve has parsed it before");
        (!written.is_empty()).then(url)
    }

    /// Where backends call.
    pub fn api(&self) -> server::ApiOptions {
        let Api { listen, body_bytes_max, .. } = &self.api;
        let listen =
            (!listen.is_empty()).then(|| listen.parse().expect("resolve has parsed it before"));
        server::ApiOptions { listen, body_bytes_max: *body_bytes_max }
    }

    /// Where an application's backend is asked.
    pub fn hooks(&self) -> server::HookBackend {
        hooks::backend(&self.hooks)
    }

    /// Who is told who is there, if somebody is.
    pub fn presence(&self) -> Option<server::PresenceSetup> {
        presence_feed::setup(&self.presence_feed, &self.hooks)
    }

    /// What the store is to be like; `None` when no namespace keeps anything there.
    pub fn store(&self) -> Option<&store::Options> {
        self.shard.room.has_store().then_some(&self.store)
    }

    /// What is kept of each channel, by index of its namespace.
    pub fn retention(&self) -> Vec<Retention> {
        let retention = |namespace: &Namespace| Retention {
            durability: match namespace.is_durable() {
                true => namespace.durability,
                false => Durability::Memory,
            },
            count_max: namespace.history_count_max,
            bytes_max: namespace.history_bytes_max,
            age_ms_max: namespace.history_age_ms_max,
            // Positions are given until the last message is too old, and are good as long
            // again.
            channel_ms_max: namespace.history_age_ms_max.saturating_mul(2),
            has_rosters: namespace.is_group(),
        };
        self.shard.room.namespaces.iter().map(retention).collect()
    }

    /// What works and should not stay so, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = (self.ignored_variables.iter())
            .map(|(name, meant)| {
                format!("{name} is no setting, and does nothing; is it `{meant}`?")
            })
            .collect();
        if self.shard.session.insecure {
            warnings.push(
                "session.insecure is true: anyone may do anything without a token; for trying out \
                 only"
                    .to_owned(),
            );
        }
        let mut keys = self.api.keys.iter();
        if self.blocks.dir.is_empty() && keys.any(|key| key.scopes.contains(ApiScope::Blocks)) {
            warnings.push(
                "blocks.dir is empty: users, tokens and addresses that are blocked come in again \
                 after a restart"
                    .to_owned(),
            );
        }
        for (index, namespace) in self.shard.room.namespaces.iter().enumerate() {
            if namespace.is_durable() && namespace.durability == Durability::Interval {
                warnings.push(format!(
                    "namespaces[{index}]: durability is \"interval\" in {:?}: a power cut can take \
                     the last {} ms of messages that were answered",
                    namespace.name, self.store.interval_ms
                ));
            }
        }
        if self.store.ignore_damage && self.store().is_some() {
            warnings.push(
                "store.ignore_damage is true: a damaged store is copied without what cannot be \
                 read; set it to false when that was done once"
                    .to_owned(),
            );
        }
        for (index, key) in self.auth.keys.iter().enumerate() {
            if let Some(weakness) = key.weakness() {
                warnings.push(format!(
                    "auth.keys[{index}]: the secret has {} bytes; {} should have at least {}",
                    weakness.bytes,
                    key.algorithm.name(),
                    weakness.bytes_wanted
                ));
            }
        }
        warnings
    }

    /// Why it would be no use to serve with this: nobody could connect.
    pub fn is_useless(&self) -> Option<&'static str> {
        let nobody = self.auth.keys.is_empty()
            && !self.shard.session.anonymous
            && !self.shard.session.insecure;
        nobody.then_some(
            "auth.keys is empty and session.anonymous is false, so nobody could connect; add \
             [[auth.keys]], or try `rookery serve --dev`",
        )
    }
}
