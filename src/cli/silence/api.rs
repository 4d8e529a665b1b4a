//! One question to Alertmanager, and its answer, within limits of time and size.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::{runtime, time};

/// For one question with its answer.
const EXCHANGE_S_MAX: u64 = 10;

/// Of an answer; a silence takes some hundred.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Of a refusal, what is repeated.
const WORDS_CHARS_MAX: usize = 300;

/// What a question gives.
pub(super) type Answer<T> = Result<T, Fault>;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// This is no address of an Alertmanager.
    Address(String),
    /// No connection, or one that ended too early.
    Broken(String, String),
    /// It did not answer in time.
    Late(String),
    /// It said no.
    Refused(StatusCode, String),
    /// What it said is no JSON, or too long.
    Unreadable(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Address(url) => write!(
                f,
                "{url:?} is no address such as http://127.0.0.1:9093; https is not spoken"
            ),
            Fault::Broken(host, why) => write!(f, "Alertmanager at {host}: {why}"),
            Fault::Late(host) => {
                write!(f, "Alertmanager at {host} did not answer within {EXCHANGE_S_MAX} s")
            }
            Fault::Refused(status, words) => write!(f, "Alertmanager says {status}: {words}"),
            Fault::Unreadable(why) => write!(f, "Alertmanager's answer cannot be read: {why}"),
        }
    }
}

/// Where one listens.
#[derive(Debug)]
pub(super) struct Alertmanager {
    /// Host and port.
    host: String,
    /// What stands in front of its paths, where a proxy has put something.
    prefix: String,
}

impl Alertmanager {
    /// Takes an address apart.
    pub(super) fn at(url: &str) -> Answer<Alertmanager> {
        let refuse = || Fault::Address(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| refuse())?;
        let authority = uri.authority().ok_or_else(refuse)?;
        let is_plain = uri.scheme_str() == Some("http") && !authority.as_str().contains('@');
        if !is_plain || uri.query().is_some() {
            return Err(refuse());
        }
        let port = authority.port_u16().unwrap_or(80);
        let host = format!("{}:{port}", authority.host());
        Ok(Alertmanager { host, prefix: uri.path().trim_end_matches('/').to_owned() })
    }

    /// Asks, and waits for the whole answer.
    pub(super) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer<Value> {
        let broken = |error: &dyn fmt::Display| Fault::Broken(self.host.clone(), error.to_string());
        let body = body.map_or_else(String::new, Value::to_string);
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(HOST, &self.host)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| broken(&error))?;
        let exchange = async {
            let stream = TcpStream::connect(&self.host).await.map_err(|error| broken(&error))?;
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
            let answer = async {
                let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
                let status = answer.status();
                let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
                let body = body.map_err(|error| Fault::Unreadable(error.to_string()))?;
                Ok((status, body.to_bytes()))
            };
            tokio::pin!(connection);
            tokio::pin!(answer);
            // The connection moves while the answer is awaited; that it ends is not
            // yet that there is none.
            tokio::select! {
                answer = &mut answer => answer,
                _ = &mut connection => answer.await,
            }
        };
        let limit = Duration::from_secs(EXCHANGE_S_MAX);
        let late = |_| Fault::Late(self.host.clone());
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| broken(&error))?;
        let (status, body) =
            runtime.block_on(async { time::timeout(limit, exchange).await }).map_err(late)??;
        understood(status, &body)
    }
}

/// What an answer says; an empty one says nothing.
fn understood(status: StatusCode, body: &[u8]) -> Answer<Value> {
    if !status.is_success() {
        let words = String::from_utf8_lossy(body);
        let words = super::plain(words.trim().trim_matches('"'));
        return Err(Fault::Refused(status, words.chars().take(WORDS_CHARS_MAX).collect()));
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| Fault::Unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_perhaps_a_prefix() {
        let check = |url: &str, host: &str, prefix: &str| {
            let it = Alertmanager::at(url).unwrap();
            assert_eq!((it.host.as_str(), it.prefix.as_str()), (host, prefix), "{url}");
        };
        check("http://127.0.0.1:9093", "127.0.0.1:9093", "");
        check("http://alerts.internal/", "alerts.internal:80", "");
        check("http://[::1]:9093/am/", "[::1]:9093", "/am");
        for url in
            ["", "127.0.0.1:9093", "https://a", "http://u:p@a", "http://a/?x", "ftp://a", "/"]
        {
            assert!(Alertmanager::at(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_refusal_is_repeated_without_what_a_terminal_obeys() {
        let fault = understood(StatusCode::BAD_REQUEST, b"\"bad \x1b[2J matcher\"\n").unwrap_err();
        let words = fault.to_string();
        assert!(words.contains("400") && words.contains("matcher"), "{words}");
        assert!(!words.contains('\u{1b}'), "{words}");
        assert!(understood(StatusCode::OK, b"<html>").is_err());
        assert_eq!(understood(StatusCode::OK, b"").unwrap(), Value::Null);
    }
}
