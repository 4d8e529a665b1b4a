//! The page that silences a group: its link is marked as used, on the disk, before Alertmanager is
//! asked.
//!
//! Only its button does so: chats open links by themselves to show a preview.

use std::path::PathBuf;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use tokio::task;

use super::form::{FORM_BYTES_MAX, field, fields, page};
use super::page_state::PageState;
use crate::alert::core::counts::Count;
use crate::alert::io::client::{ClientRequest, ClientRoute};
use crate::alert::io::clock::now;
use crate::alert::io::used_links::{self, LinkUse, UsedLinks};
use crate::alert::io::{audit, html};
use crate::alert::message::silence::{self, SilenceError};

/// The time limit for Alertmanager, in ms.
const SILENCE_MS_MAX: u64 = 5_000;

pub(super) async fn ask_silence(
    State(page_state): State<PageState>,
    RawQuery(query): RawQuery,
) -> Response {
    let form = fields(query.unwrap_or_default().as_bytes());
    let (payload, signature) = (field(&form, "d"), field(&form, "s"));
    match grant(&page_state, payload, signature).await {
        Ok(grant) => page(StatusCode::OK, html::silence_page(&grant, payload, signature)),
        Err(refused) => page_state.refuse(refused),
    }
}

pub(super) async fn make_silence(State(page_state): State<PageState>, body: Body) -> Response {
    let Ok(body) = axum::body::to_bytes(body, FORM_BYTES_MAX).await else {
        return page_state.refuse(SilenceError::Form);
    };
    let form = fields(&body);
    let signature = field(&form, "s");
    let granted = grant(&page_state, field(&form, "d"), signature).await;
    let wished = silence::request(field(&form, "who"), field(&form, "minutes"));
    let (grant, request) = match (granted, wished) {
        (Ok(grant), Ok(request)) => (grant, request),
        (Err(refused), _) | (Ok(_), Err(refused)) => return page_state.refuse(refused),
    };
    let settings = page_state.settings();
    let now_ms = now().unix_ms;
    if let Err(refused) = use_link(&page_state, signature, grant.until_s, now_ms / 1_000).await {
        return page_state.refuse(refused);
    }
    let url =
        format!("{}/api/v2/silences", settings.options.alertmanager_url.trim_end_matches('/'));
    let client = page_state.client();
    let answer = client
        .ask(ClientRequest {
            url: &url,
            way: ClientRoute::Usual,
            json: Some(silence::body(&grant, &request, now_ms / 1_000)),
            post: true,
            bearer: "",
            id: "",
            ms_max: SILENCE_MS_MAX,
            bytes_max: 64 << 10,
        })
        .await;
    let is_made = answer.is_ok_and(|answer| (200..300).contains(&answer.status));
    let fields = json!({
        "who": request.who, "minutes": request.minutes, "matchers": grant.matchers, "made": is_made,
    });
    let dir: PathBuf = settings.options.dir.clone();
    let written = task::spawn_blocking(move || audit::write(&dir, now_ms, "silence", fields)).await;
    if !matches!(written, Ok(Ok(()))) {
        tracing::error!("the audit log cannot be written");
    }
    if is_made {
        page_state.count(Count::Silenced);
        let words =
            format!("Silenced for {} min. 已静默 {} 分钟。", request.minutes, request.minutes);
        return page(StatusCode::OK, html::notice(&words));
    }
    give_link_back(&page_state, signature).await;
    page_state.count(Count::SilenceFailed);
    let words =
        "Alertmanager did not make the silence; try again. Alertmanager 未能创建静默，请重试。";
    page(StatusCode::BAD_GATEWAY, html::notice(words))
}

async fn grant(
    page_state: &PageState,
    payload: &str,
    signature: &str,
) -> Result<silence::SilenceGrant, SilenceError> {
    let settings = page_state.settings();
    if settings.options.alertmanager_url.is_empty() {
        return Err(SilenceError::Forged);
    }
    let key = &settings.options.silence_key.value;
    let grant = silence::grant(key, payload, signature, now().unix_ms / 1_000)?;
    if page_state.links().lock().await.has(signature) { Err(SilenceError::Used) } else { Ok(grant) }
}

/// Marks a link as used, on the disk, before anything else is done.
async fn use_link(
    page_state: &PageState,
    signature: &str,
    until_s: u64,
    now_s: u64,
) -> Result<(), SilenceError> {
    let mut links = page_state.links().lock().await;
    match links.take(signature, until_s, now_s) {
        LinkUse::Now => {}
        LinkUse::Before => return Err(SilenceError::Used),
        LinkUse::Full => return Err(SilenceError::TooMany),
    }
    write_links(&links).await;
    Ok(())
}

async fn give_link_back(page_state: &PageState, signature: &str) {
    let mut links = page_state.links().lock().await;
    links.give_back(signature);
    write_links(&links).await;
}

/// A full disk does not prevent a silence: the link counts as used until the next start.
async fn write_links(links: &UsedLinks) {
    let what = links.written();
    if !matches!(task::spawn_blocking(move || used_links::write(what)).await, Ok(Ok(()))) {
        tracing::error!("which links were used cannot be written");
    }
}
