//! The configuration of the alert bridge: a file of its own, read as the server's is.
//!
//! Secrets are not in it: it names the files or variables that they are in.

use std::fmt::Write as _;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::bridge_table::{ACTIONS, PEOPLE, ROBOTS, ROUTES, SETTINGS};
use super::file::{in_order, name_shown, place, tables};
use super::mistake::{Mistake, Place, Why};
use super::print::{literal, page_row, setting};
use super::row::Row;
use super::sources::{File, Given, Load};
use super::suggest;
use crate::alert::{
    Channel, Language, Options, Person, Robot, Route, Secret, Settings, Templates, check_template,
    template_name,
};
use crate::outbound::{DIRECT, HttpUrl, Proxy, ProxyRules};

const ROBOTS_MAX: usize = 256;
const ROUTES_MAX: usize = 64;
const PEOPLE_MAX: usize = 256;
const ACTIONS_MAX: usize = 64;

/// Bytes of a key for links, at least.
const KEY_BYTES_MIN: usize = 16;

/// Bytes of the listener's token, at least.
const TOKEN_BYTES_MIN: usize = 16;

/// What the bridge's configuration is made of.
pub struct BridgeSources<'a> {
    /// The file.
    pub file: &'a File,
    /// A variable of the environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// A file that the configuration names.
    pub load: Load<'a>,
    /// The names of the files in a directory that it names.
    pub list: &'a dyn Fn(&Path) -> std::io::Result<Vec<String>>,
}

/// Usable settings, or all that is wrong with them.
pub fn resolve_bridge(mut sources: BridgeSources<'_>) -> Result<Settings, Vec<Mistake>> {
    let mut draft = Draft::read(sources.file)?;
    draft.read_secrets(&mut sources);
    draft.read_proxies(sources.env);
    draft.check();
    let templates = draft.templates(&mut sources);
    draft.mistakes.sort_by(|one, other| one.place.cmp(&other.place));
    match templates {
        Some(templates) if draft.mistakes.is_empty() => {
            Ok(Settings { options: draft.options, templates })
        }
        _ => Err(draft.mistakes),
    }
}

struct Draft {
    options: Options,
    places: Vec<(String, Place)>,
    robots: Vec<Place>,
    routes: Vec<Place>,
    people: Vec<Place>,
    actions: Vec<Place>,
    mistakes: Vec<Mistake>,
}

impl Draft {
    fn read(file: &File) -> Result<Draft, Vec<Mistake>> {
        let (table, errors) = DeTable::parse_recoverable(&file.text);
        let place = |span: std::ops::Range<usize>| place(file, span.start);
        if !errors.is_empty() {
            let syntax = |error: &toml::de::Error| Mistake {
                place: place(error.span().unwrap_or_default()),
                key: String::new(),
                why: Why::Syntax(error.message().to_owned()),
            };
            return Err(errors.iter().map(syntax).collect());
        }
        let mut draft = Draft {
            options: Options::default(),
            places: Vec::new(),
            robots: Vec::new(),
            routes: Vec::new(),
            people: Vec::new(),
            actions: Vec::new(),
            mistakes: Vec::new(),
        };
        for (name, value) in in_order(table.get_ref()) {
            let (at, list) = (place(name.span()), value.get_ref());
            let mistakes = &mut draft.mistakes;
            match (name.get_ref().as_ref(), list) {
                ("robots", _) => {
                    let all = tables("robots", list, at.clone(), ROBOTS, &place, mistakes);
                    let all = bounded(all, ROBOTS_MAX, "robots", at, mistakes);
                    (draft.options.robots, draft.robots) = all.into_iter().unzip();
                }
                ("routes", _) => {
                    let all = tables("routes", list, at.clone(), ROUTES, &place, mistakes);
                    let all = bounded(all, ROUTES_MAX, "routes", at, mistakes);
                    (draft.options.routes, draft.routes) = all.into_iter().unzip();
                }
                ("people", _) => {
                    let all = tables("people", list, at.clone(), PEOPLE, &place, mistakes);
                    let all = bounded(all, PEOPLE_MAX, "people", at, mistakes);
                    (draft.options.people, draft.people) = all.into_iter().unzip();
                }
                ("actions", _) => {
                    let all = tables("actions", list, at.clone(), ACTIONS, &place, mistakes);
                    let all = bounded(all, ACTIONS_MAX, "actions", at, mistakes);
                    (draft.options.actions, draft.actions) = all.into_iter().unzip();
                }
                (section, DeValue::Table(table)) if is_section(section) => {
                    draft.read_section(section, table, &place);
                }
                (section, _) if is_section(section) => {
                    draft.refuse(at, section, Why::Shape("a table, such as [section]"));
                }
                (other, _) => {
                    let lists = ["robots", "routes", "people", "actions"];
                    let near = suggest::nearest(other, sections().chain(lists));
                    let why = Why::Unknown(near.map(str::to_owned));
                    draft.refuse(at, &name_shown(other), why);
                }
            }
        }
        Ok(draft)
    }

