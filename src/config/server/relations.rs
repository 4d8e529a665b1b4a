//! What settings demand of each other.

use std::net::{IpAddr, SocketAddr};

use super::Config;
use crate::config::draft::ConfigDraft;
use crate::config::mistake::{ConfigErrorKind, SourceLocation};
use crate::metrics::Hook;
use crate::room::{Namespace, PersonalChannel};
use crate::session::{CONVERSATION_NAMESPACE, INBOX_NAMESPACE};

/// Messages that one room may keep in memory, and bytes of them.
const MEMORY_COUNT_MAX: u64 = 1_000_000;
const MEMORY_BYTES_MAX: u64 = 1 << 30;

/// Notes every setting that does not fit the others. A setting that is wrong in
/// itself is not blamed a second time.
pub(super) fn check(draft: &mut ConfigDraft<Config>) {
    let mut found: Vec<(String, Vec<String>, String)> = Vec::new();
    let mut refuse = |key: &str, others: &[&str], sentence: String| {
        let others = others.iter().map(|&other| other.to_owned()).collect();
        found.push((key.to_owned(), others, sentence));
    };
    settings(draft, &mut refuse);
    for (index, namespace) in draft.value().shard.room.namespaces.iter().enumerate() {
        let earlier = &draft.value().shard.room.namespaces[..index];
        one_namespace(draft, index, namespace, earlier, &mut refuse);
    }
    let already: Vec<String> = draft.refused_keys().map(str::to_owned).collect();
    for (key, others, sentence) in found {
        if already.contains(&key) || others.iter().any(|other| already.contains(other)) {
            continue;
        }
        // The place of the value that somebody gave, if it is only one of them.
        let places = std::iter::once(&key).chain(&others).map(|key| place(draft, key));
        let place =
            places.into_iter().find(|place| *place != SourceLocation::Default).unwrap_or_default();
        draft.refuse(place, &key, ConfigErrorKind::Relation(sentence));
    }
}

type Refuse<'a> = &'a mut dyn FnMut(&str, &[&str], String);

fn settings(draft: &ConfigDraft<Config>, refuse: Refuse<'_>) {
    let (session, ws, ring) =
        (&draft.value().shard.session, &draft.value().shard.ws, &draft.value().ring);
    if session.ping_interval_ms != 0 && session.ping_interval_ms <= session.pong_ms_max {
        refuse(
            "session.pong_ms_max",
            &["session.ping_interval_ms"],
            format!(
                "{} must be less than session.ping_interval_ms, which is {}",
                session.pong_ms_max, session.ping_interval_ms
            ),
        );
    }
    let longest_ms = session.ping_interval_ms_max;
    if longest_ms != 0 && longest_ms < session.ping_interval_ms {
        refuse(
            "session.ping_interval_ms_max",
            &["session.ping_interval_ms"],
            format!(
                "{longest_ms} must be at least session.ping_interval_ms, which is {}",
                session.ping_interval_ms
            ),
        );
    }
    let at_least_a_message = [
        ("session.outbox_bytes_max", session.outbox_bytes_max, true),
        ("session.bytes_burst", session.bytes_burst, session.bytes_per_s != 0),
    ];
    for (key, bytes, counts) in at_least_a_message {
        if counts && bytes < ws.message_bytes_max {
            refuse(
                key,
                &["ws.message_bytes_max"],
                format!(
                    "{bytes} must be at least ws.message_bytes_max, which is {}: one message \
                     would be too much",
                    ws.message_bytes_max
                ),
            );
        }
    }
    if ring.completion_entries < ring.submission_entries {
        refuse(
            "ring.completion_entries",
            &["ring.submission_entries"],
            format!(
                "{} must be at least ring.submission_entries, which is {}",
                ring.completion_entries, ring.submission_entries
            ),
        );
    }
    addresses(draft, refuse);
    store(draft, refuse);
    let endpoint = &draft.value().server.otlp_endpoint;
    if !endpoint.is_empty()
        && let Some(why) = endpoint_trouble(endpoint)
    {
        refuse("tracing.otlp_endpoint", &[], format!("{endpoint:?} {why}"));
    }
    if !ws.path.starts_with('/') || ws.path.contains([' ', '?', '#']) {
        let sentence = "it must begin with a slash, without spaces, `?` and `#`";
        refuse("ws.path", &[], sentence.to_owned());
    }
    for origin in &ws.origins {
        if let Some(why) = origin_trouble(origin) {
            refuse("ws.origins", &[], format!("{origin:?} {why}"));
        }
    }
}

