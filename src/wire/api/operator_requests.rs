//! What an operator's program asks: the connections of a user with all that is known of them, and
//! the first rooms by some measure.
//!
//! Deliberately absent: who may ask (`api`).

use std::borrow::Cow;

use super::fields::{ApiField, ApiFieldError};
use super::method::ApiOperatorMethod;
use super::requests::pattern;
use super::user_requests::{client_at, user};
use crate::base::ClientId;
use crate::base::limits::{
    API_CONNECTIONS_PAGE_DEFAULT, API_CONNECTIONS_PAGE_MAX, API_ROOMS_PAGE_DEFAULT,
    API_ROOMS_PAGE_MAX,
};
use crate::wire::channel_is_valid;
use crate::wire::json_fields::JsonFields;

type Fields<'a> = JsonFields<'a, ApiField>;

/// A call of an operator's program.
#[derive(Debug, PartialEq, Eq)]
pub enum ApiOperatorCall<'a> {
    /// To see connections of a user.
    Connections(ApiConnectionsPage<'a>),
    /// To see the first rooms.
    Rooms(ApiRoomsPage<'a>),
}

/// A page of the connections of a user.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiConnectionsPage<'a> {
    /// The user, who has a name.
    pub user: Cow<'a, str>,
    /// This connection alone; `None` for all of the user's.
    pub client: Option<ClientId>,
    /// The connection behind which the page begins; `None` for the first page.
    pub after: Option<ClientId>,
    /// How many at most.
    pub limit: usize,
}

/// A page of rooms.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiRoomsPage<'a> {
    /// What comes first.
    pub by: ApiRoomMeasure,
    /// Those whose names fit it.
    pub pattern: Cow<'a, str>,
    /// The value and the name behind which the page begins; `None` for the first page.
    pub after: Option<(u64, Cow<'a, str>)>,
    /// How many at most.
    pub limit: usize,
}

/// By what rooms are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiRoomMeasure {
    /// Connections in them.
    Clients,
    /// Messages in the last minute.
    MessageRate,
}

impl ApiRoomMeasure {
    /// All of them.
    pub const ALL: [ApiRoomMeasure; 2] = [ApiRoomMeasure::Clients, ApiRoomMeasure::MessageRate];

    /// Its word in a call, which names it in the answer, too.
    pub fn name(self) -> &'static str {
        match self {
            ApiRoomMeasure::Clients => "num_clients",
            ApiRoomMeasure::MessageRate => "messages_per_min",
        }
    }
}

/// Reads the body of a call.
pub(super) fn operator<'a>(
    method: ApiOperatorMethod,
    fields: &Fields<'a>,
) -> Result<ApiOperatorCall<'a>, ApiFieldError> {
    Ok(match method {
        ApiOperatorMethod::ConnectionsList => ApiOperatorCall::Connections(ApiConnectionsPage {
            user: user(fields)?,
            client: client_at(fields, ApiField::Client)?,
            after: client_at(fields, ApiField::After)?,
            limit: limit(fields, API_CONNECTIONS_PAGE_DEFAULT, API_CONNECTIONS_PAGE_MAX)?,
        }),
        ApiOperatorMethod::RoomsTop => ApiOperatorCall::Rooms(ApiRoomsPage {
            by: measure(fields)?,
            pattern: pattern(fields)?,
            after: place(fields)?,
            limit: limit(fields, API_ROOMS_PAGE_DEFAULT, API_ROOMS_PAGE_MAX)?,
        }),
    })
}

/// How many entries a page has.
fn limit(fields: &Fields<'_>, usual: usize, max: usize) -> Result<usize, ApiFieldError> {
    let limit = fields.number(ApiField::Limit, 1..=max as u64)?;
    Ok(limit.map_or(usual, |limit| limit as usize))
}

fn measure(fields: &Fields<'_>) -> Result<ApiRoomMeasure, ApiFieldError> {
    let word = fields.text(ApiField::By, |_| true)?;
    let Some(word) = word else { return Ok(ApiRoomMeasure::Clients) };
    let found = ApiRoomMeasure::ALL.into_iter().find(|measure| measure.name() == word);
    found.ok_or(ApiFieldError(ApiField::By))
}

/// A room's place in an order, as an answer gave it.
fn place<'a>(fields: &Fields<'a>) -> Result<Option<(u64, Cow<'a, str>)>, ApiFieldError> {
    let Some(raw) = fields.raw(ApiField::After)? else { return Ok(None) };
    let fields = Fields::of(raw.as_bytes()).map_err(|_| ApiFieldError(ApiField::After))?;
    let value = fields.needed_number(ApiField::Value, 0..=u64::MAX)?;
    Ok(Some((value, fields.needed_text(ApiField::Channel, channel_is_valid)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api::{ApiCall, ApiMethod, ApiRequestError, parse_call};

    const CLIENT: &str = "0af76519-16cd-43dd-8448-eb211c80319c";

    #[track_caller]
    fn check(method: ApiOperatorMethod, body: &str, want: Result<ApiOperatorCall<'_>, ApiField>) {
        let want = want.map(ApiCall::Operator).map_err(ApiRequestError::Field);
        assert_eq!(parse_call(ApiMethod::Operator(method), body.as_bytes()), want, "{body}");
    }

    #[test]
    fn a_page_of_connections_is_of_a_user() {
        let method = ApiOperatorMethod::ConnectionsList;
        let client = ClientId::parse(CLIENT);
        let page = |client, after, limit| {
            let page = ApiConnectionsPage { user: "ann".into(), client, after, limit };
            Ok(ApiOperatorCall::Connections(page))
        };
        check(method, r#"{"user":"ann","after":"","client":null}"#, page(None, None, 25));
        check(
            method,
            &format!(r#"{{"user":"ann","client":"{CLIENT}","after":"{CLIENT}","limit":100}}"#),
            page(client, client, 100),
        );
        check(method, "{}", Err(ApiField::User));
        check(method, r#"{"user":"ann","client":"x"}"#, Err(ApiField::Client));
        check(method, r#"{"user":"ann","after":"x"}"#, Err(ApiField::After));
        check(method, r#"{"user":"ann","limit":0}"#, Err(ApiField::Limit));
        check(method, r#"{"user":"ann","limit":101}"#, Err(ApiField::Limit));
    }

    #[test]
    fn a_page_of_rooms_is_by_a_measure_and_behind_a_place() {
        let method = ApiOperatorMethod::RoomsTop;
        let page = |by, pattern: &'static str, after, limit| {
            let pattern = pattern.into();
            Ok(ApiOperatorCall::Rooms(ApiRoomsPage { by, pattern, after, limit }))
        };
        check(method, "{}", page(ApiRoomMeasure::Clients, "*", None, 25));
        check(
            method,
            r#"{"by":"messages_per_min","pattern":"room:*","limit":1,
                "after":{"value":7,"channel":"room:1"}}"#,
            page(ApiRoomMeasure::MessageRate, "room:*", Some((7, "room:1".into())), 1),
        );
        check(method, r#"{"by":"size"}"#, Err(ApiField::By));
        check(method, r#"{"pattern":"?"}"#, Err(ApiField::Pattern));
        check(method, r#"{"after":"room:1"}"#, Err(ApiField::After));
        check(method, r#"{"after":{"channel":"room:1"}}"#, Err(ApiField::Value));
        check(method, r#"{"after":{"value":1,"channel":""}}"#, Err(ApiField::Channel));
        check(method, r#"{"limit":101}"#, Err(ApiField::Limit));
    }
}
