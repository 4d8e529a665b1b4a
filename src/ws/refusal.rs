//! Why an upgrade is refused, and the HTTP response that says so.
//!
//! Deliberately absent: faults after the upgrade (`fault`), and who decides about load.

use std::io::Write;

/// Why there will be no WebSocket. Each is answered in HTTP, and the
/// connection ends behind the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Not a request for a WebSocket as HTTP and RFC 6455 want it.
    BadRequest(Flaw),
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
pub enum Flaw {
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

impl Refusal {
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
            Refusal::UpgradeMissing | Refusal::Version => put(format_args!(
                "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade, close\r\n"
            )),
            Refusal::Method => put(format_args!("Allow: GET\r\nConnection: close\r\n")),
            Refusal::NoRoom { retry_after_s }
            | Refusal::Late { retry_after_s }
            | Refusal::Draining { retry_after_s } => {
                put(format_args!("Retry-After: {retry_after_s}\r\nConnection: close\r\n"));
            }
            Refusal::BadRequest(_)
            | Refusal::NotFound
            | Refusal::HttpVersion
            | Refusal::Origin
            | Refusal::HeadTooLarge
            | Refusal::TimedOut => put(format_args!("Connection: close\r\n")),
        }
        put(format_args!("Content-Type: text/plain; charset=utf-8\r\n"));
        put(format_args!("Content-Length: {}\r\n\r\n{sentence}\n", sentence.len() + 1));
        response
    }

    fn status(self) -> (&'static str, &'static str) {
        match self {
            Refusal::BadRequest(flaw) => ("400 Bad Request", flaw.sentence()),
            Refusal::NotFound => ("404 Not Found", "There is no endpoint at this path."),
            Refusal::Method => ("405 Method Not Allowed", "A WebSocket is asked for with GET."),
            Refusal::UpgradeMissing => (
                "426 Upgrade Required",
                "This is a WebSocket endpoint: connect with a WebSocket client, and let proxies \
                 pass the Upgrade and Connection headers on.",
            ),
            Refusal::Version => {
                ("426 Upgrade Required", "Sec-WebSocket-Version must be 13 (RFC 6455).")
            }
            Refusal::HttpVersion => {
                ("505 HTTP Version Not Supported", "A WebSocket is asked for with HTTP/1.1.")
            }
            Refusal::Origin => ("403 Forbidden", "Pages of this origin may not connect."),
            Refusal::HeadTooLarge => (
                "431 Request Header Fields Too Large",
                "The request's head is limited to 8192 bytes and 100 headers.",
            ),
            Refusal::TimedOut => ("408 Request Timeout", "The request did not come in time."),
            Refusal::NoRoom { .. } => {
                ("503 Service Unavailable", "All places are taken. Try again later.")
            }
            Refusal::Late { .. } => {
                ("503 Service Unavailable", "The server is late; come back a little later.")
            }
            Refusal::Draining { .. } => {
                ("503 Service Unavailable", "The server is stopping. Try again later.")
            }
        }
    }

    /// The name in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Refusal::BadRequest(_) => "bad_request",
            Refusal::NotFound => "not_found",
            Refusal::Method => "method",
            Refusal::UpgradeMissing => "upgrade_missing",
            Refusal::Version => "version",
            Refusal::HttpVersion => "http_version",
            Refusal::Origin => "origin",
            Refusal::HeadTooLarge => "head_too_large",
            Refusal::TimedOut => "timed_out",
            Refusal::NoRoom { .. } => "no_room",
            Refusal::Late { .. } => "late",
            Refusal::Draining { .. } => "draining",
        }
    }
}

impl Flaw {
    fn sentence(self) -> &'static str {
        match self {
            Flaw::Malformed => "This is not an HTTP/1.1 request.",
            Flaw::LineEnd => "Lines end with a carriage return and a line feed.",
            Flaw::Target => "The target must be a path or an http address.",
            Flaw::Host => "There must be one Host header with a host.",
            Flaw::Body => "A WebSocket is asked for without a body.",
            Flaw::Connection => "The Connection header must name Upgrade.",
            Flaw::Key => "There must be one Sec-WebSocket-Key of 16 bytes in base64.",
            Flaw::Repeated => "A header that may stand once stands several times.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(refusal: Refusal, want_start: &str, want_header: &str) {
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
        check(Refusal::BadRequest(Flaw::Key), "HTTP/1.1 400 ", "");
        check(Refusal::NotFound, "HTTP/1.1 404 ", "");
        check(Refusal::Method, "HTTP/1.1 405 ", "\r\nAllow: GET\r\n");
        check(Refusal::UpgradeMissing, "HTTP/1.1 426 ", "\r\nUpgrade: websocket\r\n");
        check(Refusal::Version, "HTTP/1.1 426 ", "\r\nSec-WebSocket-Version: 13\r\n");
        check(Refusal::HttpVersion, "HTTP/1.1 505 ", "");
        check(Refusal::Origin, "HTTP/1.1 403 ", "");
        check(Refusal::HeadTooLarge, "HTTP/1.1 431 ", "");
        check(Refusal::TimedOut, "HTTP/1.1 408 ", "");
        check(Refusal::NoRoom { retry_after_s: 7 }, "HTTP/1.1 503 ", "\r\nRetry-After: 7\r\n");
        check(Refusal::Late { retry_after_s: 8 }, "HTTP/1.1 503 ", "\r\nRetry-After: 8\r\n");
        check(Refusal::Draining { retry_after_s: 9 }, "HTTP/1.1 503 ", "\r\nRetry-After: 9\r\n");
    }
}
