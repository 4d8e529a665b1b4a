//! The methods of the server API.
//!
//! Deliberately absent: who may call which (`api`).

/// A method. Closed: what is no method is answered as an unknown one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of that name")]
pub enum ApiMethod {
    Publish,
    Broadcast,
    Presence,
    PresenceStats,
    History,
    HistoryRemove,
    Info,
    Channels,
    Connections,
    Disconnect,
    Subscribe,
    Unsubscribe,
    Refresh,
    BlockUser,
    UnblockUser,
    RevokeToken,
    InvalidateUserTokens,
    BlockAddress,
    UnblockAddress,
    Blocks,
    Batch,
}

impl ApiMethod {
    /// All of them.
    pub const ALL: [ApiMethod; 21] = [
        ApiMethod::Publish,
        ApiMethod::Broadcast,
        ApiMethod::Presence,
        ApiMethod::PresenceStats,
        ApiMethod::History,
        ApiMethod::HistoryRemove,
        ApiMethod::Info,
        ApiMethod::Channels,
        ApiMethod::Connections,
        ApiMethod::Disconnect,
        ApiMethod::Subscribe,
        ApiMethod::Unsubscribe,
        ApiMethod::Refresh,
        ApiMethod::BlockUser,
        ApiMethod::UnblockUser,
        ApiMethod::RevokeToken,
        ApiMethod::InvalidateUserTokens,
        ApiMethod::BlockAddress,
        ApiMethod::UnblockAddress,
        ApiMethod::Blocks,
        ApiMethod::Batch,
    ];

    /// Its name in the path of a request, and in a batch.
    pub fn name(self) -> &'static str {
        match self {
            ApiMethod::Publish => "publish",
            ApiMethod::Broadcast => "broadcast",
            ApiMethod::Presence => "presence",
            ApiMethod::PresenceStats => "presence_stats",
            ApiMethod::History => "history",
            ApiMethod::HistoryRemove => "history_remove",
            ApiMethod::Info => "info",
            ApiMethod::Channels => "channels",
            ApiMethod::Connections => "connections",
            ApiMethod::Disconnect => "disconnect",
            ApiMethod::Subscribe => "subscribe",
            ApiMethod::Unsubscribe => "unsubscribe",
            ApiMethod::Refresh => "refresh",
            ApiMethod::BlockUser => "block_user",
            ApiMethod::UnblockUser => "unblock_user",
            ApiMethod::RevokeToken => "revoke_token",
            ApiMethod::InvalidateUserTokens => "invalidate_user_tokens",
            ApiMethod::BlockAddress => "block_address",
            ApiMethod::UnblockAddress => "unblock_address",
            ApiMethod::Blocks => "blocks",
            ApiMethod::Batch => "batch",
        }
    }

    /// The method of this name.
    pub fn from_name(name: &str) -> Option<ApiMethod> {
        ApiMethod::ALL.into_iter().find(|method| method.name() == name)
    }
}
