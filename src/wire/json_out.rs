//! Messages as JSON text.
//!
//! Members stand in the protocol's order, those that are zero are left out, and
//! application data that is JSON goes in place. Nothing written here holds a
//! line feed, so a line of a frame is one message.

use bytes::{BufMut, BytesMut};

use super::names::told_epoch;
use super::types::{
    Answer, ClientInfo, ConnectResult, Message, Payload, Publication, PublicationForm, Push,
    SubscribeResult,
};

/// Appends one object.
pub(super) fn message(message: &Message<'_>, out: &mut BytesMut) {
    object(out, |reply| match message {
        Message::Reply { id, answer } => {
            reply.number("id", u64::from(*id));
            put_answer(answer, reply);
        }
        Message::Push { channel, push } => reply.object("push", |members| {
            members.text_if_any("channel", channel);
            put_push(push, members);
        }),
        Message::CompactPush { channel_id, push } => reply.object("push", |members| {
            members.number("id", u64::from(*channel_id));
            put_push(push, members);
        }),
        Message::Ping => {}
    });
}

fn put_answer(answer: &Answer<'_>, reply: &mut JsonMembers<'_>) {
    match answer {
        Answer::Error(code) => reply.object("error", |error| put_error(code.parts(), error)),
        Answer::Wrong(field) => reply.object("error", |error| put_error(field.parts(), error)),
        Answer::BackendError(error) => {
            reply.object("error", |members| put_error(error.parts(), members));
        }
        Answer::Connect(result) => reply.object("connect", |members| put_connect(result, members)),
        Answer::Subscribe(result) => {
            reply.object("subscribe", |members| put_subscribe(result, members));
        }
        Answer::Unsubscribe => reply.object("unsubscribe", |_| {}),
        Answer::Publish => reply.object("publish", |_| {}),
        Answer::Presence { clients } => reply.object("presence", |result| {
            result.object("presence", |by_client| {
                for (info, chan_info) in *clients {
                    let client = info.client.text();
                    by_client.object_at(&client, |members| {
                        put_info(info, chan_info.as_deref(), members);
                    });
                }
            });
        }),
        Answer::PresenceStats { num_clients, num_users } => {
            reply.object("presence_stats", |result| {
                result.number("num_clients", u64::from(*num_clients));
                result.number("num_users", u64::from(*num_users));
            });
        }
        Answer::History { publications, position } => reply.object("history", |result| {
            result.list_if_any("publications", publications, |publication, members| {
                put_publication(publication, members);
            });
            result.ascii("epoch", &position.epoch.text());
            result.number_if_any("offset", position.offset);
        }),
        Answer::Ping => reply.object("ping", |_| {}),
        Answer::Rpc { data } => reply.object("rpc", |result| {
            // A method of an application may have nothing to say.
            if !data.bytes.is_empty() {
                result.data("data", data);
            }
        }),
        Answer::Refresh { client, expires_in_s } => reply.object("refresh", |result| {
            result.ascii("client", &client.text());
            put_expiry(*expires_in_s, result);
        }),
        Answer::SubRefresh { expires_in_s } => {
            reply.object("sub_refresh", |result| put_expiry(*expires_in_s, result));
        }
    }
}

fn put_push(push: &Push<'_>, members: &mut JsonMembers<'_>) {
    match push {
        Push::Publication(publication, form) => {
            members.object("pub", |members| put_publication_as(*form, publication, members));
        }
        Push::Join { info, chan_info } => members.object("join", |join| {
            join.object("info", |members| put_info(info, *chan_info, members));
        }),
        Push::Leave { info, chan_info } => members.object("leave", |leave| {
            leave.object("info", |members| put_info(info, *chan_info, members));
        }),
        Push::Unsubscribe { code, reason } => members.object("unsubscribe", |members| {
            members.number("code", u64::from(*code));
            members.text_if_any("reason", reason);
        }),
        Push::Subscribe(result) => members.object("subscribe", |members| {
            members.flags([("recoverable", result.recoverable)]);
            if let Some(position) = result.position {
                members.ascii("epoch", &told_epoch(position.epoch, result.seal));
                members.number_if_any("offset", position.offset);
            }
            members.flags([("positioned", result.positioned)]);
            if let Some(data) = result.data {
                members.data("data", data);
            }
        }),
        Push::Message { data } => members.object("message", |members| members.data("data", data)),
    }
}

fn put_error(parts: (u32, &str, bool), members: &mut JsonMembers<'_>) {
    let (number, text, is_temporary) = parts;
    members.number("code", u64::from(number));
    members.text_if_any("message", text);
    members.flags([("temporary", is_temporary)]);
}

