//! The mesh: messages of one shard to the others and to itself, with their limits. A
//! lane that is full is an answer and not a wait: a request is refused here in place of its
//! addressee, and lost publications are reported by a `Gap` as soon as there is room.
//!
//! Deliberately absent: the lanes between threads, into which the owner of a core posts.

use std::collections::{BTreeMap, VecDeque};

use super::messages::{Gap, ShardMessage, home};
use crate::base::limits::{
    LANE_GONE_MAX, LANE_PUSHES_MAX, LANE_REQUESTS_MAX, OWN_REQUESTS_MAX, USER_REQUESTS_MAX,
};
use crate::base::{RoomId, ShardId, UserHash, trim_queue};
use crate::room::{ReplyTo, RoomEvent, RoomOp, RoomRequest};
use crate::wire::ErrorCode;

/// The messages of this shard that wait for others, and for itself.
///
/// Invariants: at most `LANE_REQUESTS_MAX` requests to one shard are open,
/// `OWN_REQUESTS_MAX` to ourselves, and `USER_REQUESTS_MAX` of one user, by however many
/// connections it asks; unsubscribes (bounded by the members that they end), claims (by the
/// connections that are admitted) and deliveries (by the messages that rooms wait for) do
/// not count. Each request is answered once, so answers need no limit of their own. A lane
/// reports at most `LANE_GONE_MAX` closed connections at a time. Notices are refused where
/// a lane holds `LANE_PUSHES_MAX` of them; for lost publications a `Gap` goes first as soon
/// as there is room again. A lane with messages or a gap to send is in `addressees`, once.
#[derive(Debug)]
pub struct Mesh {
    own: ShardId,
    lanes: Vec<Lane>,
    /// Lanes with something to send, so that a turn does not visit all of sixty lanes.
    addressees: Vec<ShardId>,
    local: VecDeque<ShardMessage>,
    /// Lanes whose number of open requests has changed since it was reported.
    changed: Vec<ShardId>,
    /// Open requests in all lanes, and the total since the start.
    open_requests: u64,
    requests_begun: u64,
    /// Open requests to ourselves, with those that were refused here.
    own_requests: usize,
    /// Open requests of each user; a user with none has no entry.
    user_requests: BTreeMap<UserHash, usize>,
}

#[derive(Debug, Default)]
struct Lane {
    messages: Vec<ShardMessage>,
    /// Notices among the messages.
    notices_count: usize,
    /// Messages about connections that are gone.
    gone_count: usize,
    open_requests: u32,
    lost: Option<Gap>,
    is_addressee: bool,
    is_changed: bool,
}

/// Result of posting a message.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostResult {
    /// The message will be sent.
    Sent,
    /// The lane is full. A request was answered with 111 in place of the addressee; a notice
    /// is lost. Subscribers will be told of lost publications, rooms send the numbers of
    /// joins and leaves later, and typing notices are not repeated.
    Full,
}

impl Mesh {
    /// An empty mesh of the shard `own`.
    pub fn new(own: ShardId, shards_count: u16) -> Mesh {
        let lanes = (0..shards_count).map(|_| Lane::default()).collect();
        Mesh {
            own,
            lanes,
            addressees: Vec::new(),
            local: VecDeque::new(),
            changed: Vec::new(),
            open_requests: 0,
            requests_begun: 0,
            own_requests: 0,
            user_requests: BTreeMap::new(),
        }
    }

    /// Frees the spare capacity that a large turn has left.
    pub fn trim(&mut self) {
        trim_queue(&mut self.local);
    }

    /// The number of this shard.
    pub fn own(&self) -> ShardId {
        self.own
    }

    /// The home shard of a room.
    pub fn home(&self, room: RoomId) -> ShardId {
        home(room, self.lanes.len() as u16)
    }

