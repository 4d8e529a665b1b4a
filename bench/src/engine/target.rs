//! Where the server is: a `ws://` URL, resolved once.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

/// A server that speaks the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where to connect.
    pub addr: SocketAddr,
    /// As in the URL, with the port.
    pub host: String,
    /// Path and query.
    pub path: String,
}

/// Why a text is no target.
#[derive(Debug, PartialEq, Eq)]
pub enum TargetParseError {
    /// Only `ws://` is spoken here.
    Scheme,
    /// No host, or one that has no address.
    Host(String),
}

impl fmt::Display for TargetParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetParseError::Scheme => f.write_str("a URL that begins with ws:// is needed"),
            TargetParseError::Host(why) => write!(f, "no such host: {why}"),
        }
    }
}

impl std::error::Error for TargetParseError {}

impl Target {
    /// The path that the protocol's servers have by default.
    pub const PATH: &str = "/connection/websocket";

    /// From a URL; without a path it gets the usual one.
    pub fn parse(url: &str) -> Result<Target, TargetParseError> {
        let rest = url.strip_prefix("ws://").ok_or(TargetParseError::Scheme)?;
        let (host, path) = match rest.find('/') {
            Some(at) if rest[at..] != *"/" => rest.split_at(at),
            Some(at) => (&rest[..at], Self::PATH),
            None => (rest, Self::PATH),
        };
        let has_port = host.rsplit(':').next().is_some_and(|port| port.parse::<u16>().is_ok());
        let host = if has_port { host.to_owned() } else { format!("{host}:80") };
        let mut addrs =
            host.to_socket_addrs().map_err(|error| TargetParseError::Host(error.to_string()))?;
        let addr = addrs.next().ok_or_else(|| TargetParseError::Host(host.clone()))?;
        Ok(Target { addr, host, path: path.to_owned() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ws://{}{}", self.host, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_with_and_without_port_and_path() {
        let check = |url: &str, host: &str, path: &str| {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.host.as_str(), target.path.as_str()), (host, path), "{url}");
        };
        check("ws://127.0.0.1:8000", "127.0.0.1:8000", Target::PATH);
        check("ws://127.0.0.1:8000/", "127.0.0.1:8000", Target::PATH);
        check("ws://127.0.0.1/x?y=z", "127.0.0.1:80", "/x?y=z");
        check("ws://[::1]:9/a", "[::1]:9", "/a");
        assert_eq!(Target::parse("http://127.0.0.1"), Err(TargetParseError::Scheme));
        assert!(matches!(Target::parse("ws://"), Err(TargetParseError::Host(_))));
    }
}
