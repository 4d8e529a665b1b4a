//! A page of a user's connections with what operators ask about them, by their ids.
//!
//! Invariant: a page is in order, and has no more than its bound, however many connections are
//! added.
//!
//! Deliberately absent: finding them (`user_scan`).

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::ClientId;
use crate::metrics::Agent;
use crate::wire::Encoding;

/// Which connections a page is about.
#[derive(Clone, Debug)]
pub struct PageOfConnections {
    /// Those behind this one; `None` for the first page.
    pub after: Option<ClientId>,
    /// How many at most.
    pub connections_max: usize,
    /// Channels are named that fit one of these patterns, which are those of the key.
    pub covered: Vec<Box<str>>,
}

/// What is known of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownConnection {
    /// Its id.
    pub client: ClientId,
    /// What its program is.
    pub agent: Agent,
    /// Its encoding.
    pub encoding: Encoding,
    /// The other end of its socket; `None` when it is gone.
    pub address: Option<IpAddr>,
    /// Since its upgrade.
    pub age_ms: u64,
    /// Some of the channels that it is in.
    pub channels: Vec<Arc<str>>,
    /// How many it is in.
    pub channels_count: usize,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionPage {
    connections_max: usize,
    connections: Vec<KnownConnection>,
}

impl ConnectionPage {
    /// None yet, of this many.
    pub fn new(connections_max: usize) -> ConnectionPage {
        ConnectionPage { connections_max, connections: Vec::new() }
    }

    /// Whether a connection of this id would be on it.
    pub fn takes(&self, client: ClientId) -> bool {
        let is_full = self.is_full();
        !is_full || self.connections.last().is_some_and(|last| client < last.client)
    }

    /// Adds one, if it is on this page.
    pub fn add(&mut self, connection: KnownConnection) {
        if self.takes(connection.client) {
            let is_before = |other: &KnownConnection| other.client < connection.client;
            let place = self.connections.partition_point(is_before);
            self.connections.insert(place, connection);
            self.connections.truncate(self.connections_max);
        }
    }

    /// The page out of two.
    pub fn joined(mut self, other: ConnectionPage) -> ConnectionPage {
        other.connections.into_iter().for_each(|one| self.add(one));
        self
    }

    /// The connections, in order.
    pub fn connections(&self) -> &[KnownConnection] {
        &self.connections
    }

    /// Whether there are as many as there may be, so that there may be more.
    pub fn is_full(&self) -> bool {
        self.connections.len() == self.connections_max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(client: u128) -> KnownConnection {
        KnownConnection {
            client: ClientId(client),
            agent: Agent::ALL[0],
            encoding: Encoding::Json,
            address: None,
            age_ms: 0,
            channels: Vec::new(),
            channels_count: 0,
        }
    }

    fn page(clients: &[u128]) -> ConnectionPage {
        let mut page = ConnectionPage::new(3);
        clients.iter().for_each(|&client| page.add(connection(client)));
        page
    }

    #[test]
    fn a_page_has_the_first_of_all_whoever_found_them() {
        let found = |page: &ConnectionPage| -> Vec<u128> {
            page.connections().iter().map(|one| one.client.0).collect()
        };
        assert_eq!(found(&page(&[5, 1, 4, 2])), [1, 2, 4]);
        let joined = page(&[9, 1, 7]).joined(page(&[3, 8]));
        assert_eq!(found(&joined), [1, 3, 7]);
        assert!(joined.is_full() && !page(&[3, 8]).is_full());
    }
}
