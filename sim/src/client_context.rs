//! What surrounds a simulated client at one moment.
//!
//! Deliberately absent: the client.

use rookery::base::Timestamps;
use rookery::ring::SimulatedIo;
use rookery::room::JoinLeaveScope;

use crate::Trace;
use crate::checkers::SimCounters;
use crate::member_view::MemberCheck;
use crate::oracle::Oracle;

/// What surrounds a client at one moment.
pub struct ClientContext<'w> {
    /// The world's clocks.
    pub now: Timestamps,
    /// How often the world went on before.
    pub step: u64,
    /// The sockets of the core at which the client is.
    pub io: &'w mut SimulatedIo,
    /// What is true for everybody.
    pub oracle: &'w mut Oracle,
    /// What counters should know.
    pub counters: &'w mut SimCounters,
    /// Whether clients print what they receive.
    pub trace: Trace,
    /// What is sent arrives at most this much later.
    pub latency_ms_max: u64,
    /// What clients speak of.
    pub channels: &'static [&'static str],
    /// Whether chat's methods are among what clients do.
    pub chats: bool,
    /// Whether clients acknowledge everything.
    pub acknowledges: bool,
    /// As what members of channels come and go.
    pub join_leave_scope: JoinLeaveScope,
    /// Whether a presence list is held against what its reader knows.
    pub look: MemberCheck,
}

impl ClientContext<'_> {
    /// Somebody is about to publish; returns the message's number.
    pub(crate) fn publish(&mut self, channel: &str, author: &'static str) -> u64 {
        let number = self.oracle.publish(channel);
        self.oracle.durable_oracle.says(number, channel, author, self.now.unix_ms);
        number
    }
}
