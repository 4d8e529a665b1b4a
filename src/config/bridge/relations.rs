//! What the bridge's settings demand of each other.
//!
//! Deliberately absent: reading (`resolve`).

use crate::alert::{Messenger, Options, Person, Robot, Secret};
use crate::config::draft::ConfigDraft;
use crate::config::mistake::{ConfigErrorKind, SourceLocation};
use crate::outbound::{DIRECT, HttpUrl, Proxy};

/// Bytes of a key for links, at least.
const KEY_BYTES_MIN: usize = 16;

/// Bytes of the listener's token, at least.
const TOKEN_BYTES_MIN: usize = 16;

/// Notes every setting that does not fit the others.
pub(super) fn check(draft: &mut ConfigDraft<Options>) {
    let options = draft.value().clone();
    check_robots(draft, &options);
    check_routes(draft, &options);
    check_people_and_actions(draft, &options);
    check_urls(draft, &options);
    check_listener(draft, &options);
    check_links(draft, &options);
    check_names(draft, &options);
    check_instances(draft, &options);
}

fn check_urls(draft: &mut ConfigDraft<Options>, options: &Options) {
    for (key, url) in [
        ("prometheus.url", &options.prometheus_url),
        ("silence.alertmanager_url", &options.alertmanager_url),
        ("silence.url", &options.silence_url),
        ("peer.url", &options.peer_url),
    ] {
        if let Some(sentence) = url_mistake(url) {
            draft.refuse_setting(key, sentence);
        }
    }
    let secret = &options.heartbeat_secret;
    if is_named(secret) && !options.heartbeat_url.is_empty() {
        let sentence = "it is given twice; one is enough".to_owned();
        draft.refuse_setting("heartbeat.url", sentence);
    }
    for (key, url) in
        [("heartbeat.url", &options.heartbeat_url), ("heartbeat.url_file", &secret.value)]
    {
        if let Some(sentence) = url_mistake(url) {
            draft.refuse_setting(key, sentence);
        }
    }
    if has_credentials(&options.silence_url) {
        let sentence = "everybody in the chat would read its password";
        draft.refuse_setting("silence.url", sentence.to_owned());
    }
}

fn check_listener(draft: &mut ConfigDraft<Options>, options: &Options) {
    if is_named(&options.token) {
        if (1..TOKEN_BYTES_MIN).contains(&options.token.value.len()) {
            let sentence = format!("it must have at least {TOKEN_BYTES_MIN} bytes");
            draft.refuse_setting("bridge.token_file", sentence);
        }
    } else if !options.listen.ip().to_canonical().is_loopback() {
        let sentence = "other machines reach this address, and whoever reaches it can notify, \
                        cause actions and feed the watchdog: set bridge.token_file, or listen \
                        on 127.0.0.1";
        draft.refuse_setting("bridge.listen", sentence.to_owned());
    }
}

/// What people reach from their chats, and the other bridge.
fn check_links(draft: &mut ConfigDraft<Options>, options: &Options) {
    let key = &options.silence_key.value;
    let escalates = options.routes.iter().any(|route| !route.escalation.is_empty());
    if escalates && options.silence_url.is_empty() {
        let sentence = "a route has an escalation, and nobody could acknowledge: links need it";
        draft.refuse_setting("silence.url", sentence.to_owned());
    }
    if !options.peer_url.is_empty() && options.peer_token.value.len() < TOKEN_BYTES_MIN {
        let what = format!("the other bridge needs a token of at least {TOKEN_BYTES_MIN} bytes");
        draft.refuse_setting("peer.token_file", what);
    }
    let has_links = !options.alertmanager_url.is_empty() && !options.silence_url.is_empty();
    let is_needed = has_links || escalates || options.routes.iter().any(|route| route.hash_rooms);
    if (is_needed || !key.is_empty()) && key.len() < KEY_BYTES_MIN {
        let what =
            format!("links, and hashes of rooms, need a key of at least {KEY_BYTES_MIN} bytes");
        draft.refuse_setting("silence.key_file", what);
    }
}

fn check_names(draft: &mut ConfigDraft<Options>, options: &Options) {
    if options.dir.as_os_str().is_empty() {
        draft.refuse_setting("bridge.dir", "it must name a directory".to_owned());
    }
    for (key, name) in [
        ("bridge.default_route", &options.default_route),
        ("deadman.route", &options.deadman_route),
    ] {
        if !name.is_empty() && !options.routes.iter().any(|route| route.name == *name) {
            draft.refuse_setting(key, format!("there is no route {name:?}"));
        }
    }
}

fn check_instances(draft: &mut ConfigDraft<Options>, options: &Options) {
    for instance in &options.instances {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if !instance.contains(':') || !instance.chars().all(is_plain) {
            draft.refuse_setting("instances.allowed", format!("{instance:?} is no host:port"));
        }
    }
}

fn check_robots(draft: &mut ConfigDraft<Options>, options: &Options) {
    if options.robots.is_empty() {
        draft.refuse(
            SourceLocation::Default,
            "robots",
            ConfigErrorKind::Relation("nobody could speak: add [[robots]]".to_owned()),
        );
    }
    for (index, robot) in options.robots.iter().enumerate() {
        let others = &options.robots[..index];
        for (what, is_wrong) in robot_mistakes(robot, others) {
            if is_wrong {
                draft.refuse_entry("robots", index, what);
            }
        }
    }
}

