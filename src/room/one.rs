//! One room on its home shard: its members, its stream, and how long it stays.
//!
//! Deliberately absent: the other rooms of the shard, and decisions about questions (`state`).

use std::sync::Arc;

use smallvec::SmallVec;

use super::ids::Ids;
use super::inbox::Inbox;
use super::kept::{Kept, Phase};
use super::members::Members;
use super::news::Crowd;
use super::user_rates::UserRates;
use super::window::Window;
use super::{Answer, Asker, Namespace, Options, Posted, Recovery, Title, Way, Welcome};
use crate::base::limits::IDS_MS;
use crate::base::{Bucket, Now, RoomId, ShardId, Tick};
use crate::wire::{ClientInfo, Epoch, ID_TAG, Position, Publication};

/// How long a room whose messages are on disk stays in memory when nobody is there.
const REST_MS: u64 = 30_000;

/// A room is looked at as often at least, so that deadlines of rooms that are gone
/// do not pile up until the oldest message would have been too old.
pub(super) const SWEEP_MS_MAX: u64 = 300_000;

/// One room on its home shard.
pub(super) struct Room {
    pub(super) id: RoomId,
    pub(super) title: Title,
    pub(super) members: Members,
    pub(super) stream: Stream,
    pub(super) rate: Bucket,
    /// Who was told to be typing a moment ago.
    pub(super) typing: SmallVec<[(Arc<ClientInfo>, Tick); 1]>,
    /// Of messages that came with an id.
    pub(super) ids: Option<Box<Ids>>,
    /// Of a personal channel: what is known of messages that wait for its user.
    pub(super) inbox: Option<Box<Inbox>>,
    /// Of a large room: who came and left since its members were told last.
    pub(super) crowd: Option<Box<Crowd>>,
    /// How often whose coming and going was told lately.
    pub(super) told_of: Option<Box<UserRates>>,
    /// Since when nobody is here.
    pub(super) empty_since: Tick,
    /// The earliest entry of `sweeps` for this room; the end of time for none.
    pub(super) sweep_at: Tick,
}

/// What a room remembers of what was said.
#[derive(Debug)]
pub(super) enum Stream {
    /// Nothing; messages have no offsets.
    None,
    /// The last messages, in memory.
    Memory(Window),
    /// All that the namespace wants, on disk.
    Kept(Box<Kept>),
}

impl Room {
    /// What is in memory of its stream.
    pub(super) fn window(&self) -> Option<&Window> {
        match &self.stream {
            Stream::None => None,
            Stream::Memory(window) => Some(window),
            Stream::Kept(kept) => Some(kept.window()),
        }
    }

    /// Drops what is too old in memory. Returns when the next message will be.
    pub(super) fn expire(&mut self, now: Now, rules: &Namespace) -> Option<u64> {
        if let Some(ids) = &mut self.ids {
            ids.expire(now.unix_ms);
            if ids.is_empty() {
                self.ids = None;
            }
        }
        match &mut self.stream {
            Stream::None => None,
            Stream::Memory(window) => window.expire(now, rules.window_limits()),
            Stream::Kept(kept) => kept.window_mut().expire(now, rules.window_limits()),
        }
    }

    pub(super) fn next_offset(&self) -> u64 {
        match &self.stream {
            Stream::None => 0,
            Stream::Memory(window) => window.next_offset(),
            Stream::Kept(kept) => kept.next_offset(),
        }
    }

    /// The answer to a chat method that said something.
    pub(super) fn posted(&self, offset: u64, id: &str, way: Option<Way>) -> Answer {
        let epoch = self.window().map_or(Epoch::FOREIGN, |window| window.position().epoch);
        let position = Position { offset, epoch };
        let channel = Arc::clone(&self.title.channel);
        Answer::Posted(Box::new(Posted { channel, position, id: id.into(), way }))
    }

    /// Everything behind `since` that is in memory, or `None` when some of it is gone.
    pub(super) fn missed(&self, since: Position) -> Option<Vec<Arc<Publication>>> {
        self.window()?.missed(since)
    }

    pub(super) fn welcome(
        &self,
        position: Option<Position>,
        missed: Option<Option<Vec<Arc<Publication>>>>,
    ) -> Welcome {
        let recovery = match &missed {
            None => Recovery::NotAsked,
            Some(Some(_)) => Recovery::Whole,
            Some(None) => Recovery::Lost,
        };
        let name = Arc::clone(&self.title.channel);
        Welcome { name, position, missed: missed.flatten().unwrap_or_default(), recovery }
    }

    /// When the store is asked again by itself, after it failed: somebody is here, or
    /// waits elsewhere for what it may have kept.
    pub(super) fn opens_again_at(&self) -> Option<Tick> {
        let Stream::Kept(kept) = &self.stream else { return None };
        match kept.phase() {
            Phase::Closed { again_at } if !self.members.is_empty() || kept.is_in_doubt() => {
                Some(again_at)
            }
            Phase::Closed { .. } | Phase::Opening | Phase::Open => None,
        }
    }

    /// How long it stays when the last member has left.
    pub(super) fn stays_ms(&self, rules: &Namespace) -> u64 {
        match &self.stream {
            Stream::None => 0,
            Stream::Memory(window) if window.is_silent() => 0,
            // Ids are remembered here alone.
            Stream::Memory(_) if self.ids.is_some() => rules.history_age_ms_max.max(IDS_MS),
            Stream::Memory(_) => rules.history_age_ms_max,
            Stream::Kept(kept) if kept.is_silent() => 0,
            Stream::Kept(_) => REST_MS,
        }
    }

    /// Remembers the message's id, if it has one. False when its author has too many.
    pub(super) fn remember_id(&mut self, publication: &Publication) -> bool {
        let Some((user, id)) = name_of(publication) else { return true };
        let ids = self.ids.get_or_insert_default();
        ids.remember(publication.time_unix_ms, user, id, publication.offset).is_ok()
    }

    pub(super) fn is_at_rest(&self) -> bool {
        match &self.stream {
            Stream::None | Stream::Memory(_) => true,
            Stream::Kept(kept) => kept.is_at_rest(),
        }
    }

    /// Forgets it again.
    pub(super) fn forget_id(&mut self, publication: &Publication) {
        if let (Some((user, id)), Some(ids)) = (name_of(publication), &mut self.ids) {
            ids.forget(user, id);
        }
    }
}

/// What makes a message the same as an earlier one: its author's name and its id.
pub(super) fn name_of(publication: &Publication) -> Option<(&str, &str)> {
    let user = &publication.info.as_ref()?.user;
    let id = publication.tag(ID_TAG)?;
    (!user.is_empty()).then_some((user, id))
}

/// Who asks, and from which shard.
pub(super) type Asking = (ShardId, Asker);

pub(super) fn rules<'o>(options: &'o Options, title: &Title) -> &'o Namespace {
    &options.namespaces[usize::from(title.namespace)]
}
