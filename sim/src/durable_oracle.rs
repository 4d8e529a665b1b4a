//! What clients were told of messages on disk, and whether the disk agrees.
//!
//! The disk is read without the engine (`on_disk`), so that no error of the engine hides
//! another.
//!
//! Deliberately absent: the words that messages got later (`edits`).

use std::collections::{BTreeMap, BTreeSet};

use rookery::base::RoomId;
use rookery::session::NameKey;
use rookery::store::{Disk, ReadMarkers};

use crate::edits::EditOracle;
use crate::on_disk::{Content, OnDisk};
use crate::publication::{Words, is_silent};
use crate::reaction::Known;
use crate::removal_oracle::RemovalOracle;
use crate::scenario::{RetentionCase, STORED_CHANNELS, Scenario, parties};
use crate::violation::{CheckResult, Checker, demand};

/// All that was said in channels on disk, by message and by user.
#[derive(Debug, Default)]
pub struct DurableOracle {
    retention_case: Option<RetentionCase>,
    rules: BTreeMap<&'static str, Rules>,
    said: BTreeMap<u64, Said>,
    /// What anybody saw or was answered, by channel and offset.
    places: BTreeMap<(String, u64), u64>,
    /// What says that another message was taken back, by channel and offset; which.
    retractions: BTreeMap<(String, u64), u64>,
    /// The same the other way round.
    retracted_at: BTreeMap<(String, u64), u64>,
    epochs: BTreeMap<String, String>,
    /// The highest offset that anybody was told of by the channel itself.
    heads: BTreeMap<String, u64>,
    markers: BTreeMap<(String, &'static str), Told>,
    /// What words messages got.
    pub edits: EditOracle,
    /// What was removed by order, also of channels in memory.
    pub removals: RemovalOracle,
}

#[derive(Clone, Copy, Debug)]
struct Rules {
    count_max: u64,
    age_ms_max: u64,
}

#[derive(Debug)]
struct Said {
    channel: &'static str,
    author: &'static str,
    asked_unix_ms: u64,
    is_answered: bool,
    /// Where it is, as far as anybody was told.
    offset: Option<u64>,
    end: End,
}

/// Whether a message was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    None,
    Asked,
    /// At this moment it was answered.
    Answered(u64),
}

/// What was said about how far a user is.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    answered: ReadMarkers,
    /// The highest offset that was acknowledged or read, answered or not.
    asked: u64,
}

/// What a client knows of a channel before it asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownBefore {
    /// The highest offset that anybody was told of.
    pub head: u64,
    /// When.
    pub moment: u64,
    /// How far users are at least.
    pub markers: BTreeMap<&'static str, ReadMarkers>,
    /// What users react to its messages with.
    pub reactions: Known,
}

impl DurableOracle {
    /// Nothing was said yet.
    pub fn new(scenario: &Scenario) -> DurableOracle {
        let rules = STORED_CHANNELS.iter().filter_map(|&channel| {
            let kept = scenario.stored(channel)?;
            let count_max = kept.history_count_max.into();
            Some((channel, Rules { count_max, age_ms_max: kept.history_age_ms_max }))
        });
        let retention_case = scenario.store.as_ref().map(|store| store.retention_case);
        let rules = if retention_case.is_some() { rules.collect() } else { BTreeMap::new() };
        DurableOracle { retention_case, rules, ..DurableOracle::default() }
    }

    /// Whether a channel's messages are on disk.
    pub fn is_stored(&self, channel: &str) -> bool {
        self.rules.contains_key(channel)
    }

    /// Whether nothing that was said there is ever removed.
    pub fn keeps_all(&self, channel: &str) -> bool {
        let keeps = self.retention_case == Some(RetentionCase::All);
        self.is_stored(channel) && keeps && !self.removals.touched(channel)
    }

    /// Somebody is about to say something.
    pub fn says(&mut self, number: u64, channel: &str, author: &'static str, asked_unix_ms: u64) {
        if let Some((&channel, _)) = self.rules.get_key_value(channel) {
            let (offset, end, is_answered) = (None, End::None, false);
            let said = Said { channel, author, asked_unix_ms, is_answered, offset, end };
            self.said.insert(number, said);
        }
    }

    /// A publisher was told that it is out.
    pub fn answered(&mut self, number: u64) {
        if let Some(said) = self.said.get_mut(&number) {
            said.is_answered = true;
        }
    }

