//! The server API's listener: HTTP on the control thread.
//!
//! | request | answer |
//! |---|---|
//! | `POST /api/<method>` with `X-API-Key`, a JSON object | 200 with `result`, `replies` or `error` |
//! | `POST /api/v1/<method>`, the same | the same |
//! | `GET /api/openapi.json` with any key | 200 with the document of all methods (`openapi`) |
//! | `POST /api/v1/presence_state`, the same | 200 with a page of the presence feed's state |
//! | a field that is missing or out of its range | 400, and the field's name |
//! | no key, a wrong one, or one in the URL | 401 |
//! | a key without the right | 403, whatever exists |
//! | what is named is not there, of an operator's method | 404, and the field's name |
//! | a body that is too large, or too slow | 413, 408 |
//! | more questions or bodies than can be under way | 503 with `Retry-After`: nothing was done |
//! | a core that hangs, or a drain in between | 504: what was done is not known |
//! | another path, another HTTP method | 404, 405 |
//!
//! Invariant: nothing of a body is looked at before its key.
//!
//! Deliberately absent: TLS. It belongs on a loopback or management address, or behind a
//! proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time;

use super::api_audit::{act_outcome, acts_of};
use super::api_calls::ApiRequest;
use super::api_control::ControlLink;
use super::api_counts::{label, outcome};
use super::api_paths::method_at;
use super::blocks::BlockRequest;
use super::caller_key::{CallerKeyError, caller_key};
use super::openapi::{DOCUMENT_PATH, STATE_PATH, openapi_json};
use super::presence_keeper::FeedLink;
use super::presence_state::state_body;
use crate::admin::AuditLog;
use crate::api::{
    ApiReplies, BlockReplies, Caller, ControlAsk, ControlOutcome, Questions, answer, plan,
};
use crate::auth::{ApiKey, ApiKeys};
use crate::base::UserHash;
use crate::clock::unix_ms;
use crate::console::{AuditAction, AuditEvent, AuditOutcome, AuditVia};
use crate::http_server::{HttpLimits, HttpServer, PeerAddr};
use crate::metrics::{BackendMethod, BackendOutcome, Counter, SharedMetricsWriter};
use crate::room::Namespace;
use crate::session::NameKey;
use crate::shard::ServerReply;
use crate::wire::ErrorCode;
use crate::wire::api::{
    ApiAnswer, ApiField, ApiMethod, ApiNode, ApiRequestError, parse_call, parse_state_call,
    write_answer,
};

/// Connections of backends at a time; backends have pools of a few.
pub(super) const CONNECTIONS_MAX: usize = 256;

/// From the head of a request to the last byte of its answer.
const EXCHANGE_MS_MAX: u64 = 20_000;

/// Bodies of all requests that are not answered; more are refused. Each counts as long as it says
/// that it is, before it is read.
const BODIES_BYTES_MAX: usize = 64 << 20;

/// Bodies are counted in so many bytes.
const BODY_PERMIT_BYTES: usize = 1 << 10;

/// For the body of a request.
const BODY_MS_MAX: u64 = 5_000;

/// Of a body that is too large, so much is read for nothing, so that its sender reads why.
const FORGOTTEN_BYTES_MAX: usize = 16 << 20;

/// For the answers of all rooms to one request.
const ANSWER_MS_MAX: u64 = 10_000;

/// Pools keep connections for about a minute.
const IDLE_MS_MAX: u64 = 75_000;

/// After so many seconds a request that was refused may be made again.
const RETRY_AFTER_S: &str = "1";

/// Where the server API listens, and what it takes.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// Its address; `None` for no server API.
    pub listen: Option<SocketAddr>,
    /// Bytes of one body.
    pub body_bytes_max: u32,
}

impl Default for ApiOptions {
    fn default() -> ApiOptions {
        ApiOptions { listen: None, body_bytes_max: 1 << 20 }
    }
}

