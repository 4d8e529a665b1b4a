use std::sync::Arc;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::members::{Arrival, Member, Members, Seat};
use super::window::Window;
use super::{
    Answer, Ask, Departure, Draft, Entry, Namespace, Options, Passage, Recovery, Tell, Title,
    Welcome, What,
};
use crate::base::limits::{
    HISTORY_ANSWER_MAX, PRESENCE_BYTES_MAX, PRESENCE_CLIENTS_MAX, TYPING_MEMBERS_MAX,
};
use crate::base::{Bucket, ClientId, Now, Prng, Rate, RoomId, ShardId, Slab, Tick, Wheel};
use crate::wire::{ClientInfo, Epoch, ErrorCode, Position, Publication};

/// How exactly rooms keep their deadlines.
const WHEEL_GRANULARITY_MS: u64 = 64;

/// Typing is told once in this time for each member.
const TYPING_INTERVAL_MS: u64 = 1_000;

/// All rooms whose home is one shard.
///
/// Invariants: `index` knows exactly the rooms in `rooms`; every ask gets one
/// answer; a room without members, history and grace is gone.
pub struct Rooms {
    rooms: Slab<Room>,
    index: HashTable<u32>,
    options: Arc<Options>,
    sweeps: Wheel<u32>,
    partings: Wheel<(u32, Seat)>,
    epochs: Prng,
}

struct Room {
    id: RoomId,
    title: Title,
    members: Members,
    /// Where the namespace keeps history.
    window: Option<Window>,
    rate: Bucket,
    typing: SmallVec<[(ClientId, Tick); 1]>,
    /// Since when nobody is here.
    empty_since: Tick,
    /// Whether `sweeps` has an entry for this room.
    sweep: Sweep,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sweep {
    Set,
    Unset,
}

/// Where tells go: the shard and what it is told.
pub type Told = Vec<(ShardId, Tell)>;

impl Rooms {
    /// No rooms yet. `seed` decides the epochs.
    pub fn new(now: Now, options: Arc<Options>, seed: u64) -> Rooms {
        Rooms {
            rooms: Slab::default(),
            index: HashTable::new(),
            options,
            sweeps: Wheel::new(now.tick, WHEEL_GRANULARITY_MS, 0),
            partings: Wheel::new(now.tick, WHEEL_GRANULARITY_MS, 0),
            epochs: Prng::from_seed(seed),
        }
    }

    /// How many rooms live here.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// True when no room lives here.
    pub fn is_empty(&self) -> bool {
        self.rooms.is_empty()
    }

    /// How many members of which room sit on which shard.
    pub fn members(&self) -> impl Iterator<Item = (RoomId, ShardId, u32)> {
        self.rooms.iter().flat_map(|(_, room)| {
            room.members.counts().map(|(shard, count)| (room.id, shard, count))
        })
    }

    /// The only way in. Total: every question gets one answer, and the answer
    /// stands in `out` before what the question set off.
    pub fn handle(&mut self, now: Now, from: ShardId, ask: Ask, out: &mut Told) {
        let Ask { room, asker, what } = ask;
        let seat = Seat { shard: from, conn: asker.conn };
        let (answer, news) = match what {
            What::Subscribe(entry) => self.subscribe(now, room, seat, *entry),
            What::Unsubscribe(departure) => self.unsubscribe(now, room, seat, departure),
            What::Publish(draft) => self.publish(now, room, *draft),
            What::Presence => (self.presence(room), None),
            What::PresenceStats => (self.presence_stats(room), None),
            What::History(page) => (self.history(now, room, page.passage), None),
            What::Typing(info) => self.typing(now, room, info),
            What::Members(_)
            | What::Mark(_)
            | What::Receipts(_)
            | What::Conversations(_)
            | What::Retract(_)
            | What::Deliver(_) => refuse(ErrorCode::NotAvailable),
        };
        out.push((from, Tell::Answer(room, asker, answer)));
        if let Some(news) = news {
            self.spread(room, &news, out);
        }
    }

