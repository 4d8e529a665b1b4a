//! What clients were told of the words that messages got, and whether readers and the disk
//! agree.
//!
//! Invariant: whoever asks behind an edit that was answered is shown its words, or later ones,
//! and none before them.
//!
//! Deliberately absent: what was said first, and what was taken back (`durable_oracle`).

use std::collections::BTreeMap;

use crate::on_disk::Content;
use crate::publication::Words;
use crate::violation::{CheckResult, Checker, demand};

/// All edits of a world.
#[derive(Debug, Default)]
pub struct EditOracle {
    messages: BTreeMap<u64, Edited>,
    /// What words an edit says, by channel and offset.
    places: BTreeMap<(String, u64), Words>,
}

/// The edits of one message.
#[derive(Debug, Default)]
struct Edited {
    /// So many were asked for.
    asked_count: u64,
    /// Where each stands, as far as anybody was told.
    places: BTreeMap<u64, u64>,
    /// Where those stand that were answered, and when.
    answered: Vec<(u64, u64)>,
}

impl EditOracle {
    /// A client is about to edit a message; returns the version of its words.
    pub fn asks(&mut self, number: u64) -> u64 {
        let edited = self.messages.entry(number).or_default();
        edited.asked_count += 1;
        edited.asked_count
    }

    /// Whether an edit stands at a place.
    pub fn is_edit(&self, channel: &str, offset: u64) -> bool {
        self.places.contains_key(&(channel.to_owned(), offset))
    }

    /// The edit that says these words is at this place, as somebody was told.
    pub fn stands(&mut self, channel: &str, offset: u64, words: Words) -> CheckResult {
        let edited = self.messages.entry(words.number).or_default();
        let is_asked = (1..=edited.asked_count).contains(&words.version);
        demand!(is_asked, Checker::Edited, "{channel}: nobody said {words:?}")?;
        let there = *self.places.entry((channel.to_owned(), offset)).or_insert(words);
        demand!(
            there == words,
            Checker::Kept,
            "{channel}: at {offset} are {there:?}, and {words:?}"
        )?;
        let first = *edited.places.entry(words.version).or_insert(offset);
        demand!(
            first == offset,
            Checker::Repeats,
            "{channel}: {words:?} are at {first}, and at {offset}"
        )
    }

    /// Its author was told so.
    pub fn answered(&mut self, number: u64, offset: u64, moment: u64) {
        self.messages.entry(number).or_default().answered.push((offset, moment));
    }

    /// A message is shown with these words, by the edit at `by`, to somebody who asked at
    /// `asked`.
    pub fn check_message(
        &mut self,
        channel: &str,
        words: Words,
        by: Option<u64>,
        asked: u64,
    ) -> CheckResult {
        demand!(
            (words.version == 0) == by.is_none(),
            Checker::Edited,
            "{channel}: {words:?} by the edit at {by:?}"
        )?;
        if let Some(by) = by {
            self.stands(channel, by, words)?;
        }
        self.check_last(channel, words, by.unwrap_or(0), asked)
    }

    /// An edit is shown with these words to somebody who asked at `asked`.
    pub fn check_edit(&self, channel: &str, offset: u64, words: Words, asked: u64) -> CheckResult {
        self.check_last(channel, words, offset, asked)
    }

    fn check_last(&self, channel: &str, words: Words, by: u64, asked: u64) -> CheckResult {
        let last = self.messages.get(&words.number).map_or(0, |edited| edited.last(asked));
        demand!(
            last <= by,
            Checker::Edited,
            "{channel}: {words:?} of {by} are shown after {asked}, behind those of {last}"
        )
    }

    /// The disk holds the last words of each message, in its place and in that of its last
    /// edit. A message may be gone because of its time.
    pub fn check_disk(
        &self,
        channel: &str,
        messages: &BTreeMap<u64, Content>,
        may_be_gone: &dyn Fn(u64) -> bool,
    ) -> CheckResult {
        let (mut bodies, mut edits) = (BTreeMap::new(), BTreeMap::new());
        for (offset, content) in messages {
            match content {
                Content::Body(words) => drop(bodies.insert(words.number, words.version)),
                Content::Edit(words) => {
                    let other = edits.insert(words.number, (*offset, words.version));
                    demand!(
                        other.is_none(),
                        Checker::Edited,
                        "{channel}: {offset} and {other:?} both have words of {words:?}"
                    )?;
                }
                Content::Retracted
                | Content::Retraction(_)
                | Content::Superseded(_)
                | Content::Unknown => {}
            }
        }
        for (number, (offset, version)) in &edits {
            let there = bodies.get(number);
            demand!(
                there == Some(version),
                Checker::Edited,
                "{channel}: {offset} has version {version} of {number}, it has {there:?}"
            )?;
        }
        for (number, version) in bodies.iter().filter(|(_, version)| **version != 0) {
            demand!(
                edits.contains_key(number),
                Checker::Kept,
                "{channel}: {number} has version {version}, which no edit says"
            )?;
        }
        for (number, edited) in &self.messages {
            let (last, by) = (edited.last(u64::MAX), edits.get(number).map_or(0, |(at, _)| *at));
            demand!(
                last <= by || !bodies.contains_key(number),
                Checker::Edited,
                "{channel}: {number} has the words of {by}, and {last} was answered"
            )?;
        }
        self.check_places(channel, messages, may_be_gone)
    }

    /// Where anybody saw an edit, there is one.
    fn check_places(
        &self,
        channel: &str,
        messages: &BTreeMap<u64, Content>,
        may_be_gone: &dyn Fn(u64) -> bool,
    ) -> CheckResult {
        let all = (channel.to_owned(), 0)..=(channel.to_owned(), u64::MAX);
        for ((_, offset), words) in self.places.range(all) {
            let content = messages.get(offset);
            let fits = match content {
                Some(Content::Edit(there)) => there == words,
                Some(Content::Superseded(_)) => true,
                None => may_be_gone(words.number),
                Some(
                    Content::Body(_)
                    | Content::Retracted
                    | Content::Retraction(_)
                    | Content::Unknown,
                ) => false,
            };
            demand!(
                fits,
                Checker::Kept,
                "{channel}: {content:?} on disk at {offset}, where {words:?} were said"
            )?;
        }
        Ok(())
    }
}

impl Edited {
    /// Where the last one stands that was answered before a moment.
    fn last(&self, before: u64) -> u64 {
        let answered = self.answered.iter().filter(|(_, moment)| *moment < before);
        answered.map(|(offset, _)| *offset).max().unwrap_or(0)
    }
}