/// What the listener's requests share.
#[derive(Clone)]
pub(super) struct ApiState {
    pub asked: mpsc::Sender<ApiRequest>,
    pub blocks: mpsc::Sender<BlockRequest>,
    /// The control thread, about the server itself.
    pub control: ControlLink,
    pub keys: watch::Receiver<Arc<ApiKeys>>,
    pub names: NameKey,
    pub namespaces: Arc<[Namespace]>,
    pub body_bytes_max: u32,
    /// What the server says of itself.
    pub node: Arc<dyn Fn() -> ApiNode + Send + Sync>,
    /// What bodies may take yet.
    pub bodies: Bodies,
    pub document: Document,
    /// Where it is written down what backends do.
    pub audit: AuditLog,
    /// The presence feed, if there is one.
    pub feed: Option<FeedLink>,
    pub metrics: SharedMetricsWriter,
}

impl ApiState {
    /// Writes down what a backend did, by the name of its key.
    async fn tell(
        &self,
        key: &str,
        PeerAddr(from): PeerAddr,
        action: AuditAction,
        target: Box<str>,
        outcome: AuditOutcome,
    ) {
        let event = AuditEvent {
            unix_ms: unix_ms(),
            action,
            actor: key.into(),
            via: AuditVia::Api,
            from: Some(from),
            target,
            outcome,
        };
        self.audit.tell(event).await;
    }

    /// Writes down that somebody has no key that counts, and answers them.
    async fn refused(&self, peer: PeerAddr, error: &CallerKeyError) -> (BackendOutcome, Response) {
        let outcome = AuditOutcome::Refused(error.word());
        self.tell("", peer, AuditAction::CredentialRefused, "".into(), outcome).await;
        unauthorized(error)
    }
}

/// What the bodies of all requests that are not answered may take.
#[derive(Clone, Debug)]
pub(super) struct Bodies(Arc<Semaphore>);

impl Bodies {
    /// Nobody has sent one; one of `body_bytes_max` has room.
    pub fn new(body_bytes_max: u32) -> Bodies {
        let bytes = BODIES_BYTES_MAX.max(body_bytes_max as usize);
        Bodies(Arc::new(Semaphore::new(bytes.div_ceil(BODY_PERMIT_BYTES))))
    }

    /// Room for a body, until it is dropped. One that does not say how long it is may be as long
    /// as any.
    fn reserve(&self, body: &Body, bytes_max: usize) -> Option<OwnedSemaphorePermit> {
        let told = body.size_hint().exact().and_then(|bytes| usize::try_from(bytes).ok());
        let bytes = told.map_or(bytes_max, |bytes| bytes.min(bytes_max));
        let permits = u32::try_from(bytes.div_ceil(BODY_PERMIT_BYTES)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(permits).ok()
    }
}

/// The document of the API, made once.
#[derive(Clone, Debug)]
pub(super) struct Document(Bytes);

impl Document {
    pub fn new() -> Document {
        Document(openapi_json().into())
    }
}

/// A bound listener.
pub(super) struct ApiListener(HttpServer);

impl ApiListener {
    /// Must be called within a tokio runtime.
    pub async fn bind(address: SocketAddr) -> io::Result<ApiListener> {
        HttpServer::bind(address).await.map(ApiListener)
    }

    /// Where it listens; the port is the kernel's choice when 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.address()
    }

    /// Serves until the future is dropped.
    pub async fn serve(self, state: ApiState) {
        let router = Router::new()
            .route(DOCUMENT_PATH, get(document).fallback(|| async { wrong_method("GET, HEAD") }))
            .route("/api/{method}", post(call).fallback(|| async { wrong_method("POST") }))
            .route("/api/v1/{method}", post(call).fallback(|| async { wrong_method("POST") }))
            .route(STATE_PATH, post(presence_state).fallback(|| async { wrong_method("POST") }))
            .fallback(|| async {
                let close = [(header::CONNECTION, "close")];
                (StatusCode::NOT_FOUND, close, "no such path; see POST /api/<method>\n")
            })
            .with_state(Arc::new(state));
        let limits = HttpLimits {
            connections_max: CONNECTIONS_MAX,
            head_bytes_max: 16 << 10,
            headers_max: 64,
            head_ms_max: 5_000,
            exchange_ms_max: EXCHANGE_MS_MAX,
            idle_ms_max: Some(IDLE_MS_MAX),
        };
        self.0.serve(router, limits).await;
    }
}

