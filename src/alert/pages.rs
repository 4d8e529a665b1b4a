//! The pages of the bridge.
//!
//! The first two want the token of the listener, if there is one; so does every page that
//! is not named as open in `all`.
//!
//! | path | answer |
//! |---|---|
//! | `POST /v1/notify/…` | 200 when it is kept, 400 for what is no notification, else 503 |
//! | `POST /v1/deadman` | 200: the watchdog is heard |
//! | `GET /v1/silence` | a page that asks whether it is meant |
//! | `POST /v1/silence` | makes the silence |
//! | `GET /v1/acknowledge` | a page that asks who takes care of a group |
//! | `POST /v1/acknowledge` | says so |
//! | `POST /v1/pair` | what was told, to the other bridge |
//! | `GET /v1/refused` | what a chat refused, to whoever has the link |
//! | `POST /v1/refused` | tells one of these again, or drops it |
//! | `GET /v1/refused/all`, `POST /v1/refused/{id}/retry`, `/drop` | the same for operators |
//! | `GET /metrics`, `/health`, `/ready` | what their names say |

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, Request, State};
use axum::http::{StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot, watch};
use tokio::{task, time};

use super::client::{Ask, Client, Way};
use super::core::{Input, Settings, Ticket};
use super::counts::{Count, Stats};
use super::pair::PairAnswer;
use super::silence::{self, Refused};
use super::used::{self, Taken, UsedLinks};
use super::{
    ack_pages, audit, bridge, intake_body, meters, pair_pages, payload, refused_pages, signature,
    text,
};
use crate::listener::Limits;

/// How much one who asks may take.
pub(super) const LIMITS: Limits = Limits {
    connections_max: 64,
    head_bytes_max: 16 << 10,
    headers_max: 64,
    head_ms_max: 5_000,
    exchange_ms_max: 10_000,
};

/// Notifications that are read at a time: so many bodies are in memory.
pub(super) const BODIES_MAX: usize = 4;

/// How long a notification waits for the disk, in ms: Alertmanager shall hear of it
/// before it gives up by itself.
const KEEP_MS_MAX: u64 = 5_000;

/// How long Alertmanager may take to make a silence, in ms.
const SILENCE_MS_MAX: u64 = 5_000;

/// How long the heartbeat outside may take, in ms: less than until the next one.
const PING_MS_MAX: u64 = 20_000;

/// The least time between two of them, in ms.
const PING_MS_MIN: u64 = 10_000;

/// Bytes of the name of a route that is shown when there is none of that name.
const ROUTE_BYTES_MAX: usize = 64;

/// Bytes of the form of a silence.
pub(super) const FORM_BYTES_MAX: usize = 8 << 10;

/// What an input became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Served {
    /// It is on the disk.
    Kept,
    /// There was no room.
    Full,
    /// The disk did not take it.
    Unkept,
    /// There is no such thing.
    Unknown,
    /// What was told, for the other bridge.
    Pair(Box<PairAnswer>),
}

/// An input on its way to the core, and who waits for what it becomes.
pub(super) struct Envelope {
    pub(super) input: Input,
    pub(super) reply: Option<(Ticket, oneshot::Sender<Served>)>,
}

/// What the pages know.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) inbox: mpsc::Sender<Envelope>,
    pub(super) tickets: Arc<AtomicU64>,
    pub(super) stats: watch::Receiver<Arc<Stats>>,
    pub(super) settings: watch::Receiver<Arc<Settings>>,
    pub(super) client: watch::Receiver<Client>,
    pub(super) links: Arc<Mutex<UsedLinks>>,
    pub(super) bodies: Arc<Semaphore>,
    /// When the heartbeat outside was last asked, on the bridge's own clock.
    pub(super) pinged_ms: Arc<AtomicU64>,
}

/// All pages.
pub(super) fn all(desk: Desk) -> Router {
    let closed = Router::new()
        // Whatever its name looks like: what is answered with 404 is lost.
        .route("/v1/notify", post(notify))
        .route("/v1/notify/", post(notify))
        .route("/v1/notify/{*route}", post(notify))
        .route("/v1/deadman", post(deadman))
        .merge(refused_pages::operators())
        .route_layer(middleware::from_fn_with_state(desk.clone(), with_token));
    let open = Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(|| async { "alive\n" }))
        .route("/ready", get(ready))
        .merge(pair_pages::between());
    closed.merge(open).with_state(desk.clone()).merge(public(desk))
}

