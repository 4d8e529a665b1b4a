//! `POST /console/api/acts`: an operator changes something. Each try is an audit event, also one
//! that came to nothing.
//!
//! Deliberately absent: doing it (`server`).

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::ConsoleState;
use crate::admin::questions::{OperatorQuestion, ask, outcome_of};
use crate::clock::unix_ms;
use crate::console::{AccessKind, ActError, OperatorAct};
use crate::http_server::PeerAddr;

/// Done, it is 204.
pub(super) async fn perform(
    State(state): State<ConsoleState>,
    Extension(PeerAddr(from)): Extension<PeerAddr>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Response> {
    let visitor = state.gate.visitor(&headers, from, AccessKind::Act).await?;
    let instance = &state.diagnostics.instance;
    let act = OperatorAct::parse(&body, instance, unix_ms() / 1_000).map_err(wrong)?;
    let (action, target) = (act.action(), act.target());
    let asked =
        ask(&state.diagnostics.questions, |answer| OperatorQuestion::Act { act, answer }).await;
    let outcome = outcome_of(&asked);
    state.gate.tell((&visitor.view.operator, visitor.from), action, target, outcome).await;
    asked.map(|()| StatusCode::NO_CONTENT)
}

/// A body that is no act: 400, and the field's name.
fn wrong(error: ActError) -> Response {
    let sentence = match error {
        ActError::Body => "the body is a JSON object with the fields of one act".to_owned(),
        ActError::Unknown => "there is no such act".to_owned(),
        ActError::Field(field) => {
            format!("{field} is missing, out of its range, or no part of this act")
        }
    };
    (StatusCode::BAD_REQUEST, format!("{sentence}\n")).into_response()
}
