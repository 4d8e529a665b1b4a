//! Values: what a record holds, and its bytes.
//!
//! Compact, because most records are messages: 20 bytes and the author's name
//! around the data of an ordinary one, and 16 for the trace of one without an id. The first
//! byte is the record's version. Numbers are varints; the last field has no length, it takes
//! what is left.
//!
//! Invariants: what was put reads back equal; other bytes are `DecodeError`, never a
//! panic, and never an allocation larger than the bytes.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::{ClientId, RoomId, Trace, TraceId};
use crate::wire::{ClientInfo, Epoch, Payload, Publication, trace_of};

use super::load_position::LoadPosition;
use super::messages::{DeadLetterCause, KnownId, ReadMarkers};

mod fields;
mod groups;
mod reactions;
mod text;

#[cfg(test)]
mod tests;

use fields::{RecordFields, put_bytes, put_number};
use text::{put_text, take_text};

pub use groups::MemberRecord;
pub use reactions::{put_reaction, put_reaction_totals, take_reaction, take_reaction_totals};

/// The bytes are no record of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeError;

const VERSION: u8 = 1;

/// The version of a channel's record that knows when its stream began and ended; before it
/// there was `VERSION`, which is read, too.
const CHANNEL_VERSION: u8 = 2;

/// The version of the record of a channel of which something was removed by order.
const REMOVED_VERSION: u8 = 3;

/// The version of a message up to which something was changed in its channel: it counts
/// that. All others have `VERSION`.
const COUNTED_VERSION: u8 = 2;

const DATA_IS_JSON: u8 = 1;
const HAS_INFO: u8 = 1 << 1;
const HAS_CONN_INFO: u8 = 1 << 2;
const CONN_INFO_IS_JSON: u8 = 1 << 3;
const HAS_CHAN_INFO: u8 = 1 << 4;
const CHAN_INFO_IS_JSON: u8 = 1 << 5;
const HAS_TAGS: u8 = 1 << 6;
/// Its trace follows, because its tags do not tell it.
const HAS_TRACE: u8 = 1 << 7;

/// A kept message's place in its channel's accounts, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageAccounting {
    /// When it was taken, ms since 1970.
    pub time_unix_ms: u64,
    /// Bytes of data ever put into the channel, up to and with this message.
    /// With it, what a part of a channel holds is one subtraction.
    pub total_bytes: u64,
    /// How many messages of the channel change others, up to and with this message. With
    /// it, how many a part of a channel holds is one subtraction, too.
    pub changes_count: u64,
}

/// The bytes of a message; its offset is in its key.
pub fn put_message(publication: &Publication, total_bytes: u64, changes_count: u64) -> Vec<u8> {
    let Publication { offset: _, data, info, chan_info, tags, time_unix_ms, trace } = publication;
    let trace = trace.filter(|_| trace_of(tags) != *trace);
    let conn_info = info.as_ref().and_then(|info| info.conn_info.as_deref());
    let flag = |bit: u8, is_set: bool| if is_set { bit } else { 0 };
    let is_json = |payload: Option<&Payload>| payload.is_some_and(|payload| payload.is_json);
    let flags = flag(DATA_IS_JSON, data.is_json)
        | flag(HAS_INFO, info.is_some())
        | flag(HAS_CONN_INFO, conn_info.is_some())
        | flag(CONN_INFO_IS_JSON, is_json(conn_info))
        | flag(HAS_CHAN_INFO, chan_info.is_some())
        | flag(CHAN_INFO_IS_JSON, is_json(chan_info.as_deref()))
        | flag(HAS_TAGS, !tags.is_empty())
        | flag(HAS_TRACE, trace.is_some());
    let mut to = Vec::with_capacity(data.bytes.len() + 96);
    let version = if changes_count == 0 { VERSION } else { COUNTED_VERSION };
    to.extend([version, flags]);
    put_number(&mut to, *time_unix_ms);
    put_number(&mut to, total_bytes);
    if changes_count != 0 {
        put_number(&mut to, changes_count);
    }
    if let Some(info) = info {
        put_bytes(&mut to, info.user.as_bytes());
        to.extend({ info.client.0 }.to_be_bytes());
    }
    for payload in conn_info.into_iter().chain(chan_info.as_deref()) {
        put_bytes(&mut to, &payload.bytes);
    }
    if !tags.is_empty() {
        put_number(&mut to, tags.len() as u64);
        for text in tags.iter().flat_map(|(name, value)| [name, value]) {
            put_text(&mut to, text);
        }
    }
    if let Some(trace) = trace {
        to.extend(trace.id.bits().to_be_bytes());
    }
    to.extend_from_slice(&data.bytes);
    to
}

