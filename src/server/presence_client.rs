//! Batches of the presence feed over HTTP: one at a time, until the backend has it.
//!
//! Status 200 or 204 says that it has all of a batch, whatever the body says. Anything else, or
//! silence, and the same batch is sent again.
//!
//! Deliberately absent: what is in a batch (`presence_feed`).

use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{self, Instant};

use super::backend_request::{post, signing_key};
use super::presence_keeper::{FeedAsk, FeedLink};
use crate::base::{Bucket, MonotonicMs, Rate};
use crate::metrics::{Counter, FeedOutcome, SharedMetricsWriter};
use crate::outbound::{Connector, Exchange, HttpUrl};
use crate::presence_feed::FeedBatch;

/// After a request that failed the next is made after so long at first, and at most, in ms.
const RETRY_MS_MIN: u64 = 100;
const RETRY_MS_MAX: u64 = 10_000;

/// Bytes of an answer, of which nothing is read.
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// Lines a second about requests that fail; the metrics count them all.
const LINES: Rate = Rate { per_s: 1, burst: 2 };

/// Where a backend is told who is there, and how.
#[derive(Clone)]
pub struct PresenceBackend {
    /// The address.
    pub url: HttpUrl,
    /// How long an answer may take, in ms.
    pub timeout_ms: u64,
    /// Signs bodies; empty for no signature.
    pub secret: Vec<u8>,
    /// A file with certificates that are trusted beside those of the system; empty for none.
    pub ca_file: String,
}

/// The secret is not printed.
impl fmt::Debug for PresenceBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceBackend").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Tells a backend.
pub(super) struct PresenceClient {
    backend: PresenceBackend,
    connector: Connector,
    key: Option<hmac::Key>,
    metrics: SharedMetricsWriter,
}

impl PresenceClient {
    /// The text says what is wrong with the file of certificates.
    pub fn new(
        backend: PresenceBackend,
        metrics: SharedMetricsWriter,
    ) -> Result<PresenceClient, String> {
        let connector = Connector::new(&backend.ca_file)?;
        let key = signing_key(&backend.secret);
        Ok(PresenceClient { backend, connector, key, metrics })
    }

    /// Tells the backend each batch until it has it, and then the feed. As a task of its own.
    pub async fn run(self, mut batches: UnboundedReceiver<FeedBatch>, link: FeedLink) {
        let (began, mut lines) = (Instant::now(), Bucket::full());
        while let Some(FeedBatch { last_number, events_count, body }) = batches.recv().await {
            let (body, mut wait_ms) = (Bytes::from(body), RETRY_MS_MIN);
            while let Err(why) = self.send(body.clone()).await {
                self.metrics.add(Counter::PresenceRequests(FeedOutcome::Failed), 1);
                let passed = MonotonicMs(began.elapsed().as_millis() as u64);
                if lines.take(passed, LINES, 1) {
                    tracing::warn!(
                        "the backend does not take {events_count} events of who is there: {why}"
                    );
                }
                time::sleep(Duration::from_millis(wait_ms)).await;
                wait_ms = (2 * wait_ms).min(RETRY_MS_MAX);
            }
            self.metrics.add(Counter::PresenceRequests(FeedOutcome::Taken), 1);
            link.ask(FeedAsk::Acknowledged(last_number));
        }
    }

    async fn send(&self, body: Bytes) -> Result<(), String> {
        let PresenceBackend { url, timeout_ms, .. } = &self.backend;
        let request = post(self.key.as_ref(), body).map_err(|error| error.to_string())?;
        let (bytes_max, ms_max) = (ANSWER_BYTES_MAX, *timeout_ms);
        let exchange = Exchange { url, proxy: None, request, bytes_max, ms_max };
        let answer = self.connector.exchange(exchange).await.map_err(|error| error.to_string())?;
        match answer.status {
            200 | 204 => Ok(()),
            status => Err(format!("it answers with status {status}")),
        }
    }
}
