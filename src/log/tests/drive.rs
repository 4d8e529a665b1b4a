//! A disk with a cache: what was written is read, and what of it is durable a power cut says.
//!
//! Sectors of 512 B are durable or not, each for itself, in any order. What a failed flush left
//! is still read, and no later flush makes it durable. A failure takes what else is not durable of
//! that segment along, and is told once to each handle: Linux does it so (`errseq_t`).

use std::collections::BTreeMap;

use super::*;

const SECTOR: usize = 512;

/// A sector that is not durable.
#[derive(Clone)]
struct Dirty {
    /// All that was written there since it was durable.
    versions: Vec<Vec<u8>>,
    /// A flush failed behind it.
    is_lost: bool,
}

#[derive(Clone, Default)]
struct Media {
    durable: Vec<u8>,
    /// What a read sees.
    seen: Vec<u8>,
    dirty: BTreeMap<usize, Dirty>,
    /// Failures so far, and how many of them each handle was told.
    failures: u64,
    told: [u64; 3],
}

impl Media {
    fn zeros(bytes: usize) -> Media {
        Media { durable: vec![0; bytes], seen: vec![0; bytes], ..Media::default() }
    }

    /// Whether a handle is told of a failure now.
    fn is_told(&mut self, handle: usize) -> bool {
        let told = std::mem::replace(&mut self.told[handle], self.failures);
        told < self.failures
    }

    fn write(&mut self, sector: usize, bytes: &[u8]) {
        let at = sector * SECTOR;
        let end = at + bytes.len();
        if self.seen.len() < end {
            self.seen.resize(end, 0);
            self.durable.resize(end, 0);
        }
        self.seen[at..end].copy_from_slice(bytes);
        let dirty = self.dirty.entry(sector);
        let dirty = dirty.or_insert(Dirty { versions: Vec::new(), is_lost: false });
        dirty.versions.push(bytes.to_vec());
        dirty.is_lost = false;
    }

    fn make_durable(&mut self, sector: usize) {
        if self.dirty.get(&sector).is_some_and(|dirty| !dirty.is_lost) {
            let last = self.dirty.remove(&sector).unwrap().versions.pop().unwrap();
            self.durable[sector * SECTOR..][..last.len()].copy_from_slice(&last);
        }
    }

    fn power_cut(&mut self, prng: &mut Prng) {
        for (sector, dirty) in std::mem::take(&mut self.dirty) {
            let drawn = prng.below(dirty.versions.len() as u64 + 1) as usize;
            if let Some(version) = dirty.versions.get(drawn) {
                self.durable[sector * SECTOR..][..version.len()].copy_from_slice(version);
            }
        }
        self.seen = self.durable.clone();
    }
}

/// What the disk does wrong, in percent of what it is asked.
#[derive(Clone, Copy, Default)]
pub struct DriveFaults {
    /// Writes and flushes.
    pub fail: u64,
    /// Reads.
    pub unreadable: u64,
    /// Segments for which there is space.
    pub segments: usize,
}

#[derive(Clone)]
pub struct Drive {
    segments: BTreeMap<SegmentId, Media>,
    manifest: [Media; 2],
    prng: Prng,
    faults: DriveFaults,
}

impl Drive {
    pub fn new(seed: u64, faults: DriveFaults) -> Drive {
        let manifest = [Media::default(), Media::default()];
        Drive { segments: BTreeMap::new(), manifest, prng: Prng::from_seed(seed), faults }
    }

    pub fn set_faults(&mut self, faults: DriveFaults) {
        self.faults = faults;
    }

    /// The power is cut while these commands are under way.
    pub fn power_cut(&mut self, under_way: &[LogCommand]) {
        under_way.iter().for_each(|command| self.begin(command));
        let prng = &mut self.prng;
        self.segments.values_mut().chain(&mut self.manifest).for_each(|one| one.power_cut(prng));
    }

