//! Values at small numbers: `Slots` for numbers that somebody else hands out, `Slab` for
//! its own.
//!
//! Both grow by chunks that never move: no pause to copy a million entries, no moment with
//! twice the memory, and what the kernel may look at stays where it is. A chunk in which
//! nothing is left is given back, and one such chunk is kept, so that nobody who comes and
//! goes at a chunk's end makes and frees one each time.
//!
//! Invariants: a chunk without memory has nothing taken; at most one chunk with memory has
//! nothing taken, and that is `spare`; the last chunk has memory; a slab's bit is set
//! exactly when its slot is free, `open` knows exactly the chunks with a bit that is set,
//! and `lowest` is the first of them.

use std::collections::BTreeSet;
use std::ops::{Index, IndexMut};

use super::scratch::shrink_sparse;

const CHUNK_SLOTS: usize = 256;
const WORDS: usize = CHUNK_SLOTS / u64::BITS as usize;

/// No chunk.
const NONE: u32 = u32::MAX;

/// Values at dense indices that somebody else hands out (the `Io`'s slots).
///
/// Indices are dense, so 4,294,967,295 slots is the representable end; the owner's
/// connection limit comes long before.
#[derive(Debug)]
pub struct Slots<T> {
    chunks: Vec<Chunk<T>>,
    len: usize,
    /// A chunk with memory in which nothing is taken.
    spare: u32,
}

/// Without memory `slots` is empty, so that looking at one asks nothing more.
#[derive(Debug)]
struct Chunk<T> {
    slots: Box<[Option<T>]>,
    taken_count: u32,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots { chunks: Vec::new(), len: 0, spare: NONE }
    }
}

impl<T> Slots<T> {
    /// How many slots are taken.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when no slot is taken.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts `value` at `slot` and gives back what was there.
    pub fn insert(&mut self, slot: u32, value: T) -> Option<T> {
        let (index, place) = split(slot);
        while self.chunks.len() <= index {
            self.chunks.push(Chunk { slots: Box::default(), taken_count: 0 });
        }
        let chunk = &mut self.chunks[index];
        if chunk.taken_count == 0 {
            if chunk.slots.is_empty() {
                chunk.slots = (0..CHUNK_SLOTS).map(|_| None).collect();
            } else {
                self.spare = NONE;
            }
        }
        let previous = chunk.slots[place].replace(value);
        chunk.taken_count += u32::from(previous.is_none());
        self.len += usize::from(previous.is_none());
        previous
    }

    /// Takes the value out of `slot`.
    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let (index, place) = split(slot);
        let chunk = self.chunks.get_mut(index)?;
        let taken = chunk.slots.get_mut(place)?.take()?;
        chunk.taken_count -= 1;
        self.len -= 1;
        if chunk.taken_count == 0 {
            self.emptied(index);
        }
        Some(taken)
    }

    /// The value at `slot`.
    pub fn at(&self, slot: u32) -> Option<&T> {
        let (chunk, place) = split(slot);
        self.chunks.get(chunk)?.slots.get(place)?.as_ref()
    }

    /// The value at `slot`, to change.
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        let (chunk, place) = split(slot);
        self.chunks.get_mut(chunk)?.slots.get_mut(place)?.as_mut()
    }

    /// One behind the highest slot that has a place now, rounded up.
    pub fn span(&self) -> u32 {
        (self.chunks.len() * CHUNK_SLOTS) as u32
    }

    /// All taken slots in rising order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let chunks = self.chunks.iter().zip((0u32..).step_by(CHUNK_SLOTS));
        chunks.flat_map(|(chunk, first)| {
            let slots = chunk.slots.iter().zip(first..);
            slots.filter_map(|(value, slot)| Some((slot, value.as_ref()?)))
        })
    }

    /// The chunk that became empty is the one that is kept: it will be asked for next.
    #[cold]
    fn emptied(&mut self, index: usize) {
        let before = std::mem::replace(&mut self.spare, index as u32);
        if let Some(chunk) = self.chunks.get_mut(before as usize) {
            chunk.slots = Box::default();
        }
        while self.chunks.last().is_some_and(|chunk| chunk.slots.is_empty()) {
            self.chunks.pop();
        }
        // Some hundred kilobytes are copied at a million slots.
        shrink_sparse(&mut self.chunks);
    }
}

