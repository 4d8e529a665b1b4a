//! Numbers at the ends of what they can be, in every command that has one.

use super::*;
use crate::wire::client::put_command;
use crate::wire::{
    Command, Encoding, HistoryRequest, RawData, Request, SubscribeRequest, commands,
};

const OFFSETS: [u64; 9] = [
    0,
    1,
    2,
    u32::MAX as u64,
    u32::MAX as u64 + 1,
    i64::MAX as u64,
    i64::MAX as u64 + 1,
    u64::MAX - 1,
    u64::MAX,
];
const LIMITS: [i32; 6] = [i32::MIN, -1, 0, 1, i32::MAX - 1, i32::MAX];
const IDS: [u32; 4] = [1, 7, u32::MAX - 1, u32::MAX];

fn rpc(method: &str, data: String) -> Request<'static> {
    let data = RawData { bytes: data.into_bytes().into(), is_json: true };
    Request::Rpc { method: format!("chat.{method}").into(), data }
}

/// Every command that has a number, with this offset and this limit.
fn requests(channel: &str, epoch: &str, offset: u64, limit: i32) -> Vec<Request<'static>> {
    let text = |text: &str| text.to_owned().into();
    let mut all = vec![
        Request::Unsubscribe { channel: text(channel) },
        Request::Subscribe(SubscribeRequest {
            channel: text(channel),
            recover: true,
            offset,
            epoch: text(epoch),
            ..SubscribeRequest::default()
        }),
    ];
    for reverse in [false, true] {
        let since = Some((offset, text(epoch)));
        all.push(Request::History(HistoryRequest {
            channel: text(channel),
            limit,
            since,
            reverse,
        }));
    }
    all.push(rpc(
        "publish",
        format!(r#"{{"channel":"{channel}","data":1,"sent_at_ms":{offset}}}"#),
    ));
    all.push(rpc(
        "send",
        format!(r#"{{"to":"bob","data":1,"ttl_s":{offset},"sent_at_ms":{offset}}}"#),
    ));
    all.push(rpc(
        "ack",
        format!(r#"{{"channel":"{channel}","offset":{offset},"took_ms":{offset}}}"#),
    ));
    all.push(rpc("edit", format!(r#"{{"channel":"{channel}","offset":{offset},"data":1}}"#)));
    for method in ["read", "retract"] {
        all.push(rpc(method, format!(r#"{{"channel":"{channel}","offset":{offset}}}"#)));
    }
    for method in ["receipts", "members", "rooms"] {
        all.push(rpc(method, format!(r#"{{"channel":"{channel}","limit":{limit}}}"#)));
    }
    all
}

/// No command panics (debug builds check every sum), every one is answered, and nobody is
/// given what is not there.
#[test]
fn numbers_at_their_ends_are_answered_and_wrap_nowhere() {
    let mut world = World::new(2, |options| {
        options.session.commands_per_s = 0;
        options.session.bytes_per_s = 0;
        options.session.errors_per_s = 1_000_000;
        options.session.outbox_bytes_max = 1 << 20;
        let conversations =
            Namespace { name: "dm".to_owned(), ..options.room.namespaces[0].clone() };
        options.room.namespaces.push(conversations);
    });
    for home in 0..2 {
        let channel = world.channel_of(home);
        let ben = world.join_room(1, &channel);
        for id in 3..6 {
            world.say(ben, &publish(&channel, id));
        }
        let ann = world.join(0);
        world.say(ann, &format!(r#"{{"id":2,"subscribe":{{"channel":"{channel}"}}}}"#));
        let seen = world.take(ann).join("");
        let (_, epoch) = seen.split_once(r#""epoch":""#).expect("it keeps history");
        let epoch = epoch[..8].to_owned();
        for offset in OFFSETS {
            for limit in LIMITS {
                let requests = requests(&channel, &epoch, offset, limit);
                for (request, id) in requests.iter().zip(IDS.iter().cycle()) {
                    let mut text = BytesMut::new();
                    put_command(Encoding::Json, *id, request, &mut text);
                    world.say(ann, std::str::from_utf8(&text).unwrap());
                    let seen = world.take(ann).join("\n");
                    let wanted = format!(r#"{{"id":{id},"#);
                    assert!(seen.contains(&wanted), "{request:?}: {seen}");
                    assert!(!world.peers[&ann].gone, "{request:?}");
                    let since_the_end = matches!(request,
                        Request::History(HistoryRequest { reverse: false, .. }) if 1_000 < offset);
                    assert!(
                        !since_the_end || !seen.contains("publications"),
                        "{request:?}: {seen}"
                    );
                }
            }
        }
    }
}

/// What the two encodings read of such numbers is the same.
#[test]
fn both_encodings_read_the_same_numbers() {
    for offset in OFFSETS {
        for limit in LIMITS {
            for request in requests("room:1", "00000007", offset, limit) {
                for encoding in Encoding::ALL {
                    let mut bytes = BytesMut::new();
                    put_command(encoding, u32::MAX, &request, &mut bytes);
                    let read: Vec<_> = commands(encoding, &bytes).map(Result::unwrap).collect();
                    let [Command { id: u32::MAX, request: one }] = &read[..] else {
                        panic!("{read:?}")
                    };
                    assert_eq!(*one, request);
                }
            }
        }
    }
}