/// A message's account, without reading the rest.
pub fn take_accounting(bytes: &[u8]) -> Result<MessageAccounting, DecodeError> {
    Ok(take_beginning(bytes)?.1)
}

/// A message's flags, its account, and the rest of its fields.
fn take_beginning(bytes: &[u8]) -> Result<(u8, MessageAccounting, RecordFields<'_>), DecodeError> {
    let is_counted = bytes.first() == Some(&COUNTED_VERSION);
    let version = if is_counted { COUNTED_VERSION } else { VERSION };
    let mut from = RecordFields::versioned(bytes, version)?;
    let flags = from.byte()?;
    let accounting = MessageAccounting {
        time_unix_ms: from.number()?,
        total_bytes: from.number()?,
        changes_count: if is_counted { from.number()? } else { 0 },
    };
    Ok((flags, accounting, from))
}

/// The message of these bytes.
pub fn take_message(
    bytes: &[u8],
    offset: u64,
) -> Result<(Publication, MessageAccounting), DecodeError> {
    let (flags, accounting, mut from) = take_beginning(bytes)?;
    let has = |bit: u8| flags & bit != 0;
    let is_known = (has(HAS_INFO) || !has(HAS_CONN_INFO))
        && (has(HAS_CONN_INFO) || !has(CONN_INFO_IS_JSON))
        && (has(HAS_CHAN_INFO) || !has(CHAN_INFO_IS_JSON));
    if !is_known {
        return Err(DecodeError);
    }
    let mut who = None;
    if has(HAS_INFO) {
        who = Some((Box::from(from.name()?), ClientId(u128::from_be_bytes(from.array()?))));
    }
    let mut payload = |has_bit: u8, json_bit: u8| match has(has_bit) {
        true => from.data().map(|bytes| Some(Payload { bytes, is_json: has(json_bit) })),
        false => Ok(None),
    };
    let conn_info = payload(HAS_CONN_INFO, CONN_INFO_IS_JSON)?.map(Box::new);
    let chan_info = payload(HAS_CHAN_INFO, CHAN_INFO_IS_JSON)?.map(Arc::new);
    let info = who.map(|(user, client)| Arc::new(ClientInfo { user, client, conn_info }));
    let tags = if has(HAS_TAGS) { take_tags(&mut from)? } else { Vec::new() };
    let trace = match has(HAS_TRACE) {
        true => Some(Trace::of_server(take_trace(&mut from)?)),
        false => trace_of(&tags),
    };
    let data = Payload { bytes: Bytes::copy_from_slice(from.rest()), is_json: has(DATA_IS_JSON) };
    let time_unix_ms = accounting.time_unix_ms;
    Ok((Publication { offset, data, info, chan_info, tags, time_unix_ms, trace }, accounting))
}

fn take_trace(from: &mut RecordFields<'_>) -> Result<TraceId, DecodeError> {
    TraceId::new(u128::from_be_bytes(from.array()?)).ok_or(DecodeError)
}

type Tags = Vec<(Box<str>, Box<str>)>;

fn take_tags(from: &mut RecordFields<'_>) -> Result<Tags, DecodeError> {
    let count = from.number()?;
    // Each has a name and a value of a byte at least: no count reserves more than
    // the bytes can hold.
    if count == 0 || (from.len() as u64) < count.saturating_mul(2) {
        return Err(DecodeError);
    }
    (0..count).map(|_| Ok((take_text(from)?, take_text(from)?))).collect()
}

/// What was removed of a channel by order, and not by retention. It stays gone, wherever it
/// lies: in the channel, and in what waits for readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovedHistory {
    /// The last offset that was removed.
    pub last: u64,
    /// The lowest offset of which something may be left on the disk; above `last` for none.
    pub left_from: u64,
}

impl RemovedHistory {
    /// Whether something may be left on the disk.
    pub fn is_left(self) -> bool {
        self.left_from <= self.last
    }
}

/// What is kept of a channel beside its messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRecord {
    /// Its stream's.
    pub epoch: Epoch,
    /// When its first message was said, Unix ms; 0 where nobody knows.
    pub created_unix_ms: u64,
    /// How often the store had lost what was not synced when this was written.
    pub losses_count: u32,
    /// The lowest offset that may be kept.
    pub first: u64,
    /// `MessageAccounting::total_bytes` of the message before `first`.
    pub below_bytes: u64,
    /// The last offset that was given when this was written: what says so when
    /// no message is left. A message above it says more.
    pub head: u64,
    /// `MessageAccounting::total_bytes` at `head`.
    pub total_bytes: u64,
    /// When the last message that is gone was said, Unix ms; says something only where
    /// none is left, and 0 where nobody knows.
    pub last_unix_ms: u64,
    /// What was removed of it by order.
    pub removed: Option<RemovedHistory>,
    /// Inboxes of the two of a conversation.
    pub parties: Option<[RoomId; 2]>,
    /// The tenant whose channel it is.
    pub tenant: Arc<str>,
    /// Its name.
    pub channel: Arc<str>,
}

