//! One call of the core: what it knows from outside, and what goes out in it.
//!
//! Deliberately absent: the state of the bridge (`parts`).

use super::output::{BridgeWarning, CoreOutput};
use super::record::{JournalRecord, RecordKey, RecordValue};
use crate::alert::message::BridgeSettings;
use crate::alert::options::Options;
use crate::base::Timestamps;

/// What every part of a call is given.
pub(super) struct Call<'a> {
    /// The clocks.
    now: Timestamps,
    /// What the operator set.
    settings: &'a BridgeSettings,
    /// What goes out.
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

    /// What the operator set, for longer than this borrow.
    pub(super) fn settings(&self) -> &'a BridgeSettings {
        self.settings
    }

    /// Something goes out.
    pub(super) fn push(&mut self, output: CoreOutput) {
        self.out.push(output);
    }

    /// The operator's options, for longer than this borrow.
    pub(super) fn options(&self) -> &'a Options {
        &self.settings.options
    }

    /// This value is on the disk before anything else of the call happens.
    pub(super) fn keep(&mut self, key: RecordKey, value: RecordValue) {
        self.push(CoreOutput::Keep(Box::new(JournalRecord { key, value: Some(value) })));
    }

    /// This key has no value any more.
    pub(super) fn forget(&mut self, key: RecordKey) {
        self.push(CoreOutput::Keep(Box::new(JournalRecord { key, value: None })));
    }

    /// The operator is told.
    pub(super) fn warn(&mut self, warning: BridgeWarning) {
        self.push(CoreOutput::Warn(warning));
    }
}
