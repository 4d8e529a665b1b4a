//! Links of documents lead somewhere.

use std::fs;
use std::path::{Path, PathBuf};

use super::Finding;

/// Where documents are.
const PLACES: &[&str] =
    &[".", "docs", "docs/decisions", "alertmanager", "alertmanager/runbooks", "tuning"];

/// Links from documents to files of the tree that are not there.
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
    }
    assert!(20 < documents_count, "only {documents_count} documents were found");
    found
}

fn documents(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "md")).collect()
}
