//! Looking at a store at rest: what is in it, what is damaged, and the dead
//! letters.
//!
//! A damaged block is met once and ends a scan, so everything here walks from both
//! ends and then asks for what lies between, one by one. What is found says itself in a
//! sentence, since it is for people only.
//!
//! Deliberately absent: what is done about it (`opening`, `salvage`), and anything that the
//! server does.

mod channel_walk;
mod dead_letters;
mod dump;
mod reactions;

#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::base::RoomId;

use super::disk::{Capacity, Disk, DiskError, KeyRange, StoreKeyspace};
use super::fjall_disk::{BackgroundThreads, FjallDisk};
use super::log_reading::LogFinding;
use super::messages::ReadOrder;
use super::record::{self, ChannelRecord, DeadLetterRecord, PendingRecord};
use super::store_disk::{self, PartialStore};
use super::{OpenError, Options, engine, key};

pub(super) use channel_walk::{ChannelWalk, walk_channel};
pub use dead_letters::{DeadLetter, DeadLetterFilter};
pub use dump::{DumpError, GivenReaction};

/// A store that nobody else has open.
#[derive(Debug)]
pub struct Inspection<D> {
    disk: D,
    /// What is wrong with its log.
    log_findings: Vec<LogFinding>,
}

/// Something that is wrong with a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckFinding {
    /// Messages that do not match their checksum, or are not there: each from the
    /// first of these offsets to the last.
    Lost {
        /// The tenant whose channel it is.
        tenant: Arc<str>,
        /// The channel's name.
        channel: Arc<str>,
        /// From this offset,
        first: u64,
        /// up to this one.
        last: u64,
        /// What is wrong with them.
        loss: LossKind,
    },
    /// A message is pending or a dead letter, and its content is nowhere.
    NoContent {
        /// The tenant whose channel it is.
        tenant: Arc<str>,
        /// The channel's name.
        channel: Arc<str>,
        /// The message's offset.
        offset: u64,
    },
    /// Records of this kind cannot be read; they name no channel any more.
    Records {
        /// The kind.
        space: StoreKeyspace,
        /// How many are known to be there and are unreadable; 0 when a block with
        /// an unknown number of them is.
        count: u64,
    },
    /// Something is wrong with the log in front of the database.
    Log(LogFinding),
}

/// How messages are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossKind {
    /// They do not match their checksum.
    Damaged,
    /// They are not there.
    Missing,
}

/// What is in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Channels that have a record.
    pub channels_count: u64,
    /// Messages that are kept.
    pub messages_count: u64,
    /// Bytes of their records.
    pub messages_bytes: u64,
    /// Read markers of users.
    pub markers_count: u64,
    /// Messages that wait for their reader.
    pub pending_count: u64,
    /// Dead letters.
    pub dead_count: u64,
    /// Users who react to messages, each as often as it does.
    pub reactions_count: u64,
    /// Members of groups, and users who are invited.
    pub group_members_count: u64,
    /// Bytes on the disk.
    pub capacity: Capacity,
}

/// What `check` went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckTotals {
    /// Channels.
    pub channels_count: u64,
    /// Messages that are as they should be.
    pub messages_count: u64,
    /// Findings.
    pub findings_count: u64,
}

impl fmt::Display for CheckFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |f: &mut fmt::Formatter<'_>, tenant: &str, channel: &str| {
            // Names are their users' choice: quoted and escaped.
            write!(f, "channel {channel:?}")?;
            if tenant.is_empty() { Ok(()) } else { write!(f, " of tenant {tenant:?}") }
        };
        match self {
            CheckFinding::Lost { tenant, channel, first, last, loss } => {
                name(f, tenant, channel)?;
                let what = match loss {
                    LossKind::Damaged => "damaged",
                    LossKind::Missing => "missing",
                };
                if first == last {
                    return write!(f, ": message {first} is {what}");
                }
                write!(f, ": messages {first} to {last} are {what}")
            }
            CheckFinding::NoContent { tenant, channel, offset } => {
                name(f, tenant, channel)?;
                write!(
                    f,
                    ": message {offset} waits for its reader or is a dead letter, and is nowhere"
                )
            }
            CheckFinding::Records { space, count: 0 } => {
                write!(f, "an unknown number of records is damaged: {}", words(*space))
            }
            CheckFinding::Records { space, count } => {
                write!(f, "{count} damaged records: {}", words(*space))
            }
            CheckFinding::Log(finding) => finding.fmt(f),
        }
    }
}

fn words(space: StoreKeyspace) -> &'static str {
    match space {
        StoreKeyspace::Meta => "of the store itself",
        StoreKeyspace::Channels => "of channels, which cannot be named",
        StoreKeyspace::Messages => "messages",
        StoreKeyspace::Markers => "what users got and read",
        StoreKeyspace::Conversations => "which conversations users have",
        StoreKeyspace::Pending => "what waits for its reader",
        StoreKeyspace::Dead => "dead letters",
        StoreKeyspace::Ids => "ids of messages that may be repeated",
        StoreKeyspace::ReactionTotals => "how many users react to messages",
        StoreKeyspace::Reactions => "what users react to messages with",
        StoreKeyspace::GroupMembers => "the members of groups",
        StoreKeyspace::UserGroups => "which groups users are in",
    }
}

