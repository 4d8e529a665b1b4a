//! What one client has read of one channel, and what it must have read.
//!
//! Invariant: a reader sees a part of the channel without a gap, in order, until it is out.
//!
//! Deliberately absent: what other readers saw.

use std::collections::{BTreeMap, BTreeSet};

use rookery::wire::SubscribeRequest;
use rookery::wire::client::proto;

use crate::durable_oracle::KnownBefore;
use crate::oracle::Oracle;
use crate::publication::{body_of, edited_offset, is_retracted, is_silent, retracted_offset};
use crate::violation::{CheckResult, Checker, Violation, demand};

/// So many messages have the bytes that one subscription recovers (1 MiB), however large
/// each of them is in these worlds (1,000 bytes, and who said it).
const RECOVERED_COUNT_MIN: u64 = 600;

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
    /// The stream; empty where there is none.
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

    /// The last message that a client saw that is in, where messages have places.
    pub fn newest(&self) -> Option<u64> {
        let offset = self.standing.as_ref()?.place.offset;
        (offset != 0).then_some(offset)
    }

    /// Where the client may recover from.
    pub fn place(&self) -> Option<Place> {
        self.memory.as_ref().map(|(place, _)| place.clone())
    }

    /// The client is in; `asked` is what it asked to recover from.
    pub fn subscribed(
        &mut self,
        oracle: &mut Oracle,
        channel: &str,
        asked: Option<&Place>,
        before: &KnownBefore,
        result: &proto::SubscribeResult,
    ) -> CheckResult {
        self.asked_at = before.moment;
        demand!(
            before.head <= result.offset,
            Checker::Kept,
            "{channel}: in at {}, where {} was shown",
            result.offset,
            before.head
        )?;
        if let Some(asked) = asked.filter(|asked| !asked.epoch.is_empty()) {
            let missed_count = result.offset.saturating_sub(asked.offset);
            let must_fit = oracle.do_recoveries_fit()
                && missed_count <= RECOVERED_COUNT_MIN
                && oracle.durable_oracle.keeps_all(channel);
            let whole = result.recovered || !must_fit;
            demand!(
                whole,
                Checker::Recovery,
                "{channel}: all is kept, and {asked:?} is not recovered"
            )?;
        }
        demand!(self.standing.is_none(), Checker::Streams, "{channel}: in twice")?;
        let mut since = oracle.tick();
        let missed = &result.publications;
        if let Some(asked) = asked.filter(|_| result.recovered) {
            let count = missed.len() as u64;
            // The first message of a silent room gives its stream an epoch.
            let is_same = result.epoch == asked.epoch || is_silent(&asked.epoch);
            let whole = is_same && asked.offset + count == result.offset;
            demand!(
                whole,
                Checker::Recovery,
                "{channel}: {count} from {asked:?} do not lead to {}",
                result.offset
            )?;
            match &self.memory {
                Some((place, unbroken)) if place == asked => since = *unbroken,
                // It reads again what it knows.
                Some(_) | None => self.seen.clear(),
            }
        } else {
            demand!(
                missed.is_empty() && !result.recovered,
                Checker::Recovery,
                "{channel}: recovered without being asked"
            )?;
        }
        for one in missed {
            let removals = &oracle.durable_oracle.removals;
            removals.check_shown(channel, &result.epoch, one.offset, before.moment)?;
        }
        let offset = result.offset - missed.len() as u64;
        let place = Place { epoch: result.epoch.clone(), offset };
        self.standing = Some(Standing { since, place, newest: BTreeMap::new() });
        missed.iter().try_for_each(|one| self.publication(oracle, channel, one))
    }

    /// The client reads a message.
    pub fn publication(
        &mut self,
        oracle: &mut Oracle,
        channel: &str,
        publication: &proto::Publication,
    ) -> CheckResult {
        oracle.tick();
        if is_retracted(publication) {
            self.step(channel, publication)?;
            return oracle.check_emptied(channel, publication.offset);
        }
        if let Some(target) = retracted_offset(publication) {
            self.step(channel, publication)?;
            return oracle.check_retraction(channel, publication.offset, target);
        }
        if let Some(target) = edited_offset(publication) {
            self.step(channel, publication)?;
            let place = (publication.offset, target);
            return oracle.check_edit(channel, publication, place, self.asked_at);
        }
        let body = body_of(&publication.data);
        demand!(
            body.is_some(),
            Checker::Streams,
            "{channel}: nobody wrote {:?}",
            publication.data
        )?;
        let (number, line) = body.unwrap_or_default();
        demand!(
            self.seen.insert(number),
            Checker::Duplicates,
            "{channel}: message {number} again, at {}",
            publication.offset
        )?;
        oracle.durable_oracle.shown(number, self.asked_at)?;
        oracle.check_words(channel, publication, self.asked_at)?;
        self.step(channel, publication)?;
        let Some(standing) = &mut self.standing else { return Ok(()) };
        let newest = standing.newest.insert(line, number);
        let is_later = newest.is_none_or(|before| before < number);
        demand!(
            is_later,
            Checker::Streams,
            "{channel}: {number} behind {newest:?} of the same connection"
        )?;
        if publication.offset == 0 {
            return Ok(());
        }
        oracle.check_content(channel, &standing.place.epoch, publication.offset, number)
    }

    /// The next place.
    fn step(&mut self, channel: &str, publication: &proto::Publication) -> CheckResult {
        let Some(standing) = &mut self.standing else {
            let text = format!("{channel}: {publication:?} for somebody outside");
            return Err(Violation { checker: Checker::Streams, text });
        };
        let place = &mut standing.place;
        if !place.epoch.is_empty() {
            place.offset += 1;
        }
        let wanted = place.offset;
        demand!(
            publication.offset == wanted,
            Checker::Streams,
            "{channel}: {} where {wanted} comes next",
            publication.offset
        )
    }

    /// What the client read in a history, of a channel of which it knew `before`.
    pub fn history(
        oracle: &mut Oracle,
        channel: &str,
        before: &KnownBefore,
        result: &proto::HistoryResult,
    ) -> CheckResult {
        demand!(
            before.head <= result.offset,
            Checker::Kept,
            "{channel}: ends at {}, where {} was shown",
            result.offset,
            before.head
        )?;
        for pair in result.publications.windows(2) {
            let (one, next) = (pair[0].offset, pair[1].offset);
            demand!(
                one.abs_diff(next) == 1,
                Checker::Offsets,
                "{channel}: {next} behind {one} in a history"
            )?;
        }
        for publication in &result.publications {
            let (removals, offset) = (&oracle.durable_oracle.removals, publication.offset);
            removals.check_shown(channel, &result.epoch, offset, before.moment)?;
            if is_retracted(publication) {
                oracle.check_emptied(channel, publication.offset)?;
                continue;
            }
            if let Some(target) = retracted_offset(publication) {
                oracle.check_retraction(channel, publication.offset, target)?;
                continue;
            }
            if let Some(target) = edited_offset(publication) {
                let place = (publication.offset, target);
                oracle.check_edit(channel, publication, place, before.moment)?;
                continue;
            }
            oracle.check_words(channel, publication, before.moment)?;
            let (number, _) = body_of(&publication.data).unwrap_or((u64::MAX, 0));
            oracle.durable_oracle.shown(number, before.moment)?;
            oracle.check_content(channel, &result.epoch, publication.offset, number)?;
        }
        Ok(())
    }

    /// All is quiet: who is in a channel on disk has read to its end.
    pub fn check_head(&self, channel: &str, head: u64) -> CheckResult {
        let Some(standing) = &self.standing else { return Ok(()) };
        let at = standing.place.offset;
        demand!(
            at == head,
            Checker::Published,
            "{channel}: on disk up to {head}, and a reader is at {at}"
        )
    }

    /// The client is out, whyever.
    pub fn unsubscribed(&mut self) {
        if let Some(standing) = self.standing.take() {
            let recoverable = !standing.place.epoch.is_empty();
            self.memory = recoverable.then_some((standing.place, standing.since));
        }
    }

    /// All is quiet, and the client has read everything.
    pub fn check_complete(&self, oracle: &Oracle, channel: &str) -> CheckResult {
        let Some(standing) = &self.standing else { return Ok(()) };
        let mut wanted = oracle.answered_since(channel, standing.since);
        let missing = wanted.find(|number| {
            !self.seen.contains(number) && !oracle.durable_oracle.is_retraction_asked(*number)
        });
        demand!(missing.is_none(), Checker::Published, "{channel}: message {missing:?} never came")
    }
}

/// Asks for what was missed since `place`.
pub(crate) fn recovery<'a>(channel: &'a str, place: &'a Place) -> SubscribeRequest<'a> {
    SubscribeRequest {
        channel: channel.into(),
        recover: true,
        epoch: place.epoch.as_str().into(),
        offset: place.offset,
        ..SubscribeRequest::default()
    }
}
