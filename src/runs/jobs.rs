//! Runs that are being made at the same time, and whose turn it is.
//!
//! Deliberately absent: which are begun (`set`).

use std::sync::Arc;

use super::job::{JobInput, RunJob};
use super::run::Run;

/// A job's place among those that take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobPlace {
    /// Of what comes from the log.
    Sorting,
    /// Of a merge, by its number.
    Merge(usize),
}

/// What is being made.
#[derive(Debug, Default)]
pub struct Jobs {
    /// Of what comes from the log.
    pub sorting: Option<RunJob>,
    /// Merges, and runs that are written again.
    pub merges: Vec<RunJob>,
    turn: usize,
}

/// The runs that a job replaces.
pub fn sources(job: &RunJob) -> &[Arc<Run>] {
    match job.input() {
        JobInput::Sorter(_) => &[],
        JobInput::Merge(input) => input.sources(),
    }
}

impl Jobs {
    /// Whose turn it is.
    pub fn next_turn(&mut self) -> Option<JobPlace> {
        let merges = (0..self.merges.len()).map(JobPlace::Merge);
        let sorting = self.sorting.as_ref().map(|_| JobPlace::Sorting);
        let places: Vec<JobPlace> = sorting.into_iter().chain(merges).collect();
        self.turn = self.turn.wrapping_add(1);
        let number = self.turn.checked_rem(places.len())?;
        Some(places[number])
    }

    /// The job that has a place.
    pub fn at(&mut self, place: JobPlace) -> &mut RunJob {
        match place {
            JobPlace::Sorting => self.sorting.as_mut().expect("it was found there"),
            JobPlace::Merge(number) => &mut self.merges[number],
        }
    }
}
