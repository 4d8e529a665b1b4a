//! Files with diagnostics, in a directory of the operator's.
//!
//! Invariant: of the files that this server names, no more than `FILES_MAX` stay.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Files that are kept.
const FILES_MAX: usize = 16;

/// How they are called, before and behind their time.
const NAME: (&str, &str) = ("tasks-", ".json");

/// Writes a file, whole or not at all, and removes the oldest that are too many.
pub(super) fn write(folder: &Path, unix_ms: u64, text: &str) -> io::Result<PathBuf> {
    // Times of thirteen digits until the year 2286, so names sort as times.
    let path = folder.join(format!("{}{unix_ms:013}{}", NAME.0, NAME.1));
    let part = path.with_extension("part");
    fs::write(&part, text)?;
    fs::rename(&part, &path)?;
    let mut ours: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_ours = |name: &str| name.starts_with(NAME.0) && name.ends_with(NAME.1);
        if entry.file_name().to_str().is_some_and(is_ours) {
            ours.push(entry.path());
        }
    }
    ours.sort_unstable();
    for old in ours.iter().rev().skip(FILES_MAX) {
        fs::remove_file(old)?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_files_stay_and_others_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("notes.json"), "mine").unwrap();
        for unix_ms in (0..20).rev() {
            write(folder.path(), 1_700_000_000_000 + unix_ms, "{}").unwrap();
        }
        let newest = write(folder.path(), 1_700_000_000_020, "{\"a\":1}").unwrap();
        assert_eq!(fs::read_to_string(newest).unwrap(), "{\"a\":1}");
        let names = fs::read_dir(folder.path()).unwrap();
        let mut names: Vec<String> =
            names.map(|one| one.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names.len(), FILES_MAX + 1);
        assert_eq!((&*names[0], &*names[1]), ("notes.json", "tasks-1700000000005.json"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(&folder.path().join("no"), 1, "").is_err());
    }
}
