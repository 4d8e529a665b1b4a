//! A configuration as text, and the table as a page.

use std::fmt::Write as _;

use super::mistake::AllowedRange;
use super::row::{SettingKind, SettingRow, SettingValue};
use super::server::hooks::HookEntry;
use super::server::lists::{API_KEYS, HOOK_ENDPOINTS, KEYS, LISTENERS, NAMESPACES, OPERATORS};
use super::server::settings::SETTINGS;
use super::server::{ApiKeyEntry, Config, OperatorEntry};
use crate::room::Namespace;

/// What the server would run with, as a file that it could read again, except
/// that secrets are not in it.
pub fn toml(config: &Config) -> String {
    let mut out = String::from(
        "# Every setting of rookery. What stands here is what holds without it, unless it was set.\n\
         # A variable of the environment wins over this file, and a flag over both.\n",
    );
    let mut section = "";
    for row in SETTINGS {
        let (its_section, name) = row.key.split_once('.').unwrap_or(("", row.key));
        if its_section != section {
            section = its_section;
            let _ = writeln!(out, "\n[{section}]");
        }
        // What only holds without a list would count beside it if it were read again.
        if row.key == "server.listen" && !config.server.listen_counts() {
            out.push_str("# listen: see [[listeners]]\n");
        } else {
            setting(&mut out, row, name, config);
        }
    }
    if config.server.listeners.is_empty() {
        out.push_str(NO_LISTENERS);
    }
    for listener in &config.server.listeners {
        out.push_str("\n[[listeners]]\n");
        for row in LISTENERS {
            let _ = writeln!(out, "{} = {}", row.key, literal(&(row.read)(listener)));
        }
    }
    if config.auth.entries.is_empty() {
        out.push_str(NO_KEYS);
    }
    for entry in &config.auth.entries {
        out.push_str("\n[[auth.keys]]\n");
        for row in KEYS {
            let value = (row.read)(entry);
            if let SettingValue::Text(text) = &value {
                if text.is_empty() {
                    continue;
                }
                if matches!(row.kind, SettingKind::Secret { .. }) {
                    let _ = writeln!(out, "# {} = \"…\" (set)", row.key);
                    continue;
                }
            }
            let _ = writeln!(out, "{} = {}", row.key, literal(&value));
        }
    }
    tables(&mut out, NO_OPERATORS, &config.admin.entries, operator_table);
    tables(&mut out, NO_API_KEYS, &config.api.entries, api_key_table);
    hook_endpoints(&mut out, config);
    for (index, namespace) in config.shard.room.namespaces.iter().enumerate() {
        out.push_str("\n[[namespaces]]\n");
        for row in NAMESPACES {
            if index == 0 {
                setting(&mut out, row, row.key, namespace);
            } else {
                let _ = writeln!(out, "{} = {}", row.key, literal(&(row.read)(namespace)));
            }
        }
    }
    out
}

/// The `[[hooks.endpoints]]`.
fn hook_endpoints(out: &mut String, config: &Config) {
    if config.hooks.entries.is_empty() {
        out.push_str(NO_HOOKS);
    }
    for entry in &config.hooks.entries {
        out.push_str("\n[[hooks.endpoints]]\n");
        for row in HOOK_ENDPOINTS {
            // A password may be in it.
            if matches!(row.kind, SettingKind::Secret { .. }) {
                let _ = writeln!(out, "# {} = \"…\" (set)", row.key);
            } else {
                let _ = writeln!(out, "{} = {}", row.key, literal(&(row.read)(entry)));
            }
        }
    }
}

/// A list of tables, or what stands where there are none.
fn tables<E>(out: &mut String, none: &str, entries: &[E], table: fn(&E) -> String) {
    if entries.is_empty() {
        out.push_str(none);
    }
    for entry in entries {
        out.push('\n');
        out.push_str(&table(entry));
    }
}

/// One `[[admin.operators]]`, as a configuration can have it.
pub fn operator_table(entry: &OperatorEntry) -> String {
    let mut out = "[[admin.operators]]\n".to_owned();
    for row in OPERATORS {
        let _ = writeln!(out, "{} = {}", row.key, literal(&(row.read)(entry)));
    }
    out
}

/// One `[[api.keys]]`, as a configuration can have it.
pub fn api_key_table(entry: &ApiKeyEntry) -> String {
    let mut out = "[[api.keys]]\n".to_owned();
    for row in API_KEYS {
        let _ = writeln!(out, "{} = {}", row.key, literal(&(row.read)(entry)));
    }
    out
}

