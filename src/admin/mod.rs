//! The admin listener: metrics, health and diagnostics over HTTP, which `server` serves on its
//! control thread. It asks shards nothing: it reads cells (`scrape`) and sends values.
//!
//! | path | answer |
//! |---|---|
//! | `/metrics` | OpenMetrics with examples, or the text format, as `Accept` says; `?core=each` shows each core instead of the sum, `?name[]=` some families only |
//! | `/health` | 200 while the process lives |
//! | `/ready` | 200 while new clients are welcome, else 503 and the reason; a second line says that the store is full |
//! | `/debug` | what went wrong, for those who have the token (`debug/mod.rs`) |
//! | `/`, `/dev/token` | the web chat, in development mode alone (`web.rs`) |
//!
//! Invariant: each connection has one request, a bounded head and a bounded
//! life, and there are never more than [`CONNECTIONS_MAX`].
//!
//! Deliberately absent: who may ask for anything but `/debug`. The listener belongs on
//! a loopback or management address.
#![forbid(unsafe_code)]

mod debug;
mod listener;
mod routes;
mod scrape;
mod token;
mod web;

pub use crate::http_server::remedy;
pub use debug::{
    AnswerSender, BlockedPrefixRow, CONNS_MAX, ConnectionRow, ConnectionsAnswer, CpuProfiles,
    DiagnosticsState, OperatorQuestion, QUESTIONS_MAX, QuestionError, Sort, tasks_report,
};
pub use listener::{AdminListener, AdminListenerError, CONNECTIONS_MAX};
pub use routes::{AdminState, Readiness, StoreState};
pub use token::{AdminToken, TOKEN_BYTES_MIN, TRIES_MAX, TRIES_MS, TokenFormatError};
pub use web::{SignToken, WebChat, WebChatError};
