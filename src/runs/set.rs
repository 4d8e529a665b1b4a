//! The set of runs: which count, which are being made, and which go.
//!
//! It decides and does not act. `step` says what is to be done next, a command at a time, and
//! `on_done` takes how it came out; whoever drives it decides when, and how fast. Reads that are
//! needed to decide come by `RunDisk`, and are bounded for each step. What there is to do is done in
//! turns, a step of each: a run of what the log has, a merge of each level. So none waits for
//! another to be over, and each gets as much as the others, which is what each needs.
//!
//! In this order, each durable before the next: a run's file with its name; a manifest that names
//! it and not what it replaces, in one place, and in the other; then it counts, `sorted` moves, and
//! files that nothing names are removed when no view has them.
//!
//! A failed write of a run does no harm: another file is begun later. A failed write of the
//! manifest ends the set's life: nobody knows what the disk has, so nothing is removed, views stay
//! as they are, and `open` reads everything again.
//!
//! Deliberately absent: threads, clocks, files (`RunStorage`), and what is not sorted yet.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::disk::{RunCommand, RunDisk, RunDiskError, RunId};
use super::entry_sorter::EntrySorter;
use super::job::{CountedDisk, JobInput, JobStep, KeepCallback, MergeInput, RunJob};
use super::jobs::{JobPlace, Jobs, sources};
use super::manifest::{ListedRun, RUNS_MAX, RunManifest};
use super::merge_plan::{Busy, MergeSizes};
use super::run::{Run, RunDamage, RunOpenError, RunReadError};
use super::survey::RunSurvey;
use super::trailer::LogRange;
use super::view::RunView;
use crate::log::{ManifestStep, ManifestWriter, PlacedManifest as _};

/// Bytes that a sorter may have.
pub const SORTER_BYTES_MAX: usize = 1 << 30;

/// Bytes that are left free by merges, for what the log has.
const RESERVED_BYTES: u64 = 64 << 20;

/// Which set it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunSetOptions {
    /// The log that is sorted.
    pub log_id: u64,
    /// Where a set that is new begins: behind this sequence of the log.
    pub new_behind: u64,
    /// Sizes of merges.
    pub merges: MergeSizes,
}

/// Why no run can be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginRunError {
    /// One is being made.
    Busy,
    /// There are as many as there may be: again after a merge, or when some have gone.
    TooMany,
    /// The manifest could not be written.
    Ended,
}

/// What is next.
#[derive(Debug)]
pub enum RunSetStep {
    /// This is to be done; how it came out is told to `on_done` before the next step.
    Do(RunCommand),
    /// Something was read, or decided: again.
    Again,
    /// There is nothing to do.
    Idle,
}

/// Why a run could not be made. What was under way is given up, and begun again later where that
/// makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunStepError {
    /// The disk did not do it.
    Disk(RunDiskError),
    /// What is to be merged is damaged. Its runs are not merged any more in this life.
    Damaged(RunDamage),
    /// What was written is not what is read.
    NotAsWritten(RunId, RunOpenError),
}

impl From<RunStepError> for RunDiskError {
    fn from(error: RunStepError) -> RunDiskError {
        match error {
            RunStepError::Disk(error) => error,
            RunStepError::Damaged(_) | RunStepError::NotAsWritten(..) => RunDiskError::Failed,
        }
    }
}

impl fmt::Display for RunStepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunStepError::Disk(error) => error.fmt(f),
            RunStepError::Damaged(damage) => {
                write!(f, "run {} is damaged, and not merged any more", damage.run.0)
            }
            RunStepError::NotAsWritten(run, error) => {
                write!(f, "run {} was written, and is not read as such: {error}", run.0)
            }
        }
    }
}

/// A change of the manifest that is being written.
#[derive(Debug)]
struct SetChange {
    add: Option<Arc<Run>>,
    remove: BTreeSet<RunId>,
}

/// What a command that is under way is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UnderWay {
    Job(JobPlace),
    Manifest,
    Remove(RunId),
}

/// Looking for runs of which little is kept.
#[derive(Debug, Default)]
struct Surveys {
    /// Runs that are not looked at yet.
    waiting: VecDeque<RunId>,
    under_way: Option<RunSurvey>,
}

