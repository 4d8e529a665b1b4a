//! One question of a command to Alertmanager, to an alert bridge or to the admin listener of a
//! server, and its answer, within limits of time and size.
//!
//! Invariant: no fault has a token, nor more of an address than its host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::Value;
use tokio::{runtime, time};

use super::text::plain;
use crate::outbound::{BodyEnd, Connector, Exchange, HttpUrl, ProxyError, ProxyRules, UrlError};

/// Characters of a refusal that are repeated.
const WORDS_CHARS_MAX: usize = 300;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServiceKind {
    /// Alertmanager.
    Alertmanager,
    /// An alert bridge.
    Bridge,
    /// The admin listener of a server.
    Server,
}

impl ServiceKind {
    fn name(self) -> &'static str {
        match self {
            ServiceKind::Alertmanager => "Alertmanager",
            ServiceKind::Bridge => "the alert bridge",
            ServiceKind::Server => "the server",
        }
    }

    fn example(self) -> &'static str {
        match self {
            ServiceKind::Alertmanager => "http://127.0.0.1:9093",
            ServiceKind::Bridge => "http://127.0.0.1:9494",
            ServiceKind::Server => "http://127.0.0.1:8001",
        }
    }

    /// Bytes of an answer. A silence takes some hundred; a page of what chats
    /// refused has fifty alerts, each of 64 KiB at most, and more where it is escaped. A page of
    /// metrics has 20,000 samples at most.
    fn answer_bytes_max(self) -> usize {
        match self {
            ServiceKind::Alertmanager => 4 << 20,
            ServiceKind::Bridge => 32 << 20,
            ServiceKind::Server => 8 << 20,
        }
    }

    /// For one question with its answer. Whoever watches a server wants to see that it is
    /// silent; it answers within milliseconds.
    fn exchange_s_max(self) -> u64 {
        match self {
            ServiceKind::Alertmanager | ServiceKind::Bridge => 10,
            ServiceKind::Server => 3,
        }
    }
}

/// What a question gives.
pub(super) type ServiceResult<T> = Result<T, ServiceError>;

/// Why there is no answer. The address may have a password, so all but its host is in none.
#[derive(Debug)]
pub(super) enum ServiceError {
    /// Nobody can be asked there.
    Address(ServiceKind, UrlError),
    /// The address has a query.
    Query(ServiceKind),
    /// A variable of the environment names a proxy that cannot be used.
    Proxy(&'static str, ProxyError),
    /// Certificates cannot be read.
    Certificates(String),
    /// The token has letters that no header may have.
    Token,
    /// No connection, or one that ended too early.
    Broken(ServiceKind, String, String),
    /// It did not answer in time.
    Late(ServiceKind, String),
    /// It said no.
    Refused(ServiceKind, String, u16, String),
    /// What it said cannot be understood.
    Unreadable(ServiceKind, String, String),
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceError::Address(kind, error) => {
                write!(f, "no address such as {}: {error}", kind.example())
            }
            ServiceError::Query(kind) => write!(f, "the address of {} has no query", kind.name()),
            ServiceError::Proxy(name, error) => write!(f, "{name}: {error}"),
            ServiceError::Certificates(why) => write!(f, "--ca-file: {why}"),
            ServiceError::Token => f.write_str("the token is no text of a header"),
            ServiceError::Broken(kind, host, why) => write!(f, "{} at {host}: {why}", kind.name()),
            ServiceError::Late(kind, host) => {
                let s = kind.exchange_s_max();
                write!(f, "{} at {host} did not answer within {s} s", kind.name())
            }
            ServiceError::Refused(kind, host, status, words) => {
                write!(f, "{} at {host} says {status}: {words}", kind.name())
            }
            ServiceError::Unreadable(kind, host, why) => {
                write!(f, "what {} at {host} says cannot be read: {why}", kind.name())
            }
        }
    }
}

/// Where one listens.
pub(super) struct Service {
    kind: ServiceKind,
    /// Without a slash at the end.
    url: String,
    /// Without credentials, for people.
    shown: String,
    proxies: ProxyRules,
    connector: Connector,
    /// The value of `Authorization`, unless the address has its own.
    bearer: Option<HeaderValue>,
}

