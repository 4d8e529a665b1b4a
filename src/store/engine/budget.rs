//! The limits of one turn of the store for writes and reads.
//!
//! Reads have a lower limit when writes wait for the commit.
//!
//! Deliberately absent: requests for the next turn (`queue`).

/// Most writes of one turn.
const TURN_WRITES_MAX: usize = 1_024;
/// Approximate limit of a turn's batch, in bytes.
const TURN_BATCH_BYTES_MAX: usize = 4 << 20;

/// Approximate limit of a turn's reads, in entries: while a commit waits, and otherwise.
const TURN_ENTRIES_MAX: (usize, usize) = (256, 1_024);
/// Approximate limit of a turn's reads, in bytes: while a commit waits, and otherwise.
const TURN_READ_BYTES_MAX: (usize, usize) = (128 << 10, 512 << 10);
/// Approximate limit of one slice of a read, in entries.
const SLICE_ENTRIES_MAX: usize = 256;
/// Approximate limit of one slice of a read, in bytes.
const SLICE_BYTES_MAX: usize = 128 << 10;
/// The cost of a seek, in entries.
const SEEK_ENTRIES: usize = 16;
/// The cost of reading a single key, in entries.
const GET_ENTRIES: usize = 4;

/// The work of a turn so far.
#[derive(Debug, Default)]
pub struct Budget {
    writes_count: usize,
    /// Bytes of its batch.
    batch_bytes: usize,
    /// What all reads of the turn took,
    read: Spent,
    /// and what the slice at hand took.
    slice: Spent,
}

#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    entries_count: usize,
    bytes: usize,
}

impl Budget {
    /// Counts a write.
    pub fn write(&mut self) {
        self.writes_count += 1;
    }

    /// Sets the size of the batch.
    pub fn set_batch_bytes(&mut self, bytes: usize) {
        self.batch_bytes = bytes;
    }

    /// Counts an entry that was read.
    pub fn read(&mut self, bytes: usize) {
        self.spend(1, bytes);
    }

    /// Counts a seek.
    pub fn seek(&mut self) {
        self.spend(SEEK_ENTRIES, 0);
    }

    /// Counts a single key that was read.
    pub fn got(&mut self, bytes: usize) {
        self.spend(GET_ENTRIES, bytes);
    }

    /// Whether the current slice is over.
    pub fn is_slice_over(&self) -> bool {
        SLICE_ENTRIES_MAX <= self.slice.entries_count || SLICE_BYTES_MAX <= self.slice.bytes
    }

    fn spend(&mut self, entries_count: usize, bytes: usize) {
        for spent in [&mut self.read, &mut self.slice] {
            spent.entries_count += entries_count;
            spent.bytes += bytes;
        }
    }

    /// Begins a slice.
    pub fn begin_slice(&mut self) {
        self.slice = Spent::default();
    }

    /// Whether the turn has made enough writes.
    pub fn has_written_enough(&self) -> bool {
        TURN_WRITES_MAX <= self.writes_count || TURN_BATCH_BYTES_MAX <= self.batch_bytes
    }

    /// Whether the turn has made enough reads.
    pub fn has_read_enough(&self) -> bool {
        let pick =
            |(beside_writes, alone)| if self.writes_count == 0 { alone } else { beside_writes };
        pick(TURN_ENTRIES_MAX) <= self.read.entries_count
            || pick(TURN_READ_BYTES_MAX) <= self.read.bytes
    }
}
