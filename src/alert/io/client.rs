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

/// One that can be asked many things at a time.
#[derive(Clone)]
pub struct Client {
    connector: Connector,
    proxies: ProxyRules,
}

/// What to ask.
pub struct ClientRequest<'a> {
    /// Where. May hold a token, so it is in no error.
    pub url: &'a str,
    /// By which way.
    pub way: ClientRoute<'a>,
    /// What, as JSON, with POST; `None` for GET.
    pub json: Option<String>,
    /// With POST even when there is no body.
    pub post: bool,
    /// Bearer token, or nothing.
    pub bearer: &'a str,
    /// `Idempotency-Key`, or nothing.
    pub id: &'a str,
    /// For all of it.
    pub ms_max: u64,
    /// Of the answer.
    pub bytes_max: usize,
}

/// How an address is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRoute<'a> {
    /// As the settings of the bridge, or the environment, say for all.
    Usual,
    /// Straight, whatever these say.
    Direct,
    /// By this proxy, whatever these say. May hold a password.
    Through(&'a str),
}

impl<'a> ClientRoute<'a> {
    /// What a robot's own setting means.
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
    /// It was not asked: no connection, or no such URL.
    Unreachable,
    /// It was not asked: the proxy does not lead there; its status.
    ByProxy(u16),
    /// It may have been asked: it did not answer in time, or not to the end.
    Unconfirmed,
}

/// Why there can be no client.
#[derive(Debug)]
pub struct ClientSetupError(String);

impl fmt::Display for ClientSetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Client {
    /// Trusts what the system trusts, and the certificates in `ca_file` if it names one.
    pub fn new(options: &Options) -> Result<Client, ClientSetupError> {
        let connector = Connector::new(&options.ca_file)
            .map_err(|what| ClientSetupError(format!("tls.ca_file: {what}")))?;
        Ok(Client { connector, proxies: options.proxies.clone() })
    }

    /// Asks, and reads the whole answer.
    pub async fn ask(&self, ask: ClientRequest<'_>) -> Result<ExchangeAnswer, ClientError> {
        match self.ask_in_part(ask).await {
            Ok(ExchangeAnswer { end: BodyEnd::Cut, .. }) => Err(ClientError::Unconfirmed),
            other => other,
        }
    }

    /// Asks, and reads the answer as far as it goes.
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
