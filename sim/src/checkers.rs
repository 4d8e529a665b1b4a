//! What must be true of every world, each as a small checker of its own.
//!
//! A checker sees what crosses a border (an action, a letter, a message that a
//! client read) and objects. The tests break a world on purpose, once for each
//! checker, and want the objection to come from exactly that one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rookery::base::{ConnId, Now, RoomId, ShardId};
use rookery::metrics::{Cores, Exposition};
use rookery::room::{Answer, Tell, What};
use rookery::shard::{Audit, Letter, Note, home};
use rookery::wire::client::{ClientAnswer, proto};

use crate::attendance::Hears;
use crate::ledger::{Before, Ledger};
use crate::scenario::{Scenario, TurnLimits};

/// So many messages have the bytes that one subscription recovers (1 MiB), however large
/// each of them is in these worlds (1,000 bytes, and who said it).
const RECOVERED_COUNT_MIN: u64 = 600;

/// Who objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Checker {
    /// A reader sees a gapless, ordered part of each room, the same as others.
    Streams,
    /// Join and leave, in their order, make the presence list.
    Attendance,
    /// A recovery that says it is whole is whole.
    Recovery,
    /// No message comes twice to one reader.
    Duplicates,
    /// Each command with an id is answered once.
    Answers,
    /// Whoever stays sees each message whose publisher was told that it is out.
    Published,
    /// Sent = received + waiting, and in order, in each lane.
    Lanes,
    /// A connection has at most one send in flight.
    Sends,
    /// Homes, channels and sessions agree on who is where.
    Membership,
    /// A turn takes at most its limit.
    TurnLimits,
    /// Counters agree with what happened.
    Counters,
    /// Recipients of messages = outcomes + in flight.
    Recipients,
    /// A step of a message that is told has passed, and ends behind its beginning.
    Steps,
    /// Everything the server says can be read.
    Speech,
    /// Nobody who answers and says what it has to is ended for time, however late cores are.
    Healthy,
    /// Who asks for one thing at a time is answered soon, whatever others ask for.
    Fairness,
    /// After a drain and all graces everything is empty.
    Emptiness,
    /// No panic outside a session.
    Panics,
    /// In a channel on disk offsets have no gaps, and its epoch stays.
    Offsets,
    /// What was answered or shown is there, at that place, whatever happened since.
    Kept,
    /// A repeated id gets the first answer, and makes no second message.
    Repeats,
    /// What was acknowledged stays acknowledged, and nothing else is.
    Marks,
    /// Dead letters + delivered + pending = sent.
    Letters,
    /// Nothing waits for ever for a user who comes and acknowledges.
    Waiting,
    /// After a failed sync nothing is promised until the disk was read again.
    Syncs,
    /// What was taken back is not shown again.
    Retracted,
    /// A user who may have one connection has one.
    Singles,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// Who objects.
    pub checker: Checker,
    /// To what.
    pub text: String,
}

/// Nothing to object to, or something.
pub type Verdict = Result<(), Objection>;

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.checker, self.text)
    }
}

/// An objection, when `fine` does not hold.
pub fn demand(fine: bool, checker: Checker, text: impl FnOnce() -> String) -> Verdict {
    if fine { Ok(()) } else { Err(Objection { checker, text: text() }) }
}

/// What is true for all readers: what was published, and what stands where.
#[derive(Debug, Default)]
pub struct Book {
    contents: BTreeMap<(String, String, u64), u64>,
    published: Vec<Published>,
    /// Grows with everything that a client does or sees.
    moment: u64,
    /// What was said in channels on disk.
    pub ledger: Ledger,
    /// Whether every recovery fits an outbox, whatever waits there; where one does not,
    /// its client is told to read anew.
    recoveries_fit: bool,
}

#[derive(Debug)]
struct Published {
    channel: String,
    moment: u64,
    answered: bool,
}

impl Book {
    /// Nothing was said yet.
    pub fn new(scenario: &Scenario) -> Book {
        let recoveries_fit = 1 << 20 <= scenario.options.session.outbox_bytes_max;
        Book { ledger: Ledger::new(scenario), recoveries_fit, ..Book::default() }
    }

    /// The next moment.
    pub fn tick(&mut self) -> u64 {
        self.moment += 1;
        self.moment
    }

