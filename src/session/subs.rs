use smallvec::SmallVec;

use crate::auth::Allow;
use crate::base::RoomId;
use crate::room::Title;

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
    /// By a command of its own.
    Client,
    /// At connect.
    Server,
}

/// What must be remembered until the home answers.
#[derive(Debug)]
pub struct Asked {
    /// The client's command; 0 for a subscription that the server makes.
    pub id: u32,
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
    /// The client has left again meanwhile.
    pub cancelled: bool,
}

/// The channels of a session, sorted by room: most have one, some have
/// thousands.
#[derive(Debug, Default)]
pub struct Subs(SmallVec<[Sub; 1]>);

impl Sub {
    /// What its token allows.
    pub fn allow(&self) -> Allow {
        match &self.stage {
            Stage::Asked(asked) => asked.allow,
            Stage::Seated(_, allow, _) => *allow,
        }
    }

    /// Who made it; a client's command has an id.
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
        self.0.len()
    }

    /// All of them, by rising room.
    pub fn iter(&self) -> impl Iterator<Item = &Sub> {
        self.0.iter()
    }

    /// The one of this room.
    pub fn at(&self, room: RoomId) -> Option<&Sub> {
        self.index(room).ok().map(|index| &self.0[index])
    }

    /// The one of this room, to change.
    pub fn at_mut(&mut self, room: RoomId) -> Option<&mut Sub> {
        self.index(room).ok().map(|index| &mut self.0[index])
    }

    /// One more; its room must not be there yet.
    pub fn insert(&mut self, sub: Sub) {
        let index = self.index(sub.room).expect_err("rooms are checked before they are asked");
        self.0.insert(index, sub);
    }

    /// One less.
    pub fn remove(&mut self, room: RoomId) -> Option<Sub> {
        let index = self.index(room).ok()?;
        let sub = self.0.remove(index);
        if self.0.is_empty() {
            self.0.shrink_to_fit();
        }
        Some(sub)
    }

    /// Takes all.
    pub fn take(&mut self) -> impl Iterator<Item = Sub> + use<> {
        std::mem::take(&mut self.0).into_iter()
    }

    fn index(&self, room: RoomId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&room, |sub| sub.room)
    }
}