fn split(slot: u32) -> (usize, usize) {
    (slot as usize / CHUNK_SLOTS, slot as usize % CHUNK_SLOTS)
}

/// Values that get their index here: the lowest chunk with a free one gives its lowest, so
/// that what comes later closes the gaps, and the last chunks become empty.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Slots<T>,
    /// The free slots of each chunk, by bit.
    free: Vec<[u64; WORDS]>,
    open: BTreeSet<u32>,
    lowest: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { slots: Slots::default(), free: Vec::new(), open: BTreeSet::new(), lowest: NONE }
    }
}

impl<T> Slab<T> {
    /// One behind the highest index that is taken, or was.
    pub fn span(&self) -> u32 {
        self.slots.span()
    }

    /// How many values it has.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True when it is empty.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Stores `value` and tells where.
    pub fn insert(&mut self, value: T) -> u32 {
        if self.lowest == NONE {
            self.lowest = u32::try_from(self.free.len()).expect("memory ends before");
            assert!((self.lowest as usize) < u32::MAX as usize / CHUNK_SLOTS, "below 2^32 values");
            self.free.push([u64::MAX; WORDS]);
            self.open.insert(self.lowest);
        }
        let chunk = self.lowest;
        let words = &mut self.free[chunk as usize];
        let word = words.iter().position(|word| *word != 0).expect("an open chunk has a place");
        let bit = words[word].trailing_zeros();
        words[word] &= !(1 << bit);
        if *words == [0; WORDS] {
            self.open.remove(&chunk);
            self.lowest = self.open.first().copied().unwrap_or(NONE);
        }
        let slot = chunk * CHUNK_SLOTS as u32 + word as u32 * u64::BITS + bit;
        let previous = self.slots.insert(slot, value);
        assert!(previous.is_none(), "a free slot was taken");
        slot
    }