impl ChannelRecord {
    /// Whether a message was removed by order, wherever its body is.
    pub fn is_removed(&self, offset: u64) -> bool {
        self.removed.is_some_and(|removed| offset <= removed.last)
    }

    /// Its bytes.
    pub fn put(&self) -> Vec<u8> {
        let ChannelRecord { epoch, created_unix_ms, losses_count, .. } = self;
        let ChannelRecord { first, below_bytes, head, total_bytes, last_unix_ms, .. } = self;
        let epoch = u32::try_from(epoch.0).expect("what is kept is a stream");
        let version = if self.removed.is_some() { REMOVED_VERSION } else { CHANNEL_VERSION };
        let mut to = vec![version];
        to.extend(epoch.to_be_bytes());
        put_number(&mut to, *created_unix_ms);
        put_number(&mut to, (*losses_count).into());
        for number in [first, below_bytes, head, total_bytes, last_unix_ms] {
            put_number(&mut to, *number);
        }
        if let Some(RemovedHistory { last, left_from }) = self.removed {
            put_number(&mut to, last);
            put_number(&mut to, left_from);
        }
        let parties = self.parties.into_iter().flatten();
        put_number(&mut to, parties.clone().count() as u64);
        parties.for_each(|inbox| to.extend({ inbox.0 }.to_be_bytes()));
        put_bytes(&mut to, self.tenant.as_bytes());
        to.extend_from_slice(self.channel.as_bytes());
        to
    }

    /// The lowest offset that is kept, without reading the rest.
    pub fn take_first(bytes: &[u8]) -> Result<u64, DecodeError> {
        Ok(ChannelBeginning::take(bytes)?.first)
    }

    /// The record of these bytes.
    pub fn take(bytes: &[u8]) -> Result<ChannelRecord, DecodeError> {
        let ChannelBeginning { version, epoch, created_unix_ms, losses_count, first, mut from } =
            ChannelBeginning::take(bytes)?;
        let has_creation_time = version != VERSION;
        let [below_bytes, head, total_bytes] = [from.number()?, from.number()?, from.number()?];
        let last_unix_ms = if has_creation_time { from.number()? } else { 0 };
        let mut removed = None;
        if version == REMOVED_VERSION {
            removed = Some(RemovedHistory { last: from.number()?, left_from: from.number()? });
        }
        let parties = match from.number()? {
            0 => None,
            2 => Some([from.room()?, from.room()?]),
            _ => return Err(DecodeError),
        };
        let tenant = from.name()?.into();
        let channel = fields::text(from.rest())?.into();
        Ok(ChannelRecord {
            epoch,
            created_unix_ms,
            losses_count,
            first,
            below_bytes,
            head,
            total_bytes,
            last_unix_ms,
            removed,
            parties,
            tenant,
            channel,
        })
    }
}

/// What a channel's record begins with, and its other fields.
struct ChannelBeginning<'a> {
    version: u8,
    epoch: Epoch,
    created_unix_ms: u64,
    losses_count: u32,
    first: u64,
    from: RecordFields<'a>,
}

impl ChannelBeginning<'_> {
    fn take(bytes: &[u8]) -> Result<ChannelBeginning<'_>, DecodeError> {
        let version = match bytes.first() {
            Some(&version @ (CHANNEL_VERSION | REMOVED_VERSION)) => version,
            Some(_) | None => VERSION,
        };
        let mut from = RecordFields::versioned(bytes, version)?;
        let epoch = Epoch(u32::from_be_bytes(from.array()?).into());
        let created_unix_ms = if version == VERSION { 0 } else { from.number()? };
        let losses_count = from.number()?.try_into().map_err(|_| DecodeError)?;
        let first = from.number()?;
        Ok(ChannelBeginning { version, epoch, created_unix_ms, losses_count, first, from })
    }
}

/// The boot of the machine in which the store was written last, and what was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BootRecord {
    /// The number of that boot; 0 when everything was synced at the end.
    pub boot_id: u64,
    /// How often what was not synced may have been lost.
    pub losses_count: u32,
}

impl BootRecord {
    /// Its bytes.
    pub fn put(&self) -> Vec<u8> {
        let mut to = vec![VERSION];
        put_number(&mut to, self.boot_id);
        put_number(&mut to, self.losses_count.into());
        to
    }

    /// The record of these bytes.
    pub fn take(bytes: &[u8]) -> Result<BootRecord, DecodeError> {
        let mut from = RecordFields::versioned(bytes, VERSION)?;
        let boot_id = from.number()?;
        let losses_count = from.number()?.try_into().map_err(|_| DecodeError)?;
        from.end()?;
        Ok(BootRecord { boot_id, losses_count })
    }
}

