//! From texts to a configuration: file, environment and flags are read in this order, and the
//! later one wins.
//!
//! Invariant: a configuration is usable as a whole, or all that was found wrong is told at
//! once, each mistake with its place.
//!
//! Deliberately absent: TOML (`file`), and what settings have to do with each other
//! (`relations`).

use std::net::SocketAddr;
use std::path::Path;

use super::lists::{API_KEYS, HOOK_ENDPOINTS, KEYS, LISTENERS, NAMESPACES, OPERATORS};
use super::relations;
use super::settings::SETTINGS;
use super::{
    ApiKeyEntry, Config, KeyEntry, NAMESPACES_MAX, OperatorEntry, alerts_url, hooks, presence_feed,
};
use crate::admin::AdminToken;
use crate::auth::{
    API_KEYS_MAX, Algorithm, ApiKey, ApiScope, KEYS_MAX, KeyMaterial, KeySpec, Keys, SecretHash,
};
use crate::base::limits::LISTENERS_MAX;
use crate::config::draft::ConfigDraft;
use crate::config::given::SourceValue;
use crate::config::mistake::{ConfigError, ConfigErrorKind, SourceLocation};
use crate::config::row::{ENV_PREFIX, SettingKind, SettingRow};
use crate::config::schema::{List, Schema, list};
use crate::config::service_links::is_service_link;
use crate::config::source::{File, LoadFile};
use crate::config::{file, suggest};
use crate::console::{ADMIN, OPERATORS_MAX, ORIGINS_MAX, Operator, OperatorRole, PageOrigin};
use crate::hook::Hook;

/// A default that other limits make smaller does not get smaller than this.
const MESSAGE_BYTES_MIN: u32 = 64 << 10;

/// What the server can be told.
static SCHEMA: Schema<Config> = Schema {
    settings: SETTINGS,
    lists: &[
        list!("namespaces", shard.room.namespaces, NAMESPACES, NAMESPACES_MAX),
        list!("listeners", server.listeners, LISTENERS, LISTENERS_MAX),
        list!("auth.keys", auth.entries, KEYS, KEYS_MAX),
        list!("admin.operators", admin.entries, OPERATORS, OPERATORS_MAX),
        list!("api.keys", api.entries, API_KEYS, API_KEYS_MAX),
        list!("hooks.endpoints", hooks.entries, HOOK_ENDPOINTS, Hook::ALL.len()),
    ],
    hints: SETTINGS,
    forms: &[],
};

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

/// A usable configuration, or all that is wrong with it.
pub fn resolve(sources: &Sources, load: LoadFile<'_>) -> Result<Config, Vec<ConfigError>> {
    let mut draft = SCHEMA.draft();
    if let Some(file) = &sources.file {
        file::read(file, &SCHEMA, &mut draft)?;
    }
    read_env(&mut draft, &sources.env);
    read_flags(&mut draft, &sources.flags);
    draft.value_mut().server.listen_is_given = draft.is_given("server.listen");
    bound_messages(&mut draft);
    resolve_keys(&mut draft, load);
    resolve_admin_token(&mut draft, load);
    resolve_console(&mut draft);
    resolve_api(&mut draft);
    let key = resolve_hook_secret(&mut draft, load);
    hooks::resolve(&mut draft, key);
    presence_feed::resolve(&mut draft);
    relations::check(&mut draft);
    draft.finish()
}

/// A message may be as long as by default only where the limits that were set have room
/// for one; they need not be set anew because that default is a large one.
fn bound_messages(draft: &mut ConfigDraft<Config>) {
    if draft.is_given("ws.message_bytes_max") {
        return;
    }
    let shard = &mut draft.value_mut().shard;
    let session = &shard.session;
    let by_quota = if session.bytes_per_s == 0 { u32::MAX } else { session.bytes_burst };
    let room = session.outbox_bytes_max.min(by_quota).max(MESSAGE_BYTES_MIN);
    shard.ws.message_bytes_max = shard.ws.message_bytes_max.min(room);
}

