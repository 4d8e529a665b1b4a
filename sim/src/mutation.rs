//! Ways to break a world on purpose, between its shards and its planes: each
//! proves that one checker looks.

use std::sync::Arc;

use rookery::room::{Answer, Recovery, Tell, What};
use rookery::shard::Letter;

/// What goes wrong. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Nothing.
    None,
    /// A message of a room with history never reaches a shard.
    DropMessage,
    /// A message of a room without history never reaches a shard.
    DropFleeting,
    /// Two messages of one room change places.
    SwapMessages,
    /// A message comes with the body of another.
    SwapBodies,
    /// A message comes twice.
    DoubleMessage,
    /// A whole recovery lacks its first message.
    ShortenRecovery,
    /// A farewell never reaches the room's home.
    DropFarewell,
    /// An answer that is no seat never comes.
    DropAnswer,
    /// An answer that is no seat comes twice.
    DoubleAnswer,
    /// A lane loses a letter.
    LoseLetter,
    /// A core gives a second send before the first has left.
    DoubleSend,
    /// A byte of a send is another one.
    FlipByte,
    /// A core takes all letters that there are.
    GreedyTurn,
    /// A connection is handed over and not counted.
    ForgetAccepted,
    /// A core is not told that a connection is gone.
    KeepGone,
}

/// Applies a mutation once, at the first opportunity after `skip` others.
#[derive(Clone, Debug)]
pub struct Mutator {
    mutation: Mutation,
    skip: u32,
    done: bool,
}

impl Mutator {
    /// A mutator that has not done anything yet.
    pub fn new(mutation: Mutation, skip: u32) -> Mutator {
        Mutator { mutation, skip, done: false }
    }

    /// Whether `mutation` happens at this opportunity.
    pub fn strikes(&mut self, mutation: Mutation) -> bool {
        if self.done || self.mutation != mutation {
            return false;
        }
        if self.skip != 0 {
            self.skip -= 1;
            return false;
        }
        self.done = true;
        true
    }

    /// Changes the letters that one shard has for another.
    pub fn change(&mut self, letters: &mut Vec<Letter>) {
        if self.done {
            return;
        }
        let mutation = self.mutation;
        let Some(index) = letters.iter().position(|letter| self.concerns(letter)) else { return };
        let twin = letters[index..].iter().skip(1).position(|other| twins(&letters[index], other));
        let twin = twin.map(|behind| index + 1 + behind);
        match mutation {
            Mutation::DropMessage
            | Mutation::DropFleeting
            | Mutation::DropFarewell
            | Mutation::DropAnswer => {
                if self.strikes(mutation) {
                    letters.remove(index);
                }
            }
            Mutation::DoubleMessage | Mutation::DoubleAnswer => {
                if self.strikes(mutation) {
                    letters.insert(index, letters[index].clone());
                }
            }
            Mutation::SwapMessages => {
                if let Some(twin) = twin
                    && self.strikes(mutation)
                {
                    letters.swap(index, twin);
                }
            }
            Mutation::SwapBodies => {
                if let Some(twin) = twin
                    && self.strikes(mutation)
                {
                    swap_bodies(letters, index, twin);
                }
            }
            Mutation::ShortenRecovery => {
                if let Letter::Tell(Tell::Answer(_, _, Answer::Subscribed(welcome))) =
                    &mut letters[index]
                    && self.strikes(mutation)
                {
                    welcome.missed.remove(0);
                }
            }
            Mutation::None
            | Mutation::LoseLetter
            | Mutation::DoubleSend
            | Mutation::FlipByte
            | Mutation::GreedyTurn
            | Mutation::ForgetAccepted
            | Mutation::KeepGone => (),
        }
    }

    fn concerns(&self, letter: &Letter) -> bool {
        match (self.mutation, letter) {
            (
                Mutation::DropMessage
                | Mutation::SwapMessages
                | Mutation::SwapBodies
                | Mutation::DoubleMessage,
                Letter::Tell(Tell::Said(_, publication)),
            ) => publication.offset != 0,
            (Mutation::DropFleeting, Letter::Tell(Tell::Said(_, publication))) => {
                publication.offset == 0
            }
            (
                Mutation::ShortenRecovery,
                Letter::Tell(Tell::Answer(_, _, Answer::Subscribed(welcome))),
            ) => welcome.recovery == Recovery::Whole && !welcome.missed.is_empty(),
            (Mutation::DropFarewell, Letter::Ask(ask)) => {
                matches!(ask.what, What::Unsubscribe(_))
            }
            (
                Mutation::DropAnswer,
                Letter::Tell(Tell::Answer(_, asker, Answer::Published | Answer::Presence(_))),
            ) => asker.id != 0,
            // One that no client waits for: it would see a second one first.
            (Mutation::DoubleAnswer, Letter::Tell(Tell::Answer(_, asker, answer))) => {
                asker.id == 0 && matches!(answer, Answer::Unsubscribed)
            }
            (_, _) => false,
        }
    }
}

fn twins(one: &Letter, other: &Letter) -> bool {
    match (one, other) {
        (Letter::Tell(Tell::Said(room, _)), Letter::Tell(Tell::Said(again, _))) => room == again,
        (_, _) => false,
    }
}

fn swap_bodies(letters: &mut [Letter], index: usize, twin: usize) {
    let body = |letter: &Letter| match letter {
        Letter::Tell(Tell::Said(_, publication)) => Some(publication.data.clone()),
        Letter::Tell(_) | Letter::Ask(_) | Letter::Gap(_) => None,
    };
    let bodies = [body(&letters[twin]), body(&letters[index])];
    for (at, body) in [index, twin].into_iter().zip(bodies) {
        if let (Letter::Tell(Tell::Said(_, publication)), Some(body)) = (&mut letters[at], body) {
            Arc::make_mut(publication).data = body;
        }
    }
}
