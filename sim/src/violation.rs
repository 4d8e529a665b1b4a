//! Who objects to a world, and to what.
//!
//! The tests break a world on purpose, once for each checker, and want the objection to come
//! from exactly that one.
//!
//! Deliberately absent: what is checked.

use std::fmt;

/// Who objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checker {
    /// A reader sees a gapless, ordered part of each room, the same as others.
    Streams,
    /// Join and leave, in their order, make the presence list.
    MemberView,
    /// A recovery that says it is whole is whole.
    Recovery,
    /// No message comes twice to one reader.
    Duplicates,
    /// Each command with an id is answered once.
    Answers,
    /// Whoever stays sees each message whose publisher was told that it is out.
    Published,
    /// Sent = received + waiting, and in order, in each lane.
    Lanes,
    /// A connection has at most one send in flight.
    Sends,
    /// Homes, channels and sessions agree on who is where.
    Membership,
    /// A turn takes at most its limit.
    TurnLimits,
    /// Counters agree with what happened.
    Counters,
    /// Recipients of messages = outcomes + in flight.
    Recipients,
    /// A step of a message that is told has passed, and ends behind its beginning.
    Steps,
    /// Everything the server says can be read.
    Decoding,
    /// Nobody who answers and says what it has to is ended for time, however late cores are.
    Healthy,
    /// Who asks for one thing at a time is answered soon, whatever others ask for.
    Fairness,
    /// After a drain and all graces everything is empty.
    Emptiness,
    /// No panic outside a session.
    Panics,
    /// In a channel on disk offsets have no gaps, and its epoch stays.
    Offsets,
    /// What was answered or shown is there, at that place, whatever happened since.
    Kept,
    /// A repeated id gets the first answer, and makes no second message.
    Repeats,
    /// What was acknowledged stays acknowledged, and nothing else is.
    Markers,
    /// Dead letters + delivered + pending = sent.
    DeadLetters,
    /// Direct messages of a conversation come in their order: none is passed over.
    InOrder,
    /// Nothing waits for ever for a user who comes and acknowledges.
    Waiting,
    /// After a failed sync nothing is promised until the disk was read again.
    Syncs,
    /// What was taken back is not shown again.
    Retracted,
    /// What a backend removed is not shown again, and goes from the disk.
    Removed,
    /// The last words of a message are shown, and no others.
    Edited,
    /// A user who may have one connection has one.
    Singles,
    /// The presence feed is told who is there, and nobody else.
    Presence,
    /// What users were told that they react with is what is shown, and on disk.
    Reactions,
    /// Who was told to be in a group, and who is, is one; each with both halves on disk.
    Groups,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Who objects.
    pub checker: Checker,
    /// To what.
    pub text: String,
}

/// Nothing to object to, or something.
pub type CheckResult = Result<(), Violation>;

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.checker, self.text)
    }
}

/// Nothing to object to when a condition holds; else an objection of this checker, in these
/// words, which are made then only.
macro_rules! demand {
    ($holds:expr, $checker:expr, $($words:tt)+) => {
        if $holds {
            Ok(())
        } else {
            Err($crate::violation::Violation { checker: $checker, text: format!($($words)+) })
        }
    };
}

pub(crate) use demand;
