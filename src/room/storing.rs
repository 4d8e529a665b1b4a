//! Rooms and the store: what is asked of it, what waits for it, and what follows
//! from its answers.
//!
//! Invariants: every request has one entry in `tickets` until it is answered; a
//! message is answered and told to others only when the store has it; what was
//! given in one room is answered in its order.

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;

use super::kept::{Pending, Phase};
use super::marks::shorten;
use super::one::{Asking, SWEEP_MS_MAX, Stream, rules};
use super::reading::Reading;
use super::readings::Readings;
use super::waiting::{Load, Waiting};
use super::{
    Answer, Ask, Asker, Delivery, Draft, IdSource, Out, Progress, Rooms, Step, Tell, Title, Voice,
    Way, What,
};
use crate::base::limits::{IDS_MS, STORE_REQUESTS_MAX};
use crate::base::{Now, RoomId, ShardId, Slab, Tick};
use crate::store::{
    Addressee, Append, Birth, Failure, Flow, Job, KnownId, Open, Outcome, Reply, Request,
    Requester, Round, Ticket,
};
use crate::wire::{ErrorCode, ID_TAG, Publication};

/// What a question costs that waits.
const ASK_BYTES: usize = 256;

/// How long after a failure the store is asked again, in ms.
const AGAIN_MS: u64 = 1_000;

/// Requests under way, and what is remembered of each.
#[derive(Default)]
pub(super) struct Storing {
    tickets: Slab<Awaited>,
    round: Round,
    /// Questions that wait for a stream to be known, and messages that the store was given.
    waiting: Waiting,
    /// Reads for clients.
    pub readings: Readings,
    /// What recoveries that are under way have found so far.
    pub found_bytes: usize,
}

impl Storing {
    /// Whether the store has to answer some before more is asked for clients.
    pub fn is_full(&self) -> bool {
        STORE_REQUESTS_MAX <= self.tickets.len()
    }

    /// Whether there is room for one more question that waits; it is counted then.
    pub fn begin_wait(&mut self, from: ShardId, ask: &Ask) -> bool {
        let (flow, load) = share_of(from, ask);
        let has_room = self.waiting.has_room_for(flow, load);
        if has_room {
            self.waiting.add(flow, load);
        }
        has_room
    }

    /// A question is decided, or refused.
    pub fn wait_no_more(&mut self, from: ShardId, ask: &Ask) {
        let (flow, load) = share_of(from, ask);
        self.waiting.remove(flow, load);
    }

    /// A message waits for the store no more; the first who asked for it is its author.
    fn is_kept(&mut self, publication: &Publication, askers: &[Asking]) {
        let flow = requester(askers.first().copied()).flow();
        self.waiting.remove(flow, Load { asks_count: 0, bytes: publication.cost_bytes() });
    }
}

/// What an answer of the store is for.
pub(super) enum Awaited {
    Opened(RoomId, Requester),
    Kept(RoomId, Round),
    Read(Box<Reading>),
    Marked(RoomId, Asking, Progress),
    Receipts(RoomId, Asking, u32),
    Conversations(RoomId, Asking),
    Pending(RoomId),
    /// Nobody waits.
    Done,
}

impl Rooms {
    /// The store answers. Like `handle`, the only way in.
    pub fn on_reply(&mut self, now: Now, reply: Reply, out: &mut Out) {
        let awaited = self.storing.tickets.remove(reply.ticket.0);
        match awaited.expect("the store answers each request once") {
            Awaited::Opened(room, by) => self.on_opened(now, room, by, reply.outcome, out),
            Awaited::Kept(room, round) => {
                self.on_kept(now, room, round, reply.ticket, reply.outcome, out);
            }
            Awaited::Read(reading) => self.on_read(now, *reading, reply.outcome, out),
            Awaited::Marked(room, by, progress) => {
                self.on_marked(room, by, &progress, reply.outcome, out);
            }
            Awaited::Receipts(room, by, count_max) => {
                let answer = match reply.outcome {
                    Outcome::Marks(mut all) => {
                        let more = shorten(&mut all, count_max);
                        let next = all.last().filter(|_| more).map(|(user, _)| user.clone());
                        Answer::Receipts(all, next)
                    }
                    other => failed(&other),
                };
                out.answer(room, by, answer);
                self.end_reading(by, out);
            }
            Awaited::Conversations(room, by) => {
                let answer = match reply.outcome {
                    Outcome::Conversations(all, next) => Answer::Conversations(all, next),
                    other => failed(&other),
                };
                out.answer(room, by, answer);
                self.end_reading(by, out);
            }
            Awaited::Pending(room) => self.on_pending(now, room, reply.outcome, out),
            Awaited::Done => (),
        }
    }

