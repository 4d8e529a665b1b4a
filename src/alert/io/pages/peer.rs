//! The page that answers the polls of the other bridge of a pair.
//!
//! Deliberately absent: polling it (`io::peer`).

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;

use super::page_state::PageState;
use crate::alert::core::CoreInput;
use crate::alert::core::PairQuestion;
use crate::alert::core::counts::Count;
use crate::alert::message::signature;

/// Most bytes of a poll.
const QUESTION_BYTES_MAX: usize = 1 << 10;

/// The pages for the other bridge. They have a token of their own.
pub(super) fn between() -> Router<PageState> {
    Router::new().route("/v1/pair", post(answer))
}

async fn answer(State(page_state): State<PageState>, headers: HeaderMap, body: Body) -> Response {
    let settings = page_state.settings();
    let token = &settings.options.peer_token.value;
    let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
    let is_known = !token.is_empty() && given.is_some_and(|one| signature::is_secret(token, one));
    if !is_known {
        page_state.count(Count::Unauthorized);
        return (StatusCode::UNAUTHORIZED, "the token of [peer] is wanted\n").into_response();
    }
    let body = axum::body::to_bytes(body, QUESTION_BYTES_MAX).await.unwrap_or_default();
    match serde_json::from_slice::<PairQuestion>(&body) {
        Ok(question) => {
            page_state.submit(|reply_id| CoreInput::PairAsked(reply_id, question)).await
        }
        Err(_) => (StatusCode::BAD_REQUEST, "this is no question\n").into_response(),
    }
}
