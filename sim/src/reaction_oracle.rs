//! What users of a world reacted to messages with, and whether what clients are shown and what
//! lies on the disk agrees.
//!
//! What was answered is so until the same user asks for something else. Of what was not
//! answered nobody knows: several clients share a name, and connections end.
//!
//! Deliberately absent: which messages there are (`durable_oracle`).

use std::collections::{BTreeMap, BTreeSet};

use rookery::base::{RoomId, UserHash};
use rookery::session::NameKey;
use rookery::store::{Disk, StoreKeyspace};
use serde_json::Value;

use crate::durable_oracle::DurableOracle;
use crate::on_disk::{Content, content_of, entries, offset_at, room_at};
use crate::reaction::{Known, Reaction, VALUES};
use crate::violation::{CheckResult, Checker, Violation, demand};

/// What users reacted with, by channel, offset and user.
#[derive(Debug, Default)]
pub struct ReactionOracle(BTreeMap<(&'static str, u64), BTreeMap<&'static str, Told>>);

/// What a user reacts to a message with, as far as anybody was told.
#[derive(Debug, Default)]
struct Told {
    /// What it certainly is.
    known: Option<Reaction>,
    /// What it certainly was before it was asked for something else.
    before: Option<Reaction>,
    /// Questions that are not answered.
    open_count: u32,
    /// Whether several of them were under way together.
    is_overlapped: bool,
    /// Grows with every question.
    version: u64,
    asked: BTreeSet<Reaction>,
}

/// What somebody is shown of one message.
#[derive(Debug)]
struct Shown {
    totals: Vec<(String, u64)>,
    own: Option<String>,
}

/// Whether all that was answered must be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// It must.
    All,
    /// The message may be gone, or be another one.
    Some,
}

impl ReactionOracle {
    /// A user is about to react.
    pub fn asks(
        &mut self,
        channel: &'static str,
        offset: u64,
        user: &'static str,
        value: Reaction,
    ) {
        let told = self.0.entry((channel, offset)).or_default().entry(user).or_insert_with(|| {
            // Nobody has reacted before the first one does.
            Told { known: Some(None), ..Told::default() }
        });
        told.is_overlapped |= told.open_count != 0;
        told.before = told.known.take();
        told.open_count += 1;
        told.version += 1;
        told.asked.insert(value);
    }

    /// It was told that it does.
    pub fn answered(&mut self, channel: &'static str, offset: u64, user: &str, value: Reaction) {
        self.end(channel, offset, user, |_| Some(value));
    }

    /// It was told that it does not, and why.
    pub fn refused(&mut self, channel: &'static str, offset: u64, user: &str, code: u32) {
        // After 100 nobody knows.
        if code != 100 {
            self.end(channel, offset, user, |told| told.before);
        }
    }

    fn end(
        &mut self,
        channel: &'static str,
        offset: u64,
        user: &str,
        value: impl FnOnce(&Told) -> Option<Reaction>,
    ) {
        let of_message = self.0.get_mut(&(channel, offset));
        let Some(told) = of_message.and_then(|users| users.get_mut(user)) else { return };
        told.open_count -= 1;
        if told.open_count == 0 {
            told.known = if told.is_overlapped { None } else { value(told) };
            told.is_overlapped = false;
        }
    }

    /// What is certain of a channel now.
    pub fn known(&self, channel: &str) -> Known {
        let of_channel = self.0.iter().filter(|((one, _), _)| *one == channel);
        let all = of_channel.flat_map(|((_, offset), users)| {
            users
                .iter()
                .filter_map(|(user, told)| Some(((*offset, *user), (told.version, told.known?))))
        });
        all.collect()
    }