    /// Requests that the store has not answered.
    pub fn requests_count(&self) -> usize {
        self.storing.tickets.len()
    }

    /// Gives a question back that can be decided now. One about a stream that is not
    /// known yet waits, or is refused where too many do.
    pub(super) fn wait_for_stream(
        &mut self,
        now: Now,
        from: ShardId,
        ask: Ask,
        out: &mut Out,
    ) -> Option<Ask> {
        let Some(title) = stream_of(&ask.what) else { return Some(ask) };
        let slot = match (self.find(ask.room), title) {
            (Some(slot), _) => slot,
            (None, Some(title)) if rules(&self.options, title).is_durable() => {
                match self.enter(now, ask.room, title) {
                    Some(slot) => slot,
                    None => return Some(ask), // refused by whoever decides
                }
            }
            (None, _) => return Some(ask),
        };
        let Stream::Kept(kept) = &mut self.rooms[slot].stream else { return Some(ask) };
        let is_closed = match kept.phase() {
            Phase::Open => return Some(ask),
            Phase::Opening => false,
            Phase::Closed { again_at } => {
                if now.tick < again_at {
                    out.refuse(from, &ask, ErrorCode::Internal);
                    return None;
                }
                true
            }
        };
        let by = (from, ask.asker);
        if self.storing.begin_wait(from, &ask) {
            kept.wait(from, ask);
        } else {
            out.refuse(from, &ask, ErrorCode::TooManyRequests);
        }
        if is_closed {
            self.open(now, slot, Some(by), out);
        }
        None
    }

    /// Asks the store what it knows of a room, for whoever is the first to need it.
    pub(super) fn open(&mut self, now: Now, slot: u32, by: Option<Asking>, out: &mut Out) {
        let room = &mut self.rooms[slot];
        let limits = rules(&self.options, &room.title).window_limits();
        let Stream::Kept(kept) = &mut room.stream else { return };
        kept.begin_opening();
        let job = Job::Open(Open {
            room: room.id,
            count_max: limits.count_max as u32,
            bytes_max: limits.bytes_max as u32,
            after: kept.born.then(|| kept.window().position().offset),
            ids_since_unix_ms: now.unix_ms.saturating_sub(IDS_MS),
        });
        let awaited = Awaited::Opened(room.id, requester(by));
        self.request(by, awaited, job, out);
    }

    /// Whoever needed a room first is gone, so the store did not read it: it reads it for
    /// the first of the others, who did nothing to be refused for.
    fn open_for_next(&mut self, now: Now, slot: u32, gone: Requester, out: &mut Out) {
        let Stream::Kept(kept) = &mut self.rooms[slot].stream else { return };
        // What changes the room is done all the same.
        let next = kept
            .waiting()
            .find(|(from, ask)| requester(Some((*from, ask.asker))) != gone || changes(&ask.what));
        match next.map(|(from, ask)| (*from, ask.asker)) {
            Some(by) => {
                kept.begin_anew();
                self.open(now, slot, Some(by), out);
            }
            None => self.give_up(now, slot, (now.tick, ErrorCode::Internal), out),
        }
    }

