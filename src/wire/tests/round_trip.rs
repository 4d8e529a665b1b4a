//! Everything that can be said, said and heard, with the generated types as
//! the judge: they read Protobuf by number and JSON by name.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message as _;

use super::client::{ClientAnswer, ClientMessage, ClientPush, proto};
use super::*;
use crate::base::ClientId;

/// What requests and messages are made of.
#[derive(Clone, Debug)]
struct Material {
    id: u32,
    texts: [String; 4],
    data: [String; 3],
    numbers: [u32; 3],
    offsets: [u64; 2],
    flags: [bool; 5],
    count: usize,
}

fn material() -> impl Strategy<Value = Material> {
    let text =
        || prop_oneof!["[ -~]{0,40}", "\\PC{0,20}", "[\\x00-\\x1f\"\\\\\u{2028}\u{7f}]{0,10}"];
    let data = prop_oneof![
        Just("null".to_owned()),
        Just("{ \"a\" : [1, 2.5e-3, {}], \"\\n\" : \"\\ud83d\\ude00 é\" }".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "[a-z]{1,200}".prop_map(|text| format!("\"{text}\"")),
    ];
    (
        1..=u32::MAX,
        [text(), text(), text(), text()],
        [data.clone(), data.clone(), data],
        any::<[u32; 3]>(),
        any::<[u64; 2]>(),
        any::<[bool; 5]>(),
        0..4_usize,
    )
        .prop_map(|(id, texts, data, numbers, offsets, flags, count)| Material {
            id,
            texts,
            data,
            numbers,
            offsets,
            flags,
            count,
        })
}

impl Material {
    fn text(&self, index: usize) -> Cow<'_, str> {
        Cow::Borrowed(&self.texts[index])
    }

    fn subscribe(&self) -> SubscribeRequest<'_> {
        SubscribeRequest {
            channel: self.text(0),
            token: self.text(1),
            recover: self.flags[0],
            epoch: self.text(2),
            offset: self.offsets[0],
            // On the JSON wire `null` is the same as absent.
            data: Some(json(&self.data[0])).filter(|data| &data.bytes[..] != b"null"),
            positioned: self.flags[1],
            recoverable: self.flags[2],
            join_leave: self.flags[3],
            flags: SubscribeFlags::of(self.flag()),
            takes_deltas: self.flags[0],
            tag_filter: None,
        }
    }

    fn flag(&self) -> i64 {
        2 * i64::from(self.flags[4])
    }

    fn proto_subscribe(&self) -> proto::SubscribeRequest {
        let data = self.subscribe().data.map(|data| data.to_payload().bytes);
        proto::SubscribeRequest {
            channel: self.texts[0].clone(),
            token: self.texts[1].clone(),
            recover: self.flags[0],
            epoch: self.texts[2].clone(),
            offset: self.offsets[0],
            data: data.unwrap_or_default(),
            positioned: self.flags[1],
            recoverable: self.flags[2],
            join_leave: self.flags[3],
            delta: if self.flags[0] { "fossil".to_owned() } else { String::new() },
            tf: None,
            flag: self.flag(),
        }
    }

    /// Each request, and the same as the schema has it.
    fn requests(&self) -> Vec<(Request<'_>, proto::Command)> {
        let [channel, token, version, method] = self.texts.clone();
        let data = Bytes::copy_from_slice(self.data[0].as_bytes());
        let none = || proto::Command { id: self.id, ..proto::Command::default() };
        let subscribe = self.proto_subscribe();
        let connect = proto::ConnectRequest {
            token: token.clone(),
            data: subscribe.data.clone(),
            subs: [(
                channel.clone(),
                proto::SubscribeRequest { channel: String::new(), ..subscribe.clone() },
            )]
            .into(),
            name: method.clone(),
            version,
            headers: [(channel.clone(), token.clone())].into(),
        };
        let history = proto::HistoryRequest {
            channel: channel.clone(),
            limit: self.numbers[0].cast_signed(),
            since: self.flags[4]
                .then(|| proto::StreamPosition { offset: self.offsets[1], epoch: token.clone() }),
            reverse: self.flags[0],
        };
        vec![
            (
                Request::Connect(ConnectRequest {
                    token: self.text(1),
                    data: self.subscribe().data,
                    subs: vec![self.subscribe()],
                    name: self.text(3),
                    version: self.text(2),
                    headers: vec![(self.text(0), self.text(1))],
                }),
                proto::Command { connect: Some(connect), ..none() },
            ),
            (
                Request::Subscribe(self.subscribe()),
                proto::Command { subscribe: Some(subscribe), ..none() },
            ),
            (
                Request::History(HistoryRequest {
                    channel: self.text(0),
                    limit: self.numbers[0].cast_signed(),
                    since: self.flags[4].then(|| (self.offsets[1], self.text(1))),
                    reverse: self.flags[0],
                }),
                proto::Command { history: Some(history), ..none() },
            ),
            (Request::Unsubscribe { channel: self.text(0) }, {
                let unsubscribe = Some(proto::UnsubscribeRequest { channel: channel.clone() });
                proto::Command { unsubscribe, ..none() }
            }),
            (Request::Publish { channel: self.text(0), data: json(&self.data[0]) }, {
                let publish =
                    proto::PublishRequest { channel: channel.clone(), data: data.clone() };
                proto::Command { publish: Some(publish), ..none() }
            }),
            (Request::Presence { channel: self.text(0) }, {
                let presence = Some(proto::PresenceRequest { channel: channel.clone() });
                proto::Command { presence, ..none() }
            }),
            (Request::PresenceStats { channel: self.text(0) }, {
                let stats = Some(proto::PresenceStatsRequest { channel: channel.clone() });
                proto::Command { presence_stats: stats, ..none() }
            }),
            (Request::Ping, proto::Command { ping: Some(proto::PingRequest {}), ..none() }),
            (Request::Send { data: json(&self.data[0]) }, {
                let send = Some(proto::SendRequest { data: data.clone() });
                proto::Command { send, ..none() }
            }),
            (Request::Rpc { method: self.text(3), data: json(&self.data[0]) }, {
                proto::Command { rpc: Some(proto::RpcRequest { data, method }), ..none() }
            }),
            (Request::Refresh { token: self.text(1) }, {
                let refresh = Some(proto::RefreshRequest { token: token.clone() });
                proto::Command { refresh, ..none() }
            }),
            (Request::SubRefresh { channel: self.text(0), token: self.text(1) }, {
                let sub_refresh = Some(proto::SubRefreshRequest { channel, token });
                proto::Command { sub_refresh, ..none() }
            }),
            (Request::Unknown, none()),
        ]
    }

    fn payload(&self, index: usize) -> Payload {
        json_payload(&self.data[index])
    }

    fn info(&self) -> Arc<ClientInfo> {
        Arc::new(ClientInfo {
            user: self.texts[3].as_str().into(),
            client: ClientId::from_random(u128::from(self.offsets[0])),
            conn_info: self.flags[0].then(|| Box::new(self.payload(1))),
        })
    }

    fn chan_info(&self) -> Option<Arc<Payload>> {
        self.flags[1].then(|| Arc::new(self.payload(2)))
    }

    fn proto_info(&self) -> proto::ClientInfo {
        let bytes = |index: usize| Bytes::copy_from_slice(self.data[index].as_bytes());
        proto::ClientInfo {
            user: self.texts[3].clone(),
            client: ClientId::from_random(u128::from(self.offsets[0])).to_string(),
            conn_info: if self.flags[0] { bytes(1) } else { Bytes::new() },
            chan_info: if self.flags[1] { bytes(2) } else { Bytes::new() },
        }
    }

    fn publication(&self) -> Publication {
        let text = |index: usize| self.texts[index].as_str().into();
        Publication {
            offset: self.offsets[1],
            data: self.payload(0),
            info: self.flags[2].then(|| self.info()),
            chan_info: self.chan_info(),
            tags: if self.flags[3] { vec![(text(1), text(2))] } else { Vec::new() },
            time_unix_ms: u64::from(self.numbers[1]),
            trace: None,
        }
    }

    fn proto_publication(&self) -> proto::Publication {
        let tag = (self.texts[1].clone(), self.texts[2].clone());
        proto::Publication {
            data: Bytes::copy_from_slice(self.data[0].as_bytes()),
            info: self.flags[2].then(|| self.proto_info()),
            offset: self.offsets[1],
            tags: self.flags[3].then_some(tag).into_iter().collect(),
            delta: false,
            time: i64::from(self.numbers[1]),
        }
    }

    fn position(&self) -> Position {
        Position { offset: self.offsets[0], epoch: Epoch(self.numbers[2].into()) }
    }

    fn seal(&self) -> Option<EpochSeal> {
        let tag = u128::from(self.offsets[0]) << 64 | u128::from(self.offsets[1]);
        self.flags[3].then_some(EpochSeal { from: self.offsets[1], tag })
    }

    fn expires_in_s(&self) -> Option<u32> {
        self.flags[4].then_some(self.numbers[0])
    }

    fn ttl(&self) -> u32 {
        self.expires_in_s().unwrap_or(0)
    }

    fn result<'a>(
        &self,
        publications: &'a [Arc<Publication>],
        data: Option<&'a Payload>,
    ) -> SubscribeResult<'a> {
        SubscribeResult {
            expires_in_s: self.expires_in_s(),
            recoverable: self.flags[0],
            positioned: self.flags[1],
            position: self.flags[2].then(|| self.position()),
            seal: self.seal(),
            publications,
            recovered: self.flags[3],
            was_recovering: self.flags[1],
            data,
            has_deltas: false,
            channel_id: self.numbers[1],
        }
    }

    fn proto_result(&self) -> proto::SubscribeResult {
        let seal = self.seal().map(|seal| seal.to_string()).unwrap_or_default();
        let epoch = format!("{:08x}{seal}", self.numbers[2]);
        proto::SubscribeResult {
            expires: self.flags[4],
            ttl: self.ttl(),
            recoverable: self.flags[0],
            epoch: if self.flags[2] { epoch } else { String::new() },
            publications: vec![self.proto_publication(); self.count],
            recovered: self.flags[3],
            offset: if self.flags[2] { self.offsets[0] } else { 0 },
            positioned: self.flags[1],
            data: self.subscribe_data().map(|data| data.bytes).unwrap_or_default(),
            was_recovering: self.flags[1],
            delta: false,
            id: i64::from(self.numbers[1]),
        }
    }

    /// With each other subscription.
    fn subscribe_data(&self) -> Option<Payload> {
        self.flags[3].then(|| self.payload(1))
    }

    fn check_answers(&self) {
        let publication = Arc::new(self.publication());
        let publications = vec![publication; self.count];
        let data = self.subscribe_data();
        let info = self.info();
        let client = info.client;
        let epoch = format!("{:08x}", self.numbers[2]);
        let check = |answer, expected| {
            let message = Message::Reply { id: self.id, answer };
            check_message(&message, &ClientMessage::Reply { id: self.id, answer: expected });
        };
        let connect = ConnectResult {
            client,
            version: &self.texts[1],
            expires_in_s: self.expires_in_s(),
            subs: vec![(self.texts[0].as_str(), self.result(&publications, data.as_ref()))],
            ping_s: self.numbers[1],
            pong: self.flags[3],
            time_unix_ms: u64::from(self.numbers[2]),
            node: &self.texts[2],
            data: data.as_ref(),
        };
        let expected = proto::ConnectResult {
            client: client.to_string(),
            version: self.texts[1].clone(),
            expires: self.flags[4],
            ttl: self.ttl(),
            data: self.proto_result().data,
            subs: [(self.texts[0].clone(), self.proto_result())].into(),
            ping: self.numbers[1],
            pong: self.flags[3],
            node: self.texts[2].clone(),
            time: i64::from(self.numbers[2]),
        };
        check(Answer::Connect(connect), ClientAnswer::Connect(expected));
        let subscribed = ClientAnswer::Subscribe(self.proto_result());
        check(Answer::Subscribe(self.result(&publications, data.as_ref())), subscribed);
        let clients = [(Arc::clone(&info), self.chan_info())];
        let presence = [(client.to_string(), self.proto_info())].into();
        let expected = ClientAnswer::Presence(proto::PresenceResult { presence });
        check(Answer::Presence { clients: &clients }, expected);
        let [num_clients, num_users, _] = self.numbers;
        let expected = proto::PresenceStatsResult { num_clients, num_users };
        let stats = Answer::PresenceStats { num_clients, num_users };
        check(stats, ClientAnswer::PresenceStats(expected));
        let history = Answer::History { publications: &publications, position: self.position() };
        let expected = proto::HistoryResult {
            publications: vec![self.proto_publication(); self.count],
            epoch,
            offset: self.offsets[0],
        };
        check(history, ClientAnswer::History(expected));
        for field in chat::Field::ALL {
            let (code, text, temporary) = field.parts();
            let expected = proto::Error { code, message: text.to_owned(), temporary };
            check(Answer::Wrong(field), ClientAnswer::Error(expected));
        }
        let data = self.payload(0);
        let expected = proto::RpcResult { data: data.bytes.clone() };
        check(Answer::Rpc { data: &data }, ClientAnswer::Rpc(expected));
        let expires_in_s = self.expires_in_s();
        let (expires, ttl) = (self.flags[4], self.ttl());
        let version = String::new();
        let expected = proto::RefreshResult { client: client.to_string(), version, expires, ttl };
        check(Answer::Refresh { client, expires_in_s }, ClientAnswer::Refresh(expected));
        let expected = proto::SubRefreshResult { expires, ttl };
        check(Answer::SubRefresh { expires_in_s }, ClientAnswer::SubRefresh(expected));
        check(Answer::Unsubscribe, ClientAnswer::Unsubscribe);
        check(Answer::Publish, ClientAnswer::Publish);
        check(Answer::Ping, ClientAnswer::Ping);
    }

    fn check_pushes(&self) {
        let check = |push, expected| {
            let channel = self.texts[0].as_str();
            let message = Message::Push { channel, push };
            let channel = channel.to_owned();
            check_message(&message, &ClientMessage::Push { channel, push: expected });
        };
        let publication = self.publication();
        let expected = ClientPush::Publication(self.proto_publication());
        check(Push::Publication(&publication, PublicationForm::Plain), expected);
        let (info, chan_info) = (self.info(), self.chan_info());
        let (info, chan_info) = (info.as_ref(), chan_info.as_deref());
        check(Push::Join { info, chan_info }, ClientPush::Join(self.proto_info()));
        check(Push::Leave { info, chan_info }, ClientPush::Leave(self.proto_info()));
        let (code, reason) = (self.numbers[0], self.texts[1].as_str());
        let expected = proto::Unsubscribe { code, reason: reason.to_owned() };
        check(Push::Unsubscribe { code, reason }, ClientPush::Unsubscribe(expected));
        let data = self.payload(0);
        check(Push::Message { data: &data }, ClientPush::Message(data.bytes.clone()));
        let result = self.proto_result();
        let expected = proto::Subscribe {
            recoverable: result.recoverable,
            epoch: result.epoch,
            offset: result.offset,
            positioned: result.positioned,
            data: result.data,
        };
        let data = self.subscribe_data();
        check(Push::Subscribe(self.result(&[], data.as_ref())), ClientPush::Subscribe(expected));
    }
}

