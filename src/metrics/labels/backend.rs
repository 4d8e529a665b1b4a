//! Labels of what backends do by the server API.
//!
//! Deliberately absent: what becomes of clients for it.

label! {
    /// Whom or what a block is about.
    BlockKind {
        /// A user.
        User = "user",
        /// The tokens of a user from before a time.
        UserTokens = "user_tokens",
        /// One token.
        Token = "token",
        /// An address, or a range of them.
        Address = "address",
    }
}

label! {
    /// A method of the server API.
    BackendMethod {
        /// Publish a message in a channel.
        Publish = "publish",
        /// Publish it in several.
        Broadcast = "broadcast",
        /// Who is in a channel.
        Presence = "presence",
        /// How many are.
        PresenceStats = "presence_stats",
        /// What was published.
        History = "history",
        /// Remove it.
        HistoryRemove = "history_remove",
        /// The state of the server, or the document of its methods.
        Info = "info",
        /// Which channels there are.
        Channels = "channels",
        /// Connections of a user.
        Connections = "connections",
        /// Close them.
        Disconnect = "disconnect",
        /// Subscribe them.
        Subscribe = "subscribe",
        /// Unsubscribe them.
        Unsubscribe = "unsubscribe",
        /// Change when they expire.
        Refresh = "refresh",
        /// Change who is kept out: users, tokens, addresses.
        Blocks = "blocks",
        /// Who is there, by the presence feed.
        PresenceState = "presence_state",
        /// Say, change and read messages as a user.
        Chat = "chat",
        /// List dead letters, let them wait again, or drop them.
        DeadLetters = "dead_letters",
        /// List kinds of clients that are kept out, keep one out, let it in again.
        Quarantine = "quarantine",
        /// Let all clients go, or how far that is.
        Drain = "drain",
        /// Several calls.
        Batch = "batch",
        /// One that is not served.
        Unknown = "unknown",
    }
}

label! {
    /// What a request to the server API led to.
    BackendOutcome {
        /// It was done; of a batch and a broadcast, some of it may not be.
        Done = "done",
        /// A field or the body is wrong (400, 408, 413).
        Invalid = "invalid",
        /// No key, or a wrong one (401).
        Unauthorized = "unauthorized",
        /// The key has not the right (403).
        Denied = "denied",
        /// Another error, with 200.
        Refused = "refused",
        /// More is under way than can be (503).
        Busy = "busy",
        /// The server could not (100), or nobody knows (504).
        Failed = "failed",
    }
}
