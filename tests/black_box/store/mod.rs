//! The store as its operator meets it: directories that cannot be used, and what
//! `rookery store` says about one at rest.

mod commands;
mod damage;
mod groups;
mod load;
mod opening;
mod removal;
mod space;

use std::path::Path;

use crate::common::Settings;

/// One namespace of messages on disk: `room`.
fn kept() -> Settings {
    Settings::new().with("[[namespaces]]", "durability = \"fsync\"")
}

/// The same, in this directory.
fn kept_in(dir: &Path) -> Settings {
    kept().with("[store]", format!("dir = {:?}", dir.to_str().expect("a plain path")))
}
