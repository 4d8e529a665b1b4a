//! The page that silences a group: its link is used once, and written down before
//! Alertmanager hears of it.
//!
//! Only its button does so: chats open links by themselves to show a preview.

use std::path::PathBuf;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use tokio::task;

use super::desk::PageState;
use super::form::{FORM_BYTES_MAX, field, fields, page};
use crate::alert::core::counts::Count;
use crate::alert::io::client::{ClientRequest, ClientRoute};
use crate::alert::io::clock::now;
use crate::alert::io::used::{self, LinkUse, UsedLinks};
use crate::alert::io::{audit, html};
use crate::alert::message::silence::{self, SilenceError};

/// How long Alertmanager may take to make a silence, in ms.
const SILENCE_MS_MAX: u64 = 5_000;

pub(super) async fn ask_silence(
    State(desk): State<PageState>,
    RawQuery(query): RawQuery,
) -> Response {
    let form = fields(query.unwrap_or_default().as_bytes());
    let (payload, signature) = (field(&form, "d"), field(&form, "s"));
    match grant(&desk, payload, signature).await {
        Ok(grant) => page(StatusCode::OK, html::silence_page(&grant, payload, signature)),
        Err(refused) => desk.refuse(refused),
    }
}

pub(super) async fn make_silence(State(desk): State<PageState>, body: Body) -> Response {
    let Ok(body) = axum::body::to_bytes(body, FORM_BYTES_MAX).await else {
        return desk.refuse(SilenceError::Form);
    };
    let form = fields(&body);
    let signature = field(&form, "s");
    let granted = grant(&desk, field(&form, "d"), signature).await;
    let wished = silence::wish(field(&form, "who"), field(&form, "minutes"));
    let (grant, wish) = match (granted, wished) {
        (Ok(grant), Ok(wish)) => (grant, wish),
        (Err(refused), _) | (Ok(_), Err(refused)) => return desk.refuse(refused),
    };
    let settings = desk.settings();
    let now_ms = now().unix_ms;
    if let Err(refused) = use_link(&desk, signature, grant.until_s, now_ms / 1_000).await {
        return desk.refuse(refused);
    }
    let url =
        format!("{}/api/v2/silences", settings.options.alertmanager_url.trim_end_matches('/'));
    let client = desk.client();
    let answer = client
        .ask(ClientRequest {
            url: &url,
            way: ClientRoute::Usual,
            json: Some(silence::body(&grant, &wish, now_ms / 1_000)),
            post: true,
            bearer: "",
            id: "",
            ms_max: SILENCE_MS_MAX,
            bytes_max: 64 << 10,
        })
        .await;
    let is_made = answer.is_ok_and(|answer| (200..300).contains(&answer.status));
    let fields = json!({
        "who": wish.who, "minutes": wish.minutes, "matchers": grant.matchers, "made": is_made,
    });
    let dir: PathBuf = settings.options.dir.clone();
    let written = task::spawn_blocking(move || audit::write(&dir, now_ms, "silence", fields)).await;
    if !matches!(written, Ok(Ok(()))) {
        tracing::error!("the audit log cannot be written");
    }
    if is_made {
        desk.count(Count::Silenced);
        let words = format!("Silenced for {} min. 已静默 {} 分钟。", wish.minutes, wish.minutes);
        return page(StatusCode::OK, html::notice(&words));
    }
    give_link_back(&desk, signature).await;
    desk.count(Count::SilenceFailed);
    let words =
        "Alertmanager did not make the silence; try again. Alertmanager 未能创建静默，请重试。";
    page(StatusCode::BAD_GATEWAY, html::notice(words))
}

async fn grant(
    desk: &PageState,
    payload: &str,
    signature: &str,
) -> Result<silence::SilenceGrant, SilenceError> {
    let settings = desk.settings();
    if settings.options.alertmanager_url.is_empty() {
        return Err(SilenceError::Forged);
    }
    let key = &settings.options.silence_key.value;
    let grant = silence::grant(key, payload, signature, now().unix_ms / 1_000)?;
    if desk.links().lock().await.has(signature) { Err(SilenceError::Used) } else { Ok(grant) }
}

/// Uses a link, and writes that down before anything else happens.
async fn use_link(
    desk: &PageState,
    signature: &str,
    until_s: u64,
    now_s: u64,
) -> Result<(), SilenceError> {
    let mut links = desk.links().lock().await;
    match links.take(signature, until_s, now_s) {
        LinkUse::Now => {}
        LinkUse::Before => return Err(SilenceError::Used),
        LinkUse::Full => return Err(SilenceError::TooMany),
    }
    write_links(&links).await;
    Ok(())
}

async fn give_link_back(desk: &PageState, signature: &str) {
    let mut links = desk.links().lock().await;
    links.give_back(signature);
    write_links(&links).await;
}

/// A disk that is full is no reason not to silence: the link is used until the next start.
async fn write_links(links: &UsedLinks) {
    let what = links.written();
    if !matches!(task::spawn_blocking(move || used::write(what)).await, Ok(Ok(()))) {
        tracing::error!("which links were used cannot be written");
    }
}
