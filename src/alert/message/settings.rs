//! What an operator wrote, ready for use.
//!
//! Deliberately absent: reading it.

use super::template::Templates;
use crate::alert::options::Options;

/// What an operator wrote, ready for use.
#[derive(Debug)]
pub struct BridgeSettings {
    /// The settings.
    pub options: Options,
    /// Its templates, checked.
    pub templates: Templates,
}