fn read_env(draft: &mut ConfigDraft<Config>, env: &[(String, String)]) {
    for (name, text) in env {
        if is_service_link(name, text) {
            continue;
        }
        let place = SourceLocation::Env(name.clone());
        let given = SourceValue::Text(text);
        // Programs that fill in templates leave variables empty for what is not said.
        if text.trim().is_empty() && is_not_said(name) {
            continue;
        }
        if let Some(row) = SETTINGS.iter().find(|row| row.env() == *name) {
            draft.set(place, row.key, given);
        } else if let Some(list) = list_of(name) {
            file::read_list(text, list, place, draft);
        } else if is_in_a_section(name) {
            let known: Vec<String> = SETTINGS.iter().map(SettingRow::env).collect();
            let near = suggest::nearest(name, known.iter().map(String::as_str));
            draft.refuse(place, "", ConfigErrorKind::Unknown(near.map(str::to_owned)));
        } else if let Some(meant) = meant_by(name) {
            draft.value_mut().ignored_variables.push((name.clone(), meant));
        }
    }
}

fn read_flags(draft: &mut ConfigDraft<Config>, flags: &[(&'static str, String)]) {
    for (key, text) in flags {
        let row = SETTINGS.iter().find(|row| row.key == *key);
        let flag = row.map_or_else(|| (*key).to_owned(), SettingRow::flag);
        draft.set(SourceLocation::Flag(flag), key, SourceValue::Text(text));
    }
}

/// Makes keys of what was written about them.
fn resolve_keys(draft: &mut ConfigDraft<Config>, load: LoadFile<'_>) {
    let mut specs = Vec::new();
    let mut indexes = Vec::new();
    for (index, entry) in draft.value().auth.entries.clone().iter().enumerate() {
        let Some(algorithm) = Algorithm::from_name(&entry.algorithm) else {
            continue; // noted when the entry was read
        };
        match key_spec(algorithm, entry, load) {
            Ok(mut spec) => {
                if draft.value().shard.session.insecure {
                    spec.accept_short_secret();
                }
                specs.push(spec);
                indexes.push(index);
            }
            Err(why) => {
                let place = draft.entry_place("auth.keys", index);
                draft.refuse(place, &format!("auth.keys[{index}]"), why);
            }
        }
    }
    for fault in Keys::build(&specs).err().unwrap_or_default() {
        let index = indexes[fault.index];
        let place = draft.entry_place("auth.keys", index);
        draft.refuse(place, &format!("auth.keys[{index}]"), ConfigErrorKind::Key(fault.trouble));
    }
    draft.value_mut().auth.keys = specs;
}

/// Makes a token of what was written about it.
fn resolve_admin_token(draft: &mut ConfigDraft<Config>, load: LoadFile<'_>) {
    const TOKEN: &str = "admin.token";
    const FILE: &str = "admin.token_file";
    let admin = &draft.value().admin;
    let (text, path) = (admin.token.clone(), admin.token_file.clone());
    if draft.refused_keys().any(|key| [TOKEN, FILE].contains(&key)) {
        return;
    }
    let (key, bytes) = match (text.is_empty(), path.is_empty()) {
        (true, true) => return,
        (false, true) => (TOKEN, Ok(text.into_bytes())),
        (true, false) => (FILE, read(&path, load)),
        (false, false) => {
            let sentence = "admin.token is given, too; one of the two is enough".to_owned();
            return draft.refuse_setting(FILE, sentence);
        }
    };
    let token = bytes.and_then(|bytes| {
        AdminToken::new(without_line_end(&bytes))
            .map_err(|trouble| ConfigErrorKind::Relation(trouble.to_string()))
    });
    match token {
        Ok(token) => draft.value_mut().admin.ready = Some(token),
        Err(why) => draft.refuse(draft.place(key), key, why),
    }
}

/// The secret that signs what a backend is asked, if there is one.
fn resolve_hook_secret(draft: &mut ConfigDraft<Config>, load: LoadFile<'_>) -> Option<Vec<u8>> {
    const FILE: &str = "hooks.secret_file";
    let hooks = &draft.value().hooks;
    let (text, path) = (hooks.secret.clone(), hooks.secret_file.clone());
    match (text.is_empty(), path.is_empty()) {
        (true, true) => None,
        (false, true) => Some(text.into_bytes()),
        (true, false) => match read(&path, load) {
            Ok(bytes) => Some(without_line_end(&bytes).to_vec()),
            Err(why) => {
                draft.refuse(draft.place(FILE), FILE, why);
                None
            }
        },
        (false, false) => {
            let sentence = "hooks.secret is given, too; one of the two is enough".to_owned();
            draft.refuse_setting(FILE, sentence);
            None
        }
    }
}

/// Makes operators and origins of the console of what was written about them.
fn resolve_console(draft: &mut ConfigDraft<Config>) {
    const ORIGINS: &str = "admin.console_origins";
    let origins = draft.value().admin.console_origins.clone();
    if ORIGINS_MAX < origins.len() {
        draft.refuse_setting(ORIGINS, format!("there are more than {ORIGINS_MAX}"));
    } else if let Some(wrong) = origins.iter().find(|text| PageOrigin::parse(text).is_none()) {
        let sentence = format!("{wrong:?} is no origin, such as https://ops.example.org");
        draft.refuse_setting(ORIGINS, sentence);
    }
    let alertmanager = draft.value().admin.alertmanager_url.clone();
    if !alertmanager.is_empty()
        && let Err(error) = alerts_url(&alertmanager)
    {
        draft.refuse_setting("admin.alertmanager_url", error.to_string());
    }
    let mut operators: Vec<Operator> = Vec::new();
    for (index, entry) in draft.value().admin.entries.clone().iter().enumerate() {
        let refusal = match operator(entry) {
            Ok(one) if operators.iter().any(|other| other.name == one.name) => {
                format!("{:?} is there twice", entry.name)
            }
            Ok(one) if operators.iter().any(|other| other.token == one.token) => {
                "another operator has the same sha256".to_owned()
            }
            Ok(one) => {
                operators.push(one);
                continue;
            }
            Err(sentence) => sentence,
        };
        draft.refuse_entry("admin.operators", index, refusal);
    }
    draft.value_mut().admin.operators = operators;
}

/// An operator, or what is wrong with them.
fn operator(entry: &OperatorEntry) -> Result<Operator, String> {
    let OperatorEntry { name, sha256, role } = entry;
    if !is_plain_name(name) {
        return Err(format!("the name {name:?} may have letters, digits, `-`, `_` and `.` only"));
    }
    if name == ADMIN {
        return Err(format!("{ADMIN} is whoever has the admin token; choose another name"));
    }
    let token = SecretHash::parse(sha256).ok_or_else(|| {
        "sha256 must be the 64 hexadecimal letters that `rookery operator-token` prints".to_owned()
    })?;
    let role = OperatorRole::from_name(role)
        .ok_or_else(|| format!("{role:?} is no role; there are see, act"))?;
    Ok(Operator { name: name.as_str().into(), token, role })
}

/// Whether logs can have a name as it is.
fn is_plain_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && name.bytes().all(is_plain)
}

/// Makes an address and keys of the server API of what was written about them.
fn resolve_api(draft: &mut ConfigDraft<Config>) {
    const LISTEN: &str = "api.listen";
    let (listen, entries) = (draft.value().api.listen.clone(), draft.value().api.entries.clone());
    if !listen.is_empty() && listen.parse::<SocketAddr>().is_err() {
        let sentence = format!("{listen:?} is no address with a port, such as 127.0.0.1:8002");
        draft.refuse_setting(LISTEN, sentence);
    }
    let mut keys: Vec<ApiKey> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        match api_key(entry) {
            Ok(key) if keys.iter().any(|other| other.name == key.name) => {
                draft.refuse_entry("api.keys", index, format!("{:?} is there twice", entry.name));
            }
            Ok(key) if keys.iter().any(|other| other.hash == key.hash) => {
                draft.refuse_entry("api.keys", index, "another key has the same sha256".to_owned());
            }
            Ok(key) => keys.push(key),
            Err(sentence) => draft.refuse_entry("api.keys", index, sentence),
        }
    }
    draft.value_mut().api.keys = keys;
}

