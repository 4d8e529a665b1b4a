//! `rookery serve`: from a configuration to a running server, and what it reads again when it
//! is told to reload.
//!
//! Deliberately absent: what the server does (`server`).

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::inputs::Inputs;
use super::output::fail;
use super::place::leave_gone_directory;
use super::{Configured, FAILED, MISUSED, token};
use crate::admin::{StaticFiles, WebChat};
use crate::config::{self, Config, DEV_NAME, DEV_TEXT, File, Sources};
use crate::logs;
use crate::server::{
    self, AlertSource, ConsoleOptions, DiagnosticsOptions, Secrets, ServerSetup, StoreSetup,
};
use crate::store::OpenError;

/// How long a token of the web chat lives; the page gets another one before that.
const WEB_TOKEN_S: u64 = 3_600;

/// What is served.
#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    configured: Configured,
    /// Serve the web chat of this folder at `/` of the admin listener, with tokens for whoever
    /// asks; for trying out.
    #[arg(long, value_name = "DIR", requires = "dev")]
    web: Option<PathBuf>,
}

/// Serves until a signal ends it; the exit code of that.
pub(super) fn run(ServeArguments { configured, web }: ServeArguments) -> u8 {
    let inputs: Inputs = configured.into();
    server::hold_reloads();
    let config = match inputs.resolve() {
        Ok(config) => config,
        Err(refusal) => return refusal.tell(),
    };
    if let Some(useless) = config.is_useless() {
        return fail(MISUSED, useless);
    }
    let store_dir = config.store().map_or(Path::new(""), |options| &options.dir);
    let [evidence, console] =
        [&config.admin.evidence_dir, &config.admin.console_dir].map(Path::new);
    if let Err(why) = leave_gone_directory(&[store_dir, evidence, console]) {
        return fail(FAILED, &why);
    }
    logs::begin(config.server.log_format, config.server.log_level);
    if inputs.base.dev {
        tracing::warn!(
            "this is the development configuration: everyone knows its secret and can be any user, \
             and knows the admin token; never serve others with it"
        );
        if let Some(options) = config.store()
            && let Err(fault) = make_store_dir(&options.dir)
        {
            tracing::error!("{fault}");
            return fault.exit_code();
        }
    }
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let (web, console) = match pages(web.as_deref(), &config) {
        Ok(pages) => pages,
        Err(why) => return fail(FAILED, &why),
    };
    // Only the secrets of what is read again count: the rest needs a restart.
    let reload = Box::new(move || match inputs.resolve() {
        Ok(config) => Ok(secrets(&config)),
        Err(refusal) => Err(refusal.lines().join("; ")),
    });
    let store = config
        .store()
        .map(|options| StoreSetup { options: options.clone(), retention: config.retention() });
    let setup = ServerSetup {
        secrets: secrets(&config),
        api: config.api(),
        hooks: config.hooks(),
        presence: config.presence(),
        options: config.server,
        ring: config.ring,
        shard: config.shard,
        store,
        blocks_dir: Some(config.blocks.dir).filter(|dir| !dir.is_empty()).map(Into::into),
        diagnostics: DiagnosticsOptions {
            dir: Some(config.admin.evidence_dir).filter(|dir| !dir.is_empty()).map(Into::into),
            leak_hold_ms: config.admin.leak_hold_ms,
        },
        console,
        web,
        reload,
    };
    match server::run(setup) {
        Ok(ended) => ended.exit_code(),
        Err(fault) => {
            tracing::error!("{fault}");
            fault.exit_code()
        }
    }
}

/// The web chat of a folder. Its tokens are signed with the published secret whatever else is
/// configured, so that nobody gets one here that they could not make themselves.
fn web_chat(dir: &Path, config: &Config) -> Result<WebChat, String> {
    let port = config.server.addresses()[0].port();
    let file = Some(File { name: DEV_NAME.to_owned(), text: DEV_TEXT.to_owned() });
    let published = config::resolve(&Sources { file, ..Sources::default() }, &mut |path| {
        Err(io::Error::new(io::ErrorKind::NotFound, path.display().to_string()))
    });
    let published = published.expect("the embedded configuration is good");
    let sign = move |user: &str| token::for_user(&published, user, WEB_TOKEN_S);
    WebChat::read(dir, port, Arc::new(sign)).map_err(|error| error.to_string())
}

/// The web chat, where somebody asked for it, and the console, with its page where there is one.
fn pages(web: Option<&Path>, config: &Config) -> Result<(Option<WebChat>, ConsoleOptions), String> {
    let web = web.map(|dir| web_chat(dir, config)).transpose()?;
    let dir = Some(&config.admin.console_dir).filter(|dir| !dir.is_empty());
    let files = dir.map(|dir| StaticFiles::read(Path::new(dir))).transpose();
    let files = files.map_err(|error| error.to_string())?;
    let alerts = config.alertmanager().map(AlertSource::new).transpose()?;
    Ok((web, ConsoleOptions { files, origins: config.console_origins(), alerts }))
}

/// What is read again.
fn secrets(config: &Config) -> Secrets {
    Secrets {
        keys: Arc::new(config.keys()),
        api_keys: Arc::new(config.api_keys()),
        operators: config.operators(),
    }
}

/// Who tries the server out need not make a directory; who runs one shall say where
/// it is, so that a mistyped name does not begin an empty store.
fn make_store_dir(dir: &Path) -> Result<(), OpenError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    // Whatever else lies there is for the store to find.
    made.or_else(|error| if dir.exists() { Ok(()) } else { Err(error) }).map_err(|error| {
        let what = match fs::read_link(dir) {
            Ok(target) => format!("it is a link to {}, which is not there", target.display()),
            Err(_) => format!("it cannot be made: {error}"),
        };
        OpenError::System { dir: dir.to_owned(), what }
    })
}
