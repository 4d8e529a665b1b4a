//! What an operator may set for the alert bridge: robots, routes, people and secrets.
//!
//! Invariant: `Debug` never prints what a `Secret` holds.
//!
//! Deliberately absent: the file it is written in, and its checks (`config::bridge`).

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::outbound::ProxyRules;

/// The family of templates that is built in.
pub const STANDARD: &str = "standard";

/// The kinds of robots, and how each wants to be spoken to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Messenger {
    /// A group robot of WeCom (企业微信).
    #[default]
    Wecom,
    /// A custom robot of DingTalk (钉钉).
    Dingtalk,
    /// Whatever takes Slack's incoming webhooks: Slack, Mattermost, Rocket.Chat.
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

    /// Where its robots live when nobody says otherwise; empty where there is no
    /// such place.
    pub fn usual_url(self) -> &'static str {
        match self {
            Messenger::Wecom => "https://qyapi.weixin.qq.com/cgi-bin/webhook/send",
            Messenger::Dingtalk => "https://oapi.dingtalk.com/robot/send",
            Messenger::Slack => "https://hooks.slack.com/services/",
            Messenger::Webhook => "",
        }
    }

    /// How long a robot rests after it said that it was asked too often.
    pub fn usual_pause_s(self) -> u64 {
        match self {
            Messenger::Wecom | Messenger::Slack | Messenger::Webhook => 60,
            Messenger::Dingtalk => 600,
        }
    }
}

/// What a route's messages are written in.
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

/// A secret, and where it comes from. Never printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    /// The file that it stands in.
    pub file: String,
    /// The variable of the environment that it stands in.
    pub env: String,
    /// The secret itself; filled in when both are read.
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
    /// What metrics and logs call it.
    pub name: String,
    /// Its kind.
    pub channel: Messenger,
    /// The group chat that it speaks in; robots of one chat share its work.
    pub chat: String,
    /// Where it lives, without its token; empty for its kind's usual place.
    pub url: String,
    /// What makes it ours.
    pub token: Secret,
    /// DingTalk: what its messages are signed with, if they are.
    pub signature: Secret,
    /// DingTalk: a word that must be in each message, if there is one.
    pub keyword: String,
    /// Messages that it may send within `rate_window_s`.
    pub rate_count: u32,
    /// See `rate_count`.
    pub rate_window_s: u64,
    /// How long it rests when it was asked too often; 0 for its kind's usual time.
    pub pause_s: u64,
    /// The proxy that leads to it; empty for the usual way, `none` for none.
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
            // Theirs is 20 a minute, by a clock that is not ours.
            rate_count: 18,
            rate_window_s: 60,
            pause_s: 0,
            proxy: String::new(),
        }
    }
}

impl Robot {
    /// Where it lives.
    pub fn address(&self) -> &str {
        if self.url.is_empty() { self.channel.usual_url() } else { &self.url }
    }

    /// How long it rests.
    pub fn pause_ms(&self) -> u64 {
        let pause_s = if self.pause_s == 0 { self.channel.usual_pause_s() } else { self.pause_s };
        pause_s * 1_000
    }
}

/// What happens to what Alertmanager sends to one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The last part of the path.
    pub name: String,
    /// The chats that are told.
    pub chats: Vec<String>,
    /// The chat that is told when none of a chat's robots can speak; may be empty.
    pub fallback: String,
    /// What it is written in.
    pub language: Language,
    /// The family of templates.
    pub template: String,
    /// Whether people are called.
    pub mentions: bool,
    /// Whether rooms are shown by a hash only.
    pub hash_rooms: bool,
    /// The chat that is told what nobody acknowledges; may be empty.
    pub escalation: String,
    /// How long somebody has to acknowledge what is critical.
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

/// Whom to call for alerts with a certain label.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// What silences and pages call them.
    pub name: String,
    /// The label that decides.
    pub label: String,
    /// What it must be; `*` for anything.
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