    /// Sends a request to the home of a room.
    pub fn send_request(&mut self, mut request: RoomRequest) -> PostResult {
        let to = self.home(request.room);
        self.requests_begun += 1;
        // Nobody waits for their answers, or would repeat them.
        let must_go = matches!(
            request.op,
            RoomOp::Unsubscribe(_) | RoomOp::Claim | RoomOp::Release | RoomOp::Deliver(_)
        );
        let is_full = match to == self.own {
            true => OWN_REQUESTS_MAX <= self.own_requests,
            false => LANE_REQUESTS_MAX <= self.lanes[usize::from(to.0)].open_requests as usize,
        };
        let user = request.reply_to.user;
        let has_its_share =
            USER_REQUESTS_MAX <= self.user_requests.get(&user).map_or(0, |&count| count);
        if must_go || is_full || has_its_share {
            // It does not count as a request of its user.
            request.reply_to.user = UserHash::NOBODY;
        }
        if !must_go && (is_full || has_its_share) {
            let refused = request.op.refusal(ErrorCode::TooManyRequests);
            let answer = RoomEvent::Reply(request.room, request.reply_to, refused);
            self.own_requests += 1;
            self.local.push_back(ShardMessage::Event(answer));
            return PostResult::Full;
        }
        if request.reply_to.user != UserHash::NOBODY {
            *self.user_requests.entry(user).or_default() += 1;
        }
        if to == self.own {
            self.own_requests += 1;
            self.local.push_back(ShardMessage::Request(request));
            return PostResult::Sent;
        }
        let lane = &mut self.lanes[usize::from(to.0)];
        lane.open_requests += 1;
        self.open_requests += 1;
        lane.mark_changed(to, &mut self.changed);
        lane.messages.push(ShardMessage::Request(request));
        lane.add_addressee(to, &mut self.addressees);
        PostResult::Sent
    }

    /// Whether a notice to this shard would find no room.
    pub fn is_full(&self, to: ShardId) -> bool {
        to != self.own && LANE_PUSHES_MAX <= self.lanes[usize::from(to.0)].notices_count
    }

    /// Sends an event to a shard: an answer, or a notice for its subscribers.
    pub fn send_event(&mut self, to: ShardId, event: RoomEvent) -> PostResult {
        if to == self.own {
            self.local.push_back(ShardMessage::Event(event));
            return PostResult::Sent;
        }
        let lane = &mut self.lanes[usize::from(to.0)];
        lane.add_addressee(to, &mut self.addressees);
        if is_notice(&event) {
            if LANE_PUSHES_MAX <= lane.notices_count {
                lane.note_lost(&event);
                return PostResult::Full;
            }
            lane.send_gap();
            lane.notices_count += 1;
        }
        lane.messages.push(ShardMessage::Event(event));
        PostResult::Sent
    }

    /// An answer came in from another shard.
    pub fn answered(&mut self, from: ShardId, user: UserHash) {
        self.count_answered(user);
        let lane = &mut self.lanes[usize::from(from.0)];
        assert!(0 < lane.open_requests, "each question is answered once");
        lane.open_requests -= 1;
        self.open_requests -= 1;
        lane.mark_changed(from, &mut self.changed);
    }

    fn count_answered(&mut self, user: UserHash) {
        if user == UserHash::NOBODY {
            return;
        }
        let count = self.user_requests.get_mut(&user).expect("what is answered was asked");
        *count -= 1;
        if *count == 0 {
            self.user_requests.remove(&user);
        }
    }

    /// Open requests to other shards.
    pub fn open_requests(&self) -> u64 {
        self.open_requests
    }

    /// Requests since the start, those to ourselves included.
    pub fn requests_begun(&self) -> u64 {
        self.requests_begun
    }

    /// Calls `each` with the lanes whose number of open requests has changed since the last
    /// call.
    pub fn changed_lanes(&mut self, each: &mut dyn FnMut(u16, u32)) {
        for to in self.changed.drain(..) {
            let lane = &mut self.lanes[usize::from(to.0)];
            lane.is_changed = false;
            each(to.0, lane.open_requests);
        }
    }

