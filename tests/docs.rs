//! What is generated from the table of settings, and what is said in two places,
//! against what lies here.

#[path = "docs/contract.rs"]
mod contract;
#[path = "docs/files.rs"]
mod files;

use std::fs;
use std::path::Path;

use rookery::config::{self, BridgeSources, Config, File, NAMESPACES, SETTINGS, Sources};

/// With `BLESS` set the file is written instead.
#[track_caller]
fn check(path: &str, want: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, want).expect("it can be written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let name = path.display();
    assert!(there == want, "{name} is old; `BLESS=1 cargo test --test docs` writes it anew");
}

#[test]
fn the_page_of_settings_is_that_of_the_table() {
    check("docs/CONFIG.md", &config::markdown());
}

#[test]
fn the_document_of_the_server_api_is_the_one_that_is_served() {
    check("docs/openapi.json", &rookery::server::openapi_json());
}

#[test]
fn the_example_is_the_default() {
    check("config/rookery.toml", &config::toml(&Config::default()));
}

/// Whoever adds a page says where it stands in the site.
#[test]
fn every_page_is_in_the_table_of_contents() {
    let contents = include_str!("../docs/SUMMARY.md");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let mut pages_count = 0;
    for entry in fs::read_dir(folder).expect("it is there") {
        let name = entry.expect("it can be read").file_name().into_string().expect("it is UTF-8");
        if name == "SUMMARY.md" || !name.ends_with(".md") {
            continue;
        }
        pages_count += 1;
        assert!(contents.contains(&format!("]({name})")), "docs/SUMMARY.md does not list {name}");
    }
    assert!(pages_count > 10, "only {pages_count} were found");
}

const MIGRATING: &str = include_str!("../docs/MIGRATING_FROM_CENTRIFUGO.md");

#[test]
fn the_migrated_example_is_good() {
    let blocks: Vec<&str> =
        MIGRATING.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 1);
    let file = File { name: "example".to_owned(), text: blocks[0].to_owned() };
    let sources = Sources { file: Some(file), ..Sources::default() };
    let mut load = |_: &Path| Ok(b"a secret of at least sixteen bytes".to_vec());
    let config = config::resolve(&sources, &mut load).expect("the example is good");
    assert_eq!(config.is_useless(), None);
}

#[test]
fn every_setting_that_the_migration_names_exists() {
    let sections: Vec<&str> =
        SETTINGS.iter().filter_map(|row| row.key.split_once('.')).map(|(first, _)| first).collect();
    let mut named = 0;
    for word in MIGRATING.split('`').skip(1).step_by(2) {
        let Some((section, key)) = word.split_once('.') else { continue };
        let exists = match section {
            "namespaces" => NAMESPACES.iter().any(|row| row.key == key),
            "auth" if key == "keys" => true,
            _ if sections.contains(&section) => SETTINGS.iter().any(|row| row.key == word),
            _ => continue,
        };
        assert!(exists, "there is no {word}");
        named += 1;
    }
    assert!(named > 40, "{named} were found");
}

#[test]
fn the_script_that_starts_a_server_shows_the_commands_of_the_readme() {
    let readme = include_str!("../README.md");
    let script = include_str!("../scripts/run");
    let shown = script.split("<<'TEXT'\n").nth(1).expect("a text that is shown");
    let shown: Vec<&str> = shown.lines().map(command).collect();
    for section in ["## Chat\n", "## Load it\n"] {
        let section = readme.split(section).nth(1).and_then(|rest| rest.split("\n## ").next());
        let section = section.expect("the README has it");
        let while_it_runs = section.split("On its own:").next().expect("a first part");
        let blocks: Vec<&str> = while_it_runs.split("```sh\n").skip(1).collect();
        assert!(!blocks.is_empty());
        for line in blocks.iter().flat_map(|block| block.split("```").next()).flat_map(str::lines) {
            assert!(shown.contains(&command(line)), "{line} is not in {shown:#?}");
        }
    }
}

