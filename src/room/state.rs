//! All rooms whose home is one shard: every question enters here, and membership,
//! publishing and presence are decided here.
//!
//! A room is made by the first question that needs it, and removed when nobody is in it and
//! nothing of it is in memory or under way.
//!
//! Deliberately absent: the store (`storing`, `reading`), direct messages (`inbox`), and how
//! coming and going is merged in large rooms (`news`).

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::kept::Kept;
use super::members::{Arrival, Member, Members, Seat};
use super::news::is_told_by_user;
use super::one::{Asking, Room, SWEEP_MS_MAX, Stream, rules};
use super::out::publish_result;
use super::silence::Silence;
use super::storing::Storing;
use super::user_rates::UserRates;
use super::window::Window;
use super::{
    Answer, Ask, Departure, Draft, Entry, HistoryPage, IdSource, MembersPage, Namespace, Options,
    Out, Passage, Step, Swap, Tell, Title, Voice, Way, What, ack_key,
};
use crate::base::limits::{
    BEGINNERS_MAX, HISTORY_ANSWER_MAX, PRESENCE_BYTES_MAX, PRESENCE_CLIENTS_MAX, TYPING_USERS_MAX,
};
use crate::base::{
    Bucket, Csprng, Moment, Now, Rate, RoomId, SealKey, ShardId, Slab, SlotIndex, Tick, Wheel,
};
use crate::wire::{ClientInfo, Epoch, ErrorCode, ID_TAG, Publication};

/// How exactly rooms keep their deadlines.
const WHEEL_GRANULARITY_MS: u64 = 64;

/// Typing is told once in this time for each user.
const TYPING_INTERVAL_MS: u64 = 1_000;

/// All rooms whose home is one shard.
///
/// Invariants: `index` knows exactly the rooms in `rooms`; every ask gets one
/// answer, some of them when the store has given its own; a room without members,
/// history in memory, grace and anything under way is gone.
pub struct Rooms {
    pub(super) rooms: Slab<Room>,
    index: SlotIndex,
    pub(super) options: Arc<Options>,
    sweeps: Wheel<u32>,
    partings: Wheel<(u32, Seat)>,
    pub(super) scans: Wheel<u32>,
    /// The only connections of users who may have one.
    claims: BTreeMap<RoomId, Seat>,
    /// Epochs, and spans of messages that are sent again.
    pub(super) ids: Csprng,
    pub(super) silence: Silence,
    pub(super) storing: Storing,
    /// Who begins rooms.
    beginnings: UserRates,
}

/// The answer to a question, unless it comes later, and what everybody hears of it.
pub(super) type Decision = (Option<Answer>, Option<Tell>);

