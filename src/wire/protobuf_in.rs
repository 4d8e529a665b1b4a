//! Commands from Protobuf bytes, without copying any.
//!
//! The generated types own their texts and data; commands borrow them, which
//! saves two allocations for each publish. So the fields are read here, and the
//! generated types are the tests' oracle. Fields that we do not serve are
//! skipped by their wire type. Nesting is fixed by the schema, so nothing
//! recurses; groups, which the protocol never had, are refused.
//!
//! Where a field comes twice, the last one counts.

use std::borrow::Cow;

use super::command_parts::{command, name};
use super::data;
use super::types::{
    Command, CommandParseError, ConnectRequest, DELTA_FORMAT, HistoryRequest, RawData, Request,
    SubscribeFlags, SubscribeRequest,
};
use crate::base::limits;

/// Messages one behind the other, each behind its length.
pub(super) struct ProtobufCommands<'a> {
    frame: ProtobufReader<'a>,
    frame_bytes: usize,
}

impl<'a> ProtobufCommands<'a> {
    pub(super) fn new(frame: &'a [u8]) -> ProtobufCommands<'a> {
        ProtobufCommands { frame: ProtobufReader { rest: frame }, frame_bytes: frame.len() }
    }

    pub(super) fn read_bytes(&self) -> usize {
        self.frame_bytes - self.frame.rest.len()
    }

    pub(super) fn next(&mut self) -> Option<Result<Command<'a>, CommandParseError>> {
        if self.frame.rest.is_empty() {
            return None;
        }
        Some(self.frame.delimited().and_then(parse_command))
    }
}

fn parse_command(message: &[u8]) -> Result<Command<'_>, CommandParseError> {
    let mut id = 0;
    let mut request: Option<(u32, &[u8])> = None;
    let mut reader = ProtobufReader { rest: message };
    while let Some((field, value)) = reader.field()? {
        match field {
            1 => id = u32::try_from(value.varint()?).map_err(|_| CommandParseError::Limit)?,
            4..=15 => {
                let bytes = value.bytes()?;
                if request.is_none_or(|(first, _)| field <= first) {
                    request = Some((field, bytes));
                }
            }
            _ => {}
        }
    }
    let request = match request {
        Some((field, bytes)) => parse_request(field, bytes)?,
        None => None,
    };
    Ok(command(id, request))
}

fn parse_request(field: u32, bytes: &[u8]) -> Result<Option<Request<'_>>, CommandParseError> {
    Ok(Some(match field {
        4 => Request::Connect(parse_connect(bytes)?),
        5 => Request::Subscribe(parse_subscribe(bytes)?),
        6 => Request::Unsubscribe { channel: parse_channel(bytes)? },
        7 => {
            let (channel, data) = parse_pair(bytes, 1, 2)?;
            Request::Publish { channel, data }
        }
        8 => Request::Presence { channel: parse_channel(bytes)? },
        9 => Request::PresenceStats { channel: parse_channel(bytes)? },
        10 => Request::History(parse_history(bytes)?),
        11 => {
            check_fields(bytes)?;
            Request::Ping
        }
        12 => {
            // A name at a field number that no message has stays empty.
            let (_, data) = parse_pair(bytes, 0, 1)?;
            Request::Send { data }
        }
        13 => {
            let (method, data) = parse_pair(bytes, 2, 1)?;
            Request::Rpc { method, data }
        }
        14 => Request::Refresh { token: parse_texts(bytes)?.0 },
        15 => {
            let (channel, token) = parse_texts(bytes)?;
            Request::SubRefresh { channel: name(channel)?, token }
        }
        _ => return Ok(None),
    }))
}

