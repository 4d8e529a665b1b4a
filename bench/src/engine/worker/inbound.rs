//! What a worker reads: upgrades, frames, answers, and deliveries, each of which
//! must be the next one of its room, and whole.
//!
//! A frame of nothing but publications is looked at where it lies; any other is
//! parsed whole, because there are few.

use std::mem;

use rookery::wire::client::{self, ClientAnswer, ClientMessage, ClientPush};
use rookery::ws::client::ClientHandshakeError;
use rookery::ws::{Incoming, Opcode, ReadBuffer, Role, Rules};

use super::{JOIN_IDS, Worker};
use crate::engine::client_codec::{Recovery, stamp};
use crate::engine::peer::State;
use crate::engine::scan;
use crate::loads::Stage;
use crate::scenario::{Load, WireFormat};

/// A server's message of more bytes is a fault. Recovery may bring a history.
const RULES: Rules = Rules { role: Role::Client, message_bytes_max: 32 << 20 };

impl Worker {
    pub(super) fn on_received(&mut self, peer: u32, bytes: &mut [u8], now_ns: u64) {
        match self.peers[peer as usize].state {
            State::Absent | State::Dialing | State::Leaving => {}
            State::Upgrading => self.read_head(peer, bytes, now_ns),
            State::Joining | State::Live | State::Proving | State::Proved => {
                self.read_frames(peer, bytes, now_ns);
            }
        }
    }

    fn read_head(&mut self, peer: u32, bytes: &mut [u8], now_ns: u64) {
        let mut kept = self.heads.remove(&peer).unwrap_or_default();
        kept.extend_from_slice(bytes);
        match self.setup.codec.read_upgrade(&kept) {
            Ok(None) => {
                self.heads.insert(peer, kept);
            }
            Ok(Some(used)) => {
                self.on_upgraded(peer);
                if used < kept.len() {
                    self.read_frames(peer, &mut kept[used..], now_ns);
                }
            }
            // Too many at once: the server says when it wants to be asked again.
            Err(ClientHandshakeError::Status(503)) => self.turned_away(peer, "no upgrade: 503"),
            Err(not_upgraded) => {
                self.give_up(peer, &format!("no upgrade: {not_upgraded:?}"));
            }
        }
    }

    fn on_upgraded(&mut self, peer: u32) {
        let connection = self.connection(peer);
        let scenario = &self.setup.scenario;
        let one = &mut self.peers[peer as usize];
        one.state = State::Joining;
        if scenario.format == WireFormat::Plain {
            one.offset = 0;
            match scenario.greeting_bytes {
                0 => self.on_joined(peer),
                1.. => one.send(self.setup.codec.greeting(), &mut self.work),
            }
            return;
        }
        let room = scenario.room(connection);
        let epoch = self.epochs.get(&peer).filter(|_| 1 < one.attempt);
        let recovery = epoch.map(|epoch| Recovery { offset: one.offset, epoch });
        let channel = scenario.channel(room);
        let join = self.setup.codec.join(&scenario.user(connection), &channel, recovery);
        one.last_id = JOIN_IDS;
        one.send(join, &mut self.work);
    }

    fn on_joined(&mut self, peer: u32) {
        let connection = self.connection(peer);
        let one = &mut self.peers[peer as usize];
        one.state = State::Live;
        self.retry.on_joined(peer);
        if self.base.is_none() && self.setup.scenario.hears(connection) == Some(0) {
            self.base = Some(one.offset);
        }
        self.handshakes -= 1;
        self.live += 1;
    }

    fn read_frames(&mut self, peer: u32, bytes: &mut [u8], now_ns: u64) {
        if self.stage == Stage::Measure {
            self.found.tally.received_bytes += bytes.len() as u64;
        }
        let is_protobuf = self.setup.scenario.format == WireFormat::Protobuf;
        // Out of the peer while it lends its messages; back before the next event.
        let mut reader = mem::take(&mut self.peers[peer as usize].reader);
        let received_bytes = bytes.len();
        let mut read = 0;
        loop {
            if is_protobuf && reader.kept_bytes() == 0 {
                read += self.deliver_run(peer, &bytes[read..], now_ns);
            }
            let mut input = ReadBuffer::new(&mut bytes[read..]);
            match reader.next(&mut input, RULES) {
                Ok(None) => break,
                Ok(Some(incoming)) => self.on_frame(peer, incoming, now_ns),
                Err(fault) => {
                    self.malformed(peer, &format!("{fault:?}"));
                    break;
                }
            }
            read = received_bytes - input.len();
            if self.peers[peer as usize].state == State::Leaving {
                break;
            }
        }
        self.peers[peer as usize].reader = reader;
    }