    /// Message `number` is at this place, as somebody was told.
    pub fn stands(&mut self, channel: &str, epoch: &str, offset: u64, number: u64) -> CheckResult {
        if self.is_stored(channel) {
            let head = self.heads.entry(channel.to_owned()).or_default();
            *head = offset.max(*head);
        }
        self.check_place(channel, epoch, offset, number)
    }

    fn check_place(&mut self, channel: &str, epoch: &str, offset: u64, number: u64) -> CheckResult {
        if !self.is_stored(channel) {
            return Ok(());
        }
        let silent = is_silent(epoch);
        let known = match silent {
            true => epoch,
            false => self.epochs.entry(channel.to_owned()).or_insert_with(|| epoch.to_owned()),
        };
        demand!(known == epoch, Checker::Offsets, "{channel} was {known}, and is {epoch} now")?;
        let Some(said) = self.said.get_mut(&number) else {
            return demand!(false, Checker::Kept, "{channel}: nobody said {number}");
        };
        let place = (channel.to_owned(), offset);
        let is_change =
            self.retractions.contains_key(&place) || self.edits.is_edit(channel, offset);
        let there = *self.places.entry(place).or_insert(number);
        demand!(
            there == number && !is_change,
            Checker::Kept,
            "{channel}: at {offset} is message {there}, and {number}"
        )?;
        let first = *said.offset.get_or_insert(offset);
        demand!(
            first == offset,
            Checker::Repeats,
            "{channel}: message {number} is at {first}, and at {offset}"
        )
    }

    /// What stands at this place says that the message at `target` was taken back.
    pub fn says_retracted(&mut self, channel: &str, offset: u64, target: u64) -> CheckResult {
        let head = self.heads.entry(channel.to_owned()).or_default();
        *head = offset.max(*head);
        let place = (channel.to_owned(), offset);
        let is_message = self.places.contains_key(&place) || self.edits.is_edit(channel, offset);
        let there = *self.retractions.entry(place).or_insert(target);
        demand!(
            !is_message && there == target && target < offset,
            Checker::Kept,
            "{channel}: {offset} takes {target} back, and {there}: {is_message}"
        )?;
        let first = *self.retracted_at.entry((channel.to_owned(), target)).or_insert(offset);
        demand!(
            first == offset,
            Checker::Repeats,
            "{channel}: {target} is taken back at {first}, and at {offset}"
        )
    }

    /// Message `number` was brought to its reader, who is told that it is at this place.
    /// The store may say so a moment before the channel does.
    pub fn delivered_direct(&mut self, channel: &str, offset: u64, number: u64) -> CheckResult {
        let epoch = self.epochs.get(channel).cloned();
        match epoch {
            Some(epoch) => self.check_place(channel, &epoch, offset, number),
            None => Ok(()),
        }
    }

    /// The message at a place, as far as anybody knows.
    pub fn at(&self, channel: &str, offset: u64) -> Option<u64> {
        self.places.get(&(channel.to_owned(), offset)).copied()
    }

