//! The label values of hooks and of the presence feed, closed.

use super::labels::label;

label! {
    /// What an application's backend is asked.
    Hook {
        /// Who a client is that connects.
        Connect = "connect",
        /// Whether a connection may stay that is about to expire.
        Refresh = "refresh",
        /// What a method of the application answers.
        Rpc = "rpc",
        /// Whether a client may subscribe.
        Subscribe = "subscribe",
        /// Whether a client may publish, and what.
        Publish = "publish",
        /// Whether a subscription may stay that is about to expire.
        SubRefresh = "sub_refresh",
    }
}

label! {
    /// Why an application's backend has no answer.
    HookMiss {
        /// There is no connection, or it broke, or the status is not 200.
        Failed = "failed",
        /// None came in time.
        Late = "late",
        /// The answer means nothing here.
        Invalid = "invalid",
        /// It was not asked, because the last answers were missing.
        Skipped = "skipped",
    }
}

label! {
    /// Whether a backend has taken what it was told of who is there.
    FeedOutcome {
        /// It has.
        Taken = "taken",
        /// It has not, or has not said so: it is told again.
        Failed = "failed",
    }
}