/// Files that nothing names.
#[derive(Debug)]
pub struct Unnamed {
    /// Views may have them.
    gone: Vec<Arc<Run>>,
    /// Nobody has them.
    files: VecDeque<RunId>,
    /// Those that could not be removed; again after the next change.
    stuck: Vec<RunId>,
}

/// A set that is open.
#[derive(Debug)]
pub struct RunSet {
    options: RunSetOptions,
    manifest: ManifestWriter<RunManifest>,
    /// As it counts, but for its next number, which is the next one.
    listed: RunManifest,
    view: Arc<RunView>,
    jobs: Jobs,
    surveys: Surveys,
    change: Option<SetChange>,
    /// The next write of the manifest.
    manifest_command: Option<RunCommand>,
    unnamed: Unnamed,
    /// Runs that are damaged, and not merged.
    damaged: BTreeSet<RunId>,
    under_way: Option<UnderWay>,
    has_ended: bool,
    free_bytes: u64,
    known_up_to: u64,
    expired_unix_ms: u64,
    moved_bytes: u64,
}

impl RunSet {
    /// Both places have this manifest, durable, and these are its runs.
    pub(super) fn new(
        options: RunSetOptions,
        listed: RunManifest,
        runs: VecDeque<Arc<Run>>,
        unnamed: Unnamed,
    ) -> RunSet {
        let view = Arc::new(RunView::new(listed.generation, listed.sorted, runs));
        RunSet {
            options,
            manifest: ManifestWriter::new(listed.generation()),
            listed,
            view,
            jobs: Jobs::default(),
            surveys: Surveys::default(),
            change: None,
            manifest_command: None,
            unnamed,
            damaged: BTreeSet::new(),
            under_way: None,
            has_ended: false,
            free_bytes: u64::MAX,
            known_up_to: 0,
            expired_unix_ms: 0,
            moved_bytes: 0,
        }
    }

    /// The runs that count. Another one after each change, which `generation` tells.
    pub fn view(&self) -> &Arc<RunView> {
        &self.view
    }

    /// Up to which sequence of the log the runs have everything, durable: as far as they go, the
    /// log may let go what stands there.
    pub fn sorted(&self) -> u64 {
        self.view.sorted()
    }

    /// Whether a write of the manifest failed. Then nothing is done before it is opened again.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Which set it is.
    pub fn options(&self) -> RunSetOptions {
        self.options
    }

    /// Runs that views of this one may have.
    pub(super) fn known_runs(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.view.runs().chain(&self.unnamed.gone)
    }

    /// Goes on as another one, which was opened on its disk.
    pub(super) fn follow(&mut self, mut set: RunSet) {
        set.listed.next = set.listed.next.max(self.listed.next);
        set.damaged = std::mem::take(&mut self.damaged);
        set.free_bytes = self.free_bytes;
        set.known_up_to = self.known_up_to;
        set.expired_unix_ms = self.expired_unix_ms;
        set.moved_bytes = self.moved_bytes;
        *self = set;
    }

    /// Whether a run can be begun.
    pub fn may_begin_run(&self) -> Result<(), BeginRunError> {
        if self.has_ended {
            return Err(BeginRunError::Ended);
        }
        // What is written of the last one moves `sorted`, and with it where this one begins.
        if self.jobs.sorting.is_some() || self.change.is_some() {
            return Err(BeginRunError::Busy);
        }
        if RUNS_MAX <= self.listed.runs.len() {
            return Err(BeginRunError::TooMany);
        }
        Ok(())
    }

    /// Begins a run of all that the log has behind `sorted`, up to and with `through`, durable
    /// there; a sorter without entries moves `sorted` alone. No entry is of a later time than
    /// `newest_unix_ms`. It counts, and can be read, when `sorted` is `through`.
    pub fn begin_run(&mut self, sorter: EntrySorter, through: u64, newest_unix_ms: u64) {
        assert_eq!(self.may_begin_run(), Ok(()), "whoever begins one has asked");
        assert!(self.sorted() < through, "a run has a batch of the log");
        assert!(sorter.bytes_max() <= SORTER_BYTES_MAX, "a run has a bound");
        let log = LogRange { first: self.sorted() + 1, last: through };
        let id = self.draw_id();
        let input = JobInput::Sorter(sorter);
        self.jobs.sorting = Some(RunJob::new(id, 0, log, newest_unix_ms, input));
    }

