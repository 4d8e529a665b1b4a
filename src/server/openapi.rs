//! The document of the server API (OpenAPI 3.1): each method with its body, its answers and their
//! statuses, as `api_listener` gives them, and the state of the presence feed. It is the same on every server of a version, and says
//! nothing of what exists on one.
//!
//! Deliberately absent: the schemas of bodies (`wire::api`).

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathItem,
    PathsBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Responses, ResponsesBuilder,
    Schema,
};

use super::api_paths::path_of;
use crate::api::scope_of;
use crate::wire::ErrorCode;
use crate::wire::api::{
    ApiChatMethod, ApiMethod, ApiOperatorMethod, answer_schema, error_schema, named_schemas,
    request_schema, state_answer_schema, state_request_schema,
};

/// Where it is served.
pub(super) const DOCUMENT_PATH: &str = "/api/openapi.json";

/// Where the state of the presence feed is.
pub(super) const STATE_PATH: &str = "/api/v1/presence_state";

/// The name of what is asked there.
const STATE_REQUEST: &str = "PresenceStateRequest";

/// The name of the key among security schemes.
const KEY_NAME: &str = "key";

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// The document as it is served.
pub fn openapi_json() -> String {
    let mut text = serde_json::to_string_pretty(&document()).expect("it is a tree of texts");
    text.push('\n');
    text
}

fn document() -> OpenApi {
    let info = InfoBuilder::new()
        .title("The server API of rookery")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "A backend publishes into channels and asks about them. docs/SERVER_API.md has the \
             same in words, with what a schema cannot say. Numbers are written in digits: 7, and \
             not 7.0.",
        ))
        .license(Some(
            LicenseBuilder::new()
                .name(env!("CARGO_PKG_LICENSE"))
                .identifier(Some(env!("CARGO_PKG_LICENSE")))
                .build(),
        ));
    let paths = ApiMethod::ALL.into_iter().fold(PathsBuilder::new(), |paths, method| {
        let item = PathItem::new(HttpMethod::Post, operation(method));
        paths.path(path_of(method), item)
    });
    let paths = paths.path(STATE_PATH, PathItem::new(HttpMethod::Post, state_operation()));
    let paths = paths.path(DOCUMENT_PATH, PathItem::new(HttpMethod::Get, own_operation()));
    let key = "As `rookery api-key` makes it. `Authorization: apikey <key>` is the same.";
    let key =
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("X-API-Key", key)));
    let mut components = ComponentsBuilder::new()
        .security_scheme(KEY_NAME, key)
        .schemas_from_iter(named_schemas())
        .schemas_from_iter(ApiMethod::ALL.map(|one| (request_name(one), request_schema(one))))
        .schema(STATE_REQUEST, state_request_schema());
    for response in CommonResponse::COMMON.into_iter().chain([CommonResponse::Missing]) {
        components = components.response(response.name(), response.response());
    }
    OpenApiBuilder::new().info(info).paths(paths).components(Some(components.build())).build()
}

/// A response that several methods may have.
#[derive(Clone, Copy)]
enum CommonResponse {
    BadRequest,
    Unauthorized,
    Denied,
    Missing,
    TooSlow,
    TooLarge,
    Busy,
    Unknown,
}

impl CommonResponse {
    /// Those of each method.
    const COMMON: [CommonResponse; 7] = [
        CommonResponse::BadRequest,
        CommonResponse::Unauthorized,
        CommonResponse::Denied,
        CommonResponse::TooSlow,
        CommonResponse::TooLarge,
        CommonResponse::Busy,
        CommonResponse::Unknown,
    ];

