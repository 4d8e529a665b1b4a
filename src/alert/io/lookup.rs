//! Requests for snapshots to Prometheus and to instances, and for inhibited alerts to Alertmanager.
//!
//! Deliberately absent: the questions, and the choice among the answers (`core`).

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time;

use super::client::{Client, ClientRequest, ClientRoute};
use super::envelope::Envelope;
use super::shared::SharedState;
use crate::alert::core::CoreInput;
use crate::alert::core::inhibited;
use crate::alert::core::questions::{self, SnapshotQuestion};
use crate::alert::model::core_snapshot::{self, CoreSnapshot};
use crate::alert::model::snapshot::{Snapshot, Snapshots};
use crate::outbound::ExchangeAnswer;

/// How long snapshots are waited for, in ms.
const EVIDENCE_MS_MAX: u64 = 2_000;

/// Most bytes of an answer of Prometheus or of an instance.
const EVIDENCE_BYTES_MAX: usize = 4 << 20;

/// How often Alertmanager is asked for inhibited alerts: so often in `outlive_s`, and at least
/// every so many ms.
const INHIBITED_PARTS: u64 = 30;
const INHIBITED_MS_MAX: u64 = 10_000;

/// Polls Alertmanager for inhibited alerts.
pub(super) async fn watch_inhibited(inbox: mpsc::Sender<Envelope>, shared: SharedState) {
    loop {
        let settings = shared.settings();
        let (base, outlive_s) =
            (settings.options.alertmanager_url.as_str(), settings.options.outlive_s);
        let pause_ms = (outlive_s * 1_000 / INHIBITED_PARTS).clamp(500, INHIBITED_MS_MAX);
        time::sleep(Duration::from_millis(pause_ms)).await;
        if base.is_empty() || outlive_s == 0 {
            continue;
        }
        let body = look(&shared.client(), &inhibited::url(base), ClientRoute::Usual, "").await;
        let Some(inhibited) = body.and_then(|body| inhibited::read(&body)) else { continue };
        let envelope = Envelope { input: CoreInput::Inhibited(inhibited), reply: None };
        if inbox.send(envelope).await.is_err() {
            return;
        }
    }
}

enum Piece {
    Exemplar(Snapshot),
    Recorded(Option<Snapshot>, Option<CoreSnapshot>),
    Value(f64),
}

/// Asks all questions at once. Answers that do not come in time are missing.
pub(super) async fn fetch_snapshots(
    client: Client,
    questions: Vec<SnapshotQuestion>,
    token: String,
) -> Snapshots {
    let mut asked: JoinSet<(String, Option<Piece>)> = JoinSet::new();
    for question in questions {
        let fingerprint = question.fingerprint;
        if let Some(url) = question.exemplars {
            let (client, fingerprint) = (client.clone(), fingerprint.clone());
            asked.spawn(async move {
                let body = look(&client, &url, ClientRoute::Usual, "").await;
                (
                    fingerprint,
                    body.and_then(|body| questions::of_exemplars(&body)).map(Piece::Exemplar),
                )
            });
        }
        if let Some(url) = question.recorder {
            let (client, fingerprint, token) = (client.clone(), fingerprint.clone(), token.clone());
            let core = question.core;
            asked.spawn(async move {
                let body =
                    look(&client, &url, ClientRoute::Direct, &token).await.unwrap_or_default();
                let snapshot = questions::of_recorder(&body);
                // When there is no message, the state of the core is shown.
                let core = (!core.is_empty() || snapshot.is_none())
                    .then(|| core_snapshot::of_answer(&body, &core));
                let piece = Piece::Recorded(snapshot, core.flatten());
                (fingerprint, Some(piece))
            });
        }
        if let Some(url) = question.value {
            let (client, labels) = (client.clone(), question.labels);
            asked.spawn(async move {
                let body = look(&client, &url, ClientRoute::Usual, "").await;
                let value = body.and_then(|body| questions::of_value(&body, &labels));
                (fingerprint, value.map(Piece::Value))
            });
        }
    }
    let mut found = Snapshots::new();
    let gather = async {
        while let Some(done) = asked.join_next().await {
            let Ok((fingerprint, Some(piece))) = done else { continue };
            let found = found.entry(fingerprint).or_default();
            match piece {
                // Answers of Prometheus are preferred to those of an instance.
                Piece::Exemplar(snapshot) => found.snapshot = Some(snapshot),
                Piece::Recorded(snapshot, core) => {
                    found.snapshot = found.snapshot.take().or(snapshot);
                    found.core = core;
                }
                Piece::Value(value) => found.value = Some(value),
            }
        }
    };
    let _ = time::timeout(Duration::from_millis(EVIDENCE_MS_MAX), gather).await;
    found
}

async fn look(client: &Client, url: &str, way: ClientRoute<'_>, bearer: &str) -> Option<Vec<u8>> {
    let ask = ClientRequest {
        url,
        way,
        json: None,
        post: false,
        bearer,
        id: "",
        ms_max: EVIDENCE_MS_MAX,
        bytes_max: EVIDENCE_BYTES_MAX,
    };
    match client.ask(ask).await {
        Ok(ExchangeAnswer { status: 200, body, .. }) => Some(body.to_vec()),
        Ok(_) | Err(_) => None,
    }
}
