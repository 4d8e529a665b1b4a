//! How many publications of each chat type are in one send, packed into four bytes.

use crate::metrics::ChatType;

/// How many publications of which chat type a frame or a send carries.
///
/// Four bytes, because every connection has one for its send in flight: a count of
/// one type up to 2^30, or of all three up to 1,023 each. What fits neither way
/// does not leave in one send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublicationCounts(u32);

const TYPES: usize = 3;
const _: () = assert!(ChatType::ALL.len() == TYPES);

/// The two high bits hold the type of the count, or mark three counts.
const TAG_BITS: u32 = 30;
const MIXED: u32 = TYPES as u32;
const ONE_MAX: u32 = (1 << TAG_BITS) - 1;
const MIXED_BITS: u32 = TAG_BITS / TYPES as u32;
const MIXED_MAX: u32 = (1 << MIXED_BITS) - 1;

impl PublicationCounts {
    /// No publication.
    pub const NONE: PublicationCounts = PublicationCounts(0);

    /// `count` publications of one type, saturating.
    pub fn of(chat_type: ChatType, count: u64) -> PublicationCounts {
        let count = u32::try_from(count).unwrap_or(ONE_MAX).min(ONE_MAX);
        if count == 0 {
            PublicationCounts::NONE
        } else {
            PublicationCounts((chat_type as u32) << TAG_BITS | count)
        }
    }

    /// The sum of both, unless that is too much for one send.
    pub fn plus(self, other: PublicationCounts) -> Option<PublicationCounts> {
        if other == PublicationCounts::NONE {
            return Some(self);
        }
        if self == PublicationCounts::NONE {
            return Some(other);
        }
        let (tag, count) = (self.0 >> TAG_BITS, self.0 & ONE_MAX);
        if tag != MIXED && tag == other.0 >> TAG_BITS {
            let count = count + (other.0 & ONE_MAX);
            return (count <= ONE_MAX).then_some(PublicationCounts(tag << TAG_BITS | count));
        }
        let (mut mixed, counts) = (MIXED << TAG_BITS, other.counts());
        for (index, (one, more)) in (0..).zip(self.counts().into_iter().zip(counts)) {
            let together = one.saturating_add(more);
            if MIXED_MAX < together {
                return None;
            }
            mixed |= together << (index * MIXED_BITS);
        }
        Some(PublicationCounts(mixed))
    }

    /// The counts by type, in the order of `ChatType::ALL`.
    pub fn counts(self) -> [u32; TYPES] {
        let mut counts = [0; TYPES];
        match self.0 >> TAG_BITS {
            MIXED => {
                for (index, count) in (0..).zip(&mut counts) {
                    *count = self.0 >> (index * MIXED_BITS) & MIXED_MAX;
                }
            }
            tag => counts[tag as usize] = self.0 & ONE_MAX,
        }
        counts
    }

    /// The sum over all types.
    pub fn total(self) -> u64 {
        if self.0 >> TAG_BITS == MIXED {
            self.counts().into_iter().map(u64::from).sum()
        } else {
            u64::from(self.0 & ONE_MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    #[test]
    fn both_ways_of_counting_have_their_limit() {
        use ChatType::{Broadcast, Group, OneToOne};
        let of = PublicationCounts::of;
        assert_eq!(of(Group, u64::MAX).total(), u64::from(ONE_MAX));
        assert_eq!(of(Group, u64::from(ONE_MAX)).plus(of(Group, 1)), None);
        assert_eq!(of(OneToOne, 2).plus(of(Group, 1_024)), None);
        let mixed = of(OneToOne, 2).plus(of(Group, 1_023)).unwrap();
        assert_eq!((mixed.counts(), mixed.total()), ([2, 1_023, 0], 1_025));
        assert_eq!(mixed.plus(of(Group, 1)), None);
        assert_eq!(
            mixed.plus(of(Broadcast, 5)).map(PublicationCounts::counts),
            Some([2, 1_023, 5])
        );
        assert_eq!(of(Broadcast, 0), PublicationCounts::NONE);
        assert_eq!(mixed.plus(PublicationCounts::NONE), Some(mixed));
    }

    /// Compares with three plain numbers.
    #[test]
    fn counts_add_up() {
        let mut prng = Prng::from_seed(4);
        let (mut publications, mut model) = (PublicationCounts::NONE, [0u32; TYPES]);
        for _ in 0..10_000 {
            let count = prng.below(300);
            let chat_type = ChatType::ALL[prng.below(TYPES as u64) as usize];
            match publications.plus(PublicationCounts::of(chat_type, count)) {
                Some(sum) => {
                    publications = sum;
                    model[chat_type as usize] += count as u32;
                }
                None => (publications, model) = (PublicationCounts::NONE, [0; TYPES]),
            }
            assert_eq!(publications.counts(), model);
            assert_eq!(publications.total(), model.into_iter().map(u64::from).sum::<u64>());
        }
    }
}
