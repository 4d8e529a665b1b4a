//! The configuration of the alert bridge: a file of its own, read as the server's is.
//!
//! Secrets are not in it: it names the files or variables that they are in.

use std::net::SocketAddr;
use std::path::Path;

use super::relations;
use super::settings::{ACTIONS, PEOPLE, ROBOTS, ROUTES, SETTINGS};
use crate::alert::{
    BridgeSettings, Messenger, Options, Route, Secret, Templates, check_template, template_name,
};
use crate::config::draft::ConfigDraft;
use crate::config::file;
use crate::config::mistake::{ConfigError, ConfigErrorKind, SourceLocation};
use crate::config::row::SettingValue;
use crate::config::schema::{List, Schema, list};
use crate::config::source::{File, LoadFile};
use crate::outbound::{DIRECT, Proxy, ProxyRules};

const ROBOTS_MAX: usize = 256;
const ROUTES_MAX: usize = 64;
const PEOPLE_MAX: usize = 256;
const ACTIONS_MAX: usize = 64;

/// What the bridge can be told.
static SCHEMA: Schema<Options> = Schema {
    settings: SETTINGS,
    lists: &[
        list!("robots", robots, ROBOTS, ROBOTS_MAX),
        list!("routes", routes, ROUTES, ROUTES_MAX),
        list!("people", people, PEOPLE, PEOPLE_MAX),
        list!("actions", actions, ACTIONS, ACTIONS_MAX),
    ],
    hints: &[],
    forms: &[("silence.listen", address_or_nothing)],
};

/// What the bridge's configuration is made of.
pub struct BridgeSources<'a> {
    /// The file.
    pub file: &'a File,
    /// A variable of the environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// A file that the configuration names.
    pub load: LoadFile<'a>,
    /// The names of the files in a directory that it names.
    pub list: &'a dyn Fn(&Path) -> std::io::Result<Vec<String>>,
}

/// Usable settings, or all that is wrong with them.
pub fn resolve_bridge(mut sources: BridgeSources<'_>) -> Result<BridgeSettings, Vec<ConfigError>> {
    let mut draft = SCHEMA.draft();
    file::read(sources.file, &SCHEMA, &mut draft)?;
    read_secrets(&mut draft, &mut sources);
    read_proxies(&mut draft, sources.env);
    relations::check(&mut draft);
    let templates = templates(&mut draft, &mut sources);
    let options = draft.finish()?;
    let templates = templates.expect("without templates there is a mistake");
    Ok(BridgeSettings { options, templates })
}

fn read_secrets(draft: &mut ConfigDraft<Options>, sources: &mut BridgeSources<'_>) {
    let mut found: Vec<(SourceLocation, String, ConfigErrorKind)> = Vec::new();
    let places: Vec<SourceLocation> =
        (0..draft.value().robots.len()).map(|index| draft.entry_place("robots", index)).collect();
    let mut read = |secret: &mut Secret, place: &SourceLocation, key: &str| {
        if let Err(why) = read_secret(secret, sources) {
            found.push((place.clone(), key.to_owned(), why));
        }
    };
    let default = SourceLocation::Default;
    let options = draft.value_mut();
    read(&mut options.token, &default, "bridge.token_file");
    read(&mut options.instances_token, &default, "instances.token_file");
    read(&mut options.silence_key, &default, "silence.key_file");
    read(&mut options.heartbeat_secret, &default, "heartbeat.url_file");
    read(&mut options.peer_token, &default, "peer.token_file");
    for (index, robot) in options.robots.iter_mut().enumerate() {
        let place = &places[index];
        read(&mut robot.token, place, &format!("robots[{index}].token_file"));
        read(&mut robot.signature, place, &format!("robots[{index}].signature_file"));
    }
    for (place, key, why) in found {
        let place = if draft.is_given(&key) { draft.place(&key) } else { place };
        draft.refuse(place, &key, why);
    }
}

/// What leads outside: the setting, or without one the environment.
fn read_proxies(draft: &mut ConfigDraft<Options>, env: &dyn Fn(&str) -> Option<String>) {
    let options = draft.value();
    let (proxy, no_proxy) = (options.proxy.clone(), options.no_proxy.join(","));
    if proxy.is_empty() || proxy == DIRECT {
        if !no_proxy.is_empty() {
            let sentence = "it is for bridge.proxy, which names none".to_owned();
            draft.refuse_setting("bridge.no_proxy", sentence);
        }
        if proxy.is_empty() {
            match ProxyRules::from_env(env) {
                Ok(rules) => draft.value_mut().proxies = rules,
                Err((name, error)) => {
                    let place = SourceLocation::Env(name.to_owned());
                    draft.refuse(
                        place,
                        "bridge.proxy",
                        ConfigErrorKind::Relation(error.to_string()),
                    );
                }
            }
        }
        return;
    }
    let rules = Proxy::parse(&proxy).and_then(|proxy| ProxyRules::through(proxy, &no_proxy));
    match rules {
        Ok(rules) => draft.value_mut().proxies = rules,
        Err(error) => draft.refuse_setting("bridge.proxy", error.to_string()),
    }
}

