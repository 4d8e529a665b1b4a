//! Files of a build, such as the web chat's: read into memory at the start, as they are and
//! compressed, and answered from there.
//!
//! Invariant: nothing is answered that was not in the folder when the server began, so no path
//! leads anywhere else.
//!
//! Deliberately absent: which build it is, and what its pages may do (a policy comes with each
//! answer).

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::scrape::takes_gzip;

/// Files of a build.
const FILES_MAX: usize = 64;
/// Bytes of all of them.
const BYTES_MAX: u64 = 4 << 20;
/// Folders within each other.
const DEPTH_MAX: usize = 4;

/// The files of a build, by their path.
#[derive(Clone)]
pub struct StaticFiles(Arc<BTreeMap<String, StaticFile>>);

/// One file, as it is and compressed.
struct StaticFile {
    content_type: &'static str,
    /// Whether its name has a hash of what is in it.
    is_immutable: bool,
    plain: Bytes,
    packed: Bytes,
}

/// Why there are no files to serve.
#[derive(Debug)]
pub enum StaticFilesError {
    /// A file or folder cannot be read.
    Read(PathBuf, io::Error),
    /// It has no `index.html`, so it is no build.
    NoIndex(PathBuf),
    /// More than a build has.
    TooLarge(PathBuf),
}

impl fmt::Display for StaticFilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StaticFilesError::Read(path, error) => write!(f, "{}: {error}", path.display()),
            StaticFilesError::NoIndex(path) => write!(
                f,
                "{} has no index.html: `make web` builds the web chat into web/dist and the \
                 console into web/console/dist",
                path.display()
            ),
            StaticFilesError::TooLarge(path) => write!(
                f,
                "{} is no build of pages: it has more than {FILES_MAX} files or {BYTES_MAX} bytes",
                path.display()
            ),
        }
    }
}

impl StaticFiles {
    /// Reads a build.
    pub fn read(dir: &Path) -> Result<StaticFiles, StaticFilesError> {
        let mut files = BTreeMap::new();
        let mut left_bytes = BYTES_MAX;
        read_folder(dir, "/", DEPTH_MAX, &mut left_bytes, &mut files)?;
        if !files.contains_key("/index.html") {
            return Err(StaticFilesError::NoIndex(dir.to_owned()));
        }
        Ok(StaticFiles(Arc::new(files)))
    }

    /// The file of a path, with the policy of its page; `/` is the page itself.
    pub(super) fn answer(&self, path: &str, headers: &HeaderMap, policy: &str) -> Response {
        let path = if path == "/" { "/index.html" } else { path };
        let Some(file) = self.0.get(path) else {
            return (StatusCode::NOT_FOUND, "no such page\n").into_response();
        };
        let age = if file.is_immutable { "max-age=31536000, immutable" } else { "no-cache" };
        let kind = [
            (header::CONTENT_TYPE, file.content_type),
            (header::CACHE_CONTROL, age),
            (header::VARY, "accept-encoding"),
        ];
        if takes_gzip(headers) {
            let packed = [(header::CONTENT_ENCODING, "gzip")];
            (guards(policy), kind, packed, file.packed.clone()).into_response()
        } else {
            (guards(policy), kind, file.plain.clone()).into_response()
        }
    }
}

