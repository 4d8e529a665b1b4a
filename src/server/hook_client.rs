//! One question to an application's backend over HTTP, and its answer.
//!
//! Each has a connection of its own. Redirects are not followed, and an answer that is too long is
//! not read to its end.
//!
//! Deliberately absent: which question is asked when (`hook_queues`), and how a request is signed
//! (`backend_request`).

use std::fmt;
use std::net::IpAddr;

use aws_lc_rs::hmac;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{HeaderName, HeaderValue, USER_AGENT};

use super::backend_request::{post, signing_key};
use crate::hook::{Hook, HookReply, HookRequest, read_answer, write_body};
use crate::metrics::HookMiss;
use crate::outbound::{BodyEnd, Connector, Exchange, ExchangeError, HttpUrl};

/// Statuses by which a proxy says that nobody is behind it.
const GATEWAY_STATUSES: [u16; 3] = [502, 503, 504];

/// Where an application's backend is asked, and how.
#[derive(Clone, Default)]
pub struct HookBackend {
    /// Hooks that are asked, each once.
    pub endpoints: Vec<HookEndpoint>,
    /// Bytes of an answer.
    pub answer_bytes_max: usize,
    /// Signs bodies; empty for no signature.
    pub secret: Vec<u8>,
    /// A file with certificates that are trusted beside those of the system; empty for none.
    pub ca_file: String,
    /// The header in which the backend is told where a client connects from; empty for none.
    pub address_header: String,
}

/// The secret is not printed.
impl fmt::Debug for HookBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookBackend").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

/// Where one hook is asked.
#[derive(Clone, Debug)]
pub struct HookEndpoint {
    /// The hook.
    pub hook: Hook,
    /// The address.
    pub url: HttpUrl,
    /// How long an answer may take, in ms.
    pub timeout_ms: u64,
    /// Questions that are asked at once.
    pub at_once_max: usize,
}

/// Asks backends.
pub(super) struct HookClient {
    backend: HookBackend,
    connector: Connector,
    key: Option<hmac::Key>,
    address_header: Option<HeaderName>,
}

/// The answer, or why there is none.
pub(super) type Asked = Result<HookReply, HookCallError>;

/// Why there is no answer.
pub(super) struct HookCallError {
    pub miss: HookMiss,
    /// The same for the log.
    pub why: String,
    /// Whether nobody seems to be there. Not so where somebody says what means nothing: a client
    /// whose question its backend cannot take may not keep others from asking.
    pub is_gone: bool,
}

impl HookCallError {
    fn new(miss: HookMiss, why: impl fmt::Display) -> HookCallError {
        HookCallError { miss, why: why.to_string(), is_gone: false }
    }

    fn gone(miss: HookMiss, why: impl fmt::Display) -> HookCallError {
        HookCallError { is_gone: true, ..HookCallError::new(miss, why) }
    }

    fn of_status(status: u16) -> HookCallError {
        HookCallError {
            is_gone: GATEWAY_STATUSES.contains(&status),
            ..HookCallError::new(HookMiss::Failed, format_args!("it answers with status {status}"))
        }
    }
}

impl From<ExchangeError> for HookCallError {
    fn from(error: ExchangeError) -> HookCallError {
        let miss = match error {
            ExchangeError::Late => HookMiss::Late,
            ExchangeError::Connect(_) | ExchangeError::Broken(_) => HookMiss::Failed,
        };
        HookCallError::gone(miss, error)
    }
}

impl HookClient {
    /// The text says what is wrong with the file of certificates.
    pub fn new(backend: HookBackend) -> Result<HookClient, String> {
        let connector = Connector::new(&backend.ca_file)?;
        let key = signing_key(&backend.secret);
        let address_header = HeaderName::from_bytes(backend.address_header.as_bytes()).ok();
        Ok(HookClient { backend, connector, key, address_header })
    }

    /// Asks, for at most so many ms.
    pub async fn ask(&self, request: &HookRequest, peer: Option<IpAddr>, ms_max: u64) -> Asked {
        let hook = request.question.hook();
        let endpoint = self.backend.endpoints.iter().find(|endpoint| endpoint.hook == hook);
        let HookEndpoint { url, .. } =
            endpoint.ok_or_else(|| HookCallError::new(HookMiss::Failed, "it has no address"))?;
        let request = (self.http_request(request, peer))
            .map_err(|error| HookCallError::new(HookMiss::Failed, error))?;
        let bytes_max = self.backend.answer_bytes_max;
        let exchange = Exchange { url, proxy: None, request, bytes_max, ms_max };
        let answer = self.connector.exchange(exchange).await?;
        if answer.status != 200 {
            return Err(HookCallError::of_status(answer.status));
        }
        if answer.end == BodyEnd::Cut {
            let why = format!("its answer is not whole, or longer than {bytes_max} bytes");
            return Err(HookCallError::new(HookMiss::Invalid, why));
        }
        read_answer(hook, &answer.body)
            .map_err(|error| HookCallError::new(HookMiss::Invalid, error))
    }

    fn http_request(
        &self,
        request: &HookRequest,
        peer: Option<IpAddr>,
    ) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
        let mut request_out = post(self.key.as_ref(), Bytes::from(write_body(request)))?;
        let headers = request_out.headers_mut();
        for (name, value) in request.asker.headers.iter().flat_map(|headers| &headers.0) {
            let (name, value) =
                (HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_bytes(value)?);
            // A client's own program is told in the place of ours.
            if name == USER_AGENT {
                headers.insert(name, value);
            } else {
                headers.append(name, value);
            }
        }
        if let (Some(name), Some(peer)) = (&self.address_header, peer) {
            headers.insert(name.clone(), HeaderValue::from_str(&peer.to_string())?);
        }
        Ok(request_out)
    }
}
