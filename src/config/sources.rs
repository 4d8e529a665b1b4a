//! From texts to a configuration: file, environment and flags are read in this order, and the
//! later one wins.
//!
//! Invariant: a configuration is usable as a whole, or all that was found wrong is told at
//! once, each mistake with its place.
//!
//! Deliberately absent: TOML (`file`), and what settings have to do with each other
//! (`relations`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use super::mistake::{Mistake, Place, Why};
use super::row::{ENV_PREFIX, Kind, Row, Value};
use super::service_links::is_service_link;
use super::table::{KEYS, LISTENERS, NAMESPACES, SETTINGS};
use super::{Config, KeyEntry, ListenerOptions, NAMESPACES_MAX, file, relations, suggest};
use crate::admin::Token;
use crate::auth::{Algorithm, KEYS_MAX, KeySpec, Keys, Material};
use crate::base::limits::LISTENERS_MAX;
use crate::room::Namespace;

/// A default that other limits make smaller does not get smaller than this.
const MESSAGE_BYTES_MIN: u32 = 64 << 10;

/// Reads a file that a setting names.
pub type Load<'a> = &'a mut dyn FnMut(&Path) -> io::Result<Vec<u8>>;

/// The texts that a configuration is made of.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, if there is one.
    pub file: Option<File>,
    /// The process's environment; variables of others are skipped.
    pub env: Vec<(String, String)>,
    /// Keys of settings, with what their flags say.
    pub flags: Vec<(&'static str, String)>,
}

/// A file that was read.
#[derive(Clone, Debug)]
pub struct File {
    /// What it is called in mistakes.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// A usable configuration, or all that is wrong with it.
pub fn resolve(sources: &Sources, load: Load<'_>) -> Result<Config, Vec<Mistake>> {
    let mut draft = Draft::new();
    if let Some(file) = &sources.file {
        file::read(file, &mut draft)?;
    }
    draft.read_env(&sources.env);
    draft.read_flags(&sources.flags);
    draft.config.server.listen_is_given = draft.place("server.listen") != Place::Default;
    draft.bound_messages();
    draft.resolve_keys(load);
    draft.resolve_admin_token(load);
    relations::check(&mut draft);
    draft.mistakes.sort_by(|one, other| one.place.cmp(&other.place));
    if draft.mistakes.is_empty() { Ok(draft.config) } else { Err(draft.mistakes) }
}

/// A configuration in the making, with the place of each of its values.
pub(super) struct Draft {
    pub(super) config: Config,
    /// By row of `SETTINGS`.
    places: Vec<Place>,
    /// By namespace; short where the standard ones hold.
    pub(super) namespace_places: Vec<Place>,
    /// By listener.
    pub(super) listener_places: Vec<Place>,
    /// By key.
    key_places: Vec<Place>,
    pub(super) mistakes: Vec<Mistake>,
}

impl Draft {
    fn new() -> Draft {
        Draft {
            config: Config::default(),
            places: vec![Place::Default; SETTINGS.len()],
            namespace_places: Vec::new(),
            listener_places: Vec::new(),
            key_places: Vec::new(),
            mistakes: Vec::new(),
        }
    }

    /// Notes a mistake.
    pub(super) fn refuse(&mut self, place: Place, key: &str, why: Why) {
        self.mistakes.push(Mistake { place, key: key.to_owned(), why });
    }

    /// Where the value of a setting comes from.
    pub(super) fn place(&self, key: &str) -> Place {
        let index = SETTINGS.iter().position(|row| row.key == key);
        index.map_or(Place::Default, |index| self.places[index].clone())
    }

    /// A message may be as long as by default only where the limits that were set have room
    /// for one; they need not be set anew because that default is a large one.
    fn bound_messages(&mut self) {
        if self.place("ws.message_bytes_max") != Place::Default {
            return;
        }
        let shard = &mut self.config.shard;
        let session = &shard.session;
        let by_quota = if session.bytes_per_s == 0 { u32::MAX } else { session.bytes_burst };
        let room = session.outbox_bytes_max.min(by_quota).max(MESSAGE_BYTES_MIN);
        shard.ws.message_bytes_max = shard.ws.message_bytes_max.min(room);
    }