    fn status(self) -> &'static str {
        match self {
            CommonResponse::BadRequest => "400",
            CommonResponse::Unauthorized => "401",
            CommonResponse::Denied => "403",
            CommonResponse::Missing => "404",
            CommonResponse::TooSlow => "408",
            CommonResponse::TooLarge => "413",
            CommonResponse::Busy => "503",
            CommonResponse::Unknown => "504",
        }
    }

    /// Its name in the document.
    fn name(self) -> &'static str {
        match self {
            CommonResponse::BadRequest => "BadRequest",
            CommonResponse::Unauthorized => "Unauthorized",
            CommonResponse::Denied => "Denied",
            CommonResponse::Missing => "Missing",
            CommonResponse::TooSlow => "TooSlow",
            CommonResponse::TooLarge => "TooLarge",
            CommonResponse::Busy => "Busy",
            CommonResponse::Unknown => "Unknown",
        }
    }

    fn response(self) -> Response {
        let error = |code: ErrorCode| Content::new(Some(error_schema(&[code])));
        let empty = ResponseBuilder::new();
        let response = match self {
            CommonResponse::BadRequest => empty
                .description("A field is missing or out of its range; the message names it.")
                .content(JSON, error(ErrorCode::BadRequest)),
            CommonResponse::Unauthorized => empty
                .description("No key, a wrong one, or one in the address.")
                .content(TEXT, Content::new(Some(ObjectBuilder::new().schema_type(Type::String)))),
            CommonResponse::Denied => empty
                .description("The key has no right to the method or the channel.")
                .content(JSON, error(ErrorCode::PermissionDenied)),
            CommonResponse::Missing => empty
                .description("What a field names is not there; the message names the field.")
                .content(JSON, error(ErrorCode::BadRequest)),
            CommonResponse::TooSlow => empty.description("The body did not come in time."),
            CommonResponse::TooLarge => {
                empty.description("The body is larger than `api.body_bytes_max`.")
            }
            CommonResponse::Busy => empty
                .description("More is under way than can be. Nothing was done.")
                .header("Retry-After", seconds())
                .content(JSON, error(ErrorCode::TooManyRequests)),
            CommonResponse::Unknown => empty
                .description(
                    "A core did not answer, or the server drains: what was done is not known.",
                )
                .content(JSON, error(ErrorCode::Internal)),
        };
        response.build()
    }

    fn by_name(self) -> RefOr<Response> {
        RefOr::Ref(Ref::from_response_name(self.name()))
    }
}

fn seconds() -> utoipa::openapi::Header {
    let number = ObjectBuilder::new().schema_type(Type::Integer);
    HeaderBuilder::new().schema(Some(number)).description(Some("Seconds.")).build()
}

fn request_name(method: ApiMethod) -> String {
    format!("{}Request", method.title())
}

fn operation(method: ApiMethod) -> OperationBuilder {
    let body = Content::new(Some(Ref::from_schema_name(request_name(method))));
    // Where nothing has to be said, no body is an object without fields.
    let needs_body = match request_schema(method) {
        Schema::Object(object) => !object.required.is_empty(),
        _ => true,
    };
    let required = if needs_body { Required::True } else { Required::False };
    let body = RequestBodyBuilder::new().content(JSON, body).required(Some(required)).build();
    let scope = scope_of(method).map(|scope| scope.name());
    OperationBuilder::new()
        .operation_id(Some(method.name()))
        .summary(Some(summary(method)))
        .tag(scope.unwrap_or("batch"))
        .request_body(Some(body))
        .responses(responses(answer_schema(method), own_response(method)))
        .security(SecurityRequirement::new(KEY_NAME, scope))
}

/// A response that not all methods have.
fn own_response(method: ApiMethod) -> Option<CommonResponse> {
    let ApiMethod::Operator(method) = method else { return None };
    match method {
        ApiOperatorMethod::DeadLettersRequeue
        | ApiOperatorMethod::DeadLettersDrop
        | ApiOperatorMethod::QuarantineSet
        | ApiOperatorMethod::QuarantineLift
        | ApiOperatorMethod::DrainStart => Some(CommonResponse::Missing),
        ApiOperatorMethod::ConnectionsList
        | ApiOperatorMethod::RoomsTop
        | ApiOperatorMethod::DeadLettersList
        | ApiOperatorMethod::QuarantineList
        | ApiOperatorMethod::DrainStatus => None,
    }
}

/// What a call may be answered, of which this is what came of it.
fn responses(answer: Schema, own: Option<CommonResponse>) -> Responses {
    let told = ResponseBuilder::new()
        .description(
            "What came of it; an `error` here has a code that is none of the request's form.",
        )
        .content(JSON, Content::new(Some(answer)));
    let responses = ResponsesBuilder::new().response("200", told);
    let common = CommonResponse::COMMON.into_iter().chain(own);
    common.fold(responses, |responses, one| responses.response(one.status(), one.by_name())).build()
}

/// That of the presence feed's state.
fn state_operation() -> OperationBuilder {
    let body = Content::new(Some(Ref::from_schema_name(STATE_REQUEST)));
    let body = RequestBodyBuilder::new().content(JSON, body).required(Some(Required::True)).build();
    let description = "Needs the scope `connections` for users, and `channels` for channels. A page \
                       covers all names behind `after` up to `next`; docs/PRESENCE_FEED.md has the \
                       rules.";
    OperationBuilder::new()
        .operation_id(Some("presence_state"))
        .summary(Some("Reads who is there, as the presence feed has told it."))
        .description(Some(description))
        .tag("presence_feed")
        .request_body(Some(body))
        .responses(responses(state_answer_schema(), None))
        .security(SecurityRequirement::new(KEY_NAME, [] as [&str; 0]))
}

