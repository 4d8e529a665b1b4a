//! The pages of the bridge, which its process serves over HTTP: what Alertmanager tells, links
//! that stand in messages, and what is looked at from outside.
//!
//! The first two need the token of the listener, if there is one; so does every page that is not
//! open in `all`.
//!
//! | path | answer |
//! |---|---|
//! | `POST /v1/notify/…` | 200 when it is kept, 400 for what is no notification, else 503 |
//! | `POST /v1/deadman` | 200: the watchdog is heard |
//! | `GET /v1/silence` | a page that asks whether it is meant |
//! | `POST /v1/silence` | makes the silence |
//! | `GET /v1/acknowledge` | a page that asks who takes care of a group |
//! | `POST /v1/acknowledge` | says so |
//! | `POST /v1/pair` | what was told, to the other bridge |
//! | `GET /v1/refused` | what a chat refused, to whoever has the link |
//! | `POST /v1/refused` | tells one of these again, or drops it |
//! | `GET /v1/refused/all`, `POST /v1/refused/{id}/retry`, `/drop` | the same for operators |
//! | `GET /metrics`, `/health`, `/ready` | what their names say |

mod acknowledge;
mod form;
mod page_state;
mod peer;
mod refused;
mod silence;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

pub(super) use self::page_state::PageState;
use self::page_state::PayloadError;
use super::clock::now;
use super::exposition;
use crate::alert::core::CoreInput;
use crate::alert::core::counts::Count;
use crate::alert::message::signature;
use crate::alert::model::text;
use crate::http_server::HttpLimits;

/// The limits for clients.
pub(super) const LIMITS: HttpLimits = HttpLimits {
    connections_max: 64,
    head_bytes_max: 16 << 10,
    headers_max: 64,
    head_ms_max: 5_000,
    exchange_ms_max: 10_000,
    idle_ms_max: None,
};

/// Most bytes of the name of an unknown route.
const ROUTE_BYTES_MAX: usize = 64;

/// All pages.
pub(super) fn all(page_state: PageState) -> Router {
    let closed = Router::new()
        // Any name is accepted: a notification that is answered with 404 is lost.
        .route("/v1/notify", post(notify))
        .route("/v1/notify/", post(notify))
        .route("/v1/notify/{*route}", post(notify))
        .route("/v1/deadman", post(deadman))
        .merge(refused::operators())
        .route_layer(middleware::from_fn_with_state(page_state.clone(), with_token));
    let open = Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(|| async { "alive\n" }))
        .route("/ready", get(ready))
        .merge(peer::between());
    closed.merge(open).with_state(page_state.clone()).merge(public(page_state))
}

/// Checks the token, before the body is read.
async fn with_token(State(page_state): State<PageState>, request: Request, next: Next) -> Response {
    let settings = page_state.settings();
    let token = &settings.options.token;
    let has_none = token.file.is_empty() && token.env.is_empty();
    let given = request.headers().get(header::AUTHORIZATION);
    let given =
        given.and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).and_then(secret_of);
    if has_none || given.is_some_and(|given| signature::is_secret(&token.value, &given)) {
        return next.run(request).await;
    }
    page_state.count(Count::Unauthorized);
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, "the token of [bridge] is wanted\n").into_response()
}

/// The secret in an `Authorization`: a bearer token, or the password of basic auth.
fn secret_of(value: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = BASE64_STANDARD.decode(rest).ok()?;
    let colon = plain.iter().position(|byte| *byte == b':')?;
    Some(plain[colon + 1..].to_vec())
}

/// The pages that links in chats lead to.
pub(super) fn public(page_state: PageState) -> Router {
    Router::new()
        .route("/v1/silence", get(silence::ask_silence).post(silence::make_silence))
        .merge(refused::public())
        .merge(acknowledge::public())
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such page\n") })
        .with_state(page_state)
}

async fn notify(State(page_state): State<PageState>, uri: Uri, body: Body) -> Response {
    let route = route_of(uri.path());
    let payload = match page_state.payload(body).await {
        Ok(payload) => payload,
        Err(why) => return payload_error(why),
    };
    page_state.submit(|reply_id| CoreInput::Notified { reply_id, route, payload }).await
}

async fn deadman(State(page_state): State<PageState>, body: Body) -> Response {
    match page_state.payload(body).await {
        // A watchdog alert that has ended does not count.
        Ok(payload) if payload.alerts.iter().any(|alert| alert.firing) => {
            let answer = page_state.submit(CoreInput::Beat).await;
            if answer.status() == StatusCode::OK {
                page_state.ping();
            }
            answer
        }
        Ok(_) => (StatusCode::OK, "nothing fires\n").into_response(),
        Err(why) => payload_error(why),
    }
}

async fn metrics(State(page_state): State<PageState>) -> Response {
    let text = exposition::text(&page_state.stats(), now().unix_ms);
    ([(header::CONTENT_TYPE, exposition::TEXT_TYPE)], text).into_response()
}

async fn ready(State(page_state): State<PageState>) -> Response {
    match page_state.stats().disk_ok {
        true => (StatusCode::OK, "ready\n").into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the queue cannot be written\n").into_response(),
    }
}

/// The name of the route in a path.
fn route_of(path: &str) -> String {
    let name = path.strip_prefix("/v1/notify").unwrap_or_default().trim_matches('/');
    // Of a form's alphabet, only `%41` has a meaning in a path.
    let name = name.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let name = form_urlencoded::parse(name.as_bytes()).next().map(|(name, _)| name);
    text::cut_bytes(&name.unwrap_or_default(), ROUTE_BYTES_MAX).to_owned()
}

fn payload_error(why: PayloadError) -> Response {
    match why {
        PayloadError::Cut => {
            (StatusCode::SERVICE_UNAVAILABLE, "the body is not whole; try again\n").into_response()
        }
        PayloadError::Malformed(why) => {
            (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response()
        }
    }
}