    /// Delivers the publications at the start of `bytes`, up to the first frame
    /// that is anything else. Returns how many bytes they took.
    fn deliver_run(&mut self, peer: u32, bytes: &[u8], now_ns: u64) -> usize {
        let (mut read, mut frames) = (0, 0);
        while let Some(found) = scan::publication(&bytes[read..]) {
            read += found.frame_bytes;
            frames += 1;
            self.deliver(peer, found.offset, found.data, now_ns);
        }
        self.found.tally.frames += if self.stage == Stage::Measure { frames } else { 0 };
        read
    }

    fn malformed(&mut self, peer: u32, what: &str) {
        self.found.tally.malformed += 1;
        self.note_error(peer, what);
        self.leave(peer);
    }

    #[inline]
    fn on_frame(&mut self, peer: u32, incoming: Incoming<'_>, now_ns: u64) {
        match incoming {
            Incoming::Binary(payload) => self.on_payload(peer, payload, now_ns),
            Incoming::Text(text) => self.on_payload(peer, text.as_bytes(), now_ns),
            Incoming::Ping(payload) => {
                let pong = self.setup.codec.control(Opcode::Pong, payload);
                self.peers[peer as usize].send(pong, &mut self.work);
            }
            Incoming::Pong(_) => self.on_proved(peer),
            Incoming::Close(code) => {
                let why = format!("closed by the server: {code:?}");
                if code.is_some_and(|(code, _)| is_final(u32::from(code))) {
                    self.give_up(peer, &why);
                } else {
                    self.turned_away(peer, &why);
                }
            }
        }
    }

    #[inline]
    fn on_payload(&mut self, peer: u32, payload: &[u8], now_ns: u64) {
        self.found.tally.frames += u64::from(self.stage == Stage::Measure);
        let Some(encoding) = self.setup.codec.encoding() else {
            if self.peers[peer as usize].state == State::Joining {
                return self.on_greeted(peer, payload);
            }
            let number = payload.first_chunk().map_or(0, |number| u64::from_le_bytes(*number));
            self.deliver(peer, number, payload, now_ns);
            return;
        };
        let mut delivered = 0;
        for publication in client::publications(encoding, payload) {
            match publication {
                Ok(Some(delivery)) => {
                    delivered += 1;
                    self.deliver(peer, delivery.offset, delivery.data, now_ns);
                }
                Ok(None) => {
                    self.on_mixed(peer, payload, delivered, now_ns);
                    return;
                }
                Err(error) => {
                    self.malformed(peer, &format!("{error:?}"));
                    return;
                }
            }
        }
    }

    /// A first frame came back.
    fn on_greeted(&mut self, peer: u32, payload: &[u8]) {
        if payload.len() == self.setup.scenario.greeting_bytes as usize {
            self.on_joined(peer);
        } else {
            self.malformed(peer, "another greeting came back");
        }
    }

    /// A frame that holds more than publications, of which the first few are
    /// counted already.
    fn on_mixed(&mut self, peer: u32, payload: &[u8], delivered: u32, now_ns: u64) {
        let encoding = self.setup.codec.encoding().expect("plain frames are not mixed");
        let mut to_skip = delivered;
        for message in client::messages(encoding, payload) {
            match message {
                Ok(ClientMessage::Ping) => {
                    self.found.tally.pings += 1;
                    let pong = self.setup.codec.pong();
                    self.peers[peer as usize].send(pong, &mut self.work);
                }
                Ok(ClientMessage::Reply { answer, .. }) => self.on_answer(peer, answer, now_ns),
                Ok(ClientMessage::Push { push: ClientPush::Publication(publication), .. }) => {
                    if 0 < to_skip {
                        to_skip -= 1;
                    } else {
                        self.deliver(peer, publication.offset, &publication.data, now_ns);
                    }
                }
                Ok(ClientMessage::Push { push, .. }) => self.on_push(peer, push),
                Err(error) => {
                    self.malformed(peer, &format!("{error:?}"));
                    return;
                }
            }
            if self.peers[peer as usize].state == State::Leaving {
                return;
            }
        }
    }

    fn on_push(&mut self, peer: u32, push: ClientPush) {
        match push {
            ClientPush::Unsubscribe(unsubscribe) => {
                self.give_up(peer, &format!("unsubscribed: {unsubscribe:?}"));
            }
            ClientPush::Disconnect(disconnect) if is_final(disconnect.code) => {
                self.give_up(peer, &format!("disconnected: {disconnect:?}"));
            }
            ClientPush::Disconnect(disconnect) => {
                self.turned_away(peer, &format!("disconnected: {disconnect:?}"));
            }
            ClientPush::Publication(_)
            | ClientPush::Join(_)
            | ClientPush::Leave(_)
            | ClientPush::Message(_)
            | ClientPush::Subscribe(_)
            | ClientPush::Refresh(_)
            | ClientPush::Unknown => {}
        }
    }

