//! One request and its whole answer.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST, HeaderValue, PROXY_AUTHORIZATION, RETRY_AFTER};
use hyper_util::rt::TokioIo;
use tokio::time;

use super::connect::{ConnectError, Connector};
use super::proxy::Proxy;
use super::url::HttpUrl;

/// Until a connection is there, in ms: the name, TCP, the proxy and TLS.
const CONNECT_MS_MAX: u64 = 5_000;

/// What is asked, and where.
pub struct Exchange<'a> {
    /// Where.
    pub url: &'a HttpUrl,
    /// By which proxy.
    pub proxy: Option<&'a Proxy>,
    /// The method, the headers that belong to the question, and the body. Where it goes,
    /// `Host` and credentials of the address are filled in.
    pub request: Request<Full<Bytes>>,
    /// Of the answer.
    pub bytes_max: usize,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeAnswer {
    /// Its status.
    pub status: u16,
    /// How long it wants to be left alone: `Retry-After`, when that is a number.
    pub retry_after_s: Option<u64>,
    /// Its body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum ExchangeError {
    /// It was not asked.
    Connect(ConnectError),
    /// It may have been asked: the connection ended.
    Broken(String),
    /// It was asked, and says more than it may.
    TooLong,
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExchangeError::Connect(error) => error.fmt(f),
            ExchangeError::Broken(why) => f.write_str(why),
            ExchangeError::TooLong => f.write_str("its answer is too long"),
        }
    }
}

impl Connector {
    /// Asks, and reads the whole answer. Whoever asks has the time limit of it all.
    pub async fn exchange(&self, exchange: Exchange<'_>) -> Result<ExchangeAnswer, ExchangeError> {
        let Exchange { url, proxy, mut request, bytes_max } = exchange;
        let is_forwarded = proxy.is_some() && !url.is_tls();
        let uri = if is_forwarded { format!("{url}{}", url.path()) } else { url.path().to_owned() };
        let broken = |error: &dyn fmt::Display| ExchangeError::Broken(error.to_string());
        *request.uri_mut() = uri.parse().map_err(|error| broken(&error))?;
        let value = |text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|error| broken(&error))?;
            value.set_sensitive(true);
            Ok(value)
        };
        let headers = request.headers_mut();
        headers.insert(HOST, value(url.authority())?);
        if let Some(credentials) = url.authorization() {
            headers.insert(AUTHORIZATION, value(credentials)?);
        }
        if let Some(credentials) = proxy.and_then(Proxy::authorization).filter(|_| is_forwarded) {
            headers.insert(PROXY_AUTHORIZATION, value(credentials)?);
        }
        let limit = Duration::from_millis(CONNECT_MS_MAX);
        let stream = time::timeout(limit, self.connect(url, proxy)).await;
        let late = |_| ConnectError::Host("no connection in time".to_owned());
        let stream = stream.map_err(late).flatten().map_err(ExchangeError::Connect)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        let answer = async {
            let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
            let status = answer.status().as_u16();
            if is_forwarded && status == 407 {
                return Err(ExchangeError::Connect(ConnectError::Refused(status)));
            }
            let retry_after_s = answer.headers().get(RETRY_AFTER);
            let retry_after_s = retry_after_s
                .and_then(|value| value.to_str().ok())
                .and_then(|value| value.trim().parse().ok());
            let body = Limited::new(answer.into_body(), bytes_max).collect().await;
            match body {
                Ok(body) => Ok(ExchangeAnswer { status, retry_after_s, body: body.to_bytes() }),
                Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                    Err(ExchangeError::TooLong)
                }
                Err(error) => Err(broken(&error)),
            }
        };
        tokio::pin!(connection);
        tokio::pin!(answer);
        // The connection moves while the answer is awaited; that it ends is not yet that
        // there is none.
        tokio::select! {
            answer = &mut answer => answer,
            _ = &mut connection => answer.await,
        }
    }
}
