//! Why a command is refused: the protocol's codes, and the fields of a chat method's data.
//!
//! Deliberately absent: how it is written (`json_out`, `protobuf_out`).

/// The protocol's error codes, as replies carry them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the protocol's")]
pub enum ErrorCode {
    Internal,
    Unauthorized,
    UnknownChannel,
    PermissionDenied,
    MethodNotFound,
    AlreadySubscribed,
    LimitExceeded,
    BadRequest,
    NotAvailable,
    TokenExpired,
    Expired,
    TooManyRequests,
    UnrecoverablePosition,
}

impl ErrorCode {
    /// Number, text, and whether the client may try again.
    pub fn parts(self) -> (u32, &'static str, bool) {
        match self {
            ErrorCode::Internal => (100, "internal server error", true),
            ErrorCode::Unauthorized => (101, "unauthorized", false),
            ErrorCode::UnknownChannel => (102, "unknown channel", false),
            ErrorCode::PermissionDenied => (103, "permission denied", false),
            ErrorCode::MethodNotFound => (104, "method not found", false),
            ErrorCode::AlreadySubscribed => (105, "already subscribed", false),
            ErrorCode::LimitExceeded => (106, "limit exceeded", false),
            ErrorCode::BadRequest => (107, "bad request", false),
            ErrorCode::NotAvailable => (108, "not available", false),
            ErrorCode::TokenExpired => (109, "token expired", false),
            ErrorCode::Expired => (110, "expired", false),
            ErrorCode::TooManyRequests => (111, "too many requests", true),
            ErrorCode::UnrecoverablePosition => (112, "unrecoverable position", false),
        }
    }
}

/// A field of a chat method's data that cannot be right. Closed, so that what an
/// error says about it is one of these words and nothing of the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of that name")]
pub enum Field {
    Data,
    Channel,
    Id,
    Traceparent,
    SentAtMs,
    To,
    TtlS,
    Offset,
    TookMs,
    After,
    Limit,
    Value,
    Offsets,
    Channels,
    Reverse,
    Member,
    Role,
    MuteS,
}

/// This field of a method's data cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidFieldError(pub Field);

impl Field {
    /// All of them, in the order of their numbers.
    pub const ALL: [Field; 18] = [
        Field::Data,
        Field::Channel,
        Field::Id,
        Field::Traceparent,
        Field::SentAtMs,
        Field::To,
        Field::TtlS,
        Field::Offset,
        Field::TookMs,
        Field::After,
        Field::Limit,
        Field::Value,
        Field::Offsets,
        Field::Channels,
        Field::Reverse,
        Field::Member,
        Field::Role,
        Field::MuteS,
    ];

    /// Its name in the data.
    pub fn name(self) -> &'static str {
        match self {
            Field::Data => "data",
            Field::Channel => "channel",
            Field::Id => "id",
            Field::Traceparent => "traceparent",
            Field::SentAtMs => "sent_at_ms",
            Field::To => "to",
            Field::TtlS => "ttl_s",
            Field::Offset => "offset",
            Field::TookMs => "took_ms",
            Field::After => "after",
            Field::Limit => "limit",
            Field::Value => "value",
            Field::Offsets => "offsets",
            Field::Channels => "channels",
            Field::Reverse => "reverse",
            Field::Member => "member",
            Field::Role => "role",
            Field::MuteS => "mute_s",
        }
    }

    /// Number, text, and whether the client may try again, as an error's.
    pub fn parts(self) -> (u32, &'static str, bool) {
        let (number, _, is_temporary) = ErrorCode::BadRequest.parts();
        let text = match self {
            Field::Data => "bad request: data",
            Field::Channel => "bad request: channel",
            Field::Id => "bad request: id",
            Field::Traceparent => "bad request: traceparent",
            Field::SentAtMs => "bad request: sent_at_ms",
            Field::To => "bad request: to",
            Field::TtlS => "bad request: ttl_s",
            Field::Offset => "bad request: offset",
            Field::TookMs => "bad request: took_ms",
            Field::After => "bad request: after",
            Field::Limit => "bad request: limit",
            Field::Value => "bad request: value",
            Field::Offsets => "bad request: offsets",
            Field::Channels => "bad request: channels",
            Field::Reverse => "bad request: reverse",
            Field::Member => "bad request: member",
            Field::Role => "bad request: role",
            Field::MuteS => "bad request: mute_s",
        };
        (number, text, is_temporary)
    }
}
