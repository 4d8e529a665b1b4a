//! The largest rooms of all cores, in pages.
//!
//! Each core says which of its rooms are the largest, as many as are kept here; so what is kept is
//! exact as far as it goes, as a room has one home.
//!
//! Deliberately absent: rooms by name, which the server API lists by pattern.

/// Rooms that are kept, and that a core is asked for.
pub const ROOMS_MAX: usize = 100;

/// Rooms of a page.
pub const PAGE_ROWS: usize = 25;

const _: () = assert!(ROOMS_MAX.is_multiple_of(PAGE_ROWS));

/// A room, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRow {
    /// Its home.
    pub core: u16,
    /// The tenant that its name is of; empty for the only one.
    pub tenant: Box<str>,
    /// Its name.
    pub channel: Box<str>,
    /// Connections in it.
    pub members_count: u32,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct LargestRooms {
    rows: Vec<RoomRow>,
    /// Rooms of all cores that answered.
    rooms_count: u64,
    /// Cores that did not answer in time.
    silent_cores: Vec<u16>,
}

impl LargestRooms {
    /// What a core found: its largest, and how many it has in all.
    pub fn add(&mut self, rows: Vec<RoomRow>, rooms_count: u64) {
        self.rooms_count += rooms_count;
        self.rows.extend(rows);
        // By name, too, so that two answers about the same rooms have the same pages.
        self.rows.sort_by(|one, other| {
            let by_size = other.members_count.cmp(&one.members_count);
            let by_name = || one.channel.cmp(&other.channel).then(one.tenant.cmp(&other.tenant));
            by_size.then_with(by_name)
        });
        self.rows.truncate(ROOMS_MAX);
    }

    /// These cores did not answer.
    pub fn set_silent(&mut self, cores: Vec<u16>) {
        self.silent_cores = cores;
    }

    /// The rooms of a page, from 0 on.
    pub fn page(&self, page: usize) -> &[RoomRow] {
        let begin = page.saturating_mul(PAGE_ROWS).min(self.rows.len());
        let end = (begin + PAGE_ROWS).min(self.rows.len());
        &self.rows[begin..end]
    }

    /// How many pages there are.
    pub fn pages_count(&self) -> usize {
        self.rows.len().div_ceil(PAGE_ROWS)
    }

    /// How many rooms there are.
    pub fn rooms_count(&self) -> u64 {
        self.rooms_count
    }

    /// Cores that did not answer, whose rooms are missing.
    pub fn silent_cores(&self) -> &[u16] {
        &self.silent_cores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(core: u16, number: u32) -> RoomRow {
        let channel = format!("room:{number:03}").into();
        RoomRow { core, tenant: "".into(), channel, members_count: number }
    }

    fn members(rows: &[RoomRow]) -> Vec<u32> {
        rows.iter().map(|row| row.members_count).collect()
    }

    #[test]
    fn the_largest_of_all_cores_come_first() {
        let mut rooms = LargestRooms::default();
        rooms.add((0..100).map(|number| row(0, 2 * number)).collect(), 5_000);
        rooms.add((0..100).map(|number| row(1, 2 * number + 1)).collect(), 7_000);
        assert_eq!((rooms.rooms_count(), rooms.pages_count()), (12_000, 4));
        let all: Vec<u32> = (0..5).flat_map(|page| members(rooms.page(page))).collect();
        assert_eq!(all, (100..200).rev().collect::<Vec<u32>>());
        assert_eq!(members(rooms.page(1)), (150..175).rev().collect::<Vec<u32>>());
        assert_eq!(rooms.page(4), []);
        assert_eq!(rooms.page(usize::MAX), []);
    }

    #[test]
    fn rooms_of_one_size_stand_by_name_whoever_answered_first() {
        let of = |cores: [u16; 2]| {
            let mut rooms = LargestRooms::default();
            for core in cores {
                let channel = format!("room:{core}").into();
                let row = RoomRow { core, tenant: "".into(), channel, members_count: 7 };
                rooms.add(vec![row], 1);
            }
            rooms.page(0).to_vec()
        };
        assert_eq!(of([0, 1]), of([1, 0]));
    }

    #[test]
    fn without_rooms_there_are_no_pages() {
        let mut rooms = LargestRooms::default();
        rooms.add(Vec::new(), 0);
        rooms.set_silent(vec![3]);
        assert_eq!((rooms.page(0), rooms.pages_count()), (&[][..], 0));
        assert_eq!(rooms.silent_cores(), [3]);
        rooms.add(vec![row(0, 1)], 1);
        assert_eq!((members(rooms.page(0)), rooms.pages_count()), (vec![1], 1));
    }
}
