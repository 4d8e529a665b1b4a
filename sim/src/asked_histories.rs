//! What a client asked for that reads several channels at once.
//!
//! Deliberately absent: asking, and what a page may show (`histories`).

use crate::durable_oracle::KnownBefore;
use crate::reading::Place;

/// What was asked for of several channels.
#[derive(Clone, Debug, PartialEq)]
pub struct AskedHistories {
    /// By channel, in the order of the call.
    pub(crate) pages: Vec<AskedPage>,
    /// Messages of each channel.
    pub(crate) limit: u64,
    /// Newest first.
    pub(crate) is_newest_first: bool,
}

/// A channel that was asked for, behind or before which place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AskedPage {
    pub(crate) channel: &'static str,
    pub(crate) since: Option<Place>,
    pub(crate) before: KnownBefore,
}