    /// A connection of ours is gone: shards that have yet to answer it are told, where there
    /// is room.
    pub fn on_connection_gone(&mut self, reply_to: ReplyTo) {
        if 0 < self.own_requests {
            self.local.push_back(ShardMessage::ConnectionGone(reply_to));
        }
        for (lane, to) in self.lanes.iter_mut().zip(0..) {
            if lane.open_requests != 0 && lane.gone_count < LANE_GONE_MAX {
                lane.gone_count += 1;
                lane.messages.push(ShardMessage::ConnectionGone(reply_to));
                lane.add_addressee(ShardId(to), &mut self.addressees);
            }
        }
    }

    /// The next message to ourselves.
    pub fn next_local(&mut self) -> Option<ShardMessage> {
        let message = self.local.pop_front()?;
        if let ShardMessage::Event(RoomEvent::Reply(_, reply_to, _)) = &message {
            assert!(0 < self.own_requests, "each question is answered once");
            self.own_requests -= 1;
            self.count_answered(reply_to.user);
        }
        Some(message)
    }

    /// Lets `post` take from the front of the messages to each shard; the rest is offered
    /// again at the next call.
    pub fn post(&mut self, post: &mut dyn FnMut(ShardId, &mut Vec<ShardMessage>)) {
        let mut addressees = std::mem::take(&mut self.addressees);
        addressees.retain(|&to| {
            let lane = &mut self.lanes[usize::from(to.0)];
            if lane.messages.is_empty() {
                lane.send_gap();
            }
            if !lane.messages.is_empty() {
                post(to, &mut lane.messages);
                let notices = lane.messages.iter().filter(|message| message.is_notice());
                lane.notices_count = notices.count();
                let left = lane
                    .messages
                    .iter()
                    .filter(|one| matches!(one, ShardMessage::ConnectionGone(_)));
                lane.gone_count = left.count();
            }
            lane.is_addressee = !lane.messages.is_empty() || lane.lost.is_some();
            lane.is_addressee
        });
        self.addressees = addressees;
    }
}

impl Lane {
    fn add_addressee(&mut self, to: ShardId, addressees: &mut Vec<ShardId>) {
        if !std::mem::replace(&mut self.is_addressee, true) {
            addressees.push(to);
        }
    }

    fn mark_changed(&mut self, to: ShardId, changed: &mut Vec<ShardId>) {
        if !std::mem::replace(&mut self.is_changed, true) {
            changed.push(to);
        }
    }

    /// Notes that this notice found no room.
    fn note_lost(&mut self, notice: &RoomEvent) {
        if let RoomEvent::Published(room, ..) = notice {
            self.lost.get_or_insert_with(|| Gap::Rooms(Vec::new())).add(*room);
        }
    }

    /// Sends the gap, if publications were lost.
    fn send_gap(&mut self) {
        self.messages.extend(self.lost.take().map(ShardMessage::Gap));
    }
}

impl ShardMessage {
    fn is_notice(&self) -> bool {
        match self {
            ShardMessage::Event(event) => is_notice(event),
            ShardMessage::Request(_) | ShardMessage::Gap(_) | ShardMessage::ConnectionGone(_) => {
                false
            }
        }
    }
}