fn check_routes(draft: &mut ConfigDraft<Options>, options: &Options) {
    if options.routes.is_empty() {
        let sentence = "nothing would be told: add [[routes]]".to_owned();
        draft.refuse(SourceLocation::Default, "routes", ConfigErrorKind::Relation(sentence));
    }
    for (index, route) in options.routes.iter().enumerate() {
        let mut wrong = Vec::new();
        if !is_name(&route.name) {
            wrong.push("its name must be of letters, digits, `-`, `_` and `.`".to_owned());
        }
        if options.routes[..index].iter().any(|other| other.name == route.name) {
            wrong.push(format!("there is another route {:?}", route.name));
        }
        if route.chats.is_empty() {
            wrong.push("chats is empty, so nobody would be told".to_owned());
        }
        let others = [&route.fallback, &route.escalation];
        let others = others.into_iter().filter(|chat| !chat.is_empty());
        for chat in route.chats.iter().chain(others) {
            if options.channel(chat).is_none() {
                wrong.push(format!("no robot speaks in the chat {chat:?}"));
            }
        }
        for sentence in wrong {
            draft.refuse_entry("routes", index, sentence);
        }
    }
}

fn check_people_and_actions(draft: &mut ConfigDraft<Options>, options: &Options) {
    for (index, person) in options.people.iter().enumerate() {
        let has_zone = draft.is_given("bridge.offset_minutes");
        if person.from_hour != person.until_hour && !has_zone {
            let sentence = "hours need a zone: set bridge.offset_minutes".to_owned();
            draft.refuse_entry("people", index, sentence);
        }
        if let Some(sentence) = person_mistake(person) {
            draft.refuse_entry("people", index, sentence);
        }
    }
    for (index, action) in options.actions.iter().enumerate() {
        if options.actions[..index].iter().any(|other| other.name == action.name) {
            let sentence = format!("there is another action {:?}", action.name);
            draft.refuse_entry("actions", index, sentence);
        }
        if action.alert.is_empty() {
            let sentence = "alert is missing".to_owned();
            draft.refuse_entry("actions", index, sentence);
        }
        if !action.path.starts_with('/') || action.path.contains(['#', ' ']) {
            let sentence = "path must begin with a slash, without spaces and `#`".to_owned();
            draft.refuse_entry("actions", index, sentence);
        }
    }
}

fn robot_mistakes(robot: &Robot, others: &[Robot]) -> Vec<(String, bool)> {
    let has_token = !robot.token.value.is_empty() || is_named(&robot.token);
    vec![
        ("its name must be of letters, digits, `-`, `_` and `.`".to_owned(), !is_name(&robot.name)),
        (
            format!("there is another robot {:?}", robot.name),
            others.iter().any(|other| other.name == robot.name),
        ),
        ("chat is missing".to_owned(), robot.chat.is_empty()),
        (
            format!("the chat {:?} has robots of another channel", robot.chat),
            others.iter().any(|other| other.chat == robot.chat && other.channel != robot.channel),
        ),
        (
            "url is missing: a webhook has no usual place".to_owned(),
            robot.channel == Messenger::Webhook && robot.url.is_empty(),
        ),
        (
            format!("url: {}", url_mistake(&robot.url).unwrap_or_default()),
            url_mistake(&robot.url).is_some(),
        ),
        ("url must have no query".to_owned(), robot.url.contains('?')),
        (
            "a token and a user in url: both would be the header Authorization".to_owned(),
            robot.channel == Messenger::Webhook && has_token && has_credentials(&robot.url),
        ),
        (
            format!("proxy: {}", proxy_mistake(&robot.proxy).unwrap_or_default()),
            proxy_mistake(&robot.proxy).is_some(),
        ),
        (
            "token_file or token_env is missing".to_owned(),
            !has_token && matches!(robot.channel, Messenger::Wecom | Messenger::Dingtalk)
                || !has_token && robot.channel == Messenger::Slack && robot.url.is_empty(),
        ),
        (
            "only DingTalk has signatures and keywords".to_owned(),
            robot.channel != Messenger::Dingtalk
                && (is_named(&robot.signature) || !robot.keyword.is_empty()),
        ),
    ]
}

fn person_mistake(person: &Person) -> Option<String> {
    if person.label.is_empty() || person.value.is_empty() {
        return Some("label and value are needed: nobody is called without".to_owned());
    }
    // They stand in messages as they are.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    let ids = [&person.wecom_id, &person.mobile, &person.dingtalk_id, &person.slack_id];
    let wrong = ids.into_iter().any(|id| !id.chars().all(is_plain));
    wrong.then(|| "ids and numbers must be of letters, digits, `-`, `_`, `.` and `+`".to_owned())
}

fn is_named(secret: &Secret) -> bool {
    !secret.file.is_empty() || !secret.env.is_empty()
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// What is wrong with an address that is given; nothing of it is repeated, since it may
/// have a password.
fn url_mistake(url: &str) -> Option<String> {
    if url.is_empty() {
        return None;
    }
    HttpUrl::parse(url).err().map(|error| error.to_string())
}

fn has_credentials(url: &str) -> bool {
    HttpUrl::parse(url).is_ok_and(|url| url.authorization().is_some())
}

fn proxy_mistake(proxy: &str) -> Option<String> {
    if proxy.is_empty() || proxy == DIRECT {
        return None;
    }
    Proxy::parse(proxy).err().map(|error| error.to_string())
}