fn parse_connect(message: &[u8]) -> Result<ConnectRequest<'_>, CommandParseError> {
    let mut request = ConnectRequest::default();
    let mut reader = ProtobufReader { rest: message };
    while let Some((field, value)) = reader.field()? {
        match field {
            1 => request.token = value.text()?,
            2 => request.data = optional_data(value.bytes()?),
            3 if request.subs.len() == limits::CHANNELS_PER_CONNECTION_MAX => {
                return Err(CommandParseError::Limit);
            }
            3 => request.subs.push(parse_sub(value.bytes()?)?),
            4 => request.name = value.text()?,
            5 => request.version = value.text()?,
            6 if request.headers.len() == limits::CONNECT_HEADERS_MAX => {
                return Err(CommandParseError::Limit);
            }
            6 => request.headers.push(parse_texts(value.bytes()?)?),
            _ => {}
        }
    }
    Ok(request)
}

/// An entry of the map: the channel is its key.
fn parse_sub(message: &[u8]) -> Result<SubscribeRequest<'_>, CommandParseError> {
    let mut channel = Cow::Borrowed("");
    let mut request = SubscribeRequest::default();
    let mut reader = ProtobufReader { rest: message };
    while let Some((field, value)) = reader.field()? {
        match field {
            1 => channel = name(value.text()?)?,
            2 => request = parse_subscribe(value.bytes()?)?,
            _ => {}
        }
    }
    Ok(SubscribeRequest { channel, ..request })
}

fn parse_subscribe(message: &[u8]) -> Result<SubscribeRequest<'_>, CommandParseError> {
    let mut request = SubscribeRequest::default();
    let mut reader = ProtobufReader { rest: message };
    while let Some((field, value)) = reader.field()? {
        match field {
            1 => request.channel = name(value.text()?)?,
            2 => request.token = value.text()?,
            3 => request.recover = value.varint()? != 0,
            6 => request.epoch = value.text()?,
            7 => request.offset = value.varint()?,
            8 => request.data = optional_data(value.bytes()?),
            9 => request.positioned = value.varint()? != 0,
            10 => request.recoverable = value.varint()? != 0,
            11 => request.join_leave = value.varint()? != 0,
            12 => request.takes_deltas = value.text()? == DELTA_FORMAT,
            13 => {
                let bytes = Cow::Borrowed(value.bytes()?);
                request.tag_filter = Some(RawData { bytes, is_json: false });
            }
            14 => request.flags = SubscribeFlags::of(value.varint()?.cast_signed()),
            _ => {}
        }
    }
    Ok(request)
}

fn parse_history(message: &[u8]) -> Result<HistoryRequest<'_>, CommandParseError> {
    let mut request =
        HistoryRequest { channel: Cow::Borrowed(""), limit: 0, since: None, reverse: false };
    let mut reader = ProtobufReader { rest: message };
    while let Some((field, value)) = reader.field()? {
        match field {
            1 => request.channel = name(value.text()?)?,
            // A negative int32 travels as the 64 bits of its int64.
            7 => {
                let limit = value.varint()?.cast_signed();
                request.limit = i32::try_from(limit).map_err(|_| CommandParseError::Limit)?;
            }
            8 => request.since = Some(parse_position(value.bytes()?)?),
            9 => request.reverse = value.varint()? != 0,
            _ => {}
        }
    }
    Ok(request)
}

fn parse_position(message: &[u8]) -> Result<(u64, Cow<'_, str>), CommandParseError> {
    let mut position = (0, Cow::Borrowed(""));
    let mut reader = ProtobufReader { rest: message };
    while let Some((field, value)) = reader.field()? {
        match field {
            1 => position.0 = value.varint()?,
            2 => position.1 = value.text()?,
            _ => {}
        }
    }
    Ok(position)
}

fn parse_channel(message: &[u8]) -> Result<Cow<'_, str>, CommandParseError> {
    name(parse_texts(message)?.0)
}

/// Texts at fields 1 and 2.
fn parse_texts(message: &[u8]) -> Result<(Cow<'_, str>, Cow<'_, str>), CommandParseError> {
    let mut texts = (Cow::Borrowed(""), Cow::Borrowed(""));
    let mut reader = ProtobufReader { rest: message };
    while let Some((field, value)) = reader.field()? {
        match field {
            1 => texts.0 = value.text()?,
            2 => texts.1 = value.text()?,
            _ => {}
        }
    }
    Ok(texts)
}

