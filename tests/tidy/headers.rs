//! What headers name is there: who has what a file deliberately lacks.
//!
//! Deliberately absent: whether there is a header at all (`shape`).

use std::path::Path;

use super::Finding;

/// Where the paragraph begins that names other parts.
const ABSENT: &str = "Deliberately absent";

/// Parts that headers name in brackets and that are not in the file's folder, in one above it, below
/// the file itself, or a module of the library.
pub fn findings(texts: &[(String, String)]) -> Vec<Finding> {
    let missing = texts.iter().flat_map(|(path, text)| {
        let named = absent_parts(text).into_iter().filter(|part| !is_near(path, part));
        named.map(move |part| ("absent-part", format!("{path}: {part}")))
    });
    missing.collect()
}

/// The parts that a file says something is in, which is not in it.
fn absent_parts(text: &str) -> Vec<&str> {
    let header_end = text.find("\n\n").unwrap_or(text.len());
    let Some((_, absent)) = text[..header_end].split_once(ABSENT) else { return Vec::new() };
    let named = absent.split("(`").skip(1).filter_map(|rest| rest.split_once("`)"));
    let is_part =
        |name: &&str| name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_:".contains(&byte));
    named.map(|(name, _)| name).filter(is_part).collect()
}

fn is_near(path: &str, part: &str) -> bool {
    let part = part.replace("::", "/");
    let below = Path::new(path).with_extension("");
    let is_there =
        |folder: &Path| folder.join(&part).exists() || folder.join(format!("{part}.rs")).exists();
    below.ancestors().chain([Path::new("src")]).any(is_there)
}