    fn read_section(
        &mut self,
        section: &str,
        table: &DeTable<'_>,
        place: &dyn Fn(std::ops::Range<usize>) -> Place,
    ) {
        for (name, value) in in_order(table) {
            let key = format!("{section}.{}", name_shown(name.get_ref()));
            let Some(row) = SETTINGS.iter().find(|row| row.key == key) else {
                let near = suggest::nearest(&key, SETTINGS.iter().map(|row| row.key));
                let why = Why::Unknown(near.map(str::to_owned));
                self.refuse(place(name.span()), &key, why);
                continue;
            };
            let at = place(value.span());
            match Given::Toml(value.get_ref()).value(row) {
                Ok(value) => {
                    // The one setting whose form its row does not check.
                    if let (super::Value::Text(text), "silence.listen") = (&value, row.key)
                        && !text.is_empty()
                        && text.parse::<std::net::SocketAddr>().is_err()
                    {
                        let sentence = "it must be an address with a port, or empty";
                        self.refuse(at.clone(), row.key, Why::Relation(sentence.to_owned()));
                    }
                    (row.write)(&mut self.options, value);
                }
                Err(why) => self.refuse(at.clone(), &key, why),
            }
            self.places.push((key, at));
        }
    }

    fn refuse(&mut self, place: Place, key: &str, why: Why) {
        self.mistakes.push(Mistake { place, key: key.to_owned(), why });
    }

    /// Says what is wrong, where the setting was given.
    fn refuse_setting(&mut self, key: &str, sentence: String) {
        let place = self.places.iter().find(|(one, _)| one == key);
        let place = place.map_or(Place::Default, |(_, place)| place.clone());
        self.refuse(place, key, Why::Relation(sentence));
    }

    fn read_secrets(&mut self, sources: &mut BridgeSources<'_>) {
        let mut found: Vec<(Place, String, Why)> = Vec::new();
        let mut read = |secret: &mut Secret, place: &Place, key: &str| {
            if let Err(why) = read_secret(secret, sources) {
                found.push((place.clone(), key.to_owned(), why));
            }
        };
        let default = Place::Default;
        read(&mut self.options.token, &default, "bridge.token_file");
        read(&mut self.options.instances_token, &default, "instances.token_file");
        read(&mut self.options.silence_key, &default, "silence.key_file");
        read(&mut self.options.heartbeat_secret, &default, "heartbeat.url_file");
        read(&mut self.options.peer_token, &default, "peer.token_file");
        for (index, robot) in self.options.robots.iter_mut().enumerate() {
            let place = &self.robots[index];
            read(&mut robot.token, place, &format!("robots[{index}].token_file"));
            read(&mut robot.signature, place, &format!("robots[{index}].signature_file"));
        }
        for (place, key, why) in found {
            let given = self.places.iter().find(|(one, _)| *one == key);
            let place = given.map_or(place, |(_, place)| place.clone());
            self.refuse(place, &key, why);
        }
    }

