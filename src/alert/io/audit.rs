//! The audit log of automatic actions and silences: one JSON object a line, synced.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde_json::{Value, json};

/// Size at which the log is rotated; one older file is kept.
const BYTES_MAX: u64 = 8 << 20;

/// Most bytes of an action's result that are saved.
pub const SAVED_BYTES_MAX: usize = 4 << 20;

/// Most saved results; beyond it the oldest is removed.
const SAVED_MAX: usize = 200;

/// Adds a line.
pub fn write(dir: &Path, unix_ms: u64, what: &str, mut fields: Value) -> io::Result<()> {
    let path = dir.join("audit.log");
    if fs::metadata(&path).is_ok_and(|file| file.len() > BYTES_MAX) {
        fs::rename(&path, dir.join("audit.log.1"))?;
    }
    if let Some(map) = fields.as_object_mut() {
        map.insert("unix_ms".to_owned(), json!(unix_ms));
        map.insert("what".to_owned(), json!(what));
    }
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    file.write_all(format!("{fields}\n").as_bytes())?;
    file.sync_data()
}

/// Saves the result of an action. Returns the name of the file.
pub fn save(dir: &Path, unix_ms: u64, action: &str, body: &[u8]) -> io::Result<String> {
    let dir = dir.join("saved");
    fs::create_dir_all(&dir)?;
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' };
    let name = format!("{unix_ms}-{}", action.chars().map(plain).collect::<String>());
    let mut file =
        OpenOptions::new().create(true).append(true).mode(0o600).open(dir.join(&name))?;
    file.write_all(body)?;
    file.sync_data()?;
    let mut names: Vec<_> =
        fs::read_dir(&dir)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    names.sort_unstable();
    for old in names.iter().take(names.len().saturating_sub(SAVED_MAX)) {
        fs::remove_file(old)?;
    }
    Ok(format!("saved/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_old_files_removed() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 1, "action", json!({"action": "a\n"})).unwrap();
        write(dir.path(), 2, "silence", json!({"who": "b"})).unwrap();
        let log = fs::read_to_string(dir.path().join("audit.log")).unwrap();
        let lines: Vec<Value> =
            log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((lines.len(), &lines[0]["action"]), (2, &json!("a\n")));
        assert_eq!((&lines[1]["unix_ms"], &lines[1]["what"]), (&json!(2), &json!("silence")));
        for index in 0..SAVED_MAX as u64 + 3 {
            save(dir.path(), 1_000_000 + index, "../dump tasks", b"x").unwrap();
        }
        let names = fs::read_dir(dir.path().join("saved")).unwrap().count();
        assert_eq!(names, SAVED_MAX);
        assert!(dir.path().join("saved/1000202----dump-tasks").exists());
    }
}
