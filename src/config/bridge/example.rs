//! The bridge's settings as a file with examples, and as a page.
//!
//! Deliberately absent: what stands there by default. It is what `Options` say.

use std::fmt::Write as _;

use super::settings::{ACTIONS, PEOPLE, ROBOTS, ROUTES, SETTINGS};
use crate::alert::{AlertAction, Language, Options, Person, Robot, Route, Secret};
use crate::config::print::{literal, page_row, setting};
use crate::config::row::SettingRow;

/// config/alert-bridge.toml: every setting, with what holds without it, and one entry
/// of each list.
pub fn bridge_toml() -> String {
    let mut out = String::from(
        "# Every setting of `rookery alert-bridge`, with what holds without it, and one example of\n\
         # each list. Secrets are never in here: this file names the files, or the variables of the\n\
         # environment, that they are in. docs/ALERT_BRIDGE.md says how it is set up.\n",
    );
    let mut section = "";
    for row in SETTINGS {
        let (its_section, name) = row.key.split_once('.').unwrap_or(("", row.key));
        if its_section != section {
            section = its_section;
            let _ = writeln!(out, "\n[{section}]");
        }
        setting(&mut out, row, name, &Options::default());
    }
    let (robot, route, person, action) = examples();
    example(&mut out, "robots", ROBOTS, &robot);
    example(&mut out, "routes", ROUTES, &route);
    out.push_str("\n[[routes]]\nname = \"page\"\nchats = [\"ops\"]\nlanguage = \"zh\"\n");
    example(&mut out, "people", PEOPLE, &person);
    example(&mut out, "actions", ACTIONS, &action);
    out
}

fn example<T>(out: &mut String, list: &str, rows: &[SettingRow<T>], entry: &T) {
    let _ = writeln!(out, "\n[[{list}]]");
    for row in rows {
        setting(out, row, row.key, entry);
    }
}

fn examples() -> (Robot, Route, Person, AlertAction) {
    let robot = Robot {
        name: "ops-1".to_owned(),
        chat: "ops".to_owned(),
        token: Secret { env: "WECOM_OPS_1".to_owned(), ..Secret::default() },
        ..Robot::default()
    };
    let route = Route {
        name: "default".to_owned(),
        chats: vec!["ops".to_owned()],
        language: Language::Zh,
        ..Route::default()
    };
    let person = Person {
        name: "anna".to_owned(),
        label: "owner".to_owned(),
        value: "chat".to_owned(),
        wecom_id: "anna".to_owned(),
        ..Person::default()
    };
    let action = AlertAction {
        name: "dump-tasks".to_owned(),
        alert: "ChatTaskLeakPerConn".to_owned(),
        path: "/debug/tasks".to_owned(),
        ..AlertAction::default()
    };
    (robot, route, person, action)
}

/// The tables of settings in docs/ALERT_BRIDGE.md.
pub fn bridge_markdown() -> String {
    const HEAD: &str = "| setting | range | default | what it is for |\n|---|---|---|---|";
    let mut out = String::new();
    let default = Options::default();
    let mut section = "";
    for row in SETTINGS {
        let (its_section, name) = row.key.split_once('.').unwrap_or(("", row.key));
        if its_section != section {
            section = its_section;
            let _ = writeln!(out, "\n### [{section}]\n\n{HEAD}");
        }
        page_row(&mut out, row, &format!("`{name}`"), &literal(&(row.read)(&default)));
    }
    list(&mut out, "robots", ROBOTS, HEAD);
    list(&mut out, "routes", ROUTES, HEAD);
    list(&mut out, "people", PEOPLE, HEAD);
    list(&mut out, "actions", ACTIONS, HEAD);
    out
}

fn list<T: Default>(out: &mut String, name: &str, rows: &[SettingRow<T>], head: &str) {
    let _ = writeln!(out, "\n### [[{name}]]\n\n{head}");
    let default = T::default();
    for row in rows {
        let default =
            if row.key == "name" { String::new() } else { literal(&(row.read)(&default)) };
        page_row(out, row, &format!("`{}`", row.key), &default);
    }
}
