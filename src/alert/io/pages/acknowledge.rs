//! The page on which a user acknowledges critical alerts.
//!
//! Only its button does so: chats open links by themselves to show a preview.

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde_json::json;
use tokio::task;

use super::form::{FORM_BYTES_MAX, field, fields, page};
use super::page_state::PageState;
use crate::alert::core::CoreInput;
use crate::alert::io::audit;
use crate::alert::io::clock::now;
use crate::alert::io::html::{self, html};
use crate::alert::message::link::LinkPurpose;
use crate::alert::message::silence::SilenceError;
use crate::alert::model::text;

/// Most characters of a name.
const NAME_CHARS_MAX: usize = 64;

/// The pages that links in chats lead to.
pub(super) fn public() -> Router<PageState> {
    Router::new().route("/v1/acknowledge", get(ask).post(acknowledge))
}

async fn ask(State(page_state): State<PageState>, RawQuery(query): RawQuery) -> Response {
    let form = fields(query.unwrap_or_default().as_bytes());
    let (_, group_key) = match group(&page_state, &form) {
        Ok(group) => group,
        Err(refused) => return page_state.refuse(refused),
    };
    let body = format!(
        "<h1>Take care of these alerts? 接手这些告警？</h1><p>{}</p>\
         <form method=\"post\"><input type=\"hidden\" name=\"d\" value=\"{}\">\
         <input type=\"hidden\" name=\"s\" value=\"{}\">\
         <p><label>Your name 姓名 <input name=\"who\" maxlength=\"64\" required></label></p>\
         <p><button>I do 接手</button></p></form>",
        html(&group_key),
        html(field(&form, "d")),
        html(field(&form, "s"))
    );
    page(StatusCode::OK, html::whole(&body))
}

async fn acknowledge(State(page_state): State<PageState>, body: Body) -> Response {
    let Ok(body) = axum::body::to_bytes(body, FORM_BYTES_MAX).await else {
        return page_state.refuse(SilenceError::Form);
    };
    let form = fields(&body);
    let (route, group_key) = match group(&page_state, &form) {
        Ok(group) => group,
        Err(refused) => return page_state.refuse(refused),
    };
    let who = text::of_operator(field(&form, "who"), NAME_CHARS_MAX);
    if who.is_empty() {
        return page_state.refuse(SilenceError::Form);
    }
    let dir = page_state.settings().options.dir.clone();
    let fields = json!({ "who": who, "route": route, "group": group_key });
    let now_ms = now().unix_ms;
    let written =
        task::spawn_blocking(move || audit::write(&dir, now_ms, "acknowledge", fields)).await;
    if !matches!(written, Ok(Ok(()))) {
        tracing::error!("the audit log cannot be written");
    }
    let input = |reply_id| CoreInput::Acknowledged { reply_id, route, group_key, who };
    let status = page_state.submit(input).await.status();
    let words = match status {
        StatusCode::OK => "It is yours. 已确认，由你接手。",
        StatusCode::NOT_FOUND => "Somebody did already, or it is over. 已有人接手，或告警已恢复。",
        _ => "That did not work; try again. 操作失败，请重试。",
    };
    page(status, html::notice(words))
}

/// The route and the group of a link.
fn group(
    page_state: &PageState,
    form: &[(String, String)],
) -> Result<(String, String), SilenceError> {
    page_state.linked(LinkPurpose::Acknowledge, form)
}
