//! The settings of the alert bridge: robots, routes, people and secrets.
//!
//! Invariant: `Debug` never prints what a `Secret` holds.
//!
//! Deliberately absent: the file it is written in, and its checks (`config::bridge`).
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::outbound::ProxyRules;

/// The family of templates that is built in.
pub const STANDARD: &str = "standard";

/// The messengers whose robots are supported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Messenger {
    /// A group robot of WeCom (企业微信).
    #[default]
    Wecom,
    /// A custom robot of DingTalk (钉钉).
    Dingtalk,
    /// Incoming webhooks of Slack, which Mattermost and Rocket.Chat support, too.
    Slack,
    /// Any program that takes JSON.
    Webhook,
}

impl Messenger {
    /// All of them, in the order of their numbers.
    pub const ALL: [Messenger; 4] =
        [Messenger::Wecom, Messenger::Dingtalk, Messenger::Slack, Messenger::Webhook];

    /// The word in configurations, metrics and names of templates.
    pub fn word(self) -> &'static str {
        match self {
            Messenger::Wecom => "wecom",
            Messenger::Dingtalk => "dingtalk",
            Messenger::Slack => "slack",
            Messenger::Webhook => "webhook",
        }
    }

    /// The default URL of its robots; empty where there is none.
    pub fn usual_url(self) -> &'static str {
        match self {
            Messenger::Wecom => "https://qyapi.weixin.qq.com/cgi-bin/webhook/send",
            Messenger::Dingtalk => "https://oapi.dingtalk.com/robot/send",
            Messenger::Slack => "https://hooks.slack.com/services/",
            Messenger::Webhook => "",
        }
    }

    /// The default pause of a robot whose rate limit was exceeded.
    pub fn usual_pause_s(self) -> u64 {
        match self {
            Messenger::Wecom | Messenger::Slack | Messenger::Webhook => 60,
            Messenger::Dingtalk => 600,
        }
    }
}

/// The language of a route's messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Chinese.
    Zh,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 2] = [Language::En, Language::Zh];

    /// The word in configurations and names of templates.
    pub fn word(self) -> &'static str {
        match self {
            Language::En => "en",
            Language::Zh => "zh",
        }
    }
}

/// A secret with its source. It is never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// The file that contains it.
    pub file: String,
    /// The environment variable that contains it.
    pub env: String,
    /// The secret itself, once it was read.
    pub value: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("file", &self.file).field("env", &self.env).finish()
    }
}

/// One robot in one group chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Robot {
    /// Its name in metrics and logs.
    pub name: String,
    /// Its messenger.
    pub channel: Messenger,
    /// Its group chat; robots of one chat share the load.
    pub chat: String,
    /// Its URL without the token; empty for the default of its messenger.
    pub url: String,
    /// Its token.
    pub token: Secret,
    /// DingTalk: the secret for signatures, if there is one.
    pub signature: Secret,
    /// DingTalk: a word that must be in each message, if there is one.
    pub keyword: String,
    /// Messages that it may send within `rate_window_s`.
    pub rate_count: u32,
    /// See `rate_count`.
    pub rate_window_s: u64,
    /// Its pause when its rate limit was exceeded; 0 for the default of its messenger.
    pub pause_s: u64,
    /// Its proxy; empty for the one of all, `none` for none.
    pub proxy: String,
}

impl Default for Robot {
    fn default() -> Robot {
        Robot {
            name: String::new(),
            channel: Messenger::Wecom,
            chat: String::new(),
            url: String::new(),
            token: Secret::default(),
            signature: Secret::default(),
            keyword: String::new(),
            // Their limit is 20 a minute, by another clock than ours.
            rate_count: 18,
            rate_window_s: 60,
            pause_s: 0,
            proxy: String::new(),
        }
    }
}

impl Robot {
    /// Its URL, without the token.
    pub fn address(&self) -> &str {
        if self.url.is_empty() { self.channel.usual_url() } else { &self.url }
    }

