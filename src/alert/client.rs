//! The HTTP client: robots, Prometheus, Alertmanager, admin listeners. Certificates
//! are verified, redirects are not followed, and answers have a limit in time and size.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time;

use crate::trust;

/// Until a connection is there; name, TCP and TLS.
const CONNECT_MS_MAX: u64 = 3_000;

/// One that can be asked many things at a time.
#[derive(Clone)]
pub struct Client {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// What to ask.
pub struct Ask<'a> {
    /// Where. May hold a token, so it is in no error.
    pub url: &'a str,
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

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failed {
    /// It was not asked: no connection, or no such URL.
    Unreachable,
    /// It may have been asked: it did not answer in time, or not to the end.
    Doubtful,
}

/// Why there can be no client.
#[derive(Debug)]
pub struct NoClient(String);

impl fmt::Display for NoClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Client {
    /// Trusts what the system trusts, and the certificates in `ca_file` if it names one.
    pub fn new(ca_file: &str) -> Result<Client, NoClient> {
        let tls =
            trust::client(ca_file).map_err(|what| NoClient(format!("tls.ca_file: {what}")))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(Duration::from_millis(CONNECT_MS_MAX)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        // A kept connection may end while it is used, and then nobody knows; a new one
        // for each of a few requests a minute costs nothing.
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .build(connector);
        Ok(Client { http })
    }

    /// Asks, and reads the whole answer: its status and its body.
    pub async fn ask(&self, ask: Ask<'_>) -> Result<(u16, Vec<u8>), Failed> {
        let method = if ask.json.is_some() || ask.post { "POST" } else { "GET" };
        let mut request = hyper::Request::builder()
            .method(method)
            .uri(ask.url)
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
        let request = request.body(body).map_err(|_| Failed::Unreachable)?;
        let exchange = async {
            let answer = self.http.request(request).await.map_err(|error| {
                if error.is_connect() { Failed::Unreachable } else { Failed::Doubtful }
            })?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), ask.bytes_max).collect().await;
            let body = body.map_err(|_| Failed::Doubtful)?;
            Ok((status, body.to_bytes().to_vec()))
        };
        let limit = Duration::from_millis(ask.ms_max);
        time::timeout(limit, exchange).await.unwrap_or(Err(Failed::Doubtful))
    }
}
