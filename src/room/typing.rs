//! Who is writing, told once in a while for each user.
//!
//! Deliberately absent: to whom it is told.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::base::MonotonicMs;
use crate::base::limits::TYPING_USERS_MAX;
use crate::wire::ClientInfo;

/// Typing is told once in this time for each user.
const TYPING_INTERVAL_MS: u64 = 1_000;

/// Who was told to be typing a moment ago.
#[derive(Debug, Default)]
pub(super) struct TypingUsers(SmallVec<[(Arc<ClientInfo>, MonotonicMs); 1]>);

impl TypingUsers {
    /// Whether it is told now that this client is typing: once in a while for each user,
    /// however many devices they type on; who has no name is a user for each connection.
    pub fn may_tell(&mut self, now: MonotonicMs, info: &Arc<ClientInfo>) -> bool {
        let told = &mut self.0;
        told.retain(|&mut (_, at)| now.ms_since(at) < TYPING_INTERVAL_MS);
        let again = told.iter().any(|(other, _)| {
            other.user == info.user && (!info.user.is_empty() || other.client == info.client)
        });
        let may = !again && told.len() < TYPING_USERS_MAX;
        if may {
            told.push((Arc::clone(info), now));
        }
        may
    }
}