impl Rooms {
    /// No rooms yet. `ids` decides epochs and spans; with `silent_key`, the same on all
    /// shards and in all lives of a store, positions in silent rooms are known again.
    pub fn new(now: Now, options: Arc<Options>, mut ids: Csprng, silent_key: SealKey) -> Rooms {
        let begun_rooms = options.user_rates.begun_rooms;
        Rooms {
            rooms: Slab::default(),
            index: SlotIndex::default(),
            options,
            sweeps: Wheel::new(now.tick, WHEEL_GRANULARITY_MS, 0),
            partings: Wheel::new(now.tick, WHEEL_GRANULARITY_MS, 0),
            scans: Wheel::new(now.tick, WHEEL_GRANULARITY_MS, 0),
            claims: BTreeMap::new(),
            silence: Silence::new(silent_key, &mut ids),
            ids,
            storing: Storing::default(),
            beginnings: UserRates::new(begun_rooms, BEGINNERS_MAX),
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

    /// A room's name, if it is here.
    pub fn name(&self, room: RoomId) -> Option<&str> {
        self.find(room).map(|slot| &*self.rooms[slot].title.channel)
    }

    /// How many members of a room sit on a shard.
    pub fn members_on(&self, room: RoomId, shard: ShardId) -> u64 {
        let members = self.find(room).map(|slot| &self.rooms[slot].members);
        members.map_or(0, |members| u64::from(members.count_on(shard)))
    }

    /// The only way in for questions. Total: every question gets one answer, and
    /// the answer stands in `out` before what the question set off.
    pub fn handle(&mut self, now: Now, from: ShardId, ask: Ask, out: &mut Out) {
        let ask = self.wait_for_stream(now, from, ask, out);
        if let Some(ask) = ask.and_then(|ask| self.wait_for_own(from, ask, out)) {
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
                let chat_type = draft.way.chat_type;
                let decision = self.publish(now, room, by, *draft, out);
                let result = decision.0.as_ref().map(publish_result);
                out.published.extend(result.map(|result| (chat_type, result)));
                decision
            }
            What::Presence => (Some(self.presence(room)), None),
            What::PresenceStats => (Some(self.presence_stats(room)), None),
            What::History(page) => (self.history(now, room, by, *page, out), None),
            What::Typing(info) => self.typing(now, room, info),
            What::Members(page) => (Some(self.members_page(room, page)), None),
            What::Mark(progress) => (self.mark(room, by, *progress, out), None),
            What::Receipts(page) => (self.receipts(room, by, *page, out), None),
            What::Conversations(page) => (self.conversations(room, by, *page, out), None),
            What::Retract(wish) => (self.retract(now, room, by, *wish, out), None),
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
        self.beginnings.tick(now.tick);
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
        mut entry: Entry,
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
        entry.since = entry.since.map(|since| self.known_position(now, slot, since));
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
        let position = self.told_position(now, slot);
        let room = &mut self.rooms[slot];
        let welcome = room.welcome(position, missed);
        let mut news = None;
        if rules.lists_members() {
            let (info, chan_info) = (entry.info, entry.chan_info);
            let seat = Seat { shard, conn: asker.conn };
            let was_here = is_told_by_user(rules, &info) && room.members.has_user(&info.user);
            let arrival = room.members.list(seat, Arc::clone(&info), chan_info.clone());
            let told = match arrival {
                Arrival::Resumed => None,
                Arrival::Came | Arrival::Replaced(_) if was_here => None,
                Arrival::Came => Some(Tell::Came(room_id, info, chan_info)),
                Arrival::Replaced(before) => {
                    let swap = Swap {
                        came: info,
                        came_chan_info: chan_info,
                        went: before.info,
                        went_chan_info: before.chan_info,
                    };
                    Some(Tell::Swapped(room_id, Box::new(swap)))
                }
            };
            news = told.and_then(|told| self.news_of(now, slot, told));
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
        if draft.id_source == IdSource::Client
            && let Some(again) = self.said_before(now, slot, by, &draft)
        {
            return (again, None);
        }
        let room = &mut self.rooms[slot];
        let rules = rules(&self.options, &room.title);
        if !room.rate.take(now.tick, rate(rules), 1) {
            return refuse(ErrorCode::TooManyRequests);
        }
        let begins = room.next_offset() == 1;
        if begins
            && let Some(info) = &draft.info
            && !self.beginnings.take(now.tick, &room.title.tenant, info)
        {
            self.sweep_at(slot, now.tick);
            return refuse(ErrorCode::TooManyRequests);
        }
        let (voice, way, id_source) = (draft.voice, draft.way, draft.id_source);
        let publication = Arc::new(draft.into_publication(now, room.next_offset()));
        if id_source == IdSource::Client && !room.remember_id(&publication) {
            return refuse(ErrorCode::TooManyRequests);
        }
        match &mut room.stream {
            Stream::Kept(_) => {
                let said = (voice, id_source);
                return (self.keep(now, slot, by, publication, None, said, way, out), None);
            }
            Stream::Memory(window) => {
                window.push(&publication, rules.window_limits());
                let end = now.tick.plus_ms(rules.history_age_ms_max);
                set_sweep(&mut self.sweeps, room, slot, end);
            }
            Stream::None => (),
        }
        let (answer, way) = self.said(now, slot, &publication, voice, (way, None), out);
        if let Stream::None = self.rooms[slot].stream
            && self.rooms[slot].members.is_empty()
        {
            self.drop_room(slot);
        }
        (Some(answer), Some(Tell::Said(id, publication, way)))
    }

    /// A message has its place. Sets off what follows from it elsewhere, and says
    /// what its author is answered, and how far the message's way goes now.
    pub(super) fn said(
        &mut self,
        now: Now,
        slot: u32,
        publication: &Arc<Publication>,
        voice: Voice,
        (way, given_at): (Way, Option<Moment>),
        out: &mut Out,
    ) -> (Answer, Way) {
        let (room, offset) = (self.rooms[slot].id, publication.offset);
        let way = Way { taken_at: now.moment, key: ack_key(room, offset), ..way };
        out.steps.push(Step::Taken { room, offset, way, given_at });
        if let Voice::Send { from, to, ttl_ms } = voice {
            self.bring(now, slot, publication, [from, to], ttl_ms, way, out);
        }
        let answer = match voice {
            Voice::Publish => Answer::Published(way),
            Voice::Post | Voice::Send { .. } => {
                let id = publication.tag(ID_TAG).unwrap_or_default();
                self.rooms[slot].posted(offset, id, Some(way))
            }
        };
        (answer, way)
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
        page: HistoryPage,
        out: &mut Out,
    ) -> Option<Answer> {
        let passage = page.passage;
        let mut passage = Passage { limit: passage.limit.min(HISTORY_ANSWER_MAX), ..passage };
        let Some(slot) = self.find(id) else {
            return Some(self.history_of_silence(now, id, &page));
        };
        let room = &mut self.rooms[slot];
        room.expire(now, rules(&self.options, &room.title));
        passage.since = passage.since.map(|since| self.known_position(now, slot, since));
        let Some(window) = self.rooms[slot].window() else {
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
        let position = self.told_position(now, slot)?;
        Some(Answer::History(publications, position))
    }

    fn typing(&mut self, now: Now, id: RoomId, info: Arc<ClientInfo>) -> Decision {
        let Some(slot) = self.find(id) else {
            return (Some(Answer::Noted), None);
        };
        let news = self.may_tell_of_typing(now, slot, &info).then(|| Tell::Typing(id, info));
        (Some(Answer::Noted), news)
    }

    /// Once in a while for each user, however many devices they type on; who has no
    /// name is a user for each connection.
    pub(super) fn may_tell_of_typing(
        &mut self,
        now: Now,
        slot: u32,
        info: &Arc<ClientInfo>,
    ) -> bool {
        let told = &mut self.rooms[slot].typing;
        told.retain(|&mut (_, at)| now.tick.ms_since(at) < TYPING_INTERVAL_MS);
        let again = told.iter().any(|(other, _)| {
            other.user == info.user && (!info.user.is_empty() || other.client == info.client)
        });
        let may = !again && told.len() < TYPING_USERS_MAX;
        if may {
            told.push((Arc::clone(info), now.tick));
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
        let again_at = room.opens_again_at();
        if again_at.is_some_and(|again_at| again_at <= now.tick) {
            self.open(now, slot, None, out);
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
        let message = next_unix_ms.map(|at| {
            let wait_ms = at.saturating_sub(now.unix_ms).min(SWEEP_MS_MAX);
            now.tick.plus_ms(wait_ms)
        });
        let empty = room.members.is_empty().then(|| leaves_at.max(now.tick.plus_ms(1_000)));
        let again_at = room.opens_again_at();
        if let Some(at) = [message, empty, again_at].into_iter().flatten().min() {
            set_sweep(&mut self.sweeps, room, slot, at);
        }
    }

    /// Lets `sweep` look at a room at `at`, or before.
    pub(super) fn sweep_at(&mut self, slot: u32, at: Tick) {
        set_sweep(&mut self.sweeps, &mut self.rooms[slot], slot, at);
    }

    /// An empty room without a stream goes at once, and so does one in which nothing was
    /// said; one with a stream stays as long as its messages would, so that who comes
    /// back finds its position; one on disk stays for a moment.
    pub(super) fn after_leaving(&mut self, now: Now, slot: u32) {
        let room = &mut self.rooms[slot];
        if !room.members.is_empty() {
            return;
        }
        room.empty_since = now.tick;
        let stays_ms = room.stays_ms(rules(&self.options, &room.title));
        if stays_ms == 0 {
            self.drop_room(slot);
        } else {
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
            inbox: None,
            crowd: None,
            told_of: None,
            empty_since: now.tick,
            sweep_at: Tick(u64::MAX),
        };
        let slot = self.rooms.insert(room);
        let rooms = &self.rooms;
        self.index.insert(slot, |slot| rooms[slot].id.fold());
        Some(slot)
    }

    pub(super) fn find(&self, id: RoomId) -> Option<u32> {
        self.index.find(id.fold(), |slot| self.rooms[slot].id == id)
    }

    pub(super) fn drop_room(&mut self, slot: u32) {
        let rooms = &self.rooms;
        self.index.remove(slot, |slot| rooms[slot].id.fold());
        self.rooms.remove(slot);
    }

    pub(super) fn fresh_epoch(&mut self) -> Epoch {
        Epoch((self.ids.draw() as u32).max(1).into())
    }
}

pub(super) fn refuse(code: ErrorCode) -> Decision {
    (Some(Answer::Refused(code)), None)
}

pub(super) fn rate(rules: &Namespace) -> Rate {
    Rate { per_s: rules.publish_per_s_max, burst: rules.publish_per_s_max }
}

fn set_sweep(sweeps: &mut Wheel<u32>, room: &mut Room, slot: u32, at: Tick) {
    if at < room.sweep_at {
        room.sweep_at = at;
        sweeps.set(at, slot);
    }
}

#[cfg(test)]
mod tests;