    /// Takes the value out; its index will be used again.
    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let taken = self.slots.remove(slot)?;
        let (chunk, place) = split(slot);
        let words = &mut self.free[chunk];
        if *words == [0; WORDS] {
            self.open.insert(chunk as u32);
            self.lowest = self.lowest.min(chunk as u32);
        }
        words[place / u64::BITS as usize] |= 1 << (place % u64::BITS as usize);
        if *words == [u64::MAX; WORDS] && chunk + 1 == self.free.len() {
            self.forget_last();
        }
        Some(taken)
    }

    /// Nothing is taken in the last chunk, nor in some before it.
    #[cold]
    fn forget_last(&mut self) {
        while self.free.last() == Some(&[u64::MAX; WORDS]) {
            self.free.pop();
            self.open.remove(&(self.free.len() as u32));
        }
        self.lowest = self.open.first().copied().unwrap_or(NONE);
        shrink_sparse(&mut self.free);
    }

    /// The value at `slot`.
    pub fn at(&self, slot: u32) -> Option<&T> {
        self.slots.at(slot)
    }

    /// The value at `slot`, to change.
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.at_mut(slot)
    }

    /// All values, by rising index.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;
    fn index(&self, slot: u32) -> &T {
        self.at(slot).expect("an index that this slab gave and that was not removed")
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        self.at_mut(slot).expect("an index that this slab gave and that was not removed")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::Prng;

    #[test]
    fn freed_indices_are_used_again_and_the_count_is_right() {
        let mut slab = Slab::default();
        let indices: Vec<u32> = (0..600).map(|value| slab.insert(value)).collect();
        assert_eq!((slab.len(), indices[599]), (600, 599));
        assert_eq!(slab.remove(300), Some(300));
        assert_eq!((slab.remove(300), slab.remove(9_999)), (None, None));
        assert_eq!((slab.len(), slab.insert(7)), (599, 300));
        assert_eq!(slab[300], 7);
        assert_eq!(slab.iter().count(), 600);
    }

    #[test]
    fn slots_grow_to_any_index() {
        let mut slots = Slots::default();
        assert_eq!(slots.insert(1_000, 'a'), None);
        assert_eq!(slots.insert(1_000, 'b'), Some('a'));
        assert_eq!((slots.len(), slots.at(0), slots.at(1_000)), (1, None, Some(&'b')));
        assert_eq!(slots.remove(1_000), Some('b'));
        assert!(slots.is_empty());
    }

    impl<T> Slots<T> {
        fn chunks_with_memory(&self) -> usize {
            self.chunks.iter().filter(|chunk| !chunk.slots.is_empty()).count()
        }
    }

    /// A map beside the slab, which becomes large and small again.
    #[test]
    fn a_slab_is_what_a_map_would_be_and_gives_its_memory_back() {
        for seed in 0..10 {
            let (mut prng, mut slab) = (Prng::from_seed(seed), Slab::default());
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            for step in 0..30_000u64 {
                let grows = (step / 5_000).is_multiple_of(2);
                if prng.percent(if grows { 80 } else { 20 }) || model.is_empty() {
                    let slot = slab.insert(step);
                    assert_eq!(model.insert(slot, step), None, "seed {seed}");
                } else {
                    let from = prng.below(u64::from(slab.slots.span())) as u32;
                    let next = model.range(from..).next().or_else(|| model.first_key_value());
                    let (&slot, _) = next.expect("it is not empty");
                    assert_eq!(slab.remove(slot), model.remove(&slot), "seed {seed}");
                }
                assert_eq!((slab.len(), slab.is_empty()), (model.len(), model.is_empty()));
            }
            assert!(slab.iter().eq(model.iter().map(|(&slot, value)| (slot, value))));
            for slot in std::mem::take(&mut model).into_keys() {
                assert!(slab.remove(slot).is_some() && slab.at(slot).is_none());
            }
            assert!(slab.free.is_empty() && slab.open.is_empty(), "seed {seed}");
            assert!(slab.slots.chunks_with_memory() <= 1, "seed {seed}");
            assert!(slab.free.capacity() <= 8 && slab.slots.chunks.capacity() <= 200);
            assert_eq!(slab.insert(7), 0, "the lowest is given first");
        }
    }

    #[test]
    fn who_comes_and_goes_at_the_end_of_a_chunk_makes_none() {
        let mut slab = Slab::default();
        let last = (0..=CHUNK_SLOTS as u32).map(|value| slab.insert(value)).last().unwrap();
        let place = std::ptr::from_ref(&slab[last]);
        for value in 0..10 {
            assert!(slab.remove(last).is_some());
            assert_eq!(slab.slots.chunks_with_memory(), 2, "one is kept");
            assert_eq!((slab.insert(value), std::ptr::from_ref(&slab[last])), (last, place));
        }
    }

    #[test]
    fn slots_give_back_what_is_empty_in_any_order() {
        let mut slots = Slots::default();
        let slots_count = 40 * CHUNK_SLOTS as u32;
        (0..slots_count).for_each(|slot| assert_eq!(slots.insert(slot, slot), None));
        for slot in (0..slots_count).filter(|slot| slot % 3 == 0) {
            assert_eq!(slots.remove(slot), Some(slot));
        }
        assert_eq!((slots.span(), slots.chunks_with_memory()), (slots_count, 40));
        for slot in (CHUNK_SLOTS as u32..slots_count).filter(|slot| slot % 3 != 0) {
            assert_eq!(slots.remove(slot), Some(slot));
            assert_eq!(slots.at_mut(slot), None);
        }
        assert!(slots.chunks_with_memory() <= 2 && slots.chunks.capacity() <= 80);
        assert_eq!((slots.at(1), slots.at(slots_count)), (Some(&1), None));
        assert_eq!(slots.remove(999), None);
        assert_eq!(slots.insert(3_000, 5), None);
        assert_eq!((slots.at(3_000), slots.at(2_999)), (Some(&5), None));
        assert_eq!(slots.iter().count(), slots.len());
    }
}