    fn on_opened(&mut self, now: Now, id: RoomId, by: Requester, outcome: Outcome, out: &mut Out) {
        let slot = self.find(id).expect("a room stays while the store is asked");
        if let Outcome::Failed(Failure::Abandoned) = outcome {
            return self.open_for_next(now, slot, by, out);
        }
        let Outcome::Opened(opened, losses_count) = outcome else {
            let again_at = now.tick.plus_ms(AGAIN_MS);
            return self.give_up(now, slot, (again_at, ErrorCode::Internal), out);
        };
        let fresh = self.fresh_epoch();
        let room = &mut self.rooms[slot];
        let Stream::Kept(kept) = &mut room.stream else { return };
        room.ids = None;
        let mut opened = opened.map(|opened| *opened);
        for known in opened.iter_mut().flat_map(|opened| mem::take(&mut opened.ids)) {
            let KnownId { user, id, offset, time_unix_ms } = known;
            let ids = room.ids.get_or_insert_default();
            ids.restore(time_unix_ms, &user, &id, offset);
        }
        let news = kept.open(opened, losses_count, fresh);
        let (doubtful, waiting) = (kept.take_doubtful(), kept.take_waiting());
        let head = kept.window().position().offset;
        if news.is_none() {
            self.spread(id, &Tell::Lost(id), out);
            for to in addressees(&doubtful, head) {
                out.deliver(to, Delivery::Stored);
            }
        }
        for publication in news.into_iter().flatten() {
            let letter = doubtful.iter().find(|(offset, _)| *offset == publication.offset);
            let way = self.way_again(now, slot, &publication);
            if let Some(&(_, Voice::Send { from, to, ttl_ms })) = letter {
                self.bring(now, slot, &publication, [from, to], ttl_ms, way, out);
            }
            self.spread(id, &Tell::Said(id, publication, way), out);
        }
        for (from, ask) in waiting {
            self.storing.wait_no_more(from, &ask);
            if let Some(ask) = self.wait_for_own(from, ask, out) {
                self.decide(now, from, ask, out);
            }
        }
        self.rest(now, slot, id);
    }

    /// The author's repeated message, if this is one: the answer, or none when the
    /// first is not stored yet.
    pub(super) fn said_before(
        &mut self,
        now: Now,
        slot: u32,
        by: Asking,
        draft: &Draft,
    ) -> Option<Option<Answer>> {
        let user = &draft.info.as_ref()?.user;
        let id = draft.tags.iter().find(|(name, _)| **name == *ID_TAG).map(|(_, id)| id)?;
        let room = &mut self.rooms[slot];
        let offset = room.ids.as_mut()?.offset(now.unix_ms, user, id)?;
        if let Stream::Kept(kept) = &mut room.stream
            && let Some(pending) = kept.pending_at(offset)
        {
            pending.askers.push(by);
            return Some(None);
        }
        Some(Some(room.posted(offset, id, None)))
    }

    /// Gives a message to the store. Its author is answered when it is kept.
    #[expect(clippy::too_many_arguments, reason = "a message, and where it stands")]
    pub(super) fn keep(
        &mut self,
        now: Now,
        slot: u32,
        by: Asking,
        publication: Arc<Publication>,
        retracts: Option<Arc<Publication>>,
        (voice, id_source): (Voice, IdSource),
        way: Way,
        out: &mut Out,
    ) -> Option<Answer> {
        let room = &mut self.rooms[slot];
        let rules = rules(&self.options, &room.title);
        let flow = requester(Some(by)).flow();
        let load = Load { asks_count: 0, bytes: publication.cost_bytes() };
        if !self.storing.waiting.has_room_for(flow, load) || self.storing.is_full() {
            room.forget_id(&publication);
            return Some(Answer::Refused(ErrorCode::TooManyRequests));
        }
        let Stream::Kept(kept) = &mut room.stream else { return None };
        let (addressee, parties) = match voice {
            Voice::Publish | Voice::Post => (None, None),
            Voice::Send { from, to, ttl_ms } => {
                let waits_ms = if ttl_ms == 0 { rules.ttl_ms_max } else { ttl_ms };
                let waits_ms = waits_ms.min(rules.ttl_ms_max);
                let expires_unix_ms = publication.time_unix_ms.saturating_add(waits_ms);
                (Some(Addressee { inbox: to, expires_unix_ms }), Some([from, to]))
            }
        };
        // Where no message is left, the store may have forgotten the channel.
        let is_new = !mem::replace(&mut kept.born, true) || kept.window().is_empty();
        let birth = is_new.then(|| Birth {
            tenant: Arc::clone(&room.title.tenant),
            channel: Arc::clone(&room.title.channel),
            epoch: kept.window().position().epoch,
            born_unix_ms: kept.born_unix_ms(&publication),
            // Messages before this one may be under way, and be refused.
            behind: kept.window().position().offset,
            parties,
        });
        let append = Append {
            room: room.id,
            namespace: room.title.namespace,
            birth,
            publication: Arc::clone(&publication),
            addressee,
            keeps_id: id_source == IdSource::Client,
            retracts: retracts.clone(),
        };
        let awaited = Awaited::Kept(room.id, self.storing.round);
        let ticket = Ticket(self.storing.tickets.insert(awaited));
        let given_at = now.moment;
        let (askers, behind) = (vec![by], Vec::new());
        kept.give(Pending { ticket, publication, retracts, voice, way, given_at, askers, behind });
        self.storing.waiting.add(flow, load);
        let round = self.storing.round;
        let job = Job::Append(Box::new(append));
        out.requests.push(Request { ticket, round, by: requester(Some(by)), job });
        None
    }