/// No address is inside of another one: the kernel would refuse the second, or let both
/// have it and choose.
fn addresses(draft: &ConfigDraft<Config>, refuse: Refuse<'_>) {
    let server = &draft.value().server;
    let listed = server.listeners.len();
    let alone = server.addresses().len() - listed;
    let key = |index: usize| match index.checked_sub(alone) {
        Some(index) => format!("listeners[{index}].address"),
        None => "server.listen".to_owned(),
    };
    let clients = server.addresses();
    for (index, one) in clients.iter().enumerate() {
        if let Some(earlier) = clients[..index].iter().position(|other| meets(*one, *other)) {
            let other = clients[earlier];
            let sentence = if *one == other {
                format!("{one} is there twice")
            } else {
                format!(
                    "{one} and {other} ({}) overlap: who listens on all addresses listens there, \
                     too, and [::] also by IPv4; leave one of them out",
                    key(earlier)
                )
            };
            refuse(&key(index), &[&key(earlier)], sentence);
        }
        let admin = server.admin_listen;
        if meets(*one, admin) {
            refuse(
                "server.admin_listen",
                &[&key(index)],
                format!("{admin} is where clients connect ({one}); take another port"),
            );
        }
    }
}

/// Whether a peer could mean both. Port 0 is always another one.
fn meets(one: SocketAddr, other: SocketAddr) -> bool {
    let takes = |all: IpAddr, ip: IpAddr| match all {
        IpAddr::V4(all) => all.is_unspecified() && ip.is_ipv4(),
        IpAddr::V6(all) => all.is_unspecified(),
    };
    let (first, second) = (one.ip().to_canonical(), other.ip().to_canonical());
    let same = first == second || takes(first, second) || takes(second, first);
    one.port() == other.port() && one.port() != 0 && same
}

fn store(draft: &ConfigDraft<Config>, refuse: Refuse<'_>) {
    let Some(store) = draft.value().store() else { return };
    if store.dir.as_os_str().is_empty() {
        let sentence = "it must name a directory: there are namespaces with messages on disk";
        refuse("store.dir", &[], sentence.to_owned());
    }
    if store.disk_bytes_max != 0 && store.disk_bytes_max <= store.reserve_bytes {
        refuse(
            "store.disk_bytes_max",
            &["store.reserve_bytes"],
            format!(
                "{} must be above store.reserve_bytes, which is {}: no message would be taken",
                store.disk_bytes_max, store.reserve_bytes
            ),
        );
    }
}

/// A collector runs beside the server, or is reached by one that does.
fn endpoint_trouble(endpoint: &str) -> Option<&'static str> {
    let Some(rest) = endpoint.strip_prefix("http://") else {
        return Some(
            "does not begin with `http://`: spans leave without TLS, to a collector nearby",
        );
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_plain = rest.bytes().all(|byte| byte.is_ascii_graphic()) && !rest.contains(['#', '@']);
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| !port.ends_with(']'));
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    let named = !host.is_empty() && !host.starts_with(':');
    (!(named && is_plain && is_port)).then_some("names no host and port")
}