/// The README has no measurement of its own.
#[test]
fn the_numbers_of_the_readme_are_those_of_the_benchmarks() {
    let benchmarks = include_str!("../docs/BENCHMARKS.md");
    let section = include_str!("../README.md").split("## Numbers\n").nth(1);
    let section = section.and_then(|rest| rest.split("\n## ").next()).expect("it has them");
    let mut found_count = 0;
    for row in section.lines().filter(|line| line.starts_with('|')).skip(2) {
        for cell in row.split('|').skip(2).map(str::trim).filter(|cell| !cell.is_empty()) {
            let number = cell.split([':', ';']).next().unwrap_or_default();
            let number = number.split(", ").next().unwrap_or_default();
            assert!(benchmarks.contains(&format!("| {number} |")), "{number} of: {row}");
            found_count += 1;
        }
    }
    assert!(found_count >= 16, "only {found_count} were found");
}

/// Those that the tests of SDKs install.
#[test]
fn the_readme_names_the_sdks_that_are_run() {
    let npm = include_str!("external/sdk/node/package.json");
    let npm: serde_json::Value = serde_json::from_str(npm).expect("it is JSON");
    let pinned = |name: &str| npm["dependencies"][name].as_str().expect("it is pinned").to_owned();
    let former = pinned("centrifuge-of-2025").replace("npm:centrifuge@", "");
    let pypi = include_str!("external/sdk/python/requirements.in");
    let python = pypi.lines().find_map(|line| line.strip_prefix("centrifuge-python=="));
    let readme = include_str!("../README.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        format!("npm `centrifuge` {}, and {former} of last year", pinned("centrifuge")),
        format!("PyPI `centrifuge-python` {})", python.expect("it is pinned")),
    ] {
        assert!(readme.contains(&words), "the README does not say: {words}");
    }
}

/// A line of shell without its margin and its comment.
fn command(line: &str) -> &str {
    line.split(" #").next().unwrap_or_default().trim()
}

/// What stands above the settings of the bridge is written by hand.
#[test]
fn the_settings_of_the_bridge_are_those_of_its_table() {
    const MARK: &str = "<!-- settings -->\n";
    let page = include_str!("../docs/ALERT_BRIDGE.md");
    let by_hand = page.split(MARK).next().expect("a first part");
    check("docs/ALERT_BRIDGE.md", &format!("{by_hand}{MARK}{}", config::bridge_markdown()));
    check("config/alert-bridge.toml", &config::bridge_toml());
}

#[test]
fn the_example_of_the_bridge_is_good() {
    let env = |name: &str| (name == "WECOM_OPS_1").then(|| "a-token".to_owned());
    for text in [config::bridge_toml(), first_block(include_str!("../docs/ALERT_BRIDGE.md"))] {
        let file = File { name: "example".to_owned(), text };
        let sources = BridgeSources {
            file: &file,
            env: &env,
            load: &mut |_| Ok(b"a-token".to_vec()),
            list: &|_| Ok(Vec::new()),
        };
        let settings = config::resolve_bridge(sources).expect("it is good");
        assert!(settings.options.routes.iter().any(|route| route.name == "page"));
    }
}

#[test]
fn the_page_of_the_bridge_names_every_template_value() {
    let page = include_str!("../docs/ALERT_BRIDGE.md");
    for text in rookery::alert::built_in_templates().map(|(_, text)| text) {
        for (start, _) in text.match_indices("a.").chain(text.match_indices("m.")) {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if text[..start].ends_with(is_word) {
                continue;
            }
            let name = text[start + 2..].split(|c: char| !is_word(c)).next().unwrap_or_default();
            assert!(name.is_empty() || page.contains(&format!("`{name}`")), "no {name}");
        }
    }
}

fn first_block(page: &str) -> String {
    let block = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    block.expect("it has one").to_owned()
}