    /// Lets pass what has passed: old messages, graces, empty rooms. At most
    /// `max` of each; the rest at the next call.
    pub fn tick(&mut self, now: Now, max: usize, out: &mut Told) {
        let mut partings = Vec::new();
        self.partings.turn(now.tick, max, |key| partings.push(key));
        for (slot, seat) in partings {
            self.part(now, slot, seat, out);
        }
        let mut sweeps = Vec::new();
        self.sweeps.turn(now.tick, max, |slot| sweeps.push(slot));
        for slot in sweeps {
            self.sweep(now, slot);
        }
    }

    /// When `tick` should be called next.
    pub fn next_wake(&self) -> Option<Tick> {
        [self.sweeps.next(), self.partings.next()].into_iter().flatten().min()
    }

    fn subscribe(&mut self, now: Now, id: RoomId, seat: Seat, entry: Entry) -> Decision {
        let Some(slot) = self.enter(now, id, entry.title) else {
            return (Answer::Unwelcome(ErrorCode::Internal), None);
        };
        let room = &mut self.rooms[slot];
        let rules = rules(&self.options, &room.title);
        if rules.members_max <= room.members.count() {
            return (Answer::Unwelcome(ErrorCode::LimitExceeded), None);
        }
        room.members.count_in(seat.shard);
        if let Some(window) = &mut room.window {
            window.expire(now, rules);
        }
        let welcome = room.welcome(entry.since);
        let mut news = None;
        if rules.lists_members() {
            let (info, chan_info) = (entry.info, entry.chan_info);
            let arrival = room.members.list(seat, Arc::clone(&info), chan_info.clone());
            if arrival == Arrival::Came && rules.tells_of_members() {
                news = Some(Tell::Came(id, info, chan_info));
            }
        }
        (Answer::Subscribed(Box::new(welcome)), news)
    }

    fn unsubscribe(&mut self, now: Now, id: RoomId, seat: Seat, how: Departure) -> Decision {
        let Some(slot) = self.find(id) else {
            return (Answer::Unsubscribed, None);
        };
        let room = &mut self.rooms[slot];
        room.members.count_out(seat.shard);
        let rules = rules(&self.options, &room.title);
        let end = now.tick.plus_ms(u64::from(rules.leave_grace_ms));
        let may_stay = how == Departure::Lost && now.tick < end;
        let mut news = None;
        if may_stay && room.members.step_away(seat, end) {
            self.partings.set(end, (slot, seat));
        } else if let Some(member) = room.members.unlist(seat)
            && rules.tells_of_members()
        {
            news = Some(Tell::Went(id, member.info, member.chan_info));
        }
        self.after_leaving(now, slot);
        (Answer::Unsubscribed, news)
    }

    fn publish(&mut self, now: Now, id: RoomId, draft: Draft) -> Decision {
        let slot = match draft.title {
            Some(title) => self.enter(now, id, title),
            None => self.find(id),
        };
        let Some(slot) = slot else {
            return refuse(ErrorCode::Internal);
        };
        let room = &mut self.rooms[slot];
        let rules = rules(&self.options, &room.title);
        if !room.rate.take(now.tick, rate(rules), 1) {
            return refuse(ErrorCode::TooManyRequests);
        }
        let publication = Arc::new(Publication {
            offset: room.window.as_ref().map_or(0, Window::next_offset),
            data: draft.data,
            info: draft.info,
            chan_info: draft.chan_info,
            tags: draft.tags,
            time_unix_ms: now.unix_ms,
        });
        if let Some(window) = &mut room.window {
            window.push(&publication, rules);
            let end = now.tick.plus_ms(rules.history_age_ms_max);
            set_sweep(&mut self.sweeps, room, slot, end);
        } else if room.members.is_empty() {
            self.drop_room(slot);
        }
        (Answer::Published, Some(Tell::Said(id, publication)))
    }

