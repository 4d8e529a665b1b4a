use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::ids::Ids;
use super::inbox::Inbox;
use super::kept::{Kept, Phase};
use super::members::{Arrival, Member, Members, Seat};
use super::news::{Crowd, is_told_by_user};
use super::out::publish_result;
use super::storing::Storing;
use super::window::Window;
use super::{
    Answer, Ask, Asker, Departure, Draft, Entry, MembersPage, Namespace, Options, Out, Passage,
    Posted, Recovery, Tell, Title, Voice, Welcome, What,
};
use crate::base::limits::{
    HISTORY_ANSWER_MAX, PRESENCE_BYTES_MAX, PRESENCE_CLIENTS_MAX, TYPING_MEMBERS_MAX,
};
use crate::base::{Bucket, ClientId, Now, Prng, Rate, RoomId, ShardId, Slab, Tick, Wheel};
use crate::wire::{ClientInfo, Epoch, ErrorCode, ID_TAG, Position, Publication};

/// How exactly rooms keep their deadlines.
const WHEEL_GRANULARITY_MS: u64 = 64;

/// Typing is told once in this time for each member.
const TYPING_INTERVAL_MS: u64 = 1_000;

/// How long a room whose messages are on disk stays in memory when nobody is there.
const REST_MS: u64 = 30_000;

/// All rooms whose home is one shard.
///
/// Invariants: `index` knows exactly the rooms in `rooms`; every ask gets one
/// answer, some of them when the store has given its own; a room without members,
/// history in memory, grace and anything under way is gone.
pub struct Rooms {
    pub(super) rooms: Slab<Room>,
    index: HashTable<u32>,
    pub(super) options: Arc<Options>,
    sweeps: Wheel<u32>,
    partings: Wheel<(u32, Seat)>,
    pub(super) scans: Wheel<u32>,
    /// The only connections of users who may have one.
    claims: BTreeMap<RoomId, Seat>,
    epochs: Prng,
    pub(super) storing: Storing,
}