/// Lets only those in who know the token. It is looked at before the body is read.
async fn with_token(State(desk): State<Desk>, request: Request, next: Next) -> Response {
    let settings = desk.settings.borrow().clone();
    let token = &settings.options.token;
    let has_none = token.file.is_empty() && token.env.is_empty();
    let given = request.headers().get(header::AUTHORIZATION);
    let given =
        given.and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).and_then(secret_of);
    if has_none || given.is_some_and(|given| signature::is_secret(&token.value, &given)) {
        return next.run(request).await;
    }
    desk.count(Count::Unauthorized);
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, "the token of [bridge] is wanted\n").into_response()
}

/// What an `Authorization` proves: a bearer token, or the password of basic auth.
fn secret_of(value: &str) -> Option<Vec<u8>> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.as_bytes().to_vec());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let plain = BASE64_STANDARD.decode(rest).ok()?;
    let colon = plain.iter().position(|byte| *byte == b':')?;
    Some(plain[colon + 1..].to_vec())
}

/// Those that people reach from their chats.
pub(super) fn public(desk: Desk) -> Router {
    Router::new()
        .route("/v1/silence", get(ask_silence).post(make_silence))
        .merge(refused_pages::public())
        .merge(ack_pages::public())
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such page\n") })
        .with_state(desk)
}

async fn notify(State(desk): State<Desk>, uri: Uri, body: Body) -> Response {
    let route = route_of(uri.path());
    let payload = match desk.payload(body).await {
        Ok(payload) => payload,
        Err(unread) => return refused(unread),
    };
    desk.hand_in(|ticket| Input::Notified { ticket, route, payload }).await
}

async fn deadman(State(desk): State<Desk>, body: Body) -> Response {
    match desk.payload(body).await {
        // A watchdog that has ended is none.
        Ok(payload) if payload.alerts.iter().any(|alert| alert.firing) => {
            let answer = desk.hand_in(Input::Beat).await;
            if answer.status() == StatusCode::OK {
                desk.ping();
            }
            answer
        }
        Ok(_) => (StatusCode::OK, "nothing fires\n").into_response(),
        Err(unread) => refused(unread),
    }
}

async fn metrics(State(desk): State<Desk>) -> Response {
    let text = meters::text(&desk.stats.borrow().clone(), bridge::now().unix_ms);
    ([(header::CONTENT_TYPE, meters::TEXT_TYPE)], text).into_response()
}

async fn ready(State(desk): State<Desk>) -> Response {
    match desk.stats.borrow().disk_ok {
        true => (StatusCode::OK, "ready\n").into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the queue cannot be written\n").into_response(),
    }
}

/// The name of a route in a path, as far as it is one.
fn route_of(path: &str) -> String {
    let name = path.strip_prefix("/v1/notify").unwrap_or_default().trim_matches('/');
    // Of a form's alphabet, only `%41` has a meaning in a path.
    let name = name.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
    let name = form_urlencoded::parse(name.as_bytes()).next().map(|(name, _)| name);
    text::cut_bytes(&name.unwrap_or_default(), ROUTE_BYTES_MAX).to_owned()
}

/// Why there is no notification.
enum Unread {
    /// It did not come to its end.
    Cut,
    /// It is none, and would be none the next time.
    Malformed(payload::Malformed),
}