/// The templates, if each that a route needs makes a message of anything.
fn templates(
    draft: &mut ConfigDraft<Options>,
    sources: &mut BridgeSources<'_>,
) -> Option<Templates> {
    let mut read = Vec::new();
    let dir = draft.value().templates_dir.clone();
    if !dir.is_empty() {
        match read_templates(Path::new(&dir), sources) {
            Ok(all) => read = all,
            Err((path, error)) => {
                let place = draft.place("bridge.templates_dir");
                draft.refuse(place, "bridge.templates_dir", ConfigErrorKind::File { path, error });
                return None;
            }
        }
    }
    let templates = match Templates::new(&read) {
        Ok(templates) => templates,
        Err(faults) => {
            for fault in faults {
                draft.refuse_setting("bridge.templates_dir", fault.to_string());
            }
            return None;
        }
    };
    for (route, channel) in needed(draft.value()) {
        let name = template_name(&route.template, route.language, channel);
        if let Err(fault) = check_template(&templates, &name) {
            draft.refuse_setting("bridge.templates_dir", fault.to_string());
        }
    }
    Some(templates)
}

/// Each template that a route can need, once.
fn needed(options: &Options) -> Vec<(Route, Messenger)> {
    let mut needed: Vec<(Route, Messenger)> = Vec::new();
    for route in &options.routes {
        for chat in route.chats.iter().chain([&route.fallback, &route.escalation]) {
            let Some(channel) = options.channel(chat) else { continue };
            let is_same = |(other, one): &(Route, Messenger)| {
                (&other.template, other.language, *one)
                    == (&route.template, route.language, channel)
            };
            if !needed.iter().any(is_same) {
                needed.push((route.clone(), channel));
            }
        }
    }
    needed
}

type TemplateReadError = (String, String);

fn read_templates(
    dir: &Path,
    sources: &mut BridgeSources<'_>,
) -> Result<Vec<(String, String)>, TemplateReadError> {
    const FILES_MAX: usize = 256;
    let shown = |path: &Path| path.display().to_string();
    let names = (sources.list)(dir).map_err(|error| (shown(dir), error.to_string()))?;
    let mut read = Vec::new();
    for name in names.iter().filter_map(|name| name.strip_suffix(".j2")).take(FILES_MAX) {
        let path = dir.join(format!("{name}.j2"));
        let bytes = (sources.load)(&path).map_err(|error| (shown(&path), error.to_string()))?;
        let text =
            String::from_utf8(bytes).map_err(|_| (shown(&path), "it is not UTF-8".to_owned()))?;
        read.push((name.to_owned(), text));
    }
    Ok(read)
}

fn read_secret(
    secret: &mut Secret,
    sources: &mut BridgeSources<'_>,
) -> Result<(), ConfigErrorKind> {
    let value = match (secret.file.as_str(), secret.env.as_str()) {
        ("", "") => return Ok(()),
        (path, "") => {
            let refuse = |error: String| ConfigErrorKind::File { path: path.to_owned(), error };
            let bytes =
                (sources.load)(Path::new(path)).map_err(|error| refuse(error.to_string()))?;
            String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8".to_owned()))?
        }
        ("", name) => (sources.env)(name).ok_or_else(|| {
            ConfigErrorKind::Relation(format!("the environment has no variable {name:?}"))
        })?,
        _ => {
            return Err(ConfigErrorKind::Relation(
                "a file and a variable are named; one is enough".to_owned(),
            ));
        }
    };
    // Some editors begin a text with a mark of its encoding.
    let value = value.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    if value.is_empty() || value.len() > 1_024 || value.chars().any(char::is_control) {
        let sentence = "the secret must be one line of 1 to 1024 bytes".to_owned();
        return Err(ConfigErrorKind::Relation(sentence));
    }
    value.clone_into(&mut secret.value);
    Ok(())
}

fn address_or_nothing(value: &SettingValue) -> Option<&'static str> {
    let SettingValue::Text(text) = value else { return None };
    let is_good = text.is_empty() || text.parse::<SocketAddr>().is_ok();
    (!is_good).then_some("it must be an address with a port, or empty")
}
