//! Subscribers with a filter over tags: each gets those frames of its class whose publications
//! match. A channel without them does nothing for filters.
//!
//! Invariant: a subscriber with a filter is here exactly while it is in its channel.
//!
//! Deliberately absent: what a filter means (`wire`), and outboxes.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::channels::SubscriberClass;
use super::frames::Recipients;
use crate::base::RoomId;
use crate::wire::{Push, TagFilter};

/// The filters of a shard's subscribers, by room and slot of the connection.
#[derive(Debug, Default)]
pub struct Filters(BTreeMap<(RoomId, u32), (SubscriberClass, Arc<TagFilter>)>);

/// What a channel says in one turn to its subscribers with filters, by slot.
#[derive(Debug)]
pub struct FilteredFrames(Vec<FilteredFrame>);

#[derive(Debug)]
struct FilteredFrame {
    slot: u32,
    class: SubscriberClass,
    filter: Arc<TagFilter>,
    /// Where its messages are among the frames of its class; never two that touch.
    parts: SmallVec<[Range<usize>; 1]>,
    publications_count: u64,
}

impl Filters {
    /// Adds that of a new subscriber.
    pub fn insert(
        &mut self,
        room: RoomId,
        slot: u32,
        class: SubscriberClass,
        filter: Arc<TagFilter>,
    ) {
        self.0.insert((room, slot), (class, filter));
    }

    /// Removes that of a subscriber that leaves, if it had one.
    pub fn remove(&mut self, room: RoomId, slot: u32) {
        self.0.remove(&(room, slot));
    }

    /// What nothing has been said to yet: the subscribers with filters of a channel.
    pub fn frames_of(&self, room: RoomId) -> FilteredFrames {
        let all = self.0.range((room, 0)..=(room, u32::MAX));
        let frame = |(&(_, slot), (class, filter)): (&(RoomId, u32), &(SubscriberClass, _))| {
            let (class, filter, parts) = (*class, Arc::clone(filter), SmallVec::new());
            FilteredFrame { slot, class, filter, parts, publications_count: 0 }
        };
        FilteredFrames(all.map(frame).collect())
    }
}

impl FilteredFrames {
    /// Notes one push for those whom it is for. `parts` says where it is among the frames of
    /// each class.
    pub fn note(
        &mut self,
        push: &Push<'_>,
        recipients: Recipients,
        parts: &[Range<usize>; SubscriberClass::COUNT],
    ) {
        let publication = match push {
            Push::Publication(publication, _) => Some(publication),
            Push::Join { .. }
            | Push::Leave { .. }
            | Push::Unsubscribe { .. }
            | Push::Subscribe(_)
            | Push::Message { .. } => None,
        };
        for one in &mut self.0 {
            let matches = publication.is_none_or(|said| one.filter.matches(&said.tags));
            if recipients.include(one.class) && matches {
                let part = parts[one.class.index()].clone();
                match one.parts.last_mut() {
                    Some(last) if last.end == part.start => last.end = part.end,
                    Some(_) | None => one.parts.push(part),
                }
                one.publications_count += u64::from(publication.is_some());
            }
        }
    }

    /// What is for the subscriber whose connection has this slot: frames, and how many
    /// publications are in them. They are a slice where they are one piece, and most of all.
    pub fn of(&self, slot: u32, frames: &[Bytes; SubscriberClass::COUNT]) -> Option<(Bytes, u64)> {
        let at = self.0.binary_search_by_key(&slot, |one| one.slot).ok()?;
        let FilteredFrame { class, parts, publications_count, .. } = &self.0[at];
        let frames = &frames[class.index()];
        let chosen = match &**parts {
            [] => return None,
            // A slice keeps all of them in memory while it waits.
            [part] if frames.len() <= 2 * part.len() => frames.slice(part.clone()),
            parts => {
                let mut copied = BytesMut::with_capacity(parts.iter().map(Range::len).sum());
                parts.iter().for_each(|part| copied.extend_from_slice(&frames[part.clone()]));
                copied.freeze()
            }
        };
        Some((chosen, *publications_count))
    }
}
