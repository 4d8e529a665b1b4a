//! A disk in memory that does all that it is asked, and counts it.
//!
//! Deliberately absent: failing, and what a cache loses, which the log's own tests have.

use std::collections::BTreeMap;

use rookery::log::{
    LogCommand, LogDisk, LogDiskError, ManifestPlace, PAGE_BYTES, SegmentFile, SegmentId,
};

/// Pages that there is space for.
const PAGES_MAX: usize = 40 * 300;

/// What was asked since it was last looked at.
#[derive(Clone, Copy, Default)]
pub struct Asked {
    /// Pages that were read.
    pub pages_read: u64,
    /// Pages of batches that were written.
    pub pages_written: u64,
    /// Segments that were made.
    pub segments_made: u64,
    /// Places of the manifest that were written.
    pub manifests_written: u64,
}

/// Files that are bytes.
#[derive(Clone, Default)]
pub struct Disk {
    /// Each segment.
    pub segments: BTreeMap<SegmentId, Vec<u8>>,
    /// Both places of the manifest.
    pub manifest: [Vec<u8>; 2],
    asked: Asked,
}

impl Disk {
    /// What it was asked until now; it counts anew from here on.
    pub fn take_asked(&mut self) -> Asked {
        std::mem::take(&mut self.asked)
    }

    /// A segment by any number, if there is one at all.
    pub fn some_segment(&self, number: usize) -> Option<SegmentId> {
        let place = number.checked_rem(self.segments.len())?;
        self.segments.keys().nth(place).copied()
    }

    fn has_space(&self, pages: u32) -> bool {
        let bytes: usize = self.segments.values().map(Vec::len).sum();
        bytes / PAGE_BYTES + pages as usize <= PAGES_MAX
    }
}

impl LogDisk for Disk {
    fn read_manifest(&mut self, place: ManifestPlace) -> Result<Vec<u8>, LogDiskError> {
        Ok(self.manifest[place as usize].clone())
    }

    fn segments(&mut self, segment_pages: u32) -> Result<Vec<SegmentFile>, LogDiskError> {
        let whole = segment_pages as usize * PAGE_BYTES;
        let files = self.segments.iter();
        let files =
            files.map(|(id, bytes)| SegmentFile { id: *id, is_whole: bytes.len() == whole });
        Ok(files.collect())
    }

    fn read(
        &mut self,
        segment: SegmentId,
        page: u32,
        pages: &mut [u8],
    ) -> Result<(), LogDiskError> {
        self.asked.pages_read += (pages.len() / PAGE_BYTES) as u64;
        let from = page as usize * PAGE_BYTES;
        let bytes = self.segments.get(&segment).ok_or(LogDiskError::Failed)?;
        let found = bytes.get(from..from + pages.len()).ok_or(LogDiskError::Failed)?;
        pages.copy_from_slice(found);
        Ok(())
    }

    fn run(&mut self, command: &LogCommand) -> Result<(), LogDiskError> {
        match command {
            LogCommand::Write { segment, page, pages, .. } => {
                self.asked.pages_written += (pages.bytes().len() / PAGE_BYTES) as u64;
                let from = *page as usize * PAGE_BYTES;
                let bytes = self.segments.get_mut(segment).expect("only what is there is written");
                // Behind the end of a segment there is nothing of the log's.
                bytes[from..][..pages.bytes().len()].copy_from_slice(pages.bytes());
            }
            LogCommand::Flush { .. } => {}
            LogCommand::Zero { segment, pages } => {
                self.asked.segments_made += 1;
                self.segments.remove(segment);
                if !self.has_space(*pages) {
                    return Err(LogDiskError::Full);
                }
                self.segments.insert(*segment, vec![0; *pages as usize * PAGE_BYTES]);
            }
            LogCommand::WriteManifest { place, bytes } => {
                self.asked.manifests_written += 1;
                self.manifest[*place as usize].clone_from(bytes);
            }
        }
        Ok(())
    }
}
