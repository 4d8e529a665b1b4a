//! The protocol from bytes nobody would send, in both encodings, and the data of chat methods.

use bytes::BytesMut;
use prost::Message as _;
use rookery::base::limits;
use rookery::wire::chat::{ChatMessage, ChatRequest, Method};
use rookery::wire::{self, Command, Encoding, RawData, Request, client};
use serde::de::IgnoredAny;

/// Any frame: no panic, limits kept, data that claims to be JSON is one line of
/// JSON, and what was understood is understood the same when it is said again.
pub fn wire_json(bytes: &[u8]) {
    read(Encoding::Json, bytes);
}

/// As `wire_json`; and where the generated types understand the first command,
/// they agree on its id.
pub fn wire_protobuf(bytes: &[u8]) {
    read(Encoding::Protobuf, bytes);
    let by_us = wire::commands(Encoding::Protobuf, bytes).next();
    let by_prost = client::proto::Command::decode_length_delimited(bytes);
    if let (Some(Ok(by_us)), Ok(by_prost)) = (by_us, by_prost) {
        assert_eq!(by_us.id, by_prost.id);
    }
}

/// Any data of a chat method (the first byte says which): no panic, and what was
/// understood keeps its limits.
pub fn wire_chat(bytes: &[u8]) {
    let Some((&first, data)) = bytes.split_first() else { return };
    let method = Method::ALL[usize::from(first) % Method::ALL.len()];
    let Ok(verb) = method.read(data) else { return };
    match verb {
        ChatRequest::Publish { channel, said } => {
            check_name(&channel);
            check_said(&said);
        }
        ChatRequest::Send { to, said, ttl_s } => {
            check_name(&to);
            assert!(!to.contains([',', '#']) && ttl_s != Some(0));
            check_said(&said);
        }
        ChatRequest::Ack { channel, .. }
        | ChatRequest::Read { channel, .. }
        | ChatRequest::Typing { channel } => {
            check_name(&channel);
        }
        ChatRequest::Retract { channel, offset } => {
            check_name(&channel);
            assert!(0 < offset);
        }
        ChatRequest::Edit { channel, offset, said } => {
            check_name(&channel);
            assert!(0 < offset);
            check_said(&said);
        }
        ChatRequest::React { channel, offset, value } => {
            check_name(&channel);
            assert!(0 < offset && value.is_none_or(|value| wire::chat::reaction_is_valid(&value)));
        }
        ChatRequest::Reactions { channel, offsets } => {
            check_name(&channel);
            assert!((1..=limits::REACTION_OFFSETS_MAX).contains(&offsets.len()));
            assert!(offsets.iter().all(|&offset| 0 < offset) && offsets.is_sorted());
        }
        ChatRequest::ChangeRoster { channel, action: _, member } => {
            check_name(&channel);
            member.iter().for_each(|member| check_name(member));
        }
        ChatRequest::Mute { channel, mute_s } => {
            check_name(&channel);
            assert!(mute_s.is_none_or(|mute_s| mute_s <= limits::MUTE_S_MAX));
        }
        ChatRequest::Receipts { channel, after, limit }
        | ChatRequest::Roster { channel, after, limit } => {
            check_name(&channel);
            check_page(&after, limit);
        }
        ChatRequest::History { channels, limit, reverse: _ } => {
            assert!((1..=limits::HISTORY_CHANNELS_MAX).contains(&channels.len()));
            channels.iter().for_each(|one| check_name(&one.channel));
            check_page("", limit);
        }
        ChatRequest::Rooms { after, limit } => check_page(&after, limit),
        ChatRequest::Members { channel, limit, .. } => {
            check_name(&channel);
            check_page("", limit);
        }
    }
}

fn check_name(name: &str) {
    assert!(wire::channel_is_valid(name));
}

fn check_page(after: &str, limit: u32) {
    assert!(after.is_empty() || wire::channel_is_valid(after));
    assert!((1..=limits::PAGE_MAX).contains(&limit));
}

fn check_said(said: &ChatMessage<'_>) {
    let data = &said.data;
    assert!(data.is_json && !data.bytes.contains(&b'\n') && !data.bytes.contains(&b'\r'));
    serde_json::from_slice::<IgnoredAny>(&data.bytes).expect("it claims to be JSON");
    for text in [&said.id, &said.traceparent].into_iter().flatten() {
        assert!((1..=limits::MESSAGE_ID_BYTES_MAX).contains(&text.len()));
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}

fn read(encoding: Encoding, bytes: &[u8]) {
    client::messages(encoding, bytes).for_each(drop);
    client::publications(encoding, bytes).for_each(drop);
    let mut counts = (0, 0);
    for command in wire::commands(encoding, bytes) {
        match command {
            Ok(command) => {
                counts.0 += 1;
                check(encoding, command);
            }
            Err(_) => counts.1 += 1,
        }
    }
    assert!(counts.0 <= limits::COMMANDS_PER_MESSAGE_MAX && counts.1 <= 1);
    assert!(counts.0 + counts.1 > 0);
}

fn check(encoding: Encoding, command: Command<'_>) {
    if let Some(data) = data_of(&command.request).filter(|data| data.is_json) {
        assert!(!data.bytes.contains(&b'\n') && !data.bytes.contains(&b'\r'));
        serde_json::from_slice::<IgnoredAny>(&data.bytes).expect("it claims to be JSON");
    }
    let mut again = BytesMut::new();
    client::put_command(encoding, command.id, &command.request, &mut again);
    assert_eq!(wire::commands(encoding, &again).next(), Some(Ok(command)));
}

fn data_of<'a>(request: &'a Request<'a>) -> Option<&'a RawData<'a>> {
    match request {
        Request::Connect(connect) => connect.data.as_ref(),
        Request::Subscribe(subscribe) => subscribe.data.as_ref(),
        Request::Publish { data, .. } | Request::Send { data } | Request::Rpc { data, .. } => {
            Some(data)
        }
        Request::Unsubscribe { .. }
        | Request::Presence { .. }
        | Request::PresenceStats { .. }
        | Request::History(_)
        | Request::Ping
        | Request::Refresh { .. }
        | Request::SubRefresh { .. }
        | Request::Pong
        | Request::Unknown => None,
    }
}