    /// Bytes that are free on the disk: merges begin where they fit.
    pub fn set_free_bytes(&mut self, free_bytes: u64) {
        self.free_bytes = free_bytes;
    }

    /// What `keep` says takes account of all that the log has up to this sequence. Only what it
    /// knows of is merged: it would take a room that it does not know yet for one that is gone.
    pub fn set_known_up_to(&mut self, sequence: u64) {
        self.known_up_to = sequence;
    }

    /// Nothing of any room is kept that is of a time before this, in ms since 1970, and what says
    /// so is durable. Runs that have nothing newer go as a whole, and are not read for that.
    pub fn expire(&mut self, before_unix_ms: u64) {
        self.expired_unix_ms = self.expired_unix_ms.max(before_unix_ms);
    }

    /// Looks, while nothing else is to be done, for runs of which less than half is kept, and
    /// writes what is kept of them again. Where that is nothing, the run goes.
    pub fn survey(&mut self) {
        self.surveys.waiting = self.listed.runs.iter().map(|run| run.id).collect();
    }

    /// Bytes of runs that are to be merged or are being merged.
    pub fn unmerged_bytes(&self) -> u64 {
        let merging = self.jobs.merges.iter().flat_map(sources).map(|run| run.info().bytes);
        self.options.merges.waiting_bytes(&self.listed.runs, &self.busy()) + merging.sum::<u64>()
    }

    /// Bytes that were read and written since this was asked last.
    pub fn take_moved_bytes(&mut self) -> u64 {
        std::mem::take(&mut self.moved_bytes)
    }

    /// What is next. `keep` says what is kept of rooms whose entries are merged.
    pub fn step(
        &mut self,
        disk: &mut impl RunDisk,
        keep: &mut KeepCallback<'_>,
    ) -> Result<RunSetStep, RunStepError> {
        assert!(self.under_way.is_none(), "one command at a time");
        if self.has_ended {
            return Ok(RunSetStep::Idle);
        }
        if let Some(command) = self.manifest_command.take() {
            return Ok(self.emit(command, UnderWay::Manifest));
        }
        if self.drop_expired() {
            return Ok(RunSetStep::Again);
        }
        if let Some(run) = self.unnamed.next() {
            return Ok(self.emit(RunCommand::Remove { run }, UnderWay::Remove(run)));
        }
        self.begin_merge();
        let Some(place) = self.jobs.next_turn() else { return self.survey_on(disk, keep) };
        let mut disk = CountedDisk::new(disk);
        let job = self.jobs.at(place);
        let stepped = job.step(&mut disk, keep);
        let read_bytes = disk.read_bytes;
        self.moved_bytes += read_bytes;
        match stepped {
            Ok(JobStep::Do(command)) => Ok(self.emit(command, UnderWay::Job(place))),
            Ok(JobStep::Again) => Ok(RunSetStep::Again),
            Ok(JobStep::NothingKept) => {
                self.end_job(place, None);
                Ok(RunSetStep::Again)
            }
            Ok(JobStep::Written(info)) => match Run::open(&mut disk, info.id, info.bytes) {
                Ok(run) if *run.info() == info => {
                    self.end_job(place, Some(Arc::new(run)));
                    Ok(RunSetStep::Again)
                }
                Ok(_) => {
                    self.give_up(place);
                    Err(RunStepError::NotAsWritten(info.id, RunOpenError::NoTrailer))
                }
                Err(error) => {
                    self.give_up(place);
                    Err(RunStepError::NotAsWritten(info.id, error))
                }
            },
            Err(RunReadError::Disk(error)) => {
                self.give_up(place);
                Err(RunStepError::Disk(error))
            }
            Err(RunReadError::Damaged(damage)) => {
                self.damaged.insert(damage.run);
                self.give_up(place);
                Err(RunStepError::Damaged(damage))
            }
        }
    }

