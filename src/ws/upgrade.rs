//! The opening handshake of a server (RFC 6455, 4.2): from a request's head to the 101, or to
//! why there is none.
//!
//! A request that proxies could understand in another way is refused.
//!
//! Deliberately absent: extensions, request bodies, and how long a head may take.

use std::mem::MaybeUninit;

use tungstenite::handshake::derive_accept_key;

use super::{BadRequestReason, Options, UpgradeError, origin};

/// Bytes of a request's head, from its first line to the empty one.
pub const HEAD_BYTES_MAX: usize = 8 << 10;

/// Header lines in a head. Browsers behind several proxies send 40.
pub(super) const HEADERS_MAX: usize = 100;

/// Bytes that are kept of a client's own name.
pub const USER_AGENT_BYTES_MAX: usize = 128;

const KEY_BYTES: usize = 24;

/// A request that is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgrade {
    /// The 101 to be sent.
    pub response: Vec<u8>,
    /// Bytes of the request; what follows are frames already.
    pub used: usize,
    /// What stood behind the `?`, as it came; shorter than the head.
    pub query: String,
    /// The format of messages in both directions.
    pub format: PayloadFormat,
    /// What the client calls itself, fit for a log: printable ASCII.
    pub user_agent: Option<Box<str>>,
    /// Those of its headers that are kept, with their names in lower case.
    pub kept_headers: Vec<(Box<str>, Box<[u8]>)>,
}

/// The subprotocols that the server knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subprotocol {
    /// None that the client offered, or it offered none.
    None,
    /// `centrifuge-json`.
    Json,
    /// `centrifuge-protobuf`.
    Protobuf,
}

/// How the messages of a connection are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PayloadFormat {
    /// In text.
    Json,
    /// In bytes.
    Protobuf,
}

impl Subprotocol {
    /// The name in `Sec-WebSocket-Protocol`.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Subprotocol::None => None,
            Subprotocol::Json => Some("centrifuge-json"),
            Subprotocol::Protobuf => Some("centrifuge-protobuf"),
        }
    }

    /// The first one in a client's list that we know: it is in order of
    /// preference (4.1).
    fn choose(list: &str) -> Subprotocol {
        let known = [Subprotocol::Json, Subprotocol::Protobuf];
        let find = |item| known.into_iter().find(|known| known.name() == Some(item));
        tokens(list).find_map(find).unwrap_or(Subprotocol::None)
    }
}

/// Answers the request at the start of `head` (RFC 6455, 4.2).
///
/// `Ok(None)` asks for more bytes, and never does so behind `HEAD_BYTES_MAX`.
pub fn upgrade(head: &[u8], options: &Options) -> Result<Option<Upgrade>, UpgradeError> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    let limited = &head[..head.len().min(HEAD_BYTES_MAX)];
    let used = match request.parse_with_uninit_headers(limited, &mut headers) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) if limited.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(UpgradeError::HeadTooLarge),
        Err(error) => return Err(refusal(error)),
    };
    if has_bare_line_feed(&limited[..used]) {
        return Err(UpgradeError::BadRequest(BadRequestReason::LineEnd));
    }
    if request.version != Some(1) {
        return Err(UpgradeError::HttpVersion);
    }
    if request.method != Some("GET") {
        return Err(UpgradeError::Method);
    }
    let target = Target::parse(request.path.unwrap_or_default())?;
    if target.path != options.path {
        return Err(UpgradeError::NotFound);
    }

    let kept_headers = kept(request.headers, &options.kept_headers);
    let asked = Asked::read(request.headers)?;
    let key = asked.check()?;
    let host = asked.host(target.authority)?;
    if let Some(origin) = asked.origin {
        let origin = str::from_utf8(origin).map_err(|_| UpgradeError::Origin)?;
        if !origin::is_allowed(origin, host, &options.origins) {
            return Err(UpgradeError::Origin);
        }
    }
    Ok(Some(Upgrade {
        response: response(key, asked.subprotocol),
        used,
        query: target.query.to_owned(),
        format: format(asked.subprotocol, target.query),
        user_agent: asked.user_agent.map(printable),
        kept_headers,
    }))
}

