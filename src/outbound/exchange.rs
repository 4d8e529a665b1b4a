//! One request and its whole answer.

use std::fmt;
use std::io::Read as _;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, DATE, HOST, HeaderMap, HeaderName,
    HeaderValue, PROXY_AUTHORIZATION, RETRY_AFTER,
};
use hyper_util::rt::TokioIo;
use tokio::time;

use super::connect::{ConnectError, Connector};
use super::proxy::Proxy;
use super::retry_after;
use super::url::HttpUrl;
use crate::clock::time_of_day;

/// Until a connection is there, in ms: the name, TCP, the proxy and TLS.
const CONNECT_MS_MAX: u64 = 5_000;

/// What is asked, and where.
pub struct Exchange<'a> {
    /// The address that is asked.
    pub url: &'a HttpUrl,
    /// The proxy that it goes by.
    pub proxy: Option<&'a Proxy>,
    /// The method, the headers that belong to the question, and the body. Where it goes,
    /// `Host` and credentials of the address are filled in.
    pub request: Request<Full<Bytes>>,
    /// Bytes of the answer.
    pub bytes_max: usize,
    /// For all of it. What has come of a body until then is kept.
    pub ms_max: u64,
}

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEnd {
    /// It is whole.
    Whole,
    /// The connection or the time ended before it, or it is too long: this is its beginning.
    Cut,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeAnswer {
    /// Its status.
    pub status: u16,
    /// How long it wants to be left alone, by its `Retry-After`, if that means something.
    pub retry_after_ms: Option<u64>,
    /// Its body, without what a `Content-Encoding` did to it.
    pub body: Bytes,
    /// How that ended.
    pub end: BodyEnd,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum ExchangeError {
    /// It was not asked.
    Connect(ConnectError),
    /// It may have been asked: the connection ended.
    Broken(String),
    /// It was asked, and said nothing in time.
    Late,
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExchangeError::Connect(error) => error.fmt(f),
            ExchangeError::Broken(why) => f.write_str(why),
            ExchangeError::Late => f.write_str("it did not answer in time"),
        }
    }
}

impl Connector {
    /// Asks, and reads the answer to its end or as far as it goes.
    pub async fn exchange(&self, exchange: Exchange<'_>) -> Result<ExchangeAnswer, ExchangeError> {
        let Exchange { url, proxy, mut request, bytes_max, ms_max } = exchange;
        let deadline = time::Instant::now() + Duration::from_millis(ms_max);
        let is_forwarded = proxy.is_some() && !url.is_tls();
        let uri = if is_forwarded { format!("{url}{}", url.path()) } else { url.path().to_owned() };
        *request.uri_mut() = uri.parse().map_err(|error| broken(&error))?;
        let value = |text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|error| broken(&error))?;
            value.set_sensitive(true);
            Ok(value)
        };
        let headers = request.headers_mut();
        headers.insert(HOST, value(url.authority())?);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(credentials) = url.authorization() {
            headers.insert(AUTHORIZATION, value(credentials)?);
        }
        if let Some(credentials) = proxy.and_then(Proxy::authorization).filter(|_| is_forwarded) {
            headers.insert(PROXY_AUTHORIZATION, value(credentials)?);
        }
        let limit = Duration::from_millis(CONNECT_MS_MAX.min(ms_max));
        let stream = time::timeout(limit, self.connect(url, proxy)).await;
        let late = |_| ConnectError::Host("no connection in time".to_owned());
        let stream = stream.map_err(late).flatten().map_err(ExchangeError::Connect)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        let answer = async {
            let answer = time::timeout_at(deadline, sender.send_request(request)).await;
            let answer =
                answer.map_err(|_| ExchangeError::Late)?.map_err(|error| broken(&error))?;
            let (head, body) = answer.into_parts();
            let status = head.status.as_u16();
            if is_forwarded && status == 407 {
                return Err(ExchangeError::Connect(ConnectError::Refused(status)));
            }
            let (body, end) = read(body, bytes_max, deadline).await;
            let (body, end) = decoded(&head.headers, body, end, bytes_max);
            let retry_after_ms = retry_after_ms(&head.headers);
            Ok(ExchangeAnswer { status, retry_after_ms, body: Bytes::from(body), end })
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

fn broken(error: &dyn fmt::Display) -> ExchangeError {
    ExchangeError::Broken(error.to_string())
}

fn text_of(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let value = text_of(headers, RETRY_AFTER)?;
    retry_after::wait_ms(value, text_of(headers, DATE), time_of_day())
}

/// Reads a body, as much of it as comes in time and has room.
async fn read(mut body: Incoming, bytes_max: usize, deadline: time::Instant) -> (Vec<u8>, BodyEnd) {
    let mut bytes = Vec::new();
    loop {
        match time::timeout_at(deadline, body.frame()).await {
            Ok(None) => return (bytes, BodyEnd::Whole),
            Ok(Some(Ok(frame))) => {
                let Ok(data) = frame.into_data() else { continue };
                let room = bytes_max - bytes.len();
                bytes.extend_from_slice(&data[..data.len().min(room)]);
                if data.len() > room {
                    return (bytes, BodyEnd::Cut);
                }
            }
            Ok(Some(Err(_))) | Err(_) => return (bytes, BodyEnd::Cut),
        }
    }
}

/// Undoes what some do to a body although nobody asked for it.
fn decoded(
    headers: &HeaderMap,
    body: Vec<u8>,
    end: BodyEnd,
    bytes_max: usize,
) -> (Vec<u8>, BodyEnd) {
    let coding = text_of(headers, CONTENT_ENCODING).unwrap_or_default().trim().to_ascii_lowercase();
    let mut plain = Vec::new();
    let bytes_max_u64 = bytes_max as u64;
    let unpacked = match coding.as_str() {
        "gzip" | "x-gzip" => {
            MultiGzDecoder::new(&body[..]).take(bytes_max_u64).read_to_end(&mut plain)
        }
        "deflate" => ZlibDecoder::new(&body[..]).take(bytes_max_u64).read_to_end(&mut plain),
        _ => return (body, end),
    };
    match unpacked {
        Ok(_) if plain.len() < bytes_max => (plain, end),
        Ok(_) | Err(_) => (plain, BodyEnd::Cut),
    }
}
