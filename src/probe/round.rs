//! One round: what two clients say, what they must hear, and how long each part took.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rustls::ClientConfig;
use tokio::time::{self, Instant};

use super::failure::ProbeError;
use super::link::{Link, random};
use super::options::Options;
use super::target::ProbeTarget;
use crate::wire::client::{ClientAnswer, ClientMessage, ClientPush, messages, put_command};
use crate::wire::{ConnectRequest, Encoding, RawData, Request, SubscribeRequest};

/// The parts of a round, in their order. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeStage {
    /// TCP, TLS, and the upgrade.
    Handshake,
    /// Who we are.
    Connect,
    /// Into the room.
    Subscribe,
    /// From the message to its answer.
    Publish,
    /// From the message to the other client.
    Deliver,
}

impl ProbeStage {
    /// All of them.
    pub const ALL: [ProbeStage; 5] = [
        ProbeStage::Handshake,
        ProbeStage::Connect,
        ProbeStage::Subscribe,
        ProbeStage::Publish,
        ProbeStage::Deliver,
    ];

    /// As a label.
    pub fn name(self) -> &'static str {
        match self {
            ProbeStage::Handshake => "handshake",
            ProbeStage::Connect => "connect",
            ProbeStage::Subscribe => "subscribe",
            ProbeStage::Publish => "publish",
            ProbeStage::Deliver => "deliver",
        }
    }
}

/// What a round found.
#[derive(Debug, Default)]
pub struct ProbeReport {
    /// The parts that succeeded, and how long each took.
    pub took: Vec<(ProbeStage, Duration)>,
    /// The one that did not.
    pub failed: Option<(ProbeStage, ProbeError)>,
}

/// Does a round. Its connections are gone afterwards.
pub(super) async fn round(
    options: &Options,
    target: &ProbeTarget,
    tls: &Arc<ClientConfig>,
) -> ProbeReport {
    let mut report = ProbeReport::default();
    let mut under_way = ProbeStage::Handshake;
    let walk = walk(options, target, tls, &mut under_way, &mut report.took);
    let ended = time::timeout(options.limit, walk).await.unwrap_or(Err(ProbeError::Late));
    report.failed = ended.err().map(|failure| (under_way, failure));
    report
}

async fn walk(
    options: &Options,
    target: &ProbeTarget,
    tls: &Arc<ClientConfig>,
    under_way: &mut ProbeStage,
    took: &mut Vec<(ProbeStage, Duration)>,
) -> Result<(), ProbeError> {
    let mut began = Instant::now();
    let mut next = |stage: ProbeStage, following: ProbeStage| {
        took.push((stage, began.elapsed()));
        began = Instant::now();
        *under_way = following;
    };
    let mut speaker = Client::new(Link::open(target, tls).await?);
    let mut listener = Client::new(Link::open(target, tls).await?);
    next(ProbeStage::Handshake, ProbeStage::Connect);

    let token = (options.token)().map_err(ProbeError::Token)?;
    for client in [&mut speaker, &mut listener] {
        client.ask(connect(&token)).await?;
    }
    next(ProbeStage::Connect, ProbeStage::Subscribe);

    for client in [&mut speaker, &mut listener] {
        client.ask(subscribe(&options.channel)).await?;
    }
    next(ProbeStage::Subscribe, ProbeStage::Publish);

    let data = format!("{{\"probe\":\"{:016x}\"}}", u64::from_be_bytes(random()));
    let said = Instant::now();
    speaker.ask(publish(&options.channel, &data)).await?;
    next(ProbeStage::Publish, ProbeStage::Deliver);

    listener.hear_of(data.as_bytes()).await?;
    // From the message, not from its answer.
    took.push((ProbeStage::Deliver, said.elapsed()));
    speaker.link.leave().await;
    listener.link.leave().await;
    Ok(())
}

fn connect(token: &str) -> Request<'_> {
    Request::Connect(ConnectRequest {
        token: token.into(),
        name: "rookery-probe".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..ConnectRequest::default()
    })
}

fn subscribe(channel: &str) -> Request<'_> {
    Request::Subscribe(SubscribeRequest { channel: channel.into(), ..SubscribeRequest::default() })
}

fn publish<'a>(channel: &'a str, data: &'a str) -> Request<'a> {
    let data = RawData { bytes: Cow::Borrowed(data.as_bytes()), is_json: true };
    Request::Publish { channel: channel.into(), data }
}

/// A client and what it has asked.
struct Client {
    link: Link,
    last_id: u32,
    /// Data of publications that came before anybody waited for them.
    heard: Vec<Vec<u8>>,
}

impl Client {
    fn new(link: Link) -> Client {
        Client { link, last_id: 0, heard: Vec::new() }
    }

    /// Says a command, and waits for its answer.
    async fn ask(&mut self, request: Request<'_>) -> Result<(), ProbeError> {
        self.last_id += 1;
        let mut command = BytesMut::new();
        put_command(Encoding::Json, self.last_id, &request, &mut command);
        self.link.say(&command).await?;
        while !self.hear().await? {}
        Ok(())
    }

    /// Waits for a publication of these data.
    async fn hear_of(&mut self, data: &[u8]) -> Result<(), ProbeError> {
        while !self.heard.iter().any(|heard| heard == data) {
            self.heard.clear();
            self.hear().await?;
        }
        Ok(())
    }

    /// Takes what comes next. Whether it answers the last command.
    async fn hear(&mut self) -> Result<bool, ProbeError> {
        let frame = self.link.hear().await?;
        let mut is_answered = false;
        for message in messages(Encoding::Json, frame.as_bytes()) {
            match message.map_err(|_| ProbeError::Malformed)? {
                ClientMessage::Ping => {
                    let mut pong = BytesMut::new();
                    put_command(Encoding::Json, 0, &Request::Pong, &mut pong);
                    self.link.say(&pong).await?;
                }
                ClientMessage::Reply { id, answer } if id == self.last_id => {
                    if let ClientAnswer::Error(error) = answer {
                        return Err(ProbeError::Refused {
                            code: error.code,
                            message: error.message,
                        });
                    }
                    is_answered = true;
                }
                ClientMessage::Push { push: ClientPush::Publication(publication), .. } => {
                    self.heard.push(publication.data.to_vec());
                }
                ClientMessage::Push { push: ClientPush::Disconnect(disconnect), .. } => {
                    let (code, reason) = (disconnect.code as u16, disconnect.reason);
                    return Err(ProbeError::Closed { code, reason });
                }
                ClientMessage::Reply { .. } | ClientMessage::Push { .. } => {}
            }
        }
        Ok(is_answered)
    }
}
