//! How much capacity lists keep: those that are kept between turns for it alone, and those
//! that grow and shrink.
//!
//! A broadcast to a million leaves a list of a million places, on every shard that took
//! part. Whoever keeps such lists asks here now and then, a few times a second, so that
//! what is needed in each turn is not made anew in each.

use std::collections::VecDeque;

/// Entries that a list keeps memory for when it is not used.
const SCRATCH_ENTRIES_KEPT: usize = 4_096;

/// Gives back what a list has not used for three quarters.
pub fn trim_list<T>(list: &mut Vec<T>) {
    if is_too_large(list.len(), list.capacity()) {
        list.shrink_to((list.len() * 2).max(SCRATCH_ENTRIES_KEPT));
    }
}

/// The same for a queue.
pub fn trim_queue<T>(queue: &mut VecDeque<T>) {
    if is_too_large(queue.len(), queue.capacity()) {
        queue.shrink_to((queue.len() * 2).max(SCRATCH_ENTRIES_KEPT));
    }
}

/// Gives memory back when a quarter is used, and keeps twice of what is: for a list that
/// grows and shrinks by itself.
pub(super) fn shrink_sparse<T>(list: &mut Vec<T>) {
    if list.len() * 4 <= list.capacity() {
        list.shrink_to(list.len() * 2);
    }
}

fn is_too_large(len: usize, capacity: usize) -> bool {
    2 * SCRATCH_ENTRIES_KEPT < capacity && len * 4 <= capacity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_used_is_given_back_and_what_is_used_stays() {
        for (len, capacity, want) in [
            (0, 1_000_000, SCRATCH_ENTRIES_KEPT),
            (100_000, 1_000_000, 200_000),
            (300_000, 1_000_000, 1_000_000),
            (0, 2 * SCRATCH_ENTRIES_KEPT, 2 * SCRATCH_ENTRIES_KEPT),
        ] {
            let mut list: Vec<u8> = Vec::with_capacity(capacity);
            list.resize(len, 7);
            let mut queue = VecDeque::from(list.clone());
            queue.reserve_exact(capacity - len);
            trim_list(&mut list);
            trim_queue(&mut queue);
            assert_eq!((list.len(), list.capacity()), (len, want));
            assert_eq!((queue.len(), queue.capacity()), (len, want));
        }
    }
}