    fn presence(&self, id: RoomId) -> Answer {
        let members = self.find(id).map(|slot| &self.rooms[slot].members);
        let too_large = |members: &Members| {
            PRESENCE_CLIENTS_MAX < members.listed_count()
                || PRESENCE_BYTES_MAX < members.listed().map(Member::bytes).sum()
        };
        if members.is_some_and(too_large) {
            return Answer::Refused(ErrorCode::LimitExceeded);
        }
        let listed = members.into_iter().flat_map(Members::listed);
        let shown = listed.map(|one| (Arc::clone(&one.info), one.chan_info.clone()));
        Answer::Presence(shown.collect())
    }

    fn presence_stats(&self, id: RoomId) -> Answer {
        let members = self.find(id).map(|slot| &self.rooms[slot].members);
        Answer::PresenceStats {
            clients: members.map_or(0, |members| members.listed_count() as u32),
            users: members.map_or(0, |members| members.users_count() as u32),
        }
    }

    fn history(&mut self, now: Now, id: RoomId, passage: Passage) -> Answer {
        let passage = Passage { limit: passage.limit.min(HISTORY_ANSWER_MAX), ..passage };
        let Some(slot) = self.find(id) else {
            // Nothing was said; whatever is said later will be another stream.
            return match passage.since {
                Some(_) => Answer::Refused(ErrorCode::UnrecoverablePosition),
                None => Answer::History(Vec::new(), self.fresh_position()),
            };
        };
        let room = &mut self.rooms[slot];
        let Some(window) = &mut room.window else {
            return Answer::Refused(ErrorCode::NotAvailable);
        };
        window.expire(now, rules(&self.options, &room.title));
        match window.read(passage) {
            Some(publications) => Answer::History(publications, window.position()),
            None => Answer::Refused(ErrorCode::UnrecoverablePosition),
        }
    }

    fn typing(&mut self, now: Now, id: RoomId, info: Arc<ClientInfo>) -> Decision {
        let Some(slot) = self.find(id) else {
            return (Answer::Noted, None);
        };
        let told = &mut self.rooms[slot].typing;
        told.retain(|&mut (_, at)| now.tick.ms_since(at) < TYPING_INTERVAL_MS);
        let again = told.iter().any(|&(client, _)| client == info.client);
        if again || TYPING_MEMBERS_MAX <= told.len() {
            return (Answer::Noted, None);
        }
        told.push((info.client, now.tick));
        (Answer::Noted, Some(Tell::Typing(id, info)))
    }

    /// Says `news` once to each shard with subscribers.
    fn spread(&self, id: RoomId, news: &Tell, out: &mut Told) {
        if let Some(slot) = self.find(id) {
            let shards = self.rooms[slot].members.shards();
            out.extend(shards.map(|shard| (shard, news.clone())));
        }
    }

    /// A grace is over; whether it is the member's latest, its list knows.
    fn part(&mut self, now: Now, slot: u32, seat: Seat, out: &mut Told) {
        let Some(room) = self.rooms.at_mut(slot) else { return };
        let Some(member) = room.members.give_up(seat, now.tick) else { return };
        let id = room.id;
        if rules(&self.options, &room.title).tells_of_members() {
            self.spread(id, &Tell::Went(id, member.info, member.chan_info), out);
        }
        self.after_leaving(now, slot);
    }

    fn sweep(&mut self, now: Now, slot: u32) {
        let Some(room) = self.rooms.at_mut(slot) else { return };
        room.sweep = Sweep::Unset;
        let rules = rules(&self.options, &room.title);
        let next_unix_ms = room.window.as_mut().and_then(|window| window.expire(now, rules));
        if let Some(unix_ms) = next_unix_ms {
            let end = now.tick.plus_ms(unix_ms.saturating_sub(now.unix_ms));
            set_sweep(&mut self.sweeps, room, slot, end);
        } else if room.members.is_empty() {
            let end = room.empty_since.plus_ms(rules.history_age_ms_max);
            if end <= now.tick {
                self.drop_room(slot);
            } else {
                set_sweep(&mut self.sweeps, room, slot, end);
            }
        }
    }

