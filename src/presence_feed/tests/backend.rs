//! A backend that keeps a table by the rules of decision 0063, and no others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::presence_feed::PresenceFeed;

/// Names of a page.
const PAGE_ENTRIES_MAX: usize = 2;

#[derive(Default)]
pub struct Backend {
    epoch: Option<String>,
    users: BTreeMap<String, KnownUser>,
    channels: BTreeMap<String, KnownChannel>,
    /// What has no higher number is old, whoever it is about.
    floor: u64,
    /// The highest number that it was told.
    last_number: u64,
    reading: Option<Reading>,
    /// What it was told, by number.
    received: BTreeMap<u64, Value>,
    /// What it was told to be missing.
    missing: BTreeSet<u64>,
    waiting: BTreeMap<(String, String), u64>,
}

#[derive(Default)]
struct KnownUser {
    number: u64,
    /// `None` while it is not connected.
    channels: Option<BTreeSet<String>>,
}

#[derive(Default)]
struct KnownChannel {
    number: u64,
    is_occupied: bool,
}

struct Reading {
    /// Of the first page.
    number: Option<u64>,
    of: PageKind,
    after: Arc<str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PageKind {
    Users,
    Channels,
}

fn text(event: &Value, name: &str) -> String {
    event[name].as_str().unwrap_or_default().to_owned()
}

impl Backend {
    /// Takes a body. False when it could not.
    pub fn take(&mut self, body: &[u8], feed: &PresenceFeed) -> bool {
        let body: Value = serde_json::from_slice(body).unwrap();
        let epoch = text(&body, "epoch");
        if self.epoch.as_deref() != Some(&*epoch) {
            let Some(page) = feed.users_page(&Arc::default(), &Arc::default(), 1) else {
                return false;
            };
            if format!("{:016x}", page.epoch) != epoch {
                return true; // a late copy
            }
            *self = Backend { epoch: Some(epoch), ..Backend::default() };
            self.begin_reading();
        }
        for event in body["events"].as_array().unwrap() {
            self.take_event(event);
        }
        true
    }

    fn begin_reading(&mut self) {
        let (of, after) = (PageKind::Users, Arc::default());
        self.reading = Some(Reading { number: None, of, after });
    }

    fn take_event(&mut self, event: &Value) {
        let number = event["number"].as_u64().unwrap();
        if event["event"] == "gap" {
            let first = event["first"].as_u64().unwrap();
            self.missing.extend(first..=number);
            self.last_number = self.last_number.max(number);
            return self.begin_reading();
        }
        let before = self.received.insert(number, event.clone());
        assert!(before.is_none_or(|before| before == *event), "a number means one event");
        if self.last_number != 0 && self.last_number + 1 < number {
            panic!("{number} follows {} without a gap", self.last_number);
        }
        self.last_number = self.last_number.max(number);
        if number <= self.floor {
            return;
        }
        self.apply(number, event);
    }

    fn apply(&mut self, number: u64, event: &Value) {
        let (name, channel) = (text(event, "user"), text(event, "channel"));
        match event["event"].as_str().unwrap() {
            kind @ ("occupied" | "vacated") => {
                let known = self.channels.entry(channel).or_default();
                if known.number < number {
                    *known = KnownChannel { number, is_occupied: kind == "occupied" };
                }
            }
            "notices_lost" => (),
            kind => {
                let known = self.users.entry(name.clone()).or_default();
                if number <= known.number {
                    return;
                }
                known.number = number;
                match kind {
                    "connected" => known.channels = Some(BTreeSet::new()),
                    "disconnected" => known.channels = None,
                    "subscribed" => {
                        known.channels.get_or_insert_default().insert(channel);
                    }
                    "unsubscribed" => {
                        known.channels.get_or_insert_default().remove(&channel);
                    }
                    "message_waits" => {
                        let offset = event["offset"].as_u64().unwrap();
                        let waiting = self.waiting.entry((name, channel)).or_default();
                        *waiting = offset.max(*waiting);
                    }
                    other => panic!("{other}"),
                }
            }
        }
    }

    /// Reads the next page, if it wants one and there is one.
    pub fn read_page(&mut self, feed: &PresenceFeed) {
        let Some(Reading { number: first, of, after }) = self.reading.take() else { return };
        let tenant = Arc::default();
        let (number, next) = match of {
            PageKind::Users => {
                let Some(page) = feed.users_page(&tenant, &after, PAGE_ENTRIES_MAX) else {
                    return self.reading = Some(Reading { number: first, of, after });
                };
                let entries = page.entries.into_iter().map(|state| {
                    let channels = state.channels.iter().map(ToString::to_string).collect();
                    (state.user.to_string(), channels)
                });
                self.set_users(entries.collect(), (&after, page.next.as_deref()), page.number);
                (page.number, page.next)
            }
            PageKind::Channels => {
                let Some(page) = feed.channels_page(&tenant, &after, PAGE_ENTRIES_MAX) else {
                    return self.reading = Some(Reading { number: first, of, after });
                };
                let entries = page.entries.iter().map(|state| state.channel.to_string());
                self.set_channels(entries.collect(), (&after, page.next.as_deref()), page.number);
                (page.number, page.next)
            }
        };
        let first = first.unwrap_or(number);
        // A late copy can be about somebody whose page was read, and who was not in it.
        self.floor = self.floor.max(first);
        self.reading = match (of, next) {
            (_, Some(after)) => Some(Reading { number: Some(first), of, after }),
            (PageKind::Users, None) => {
                let (of, after) = (PageKind::Channels, Arc::default());
                Some(Reading { number: Some(first), of, after })
            }
            (PageKind::Channels, None) => None,
        };
    }

    /// A page is the truth about all names between these two, at this number.
    fn set_users(
        &mut self,
        mut entries: BTreeMap<String, BTreeSet<String>>,
        (after, upto): (&str, Option<&str>),
        number: u64,
    ) {
        for name in entries.keys() {
            self.users.entry(name.clone()).or_default();
        }
        for (name, known) in &mut self.users {
            let is_in = after < &**name && upto.is_none_or(|upto| &**name <= upto);
            if is_in && known.number <= number {
                *known = KnownUser { number, channels: entries.remove(name) };
            }
        }
    }

    fn set_channels(
        &mut self,
        entries: BTreeSet<String>,
        (after, upto): (&str, Option<&str>),
        number: u64,
    ) {
        for name in &entries {
            self.channels.entry(name.clone()).or_default();
        }
        for (name, known) in &mut self.channels {
            let is_in = after < &**name && upto.is_none_or(|upto| &**name <= upto);
            if is_in && known.number <= number {
                *known = KnownChannel { number, is_occupied: entries.contains(name) };
            }
        }
    }

    pub fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Who is connected, with their channels.
    pub fn users(&self) -> BTreeMap<String, BTreeSet<String>> {
        let online = self.users.iter();
        let online = online.filter_map(|(name, known)| Some((name, known.channels.as_ref()?)));
        online.map(|(name, channels)| (name.clone(), channels.clone())).collect()
    }

    /// Which channels are occupied.
    pub fn channels(&self) -> BTreeSet<String> {
        let occupied = self.channels.iter().filter(|(_, known)| known.is_occupied);
        occupied.map(|(name, _)| name.clone()).collect()
    }

    /// What it was told.
    pub fn received(&self) -> &BTreeMap<u64, Value> {
        &self.received
    }

    /// What it was told to be missing.
    pub fn missing(&self) -> &BTreeSet<u64> {
        &self.missing
    }
}
