//! `/console/api/session`: a token becomes a session, which is shown to its page, and ends.
//!
//! Deliberately absent: how long one lives (`console`).

use std::net::IpAddr;

use aws_lc_rs::rand;
use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::ConsoleState;
use super::reads::json_answer;
use crate::console::{AccessKind, AuditAction, AuditOutcome, SessionSecrets, SessionView};
use crate::http_server::PeerAddr;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    token: String,
}

/// `POST`: a token, as `{"token": …}`.
pub(super) async fn sign_in(
    State(state): State<ConsoleState>,
    Extension(PeerAddr(from)): Extension<PeerAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    // Whatever is no token is compared as one: the request is judged before its body.
    let token = serde_json::from_slice::<TokenBody>(&body).map(|body| body.token);
    let token = token.unwrap_or_default();
    let Some(secrets) = secrets() else {
        let words = "the system's generator cannot be asked\n";
        return Err((StatusCode::INTERNAL_SERVER_ERROR, words).into_response());
    };
    let begun = state.gate.sign_in(&headers, from, token.as_bytes(), &secrets).await?;
    tell(&state, &begun.view, from, AuditAction::SignedIn).await;
    let cookie = [(header::SET_COOKIE, begun.set_cookie)];
    Ok((cookie, shown(&state, &begun.view)).into_response())
}

/// `GET`: who is signed in, and what their page shows when it changes something.
pub(super) async fn show(
    State(state): State<ConsoleState>,
    Extension(PeerAddr(from)): Extension<PeerAddr>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let visitor = state.gate.visitor(&headers, from, AccessKind::Read).await?;
    Ok(shown(&state, &visitor.view))
}

/// `DELETE`: it ends.
pub(super) async fn sign_out(
    State(state): State<ConsoleState>,
    Extension(PeerAddr(from)): Extension<PeerAddr>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let ended = state.gate.sign_out(&headers, from).await?;
    tell(&state, &ended.view, from, AuditAction::SignedOut).await;
    let cookie = [(header::SET_COOKIE, ended.set_cookie)];
    Ok((StatusCode::NO_CONTENT, cookie).into_response())
}

async fn tell(state: &ConsoleState, view: &SessionView, from: IpAddr, action: AuditAction) {
    state.gate.tell((&view.operator, from), action, "".into(), AuditOutcome::Done).await;
}

fn shown(state: &ConsoleState, view: &SessionView) -> Response {
    json_answer(&json!({
        "operator": &*view.operator,
        "role": view.role.name(),
        "csrf": &*view.csrf,
        "left_ms": view.left_ms,
        "instance": &*state.diagnostics.instance,
    }))
}

/// Bytes of the system's generator; none where it cannot be asked.
fn secrets() -> Option<SessionSecrets> {
    let mut secrets = SessionSecrets { cookie: [0; 32], csrf: [0; 32] };
    rand::fill(&mut secrets.cookie).and_then(|()| rand::fill(&mut secrets.csrf)).ok()?;
    Some(secrets)
}