    /// A client is about to publish; returns the message's number.
    pub fn publish(&mut self, channel: &str) -> u64 {
        let moment = self.tick();
        self.published.push(Published { channel: channel.to_owned(), moment, answered: false });
        self.published.len() as u64 - 1
    }

    /// The publisher of message `number` was told that it is out.
    pub fn answered(&mut self, number: u64) {
        self.published[number as usize].answered = true;
        self.ledger.answered(number);
    }

    /// What is known of a channel, by whoever asks now.
    pub fn before(&mut self, channel: &str) -> Before {
        let moment = self.tick();
        self.ledger.before(channel, moment)
    }

    /// A place in a channel is known to be one that somebody wanted emptied.
    pub(crate) fn check_emptied(&self, channel: &str, offset: u64) -> Verdict {
        let number = self.ledger.at(channel, offset);
        let asked = number.is_none_or(|number| self.ledger.is_retraction_asked(number));
        demand(asked, Checker::Retracted, || {
            format!("{channel}: nobody took back message {number:?} at {offset}")
        })
    }

    /// A message says that another one was taken back.
    fn check_retraction(&mut self, channel: &str, offset: u64, target: u64) -> Verdict {
        self.check_emptied(channel, target)?;
        self.ledger.says_retracted(channel, offset, target)
    }

    /// How many publishers were told so.
    pub fn answered_count(&self) -> u64 {
        self.published.iter().filter(|one| one.answered).count() as u64
    }

    /// All readers see the same message at the same place.
    pub fn check_content(
        &mut self,
        channel: &str,
        epoch: &str,
        offset: u64,
        number: u64,
    ) -> Verdict {
        let place = (channel.to_owned(), epoch.to_owned(), offset);
        let known = *self.contents.entry(place).or_insert(number);
        demand(known == number, Checker::Streams, || {
            format!("{channel} {offset} is message {known} for one and {number} for another")
        })?;
        self.ledger.stands(channel, epoch, offset, number)
    }
}

/// Whether an epoch is of a room in which nothing was said.
pub fn is_silent(epoch: &str) -> bool {
    epoch.len() == 32
}

/// Whether a message was taken back, and only its place is left.
pub fn is_retracted(publication: &proto::Publication) -> bool {
    publication.tags.contains_key("retracted")
}

/// Of which message this one says that it was taken back.
pub fn retracted_offset(publication: &proto::Publication) -> Option<u64> {
    publication.tags.get("retracts")?.parse().ok()
}

/// The number that a message of a world carries, and the connection it is from.
pub fn body_of(data: &[u8]) -> Option<(u64, u64)> {
    let text = std::str::from_utf8(data).ok()?;
    let (_, numbers) = text.split_once("\"n\":[")?;
    let (number, rest) = numbers.split_once(',')?;
    let (line, _) = rest.split_once(']')?;
    Some((number.parse().ok()?, line.parse().ok()?))
}

/// What one client has read of one channel.
#[derive(Debug, Default)]
pub struct Reading {
    standing: Option<Standing>,
    /// Where it may recover from, and since when it has missed nothing.
    memory: Option<(Place, u64)>,
    seen: BTreeSet<u64>,
    /// In a channel on disk: what was known when it asked to be let in.
    asked_at: u64,
}

/// A place in a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Of which stream; empty where there is none.
    pub epoch: String,
    /// The last message.
    pub offset: u64,
}

#[derive(Debug)]
struct Standing {
    /// Since when it has missed nothing.
    since: u64,
    place: Place,
    /// The newest message of each connection: their order is kept.
    newest: BTreeMap<u64, u64>,
}

impl Reading {
    /// Whether the client is in.
    pub fn is_subscribed(&self) -> bool {
        self.standing.is_some()
    }

    /// Where the client may recover from.
    pub fn place(&self) -> Option<Place> {
        self.memory.as_ref().map(|(place, _)| place.clone())
    }