/// What is done about an alert, without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertAction {
    /// What messages and the audit log call it.
    pub name: String,
    /// The alert that it is for.
    pub alert: String,
    /// Whether it asks (GET) or changes something (POST).
    pub post: bool,
    /// The path on the admin listener of the alert's instance.
    pub path: String,
    /// Only say what would be done.
    pub dry_run: bool,
    /// At most once in this time, over all instances.
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

/// What an operator may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where Alertmanager, Prometheus and operators reach the bridge.
    pub listen: SocketAddr,
    /// What those must know who notify; without one everybody may, on a loopback address.
    pub token: Secret,
    /// Where the queue, the audit log and what actions saved lie.
    pub dir: PathBuf,
    /// What takes notifications for routes that do not exist.
    pub default_route: String,
    /// Alerts that may wait.
    pub alerts_max: usize,
    /// Bytes of alerts that may wait.
    pub bytes_max: usize,
    /// Bytes of one notification.
    pub body_bytes_max: usize,
    /// Alerts that wait longer are given up.
    pub age_s_max: u64,
    /// What comes again within this time, unchanged, is a retry, not a reminder.
    pub same_within_s: u64,
    /// How long an alert that was inhibited may outlive its cause before it is told.
    pub outlive_s: u64,
    /// Minutes that local time is ahead of UTC; below zero where it is behind.
    pub offset_minutes: i32,
    /// A directory with templates that replace those that are built in; may be empty.
    pub templates_dir: String,
    /// Certificates to trust besides those of the system; may be empty.
    pub ca_file: String,
    /// The proxy that leads outside; empty for the environment's, `none` for none.
    pub proxy: String,
    /// What is reached without `proxy`.
    pub no_proxy: Vec<String>,
    /// What both, or the environment, come to; filled in when they are read.
    pub proxies: ProxyRules,
    /// Logs as JSON.
    pub log_json: bool,
    /// Where Prometheus answers; empty for no snapshots from it.
    pub prometheus_url: String,
    /// `host:port` of admin listeners that may be asked for snapshots and actions.
    pub instances: Vec<String>,
    /// The admin token of these.
    pub instances_token: Secret,
    /// Where Alertmanager answers; empty for no silences.
    pub alertmanager_url: String,
    /// How people reach the bridge, for the links in messages.
    pub silence_url: String,
    /// An address of its own for the pages that people reach; `None` for `listen` only.
    pub silence_listen: Option<SocketAddr>,
    /// What links are signed with.
    pub silence_key: Secret,
    /// How long a link may be used.
    pub silence_link_s: u64,
    /// Silence of the watchdog that is an alarm; 0 for never.
    pub deadman_s: u64,
    /// The route of that alarm; empty for the default.
    pub deadman_route: String,
    /// Who is asked, outside, each time the watchdog is heard; empty for nobody.
    pub heartbeat_url: String,
    /// Or the file or variable that the address, which may be a secret, stands in.
    pub heartbeat_secret: Secret,
    /// Where the other bridge listens; empty when there is none.
    pub peer_url: String,
    /// What the two know each other by.
    pub peer_token: Secret,
    /// Whether this is the one that tells while both are well.
    pub peer_first: bool,
    /// How long the first one is not heard until the second one tells.
    pub takeover_s: u64,
    /// Who speaks where.
    pub robots: Vec<Robot>,
    /// What goes where.
    pub routes: Vec<Route>,
    /// Who is called.
    pub people: Vec<Person>,
    /// What is done.
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

    /// Who misses us outside; empty for nobody. Never shown.
    pub fn heartbeat(&self) -> &str {
        if self.heartbeat_url.is_empty() {
            &self.heartbeat_secret.value
        } else {
            &self.heartbeat_url
        }
    }

    /// The kind of a chat's robots.
    pub fn channel(&self, chat: &str) -> Option<Messenger> {
        self.robots.iter().find(|robot| robot.chat == chat).map(|robot| robot.channel)
    }
}
