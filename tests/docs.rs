//! What is generated from the table of settings, against what lies here.

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
