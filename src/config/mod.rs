//! The configuration of the server and of the alert bridge: what the operator wrote is read and
//! checked as a whole, and becomes the options that they run with. `cli` calls it.
//!
//! Three sources, of which the later wins: a TOML file, the environment
//! (`ROOKERY_…`), flags. One table for each program (`server::settings`,
//! `bridge::settings`) says which settings there are; how they are read, checked, printed and
//! documented follows from it.
//!
//! Invariant: if a `Config` exists, every setting of it is within its range, fits
//! the others, and its keys can be used. There is no half-valid one: `resolve`
//! gives it or every mistake at once.
//!
//! Deliberately absent: reading files (`load` is handed in), the process's
//! environment and arguments, running state.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

#[macro_use]
mod row;

mod bridge;
mod draft;
mod file;
mod given;
mod mistake;
mod print;
mod schema;
mod server;
mod service_links;
mod source;
mod suggest;
mod tables;
#[cfg(test)]
mod tests;

pub use bridge::example::{bridge_markdown, bridge_toml};
pub use bridge::resolve::{BridgeSources, resolve_bridge};
pub use mistake::{ConfigError, ConfigErrorKind, SourceLocation};
pub use print::{api_key_table, markdown, operator_table, toml};
pub use row::{ENV_PREFIX, SettingKind, SettingRow, SettingValue};
pub use server::development::{DEV_NAME, DEV_TEXT};
pub use server::hooks::{HookEntry, HookSettings};
pub use server::lists::{API_KEYS, HOOK_ENDPOINTS, KEYS, LISTENERS, NAMESPACES};
pub use server::resolve::{Sources, resolve};
pub use server::settings::SETTINGS;
pub use server::{Admin, Api, ApiKeyEntry, Auth, Config, KeyEntry, NAMESPACES_MAX, OperatorEntry};
pub use source::{File, LoadFile};
