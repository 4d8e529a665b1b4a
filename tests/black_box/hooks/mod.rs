//! Hooks as a client and the application's backend see them.

pub mod backend;
mod bad_answers;
mod blocks;
mod channels;
mod connect;
mod refresh;
mod rpc;

use serde_json::{Value, json};

use self::backend::{Answer, Backend};
use crate::common::{Server, Settings};

/// A server whose hooks ask this backend.
#[track_caller]
fn server(backend: &Backend, hooks: &[&str]) -> Server {
    Server::start(asking(Settings::new(), backend, hooks, &[]))
}

/// Settings whose hooks ask this backend, each with these further lines.
fn asking(settings: Settings, backend: &Backend, hooks: &[&str], more: &[&str]) -> Settings {
    hooks.iter().fold(settings, |settings, hook| {
        let mut lines = backend.endpoint(hook);
        lines.extend(more.iter().map(|&line| line.to_owned()));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        settings.with_table("[[hooks.endpoints]]", &lines)
    })
}

fn result(result: Value) -> Answer {
    Answer::Json(json!({ "result": result }))
}
