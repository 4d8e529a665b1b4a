//! What runs need of a disk: files that are written once, in pieces, and read at any place, and two
//! places for the manifest.
//!
//! Deliberately absent: a disk.

use std::fmt;

use crate::log::{ManifestPlace, PageBuffer, PlaceWrite};

/// The number of a run's file; none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(pub u64);

/// Why the disk did not do it. What was asked may have happened, wholly or in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunDiskError {
    /// No space.
    Full,
    /// Nothing can be written there.
    ReadOnly,
    /// The file is not there, or ends before that place.
    Missing,
    /// It failed.
    Failed,
}

impl fmt::Display for RunDiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RunDiskError::Full => "no space is left",
            RunDiskError::ReadOnly => "nothing can be written there",
            RunDiskError::Missing => "a file is missing, or too short",
            RunDiskError::Failed => "the disk fails",
        })
    }
}

/// Bytes of a run's file that are to be written at a place. Both are multiples of a page.
#[derive(Debug)]
pub struct RunPiece {
    /// Where in the file.
    pub place: u64,
    /// All of it.
    pub pages: PageBuffer,
}

/// What a set of runs wants to be done, one after the other.
#[derive(Debug)]
pub enum RunCommand {
    /// A piece of a run. The one at place 0 makes the file, and whatever had its name is gone.
    Write {
        /// The run.
        run: RunId,
        /// What is written, and where.
        piece: RunPiece,
    },
    /// Makes all of a run durable, with its name.
    Sync {
        /// The run.
        run: RunId,
    },
    /// Writes one place of the manifest, and makes it durable.
    WriteManifest {
        /// The place.
        place: ManifestPlace,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// Removes the file of a run. It is no error that there is none.
    Remove {
        /// The run.
        run: RunId,
    },
}

impl From<PlaceWrite> for RunCommand {
    fn from(PlaceWrite { place, bytes }: PlaceWrite) -> RunCommand {
        RunCommand::WriteManifest { place, bytes }
    }
}

/// A run's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunFile {
    /// Its number.
    pub id: RunId,
    /// Its bytes.
    pub bytes: u64,
}

/// What reads runs, for whoever may wait for it.
pub trait RunDisk {
    /// Fills `bytes` from a place of a run on.
    fn read(&mut self, run: RunId, place: u64, bytes: &mut [u8]) -> Result<(), RunDiskError>;
}

/// A disk on which runs are written, too.
pub trait RunStorage: RunDisk {
    /// What stands in a place of the manifest; nothing where there is no file.
    fn read_manifest(&mut self, place: ManifestPlace) -> Result<Vec<u8>, RunDiskError>;

    /// The files of runs that there are.
    fn runs(&mut self) -> Result<Vec<RunFile>, RunDiskError>;

    /// Does what is wanted, and returns when it is over.
    fn run(&mut self, command: &RunCommand) -> Result<(), RunDiskError>;
}