    /// The client is in; `asked` is what it asked to recover from.
    pub fn subscribed(
        &mut self,
        book: &mut Book,
        channel: &str,
        asked: Option<&Place>,
        before: &Before,
        result: &proto::SubscribeResult,
    ) -> Verdict {
        self.asked_at = before.moment;
        demand(before.head <= result.offset, Checker::Kept, || {
            format!("{channel}: in at {}, where {} was shown", result.offset, before.head)
        })?;
        if let Some(asked) = asked.filter(|asked| !asked.epoch.is_empty()) {
            let missed_count = result.offset.saturating_sub(asked.offset);
            let must_fit = book.recoveries_fit
                && missed_count <= RECOVERED_COUNT_MIN
                && book.ledger.keeps_all(channel);
            let whole = result.recovered || !must_fit;
            demand(whole, Checker::Recovery, || {
                format!("{channel}: all is kept, and {asked:?} is not recovered")
            })?;
        }
        demand(self.standing.is_none(), Checker::Streams, || format!("{channel}: in twice"))?;
        let mut since = book.tick();
        let missed = &result.publications;
        if let Some(asked) = asked.filter(|_| result.recovered) {
            let count = missed.len() as u64;
            // The first message of a silent room gives its stream an epoch.
            let is_same = result.epoch == asked.epoch || is_silent(&asked.epoch);
            let whole = is_same && asked.offset + count == result.offset;
            demand(whole, Checker::Recovery, || {
                format!("{channel}: {count} from {asked:?} do not lead to {}", result.offset)
            })?;
            match &self.memory {
                Some((place, unbroken)) if place == asked => since = *unbroken,
                // It reads again what it knows.
                Some(_) | None => self.seen.clear(),
            }
        } else {
            demand(missed.is_empty() && !result.recovered, Checker::Recovery, || {
                format!("{channel}: recovered without being asked")
            })?;
        }
        let offset = result.offset - missed.len() as u64;
        let place = Place { epoch: result.epoch.clone(), offset };
        self.standing = Some(Standing { since, place, newest: BTreeMap::new() });
        missed.iter().try_for_each(|one| self.publication(book, channel, one))
    }

    /// The client reads a message.
    pub fn publication(
        &mut self,
        book: &mut Book,
        channel: &str,
        publication: &proto::Publication,
    ) -> Verdict {
        book.tick();
        if is_retracted(publication) {
            self.step(channel, publication)?;
            return book.check_emptied(channel, publication.offset);
        }
        if let Some(target) = retracted_offset(publication) {
            self.step(channel, publication)?;
            return book.check_retraction(channel, publication.offset, target);
        }
        let body = body_of(&publication.data);
        demand(body.is_some(), Checker::Streams, || {
            format!("{channel}: nobody wrote {:?}", publication.data)
        })?;
        let (number, line) = body.unwrap_or_default();
        demand(self.seen.insert(number), Checker::Duplicates, || {
            format!("{channel}: message {number} again, at {}", publication.offset)
        })?;
        book.ledger.shown(number, self.asked_at)?;
        self.step(channel, publication)?;
        let Some(standing) = &mut self.standing else { return Ok(()) };
        let newest = standing.newest.insert(line, number);
        let is_later = newest.is_none_or(|before| before < number);
        demand(is_later, Checker::Streams, || {
            format!("{channel}: {number} behind {newest:?} of the same connection")
        })?;
        if publication.offset == 0 {
            return Ok(());
        }
        book.check_content(channel, &standing.place.epoch, publication.offset, number)
    }

    /// The next place.
    fn step(&mut self, channel: &str, publication: &proto::Publication) -> Verdict {
        let Some(standing) = &mut self.standing else {
            let text = format!("{channel}: {publication:?} for somebody outside");
            return Err(Objection { checker: Checker::Streams, text });
        };
        let place = &mut standing.place;
        if !place.epoch.is_empty() {
            place.offset += 1;
        }
        let wanted = place.offset;
        demand(publication.offset == wanted, Checker::Streams, || {
            format!("{channel}: {} where {wanted} comes next", publication.offset)
        })
    }

    /// What the client read in a history, of a channel of which it knew `before`.
    pub fn history(
        book: &mut Book,
        channel: &str,
        before: &Before,
        result: &proto::HistoryResult,
    ) -> Verdict {
        demand(before.head <= result.offset, Checker::Kept, || {
            format!("{channel}: ends at {}, where {} was shown", result.offset, before.head)
        })?;
        for pair in result.publications.windows(2) {
            let (one, next) = (pair[0].offset, pair[1].offset);
            demand(one.abs_diff(next) == 1, Checker::Offsets, || {
                format!("{channel}: {next} behind {one} in a history")
            })?;
        }
        for publication in &result.publications {
            if is_retracted(publication) {
                book.check_emptied(channel, publication.offset)?;
                continue;
            }
            if let Some(target) = retracted_offset(publication) {
                book.check_retraction(channel, publication.offset, target)?;
                continue;
            }
            let (number, _) = body_of(&publication.data).unwrap_or((u64::MAX, 0));
            book.ledger.shown(number, before.moment)?;
            book.check_content(channel, &result.epoch, publication.offset, number)?;
        }
        Ok(())
    }

