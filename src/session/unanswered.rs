//! How many commands of a client its rooms have not answered.
//!
//! Deliberately absent: which, because rooms say that in their answers.

use crate::base::limits::UNANSWERED_MAX;

/// Commands that rooms have not answered yet, in two bytes, because every idle connection
/// has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Unanswered(u16);

impl Unanswered {
    /// A room was asked for command `id`; 0 stands for what the server asks itself.
    pub fn on_asked(&mut self, id: u32) {
        // Over the quota's burst commands are refused long before this is full.
        self.0 = self.0.saturating_add(u16::from(id != 0));
    }

    /// A room answered it.
    pub fn on_answered(&mut self, id: u32) {
        self.0 = self.0.saturating_sub(u16::from(id != 0));
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.0.into()
    }

    /// Whether there are as many as may be.
    pub fn is_full(self) -> bool {
        UNANSWERED_MAX <= usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_of_the_client_are_counted() {
        let mut unanswered = Unanswered::default();
        unanswered.on_asked(0);
        assert_eq!(unanswered.count(), 0);
        (0..UNANSWERED_MAX).for_each(|_| unanswered.on_asked(7));
        assert!(unanswered.is_full());
        unanswered.on_answered(0);
        assert!(unanswered.is_full());
        unanswered.on_answered(7);
        assert!(!unanswered.is_full());
    }
}
