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
pub(super) use label;

mod backend;

pub use backend::{BackendMethod, BackendOutcome, BlockKind};

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
    /// Why an upgrade to WebSocket came to nothing.
    RejectReason {
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
        /// An address that is blocked (403).
        Blocked = "blocked",
        /// A head beyond the limit (431).
        TooLarge = "too_large",
        /// Not finished in time (408).
        Timeout = "timeout",
        /// Connections are at their limit (503).
        NoRoom = "no_room",
        /// The core is late, and newcomers wait (503).
        Late = "late",
        /// The server drains (503).
        Draining = "draining",
        /// The peer left before an answer.
        Gone = "gone",
    }
}

label! {
    /// How an upgrade to WebSocket ended, as rules ask for it.
    HandshakeOutcome {
        /// Upgraded (101).
        Ok = "ok",
        /// The peer's mistake.
        ClientError = "client_error",
        /// The server had no room, or could not.
        ServerError = "server_error",
        /// Not finished in time.
        Timeout = "timeout",
        /// The server drains, and said so.
        Draining = "draining",
        /// The peer left before an answer.
        Gone = "gone",
    }
}

label! {
    /// A part of a client's way in.
    HandshakeStage {
        /// From the TCP connection to the end of the upgrade.
        Upgrade = "upgrade",
        /// From the end of the upgrade to the answer to the connect command.
        Auth = "auth",
    }
}

label! {
    /// How a heartbeat ended.
    HeartbeatOutcome {
        /// The ping was answered.
        Pong = "pong",
        /// It was not, in time.
        Timeout = "timeout",
    }
}

label! {
    /// What became of a missing pong.
    Suspected {
        /// Nobody was judged then: the core was late, or many were missing at once.
        Spared = "spared",
        /// The client had sent something that was not read, or something came since.
        Alive = "alive",
        /// It was pinged again.
        AskedAgain = "asked_again",
        /// It was closed (3012).
        Closed = "closed",
    }
}

label! {
    /// A claim of a token that is not supported, and would mean something elsewhere.
    TokenClaim {
        /// `override.presence`: it is for the namespace to say.
        OverridePresence = "override.presence",
        /// `override.join_leave`: it is for the namespace to say.
        OverrideJoinLeave = "override.join_leave",
    }
}

label! {
    /// Why a command was refused: the error codes of the protocol.
    ErrorReply {
        /// A fault of the server.
        Internal = "100",
        /// Nobody said who it is.
        Unauthorized = "101",
        /// There is no such channel.
        UnknownChannel = "102",
        /// It is not allowed.
        PermissionDenied = "103",
        /// There is no such method.
        MethodNotFound = "104",
        /// The channel is subscribed.
        AlreadySubscribed = "105",
        /// A limit of the client's own.
        LimitExceeded = "106",
        /// It cannot be right.
        BadRequest = "107",
        /// Not with these settings.
        NotAvailable = "108",
        /// The token is over.
        TokenExpired = "109",
        /// The permission is over.
        Expired = "110",
        /// Later: a quota is used up, or the server is late.
        TooManyRequests = "111",
        /// What was missed is not there any more.
        UnrecoverablePosition = "112",
    }
}

label! {
    /// What kind of conversation a channel is.
    ChatType {
        /// Two people.
        OneToOne = "1v1",
        /// Many, who all may speak.
        Group = "group",
        /// One speaks to very many.
        Broadcast = "broadcast",
    }
}

label! {
    /// The side that waits for so long.
    Direction {
        /// The sender's: until the message is answered.
        Send = "send",
        /// The reader's: until the message is acknowledged.
        Recv = "recv",
    }
}

label! {
    /// A piece of a message's way.
    Segment {
        /// From the sender's clock to the home of the room.
        P2b = "p2b",
        /// Within the home, from its queue to its dispatch.
        Queue = "queue",
        /// From the dispatch to the last byte that the kernel took for the reader.
        B2c = "b2c",
        /// From there to the reader's acknowledgement.
        Consume = "consume",
    }
}

label! {
    /// What became of one message for one recipient.
    DeliveryOutcome {
        /// The kernel took it for the recipient's socket.
        Delivered = "delivered",
        /// It is kept until the recipient comes back.
        OfflineStored = "offline_stored",
        /// The recipient did not get it.
        Failed = "failed",
        /// Its time to live was over before.
        Expired = "expired",
        /// It was given up.
        DeadLetter = "dead_letter",
    }
}