fn put_connect(result: &ConnectResult<'_>, members: &mut JsonMembers<'_>) {
    members.ascii("client", &result.client.text());
    members.text_if_any("version", result.version);
    put_expiry(result.expires_in_s, members);
    if let Some(data) = result.data {
        members.data("data", data);
    }
    if !result.subs.is_empty() {
        members.object("subs", |by_channel| {
            for (channel, sub) in &result.subs {
                by_channel.object_at(channel.as_bytes(), |members| put_subscribe(sub, members));
            }
        });
    }
    members.number_if_any("ping", u64::from(result.ping_s));
    members.flags([("pong", result.pong)]);
    members.text_if_any("node", result.node);
    members.number_if_any("time", result.time_unix_ms);
}

fn put_subscribe(result: &SubscribeResult<'_>, members: &mut JsonMembers<'_>) {
    put_expiry(result.expires_in_s, members);
    members.flags([("recoverable", result.recoverable)]);
    if let Some(position) = result.position {
        members.ascii("epoch", &told_epoch(position.epoch, result.seal));
    }
    let form = result.publication_form();
    members.list_if_any("publications", result.publications, |publication, members| {
        put_publication_as(form, publication, members);
    });
    members.flags([("recovered", result.recovered)]);
    if let Some(position) = result.position {
        members.number_if_any("offset", position.offset);
    }
    members.flags([("positioned", result.positioned)]);
    if let Some(data) = result.data {
        members.data("data", data);
    }
    members.flags([("was_recovering", result.was_recovering), ("delta", result.has_deltas)]);
    members.number_if_any("id", u64::from(result.channel_id));
}

fn put_expiry(expires_in_s: Option<u32>, members: &mut JsonMembers<'_>) {
    if let Some(ttl_s) = expires_in_s {
        members.flags([("expires", true)]);
        members.number_if_any("ttl", u64::from(ttl_s));
    }
}

pub(super) fn put_publication(publication: &Publication, members: &mut JsonMembers<'_>) {
    put_publication_as(PublicationForm::Plain, publication, members);
}

fn put_publication_as(
    form: PublicationForm<'_>,
    publication: &Publication,
    members: &mut JsonMembers<'_>,
) {
    match form {
        PublicationForm::Plain => members.data("data", &publication.data),
        PublicationForm::Whole => members.data_text("data", &publication.data),
        PublicationForm::Delta(delta) => {
            members.key("data");
            put_text(members.out, delta);
        }
    }
    if let Some(info) = &publication.info {
        members.object("info", |members| {
            put_info(info, publication.chan_info.as_deref(), members);
        });
    }
    members.number_if_any("offset", publication.offset);
    if !publication.tags.is_empty() {
        members.object("tags", |tags| {
            for (name, value) in &publication.tags {
                tags.key_at(name.as_bytes());
                put_text(tags.out, value.as_bytes());
            }
        });
    }
    members.flags([("delta", matches!(form, PublicationForm::Delta(_)))]);
    members.number_if_any("time", publication.time_unix_ms);
}

/// `user` stands there even when empty: SDKs hand it on as a text.
pub(super) fn put_info(
    info: &ClientInfo,
    chan_info: Option<&Payload>,
    members: &mut JsonMembers<'_>,
) {
    members.text("user", &info.user);
    members.ascii("client", &info.client.text());
    if let Some(conn_info) = &info.conn_info {
        members.data("conn_info", conn_info);
    }
    if let Some(chan_info) = chan_info {
        members.data("chan_info", chan_info);
    }
}

/// Appends an object with the members that `fill` writes.
#[inline]
pub(super) fn object(out: &mut BytesMut, fill: impl FnOnce(&mut JsonMembers<'_>)) {
    out.put_u8(b'{');
    fill(&mut JsonMembers { out, is_first: true });
    out.put_u8(b'}');
}

/// The inside of an object.
pub(super) struct JsonMembers<'o> {
    out: &'o mut BytesMut,
    is_first: bool,
}