/// What keeps a page to itself.
pub(super) fn guards(policy: &str) -> [(HeaderName, String); 3] {
    [
        (header::CONTENT_SECURITY_POLICY, policy.to_owned()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ]
}

fn read_folder(
    dir: &Path,
    prefix: &str,
    depth: usize,
    left_bytes: &mut u64,
    files: &mut BTreeMap<String, StaticFile>,
) -> Result<(), StaticFilesError> {
    let refuse = |error| StaticFilesError::Read(dir.to_owned(), error);
    for entry in fs::read_dir(dir).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(refuse)?);
        // What is hidden, such as a mark of when it was built, is no part of it.
        let name = entry.file_name().to_str().map(str::to_owned);
        let Some(name) = name.filter(|name| !name.starts_with('.')) else { continue };
        if kind.is_dir() {
            let Some(depth) = depth.checked_sub(1) else {
                return Err(StaticFilesError::TooLarge(dir.to_owned()));
            };
            read_folder(&path, &format!("{prefix}{name}/"), depth, left_bytes, files)?;
        } else if kind.is_file() {
            let refuse = |error| StaticFilesError::Read(path.clone(), error);
            let bytes = entry.metadata().map_err(refuse)?.len();
            let left = left_bytes.checked_sub(bytes).filter(|_| files.len() < FILES_MAX);
            *left_bytes = left.ok_or_else(|| StaticFilesError::TooLarge(dir.to_owned()))?;
            let plain = fs::read(&path).map_err(refuse)?;
            files.insert(format!("{prefix}{name}"), StaticFile::new(&name, prefix, plain));
        }
    }
    Ok(())
}

impl StaticFile {
    fn new(name: &str, prefix: &str, plain: Vec<u8>) -> StaticFile {
        let content_type = match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "json" => "application/json",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            _ => "application/octet-stream",
        };
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&plain).expect("a Vec takes everything");
        let packed = encoder.finish().expect("a Vec takes everything");
        StaticFile {
            content_type,
            is_immutable: prefix == "/assets/",
            plain: plain.into(),
            packed: packed.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tokio::runtime::Builder;

    use super::*;

    /// A build of these files, in a folder that is gone afterwards.
    fn built(files: &[(&str, &str)]) -> Result<StaticFiles, StaticFilesError> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        StaticFiles::read(dir.path())
    }

    #[test]
    fn a_file_comes_with_its_kind_its_age_and_its_policy() {
        let files =
            built(&[("index.html", "<!doctype html>"), ("assets/a-1.js", "run()")]).unwrap();
        for (path, kind, age, text) in [
            ("/", "text/html; charset=utf-8", "no-cache", "<!doctype html>"),
            ("/index.html", "text/html; charset=utf-8", "no-cache", "<!doctype html>"),
            (
                "/assets/a-1.js",
                "text/javascript; charset=utf-8",
                "max-age=31536000, immutable",
                "run()",
            ),
        ] {
            let answer = files.answer(path, &HeaderMap::new(), "default-src 'none'");
            let header = |name: HeaderName| answer.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(header(header::CONTENT_TYPE), kind, "{path}");
            assert_eq!(header(header::CACHE_CONTROL), age, "{path}");
            assert_eq!(header(header::CONTENT_SECURITY_POLICY), "default-src 'none'", "{path}");
            assert_eq!(header(header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
            let runtime = Builder::new_current_thread().build().unwrap();
            let bytes = runtime.block_on(to_bytes(answer.into_body(), usize::MAX)).unwrap();
            assert_eq!(bytes, text.as_bytes(), "{path}");
        }
        for path in ["", "/assets", "/../etc/passwd", "/%2e%2e/etc/passwd", "//", "/x"] {
            assert_eq!(files.answer(path, &HeaderMap::new(), "").status(), 404, "{path}");
        }
    }

    #[test]
    fn who_takes_it_gets_it_compressed() {
        let files = built(&[("index.html", "<!doctype html>")]).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
        let packed = files.answer("/", &headers, "");
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(packed.headers()[header::VARY], "accept-encoding");
    }

    #[test]
    fn what_is_no_build_is_said() {
        let no_index = built(&[("index.htm", "")]).err().unwrap().to_string();
        assert!(no_index.contains("make web"), "{no_index}");
        let names: Vec<String> = (0..=FILES_MAX).map(|at| format!("{at}.js")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "")).collect();
        assert!(matches!(built(&many), Err(StaticFilesError::TooLarge(_))));
        assert!(matches!(built(&[("a/b/c/d/e/f.js", "")]), Err(StaticFilesError::TooLarge(_))));
        let nowhere = StaticFiles::read(Path::new("/no/such/folder"));
        assert!(matches!(nowhere, Err(StaticFilesError::Read(..))));
    }
}
