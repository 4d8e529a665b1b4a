//! One question to Alertmanager, and its answer, within limits of time and size.

use std::fmt;
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use serde_json::Value;
use tokio::{runtime, time};

use crate::outbound::{BodyEnd, Connector, Exchange, HttpUrl, ProxyError, ProxyRules, UrlError};

/// For one question with its answer.
const EXCHANGE_S_MAX: u64 = 10;

/// Of an answer; a silence takes some hundred.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Of a refusal, what is repeated.
const WORDS_CHARS_MAX: usize = 300;

/// What a question gives.
pub(super) type Answer<T> = Result<T, Fault>;

/// Why there is no answer. The address may have a password, so all but its host is in none.
#[derive(Debug)]
pub(super) enum Fault {
    /// This is no address of an Alertmanager.
    Address(UrlError),
    /// It has a query.
    Query,
    /// A variable of the environment names a proxy that cannot be used.
    Proxy(&'static str, ProxyError),
    /// Certificates cannot be read.
    Certificates(String),
    /// No connection, or one that ended too early.
    Broken(String, String),
    /// It did not answer in time.
    Late(String),
    /// It said no.
    Refused(u16, String),
    /// What it said is no JSON.
    Unreadable(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Address(error) => {
                write!(f, "no address such as http://127.0.0.1:9093: {error}")
            }
            Fault::Query => f.write_str("the address of Alertmanager has no query"),
            Fault::Proxy(name, error) => write!(f, "{name}: {error}"),
            Fault::Certificates(why) => write!(f, "--ca-file: {why}"),
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
pub(super) struct Alertmanager {
    /// Without a slash at the end.
    url: String,
    /// Without credentials, for people.
    shown: String,
    proxies: ProxyRules,
    connector: Connector,
}

impl Alertmanager {
    /// Takes an address apart; `env` says which proxies lead outside.
    pub(super) fn at(
        url: &str,
        ca_file: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Answer<Alertmanager> {
        let parsed = HttpUrl::parse(url).map_err(Fault::Address)?;
        if parsed.path().contains('?') {
            return Err(Fault::Query);
        }
        let proxies =
            ProxyRules::from_env(env).map_err(|(name, error)| Fault::Proxy(name, error))?;
        let connector = Connector::new(ca_file).map_err(Fault::Certificates)?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Alertmanager { url, shown: parsed.to_string(), proxies, connector })
    }

    /// Asks, and waits for the whole answer.
    pub(super) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer<Value> {
        let broken =
            |error: &dyn fmt::Display| Fault::Broken(self.shown.clone(), error.to_string());
        let body = body.map_or_else(String::new, Value::to_string);
        let url = HttpUrl::parse(&format!("{}{path}", self.url)).map_err(Fault::Address)?;
        let request = Request::builder()
            .method(method)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| broken(&error))?;
        let proxy = self.proxies.proxy_for(&url);
        let exchange = Exchange {
            url: &url,
            proxy,
            request,
            bytes_max: ANSWER_BYTES_MAX,
            ms_max: EXCHANGE_S_MAX * 1_000,
        };
        let limit = Duration::from_secs(EXCHANGE_S_MAX);
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| broken(&error))?;
        let answer = runtime
            .block_on(async { time::timeout(limit, self.connector.exchange(exchange)).await });
        let answer = answer.map_err(|_| Fault::Late(self.shown.clone()))?;
        let answer = answer.map_err(|error| broken(&error))?;
        if answer.end == BodyEnd::Cut {
            return Err(broken(&"its answer does not end, or is too long"));
        }
        understood(answer.status, &answer.body)
    }
}

/// What an answer says; an empty one says nothing.
fn understood(status: u16, body: &[u8]) -> Answer<Value> {
    if !(200..300).contains(&status) {
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
    fn an_address_is_a_host_and_perhaps_a_prefix_and_its_password_is_not_told() {
        let at = |url: &str| Alertmanager::at(url, "", &|_| None);
        for url in ["http://127.0.0.1:9093", "https://u:p@a.internal/am/", "http://[::1]:9093"] {
            assert!(at(url).is_ok(), "{url}");
        }
        assert_eq!(at("https://u:p@a.internal/am/").ok().unwrap().url, "https://u:p@a.internal/am");
        for url in
            ["", "127.0.0.1:9093", "http://u:secret@", "http://u:secret@a/?x", "ftp://a", "/"]
        {
            let told = at(url).err().expect("it is refused").to_string();
            assert!(!told.contains("secret"), "{told}");
        }
        let socks = |name: &str| (name == "all_proxy").then(|| "socks5://u:secret@h".to_owned());
        let told = Alertmanager::at("http://a", "", &socks).err().unwrap().to_string();
        assert!(told.starts_with("all_proxy: ") && !told.contains("secret"), "{told}");
    }

    #[test]
    fn a_refusal_is_repeated_without_what_a_terminal_obeys() {
        let fault = understood(400, b"\"bad \x1b[2J matcher\"\n").unwrap_err();
        let words = fault.to_string();
        assert!(words.contains("400") && words.contains("matcher"), "{words}");
        assert!(!words.contains('\u{1b}'), "{words}");
        assert!(understood(200, b"<html>").is_err());
        assert_eq!(understood(200, b"").unwrap(), Value::Null);
    }
}