    /// An empty room without a stream goes at once; one with a stream stays as
    /// long as its messages would, so that who comes back finds its position.
    fn after_leaving(&mut self, now: Now, slot: u32) {
        let room = &mut self.rooms[slot];
        if !room.members.is_empty() {
            return;
        }
        room.empty_since = now.tick;
        if room.window.is_none() {
            self.drop_room(slot);
        } else {
            let age_ms = rules(&self.options, &room.title).history_age_ms_max;
            set_sweep(&mut self.sweeps, room, slot, now.tick.plus_ms(age_ms));
        }
    }

    fn enter(&mut self, now: Now, id: RoomId, title: Title) -> Option<u32> {
        if let Some(slot) = self.find(id) {
            return Some(slot);
        }
        if self.options.rooms_max as usize <= self.rooms.len() {
            return None;
        }
        let epoch = self.fresh_epoch();
        let rules = rules(&self.options, &title);
        let window = rules.keeps_history().then(|| Window::new(epoch));
        let room = Room {
            id,
            rate: Bucket::full(),
            title,
            members: Members::default(),
            window,
            typing: SmallVec::new(),
            empty_since: now.tick,
            sweep: Sweep::Unset,
        };
        let slot = self.rooms.insert(room);
        let rooms = &self.rooms;
        self.index.insert_unique(id.fold(), slot, |&slot| rooms[slot].id.fold());
        Some(slot)
    }

    fn find(&self, id: RoomId) -> Option<u32> {
        self.index.find(id.fold(), |&slot| self.rooms[slot].id == id).copied()
    }

    fn drop_room(&mut self, slot: u32) {
        let id = self.rooms[slot].id;
        let found = self.index.find_entry(id.fold(), |&other| other == slot);
        found.expect("the index knows every room").remove();
        self.rooms.remove(slot);
    }

    fn fresh_epoch(&mut self) -> Epoch {
        Epoch((self.epochs.draw() as u32).max(1))
    }

    fn fresh_position(&mut self) -> Position {
        Position { offset: 0, epoch: self.fresh_epoch() }
    }
}

type Decision = (Answer, Option<Tell>);

impl Room {
    fn welcome(&self, since: Option<Position>) -> Welcome {
        let position = self.window.as_ref().map(Window::position);
        let missed = match (&self.window, since) {
            (Some(window), Some(since)) => window.missed(since),
            (None, _) | (_, None) => None,
        };
        let recovery = match (since, &missed) {
            (None, _) => Recovery::NotAsked,
            (Some(_), Some(_)) => Recovery::Whole,
            (Some(_), None) => Recovery::Lost,
        };
        let name = Arc::clone(&self.title.channel);
        Welcome { name, position, missed: missed.unwrap_or_default(), recovery }
    }
}

fn refuse(code: ErrorCode) -> Decision {
    (Answer::Refused(code), None)
}

fn rules<'o>(options: &'o Options, title: &Title) -> &'o Namespace {
    &options.namespaces[usize::from(title.namespace)]
}

fn rate(rules: &Namespace) -> Rate {
    Rate { per_s: rules.publish_per_s_max, burst: rules.publish_per_s_max }
}