/// The headers of these names, in the order in which they came.
fn kept(headers: &[httparse::Header<'_>], names: &[String]) -> Vec<(Box<str>, Box<[u8]>)> {
    let kept = headers.iter().filter_map(|header| {
        let name = names.iter().find(|name| header.name.eq_ignore_ascii_case(name))?;
        Some((Box::from(&**name), Box::from(header.value)))
    });
    kept.collect()
}

fn refusal(error: httparse::Error) -> UpgradeError {
    match error {
        httparse::Error::TooManyHeaders => UpgradeError::HeadTooLarge,
        httparse::Error::Version => UpgradeError::HttpVersion,
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token => UpgradeError::BadRequest(BadRequestReason::Malformed),
    }
}

/// The parser takes a line feed alone for the end of a line. Proxies do not
/// agree on that, and where they disagree requests are smuggled.
fn has_bare_line_feed(head: &[u8]) -> bool {
    let mut before = 0;
    head.iter().any(|&byte| std::mem::replace(&mut before, byte) != b'\r' && byte == b'\n')
}

/// What the request line asks for (RFC 9112, 3.2).
struct Target<'h> {
    /// Only in an absolute target, and then it counts instead of `Host`.
    authority: Option<&'h str>,
    path: &'h str,
    query: &'h str,
}

impl Target<'_> {
    fn parse(target: &str) -> Result<Target<'_>, UpgradeError> {
        let (authority, local) = if target.starts_with('/') {
            (None, target)
        } else {
            let (scheme, rest) = target
                .split_once("://")
                .ok_or(UpgradeError::BadRequest(BadRequestReason::Target))?;
            if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
                return Err(UpgradeError::BadRequest(BadRequestReason::Target));
            }
            let (authority, local) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            (Some(authority), local)
        };
        let (path, query) = local.split_once('?').unwrap_or((local, ""));
        Ok(Target { authority, path, query })
    }
}

/// What the headers say that we look at.
struct Asked<'h> {
    host: Option<&'h [u8]>,
    key: Option<&'h [u8]>,
    version: Option<&'h [u8]>,
    origin: Option<&'h [u8]>,
    user_agent: Option<&'h [u8]>,
    subprotocol: Subprotocol,
    names_websocket: bool,
    names_upgrade: bool,
    announces_body: bool,
}

impl<'h> Asked<'h> {
    fn read(headers: &[httparse::Header<'h>]) -> Result<Asked<'h>, UpgradeError> {
        let mut asked = Asked {
            host: None,
            key: None,
            version: None,
            origin: None,
            user_agent: None,
            subprotocol: Subprotocol::None,
            names_websocket: false,
            names_upgrade: false,
            announces_body: false,
        };
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            // Lists are ASCII; one that is not names nothing that we know.
            let list = || str::from_utf8(header.value).unwrap_or_default();
            if is("Host") {
                once(&mut asked.host, header.value)?;
            } else if is("Sec-WebSocket-Key") {
                once(&mut asked.key, header.value)?;
            } else if is("Sec-WebSocket-Version") {
                once(&mut asked.version, header.value)?;
            } else if is("Origin") {
                once(&mut asked.origin, header.value)?;
            } else if is("User-Agent") {
                asked.user_agent = asked.user_agent.or(Some(header.value));
            } else if is("Upgrade") {
                asked.names_websocket |=
                    tokens(list()).any(|token| token.eq_ignore_ascii_case("websocket"));
            } else if is("Connection") {
                asked.names_upgrade |=
                    tokens(list()).any(|token| token.eq_ignore_ascii_case("upgrade"));
            } else if is("Sec-WebSocket-Protocol") {
                if asked.subprotocol == Subprotocol::None {
                    asked.subprotocol = Subprotocol::choose(list());
                }
            } else if is("Content-Length") {
                asked.announces_body |= header.value != b"0";
            } else if is("Transfer-Encoding") {
                asked.announces_body = true;
            }
        }
        Ok(asked)
    }

    /// Gives the key of a request that is as section 4.2.1 wants it.
    fn check(&self) -> Result<&'h [u8], UpgradeError> {
        if self.announces_body {
            return Err(UpgradeError::BadRequest(BadRequestReason::Body));
        }
        if !self.names_websocket {
            return Err(UpgradeError::UpgradeMissing);
        }
        if !self.names_upgrade {
            return Err(UpgradeError::BadRequest(BadRequestReason::Connection));
        }
        if self.version != Some(b"13") {
            return Err(UpgradeError::Version);
        }
        self.key.filter(|key| is_key(key)).ok_or(UpgradeError::BadRequest(BadRequestReason::Key))
    }

