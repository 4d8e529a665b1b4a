//! Values one behind the other in large pieces of memory, freed all at once.
//!
//! Messages come by the hundred thousand a second: an allocation for each, which another thread
//! frees, costs more than to copy it.
//!
//! Deliberately absent: keys.

/// Bytes of a piece. A longer value has one of its own.
const PIECE_BYTES: usize = 256 << 10;

/// Where a value lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValuePlace {
    piece: u32,
    begin: u32,
    bytes: u32,
}

/// Values.
#[derive(Clone, Debug, Default)]
pub(super) struct ValueArena {
    /// The last one grows.
    pieces: Vec<Vec<u8>>,
}

impl ValueArena {
    /// Adds a value.
    pub fn push(&mut self, value: &[u8]) -> ValuePlace {
        let has_room = self.pieces.last().is_some_and(|last| {
            // The first one grows up to a piece, so that a few values take little.
            last.len() + value.len() <= PIECE_BYTES
        });
        if !has_room {
            let is_first = self.pieces.is_empty();
            let capacity = if is_first { value.len() } else { PIECE_BYTES.max(value.len()) };
            self.pieces.push(Vec::with_capacity(capacity));
        }
        let piece = self.pieces.len() - 1;
        let last = &mut self.pieces[piece];
        let begin = last.len() as u32;
        last.extend_from_slice(value);
        let bytes = u32::try_from(value.len()).expect("values are shorter than 4 GiB");
        ValuePlace { piece: piece as u32, begin, bytes }
    }

    /// The value at a place that was given since the last `clear`.
    pub fn get(&self, place: ValuePlace) -> &[u8] {
        let ValuePlace { piece, begin, bytes } = place;
        &self.pieces[piece as usize][begin as usize..][..bytes as usize]
    }

    /// Forgets all of them. A piece of memory is kept for the next ones.
    pub fn clear(&mut self) {
        self.pieces.truncate(1);
        if let Some(first) = self.pieces.first_mut() {
            first.clear();
            // One of a long value is not kept.
            first.shrink_to(PIECE_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_length_are_found_where_they_were_put() {
        let mut arena = ValueArena::default();
        for round in 0..3_u8 {
            let lengths = [0, 1, 300, PIECE_BYTES - 301, 1, PIECE_BYTES, PIECE_BYTES + 1, 3, 0];
            let values: Vec<Vec<u8>> =
                lengths.iter().map(|length| vec![round + *length as u8; *length]).collect();
            let places: Vec<ValuePlace> = values.iter().map(|value| arena.push(value)).collect();
            for (value, place) in values.iter().zip(places) {
                assert_eq!(arena.get(place), value);
            }
            assert_eq!(arena.pieces.len(), 5);
            arena.clear();
            assert!(arena.pieces.iter().map(Vec::capacity).sum::<usize>() <= PIECE_BYTES);
        }
    }
}