/// What a browser would never send can only be a mistake.
fn origin_trouble(origin: &str) -> Option<&'static str> {
    // Android's pages from a file, and pages that have no origin at all.
    if ["*", "null", "file://"].contains(&origin.to_ascii_lowercase().as_str()) {
        let is_other_null = origin != "null" && origin.eq_ignore_ascii_case("null");
        return is_other_null.then_some("is no origin: browsers write `null` in small letters");
    }
    let Some((scheme, rest)) = origin.split_once("://") else {
        return Some("is no origin: it begins with `https://` or `http://`");
    };
    if scheme.is_empty() || rest.is_empty() || origin.contains(' ') {
        return Some("is no origin: it names a scheme and a host");
    }
    if rest.contains(['/', '?', '#', '@', '\\']) {
        return Some("is no origin: it ends with the host or the port, without a slash");
    }
    if !origin.is_ascii() {
        return Some("is no origin: browsers write such a host in ASCII, as `xn--…`");
    }
    (1 < origin.matches('*').count()).then_some("has more than one `*`")
}

fn one_namespace(
    draft: &ConfigDraft<Config>,
    index: usize,
    namespace: &Namespace,
    earlier: &[Namespace],
    refuse: Refuse<'_>,
) {
    let key = |name: &str| format!("namespaces[{index}].{name}");
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    if namespace.name != "@" && !namespace.name.chars().all(is_letter) {
        let sentence = "it may have letters, digits, `-`, `_` and `.` of ASCII only, or be `@`";
        refuse(&key("name"), &[], sentence.to_owned());
    }
    if earlier.iter().any(|other| other.name == namespace.name) {
        refuse(&key("name"), &[], format!("there are two namespaces {:?}", namespace.name));
    }
    if namespace.has_user_lists()
        && [INBOX_NAMESPACE, CONVERSATION_NAMESPACE].contains(&&*namespace.name)
    {
        let key = match namespace.personal_channel {
            PersonalChannel::None => key("user_lists"),
            PersonalChannel::Listed => key("personal_channel"),
        };
        let sentence = "names of inboxes and conversations say whose they are; a list is for \
                        other namespaces";
        refuse(&key, &[], sentence.to_owned());
    }
    groups(draft, namespace, &key, refuse);
    let message_bytes_max = draft.value().shard.ws.message_bytes_max;
    if message_bytes_max < namespace.data_bytes_max {
        refuse(
            &key("data_bytes_max"),
            &["ws.message_bytes_max"],
            format!(
                "{} must be at most ws.message_bytes_max, which is {message_bytes_max}",
                namespace.data_bytes_max
            ),
        );
    }
    if namespace.keeps_history() && namespace.history_bytes_max < namespace.data_bytes_max.into() {
        refuse(
            &key("history_bytes_max"),
            &[&key("data_bytes_max")],
            format!(
                "{} must be at least data_bytes_max, which is {}",
                namespace.history_bytes_max, namespace.data_bytes_max
            ),
        );
    }
    if namespace.is_durable() {
        on_disk(draft, namespace, &key, refuse);
    } else if namespace.keeps_history() {
        in_memory(namespace, &key, refuse);
    }
    hooks(draft, namespace, &key, refuse);
    for (name, forced) in [
        ("force_recovery", namespace.force_recovery),
        ("force_positioning", namespace.force_positioning),
    ] {
        if forced && !namespace.keeps_history() {
            let sentence = "it needs history_count_max above 0".to_owned();
            refuse(&key(name), &[&key("history_count_max")], sentence);
        }
    }
}