    /// What leads outside: the setting, or without one the environment.
    fn read_proxies(&mut self, env: &dyn Fn(&str) -> Option<String>) {
        let (proxy, no_proxy) = (self.options.proxy.clone(), self.options.no_proxy.join(","));
        if proxy.is_empty() || proxy == DIRECT {
            if !no_proxy.is_empty() {
                let sentence = "it is for bridge.proxy, which names none".to_owned();
                self.refuse_setting("bridge.no_proxy", sentence);
            }
            if proxy.is_empty() {
                match ProxyRules::from_env(env) {
                    Ok(rules) => self.options.proxies = rules,
                    Err((name, error)) => {
                        let place = Place::Env(name.to_owned());
                        self.refuse(place, "bridge.proxy", Why::Relation(error.to_string()));
                    }
                }
            }
            return;
        }
        let rules = Proxy::parse(&proxy).and_then(|proxy| ProxyRules::through(proxy, &no_proxy));
        match rules {
            Ok(rules) => self.options.proxies = rules,
            Err(error) => self.refuse_setting("bridge.proxy", error.to_string()),
        }
    }

    fn check(&mut self) {
        let options = self.options.clone();
        self.check_robots(&options);
        self.check_routes(&options);
        self.check_people_and_actions(&options);
        for (key, url) in [
            ("prometheus.url", &options.prometheus_url),
            ("silence.alertmanager_url", &options.alertmanager_url),
            ("silence.url", &options.silence_url),
            ("peer.url", &options.peer_url),
        ] {
            if let Some(sentence) = url_mistake(url) {
                self.refuse_setting(key, sentence);
            }
        }
        let secret = &options.heartbeat_secret;
        if is_named(secret) && !options.heartbeat_url.is_empty() {
            let sentence = "it is given twice; one is enough".to_owned();
            self.refuse_setting("heartbeat.url", sentence);
        }
        for (key, url) in
            [("heartbeat.url", &options.heartbeat_url), ("heartbeat.url_file", &secret.value)]
        {
            if let Some(sentence) = url_mistake(url) {
                self.refuse_setting(key, sentence);
            }
        }
        if has_credentials(&options.silence_url) {
            let sentence = "everybody in the chat would read its password";
            self.refuse_setting("silence.url", sentence.to_owned());
        }
        if is_named(&options.token) {
            if (1..TOKEN_BYTES_MIN).contains(&options.token.value.len()) {
                let sentence = format!("it must have at least {TOKEN_BYTES_MIN} bytes");
                self.refuse_setting("bridge.token_file", sentence);
            }
        } else if !options.listen.ip().to_canonical().is_loopback() {
            let sentence = "other machines reach this address, and whoever reaches it can notify, \
                            cause actions and feed the watchdog: set bridge.token_file, or listen \
                            on 127.0.0.1";
            self.refuse_setting("bridge.listen", sentence.to_owned());
        }
        let key = &options.silence_key.value;
        let escalates = options.routes.iter().any(|route| !route.escalation.is_empty());
        if escalates && options.silence_url.is_empty() {
            let sentence = "a route has an escalation, and nobody could acknowledge: links need it";
            self.refuse_setting("silence.url", sentence.to_owned());
        }
        if !options.peer_url.is_empty() && options.peer_token.value.len() < TOKEN_BYTES_MIN {
            let what =
                format!("the other bridge needs a token of at least {TOKEN_BYTES_MIN} bytes");
            self.refuse_setting("peer.token_file", what);
        }
        let has_links = !options.alertmanager_url.is_empty() && !options.silence_url.is_empty();
        let is_needed =
            has_links || escalates || options.routes.iter().any(|route| route.hash_rooms);
        if (is_needed || !key.is_empty()) && key.len() < KEY_BYTES_MIN {
            let what =
                format!("links, and hashes of rooms, need a key of at least {KEY_BYTES_MIN} bytes");
            self.refuse_setting("silence.key_file", what);
        }
        if options.dir.as_os_str().is_empty() {
            self.refuse_setting("bridge.dir", "it must name a directory".to_owned());
        }
        for (key, name) in [
            ("bridge.default_route", &options.default_route),
            ("deadman.route", &options.deadman_route),
        ] {
            if !name.is_empty() && !options.routes.iter().any(|route| route.name == *name) {
                self.refuse_setting(key, format!("there is no route {name:?}"));
            }
        }
        for instance in &options.instances {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
            if !instance.contains(':') || !instance.chars().all(is_plain) {
                self.refuse_setting("instances.allowed", format!("{instance:?} is no host:port"));
            }
        }
    }