    fn on_kept(
        &mut self,
        now: Now,
        id: RoomId,
        round: Round,
        ticket: Ticket,
        outcome: Outcome,
        out: &mut Out,
    ) {
        let Outcome::Appended = outcome else {
            if round == self.storing.round {
                self.storing.round = Round(round.0 + 1);
            }
            let slot = self.find(id).filter(|&slot| match &self.rooms[slot].stream {
                Stream::Kept(kept) => kept.is_pending(ticket),
                Stream::None | Stream::Memory(_) => false,
            });
            if let Some(slot) = slot {
                let again = match outcome {
                    // Nothing was written, and what is there may be read at once.
                    Outcome::Failed(Failure::Full | Failure::Stale) => {
                        (now.tick, ErrorCode::Internal)
                    }
                    Outcome::Failed(Failure::Crowded) => (now.tick, ErrorCode::TooManyRequests),
                    _ => (now.tick.plus_ms(AGAIN_MS), ErrorCode::Internal),
                };
                self.give_up(now, slot, again, out);
            }
            return;
        };
        // What was given up before is found when the room is read again.
        let Some(slot) = self.find(id) else { return };
        let room = &mut self.rooms[slot];
        let limits = rules(&self.options, &room.title).window_limits();
        let Stream::Kept(kept) = &mut room.stream else { return };
        let Some(pending) = kept.take_kept(ticket) else { return };
        let Pending { publication, retracts, voice, way, given_at, askers, behind, .. } = pending;
        if let Some(left) = &retracts {
            kept.window_mut().replace(left);
        }
        kept.window_mut().push(&publication, limits);
        self.storing.is_kept(&publication, &askers);
        let way = (way, Some(given_at));
        let (answer, way) = self.said(now, slot, &publication, voice, way, out);
        for by in askers {
            match &retracts {
                None => out.answer_publish(way.chat_type, id, by, answer.clone()),
                Some(_) => out.answer(id, by, Answer::Noted),
            }
        }
        self.spread(id, &Tell::Said(id, Arc::clone(&publication), way), out);
        if let Some(left) = &retracts {
            self.tell_of_retraction(slot, left.offset, &publication, voice, out);
        }
        self.decide_behind(now, behind, out);
        self.sweep_at(slot, now.tick.plus_ms(limits.age_ms_max.min(SWEEP_MS_MAX)));
        self.rest(now, slot, id);
    }

    /// It is not known any more what the store has of this room: who waits for it is
    /// told to try again, with this code, and it is read anew, from `again_at` on.
    fn give_up(&mut self, now: Now, slot: u32, (again_at, code): (Tick, ErrorCode), out: &mut Out) {
        let room = &mut self.rooms[slot];
        let id = room.id;
        let Stream::Kept(kept) = &mut room.stream else { return };
        let (given, mut waiting) = kept.close(again_at);
        for Pending { publication, retracts, way, askers, behind, .. } in given {
            waiting.extend(behind);
            self.storing.is_kept(&publication, &askers);
            room.forget_id(&publication);
            out.steps.push(Step::Refused { room: id, way });
            for by in askers {
                let refused = Answer::Refused(code);
                match &retracts {
                    None => out.answer_publish(way.chat_type, id, by, refused),
                    Some(_) => out.answer(id, by, refused),
                }
            }
        }
        for (from, ask) in waiting {
            self.storing.wait_no_more(from, &ask);
            out.refuse(from, &ask, code);
        }
        self.sweep_at(slot, again_at);
        self.rest(now, slot, id);
    }