    /// The process ends while these commands are under way: the system has all that it was given.
    pub fn kill(&mut self, under_way: &[LogCommand]) {
        for command in under_way {
            if self.prng.percent(50) {
                self.begin(command);
            }
        }
    }

    /// A durable page, to be damaged or looked at.
    pub fn page_mut(&mut self, segment: SegmentId, page: u32) -> &mut [u8] {
        let media = self.segments.get_mut(&segment).unwrap();
        assert!(media.dirty.is_empty(), "the power was cut");
        media.seen = Vec::new();
        &mut media.durable[page as usize * PAGE_BYTES..][..PAGE_BYTES]
    }

    /// Reads see what is durable.
    pub fn settle(&mut self) {
        self.segments.values_mut().for_each(|media| media.seen = media.durable.clone());
    }

    /// A place of the manifest, to be damaged.
    pub fn manifest_mut(&mut self, place: ManifestPlace) -> &mut Vec<u8> {
        let media = &mut self.manifest[place as usize];
        media.seen = media.durable.clone();
        media.dirty.clear();
        &mut media.seen
    }

    pub fn remove_segment(&mut self, segment: SegmentId) {
        self.segments.remove(&segment).unwrap();
    }

    pub fn swap_segments(&mut self, one: SegmentId, other: SegmentId) {
        let (first, second) =
            (self.segments.remove(&one).unwrap(), self.segments.remove(&other).unwrap());
        self.segments.insert(one, second);
        self.segments.insert(other, first);
    }

    /// A segment of another disk in the place of one.
    pub fn bring_segment(&mut self, segment: SegmentId, other: &Drive, from: SegmentId) {
        self.segments.insert(segment, other.segments[&from].clone());
    }

    pub fn segment_ids(&self) -> Vec<SegmentId> {
        self.segments.keys().copied().collect()
    }

    /// A page that is there somewhere, for messages that look like one.
    pub fn some_page(&self, prng: &mut Prng) -> Vec<u8> {
        let number = prng.below(self.segments.len().max(1) as u64) as usize;
        let Some(media) = self.segments.values().nth(number) else { return vec![1; 100] };
        let page = prng.below((media.seen.len() / PAGE_BYTES).max(1) as u64) as usize;
        let page = media.seen.get(page * PAGE_BYTES..(page + 1) * PAGE_BYTES);
        page.map_or(vec![2], <[u8]>::to_vec)
    }

    /// A part of what a command would do, not durable.
    fn begin(&mut self, command: &LogCommand) {
        let chance = self.prng.below(101);
        let prng = &mut self.prng;
        match command {
            LogCommand::Write { segment, page, pages, .. } => {
                let media = self.segments.get_mut(segment).unwrap();
                for (number, sector) in pages.bytes().chunks(SECTOR).enumerate() {
                    if prng.percent(chance) {
                        media.write(*page as usize * PAGE_BYTES / SECTOR + number, sector);
                    }
                }
            }
            LogCommand::Zero { segment, pages } => {
                let bytes = prng.below(*pages as u64 + 1) as usize * PAGE_BYTES;
                self.segments.insert(*segment, Media::zeros(bytes));
            }
            LogCommand::WriteManifest { place, bytes } => {
                for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                    if prng.percent(chance) {
                        self.manifest[*place as usize].write(number, sector);
                    }
                }
            }
            LogCommand::Flush { .. } => {}
        }
    }

    /// Everything that a command covers is durable.
    fn finish(&mut self, command: &LogCommand) {
        match command {
            LogCommand::Write { segment, page, pages, mode, .. } => {
                let media = self.segments.get_mut(segment).unwrap();
                let first = *page as usize * PAGE_BYTES / SECTOR;
                for (number, sector) in pages.bytes().chunks(SECTOR).enumerate() {
                    media.write(first + number, sector);
                    if *mode == WriteMode::Through {
                        media.make_durable(first + number);
                    }
                }
            }
            LogCommand::Flush { segment } => {
                let media = self.segments.get_mut(segment).unwrap();
                let sectors: Vec<usize> = media.dirty.keys().copied().collect();
                sectors.into_iter().for_each(|sector| media.make_durable(sector));
            }
            LogCommand::Zero { segment, pages } => {
                let zeros = Media::zeros(*pages as usize * PAGE_BYTES);
                self.segments.insert(*segment, zeros);
            }
            LogCommand::WriteManifest { place, bytes } => {
                let media = &mut self.manifest[*place as usize];
                for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                    media.write(number, sector);
                    media.make_durable(number);
                }
            }
        }
    }

    /// A command fails: a part of it is there, and of what it should have made durable a part is.
    fn fail(&mut self, command: &LogCommand) {
        self.begin(command);
        let prng = &mut self.prng;
        let media = match command {
            LogCommand::Write { segment, .. } | LogCommand::Flush { segment } => {
                let media = self.segments.get_mut(segment).unwrap();
                media.failures += 1;
                media.told[handle(command)] = media.failures;
                media
            }
            LogCommand::WriteManifest { place, .. } => &mut self.manifest[*place as usize],
            LogCommand::Zero { .. } => return,
        };
        let sectors: Vec<usize> = media.dirty.keys().copied().collect();
        for sector in sectors {
            if prng.percent(50) {
                media.make_durable(sector);
            } else if let Some(dirty) = media.dirty.get_mut(&sector) {
                dirty.is_lost = true;
            }
        }
    }
}

