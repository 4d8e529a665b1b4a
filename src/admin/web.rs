//! The web chat, in development mode: the files of a build, where the server is, and tokens for
//! whoever asks.
//!
//! | path | answer |
//! |---|---|
//! | `/`, and each file | the file |
//! | `/config.json` | where the server and the tokens are |
//! | `POST /dev/token` | a token for the user that is named |
//!
//! Deliberately absent: keys. Tokens are signed by what `cli` hands in, which has no key but the
//! published one of the development configuration.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Deserialize;
use serde_json::json;

use super::static_files::{StaticFiles, StaticFilesError, guards};

/// Bytes of a request for a token.
const BODY_BYTES_MAX: usize = 1 << 10;
/// Characters of a user's name.
const USER_CHARS_MAX: usize = 64;

/// Signs a token for a user.
pub type SignToken = Arc<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// The chat that is served.
#[derive(Clone)]
pub struct WebChat {
    files: StaticFiles,
    server_port: u16,
    sign: SignToken,
}

impl WebChat {
    /// Reads a build. The chat finds the server on the page's host, at this port.
    pub fn read(
        dir: &Path,
        server_port: u16,
        sign: SignToken,
    ) -> Result<WebChat, StaticFilesError> {
        Ok(WebChat { files: StaticFiles::read(dir)?, server_port, sign })
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
    if method != Method::GET && method != Method::HEAD {
        return (StatusCode::NOT_FOUND, "no such page\n").into_response();
    }
    let policy = chat.policy();
    if uri.path() == "/config.json" {
        let config =
            json!({ "port": chat.server_port, "token_url": "dev/token", "ask_name": true });
        let kind =
            [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
        return (guards(&policy), kind, config.to_string()).into_response();
    }
    chat.files.answer(uri.path(), &headers, &policy)
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

#[cfg(test)]
mod tests {
    use std::fs;

    use axum::body::to_bytes;
    use tokio::runtime::Builder;

    use super::*;

    fn wait<T>(future: impl Future<Output = T>) -> T {
        Builder::new_current_thread().build().unwrap().block_on(future)
    }

    /// The chat of a build in a folder that is gone afterwards.
    fn chat() -> WebChat {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("assets")).unwrap();
        for (name, text) in
            [("index.html", "<!doctype html>"), ("assets/a-1.js", "run()"), ("config.json", "{}")]
        {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let sign = Arc::new(|user: &str| Ok(format!("signed for {user}")));
        WebChat::read(dir.path(), 8000, sign).unwrap()
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
