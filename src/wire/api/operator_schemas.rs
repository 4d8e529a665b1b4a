//! Calls of operators' programs and their results as schemas.
//!
//! Deliberately absent: HTTP and its statuses.

use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Schema};

use super::fields::ApiField;
use super::method::ApiOperatorMethod;
use super::operator_requests::ApiRoomMeasure;
use super::schema_parts::{
    AnswerMembers, CallFields, any_of, any_text, client, count, list, name, number, pattern, user,
    word,
};
use crate::base::limits::{
    API_CONNECTION_CHANNELS_MAX, API_CONNECTIONS_PAGE_DEFAULT, API_CONNECTIONS_PAGE_MAX,
    API_ROOMS_PAGE_DEFAULT, API_ROOMS_PAGE_MAX,
};

/// The body of a call.
pub(super) fn operator_request(method: ApiOperatorMethod) -> Schema {
    let fields = CallFields::default();
    match method {
        ApiOperatorMethod::ConnectionsList => {
            let after = any_of([client(), word([""])]);
            let limit = limit(API_CONNECTIONS_PAGE_DEFAULT, API_CONNECTIONS_PAGE_MAX);
            fields
                .needed(ApiField::User, user())
                .optional(ApiField::Client, any_of([client(), word([""])]))
                .optional(ApiField::After, after)
                .optional(ApiField::Limit, limit)
                .object()
                .into()
        }
        ApiOperatorMethod::RoomsTop => {
            let by = word(ApiRoomMeasure::ALL.map(ApiRoomMeasure::name))
                .description(Some("What comes first; `num_clients` where nothing is said."));
            let after = CallFields::default()
                .needed(ApiField::Value, number(0..=u64::MAX))
                .needed(ApiField::Channel, name())
                .object()
                .description(Some("The `next` of the page before."));
            fields
                .optional(ApiField::By, by)
                .optional(ApiField::Pattern, pattern())
                .optional(ApiField::After, after)
                .optional(ApiField::Limit, limit(API_ROOMS_PAGE_DEFAULT, API_ROOMS_PAGE_MAX))
                .object_or_null()
        }
    }
}

fn limit(usual: usize, max: usize) -> ObjectBuilder {
    number(1..=max as u64).description(Some(format!("{usual}, where nothing is said.")))
}

/// The result of a call.
pub(super) fn operator_result(method: ApiOperatorMethod, members: AnswerMembers) -> AnswerMembers {
    match method {
        ApiOperatorMethod::ConnectionsList => {
            let connections = list(0..=API_CONNECTIONS_PAGE_MAX, known_connection());
            let next = any_text().description(Some("The next `after`; none: this is the last."));
            members.always("connections", connections).perhaps("next", next)
        }
        ApiOperatorMethod::RoomsTop => {
            let per_min = count().description(Some("In the last minute, about."));
            let room = AnswerMembers::default()
                .always("channel", any_text())
                .always("num_clients", count())
                .always("messages_per_min", per_min);
            let next = AnswerMembers::default()
                .always("value", count())
                .always("channel", any_text())
                .object()
                .description(Some("The next `after`; none: this is the last page."));
            members
                .always("rooms", list(0..=API_ROOMS_PAGE_MAX, room.object()))
                .perhaps("next", next)
        }
    }
}

fn known_connection() -> ObjectBuilder {
    let address = any_text().description(Some("The other end of its socket."));
    let agent = any_text().description(Some("The kind of its program."));
    let channels: ArrayBuilder = list(0..=API_CONNECTION_CHANNELS_MAX, any_text());
    let channels = channels.description(Some("Some of those that the key covers."));
    AnswerMembers::default()
        .always("client", any_text())
        .perhaps("address", address)
        .always("agent", agent)
        .always("transport", word(["websocket"]))
        .always("protocol", word(["json", "protobuf"]))
        .always("age_ms", count().description(Some("Since its upgrade.")))
        .always("channels", channels)
        .always("channels_count", count().description(Some("All that it is in.")))
        .object()
}