/// Each command that may be under way has a handle of its own.
fn handle(command: &LogCommand) -> usize {
    match command {
        LogCommand::Write { sequence, .. } => 1 + (sequence % 2) as usize,
        LogCommand::Flush { .. } | LogCommand::Zero { .. } | LogCommand::WriteManifest { .. } => 0,
    }
}

impl LogDisk for Drive {
    fn read_manifest(&mut self, place: ManifestPlace) -> Result<Vec<u8>, LogDiskError> {
        if self.prng.percent(self.faults.unreadable) {
            return Err(LogDiskError::Failed);
        }
        Ok(self.manifest[place as usize].seen.clone())
    }

    fn segments(&mut self, segment_pages: u32) -> Result<Vec<SegmentFile>, LogDiskError> {
        // Handles are new ones then.
        self.segments.values_mut().for_each(|media| media.told = [media.failures; 3]);
        let whole = segment_pages as usize * PAGE_BYTES;
        let files = self.segments.iter();
        let files = files.map(|(id, media)| (*id, media.seen.len() == whole));
        Ok(files.map(|(id, is_whole)| SegmentFile { id, is_whole }).collect())
    }

    fn read(
        &mut self,
        segment: SegmentId,
        page: u32,
        pages: &mut [u8],
    ) -> Result<(), LogDiskError> {
        if self.prng.percent(self.faults.unreadable) {
            return Err(LogDiskError::Failed);
        }
        let media = self.segments.get(&segment).ok_or(LogDiskError::Failed)?;
        let begin = page as usize * PAGE_BYTES;
        let found = media.seen.get(begin..begin + pages.len()).ok_or(LogDiskError::Failed)?;
        pages.copy_from_slice(found);
        Ok(())
    }

    fn run(&mut self, command: &LogCommand) -> Result<(), LogDiskError> {
        if let LogCommand::Zero { segment, .. } = command
            && !self.segments.contains_key(segment)
            && self.faults.segments <= self.segments.len()
        {
            return Err(LogDiskError::Full);
        }
        let is_told = match command {
            LogCommand::Write { segment, .. } | LogCommand::Flush { segment } => {
                self.segments.get_mut(segment).unwrap().is_told(handle(command))
            }
            LogCommand::Zero { .. } | LogCommand::WriteManifest { .. } => false,
        };
        if is_told || self.prng.percent(self.faults.fail) {
            self.fail(command);
            return Err(LogDiskError::Failed);
        }
        self.finish(command);
        Ok(())
    }
}