fn refused(unread: Unread) -> Response {
    match unread {
        Unread::Cut => {
            (StatusCode::SERVICE_UNAVAILABLE, "the body is not whole; try again\n").into_response()
        }
        Unread::Malformed(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response(),
    }
}

impl Desk {
    /// Reads a notification, or says why it is none.
    async fn payload(&self, body: Body) -> Result<payload::Payload, Unread> {
        let settings = self.settings.borrow().clone();
        let _turn = self.bodies.acquire().await;
        let read = match intake_body::take(body, settings.options.body_bytes_max).await {
            Some(body) => {
                let deciding: Vec<&str> =
                    settings.options.people.iter().map(|person| person.label.as_str()).collect();
                payload::read(&body, &deciding)
            }
            None => return Err(Unread::Cut),
        };
        let now_ms = bridge::now().unix_ms;
        let read = read.map(|mut payload| {
            for alert in &mut payload.alerts {
                if alert.starts_ms == 0 {
                    alert.starts_ms = now_ms;
                }
                if !alert.firing && alert.ends_ms == 0 {
                    alert.ends_ms = now_ms;
                }
            }
            payload
        });
        if let Err(why) = &read {
            tracing::warn!("a notification was refused: {why}");
            self.count(Count::Malformed);
        }
        read.map_err(Unread::Malformed)
    }

    /// Gives an input to the core and waits until it is kept.
    pub(super) async fn hand_in(&self, input: impl FnOnce(Ticket) -> Input) -> Response {
        let ticket = Ticket(self.tickets.fetch_add(1, Relaxed));
        let (sender, served) = oneshot::channel();
        let envelope = Envelope { input: input(ticket), reply: Some((ticket, sender)) };
        let wait = async {
            self.inbox.send(envelope).await.ok()?;
            served.await.ok()
        };
        let served = time::timeout(Duration::from_millis(KEEP_MS_MAX), wait).await;
        let (status, words) = match served {
            Ok(Some(Served::Kept)) => (StatusCode::OK, "kept\n"),
            Ok(Some(Served::Pair(answer))) => {
                let kind = [(header::CONTENT_TYPE, "application/json")];
                return (kind, json!(answer).to_string()).into_response();
            }
            Ok(Some(Served::Unknown)) => (StatusCode::NOT_FOUND, "there is no such message\n"),
            Ok(Some(Served::Full)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "too much waits already; try again\n")
            }
            Ok(Some(Served::Unkept)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "the queue cannot be written; try again\n")
            }
            Ok(None) => (StatusCode::SERVICE_UNAVAILABLE, "the bridge ends; try again\n"),
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the disk takes too long; try again\n"),
        };
        (status, words).into_response()
    }

    /// Tells who misses us outside that the watchdog is heard, beside everything else.
    fn ping(&self) {
        let settings = self.settings.borrow().clone();
        // Two Alertmanagers, or an eager one, are still one heartbeat. The clock begins with
        // the process, and its first heartbeat is not too soon.
        let now_ms = bridge::now().tick.0 + PING_MS_MIN;
        let before_ms = self.pinged_ms.load(Relaxed);
        if settings.options.heartbeat().is_empty() || now_ms < before_ms + PING_MS_MIN {
            return;
        }
        self.pinged_ms.store(now_ms, Relaxed);
        let desk = self.clone();
        tokio::spawn(async move {
            let client = desk.client.borrow().clone();
            let answer = client
                .ask(Ask {
                    url: settings.options.heartbeat(),
                    way: Way::Usual,
                    json: None,
                    post: false,
                    bearer: "",
                    id: "",
                    ms_max: PING_MS_MAX,
                    bytes_max: 64 << 10,
                })
                .await;
            match answer {
                Ok(answer) if (200..300).contains(&answer.status) => desk.count(Count::Pinged),
                Ok(answer) => {
                    desk.count(Count::PingFailed);
                    tracing::warn!("the heartbeat outside answers {}", answer.status);
                }
                Err(failed) => {
                    desk.count(Count::PingFailed);
                    tracing::warn!("the heartbeat outside is not reached: {failed:?}");
                }
            }
        });
    }

    /// Counts what happened here. With no room for it, it is not counted.
    pub(super) fn count(&self, count: Count) {
        let _ = self.inbox.try_send(Envelope { input: Input::Happened(count), reply: None });
    }
}

/// The fields of a form or of a query; of several with one name, the first.
pub(super) fn field<'a>(form: &'a [(String, String)], name: &str) -> &'a str {
    form.iter().find(|(one, _)| one == name).map_or("", |(_, value)| value.as_str())
}

pub(super) fn fields(text: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(text).into_owned().take(16).collect()
}

async fn ask_silence(State(desk): State<Desk>, RawQuery(query): RawQuery) -> Response {
    let form = fields(query.unwrap_or_default().as_bytes());
    let (payload, signature) = (field(&form, "d"), field(&form, "s"));
    match desk.grant(payload, signature).await {
        Ok(grant) => page(StatusCode::OK, silence::page(&grant, payload, signature)),
        Err(refused) => desk.refuse(refused),
    }
}