    fn on_answer(&mut self, peer: u32, answer: ClientAnswer, now_ns: u64) {
        match answer {
            ClientAnswer::Error(error) => self.on_error(peer, &error),
            ClientAnswer::Subscribe(result) => self.on_subscribed(peer, &result, now_ns),
            ClientAnswer::Publish => self.found.tally.accepted += 1,
            ClientAnswer::Ping => self.on_proved(peer),
            ClientAnswer::Connect(_)
            | ClientAnswer::Unsubscribe
            | ClientAnswer::Presence(_)
            | ClientAnswer::PresenceStats(_)
            | ClientAnswer::History(_)
            | ClientAnswer::Rpc(_)
            | ClientAnswer::Refresh(_)
            | ClientAnswer::SubRefresh(_)
            | ClientAnswer::Unknown => {}
        }
    }

    fn on_error(&mut self, peer: u32, error: &client::proto::Error) {
        let is_joining = self.peers[peer as usize].state == State::Joining;
        if error.temporary && is_joining {
            self.turned_away(peer, &format!("{error:?}"));
        } else {
            self.found.tally.errors += 1;
            self.give_up(peer, &format!("{error:?}"));
        }
    }

    fn on_subscribed(&mut self, peer: u32, result: &client::proto::SubscribeResult, now_ns: u64) {
        if self.may_come_back() {
            self.epochs.insert(peer, result.epoch.as_str().into());
        }
        if result.was_recovering {
            if result.recovered {
                self.found.tally.recovered += 1;
                self.last_ns = now_ns;
                for publication in &result.publications {
                    self.deliver(peer, publication.offset, &publication.data, now_ns);
                }
            } else {
                self.found.tally.unrecovered += 1;
                self.note_error(peer, "could not recover");
                self.peers[peer as usize].offset = result.offset;
            }
        } else {
            self.peers[peer as usize].offset = result.offset;
        }
        if self.peers[peer as usize].state == State::Joining {
            self.on_joined(peer);
        }
    }

    /// One message has reached one connection: is it the next one, and whole?
    #[inline]
    fn deliver(&mut self, peer: u32, offset: u64, data: &[u8], now_ns: u64) {
        self.found.tally.delivered += 1;
        self.last_ns = now_ns;
        let format = self.setup.scenario.format;
        let mut offset = offset;
        if offset == 0 {
            // A channel without offsets: the number that we put in counts.
            offset = stamp(format, data).map_or(0, |stamp| stamp.number);
        }
        let one = &mut self.peers[peer as usize];
        if offset == one.offset + 1 {
            one.offset = offset;
        } else {
            self.out_of_order(peer, offset);
        }
        if data.len() != self.setup.scenario.data_bytes as usize {
            self.found.tally.damaged += 1;
        }
        let number = offset.wrapping_sub(self.base.unwrap_or(0));
        if peer & (self.latency_stride - 1) == 0 {
            self.look_inside(peer, number, data, now_ns);
        }
        match self.stage {
            Stage::Measure => self.driver.on_delivery(peer, number, &mut self.commands, now_ns),
            Stage::Talk => self.talk_on(peer, now_ns),
            Stage::Ramp | Stage::Drop | Stage::Return | Stage::Prove | Stage::Over => {}
        }
    }

    fn look_inside(&mut self, peer: u32, number: u64, data: &[u8], now_ns: u64) {
        let scenario = &self.setup.scenario;
        let Some(stamp) = stamp(scenario.format, data) else {
            self.found.tally.damaged += 1;
            self.note_error(peer, "a message that is none of ours");
            return;
        };
        let is_single = matches!(scenario.load, Load::Fanout { publishers: 1, .. });
        // The stamp's number has 32 bits in hexadecimal.
        if is_single && stamp.number as u32 != number as u32 {
            self.found.tally.damaged += 1;
            self.note_error(peer, "a message at another's place");
        }
        // In a storm only those who stayed are sent what is new; the others catch up.
        let is_new = self.stage == Stage::Return && self.stays(peer);
        if self.stage == Stage::Measure || is_new {
            self.found.latency.record(now_ns.saturating_sub(stamp.time_ns));
        }
    }

    #[cold]
    fn out_of_order(&mut self, peer: u32, offset: u64) {
        let one = &mut self.peers[peer as usize];
        let expected = one.offset + 1;
        if offset < expected {
            self.found.tally.repeated += 1;
        } else {
            self.found.tally.lost += offset - expected;
            one.offset = offset;
        }
        self.note_error(peer, &format!("message {offset} where {expected} was due"));
    }

    fn on_proved(&mut self, peer: u32) {
        let one = &mut self.peers[peer as usize];
        if one.state == State::Proving {
            one.state = State::Proved;
            self.proving -= 1;
            self.found.tally.answered += 1;
        }
    }
}

/// Whether a close code tells a client not to come again: the SDKs' ranges.
fn is_final(code: u32) -> bool {
    matches!(code, 3_500..=3_999 | 4_500..=4_999)
}
