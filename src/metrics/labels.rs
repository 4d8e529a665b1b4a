//! The label values, closed: a peer can make none of them up.

/// Declares a label's values as an enum, with the words that a query sees.
macro_rules! label {
    ($(#[$about:meta])* $name:ident { $($(#[$note:meta])* $value:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$note])* $value,)+ }

        impl $name {
            /// All values, in order.
            pub const ALL: &'static [$name] = &[$($name::$value,)+];
            /// What a query sees for each, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word,)+];

            /// What a query sees.
            pub const fn word(self) -> &'static str {
                Self::WORDS[self as usize]
            }
        }
    };
}

label! {
    /// Which encoding of the chat protocol a connection speaks.
    Protocol {
        /// Text messages.
        Json = "json",
        /// Binary messages.
        Protobuf = "protobuf",
    }
}

label! {
    /// Why no connection could be taken from the listener.
    AcceptFailure {
        /// The descriptor table is full.
        Descriptors = "descriptors",
        /// The kernel had no memory.
        Memory = "memory",
        /// Whatever else accept(2) lists.
        Other = "other",
    }
}

label! {
    /// How an upgrade to WebSocket ended.
    HandshakeOutcome {
        /// Upgraded (101).
        Ok = "ok",
        /// Not the HTTP that an upgrade needs (400).
        BadRequest = "bad_request",
        /// Another path (404).
        NotFound = "not_found",
        /// Not GET (405).
        Method = "method",
        /// Not WebSocket version 13 (426).
        Version = "version",
        /// An `Origin` that is not allowed (403).
        Origin = "origin",
        /// A head beyond the limit (431).
        TooLarge = "too_large",
        /// Not finished in time (408).
        Timeout = "timeout",
        /// Connections are at their limit, or the server drains (503).
        NoRoom = "no_room",
        /// The peer left before an answer.
        Gone = "gone",
    }
}

label! {
    /// Who has to do something about the end of a connection.
    Blame {
        /// The client, its author, or its network.
        Client = "client",
        /// The server, or its operator.
        Server = "server",
        /// Nobody: it is how connections end.
        Nobody = "nobody",
    }
}

label! {
    /// Why a connection ended.
    CloseReason {
        /// The peer closed.
        Normal = "normal",
        /// No pong, or no connect command, in time.
        Timeout = "timeout",
        /// A panic inside this one session.
        Panic = "panic",
        /// The socket broke.
        NetError = "net_error",
        /// The outbox was full (3008).
        SlowConsumer = "slow_consumer",
        /// A limit of the server or a quota of the connection.
        Overload = "overload",
        /// Bytes that the protocol does not allow.
        ProtocolError = "protocol_error",
        /// A token that is bad, expired or not enough.
        Auth = "auth",
        /// The client's prefix is locked out for a while.
        Quarantine = "quarantine",
        /// The server drains (3001).
        Shutdown = "shutdown",
        /// A fault of the server's own.
        InternalError = "internal_error",
    }
}

label! {
    /// What a publish led to.
    PublishResult {
        /// Taken, with an offset where the channel has history.
        Ok = "ok",
        /// The peer may not publish there.
        Denied = "denied",
        /// Beyond a rate or a quota.
        Limited = "limited",
        /// Too large or malformed.
        Invalid = "invalid",
        /// The server could not.
        Failed = "failed",
    }
}

label! {
    /// What travels in a lane from core to core.
    LaneKind {
        /// Expects one answer.
        Request = "request",
        /// Expects none.
        Push = "push",
    }
}

label! {
    /// What a client that came back was given.
    Recovery {
        /// All that it missed.
        Whole = "whole",
        /// Less; it has to start anew.
        Failed = "failed",
    }
}

label! {
    /// Why the store did not do what it was asked.
    StoreFailure {
        /// The disk, or what the store may use of it, is full.
        Full = "full",
        /// An earlier message of the same core was refused.
        Stale = "stale",
        /// A write or a sync failed.
        Broken = "broken",
        /// What was needed does not match its checksum.
        Damaged = "damaged",
    }
}
