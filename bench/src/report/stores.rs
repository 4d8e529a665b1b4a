//! The folders in which the servers of a report keep messages.
//!
//! Invariant: a folder goes with the value that made it.
//!
//! Deliberately absent: what lies in them.

use std::fs;
use std::path::{Path, PathBuf};

/// The folder in which servers keep messages, each in one of its own.
pub struct Stores {
    dir: PathBuf,
    made: u32,
}

impl Stores {
    /// Begins empty: what is in the way there is no report's.
    pub fn new(dir: &Path) -> Result<Stores, String> {
        let dir = std::path::absolute(dir).map_err(|error| error.to_string())?;
        Ok(Stores { dir: dir.join(std::process::id().to_string()), made: 0 })
    }

    /// A place for a store that does not exist yet.
    fn next(&mut self) -> PathBuf {
        self.made += 1;
        self.dir.join(self.made.to_string())
    }

    /// An empty store.
    pub(super) fn empty(&mut self) -> Result<Store, String> {
        let dir = self.next();
        fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Store(dir))
    }

    /// The full store, which is made once.
    pub(super) fn full(&self) -> PathBuf {
        self.dir.join("full")
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        // There is none when nothing was kept.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A server's folder, which goes with this value.
pub(super) struct Store(PathBuf);

impl Store {
    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        &self.0
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
