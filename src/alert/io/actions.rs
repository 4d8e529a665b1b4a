//! Runs actions, and writes them into the audit log before and after.
//!
//! Deliberately absent: the decision to run one (`core`).

use std::path::PathBuf;

use serde_json::json;
use tokio::task;

use super::audit;
use super::client::{Client, ClientRequest, ClientRoute};
use super::clock::now;
use crate::alert::core::{ActionRun, ActionState};
use crate::alert::model::text;
use crate::outbound::ExchangeAnswer;

/// How long an action may take, in ms.
const ACTION_MS_MAX: u64 = 30_000;

/// Runs an action, and writes it into the audit log: before, so that it is known even when the
/// process ends meanwhile, and after.
pub(super) async fn run_and_audit(client: Client, run: ActionRun, dir: PathBuf, token: String) {
    let at = now().unix_ms;
    let verdict = match run.verdict {
        ActionState::Done => "done",
        ActionState::DryRun => "dry_run",
        ActionState::TooSoon => "too_soon",
        ActionState::UnknownInstance => "unknown_instance",
    };
    let fields = json!({
        "action": run.action, "alert": run.alert, "verdict": verdict,
        "instance": text::of_operator(&run.instance, 120),
    });
    write_audit(dir.clone(), at, fields.clone()).await;
    if run.verdict != ActionState::Done {
        return;
    }
    let ask = ClientRequest {
        url: &run.url,
        // The token is for that listener, and not for a proxy.
        way: ClientRoute::Direct,
        json: None,
        post: run.post,
        bearer: &token,
        id: "",
        ms_max: ACTION_MS_MAX,
        bytes_max: audit::SAVED_BYTES_MAX,
    };
    let mut fields = fields;
    match client.ask(ask).await {
        Ok(ExchangeAnswer { status, body, .. }) => {
            let (into, name) = (dir.clone(), run.action.clone());
            let saved = task::spawn_blocking(move || audit::save(&into, at, &name, &body)).await;
            fields["status"] = json!(status);
            fields["saved"] = json!(saved.ok().and_then(Result::ok));
        }
        Err(failed) => fields["failed"] = json!(format!("{failed:?}")),
    }
    write_audit(dir, now().unix_ms, fields).await;
}

async fn write_audit(dir: PathBuf, at: u64, fields: serde_json::Value) {
    let written = task::spawn_blocking(move || audit::write(&dir, at, "action", fields)).await;
    if !matches!(written, Ok(Ok(()))) {
        tracing::error!("the audit log cannot be written");
    }
}