impl Inspection<Box<dyn Disk>> {
    /// Opens the store of a directory at rest. `BackgroundThreads::None` leaves it as it is.
    pub fn open(
        options: &Options,
        background_threads: BackgroundThreads,
    ) -> Result<Self, OpenError> {
        let disk = store_disk::open_at_rest(options, background_threads)?;
        Inspection::of(disk, options)
    }

    /// The same for whoever asks what is wrong, with all that can be read of a log that may not
    /// open. Nothing is written to the log.
    pub fn open_to_check(options: &Options) -> Result<Self, OpenError> {
        if !FjallDisk::has_log(&options.dir)? {
            return Inspection::open(options, BackgroundThreads::None);
        }
        let opened = store_disk::open_partial(options).map_err(OpenError::of_what_is_left)?;
        let PartialStore { disk, findings } = opened;
        let disk = Box::new(disk) as Box<dyn Disk>;
        let inspection = Inspection::of(disk, options).map_err(OpenError::of_what_is_left)?;
        Ok(Inspection { log_findings: findings, ..inspection })
    }
}

impl<D: Disk> Inspection<D> {
    /// An inspection of a disk that is open; one of an unknown format is refused.
    pub fn of(disk: D, options: &Options) -> Result<Inspection<D>, OpenError> {
        match engine::name_key(&disk, &options.dir)? {
            Some(_) => Ok(Inspection { disk, log_findings: Vec::new() }),
            None => Err(OpenError::Missing(options.dir.clone())),
        }
    }

    /// What is wrong with its log and its runs.
    pub fn log_findings(&self) -> &[LogFinding] {
        &self.log_findings
    }

    /// The disk again.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// Reads everything, and tells what is wrong.
    pub fn check(
        &self,
        on_finding: &mut dyn FnMut(CheckFinding),
    ) -> Result<CheckTotals, DiskError> {
        let mut totals = CheckTotals::default();
        let mut tell = |finding| {
            totals.findings_count += 1;
            on_finding(finding);
        };
        self.log_findings.iter().cloned().map(CheckFinding::Log).for_each(&mut tell);
        let channels = self.channels(&mut tell)?;
        for (room, record) in &channels {
            totals.channels_count += 1;
            let walk = walk_channel(&self.disk, *room, record, &mut |_| {})?;
            totals.messages_count += walk.good_count();
            for &(first, last, loss) in walk.losses() {
                let (tenant, channel) = (record.tenant.clone(), record.channel.clone());
                tell(CheckFinding::Lost { tenant, channel, first, last, loss });
            }
        }
        for space in [
            StoreKeyspace::Markers,
            StoreKeyspace::Conversations,
            StoreKeyspace::Pending,
            StoreKeyspace::Dead,
            StoreKeyspace::Ids,
        ] {
            self.check_records(space, &channels, &mut tell)?;
        }
        self.check_reactions(&mut tell)?;
        Ok(totals)
    }

    /// Counts what is in it. What cannot be read is not counted.
    pub fn stats(&self) -> Result<StoreStats, DiskError> {
        let mut stats = StoreStats { capacity: self.disk.capacity()?, ..StoreStats::default() };
        for space in StoreKeyspace::ALL {
            let (mut count, mut bytes) = (0, 0);
            let mut add = |_: &[u8], value: &[u8]| {
                count += 1;
                bytes += value.len() as u64;
            };
            if space == StoreKeyspace::Messages {
                // Which rooms have messages is not known where runs are damaged; which channels
                // there are is.
                for (room, record) in self.channels(&mut |_| {})? {
                    self.walk(space, &key::messages(room, record.first, u64::MAX), &mut add)?;
                }
            } else {
                self.walk(space, &key::rest(&[]), &mut add)?;
            }
            match space {
                StoreKeyspace::Meta
                | StoreKeyspace::Conversations
                | StoreKeyspace::Ids
                | StoreKeyspace::ReactionTotals
                | StoreKeyspace::UserGroups => {}
                StoreKeyspace::Channels => stats.channels_count = count,
                StoreKeyspace::Messages => {
                    (stats.messages_count, stats.messages_bytes) = (count, bytes)
                }
                StoreKeyspace::Markers => stats.markers_count = count,
                StoreKeyspace::Pending => stats.pending_count = count,
                StoreKeyspace::Dead => stats.dead_count = count,
                StoreKeyspace::Reactions => stats.reactions_count = count,
                StoreKeyspace::GroupMembers => stats.group_members_count = count,
            }
        }
        Ok(stats)
    }

    pub(super) fn disk(&self) -> &D {
        &self.disk
    }

