//! The configuration of the tests' servers, and what a test changes of it.

use std::path::Path;

/// What the tests' servers want to see before they show diagnostics.
pub const ADMIN_TOKEN: &str = "a-token-that-only-the-black-box-tests-know";

/// A configuration with only what a test cares about; the rest is the tests' base.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    added: Vec<(&'static str, String)>,
    removed: Vec<(&'static str, &'static str)>,
    tables: Vec<(&'static str, Vec<String>)>,
}

impl Settings {
    /// The base as it is.
    pub fn new() -> Settings {
        Settings::default()
    }

    /// One line in a table; replaces the base's line with the same key.
    pub fn with(mut self, table: &'static str, line: impl Into<String>) -> Settings {
        self.added.push((table, line.into()));
        self
    }

    /// One more table of a list.
    pub fn with_table(mut self, table: &'static str, lines: &[&str]) -> Settings {
        self.tables.push((table, lines.iter().map(|&line| line.to_owned()).collect()));
        self
    }

    /// Without a line of the base.
    pub fn without(mut self, table: &'static str, key: &'static str) -> Settings {
        self.removed.push((table, key));
        self
    }

    /// The text of the file.
    pub(super) fn render(&self, port: u16, admin_port: u16, folder: &Path) -> String {
        let mut tables: Vec<(&str, Vec<String>)> = BASE
            .iter()
            .map(|(table, lines)| (*table, lines.iter().map(|line| (*line).to_owned()).collect()))
            .collect();
        let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
        for (table, gone) in &self.removed {
            for (_, lines) in tables.iter_mut().filter(|(name, _)| name == table) {
                lines.retain(|line| key(line) != *gone);
            }
        }
        for (table, line) in &self.added {
            let found = tables.iter_mut().find(|(name, _)| name == table);
            let (_, lines) = found.expect("the base has each table that tests add to");
            lines.retain(|old| key(old) != key(line));
            lines.push(line.clone());
        }
        tables.extend(self.tables.iter().cloned());
        let mut text = String::new();
        for (table, lines) in tables {
            text += &format!("{table}\n{}\n\n", lines.join("\n"));
        }
        text.replace("{port}", &port.to_string())
            .replace("{admin_port}", &admin_port.to_string())
            .replace("{folder}", &folder.display().to_string())
    }
}

/// Tables and lines of the base. A table in brackets twice is one of a list; what
/// a test adds to such a name goes to the first.
const BASE: &[(&str, &[&str])] = &[
    (
        "[server]",
        &[
            "listen = \"127.0.0.1:{port}\"",
            "admin_listen = \"127.0.0.1:{admin_port}\"",
            "shards = 2",
            "connections_max = 15000",
            "drain_ms = 2000",
        ],
    ),
    // Tests send as fast as they can.
    ("[session]", &["commands_per_s = 0", "bytes_per_s = 0", "errors_per_s = 1000"]),
    ("[ws]", &[]),
    ("[admin]", &["token = \"a-token-that-only-the-black-box-tests-know\""]),
    ("[quarantine]", &[]),
    // For namespaces that a test makes durable.
    (
        "[store]",
        &["dir = \"{folder}/store\"", "reserve_bytes = 1048576", "log_segment_bytes = 524288"],
    ),
    (
        "[[auth.keys]]",
        &["algorithm = \"HS256\"", "secret = \"a secret that only the black-box tests know\""],
    ),
    (
        "[[namespaces]]",
        &[
            "name = \"room\"",
            "subscribe = \"users\"",
            "publish = \"subscribers\"",
            "see_presence = \"subscribers\"",
            "see_history = \"subscribers\"",
            "presence = true",
            "join_leave = true",
            "history_count_max = 1000",
            "durability = \"memory\"",
            "data_bytes_max = 32768",
        ],
    ),
    (
        "[[namespaces]]",
        &[
            "name = \"wide\"",
            "subscribe = \"users\"",
            "publish = \"subscribers\"",
            "history_count_max = 1000",
            "durability = \"memory\"",
        ],
    ),
    ("[[namespaces]]", &["name = \"closed\"", "subscribe = \"token\""]),
    ("[[namespaces]]", &["name = \"@\"", "history_count_max = 10", "durability = \"memory\""]),
];