/// One call.
async fn call(
    State(state): State<Arc<ApiState>>,
    Extension(peer): Extension<PeerAddr>,
    request: Request,
) -> Response {
    let method = method_at(request.uri().path());
    let (outcome, response) = served(&state, method, peer, request).await;
    state.metrics.add(Counter::BackendRequests(label(method), outcome), 1);
    response
}

/// The document, for whoever has a key.
async fn document(
    State(state): State<Arc<ApiState>>,
    Extension(peer): Extension<PeerAddr>,
    request: Request,
) -> Response {
    let keys = Arc::clone(&state.keys.borrow());
    let found = caller_key(&keys, &request);
    let (outcome, response) = match found {
        Ok(_) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (BackendOutcome::Done, (kind, state.document.0.clone()).into_response())
        }
        Err(error) => state.refused(peer, &error).await,
    };
    state.metrics.add(Counter::BackendRequests(BackendMethod::Info, outcome), 1);
    response
}

/// Who asks so may have no key.
fn wrong_method(allowed: &'static str) -> Response {
    let headers = [(header::CONNECTION, "close"), (header::ALLOW, allowed)];
    let why = "this path has another HTTP method\n";
    (StatusCode::METHOD_NOT_ALLOWED, headers, why).into_response()
}

/// A page of the presence feed's state.
async fn presence_state(
    State(state): State<Arc<ApiState>>,
    Extension(peer): Extension<PeerAddr>,
    request: Request,
) -> Response {
    let (outcome, response) = match admitted(&state, peer, request).await {
        Ok(Admitted { key, body, .. }) => told_state(&state, &key, &body).await,
        Err(refused) => refused,
    };
    state.metrics.add(Counter::BackendRequests(BackendMethod::PresenceState, outcome), 1);
    response
}

async fn told_state(state: &ApiState, key: &ApiKey, body: &[u8]) -> (BackendOutcome, Response) {
    let told = |error| {
        let answer = ApiAnswer::Error(error);
        (outcome(&answer), response(&answer))
    };
    let call = match parse_state_call(body) {
        Ok(call) => call,
        Err(error) => return told(error),
    };
    match state_body(state.feed.as_ref(), key, call).await {
        Ok(body) => (BackendOutcome::Done, json(StatusCode::OK, body)),
        Err(code) => told(ApiRequestError::Code(code)),
    }
}

/// One call, and what is counted of it.
async fn served(
    state: &ApiState,
    method: Option<ApiMethod>,
    peer: PeerAddr,
    request: Request,
) -> (BackendOutcome, Response) {
    match admitted(state, peer, request).await {
        Ok(Admitted { key, body, .. }) => answered(state, (&key, peer), method, &body).await,
        Err(refused) => refused,
    }
}

/// A request with a right key, and its body.
struct Admitted {
    key: ApiKey,
    body: Bytes,
    /// Its part of what bodies may take, until it is answered.
    _reserved: OwnedSemaphorePermit,
}

/// Who asks, and what; or how that is refused.
async fn admitted(
    state: &ApiState,
    peer: PeerAddr,
    request: Request,
) -> Result<Admitted, (BackendOutcome, Response)> {
    let keys = Arc::clone(&state.keys.borrow());
    let found = caller_key(&keys, &request);
    let key = match found {
        Ok(key) => key,
        Err(error) => return Err(state.refused(peer, &error).await),
    };
    let (body, bytes_max) = (request.into_body(), state.body_bytes_max as usize);
    let Some(reserved) = state.bodies.reserve(&body, bytes_max) else {
        let busy = ApiAnswer::Error(ApiRequestError::Code(ErrorCode::TooManyRequests));
        return Err((outcome(&busy), response(&busy)));
    };
    match read(body, bytes_max).await {
        Ok(body) => Ok(Admitted { key: key.clone(), body, _reserved: reserved }),
        Err(error) => Err((BackendOutcome::Invalid, error.response())),
    }
}

