//! Opening a set, at a start and after a failed write of its manifest.
//!
//! The manifest that counts is written again, in its own place first: it may have been read from a
//! drive's cache. Only then is a file removed that it does not name, which the other place may.
//!
//! Deliberately absent: what is done from then on (`set`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::disk::{RunCommand, RunDiskError, RunFile, RunId, RunStorage};
use super::manifest::{ListedRun, RunManifest};
use super::run::{Run, RunOpenError};
use super::set::{RunSet, RunSetOptions, Unnamed};
use super::trailer::LogRange;
use super::view::RunView;
use crate::log::{
    ChosenManifest, HasFiles, ManifestError, ManifestPlace, PlacedManifest as _, choose,
};

/// Why a set is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunSetOpenError {
    /// The disk did not do it.
    Disk(RunDiskError),
    /// Neither place has a manifest, and there are runs.
    NoManifest,
    /// A newer program wrote the manifest, in this form.
    NewerForm(u32),
    /// The runs are of another log, with this id.
    OtherLog(u64),
    /// This run counts, and is not as it was written.
    Run(RunId, RunOpenError),
}

impl fmt::Display for RunSetOpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunSetOpenError::Disk(error) => error.fmt(f),
            RunSetOpenError::NoManifest => f.write_str("their list is damaged"),
            RunSetOpenError::NewerForm(form) => {
                write!(f, "a newer version of rookery wrote their list, in form {form}")
            }
            RunSetOpenError::OtherLog(_) => f.write_str("they are another store's"),
            RunSetOpenError::Run(run, error) => write!(f, "run {}: {error}", run.0),
        }
    }
}

impl From<RunDiskError> for RunSetOpenError {
    fn from(error: RunDiskError) -> RunSetOpenError {
        RunSetOpenError::Disk(error)
    }
}

impl RunSet {
    /// Opens the set of this disk, or begins one where there is none. Nothing else may be under
    /// way on the disk, and nobody has a view of it. After an error it may be tried again from the
    /// start.
    pub fn open(
        disk: &mut impl RunStorage,
        options: RunSetOptions,
    ) -> Result<RunSet, RunSetOpenError> {
        open(disk, options, &BTreeMap::new())
    }

    /// The same after a failed write of the manifest, with views about. What was being made is
    /// given up: what `sorted` does not cover is to be begun again. After an error it has ended as
    /// before.
    pub fn reopen(&mut self, disk: &mut impl RunStorage) -> Result<(), RunSetOpenError> {
        let known = self.known_runs().map(|run| (run.info().id, Arc::clone(run))).collect();
        let set = open(disk, self.options(), &known)?;
        self.follow(set);
        Ok(())
    }
}

fn open(
    disk: &mut impl RunStorage,
    options: RunSetOptions,
    known: &BTreeMap<RunId, Arc<Run>>,
) -> Result<RunSet, RunSetOpenError> {
    let files = disk.runs()?;
    let (manifest, place) = read_manifest(disk, &files, options)?;
    let runs = open_runs(disk, &manifest, known)?;
    for place in [place, place.other()] {
        disk.run(&RunCommand::WriteManifest { place, bytes: manifest.encode() })?;
    }
    let named: BTreeSet<RunId> = manifest.runs.iter().map(|run| run.id).collect();
    let unnamed: Vec<RunId> =
        files.iter().map(|file| file.id).filter(|id| !named.contains(id)).collect();
    // Numbers of files that were begun are not used again: their pages would look right.
    let begun = unnamed.iter().max().map_or(0, |id| id.0.saturating_add(1));
    let next = manifest.next.max(RunId(begun));
    // Views may have those that were known.
    let (gone, leftovers): (Vec<RunId>, Vec<RunId>) =
        unnamed.into_iter().partition(|id| known.contains_key(id));
    let unnamed = Unnamed::new(gone.iter().map(|id| Arc::clone(&known[id])), leftovers);
    Ok(RunSet::new(options, RunManifest { next, ..manifest }, runs, unnamed))
}

/// The runs that count. One that was known is the same: views may have it.
fn open_runs(
    disk: &mut impl RunStorage,
    manifest: &RunManifest,
    known: &BTreeMap<RunId, Arc<Run>>,
) -> Result<VecDeque<Arc<Run>>, RunSetOpenError> {
    let mut runs = VecDeque::new();
    for listed in &manifest.runs {
        let failed = |error| RunSetOpenError::Run(listed.id, error);
        runs.push_back(match known.get(&listed.id) {
            Some(run) => Arc::clone(run),
            None => Arc::new(open_run(disk, listed).map_err(failed)?),
        });
    }
    Ok(runs)
}

/// A run that counts, and cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DamagedRun {
    /// Its number.
    pub id: RunId,
    /// What it covers of the log.
    pub log: LogRange,
    /// Why.
    pub error: RunOpenError,
}

impl RunView {
    /// Opens the runs of this disk for whoever looks at them: nothing is written. Those that
    /// cannot be read are left out, and told.
    pub fn open(
        disk: &mut impl RunStorage,
        options: RunSetOptions,
    ) -> Result<(RunView, Vec<DamagedRun>), RunSetOpenError> {
        let files = disk.runs()?;
        let (manifest, _) = read_manifest(disk, &files, options)?;
        let mut runs = VecDeque::new();
        let mut damaged = Vec::new();
        for listed in &manifest.runs {
            match open_run(disk, listed) {
                Ok(run) => runs.push_back(Arc::new(run)),
                Err(error) => damaged.push(DamagedRun { id: listed.id, log: listed.log, error }),
            }
        }
        Ok((RunView::new(manifest.generation, manifest.sorted, runs), damaged))
    }
}

/// The manifest that counts, and its place.
fn read_manifest(
    disk: &mut impl RunStorage,
    files: &[RunFile],
    options: RunSetOptions,
) -> Result<(RunManifest, ManifestPlace), RunSetOpenError> {
    let [first, second] = ManifestPlace::ALL.map(|place| disk.read_manifest(place));
    let has_files = if files.is_empty() { HasFiles::None } else { HasFiles::Some };
    let (manifest, place) = match choose::<RunManifest>(&first?, &second?, has_files) {
        Ok(ChosenManifest::Found(manifest, place)) => (manifest, place),
        Ok(ChosenManifest::New) => {
            (RunManifest::empty(options.log_id, options.new_behind), ManifestPlace::First)
        }
        Err(ManifestError::Damaged) => return Err(RunSetOpenError::NoManifest),
        Err(ManifestError::NewerForm(form)) => return Err(RunSetOpenError::NewerForm(form)),
    };
    match manifest.log_id == options.log_id {
        true => Ok((manifest, place)),
        false => Err(RunSetOpenError::OtherLog(manifest.log_id)),
    }
}

fn open_run(disk: &mut impl RunStorage, listed: &ListedRun) -> Result<Run, RunOpenError> {
    let run = Run::open(disk, listed.id, listed.bytes)?;
    match ListedRun::from(run.info()) == *listed {
        true => Ok(run),
        false => Err(RunOpenError::NoTrailer),
    }
}
