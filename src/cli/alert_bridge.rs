//! `rookery alert-bridge`: runs the bridge, checks its configuration, sends a test message,
//! writes the built-in templates into a directory, or shows and drops what chats refused.
//!
//! Deliberately absent: what the bridge does (`alert`), and its settings (`config`).

mod refused;

use std::env;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::audit::CommandAct;
use super::inputs::{InputError, read, read_config};
use super::output::{fail, print, tell};
use super::{FAILED, MISUSED, OK};
use crate::alert::{self, BridgeSettings};
use crate::config::{self, BridgeSources};
use crate::logs::{self, LogFormat, LogLevel};

#[derive(Debug, Args)]
pub(super) struct AlertBridgeArguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run until a signal ends it; SIGHUP reads configuration, templates and secrets again.
    Run(Configured),
    /// Say everything that is wrong with the configuration and its templates.
    Check(Configured),
    /// Send a harmless message by every robot of a route, without the queue.
    Test {
        #[command(flatten)]
        configured: Configured,
        /// The route.
        #[arg(long, short)]
        route: String,
    },
    /// Write the templates that are built in into a directory, to be changed there.
    Templates {
        /// The directory; files that are there stay.
        #[arg(long, short)]
        out: PathBuf,
    },
    /// Messages that chats refused for good: show them, tell them again, drop them.
    Refused(refused::RefusedArguments),
}

impl AlertBridgeArguments {
    /// What it changes; none where it looks only, or runs the bridge.
    pub(super) fn act(&self) -> Option<CommandAct> {
        match &self.command {
            Command::Refused(arguments) => arguments.act(),
            Command::Run(_)
            | Command::Check(_)
            | Command::Test { .. }
            | Command::Templates { .. } => None,
        }
    }
}

#[derive(Debug, Args)]
struct Configured {
    /// The bridge's TOML file; config/alert-bridge.toml shows what can be in it.
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "ROOKERY_ALERT_BRIDGE_CONFIG",
        default_value = "/etc/rookery/alert-bridge.toml"
    )]
    config: PathBuf,
}

pub(super) fn run(arguments: AlertBridgeArguments) -> u8 {
    match arguments.command {
        Command::Run(configured) => serve(configured.config),
        Command::Check(configured) => match resolve(&configured.config) {
            Ok(settings) => {
                warnings(&settings).iter().for_each(|line| tell(&format!("warning: {line}")));
                print("the configuration is good\n")
            }
            Err(refusal) => refusal.tell(),
        },
        Command::Test { configured, route } => test(&configured.config, &route),
        Command::Templates { out } => templates(&out),
        Command::Refused(arguments) => refused::run(arguments),
    }
}

fn serve(path: PathBuf) -> u8 {
    let settings = match resolve(&path) {
        Ok(settings) => settings,
        Err(refusal) => return refusal.tell(),
    };
    let format = if settings.options.log_json { LogFormat::Json } else { LogFormat::Text };
    logs::begin(format, LogLevel::Info);
    logs::tell_panics();
    for warning in warnings(&settings) {
        tracing::warn!("{warning}");
    }
    let reload = Box::new(move || resolve(&path).map_err(|refusal| refusal.lines().join("; ")));
    match alert::run(settings, reload) {
        Ok(alert::BridgeEnd::Quiet | alert::BridgeEnd::UnderWay) => OK,
        Err(fault) => {
            tracing::error!("{fault}");
            FAILED
        }
    }
}

fn test(path: &Path, route: &str) -> u8 {
    let settings = match resolve(path) {
        Ok(settings) => settings,
        Err(refusal) => return refusal.tell(),
    };
    let tried = match alert::try_route(&settings, route) {
        Ok(Some(tried)) => tried,
        Ok(None) => return fail(MISUSED, &format!("there is no route {route:?}")),
        Err(why) => return fail(FAILED, &why),
    };
    let mut lines = String::new();
    for one in &tried {
        lines.push_str(&format!("{} in {}: {}\n", one.robot, one.chat, one.words));
    }
    let printed = print(&lines);
    if tried.iter().all(|one| one.is_sent) { printed } else { FAILED }
}

fn templates(out: &Path) -> u8 {
    let written = fs::create_dir_all(out).and_then(|()| {
        for (name, text) in alert::built_in_templates() {
            let path = out.join(format!("{name}.j2"));
            match OpenOptions::new().write(true).create_new(true).open(path) {
                Ok(mut file) => file.write_all(text.as_bytes())?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    match written {
        Ok(()) => OK,
        Err(error) => fail(FAILED, &format!("{}: {error}", out.display())),
    }
}

/// Reads everything, now. What the file names lies beside it.
fn resolve(path: &Path) -> Result<BridgeSettings, InputError> {
    let file = read_config(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let list = |dir: &Path| {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder.join(dir))? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    };
    let mut settings = config::resolve_bridge(BridgeSources {
        file: &file,
        env: &|name| env::var(name).ok(),
        load: &mut |path| read(&folder.join(path)),
        list: &list,
    })
    .map_err(InputError::Mistakes)?;
    let options = &mut settings.options;
    options.dir = folder.join(&options.dir);
    if !options.ca_file.is_empty() {
        options.ca_file = folder.join(&options.ca_file).display().to_string();
    }
    Ok(settings)
}

/// What works and should not stay so.
fn warnings(settings: &BridgeSettings) -> Vec<String> {
    let mut warnings = Vec::new();
    let options = &settings.options;
    for robot in &options.robots {
        if robot.url.starts_with("http://") && !robot.url.starts_with("http://127.") {
            warnings.push(format!(
                "robots: {}: its URL is http, so its token can be read on the way",
                robot.name
            ));
        }
    }
    let addresses = [
        ("prometheus.url", &options.prometheus_url),
        ("silence.alertmanager_url", &options.alertmanager_url),
        ("bridge.proxy", &options.proxy),
        ("heartbeat.url", &options.heartbeat_url),
    ];
    let robots =
        options.robots.iter().flat_map(|one| [("robots", &one.url), ("robots", &one.proxy)]);
    for (key, address) in addresses.into_iter().chain(robots) {
        if address.contains('@') {
            warnings.push(format!(
                "{key}: the address has a password, so the file must be readable for the bridge only"
            ));
        }
    }
    if options.heartbeat().is_empty() {
        warnings.push("heartbeat.url is empty: nobody misses this host when it is gone".to_owned());
    }
    if options.deadman_s == 0 {
        warnings.push("deadman.after_s is 0: nobody tells when alerts stop coming".to_owned());
    }
    warnings
}