/// Who has no key keeps no connection either: others wait for its place.
fn unauthorized(error: &CallerKeyError) -> (BackendOutcome, Response) {
    let close = [(header::CONNECTION, "close")];
    let told = (StatusCode::UNAUTHORIZED, close, error.text());
    (BackendOutcome::Unauthorized, told.into_response())
}

/// Why a body is not there whole.
enum BodyError {
    /// It has more bytes than it may.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// Its peer is gone, or talks nonsense.
    Broken,
}

impl BodyError {
    fn response(&self) -> Response {
        match self {
            BodyError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
            BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT.into_response(),
            BodyError::Broken => {
                response(&ApiAnswer::Error(ApiRequestError::Field(ApiField::Body)))
            }
        }
    }
}

/// A body, whole and in time.
async fn read(body: Body, bytes_max: usize) -> Result<Bytes, BodyError> {
    let whole = collect(body, bytes_max);
    let in_time = time::timeout(Duration::from_millis(BODY_MS_MAX), whole).await;
    in_time.unwrap_or(Err(BodyError::TooSlow))
}

/// What is too much is read and forgotten, up to a limit: many clients send to the end before
/// they look for an answer.
async fn collect(mut body: Body, bytes_max: usize) -> Result<Bytes, BodyError> {
    let (mut whole, mut forgotten_bytes) = (BytesMut::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if forgotten_bytes == 0 && whole.len() + data.len() <= bytes_max {
            whole.extend_from_slice(&data);
            continue;
        }
        whole = BytesMut::new();
        forgotten_bytes += data.len();
        if FORGOTTEN_BYTES_MAX < forgotten_bytes {
            break;
        }
    }
    if forgotten_bytes == 0 { Ok(whole.freeze()) } else { Err(BodyError::TooLarge) }
}

/// Asks what has to be asked, and answers.
async fn answered(
    state: &ApiState,
    (key, peer): (&ApiKey, PeerAddr),
    method: Option<ApiMethod>,
    body: &[u8],
) -> (BackendOutcome, Response) {
    let told = |answer: &ApiAnswer<'_>| (outcome(answer), response(answer));
    let Some(method) = method else {
        return told(&ApiAnswer::Error(ApiRequestError::Code(ErrorCode::MethodNotFound)));
    };
    let (names, namespaces) = (state.names, &*state.namespaces);
    let caller = Caller { key, names, namespaces, now_unix_s: unix_ms() / 1_000 };
    let mut questions = Questions::default();
    let call = parse_call(method, body);
    let acts = acts_of(&call);
    let planned = plan(&caller, call, &mut questions);
    // Questions of one key share a part of the store's time, as those of a user do.
    let asker = UserHash::of_inbox(state.names.room("", &format!("api key {}", key.name)));
    let replies = replies(state, asker, questions);
    let answered = match time::timeout(Duration::from_millis(ANSWER_MS_MAX), replies).await {
        Ok(Ok(replies)) => told(&answer(&planned, &replies, &*state.node)),
        Ok(Err(ApiReplyError::Refused(code))) => {
            told(&ApiAnswer::Error(ApiRequestError::Code(code)))
        }
        // A drain, or a core that hangs: some of it may have been done.
        Ok(Err(ApiReplyError::Lost)) | Err(_) => {
            let unknown = ApiAnswer::Error(ApiRequestError::Code(ErrorCode::Internal));
            (BackendOutcome::Failed, with_status(StatusCode::GATEWAY_TIMEOUT, &unknown))
        }
    };
    for (action, target) in acts {
        state.tell(&key.name, peer, action, target, act_outcome(answered.0)).await;
    }
    answered
}

/// Why a request led to nothing that could be told.
enum ApiReplyError {
    /// Nothing was done.
    Refused(ErrorCode),
    /// Who would know is gone.
    Lost,
}

