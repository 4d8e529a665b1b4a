//! A message's way, measured: what is observed, counted and told at each step.

use super::Delivered;
use super::notes::{Cause, Room, Span, SpanAction, Trouble};
use crate::base::{ConnId, Moment, Now, RoomId, SpanId};
use crate::metrics::{
    ChatType, Counter, DeliveryOutcome, Direction, Exemplar, Histogram, PublishResult, Sampled,
    Segment, TenantCounter, TenantHistogram, TenantOutcome,
};
use crate::room::{Answer, Course, Step, UNKNOWN, Way};
use crate::shard::Shard;
use crate::shard::delivery::{Cargo, Fate, Left, Round, RoundId};
use crate::shard::fanout::Channel;

impl Shard {
    /// A room did something to a message.
    pub(in crate::shard) fn on_step(&mut self, now: Now, step: Step) {
        match step {
            Step::Taken { room, offset, way, given_at } => {
                self.on_taken(now, room, offset, way, given_at);
            }
            Step::Refused { room, way } => {
                let segments_us =
                    [p2b_us(&way), Some(now.moment.us_since(way.parsed_at)), None, None];
                let cause = Cause::Refused(PublishResult::Failed);
                if self.notes.may_tell(now.tick, cause) {
                    self.trouble(now, cause, room, &way, segments_us);
                    let action = SpanAction::Publish { offset: 0 };
                    let span = self.span(room, &way, action, way.parsed_at, now.moment);
                    self.notes.span(Span { failed: true, ..span });
                }
            }
            Step::Waits => self.count(ChatType::OneToOne, DeliveryOutcome::OfflineStored, 1),
            Step::Again { .. } => self.scribe.add(Counter::Retries, 1),
            Step::GivenUp { room, offset, trace } => {
                self.count(ChatType::OneToOne, DeliveryOutcome::DeadLetter, 1);
                let Some(trace) = trace else { return };
                let cause = Cause::Failed(DeliveryOutcome::DeadLetter);
                if self.notes.may_tell(now.tick, cause) {
                    let id = SpanId::made(self.env.ids());
                    let way = Way::again(now, trace, id, ChatType::OneToOne);
                    self.trouble(now, cause, room, &way, [None; 4]);
                    let action = SpanAction::DeadLetter { offset };
                    let span = self.span(room, &way, action, now.moment, now.moment);
                    self.notes.span(Span { failed: true, parent: way.parent, ..span });
                }
            }
        }
    }

    fn on_taken(
        &mut self,
        now: Now,
        room: RoomId,
        offset: u64,
        way: Way,
        given_at: Option<Moment>,
    ) {
        let queue_us = way.taken_at.us_since(way.parsed_at);
        self.observe(now, Histogram::Segment(Segment::Queue), queue_us, room, &way);
        if let Some(p2b_us) = p2b_us(&way) {
            self.observe(now, Histogram::Segment(Segment::P2b), p2b_us, room, &way);
        }
        self.scribe.add(Counter::ClockSkewClamped, u64::from(way.course == Course::SaidSkewed));
        let sampled = if way.sampled { Sampled::Yes } else { Sampled::No };
        self.scribe.add(Counter::TraceSampled(sampled), 1);
        let cause = Cause::Slow(Segment::Queue);
        let is_slow = self.slow_us <= queue_us && self.notes.may_tell(now.tick, cause);
        if is_slow {
            let segments_us = [p2b_us(&way), Some(queue_us), None, None];
            self.trouble(now, cause, room, &way, segments_us);
        }
        if way.sampled || is_slow {
            let action = SpanAction::Publish { offset };
            let publish = self.span(room, &way, action, way.parsed_at, way.taken_at);
            self.notes.span(publish);
            if let Some(given_at) = given_at {
                let store = self.span(room, &way, SpanAction::Store, given_at, way.taken_at);
                self.notes.span(store);
            }
        }
    }

    /// So many direct messages waited in the store until their time was over.
    pub fn on_expired(&mut self, count: u64) {
        self.count(ChatType::OneToOne, DeliveryOutcome::Expired, count);
    }

    /// These will not get it: they are counted as recipients, too, who were not yet.
    pub(in crate::shard) fn count(
        &mut self,
        chat_type: ChatType,
        outcome: DeliveryOutcome,
        count: u64,
    ) {
        self.scribe.add(Counter::Recipients, count);
        self.scribe.add(Counter::Delivered(chat_type, outcome), count);
    }

    /// A publication found no room in the lane to a shard.
    pub(in crate::shard) fn on_lost_in_lane(
        &mut self,
        now: Now,
        room: RoomId,
        way: &Way,
        members: u64,
    ) {
        self.count(way.chat_type, DeliveryOutcome::Failed, members);
        let cause = Cause::Failed(DeliveryOutcome::Failed);
        if 0 < members && self.notes.may_tell(now.tick, cause) {
            let queue_us = way.taken_at.us_since(way.parsed_at);
            self.trouble(now, cause, room, way, [p2b_us(way), Some(queue_us), None, None]);
        }
    }