/// Whether it is a notice, which nobody asked for.
fn is_notice(event: &RoomEvent) -> bool {
    match event {
        RoomEvent::Reply(..)
        | RoomEvent::Replaced(_)
        | RoomEvent::Expelled(..)
        | RoomEvent::Lost(_) => false,
        RoomEvent::Published(..)
        | RoomEvent::Joined(..)
        | RoomEvent::Left(..)
        | RoomEvent::MemberReplaced(..)
        | RoomEvent::Typing(..)
        | RoomEvent::MembershipSummary(..)
        | RoomEvent::Notice(..) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::limits::GAP_ROOMS_MAX;
    use crate::base::{ClientId, ConnId};
    use crate::room::{LeaveReason, RoomReply, timing};
    use crate::wire::{ClientInfo, Payload, Publication};

    const FAR: ShardId = ShardId(1);

    fn mesh() -> Mesh {
        Mesh::new(ShardId(0), 2)
    }

    fn far_room(mesh: &Mesh) -> RoomId {
        let rooms = (0..100u128).map(|n| RoomId(n << 64));
        rooms.into_iter().find(|&room| mesh.home(room) == FAR).unwrap()
    }

    fn request(room: RoomId, op: RoomOp) -> RoomRequest {
        RoomRequest {
            room,
            reply_to: ReplyTo {
                conn: ConnId { slot: 0, generation: 0 },
                user: UserHash::NOBODY,
                id: 1,
            },
            op,
        }
    }

    fn typing(room: RoomId) -> RoomEvent {
        let client = ClientId(1);
        RoomEvent::Typing(room, Arc::new(ClientInfo { user: "".into(), client, conn_info: None }))
    }

    fn said(room: RoomId) -> RoomEvent {
        RoomEvent::Published(
            room,
            Arc::new(Publication {
                offset: 0,
                data: Payload { bytes: bytes::Bytes::from_static(b"{}"), is_json: true },
                info: None,
                chan_info: None,
                tags: Vec::new(),
                time_unix_ms: 0,
                trace: None,
            }),
            timing(),
        )
    }

    #[test]
    fn questions_over_the_limit_are_answered_here_and_what_nobody_repeats_goes() {
        let mut mesh = mesh();
        let room = far_room(&mesh);
        for _ in 0..LANE_REQUESTS_MAX {
            assert_eq!(mesh.send_request(request(room, RoomOp::Presence)), PostResult::Sent);
        }
        assert_eq!(mesh.send_request(request(room, RoomOp::Presence)), PostResult::Full);
        let answer = mesh.next_local();
        let refused = RoomOp::Presence.refusal(ErrorCode::TooManyRequests);
        assert!(matches!(answer, Some(ShardMessage::Event(RoomEvent::Reply(_, _, a)))
            if format!("{a:?}") == format!("{refused:?}")));
        for must_go in
            [RoomOp::Unsubscribe(LeaveReason::Disconnected), RoomOp::Claim, RoomOp::Release]
        {
            assert_eq!(mesh.send_request(request(room, must_go)), PostResult::Sent);
            mesh.answered(FAR, UserHash::NOBODY);
        }
        mesh.answered(FAR, UserHash::NOBODY);
        mesh.answered(FAR, UserHash::NOBODY);
        assert_eq!(mesh.send_request(request(room, RoomOp::Presence)), PostResult::Sent);
    }

    #[test]
    fn a_user_has_a_share_of_the_questions_by_however_many_connections() {
        let mut mesh = mesh();
        let rooms = [far_room(&mesh), RoomId(1)];
        assert_eq!(mesh.home(rooms[1]), ShardId(0));
        let of = |user: u128, slot: u32, op| {
            let conn = ConnId { slot, generation: 0 };
            let reply_to = ReplyTo { conn, user: UserHash::of_inbox(RoomId(user)), id: 1 };
            RoomRequest { room: rooms[slot as usize % 2], reply_to, op }
        };
        for slot in 0..USER_REQUESTS_MAX as u32 {
            assert_eq!(mesh.send_request(of(7, slot, RoomOp::Presence)), PostResult::Sent);
        }
        assert_eq!(mesh.send_request(of(7, 0, RoomOp::Presence)), PostResult::Full);
        assert_eq!(mesh.send_request(of(7, 1, RoomOp::Presence)), PostResult::Full);
        assert_eq!(
            mesh.send_request(of(8, 0, RoomOp::Presence)),
            PostResult::Sent,
            "others are not concerned"
        );
        assert_eq!(
            mesh.send_request(of(7, 0, RoomOp::Unsubscribe(LeaveReason::Unsubscribed))),
            PostResult::Sent
        );
        let answer = |message: ShardMessage| match message {
            ShardMessage::Request(request) => {
                let refused = request.op.refusal(ErrorCode::Internal);
                Some(ShardMessage::Event(RoomEvent::Reply(request.room, request.reply_to, refused)))
            }
            ShardMessage::Event(_) | ShardMessage::Gap(_) | ShardMessage::ConnectionGone(_) => None,
        };
        let mut far = Vec::new();
        mesh.post(&mut |_, messages| far.append(messages));
        for message in far.into_iter().filter_map(answer) {
            let ShardMessage::Event(RoomEvent::Reply(_, reply_to, _)) = message else {
                unreachable!()
            };
            mesh.answered(FAR, reply_to.user);
        }
        assert_eq!(mesh.send_request(of(7, 0, RoomOp::Presence)), PostResult::Sent);
        let mut local: Vec<ShardMessage> = std::iter::from_fn(|| mesh.next_local()).collect();
        for message in local.drain(..).filter_map(answer) {
            let ShardMessage::Event(RoomEvent::Reply(room, reply_to, answer)) = message else {
                unreachable!()
            };
            let _ = mesh.send_event(ShardId(0), RoomEvent::Reply(room, reply_to, answer));
        }
        while mesh.next_local().is_some() {}
        mesh.answered(FAR, UserHash::of_inbox(RoomId(7)));
        assert!(
            mesh.user_requests.is_empty() && mesh.own_requests == 0,
            "{:?}",
            mesh.user_requests
        );
    }

    #[test]
    fn questions_to_ourselves_have_a_limit_too() {
        let mut mesh = Mesh::new(ShardId(0), 1);
        let room = RoomId(1);
        for _ in 0..OWN_REQUESTS_MAX {
            assert_eq!(mesh.send_request(request(room, RoomOp::Presence)), PostResult::Sent);
        }
        assert_eq!(mesh.send_request(request(room, RoomOp::Presence)), PostResult::Full);
        let unsubscribe = RoomOp::Unsubscribe(LeaveReason::Disconnected);
        assert_eq!(mesh.send_request(request(room, unsubscribe)), PostResult::Sent);
        // The questions wait for the store; the refusal is read at once.
        while mesh.next_local().is_some() {}
        assert_eq!(mesh.send_request(request(room, RoomOp::Presence)), PostResult::Full);
        let reply_to =
            ReplyTo { conn: ConnId { slot: 0, generation: 0 }, user: UserHash::NOBODY, id: 1 };
        for _ in 0..3 {
            let answer = RoomEvent::Reply(room, reply_to, RoomReply::Published(timing()));
            assert_eq!(mesh.send_event(ShardId(0), answer), PostResult::Sent);
        }
        while mesh.next_local().is_some() {}
        assert_eq!(mesh.send_request(request(room, RoomOp::Presence)), PostResult::Sent);
    }

    #[test]
    fn who_has_something_to_answer_hears_who_is_gone() {
        let mut mesh = Mesh::new(ShardId(0), 3);
        let room = far_room(&self::mesh());
        let room = if mesh.home(room) == FAR {
            room
        } else {
            (0..100u128).map(|n| RoomId(n << 64)).find(|&one| mesh.home(one) == FAR).unwrap()
        };
        assert_eq!(mesh.send_request(request(room, RoomOp::Presence)), PostResult::Sent);
        for slot in 0..2 * LANE_GONE_MAX as u32 {
            mesh.on_connection_gone(ReplyTo {
                conn: ConnId { slot, generation: 0 },
                ..ReplyTo::NOBODY
            });
        }
        let mut told = Vec::new();
        mesh.post(&mut |to, messages| told.push((to, std::mem::take(messages).len())));
        assert_eq!(told, [(FAR, 1 + LANE_GONE_MAX)], "and no more than there is room for");
        assert!(mesh.next_local().is_none(), "nothing is to be answered here");
    }

    #[test]
    fn after_a_full_lane_the_gap_comes_first() {
        let mut mesh = mesh();
        let room = far_room(&mesh);
        for _ in 0..LANE_PUSHES_MAX {
            assert_eq!(mesh.send_event(FAR, typing(room)), PostResult::Sent);
        }
        assert_eq!(mesh.send_event(FAR, said(room)), PostResult::Full);
        mesh.post(&mut |_, messages| drop(messages.drain(..10)));
        assert_eq!(mesh.send_event(FAR, typing(room)), PostResult::Sent);
        let tail = &mesh.lanes[1].messages[LANE_PUSHES_MAX - 10..];
        assert!(matches!(tail, [ShardMessage::Gap(_), ShardMessage::Event(_)]), "{tail:?}");
    }

    #[test]
    fn answers_take_no_room_from_notices() {
        let mut mesh = mesh();
        let room = far_room(&mesh);
        let reply_to =
            ReplyTo { conn: ConnId { slot: 0, generation: 0 }, user: UserHash::NOBODY, id: 1 };
        for _ in 0..LANE_PUSHES_MAX {
            let answer = RoomEvent::Reply(room, reply_to, RoomReply::Published(timing()));
            assert_eq!(mesh.send_event(FAR, answer), PostResult::Sent);
        }
        assert_eq!(mesh.send_event(FAR, said(room)), PostResult::Sent);
    }

    /// The gap after one notice for each of these rooms and one of typing was lost.
    #[track_caller]
    fn check_gap(rooms: &[RoomId], expected: Option<&Gap>) {
        let mut mesh = mesh();
        for _ in 0..LANE_PUSHES_MAX {
            assert_eq!(mesh.send_event(FAR, said(RoomId(0))), PostResult::Sent);
        }
        assert_eq!(mesh.send_event(FAR, typing(RoomId(7))), PostResult::Full);
        for &room in rooms {
            assert_eq!(mesh.send_event(FAR, said(room)), PostResult::Full);
        }
        mesh.post(&mut |_, messages| messages.clear());
        let mut offered = Vec::new();
        mesh.post(&mut |_, messages| offered.append(messages));
        match (&offered[..], expected) {
            ([], None) => (),
            ([ShardMessage::Gap(gap)], Some(expected)) => assert_eq!(gap, expected),
            (other, _) => panic!("{other:?}"),
        }
        mesh.post(&mut |_, _| panic!("it is told once"));
    }

    #[test]
    fn a_gap_names_the_rooms_and_is_told_even_when_nothing_follows() {
        let rooms: Vec<RoomId> = (0..=GAP_ROOMS_MAX as u128).map(RoomId).collect();
        let few = &rooms[..GAP_ROOMS_MAX];
        check_gap(&[], None);
        check_gap(&[rooms[3], rooms[2], rooms[3]], Some(&Gap::Rooms(vec![rooms[3], rooms[2]])));
        check_gap(few, Some(&Gap::Rooms(few.to_vec())));
        check_gap(&rooms, Some(&Gap::All));
    }

    #[test]
    fn what_a_lane_has_no_room_for_is_offered_again() {
        let mut mesh = Mesh::new(ShardId(0), 5);
        let room = far_room(&mesh);
        let offer = |mesh: &mut Mesh, taken: usize| {
            let mut offered = Vec::new();
            mesh.post(&mut |to, messages| {
                offered.push((to, messages.len()));
                messages.drain(..taken.min(messages.len()));
            });
            offered.sort_unstable();
            offered
        };
        for (to, count) in [(ShardId(3), 2), (FAR, 1)] {
            (0..count)
                .for_each(|_| assert_eq!(mesh.send_event(to, typing(room)), PostResult::Sent));
        }
        assert_eq!(offer(&mut mesh, 1), [(FAR, 1), (ShardId(3), 2)]);
        assert_eq!(mesh.send_event(FAR, typing(room)), PostResult::Sent);
        assert_eq!(offer(&mut mesh, 0), [(FAR, 1), (ShardId(3), 1)]);
        assert_eq!(offer(&mut mesh, 9), [(FAR, 1), (ShardId(3), 1)]);
        assert_eq!(offer(&mut mesh, 9), []);
    }
}