    /// The host that the client wants to speak to. `Host` must stand there even
    /// where an absolute target makes it idle (RFC 9112, 3.2.2).
    fn host<'a>(&self, authority: Option<&'a str>) -> Result<&'a str, UpgradeError>
    where
        'h: 'a,
    {
        let named = self.host.and_then(|host| str::from_utf8(host).ok());
        let named = named
            .filter(|host| is_host(host))
            .ok_or(UpgradeError::BadRequest(BadRequestReason::Host))?;
        match authority {
            None => Ok(named),
            Some(authority) if is_host(authority) => Ok(authority),
            Some(_) => Err(UpgradeError::BadRequest(BadRequestReason::Target)),
        }
    }
}

/// Whether this could be a host with or without a port; no more is asked,
/// because it is only compared.
fn is_host(host: &str) -> bool {
    let may_stand = |byte: u8| byte.is_ascii_graphic() && !b"/?#@,".contains(&byte);
    !host.is_empty() && host.bytes().all(may_stand)
}

fn once<'h>(slot: &mut Option<&'h [u8]>, value: &'h [u8]) -> Result<(), UpgradeError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(UpgradeError::BadRequest(BadRequestReason::Repeated)),
    }
}

fn tokens(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(|token| token.trim_matches([' ', '\t']))
}

/// Whether these are 16 bytes in base64 (4.2.1): 21 letters of 6 bits, one of
/// which two count, and the filling.
fn is_key(key: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == KEY_BYTES
        && key[..21].iter().all(is_letter)
        && matches!(key[21], b'A' | b'Q' | b'g' | b'w')
        && key[22..] == *b"=="
}

/// A subprotocol that was agreed on decides; without one, the query does.
fn format(subprotocol: Subprotocol, query: &str) -> PayloadFormat {
    let asks = |pair| matches!(pair, "format=protobuf" | "cf_protocol=protobuf");
    match subprotocol {
        Subprotocol::Protobuf => PayloadFormat::Protobuf,
        Subprotocol::Json => PayloadFormat::Json,
        Subprotocol::None if query.split('&').any(asks) => PayloadFormat::Protobuf,
        Subprotocol::None => PayloadFormat::Json,
    }
}

fn printable(bytes: &[u8]) -> Box<str> {
    let printable = |&byte: &u8| match byte {
        b' '..=b'~' => char::from(byte),
        _ => '?',
    };
    bytes.iter().take(USER_AGENT_BYTES_MAX).map(printable).collect()
}

fn response(key: &[u8], subprotocol: Subprotocol) -> Vec<u8> {
    let accept = derive_accept_key(key);
    let mut parts = vec![
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        "Sec-WebSocket-Accept: ",
        &accept,
    ];
    if let Some(name) = subprotocol.name() {
        parts.extend(["\r\nSec-WebSocket-Protocol: ", name]);
    }
    parts.push("\r\n\r\n");
    parts.concat().into_bytes()
}

#[cfg(test)]
mod tests;