    /// What a client is shown of a message is what users react with. `asked` held when it
    /// asked.
    pub fn check_shown(
        &self,
        channel: &str,
        offset: u64,
        (reply_to, asked): (&str, &Known),
        text: &Value,
        strictness: Strictness,
    ) -> CheckResult {
        let shown = Shown::of(text);
        let users = self.0.iter().find(|((one, at), _)| *one == channel && *at == offset);
        let none = BTreeMap::new();
        let users = users.map_or(&none, |(_, users)| users);
        let violation = |what: &str| {
            let text =
                format!("{channel}: {reply_to} is shown {shown:?} of {offset}, {what}: {users:?}");
            Err(Violation { checker: Checker::Reactions, text })
        };
        let certain = |user: &'static str| {
            let (version, value) = asked.get(&(offset, user))?;
            let told = users.get(user).filter(|told| told.version == *version);
            told.filter(|_| strictness == Strictness::All).map(|_| *value)
        };
        for value in VALUES {
            let mut values = shown.totals.iter().filter(|(one, _)| one == value);
            let count = values.next().map_or(0, |(_, count)| *count);
            if values.next().is_some() {
                return violation("twice");
            }
            let may = users.iter().filter(|(user, told)| match certain(user) {
                Some(certain) => certain == Some(value),
                None => told.asked.contains(&Some(value)),
            });
            if (may.count() as u64) < count {
                return violation("which is more than asked for it");
            }
            let must = users.keys().filter(|user| certain(user) == Some(Some(value)));
            if count < must.count() as u64 {
                return violation("which is less than were told so");
            }
        }
        if shown.totals.iter().any(|(one, count)| *count == 0 || !VALUES.contains(&&**one)) {
            return violation("which nobody asked for");
        }
        let own = shown.own.as_deref();
        let of_asker = users.iter().find(|(user, _)| **user == reply_to);
        match of_asker.map(|(user, told)| (certain(user), told)) {
            Some((Some(certain), _)) if certain == own => Ok(()),
            Some((None, told)) if own.is_none() || told.asked.iter().any(|one| *one == own) => {
                Ok(())
            }
            None if own.is_none() => Ok(()),
            Some(_) | None => violation("and not what it reacts with"),
        }
    }

    /// The disk holds what was answered, each reaction beside its message, and totals that are
    /// theirs.
    pub fn check_disk(
        &self,
        disk: &impl Disk,
        names: NameKey,
        durable_oracle: &DurableOracle,
    ) -> CheckResult {
        let found = Found::read(disk);
        for (place, totals) in &found.totals {
            let made = found.made(*place);
            demand!(
                *totals == made,
                Checker::Reactions,
                "totals of {place:?} are {totals:?}, and its reactions {made:?}"
            )?;
        }
        for place in found.reactions.keys() {
            let is_there = matches!(found.messages.get(place), Some(Content::Body(_)));
            let is_counted = found.totals.contains_key(place);
            demand!(
                is_there && is_counted,
                Checker::Reactions,
                "reactions to {place:?}, which is {:?}",
                found.messages.get(place)
            )?;
        }
        for ((channel, offset), users) in
            self.0.iter().filter(|((one, _), _)| durable_oracle.is_stored(one))
        {
            let place = (names.room("", channel), *offset);
            let Some(Content::Body(_)) = found.messages.get(&place) else { continue };
            for (user, told) in users {
                let key = UserHash::of_inbox(names.inbox("", user)).bits();
                let kept = found.reactions.get(&place).and_then(|all| all.get(&key));
                let kept = kept.map(String::as_str);
                let fits = match told.known {
                    Some(known) => known == kept,
                    None => kept.is_none() || told.asked.iter().any(|one| *one == kept),
                };
                demand!(
                    fits,
                    Checker::Reactions,
                    "{channel}: {user} reacts to {offset} with {kept:?}: {told:?}"
                )?;
            }
        }
        Ok(())
    }
}

impl Shown {
    fn of(value: &Value) -> Shown {
        let totals = value["totals"].as_array().into_iter().flatten();
        let totals = totals.map(|one| {
            let text = one["value"].as_str().unwrap_or_default().to_owned();
            (text, one["count"].as_u64().unwrap_or(0))
        });
        Shown { totals: totals.collect(), own: value["own"].as_str().map(str::to_owned) }
    }
}

/// A message by room and offset.
type Place = (RoomId, u64);

/// What is on a disk.
#[derive(Debug, Default)]
struct Found {
    messages: BTreeMap<Place, Content>,
    totals: BTreeMap<Place, BTreeMap<String, u64>>,
    reactions: BTreeMap<Place, BTreeMap<u64, String>>,
}

impl Found {
    fn read(disk: &impl Disk) -> Found {
        let place = |key: &[u8]| (room_at(key, 0), offset_at(key, 16));
        let mut found = Found::default();
        for (key, value) in entries(disk, StoreKeyspace::Messages) {
            found.messages.insert(place(&key), content_of(&value));
        }
        for (key, value) in entries(disk, StoreKeyspace::ReactionTotals) {
            found.totals.insert(place(&key), totals_of(&value));
        }
        for (key, value) in entries(disk, StoreKeyspace::Reactions) {
            let mut value = &value[1..];
            let of_message = found.reactions.entry(place(&key)).or_default();
            of_message.insert(offset_at(&key, 24), take_text(&mut value));
        }
        found
    }

    /// The totals of all reactions to a message.
    fn made(&self, place: Place) -> BTreeMap<String, u64> {
        let mut totals = BTreeMap::new();
        for value in self.reactions.get(&place).into_iter().flat_map(BTreeMap::values) {
            *totals.entry(value.clone()).or_default() += 1;
        }
        totals
    }
}

/// A version, and then counts with their values, all of them short.
fn totals_of(bytes: &[u8]) -> BTreeMap<String, u64> {
    let mut rest = &bytes[1..];
    let mut totals = BTreeMap::new();
    while let Some((count, behind)) = rest.split_first() {
        rest = behind;
        totals.insert(take_text(&mut rest), u64::from(*count));
    }
    totals
}

fn take_text(bytes: &mut &[u8]) -> String {
    let (len, rest) = bytes.split_first().expect("a length stands before a text");
    let (text, rest) = rest.split_at(usize::from(*len));
    *bytes = rest;
    String::from_utf8_lossy(text).into_owned()
}
