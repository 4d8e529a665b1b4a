//! Links of documents lead somewhere, and each row of a table stands in one.

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;

/// Where documents are.
const PLACES: &[&str] =
    &[".", "docs", "docs/decisions", "examples", "alertmanager", "alertmanager/runbooks", "tuning"];

/// Links from documents to files of the tree that are not there, and rows without a table.
pub fn findings() -> Vec<Finding> {
    let mut found = Vec::new();
    let mut documents_count = 0;
    for document in PLACES.iter().flat_map(|place| documents(Path::new(place))) {
        documents_count += 1;
        let text = fs::read_to_string(&document).unwrap();
        let folder = document.parent().unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()) {
            let file = target.split('#').next().unwrap_or_default();
            let is_outside = target.contains("://") || target.starts_with("mailto:");
            if !is_outside && !file.is_empty() && !folder.join(file).exists() {
                found.push(("link", format!("{}: {target}", document.display())));
            }
        }
        let rows = lone_rows(&text).into_iter();
        found.extend(rows.map(|line| ("lone-row", format!("{}: {line}", document.display()))));
    }
    assert!(20 < documents_count, "only {documents_count} documents were found");
    found
}

/// The numbers of lines that begin like a row of a table and belong to none: a table's second
/// line divides its head from its rows. Code is left out.
pub fn lone_rows(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let (mut is_code, mut before) = (false, "");
    let mut lines = text.lines().zip(1..).peekable();
    while let Some((line, number)) = lines.next() {
        is_code ^= line.trim_start().starts_with("```");
        let begins = !is_code && line.starts_with('|') && !before.starts_with('|');
        if begins && !lines.peek().is_some_and(|(next, _)| is_divider(next)) {
            found.push(number);
        }
        before = line;
    }
    found
}

fn is_divider(line: &str) -> bool {
    line.starts_with("|-") && line.chars().all(|one| "|-: ".contains(one))
}

fn documents(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "md")).collect()
}