/// Changes what a request changes, and asks what it asks.
async fn replies(
    state: &ApiState,
    asker: UserHash,
    mut questions: Questions,
) -> Result<ApiReplies, ApiReplyError> {
    let busy = ApiReplyError::Refused(ErrorCode::TooManyRequests);
    let mut blocks = BlockReplies::default();
    if let Some(asks) = questions.take_block_asks() {
        let (done, answered) = oneshot::channel();
        if state.blocks.try_send(BlockRequest { asks, done }).is_err() {
            return Err(busy);
        }
        blocks = answered.await.map_err(|_| ApiReplyError::Lost)?;
    }
    let asks = questions.take_control_asks();
    let questions = asked(state, asker, questions).await?;
    let control = controlled(state, asks).await;
    Ok(ApiReplies { questions, blocks, control })
}

/// Asks cores.
async fn asked(
    state: &ApiState,
    asker: UserHash,
    questions: Questions,
) -> Result<Vec<ServerReply>, ApiReplyError> {
    // What concerns the server itself is asked while it drains, too, when cores are asked nothing.
    if questions.is_empty() {
        return Ok(Vec::new());
    }
    let (done, answered) = oneshot::channel();
    if state.asked.try_send(ApiRequest { asker, questions, done }).is_err() {
        return Err(ApiReplyError::Refused(ErrorCode::TooManyRequests));
    }
    answered.await.map_err(|_| ApiReplyError::Lost)?.map_err(ApiReplyError::Refused)
}

/// Asks the control thread, in order.
async fn controlled(state: &ApiState, asks: Vec<ControlAsk>) -> Vec<ControlOutcome> {
    let mut outcomes = Vec::with_capacity(asks.len());
    for ask in asks {
        outcomes.push(state.control.ask(ask).await);
    }
    outcomes
}

/// An answer with the status that it has as a whole.
fn response(answer: &ApiAnswer<'_>) -> Response {
    let status = match answer.error() {
        Some(ApiRequestError::Field(_)) => StatusCode::BAD_REQUEST,
        Some(ApiRequestError::Missing(_)) => StatusCode::NOT_FOUND,
        Some(ApiRequestError::Code(ErrorCode::PermissionDenied)) => StatusCode::FORBIDDEN,
        Some(ApiRequestError::Code(ErrorCode::TooManyRequests)) => StatusCode::SERVICE_UNAVAILABLE,
        Some(ApiRequestError::Code(_) | ApiRequestError::Unfit(_)) | None => StatusCode::OK,
    };
    with_status(status, answer)
}

fn with_status(status: StatusCode, answer: &ApiAnswer<'_>) -> Response {
    let mut body = BytesMut::new();
    write_answer(answer, &mut body);
    let mut response = json(status, body.freeze());
    if status == StatusCode::SERVICE_UNAVAILABLE {
        let after = header::HeaderValue::from_static(RETRY_AFTER_S);
        response.headers_mut().insert(header::RETRY_AFTER, after);
    }
    response
}

fn json(status: StatusCode, body: Bytes) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (status, kind, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_are_not_answered_have_a_bound_by_what_they_say() {
        let bodies = Bodies::new(1 << 20);
        let long = Body::from(vec![0; 1 << 20]);
        let mut reserved: Vec<_> =
            (0..64).map(|_| bodies.reserve(&long, 1 << 20).expect("there is room")).collect();
        assert!(bodies.reserve(&long, 1 << 20).is_none());
        assert!(bodies.reserve(&Body::from("a"), 1 << 20).is_none());
        assert!(bodies.reserve(&Body::empty(), 1 << 20).is_some(), "it takes nothing");
        reserved.pop();
        assert!(bodies.reserve(&long, 1 << 20).is_some());
        let short: Vec<_> = (0..1_024).map(|_| bodies.reserve(&Body::from("a"), 1 << 20)).collect();
        assert!(short.iter().all(Option::is_some));
        // One that is longer than it may be is read no further than that.
        let bodies = Bodies::new(1 << 10);
        assert!(bodies.reserve(&long, 1 << 10).is_some());
        let largest = Bodies::new(100 << 20);
        assert!(largest.reserve(&Body::from(vec![0; 100 << 20]), 100 << 20).is_some());
    }
}
