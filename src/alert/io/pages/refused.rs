//! The pages of refused alerts: one for anybody who has its link, and the same for operators, as
//! JSON.
//!
//! Invariant: the texts of a refused alert are escaped.

use std::fmt::Write as _;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;

use super::form::{FORM_BYTES_MAX, field, fields, page};
use super::page_state::PageState;
use crate::alert::core::CoreInput;
use crate::alert::core::RefusedDecision;
use crate::alert::core::record::RefusedMessage;
use crate::alert::io::html::{self, html};
use crate::alert::message::link::LinkPurpose;
use crate::alert::message::silence::SilenceError;

/// Most characters of a label or an annotation on a page.
const SHOWN_CHARS_MAX: usize = 2_000;

/// The pages that links in chats lead to.
pub(super) fn public() -> Router<PageState> {
    Router::new().route("/v1/refused", get(list).post(decide))
}

/// The pages for operators.
pub(super) fn operators() -> Router<PageState> {
    Router::new()
        .route("/v1/refused/all", get(list_all))
        .route("/v1/refused/{id}/retry", post(retry))
        .route("/v1/refused/{id}/drop", post(drop_it))
}

/// Lists those with an id above `after`, at most `limit`; without these parameters, all.
async fn list_all(State(page_state): State<PageState>, RawQuery(query): RawQuery) -> Response {
    let form = fields(query.unwrap_or_default().as_bytes());
    let (Some(after), Some(limit)) = (number(&form, "after", 0), number(&form, "limit", u64::MAX))
    else {
        let words = "after and limit are whole numbers\n";
        return (StatusCode::BAD_REQUEST, words).into_response();
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let stats = page_state.stats();
    let one = |(id, one): &(u64, std::sync::Arc<RefusedMessage>)| {
        let alerts: Vec<_> = one.pending.lines.values().map(|line| &line.alert).collect();
        json!({
            "id": id, "chat": one.chat, "robot": one.robot, "code": one.code,
            "unix_ms": one.at_ms, "told": one.is_notified, "route": one.chat_queue.route, "alerts": alerts,
        })
    };
    let page = stats.refused.iter().filter(|(id, _)| after < *id).take(limit);
    let list: Vec<_> = page.map(one).collect();
    ([(header::CONTENT_TYPE, "application/json")], json!(list).to_string()).into_response()
}

/// A number in a query, or its default; `None` when it is no number.
fn number(form: &[(String, String)], name: &str, usual: u64) -> Option<u64> {
    match field(form, name) {
        "" => Some(usual),
        text => text.parse().ok(),
    }
}

async fn retry(State(page_state): State<PageState>, Path(id): Path<u64>) -> Response {
    let decision = RefusedDecision::Retry;
    page_state.submit(|reply_id| CoreInput::Decided { reply_id, id, decision }).await
}

async fn drop_it(State(page_state): State<PageState>, Path(id): Path<u64>) -> Response {
    let decision = RefusedDecision::Drop;
    page_state.submit(|reply_id| CoreInput::Decided { reply_id, id, decision }).await
}

async fn list(State(page_state): State<PageState>, RawQuery(query): RawQuery) -> Response {
    let form = fields(query.unwrap_or_default().as_bytes());
    match chat(&page_state, &form) {
        Ok(chat) => page(StatusCode::OK, show(&page_state, &chat, &form)),
        Err(refused) => page_state.refuse(refused),
    }
}

async fn decide(State(page_state): State<PageState>, body: Body) -> Response {
    let Ok(body) = axum::body::to_bytes(body, FORM_BYTES_MAX).await else {
        return page_state.refuse(SilenceError::Form);
    };
    let form = fields(&body);
    let chat = match chat(&page_state, &form) {
        Ok(chat) => chat,
        Err(refused) => return page_state.refuse(refused),
    };
    let decision = match field(&form, "wish") {
        "retry" => RefusedDecision::Retry,
        "drop" => RefusedDecision::Drop,
        _ => return page_state.refuse(SilenceError::Form),
    };
    let Ok(id) = field(&form, "id").parse::<u64>() else {
        return page_state.refuse(SilenceError::Form);
    };
    let is_its =
        |(one, refused): &(u64, std::sync::Arc<RefusedMessage>)| *one == id && refused.chat == chat;
    if !page_state.stats().refused.iter().any(is_its) {
        let words = "It is not in the list any more. 该消息已不在列表中。";
        return page(StatusCode::NOT_FOUND, html::notice(words));
    }
    let answer = page_state.submit(|reply_id| CoreInput::Decided { reply_id, id, decision }).await;
    match answer.status() {
        StatusCode::OK => {
            let words = match decision {
                RefusedDecision::Retry => "It is told again. 正在重新发送。",
                RefusedDecision::Drop => "It is dropped. 已丢弃。",
            };
            page(StatusCode::OK, html::notice(words))
        }
        status => page(status, html::notice("That did not work; try again. 操作失败，请重试。")),
    }
}

/// The chat of a link.
fn chat(page_state: &PageState, form: &[(String, String)]) -> Result<String, SilenceError> {
    page_state.linked(LinkPurpose::Refused, form)
}

fn show(page_state: &PageState, chat: &str, form: &[(String, String)]) -> String {
    let stats = page_state.stats();
    let mut body = String::from("<h1>Refused by the chat 被群聊拒绝的告警</h1>");
    let mut count = 0;
    for (id, refused) in stats.refused.iter().filter(|(_, one)| one.chat == chat) {
        count += 1;
        body.push_str(&entry(*id, refused));
        for (decision, words) in [("retry", "Tell again 重新发送"), ("drop", "Drop 丢弃")] {
            let _ = write!(
                body,
                "<form method=\"post\" style=\"display:inline\">\
                 <input type=\"hidden\" name=\"d\" value=\"{}\">\
                 <input type=\"hidden\" name=\"s\" value=\"{}\">\
                 <input type=\"hidden\" name=\"id\" value=\"{id}\">\
                 <button name=\"wish\" value=\"{decision}\">{words}</button></form> ",
                html(field(form, "d")),
                html(field(form, "s")),
            );
        }
    }
    if count == 0 {
        body.push_str("<p>Nothing. 没有。</p>");
    }
    html::whole(&body)
}

fn entry(id: u64, refused: &RefusedMessage) -> String {
    let mut rows = String::new();
    for line in refused.pending.lines.values() {
        let alert = &line.alert;
        let state = if alert.firing { "firing" } else { "resolved" };
        let _ = write!(rows, "<tr><td>state</td><td>{state}</td></tr>");
        for (name, value) in alert.labels.iter().chain(&alert.annotations) {
            let value: String = value.chars().take(SHOWN_CHARS_MAX).collect();
            let _ = write!(rows, "<tr><td>{}</td><td>{}</td></tr>", html(name), html(&value));
        }
    }
    format!("<h2>{id} ({})</h2><table>{rows}</table>", refused.code)
}
