//! Where a server is.

use std::fmt;

use hyper::Uri;

/// Servers that one process probes.
pub const TARGETS_MAX: usize = 64;

/// The path of a URL that has none.
const PATH: &str = "/connection/websocket";

/// A server, from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeTarget {
    /// Name or address.
    pub(super) host: String,
    pub(super) port: u16,
    /// With the query.
    pub(super) path: String,
    pub(super) is_tls: bool,
}

/// Why a text names no server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetError {
    /// It is no URL.
    Url,
    /// Neither `ws` nor `wss`.
    Scheme,
    /// No host, or something beside host and port.
    Host,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TargetError::Url => "not a URL",
            TargetError::Scheme => "it begins with ws:// or wss://",
            TargetError::Host => "a host, and a port if it is not the usual one",
        })
    }
}

impl ProbeTarget {
    /// From a URL such as `wss://chat.example.org/connection/websocket`.
    pub fn parse(url: &str) -> Result<ProbeTarget, TargetError> {
        let uri: Uri = url.parse().map_err(|_| TargetError::Url)?;
        let is_tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            Some(_) | None => return Err(TargetError::Scheme),
        };
        let authority = uri.authority().ok_or(TargetError::Host)?;
        let host = authority.host();
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(TargetError::Host);
        }
        let port = authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "" | "/" => PATH,
            path => path,
        };
        Ok(ProbeTarget { host: host.to_owned(), port, path: path.to_owned(), is_tls })
    }

    /// As a label, and in the request.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let target = ProbeTarget::parse("ws://127.0.0.1:8000").unwrap();
        assert_eq!((target.authority(), &*target.path), ("127.0.0.1:8000".to_owned(), PATH));
        assert!(!target.is_tls);
        let target = ProbeTarget::parse("wss://chat.example.org/ws?x=1").unwrap();
        assert_eq!((target.port, &*target.path, target.is_tls), (443, "/ws?x=1", true));
        assert_eq!(ProbeTarget::parse("ws://[::1]:1/").unwrap().authority(), "[::1]:1");
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for (url, why) in [
            ("", TargetError::Url),
            ("ws://a b/", TargetError::Url),
            ("http://a/", TargetError::Scheme),
            ("/connection", TargetError::Scheme),
            ("ws://user:secret@a/", TargetError::Host),
        ] {
            assert_eq!(ProbeTarget::parse(url), Err(why), "{url}");
        }
    }
}
