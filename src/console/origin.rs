//! Hosts and origins that a page of this listener can have, as `access` asks.
//!
//! A stranger can let a name of theirs point to this host (DNS rebinding), and then their page and
//! this listener are one origin to a browser. So a name counts only where it is listed; an address
//! cannot be a stranger's name.
//!
//! Deliberately absent: which origins are listed.

use std::net::IpAddr;

/// Origins that an operator can list.
pub const ORIGINS_MAX: usize = 16;

/// Where a page is: whether by TLS, and at which host and port, in lower case and without the
/// port that the scheme has anyway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageOrigin {
    is_secure: bool,
    authority: Box<str>,
}

impl PageOrigin {
    /// From `https://host`, or with a port; `None` for anything else, a path included.
    pub fn parse(text: &str) -> Option<PageOrigin> {
        let (scheme, authority) = text.split_once("://")?;
        let is_secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = authority.to_ascii_lowercase();
        let host = host_of(&authority)?;
        let is_host = |letter: char| letter.is_ascii_alphanumeric() || "-._:[]".contains(letter);
        if host.is_empty() || !authority.chars().all(is_host) {
            return None;
        }
        let default_port = if is_secure { ":443" } else { ":80" };
        let authority = authority.strip_suffix(default_port).unwrap_or(&authority);
        Some(PageOrigin { is_secure, authority: authority.into() })
    }

    /// Whether its pages come by TLS.
    pub fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// Whether this is the `Host` of a request from such a page.
    fn has_host(&self, host: &str) -> bool {
        let default_port = if self.is_secure { ":443" } else { ":80" };
        host.strip_suffix(default_port).unwrap_or(host).eq_ignore_ascii_case(&self.authority)
    }
}

/// Whether a request for this host may be for us: an address, this machine's own name for itself,
/// or the host of an origin that is listed.
pub(super) fn is_known_host(host: &str, listed: &[PageOrigin]) -> bool {
    let Some(name) = host_of(host) else { return false };
    let is_address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    is_address
        || name.eq_ignore_ascii_case("localhost")
        || listed.iter().any(|origin| origin.has_host(host))
}

/// The origin of a request's page, if that page is one of this host's. Behind a proxy that ends
/// TLS the server does not know its own scheme, so either is good where the host is the same.
pub(super) fn own_origin(origin: &str, host: &str, listed: &[PageOrigin]) -> Option<PageOrigin> {
    let origin = PageOrigin::parse(origin)?;
    // A listed host is behind one scheme only.
    let is_listed = listed.contains(&origin);
    let is_other = listed.iter().any(|listed| listed.has_host(host)) && !is_listed;
    (origin.has_host(host) && !is_other).then_some(origin)
}

/// The host without its port; `None` where the port is none.
fn host_of(authority: &str) -> Option<&str> {
    let is_port = |text: &str| {
        (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    if authority.starts_with('[') {
        let (host, rest) = authority.split_at(authority.find(']')? + 1);
        return (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port)).then_some(host);
    }
    match authority.split_once(':') {
        None => Some(authority),
        Some((host, port)) => is_port(port).then_some(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Vec<PageOrigin> {
        vec![PageOrigin::parse("https://Ops.example.org").unwrap()]
    }

    #[test]
    fn an_origin_is_a_scheme_and_a_host() {
        for (text, other) in [
            ("https://ops.example.org", "HTTPS://OPS.example.org:443"),
            ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
            ("http://[::1]", "http://[::1]:80"),
        ] {
            assert_eq!(PageOrigin::parse(text), PageOrigin::parse(other), "{text}");
            assert!(PageOrigin::parse(text).is_some(), "{text}");
        }
        for wrong in [
            "",
            "null",
            "ops.example.org",
            "https://",
            "https://:443",
            "ftp://a",
            "https://a/b",
            "https://a:b",
            "https://a@b",
            "https://a:443:443",
            "http://[::1",
            "https://*.a",
        ] {
            assert_eq!(PageOrigin::parse(wrong), None, "{wrong}");
        }
        assert!(PageOrigin::parse("https://a").unwrap().is_secure());
        assert!(!PageOrigin::parse("http://a").unwrap().is_secure());
    }

    #[test]
    fn a_name_that_is_not_listed_opens_nothing() {
        for host in [
            "127.0.0.1:8001",
            "127.0.0.1",
            "10.1.2.3:1",
            "[::1]:8001",
            "[::1]",
            "localhost",
            "LOCALHOST:8001",
            "ops.example.org",
            "OPS.example.org:443",
        ] {
            assert!(is_known_host(host, &listed()), "{host}");
        }
        for host in [
            "",
            ":8001",
            "evil.example",
            "evil.example:8001",
            "ops.example.org:8001",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "127.0.0.1:",
            "127.0.0.1:a",
            "a@127.0.0.1",
        ] {
            assert!(!is_known_host(host, &listed()), "{host}");
        }
        assert!(!is_known_host("ops.example.org", &[]));
    }

    #[track_caller]
    fn check(origin: &str, host: &str, want: bool) {
        assert_eq!(own_origin(origin, host, &listed()).is_some(), want, "{origin} at {host}");
    }

    #[test]
    fn a_page_is_of_the_host_that_it_asks() {
        check("http://127.0.0.1:8001", "127.0.0.1:8001", true);
        check("https://127.0.0.1:8001", "127.0.0.1:8001", true);
        check("http://localhost", "localhost:80", true);
        check("https://ops.example.org", "ops.example.org", true);
        check("https://ops.example.org", "ops.example.org:443", true);
        check("http://ops.example.org", "ops.example.org", false);
        check("http://127.0.0.1:8000", "127.0.0.1:8001", false);
        check("http://localhost:8001", "127.0.0.1:8001", false);
        check("https://evil.example", "127.0.0.1:8001", false);
        check("null", "127.0.0.1:8001", false);
        check("", "127.0.0.1:8001", false);
    }
}
