//! What a probe is told: servers, the channel, the token, and times.

use std::sync::Arc;
use std::time::Duration;

use super::target::ProbeTarget;

/// Gives a token for the next round, or says why there is none. Tokens end, so each round
/// asks.
pub type TokenSource = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// What to do.
pub struct Options {
    /// Whom to probe.
    pub targets: Vec<ProbeTarget>,
    /// Where clients chat.
    pub channel: String,
    /// Who they are; an empty one is for anonymous clients.
    pub token: TokenSource,
    /// From the beginning of a round to that of the next.
    pub interval: Duration,
    /// For a round; at most the interval.
    pub limit: Duration,
    /// Certificates beside the system's, or nothing.
    pub ca_file: String,
}
