//! `rookery serve`: from a configuration to a running server, and what it reads again when it
//! is told to reload.
//!
//! Deliberately absent: what the server does (`server`).

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;

use super::inputs::Inputs;
use super::output::fail;
use super::place::leave_gone_directory;
use super::{FAILED, MISUSED};
use crate::config::Config;
use crate::logs;
use crate::server::{self, DiagnosticsOptions, Secrets, ServerSetup, StoreSetup};
use crate::store::OpenError;

/// Serves until a signal ends it; the exit code of that.
pub(super) fn run(inputs: Inputs) -> u8 {
    server::hold_reloads();
    let config = match inputs.resolve() {
        Ok(config) => config,
        Err(refusal) => return refusal.tell(),
    };
    if let Some(useless) = config.is_useless() {
        return fail(MISUSED, useless);
    }
    let store_dir = config.store().map_or(Path::new(""), |options| &options.dir);
    if let Err(why) = leave_gone_directory(&[store_dir, Path::new(&config.admin.evidence_dir)]) {
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
    let at_start = secrets(&config);
    // Only the secrets of what is read again count: the rest needs a restart.
    let reload = Box::new(move || match inputs.resolve() {
        Ok(config) => Ok(secrets(&config)),
        Err(refusal) => Err(refusal.lines().join("; ")),
    });
    let store = config
        .store()
        .map(|options| StoreSetup { options: options.clone(), retention: config.retention() });
    let setup = ServerSetup {
        api: config.api(),
        options: config.server,
        ring: config.ring,
        shard: config.shard,
        store,
        secrets: at_start,
        diagnostics: DiagnosticsOptions {
            dir: Some(config.admin.evidence_dir).filter(|dir| !dir.is_empty()).map(Into::into),
            leak_hold_ms: config.admin.leak_hold_ms,
        },
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

/// What is read again.
fn secrets(config: &Config) -> Secrets {
    Secrets {
        keys: Arc::new(config.keys()),
        api_keys: Arc::new(config.api_keys()),
        admin_token: config.admin.ready.clone(),
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
