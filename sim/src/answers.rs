//! What the clients of a world asked, and whether each question gets its answer.
//!
//! Deliberately absent: what an answer says.

use std::collections::BTreeMap;

use rookery::wire::client::ClientAnswer;

use crate::asked_histories::AskedHistories;
use crate::durable_oracle::KnownBefore;
use crate::member_view::MemberEvents;
use crate::reaction::{Known, Reaction};
use crate::reading::Place;
use crate::violation::{CheckResult, Checker, Violation, demand};

/// What a client asked, to know what the answer means.
#[derive(Clone, Debug, PartialEq)]
pub enum PendingCommand {
    /// With what it asked to recover.
    Connect(Vec<(String, Place, KnownBefore)>),
    /// With where it asked to recover from, and which joins and leaves it wants.
    Subscribe(String, Option<Place>, KnownBefore, MemberEvents),
    /// Who is in this channel.
    Presence(String),
    /// Which channel.
    Unsubscribe(String),
    /// Which message.
    Publish(u64),
    /// Which channel.
    History(String, KnownBefore),
    /// Which message, by a chat method.
    Post(u64),
    /// Up to which place, that the user has got.
    Ack(&'static str, u64),
    /// Up to which place, which may be behind.
    Read(&'static str, u64),
    /// Which message is to be gone.
    Retract(u64),
    /// Which message is to have which version of its words.
    Edit(u64, u64),
    /// Which channel.
    Receipts(&'static str, KnownBefore),
    /// To which message, and with what, if with anything.
    React(&'static str, u64, Reaction),
    /// Which messages, with what is known of reactions there.
    Reactions(&'static str, Vec<u64>, Known),
    /// With what is known of each conversation.
    Rooms(Vec<(&'static str, KnownBefore)>),
    /// Several channels, of which it asked what was said.
    Histories(Box<AskedHistories>),
    /// Anything whose answer means nothing to a checker.
    Other,
}

/// The commands of one connection that wait for their answers.
#[derive(Debug, Default)]
pub struct Answers(BTreeMap<u32, Vec<PendingCommand>>);

impl Answers {
    /// A command leaves.
    pub fn asked(&mut self, id: u32, asked: PendingCommand) {
        self.0.entry(id).or_default().push(asked);
    }

    /// An answer came; returns what was asked.
    pub fn answered(
        &mut self,
        id: u32,
        answer: &ClientAnswer,
    ) -> Result<PendingCommand, Violation> {
        let waiting = self.0.get_mut(&id);
        let Some(waiting) = waiting.filter(|waiting| !waiting.is_empty()) else {
            let text = format!("nobody waits for the answer to {id}: {answer:?}");
            return Err(Violation { checker: Checker::Answers, text });
        };
        // A client may use an id twice: then the kind of the answer decides.
        let fits = |asked: &PendingCommand| match answer {
            ClientAnswer::Connect(_) => matches!(asked, PendingCommand::Connect(_)),
            ClientAnswer::Subscribe(_) => matches!(asked, PendingCommand::Subscribe(..)),
            ClientAnswer::Unsubscribe => matches!(asked, PendingCommand::Unsubscribe(_)),
            ClientAnswer::Publish => matches!(asked, PendingCommand::Publish(_)),
            ClientAnswer::History(_) => matches!(asked, PendingCommand::History(..)),
            ClientAnswer::Error(_) => !matches!(asked, PendingCommand::Subscribe(..)),
            ClientAnswer::Rpc(_) => !matches!(
                asked,
                PendingCommand::Connect(_)
                    | PendingCommand::Subscribe(..)
                    | PendingCommand::Unsubscribe(_)
                    | PendingCommand::Publish(_)
                    | PendingCommand::Presence(_)
                    | PendingCommand::History(..)
            ),
            ClientAnswer::Presence(_) => matches!(asked, PendingCommand::Presence(_)),
            ClientAnswer::PresenceStats(_)
            | ClientAnswer::Ping
            | ClientAnswer::Refresh(_)
            | ClientAnswer::SubRefresh(_)
            | ClientAnswer::Unknown => matches!(asked, PendingCommand::Other),
        };
        let index = waiting.iter().position(fits).unwrap_or(0);
        Ok(waiting.remove(index))
    }

    /// What was asked with this id, first.
    pub fn of(&self, id: u32) -> Option<&PendingCommand> {
        self.0.get(&id)?.first()
    }

    /// All is quiet, and the client has read everything.
    pub fn check_complete(&self) -> CheckResult {
        let open = self.0.iter().find(|(_, waiting)| !waiting.is_empty());
        demand!(open.is_none(), Checker::Answers, "no answer came to {open:?}")
    }
}
