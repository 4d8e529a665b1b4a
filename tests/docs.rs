//! What is generated from the table of settings, and what is said in two places,
//! against what lies here.

use std::fs;
use std::path::Path;

use rookery::config::{self, Config, File, NAMESPACES, SETTINGS, Sources};

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
fn the_example_is_the_default() {
    check("config/rookery.toml", &config::toml(&Config::default()));
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

/// A line of shell without its margin and its comment.
fn command(line: &str) -> &str {
    line.split(" #").next().unwrap_or_default().trim()
}
