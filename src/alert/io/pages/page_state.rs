//! The state that pages share, and how they submit inputs to the core.
//!
//! Deliberately absent: paths, and the content of pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::time;

use super::form::{field, page};
use crate::alert::core::counts::Count;
use crate::alert::core::stats::BridgeStats;
use crate::alert::core::{CoreInput, ReplyId};
use crate::alert::io::body;
use crate::alert::io::client::{Client, ClientRequest, ClientRoute};
use crate::alert::io::clock::now;
use crate::alert::io::envelope::{Envelope, InputOutcome};
use crate::alert::io::html;
use crate::alert::io::shared::SharedState;
use crate::alert::io::used_links::UsedLinks;
use crate::alert::message::BridgeSettings;
use crate::alert::message::link::{self, LinkError, LinkPurpose};
use crate::alert::message::silence::SilenceError;
use crate::alert::model::alert::WebhookPayload;
use crate::alert::model::notification::{self, NotificationError};

/// Most notifications that are read at a time, so most bodies in memory.
const BODIES_MAX: usize = 4;

/// How long a notification waits for the disk, in ms: less than Alertmanager waits for an answer.
const KEEP_MS_MAX: u64 = 5_000;

/// The time limit for a heartbeat, in ms: less than the time until the next one.
const PING_MS_MAX: u64 = 20_000;

/// The shortest time between two heartbeats, in ms.
const PING_MS_MIN: u64 = 10_000;

/// The state that pages share.
#[derive(Clone)]
pub(in crate::alert::io) struct PageState {
    inbox: mpsc::Sender<Envelope>,
    next_reply_id: Arc<AtomicU64>,
    shared: SharedState,
    links: Arc<Mutex<UsedLinks>>,
    bodies: Arc<Semaphore>,
    /// The time of the last heartbeat, on the bridge's own clock.
    pinged_ms: Arc<AtomicU64>,
}

/// Why a body is no notification.
pub(super) enum PayloadError {
    /// The connection ended before the body did.
    Cut,
    /// It is malformed, and would be so at the next attempt.
    Malformed(NotificationError),
}

impl PageState {
    /// The state at the start.
    pub(in crate::alert::io) fn new(
        inbox: mpsc::Sender<Envelope>,
        shared: SharedState,
        links: UsedLinks,
    ) -> PageState {
        PageState {
            inbox,
            next_reply_id: Arc::new(AtomicU64::new(0)),
            shared,
            links: Arc::new(Mutex::new(links)),
            bodies: Arc::new(Semaphore::new(BODIES_MAX)),
            pinged_ms: Arc::new(AtomicU64::new(0)),
        }
    }

    /// The settings as they are now.
    pub(super) fn settings(&self) -> Arc<BridgeSettings> {
        self.shared.settings()
    }

    /// The client as it is now.
    pub(super) fn client(&self) -> Client {
        self.shared.client()
    }

    /// The values of `/metrics` as they are now.
    pub(super) fn stats(&self) -> Arc<BridgeStats> {
        self.shared.stats()
    }

    /// The links that were used.
    pub(super) fn links(&self) -> &Mutex<UsedLinks> {
        &self.links
    }

    /// Checks the link of a form. Returns its content.
    pub(super) fn linked<T: DeserializeOwned>(
        &self,
        purpose: LinkPurpose,
        form: &[(String, String)],
    ) -> Result<T, SilenceError> {
        let key = &self.settings().options.silence_key.value;
        let (payload, signature) = (field(form, "d"), field(form, "s"));
        let linked = link::read(key, purpose, payload, signature, now().unix_ms / 1_000);
        linked.map_err(|error| match error {
            LinkError::Forged => SilenceError::Forged,
            LinkError::Expired => SilenceError::Expired,
        })
    }

