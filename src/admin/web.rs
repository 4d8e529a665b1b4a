//! The web chat, in development mode: the files of a build, which are in memory, where the
//! server is, and tokens for whoever asks.
//!
//! | path | answer |
//! |---|---|
//! | `/`, and each file | the file |
//! | `/config.json` | where the server and the tokens are |
//! | `POST /dev/token` | a token for the user that is named |
//!
//! Deliberately absent: keys. Tokens are signed by what `cli` hands in, which has no key but the
//! published one of the development configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use serde_json::json;

use super::scrape::takes_gzip;

/// Files of a build.
const FILES_MAX: usize = 64;
/// Bytes of all of them.
const BYTES_MAX: u64 = 4 << 20;
/// Folders within each other.
const DEPTH_MAX: usize = 4;
/// Bytes of a request for a token.
const BODY_BYTES_MAX: usize = 1 << 10;
/// Characters of a user's name.
const USER_CHARS_MAX: usize = 64;

/// Signs a token for a user.
pub type SignToken = Arc<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// The chat that is served.
#[derive(Clone)]
pub struct WebChat {
    files: Arc<BTreeMap<String, WebFile>>,
    server_port: u16,
    sign: SignToken,
}

/// One file, as it is and compressed.
struct WebFile {
    content_type: &'static str,
    /// Whether its name has a hash of what is in it.
    is_immutable: bool,
    plain: Bytes,
    packed: Bytes,
}

/// Why there is no chat to serve.
#[derive(Debug)]
pub enum WebChatError {
    /// A file or folder cannot be read.
    Read(PathBuf, io::Error),
    /// It has no `index.html`, so it is no build.
    NoIndex(PathBuf),
    /// More than a build has.
    TooLarge(PathBuf),
}

impl fmt::Display for WebChatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WebChatError::Read(path, error) => write!(f, "{}: {error}", path.display()),
            WebChatError::NoIndex(path) => write!(
                f,
                "{} has no index.html: `make web` builds the web chat into web/dist",
                path.display()
            ),
            WebChatError::TooLarge(path) => write!(
                f,
                "{} is no web chat: it has more than {FILES_MAX} files or {BYTES_MAX} bytes",
                path.display()
            ),
        }
    }
}

impl WebChat {
    /// Reads a build. The chat finds the server on the page's host, at this port.
    pub fn read(dir: &Path, server_port: u16, sign: SignToken) -> Result<WebChat, WebChatError> {
        let mut files = BTreeMap::new();
        let mut left_bytes = BYTES_MAX;
        read_folder(dir, "/", DEPTH_MAX, &mut left_bytes, &mut files)?;
        if !files.contains_key("/index.html") {
            return Err(WebChatError::NoIndex(dir.to_owned()));
        }
        Ok(WebChat { files: Arc::new(files), server_port, sign })
    }

    /// The policy of each page: nothing but the build itself, and connections to the server.
    fn policy(&self) -> String {
        format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
             connect-src 'self' ws://*:{port}; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            port = self.server_port
        )
    }
}

/// What the chat adds to the admin listener.
pub(super) fn router<S: Clone + Send + Sync + 'static>(chat: WebChat) -> Router<S> {
    Router::new()
        .route("/dev/token", post(token))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .fallback(file)
        .with_state(chat)
}

