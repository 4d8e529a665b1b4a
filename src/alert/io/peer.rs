//! Polls the notification log of the other bridge of a pair.
//!
//! Deliberately absent: the page that answers (`pages`), and the turns (`core`).

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time;

use super::client::{Client, ClientRequest, ClientRoute};
use super::envelope::Envelope;
use super::shared::SharedState;
use crate::alert::core::pair::ASK_MS;
use crate::alert::core::{CoreInput, PairAnswer, PairQuestion};

/// The time limit for its answer, in ms.
const ANSWER_MS_MAX: u64 = 2_000;

/// Most bytes of its answer.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// Polls the notification log of the other bridge.
pub(super) async fn poll_peer(inbox: mpsc::Sender<Envelope>, shared: SharedState) {
    loop {
        let mut pause_ms = ASK_MS;
        let settings = shared.settings();
        let options = &settings.options;
        if !options.peer_url.is_empty() {
            let url = format!("{}/v1/pair", options.peer_url.trim_end_matches('/'));
            let question = shared.stats().question;
            let answer = ask(&shared.client(), &url, &options.peer_token.value, question).await;
            if answer.as_ref().is_some_and(|answer| answer.more) {
                pause_ms = 50;
            }
            let input = CoreInput::PairHeard(answer.map(Box::new));
            if inbox.send(Envelope { input, reply: None }).await.is_err() {
                return;
            }
        }
        drop(settings);
        time::sleep(Duration::from_millis(pause_ms)).await;
    }
}

async fn ask(
    client: &Client,
    url: &str,
    token: &str,
    question: PairQuestion,
) -> Option<PairAnswer> {
    let ask = ClientRequest {
        url,
        // The token is for the other bridge, and not for a proxy.
        way: ClientRoute::Direct,
        json: Some(serde_json::to_string(&question).expect("numbers become JSON")),
        post: true,
        bearer: token,
        id: "",
        ms_max: ANSWER_MS_MAX,
        bytes_max: ANSWER_BYTES_MAX,
    };
    let answer = client.ask(ask).await.ok().filter(|answer| answer.status == 200)?;
    serde_json::from_slice(&answer.body).ok()
}
