//! What the store says to the presence feed: what it gives up, and, once after a start, which direct
//! messages wait that the life before may not have told of.
//!
//! Invariant: the storage thread waits for nobody. What has no room waits here, up to a bound, and
//! is lost beyond it: the messages themselves stay in the store.
//!
//! Deliberately absent: when a message is given up (`store`), and who is told (`presence_feed`).

use std::borrow::Cow;
use std::sync::Arc;

use super::presence::PresenceSender;
use crate::base::limits::PRESENCE_FACTS_MAX;
use crate::presence_feed::{DeadLetterNotice, PresenceFact, UserKey, WaitingMessage};
use crate::room::Namespace;
use crate::session::{NameKey, resolve};
use crate::store::{Disk, Engine, GivenUpMessage, StoredDirect};

/// See the module.
pub(super) struct StoreNotices {
    sender: PresenceSender,
    names: NameKey,
    namespaces: Vec<Namespace>,
    /// Those for which there was no room.
    waiting: Vec<PresenceFact>,
}

impl StoreNotices {
    /// Nothing was given up yet.
    pub fn new(sender: PresenceSender, names: NameKey, namespaces: Vec<Namespace>) -> StoreNotices {
        StoreNotices { sender, names, namespaces, waiting: Vec::new() }
    }

    /// Says what waits of what was stored a moment before the start.
    pub fn tell_recent(&mut self, found: Vec<StoredDirect>) {
        let room = PRESENCE_FACTS_MAX - self.waiting.len();
        let facts = found.into_iter().filter_map(|one| waits(self.names, &self.namespaces, one));
        self.waiting.extend(facts.take(room));
        self.sender.post(&mut self.waiting);
    }

    /// Says what the last turn has given up.
    pub fn tell<D: Disk>(&mut self, engine: &Engine<D>) {
        let room = PRESENCE_FACTS_MAX - self.waiting.len();
        let facts = engine.given_up().filter_map(|one| fact(self.names, &self.namespaces, one));
        self.waiting.extend(facts.take(room));
        self.sender.post(&mut self.waiting);
    }
}

/// The fact; `None` where the conversation is not of the user whose personal channel it was.
fn fact(
    names: NameKey,
    namespaces: &[Namespace],
    given_up: GivenUpMessage,
) -> Option<PresenceFact> {
    let GivenUpMessage { inbox, tenant, channel, offset, cause } = given_up;
    let (_, kind) = resolve(namespaces, &channel)?;
    let (reader, _) = names.parties(&tenant, kind, inbox)?;
    let user = UserKey { tenant, user: Arc::from(reader), unnamed: None };
    let cause = Cow::Borrowed(cause.word());
    Some(PresenceFact::DeadLetter(DeadLetterNotice { user, channel, offset, cause }))
}

/// The fact that a message waits still.
fn waits(names: NameKey, namespaces: &[Namespace], stored: StoredDirect) -> Option<PresenceFact> {
    let StoredDirect { inbox, tenant, channel, offset } = stored;
    let (_, kind) = resolve(namespaces, &channel)?;
    let (reader, author) = names.parties(&tenant, kind, inbox)?;
    let (user, from) = (Arc::from(reader), Arc::from(author));
    let user = UserKey { tenant, user, unnamed: None };
    let message = WaitingMessage { user, from, channel, offset, count: 1 };
    Some(PresenceFact::StoredMessageWaits(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::DeadLetterCause;

    fn told(channel: &str, reader: &str, cause: DeadLetterCause) -> Option<(String, String)> {
        let names = NameKey::from_bytes([7; 16]);
        let namespaces = [Namespace { name: "dm".to_owned(), ..Namespace::default() }];
        let (tenant, channel) = (Arc::from("acme"), Arc::from(channel));
        let inbox = names.inbox(&tenant, reader);
        let given_up = GivenUpMessage { inbox, tenant, channel, offset: 8, cause };
        match fact(names, &namespaces, given_up)? {
            PresenceFact::DeadLetter(notice) => {
                assert_eq!((&*notice.user.tenant, notice.offset), ("acme", 8));
                Some((notice.user.user.to_string(), notice.cause.to_string()))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_reader_is_the_one_of_the_two_whose_personal_channel_it_was() {
        let [tries, expired] = [DeadLetterCause::Attempts, DeadLetterCause::Expired];
        assert_eq!(told("dm#ann,ben", "ben", tries), Some(("ben".into(), "tries".into())));
        assert_eq!(told("dm#ann,ben", "ann", expired), Some(("ann".into(), "expired".into())));
        assert_eq!(told("dm#ann,ben", "cleo", tries), None);
        assert_eq!(told("news:1", "ann", tries), None, "nobody's but everybody's");
    }
}
