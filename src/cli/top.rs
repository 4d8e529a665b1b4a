//! `rookery top`: what a server does, in a terminal, or once as text.
//!
//! It asks the admin listener for sums and for what each core says of itself, so it costs a
//! server the same at any number of connections. What that means is decided in `top`.
//!
//! Invariants: the admin token goes to the server of one's own configuration, or to the
//! address that stands beside it; no proxy hears it. A token that was refused is not shown
//! again: wrong ones are counted.

mod server;
mod terminal;

use std::fmt::Display;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::http::{Service, ServiceKind, ServiceResult, reached};
use super::inputs::{Inputs, read};
use super::output::{fail, print};
use super::text::json_line;
use super::{Base, FAILED, MISUSED};
use crate::clock::now;
use crate::top::{Screen, json, text};
use server::Server;

#[derive(Debug, Args)]
pub(super) struct TopArguments {
    /// The server's configuration says where it listens for operators, and the admin token.
    #[command(flatten)]
    base: Base,
    /// Ask this admin listener, such as http://127.0.0.1:8001; no configuration is read.
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    /// A file with its admin token, without which phases of cores are not known.
    #[arg(long, value_name = "FILE", requires = "admin")]
    token_file: Option<PathBuf>,
    /// Certificates to trust beside the system's, as PEM.
    #[arg(long, value_name = "FILE", requires = "admin")]
    ca_file: Option<PathBuf>,
    /// From one question to the next, in ms.
    #[arg(long, default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(200..=60_000))]
    interval_ms: u64,
    /// Ask twice, an interval apart, and print what there is to see.
    #[arg(long)]
    once: bool,
    /// Print a JSON object instead.
    #[arg(long, requires = "once")]
    json: bool,
}

/// Shows it; the exit code of that.
pub(super) fn run(arguments: TopArguments) -> u8 {
    let server = match server(&arguments) {
        Ok(server) => server,
        Err(code) => return code,
    };
    let interval = Duration::from_millis(arguments.interval_ms);
    if arguments.once {
        let said: fn(&Screen, u64) -> String = if arguments.json { json_of } else { text };
        return say_once(server, interval, said);
    }
    if !io::stdout().is_terminal() {
        return fail(MISUSED, "stdout is no terminal: --once prints text");
    }
    match terminal::watch(server, interval) {
        Ok(code) => code,
        Err(error) => fail(FAILED, &format!("the terminal: {error}")),
    }
}

/// Who is asked.
fn server(arguments: &TopArguments) -> Result<Server, u8> {
    let (url, ca_file, token) = match &arguments.admin {
        Some(url) => {
            let ca_file = arguments.ca_file.as_deref().map(|path| path.display().to_string());
            (url.clone(), ca_file.unwrap_or_default(), token_of(arguments.token_file.as_deref())?)
        }
        None => {
            let inputs = Inputs { base: arguments.base.clone(), flags: Vec::new() };
            let config = inputs.resolve().map_err(|refusal| refusal.tell())?;
            let token = config.admin.ready.as_ref().map(|token| token.text().to_owned());
            let listen = reached(config.server.admin_listen);
            (format!("http://{listen}"), String::new(), token.unwrap_or_default())
        }
    };
    // The token is for the server, and for nobody on the way to it.
    let service: ServiceResult<Service> =
        Service::at(ServiceKind::Server, &url, &ca_file, &|_| None);
    let server = service.and_then(|service| Server::new(service, &token));
    server.map_err(|fault| fail(MISUSED, &fault.to_string()))
}

fn token_of(path: Option<&Path>) -> Result<String, u8> {
    let Some(path) = path else { return Ok(String::new()) };
    let wrong =
        |why: &dyn Display| fail(FAILED, &format!("--token-file: {}: {why}", path.display()));
    let bytes = read(path).map_err(|error| wrong(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong(&"it is not UTF-8"))?;
    Ok(text.trim().to_owned())
}

/// Asks twice, as rates are between two answers; the first failure is all there is to say.
fn say_once(mut server: Server, interval: Duration, said: fn(&Screen, u64) -> String) -> u8 {
    let began = now();
    let mut screen = Screen::new(server.shown(), 0);
    for round in 0..2 {
        if 0 < round {
            thread::sleep(interval);
        }
        let at_ms = ms_between(began, now());
        screen.answered(at_ms, server.ask().map_err(|fault| fault.to_string()));
        if let Some(why) = screen.failed() {
            return fail(FAILED, why);
        }
    }
    screen.note(server.note());
    print(&said(&screen, ms_between(began, now())))
}

fn json_of(screen: &Screen, _: u64) -> String {
    let figures = screen.figures().map(json);
    json_line(&figures.unwrap_or_default().to_string()) + "\n"
}

fn ms_between(began: Instant, then: Instant) -> u64 {
    u64::try_from(then.saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX)
}