    /// Looks at a part of a run's index, if there is one to be looked at.
    fn survey_on(
        &mut self,
        disk: &mut impl RunDisk,
        keep: &mut KeepCallback<'_>,
    ) -> Result<RunSetStep, RunStepError> {
        let Some(mut survey) = self.surveys.under_way.take() else {
            let Some(id) = self.surveys.waiting.pop_front() else { return Ok(RunSetStep::Idle) };
            let is_known =
                |run: &&Arc<Run>| run.info().id == id && run.info().log.last <= self.known_up_to;
            let run = self.view.runs().find(is_known).filter(|_| !self.damaged.contains(&id));
            self.surveys.under_way = run.cloned().map(RunSurvey::new);
            return Ok(RunSetStep::Again);
        };
        let mut disk = CountedDisk::new(disk);
        let stepped = survey.step(&mut disk, keep);
        self.moved_bytes += disk.read_bytes;
        match stepped {
            Ok(None) => self.surveys.under_way = Some(survey),
            Ok(Some(found)) if found.kept < found.bytes / 2 => {
                self.begin_rewrite(survey.id(), found.kept);
            }
            Ok(Some(_)) => {}
            Err(RunReadError::Disk(error)) => return Err(RunStepError::Disk(error)),
            Err(RunReadError::Damaged(damage)) => {
                self.damaged.insert(damage.run);
                return Err(RunStepError::Damaged(damage));
            }
        }
        Ok(RunSetStep::Again)
    }

    /// Begins to write again what is kept of a run, about so many bytes, where there is room.
    fn begin_rewrite(&mut self, id: RunId, kept_bytes: u64) {
        let has_room = kept_bytes == 0 || self.fits(kept_bytes);
        let Some(run) = self.view.runs().find(|run| run.info().id == id && has_room) else {
            return;
        };
        let info = *run.info();
        let input = JobInput::Merge(MergeInput::new(vec![Arc::clone(run)]));
        let id = self.draw_id();
        self.jobs.merges.push(RunJob::new(id, info.level, info.log, info.newest_unix_ms, input));
    }

    /// Whether so many bytes can be written beside what merges write.
    fn fits(&self, bytes: u64) -> bool {
        let taken: u64 =
            self.jobs.merges.iter().flat_map(sources).map(|run| run.info().bytes).sum();
        bytes + taken <= self.free_bytes.saturating_sub(RESERVED_BYTES)
    }

    /// A command is over. After a failed write of a run it is written again from its beginning,
    /// under another number.
    pub fn on_done(&mut self, result: Result<(), RunDiskError>) {
        let under_way = self.under_way.take().expect("a command is under way");
        match (under_way, result) {
            (UnderWay::Job(_), Ok(())) => {}
            (UnderWay::Job(place), Err(_)) => self.give_up(place),
            (UnderWay::Manifest, Ok(())) => match self.manifest.on_written() {
                ManifestStep::Go(write) => self.manifest_command = Some(write.into()),
                ManifestStep::Done(manifest) => self.on_manifest(manifest),
            },
            (UnderWay::Manifest, Err(_)) => self.has_ended = true,
            (UnderWay::Remove(_), Ok(())) => {}
            (UnderWay::Remove(run), Err(_)) => self.unnamed.stuck.push(run),
        }
    }

    fn emit(&mut self, command: RunCommand, under_way: UnderWay) -> RunSetStep {
        if let RunCommand::Write { piece, .. } = &command {
            self.moved_bytes += piece.pages.bytes().len() as u64;
        }
        self.under_way = Some(under_way);
        RunSetStep::Do(command)
    }

    fn draw_id(&mut self) -> RunId {
        let id = self.listed.next;
        self.listed.next = RunId(id.0 + 1);
        id
    }

    /// What is made at this place is in the way, and the file is nothing. What the log has is
    /// begun again.
    fn give_up(&mut self, place: JobPlace) {
        let id = self.draw_id();
        match place {
            JobPlace::Sorting => {
                let job = self.jobs.sorting.take().expect("it has the place");
                self.unnamed.files.push_back(job.id());
                self.jobs.sorting = Some(job.again(id));
            }
            JobPlace::Merge(number) => {
                let job = self.jobs.merges.remove(number);
                self.unnamed.files.push_back(job.id());
            }
        }
    }

    /// What is made at this place is written, or has no entry, and is to count.
    fn end_job(&mut self, place: JobPlace, run: Option<Arc<Run>>) {
        let job = match place {
            JobPlace::Sorting => self.jobs.sorting.take().expect("it has the place"),
            JobPlace::Merge(number) => self.jobs.merges.remove(number),
        };
        let remove = sources(&job).iter().map(|run| run.info().id).collect();
        let sorted = match place {
            JobPlace::Sorting => job.log().last,
            JobPlace::Merge(_) => self.listed.sorted,
        };
        self.begin_change(SetChange { add: run, remove }, sorted);
    }

