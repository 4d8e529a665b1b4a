//! What fires now, as Alertmanager says it, for the console.
//!
//! Invariant: an answer has a bound, and comes in time or not at all.
//!
//! Deliberately absent: how often somebody may ask (`admin`), and what the answer means
//! (`console`).

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;

use crate::console::{AlertsAnswer, FiringAlerts};
use crate::outbound::{BodyEnd, Connector, Exchange, HttpUrl};

/// Bytes of an answer: some thousand alerts.
const ANSWER_BYTES_MAX: usize = 2 << 20;

/// For all of it. The admin listener ends an exchange after ten seconds.
const ANSWER_MS_MAX: u64 = 3_000;

/// Where Alertmanager is.
pub struct AlertSource {
    url: HttpUrl,
    connector: Connector,
}

impl AlertSource {
    /// At this address, with its path and query. The text says what is wrong with the
    /// certificates of this machine.
    pub fn new(url: HttpUrl) -> Result<AlertSource, String> {
        Ok(AlertSource { url, connector: Connector::new("")? })
    }

    /// Asks.
    pub(super) async fn ask(&self) -> AlertsAnswer {
        let exchange = Exchange {
            url: &self.url,
            proxy: None,
            request: Request::new(Full::new(Bytes::new())),
            bytes_max: ANSWER_BYTES_MAX,
            ms_max: ANSWER_MS_MAX,
        };
        let answer = match self.connector.exchange(exchange).await {
            Ok(answer) if answer.status == 200 && answer.end == BodyEnd::Whole => answer,
            Ok(_) | Err(_) => return AlertsAnswer::Unreachable,
        };
        FiringAlerts::read(&answer.body).map_or(AlertsAnswer::Unreachable, AlertsAnswer::Firing)
    }
}