/// A key, or what is wrong with it.
fn api_key(entry: &ApiKeyEntry) -> Result<ApiKey, String> {
    let ApiKeyEntry { name, sha256, scopes, tenant, channels } = entry;
    if !is_plain_name(name) {
        return Err(format!("the name {name:?} may have letters, digits, `-`, `_` and `.` only"));
    }
    let hash = SecretHash::parse(sha256).ok_or_else(|| {
        "sha256 must be the 64 hexadecimal letters that `rookery api-key` prints".to_owned()
    })?;
    let scope = |word: &String| {
        ApiScope::from_name(word)
            .ok_or_else(|| format!("{word:?} is no scope; there are {}", ApiScope::words()))
    };
    Ok(ApiKey {
        name: name.as_str().into(),
        hash,
        scopes: scopes.iter().map(scope).collect::<Result<_, _>>()?,
        tenant: tenant.as_str().into(),
        channels: channels.iter().map(|pattern| pattern.as_str().into()).collect(),
    })
}

/// The list that a variable holds as TOML.
fn list_of(name: &str) -> Option<&'static List<Config>> {
    let rest = name.strip_prefix(ENV_PREFIX)?;
    SCHEMA.lists.iter().find(|list| list.key.replace('.', "_").to_ascii_uppercase() == rest)
}

