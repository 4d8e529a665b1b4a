//! The file of blocks.
//!
//! Deliberately absent: what is in a record (`blocks`).

use std::path::Path;

use crate::blocks::{BlockChange, read_records};
use crate::record_file::{RecordFile, RecordFileError, RecordFileKind};

const KIND: RecordFileKind = RecordFileKind {
    name: "blocks",
    magic: b"rookery blocks 1\n",
    growth_bytes: 4 << 20,
    owner: "server",
    content: "list of blocks",
    place: "blocks.dir",
    failure: "blocks cannot be kept in ",
};

/// Takes a directory, and reads the changes that are in its file, in order. It is to be written
/// anew before anything else.
pub(super) fn open_blocks(dir: &Path) -> Result<(RecordFile, Vec<BlockChange>), RecordFileError> {
    let (file, records) = RecordFile::open(dir, &KIND)?;
    let read = read_records(&records);
    if read.damaged_bytes != 0 {
        let copy = file.keep_damaged()?;
        tracing::error!(
            "{} bytes of {} are damaged, and blocks are missing; {} is a copy as it was",
            read.damaged_bytes,
            file.path().display(),
            copy.display()
        );
    }
    Ok((file, read.changes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::blocks::{BlockTarget, BlockTerms, write_record};

    fn record(user: &str) -> Vec<u8> {
        let target = BlockTarget::User { tenant: "".into(), user: user.into() };
        let mut bytes = Vec::new();
        write_record(&target, Some(BlockTerms::default()), &mut bytes);
        bytes
    }

    fn users(changes: &[BlockChange]) -> Vec<&str> {
        changes
            .iter()
            .map(|change| match &change.target {
                BlockTarget::User { user, .. } => &**user,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_was_written_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/blocks");
        let (mut journal, changes) = open_blocks(&path).unwrap();
        assert!(changes.is_empty() && journal.needs_rewrite());
        journal.rewrite(&record("anna")).unwrap();
        journal.append(&record("bob")).unwrap();
        drop(journal);
        let (mut journal, changes) = open_blocks(&path).unwrap();
        assert_eq!(users(&changes), ["anna", "bob"]);
        journal.rewrite(&record("carl")).unwrap();
        journal.append(&record("dora")).unwrap();
        drop(journal);
        // A write that did not end.
        let torn = fs::read(path.join(KIND.name)).unwrap();
        fs::write(path.join(KIND.name), &torn[..torn.len() - 1]).unwrap();
        let (_, changes) = open_blocks(&path).unwrap();
        assert_eq!(users(&changes), ["carl"]);
        assert!(!path.join("blocks.damaged").exists());
    }

    #[test]
    fn a_damaged_file_is_kept_beside_what_was_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = open_blocks(dir.path()).unwrap();
        journal.rewrite(&[record("anna"), record("bob")].concat()).unwrap();
        drop(journal);
        let mut bytes = fs::read(dir.path().join(KIND.name)).unwrap();
        bytes[KIND.magic.len() + 20] ^= 1;
        fs::write(dir.path().join(KIND.name), &bytes).unwrap();
        let (_journal, changes) = open_blocks(dir.path()).unwrap();
        assert_eq!(users(&changes), ["bob"]);
        assert_eq!(fs::read(dir.path().join("blocks.damaged")).unwrap(), bytes);
    }

    #[test]
    fn two_servers_share_no_directory_and_foreign_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let first = open_blocks(dir.path()).unwrap();
        assert!(matches!(open_blocks(dir.path()), Err(RecordFileError::InUse(..))));
        drop(first);
        fs::write(dir.path().join(KIND.name), "something else").unwrap();
        assert!(matches!(open_blocks(dir.path()), Err(RecordFileError::Foreign(..))));
        assert_eq!(fs::read(dir.path().join(KIND.name)).unwrap(), b"something else");
    }

    #[test]
    fn a_failed_write_is_mended_by_a_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = open_blocks(dir.path()).unwrap();
        journal.rewrite(&record("anna")).unwrap();
        journal.refuse_writes();
        assert!(journal.append(&record("bob")).is_err());
        assert!(journal.needs_rewrite());
        journal.rewrite(&record("anna")).unwrap();
        journal.append(&record("carl")).unwrap();
        drop(journal);
        let (_, changes) = open_blocks(dir.path()).unwrap();
        assert_eq!(users(&changes), ["anna", "carl"]);
    }

    #[test]
    fn a_file_that_has_grown_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = open_blocks(dir.path()).unwrap();
        journal.rewrite(&[]).unwrap();
        let many = record("anna").repeat(10_000);
        while !journal.needs_rewrite() {
            journal.append(&many).unwrap();
        }
        assert!(KIND.growth_bytes < journal.bytes() && journal.bytes() < 2 * KIND.growth_bytes);
        journal.rewrite(&record("anna")).unwrap();
        assert!(!journal.needs_rewrite());
    }
}