fn set_sweep(sweeps: &mut Wheel<u32>, room: &mut Room, slot: u32, at: Tick) {
    if room.sweep == Sweep::Unset {
        room.sweep = Sweep::Set;
        sweeps.set(at, slot);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::base::ConnId;
    use crate::room::{Asker, Voice};
    use crate::wire::Payload;

    const ROOM: RoomId = RoomId(9);
    const HOME: ShardId = ShardId(0);
    const FAR: ShardId = ShardId(3);

    /// One room of a namespace, asked by hand.
    struct World {
        rooms: Rooms,
        now: Now,
        out: Told,
    }

    impl World {
        fn new(rules: Namespace) -> World {
            let options = Options { namespaces: vec![rules], rooms_max: 2 };
            let now = Now { tick: Tick(0), unix_ms: 1_000_000 };
            World { rooms: Rooms::new(now, Arc::new(options), 1), now, out: Vec::new() }
        }

        fn pass(&mut self, ms: u64) {
            let (tick, unix_ms) = (self.now.tick.plus_ms(ms), self.now.unix_ms + ms);
            self.now = Now { tick, unix_ms };
            self.out.clear();
            self.rooms.tick(self.now, 100, &mut self.out);
        }

        /// The answer, and to which shards how many tells went besides.
        fn ask(&mut self, from: ShardId, slot: u32, what: What) -> (Answer, Vec<ShardId>) {
            self.out.clear();
            let asker = Asker { conn: ConnId { slot, generation: 0 }, id: 1 };
            self.rooms.handle(self.now, from, Ask { room: ROOM, asker, what }, &mut self.out);
            let mut out = self.out.drain(..);
            let Some((to, Tell::Answer(ROOM, to_asker, answer))) = out.next() else {
                panic!("the answer comes first");
            };
            assert_eq!((to, to_asker), (from, asker));
            (answer, out.map(|(shard, _)| shard).collect())
        }

        fn subscribe(&mut self, from: ShardId, slot: u32, since: Option<Position>) -> Welcome {
            let what = What::Subscribe(Box::new(Entry { since, ..entry(slot) }));
            match self.ask(from, slot, what).0 {
                Answer::Subscribed(welcome) => *welcome,
                other => panic!("{other:?}"),
            }
        }

        fn publish(&mut self) -> (Answer, Vec<ShardId>) {
            let data = Payload { bytes: Bytes::from_static(b"1"), is_json: true };
            let draft = Draft {
                title: Some(title()),
                data,
                info: None,
                chan_info: None,
                tags: Vec::new(),
                voice: Voice::Publish,
            };
            self.ask(HOME, 0, What::Publish(Box::new(draft)))
        }
    }

    fn title() -> Title {
        Title { tenant: "".into(), channel: "room:9".into(), namespace: 0 }
    }

    fn entry(slot: u32) -> Entry {
        let client = ClientId(u128::from(slot));
        let info = Arc::new(ClientInfo { user: "ann".into(), client, conn_info: None });
        Entry { title: title(), info, chan_info: None, since: None }
    }

    fn chatty() -> Namespace {
        Namespace {
            history_count_max: 3,
            presence: true,
            join_leave: true,
            members_max: 3,
            ..Namespace::default()
        }
    }

    #[test]
    fn messages_go_once_to_each_shard_with_subscribers() {
        let mut world = World::new(chatty());
        world.subscribe(HOME, 1, None);
        world.subscribe(FAR, 1, None);
        world.subscribe(FAR, 2, None);
        assert_eq!(world.publish().1, [HOME, FAR]);
        let (full, _) = world.ask(HOME, 4, What::Subscribe(Box::new(entry(4))));
        assert!(matches!(full, Answer::Unwelcome(ErrorCode::LimitExceeded)));
    }

    #[test]
    fn who_comes_back_gets_all_or_is_told() {
        let mut world = World::new(chatty());
        let start = world.subscribe(HOME, 1, None).position;
        assert_eq!(start.map(|position| position.offset), Some(0));
        world.publish();
        world.publish();
        let welcome = world.subscribe(FAR, 2, start);
        assert_eq!((welcome.recovery, welcome.missed.len()), (Recovery::Whole, 2));
        world.publish();
        world.publish();
        let welcome = world.subscribe(FAR, 3, start);
        assert_eq!((welcome.recovery, welcome.missed.len()), (Recovery::Lost, 0));
    }

    #[test]
    fn leaving_is_told_after_the_grace_and_saying_so_at_once() {
        let mut world = World::new(chatty());
        world.subscribe(HOME, 1, None);
        let came = world.ask(FAR, 2, What::Subscribe(Box::new(entry(2)))).1;
        assert_eq!(came, [HOME, FAR]);
        let lost = world.ask(FAR, 2, What::Unsubscribe(Departure::Lost)).1;
        assert!(lost.is_empty());
        world.pass(500);
        assert!(world.out.is_empty());
        world.pass(700);
        assert!(matches!(world.out[..], [(HOME, Tell::Went(..))]));
        world.subscribe(FAR, 3, None);
        let said = world.ask(FAR, 3, What::Unsubscribe(Departure::Said)).1;
        assert_eq!(said, [HOME]);
    }

    #[test]
    fn an_absence_is_not_cut_short_by_an_earlier_one() {
        let mut world = World::new(chatty());
        world.subscribe(HOME, 1, None);
        world.subscribe(FAR, 2, None);
        world.ask(FAR, 2, What::Unsubscribe(Departure::Lost));
        world.pass(500);
        world.subscribe(FAR, 2, None);
        world.ask(FAR, 2, What::Unsubscribe(Departure::Lost));
        world.pass(900);
        assert!(world.out.is_empty(), "the grace of the first is over, that of the second is not");
        world.pass(200);
        assert!(matches!(world.out[..], [(HOME, Tell::Went(..))]));
    }

    #[test]
    fn a_stream_outlives_its_members_by_the_age_of_messages() {
        let mut world = World::new(chatty());
        let start = world.subscribe(HOME, 1, None).position;
        world.ask(HOME, 1, What::Unsubscribe(Departure::Said));
        world.pass(299_000);
        assert_eq!(world.subscribe(HOME, 2, start).recovery, Recovery::Whole);
        world.ask(HOME, 2, What::Unsubscribe(Departure::Said));
        world.pass(301_000);
        world.pass(301_000);
        assert!(world.rooms.is_empty());
        assert_eq!(world.subscribe(HOME, 3, start).recovery, Recovery::Lost);
    }

    #[test]
    fn rooms_without_history_go_with_the_last_member() {
        let mut world = World::new(Namespace::default());
        world.subscribe(HOME, 1, None);
        assert_eq!(world.publish().1, [HOME]);
        world.ask(HOME, 1, What::Unsubscribe(Departure::Said));
        assert!(world.rooms.is_empty());
        world.publish();
        assert!(world.rooms.is_empty());
    }

    #[test]
    fn the_number_of_rooms_and_the_rate_are_limited() {
        let mut world = World::new(Namespace { publish_per_s_max: 1, ..chatty() });
        assert!(matches!(world.publish().0, Answer::Published));
        assert!(matches!(world.publish().0, Answer::Refused(ErrorCode::TooManyRequests)));
        world.pass(1_000);
        assert!(matches!(world.publish().0, Answer::Published));
        for (room, fits) in [(RoomId(1), true), (RoomId(2), false)] {
            let asker = Asker { conn: ConnId { slot: 0, generation: 0 }, id: 1 };
            let ask = Ask { room, asker, what: What::Subscribe(Box::new(entry(0))) };
            world.out.clear();
            world.rooms.handle(world.now, HOME, ask, &mut world.out);
            let refused = matches!(world.out[0].1, Tell::Answer(_, _, Answer::Unwelcome(_)));
            assert_eq!(refused, !fits);
        }
    }

    #[test]
    fn typing_is_told_once_a_second() {
        let mut world = World::new(chatty());
        world.subscribe(HOME, 1, None);
        let info = || entry(1).info;
        assert_eq!(world.ask(HOME, 1, What::Typing(info())).1, [HOME]);
        assert!(world.ask(HOME, 1, What::Typing(info())).1.is_empty());
        world.pass(1_000);
        assert_eq!(world.ask(HOME, 1, What::Typing(info())).1, [HOME]);
    }
}
