//! Where something is, by its hash: numbers of slots in a table whose turns are short at
//! any size.
//!
//! One hash table of a million entries stops its shard for the time that it takes to put
//! all of them into a larger one, and keeps its size when they are gone. So this is many
//! small ones, and their number follows the number of entries one at a time (linear
//! hashing: Litwin, 1980): a new one takes a part of the entries of one other, and the
//! last one goes back into the one that it came from. An insertion or a removal moves
//! the entries of two tables at most.
//!
//! Invariants: an entry is in the table that `place` says for its hash; all hashes that
//! are asked for are of one kind, which peers can't choose.
//!
//! Deliberately absent: the keys. Whoever owns the slots knows them.

use hashbrown::HashTable;

use super::scratch::shrink_sparse;

/// Entries for each table, on average, before there is one more. A table of hashbrown has
/// places for 448; half way through a round there are some with a third more than this.
const ENTRIES_MAX: usize = 300;

/// And before there is one less: far enough below, so that coming and going moves nothing.
const ENTRIES_MIN: usize = ENTRIES_MAX / 4;

/// Slots by hash.
#[derive(Debug)]
pub struct SlotIndex {
    tables: Vec<HashTable<u32>>,
    /// One less than the number of tables, rounded up to a power of two.
    mask: usize,
    len: usize,
}

impl Default for SlotIndex {
    fn default() -> SlotIndex {
        SlotIndex { tables: vec![HashTable::new()], mask: 0, len: 0 }
    }
}

impl SlotIndex {
    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot with this hash that `is_it`.
    pub fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.tables[self.place(hash)].find(hash, |&slot| is_it(slot)).copied()
    }

    /// Adds a slot that is not in it. `hash_of` knows the hashes of all, and of this one.
    pub fn insert(&mut self, slot: u32, hash_of: impl Fn(u32) -> u64) {
        let hash = hash_of(slot);
        let place = self.place(hash);
        self.tables[place].insert_unique(hash, slot, |&slot| hash_of(slot));
        self.len += 1;
        if self.tables.len() * ENTRIES_MAX < self.len {
            self.split_one(hash_of);
        }
    }

    /// Takes out a slot that is in it. `hash_of` knows the hashes of all, and of this one.
    pub fn remove(&mut self, slot: u32, hash_of: impl Fn(u32) -> u64) {
        let hash = hash_of(slot);
        let place = self.place(hash);
        let found = self.tables[place].find_entry(hash, |&other| other == slot);
        found.expect("only what is in it is taken out").remove();
        self.len -= 1;
        if self.len < (self.tables.len() - 1) * ENTRIES_MIN {
            self.merge_last(hash_of);
        }
    }

    /// hashbrown uses the lowest bits of a hash and the highest seven. A product has others
    /// in its middle, also for the small numbers of tests.
    fn place(&self, hash: u64) -> usize {
        let mixed = (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize;
        let place = mixed & self.mask;
        if place < self.tables.len() { place } else { place & (self.mask >> 1) }
    }

    #[cold]
    fn split_one(&mut self, hash_of: impl Fn(u32) -> u64) {
        let new = self.tables.len();
        self.tables.push(HashTable::new());
        self.mask = self.tables.len().next_power_of_two() - 1;
        let from = new & (self.mask >> 1);
        let mut source = std::mem::take(&mut self.tables[from]);
        let moved: Vec<u32> =
            source.extract_if(|&mut slot| self.place(hash_of(slot)) == new).collect();
        source.shrink_to_fit(|&slot| hash_of(slot));
        self.tables[from] = source;
        put(&mut self.tables[new], &moved, hash_of);
    }

    #[cold]
    fn merge_last(&mut self, hash_of: impl Fn(u32) -> u64) {
        let last = self.tables.len() - 1;
        let into = last & (self.mask >> 1);
        let moved: Vec<u32> = self.tables.pop().into_iter().flatten().collect();
        self.mask = last.next_power_of_two() - 1;
        put(&mut self.tables[into], &moved, &hash_of);
        if self.tables[into].len() * 4 < self.tables[into].capacity() {
            self.tables[into].shrink_to_fit(|&slot| hash_of(slot));
        }
        shrink_sparse(&mut self.tables);
    }
}

fn put(table: &mut HashTable<u32>, slots: &[u32], hash_of: impl Fn(u32) -> u64) {
    table.reserve(slots.len(), |&slot| hash_of(slot));
    for &slot in slots {
        table.insert_unique(hash_of(slot), slot, |&slot| hash_of(slot));
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::base::Prng;

    /// As a keyed hash would be.
    fn hash(slot: u32) -> u64 {
        Prng::from_seed(slot.into()).draw()
    }

    /// Everything is found while the index grows and shrinks; no step moves many.
    #[test]
    fn each_step_is_short_at_any_size_and_memory_comes_back() {
        const COUNT: u32 = 60_000;
        let (mut index, asked) = (SlotIndex::default(), Cell::new(0));
        let hash_of = |slot| {
            asked.set(asked.get() + 1);
            hash(slot)
        };
        let mut asked_max = 0;
        for slot in 0..COUNT {
            asked.set(0);
            index.insert(slot, hash_of);
            asked_max = asked_max.max(asked.get());
        }
        assert_eq!(index.len(), COUNT as usize);
        let tables_count = index.tables.len();
        assert!((150..=201).contains(&tables_count), "{tables_count} tables");
        let places: usize = index.tables.iter().map(HashTable::capacity).sum();
        assert!(places < COUNT as usize * 2, "{places} places");
        for slot in 0..COUNT + 100 {
            let found = index.find(hash(slot), |other| other == slot);
            assert_eq!(found, (slot < COUNT).then_some(slot));
        }
        for slot in (0..COUNT).rev() {
            asked.set(0);
            index.remove(slot, hash_of);
            asked_max = asked_max.max(asked.get());
            if slot % 1_000 == 0 {
                assert!((0..slot).step_by(7).all(|o| index.find(hash(o), |p| p == o).is_some()));
                assert_eq!(index.find(hash(slot), |other| other == slot), None);
            }
        }
        assert!(asked_max < 3 * 448, "{asked_max} hashes in one step");
        assert!(index.is_empty() && index.tables.len() == 1);
        assert!(index.tables[0].capacity() <= 448 && index.tables.capacity() <= 4);
    }

    #[test]
    fn coming_and_going_at_a_limit_moves_nothing() {
        let mut index = SlotIndex::default();
        let last = 20 * ENTRIES_MAX as u32;
        (0..=last).for_each(|slot| index.insert(slot, hash));
        let tables_count = index.tables.len();
        for _ in 0..10 {
            index.remove(last, hash);
            index.insert(last, hash);
            assert_eq!(index.tables.len(), tables_count);
        }
    }

    #[test]
    fn numbers_in_a_row_are_found_too() {
        let mut index = SlotIndex::default();
        (0..5_000).for_each(|slot| index.insert(slot, u64::from));
        assert!((0..5_000).all(|slot| index.find(slot.into(), |other| other == slot).is_some()));
        assert!(index.tables.iter().all(|table| table.len() < 448));
        (0..5_000).for_each(|slot| index.remove(slot, u64::from));
        assert!(index.is_empty());
    }
}