    /// The records of all channels, by room.
    pub(super) fn channels(
        &self,
        on_finding: &mut dyn FnMut(CheckFinding),
    ) -> Result<Vec<(RoomId, ChannelRecord)>, DiskError> {
        let mut channels = Vec::new();
        let mut undecodable_count = 0;
        let walk = self.walk(
            StoreKeyspace::Channels,
            &key::rest(&[]),
            &mut |key, value| match (key::room_of(key), ChannelRecord::take(value)) {
                (Some(room), Ok(record)) => channels.push((room, record)),
                (_, _) => undecodable_count += 1,
            },
        )?;
        tell_records(StoreKeyspace::Channels, undecodable_count, walk, on_finding);
        channels.sort_by_key(|(room, _)| *room);
        Ok(channels)
    }

    fn check_records(
        &self,
        space: StoreKeyspace,
        channels: &[(RoomId, ChannelRecord)],
        on_finding: &mut dyn FnMut(CheckFinding),
    ) -> Result<(), DiskError> {
        let mut undecodable_count = 0;
        let mut own_messages = Vec::new();
        let walk = self.walk(space, &key::rest(&[]), &mut |key, value| {
            let is_good = match space {
                StoreKeyspace::Markers => {
                    key::name_of(key).is_some() && record::take_markers(value).is_ok()
                }
                StoreKeyspace::GroupMembers => {
                    key::name_of(key).is_some() && record::MemberRecord::take(value).is_ok()
                }
                StoreKeyspace::Conversations | StoreKeyspace::UserGroups => {
                    key::name_of(key).is_some() && record::take_conversation(value).is_ok()
                }
                StoreKeyspace::Pending => {
                    take_own_message(key, PendingRecord::take(value), &mut own_messages)
                }
                StoreKeyspace::Dead => {
                    let record = DeadLetterRecord::take(value).map(|record| record.pending);
                    take_own_message(key, record, &mut own_messages)
                }
                StoreKeyspace::Ids => {
                    let place = key::id_from(key);
                    place.is_some_and(|(.., offset)| record::take_id(value, offset).is_ok())
                }
                StoreKeyspace::Meta
                | StoreKeyspace::Channels
                | StoreKeyspace::Messages
                | StoreKeyspace::ReactionTotals
                | StoreKeyspace::Reactions => true,
            };
            undecodable_count += u64::from(!is_good);
        })?;
        for (room, offset) in own_messages {
            let content = self.disk.get(StoreKeyspace::Messages, &key::message(room, offset));
            // A damaged one was told with its channel.
            if content != Ok(None) {
                continue;
            }
            match channels.binary_search_by_key(&room, |(room, _)| *room) {
                Ok(place) => {
                    let ChannelRecord { tenant, channel, first, .. } = &channels[place].1;
                    let went = space == StoreKeyspace::Dead && offset < *first;
                    if went || channels[place].1.is_removed(offset) {
                        continue; // its body went with its message
                    }
                    let (tenant, channel) = (tenant.clone(), channel.clone());
                    on_finding(CheckFinding::NoContent { tenant, channel, offset });
                }
                Err(_) => undecodable_count += 1,
            }
        }
        tell_records(space, undecodable_count, walk, on_finding);
        Ok(())
    }

    /// Everything of a range that can be read: forwards, and where that ends too
    /// early, backwards as well.
    pub(super) fn walk(
        &self,
        space: StoreKeyspace,
        range: &KeyRange,
        on_entry: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<Walk, DiskError> {
        let mut reached: Option<Vec<u8>> = None;
        let forwards = self.disk.scan(space, range, ReadOrder::OldestFirst, &mut |key, value| {
            on_entry(key, value);
            reached = Some(key.to_vec());
            ControlFlow::Continue(())
        });
        match forwards {
            Ok(()) => return Ok(Walk::Whole),
            Err(DiskError::Damaged) => {}
            Err(fault) => return Err(fault),
        }
        let backwards = self.disk.scan(space, range, ReadOrder::NewestFirst, &mut |key, value| {
            if reached.as_deref().is_some_and(|reached| key <= reached) {
                return ControlFlow::Break(());
            }
            on_entry(key, value);
            ControlFlow::Continue(())
        });
        match backwards {
            Ok(()) | Err(DiskError::Damaged) => Ok(Walk::Cut),
            Err(fault) => Err(fault),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    Whole,
    /// A damaged part lies between.
    Cut,
}

pub(super) fn tell_records(
    space: StoreKeyspace,
    count: u64,
    walk: Walk,
    on_finding: &mut dyn FnMut(CheckFinding),
) {
    if 0 < count {
        on_finding(CheckFinding::Records { space, count });
    }
    if walk == Walk::Cut {
        on_finding(CheckFinding::Records { space, count: 0 });
    }
}

/// Notes a direct message whose content must be in its channel.
fn take_own_message(
    key: &[u8],
    record: Result<PendingRecord, record::DecodeError>,
    own_messages: &mut Vec<(RoomId, u64)>,
) -> bool {
    match (key::pending_from(key), record) {
        (Some((_, room, offset)), Ok(record)) => {
            if record.message.is_empty() {
                own_messages.push((room, offset));
                return true;
            }
            record::take_message(&record.message, offset).is_ok()
        }
        (_, _) => false,
    }
}