impl Service {
    /// Takes an address apart; `env` says which proxies lead outside.
    pub(super) fn at(
        kind: ServiceKind,
        url: &str,
        ca_file: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> ServiceResult<Service> {
        let parsed = HttpUrl::parse(url).map_err(|error| ServiceError::Address(kind, error))?;
        if parsed.path().contains('?') {
            return Err(ServiceError::Query(kind));
        }
        let proxies =
            ProxyRules::from_env(env).map_err(|(name, error)| ServiceError::Proxy(name, error))?;
        let connector = Connector::new(ca_file).map_err(ServiceError::Certificates)?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Service { kind, url, shown: parsed.to_string(), proxies, connector, bearer: None })
    }

    /// Who asks says this token; an empty one is none.
    pub(super) fn with_token(mut self, token: &str) -> ServiceResult<Service> {
        if !token.is_empty() {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut value = value.map_err(|_| ServiceError::Token)?;
            value.set_sensitive(true);
            self.bearer = Some(value);
        }
        Ok(self)
    }

    /// Where it is, for people.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// Asks, and waits for the whole answer, which is JSON; an empty one says nothing.
    pub(super) fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> ServiceResult<Value> {
        let answer = self.tell(method, path, body)?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer).map_err(|error| self.unreadable(&error))
    }

    /// Asks, and waits until it says that it is done, in whatever words.
    pub(super) fn tell(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> ServiceResult<Bytes> {
        let broken = |error: &dyn fmt::Display| {
            ServiceError::Broken(self.kind, self.shown.clone(), error.to_string())
        };
        let body = body.map_or_else(String::new, Value::to_string);
        let url = HttpUrl::parse(&format!("{}{path}", self.url))
            .map_err(|error| ServiceError::Address(self.kind, error))?;
        let mut request = Request::builder()
            .method(method)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| broken(&error))?;
        if let Some(bearer) = &self.bearer {
            request.headers_mut().insert(AUTHORIZATION, bearer.clone());
        }
        let proxy = self.proxies.proxy_for(&url);
        let exchange = Exchange {
            url: &url,
            proxy,
            request,
            bytes_max: self.kind.answer_bytes_max(),
            ms_max: self.kind.exchange_s_max() * 1_000,
        };
        let limit = Duration::from_secs(self.kind.exchange_s_max());
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| broken(&error))?;
        let answer = runtime
            .block_on(async { time::timeout(limit, self.connector.exchange(exchange)).await });
        let answer = answer.map_err(|_| ServiceError::Late(self.kind, self.shown.clone()))?;
        let answer = answer.map_err(|error| broken(&error))?;
        if answer.end == BodyEnd::Cut {
            return Err(broken(&"its answer does not end, or is too long"));
        }
        match answer.status {
            200..300 => Ok(answer.body),
            status => Err(self.refused(status, &answer.body)),
        }
    }

    fn refused(&self, status: u16, body: &[u8]) -> ServiceError {
        let words = String::from_utf8_lossy(body);
        let words = plain(words.trim().trim_matches('"'));
        let words = words.chars().take(WORDS_CHARS_MAX).collect();
        ServiceError::Refused(self.kind, self.shown.clone(), status, words)
    }

    /// What it said is not what was asked for.
    pub(super) fn unreadable(&self, why: &dyn fmt::Display) -> ServiceError {
        ServiceError::Unreadable(self.kind, self.shown.clone(), why.to_string())
    }
}

/// How this host reaches what listens there.
pub(super) fn reached(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_perhaps_a_prefix_and_its_password_is_not_told() {
        let at = |url: &str| Service::at(ServiceKind::Alertmanager, url, "", &|_| None);
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
        let told = Service::at(ServiceKind::Alertmanager, "http://a", "", &socks);
        let told = told.err().unwrap().to_string();
        assert!(told.starts_with("all_proxy: ") && !told.contains("secret"), "{told}");
    }

    #[test]
    fn a_refusal_is_repeated_without_what_a_terminal_obeys() {
        let service =
            Service::at(ServiceKind::Bridge, "http://me:s3cret@a", "", &|_| None).ok().unwrap();
        let words = service.refused(400, b"\"bad \x1b[2J matcher\"\n").to_string();
        assert!(words.contains("400") && words.contains("matcher"), "{words}");
        assert!(!words.contains('\u{1b}'), "{words}");
        assert!(
            words.starts_with("the alert bridge at http://a says ") && !words.contains("s3cret")
        );
        assert!(service.with_token("a\nb").err().unwrap().to_string().contains("no text"));
    }
}
