//! The subcommands of the binary: arguments in, an exit code out.
//!
//! Exit codes: 0 it did what it should, 1 it could not, 2 wrong use or a wrong
//! configuration, 10 to 17 the store does not open (`OpenError::exit_code`).
//! `serve` ended by a second signal gives 128 and its number.
//!
//! Deliberately absent: decisions. What a setting means is `config`'s, what a
//! machine lacks is decided in `doctor` from facts that are handed in.
#![forbid(unsafe_code)]

mod alert_bridge;
mod api_key;
mod audit;
mod doctor;
mod http;
mod inputs;
mod operator_token;
mod output;
mod place;
mod probe;
mod serve;
mod settings;
mod silence;
mod store;
mod text;
mod token;
mod top;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::{config, logs};
use audit::CommandAct;
use inputs::Inputs;
use output::{fail, print};
use settings::SettingFlags;

/// It did what it should.
pub const OK: u8 = 0;
/// It could not.
pub const FAILED: u8 = 1;
/// Wrong use, or a wrong configuration.
pub const MISUSED: u8 = 2;

/// A chat server for extreme connection density.
#[derive(Debug, Parser)]
#[command(name = "rookery", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve chat until a signal ends it.
    ///
    /// SIGTERM and SIGINT drain, a second one ends at once; SIGHUP reads the token keys again.
    Serve(serve::ServeArguments),
    /// Say everything that is wrong with a configuration.
    CheckConfig(Configured),
    /// Print what the server would run with, without secrets.
    PrintConfig(PrintConfig),
    /// Make a token, for development.
    Token(token::TokenArguments),
    /// Make a key for a backend that calls the server API.
    ApiKey(api_key::ApiKeyArguments),
    /// Make a token for an operator of the console: the configuration gets its hash, the operator
    /// the token.
    OperatorToken(operator_token::OperatorTokenArguments),
    /// Look whether this machine can hold so many connections, and say what to change.
    Doctor(doctor::DoctorArguments),
    /// Watch what a server does, in a terminal or once as text.
    Top(top::TopArguments),
    /// Look at a store that no server has open.
    Store(store::StoreArguments),
    /// Carry alerts from Alertmanager to group chats: WeCom, DingTalk, Slack, webhooks.
    AlertBridge(alert_bridge::AlertBridgeArguments),
    /// Chat with servers from outside, again and again, and show whether that works.
    Probe(probe::ProbeArguments),
    /// Keep alerts quiet for a while, such as during a deploy.
    Silence(silence::SilenceArguments),
    /// Print the version.
    Version,
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// A configuration with all its sources.
#[derive(Debug, Args)]
struct Configured {
    #[command(flatten)]
    base: Base,
    #[command(flatten)]
    settings: SettingFlags,
}

/// Where a configuration begins.
#[derive(Clone, Debug, Args)]
struct Base {
    /// A TOML file; docs/CONFIG.md lists what can be in it.
    #[arg(long, short, value_name = "FILE", env = "ROOKERY_CONFIG")]
    config: Option<std::path::PathBuf>,
    /// The embedded configuration for trying out; everyone knows its secret.
    #[arg(long, conflicts_with = "config")]
    dev: bool,
}

#[derive(Debug, Args)]
struct PrintConfig {
    #[command(flatten)]
    configured: Configured,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Toml)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// As a file that can be read again.
    Toml,
    /// The page of all settings with their ranges and defaults.
    Markdown,
}

/// Runs the binary with these arguments, the program's name first.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let code = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command.run(),
        // A request for help is an error to the parser only.
        Err(error) => {
            let _ = error.print();
            if error.use_stderr() { MISUSED } else { OK }
        }
    };
    // The last words of a process that stayed; nothing for the others.
    logs::flush();
    ExitCode::from(code)
}

impl Command {
    /// Does it, and writes it down where it is an act.
    fn run(self) -> u8 {
        let act = self.act();
        let code = self.perform();
        if let Some(act) = act {
            act.tell(code);
        }
        code
    }

    /// What it changes for others; none where it looks only, or serves.
    fn act(&self) -> Option<CommandAct> {
        match self {
            Command::Token(arguments) => arguments.act(),
            Command::ApiKey(arguments) => Some(arguments.act()),
            Command::OperatorToken(arguments) => Some(arguments.act()),
            Command::Store(arguments) => arguments.act(),
            Command::AlertBridge(arguments) => arguments.act(),
            Command::Silence(arguments) => arguments.act(),
            Command::Serve(_)
            | Command::CheckConfig(_)
            | Command::PrintConfig(_)
            | Command::Doctor(_)
            | Command::Top(_)
            | Command::Probe(_)
            | Command::Version
            | Command::Completions { .. } => None,
        }
    }

    fn perform(self) -> u8 {
        match self {
            Command::Serve(arguments) => serve::run(arguments),
            Command::CheckConfig(configured) => check_config(&configured.into()),
            Command::PrintConfig(PrintConfig { configured, format }) => {
                print_config(&configured.into(), format)
            }
            Command::Token(arguments) => token::run(&arguments),
            Command::ApiKey(arguments) => api_key::run(&arguments),
            Command::OperatorToken(arguments) => operator_token::run(&arguments),
            Command::Doctor(arguments) => doctor::run(arguments),
            Command::Top(arguments) => top::run(arguments),
            Command::Store(arguments) => store::run(arguments),
            Command::AlertBridge(arguments) => alert_bridge::run(arguments),
            Command::Probe(arguments) => probe::run(arguments),
            Command::Silence(arguments) => silence::run(arguments),
            Command::Version => print(concat!("rookery ", env!("CARGO_PKG_VERSION"), "\n")),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "rookery", &mut script);
                print(&String::from_utf8_lossy(&script))
            }
        }
    }
}

impl From<Configured> for Inputs {
    fn from(configured: Configured) -> Inputs {
        Inputs { base: configured.base, flags: configured.settings.0 }
    }
}

fn check_config(inputs: &Inputs) -> u8 {
    let config = match inputs.resolve() {
        Ok(config) => config,
        Err(refusal) => return refusal.tell(),
    };
    for warning in config.warnings() {
        output::tell(&format!("warning: {warning}"));
    }
    if let Some(useless) = config.is_useless() {
        return fail(MISUSED, useless);
    }
    print("the configuration is good\n")
}

fn print_config(inputs: &Inputs, format: Format) -> u8 {
    match format {
        // The page is about every configuration, so none is read.
        Format::Markdown => print(&config::markdown()),
        Format::Toml => match inputs.resolve() {
            Ok(config) => print(&config::toml(&config)),
            Err(refusal) => refusal.tell(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_contradict_each_other_nowhere() {
        Cli::command().debug_assert();
    }
}
