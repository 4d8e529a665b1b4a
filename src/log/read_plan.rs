//! How to read batches: which pages, and how they become batches again.
//!
//! Whoever has a plan reads by itself, beside the log's thread; a segment that got another life
//! meanwhile has no page for it.
//!
//! Deliberately absent: reading.

use super::batch::SealedBatch;
use super::manifest::SegmentId;
use super::page::{Life, PAGE_BYTES, read_batch, read_head};

/// Pages of consecutive batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPlan {
    segment: SegmentId,
    life: Life,
    page: u32,
    pages: u32,
    first: u64,
}

/// Why batches are not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadPlanError {
    /// They were let go.
    Gone,
    /// They are not durable yet.
    NotYet,
    /// What was read is not what was written, or has been let go since.
    Damaged,
}

impl ReadPlan {
    /// Pages of a segment, of which the first begins the batch `first`.
    pub(super) fn new(
        segment: SegmentId,
        life: Life,
        page: u32,
        pages: u32,
        first: u64,
    ) -> ReadPlan {
        ReadPlan { segment, life, page, pages, first }
    }

    /// The segment.
    pub fn segment(&self) -> SegmentId {
        self.segment
    }

    /// The first page.
    pub fn page(&self) -> u32 {
        self.page
    }

    /// How many.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// The bytes of each sealed batch, out of those pages.
    pub fn batches(&self, pages: &[u8]) -> Result<Vec<Vec<u8>>, ReadPlanError> {
        let mut batches = Vec::new();
        let (mut at, mut sequence) = (0, self.first);
        while at < self.pages {
            let rest = pages.get(at as usize * PAGE_BYTES..).ok_or(ReadPlanError::Damaged)?;
            let batch = batch_at(rest, self.life, self.page + at, sequence);
            let (batch, count) = batch.ok_or(ReadPlanError::Damaged)?;
            SealedBatch::parse(&batch).map_err(|_| ReadPlanError::Damaged)?;
            batches.push(batch);
            at += count;
            sequence += 1;
        }
        Ok(batches)
    }
}

/// The batch with this sequence at the beginning of `pages`, which are at `place`, and how many
/// pages it has; `None` if it is not there as a whole.
fn batch_at(pages: &[u8], life: Life, place: u32, sequence: u64) -> Option<(Vec<u8>, u32)> {
    let head = read_head(pages.get(..PAGE_BYTES)?, life, place)?;
    let whole = pages.get(..usize::from(head.pages) * PAGE_BYTES)?;
    if head.number != 0 || head.sequence != sequence {
        return None;
    }
    Some((read_batch(whole, life, place, &head)?, u32::from(head.pages)))
}
