//! The largest rooms whose home is this shard, for operators: a walk through the table of rooms, a
//! part in each turn.
//!
//! Invariants: one turn looks at no more than `RANKED_SLOTS` slots, however many rooms there are; a
//! room that was there when its walk began, and stays, is seen once.
//!
//! Deliberately absent: the names of conversations and inboxes, which are those of people. They
//! have two members at most, and are counted.

use super::top_rooms::{RankBy, RankedRoom, TopRooms};
use crate::base::Timestamps;
use crate::room::{RoomSummary, Rooms};

/// Slots that one turn looks at: below 1 ms also without optimisation.
const RANKED_SLOTS: u32 = 4_096;

/// Rooms of one answer.
pub const RANKED_ROOMS_MAX: usize = 100;

/// What a walk has found.
#[derive(Clone, Debug)]
pub struct RoomRanking {
    /// The largest, largest first.
    pub largest: TopRooms,
    /// All rooms that it has seen.
    pub rooms_count: u64,
}

/// The walk, and its result until it is taken.
#[derive(Debug, Default)]
pub struct RankingScan {
    running: Option<Walk>,
    found: Option<(u64, RoomRanking)>,
}

#[derive(Debug)]
struct Walk {
    scan_id: u64,
    /// Slots below were looked at.
    slot: u32,
    ranking: RoomRanking,
}

impl RankingScan {
    /// Begins a walk. It replaces a running one, which gets no result.
    pub fn begin(&mut self, scan_id: u64) {
        self.running = Some(Walk::new(scan_id));
    }

    /// Whether nobody walks.
    pub fn is_idle(&self) -> bool {
        self.running.is_none()
    }

    /// Looks at the next few rooms; at the end the result waits to be taken.
    pub fn step(&mut self, rooms: &Rooms, now: Timestamps) {
        let Some(mut walk) = self.running.take() else { return };
        let end = walk.slot.saturating_add(RANKED_SLOTS).min(rooms.span());
        for slot in walk.slot..end {
            if let Some(room) = rooms.in_slot(slot, now) {
                walk.add(&room);
            }
        }
        walk.slot = end;
        if end < rooms.span() {
            self.running = Some(walk);
        } else {
            self.found = Some((walk.scan_id, walk.ranking));
        }
    }

    /// Takes the result of a walk that is over, with its id.
    pub fn take_found(&mut self) -> Option<(u64, RoomRanking)> {
        self.found.take()
    }
}

impl Walk {
    fn new(scan_id: u64) -> Walk {
        let largest = TopRooms::new(RankBy::Members, RANKED_ROOMS_MAX);
        Walk { scan_id, slot: 0, ranking: RoomRanking { largest, rooms_count: 0 } }
    }

    /// Looks at a room.
    fn add(&mut self, room: &RoomSummary<'_>) {
        let RoomRanking { largest, rooms_count } = &mut self.ranking;
        *rooms_count += 1;
        let &RoomSummary { channel_key, members_count, messages_per_min } = room;
        let name = &channel_key.channel;
        let is_of_people = name.starts_with('@') || name.starts_with("dm#");
        if 0 < members_count && !is_of_people && largest.takes(members_count.into(), name) {
            let channel_key = channel_key.clone();
            largest.add(RankedRoom { channel_key, members_count, messages_per_min });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::ChannelKey;

    #[track_caller]
    fn check(rooms: impl IntoIterator<Item = (String, u32)>, want: &[(&str, u32)], count: u64) {
        let mut walk = Walk::new(1);
        for (name, members_count) in rooms {
            let channel_key = ChannelKey { tenant: "".into(), channel: name.into(), namespace: 0 };
            walk.add(&RoomSummary {
                channel_key: &channel_key,
                members_count,
                messages_per_min: 0,
            });
        }
        let ranking = walk.ranking;
        let found: Vec<(&str, u32)> = ranking
            .largest
            .rooms()
            .iter()
            .map(|room| (&*room.channel_key.channel, room.members_count))
            .collect();
        assert_eq!((&found[..], ranking.rooms_count), (want, count));
    }

    #[test]
    fn the_largest_come_first_and_no_more_than_there_may_be() {
        let named = |number: u32| (format!("room:{number}"), number);
        check([], &[], 0);
        check(
            [named(2), named(0), named(9), named(5)],
            &[("room:9", 9), ("room:5", 5), ("room:2", 2)],
            4,
        );
        let many = (0..1_000).map(|number| named(number * 7 % 1_000));
        let names: Vec<String> =
            (900..1_000).rev().map(|number| format!("room:{number}")).collect();
        let want: Vec<(&str, u32)> =
            names.iter().map(String::as_str).zip((900..1_000).rev()).collect();
        check(many, &want, 1_000);
    }

    #[test]
    fn rooms_that_are_named_after_people_are_counted_and_not_named() {
        let names = ["dm#ann,ben", "@ann", "room:1"];
        check(names.map(|name| (name.to_owned(), 2)), &[("room:1", 2)], 3);
    }
}
