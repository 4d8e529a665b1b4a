//! `rookery probe`: chats with servers from outside, once or again and again.
//!
//! Deliberately absent: what a round is (`probe`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::inputs::{Inputs, read};
use super::output::{fail, print};
use super::text::plain;
use super::token::for_user;
use super::{Base, FAILED, MISUSED, OK};
use crate::logs::{self, LogFormat, LogLevel};
use crate::probe::{
    Options, ProbeReport, ProbeStage, ProbeTarget, TARGETS_MAX, TokenSource, once, watch,
};
use crate::wire::channel_is_valid;

/// How long a token of this command's own lives, in s: a round is much shorter.
const TOKEN_S: u64 = 300;

#[derive(Debug, Args)]
pub(super) struct ProbeArguments {
    /// A server, such as wss://chat.example.org/connection/websocket; can be repeated.
    #[arg(long = "server", value_name = "URL", required = true, value_parser = target)]
    servers: Vec<ProbeTarget>,
    /// The room in which clients chat; its namespace says whether the store is tried, too.
    #[arg(long, default_value = "room:rookery-probe", value_parser = channel)]
    channel: String,
    /// A file with the clients' token, read again for each round. Without it a token is
    /// signed with the key of --config or --dev; without those clients are anonymous.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    base: Base,
    /// The user that a signed token names.
    #[arg(long, default_value = "rookery-probe")]
    user: String,
    /// From one round to the next, in s.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    interval_s: u64,
    /// How long a round may take, in ms.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    limit_ms: u64,
    /// Where /metrics is.
    #[arg(long, default_value = "127.0.0.1:9497")]
    listen: SocketAddr,
    /// Certificates to trust beside the system's, as PEM.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// One round with each server, said on stdout; exit code 1 when one failed.
    #[arg(long)]
    once: bool,
}

fn target(url: &str) -> Result<ProbeTarget, String> {
    ProbeTarget::parse(url).map_err(|flaw| flaw.to_string())
}

fn channel(name: &str) -> Result<String, String> {
    if channel_is_valid(name) { Ok(name.to_owned()) } else { Err("not a channel".to_owned()) }
}

pub(super) fn run(arguments: ProbeArguments) -> u8 {
    if TARGETS_MAX < arguments.servers.len() {
        return fail(MISUSED, &format!("at most {TARGETS_MAX} servers"));
    }
    let mut names: Vec<String> = arguments.servers.iter().map(ProbeTarget::authority).collect();
    names.sort_unstable();
    if names.windows(2).any(|two| two[0] == two[1]) {
        return fail(MISUSED, "a server stands there twice");
    }
    let interval = Duration::from_secs(arguments.interval_s);
    let limit = Duration::from_millis(arguments.limit_ms);
    if interval < limit {
        return fail(MISUSED, "--limit-ms must not be longer than --interval-s");
    }
    let token = match token(&arguments) {
        Ok(token) => token,
        Err(why) => return fail(MISUSED, &why),
    };
    let ca_file = arguments.ca_file.map(|path| path.display().to_string()).unwrap_or_default();
    let options = Options {
        targets: arguments.servers,
        channel: arguments.channel,
        token,
        interval,
        limit,
        ca_file,
    };
    if arguments.once {
        return say_once(&options);
    }
    logs::begin(LogFormat::Text, LogLevel::Info);
    logs::tell_panics();
    match watch(options, arguments.listen) {
        Ok(()) => OK,
        Err(fault) => {
            tracing::error!("{fault}");
            FAILED
        }
    }
}

fn token(arguments: &ProbeArguments) -> Result<TokenSource, String> {
    if let Some(path) = arguments.token_file.clone() {
        return Ok(Arc::new(move || from_file(&path)));
    }
    let base = arguments.base.clone();
    if !base.dev && base.config.is_none() {
        return Ok(Arc::new(|| Ok(String::new())));
    }
    let inputs = Inputs { base, flags: Vec::new() };
    let config = inputs.resolve().map_err(|refusal| refusal.lines().join("; "))?;
    let user = arguments.user.clone();
    let sign = move || for_user(&config, &user, TOKEN_S);
    // What cannot work is better said now.
    sign()?;
    Ok(Arc::new(sign))
}

fn from_file(path: &Path) -> Result<String, String> {
    let bytes = read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{}: not a token", path.display()))?;
    Ok(text.trim_start_matches('\u{feff}').trim().to_owned())
}

fn say_once(options: &Options) -> u8 {
    let reports = match once(options) {
        Ok(reports) => reports,
        Err(fault) => return fail(FAILED, &fault.to_string()),
    };
    let mut is_good = true;
    let mut lines = String::new();
    for (target, report) in options.targets.iter().zip(&reports) {
        is_good &= report.failed.is_none();
        lines.push_str(&format!("{}: {}\n", plain(&target.authority()), words(report)));
    }
    let printed = print(&lines);
    if is_good { printed } else { FAILED }
}

fn words(report: &ProbeReport) -> String {
    let took = |(stage, took): &(ProbeStage, Duration)| {
        format!("{} {:.1} ms", stage.name(), took.as_secs_f64() * 1e3)
    };
    let mut parts: Vec<String> = report.took.iter().map(took).collect();
    match &report.failed {
        Some((stage, failure)) => parts.push(format!("{} FAILED: {failure}", stage.name())),
        None => parts.push("ok".to_owned()),
    }
    parts.join(", ")
}
