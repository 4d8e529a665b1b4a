//! A survey of a run: how much of it is kept, about, from its index alone, which is a thousandth of
//! it.
//!
//! Of a room's last block the index does not say where it ends: it counts as if its entries were as
//! long as those of the run are on average. What is left out is decided anew for each entry by who
//! writes the run again.
//!
//! Deliberately absent: what follows from it (`set`).

use std::sync::Arc;

use super::disk::{RunDisk, RunId};
use super::entry::EntryKey;
use super::index::IndexItem;
use super::job::{KeepCallback, KeptEntries};
use super::run::{Run, RunReadError};
use crate::base::RoomId;

/// A survey under way.
#[derive(Debug)]
pub struct RunSurvey {
    run: Arc<Run>,
    /// The next part of the index.
    part: usize,
    total: KeptBytes,
    room: Option<(RoomId, KeptEntries)>,
}

/// Bytes of a run's blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeptBytes {
    /// Of all of them.
    pub bytes: u64,
    /// Of what is kept, about.
    pub kept: u64,
}

impl RunSurvey {
    /// One that has seen nothing.
    pub fn new(run: Arc<Run>) -> RunSurvey {
        RunSurvey { run, part: 0, total: KeptBytes::default(), room: None }
    }

    /// The run.
    pub fn id(&self) -> RunId {
        self.run.info().id
    }

    /// Looks at a part of the index; all of them when there is none left.
    pub fn step(
        &mut self,
        disk: &mut impl RunDisk,
        keep: &mut KeepCallback<'_>,
    ) -> Result<Option<KeptBytes>, RunReadError> {
        if self.part == self.run.part_count() {
            return Ok(Some(self.total));
        }
        let part = self.run.read_part(disk, self.part)?;
        for (number, block) in part.blocks().iter().enumerate() {
            let next = part.blocks().get(number + 1).map(|next| next.first).or(part.before());
            let kept = match self.room {
                Some((room, kept)) if room == block.first.room => kept,
                Some(_) | None => keep(block.first.room)?,
            };
            self.room = Some((block.first.room, kept));
            self.count(block, next, kept);
        }
        self.part += 1;
        Ok(None)
    }

    fn count(&mut self, block: &IndexItem, next: Option<EntryKey>, kept: KeptEntries) {
        let info = self.run.info();
        let bytes = u64::from(block.bytes);
        let offsets = match next.filter(|next| next.room == block.first.room) {
            Some(next) => next.offset - block.first.offset,
            None => (bytes / (info.bytes / info.entries.max(1)).max(1)).max(1),
        };
        let gone = kept.left_out(block.first.offset, offsets, info.log);
        self.total.bytes += bytes;
        let gone_bytes = u128::from(bytes) * u128::from(gone) / u128::from(offsets);
        self.total.kept += bytes - gone_bytes as u64;
    }
}
