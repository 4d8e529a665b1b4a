use std::collections::VecDeque;

use super::{Letter, home};
use crate::base::limits::{LANE_PUSHES_MAX, LANE_REQUESTS_MAX};
use crate::base::{RoomId, ShardId};
use crate::room::{Ask, Tell, What};
use crate::wire::ErrorCode;

/// What this shard has to say to others, and to itself.
///
/// Invariants: at most `LANE_REQUESTS_MAX` questions to one shard are open, not
/// counting farewells (their number is bounded by the members they end); each
/// question is answered once, so answers need no limit of their own; notices
/// are refused where a lane holds `LANE_PUSHES_MAX`, and then a `Gap` goes first
/// as soon as there is room again; a lane with letters or a gap to tell is among
/// `addressees`, once.
#[derive(Debug)]
pub struct Mesh {
    own: ShardId,
    lanes: Vec<Lane>,
    /// So that a turn does not look into sixty lanes for the two with letters.
    addressees: Vec<ShardId>,
    local: VecDeque<Letter>,
}

#[derive(Debug, Default)]
struct Lane {
    letters: Vec<Letter>,
    open_asks: u32,
    lossy: bool,
    is_addressee: bool,
}

/// What became of a letter.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// It is on its way.
    Sent,
    /// The lane is full. A question was answered with 111 in the addressee's
    /// place; a notice is lost, and its subscribers will be told.
    Full,
}

impl Mesh {
    /// No letters; `own` among so many shards.
    pub fn new(own: ShardId, shards_count: u16) -> Mesh {
        let lanes = (0..shards_count).map(|_| Lane::default()).collect();
        Mesh { own, lanes, addressees: Vec::new(), local: VecDeque::new() }
    }

    /// Where a room's questions go.
    pub fn home(&self, room: RoomId) -> ShardId {
        home(room, self.lanes.len() as u16)
    }

    /// Asks a room's home.
    pub fn ask(&mut self, ask: Ask) -> Posted {
        let to = self.home(ask.room);
        if to == self.own {
            self.local.push_back(Letter::Ask(ask));
            return Posted::Sent;
        }
        let lane = &mut self.lanes[usize::from(to.0)];
        let farewell = matches!(ask.what, What::Unsubscribe(_));
        if !farewell && LANE_REQUESTS_MAX <= lane.open_asks as usize {
            let refused = ask.what.refusal(ErrorCode::TooManyRequests);
            let answer = Tell::Answer(ask.room, ask.asker, refused);
            self.local.push_back(Letter::Tell(answer));
            return Posted::Full;
        }
        lane.open_asks += 1;
        lane.letters.push(Letter::Ask(ask));
        lane.list(to, &mut self.addressees);
        Posted::Sent
    }

    /// Tells a shard what it asked for or subscribed to.
    pub fn tell(&mut self, to: ShardId, tell: Tell) -> Posted {
        if to == self.own {
            self.local.push_back(Letter::Tell(tell));
            return Posted::Sent;
        }
        let lane = &mut self.lanes[usize::from(to.0)];
        let is_answer = match &tell {
            Tell::Answer(..) => true,
            Tell::Said(..) | Tell::Came(..) | Tell::Went(..) | Tell::Typing(..) => false,
        };
        lane.list(to, &mut self.addressees);
        if !is_answer {
            if LANE_PUSHES_MAX <= lane.letters.len() {
                lane.lossy = true;
                return Posted::Full;
            }
            if std::mem::take(&mut lane.lossy) {
                lane.letters.push(Letter::Gap);
            }
        }
        lane.letters.push(Letter::Tell(tell));
        Posted::Sent
    }

    /// An answer came in from another shard.
    pub fn answered(&mut self, from: ShardId) {
        let lane = &mut self.lanes[usize::from(from.0)];
        assert!(0 < lane.open_asks, "each question is answered once");
        lane.open_asks -= 1;
    }

    /// The next letter to ourselves.
    pub fn next_local(&mut self) -> Option<Letter> {
        self.local.pop_front()
    }

    /// Lets `post` take from the front of what waits for each neighbour; what it
    /// leaves is offered again at the next call.
    pub fn post(&mut self, post: &mut dyn FnMut(ShardId, &mut Vec<Letter>)) {
        let mut addressees = std::mem::take(&mut self.addressees);
        addressees.retain(|&to| {
            let letters = self.waiting(to);
            if !letters.is_empty() {
                post(to, letters);
            }
            let lane = &mut self.lanes[usize::from(to.0)];
            lane.is_addressee = !lane.letters.is_empty() || lane.lossy;
            lane.is_addressee
        });
        self.addressees = addressees;
    }

    /// What waits for a neighbour, in order. The caller takes from the front
    /// as much as the lane has room for.
    pub fn waiting(&mut self, to: ShardId) -> &mut Vec<Letter> {
        let lane = &mut self.lanes[usize::from(to.0)];
        if lane.letters.is_empty() && std::mem::take(&mut lane.lossy) {
            lane.letters.push(Letter::Gap);
        }
        &mut lane.letters
    }
}