/// docs/CONFIG.md.
pub fn markdown() -> String {
    let mut out = String::from(HEAD);
    let default = Config::default();
    let mut section = "";
    for row in SETTINGS {
        let (its_section, name) = row.key.split_once('.').unwrap_or(("", row.key));
        if its_section != section {
            section = its_section;
            let _ = writeln!(out, "\n## [{section}]\n\n{SECTION_HEAD}");
        }
        let default = literal(&(row.read)(&default));
        let is_secret = matches!(row.kind, SettingKind::Secret { .. });
        let flag = if is_secret { "no flag".to_owned() } else { format!("`--{}`", row.flag()) };
        let names = format!("`{name}`<br>`{}`<br>{flag}", row.env());
        page_row(&mut out, row, &names, &default);
    }
    out.push_str(LISTENERS_HEAD);
    for row in LISTENERS {
        page_row(&mut out, row, &format!("`{}`", row.key), "");
    }
    out.push_str(KEYS_HEAD);
    for row in KEYS {
        page_row(&mut out, row, &format!("`{}`", row.key), "");
    }
    out.push_str(OPERATORS_HEAD);
    for row in OPERATORS {
        page_row(&mut out, row, &format!("`{}`", row.key), "");
    }
    out.push_str(API_KEYS_HEAD);
    for row in API_KEYS {
        page_row(&mut out, row, &format!("`{}`", row.key), "");
    }
    out.push_str(HOOKS_HEAD);
    for row in HOOK_ENDPOINTS {
        let default = literal(&(row.read)(&HookEntry::default()));
        let default = if ["hook", "url"].contains(&row.key) { String::new() } else { default };
        page_row(&mut out, row, &format!("`{}`", row.key), &default);
    }
    out.push_str(NAMESPACES_HEAD);
    for row in NAMESPACES {
        let default = literal(&(row.read)(&Namespace::default()));
        let default = if row.key == "name" { String::new() } else { default };
        page_row(&mut out, row, &format!("`{}`", row.key), &default);
    }
    out.push_str(WHO);
    out
}

const NO_LISTENERS: &str = "
# More than one address for clients, one table each; server.listen counts beside them
# where it is given, and is the only one where there are none.
# [[listeners]]
# address = \"[::]:8000\"
";

const NO_KEYS: &str = "
# Keys for tokens, one table each. Without any, nobody who has a token can connect.
# [[auth.keys]]
# kid = \"2030-01\"
# algorithm = \"HS256\"
# secret_file = \"secret\"
";

const NO_OPERATORS: &str = "
# Operators of the console, one table each, beside whoever has the admin token;
# `rookery operator-token` makes one.
# [[admin.operators]]
# name = \"ann\"
# sha256 = \"…\"
# role = \"see\"
";

const NO_API_KEYS: &str = "
# Keys of backends for the server API, one table each; `rookery api-key` makes one.
# [[api.keys]]
# name = \"backend\"
# sha256 = \"…\"
# scopes = [\"publish\", \"presence\", \"history\", \"history_remove\", \"info\", \"channels\", \"connections\", \"blocks\", \"chat\"]
# channels = [\"*\"]
";

const NO_HOOKS: &str = "
# What an application's backend is asked (docs/HOOKS.md), one table for each hook.
# [[hooks.endpoints]]
# hook = \"rpc\"
# url = \"http://127.0.0.1:3000/rookery/rpc\"
";

const HEAD: &str = "# Settings

Generated from the table in `src/config/server/settings.rs` by
`rookery print-config --format markdown`; a test compares them.

A setting comes from a TOML file (`--config`), from the environment, or from a
flag; the later wins. Lists are separated by commas in the environment and in
flags. A variable that is empty says nothing, unless it is a text or a list. A name that
does not exist and a value out of range are mistakes; `rookery check-config` names all
of them with their places. `rookery print-config` prints what the server would run
with, without secrets, and config/rookery.toml is that for an empty file.
";

const SECTION_HEAD: &str =
    "| setting, environment, flag | range | default | what it is for |\n|---|---|---|---|";

const OPERATORS_HEAD: &str = "
## [[admin.operators]]

One table for each operator of the console; up to 32, beside whoever has the admin token. SIGHUP
reads them again, and ends the sessions of those who are not there any more, or have another
token. In the environment the whole list is one variable, `ROOKERY_ADMIN_OPERATORS`, as TOML.

