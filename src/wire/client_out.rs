//! The client's commands as bytes.

use bytes::BytesMut;

use super::json_out::{self, JsonMembers};
use super::protobuf_out::{self, ProtobufFields};
use super::types::{ConnectRequest, DELTA_FORMAT, Encoding, RawData, Request, SubscribeRequest};

/// Appends one command. Several of one frame need `separate` between them.
/// `Pong` is the empty command, whatever `id` says.
pub fn put_command(encoding: Encoding, id: u32, request: &Request<'_>, out: &mut BytesMut) {
    match encoding {
        Encoding::Json => json_out::object(out, |command| {
            if *request != Request::Pong {
                command.number_if_any("id", u64::from(id));
            }
            put_json(request, command);
        }),
        Encoding::Protobuf => protobuf_out::delimited(out, |command| {
            if *request != Request::Pong {
                command.number(1, u64::from(id));
            }
            put_protobuf(request, command);
        }),
    }
}

fn put_json(request: &Request<'_>, command: &mut JsonMembers<'_>) {
    let channel_only = |command: &mut JsonMembers<'_>, name: &'static str, channel: &str| {
        command.object(name, |members| members.text_if_any("channel", channel));
    };
    match request {
        Request::Connect(connect) => {
            command.object("connect", |members| put_json_connect(connect, members));
        }
        Request::Subscribe(subscribe) => command.object("subscribe", |members| {
            members.text_if_any("channel", &subscribe.channel);
            put_json_subscribe(subscribe, members);
        }),
        Request::Unsubscribe { channel } => channel_only(command, "unsubscribe", channel),
        Request::Publish { channel, data } => command.object("publish", |members| {
            members.text_if_any("channel", channel);
            put_json_data(Some(data), members);
        }),
        Request::Presence { channel } => channel_only(command, "presence", channel),
        Request::PresenceStats { channel } => {
            channel_only(command, "presence_stats", channel);
        }
        Request::History(history) => command.object("history", |members| {
            members.text_if_any("channel", &history.channel);
            if history.limit != 0 {
                members.signed("limit", history.limit);
            }
            if let Some((offset, epoch)) = &history.since {
                members.object("since", |since| {
                    since.number_if_any("offset", *offset);
                    since.text_if_any("epoch", epoch);
                });
            }
            members.flags([("reverse", history.reverse)]);
        }),
        Request::Ping => command.object("ping", |_| {}),
        Request::Send { data } => command.object("send", |members| {
            put_json_data(Some(data), members);
        }),
        Request::Rpc { method, data } => command.object("rpc", |members| {
            put_json_data(Some(data), members);
            members.text_if_any("method", method);
        }),
        Request::Refresh { token } => command.object("refresh", |members| {
            members.text_if_any("token", token);
        }),
        Request::SubRefresh { channel, token } => command.object("sub_refresh", |members| {
            members.text_if_any("channel", channel);
            members.text_if_any("token", token);
        }),
        Request::Pong | Request::Unknown => {}
    }
}

fn put_json_connect(connect: &ConnectRequest<'_>, members: &mut JsonMembers<'_>) {
    members.text_if_any("token", &connect.token);
    put_json_data(connect.data.as_ref(), members);
    if !connect.subs.is_empty() {
        members.object("subs", |subs| {
            for sub in &connect.subs {
                subs.object_at(sub.channel.as_bytes(), |members| {
                    put_json_subscribe(sub, members);
                });
            }
        });
    }
    members.text_if_any("name", &connect.name);
    members.text_if_any("version", &connect.version);
    if !connect.headers.is_empty() {
        members.object("headers", |headers| {
            for (name, text) in &connect.headers {
                headers.text_at(name.as_bytes(), text);
            }
        });
    }
}

fn put_json_subscribe(subscribe: &SubscribeRequest<'_>, members: &mut JsonMembers<'_>) {
    members.text_if_any("token", &subscribe.token);
    members.flags([("recover", subscribe.recover)]);
    members.text_if_any("epoch", &subscribe.epoch);
    members.number_if_any("offset", subscribe.offset);
    put_json_data(subscribe.data.as_ref(), members);
    members.flags([
        ("positioned", subscribe.positioned),
        ("recoverable", subscribe.recoverable),
        ("join_leave", subscribe.join_leave),
    ]);
    members.text_if_any("delta", if subscribe.takes_deltas { DELTA_FORMAT } else { "" });
    if let Some(filter) = &subscribe.tag_filter {
        members.json("tf", &filter.bytes);
    }
    members.number_if_any("flag", subscribe.flags.number());
}