/// A name and data, at the fields given.
fn parse_pair(
    message: &[u8],
    name_field: u32,
    data_field: u32,
) -> Result<(Cow<'_, str>, RawData<'_>), CommandParseError> {
    let mut text = Cow::Borrowed("");
    let mut bytes: &[u8] = b"";
    let mut reader = ProtobufReader { rest: message };
    while let Some((field, value)) = reader.field()? {
        if field == name_field {
            text = name(value.text()?)?;
        } else if field == data_field {
            bytes = value.bytes()?;
        }
    }
    Ok((text, data::any(bytes)))
}

fn check_fields(message: &[u8]) -> Result<(), CommandParseError> {
    let mut reader = ProtobufReader { rest: message };
    while reader.field()?.is_some() {}
    Ok(())
}

/// The wire does not tell empty from absent.
fn optional_data(bytes: &[u8]) -> Option<RawData<'_>> {
    (!bytes.is_empty()).then(|| data::any(bytes))
}

/// What is left of a message.
#[derive(Clone, Copy)]
pub(super) struct ProtobufReader<'a> {
    pub(super) rest: &'a [u8],
}

/// What stands at a field. The fixed widths occur in no field that we serve.
#[derive(Clone, Copy)]
pub(super) enum ProtobufValue<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

impl<'a> ProtobufValue<'a> {
    pub(super) fn varint(self) -> Result<u64, CommandParseError> {
        match self {
            ProtobufValue::Varint(number) => Ok(number),
            ProtobufValue::Bytes(_) | ProtobufValue::Fixed => Err(CommandParseError::Protobuf),
        }
    }

    pub(super) fn bytes(self) -> Result<&'a [u8], CommandParseError> {
        match self {
            ProtobufValue::Bytes(bytes) => Ok(bytes),
            ProtobufValue::Varint(_) | ProtobufValue::Fixed => Err(CommandParseError::Protobuf),
        }
    }

    pub(super) fn text(self) -> Result<Cow<'a, str>, CommandParseError> {
        let text =
            simdutf8::basic::from_utf8(self.bytes()?).map_err(|_| CommandParseError::Protobuf)?;
        Ok(Cow::Borrowed(text))
    }
}

impl<'a> ProtobufReader<'a> {
    /// The next field's number and value; `None` at the end of the message.
    #[inline]
    pub(super) fn field(&mut self) -> Result<Option<(u32, ProtobufValue<'a>)>, CommandParseError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = u32::try_from(self.varint()?).map_err(|_| CommandParseError::Protobuf)?;
        if key >> 3 == 0 {
            return Err(CommandParseError::Protobuf);
        }
        let value = match key & 7 {
            0 => ProtobufValue::Varint(self.varint()?),
            1 => self.take(8).map(|_| ProtobufValue::Fixed)?,
            2 => ProtobufValue::Bytes(self.delimited()?),
            5 => self.take(4).map(|_| ProtobufValue::Fixed)?,
            _ => return Err(CommandParseError::Protobuf),
        };
        Ok(Some((key >> 3, value)))
    }

    /// Bytes behind their length.
    #[inline]
    pub(super) fn delimited(&mut self) -> Result<&'a [u8], CommandParseError> {
        let length = usize::try_from(self.varint()?).map_err(|_| CommandParseError::Length)?;
        self.take(length)
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, CommandParseError> {
        // Keys and most lengths.
        if let [byte @ 0..0x80, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        let mut number = 0;
        for (index, &byte) in self.rest.iter().enumerate() {
            // The tenth byte holds the 64th bit and nothing else.
            if index == 9 && byte > 1 {
                return Err(CommandParseError::Protobuf);
            }
            number |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.rest = &self.rest[index + 1..];
                return Ok(number);
            }
        }
        Err(CommandParseError::Protobuf)
    }

    #[inline]
    fn take(&mut self, count: usize) -> Result<&'a [u8], CommandParseError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(CommandParseError::Length)?;
        self.rest = rest;
        Ok(taken)
    }
}