| setting | range | default | what it is for |
|---|---|---|---|
";

const API_KEYS_HEAD: &str = "
## [[api.keys]]

One table for each key of a backend; up to 32. SIGHUP reads them again, so a key is rotated
without a restart: add the new one, let the backend use it, take the old one out. In the
environment the whole list is one variable, `ROOKERY_API_KEYS`, as TOML.

| setting | range | default | what it is for |
|---|---|---|---|
";

const HOOKS_HEAD: &str = "
## [[hooks.endpoints]]

One table for each hook that an application's backend is asked ([HOOKS.md](HOOKS.md)). In the
environment the whole list is one variable, `ROOKERY_HOOKS_ENDPOINTS`, as TOML.

| setting | range | default | what it is for |
|---|---|---|---|
";

const LISTENERS_HEAD: &str = "
## [[listeners]]

One table for each address that clients connect to; up to 16, and each shard listens on
all of them. Without any, `server.listen` is the one; with some, it counts beside them only
where somebody gave it. No two may overlap: `[::]:8000` takes IPv4, too, and with it every
other address of this port. In the environment the whole list is one variable,
`ROOKERY_LISTENERS`, as TOML: `[{ address = \"[::]:8000\" }]`.

| setting | range | default | what it is for |
|---|---|---|---|
";

const KEYS_HEAD: &str = "
## [[auth.keys]]

One table for each key; up to 16, so that keys can be rotated: add the new one,
let the backend sign with it, remove the old one when its tokens have ended.
SIGHUP reads them again. In the environment the whole list is one variable,
`ROOKERY_AUTH_KEYS`, as TOML: `[{ algorithm = \"HS256\", secret_file = \"/run/key\" }]`.

| setting | range | default | what it is for |
|---|---|---|---|
";

const NAMESPACES_HEAD: &str = "
## [[namespaces]]

One table for each namespace; up to 64. A channel belongs to the namespace before
its first colon; a channel whose namespace is not listed does not exist (error
102). Without any table, `room`, `news`, `@` and `dm` are there as
config/rookery.toml shows them; with one, exactly those that are listed. In the environment the whole
list is one variable, `ROOKERY_NAMESPACES`, as TOML: `[{ name = \"room\" }]`.

| setting | range | default | what it is for |
|---|---|---|---|
";

const WHO: &str = "
| who | is |
|---|---|
| `nobody` | only the server itself |
| `token` | whoever a subscription token, or a capability of the connection token, names |
| `subscribers` | whoever is in the channel |
| `users` | everyone whose token names a user |
| `anyone` | everyone, anonymous peers too |

A right that a token gives counts everywhere, except where it says `nobody`.
";

pub(super) fn page_row<T>(out: &mut String, row: &SettingRow<T>, names: &str, default: &str) {
    let range = AllowedRange { kind: row.kind, unit: row.unit }.to_string().replace('|', "\\|");
    let default = if default.is_empty() { "–".to_owned() } else { format!("`{default}`") };
    let _ = writeln!(out, "| {names} | {range} | {default} | {} |", row.help.replace('|', "\\|"));
}

/// A setting behind its explanation.
pub(super) fn setting<T>(out: &mut String, row: &SettingRow<T>, name: &str, from: &T) {
    let range = AllowedRange { kind: row.kind, unit: row.unit };
    for line in wrapped(&format!("{} Takes {range}.", row.help)) {
        let _ = writeln!(out, "# {line}");
    }
    let value = (row.read)(from);
    let is_set = value != SettingValue::Text(String::new());
    let _ = if matches!(row.kind, SettingKind::Secret { .. }) && is_set {
        writeln!(out, "# {name} = \"…\" (set)")
    } else {
        writeln!(out, "{name} = {}", literal(&value))
    };
}

pub(super) fn wrapped(text: &str) -> Vec<String> {
    const CHARS_MAX: usize = 88;
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("it begins with one");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= CHARS_MAX {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

pub(super) fn literal(value: &SettingValue) -> String {
    match value {
        SettingValue::Count(count) => count.to_string(),
        SettingValue::Integer(integer) => integer.to_string(),
        SettingValue::Switch(on) => on.to_string(),
        SettingValue::Text(text) => quoted(text),
        SettingValue::Texts(texts) => {
            format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
        }
        SettingValue::Numbers(numbers) => {
            format!("[{}]", numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A basic string of TOML. Control characters are in no text of a configuration.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
