//! Messages as Protobuf bytes.
//!
//! Each message is described once, as a function that puts its fields into a
//! `ProtobufFields`. A nested message needs its length before its bytes, so its
//! function runs twice: first counting, then writing. Thus lengths cannot
//! disagree with what they announce, and nothing is built in between.
//!
//! The generated types would need an owned text for each name; they are the
//! tests' oracle. Field numbers are those of `proto/client.proto`.

use bytes::BytesMut;

use super::names::told_epoch;
use super::types::{
    Answer, ClientInfo, ConnectResult, Message, Payload, Publication, PublicationForm, Push,
    SubscribeResult,
};

/// Appends one message behind its length.
pub(super) fn message(message: &Message<'_>, out: &mut BytesMut) {
    delimited(out, |reply| match message {
        Message::Reply { id, answer } => {
            reply.number(1, u64::from(*id));
            put_answer(answer, reply);
        }
        Message::Push { channel, push } => reply.message(4, |fields| {
            fields.text(2, channel);
            put_push(push, fields);
        }),
        Message::CompactPush { channel_id, push } => reply.message(4, |fields| {
            fields.number(1, u64::from(*channel_id));
            put_push(push, fields);
        }),
        Message::Ping => {}
    });
}

fn put_answer(answer: &Answer<'_>, reply: &mut ProtobufFields<'_>) {
    match answer {
        Answer::Error(code) => reply.message(2, |error| put_error(code.parts(), error)),
        Answer::Wrong(field) => reply.message(2, |error| put_error(field.parts(), error)),
        Answer::BackendError(error) => {
            reply.message(2, |fields| put_error(error.parts(), fields));
        }
        Answer::Connect(result) => reply.message(5, |fields| put_connect(result, fields)),
        Answer::Subscribe(result) => reply.message(6, |fields| put_subscribe(result, fields)),
        Answer::Unsubscribe => reply.message(7, |_| {}),
        Answer::Publish => reply.message(8, |_| {}),
        Answer::Presence { clients } => reply.message(9, |result| {
            for (info, chan_info) in *clients {
                result.message(1, |entry| {
                    entry.bytes(1, &info.client.text());
                    entry.message(2, |fields| put_info(info, chan_info.as_deref(), fields));
                });
            }
        }),
        Answer::PresenceStats { num_clients, num_users } => reply.message(10, |result| {
            result.number(1, u64::from(*num_clients));
            result.number(2, u64::from(*num_users));
        }),
        Answer::History { publications, position } => reply.message(11, |result| {
            for publication in *publications {
                let form = PublicationForm::Plain;
                result.message(1, |fields| put_publication(publication, form, fields));
            }
            result.bytes(2, &position.epoch.text());
            result.number(3, position.offset);
        }),
        Answer::Ping => reply.message(12, |_| {}),
        Answer::Rpc { data } => reply.message(13, |result| result.bytes(1, &data.bytes)),
        Answer::Refresh { client, expires_in_s } => reply.message(14, |result| {
            result.bytes(1, &client.text());
            put_expiry(*expires_in_s, 3, result);
        }),
        Answer::SubRefresh { expires_in_s } => {
            reply.message(15, |result| put_expiry(*expires_in_s, 1, result));
        }
    }
}

fn put_push(push: &Push<'_>, fields: &mut ProtobufFields<'_>) {
    match push {
        Push::Publication(publication, form) => {
            fields.message(4, |fields| put_publication(publication, *form, fields));
        }
        Push::Join { info, chan_info } => fields.message(5, |join| {
            join.message(1, |fields| put_info(info, *chan_info, fields));
        }),
        Push::Leave { info, chan_info } => fields.message(6, |leave| {
            leave.message(1, |fields| put_info(info, *chan_info, fields));
        }),
        Push::Unsubscribe { code, reason } => fields.message(7, |fields| {
            fields.number(2, u64::from(*code));
            fields.text(3, reason);
        }),
        Push::Message { data } => fields.message(8, |fields| fields.bytes(1, &data.bytes)),
        Push::Subscribe(result) => fields.message(9, |fields| {
            fields.flags([(1, result.recoverable)]);
            put_position(result, (4, 5), fields);
            fields.flags([(6, result.positioned)]);
            if let Some(data) = result.data {
                fields.bytes(7, &data.bytes);
            }
        }),
    }
}

fn put_error(parts: (u32, &str, bool), error: &mut ProtobufFields<'_>) {
    let (number, text, is_temporary) = parts;
    error.number(1, u64::from(number));
    error.text(2, text);
    error.flags([(3, is_temporary)]);
}

fn put_connect(result: &ConnectResult<'_>, fields: &mut ProtobufFields<'_>) {
    fields.bytes(1, &result.client.text());
    fields.text(2, result.version);
    put_expiry(result.expires_in_s, 3, fields);
    if let Some(data) = result.data {
        fields.bytes(5, &data.bytes);
    }
    for (channel, sub) in &result.subs {
        fields.message(6, |entry| {
            entry.text(1, channel);
            entry.message(2, |fields| put_subscribe(sub, fields));
        });
    }
    fields.number(7, u64::from(result.ping_s));
    fields.flags([(8, result.pong)]);
    fields.text(10, result.node);
    fields.number(11, result.time_unix_ms);
}