async fn make_silence(State(desk): State<Desk>, body: Body) -> Response {
    let Ok(body) = axum::body::to_bytes(body, FORM_BYTES_MAX).await else {
        return desk.refuse(Refused::Form);
    };
    let form = fields(&body);
    let signature = field(&form, "s");
    let granted = desk.grant(field(&form, "d"), signature).await;
    let wished = silence::wish(field(&form, "who"), field(&form, "minutes"));
    let (grant, wish) = match (granted, wished) {
        (Ok(grant), Ok(wish)) => (grant, wish),
        (Err(refused), _) | (Ok(_), Err(refused)) => return desk.refuse(refused),
    };
    let settings = desk.settings.borrow().clone();
    let now_ms = bridge::now().unix_ms;
    if let Err(refused) = desk.use_link(signature, grant.until_s, now_ms / 1_000).await {
        return desk.refuse(refused);
    }
    let url =
        format!("{}/api/v2/silences", settings.options.alertmanager_url.trim_end_matches('/'));
    let client = desk.client.borrow().clone();
    let answer = client
        .ask(Ask {
            url: &url,
            way: Way::Usual,
            json: Some(silence::body(&grant, &wish, now_ms / 1_000)),
            post: true,
            bearer: "",
            id: "",
            ms_max: SILENCE_MS_MAX,
            bytes_max: 64 << 10,
        })
        .await;
    let is_made = answer.is_ok_and(|answer| (200..300).contains(&answer.status));
    let fields = json!({
        "who": wish.who, "minutes": wish.minutes, "matchers": grant.matchers, "made": is_made,
    });
    let dir: PathBuf = settings.options.dir.clone();
    let written = task::spawn_blocking(move || audit::write(&dir, now_ms, "silence", fields)).await;
    if !matches!(written, Ok(Ok(()))) {
        tracing::error!("the audit log cannot be written");
    }
    if is_made {
        desk.count(Count::Silenced);
        let words = format!("Silenced for {} min. 已静默 {} 分钟。", wish.minutes, wish.minutes);
        return page(StatusCode::OK, silence::notice(&words));
    }
    desk.give_link_back(signature).await;
    desk.count(Count::SilenceFailed);
    let words =
        "Alertmanager did not make the silence; try again. Alertmanager 未能创建静默，请重试。";
    page(StatusCode::BAD_GATEWAY, silence::notice(words))
}

impl Desk {
    async fn grant(&self, payload: &str, signature: &str) -> Result<silence::Grant, Refused> {
        let settings = self.settings.borrow().clone();
        if settings.options.alertmanager_url.is_empty() {
            return Err(Refused::Forged);
        }
        let key = &settings.options.silence_key.value;
        let grant = silence::grant(key, payload, signature, bridge::now().unix_ms / 1_000)?;
        if self.links.lock().await.has(signature) { Err(Refused::Used) } else { Ok(grant) }
    }

    /// Uses a link, and writes that down before anything else happens.
    async fn use_link(&self, signature: &str, until_s: u64, now_s: u64) -> Result<(), Refused> {
        let mut links = self.links.lock().await;
        match links.take(signature, until_s, now_s) {
            Taken::Now => {}
            Taken::Before => return Err(Refused::Used),
            Taken::Full => return Err(Refused::TooMany),
        }
        write_links(&links).await;
        Ok(())
    }

    async fn give_link_back(&self, signature: &str) {
        let mut links = self.links.lock().await;
        links.give_back(signature);
        write_links(&links).await;
    }

    pub(super) fn refuse(&self, refused: Refused) -> Response {
        self.count(Count::SilenceRefused);
        let status = match refused {
            Refused::Forged => StatusCode::FORBIDDEN,
            Refused::Expired | Refused::Used => StatusCode::GONE,
            Refused::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            Refused::Form => StatusCode::BAD_REQUEST,
        };
        page(status, silence::notice(refused.words()))
    }
}

/// A disk that is full is no reason not to silence: the link is used until the next start.
async fn write_links(links: &UsedLinks) {
    let what = links.written();
    if !matches!(task::spawn_blocking(move || used::write(what)).await, Ok(Ok(()))) {
        tracing::error!("which links were used cannot be written");
    }
}

pub(super) fn page(status: StatusCode, html: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
             frame-ancestors 'none'",
        ),
    ];
    (status, headers, html).into_response()
}
