//! One call of the core: its time, its settings, and its outputs.
//!
//! Deliberately absent: the state of the bridge (`parts`).

use super::output::{BridgeWarning, CoreOutput};
use super::record::{JournalRecord, RecordKey, RecordValue};
use crate::alert::message::BridgeSettings;
use crate::alert::options::Options;
use crate::base::Timestamps;

/// The context of a call.
pub(super) struct Call<'a> {
    /// The clocks.
    now: Timestamps,
    /// The settings.
    settings: &'a BridgeSettings,
    /// The outputs.
    out: &'a mut Vec<CoreOutput>,
}

impl<'a> Call<'a> {
    /// A call at this time.
    pub(super) fn new(
        now: Timestamps,
        settings: &'a BridgeSettings,
        out: &'a mut Vec<CoreOutput>,
    ) -> Call<'a> {
        Call { now, settings, out }
    }

    /// The clocks.
    pub(super) fn now(&self) -> Timestamps {
        self.now
    }

    /// The settings, for longer than this borrow.
    pub(super) fn settings(&self) -> &'a BridgeSettings {
        self.settings
    }

    /// Adds an output.
    pub(super) fn push(&mut self, output: CoreOutput) {
        self.out.push(output);
    }

    /// The operator's options, for longer than this borrow.
    pub(super) fn options(&self) -> &'a Options {
        &self.settings.options
    }

    /// Writes a value, before anything else of the call is done.
    pub(super) fn keep(&mut self, key: RecordKey, value: RecordValue) {
        self.push(CoreOutput::Keep(Box::new(JournalRecord { key, value: Some(value) })));
    }

    /// Removes a key.
    pub(super) fn forget(&mut self, key: RecordKey) {
        self.push(CoreOutput::Keep(Box::new(JournalRecord { key, value: None })));
    }

    /// Logs a warning for the operator.
    pub(super) fn warn(&mut self, warning: BridgeWarning) {
        self.push(CoreOutput::Warn(warning));
    }
}