    /// Its pause when its rate limit was exceeded, in ms.
    pub fn pause_ms(&self) -> u64 {
        let pause_s = if self.pause_s == 0 { self.channel.usual_pause_s() } else { self.pause_s };
        pause_s * 1_000
    }
}

/// A route: what happens to the notifications of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The last part of the path.
    pub name: String,
    /// Its chats.
    pub chats: Vec<String>,
    /// The chat that is used when all robots of a chat are paused; may be empty.
    pub fallback: String,
    /// The language of its messages.
    pub language: Language,
    /// The family of templates.
    pub template: String,
    /// Whether people are mentioned.
    pub mentions: bool,
    /// Whether only hashes of rooms are shown.
    pub hash_rooms: bool,
    /// The chat for unacknowledged critical alerts; may be empty.
    pub escalation: String,
    /// The time to acknowledge a critical alert.
    pub escalate_after_s: u64,
}

impl Default for Route {
    fn default() -> Route {
        Route {
            name: String::new(),
            chats: Vec::new(),
            fallback: String::new(),
            language: Language::En,
            template: STANDARD.to_owned(),
            mentions: true,
            hash_rooms: false,
            escalation: String::new(),
            escalate_after_s: 600,
        }
    }
}

/// A person who is mentioned for alerts with a certain label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Their name in silences and on pages.
    pub name: String,
    /// The name of the label.
    pub label: String,
    /// Its value; `*` for any.
    pub value: String,
    /// From this hour of the day on, in the time of `offset_minutes`.
    pub from_hour: u32,
    /// Until this hour; the same as `from_hour` for the whole day.
    pub until_hour: u32,
    /// Their id in WeCom.
    pub wecom_id: String,
    /// Their mobile number, for WeCom and DingTalk.
    pub mobile: String,
    /// Their id in DingTalk.
    pub dingtalk_id: String,
    /// Their member id in Slack.
    pub slack_id: String,
}

/// An action that is run for an alert automatically.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertAction {
    /// Its name in messages and in the audit log.
    pub name: String,
    /// The name of its alert.
    pub alert: String,
    /// Whether its method is POST, and not GET.
    pub post: bool,
    /// The path on the admin listener of the alert's instance.
    pub path: String,
    /// Whether it is only reported, and not run.
    pub dry_run: bool,
    /// The shortest time between two runs, over all instances.
    pub interval_s: u64,
}

impl Default for AlertAction {
    fn default() -> AlertAction {
        AlertAction {
            name: String::new(),
            alert: String::new(),
            post: false,
            path: String::new(),
            dry_run: true,
            interval_s: 600,
        }
    }
}

