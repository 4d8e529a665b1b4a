use std::sync::Arc;

use super::inputs::Inputs;
use super::output::fail;
use super::{FAILED, MISUSED};
use crate::server::{self, Setup, StoreSetup};

/// Serves until a signal ends it; the exit code of that.
pub(super) fn run(inputs: Inputs) -> u8 {
    let config = match inputs.resolve() {
        Ok(config) => config,
        Err(refusal) => return refusal.tell(),
    };
    if let Some(useless) = config.is_useless() {
        return fail(MISUSED, useless);
    }
    server::begin_logs(config.server.log_format, config.server.log_level);
    if inputs.base.dev {
        tracing::warn!(
            "this is the development configuration: everyone knows its secret and can be any user; \
             never serve others with it"
        );
    }
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let keys = Arc::new(config.keys());
    // Only the keys of what is read again count: the rest needs a restart.
    let reload = Box::new(move || match inputs.resolve() {
        Ok(config) => Ok(Arc::new(config.keys())),
        Err(refusal) => Err(refusal.lines().join("; ")),
    });
    let store = config
        .store()
        .map(|options| StoreSetup { options: options.clone(), retention: config.retention() });
    let setup = Setup {
        options: config.server,
        ring: config.ring,
        shard: config.shard,
        store,
        keys,
        reload,
    };
    match server::run(setup) {
        Ok(ended) => ended.exit_code(),
        Err(fault) => {
            tracing::error!("{fault}");
            FAILED
        }
    }
}
