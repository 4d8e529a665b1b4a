//! What one turn of the store may write and read.
//!
//! What it reads is bounded more closely when writes wait for its commit.
//!
//! Deliberately absent: what waits for the next turn (`queue`).

/// Writes that one turn makes.
const TURN_WRITES_MAX: usize = 1_024;
/// Bytes of one turn's batch, about.
const TURN_BATCH_BYTES_MAX: usize = 4 << 20;

/// Entries that one turn reads, about: when a commit waits for it, and else.
const TURN_ENTRIES_MAX: (usize, usize) = (256, 1_024);
/// Bytes that one turn reads, about: when a commit waits for it, and else.
const TURN_READ_BYTES_MAX: (usize, usize) = (128 << 10, 512 << 10);
/// Entries of one slice of a read, about.
const SLICE_ENTRIES_MAX: usize = 256;
/// Bytes of one slice of a read, about.
const SLICE_BYTES_MAX: usize = 128 << 10;
/// What finding a place costs, in entries that are read on from there.
const SEEK_ENTRIES: usize = 16;
/// What reading a single key costs, in the same.
const GET_ENTRIES: usize = 4;

/// What a turn did so far.
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
    /// A write is taken.
    pub fn write(&mut self) {
        self.writes_count += 1;
    }

    /// With it, the batch has so many bytes.
    pub fn set_batch_bytes(&mut self, bytes: usize) {
        self.batch_bytes = bytes;
    }

    /// An entry was read.
    pub fn read(&mut self, bytes: usize) {
        self.spend(1, bytes);
    }

    /// A range is looked for.
    pub fn seek(&mut self) {
        self.spend(SEEK_ENTRIES, 0);
    }

    /// A single key was read.
    pub fn got(&mut self, bytes: usize) {
        self.spend(GET_ENTRIES, bytes);
    }

    /// Whether the read at hand has to go on another time.
    pub fn is_slice_over(&self) -> bool {
        SLICE_ENTRIES_MAX <= self.slice.entries_count || SLICE_BYTES_MAX <= self.slice.bytes
    }

    fn spend(&mut self, entries_count: usize, bytes: usize) {
        for spent in [&mut self.read, &mut self.slice] {
            spent.entries_count += entries_count;
            spent.bytes += bytes;
        }
    }

    /// The next read begins, or goes on.
    pub fn begin_slice(&mut self) {
        self.slice = Spent::default();
    }

    /// Whether other writes wait for the next turn.
    pub fn has_written_enough(&self) -> bool {
        TURN_WRITES_MAX <= self.writes_count || TURN_BATCH_BYTES_MAX <= self.batch_bytes
    }

    /// Whether other reads wait for the next turn.
    pub fn has_read_enough(&self) -> bool {
        let pick =
            |(beside_writes, alone)| if self.writes_count == 0 { alone } else { beside_writes };
        pick(TURN_ENTRIES_MAX) <= self.read.entries_count
            || pick(TURN_READ_BYTES_MAX) <= self.read.bytes
    }
}