async fn file(
    State(chat): State<WebChat>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let path = if uri.path() == "/" { "/index.html" } else { uri.path() };
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::NOT_FOUND, "no such page\n").into_response();
    }
    let guards = [
        (header::CONTENT_SECURITY_POLICY, chat.policy()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    if path == "/config.json" {
        let config =
            json!({ "port": chat.server_port, "token_url": "dev/token", "ask_name": true });
        let kind =
            [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
        return (guards, kind, config.to_string()).into_response();
    }
    let Some(file) = chat.files.get(path) else {
        return (StatusCode::NOT_FOUND, "no such page\n").into_response();
    };
    let age = if file.is_immutable { "max-age=31536000, immutable" } else { "no-cache" };
    let kind = [
        (header::CONTENT_TYPE, file.content_type),
        (header::CACHE_CONTROL, age),
        (header::VARY, "accept-encoding"),
    ];
    if takes_gzip(&headers) {
        let packed = [(header::CONTENT_ENCODING, "gzip")];
        (guards, kind, packed, file.packed.clone()).into_response()
    } else {
        (guards, kind, file.plain.clone()).into_response()
    }
}

#[derive(Deserialize)]
struct TokenRequest {
    user: String,
}

/// Whoever asks is whoever they say: the key is published, so that everybody can sign for
/// everybody. Only pages of another origin are refused, which have no reason to ask.
async fn token(State(chat): State<WebChat>, headers: HeaderMap, body: Bytes) -> Response {
    let of = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(origin) = of(header::ORIGIN) {
        let host = of(header::HOST).unwrap_or_default();
        if origin.split_once("://").is_none_or(|(_, from)| from != host) {
            return (StatusCode::FORBIDDEN, "pages of another origin get no tokens\n")
                .into_response();
        }
    }
    let named = serde_json::from_slice(&body).map(|TokenRequest { user }| user);
    let Some(user) = named.ok().filter(|user| is_user(user)) else {
        let why = "user is a name of 1 to 64 characters, without , and # and control characters\n";
        return (StatusCode::BAD_REQUEST, why).into_response();
    };
    match (chat.sign)(&user) {
        Ok(token) => {
            let kind =
                [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (kind, json!({ "token": token }).to_string()).into_response()
        }
        Err(why) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{why}\n")).into_response(),
    }
}

/// Names that can be in a conversation of two.
fn is_user(name: &str) -> bool {
    let is_good = |letter: char| !letter.is_control() && letter != ',' && letter != '#';
    (1..=USER_CHARS_MAX).contains(&name.chars().count()) && name.chars().all(is_good)
}

fn read_folder(
    dir: &Path,
    prefix: &str,
    depth: usize,
    left_bytes: &mut u64,
    files: &mut BTreeMap<String, WebFile>,
) -> Result<(), WebChatError> {
    let refuse = |error| WebChatError::Read(dir.to_owned(), error);
    for entry in fs::read_dir(dir).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(refuse)?);
        // What is hidden, such as a mark of when it was built, is no part of it.
        let name = entry.file_name().to_str().map(str::to_owned);
        let Some(name) = name.filter(|name| !name.starts_with('.')) else { continue };
        if kind.is_dir() {
            let Some(depth) = depth.checked_sub(1) else {
                return Err(WebChatError::TooLarge(dir.to_owned()));
            };
            read_folder(&path, &format!("{prefix}{name}/"), depth, left_bytes, files)?;
        } else if kind.is_file() {
            let refuse = |error| WebChatError::Read(path.clone(), error);
            let bytes = entry.metadata().map_err(refuse)?.len();
            let left = left_bytes.checked_sub(bytes).filter(|_| files.len() < FILES_MAX);
            *left_bytes = left.ok_or_else(|| WebChatError::TooLarge(dir.to_owned()))?;
            let plain = fs::read(&path).map_err(refuse)?;
            files.insert(format!("{prefix}{name}"), WebFile::new(&name, prefix, plain));
        }
    }
    Ok(())
}

impl WebFile {
    fn new(name: &str, prefix: &str, plain: Vec<u8>) -> WebFile {
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
        WebFile {
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

    fn wait<T>(future: impl Future<Output = T>) -> T {
        Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// A build of these files, in a folder that is gone afterwards.
    fn built(files: &[(&str, &str)]) -> Result<WebChat, WebChatError> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        WebChat::read(dir.path(), 8000, Arc::new(|user| Ok(format!("signed for {user}"))))
    }

    fn chat() -> WebChat {
        built(&[
            ("index.html", "<!doctype html>"),
            ("assets/a-1.js", "run()"),
            ("config.json", "{}"),
        ])
        .unwrap()
    }

    fn text(answer: Response) -> String {
        let bytes = wait(to_bytes(answer.into_body(), usize::MAX)).unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[track_caller]
    fn check(path: &str, want_status: u16, want_type: &str, want: &str) {
        let get = file(State(chat()), Method::GET, path.parse().unwrap(), HeaderMap::new());
        let answer = wait(get);
        assert_eq!(answer.status(), want_status, "{path}");
        if want_status == 200 {
            let header = |name| answer.headers()[name].to_str().unwrap().to_owned();
            assert_eq!(header(header::CONTENT_TYPE), want_type, "{path}");
            let policy = header(header::CONTENT_SECURITY_POLICY);
            assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
            assert!(policy.contains("connect-src 'self' ws://*:8000;"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
        }
        assert_eq!(text(answer), want, "{path}");
    }

    #[test]
    fn the_files_of_a_build_are_served_and_nothing_else() {
        check("/", 200, "text/html; charset=utf-8", "<!doctype html>");
        check("/assets/a-1.js", 200, "text/javascript; charset=utf-8", "run()");
        let config = r#"{"ask_name":true,"port":8000,"token_url":"dev/token"}"#;
        check("/config.json", 200, "application/json", config);
        for path in ["/assets", "/assets/", "/../etc/passwd", "/%2e%2e/etc/passwd", "//", "/x"] {
            check(path, 404, "", "no such page\n");
        }
        let posted = file(State(chat()), Method::POST, "/".parse().unwrap(), HeaderMap::new());
        assert_eq!(wait(posted).status(), 404);
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, "gzip".parse().unwrap());
        let packed = wait(file(State(chat()), Method::GET, "/".parse().unwrap(), headers));
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
    }

    #[test]
    fn what_is_no_build_is_said() {
        let no_index = built(&[("index.htm", "")]).err().unwrap().to_string();
        assert!(no_index.contains("make web"), "{no_index}");
        let names: Vec<String> = (0..=FILES_MAX).map(|at| format!("{at}.js")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "")).collect();
        assert!(matches!(built(&many), Err(WebChatError::TooLarge(_))));
        assert!(matches!(built(&[("a/b/c/d/e/f.js", "")]), Err(WebChatError::TooLarge(_))));
        let nowhere =
            WebChat::read(Path::new("/no/such/folder"), 1, Arc::new(|_| Ok(String::new())));
        assert!(matches!(nowhere, Err(WebChatError::Read(..))));
    }

    #[track_caller]
    fn check_token(origin: Option<&str>, body: &str, want_status: u16, want: &str) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, "127.0.0.1:8001".parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        let answer = wait(token(State(chat()), headers, body.to_owned().into()));
        assert_eq!(answer.status(), want_status, "{body}");
        let said = text(answer);
        assert!(said.contains(want), "{said}");
    }

    #[test]
    fn a_token_is_for_a_name_and_for_pages_from_here() {
        let body = r#"{"user": "小明"}"#;
        check_token(None, body, 200, "signed for 小明");
        check_token(Some("http://127.0.0.1:8001"), body, 200, "signed for");
        for origin in ["http://127.0.0.1:8000", "https://evil.example", "null"] {
            check_token(Some(origin), body, 403, "another origin");
        }
        for body in ["", "{}", "[]", r#"{"user": 7}"#, r#"{"user": ""}"#, r#"{"user": "a,b"}"#] {
            check_token(None, body, 400, "user");
        }
    }

    #[test]
    fn names_are_those_of_conversations() {
        for good in ["a", "Ann O'Neil", "小明", &"x".repeat(64)] {
            assert!(is_user(good), "{good}");
        }
        for wrong in ["", "a,b", "a#b", "a\n", &"x".repeat(65)] {
            assert!(!is_user(wrong), "{wrong}");
        }
    }
}