    /// All is quiet: who is in a channel on disk has read to its end.
    pub fn check_head(&self, channel: &str, head: u64) -> Verdict {
        let Some(standing) = &self.standing else { return Ok(()) };
        let at = standing.place.offset;
        demand(at == head, Checker::Published, || {
            format!("{channel}: on disk up to {head}, and a reader is at {at}")
        })
    }

    /// The client is out, whyever.
    pub fn unsubscribed(&mut self) {
        if let Some(standing) = self.standing.take() {
            let recoverable = !standing.place.epoch.is_empty();
            self.memory = recoverable.then_some((standing.place, standing.since));
        }
    }

    /// All is quiet, and the client has read everything.
    pub fn check_complete(&self, book: &Book, channel: &str) -> Verdict {
        let Some(standing) = &self.standing else { return Ok(()) };
        let wanted = book.published.iter().enumerate().filter(|(_, one)| {
            one.answered && one.channel == channel && standing.since < one.moment
        });
        let mut missing = wanted.map(|(number, _)| number as u64);
        let missing = missing.find(|number| {
            !self.seen.contains(number) && !book.ledger.is_retraction_asked(*number)
        });
        demand(missing.is_none(), Checker::Published, || {
            format!("{channel}: message {missing:?} never came")
        })
    }
}