    /// Who said the message at a place.
    pub fn author_at(&self, channel: &str, offset: u64) -> Option<&'static str> {
        self.at(channel, offset).map(|number| self.said[&number].author)
    }

    /// Whether the message at a place is one that nobody wanted gone.
    pub fn is_whole(&self, channel: &str, offset: u64) -> bool {
        self.at(channel, offset).is_some_and(|number| !self.is_retraction_asked(number))
    }

    /// Whether such a message is certainly there.
    pub fn is_kept(&self, channel: &str, offset: u64, now_unix_ms: u64) -> bool {
        let may_be_gone = |number| self.may_be_gone(channel, number, now_unix_ms);
        self.keeps_all(channel)
            && self.is_whole(channel, offset)
            && !self.at(channel, offset).is_none_or(may_be_gone)
    }

    /// Whether a message may have been removed, and what is kept as long as messages with it.
    fn may_be_gone(&self, channel: &str, number: u64, now_unix_ms: u64) -> bool {
        let (said, rules) = (self.said.get(&number), self.rules.get(channel));
        self.retention_case == Some(RetentionCase::Some)
            || said.zip(rules).is_none_or(|(said, rules)| {
                self.removals.may_have_removed(channel, said.asked_unix_ms)
                    || is_too_old(said, *rules, now_unix_ms)
            })
    }

    /// Whether somebody wanted a message gone.
    pub fn is_retraction_asked(&self, number: u64) -> bool {
        self.said.get(&number).is_some_and(|said| said.end != End::None)
    }

    /// Where it is, as far as anybody was told.
    pub fn place(&self, number: u64) -> Option<(&'static str, u64)> {
        let said = self.said.get(&number)?;
        Some((said.channel, said.offset?))
    }

    /// Whether a user is known to be at least so far, and was told so.
    pub fn is_acknowledged(&self, channel: &str, user: &str, offset: u64) -> bool {
        offset <= self.told(channel, user).answered.delivered
    }

    /// How far a user said to be, whether or not that was answered.
    pub fn acknowledged(&self, channel: &str, user: &str) -> u64 {
        self.told(channel, user).asked
    }

    fn told(&self, channel: &str, user: &str) -> Told {
        let mut markers = self.markers.iter();
        let told = markers.find(|((one, who), _)| one == channel && *who == user);
        told.map(|(_, told)| *told).unwrap_or_default()
    }

    /// Somebody wants it gone.
    pub fn retracts(&mut self, number: u64) {
        if let Some(said) = self.said.get_mut(&number) {
            said.end = said.end.max(End::Asked);
        }
    }

    /// It is gone.
    pub fn retracted(&mut self, number: u64, moment: u64) {
        if let Some(said) = self.said.get_mut(&number)
            && said.end <= End::Asked
        {
            said.end = End::Answered(moment);
        }
    }

    /// Message `number` is shown to somebody who asked at `asked`.
    pub fn shown(&self, number: u64, asked: u64) -> CheckResult {
        let end = self.said.get(&number).map_or(End::None, |said| said.end);
        let is_over = matches!(end, End::Answered(moment) if moment < asked);
        demand!(
            !is_over,
            Checker::Retracted,
            "message {number} was taken back at {end:?}, and shown after {asked}"
        )
    }

    /// An edit stands at this place, as somebody was told.
    pub fn edit_stands(&mut self, channel: &str, offset: u64, words: Words) -> CheckResult {
        let head = self.heads.entry(channel.to_owned()).or_default();
        *head = offset.max(*head);
        let place = (channel.to_owned(), offset);
        let is_other = self.places.contains_key(&place) || self.retractions.contains_key(&place);
        demand!(
            !is_other,
            Checker::Kept,
            "{channel}: {offset} is an edit of {words:?}, and something else"
        )?;
        self.edits.stands(channel, offset, words)
    }

    /// What is known of a channel now.
    pub fn before(&self, channel: &str, moment: u64) -> KnownBefore {
        let markers = self.markers.iter().filter(|((one, _), _)| one == channel);
        KnownBefore {
            head: self.heads.get(channel).copied().unwrap_or(0),
            moment,
            markers: markers.map(|((_, user), told)| (*user, told.answered)).collect(),
            reactions: Known::new(),
        }
    }

    /// A user says how far it is.
    pub fn markers(&mut self, channel: &str, user: &'static str, offset: u64) {
        let told = self.markers.entry((channel.to_owned(), user)).or_default();
        told.asked = told.asked.max(offset);
    }

    /// That was answered.
    pub fn marker_answered(&mut self, channel: &str, user: &'static str, markers: ReadMarkers) {
        let told = &mut self.markers.entry((channel.to_owned(), user)).or_default().answered;
        told.delivered = told.delivered.max(markers.delivered);
        told.read = told.read.max(markers.read);
    }

    /// How far a user is, as somebody was told who asked when `before` held.
    pub fn check_markers(
        &self,
        channel: &str,
        before: &KnownBefore,
        user: &str,
        now: ReadMarkers,
    ) -> CheckResult {
        let least = before.markers.get(user).copied().unwrap_or_default();
        let fits =
            least.delivered <= now.delivered && least.read <= now.read && now.read <= now.delivered;
        demand!(fits, Checker::Markers, "{channel}: {user} is at {now:?}, was at {least:?}")
    }

    /// Nobody is further than it said, or than what it wrote itself.
    fn check_reached(
        &self,
        channel: &str,
        user: &str,
        now: ReadMarkers,
        messages: &BTreeMap<u64, Content>,
    ) -> CheckResult {
        if self.retention_case == Some(RetentionCase::Some) || self.removals.touched(channel) {
            return Ok(()); // what it wrote may be gone
        }
        let asked = self.acknowledged(channel, user);
        let is_own = |offset: u64, content: &Content| {
            let number = match content {
                Content::Body(Words { number, .. }) | Content::Edit(Words { number, .. }) => {
                    Some(*number)
                }
                Content::Retraction(target) | Content::Superseded(target) => {
                    self.at(channel, *target)
                }
                Content::Retracted | Content::Unknown => self.at(channel, offset),
            };
            let said = number.and_then(|number| self.said.get(&number));
            said.is_none_or(|said| said.author == user)
        };
        let own = messages.iter().rev().find(|&(&offset, content)| is_own(offset, content));
        let most = asked.max(own.map_or(0, |(offset, _)| *offset));
        demand!(
            now.delivered <= most,
            Checker::Markers,
            "{channel}: {user} is at {now:?}, and came to {most} only"
        )
    }

    /// The disk holds all that was promised, and nothing else.
    pub fn check_disk(&self, disk: &impl Disk, names: NameKey, now_unix_ms: u64) -> CheckResult {
        let found = OnDisk::read(disk);
        for (channel, rules) in &self.rules {
            let room = names.room("", channel);
            let messages = found.messages.get(&room);
            let messages = messages.unwrap_or(const { &BTreeMap::new() });
            self.check_messages(channel, *rules, messages, now_unix_ms)?;
            self.check_retractions(channel, messages, now_unix_ms)?;
            self.edits.check_disk(channel, messages, &|number| {
                self.may_be_gone(channel, number, now_unix_ms)
            })?;
            let before = self.before(channel, 0);
            for (user, markers) in found.markers.get(&room).into_iter().flatten() {
                self.check_markers(channel, &before, user, *markers)?;
                self.check_reached(channel, user, *markers, messages)?;
            }
            for (user, told) in before.markers {
                let is_there = found.markers.get(&room).is_some_and(|all| all.contains_key(user));
                demand!(
                    is_there || told == ReadMarkers::default(),
                    Checker::Markers,
                    "{channel}: how far {user} is, is lost"
                )?;
            }
            if let Some(parties) = parties(channel) {
                self.check_dead_letters(channel, (room, parties), names, &found, now_unix_ms)?;
            }
        }
        Ok(())
    }

    /// What was taken back, and what says so, are on disk together or not at all; and what
    /// anybody was told of it.
    fn check_retractions(
        &self,
        channel: &str,
        messages: &BTreeMap<u64, Content>,
        now_unix_ms: u64,
    ) -> CheckResult {
        let said = messages.iter().filter_map(|(offset, content)| match content {
            Content::Retraction(target) => Some((*target, *offset)),
            Content::Body(_)
            | Content::Retracted
            | Content::Edit(_)
            | Content::Superseded(_)
            | Content::Unknown => None,
        });
        let said: BTreeMap<u64, u64> = said.collect();
        for (target, offset) in &said {
            let left = messages.get(target);
            demand!(
                matches!(left, None | Some(Content::Retracted)),
                Checker::Retracted,
                "{channel}: {offset} says that {target} was taken back, and it is {left:?}"
            )?;
        }
        let emptied = messages.iter().filter(|(_, content)| **content == Content::Retracted);
        for (target, _) in emptied {
            demand!(
                said.contains_key(target),
                Checker::Retracted,
                "{channel}: nothing says that {target} was taken back"
            )?;
        }
        let last = (channel.to_owned(), u64::MAX);
        for ((_, offset), target) in self.retractions.range((channel.to_owned(), 0)..=last) {
            let content = messages.get(offset);
            let may_be_gone = |number| self.may_be_gone(channel, number, now_unix_ms);
            let is_gone = content.is_none() && self.at(channel, *target).is_none_or(may_be_gone);
            let fits = content == Some(&Content::Retraction(*target)) || is_gone;
            demand!(
                fits,
                Checker::Kept,
                "{channel}: {content:?} on disk at {offset}, which took {target} back"
            )?;
        }
        Ok(())
    }

    fn check_messages(
        &self,
        channel: &str,
        rules: Rules,
        messages: &BTreeMap<u64, Content>,
        now_unix_ms: u64,
    ) -> CheckResult {
        let mut seen = BTreeMap::new();
        for (next, (&offset, content)) in messages.iter().enumerate() {
            let first = messages.first_key_value().map_or(0, |(first, _)| *first);
            let wanted = first + next as u64;
            demand!(
                offset == wanted && offset != 0,
                Checker::Offsets,
                "{channel}: {offset} on disk where {wanted} comes next"
            )?;
            let Content::Body(Words { number, .. }) = content else { continue };
            let said = self.said.get(number).filter(|said| said.channel == channel);
            let before = seen.insert(*number, offset);
            demand!(
                said.is_some() && before.is_none(),
                Checker::Repeats,
                "{channel}: message {number} on disk at {offset} and {before:?}: {said:?}"
            )?;
        }
        let last = messages.last_key_value().map_or(0, |(last, _)| *last);
        let promised = self.places.range(..=(channel.to_owned(), u64::MAX)).next_back();
        let told = promised.filter(|((one, _), _)| one == channel).map_or(0, |((_, at), _)| *at);
        let head = last.max(told);
        let is_kept = |offset: u64, said: &Said| {
            head < offset + rules.count_max
                && !is_too_old(said, rules, now_unix_ms)
                && !self.removals.may_have_removed(channel, said.asked_unix_ms)
        };
        let promised = self.places.range((channel.to_owned(), 0)..=(channel.to_owned(), u64::MAX));
        for ((_, offset), number) in promised {
            let said = &self.said[number];
            let content = messages.get(offset);
            let fits = match (content, said.end) {
                (None, _) => !is_kept(*offset, said),
                (Some(Content::Body(there)), End::None | End::Asked) => there.number == *number,
                (Some(Content::Retracted), End::Asked | End::Answered(_)) => true,
                (Some(Content::Body(_)), End::Answered(_)) => {
                    return demand!(
                        false,
                        Checker::Retracted,
                        "{channel}: message {number} is still on disk, at {offset}"
                    );
                }
                (Some(Content::Retracted), End::None)
                | (
                    Some(
                        Content::Retraction(_)
                        | Content::Edit(_)
                        | Content::Superseded(_)
                        | Content::Unknown,
                    ),
                    _,
                ) => false,
            };
            demand!(
                fits,
                Checker::Kept,
                "{channel}: {content:?} on disk at {offset}, not message {number}: {said:?}"
            )?;
        }
        self.check_answered(channel, &seen, now_unix_ms)
    }

    /// What was answered is among the messages that are on disk.
    fn check_answered(
        &self,
        channel: &str,
        seen: &BTreeMap<u64, u64>,
        now_unix_ms: u64,
    ) -> CheckResult {
        let unplaced = self.said.iter().find(|(number, said)| {
            said.channel == channel
                && self.retention_case == Some(RetentionCase::All)
                && said.is_answered
                && said.end == End::None
                && !self.may_be_gone(channel, **number, now_unix_ms)
                && !seen.contains_key(number)
        });
        demand!(
            unplaced.is_none(),
            Checker::Kept,
            "{channel}: answered and not on disk: {unplaced:?}"
        )
    }

    /// Dead letters + delivered + pending = sent.
    fn check_dead_letters(
        &self,
        channel: &str,
        (room, parties): (RoomId, [&'static str; 2]),
        names: NameKey,
        found: &OnDisk,
        now_unix_ms: u64,
    ) -> CheckResult {
        let promised = self.places.range((channel.to_owned(), 0)..=(channel.to_owned(), u64::MAX));
        let promised = promised.map(|((_, offset), number)| (*offset, *number));
        let on_disk = found.messages.get(&room).into_iter().flatten();
        let on_disk = on_disk.filter_map(|(offset, content)| match content {
            Content::Body(words) | Content::Edit(words) => Some((*offset, words.number)),
            Content::Retracted
            | Content::Retraction(_)
            | Content::Superseded(_)
            | Content::Unknown => None,
        });
        let all: BTreeSet<(u64, u64)> = promised.chain(on_disk).collect();
        for (offset, number) in all {
            let author = self.said[&number].author;
            let to = if parties[0] == author { parties[1] } else { parties[0] };
            let key = (names.inbox("", to), room, offset);
            let (waits, dead) = (found.pending.contains(&key), found.dead.contains(&key));
            let markers = found.markers.get(&room).and_then(|all| all.get(to));
            let delivered = markers.is_some_and(|markers| offset <= markers.delivered);
            let fits = match (waits, dead) {
                (true, true) => false,
                (true, false) => !delivered,
                (false, true) => true,
                // Dead letters are kept no longer than messages.
                (false, false) => delivered || self.may_be_gone(channel, number, now_unix_ms),
            };
            demand!(
                fits,
                Checker::DeadLetters,
                "{channel}: message {number} at {offset} for {to}: \
                     waits {waits}, dead {dead}, delivered {delivered}"
            )?;
        }
        Ok(())
    }
}

/// Whether a message may be gone because of its age. A world in which a core is very slow
/// may outlive its messages.
fn is_too_old(said: &Said, rules: Rules, now_unix_ms: u64) -> bool {
    said.asked_unix_ms.saturating_add(rules.age_ms_max) <= now_unix_ms
}
