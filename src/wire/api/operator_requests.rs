//! What an operator's program asks: the connections of a user with all that is known of them, the
//! first rooms by some measure, dead letters, and the server itself (`control_requests`).
//!
//! Deliberately absent: who may ask (`api`).

use std::borrow::Cow;

use super::control_requests::{self, ApiControlCall};
use super::fields::{ApiField, ApiFieldError};
use super::method::ApiOperatorMethod;
use super::requests::pattern;
use super::user_requests::{channel, client_at, user};
use crate::base::limits::{
    API_CONNECTIONS_PAGE_DEFAULT, API_CONNECTIONS_PAGE_MAX, API_DEAD_LETTERS_PAGE_DEFAULT,
    API_DEAD_LETTERS_PAGE_MAX, API_ROOMS_PAGE_DEFAULT, API_ROOMS_PAGE_MAX,
};
use crate::base::{ClientId, DeadLetterPlace};
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
    /// To see dead letters.
    DeadLetters(ApiDeadLettersPage<'a>),
    /// To change them.
    ChangeDeadLetters(ApiDeadLettersChange<'a>),
    /// About the server itself.
    Control(ApiControlCall<'a>),
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

/// A page of dead letters.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiDeadLettersPage<'a> {
    /// Those that did not reach this user; `None` for all.
    pub user: Option<Cow<'a, str>>,
    /// The place behind which the page begins; `None` for the first page.
    pub after: Option<DeadLetterPlace>,
    /// How many are looked at, at most.
    pub limit: usize,
}

/// What is to become of dead letters.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiDeadLettersChange<'a> {
    /// Their conversation.
    pub channel: Cow<'a, str>,
    /// The message with this offset alone; `None` for all.
    pub offset: Option<u64>,
    /// What becomes of them.
    pub fate: ApiDeadLetterFate,
}

/// What becomes of dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiDeadLetterFate {
    /// They wait for their readers again.
    Requeued {
        /// For so long, in s; `None` for as long as they may.
        ttl_s: Option<u64>,
    },
    /// They are forgotten.
    Dropped,
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
        ApiOperatorMethod::DeadLettersList => ApiOperatorCall::DeadLetters(ApiDeadLettersPage {
            user: fields.raw(ApiField::User)?.map(|_| user(fields)).transpose()?,
            after: dead_letter_place(fields)?,
            limit: limit(fields, API_DEAD_LETTERS_PAGE_DEFAULT, API_DEAD_LETTERS_PAGE_MAX)?,
        }),
        ApiOperatorMethod::DeadLettersRequeue => {
            let ttl_s = fields.number(ApiField::TtlS, 1..=u64::MAX)?;
            change(fields, ApiDeadLetterFate::Requeued { ttl_s })?
        }
        ApiOperatorMethod::DeadLettersDrop => change(fields, ApiDeadLetterFate::Dropped)?,
        ApiOperatorMethod::QuarantineList => ApiOperatorCall::Control(ApiControlCall::Quarantined),
        ApiOperatorMethod::QuarantineSet => {
            ApiOperatorCall::Control(control_requests::quarantine(fields)?)
        }
        ApiOperatorMethod::QuarantineLift => {
            ApiOperatorCall::Control(control_requests::release(fields)?)
        }
        ApiOperatorMethod::DrainStart => ApiOperatorCall::Control(control_requests::drain(fields)?),
        ApiOperatorMethod::DrainStatus => ApiOperatorCall::Control(ApiControlCall::DrainStatus),
    })
}

fn change<'a>(
    fields: &Fields<'a>,
    fate: ApiDeadLetterFate,
) -> Result<ApiOperatorCall<'a>, ApiFieldError> {
    let offset = fields.number(ApiField::Offset, 1..=u64::MAX)?;
    let change = ApiDeadLettersChange { channel: channel(fields)?, offset, fate };
    Ok(ApiOperatorCall::ChangeDeadLetters(change))
}

/// A place as an answer gave it; an empty one is the same as none.
fn dead_letter_place(fields: &Fields<'_>) -> Result<Option<DeadLetterPlace>, ApiFieldError> {
    let text = fields.text(ApiField::After, |_| true)?.unwrap_or_default();
    match (&*text, DeadLetterPlace::parse(&text)) {
        ("", _) => Ok(None),
        (_, None) => Err(ApiFieldError(ApiField::After)),
        (_, place) => Ok(place),
    }
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
    use crate::base::RoomId;
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
    fn a_page_of_dead_letters_begins_where_another_ended() {
        let method = ApiOperatorMethod::DeadLettersList;
        let page = |user: Option<&'static str>, after, limit| {
            let user = user.map(Into::into);
            Ok(ApiOperatorCall::DeadLetters(ApiDeadLettersPage { user, after, limit }))
        };
        check(method, "{}", page(None, None, 100));
        let place = DeadLetterPlace { inbox: RoomId(1 << 127), room: RoomId(7), offset: u64::MAX };
        let body = format!(r#"{{"user":"ann","after":"{}","limit":1}}"#, place.text());
        check(method, &body, page(Some("ann"), Some(place), 1));
        check(method, r#"{"user":null,"after":""}"#, page(None, None, 100));
        check(method, r#"{"user":""}"#, Err(ApiField::User));
        for wrong in ["7".repeat(79), "7".repeat(81), "A".repeat(80), "é".repeat(40)] {
            check(method, &format!(r#"{{"after":"{wrong}"}}"#), Err(ApiField::After));
        }
        check(method, r#"{"limit":257}"#, Err(ApiField::Limit));
    }

    #[test]
    fn dead_letters_of_a_conversation_are_changed_all_or_one() {
        let change = |offset, fate| {
            let channel = "dm#ann,bob".into();
            let change = ApiDeadLettersChange { channel, offset, fate };
            Ok(ApiOperatorCall::ChangeDeadLetters(change))
        };
        let requeue = ApiOperatorMethod::DeadLettersRequeue;
        let requeued = |ttl_s| ApiDeadLetterFate::Requeued { ttl_s };
        check(requeue, r#"{"channel":"dm#ann,bob"}"#, change(None, requeued(None)));
        check(
            requeue,
            r#"{"channel":"dm#ann,bob","offset":7,"ttl_s":60}"#,
            change(Some(7), requeued(Some(60))),
        );
        check(requeue, r#"{"channel":"dm#ann,bob","ttl_s":0}"#, Err(ApiField::TtlS));
        let drop = ApiOperatorMethod::DeadLettersDrop;
        let dropped = ApiDeadLetterFate::Dropped;
        check(drop, r#"{"channel":"dm#ann,bob","offset":1}"#, change(Some(1), dropped));
        check(drop, r#"{"channel":"dm#ann,bob","offset":0}"#, Err(ApiField::Offset));
        check(drop, "{}", Err(ApiField::Channel));
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