impl Lane {
    fn list(&mut self, to: ShardId, addressees: &mut Vec<ShardId>) {
        if !std::mem::replace(&mut self.is_addressee, true) {
            addressees.push(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::{ClientId, ConnId};
    use crate::room::{Asker, Departure};
    use crate::wire::ClientInfo;

    const FAR: ShardId = ShardId(1);

    fn mesh() -> Mesh {
        Mesh::new(ShardId(0), 2)
    }

    fn far_room(mesh: &Mesh) -> RoomId {
        let rooms = (0..100u128).map(|n| RoomId(n << 64));
        rooms.into_iter().find(|&room| mesh.home(room) == FAR).unwrap()
    }

    fn ask(room: RoomId, what: What) -> Ask {
        Ask { room, asker: Asker { conn: ConnId { slot: 0, generation: 0 }, id: 1 }, what }
    }

    fn typing(room: RoomId) -> Tell {
        let client = ClientId(1);
        Tell::Typing(room, Arc::new(ClientInfo { user: "".into(), client, conn_info: None }))
    }

    #[test]
    fn questions_over_the_limit_are_answered_here_and_farewells_go() {
        let mut mesh = mesh();
        let room = far_room(&mesh);
        for _ in 0..LANE_REQUESTS_MAX {
            assert_eq!(mesh.ask(ask(room, What::Presence)), Posted::Sent);
        }
        assert_eq!(mesh.ask(ask(room, What::Presence)), Posted::Full);
        let answer = mesh.next_local();
        let refused = What::Presence.refusal(ErrorCode::TooManyRequests);
        assert!(matches!(answer, Some(Letter::Tell(Tell::Answer(_, _, a)))
            if format!("{a:?}") == format!("{refused:?}")));
        let farewell = What::Unsubscribe(Departure::Lost);
        assert_eq!(mesh.ask(ask(room, farewell)), Posted::Sent);
        mesh.answered(FAR);
        mesh.answered(FAR);
        assert_eq!(mesh.ask(ask(room, What::Presence)), Posted::Sent);
    }

    #[test]
    fn after_a_full_lane_the_gap_comes_first() {
        let mut mesh = mesh();
        let room = far_room(&mesh);
        for _ in 0..LANE_PUSHES_MAX {
            assert_eq!(mesh.tell(FAR, typing(room)), Posted::Sent);
        }
        assert_eq!(mesh.tell(FAR, typing(room)), Posted::Full);
        mesh.waiting(FAR).drain(..10);
        assert_eq!(mesh.tell(FAR, typing(room)), Posted::Sent);
        let tail = &mesh.waiting(FAR)[LANE_PUSHES_MAX - 10..];
        assert!(matches!(tail, [Letter::Gap, Letter::Tell(_)]), "{tail:?}");
    }

    #[test]
    fn what_a_lane_has_no_room_for_is_offered_again() {
        let mut mesh = Mesh::new(ShardId(0), 5);
        let room = far_room(&mesh);
        let offer = |mesh: &mut Mesh, taken: usize| {
            let mut offered = Vec::new();
            mesh.post(&mut |to, letters| {
                offered.push((to, letters.len()));
                letters.drain(..taken.min(letters.len()));
            });
            offered.sort_unstable();
            offered
        };
        for (to, count) in [(ShardId(3), 2), (FAR, 1)] {
            (0..count).for_each(|_| assert_eq!(mesh.tell(to, typing(room)), Posted::Sent));
        }
        assert_eq!(offer(&mut mesh, 1), [(FAR, 1), (ShardId(3), 2)]);
        assert_eq!(mesh.tell(FAR, typing(room)), Posted::Sent);
        assert_eq!(offer(&mut mesh, 0), [(FAR, 1), (ShardId(3), 1)]);
        assert_eq!(offer(&mut mesh, 9), [(FAR, 1), (ShardId(3), 1)]);
        assert_eq!(offer(&mut mesh, 9), []);
    }

    #[test]
    fn a_gap_is_told_even_when_nothing_follows() {
        let mut mesh = mesh();
        let room = far_room(&mesh);
        while mesh.tell(FAR, typing(room)) == Posted::Sent {}
        mesh.post(&mut |_, letters| letters.clear());
        let mut offered = Vec::new();
        mesh.post(&mut |_, letters| offered.append(letters));
        assert!(matches!(offered[..], [Letter::Gap]), "{offered:?}");
        while mesh.tell(FAR, typing(room)) == Posted::Sent {}
        mesh.waiting(FAR).clear();
        assert!(matches!(mesh.waiting(FAR)[..], [Letter::Gap]));
        mesh.waiting(FAR).clear();
        assert!(mesh.waiting(FAR).is_empty());
    }
}
