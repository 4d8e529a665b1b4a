//! Why an upgrade is refused, and the HTTP response that says so.
//!
//! Deliberately absent: faults after the upgrade (`fault`), and who decides about load.

use std::io::Write;

/// Why there will be no WebSocket. Each is answered in HTTP, and the
/// connection ends behind the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpgradeError {
    /// Not a request for a WebSocket as HTTP and RFC 6455 want it.
    BadRequest(BadRequestReason),
    /// Not the endpoint's path.
    NotFound,
    /// Not a GET.
    Method,
    /// A good request that does not ask for a WebSocket.
    UpgradeMissing,
    /// Not version 13 of the protocol.
    Version,
    /// Not HTTP/1.1.
    HttpVersion,
    /// The page's origin is not allowed.
    Origin,
    /// The peer's address is blocked.
    Blocked,
    /// A head of too many bytes or lines.
    HeadTooLarge,
    /// The head did not come in time.
    TimedOut,
    /// All places are taken.
    NoRoom {
        /// When the client may try again.
        retry_after_s: u32,
    },
    /// The server has more to do than it can, and those who are there go first.
    Late {
        /// When the client may try again.
        retry_after_s: u32,
    },
    /// The server is about to stop.
    Draining {
        /// When the client may try again.
        retry_after_s: u32,
    },
}

/// What is wrong with a bad request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BadRequestReason {
    /// Not HTTP, or a line that HTTP does not know.
    Malformed,
    /// A line that ends with a line feed alone.
    LineEnd,
    /// A target that is neither a path nor an http address.
    Target,
    /// No `Host`, or several, or none that could be one.
    Host,
    /// A body is announced.
    Body,
    /// `Connection` does not name `Upgrade`.
    Connection,
    /// No `Sec-WebSocket-Key`, or several, or not 16 bytes in base64.
    Key,
    /// Several of a header that may stand once.
    Repeated,
}

impl UpgradeError {
    /// The whole HTTP response.
    pub fn response(&self) -> Vec<u8> {
        let (status, sentence) = self.status();
        let mut response = Vec::with_capacity(320);
        let mut put = |line: std::fmt::Arguments<'_>| {
            response.write_fmt(line).expect("memory takes everything");
        };
        put(format_args!("HTTP/1.1 {status}\r\n"));
        match self {
            // A 426 names the protocol (RFC 9110, 15.5.22), and so does its Connection (7.8).
            UpgradeError::UpgradeMissing | UpgradeError::Version => put(format_args!(
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade, close\r\n"
            )),
            UpgradeError::Method => put(format_args!("Allow: GET\r\nConnection: close\r\n")),
            UpgradeError::NoRoom { retry_after_s }
            | UpgradeError::Late { retry_after_s }
            | UpgradeError::Draining { retry_after_s } => {
                put(format_args!("Retry-After: {retry_after_s}\r\nConnection: close\r\n"));
            }
            UpgradeError::BadRequest(_)
            | UpgradeError::NotFound
            | UpgradeError::HttpVersion
            | UpgradeError::Origin
            | UpgradeError::Blocked
            | UpgradeError::HeadTooLarge
            | UpgradeError::TimedOut => put(format_args!("Connection: close\r\n")),
        }
        put(format_args!("Content-Type: text/plain; charset=utf-8\r\n"));
        put(format_args!("Content-Length: {}\r\n\r\n{sentence}\n", sentence.len() + 1));
        response
    }

    fn status(self) -> (&'static str, &'static str) {
        match self {
            UpgradeError::BadRequest(flaw) => ("400 Bad Request", flaw.sentence()),
            UpgradeError::NotFound => ("404 Not Found", "There is no endpoint at this path."),
            UpgradeError::Method => {
                ("405 Method Not Allowed", "A WebSocket is asked for with GET.")
            }
            UpgradeError::UpgradeMissing => (
                "426 Upgrade Required",
                "This is a WebSocket endpoint: connect with a WebSocket client, and let proxies \
                 pass the Upgrade and Connection headers on.",
            ),
            UpgradeError::Version => {
                ("426 Upgrade Required", "Sec-WebSocket-Version must be 13 (RFC 6455).")
            }
            UpgradeError::HttpVersion => {
                ("505 HTTP Version Not Supported", "A WebSocket is asked for with HTTP/1.1.")
            }
            UpgradeError::Origin => ("403 Forbidden", "Pages of this origin may not connect."),
            UpgradeError::Blocked => ("403 Forbidden", "This address is blocked."),
            UpgradeError::HeadTooLarge => (
                "431 Request Header Fields Too Large",
                "The request's head is limited to 8192 bytes and 100 headers.",
            ),
            UpgradeError::TimedOut => ("408 Request Timeout", "The request did not come in time."),
            UpgradeError::NoRoom { .. } => {
                ("503 Service Unavailable", "All places are taken. Try again later.")
            }
            UpgradeError::Late { .. } => {
                ("503 Service Unavailable", "The server is late; come back a little later.")
            }
            UpgradeError::Draining { .. } => {
                ("503 Service Unavailable", "The server is stopping. Try again later.")
            }
        }
    }

    /// The name in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            UpgradeError::BadRequest(_) => "bad_request",
            UpgradeError::NotFound => "not_found",
            UpgradeError::Method => "method",
            UpgradeError::UpgradeMissing => "upgrade_missing",
            UpgradeError::Version => "version",
            UpgradeError::HttpVersion => "http_version",
            UpgradeError::Origin => "origin",
            UpgradeError::Blocked => "blocked",
            UpgradeError::HeadTooLarge => "head_too_large",
            UpgradeError::TimedOut => "timed_out",
            UpgradeError::NoRoom { .. } => "no_room",
            UpgradeError::Late { .. } => "late",
            UpgradeError::Draining { .. } => "draining",
        }
    }
}