    /// The author of a message is answered.
    pub(in crate::shard) fn on_posted(
        &mut self,
        now: Now,
        room: RoomId,
        by: ConnId,
        answer: &Answer,
    ) {
        let way = match answer {
            Answer::Published(way) => *way,
            Answer::Posted(posted) => match posted.way {
                Some(way) => way,
                None => return,
            },
            _ => return,
        };
        if let Some(tenant) = self.connections.tenant_of(by) {
            self.scribe.add_tenant(tenant, TenantCounter::Published, 1);
        }
        let took_us = now.moment.us_since(way.sent_at());
        let e2e = Histogram::E2e(way.chat_type, Direction::Send);
        self.observe(now, e2e, took_us, room, &way);
    }

    /// What a channel said in this turn was given to the plane for so many.
    pub(in crate::shard) fn on_given(&mut self, now: Now, id: RoundId, sends: u32, failed: u32) {
        let over = self.rounds.given(id, sends, failed);
        let round = over.as_ref().or_else(|| self.rounds.at(id));
        if let Some(round) = round {
            for way in &round.ways {
                // In a room hardly anybody acknowledges, and where somebody does others will.
                if way.chat_type == ChatType::OneToOne || self.has_seen_acks {
                    let Round { room, given_at, .. } = *round;
                    let message =
                        Delivered { way: *way, room, given_at, left_at: None, awaited: sends };
                    self.recent.insert(now.moment, message);
                }
            }
        }
        if let Some(round) = over {
            self.on_round(now, &round);
        }
    }

    /// A send with this in it has left.
    pub(in crate::shard) fn on_left(&mut self, now: Now, cargo: Cargo, round: RoundId) {
        if cargo != Cargo::NONE {
            for (chat_type, count) in ChatType::ALL.iter().zip(cargo.counts()) {
                let delivered = Counter::Delivered(*chat_type, DeliveryOutcome::Delivered);
                self.scribe.add(delivered, u64::from(count));
            }
        }
        self.end_send(now, round, Fate::Left);
    }

    /// Counts what is lost, and tells rounds of sends that are over.
    pub(in crate::shard) fn settle(&mut self, now: Now, left: &mut Left, fate: Fate) {
        for (chat_type, lost) in ChatType::ALL.iter().zip(&mut left.lost) {
            let failed = Counter::Delivered(*chat_type, DeliveryOutcome::Failed);
            self.scribe.add(failed, std::mem::take(lost));
        }
        for round in left.rounds.drain(..) {
            self.end_send(now, round, fate);
        }
    }

    /// A send of a round is over.
    pub(in crate::shard) fn end_send(&mut self, now: Now, round: RoundId, fate: Fate) {
        if let Some(round) = self.rounds.over(round, fate) {
            self.on_round(now, &round);
        }
    }

    /// The last send of a round is over.
    fn on_round(&mut self, now: Now, round: &Round) {
        let has_left = round.failed < round.recipients;
        self.count_of_tenant(round);
        if has_left {
            self.recent.left(now.moment, &round.ways);
            if round.ways.first().is_some_and(|way| way.chat_type == ChatType::Broadcast) {
                let took_us = now.moment.us_since(round.given_at);
                self.scribe.observe(Histogram::Broadcast, took_us);
            }
        }
        for way in &round.ways {
            let b2c_us = now.moment.us_since(way.taken_at);
            let end2end_us = now.moment.us_since(way.parsed_at);
            let queue_us = way.taken_at.us_since(way.parsed_at);
            if has_left {
                let b2c = Histogram::Segment(Segment::B2c);
                self.observe(now, b2c, b2c_us, round.room, way);
                if way.course != Course::Again {
                    self.observe(now, Histogram::EndToEnd, end2end_us, round.room, way);
                }
            }
            // What was slow at home was told there.
            let is_slow = queue_us < self.slow_us && self.slow_us <= end2end_us;
            let is_bad = is_slow || 0 < round.failed;
            let cause = match round.failed {
                0 => Cause::Slow(Segment::B2c),
                1.. => Cause::Failed(DeliveryOutcome::Failed),
            };
            let is_told = is_bad && self.notes.may_tell(now.tick, cause);
            if is_told {
                let segments_us = [p2b_us(way), Some(queue_us), Some(b2c_us), None];
                self.trouble(now, cause, round.room, way, segments_us);
            }
            if way.sampled || is_told {
                self.tell_of_delivery(now, round, way);
            }
        }
    }

    fn count_of_tenant(&self, round: &Round) {
        let Some(tenant) = round.tenant else { return };
        let (all, lost) = (u64::from(round.recipients), u64::from(round.failed));
        for (outcome, times) in
            [(TenantOutcome::Delivered, all - lost), (TenantOutcome::Failed, lost)]
        {
            let counter = TenantCounter::Delivered(outcome);
            self.scribe.add_tenant(tenant, counter, times * round.ways.len() as u64);
        }
    }

