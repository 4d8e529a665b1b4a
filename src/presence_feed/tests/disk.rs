//! A disk for segments that is cut off when a server is killed, and whose writes fail.

use std::collections::BTreeMap;

use crate::base::Prng;
use crate::presence_feed::FeedWrite;

#[derive(Default)]
pub struct TestDisk(BTreeMap<u64, TestSegment>);

#[derive(Default)]
struct TestSegment {
    synced: Vec<u8>,
    /// May be there after a kill, or its beginning may.
    unsynced: Vec<u8>,
}

impl TestDisk {
    /// Writes all, and syncs.
    pub fn write(&mut self, write: &FeedWrite) {
        let segment = self.0.entry(write.segment).or_default();
        assert!(segment.unsynced.is_empty(), "nobody knows what is in it");
        segment.synced.extend_from_slice(&write.records);
    }

    /// Writes so many bytes, of which nobody knows whether they are there.
    pub fn write_some(&mut self, write: &FeedWrite, bytes: usize) {
        let segment = self.0.entry(write.segment).or_default();
        assert!(segment.unsynced.is_empty(), "nobody knows what is in it");
        segment.unsynced.extend_from_slice(&write.records[..bytes]);
    }

    pub fn remove(&mut self, segment: u64) {
        self.0.remove(&segment).expect("it is removed once");
    }

    /// The server is killed: this is what the next one finds.
    pub fn kill(&mut self, prng: &mut Prng) {
        for segment in self.0.values_mut() {
            let kept = prng.below(segment.unsynced.len() as u64 + 1) as usize;
            segment.synced.extend_from_slice(&segment.unsynced[..kept]);
            segment.unsynced.clear();
        }
    }

    /// The same, where all that was written is found.
    pub fn kill_softly(&mut self) {
        for segment in self.0.values_mut() {
            segment.synced.append(&mut segment.unsynced);
        }
    }

    pub fn read(&self) -> Vec<(u64, Vec<u8>)> {
        self.0.iter().map(|(&id, segment)| (id, segment.synced.clone())).collect()
    }

    pub fn segments_count(&self) -> usize {
        self.0.len()
    }
}