pub(super) struct Room {
    pub(super) id: RoomId,
    pub(super) title: Title,
    pub(super) members: Members,
    pub(super) stream: Stream,
    rate: Bucket,
    typing: SmallVec<[(ClientId, Tick); 1]>,
    /// Of messages that came with an id.
    pub(super) ids: Option<Box<Ids>>,
    /// Of a personal channel: what is known of messages that wait for its user.
    pub(super) inbox: Inbox,
    /// Of a large room: who came and left since its members were told last.
    pub(super) crowd: Option<Box<Crowd>>,
    /// Since when nobody is here.
    empty_since: Tick,
    /// The earliest entry of `sweeps` for this room; the end of time for none.
    sweep_at: Tick,
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

/// The answer to a question, unless it comes later, and what everybody hears of it.
pub(super) type Decision = (Option<Answer>, Option<Tell>);

impl Rooms {
    /// No rooms yet. `seed` decides the epochs.
    pub fn new(now: Now, options: Arc<Options>, seed: u64) -> Rooms {
        Rooms {
            rooms: Slab::default(),
            index: HashTable::new(),
            options,
            sweeps: Wheel::new(now.tick, WHEEL_GRANULARITY_MS, 0),
            partings: Wheel::new(now.tick, WHEEL_GRANULARITY_MS, 0),
            scans: Wheel::new(now.tick, WHEEL_GRANULARITY_MS, 0),
            claims: BTreeMap::new(),
            epochs: Prng::from_seed(seed),
            storing: Storing::default(),
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

    /// The only way in for questions. Total: every question gets one answer, and
    /// the answer stands in `out` before what the question set off.
    pub fn handle(&mut self, now: Now, from: ShardId, ask: Ask, out: &mut Out) {
        if let Some(ask) = self.wait_for_stream(now, from, ask, out) {
            self.decide(now, from, ask, out);
        }
    }

    /// Decides a question about a room of which all is known.
    pub(super) fn decide(&mut self, now: Now, from: ShardId, ask: Ask, out: &mut Out) {
        let Ask { room, asker, what } = ask;
        let seat = Seat { shard: from, conn: asker.conn };
        let by = (from, asker);
        let (answer, news) = match what {
            What::Subscribe(entry) => self.subscribe(now, room, by, *entry, out),
            What::Unsubscribe(departure) => self.unsubscribe(now, room, seat, departure),
            What::Publish(draft) => {
                let decision = self.publish(now, room, by, *draft, out);
                out.published.extend(decision.0.as_ref().map(publish_result));
                decision
            }
            What::Presence => (Some(self.presence(room)), None),
            What::PresenceStats => (Some(self.presence_stats(room)), None),
            What::History(page) => (self.history(now, room, by, page.passage, out), None),
            What::Typing(info) => self.typing(now, room, info),
            What::Members(page) => (Some(self.members_page(room, page)), None),
            What::Mark(progress) => (self.mark(room, by, *progress, out), None),
            What::Receipts(page) => (self.receipts(room, by, *page, out), None),
            What::Conversations(page) => (self.conversations(room, by, *page, out), None),
            What::Retract(wish) => (self.retract(room, by, *wish, out), None),
            What::Claim => {
                out.answer(room, by, Answer::Noted);
                if let Some(old) = self.claims.insert(room, seat).filter(|&old| old != seat) {
                    out.told.push((old.shard, Tell::Replaced(old.conn)));
                }
                (None, None)
            }
            What::Release => {
                if self.claims.get(&room) == Some(&seat) {
                    self.claims.remove(&room);
                }
                (Some(Answer::Noted), None)
            }
            What::Deliver(delivery) => {
                self.deliver(now, room, *delivery, out);
                (Some(Answer::Noted), None)
            }
        };
        if let Some(answer) = answer {
            out.told.push((from, Tell::Answer(room, asker, answer)));
        }
        if let Some(news) = news {
            self.spread(room, &news, out);
        }
    }

    /// Lets pass what has passed: old messages, graces, empty rooms. At most
    /// `max` of each; the rest at the next call.
    pub fn tick(&mut self, now: Now, max: usize, out: &mut Out) {
        let mut partings = Vec::new();
        self.partings.turn(now.tick, max, |key| partings.push(key));
        for (slot, seat) in partings {
            self.part(now, slot, seat, out);
        }
        let mut sweeps = Vec::new();
        self.sweeps.turn(now.tick, max, |slot| sweeps.push(slot));
        for slot in sweeps {
            self.sweep(now, slot, out);
        }
        let mut scans = Vec::new();
        self.scans.turn(now.tick, max, |slot| scans.push(slot));
        for slot in scans {
            self.scan(now, slot, out);
            self.tell_of_crowd(now, slot, out);
        }
    }

    /// When `tick` should be called next.
    pub fn next_wake(&self) -> Option<Tick> {
        let wakes = [self.sweeps.next(), self.partings.next(), self.scans.next()];
        wakes.into_iter().flatten().min()
    }

    fn subscribe(
        &mut self,
        now: Now,
        id: RoomId,
        by: Asking,
        entry: Entry,
        out: &mut Out,
    ) -> Decision {
        let Some(slot) = self.enter(now, id, &entry.title) else {
            return (Some(Answer::Unwelcome(ErrorCode::Internal)), None);
        };
        let room = &mut self.rooms[slot];
        let rules = rules(&self.options, &room.title);
        if rules.members_max <= room.members.count() {
            return (Some(Answer::Unwelcome(ErrorCode::LimitExceeded)), None);
        }
        room.expire(now, rules);
        if let Some(since) = entry.since
            && self.is_on_disk_only(slot, since)
        {
            return (self.recover_from_disk(slot, by, entry, out), None);
        }
        let missed = entry.since.map(|since| self.rooms[slot].missed(since));
        self.admit(now, slot, by, entry, missed, out)
    }

    /// Lets a member in. `missed` is what it asked to recover: `None` when it did
    /// not ask, `Some(None)` when some of it is gone.
    pub(super) fn admit(
        &mut self,
        now: Now,
        slot: u32,
        by: Asking,
        entry: Entry,
        missed: Option<Option<Vec<Arc<Publication>>>>,
        out: &mut Out,
    ) -> Decision {
        let (shard, asker) = by;
        let room = &mut self.rooms[slot];
        let room_id = room.id;
        let rules = rules(&self.options, &room.title);
        room.members.count_in(shard);
        let welcome = room.welcome(missed);
        let mut news = None;
        if rules.lists_members() {
            let (info, chan_info) = (entry.info, entry.chan_info);
            let seat = Seat { shard, conn: asker.conn };
            let was_here = is_told_by_user(rules, &info) && room.members.has_user(&info.user);
            let arrival = room.members.list(seat, Arc::clone(&info), chan_info.clone());
            if arrival == Arrival::Came && !was_here {
                news = self.news_of(now, slot, Tell::Came(room_id, info, chan_info));
            }
        }
        self.look_for_waiting(now, slot, out);
        (Some(Answer::Subscribed(Box::new(welcome))), news)
    }

    fn unsubscribe(&mut self, now: Now, id: RoomId, seat: Seat, how: Departure) -> Decision {
        let Some(slot) = self.find(id) else {
            return (Some(Answer::Unsubscribed), None);
        };
        let room = &mut self.rooms[slot];
        room.members.count_out(seat.shard);
        let rules = rules(&self.options, &room.title);
        let end = now.tick.plus_ms(u64::from(rules.leave_grace_ms));
        let may_stay = how == Departure::Lost && now.tick < end;
        let mut news = None;
        if may_stay && room.members.step_away(seat, end) {
            self.partings.set(end, (slot, seat));
        } else if let Some(member) = room.members.unlist(seat) {
            news = self.news_of(now, slot, Tell::Went(id, member.info, member.chan_info));
        }
        self.after_leaving(now, slot);
        (Some(Answer::Unsubscribed), news)
    }

    fn publish(
        &mut self,
        now: Now,
        id: RoomId,
        by: Asking,
        draft: Draft,
        out: &mut Out,
    ) -> Decision {
        let slot = match &draft.title {
            Some(title) => self.enter(now, id, title),
            None => self.find(id),
        };
        let Some(slot) = slot else {
            return refuse(ErrorCode::Internal);
        };
        if let Some(again) = self.said_before(now, slot, by, &draft) {
            return (again, None);
        }
        let room = &mut self.rooms[slot];
        let rules = rules(&self.options, &room.title);
        if !room.rate.take(now.tick, rate(rules), 1) {
            return refuse(ErrorCode::TooManyRequests);
        }
        let voice = draft.voice;
        let publication = Arc::new(Publication {
            offset: room.next_offset(),
            data: draft.data,
            info: draft.info,
            chan_info: draft.chan_info,
            tags: draft.tags,
            time_unix_ms: now.unix_ms,
        });
        if !room.remember_id(&publication) {
            return refuse(ErrorCode::TooManyRequests);
        }
        match &mut room.stream {
            Stream::Kept(_) => return (self.keep(slot, by, publication, voice, out), None),
            Stream::Memory(window) => {
                window.push(&publication, rules.window_limits());
                let end = now.tick.plus_ms(rules.history_age_ms_max);
                set_sweep(&mut self.sweeps, room, slot, end);
            }
            Stream::None => (),
        }
        let answer = self.said(now, slot, &publication, voice, out);
        if let Stream::None = self.rooms[slot].stream
            && self.rooms[slot].members.is_empty()
        {
            self.drop_room(slot);
        }
        (Some(answer), Some(Tell::Said(id, publication)))
    }

    /// A message has its place. Sets off what follows from it elsewhere, and says
    /// what its author is answered.
    pub(super) fn said(
        &mut self,
        now: Now,
        slot: u32,
        publication: &Arc<Publication>,
        voice: Voice,
        out: &mut Out,
    ) -> Answer {
        if let Voice::Send { from, to, ttl_ms } = voice {
            self.bring(now, slot, publication, [from, to], ttl_ms, out);
        }
        let room = &self.rooms[slot];
        match voice {
            Voice::Publish => Answer::Published,
            Voice::Post | Voice::Send { .. } => {
                room.posted(publication.offset, publication.tag(ID_TAG).unwrap_or_default())
            }
        }
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

    fn members_page(&self, id: RoomId, page: MembersPage) -> Answer {
        let Some(slot) = self.find(id) else {
            return Answer::Members(Vec::new(), None);
        };
        let after = page.after.map(|(shard, conn)| Seat { shard, conn });
        let mut bytes = 0;
        let mut listed = self.rooms[slot].members.listed_behind(after);
        let mut last = None;
        let mut shown = Vec::new();
        for (seat, member) in listed.by_ref().take(page.count_max as usize) {
            bytes += member.bytes();
            shown.push((Arc::clone(&member.info), member.chan_info.clone()));
            last = Some((seat.shard, seat.conn));
            if PRESENCE_BYTES_MAX < bytes {
                break;
            }
        }
        let next = listed.next().and(last);
        Answer::Members(shown, next)
    }

    fn history(
        &mut self,
        now: Now,
        id: RoomId,
        by: Asking,
        passage: Passage,
        out: &mut Out,
    ) -> Option<Answer> {
        let passage = Passage { limit: passage.limit.min(HISTORY_ANSWER_MAX), ..passage };
        let Some(slot) = self.find(id) else {
            // Nothing was said; whatever is said later will be another stream.
            return Some(match passage.since {
                Some(_) => Answer::Refused(ErrorCode::UnrecoverablePosition),
                None => Answer::History(Vec::new(), self.fresh_position()),
            });
        };
        let room = &mut self.rooms[slot];
        room.expire(now, rules(&self.options, &room.title));
        let Some(window) = room.window() else {
            return Some(Answer::Refused(ErrorCode::NotAvailable));
        };
        if passage.since.is_some_and(|since| since.epoch != window.position().epoch) {
            return Some(Answer::Refused(ErrorCode::UnrecoverablePosition));
        }
        if let Some(range) = self.range_on_disk(slot, passage) {
            return self.read_history(slot, by, range, out);
        }
        let window = self.rooms[slot].window()?;
        let publications = window.read(passage).unwrap_or_default();
        Some(Answer::History(publications, window.position()))
    }

    fn typing(&mut self, now: Now, id: RoomId, info: Arc<ClientInfo>) -> Decision {
        let Some(slot) = self.find(id) else {
            return (Some(Answer::Noted), None);
        };
        let news = self.may_tell_of_typing(now, slot, info.client).then(|| Tell::Typing(id, info));
        (Some(Answer::Noted), news)
    }

    /// Once in a while for each client.
    pub(super) fn may_tell_of_typing(&mut self, now: Now, slot: u32, client: ClientId) -> bool {
        let told = &mut self.rooms[slot].typing;
        told.retain(|&mut (_, at)| now.tick.ms_since(at) < TYPING_INTERVAL_MS);
        let again = told.iter().any(|&(other, _)| other == client);
        let may = !again && told.len() < TYPING_MEMBERS_MAX;
        if may {
            told.push((client, now.tick));
        }
        may
    }

    /// Says `news` once to each shard with subscribers.
    pub(super) fn spread(&self, id: RoomId, news: &Tell, out: &mut Out) {
        if let Some(slot) = self.find(id) {
            let shards = self.rooms[slot].members.shards();
            out.told.extend(shards.map(|shard| (shard, news.clone())));
        }
    }

    /// A grace is over; whether it is the member's latest, its list knows.
    fn part(&mut self, now: Now, slot: u32, seat: Seat, out: &mut Out) {
        let Some(room) = self.rooms.at_mut(slot) else { return };
        let Some(member) = room.members.give_up(seat, now.tick) else { return };
        let id = room.id;
        if let Some(news) = self.news_of(now, slot, Tell::Went(id, member.info, member.chan_info)) {
            self.spread(id, &news, out);
        }
        self.after_leaving(now, slot);
    }

    fn sweep(&mut self, now: Now, slot: u32, out: &mut Out) {
        let Some(room) = self.rooms.at_mut(slot) else { return };
        if now.tick < room.sweep_at {
            return; // of an earlier room in this slot, or an earlier thought
        }
        room.sweep_at = Tick(u64::MAX);
        if let Stream::Kept(kept) = &mut room.stream {
            let again_at = match kept.phase() {
                Phase::Closed { again_at } if !room.members.is_empty() => Some(again_at),
                Phase::Closed { .. } | Phase::Opening | Phase::Open => None,
            };
            if again_at.is_some_and(|again_at| again_at <= now.tick) {
                self.open(now, slot, out);
            }
        }
        let Some(room) = self.rooms.at_mut(slot) else { return };
        let rules = rules(&self.options, &room.title);
        let next_unix_ms = room.expire(now, rules);
        let stays_ms = room.stays_ms(rules);
        let leaves_at = room.empty_since.plus_ms(stays_ms);
        if room.members.is_empty() && room.is_at_rest() && leaves_at <= now.tick {
            // Messages in memory only keep their room; those on disk do not.
            match (&room.stream, next_unix_ms) {
                (Stream::Memory(_), Some(_)) => (),
                (Stream::None | Stream::Memory(_) | Stream::Kept(_), _) => {
                    return self.drop_room(slot);
                }
            }
        }
        let message = next_unix_ms.map(|at| now.tick.plus_ms(at.saturating_sub(now.unix_ms)));
        let empty = room.members.is_empty().then(|| leaves_at.max(now.tick.plus_ms(1_000)));
        if let Some(at) = message.into_iter().chain(empty).min() {
            set_sweep(&mut self.sweeps, room, slot, at);
        }
    }

    /// Lets `sweep` look at a room at `at`, or before.
    pub(super) fn sweep_at(&mut self, slot: u32, at: Tick) {
        set_sweep(&mut self.sweeps, &mut self.rooms[slot], slot, at);
    }

    /// An empty room without a stream goes at once; one with a stream stays as
    /// long as its messages would, so that who comes back finds its position; one
    /// on disk stays for a moment.
    pub(super) fn after_leaving(&mut self, now: Now, slot: u32) {
        let room = &mut self.rooms[slot];
        if !room.members.is_empty() {
            return;
        }
        room.empty_since = now.tick;
        if let Stream::None = room.stream {
            self.drop_room(slot);
        } else {
            let stays_ms = room.stays_ms(rules(&self.options, &room.title));
            set_sweep(&mut self.sweeps, room, slot, now.tick.plus_ms(stays_ms));
        }
    }

    pub(super) fn enter(&mut self, now: Now, id: RoomId, title: &Title) -> Option<u32> {
        if let Some(slot) = self.find(id) {
            return Some(slot);
        }
        if self.options.rooms_max as usize <= self.rooms.len() {
            return None;
        }
        let epoch = self.fresh_epoch();
        let rules = rules(&self.options, title);
        let stream = match (rules.keeps_history(), rules.is_durable()) {
            (false, _) => Stream::None,
            (true, false) => Stream::Memory(Window::new(epoch)),
            (true, true) => Stream::Kept(Box::new(Kept::new(epoch))),
        };
        let room = Room {
            id,
            rate: Bucket::full(),
            title: title.clone(),
            members: Members::default(),
            stream,
            typing: SmallVec::new(),
            ids: None,
            inbox: Inbox::default(),
            crowd: None,
            empty_since: now.tick,
            sweep_at: Tick(u64::MAX),
        };
        let slot = self.rooms.insert(room);
        let rooms = &self.rooms;
        self.index.insert_unique(id.fold(), slot, |&slot| rooms[slot].id.fold());
        Some(slot)
    }

    pub(super) fn find(&self, id: RoomId) -> Option<u32> {
        self.index.find(id.fold(), |&slot| self.rooms[slot].id == id).copied()
    }

    pub(super) fn drop_room(&mut self, slot: u32) {
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
    fn expire(&mut self, now: Now, rules: &Namespace) -> Option<u64> {
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

    fn next_offset(&self) -> u64 {
        match &self.stream {
            Stream::None => 0,
            Stream::Memory(window) => window.next_offset(),
            Stream::Kept(kept) => kept.next_offset(),
        }
    }

    /// The answer to a chat method that said something.
    pub(super) fn posted(&self, offset: u64, id: &str) -> Answer {
        let epoch = self.window().map_or(Epoch::FOREIGN, |window| window.position().epoch);
        let position = Position { offset, epoch };
        let channel = Arc::clone(&self.title.channel);
        Answer::Posted(Box::new(Posted { channel, position, id: id.into() }))
    }

    /// Everything behind `since` that is in memory, or `None` when some of it is gone.
    fn missed(&self, since: Position) -> Option<Vec<Arc<Publication>>> {
        self.window()?.missed(since)
    }

    fn welcome(&self, missed: Option<Option<Vec<Arc<Publication>>>>) -> Welcome {
        let position = self.window().map(Window::position);
        let recovery = match &missed {
            None => Recovery::NotAsked,
            Some(Some(_)) => Recovery::Whole,
            Some(None) => Recovery::Lost,
        };
        let name = Arc::clone(&self.title.channel);
        Welcome { name, position, missed: missed.flatten().unwrap_or_default(), recovery }
    }

    /// How long it stays when the last member has left.
    fn stays_ms(&self, rules: &Namespace) -> u64 {
        match self.stream {
            Stream::None => 0,
            Stream::Memory(_) => rules.history_age_ms_max,
            Stream::Kept(_) => REST_MS,
        }
    }

    /// Remembers the message's id, if it has one. False when there is no room for it.
    fn remember_id(&mut self, publication: &Publication) -> bool {
        let Some((user, id)) = name_of(publication) else { return true };
        let ids = self.ids.get_or_insert_default();
        ids.remember(publication.time_unix_ms, user, id, publication.offset).is_ok()
    }

    fn is_at_rest(&self) -> bool {
        match &self.stream {
            Stream::None | Stream::Memory(_) => true,
            Stream::Kept(kept) => kept.is_at_rest(),
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

pub(super) fn refuse(code: ErrorCode) -> Decision {
    (Some(Answer::Refused(code)), None)
}

pub(super) fn rules<'o>(options: &'o Options, title: &Title) -> &'o Namespace {
    &options.namespaces[usize::from(title.namespace)]
}

fn rate(rules: &Namespace) -> Rate {
    Rate { per_s: rules.publish_per_s_max, burst: rules.publish_per_s_max }
}

fn set_sweep(sweeps: &mut Wheel<u32>, room: &mut Room, slot: u32, at: Tick) {
    if at < room.sweep_at {
        room.sweep_at = at;
        sweeps.set(at, slot);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::base::ConnId;
    use crate::room::{Asker, Voice};
    use crate::store::Durability;
    use crate::wire::Payload;

    const ROOM: RoomId = RoomId(9);
    const HOME: ShardId = ShardId(0);
    const FAR: ShardId = ShardId(3);

    /// One room of a namespace, asked by hand.
    struct World {
        rooms: Rooms,
        now: Now,
        out: Out,
    }

    impl World {
        fn new(rules: Namespace) -> World {
            let options = Options { namespaces: vec![rules], rooms_max: 2 };
            let now = Now { tick: Tick(0), unix_ms: 1_000_000 };
            World { rooms: Rooms::new(now, Arc::new(options), 1), now, out: Out::default() }
        }

        fn pass(&mut self, ms: u64) {
            let (tick, unix_ms) = (self.now.tick.plus_ms(ms), self.now.unix_ms + ms);
            self.now = Now { tick, unix_ms };
            self.out = Out::default();
            self.rooms.tick(self.now, 100, &mut self.out);
        }

        /// The answer, and to which shards how many tells went besides.
        fn ask(&mut self, from: ShardId, slot: u32, what: What) -> (Answer, Vec<ShardId>) {
            self.out = Out::default();
            let asker = Asker { conn: ConnId { slot, generation: 0 }, id: 1 };
            self.rooms.handle(self.now, from, Ask { room: ROOM, asker, what }, &mut self.out);
            let mut out = self.out.told.drain(..);
            let Some((to, Tell::Answer(ROOM, to_asker, answer))) = out.next() else {
                panic!("the answer comes first");
            };
            assert_eq!((to, to_asker), (from, asker));
            (answer, out.map(|(shard, _)| shard).collect())
        }

        /// The answer; what went besides stays in `out`.
        fn claim(&mut self, from: ShardId, slot: u32, what: What) -> Answer {
            self.out = Out::default();
            let asker = Asker { conn: ConnId { slot, generation: 0 }, id: 0 };
            self.rooms.handle(self.now, from, Ask { room: ROOM, asker, what }, &mut self.out);
            match self.out.told.remove(0).1 {
                Tell::Answer(_, _, answer) => answer,
                other => panic!("{other:?}"),
            }
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
            history_age_ms_max: 300_000,
            durability: Durability::Memory,
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
        assert!(world.out.told.is_empty());
        world.pass(700);
        assert!(matches!(world.out.told[..], [(HOME, Tell::Went(..))]));
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
        assert!(
            world.out.told.is_empty(),
            "the grace of the first is over, that of the second is not"
        );
        world.pass(200);
        assert!(matches!(world.out.told[..], [(HOME, Tell::Went(..))]));
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
            world.out = Out::default();
            world.rooms.handle(world.now, HOME, ask, &mut world.out);
            let refused = matches!(world.out.told[0].1, Tell::Answer(_, _, Answer::Unwelcome(_)));
            assert_eq!(refused, !fits);
        }
    }

    #[test]
    fn the_newest_connection_of_a_user_wins() {
        let mut world = World::new(chatty());
        let replaced = |world: &World| match world.out.told[..] {
            [] => None,
            [(shard, Tell::Replaced(conn))] => Some((shard, conn.slot)),
            ref other => panic!("{other:?}"),
        };
        for (shard, slot, old) in
            [(HOME, 1, None), (FAR, 2, Some((HOME, 1))), (FAR, 2, None), (HOME, 3, Some((FAR, 2)))]
        {
            assert!(matches!(world.claim(shard, slot, What::Claim), Answer::Noted));
            assert_eq!(replaced(&world), old);
        }
        world.claim(FAR, 2, What::Release);
        world.claim(FAR, 4, What::Claim);
        assert_eq!(replaced(&world), Some((HOME, 3)), "who was replaced releases nothing");
        world.claim(FAR, 4, What::Release);
        assert!(world.rooms.claims.is_empty());
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
