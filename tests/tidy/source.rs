//! Source files, parsed.

use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item};

/// Files that only name the modules.
const ROOTS: [&str; 2] = ["lib", "main"];

/// One file of Rust.
pub struct File {
    /// From the top of the tree.
    pub path: String,
    /// As it is written.
    pub text: String,
    /// What it says; tests are left out.
    pub items: Vec<Item>,
}

impl File {
    /// A file of this text.
    pub fn parse(path: &str, text: &str) -> File {
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let items = parsed.items.into_iter().filter(|item| !is_test(item)).collect();
        File { path: path.to_owned(), text: text.to_owned(), items }
    }

    /// The module of `src/` that it belongs to, or is, if it does.
    pub fn module(&self) -> Option<&str> {
        let place = self.path.strip_prefix("src/")?;
        match place.split_once('/') {
            Some((module, _)) => Some(module),
            None => place.strip_suffix(".rs").filter(|name| !ROOTS.contains(name)),
        }
    }
}

/// All files of the library and the tools, without their tests.
pub fn all() -> Vec<File> {
    let mut files = Vec::new();
    ["src", "bench/src", "sim/src"].iter().for_each(|root| walk(Path::new(root), &mut files));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(300 < files.len(), "only {} files were found", files.len());
    files
}

/// The path and the text of each file of Rust, those of tests, too.
pub fn texts() -> Vec<(String, String)> {
    let mut texts = Vec::new();
    let mut folders: Vec<PathBuf> =
        ["src", "bench", "sim", "fuzz", "tests"].iter().map(PathBuf::from).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                texts.push((path.to_str().unwrap().to_owned(), text));
            }
        }
    }
    texts.sort();
    assert!(400 < texts.len(), "only {} files were found", texts.len());
    texts
}

fn walk(dir: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap_or_default().to_str().unwrap();
        if name == "tests" {
            continue;
        }
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            files.push(File::parse(path.to_str().unwrap(), &text));
        }
    }
}

fn is_test(item: &Item) -> bool {
    match item {
        Item::Mod(item) => item.attrs.iter().any(is_for_tests),
        Item::Fn(item) => item.attrs.iter().any(is_for_tests),
        Item::Impl(item) => item.attrs.iter().any(is_for_tests),
        Item::Use(item) => item.attrs.iter().any(is_for_tests),
        _ => false,
    }
}

/// `#[cfg(test)]`, also among other conditions.
pub fn is_for_tests(attribute: &Attribute) -> bool {
    if !attribute.path().is_ident("cfg") {
        return false;
    }
    let mut found = false;
    let _ = attribute.parse_nested_meta(|meta| {
        found |= meta.path.is_ident("test");
        Ok(())
    });
    found
}
