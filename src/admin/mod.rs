//! The admin listener: metrics, health and diagnostics over HTTP, which `server` serves on its
//! control thread. It asks shards nothing: it reads cells (`scrape`) and sends values.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | OpenMetrics with examples, or the text format, as `Accept` says; `?core=each` shows each core instead of the sum, `?name[]=` some families only |
//! | `/health` | 200 while the process lives |
//! | `/ready` | 200 while new clients are welcome, else 503 and the reason; a second line says that the store is full |
//! | `/console` | the operators' console (`console_pages/mod.rs`) |
//! | `/debug` | what went wrong, for those who have the token (`debug/mod.rs`) |
//! | `/`, `/dev/token` | the web chat, in development mode alone (`web.rs`) |
//!
//! Invariant: each connection has one request, a bounded head and a bounded
//! life, and there are never more than [`CONNECTIONS_MAX`].
//!
//! Deliberately absent: who may ask for anything but `/debug` and `/console`. The listener belongs on
//! a loopback or management address.
#![forbid(unsafe_code)]

mod audit_log;
mod console_pages;
mod debug;
mod listener;
mod query;
mod questions;
mod routes;
mod scrape;
mod server_state;
mod static_files;
mod token;
mod token_attempts;
mod web;

pub use crate::http_server::remedy;
pub use audit_log::AuditLog;
pub use console_pages::ConsoleSetup;
pub use debug::{CpuProfiles, DiagnosticsState, tasks_report};
pub use listener::{AdminListener, AdminListenerError, CONNECTIONS_MAX};
pub use questions::{
    AnswerSender, BlockedPrefixRow, CONNS_MAX, ConnectionRow, ConnectionsAnswer, OperatorQuestion,
    QUESTIONS_MAX, QuestionError, Sort,
};
pub use routes::AdminState;
pub use server_state::{Readiness, StoreState};
pub use static_files::{StaticFiles, StaticFilesError};
pub use token::{AdminToken, TOKEN_BYTES_MIN, TRIES_MAX, TRIES_MS, TokenFormatError};
pub use web::{SignToken, WebChat};
