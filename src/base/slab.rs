use std::ops::{Index, IndexMut};

const CHUNK_SLOTS: usize = 256;

/// Values at dense indices that somebody else hands out (the plane's slots).
///
/// Grows by chunks that never move: no pause to copy a million entries, and no
/// moment with twice the memory. Indices are dense, so 4,294,967,295 slots is
/// the representable end; the owner's connection limit comes long before.
#[derive(Debug)]
pub struct Slots<T> {
    chunks: Vec<Box<[Option<T>]>>,
    len: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Slots<T> {
        Slots { chunks: Vec::new(), len: 0 }
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
        let (chunk, place) = split(slot);
        while self.chunks.len() <= chunk {
            self.chunks.push((0..CHUNK_SLOTS).map(|_| None).collect());
        }
        let previous = self.chunks[chunk][place].replace(value);
        self.len += usize::from(previous.is_none());
        previous
    }

    /// Takes the value out of `slot`.
    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let (chunk, place) = split(slot);
        let taken = self.chunks.get_mut(chunk)?[place].take();
        self.len -= usize::from(taken.is_some());
        taken
    }

    /// The value at `slot`.
    pub fn at(&self, slot: u32) -> Option<&T> {
        let (chunk, place) = split(slot);
        self.chunks.get(chunk)?[place].as_ref()
    }

    /// The value at `slot`, to change.
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        let (chunk, place) = split(slot);
        self.chunks.get_mut(chunk)?[place].as_mut()
    }

    /// One behind the highest slot that was ever taken, rounded up.
    pub fn span(&self) -> u32 {
        (self.chunks.len() * CHUNK_SLOTS) as u32
    }

    /// All taken slots in rising order.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let all = self.chunks.iter().flat_map(|chunk| chunk.iter()).enumerate();
        all.filter_map(|(slot, value)| Some((slot as u32, value.as_ref()?)))
    }
}

fn split(slot: u32) -> (usize, usize) {
    (slot as usize / CHUNK_SLOTS, slot as usize % CHUNK_SLOTS)
}

/// Values that get their index here; freed indices are used again, newest first.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Slots<T>,
    free: Vec<u32>,
    next: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Slab<T> {
        Slab { slots: Slots::default(), free: Vec::new(), next: 0 }
    }
}

impl<T> Slab<T> {
    /// How many values live here.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True when nothing lives here.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Stores `value` and tells where.
    pub fn insert(&mut self, value: T) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            let slot = self.next;
            self.next = slot.checked_add(1).expect("limits keep a slab below 2^32 values");
            slot
        });
        let previous = self.slots.insert(slot, value);
        assert!(previous.is_none(), "a free slot was taken");
        slot
    }

    /// Takes the value out; its index will be used again.
    pub fn remove(&mut self, slot: u32) -> Option<T> {
        let taken = self.slots.remove(slot)?;
        self.free.push(slot);
        Some(taken)
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
    use super::*;

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
}
