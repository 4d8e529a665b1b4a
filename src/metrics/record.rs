//! Records of several words that one thread writes and others read, without a lock.
//!
//! A record has a sequence number, odd while it is being written. A reader that sees
//! the same even number before and after has read one writing, whole. The writer
//! never waits, and neither does a reader: what keeps changing, or belongs to a core
//! that stopped in the middle, is not there for it.
//!
//! Deliberately absent: what the words mean.

use std::array;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Times that a reader looks at a record which changes under its eyes.
const READS_MAX: usize = 16;

/// One record: `N` words that belong together.
#[derive(Debug)]
pub(super) struct SeqRecord<const N: usize> {
    /// Odd while the words are written; 0 before the first time.
    sequence: AtomicU64,
    words: [AtomicU64; N],
}

impl<const N: usize> SeqRecord<N> {
    pub fn new() -> SeqRecord<N> {
        SeqRecord { sequence: AtomicU64::new(0), words: array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// For the one thread that may write this record.
    #[inline]
    pub fn write(&self, words: &[u64; N]) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        // No word is seen before the odd number,
        fence(Ordering::Release);
        for (place, word) in self.words.iter().zip(words) {
            place.store(*word, Ordering::Relaxed);
        }
        // and the even one not before the words.
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }

    /// What one writing left, if there was one and it holds still.
    pub fn read(&self) -> Option<[u64; N]> {
        for _ in 0..READS_MAX {
            let before = self.sequence.load(Ordering::Acquire);
            if before == 0 {
                return None;
            }
            let words = array::from_fn(|index| self.words[index].load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && self.sequence.load(Ordering::Relaxed) == before {
                return Some(words);
            }
        }
        None
    }
}

/// Makes `count` records, and the only handle that writes them.
pub fn records<const N: usize>(count: usize) -> (RecordWriter<N>, RecordReader<N>) {
    let records: Arc<[SeqRecord<N>]> = (0..count).map(|_| SeqRecord::new()).collect();
    let reader = RecordReader { records: Arc::clone(&records) };
    (RecordWriter { records, alone: PhantomData }, reader)
}

/// The right to write records. It may move to another thread, and is in one at a time.
#[derive(Debug)]
pub struct RecordWriter<const N: usize> {
    records: Arc<[SeqRecord<N>]>,
    /// Makes it `!Sync`: two threads with a reference would be two writers.
    alone: PhantomData<Cell<()>>,
}

impl<const N: usize> RecordWriter<N> {
    /// Replaces record `index`.
    #[inline]
    pub fn write(&self, index: usize, words: &[u64; N]) {
        self.records[index].write(words);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.records.len()
    }
}

/// The right to read them, for any thread.
#[derive(Clone, Debug)]
pub struct RecordReader<const N: usize> {
    records: Arc<[SeqRecord<N>]>,
}

impl<const N: usize> RecordReader<N> {
    /// Record `index`, unless it was never written or does not hold still.
    pub fn read(&self, index: usize) -> Option<[u64; N]> {
        self.records[index].read()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.records.len()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use super::*;

    #[test]
    fn what_was_written_last_is_read() {
        let (writer, reader) = records::<3>(2);
        assert_eq!((writer.count(), reader.count()), (2, 2));
        assert_eq!(reader.read(1), None);
        writer.write(1, &[1, 2, 3]);
        writer.write(1, &[4, 5, 6]);
        assert_eq!((reader.read(0), reader.read(1)), (None, Some([4, 5, 6])));
    }

    #[test]
    fn who_stopped_while_writing_keeps_no_reader_waiting() {
        let record = SeqRecord::<2>::new();
        record.write(&[1, 1]);
        record.sequence.store(3, Ordering::Relaxed);
        assert_eq!(record.read(), None);
        record.sequence.store(4, Ordering::Relaxed);
        assert_eq!(record.read(), Some([1, 1]));
    }

    #[test]
    fn nobody_reads_half_of_one_and_half_of_another() {
        const WRITINGS: u64 = 200_000;
        let (writer, reader) = records::<8>(1);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..2 {
                let (reader, over) = (reader.clone(), &over);
                scope.spawn(move || {
                    let mut last = 0;
                    loop {
                        let is_over = over.load(Ordering::Acquire);
                        if let Some(words) = reader.read(0) {
                            assert!(words.iter().all(|word| *word == words[0]), "{words:?}");
                            assert!(last <= words[0], "{} after {last}", words[0]);
                            last = words[0];
                        }
                        if is_over {
                            return assert_eq!(last, WRITINGS);
                        }
                    }
                });
            }
            (1..=WRITINGS).for_each(|word| writer.write(0, &[word; 8]));
            over.store(true, Ordering::Release);
        });
    }
}
