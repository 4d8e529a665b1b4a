//! Names claims of tokens that are not supported, once each: an application that relies on one
//! shall not find out from what does not happen.
//!
//! Deliberately absent: what tokens have beyond these; that is their applications' own.

use std::sync::Arc;

use crate::metrics::{Cells, Counter, TokenClaim};

/// What was named.
#[derive(Debug, Default)]
pub(super) struct ClaimWatch {
    named: Vec<TokenClaim>,
}

impl ClaimWatch {
    /// Looks for claims that were seen for the first time.
    pub fn look(&mut self, cells: &[Arc<Cells>]) {
        let is_seen =
            |claim| cells.iter().any(|one| one.counted(Counter::UnsupportedClaims(claim)) != 0);
        for claim in self.take_new(is_seen) {
            tracing::warn!(
                "a token has {:?}, which is not supported and was passed over \
                 (chat_token_claims_unsupported_total counts them)",
                claim.word()
            );
        }
    }

    fn take_new(&mut self, is_seen: impl Fn(TokenClaim) -> bool) -> Vec<TokenClaim> {
        let all = TokenClaim::ALL.iter().copied();
        let new: Vec<TokenClaim> =
            all.filter(|&claim| !self.named.contains(&claim) && is_seen(claim)).collect();
        self.named.extend(&new);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_claim_is_named_once() {
        let [presence, join_leave] = [TokenClaim::OverridePresence, TokenClaim::OverrideJoinLeave];
        let mut watch = ClaimWatch::default();
        assert_eq!(watch.take_new(|_| false), []);
        assert_eq!(watch.take_new(|claim| claim == join_leave), [join_leave]);
        assert_eq!(watch.take_new(|_| true), [presence]);
        assert_eq!(watch.take_new(|_| true), []);
    }
}