    fn check_robots(&mut self, options: &Options) {
        if options.robots.is_empty() {
            self.refuse(
                Place::Default,
                "robots",
                Why::Relation("nobody could speak: add [[robots]]".to_owned()),
            );
        }
        for (index, robot) in options.robots.iter().enumerate() {
            let others = &options.robots[..index];
            for (what, is_wrong) in robot_mistakes(robot, others) {
                if is_wrong {
                    let place = self.robots[index].clone();
                    self.refuse(place, &format!("robots[{index}]"), Why::Relation(what));
                }
            }
        }
    }

    fn check_routes(&mut self, options: &Options) {
        if options.routes.is_empty() {
            let sentence = "nothing would be told: add [[routes]]".to_owned();
            self.refuse(Place::Default, "routes", Why::Relation(sentence));
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
                let place = self.routes[index].clone();
                self.refuse(place, &format!("routes[{index}]"), Why::Relation(sentence));
            }
        }
    }

    fn check_people_and_actions(&mut self, options: &Options) {
        for (index, person) in options.people.iter().enumerate() {
            let has_zone = self.places.iter().any(|(key, _)| key == "bridge.offset_minutes");
            if person.from_hour != person.until_hour && !has_zone {
                let sentence = "hours need a zone: set bridge.offset_minutes".to_owned();
                let place = self.people[index].clone();
                self.refuse(place, &format!("people[{index}]"), Why::Relation(sentence));
            }
            if let Some(sentence) = person_mistake(person) {
                let place = self.people[index].clone();
                self.refuse(place, &format!("people[{index}]"), Why::Relation(sentence));
            }
        }
        for (index, action) in options.actions.iter().enumerate() {
            let place = self.actions[index].clone();
            let key = format!("actions[{index}]");
            if options.actions[..index].iter().any(|other| other.name == action.name) {
                let sentence = format!("there is another action {:?}", action.name);
                self.refuse(place.clone(), &key, Why::Relation(sentence));
            }
            if action.alert.is_empty() {
                let sentence = "alert is missing".to_owned();
                self.refuse(place.clone(), &key, Why::Relation(sentence));
            }
            if !action.path.starts_with('/') || action.path.contains(['#', ' ']) {
                let sentence = "path must begin with a slash, without spaces and `#`".to_owned();
                self.refuse(place, &key, Why::Relation(sentence));
            }
        }
    }

    /// The templates, if each that a route needs makes a message of anything.
    fn templates(&mut self, sources: &mut BridgeSources<'_>) -> Option<Templates> {
        let mut read = Vec::new();
        let dir = self.options.templates_dir.clone();
        if !dir.is_empty() {
            match read_templates(Path::new(&dir), sources) {
                Ok(all) => read = all,
                Err((path, error)) => {
                    let place = self.places.iter().find(|(key, _)| key == "bridge.templates_dir");
                    let place = place.map_or(Place::Default, |(_, place)| place.clone());
                    self.refuse(place, "bridge.templates_dir", Why::File { path, error });
                    return None;
                }
            }
        }
        let templates = match Templates::new(&read) {
            Ok(templates) => templates,
            Err(faults) => {
                for fault in faults {
                    self.refuse_setting("bridge.templates_dir", fault.to_string());
                }
                return None;
            }
        };
        for (route, channel) in needed(&self.options) {
            let name = template_name(&route.template, route.language, channel);
            if let Err(fault) = check_template(&templates, &name) {
                self.refuse_setting("bridge.templates_dir", fault.to_string());
            }
        }
        Some(templates)
    }
}