impl BadRequestReason {
    fn sentence(self) -> &'static str {
        match self {
            BadRequestReason::Malformed => "This is not an HTTP/1.1 request.",
            BadRequestReason::LineEnd => "Lines end with a carriage return and a line feed.",
            BadRequestReason::Target => "The target must be a path or an http address.",
            BadRequestReason::Host => "There must be one Host header with a host.",
            BadRequestReason::Body => "A WebSocket is asked for without a body.",
            BadRequestReason::Connection => "The Connection header must name Upgrade.",
            BadRequestReason::Key => "There must be one Sec-WebSocket-Key of 16 bytes in base64.",
            BadRequestReason::Repeated => "A header that may stand once stands several times.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(refusal: UpgradeError, want_start: &str, want_header: &str) {
        let response = String::from_utf8(refusal.response()).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(want_start), "{head}");
        assert!(head.contains(want_header), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{head}");
        assert!(
            head.lines().any(|line| line.starts_with("Connection:") && line.ends_with("close"))
        );
        assert!(!refusal.label().is_empty());
    }

    #[test]
    fn each_refusal_is_a_whole_response() {
        check(UpgradeError::BadRequest(BadRequestReason::Key), "HTTP/1.1 400 ", "");
        check(UpgradeError::NotFound, "HTTP/1.1 404 ", "");
        check(UpgradeError::Method, "HTTP/1.1 405 ", "\r\nAllow: GET\r\n");
        check(UpgradeError::UpgradeMissing, "HTTP/1.1 426 ", "\r\nUpgrade: websocket\r\n");
        check(UpgradeError::Version, "HTTP/1.1 426 ", "\r\nSec-WebSocket-Version: 13\r\n");
        check(UpgradeError::HttpVersion, "HTTP/1.1 505 ", "");
        check(UpgradeError::Origin, "HTTP/1.1 403 ", "");
        check(UpgradeError::Blocked, "HTTP/1.1 403 ", "");
        check(UpgradeError::HeadTooLarge, "HTTP/1.1 431 ", "");
        check(UpgradeError::TimedOut, "HTTP/1.1 408 ", "");
        check(UpgradeError::NoRoom { retry_after_s: 7 }, "HTTP/1.1 503 ", "\r\nRetry-After: 7\r\n");
        check(UpgradeError::Late { retry_after_s: 8 }, "HTTP/1.1 503 ", "\r\nRetry-After: 8\r\n");
        check(
            UpgradeError::Draining { retry_after_s: 9 },
            "HTTP/1.1 503 ",
            "\r\nRetry-After: 9\r\n",
        );
    }
}