    /// Gives a value to the setting with this key, or notes why not.
    pub(super) fn set(&mut self, place: Place, key: &str, given: Given<'_>) {
        let Some(index) = SETTINGS.iter().position(|row| row.key == key) else {
            let near = suggest::nearest(key, SETTINGS.iter().map(|row| row.key));
            return self.refuse(place, key, Why::Unknown(near.map(str::to_owned)));
        };
        let row = &SETTINGS[index];
        match given.value(row) {
            Ok(value) => (row.write)(&mut self.config, value),
            Err(why) => self.refuse(place.clone(), key, why),
        }
        self.places[index] = place;
    }

    /// Replaces the namespaces.
    pub(super) fn set_namespaces(&mut self, place: Place, mut all: Vec<(Namespace, Place)>) {
        if all.len() > NAMESPACES_MAX {
            self.refuse(place, "namespaces", Why::Entries(NAMESPACES_MAX));
            all.truncate(NAMESPACES_MAX);
        }
        (self.config.shard.room.namespaces, self.namespace_places) = all.into_iter().unzip();
    }

    /// Replaces the listeners.
    pub(super) fn set_listeners(&mut self, place: Place, mut all: Vec<(ListenerOptions, Place)>) {
        if all.len() > LISTENERS_MAX {
            self.refuse(place, "listeners", Why::Entries(LISTENERS_MAX));
            all.truncate(LISTENERS_MAX);
        }
        (self.config.server.listeners, self.listener_places) = all.into_iter().unzip();
    }

    /// Replaces the keys.
    pub(super) fn set_keys(&mut self, place: Place, mut all: Vec<(KeyEntry, Place)>) {
        if all.len() > KEYS_MAX {
            self.refuse(place, "auth.keys", Why::Entries(KEYS_MAX));
            all.truncate(KEYS_MAX);
        }
        (self.config.auth.entries, self.key_places) = all.into_iter().unzip();
    }

    fn read_env(&mut self, env: &[(String, String)]) {
        for (name, text) in env {
            if is_service_link(name, text) {
                continue;
            }
            let place = Place::Env(name.clone());
            let given = Given::Text(text);
            // Programs that fill in templates leave variables empty for what is not said.
            if text.trim().is_empty() && is_not_said(name) {
                continue;
            }
            if let Some(row) = SETTINGS.iter().find(|row| row.env() == *name) {
                self.set(place, row.key, given);
            } else if *name == format!("{ENV_PREFIX}NAMESPACES") {
                file::read_list(text, "namespaces", place, NAMESPACES, self, Draft::set_namespaces);
            } else if *name == format!("{ENV_PREFIX}LISTENERS") {
                file::read_list(text, "listeners", place, LISTENERS, self, Draft::set_listeners);
            } else if *name == format!("{ENV_PREFIX}AUTH_KEYS") {
                file::read_list(text, "auth.keys", place, KEYS, self, Draft::set_keys);
            } else if is_in_a_section(name) {
                let known: Vec<String> = SETTINGS.iter().map(Row::env).collect();
                let near = suggest::nearest(name, known.iter().map(String::as_str));
                self.refuse(place, "", Why::Unknown(near.map(str::to_owned)));
            } else if let Some(meant) = meant_by(name) {
                self.config.ignored_variables.push((name.clone(), meant));
            }
        }
    }