/// That of this document.
fn own_operation() -> OperationBuilder {
    let told = ResponseBuilder::new()
        .description("This document.")
        .content(JSON, Content::new(Some(ObjectBuilder::new())));
    let unauthorized = CommonResponse::Unauthorized;
    let responses = ResponsesBuilder::new()
        .response("200", told)
        .response(unauthorized.status(), unauthorized.by_name());
    OperationBuilder::new()
        .operation_id(Some("openapi"))
        .summary(Some("Reads this document. Any key will do."))
        .tag("document")
        .responses(responses.build())
        .security(SecurityRequirement::new(KEY_NAME, [] as [&str; 0]))
}

fn summary(method: ApiMethod) -> &'static str {
    match method {
        ApiMethod::Publish => "Publishes a message in a channel.",
        ApiMethod::Broadcast => "Publishes the same message in several channels.",
        ApiMethod::Presence => "Lists who is in a channel.",
        ApiMethod::PresenceStats => "Counts who is in a channel.",
        ApiMethod::History => "Reads what was published in a channel.",
        ApiMethod::HistoryRemove => "Removes what was published in a channel.",
        ApiMethod::Info => "Tells the state of the server.",
        ApiMethod::Channels => "Lists the channels that somebody is in.",
        ApiMethod::Connections => "Lists the connections of a user.",
        ApiMethod::Disconnect => "Closes connections of a user.",
        ApiMethod::Subscribe => "Subscribes connections of a user to a channel.",
        ApiMethod::Unsubscribe => "Ends subscriptions of a user to a channel.",
        ApiMethod::Refresh => "Changes when connections of a user expire.",
        ApiMethod::BlockUser => "Keeps a user out.",
        ApiMethod::UnblockUser => "Keeps a user out no more.",
        ApiMethod::RevokeToken => "Revokes a token.",
        ApiMethod::InvalidateUserTokens => {
            "Revokes the tokens of a user that are from before a time."
        }
        ApiMethod::BlockAddress => "Keeps an address or a range of them out.",
        ApiMethod::UnblockAddress => "Keeps an address or a range of them out no more.",
        ApiMethod::Blocks => "Lists who is kept out, of one kind.",
        ApiMethod::Batch => "Makes several calls, each with an outcome of its own.",
        ApiMethod::Chat(method) => chat_summary(method),
        ApiMethod::Operator(method) => operator_summary(method),
    }
}

fn chat_summary(method: ApiChatMethod) -> &'static str {
    match method {
        ApiChatMethod::Publish => "Says something in a channel, as a user.",
        ApiChatMethod::Send => "Says something to a user, as another one.",
        ApiChatMethod::Retract => "Takes a message back, as its author or as a moderator.",
        ApiChatMethod::Edit => "Gives a message other words, as its author.",
        ApiChatMethod::React => "Reacts to a message, as a user.",
        ApiChatMethod::Read => "Says how far a user has read.",
        ApiChatMethod::Ack => "Says how much has arrived at a user.",
        ApiChatMethod::Receipts => "Reads how far the users of a channel are.",
        ApiChatMethod::Rooms => "Lists the conversations of a user.",
        ApiChatMethod::Join => "Makes a user a member of a group.",
        ApiChatMethod::Leave => "Makes a user a member of a group no more.",
        ApiChatMethod::Invite => "Invites somebody to a group, as a user or as a moderator.",
        ApiChatMethod::Kick => "Sends somebody away from a group, as a user or as a moderator.",
        ApiChatMethod::SetRole => "Gives a member of a group a role, as a user or as a moderator.",
        ApiChatMethod::Roster => "Lists the members of a group.",
        ApiChatMethod::Mute => "Mutes a group for a user.",
        ApiChatMethod::Members => "Lists the connections in a channel, in pages, as a user.",
        ApiChatMethod::Typing => "Tells those in a channel that a user is typing.",
        ApiChatMethod::Reactions => "Reads what messages are reacted to with, as a user.",
        ApiChatMethod::History => "Reads what was said in several channels, as a user.",
    }
}

fn operator_summary(method: ApiOperatorMethod) -> &'static str {
    match method {
        ApiOperatorMethod::ConnectionsList => {
            "Shows the connections of a user: from where, what, since when, in which channels."
        }
        ApiOperatorMethod::RoomsTop => "Lists the largest rooms, or the busiest.",
        ApiOperatorMethod::DeadLettersList => "Lists direct messages that were given up.",
        ApiOperatorMethod::DeadLettersRequeue => "Lets dead letters wait for their readers again.",
        ApiOperatorMethod::DeadLettersDrop => "Forgets dead letters.",
        ApiOperatorMethod::QuarantineList => "Lists kinds of clients that are kept out.",
        ApiOperatorMethod::QuarantineSet => "Keeps a kind of clients out for a while.",
        ApiOperatorMethod::QuarantineLift => "Lets a kind of clients in again.",
        ApiOperatorMethod::DrainStart => "Lets all clients go, and ends the server.",
        ApiOperatorMethod::DrainStatus => "Tells whether the server drains, and how far it is.",
    }
}
