//! The subscriptions of one session, sorted by room, and how far each of them is.
//!
//! Invariant: a room is in the list at most once.
//!
//! Deliberately absent: whether a subscription is allowed (`target`, `rights`).

use std::{mem, slice};

use crate::auth::Allow;
use crate::base::{RoomId, Tick};
use crate::room::{Departure, Title};
use crate::wire::ErrorCode;

/// Where a session sits in a channel of its shard. Opaque to the session; the
/// shard moves it when others leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The shard's channel.
    pub channel: u32,
    /// The index among its subscribers.
    pub index: u32,
}

/// One channel of a session.
#[derive(Debug)]
pub struct Sub {
    /// Which.
    pub room: RoomId,
    /// How far it is.
    pub stage: Stage,
}

/// How far a subscription is.
#[derive(Debug)]
pub enum Stage {
    /// The home has been asked.
    Asked(Box<Asked>),
    /// The session is in, its token allows this, and this end made it.
    Seated(Place, Allow, Maker),
}

/// Who made a subscription: only its maker can make it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// The client, by a command of its own.
    Client,
    /// The server, at connect.
    Server,
}

/// What must be remembered until the home answers.
#[derive(Debug)]
pub struct Asked {
    /// The client's command; 0 for a subscription that the server makes.
    pub id: u32,
    /// When.
    pub at: Tick,
    /// Which room.
    pub title: Title,
    /// Wanted: recovery later.
    pub recoverable: bool,
    /// Wanted: to be told of gaps.
    pub positioned: bool,
    /// Wanted: who comes and goes.
    pub join_leave: bool,
    /// The token's end, Unix seconds.
    pub expires_unix_s: Option<u64>,
    /// What the token allows.
    pub allow: Allow,
    /// From where on what was missed is the client's own, if it asked for that.
    pub own_from: Option<u64>,
    /// It ends as soon as it begins, and the command is refused with this.
    pub cancelled: Option<ErrorCode>,
}

/// Why the server ends a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Something was lost on its way.
    InsufficientState,
    /// Its token has ended.
    Expired,
    /// A fresh token does not allow it any more.
    Denied,
}

impl Removal {
    /// What the client is told: from 2500 on it subscribes again.
    pub fn parts(self) -> (u32, &'static str) {
        match self {
            Removal::InsufficientState => (2500, "insufficient state"),
            Removal::Expired => (2501, "subscription expired"),
            Removal::Denied => (2000, "permission denied"),
        }
    }

    /// What a subscribe command is told that has not been answered.
    pub fn refusal(self) -> ErrorCode {
        match self {
            Removal::InsufficientState => ErrorCode::TooManyRequests,
            Removal::Expired => ErrorCode::TokenExpired,
            Removal::Denied => ErrorCode::PermissionDenied,
        }
    }

    /// Who cannot come back has left.
    pub fn departure(self) -> Departure {
        match self {
            Removal::InsufficientState | Removal::Expired => Departure::Lost,
            Removal::Denied => Departure::Said,
        }
    }
}

/// The channels of a session, sorted by room: most have one, some have
/// thousands. The one lies inside, and costs nothing but itself.
#[derive(Debug, Default)]
pub struct Subs(List);

#[derive(Debug, Default)]
enum List {
    #[default]
    None,
    One(Sub),
    #[expect(clippy::box_collection, reason = "a pointer, for the sake of those with one")]
    Many(Box<Vec<Sub>>),
}

impl Sub {
    /// What its token allows.
    pub fn allow(&self) -> Allow {
        match &self.stage {
            Stage::Asked(asked) => asked.allow,
            Stage::Seated(_, allow, _) => *allow,
        }
    }

    /// Who made it; a client's subscribe command always has an id.
    pub fn maker(&self) -> Maker {
        match &self.stage {
            Stage::Asked(asked) if asked.id == 0 => Maker::Server,
            Stage::Asked(_) => Maker::Client,
            Stage::Seated(.., maker) => *maker,
        }
    }
}

impl Subs {
    /// How many.
    pub fn len(&self) -> usize {
        self.all().len()
    }

    /// All of them, by rising room.
    pub fn iter(&self) -> impl Iterator<Item = &Sub> {
        self.all().iter()
    }

