//! One WebSocket over TCP or TLS: frames of text out, messages in.

use std::io;
use std::sync::Arc;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::failure::ProbeError;
use super::target::ProbeTarget;
use crate::ws::client::{parse_upgrade_response, put_masked_frame, upgrade_request};
use crate::ws::{Incoming, Opcode, ReadBuffer, Reader, Role, Rules, Subprotocol};

/// Bytes of a message: a history that comes with a subscription is none of ours.
const MESSAGE_BYTES_MAX: u32 = 1 << 20;
const RULES: Rules = Rules { role: Role::Client, message_bytes_max: MESSAGE_BYTES_MAX };

/// Read at a time.
const READ_BYTES: usize = 8 << 10;

const AGENT: &str = concat!("rookery-probe/", env!("CARGO_PKG_VERSION"));

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// An upgraded connection.
pub(super) struct Link {
    stream: Box<dyn Stream>,
    reader: Reader,
    /// Received and not yet read.
    received: BytesMut,
    out: BytesMut,
}

impl Link {
    /// Dials, and asks for the upgrade.
    pub(super) async fn open(
        target: &ProbeTarget,
        tls: &Arc<ClientConfig>,
    ) -> Result<Link, ProbeError> {
        let host = target.host.trim_start_matches('[').trim_end_matches(']');
        let tcp = TcpStream::connect((host, target.port)).await.map_err(ProbeError::Dial)?;
        tcp.set_nodelay(true).map_err(ProbeError::Dial)?;
        let stream: Box<dyn Stream> = if target.is_tls {
            let name = ServerName::try_from(host.to_owned())
                .map_err(|error| ProbeError::Dial(io::Error::other(error)))?;
            let tls = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await;
            Box::new(tls.map_err(ProbeError::Dial)?)
        } else {
            Box::new(tcp)
        };
        let (received, out) = (BytesMut::new(), BytesMut::new());
        let mut link = Link { stream, reader: Reader::new(), received, out };
        link.upgrade(target).await?;
        Ok(link)
    }

    async fn upgrade(&mut self, target: &ProbeTarget) -> Result<(), ProbeError> {
        let key = STANDARD.encode(random::<16>());
        let (host, headers) = (target.authority(), [("User-Agent", AGENT)]);
        let request = upgrade_request(&host, &target.path, &key, Subprotocol::None, &headers);
        self.stream.write_all(&request).await.map_err(ProbeError::Lost)?;
        loop {
            self.receive().await?;
            let answer = parse_upgrade_response(&self.received, &key);
            if let Some(used) = answer.map_err(ProbeError::Upgrade)? {
                let _ = self.received.split_to(used);
                return Ok(());
            }
        }
    }

    /// Says something, as one message.
    pub(super) async fn say(&mut self, text: &[u8]) -> Result<(), ProbeError> {
        self.send(Opcode::Text, text).await
    }

    /// What the server says next; pings of the WebSocket are answered meanwhile.
    pub(super) async fn hear(&mut self) -> Result<String, ProbeError> {
        loop {
            let pong = match self.next()? {
                Some(Heard::Text(text)) => return Ok(text),
                Some(Heard::Ping(payload)) => payload,
                Some(Heard::Nothing) => continue,
                None => {
                    self.receive().await?;
                    continue;
                }
            };
            self.send(Opcode::Pong, &pong).await?;
        }
    }

    /// Goes, without waiting for an answer.
    pub(super) async fn leave(mut self) {
        // 1000, normal closure; whoever does not take it has gone already.
        let _ = self.send(Opcode::Close, &1_000_u16.to_be_bytes()).await;
        let _ = self.stream.shutdown().await;
    }

    async fn send(&mut self, opcode: Opcode, payload: &[u8]) -> Result<(), ProbeError> {
        self.out.clear();
        put_masked_frame(&mut self.out, opcode, payload, random());
        self.stream.write_all(&self.out).await.map_err(ProbeError::Lost)?;
        self.stream.flush().await.map_err(ProbeError::Lost)
    }

    async fn receive(&mut self) -> Result<(), ProbeError> {
        self.received.reserve(READ_BYTES);
        match self.stream.read_buf(&mut self.received).await {
            Ok(0) => Err(ProbeError::Lost(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(ProbeError::Lost(error)),
        }
    }

    fn next(&mut self) -> Result<Option<Heard>, ProbeError> {
        let received_bytes = self.received.len();
        let mut input = ReadBuffer::new(&mut self.received);
        let heard = match self.reader.next(&mut input, RULES) {
            Ok(None) => None,
            Ok(Some(Incoming::Text(text))) => Some(Heard::Text(text.to_owned())),
            Ok(Some(Incoming::Ping(payload))) => Some(Heard::Ping(payload.to_vec())),
            Ok(Some(Incoming::Pong(_))) => Some(Heard::Nothing),
            Ok(Some(Incoming::Binary(_))) => return Err(ProbeError::Malformed),
            Ok(Some(Incoming::Close(close))) => {
                let (code, reason) = close.unwrap_or((1_005, ""));
                return Err(ProbeError::Closed { code, reason: reason.to_owned() });
            }
            Err(_) => return Err(ProbeError::Malformed),
        };
        let read_bytes = received_bytes - input.len();
        let _ = self.received.split_to(read_bytes);
        Ok(heard)
    }
}

enum Heard {
    Text(String),
    Ping(Vec<u8>),
    Nothing,
}

/// Bytes that nobody can know before.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system has random bytes");
    bytes
}