    fn begin_change(&mut self, change: SetChange, sorted: u64) {
        let mut runs = self.listed.runs.clone();
        runs.retain(|run| !change.remove.contains(&run.id));
        if let Some(run) = &change.add {
            let listed = ListedRun::from(run.info());
            let place = runs.partition_point(|one| one.log.last < listed.log.first);
            runs.insert(place, listed);
        }
        let manifest = RunManifest { sorted, runs, ..self.listed.clone() };
        self.change = Some(change);
        self.manifest_command = Some(self.manifest.begin(manifest).into());
    }

    /// A manifest is durable in both places.
    fn on_manifest(&mut self, manifest: RunManifest) {
        let SetChange { add, remove } = self.change.take().expect("it was begun with one");
        let mut runs: VecDeque<Arc<Run>> = VecDeque::new();
        for run in self.view.runs() {
            if remove.contains(&run.info().id) {
                self.unnamed.gone.push(Arc::clone(run));
            } else {
                runs.push_back(Arc::clone(run));
            }
        }
        if let Some(run) = add {
            let first = run.info().log.first;
            let place = runs.partition_point(|one| one.info().log.last < first);
            runs.insert(place, run);
        }
        self.view = Arc::new(RunView::new(manifest.generation, manifest.sorted, runs));
        self.listed = RunManifest { next: self.listed.next, ..manifest };
        self.unnamed.files.extend(self.unnamed.stuck.drain(..));
    }

    /// Begins a change without runs that have nothing which is kept by its time. One that is being
    /// merged may be among them: what it has is in the way of nobody.
    fn drop_expired(&mut self) -> bool {
        let runs = self.listed.runs.iter();
        let expired = runs.filter(|run| run.newest_unix_ms < self.expired_unix_ms);
        let remove: BTreeSet<RunId> = expired.map(|run| run.id).collect();
        if remove.is_empty() {
            return false;
        }
        self.begin_change(SetChange { add: None, remove }, self.listed.sorted);
        true
    }

    fn merging(&self) -> BTreeSet<RunId> {
        self.jobs.merges.iter().flat_map(sources).map(|run| run.info().id).collect()
    }

    fn busy(&self) -> Busy {
        let mut runs = self.merging();
        runs.extend(&self.damaged);
        let levels = self.jobs.merges.iter().flat_map(sources).map(|run| run.info().level);
        Busy { runs, levels: levels.collect() }
    }

    /// Begins the next merge, if one is due and has room.
    fn begin_merge(&mut self) {
        let known = self.listed.runs.partition_point(|run| run.log.last <= self.known_up_to);
        let known = &self.listed.runs[..known];
        let Some(group) = self.options.merges.next(known, &self.busy()) else { return };
        let listed = &self.listed.runs[group.clone()];
        let bytes: u64 = listed.iter().map(|run| run.bytes).sum();
        if !self.fits(bytes) {
            return;
        }
        let log = LogRange { first: listed[0].log.first, last: listed[listed.len() - 1].log.last };
        let newest_unix_ms = listed.iter().map(|run| run.newest_unix_ms).max().unwrap_or(0);
        let level = listed[0].level.saturating_add(1);
        let sources: Vec<Arc<Run>> =
            self.view.runs().skip(group.start).take(group.len()).cloned().collect();
        let input = JobInput::Merge(MergeInput::new(sources));
        let id = self.draw_id();
        self.jobs.merges.push(RunJob::new(id, level, log, newest_unix_ms, input));
    }
}

impl Unnamed {
    /// Views may have the ones, and nobody has the others.
    pub(super) fn new(gone: impl Iterator<Item = Arc<Run>>, leftovers: Vec<RunId>) -> Unnamed {
        Unnamed { gone: gone.collect(), files: leftovers.into(), stuck: Vec::new() }
    }

    /// A file that can be removed.
    fn next(&mut self) -> Option<RunId> {
        // Nobody can get one that only this list has.
        let free = self.gone.iter().position(|run| Arc::strong_count(run) == 1);
        if let Some(free) = free {
            return Some(self.gone.swap_remove(free).info().id);
        }
        self.files.pop_front()
    }
}