/// What a client asked, to know what the answer means.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// With what it asked to recover.
    Connect(Vec<(String, Place, Before)>),
    /// With where it asked to recover from, and what it wants to hear.
    Subscribe(String, Option<Place>, Before, Hears),
    /// Who is in this channel.
    Presence(String),
    /// Which channel.
    Unsubscribe(String),
    /// Which message.
    Publish(u64),
    /// Of which channel.
    History(String, Before),
    /// Which message, by a chat method.
    Post(u64),
    /// Up to which place, that the user has got.
    Ack(&'static str, u64),
    /// Up to which place, which may be behind.
    Read(&'static str, u64),
    /// Which message is to be gone.
    Retract(u64),
    /// Of which channel.
    Receipts(&'static str, Before),
    /// With what is known of each conversation.
    Rooms(Vec<(&'static str, Before)>),
    /// Whose answer means nothing to a checker.
    Other,
}

/// The commands of one connection that wait for their answers.
#[derive(Debug, Default)]
pub struct Answers(BTreeMap<u32, Vec<Asked>>);

impl Answers {
    /// A command leaves.
    pub fn asked(&mut self, id: u32, asked: Asked) {
        self.0.entry(id).or_default().push(asked);
    }

    /// An answer came; returns what was asked.
    pub fn answered(&mut self, id: u32, answer: &ClientAnswer) -> Result<Asked, Objection> {
        let waiting = self.0.get_mut(&id);
        let Some(waiting) = waiting.filter(|waiting| !waiting.is_empty()) else {
            let text = format!("nobody waits for the answer to {id}: {answer:?}");
            return Err(Objection { checker: Checker::Answers, text });
        };
        // A client may use an id twice: then the kind of the answer decides.
        let fits = |asked: &Asked| match answer {
            ClientAnswer::Connect(_) => matches!(asked, Asked::Connect(_)),
            ClientAnswer::Subscribe(_) => matches!(asked, Asked::Subscribe(..)),
            ClientAnswer::Unsubscribe => matches!(asked, Asked::Unsubscribe(_)),
            ClientAnswer::Publish => matches!(asked, Asked::Publish(_)),
            ClientAnswer::History(_) => matches!(asked, Asked::History(..)),
            ClientAnswer::Error(_) => !matches!(asked, Asked::Subscribe(..)),
            ClientAnswer::Rpc(_) => !matches!(
                asked,
                Asked::Connect(_)
                    | Asked::Subscribe(..)
                    | Asked::Unsubscribe(_)
                    | Asked::Publish(_)
                    | Asked::Presence(_)
                    | Asked::History(..)
            ),
            ClientAnswer::Presence(_) => matches!(asked, Asked::Presence(_)),
            ClientAnswer::PresenceStats(_)
            | ClientAnswer::Ping
            | ClientAnswer::Refresh(_)
            | ClientAnswer::SubRefresh(_)
            | ClientAnswer::Unknown => matches!(asked, Asked::Other),
        };
        let index = waiting.iter().position(fits).unwrap_or(0);
        Ok(waiting.remove(index))
    }

    /// What was asked with this id, first.
    pub fn of(&self, id: u32) -> Option<&Asked> {
        self.0.get(&id)?.first()
    }

    /// All is quiet, and the client has read everything.
    pub fn check_complete(&self) -> Verdict {
        let open = self.0.iter().find(|(_, waiting)| !waiting.is_empty());
        demand(open.is_none(), Checker::Answers, || format!("no answer came to {open:?}"))
    }
}

/// Sends that one core gave to its plane.
#[derive(Debug, Default)]
pub struct Sends(BTreeSet<ConnId>);

impl Sends {
    /// A send is given.
    pub fn given(&mut self, conn: ConnId) -> Verdict {
        demand(self.0.insert(conn), Checker::Sends, || format!("a second send for {conn:?}"))
    }

    /// It has left, or the connection is gone.
    pub fn over(&mut self, conn: ConnId) {
        self.0.remove(&conn);
    }
}

/// A turn took no more than it may.
pub fn check_turn(limits: TurnLimits, events: usize, letters: usize) -> Verdict {
    let within = events <= limits.events_max && letters <= limits.letters_max;
    demand(within, Checker::TurnLimits, || {
        format!("{events} events and {letters} letters in one turn, with {limits:?}")
    })
}

/// Homes count exactly those who sit on other shards, those who were let in and
/// do not know it yet, and those whose farewell is under way. `under_way` are
/// all letters between shards, by writer and reader.
pub fn check_membership(audits: &[Audit], under_way: &[(ShardId, ShardId, &Letter)]) -> Verdict {
    let mut counted: BTreeMap<(RoomId, ShardId), i64> = BTreeMap::new();
    for (shard, audit) in (0..).map(ShardId).zip(audits) {
        demand(audit.seats == audit.places, Checker::Membership, || {
            format!("{shard:?}: channels say {:?}, sessions {:?}", audit.seats, audit.places)
        })?;
        for &(room, on, count) in &audit.members {
            let homed = home(room, audits.len() as u16) == shard;
            demand(homed, Checker::Membership, || format!("{room:?} lives on {shard:?}"))?;
            *counted.entry((room, on)).or_default() += i64::from(count);
        }
        for seat in &audit.seats {
            *counted.entry((seat.room, shard)).or_default() -= 1;
        }
    }
    for (from, to, letter) in under_way {
        match letter {
            Letter::Tell(Tell::Answer(room, _, Answer::Subscribed(_))) => {
                *counted.entry((*room, *to)).or_default() -= 1;
            }
            Letter::Ask(ask) if matches!(ask.what, What::Unsubscribe(_)) => {
                *counted.entry((ask.room, *from)).or_default() -= 1;
            }
            Letter::Ask(_) | Letter::Tell(_) | Letter::Gap(_) | Letter::Left(_) => (),
        }
    }
    let odd = counted.iter().find(|(_, left)| **left != 0);
    demand(odd.is_none(), Checker::Membership, || format!("more or less than counted: {odd:?}"))
}

/// What a world knows that counters should know, too.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Connections that planes handed over.
    pub accepted: u64,
    /// Rpcs that panic, sent by clients.
    pub panics_sent: u64,
    /// 1011 read by clients.
    pub panics_seen: u64,
    /// Publish commands whose clients were told that all is well.
    pub published_seen: u64,
    /// The longest that anybody who asks for one thing at a time waited, in steps.
    pub served_steps_max: u64,
    /// Outcomes that a mutation takes away.
    pub outcomes_forgotten: u64,
    /// What clients were told when something ended or failed.
    pub endings: BTreeSet<String>,
}

/// Counters and gauges agree with the audits and with what clients saw.
pub fn check_counters(
    exposition: &Exposition,
    audits: &[Audit],
    tally: &Tally,
    in_lanes: u64,
) -> Verdict {
    let text = exposition.text(Cores::Summed);
    let sum = |name: &str, label: &str| -> u64 {
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && line.contains(label)
        });
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    };
    let equal = |what: &str, counted: u64, known: u64| {
        demand(counted == known, Checker::Counters, || {
            format!("{what}: {counted} counted, {known} known")
        })
    };
    let sessions = audits.iter().map(|audit| audit.sessions_count).sum();
    let upgrading: u64 = audits.iter().map(|audit| audit.upgrading_count).sum();
    let opened = sum("chat_conn_opened_total", "");
    equal("open", sum("chat_active_connections", ""), sessions)?;
    equal("opened - closed", opened - sum("chat_conn_closed_total", ""), sessions)?;
    equal("upgrading", sum("chat_handshake_inflight", ""), upgrading)?;
    let handshakes = "chat_handshake_duration_seconds_count";
    equal("handshakes", sum(handshakes, ""), tally.accepted - upgrading)?;
    equal("upgraded", sum(handshakes, "outcome=\"ok\""), opened)?;
    let rejected = sum("chat_conn_rejected_total", "");
    equal("rejected", rejected, tally.accepted - upgrading - opened)?;
    let seats = audits.iter().map(|audit| audit.seats.len() as u64).sum();
    equal("subscriptions", sum("chat_subscriptions", ""), seats)?;
    let rooms = audits.iter().map(|audit| audit.rooms_count as u64).sum();
    equal("rooms", sum("chat_rooms", ""), rooms)?;
    let waiting = audits.iter().map(|audit| audit.waiting_bytes).sum();
    equal("bytes that wait", sum("chat_send_queue_bytes", ""), waiting)?;
    check_recipients(&sum, audits, tally)?;
    let letters = |direction: &str| sum("chat_letters_total", direction);
    equal("letters in lanes", letters("sent") - letters("received"), in_lanes)?;
    let panics = sum("chat_session_panics_total", "");
    equal("panics", sum("chat_conn_closed_total", "reason=\"panic\""), panics)?;
    let blamed = sum("chat_conn_closed_blame_total", "");
    equal("closed, by blame", blamed, sum("chat_conn_closed_total", ""))?;
    let within = (tally.panics_seen..=tally.panics_sent).contains(&panics);
    demand(within, Checker::Counters, || format!("{panics} panics, and {tally:?}"))?;
    let published = sum("chat_msg_publish_total", "result=\"accepted\"");
    demand(tally.published_seen <= published, Checker::Counters, || {
        format!("{published} published, and {tally:?}")
    })
}

/// Every recipient has one outcome, or what is for it is still there.
fn check_recipients(sum: &dyn Fn(&str, &str) -> u64, audits: &[Audit], tally: &Tally) -> Verdict {
    let waiting: u64 = audits.iter().map(|audit| audit.publications_count).sum();
    let in_flight = sum("chat_msg_inflight", "");
    demand(in_flight == waiting, Checker::Recipients, || {
        format!("{in_flight} in flight by the gauge, {waiting} in outboxes")
    })?;
    let recipients = sum("chat_msg_recipients_total", "");
    let outcomes = sum("chat_msg_delivery_total", "");
    let expected = recipients + tally.outcomes_forgotten;
    demand(expected == outcomes + in_flight, Checker::Recipients, || {
        format!("{recipients} recipients, {outcomes} outcomes, {in_flight} in flight")
    })
}

/// What a shard tells of messages has happened, in this order. Takes all of it.
pub fn check_notes(now: Now, notes: Vec<Note>) -> Verdict {
    for note in notes {
        if let Note::Span(span) = note {
            let is_past = span.began_at <= span.ended_at && span.ended_at <= now.moment;
            demand(is_past, Checker::Steps, || format!("at {now:?}: {span:?}"))?;
            demand(span.parent != Some(span.id), Checker::Steps, || format!("{span:?}"))?;
        }
    }
    Ok(())
}

/// Nobody is here, and nothing is remembered.
pub fn check_empty(audit: &Audit, connections_count: usize) -> Verdict {
    let empty = *audit == Audit::default() && connections_count == 0;
    demand(empty, Checker::Emptiness, || format!("{connections_count} connections, {audit:?}"))
}