label! {
    /// What became of a tenant's message for one recipient, as far as that was online.
    TenantOutcome {
        /// The kernel took it for the recipient's socket.
        Delivered = "delivered",
        /// The recipient did not get it.
        Failed = "failed",
    }
}

label! {
    /// Why a direct message was given up.
    DeadLetterReason {
        /// It was sent as often as it may be.
        Tries = "tries",
        /// Its time to live was over.
        Expired = "expired",
    }
}

label! {
    /// Whether a message's way is written down.
    Sampled {
        /// It is.
        Yes = "true",
        /// It is not.
        No = "false",
    }
}

label! {
    /// What became of spans.
    SpanOutcome {
        /// The collector took them.
        Exported = "exported",
        /// There was no room for them, because it is gone or slow.
        Dropped = "dropped",
        /// It did not take them.
        Failed = "failed",
    }
}

label! {
    /// Why a log line is lost.
    LostLine {
        /// The queue was full, because whoever reads the log is slow or does not read.
        Full = "full",
        /// It could not be written, because its reader is gone or its disk is full.
        Failed = "failed",
        /// There were too many of its kind.
        Rate = "rate",
    }
}

label! {
    /// What an HTTP answer says, coarsely.
    StatusClass {
        /// It worked.
        Success = "2xx",
        /// The asker's mistake.
        ClientError = "4xx",
        /// Ours.
        ServerError = "5xx",
    }
}

label! {
    /// A page of the admin listener: method, and path as it is written in the router.
    Page {
        /// The text formats.
        Metrics = "GET /metrics",
        /// Whether the process lives.
        Health = "GET /health",
        /// Whether new clients are welcome.
        Ready = "GET /ready",
        /// What went wrong lately.
        DebugSnapshot = "GET /debug/snapshot",
        /// The worst connections.
        DebugConns = "GET /debug/conns",
        /// What the cores are doing.
        DebugTasks = "GET /debug/tasks",
        /// Where time and memory go.
        DebugProfile = "GET /debug/profile",
        /// Who is blocked.
        QuarantineList = "GET /debug/quarantine",
        /// Blocks somebody.
        QuarantineHold = "POST /debug/quarantine",
        /// Lets somebody in again.
        QuarantineLift = "DELETE /debug/quarantine",
        /// No page, or not this way; and all of the web chat and the console, whose pages are for
        /// people: each page here is a histogram for each class of status.
        Other = "other other",
    }
}

impl StatusClass {
    /// The class of an answer's status.
    pub const fn of(status: u16) -> StatusClass {
        match status {
            400..500 => StatusClass::ClientError,
            500.. => StatusClass::ServerError,
            0..400 => StatusClass::Success,
        }
    }
}

impl Page {
    /// The page behind a method and a path of the router.
    pub fn of(method: &str, route: &str) -> Page {
        let is_it = |page: &&Page| page.word().split_once(' ') == Some((method, route));
        Page::ALL.iter().find(is_it).copied().unwrap_or(Page::Other)
    }
}

label! {
    /// What a client's program is, as its `User-Agent` says: a few classes, because
    /// the text itself is anybody's.
    Agent {
        /// It did not say.
        None = "none",
        /// None of the others.
        Other = "other",
        /// A browser of the Chromium family.
        Chrome = "chrome",
        /// Firefox.
        Firefox = "firefox",
        /// Safari.
        Safari = "safari",
        /// An app on Android.
        Android = "android",
        /// An app on iOS.
        Ios = "ios",
        /// A program in JavaScript.
        Node = "node",
        /// A program in Python.
        Python = "python",
        /// A program in Go.
        Go = "go",
        /// A program in Java or Kotlin.
        Java = "java",
        /// A program in Dart.
        Dart = "dart",
        /// A program in Swift.
        Swift = "swift",
    }
}

