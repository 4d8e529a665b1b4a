//! Whether pages of an origin may connect, which keeps other sites from using a visitor's
//! browser against the server (RFC 6455, 10.2).
//!
//! Deliberately absent: requests without an origin, which come from no browser.

/// Whether a page of `origin` may connect: by the operator's list, or, where
/// that is empty, because it came from the host that it asks for.
pub(super) fn is_allowed(origin: &str, host: &str, allowed: &[String]) -> bool {
    if allowed.is_empty() {
        return is_same_host(origin, host);
    }
    allowed.iter().any(|pattern| matches(origin, pattern))
}

fn matches(origin: &str, pattern: &str) -> bool {
    // What browsers send for pages without an origin is this word and no host's name.
    if pattern == "*" || origin == "null" || pattern == "null" {
        return pattern == "*" || origin == pattern;
    }
    let (origin, pattern) = (without_default_port(origin), without_default_port(pattern));
    if origin.eq_ignore_ascii_case(pattern) {
        return true;
    }
    let Some((before, after)) = pattern.split_once('*') else { return false };
    let Some(labels_bytes) = origin.len().checked_sub(before.len() + after.len()) else {
        return false;
    };
    // Bytes, because a peer's origin may hold anything that HTTP allows.
    let (start, rest) = origin.as_bytes().split_at(before.len());
    let (labels, end) = rest.split_at(labels_bytes);
    let is_host_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    start.eq_ignore_ascii_case(before.as_bytes())
        && end.eq_ignore_ascii_case(after.as_bytes())
        && !labels.is_empty()
        && labels.iter().all(is_host_letter)
}

/// Browsers leave out the port that a scheme has anyway; operators may not.
fn without_default_port(origin: &str) -> &str {
    let scheme = origin.split_once("://").map_or("", |(scheme, _)| scheme);
    default_port(scheme).and_then(|port| origin.strip_suffix(port)).unwrap_or(origin)
}

/// The port that a scheme has anyway, as it would stand behind a host.
fn default_port(scheme: &str) -> Option<&'static str> {
    let known = [("http", ":80"), ("https", ":443")];
    let found = known.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(scheme));
    found.map(|(_, port)| port)
}

/// Compares host and port. The scheme is left out: behind a proxy that ends
/// TLS the server does not know its own, so the default ports of both schemes
/// are as good as none.
fn is_same_host(origin: &str, host: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let Some(default_port) = default_port(scheme) else { return false };
    let bare = |authority: &str| {
        authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase()
    };
    bare(authority) == bare(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(origin: &str, allowed: &[&str], want: bool) {
        let allowed: Vec<String> = allowed.iter().map(|&pattern| pattern.to_owned()).collect();
        let got = is_allowed(origin, "Chat.example.com:8000", &allowed);
        assert_eq!(got, want, "{origin} by {allowed:?}");
    }

    #[test]
    fn without_a_list_only_the_same_host_may() {
        check("http://chat.example.com:8000", &[], true);
        check("https://CHAT.example.com:8000", &[], true);
        check("http://chat.example.com", &[], false);
        check("http://chat.example.com:8001", &[], false);
        check("http://example.com:8000", &[], false);
        check("ftp://chat.example.com:8000", &[], false);
        check("null", &[], false);
        check("", &[], false);
        assert!(is_allowed("https://example.com", "example.com", &[]));
        assert!(is_allowed("https://example.com", "example.com:443", &[]));
        assert!(is_allowed("http://example.com:80", "example.com", &[]));
        assert!(!is_allowed("https://example.com:80", "example.com", &[]));
    }

    #[test]
    fn a_list_names_origins_or_their_domain() {
        let listed = ["https://example.com", "https://*.example.org", "https://*.example.net:444"];
        check("https://example.com", &listed, true);
        check("https://Example.com", &listed, true);
        check("http://example.com", &listed, false);
        check("https://a.example.com", &listed, false);
        check("https://a.example.org", &listed, true);
        check("https://a.b.example.org", &listed, true);
        check("https://example.org", &listed, false);
        check("https://.example.org", &listed, false);
        check("https://a.example.org:8443", &listed, false);
        check("https://evil.com/.example.org", &listed, false);
        check("https://evil.com#.example.org", &listed, false);
        check("https://aexample.org", &listed, false);
        check("https://a.example.net:444", &listed, true);
        check("https://é.example.org", &listed, false);
        check("http://chat.example.com:8000", &listed, false);
        check("null", &listed, false);
        check("null", &["*"], true);
        check("null", &["null"], true);
    }

    /// Each is let in where it is listed, and lets nobody else in.
    #[test]
    fn pages_of_apps_can_be_listed_each_by_itself() {
        let apps = [
            "file://",
            "null",
            "capacitor://localhost",
            "ionic://localhost",
            "app://.",
            "tauri://localhost",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "moz-extension://0b4c6c2e-7d3f-4f5e-9d0c-3f6f2d1a9b7e",
            "https://Chat.example.org:8443",
            "http://[::1]:3000",
            "https://example.com",
        ];
        for listed in apps {
            for origin in apps {
                check(origin, &[listed], origin == listed);
            }
            for stranger in
                ["", "NULL", "nul", "file", "file:///", "file://evil", "app://..", "://"]
            {
                check(stranger, &[listed], false);
            }
            check(&format!("{listed}.evil.example"), &[listed], false);
            check(&format!("{listed}/"), &[listed], false);
            check(&format!("evil{listed}"), &[listed], false);
        }
        check("CAPACITOR://LocalHost", &["capacitor://localhost"], true);
        check("https://chat.EXAMPLE.org:8443", &["https://Chat.example.org:8443"], true);
    }

    #[test]
    fn a_port_that_the_scheme_has_anyway_is_as_good_as_none() {
        check("https://example.com", &["https://example.com:443"], true);
        check("https://example.com:443", &["https://example.com"], true);
        check("http://example.com", &["HTTP://example.com:80"], true);
        check("https://a.example.com", &["https://*.example.com:443"], true);
        check("https://example.com:80", &["https://example.com"], false);
        check("http://example.com:443", &["http://example.com"], false);
        check("capacitor://localhost:443", &["capacitor://localhost"], false);
        check("http://[::1]", &["http://[::1]:80"], true);
    }
}
