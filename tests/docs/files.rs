//! The list of all files at the end of the map, made of what their headers say first.
//!
//! Deliberately absent: tests, which stand beside what they are for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the list begins; it reaches to the end of the page.
const MARK: &str = "<!-- From here on made by `BLESS=1 cargo test --test docs`. -->\n";

const ROOTS: [&str; 4] = ["src", "sim/src", "bench/src", "tuning"];

#[test]
fn the_map_lists_every_file_as_its_header_says() {
    let page = include_str!("../../ARCHITECTURE.md");
    let (before, _) = page.split_once(MARK).expect("the list has a beginning");
    super::check("ARCHITECTURE.md", &format!("{before}{MARK}{}", list()));
}

/// A heading for each module, and a line for each of its files.
fn list() -> String {
    let mut modules: BTreeMap<(usize, String), Vec<String>> = BTreeMap::new();
    for (place, root) in ROOTS.iter().enumerate() {
        let mut files = Vec::new();
        walk(Path::new(root), &mut files);
        files.sort();
        for file in files {
            let name = file.strip_prefix(root).expect("it is below").with_extension("");
            let name = name.to_str().expect("names are ASCII");
            let is_module =
                *root == "src" && (name.contains('/') || Path::new(root).join(name).is_dir());
            let (first, rest) = name.split_once('/').unwrap_or((name, name));
            let module = if is_module { format!("{root}/{first}") } else { (*root).to_owned() };
            let name = if is_module { rest } else { name };
            let line = format!("- `{name}`: {}\n", first_paragraph(&file));
            modules.entry((place, module)).or_default().push(line);
        }
    }
    let sections = modules.iter().map(|((_, module), lines)| {
        assert!(!lines.is_empty());
        format!("\n### `{module}`\n\n{}", lines.concat())
    });
    sections.collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("it is there") {
        let path = entry.expect("it can be read").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("names are ASCII");
        let is_script = folder == Path::new("tuning");
        let is_listed = is_script || path.extension().is_some_and(|end| end == "rs");
        if path.is_dir() && name != "tests" {
            walk(&path, files);
        } else if path.is_file() && is_listed && name != "tests" {
            files.push(path);
        }
    }
}

/// What a file says of itself, up to the first empty line of its header.
fn first_paragraph(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("it can be read");
    let mark = if file.extension().is_some_and(|end| end == "rs") { "//!" } else { "#" };
    let is_of_tools = |line: &str| line.starts_with("#!") || line.starts_with("# shellcheck");
    let lines = text.lines().filter(|line| !is_of_tools(line));
    let lines = lines.map_while(|line| line.strip_prefix(mark)).map(str::trim);
    let paragraph: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    assert!(!paragraph.is_empty(), "{} says nothing of itself", file.display());
    paragraph.join(" ")
}