/// What to look for in a `User-Agent`, the most specific first: everybody claims to be
/// Mozilla, and Chrome claims to be Safari, too.
const AGENTS: &[(&str, Agent)] = &[
    ("firefox/", Agent::Firefox),
    ("okhttp", Agent::Android),
    ("cfnetwork", Agent::Ios),
    ("chrome/", Agent::Chrome),
    ("crios/", Agent::Chrome),
    ("safari/", Agent::Safari),
    ("dart", Agent::Dart),
    ("node", Agent::Node),
    ("undici", Agent::Node),
    ("python", Agent::Python),
    ("aiohttp", Agent::Python),
    ("go-http", Agent::Go),
    ("gorilla", Agent::Go),
    ("java", Agent::Java),
    ("kotlin", Agent::Java),
    ("ktor", Agent::Java),
    ("swift", Agent::Swift),
    ("starscream", Agent::Swift),
    ("android", Agent::Android),
    ("iphone", Agent::Ios),
    ("ios", Agent::Ios),
];

/// As much of a `User-Agent` is looked at.
const AGENT_BYTES_MAX: usize = 256;

impl Agent {
    /// The class of a `User-Agent`, which may be anything.
    pub fn of(header: &[u8]) -> Agent {
        let header = &header[..header.len().min(AGENT_BYTES_MAX)];
        if header.is_empty() {
            return Agent::None;
        }
        let says = |word: &str| {
            header.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
        };
        let found = AGENTS.iter().find(|(word, _)| says(word));
        found.map_or(Agent::Other, |&(_, agent)| agent)
    }

    /// The class with this number; for records, which are made of numbers.
    pub fn from_number(number: u8) -> Agent {
        Agent::ALL.get(usize::from(number)).copied().unwrap_or(Agent::Other)
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
        /// Nothing came from the peer to the kernel for too long.
        PeerGone = "peer_gone",
        /// The outbox was full (3008).
        SlowConsumer = "slow_consumer",
        /// A limit of the server or a quota of the connection.
        Overload = "overload",
        /// Messages of which only a part came, more than all may keep together (3013).
        PartialMessages = "half_messages",
        /// Bytes that the protocol does not allow.
        ProtocolError = "protocol_error",
        /// A token that is bad, expired or not enough.
        Auth = "auth",
        /// The client's prefix is blocked for a while.
        Quarantine = "quarantine",
        /// The server drains (3001).
        Shutdown = "shutdown",
        /// A fault of the server's own.
        InternalError = "internal_error",
        /// A backend asked for it, by the server API.
        Backend = "backend",
    }
}

label! {
    /// What a publish led to.
    PublishResult {
        /// Taken, with an offset where the channel has history.
        Accepted = "accepted",
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
        /// So much waits to be sorted that no message is taken for now.
        Overloaded = "overloaded",
    }
}

label! {
    /// Whether sorted messages of a store were merged.
    RunState {
        /// They are as they were sorted.
        Unmerged = "unmerged",
        /// They were.
        Merged = "merged",
    }
}

label! {
    /// What a segment of the store's log is for.
    LogSegmentState {
        /// It has what the database does not have yet, or is written.
        Used = "used",
        /// The database has all of it; a checkpoint lets it go.
        Waiting = "waiting",
        /// It has nothing.
        Free = "free",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_statuses_have_their_place() {
        assert_eq!(Page::of("GET", "/metrics"), Page::Metrics);
        assert_eq!(Page::of("POST", "/metrics"), Page::Other);
        assert_eq!(Page::of("GET /metrics", ""), Page::Other);
        let classes = [101, 204, 404, 499, 500, 999].map(|status| StatusClass::of(status).word());
        assert_eq!(classes, ["2xx", "2xx", "4xx", "4xx", "5xx", "5xx"]);
    }

    #[test]
    fn agents_have_a_class_whatever_they_say() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/120.0.0.0 Safari/537.36";
        let safari = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/17.1 Safari/605.1.15";
        assert_eq!(Agent::of(chrome.as_bytes()), Agent::Chrome);
        assert_eq!(Agent::of(safari.as_bytes()), Agent::Safari);
        assert_eq!(Agent::of(b"Python/3.11 websockets/15.0"), Agent::Python);
        assert_eq!(Agent::of(b""), Agent::None);
        assert_eq!(Agent::of(b"<@all>\xff\n\""), Agent::Other);
        let long = [b"a".repeat(AGENT_BYTES_MAX), b"firefox/".to_vec()].concat();
        assert_eq!(Agent::of(&long), Agent::Other, "what is too far behind is not looked at");
        for agent in Agent::ALL {
            assert_eq!(Agent::from_number(*agent as u8), *agent);
            assert!(agent.word().len() <= 40);
        }
        assert_eq!(Agent::from_number(255), Agent::Other);
    }
}
