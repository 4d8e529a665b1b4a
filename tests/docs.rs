//! What is generated from the table of settings, against what lies here.

use std::fs;
use std::path::Path;

use rookery::config::{self, Config};

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
