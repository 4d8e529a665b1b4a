//! What a backend is asked, and about whom.
//!
//! Deliberately absent: how that is written (`body`).

use std::sync::Arc;

use crate::base::ClientId;
use crate::metrics::Hook;
use crate::wire::{Encoding, Payload};

/// One request of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookRequest {
    /// Whom it is about.
    pub asker: HookAsker,
    /// What is asked.
    pub question: HookQuestion,
}

/// The connection that a backend is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookAsker {
    /// Its id.
    pub client: ClientId,
    /// How it speaks.
    pub encoding: Encoding,
    /// Its user; empty for an anonymous one, and before it is let in.
    pub user: Box<str>,
    /// Its tenant; empty for the only one.
    pub tenant: Arc<str>,
    /// What its token or its backend said of it for hooks: one JSON value.
    pub meta: Option<Arc<[u8]>>,
    /// Headers of its upgrade that are handed on.
    pub headers: Option<Arc<HookHeaders>>,
}

/// Headers with their values, in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookHeaders(pub Vec<(Box<str>, Box<[u8]>)>);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookQuestion {
    /// Who the client is.
    Connect(Box<ConnectQuestion>),
    /// Whether it may stay.
    Refresh,
    /// What a method of the application answers.
    Rpc {
        /// The method.
        method: Box<str>,
        /// What it is called with.
        data: Payload,
    },
    /// Whether it may subscribe.
    Subscribe {
        /// The channel.
        channel: Arc<str>,
        /// What the client says to it.
        data: Option<Payload>,
    },
    /// Whether it may publish, and what.
    Publish {
        /// The channel.
        channel: Box<str>,
        /// What it would publish.
        data: Payload,
    },
    /// Whether it may stay subscribed.
    SubRefresh {
        /// The channel.
        channel: Box<str>,
    },
}

/// What a connect command says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectQuestion {
    /// Its data.
    pub data: Option<Payload>,
    /// The name of the client's program.
    pub name: Box<str>,
    /// Its version.
    pub version: Box<str>,
    /// Channels in which it wants to recover.
    pub channels: Vec<Box<str>>,
}

/// What a request costs beside its parts.
const REQUEST_OVERHEAD_BYTES: usize = 512;

/// What a text or a header costs beside its bytes.
const TEXT_OVERHEAD_BYTES: usize = 32;

impl HookHeaders {
    fn cost_bytes(&self) -> usize {
        self.0.iter().map(|(name, text)| name.len() + text.len() + 2 * TEXT_OVERHEAD_BYTES).sum()
    }
}

impl HookQuestion {
    /// The hook.
    pub fn hook(&self) -> Hook {
        match self {
            HookQuestion::Connect(_) => Hook::Connect,
            HookQuestion::Refresh => Hook::Refresh,
            HookQuestion::Rpc { .. } => Hook::Rpc,
            HookQuestion::Subscribe { .. } => Hook::Subscribe,
            HookQuestion::Publish { .. } => Hook::Publish,
            HookQuestion::SubRefresh { .. } => Hook::SubRefresh,
        }
    }

    fn data(&self) -> Option<&Payload> {
        match self {
            HookQuestion::Connect(question) => question.data.as_ref(),
            HookQuestion::Rpc { data, .. } | HookQuestion::Publish { data, .. } => Some(data),
            HookQuestion::Subscribe { data, .. } => data.as_ref(),
            HookQuestion::Refresh | HookQuestion::SubRefresh { .. } => None,
        }
    }

    /// What its texts cost that can be long, or many.
    fn text_bytes(&self) -> usize {
        match self {
            HookQuestion::Connect(question) => {
                let ConnectQuestion { data: _, name, version, channels } = &**question;
                let texts = channels.iter().chain([name, version]);
                texts.map(|text| text.len() + TEXT_OVERHEAD_BYTES).sum()
            }
            HookQuestion::Refresh
            | HookQuestion::Rpc { .. }
            | HookQuestion::Subscribe { .. }
            | HookQuestion::Publish { .. }
            | HookQuestion::SubRefresh { .. } => 0,
        }
    }
}

impl HookRequest {
    /// What it costs in memory, about. What it shares with its connection counts, too: the
    /// connection may be gone before it is answered.
    pub fn cost_bytes(&self) -> usize {
        let HookAsker { meta, headers, .. } = &self.asker;
        let shared_bytes = meta.as_ref().map_or(0, |meta| meta.len())
            + headers.as_ref().map_or(0, |headers| headers.cost_bytes());
        let data_bytes = self.question.data().map_or(0, Payload::cost_bytes);
        REQUEST_OVERHEAD_BYTES + data_bytes + shared_bytes + self.question.text_bytes()
    }
}