/// The settings of the bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The address for Alertmanager, Prometheus and operators.
    pub listen: SocketAddr,
    /// The token of notifications; without one everybody may send them, on a loopback address.
    pub token: Secret,
    /// The directory of the journal, the audit log and saved results of actions.
    pub dir: PathBuf,
    /// The route of notifications whose route does not exist.
    pub default_route: String,
    /// Most pending alerts.
    pub alerts_max: usize,
    /// Most bytes of pending alerts.
    pub bytes_max: usize,
    /// Most bytes of one notification.
    pub body_bytes_max: usize,
    /// Alerts that have waited longer are dropped.
    pub age_s_max: u64,
    /// An unchanged notification within this time is a retry, and no reminder.
    pub same_within_s: u64,
    /// How long an inhibited alert is held after the end of its cause.
    pub outlive_s: u64,
    /// Minutes that local time is ahead of UTC; below zero where it is behind.
    pub offset_minutes: i32,
    /// A directory with templates that replace those that are built in; may be empty.
    pub templates_dir: String,
    /// Certificates to trust besides those of the system; may be empty.
    pub ca_file: String,
    /// The proxy for requests to the outside; empty for that of the environment, `none` for none.
    pub proxy: String,
    /// Hosts that are reached without `proxy`.
    pub no_proxy: Vec<String>,
    /// The rules that follow from both, or from the environment, once they were read.
    pub proxies: ProxyRules,
    /// Logs as JSON.
    pub log_json: bool,
    /// The URL of Prometheus; empty for no snapshots from it.
    pub prometheus_url: String,
    /// `host:port` of admin listeners that may be asked for snapshots and actions.
    pub instances: Vec<String>,
    /// The admin token of these.
    pub instances_token: Secret,
    /// The URL of Alertmanager; empty for no silences.
    pub alertmanager_url: String,
    /// The URL of the bridge in links of messages.
    pub silence_url: String,
    /// An address of its own for the pages that people reach; `None` for `listen` only.
    pub silence_listen: Option<SocketAddr>,
    /// The key for signatures of links.
    pub silence_key: Secret,
    /// The lifetime of a link.
    pub silence_link_s: u64,
    /// The time without a watchdog alert after which it counts as silent; 0 for never.
    pub deadman_s: u64,
    /// The route of the alert for that; empty for the default.
    pub deadman_route: String,
    /// The URL of a heartbeat monitor that is called with each watchdog alert; empty for none.
    pub heartbeat_url: String,
    /// The same as a secret.
    pub heartbeat_secret: Secret,
    /// The URL of the other bridge; empty when there is none.
    pub peer_url: String,
    /// The token of both bridges.
    pub peer_token: Secret,
    /// Whether this is the one that sends while both are up.
    pub peer_first: bool,
    /// How long one bridge is down before the other one sends.
    pub takeover_s: u64,
    /// The robots.
    pub robots: Vec<Robot>,
    /// The routes.
    pub routes: Vec<Route>,
    /// The people.
    pub people: Vec<Person>,
    /// The actions.
    pub actions: Vec<AlertAction>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9494)),
            token: Secret::default(),
            dir: PathBuf::from("/var/lib/rookery-alert-bridge"),
            default_route: String::new(),
            alerts_max: 10_000,
            bytes_max: 64 << 20,
            body_bytes_max: 16 << 20,
            age_s_max: 86_400,
            same_within_s: 600,
            outlive_s: 360,
            offset_minutes: 480,
            templates_dir: String::new(),
            ca_file: String::new(),
            proxy: String::new(),
            no_proxy: Vec::new(),
            proxies: ProxyRules::default(),
            log_json: false,
            prometheus_url: String::new(),
            instances: Vec::new(),
            instances_token: Secret::default(),
            alertmanager_url: String::new(),
            silence_url: String::new(),
            silence_listen: None,
            silence_key: Secret::default(),
            silence_link_s: 14_400,
            deadman_s: 180,
            deadman_route: String::new(),
            heartbeat_url: String::new(),
            heartbeat_secret: Secret::default(),
            peer_url: String::new(),
            peer_token: Secret::default(),
            peer_first: false,
            takeover_s: 15,
            robots: Vec::new(),
            routes: Vec::new(),
            people: Vec::new(),
            actions: Vec::new(),
        }
    }
}

impl Options {
    /// The route with this name; the default one, and `false`, when there is none.
    pub fn route(&self, name: &str) -> Option<(&Route, bool)> {
        let by_name = |name: &str| self.routes.iter().find(|route| route.name == name);
        by_name(name)
            .map(|route| (route, true))
            .or_else(|| Some((by_name(&self.default_route).or(self.routes.first())?, false)))
    }

    /// The URL of the heartbeat monitor; empty for none. It is never shown.
    pub fn heartbeat(&self) -> &str {
        if self.heartbeat_url.is_empty() {
            &self.heartbeat_secret.value
        } else {
            &self.heartbeat_url
        }
    }

    /// The messenger of a chat.
    pub fn channel(&self, chat: &str) -> Option<Messenger> {
        self.robots.iter().find(|robot| robot.chat == chat).map(|robot| robot.channel)
    }
}