fn put_subscribe(result: &SubscribeResult<'_>, fields: &mut ProtobufFields<'_>) {
    put_expiry(result.expires_in_s, 1, fields);
    fields.flags([(3, result.recoverable)]);
    put_position(result, (6, 9), fields);
    let form = result.publication_form();
    for publication in result.publications {
        fields.message(7, |fields| put_publication(publication, form, fields));
    }
    fields.flags([(8, result.recovered), (10, result.positioned)]);
    if let Some(data) = result.data {
        fields.bytes(11, &data.bytes);
    }
    fields.flags([(12, result.was_recovering), (13, result.has_deltas)]);
    fields.number(14, u64::from(result.channel_id));
}

/// `numbers` are the fields of epoch and offset.
fn put_position(
    result: &SubscribeResult<'_>,
    numbers: (u32, u32),
    fields: &mut ProtobufFields<'_>,
) {
    if let Some(position) = result.position {
        fields.bytes(numbers.0, &told_epoch(position.epoch, result.seal));
        fields.number(numbers.1, position.offset);
    }
}

/// `first` is the field that says whether there is an end; its time follows.
fn put_expiry(expires_in_s: Option<u32>, first: u32, fields: &mut ProtobufFields<'_>) {
    if let Some(ttl_s) = expires_in_s {
        fields.flags([(first, true)]);
        fields.number(first + 1, u64::from(ttl_s));
    }
}

#[inline]
fn put_publication(
    publication: &Publication,
    form: PublicationForm<'_>,
    fields: &mut ProtobufFields<'_>,
) {
    match form {
        PublicationForm::Plain | PublicationForm::Whole => {
            fields.bytes(4, &publication.data.bytes);
        }
        PublicationForm::Delta(delta) => fields.bytes(4, delta),
    }
    if let Some(info) = &publication.info {
        fields.message(5, |fields| put_info(info, publication.chan_info.as_deref(), fields));
    }
    fields.number(6, publication.offset);
    for (name, value) in &publication.tags {
        fields.message(7, |entry| {
            entry.text(1, name);
            entry.text(2, value);
        });
    }
    fields.flags([(8, matches!(form, PublicationForm::Delta(_)))]);
    fields.number(9, publication.time_unix_ms);
}

fn put_info(info: &ClientInfo, chan_info: Option<&Payload>, fields: &mut ProtobufFields<'_>) {
    fields.text(1, &info.user);
    fields.written(2, || info.client.text());
    if let Some(conn_info) = &info.conn_info {
        fields.bytes(3, &conn_info.bytes);
    }
    if let Some(chan_info) = chan_info {
        fields.bytes(4, &chan_info.bytes);
    }
}

/// Appends a message's length, then the message.
#[inline]
pub(super) fn delimited(out: &mut BytesMut, put: impl Fn(&mut ProtobufFields<'_>)) {
    let length = counted(&put);
    // The length itself takes at most 10.
    out.reserve(length + 10);
    let mut fields = ProtobufFields { out: Some(out), length: 0 };
    fields.varint(length as u64);
    put(&mut fields);
}

#[inline]
fn counted(put: impl Fn(&mut ProtobufFields<'_>)) -> usize {
    let mut counter = ProtobufFields { out: None, length: 0 };
    put(&mut counter);
    counter.length
}

/// Where fields go: into a buffer, or nowhere but into the count.
///
/// Fields with the value that proto3 takes as absent are not written, except
/// for messages, which are there even when empty.
pub(super) struct ProtobufFields<'o> {
    out: Option<&'o mut BytesMut>,
    /// Bytes counted; not kept where they are written.
    length: usize,
}

const VARINT: u32 = 0;
const DELIMITED: u32 = 2;

impl ProtobufFields<'_> {
    #[inline]
    pub(super) fn number(&mut self, field: u32, number: u64) {
        if number != 0 {
            self.varint(u64::from(field << 3 | VARINT));
            self.varint(number);
        }
    }

    #[inline]
    pub(super) fn flags<const N: usize>(&mut self, flags: [(u32, bool); N]) {
        for (field, is_set) in flags {
            self.number(field, u64::from(is_set));
        }
    }

    #[inline]
    pub(super) fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    #[inline]
    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.varint(u64::from(field << 3 | DELIMITED));
            self.varint(bytes.len() as u64);
            self.put(bytes);
        }
    }

    /// Bytes of a known length, made only where they are put: a message's length
    /// is counted once for each message around it.
    #[inline]
    pub(super) fn written<const N: usize>(&mut self, field: u32, make: impl FnOnce() -> [u8; N]) {
        const { assert!(0 < N) };
        self.varint(u64::from(field << 3 | DELIMITED));
        self.varint(N as u64);
        match self.out {
            Some(_) => self.put(&make()),
            None => self.length += N,
        }
    }

    #[inline]
    pub(super) fn message(&mut self, field: u32, put: impl Fn(&mut ProtobufFields<'_>)) {
        let length = counted(&put);
        self.varint(u64::from(field << 3 | DELIMITED));
        self.varint(length as u64);
        match self.out {
            Some(_) => put(self),
            None => self.length += length,
        }
    }

    #[inline]
    fn varint(&mut self, number: u64) {
        if self.out.is_none() {
            // Seven bits a byte, and a byte for zero.
            self.length += (64 - (number | 1).leading_zeros() as usize).div_ceil(7);
            return;
        }
        let mut bytes = [0; 10];
        let mut count = 0;
        let mut rest = number;
        while rest >= 0x80 {
            bytes[count] = rest as u8 | 0x80;
            rest >>= 7;
            count += 1;
        }
        bytes[count] = rest as u8;
        self.put(&bytes[..=count]);
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        match &mut self.out {
            Some(out) => out.extend_from_slice(bytes),
            None => self.length += bytes.len(),
        }
    }
}
