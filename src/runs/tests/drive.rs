//! A disk with a cache: what was written is read, and what of it is durable a power cut says.
//!
//! Pages of 4 KiB of a file that was not synced are there or zeros, each for itself; its name may be
//! there or not, and one that was removed may be back. What a failed sync left is still read, and a
//! power cut takes it.

use super::*;

const PAGE: usize = 4_096;

#[derive(Clone, Default)]
struct Media {
    seen: Vec<u8>,
    /// Pages of `seen` that are durable, and the bytes that are.
    durable: BTreeMap<usize, Vec<u8>>,
    is_named: bool,
    /// A sync failed: no later one makes anything durable.
    is_lost: bool,
}

/// What the disk does wrong, in percent of what it is asked.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// Commands.
    pub fail: u64,
    /// Reads.
    pub unreadable: u64,
    /// Bytes for which there is space.
    pub bytes: usize,
}

pub const NO_FAULTS: Faults = Faults { fail: 0, unreadable: 0, bytes: usize::MAX };

#[derive(Clone)]
pub struct Drive {
    files: BTreeMap<RunId, Media>,
    /// Removed, and perhaps back after a power cut.
    removed: BTreeMap<RunId, Media>,
    /// What is read, and what is durable.
    manifest: [(Vec<u8>, Vec<u8>); 2],
    prng: Prng,
    pub faults: Faults,
}

impl Drive {
    pub fn new(seed: u64) -> Drive {
        Drive {
            files: BTreeMap::new(),
            removed: BTreeMap::new(),
            manifest: [const { (Vec::new(), Vec::new()) }; 2],
            prng: Prng::from_seed(seed),
            faults: NO_FAULTS,
        }
    }

    pub fn ids(&self) -> Vec<RunId> {
        self.files.keys().copied().collect()
    }

    pub fn bytes(&self) -> usize {
        self.files.values().map(|media| media.seen.len()).sum()
    }

    /// The bytes of a file, to be damaged.
    pub fn file_mut(&mut self, id: RunId) -> &mut Vec<u8> {
        &mut self.files.get_mut(&id).unwrap().seen
    }

    pub fn manifest_mut(&mut self, place: ManifestPlace) -> &mut Vec<u8> {
        &mut self.manifest[place as usize].0
    }

    pub fn power_cut(&mut self, under_way: Option<&RunCommand>) {
        if let Some(command) = under_way {
            self.begin(command);
        }
        for (id, media) in std::mem::take(&mut self.removed) {
            // A new file of this name has taken its place.
            if self.prng.percent(50) {
                self.files.entry(id).or_insert(media);
            }
        }
        let prng = &mut self.prng;
        self.files.retain(|_, media| media.is_named || prng.percent(50));
        for media in self.files.values_mut() {
            let pages = media.seen.len() / PAGE;
            let kept = if media.is_named { pages } else { prng.below(pages as u64 + 1) as usize };
            media.seen.truncate(kept * PAGE);
            for (number, page) in media.seen.chunks_mut(PAGE).enumerate() {
                match media.durable.get(&number) {
                    Some(durable) => page.copy_from_slice(durable),
                    None if prng.percent(50) => {}
                    None => page.fill(0),
                }
            }
        }
        for (seen, durable) in &mut self.manifest {
            // What was read and was not durable may have got there by itself.
            if prng.percent(50) {
                seen.clone_from(durable);
            }
            durable.clone_from(seen);
        }
    }

    /// The process ends while this is under way: the system has all that it was given.
    pub fn kill(&mut self, under_way: Option<&RunCommand>) {
        if let Some(command) = under_way
            && self.prng.percent(50)
        {
            self.begin(command);
        }
    }

    /// A part of what a command would do, not durable.
    fn begin(&mut self, command: &RunCommand) {
        match command {
            RunCommand::Write { run, piece } => {
                if piece.place == 0 {
                    self.files.insert(*run, Media::default());
                }
                let pages = self.prng.below((piece.pages.bytes().len() / PAGE) as u64 + 1);
                let file = &mut self.files.get_mut(run).unwrap().seen;
                file.resize(piece.place as usize, 0);
                file.extend_from_slice(&piece.pages.bytes()[..pages as usize * PAGE]);
            }
            RunCommand::Sync { .. } => {}
            RunCommand::WriteManifest { place, bytes } => {
                let (seen, durable) = &mut self.manifest[*place as usize];
                match self.prng.below(4) {
                    0 => {}
                    1 => seen.clone_from(bytes),
                    2 => (*seen, *durable) = (bytes.clone(), bytes.clone()),
                    _ => {
                        let cut = self.prng.below(bytes.len() as u64) as usize;
                        seen.resize(bytes.len(), 0);
                        seen[..cut].copy_from_slice(&bytes[..cut]);
                        durable.clone_from(seen);
                    }
                }
            }
            RunCommand::Remove { run } => {
                if self.prng.percent(50)
                    && let Some(media) = self.files.remove(run)
                {
                    self.removed.insert(*run, media);
                }
            }
        }
    }

    fn finish(&mut self, command: &RunCommand) {
        match command {
            RunCommand::Write { run, piece } => {
                if piece.place == 0 {
                    self.files.insert(*run, Media::default());
                }
                let file = &mut self.files.get_mut(run).expect("it was begun").seen;
                assert_eq!(file.len() as u64, piece.place, "pieces come in order");
                file.extend_from_slice(piece.pages.bytes());
            }
            RunCommand::Sync { run } => {
                let media = self.files.get_mut(run).expect("it was begun");
                assert!(!media.is_lost, "nobody believes a file whose sync failed");
                let pages = media.seen.chunks(PAGE).map(<[u8]>::to_vec);
                media.durable = pages.enumerate().collect();
                media.is_named = true;
            }
            RunCommand::WriteManifest { place, bytes } => {
                self.manifest[*place as usize] = (bytes.clone(), bytes.clone());
            }
            RunCommand::Remove { run } => {
                if let Some(media) = self.files.remove(run) {
                    self.removed.insert(*run, media);
                }
            }
        }
    }
}

impl RunDisk for Drive {
    fn read(&mut self, run: RunId, place: u64, bytes: &mut [u8]) -> Result<(), RunDiskError> {
        if self.prng.percent(self.faults.unreadable) {
            return Err(RunDiskError::Failed);
        }
        let file = self.files.get(&run).ok_or(RunDiskError::Missing)?;
        let found = file.seen.get(place as usize..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(found.ok_or(RunDiskError::Missing)?);
        Ok(())
    }
}

impl RunStorage for Drive {
    fn read_manifest(&mut self, place: ManifestPlace) -> Result<Vec<u8>, RunDiskError> {
        if self.prng.percent(self.faults.unreadable) {
            return Err(RunDiskError::Failed);
        }
        Ok(self.manifest[place as usize].0.clone())
    }

    fn runs(&mut self) -> Result<Vec<RunFile>, RunDiskError> {
        let files = self.files.iter();
        Ok(files.map(|(id, media)| RunFile { id: *id, bytes: media.seen.len() as u64 }).collect())
    }

    fn run(&mut self, command: &RunCommand) -> Result<(), RunDiskError> {
        if let RunCommand::Write { piece, .. } = command
            && self.faults.bytes < self.bytes() + piece.pages.bytes().len()
        {
            return Err(RunDiskError::Full);
        }
        if self.prng.percent(self.faults.fail) {
            self.begin(command);
            if let RunCommand::Sync { run } = command {
                self.files.get_mut(run).unwrap().is_lost = true;
            }
            return Err(RunDiskError::Failed);
        }
        self.finish(command);
        Ok(())
    }
}