/// Each template that a route can need, once.
fn needed(options: &Options) -> Vec<(Route, Channel)> {
    let mut needed: Vec<(Route, Channel)> = Vec::new();
    for route in &options.routes {
        for chat in route.chats.iter().chain([&route.fallback, &route.escalation]) {
            let Some(channel) = options.channel(chat) else { continue };
            let is_same = |(other, one): &(Route, Channel)| {
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

type Unread = (String, String);

fn read_templates(
    dir: &Path,
    sources: &mut BridgeSources<'_>,
) -> Result<Vec<(String, String)>, Unread> {
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

fn read_secret(secret: &mut Secret, sources: &mut BridgeSources<'_>) -> Result<(), Why> {
    let value = match (secret.file.as_str(), secret.env.as_str()) {
        ("", "") => return Ok(()),
        (path, "") => {
            let refuse = |error: String| Why::File { path: path.to_owned(), error };
            let bytes =
                (sources.load)(Path::new(path)).map_err(|error| refuse(error.to_string()))?;
            String::from_utf8(bytes).map_err(|_| refuse("it is not UTF-8".to_owned()))?
        }
        ("", name) => (sources.env)(name)
            .ok_or_else(|| Why::Relation(format!("the environment has no variable {name:?}")))?,
        _ => {
            return Err(Why::Relation("a file and a variable are named; one is enough".to_owned()));
        }
    };
    // Some editors begin a text with a mark of its encoding.
    let value = value.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    if value.is_empty() || value.len() > 1_024 || value.chars().any(char::is_control) {
        let sentence = "the secret must be one line of 1 to 1024 bytes".to_owned();
        return Err(Why::Relation(sentence));
    }
    value.clone_into(&mut secret.value);
    Ok(())
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
            robot.channel == Channel::Webhook && robot.url.is_empty(),
        ),
        (
            format!("url: {}", url_mistake(&robot.url).unwrap_or_default()),
            url_mistake(&robot.url).is_some(),
        ),
        ("url must have no query".to_owned(), robot.url.contains('?')),
        (
            "a token and a user in url: both would be the header Authorization".to_owned(),
            robot.channel == Channel::Webhook && has_token && has_credentials(&robot.url),
        ),
        (
            format!("proxy: {}", proxy_mistake(&robot.proxy).unwrap_or_default()),
            proxy_mistake(&robot.proxy).is_some(),
        ),
        (
            "token_file or token_env is missing".to_owned(),
            !has_token && matches!(robot.channel, Channel::Wecom | Channel::Dingtalk)
                || !has_token && robot.channel == Channel::Slack && robot.url.is_empty(),
        ),
        (
            "only DingTalk has signatures and keywords".to_owned(),
            robot.channel != Channel::Dingtalk
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

fn bounded<T>(
    mut all: Vec<(T, Place)>,
    count_max: usize,
    key: &str,
    place: Place,
    mistakes: &mut Vec<Mistake>,
) -> Vec<(T, Place)> {
    if all.len() > count_max {
        mistakes.push(Mistake { place, key: key.to_owned(), why: Why::Entries(count_max) });
        all.truncate(count_max);
    }
    all
}

fn sections() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().filter_map(|row| row.key.split_once('.')).map(|(section, _)| section)
}

fn is_section(name: &str) -> bool {
    sections().any(|section| section == name)
}

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

fn example<T>(out: &mut String, list: &str, rows: &[Row<T>], entry: &T) {
    let _ = writeln!(out, "\n[[{list}]]");
    for row in rows {
        setting(out, row, row.key, entry);
    }
}

fn examples() -> (Robot, Route, Person, crate::alert::Action) {
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
    let action = crate::alert::Action {
        name: "dump-tasks".to_owned(),
        alert: "ChatTaskLeakPerConn".to_owned(),
        path: "/debug/tasks".to_owned(),
        ..crate::alert::Action::default()
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

fn list<T: Default>(out: &mut String, name: &str, rows: &[Row<T>], head: &str) {
    let _ = writeln!(out, "\n### [[{name}]]\n\n{head}");
    let default = T::default();
    for row in rows {
        let default =
            if row.key == "name" { String::new() } else { literal(&(row.read)(&default)) };
        page_row(out, row, &format!("`{}`", row.key), &default);
    }
}
