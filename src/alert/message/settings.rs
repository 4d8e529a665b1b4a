//! The settings with their templates, ready for use.
//!
//! Deliberately absent: reading them.

use super::template::Templates;
use crate::alert::options::Options;

/// The settings with their templates, ready for use.
#[derive(Debug)]
pub struct BridgeSettings {
    /// The settings.
    pub options: Options,
    /// Its templates, checked.
    pub templates: Templates,
}
