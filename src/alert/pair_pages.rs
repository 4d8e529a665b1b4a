//! Two bridges ask each other: the page that answers, and the task that asks.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::sync::{mpsc, watch};
use tokio::time;

use super::client::{Ask, Client, Way};
use super::core::{Input, Settings};
use super::counts::{Count, Stats};
use super::pages::{Desk, Envelope};
use super::pair::{ASK_MS, PairAnswer, PairQuestion};
use super::signature;

/// How long the other one may take to answer, in ms.
const ANSWER_MS_MAX: u64 = 2_000;

/// Bytes of its answer.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Bytes of a question.
const QUESTION_BYTES_MAX: usize = 1 << 10;

/// What the other bridge reaches. It has a token of its own, whatever the listener's.
pub(super) fn between() -> Router<Desk> {
    Router::new().route("/v1/pair", post(answer))
}

async fn answer(State(desk): State<Desk>, headers: HeaderMap, body: Body) -> Response {
    let token = desk.settings.borrow().options.peer_token.value.clone();
    let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let given = given.and_then(|value| value.strip_prefix(b"Bearer "));
    let is_known = !token.is_empty() && given.is_some_and(|one| signature::is_secret(&token, one));
    if !is_known {
        desk.count(Count::Unauthorized);
        return (StatusCode::UNAUTHORIZED, "the token of [peer] is wanted\n").into_response();
    }
    let body = axum::body::to_bytes(body, QUESTION_BYTES_MAX).await.unwrap_or_default();
    match serde_json::from_slice::<PairQuestion>(&body) {
        Ok(question) => desk.hand_in(|ticket| Input::PairAsked(ticket, question)).await,
        Err(_) => (StatusCode::BAD_REQUEST, "this is no question\n").into_response(),
    }
}

/// Asks the other bridge again and again what it has told.
pub(super) async fn ask_other(
    inbox: mpsc::Sender<Envelope>,
    settings: watch::Receiver<Arc<Settings>>,
    client: watch::Receiver<Client>,
    stats: watch::Receiver<Arc<Stats>>,
) {
    loop {
        let (url, token) = {
            let options = &settings.borrow().options;
            let url = format!("{}/v1/pair", options.peer_url.trim_end_matches('/'));
            (Some(url).filter(|_| !options.peer_url.is_empty()), options.peer_token.value.clone())
        };
        let mut pause_ms = ASK_MS;
        if let Some(url) = url {
            let question = stats.borrow().question;
            let client = client.borrow().clone();
            let answer = ask(&client, &url, &token, question).await;
            if answer.as_ref().is_some_and(|answer| answer.more) {
                pause_ms = 50;
            }
            let input = Input::PairHeard(answer.map(Box::new));
            if inbox.send(Envelope { input, reply: None }).await.is_err() {
                return;
            }
        }
        time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

async fn ask(
    client: &Client,
    url: &str,
    token: &str,
    question: PairQuestion,
) -> Option<PairAnswer> {
    let ask = Ask {
        url,
        // The token is for the other bridge, and for nobody on the way to it.
        way: Way::Direct,
        json: Some(serde_json::to_string(&question).expect("numbers become JSON")),
        post: true,
        bearer: token,
        id: "",
        ms_max: ANSWER_MS_MAX,
        bytes_max: ANSWER_BYTES_MAX,
    };
    let answer = client.ask(ask).await.ok().filter(|answer| answer.status == 200)?;
    serde_json::from_slice(&answer.body).ok()
}
