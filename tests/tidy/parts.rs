//! The map names files that are there: each part in its tables, and each path in its sentences.

use std::fs;
use std::path::Path;

use super::Finding;

/// The head of a table of parts: a module, names of its files or folders, and what they know.
const HEAD: &str = "| | part | what it knows |";

/// Pages whose paths are looked up.
const PAGES: &[&str] = &["ARCHITECTURE.md", "docs/GLOSSARY.md", "CONTRIBUTING.md"];

/// Where paths of the source begin.
const ROOTS: &[&str] = &["src/", "sim/", "bench/", "tests/", "scripts/", "web/", "tuning/"];

pub fn findings() -> Vec<Finding> {
    let mut found = parts_findings(include_str!("../../ARCHITECTURE.md"));
    for page in PAGES {
        let text = fs::read_to_string(page).unwrap();
        let lost = paths(&text).filter(|path| !Path::new(path).exists());
        found.extend(lost.map(|path| ("path", format!("{page}: {path}"))));
    }
    found
}

/// Parts in the tables of a page that are no file and no folder of their module.
pub fn parts_findings(page: &str) -> Vec<Finding> {
    let mut found = Vec::new();
    let tables = page.split(HEAD).skip(1);
    for table in tables {
        let rows = table.trim_start().lines().skip(1).take_while(|line| line.starts_with('|'));
        let mut module = "";
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [_, named, parts, ..] = cells[..] else { continue };
            module = named.split('`').nth(1).unwrap_or(module);
            let folder = folder_of(module);
            for part in quoted(parts).filter(|part| !part.contains(['/', ' ', '('])) {
                if !holds(Path::new(&folder), part) {
                    found.push(("part", format!("ARCHITECTURE.md: {module}: {part}")));
                }
            }
        }
    }
    found
}

/// Where a module's files are, by its name or by its path.
fn folder_of(module: &str) -> String {
    let of_source = format!("src/{}", module.replace("::", "/"));
    if Path::new(&of_source).is_dir() { of_source } else { module.to_owned() }
}

/// Whether a file or a folder of this name, or the module itself, is there.
fn holds(folder: &Path, part: &str) -> bool {
    let is_it = |path: &Path| {
        path.file_stem().is_some_and(|name| name == part)
            || path.file_name().is_some_and(|name| name == part)
    };
    let Ok(entries) = fs::read_dir(folder) else { return false };
    is_it(folder)
        || entries.map(|entry| entry.unwrap().path()).any(|path| is_it(&path) || holds(&path, part))
}

/// What stands in backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Paths of the source in a page, without those that stand for many.
fn paths(page: &str) -> impl Iterator<Item = &str> {
    quoted(page).filter(|path| {
        ROOTS.iter().any(|root| path.starts_with(root))
            && !path.contains([' ', '*', '<', '{', '\n', '…', ':', '='])
    })
}
