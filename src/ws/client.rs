//! The client's half of the protocol, for load generators and tests.

use bytes::{BufMut, BytesMut};
use tungstenite::handshake::derive_accept_key;

use super::frame::header;
use super::upgrade::HEADERS_MAX;
use super::{FRAME_HEADER_BYTES_MAX, HEAD_BYTES_MAX, Opcode, Subprotocol, mask};

/// Why an answer is not the upgrade that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientHandshakeError {
    /// Not an HTTP response, or one of too many bytes.
    Malformed,
    /// Another status than 101.
    Status(u16),
    /// A 101 without the headers that section 4.1 wants.
    Headers,
    /// The answer to another key.
    Key,
}

/// Appends one masked frame that is a whole message.
pub fn put_masked_frame(out: &mut BytesMut, opcode: Opcode, payload: &[u8], mask: [u8; 4]) {
    out.reserve(FRAME_HEADER_BYTES_MAX + payload.len());
    out.put_slice(&header(opcode, payload.len(), Some(mask)));
    let start = out.len();
    out.put_slice(payload);
    mask::apply(&mut out[start..], mask, 0);
}

/// A request for a WebSocket. `key` is 16 bytes in base64; `headers` are further
/// names and values.
pub fn upgrade_request(
    host: &str,
    path_and_query: &str,
    key: &str,
    subprotocol: Subprotocol,
    headers: &[(&str, &str)],
) -> Vec<u8> {
    let mut request = format!(
        "GET {path_and_query} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    );
    let subprotocol = subprotocol.name().map(|name| ("Sec-WebSocket-Protocol", name));
    for (name, value) in headers.iter().chain(&subprotocol) {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    request.into_bytes()
}

/// The length of the 101 at the start of `head`; what follows are frames.
/// `Ok(None)` asks for more bytes.
pub fn parse_upgrade_response(
    head: &[u8],
    key: &str,
) -> Result<Option<usize>, ClientHandshakeError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let limited = &head[..head.len().min(HEAD_BYTES_MAX)];
    let used = match response.parse(limited) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) if limited.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(ClientHandshakeError::Malformed),
    };
    let status = response.code.unwrap_or_default();
    if status != 101 {
        return Err(ClientHandshakeError::Status(status));
    }
    let value = |name: &str| {
        let mut named = response.headers.iter().filter(|one| one.name.eq_ignore_ascii_case(name));
        named.next().map(|header| header.value).unwrap_or_default()
    };
    if !value("Upgrade").eq_ignore_ascii_case(b"websocket")
        || !value("Connection").eq_ignore_ascii_case(b"upgrade")
    {
        return Err(ClientHandshakeError::Headers);
    }
    if value("Sec-WebSocket-Accept") != derive_accept_key(key.as_bytes()).as_bytes() {
        return Err(ClientHandshakeError::Key);
    }
    Ok(Some(used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::{Options, upgrade};

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn the_server_grants_what_the_client_asks_for() {
        for subprotocol in [Subprotocol::None, Subprotocol::Json, Subprotocol::Protobuf] {
            let options = Options::default();
            let request =
                upgrade_request("a.b:1", &options.path, KEY, subprotocol, &[("User-Agent", "me")]);
            let granted = upgrade(&request, &options).unwrap().unwrap();
            assert_eq!(granted.used, request.len());
            let response = String::from_utf8(granted.response.clone()).unwrap();
            let agreed_on =
                response.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
            assert_eq!(agreed_on, subprotocol.name());
            assert_eq!(granted.user_agent.as_deref(), Some("me"));
            let head = [&granted.response[..], b"\x81\x00"].concat();
            let answered = parse_upgrade_response(&head, KEY);
            assert_eq!(answered, Ok(Some(granted.response.len())));
            for cut in 0..granted.response.len() {
                assert_eq!(parse_upgrade_response(&head[..cut], KEY), Ok(None));
            }
        }
    }

    #[test]
    fn other_answers_are_no_upgrade() {
        let check = |head: &str, want| {
            assert_eq!(parse_upgrade_response(head.as_bytes(), KEY), Err(want), "{head}");
        };
        check("SSH-2.0-x\r\n", ClientHandshakeError::Malformed);
        check(
            &format!("HTTP/1.1 101 X\r\nA: {}", "a".repeat(9_000)),
            ClientHandshakeError::Malformed,
        );
        check("HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n\r\n", ClientHandshakeError::Status(503));
        check("HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n", ClientHandshakeError::Headers);
        let head = "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
        check(&format!("{head}\r\n"), ClientHandshakeError::Key);
        check(&format!("{head}Sec-WebSocket-Accept: no\r\n\r\n"), ClientHandshakeError::Key);
    }

    #[test]
    fn the_masked_frame_of_the_rfc() {
        let mut out = BytesMut::new();
        put_masked_frame(&mut out, Opcode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        let want = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(out[..], want);
    }
}