fn put_json_data(data: Option<&RawData<'_>>, members: &mut JsonMembers<'_>) {
    if let Some(data) = data.filter(|data| data.is_json || !data.bytes.is_empty()) {
        match data.is_json {
            true => members.json("data", &data.bytes),
            false => members.base64("data", &data.bytes),
        }
    }
}

fn put_protobuf(request: &Request<'_>, command: &mut ProtobufFields<'_>) {
    match request {
        Request::Connect(connect) => command.message(4, |fields| {
            fields.text(1, &connect.token);
            put_protobuf_data(2, connect.data.as_ref(), fields);
            for sub in &connect.subs {
                fields.message(3, |entry| {
                    entry.text(1, &sub.channel);
                    entry.message(2, |fields| put_protobuf_subscribe(sub, fields));
                });
            }
            fields.text(4, &connect.name);
            fields.text(5, &connect.version);
            for (name, text) in &connect.headers {
                fields.message(6, |entry| {
                    entry.text(1, name);
                    entry.text(2, text);
                });
            }
        }),
        Request::Subscribe(subscribe) => command.message(5, |fields| {
            fields.text(1, &subscribe.channel);
            put_protobuf_subscribe(subscribe, fields);
        }),
        Request::Unsubscribe { channel } => command.message(6, |fields| fields.text(1, channel)),
        Request::Publish { channel, data } => command.message(7, |fields| {
            fields.text(1, channel);
            fields.bytes(2, &data.bytes);
        }),
        Request::Presence { channel } => command.message(8, |fields| fields.text(1, channel)),
        Request::PresenceStats { channel } => command.message(9, |fields| fields.text(1, channel)),
        Request::History(history) => command.message(10, |fields| {
            fields.text(1, &history.channel);
            fields.number(7, i64::from(history.limit).cast_unsigned());
            if let Some((offset, epoch)) = &history.since {
                fields.message(8, |since| {
                    since.number(1, *offset);
                    since.text(2, epoch);
                });
            }
            fields.flags([(9, history.reverse)]);
        }),
        Request::Ping => command.message(11, |_| {}),
        Request::Send { data } => command.message(12, |fields| fields.bytes(1, &data.bytes)),
        Request::Rpc { method, data } => command.message(13, |fields| {
            fields.bytes(1, &data.bytes);
            fields.text(2, method);
        }),
        Request::Refresh { token } => command.message(14, |fields| fields.text(1, token)),
        Request::SubRefresh { channel, token } => command.message(15, |fields| {
            fields.text(1, channel);
            fields.text(2, token);
        }),
        Request::Pong | Request::Unknown => {}
    }
}

fn put_protobuf_subscribe(subscribe: &SubscribeRequest<'_>, fields: &mut ProtobufFields<'_>) {
    fields.text(2, &subscribe.token);
    fields.flags([(3, subscribe.recover)]);
    fields.text(6, &subscribe.epoch);
    fields.number(7, subscribe.offset);
    put_protobuf_data(8, subscribe.data.as_ref(), fields);
    fields.flags([
        (9, subscribe.positioned),
        (10, subscribe.recoverable),
        (11, subscribe.join_leave),
    ]);
    fields.text(12, if subscribe.takes_deltas { DELTA_FORMAT } else { "" });
    if let Some(filter) = &subscribe.tag_filter {
        // A message is there even when it is empty.
        match filter.bytes.is_empty() {
            true => fields.message(13, |_| {}),
            false => fields.bytes(13, &filter.bytes),
        }
    }
    fields.number(14, subscribe.flags.number());
}

fn put_protobuf_data(field: u32, data: Option<&RawData<'_>>, fields: &mut ProtobufFields<'_>) {
    if let Some(data) = data {
        fields.bytes(field, &data.bytes);
    }
}