    fn tell_of_delivery(&mut self, now: Now, round: &Round, way: &Way) {
        let again = way.course == Course::Again;
        if !way.sampled {
            // Its home did not know that anybody would want to know.
            let action = SpanAction::Publish { offset: 0 };
            let publish = self.span(round.room, way, action, way.parsed_at, way.taken_at);
            self.notes.span(publish);
        }
        let Round { recipients, failed, .. } = *round;
        let action = SpanAction::Deliver { recipients, failed, again };
        let span = self.span(round.room, way, action, way.taken_at, now.moment);
        let failed = 0 < failed;
        self.notes.span(Span { failed, ..span });
    }

    /// A client says that it has got a message.
    pub(in crate::shard) fn on_acknowledged(
        &mut self,
        now: Now,
        id: ConnId,
        key: u64,
        took_ms: Option<u64>,
    ) {
        self.has_seen_acks = true;
        let Some(message) = self.recent.acknowledged(now.moment, key) else { return };
        let Delivered { way, room, given_at, left_at, .. } = message;
        let left_at = left_at.unwrap_or(given_at);
        let since_us = now.moment.us_since(left_at);
        // The client's own word counts as far as it can be true.
        let consume_us = took_ms.map_or(since_us, |ms| ms.saturating_mul(1_000).min(since_us));
        self.observe(now, Histogram::Segment(Segment::Consume), consume_us, room, &way);
        if way.course != Course::Again {
            let e2e = Histogram::E2e(way.chat_type, Direction::Recv);
            let took_us = now.moment.us_since(way.sent_at());
            self.observe(now, e2e, took_us, room, &way);
            if let Some(tenant) = self.connections.tenant_of(id) {
                self.scribe.observe_tenant(tenant, TenantHistogram::E2e, took_us);
            }
        }
        if way.sampled {
            let span = self.span(room, &way, SpanAction::Consume, left_at, now.moment);
            self.notes.span(span);
        }
    }

    fn observe(&self, now: Now, histogram: Histogram, value_us: u64, room: RoomId, way: &Way) {
        let mut hash = String::new();
        self.scribe.observe_with(histogram, value_us, now.unix_ms, || {
            let name = self.name_of(room, way.chat_type);
            let room = name.unwrap_or_else(|| {
                hash = hashed(room);
                &hash
            });
            Exemplar { trace_id: way.trace.bits(), room, agent: way.agent }
        });
    }

    fn trouble(
        &mut self,
        now: Now,
        cause: Cause,
        room: RoomId,
        way: &Way,
        segments_us: [Option<u64>; 4],
    ) {
        let told = self.told_room(room, way.chat_type);
        let Way { trace, chat_type, agent, .. } = *way;
        let trouble = Trouble { cause, trace, room: told, chat_type, agent, segments_us };
        self.note_message(now, &trouble, &hashed(room));
        self.notes.trouble(trouble);
    }

    /// A span of a message: the first one has the span of its way, the others hang
    /// under it.
    fn span(
        &mut self,
        room: RoomId,
        way: &Way,
        action: SpanAction,
        began_at: Moment,
        ended_at: Moment,
    ) -> Span {
        let (id, parent) = match action {
            SpanAction::Publish { .. } => (way.span, way.parent),
            SpanAction::Deliver { again: true, .. } => (way.span, way.parent),
            SpanAction::Store
            | SpanAction::Deliver { again: false, .. }
            | SpanAction::Consume
            | SpanAction::DeadLetter { .. } => (SpanId::made(self.env.ids()), Some(way.span)),
        };
        Span {
            trace: way.trace,
            id,
            parent,
            action,
            began_at,
            ended_at,
            room: self.told_room(room, way.chat_type),
            failed: false,
            chat_type: way.chat_type,
            agent: way.agent,
        }
    }

    fn told_room(&self, room: RoomId, chat_type: ChatType) -> Room {
        let name = self.name_of(room, chat_type);
        name.map_or_else(|| Room::Hashed(room.fold()), |name| Room::Named(name.into()))
    }

    /// A channel's name, if it is known here and names nobody.
    fn name_of(&self, room: RoomId, chat_type: ChatType) -> Option<&str> {
        match chat_type {
            ChatType::OneToOne => None,
            ChatType::Group | ChatType::Broadcast => {
                let channel = self.channels.find(room).and_then(|at| self.channels.at(at));
                channel.map(|Channel { name, .. }| &**name).or_else(|| self.rooms.name(room))
            }
        }
    }
}

/// How a channel is told that has no name to tell.
pub fn hashed(room: RoomId) -> String {
    format!("~{:016x}", room.fold())
}

fn p2b_us(way: &Way) -> Option<u64> {
    (way.p2b_us != UNKNOWN).then_some(u64::from(way.p2b_us))
}
