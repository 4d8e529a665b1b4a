//! Which hooks there are, and what holds where a backend does not answer.
//!
//! Deliberately absent: where the backend is (`server`), and names and texts of settings
//! (`config`).

use crate::metrics::Hook;

/// A set of hooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookSet(u8);

impl HookSet {
    /// Adds one.
    pub fn insert(&mut self, hook: Hook) {
        self.0 |= 1 << hook as u8;
    }

    /// Whether it is there.
    pub fn contains(self, hook: Hook) -> bool {
        self.0 & 1 << hook as u8 != 0
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Hook> for HookSet {
    fn from_iter<T: IntoIterator<Item = Hook>>(hooks: T) -> HookSet {
        let mut set = HookSet::default();
        hooks.into_iter().for_each(|hook| set.insert(hook));
        set
    }
}

/// What sessions know of hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookOptions {
    /// Those that are asked.
    pub asked: HookSet,
    /// Those whose backend may fail and nobody is refused for that: what is asked about happens
    /// as if there were no hook.
    pub lenient: HookSet,
    /// Whether a connection keeps the headers of its upgrade that are handed on: for hooks that
    /// are asked after it was let in.
    pub keeps_headers: bool,
    /// Headers that a client may give in its connect command, lower case.
    pub client_headers: Vec<String>,
}

impl HookOptions {
    /// Whether this hook is asked.
    pub fn asks(&self, hook: Hook) -> bool {
        self.asked.contains(hook)
    }
}

/// What holds where a backend does not answer, as an operator says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// Who is connected or subscribed stays; everything else is refused.
    Auto,
    /// What was asked about does not happen.
    Refuse,
    /// It happens as if there were no hook.
    Allow,
}