/// The variables that hold a list as TOML, without their prefix.
const LISTS: [&str; 5] = ["NAMESPACES", "LISTENERS", "AUTH_KEYS", "API_KEYS", "HOOKS_ENDPOINTS"];

/// Whether an empty variable with this name can only mean that nothing was said: for a text
/// or a list, empty is a value.
fn is_not_said(name: &str) -> bool {
    let is_list = LISTS.iter().any(|list| name.strip_prefix(ENV_PREFIX) == Some(list));
    let row = SETTINGS.iter().find(|row| row.env() == name);
    is_list
        || row.is_some_and(|row| match row.kind {
            SettingKind::Count { .. }
            | SettingKind::Integer { .. }
            | SettingKind::Power { .. }
            | SettingKind::Switch
            | SettingKind::Word(_)
            | SettingKind::Address => true,
            SettingKind::Text { .. }
            | SettingKind::Secret { .. }
            | SettingKind::Texts { .. }
            | SettingKind::Numbers { .. } => false,
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
    let without_section = |row: &&SettingRow<Config>| {
        row.key.split_once('.').is_some_and(|(_, last)| last.to_ascii_uppercase() == rest)
    };
    let setting = SETTINGS.iter().find(without_section).map(SettingRow::env);
    let list = || {
        let whole = LISTS.into_iter().find(|list| list.strip_suffix(rest) == Some("AUTH_"));
        whole.or_else(|| suggest::nearest(rest, LISTS.into_iter()))
    };
    setting.or_else(|| list().map(|list| format!("{ENV_PREFIX}{list}")))
}

fn key_spec(
    algorithm: Algorithm,
    entry: &KeyEntry,
    load: LoadFile<'_>,
) -> Result<KeySpec, ConfigErrorKind> {
    let one_of_three = "one of secret, secret_file and pem_file must be given, and only one";
    let material = match (&*entry.secret, &*entry.secret_file, &*entry.pem_file) {
        (secret, "", "") if !secret.is_empty() => KeyMaterial::Secret(secret.as_bytes().to_vec()),
        ("", path, "") if !path.is_empty() => {
            KeyMaterial::Secret(without_line_end(&read(path, load)?).to_vec())
        }
        ("", "", path) if !path.is_empty() => {
            let text = String::from_utf8(read(path, load)?);
            KeyMaterial::Pem(text.map_err(|_| ConfigErrorKind::File {
                path: path.to_owned(),
                error: "it is not a text, so it is no PEM".to_owned(),
            })?)
        }
        _ => return Err(ConfigErrorKind::Relation(one_of_three.to_owned())),
    };
    let kid = Some(entry.kid.clone()).filter(|kid| !kid.is_empty());
    Ok(KeySpec { kid, algorithm, material })
}

fn read(path: &str, load: LoadFile<'_>) -> Result<Vec<u8>, ConfigErrorKind> {
    load(Path::new(path))
        .map_err(|error| ConfigErrorKind::File { path: path.to_owned(), error: error.to_string() })
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