/// Members that last are kept beside messages, of channels that no name gives to anybody.
fn groups(
    draft: &ConfigDraft<Config>,
    namespace: &Namespace,
    key: &dyn Fn(&str) -> String,
    refuse: Refuse<'_>,
) {
    if !namespace.is_group() {
        return;
    }
    if [INBOX_NAMESPACE, CONVERSATION_NAMESPACE].contains(&&*namespace.name) {
        let sentence = "names of inboxes and conversations say whose they are; groups are for \
                        other namespaces";
        refuse(&key("groups"), &[], sentence.to_owned());
    }
    let mut all = draft.value().shard.room.namespaces.iter();
    if !all.any(|other| other.name == INBOX_NAMESPACE) {
        let sentence = "groups need the namespace \"@\": it has the list of a user's groups";
        refuse(&key("groups"), &[], sentence.to_owned());
    }
    if namespace.has_user_lists() {
        let sentence = "a list in a channel's name says who may be in; a group's members change";
        let others = [key("user_lists"), key("personal_channel")];
        refuse(&key("groups"), &[&others[0], &others[1]], sentence.to_owned());
    }
    if !namespace.is_durable() {
        let others = [key("history_count_max"), key("durability")];
        let sentence = "it needs history_count_max above 0, and durability fsync or interval";
        refuse(&key("groups"), &[&others[0], &others[1]], sentence.to_owned());
    }
}

/// What a namespace asks has somebody who answers.
fn hooks(
    draft: &ConfigDraft<Config>,
    namespace: &Namespace,
    key: &dyn Fn(&str) -> String,
    refuse: Refuse<'_>,
) {
    let asked = &draft.value().shard.session.hooks;
    for (name, hook, is_on) in [
        ("subscribe_hook", Hook::Subscribe, namespace.subscribe_hook),
        ("publish_hook", Hook::Publish, namespace.publish_hook),
        ("sub_refresh_hook", Hook::SubRefresh, namespace.sub_refresh_hook),
    ] {
        if is_on && !asked.asks(hook) {
            let sentence = format!("it needs [[hooks.endpoints]] with hook = {:?}", hook.word());
            refuse(&key(name), &["hooks.endpoints"], sentence);
        }
    }
}

fn on_disk(
    draft: &ConfigDraft<Config>,
    namespace: &Namespace,
    key: &dyn Fn(&str) -> String,
    refuse: Refuse<'_>,
) {
    if namespace.window_bytes_max < namespace.data_bytes_max {
        refuse(
            &key("window_bytes_max"),
            &[&key("data_bytes_max")],
            format!(
                "{} must be at least data_bytes_max, which is {}",
                namespace.window_bytes_max, namespace.data_bytes_max
            ),
        );
    }
    let window_count_max = namespace.window_count_max.min(namespace.history_count_max);
    if namespace.recover_count_max < window_count_max {
        refuse(
            &key("recover_count_max"),
            &[&key("window_count_max")],
            format!(
                "{} must be at least {window_count_max}, which are in memory anyway",
                namespace.recover_count_max
            ),
        );
    }
    let has_inboxes =
        draft.value().shard.room.namespaces.iter().any(|other| other.name == INBOX_NAMESPACE);
    if namespace.name == CONVERSATION_NAMESPACE && !has_inboxes {
        let sentence = "conversations of two need the namespace \"@\": a direct message waits in \
                        its reader's personal channel until it is acknowledged";
        refuse(&key("name"), &[], sentence.to_owned());
    }
}

fn in_memory(namespace: &Namespace, key: &dyn Fn(&str) -> String, refuse: Refuse<'_>) {
    let (count, bytes) = (namespace.history_count_max, namespace.history_bytes_max);
    for (name, is, max) in [
        ("history_count_max", u64::from(count), MEMORY_COUNT_MAX),
        ("history_bytes_max", bytes, MEMORY_BYTES_MAX),
    ] {
        if max < is {
            let sentence = format!("{is} must be at most {max} where durability is \"memory\"");
            refuse(&key(name), &[&key("durability")], sentence);
        }
    }
}

fn place(draft: &ConfigDraft<Config>, key: &str) -> SourceLocation {
    let index = |list: &str| {
        let (index, _) = key.strip_prefix(list)?.strip_prefix('[')?.split_once(']')?;
        index.parse::<usize>().ok()
    };
    if let Some(index) = index("namespaces") {
        draft.entry_place("namespaces", index)
    } else if let Some(index) = index("listeners") {
        draft.entry_place("listeners", index)
    } else {
        draft.place(key)
    }
}
