//! The HTTP client: robots, Prometheus, Alertmanager, admin listeners. Certificates
//! are verified, redirects are not followed, and answers have a limit in time and size.

use std::fmt;

use bytes::Bytes;
use http_body_util::Full;

use crate::alert::options::Options;
use crate::outbound::{
    BodyEnd, ConnectError, Connector, DIRECT, Exchange, ExchangeAnswer, ExchangeError, HttpUrl,
    Proxy, ProxyRules,
};

/// A client for many requests at a time.
#[derive(Clone)]
pub struct Client {
    connector: Connector,
    proxies: ProxyRules,
}

/// A request.
pub struct ClientRequest<'a> {
    /// The URL. It may contain a token, so it is in no error.
    pub url: &'a str,
    /// How the host is reached.
    pub way: ClientRoute<'a>,
    /// The JSON body of a POST; `None` for GET.
    pub json: Option<String>,
    /// Whether the method is POST even without a body.
    pub post: bool,
    /// Bearer token, or nothing.
    pub bearer: &'a str,
    /// `Idempotency-Key`, or nothing.
    pub id: &'a str,
    /// The time limit for the whole request, in ms.
    pub ms_max: u64,
    /// The size limit of the answer, in bytes.
    pub bytes_max: usize,
}

/// How an address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRoute<'a> {
    /// By the proxy rules of the settings, or of the environment.
    Usual,
    /// Without a proxy.
    Direct,
    /// By this proxy. It may contain a password.
    Through(&'a str),
}

impl<'a> ClientRoute<'a> {
    /// The route of a robot's own setting.
    pub fn of_setting(proxy: &'a str) -> ClientRoute<'a> {
        match proxy {
            "" => ClientRoute::Usual,
            DIRECT => ClientRoute::Direct,
            proxy => ClientRoute::Through(proxy),
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientError {
    /// The request was not sent: there is no connection, or the URL is wrong.
    Unreachable,
    /// The request was not sent: the proxy refused to connect, with this status.
    ByProxy(u16),
    /// The request may have arrived: there was no complete answer in time.
    Unconfirmed,
}

/// Why a client cannot be made.
#[derive(Debug)]
pub struct ClientSetupError(String);

impl fmt::Display for ClientSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Client {
    /// A client that trusts the roots of the system, and those in `ca_file`.
    pub fn new(options: &Options) -> Result<Client, ClientSetupError> {
        let connector = Connector::new(&options.ca_file)
            .map_err(|what| ClientSetupError(format!("tls.ca_file: {what}")))?;
        Ok(Client { connector, proxies: options.proxies.clone() })
    }

    /// Sends a request, and reads the whole answer.
    pub async fn ask(&self, ask: ClientRequest<'_>) -> Result<ExchangeAnswer, ClientError> {
        match self.ask_in_part(ask).await {
            Ok(ExchangeAnswer { end: BodyEnd::Cut, .. }) => Err(ClientError::Unconfirmed),
            other => other,
        }
    }

    /// Sends a request, and reads the answer as far as it comes.
    pub async fn ask_in_part(&self, ask: ClientRequest<'_>) -> Result<ExchangeAnswer, ClientError> {
        let url = HttpUrl::parse(ask.url).map_err(|_| ClientError::Unreachable)?;
        let named;
        let proxy = match ask.way {
            ClientRoute::Usual => self.proxies.proxy_for(&url),
            ClientRoute::Direct => None,
            ClientRoute::Through(proxy) => {
                named = Proxy::parse(proxy).map_err(|_| ClientError::Unreachable)?;
                Some(&named)
            }
        };
        let method = if ask.json.is_some() || ask.post { "POST" } else { "GET" };
        let mut request = hyper::Request::builder()
            .method(method)
            .header("user-agent", concat!("rookery-alert-bridge/", env!("CARGO_PKG_VERSION")));
        if ask.json.is_some() {
            request = request.header("content-type", "application/json; charset=utf-8");
        }
        if !ask.bearer.is_empty() {
            request = request.header("authorization", format!("Bearer {}", ask.bearer));
        }
        if !ask.id.is_empty() {
            request = request.header("idempotency-key", ask.id);
        }
        let body = Full::new(Bytes::from(ask.json.unwrap_or_default()));
        let request = request.body(body).map_err(|_| ClientError::Unreachable)?;
        let (bytes_max, ms_max) = (ask.bytes_max, ask.ms_max);
        let exchange = Exchange { url: &url, proxy, request, bytes_max, ms_max };
        match self.connector.exchange(exchange).await {
            Ok(answer) => Ok(answer),
            Err(ExchangeError::Connect(ConnectError::Refused(status))) => {
                Err(ClientError::ByProxy(status))
            }
            Err(ExchangeError::Connect(ConnectError::Host(_) | ConnectError::Proxy(_))) => {
                Err(ClientError::Unreachable)
            }
            Err(ExchangeError::Broken(_) | ExchangeError::Late) => Err(ClientError::Unconfirmed),
        }
    }
}
