//! Counts the commands of a client that rooms have not answered.
//!
//! Deliberately absent: their ids, which are in the answers of rooms.

use crate::base::limits::UNANSWERED_MAX;

/// The number of unanswered commands, in two bytes, because every idle connection has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OpenCommandCount(u16);

impl OpenCommandCount {
    /// Counts a request for command `id`; 0 stands for requests of the server itself, which are not
    /// counted.
    pub fn on_asked(&mut self, id: u32) {
        // Commands over the quota's burst are refused long before this overflows.
        self.0 = self.0.saturating_add(u16::from(id != 0));
    }

    /// Counts an answer.
    pub fn on_answered(&mut self, id: u32) {
        self.0 = self.0.saturating_sub(u16::from(id != 0));
    }

    /// Their number.
    pub fn count(self) -> u32 {
        self.0.into()
    }

    /// Whether the limit is reached.
    pub fn is_full(self) -> bool {
        UNANSWERED_MAX <= usize::from(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_of_the_client_are_counted() {
        let mut open_commands = OpenCommandCount::default();
        open_commands.on_asked(0);
        assert_eq!(open_commands.count(), 0);
        (0..UNANSWERED_MAX).for_each(|_| open_commands.on_asked(7));
        assert!(open_commands.is_full());
        open_commands.on_answered(0);
        assert!(open_commands.is_full());
        open_commands.on_answered(7);
        assert!(!open_commands.is_full());
    }
}
