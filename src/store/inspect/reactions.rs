//! Whether what users react to messages with can be read, and the totals are theirs.
//!
//! Deliberately absent: whether a message is there that is reacted to; one that is lost is
//! told with its channel.

use crate::base::RoomId;

use super::super::disk::{Disk, DiskError, StoreKeyspace};
use super::super::messages::ReactionTotals;
use super::super::{key, record};
use super::{CheckFinding, Inspection, tell_records};

/// Reactions to one message after the other.
#[derive(Default)]
struct Walked {
    /// The message at hand, and what is found of it.
    at: Option<(RoomId, u64)>,
    found: Vec<Box<str>>,
    /// Messages whose totals say something else, and those whose say the same.
    wrong_count: u64,
    right_count: u64,
}

impl<D: Disk> Inspection<D> {
    /// Reads all reactions and totals. Totals without reactions, and those that say something
    /// else, are damaged records.
    pub(super) fn check_reactions(
        &self,
        on_finding: &mut dyn FnMut(CheckFinding),
    ) -> Result<(), DiskError> {
        let (mut walked, mut undecodable_count) = (Walked::default(), 0);
        let walk = self.walk(StoreKeyspace::Reactions, &key::rest(&[]), &mut |key, value| {
            let (Some(at), Ok((reaction, _))) =
                (key::reaction_from(key), record::take_reaction(value))
            else {
                undecodable_count += 1;
                return;
            };
            if walked.at != Some(at) {
                self.compare(&mut walked);
                walked.at = Some(at);
            }
            walked.found.push(reaction);
        })?;
        self.compare(&mut walked);
        tell_records(StoreKeyspace::Reactions, undecodable_count, walk, on_finding);
        let mut totals_count = 0;
        let walk = self.walk(StoreKeyspace::ReactionTotals, &key::rest(&[]), &mut |_, _| {
            totals_count += 1;
        })?;
        // A message whose totals are gone is wrong, and not among those that are there.
        let wrong_count =
            walked.wrong_count.max(u64::saturating_sub(totals_count, walked.right_count));
        tell_records(StoreKeyspace::ReactionTotals, wrong_count, walk, on_finding);
        Ok(())
    }

    /// All reactions to a message were found.
    fn compare(&self, walked: &mut Walked) {
        let Some((room, offset)) = walked.at.take() else { return };
        let mut made = ReactionTotals::default();
        let found = std::mem::take(&mut walked.found);
        let fits = found.iter().all(|value| made.replace(None, Some(value)));
        let bytes = self.disk().get(StoreKeyspace::ReactionTotals, &key::message(room, offset));
        let kept = bytes.ok().flatten().and_then(|bytes| record::take_reaction_totals(&bytes).ok());
        let is_right = fits && kept.is_some_and(|kept| is_same(&kept, &made));
        walked.right_count += u64::from(is_right);
        walked.wrong_count += u64::from(!is_right);
    }
}

/// Whether totals say the same, in whichever order.
fn is_same(one: &ReactionTotals, other: &ReactionTotals) -> bool {
    let sorted = |totals: &ReactionTotals| {
        let mut all: Vec<(String, u32)> =
            totals.iter().map(|(value, count)| (value.to_owned(), count)).collect();
        all.sort_unstable();
        all
    };
    sorted(one) == sorted(other)
}