/// The bytes of how far an input is loaded.
pub fn put_load_position(position: &LoadPosition) -> Vec<u8> {
    let mut to = vec![VERSION];
    put_number(&mut to, position.lines_count);
    to.extend(position.digest);
    to
}

/// How far an input is loaded, of these bytes.
pub fn take_load_position(bytes: &[u8]) -> Result<LoadPosition, DecodeError> {
    let mut from = RecordFields::versioned(bytes, VERSION)?;
    let (lines_count, digest) = (from.number()?, from.array()?);
    from.end()?;
    Ok(LoadPosition { lines_count, digest })
}

/// The bytes of a user's read markers.
pub fn put_markers(markers: ReadMarkers) -> Vec<u8> {
    let mut to = vec![VERSION];
    put_number(&mut to, markers.delivered);
    put_number(&mut to, markers.read);
    to
}

/// The read markers of these bytes.
pub fn take_markers(bytes: &[u8]) -> Result<ReadMarkers, DecodeError> {
    let mut from = RecordFields::versioned(bytes, VERSION)?;
    let markers = ReadMarkers { delivered: from.number()?, read: from.number()? };
    from.end()?;
    if markers.delivered < markers.read { Err(DecodeError) } else { Ok(markers) }
}

/// The bytes of an id that an author gave to a message.
pub fn put_id(time_unix_ms: u64, user: &str, id: &str) -> Vec<u8> {
    let mut to = vec![VERSION];
    put_number(&mut to, time_unix_ms);
    put_bytes(&mut to, user.as_bytes());
    put_text(&mut to, id);
    to
}

/// The id of these bytes.
pub fn take_id(bytes: &[u8], offset: u64) -> Result<KnownId, DecodeError> {
    let mut from = RecordFields::versioned(bytes, VERSION)?;
    let time_unix_ms = from.number()?;
    let (user, id) = (from.name()?.into(), take_text(&mut from)?);
    from.end()?;
    Ok(KnownId { user, id, offset, time_unix_ms })
}

/// The bytes of one of a user's conversations.
pub fn put_conversation(room: RoomId) -> Vec<u8> {
    let mut to = vec![VERSION];
    to.extend({ room.0 }.to_be_bytes());
    to
}

/// The channel of one of a user's conversations.
pub fn take_conversation(bytes: &[u8]) -> Result<RoomId, DecodeError> {
    let mut from = RecordFields::versioned(bytes, VERSION)?;
    let room = from.room()?;
    from.end()?;
    Ok(room)
}

/// A message that waits for its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRecord {
    /// How often it was sent.
    pub tries_count: u16,
    /// When it is given up, Unix ms.
    pub expires_unix_ms: u64,
    /// The message's bytes when its channel does not keep it any more; else empty.
    pub message: Vec<u8>,
}

impl PendingRecord {
    /// Its bytes.
    pub fn put(&self) -> Vec<u8> {
        let mut to = vec![VERSION];
        put_number(&mut to, self.tries_count.into());
        put_number(&mut to, self.expires_unix_ms);
        to.extend_from_slice(&self.message);
        to
    }

    /// The record of these bytes.
    pub fn take(bytes: &[u8]) -> Result<PendingRecord, DecodeError> {
        let mut from = RecordFields::versioned(bytes, VERSION)?;
        let tries_count = from.number()?.try_into().map_err(|_| DecodeError)?;
        let expires_unix_ms = from.number()?;
        Ok(PendingRecord { tries_count, expires_unix_ms, message: from.rest().to_vec() })
    }
}

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterRecord {
    /// Why it was given up.
    pub cause: DeadLetterCause,
    /// When it was given up, Unix ms.
    pub at_unix_ms: u64,
    /// What it was before.
    pub pending: PendingRecord,
}

impl DeadLetterRecord {
    /// Its bytes.
    pub fn put(&self) -> Vec<u8> {
        let cause = match self.cause {
            DeadLetterCause::Attempts => 0,
            DeadLetterCause::Expired => 1,
        };
        let mut to = vec![VERSION, cause];
        put_number(&mut to, self.at_unix_ms);
        to.extend(self.pending.put());
        to
    }

    /// The record of these bytes.
    pub fn take(bytes: &[u8]) -> Result<DeadLetterRecord, DecodeError> {
        let mut from = RecordFields::versioned(bytes, VERSION)?;
        let cause = match from.byte()? {
            0 => DeadLetterCause::Attempts,
            1 => DeadLetterCause::Expired,
            _ => return Err(DecodeError),
        };
        let at_unix_ms = from.number()?;
        Ok(DeadLetterRecord { cause, at_unix_ms, pending: PendingRecord::take(from.rest())? })
    }
}