    /// Reads and parses a notification.
    pub(super) async fn payload(&self, body: Body) -> Result<WebhookPayload, PayloadError> {
        let settings = self.settings();
        let _turn = self.bodies.acquire().await;
        let read = match body::take(body, settings.options.body_bytes_max).await {
            Some(body) => {
                let deciding: Vec<&str> =
                    settings.options.people.iter().map(|person| person.label.as_str()).collect();
                notification::read(&body, &deciding)
            }
            None => return Err(PayloadError::Cut),
        };
        let now_ms = now().unix_ms;
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
        read.map_err(PayloadError::Malformed)
    }

    /// Submits an input to the core, and waits until it is written.
    pub(super) async fn submit(&self, input: impl FnOnce(ReplyId) -> CoreInput) -> Response {
        let reply_id = ReplyId(self.next_reply_id.fetch_add(1, Relaxed));
        let (sender, outcome) = oneshot::channel();
        let envelope = Envelope { input: input(reply_id), reply: Some((reply_id, sender)) };
        let wait = async {
            self.inbox.send(envelope).await.ok()?;
            outcome.await.ok()
        };
        let outcome = time::timeout(Duration::from_millis(KEEP_MS_MAX), wait).await;
        let (status, words) = match outcome {
            Ok(Some(InputOutcome::Kept)) => (StatusCode::OK, "kept\n"),
            Ok(Some(InputOutcome::Pair(answer))) => {
                let kind = [(header::CONTENT_TYPE, "application/json")];
                return (kind, json!(answer).to_string()).into_response();
            }
            Ok(Some(InputOutcome::Unknown)) => {
                (StatusCode::NOT_FOUND, "there is no such message\n")
            }
            Ok(Some(InputOutcome::Full)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "too much waits already; try again\n")
            }
            Ok(Some(InputOutcome::Unkept)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "the queue cannot be written; try again\n")
            }
            Ok(None) => (StatusCode::SERVICE_UNAVAILABLE, "the bridge ends; try again\n"),
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the disk takes too long; try again\n"),
        };
        (status, words).into_response()
    }

    /// Sends a heartbeat to the monitor, without waiting for it.
    pub(super) fn ping(&self) {
        let settings = self.settings();
        // Watchdog alerts that come more often do not cause more heartbeats. The clock begins with
        // the process, so the first one is not too soon.
        let now_ms = now().tick.0 + PING_MS_MIN;
        let before_ms = self.pinged_ms.load(Relaxed);
        if settings.options.heartbeat().is_empty() || now_ms < before_ms + PING_MS_MIN {
            return;
        }
        self.pinged_ms.store(now_ms, Relaxed);
        let page_state = self.clone();
        tokio::spawn(async move {
            let client = page_state.client();
            let answer = client
                .ask(ClientRequest {
                    url: settings.options.heartbeat(),
                    way: ClientRoute::Usual,
                    json: None,
                    post: false,
                    bearer: "",
                    id: "",
                    ms_max: PING_MS_MAX,
                    bytes_max: 64 << 10,
                })
                .await;
            match answer {
                Ok(answer) if (200..300).contains(&answer.status) => {
                    page_state.count(Count::Pinged)
                }
                Ok(answer) => {
                    page_state.count(Count::PingFailed);
                    tracing::warn!("the heartbeat outside answers {}", answer.status);
                }
                Err(failed) => {
                    page_state.count(Count::PingFailed);
                    tracing::warn!("the heartbeat outside is not reached: {failed:?}");
                }
            }
        });
    }

    /// Counts an event. When the inbox is full, it is not counted.
    pub(super) fn count(&self, count: Count) {
        let _ = self.inbox.try_send(Envelope { input: CoreInput::Happened(count), reply: None });
    }

    /// The answer that refuses a form or a link.
    pub(super) fn refuse(&self, refused: SilenceError) -> Response {
        self.count(Count::SilenceRefused);
        let status = match refused {
            SilenceError::Forged => StatusCode::FORBIDDEN,
            SilenceError::Expired | SilenceError::Used => StatusCode::GONE,
            SilenceError::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            SilenceError::Form => StatusCode::BAD_REQUEST,
        };
        page(status, html::notice(refused.words()))
    }
}
