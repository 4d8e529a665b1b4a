//! What is true for all readers of a world.
//!
//! Invariant: all readers see the same message at the same place.
//!
//! Deliberately absent: what one reader has seen (`reading`), and what lies on the disk
//! (`durable_oracle`).

use std::collections::BTreeMap;

use rookery::session::NameKey;
use rookery::store::Disk;
use rookery::wire::client::proto;

use crate::durable_oracle::{DurableOracle, KnownBefore};
use crate::inbox_oracle::InboxOracle;
use crate::publication::{edit_offset, is_superseded, words_of};
use crate::reaction_oracle::ReactionOracle;
use crate::removal_oracle::Heads;
use crate::scenario::Scenario;
use crate::violation::{CheckResult, Checker, demand};

/// What is true for all readers: what was published, and what stands where.
#[derive(Debug, Default)]
pub struct Oracle {
    contents: BTreeMap<(String, String, u64), u64>,
    published: Vec<Published>,
    /// Grows with everything that a client does or sees.
    moment: u64,
    /// What was said in channels on disk.
    pub durable_oracle: DurableOracle,
    /// What came to personal channels.
    pub inboxes: InboxOracle,
    /// What messages are reacted to with.
    pub reactions: ReactionOracle,
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

impl Oracle {
    /// Nothing was said yet.
    pub fn new(scenario: &Scenario) -> Oracle {
        let recoveries_fit = 1 << 20 <= scenario.options.session.outbox_bytes_max;
        Oracle { durable_oracle: DurableOracle::new(scenario), recoveries_fit, ..Oracle::default() }
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
        self.durable_oracle.answered(number);
    }

    /// What is known of a channel, by whoever asks now.
    pub fn before(&mut self, channel: &str) -> KnownBefore {
        let moment = self.tick();
        KnownBefore {
            reactions: self.reactions.known(channel),
            ..self.durable_oracle.before(channel, moment)
        }
    }

    /// The disk holds all that was promised, and nothing else.
    pub fn check_disk(&self, disk: &impl Disk, names: NameKey, now_unix_ms: u64) -> CheckResult {
        self.durable_oracle.check_disk(disk, names, now_unix_ms)?;
        self.durable_oracle.removals.check_disk(disk, names)?;
        self.inboxes.check_disk(disk, names, &self.durable_oracle, now_unix_ms)?;
        self.reactions.check_disk(disk, names, &self.durable_oracle)
    }

    /// A backend wants all gone that was said in a channel. Gives what was told of it so far.
    pub fn removal_asked(&mut self, channel: &'static str) -> Heads {
        self.tick();
        self.durable_oracle.removals.asks(channel);
        let mut heads = Heads::new();
        for (_, epoch, offset) in self.contents.keys().filter(|(one, ..)| one == channel) {
            let head = heads.entry(epoch.clone()).or_default();
            *head = offset.max(head).to_owned();
        }
        heads
    }

    /// That is done.
    pub fn removal_done(&mut self, channel: &'static str, heads: Heads, now_unix_ms: u64) {
        let moment = self.tick();
        self.durable_oracle.removals.done(channel, heads, moment, now_unix_ms);
    }

    /// A place in a channel is known to be one that somebody wanted emptied.
    pub(crate) fn check_emptied(&self, channel: &str, offset: u64) -> CheckResult {
        let number = self.durable_oracle.at(channel, offset);
        let asked = number.is_none_or(|number| self.durable_oracle.is_retraction_asked(number));
        demand!(
            asked,
            Checker::Retracted,
            "{channel}: nobody took back message {number:?} at {offset}"
        )
    }

    /// A message says that another one was taken back.
    pub(crate) fn check_retraction(
        &mut self,
        channel: &str,
        offset: u64,
        target: u64,
    ) -> CheckResult {
        self.check_emptied(channel, target)?;
        self.durable_oracle.says_retracted(channel, offset, target)
    }

    /// A message says that the one at `target` has other words, or said so.
    pub(crate) fn check_edit(
        &mut self,
        channel: &str,
        publication: &proto::Publication,
        (offset, target): (u64, u64),
        asked: u64,
    ) -> CheckResult {
        if is_superseded(publication) {
            return Ok(());
        }
        let words = words_of(&publication.data);
        let there = self.durable_oracle.at(channel, target);
        let is_of_it = words.is_some_and(|words| there.is_none_or(|number| number == words.number));
        demand!(
            is_of_it && target < offset,
            Checker::Edited,
            "{channel}: {offset} edits {there:?} at {target}, and says {words:?}"
        )?;
        let Some(words) = words else { return Ok(()) };
        self.durable_oracle.edit_stands(channel, offset, words)?;
        self.durable_oracle.shown(words.number, asked)?;
        self.durable_oracle.edits.check_edit(channel, offset, words, asked)
    }

    /// A message is shown to somebody who asked at `asked`: its words are the last ones.
    pub(crate) fn check_words(
        &mut self,
        channel: &str,
        publication: &proto::Publication,
        asked: u64,
    ) -> CheckResult {
        let (words, by) = (words_of(&publication.data), edit_offset(publication));
        let Some(words) = words else { return Ok(()) };
        self.durable_oracle.edits.check_message(channel, words, by, asked)
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
    ) -> CheckResult {
        let said_in = self.published.get(number as usize).map(|said| &*said.channel);
        demand!(
            said_in == Some(channel),
            Checker::Streams,
            "{channel} {offset} is message {number}, which was said in {said_in:?}"
        )?;
        let place = (channel.to_owned(), epoch.to_owned(), offset);
        let known = *self.contents.entry(place).or_insert(number);
        demand!(
            known == number,
            Checker::Streams,
            "{channel} {offset} is message {known} for one and {number} for another"
        )?;
        self.durable_oracle.stands(channel, epoch, offset, number)
    }

    /// Whether every recovery fits an outbox.
    pub(crate) fn do_recoveries_fit(&self) -> bool {
        self.recoveries_fit
    }

    /// Messages of a channel that were published after that moment, and whose publishers
    /// were told that they are out.
    pub(crate) fn answered_since(&self, channel: &str, moment: u64) -> impl Iterator<Item = u64> {
        let wanted =
            self.published.iter().enumerate().filter(move |(_, one)| {
                one.answered && one.channel == channel && moment < one.moment
            });
        wanted.map(|(number, _)| number as u64)
    }
}