    /// Lets a room go that nobody is in, in a while.
    pub(super) fn rest(&mut self, now: Now, slot: u32, id: RoomId) {
        if self.find(id) == Some(slot) {
            self.after_leaving(now, slot);
        }
    }

    /// Asks the store for somebody, or for this shard itself.
    pub(super) fn request(
        &mut self,
        by: Option<Asking>,
        awaited: Awaited,
        job: Job,
        out: &mut Out,
    ) {
        self.request_as(requester(by), awaited, job, out);
    }

    /// Asks the store in the flow of a user, whoever of its connections is there.
    pub(super) fn request_as(&mut self, by: Requester, awaited: Awaited, job: Job, out: &mut Out) {
        let ticket = Ticket(self.storing.tickets.insert(awaited));
        out.requests.push(Request { ticket, round: self.storing.round, by, job });
    }
}

/// Whose turn a read of the store takes.
pub(super) fn requester(by: Option<Asking>) -> Requester {
    by.map_or(Requester::NOBODY, |(shard, Asker { conn, user, .. })| Requester {
        shard,
        conn,
        user,
    })
}

/// Whose inboxes these direct messages wait in, if they are stored: those up to `head` are.
fn addressees(doubtful: &[(u64, Voice)], head: u64) -> BTreeSet<RoomId> {
    let stored = doubtful.iter().filter(|(offset, _)| *offset <= head);
    let to = stored.filter_map(|(_, voice)| match voice {
        Voice::Send { to, .. } => Some(*to),
        Voice::Publish | Voice::Post => None,
    });
    to.collect()
}

/// Whether a question needs to know what was said, and how its room is called if
/// it does not come from a member.
fn stream_of(what: &What) -> Option<Option<&Title>> {
    match what {
        What::Subscribe(entry) => Some(Some(&entry.title)),
        What::Publish(draft) => Some(draft.title.as_ref()),
        What::History(page) => Some(page.title.as_ref()),
        What::Mark(progress) => Some(progress.title.as_ref()),
        What::Receipts(page) => Some(page.title.as_ref()),
        What::Retract(wish) => Some(wish.draft.title.as_ref()),
        What::Unsubscribe(_)
        | What::Presence
        | What::PresenceStats
        | What::Typing(_)
        | What::Members(_)
        | What::Conversations(_)
        | What::Claim
        | What::Release
        | What::Deliver(_) => None,
    }
}

/// Whether a question changes what its room has.
fn changes(what: &What) -> bool {
    match what {
        What::Publish(_) | What::Mark(_) | What::Retract(_) => true,
        What::Subscribe(_)
        | What::Unsubscribe(_)
        | What::Presence
        | What::PresenceStats
        | What::History(_)
        | What::Typing(_)
        | What::Members(_)
        | What::Receipts(_)
        | What::Conversations(_)
        | What::Claim
        | What::Release
        | What::Deliver(_) => false,
    }
}

/// Of whose share a question that waits takes how much.
fn share_of(from: ShardId, ask: &Ask) -> (Flow, Load) {
    (requester(Some((from, ask.asker))).flow(), load_of(&ask.what))
}

fn load_of(what: &What) -> Load {
    let bytes = match what {
        What::Publish(draft) => draft.cost_bytes(),
        What::Subscribe(entry) => {
            let chan_info = entry.chan_info.as_ref().map_or(0, |info| info.cost_bytes());
            ASK_BYTES + entry.info.cost_bytes() + chan_info
        }
        What::Unsubscribe(_)
        | What::Presence
        | What::PresenceStats
        | What::History(_)
        | What::Typing(_)
        | What::Members(_)
        | What::Mark(_)
        | What::Receipts(_)
        | What::Conversations(_)
        | What::Retract(_)
        | What::Claim
        | What::Release
        | What::Deliver(_) => ASK_BYTES,
    };
    Load { asks_count: 1, bytes }
}

/// The answer when the store did not do it.
pub(super) fn failed(outcome: &Outcome) -> Answer {
    match outcome {
        Outcome::Failed(
            Failure::Full
            | Failure::Broken
            | Failure::Stale
            | Failure::Damaged
            | Failure::Abandoned
            | Failure::Crowded,
        ) => Answer::Refused(ErrorCode::Internal),
        other => unreachable!("the store answers what it was asked: {other:?}"),
    }
}