    fn read_flags(&mut self, flags: &[(&'static str, String)]) {
        for (key, text) in flags {
            let row = SETTINGS.iter().find(|row| row.key == *key);
            let flag = row.map_or_else(|| (*key).to_owned(), Row::flag);
            self.set(Place::Flag(flag), key, Given::Text(text));
        }
    }

    /// Makes keys of what was written about them.
    fn resolve_keys(&mut self, load: Load<'_>) {
        let mut specs = Vec::new();
        let mut indexes = Vec::new();
        for (index, entry) in self.config.auth.entries.clone().iter().enumerate() {
            let Some(algorithm) = Algorithm::from_name(&entry.algorithm) else {
                continue; // noted when the entry was read
            };
            match key_spec(algorithm, entry, load) {
                Ok(spec) => {
                    specs.push(spec);
                    indexes.push(index);
                }
                Err(why) => {
                    let place = self.key_places[index].clone();
                    self.refuse(place, &format!("auth.keys[{index}]"), why);
                }
            }
        }
        for fault in Keys::build(&specs).err().unwrap_or_default() {
            let index = indexes[fault.index];
            let place = self.key_places[index].clone();
            self.refuse(place, &format!("auth.keys[{index}]"), Why::Key(fault.trouble));
        }
        self.config.auth.keys = specs;
    }

    /// Makes a token of what was written about it.
    fn resolve_admin_token(&mut self, load: Load<'_>) {
        const TOKEN: &str = "admin.token";
        const FILE: &str = "admin.token_file";
        let (text, path) = (self.config.admin.token.clone(), self.config.admin.token_file.clone());
        if self.mistakes.iter().any(|mistake| [TOKEN, FILE].contains(&&*mistake.key)) {
            return;
        }
        let (key, bytes) = match (text.is_empty(), path.is_empty()) {
            (true, true) => return,
            (false, true) => (TOKEN, Ok(text.into_bytes())),
            (true, false) => (FILE, read(&path, load)),
            (false, false) => {
                let sentence = "admin.token is given, too; one of the two is enough".to_owned();
                return self.refuse(self.place(FILE), FILE, Why::Relation(sentence));
            }
        };
        let token = bytes.and_then(|bytes| {
            Token::new(without_line_end(&bytes))
                .map_err(|trouble| Why::Relation(trouble.to_string()))
        });
        match token {
            Ok(token) => self.config.admin.ready = Some(token),
            Err(why) => self.refuse(self.place(key), key, why),
        }
    }
}

/// A value as a source gives it.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    /// From a TOML file.
    Toml(&'a toml::de::DeValue<'a>),
    /// From the environment or a flag; lists are separated by commas.
    Text(&'a str),
}

impl Given<'_> {
    /// The value in the form and the range of the row.
    pub(super) fn value<T>(self, row: &Row<T>) -> Result<Value, Why> {
        let value = match self {
            Given::Toml(toml) => file::value(row.kind, toml),
            Given::Text(text) => from_text(row.kind, text),
        };
        value.filter(|value| is_in_range(row.kind, value)).ok_or_else(|| Why::Form {
            wanted: row.kind,
            unit: row.unit,
            got: if let Kind::Secret { .. } = row.kind {
                "not".to_owned()
            } else {
                match self {
                    Given::Toml(toml) => file::shown(toml),
                    Given::Text(text) => shown(text),
                }
            },
        })
    }
}

/// A text in a mistake: escaped, and not longer than a line.
pub(super) fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let cut: String = text.chars().take(CHARS_MAX).collect();
    if cut.len() < text.len() { format!("{cut:?}…") } else { format!("{cut:?}") }
}

fn from_text(kind: Kind, text: &str) -> Option<Value> {
    let count = |text: &str| text.replace('_', "").parse::<u64>().ok();
    let list = || text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    Some(match kind {
        Kind::Count { .. } | Kind::Power { .. } => Value::Count(count(text.trim())?),
        Kind::Integer { .. } => Value::Integer(text.trim().replace('_', "").parse().ok()?),
        Kind::Switch => Value::Switch(text.trim().parse().ok()?),
        // A file of variables with the line ends of Windows leaves one at each value.
        Kind::Word(_) | Kind::Address => Value::Text(text.trim().to_owned()),
        Kind::Text { .. } | Kind::Secret { .. } => Value::Text(text.to_owned()),
        Kind::Texts { .. } => Value::Texts(list().map(str::to_owned).collect()),
        Kind::Numbers { .. } => Value::Numbers(list().map(count).collect::<Option<_>>()?),
    })
}

fn is_in_range(kind: Kind, value: &Value) -> bool {
    let is_text = |text: &str, bytes_max: usize| {
        text.len() <= bytes_max && !text.chars().any(char::is_control)
    };
    match (kind, value) {
        (Kind::Count { min, max }, Value::Count(count)) => (min..=max).contains(count),
        (Kind::Integer { min, max }, Value::Integer(integer)) => (min..=max).contains(integer),
        (Kind::Power { min, max }, Value::Count(count)) => {
            (min..=max).contains(count) && count.is_power_of_two()
        }
        (Kind::Switch, Value::Switch(_)) => true,
        (Kind::Word(words), Value::Text(text)) => words.contains(&text.as_str()),
        (Kind::Text { bytes_max } | Kind::Secret { bytes_max }, Value::Text(text)) => {
            is_text(text, bytes_max)
        }
        (Kind::Address, Value::Text(text)) => {
            text.parse::<SocketAddr>().is_ok_and(|address| can_be_connected_to(address.ip()))
        }
        (Kind::Texts { count_max, bytes_max }, Value::Texts(texts)) => {
            texts.len() <= count_max && texts.iter().all(|text| is_text(text, bytes_max))
        }
        (Kind::Numbers { count_max, max }, Value::Numbers(numbers)) => {
            numbers.len() <= count_max && numbers.iter().all(|number| *number <= max)
        }
        (
            Kind::Count { .. }
            | Kind::Integer { .. }
            | Kind::Power { .. }
            | Kind::Switch
            | Kind::Word(_)
            | Kind::Text { .. }
            | Kind::Secret { .. }
            | Kind::Address
            | Kind::Texts { .. }
            | Kind::Numbers { .. },
            Value::Count(_)
            | Value::Integer(_)
            | Value::Switch(_)
            | Value::Text(_)
            | Value::Texts(_)
            | Value::Numbers(_),
        ) => false,
    }
}

/// The kernel lets a server listen on the others, too, and nobody ever comes.
fn can_be_connected_to(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    !ip.is_multicast() && ip != IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// The variables that hold a list as TOML, without their prefix.
const LISTS: [&str; 3] = ["NAMESPACES", "LISTENERS", "AUTH_KEYS"];

/// Whether an empty variable with this name can only mean that nothing was said: for a text
/// or a list, empty is a value.
fn is_not_said(name: &str) -> bool {
    let is_list = LISTS.iter().any(|list| name.strip_prefix(ENV_PREFIX) == Some(list));
    let row = SETTINGS.iter().find(|row| row.env() == name);
    is_list
        || row.is_some_and(|row| match row.kind {
            Kind::Count { .. }
            | Kind::Integer { .. }
            | Kind::Power { .. }
            | Kind::Switch
            | Kind::Word(_)
            | Kind::Address => true,
            Kind::Text { .. } | Kind::Secret { .. } | Kind::Texts { .. } | Kind::Numbers { .. } => {
                false
            }
        })
}

/// Whether a variable's name begins like that of a setting. Others, such as
/// those of scripts, are nobody's mistake.
fn is_in_a_section(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(ENV_PREFIX) else { return false };
    let sections = SETTINGS.iter().filter_map(|row| row.key.split_once('.'));
    sections
        .map(|(section, _)| section.to_ascii_uppercase())
        .any(|section| rest.strip_prefix(&section).is_some_and(|rest| rest.starts_with('_')))
}

/// The variable that was probably meant by one that begins like no section: the same setting
/// with its section, or a list. `None` for those of other programs.
fn meant_by(name: &str) -> Option<String> {
    let rest = name.strip_prefix(ENV_PREFIX)?;
    let without_section = |row: &&Row<Config>| {
        row.key.split_once('.').is_some_and(|(_, last)| last.to_ascii_uppercase() == rest)
    };
    let setting = SETTINGS.iter().find(without_section).map(Row::env);
    let list = || {
        let whole = LISTS.into_iter().find(|list| list.strip_suffix(rest) == Some("AUTH_"));
        whole.or_else(|| suggest::nearest(rest, LISTS.into_iter()))
    };
    setting.or_else(|| list().map(|list| format!("{ENV_PREFIX}{list}")))
}

fn key_spec(algorithm: Algorithm, entry: &KeyEntry, load: Load<'_>) -> Result<KeySpec, Why> {
    let one_of_three = "one of secret, secret_file and pem_file must be given, and only one";
    let material = match (&*entry.secret, &*entry.secret_file, &*entry.pem_file) {
        (secret, "", "") if !secret.is_empty() => Material::Secret(secret.as_bytes().to_vec()),
        ("", path, "") if !path.is_empty() => {
            Material::Secret(without_line_end(&read(path, load)?).to_vec())
        }
        ("", "", path) if !path.is_empty() => {
            let text = String::from_utf8(read(path, load)?);
            Material::Pem(text.map_err(|_| Why::File {
                path: path.to_owned(),
                error: "it is not a text, so it is no PEM".to_owned(),
            })?)
        }
        _ => return Err(Why::Relation(one_of_three.to_owned())),
    };
    let kid = Some(entry.kid.clone()).filter(|kid| !kid.is_empty());
    Ok(KeySpec { kid, algorithm, material })
}

fn read(path: &str, load: Load<'_>) -> Result<Vec<u8>, Why> {
    load(Path::new(path))
        .map_err(|error| Why::File { path: path.to_owned(), error: error.to_string() })
}

/// Editors and `echo` end a file with a line feed that is no part of a secret, and some
/// editors begin a text with a mark of its encoding.
fn without_line_end(text: &[u8]) -> &[u8] {
    let text = match text.strip_prefix(b"\xef\xbb\xbf") {
        Some(rest) if str::from_utf8(rest).is_ok() => rest,
        Some(_) | None => text,
    };
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}
