//! State that the worker publishes and other tasks read: the settings, the client, and the values
//! of `/metrics`.
//!
//! Deliberately absent: notification of changes. Readers read when they need a value.

use std::sync::Arc;

use tokio::sync::watch;

use super::client::Client;
use crate::alert::core::stats::BridgeStats;
use crate::alert::message::BridgeSettings;

/// The end that reads.
#[derive(Clone)]
pub(super) struct SharedState {
    settings: watch::Receiver<Arc<BridgeSettings>>,
    client: watch::Receiver<Client>,
    stats: watch::Receiver<Arc<BridgeStats>>,
}

/// The end that publishes.
pub(super) struct SharedStateWriter {
    settings: watch::Sender<Arc<BridgeSettings>>,
    client: watch::Sender<Client>,
    stats: watch::Sender<Arc<BridgeStats>>,
}

/// Both ends, with these initial values.
pub(super) fn shared_state(
    settings: Arc<BridgeSettings>,
    client: Client,
) -> (SharedStateWriter, SharedState) {
    let (settings, settings_seen) = watch::channel(settings);
    let (client, client_seen) = watch::channel(client);
    let (stats, stats_seen) = watch::channel(Arc::new(BridgeStats::default()));
    let seen = SharedState { settings: settings_seen, client: client_seen, stats: stats_seen };
    (SharedStateWriter { settings, client, stats }, seen)
}

impl SharedState {
    /// The settings as they are now.
    pub(super) fn settings(&self) -> Arc<BridgeSettings> {
        self.settings.borrow().clone()
    }

    /// The client as it is now.
    pub(super) fn client(&self) -> Client {
        self.client.borrow().clone()
    }

    /// The values of `/metrics` as they are now.
    pub(super) fn stats(&self) -> Arc<BridgeStats> {
        self.stats.borrow().clone()
    }
}

impl SharedStateWriter {
    /// The settings as they are now.
    pub(super) fn settings(&self) -> Arc<BridgeSettings> {
        self.settings.borrow().clone()
    }

    /// The client as it is now.
    pub(super) fn client(&self) -> Client {
        self.client.borrow().clone()
    }

    /// Publishes new settings with their client.
    pub(super) fn change(&self, settings: Arc<BridgeSettings>, client: Client) {
        self.client.send_replace(client);
        self.settings.send_replace(settings);
    }

    /// Publishes new values for `/metrics`.
    pub(super) fn show(&self, stats: BridgeStats) {
        self.stats.send_replace(Arc::new(stats));
    }
}