fn check_message(message: &Message<'_>, expected: &ClientMessage) {
    for encoding in Encoding::ALL {
        let frame = encoded(encoding, message);
        let read: Result<Vec<_>, _> = client::messages(encoding, &frame).collect();
        assert_eq!(read.as_deref(), Ok(std::slice::from_ref(expected)), "{frame:?}");
    }
}

proptest! {
    // Each case is a few hundred frames.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn each_command_is_heard_as_it_was_said(material in material()) {
        for (request, expected) in material.requests() {
            let by_prost = expected.encode_length_delimited_to_vec();
            let by_us = command_bytes(Encoding::Protobuf, material.id, &request);
            prop_assert_eq!(&proto::Command::decode_length_delimited(&by_us[..]), &Ok(expected));
            let in_json = command_bytes(Encoding::Json, material.id, &request);
            let said = Ok(vec![Command { id: material.id, request }]);
            prop_assert_eq!(&all(Encoding::Protobuf, &by_prost), &said);
            prop_assert_eq!(&all(Encoding::Protobuf, &by_us), &said);
            prop_assert_eq!(&all(Encoding::Json, &in_json), &said);
        }
    }

    #[test]
    fn each_message_is_heard_as_it_was_said(material in material()) {
        material.check_answers();
        material.check_pushes();
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(
        bytes in vec(any::<u8>(), 0..200),
        text in "[\\[\\]{}\":,0-9a-z\\\\ \n]{0,200}",
    ) {
        for encoding in Encoding::ALL {
            for frame in [&bytes[..], text.as_bytes()] {
                commands(encoding, frame).for_each(drop);
                client::messages(encoding, frame).for_each(drop);
                client::publications(encoding, frame).for_each(drop);
            }
        }
    }

    #[test]
    fn a_changed_byte_never_panics(
        material in material(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        for (request, _) in material.requests() {
            for encoding in Encoding::ALL {
                let mut frame = command_bytes(encoding, material.id, &request).to_vec();
                *place.get_mut(&mut frame) = byte;
                commands(encoding, &frame).for_each(drop);
            }
        }
    }
}

proptest! {
    // Each case reads thousands of cut frames.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_cut_frame_is_an_error_or_fewer_commands(material in material()) {
        for encoding in Encoding::ALL {
            let mut frame = BytesMut::new();
            for (request, _) in &material.requests() {
                client::put_command(encoding, material.id, request, &mut frame);
                separate(encoding, &mut frame);
            }
            let whole = all(encoding, &frame).unwrap();
            for end in 0..frame.len() {
                let cut: Vec<_> = commands(encoding, &frame[..end]).collect();
                let heard = cut.iter().take_while(|command| command.is_ok()).count();
                prop_assert!(cut.len() <= heard + 1);
                prop_assert!(heard <= whole.len());
                // The separator at the very end is all that a whole frame can lose.
                let lost = &frame[end..];
                prop_assert!(heard < whole.len() || lost == b"\n");
                for (command, said) in cut.iter().flatten().zip(&whole) {
                    prop_assert_eq!(command, said);
                }
            }
        }
    }
}