impl JsonMembers<'_> {
    /// Names of our own: they need no escapes.
    #[inline]
    fn key(&mut self, name: &'static str) {
        self.comma();
        self.out.extend_from_slice(b"\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// Names of others.
    fn key_at(&mut self, name: &[u8]) {
        self.comma();
        put_text(self.out, name);
        self.out.put_u8(b':');
    }

    #[inline]
    fn comma(&mut self) {
        if !self.is_first {
            self.out.put_u8(b',');
        }
        self.is_first = false;
    }

    #[inline]
    pub(super) fn object(&mut self, name: &'static str, fill: impl FnOnce(&mut JsonMembers<'_>)) {
        self.key(name);
        object(self.out, fill);
    }

    pub(super) fn object_at(&mut self, name: &[u8], fill: impl FnOnce(&mut JsonMembers<'_>)) {
        self.key_at(name);
        object(self.out, fill);
    }

    fn list_if_any<T>(
        &mut self,
        name: &'static str,
        items: &[T],
        fill: impl FnMut(&T, &mut JsonMembers<'_>),
    ) {
        if !items.is_empty() {
            self.list(name, items, fill);
        }
    }

    pub(super) fn list<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut fill: impl FnMut(T, &mut JsonMembers<'_>),
    ) {
        self.key(name);
        self.out.put_u8(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if 0 < index {
                self.out.put_u8(b',');
            }
            object(self.out, |members| fill(item, members));
        }
        self.out.put_u8(b']');
    }

    /// A list of texts.
    pub(super) fn texts(&mut self, name: &'static str, texts: &[impl AsRef<str>]) {
        self.key(name);
        self.out.put_u8(b'[');
        for (index, text) in texts.iter().enumerate() {
            if 0 < index {
                self.out.put_u8(b',');
            }
            put_text(self.out, text.as_ref().as_bytes());
        }
        self.out.put_u8(b']');
    }

    #[inline]
    pub(super) fn number(&mut self, name: &'static str, number: u64) {
        self.key(name);
        put_number(self.out, number);
    }

    #[inline]
    pub(super) fn number_if_any(&mut self, name: &'static str, number: u64) {
        if number != 0 {
            self.number(name, number);
        }
    }

    pub(super) fn signed(&mut self, name: &'static str, number: i32) {
        self.key(name);
        if number < 0 {
            self.out.put_u8(b'-');
        }
        put_number(self.out, u64::from(number.unsigned_abs()));
    }

    /// Only what is set is written.
    #[inline]
    pub(super) fn flags<const N: usize>(&mut self, flags: [(&'static str, bool); N]) {
        for (name, is_set) in flags {
            if is_set {
                self.key(name);
                self.out.extend_from_slice(b"true");
            }
        }
    }

    #[inline]
    pub(super) fn text(&mut self, name: &'static str, text: &str) {
        self.key(name);
        put_text(self.out, text.as_bytes());
    }

    /// The same under a name of others.
    pub(super) fn text_at(&mut self, name: &[u8], text: &str) {
        self.key_at(name);
        put_text(self.out, text.as_bytes());
    }

    #[inline]
    pub(super) fn text_if_any(&mut self, name: &'static str, text: &str) {
        if !text.is_empty() {
            self.text(name, text);
        }
    }

    /// A text of letters, digits and dashes.
    #[inline]
    pub(super) fn ascii(&mut self, name: &'static str, text: &[u8]) {
        self.key(name);
        self.out.put_u8(b'"');
        self.out.extend_from_slice(text);
        self.out.put_u8(b'"');
    }

    #[inline]
    fn data(&mut self, name: &'static str, data: &Payload) {
        match data.is_json {
            true => self.json(name, &data.bytes),
            false => self.base64(name, &data.bytes),
        }
    }

    /// What `data` writes, as a string.
    fn data_text(&mut self, name: &'static str, data: &Payload) {
        self.key(name);
        if data.is_json {
            put_text(self.out, &data.bytes);
        } else {
            self.out.extend_from_slice(br#""\""#);
            put_base64(self.out, &data.bytes);
            self.out.extend_from_slice(br#"\"""#);
        }
    }

    /// JSON in place.
    #[inline]
    pub(super) fn json(&mut self, name: &'static str, json: &[u8]) {
        self.key(name);
        debug_assert!(!json.contains(&b'\n'), "a line feed would cut the frame");
        self.out.extend_from_slice(json);
    }

    /// Anything else, as base64 text.
    #[inline]
    pub(super) fn base64(&mut self, name: &'static str, bytes: &[u8]) {
        self.key(name);
        self.out.put_u8(b'"');
        put_base64(self.out, bytes);
        self.out.put_u8(b'"');
    }
}

#[inline]
fn put_number(out: &mut BytesMut, mut number: u64) {
    // 2^64 has 20 digits.
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// What a byte becomes inside a text: 0 stands for itself, `u` for `\u00XX`,
/// anything else for a backslash and that letter.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut control = 0;
    while control < 0x20 {
        escapes[control] = b'u';
        control += 1;
    }
    escapes[0x08] = b'b';
    escapes[0x09] = b't';
    escapes[0x0a] = b'n';
    escapes[0x0c] = b'f';
    escapes[0x0d] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

/// `text` is UTF-8: what is not escaped goes as it is, U+2028 too.
fn put_text(out: &mut BytesMut, text: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.put_u8(b'"');
    let mut rest = text;
    while let Some(index) = rest.iter().position(|&byte| ESCAPES[usize::from(byte)] != 0) {
        let byte = rest[index];
        out.extend_from_slice(&rest[..index]);
        match ESCAPES[usize::from(byte)] {
            b'u' => {
                let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
        rest = &rest[index + 1..];
    }
    out.extend_from_slice(rest);
    out.put_u8(b'"');
}

/// RFC 4648, section 4, with padding.
fn put_base64(out: &mut BytesMut, bytes: &[u8]) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.reserve(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let mut letters = [18, 12, 6, 0].map(|shift| LETTERS[(bits >> shift & 0x3f) as usize]);
        letters[group.len() + 1..].fill(b'=');
        out.extend_from_slice(&letters);
    }
}