    /// The one of this room.
    pub fn at(&self, room: RoomId) -> Option<&Sub> {
        let all = self.all();
        index(all, room).ok().map(|index| &all[index])
    }

    /// The one of this room, to change.
    pub fn at_mut(&mut self, room: RoomId) -> Option<&mut Sub> {
        let all = self.all_mut();
        index(all, room).ok().map(|index| &mut all[index])
    }

    /// One more; its room must not be there yet.
    pub fn insert(&mut self, sub: Sub) {
        let index = index(self.all(), sub.room);
        let index = index.expect_err("rooms are checked before they are asked");
        self.0 = match mem::take(&mut self.0) {
            List::None => List::One(sub),
            List::One(other) => {
                let mut many = vec![other];
                many.insert(index, sub);
                List::Many(Box::new(many))
            }
            List::Many(mut many) => {
                many.insert(index, sub);
                List::Many(many)
            }
        };
    }

    /// One less. Who had many keeps the list, until it is empty.
    pub fn remove(&mut self, room: RoomId) -> Option<Sub> {
        let index = index(self.all(), room).ok()?;
        match mem::take(&mut self.0) {
            List::None => unreachable!("it has an index"),
            List::One(sub) => Some(sub),
            List::Many(mut many) => {
                let sub = many.remove(index);
                if !many.is_empty() {
                    self.0 = List::Many(many);
                }
                Some(sub)
            }
        }
    }

    /// Takes all.
    pub fn take(&mut self) -> impl Iterator<Item = Sub> + use<> {
        let (one, many) = match mem::take(&mut self.0) {
            List::None => (None, Vec::new()),
            List::One(sub) => (Some(sub), Vec::new()),
            List::Many(many) => (None, *many),
        };
        one.into_iter().chain(many)
    }

    fn all(&self) -> &[Sub] {
        match &self.0 {
            List::None => &[],
            List::One(sub) => slice::from_ref(sub),
            List::Many(many) => many,
        }
    }

    fn all_mut(&mut self) -> &mut [Sub] {
        match &mut self.0 {
            List::None => &mut [],
            List::One(sub) => slice::from_mut(sub),
            List::Many(many) => many,
        }
    }
}

fn index(all: &[Sub], room: RoomId) -> Result<usize, usize> {
    all.binary_search_by_key(&room, |sub| sub.room)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::Prng;

    fn seated(room: RoomId, channel: u32) -> Sub {
        let place = Place { channel, index: 0 };
        Sub { room, stage: Stage::Seated(place, Allow::NONE, Maker::Client) }
    }

    #[track_caller]
    fn check(subs: &mut Subs, model: &BTreeMap<RoomId, u32>) {
        let place = |sub: &Sub| match &sub.stage {
            Stage::Seated(place, ..) => (sub.room, place.channel),
            Stage::Asked(_) => panic!("nobody asked"),
        };
        assert!(subs.iter().map(place).eq(model.iter().map(|(&room, &channel)| (room, channel))));
        assert_eq!(subs.len(), model.len());
        for n in 0..6 {
            let found = subs.at(RoomId(n)).map(place);
            assert_eq!(found, model.get(&RoomId(n)).map(|&channel| (RoomId(n), channel)));
            assert_eq!(subs.at_mut(RoomId(n)).is_some(), found.is_some());
        }
    }

    /// A sorted map beside the list, through none, one and many, both ways.
    #[test]
    fn the_list_is_a_sorted_map() {
        let mut prng = Prng::from_seed(5);
        let (mut subs, mut model) = (Subs::default(), BTreeMap::new());
        for channel in 0..2_000 {
            let room = RoomId(u128::from(prng.below(6)));
            if prng.percent(2) {
                let taken: Vec<RoomId> = subs.take().map(|sub| sub.room).collect();
                assert!(taken.into_iter().eq(std::mem::take(&mut model).into_keys()));
            } else if prng.percent(50) {
                assert_eq!(subs.remove(room).is_some(), model.remove(&room).is_some());
            } else if let std::collections::btree_map::Entry::Vacant(place) = model.entry(room) {
                place.insert(channel);
                subs.insert(seated(room, channel));
            }
            check(&mut subs, &model);
        }
    }

    #[test]
    fn one_costs_nothing_but_itself() {
        assert_eq!(size_of::<Subs>(), size_of::<Sub>());
    }
}
