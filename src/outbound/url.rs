//! An address of a web server, taken apart once: credentials stand beside it and are
//! never shown.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// Bytes of an address: a query of Prometheus is long.
const URL_BYTES_MAX: usize = 64 << 10;

/// An `http` or `https` address. `Debug` and `Display` leave its credentials and its path
/// out, because tokens stand in both.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    is_tls: bool,
    /// In lower case, without the brackets of IPv6.
    host: String,
    port: u16,
    /// As it was written: host and perhaps a port.
    authority: String,
    /// From the slash on, with the query.
    path: String,
    /// The value of `Authorization` for its user and password.
    authorization: Option<String>,
}

/// What is wrong with an address; a word of it is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// Neither `http://` nor `https://`.
    Scheme,
    /// No host, or one that cannot be.
    Host,
    /// A port that cannot be.
    Port,
    /// A fragment, a space, something that is not ASCII, or too long.
    Form,
    /// A user or password whose escapes (`%40`) are wrong.
    Credentials,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            UrlError::Scheme => "it must begin with http:// or https://",
            UrlError::Host => "it has no host, or one with letters that no host has",
            UrlError::Port => "its port must be from 1 to 65535",
            UrlError::Form => "it must be ASCII without spaces and `#`, and not too long",
            UrlError::Credentials => {
                "its user or password has a wrong escape: `%` itself is written as %25"
            }
        })
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme(), self.authority)
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl HttpUrl {
    /// Takes an address apart.
    pub fn parse(text: &str) -> Result<HttpUrl, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(UrlError::Scheme),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let is_plain = |c: char| c.is_ascii_graphic() && c != '#';
        if text.len() > URL_BYTES_MAX || !path.chars().all(is_plain) {
            return Err(UrlError::Form);
        }
        let (credentials, authority) = match authority.rsplit_once('@') {
            Some((credentials, authority)) => (Some(credentials), authority),
            None => (None, authority),
        };
        let (host, port) = host_and_port(authority)?;
        let port = port.unwrap_or(if is_tls { 443 } else { 80 });
        let authorization = match credentials {
            None | Some("" | ":") => None,
            Some(credentials) => Some(basic(credentials).ok_or(UrlError::Credentials)?),
        };
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(HttpUrl {
            is_tls,
            host,
            port,
            authority: authority.to_ascii_lowercase(),
            path: format!("{slash}{path}"),
            authorization,
        })
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// Whether it is spoken to over TLS.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// A name or an address, in lower case, without the brackets of IPv6.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also when it was not written.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What `Host` says: host and, where it was written, the port.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// From the slash on, with the query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The value of `Authorization` for its user and password, if it has one.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Host and port as a proxy wants them.
    pub fn host_and_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A host and perhaps a port, of what stands between a scheme and a path.
pub(super) fn host_and_port(authority: &str) -> Result<(String, Option<u16>), UrlError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or(UrlError::Host)?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| UrlError::Host)?;
            match after.strip_prefix(':') {
                Some(port) => (host, Some(port)),
                None if after.is_empty() => (host, None),
                None => return Err(UrlError::Port),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let is_host = host.parse::<IpAddr>().is_ok() || host.chars().all(is_name);
    if host.is_empty() || host.len() > 255 || !is_host {
        return Err(UrlError::Host);
    }
    let port = match port {
        // As `http://host:/` is allowed to be written.
        None | Some("") => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            let port = digits.parse().ok().filter(|port| *port != 0);
            Some(port.ok_or(UrlError::Port)?)
        }
        Some(_) => return Err(UrlError::Port),
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// The value of a header for `user:password`, escaped as in an address.
pub(super) fn basic(credentials: &str) -> Option<String> {
    let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
    let mut plain = unescaped(user)?;
    // The first colon ends the user's name.
    if plain.contains(&b':') {
        return None;
    }
    plain.push(b':');
    plain.extend(unescaped(password)?);
    let has_controls = plain.iter().any(u8::is_ascii_control);
    (!has_controls).then(|| format!("Basic {}", BASE64_STANDARD.encode(plain)))
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            plain.push((digit()? * 16 + digit()?) as u8);
        } else {
            plain.push(byte);
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart() {
        for (text, scheme, host, port, authority, path) in [
            ("http://a", "http", "a", 80, "a", "/"),
            (
                "HTTPS://A.Example:8443/x?y=z",
                "https",
                "a.example",
                8443,
                "a.example:8443",
                "/x?y=z",
            ),
            ("https://a?q=http://b/@", "https", "a", 443, "a", "/?q=http://b/@"),
            ("http://[::1]:9093/am/", "http", "::1", 9093, "[::1]:9093", "/am/"),
            ("http://u:p@10.0.0.1:/", "http", "10.0.0.1", 80, "10.0.0.1:", "/"),
        ] {
            let url = HttpUrl::parse(text).unwrap();
            let got = (url.scheme(), url.host(), url.port(), url.authority(), url.path());
            assert_eq!(got, (scheme, host, port, authority, path), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for (text, want) in [
            ("", UrlError::Scheme),
            ("127.0.0.1:9093", UrlError::Scheme),
            ("ftp://a", UrlError::Scheme),
            ("http://", UrlError::Host),
            ("http://user:secret@/x", UrlError::Host),
            ("http://a b/", UrlError::Host),
            ("http://[::g]/", UrlError::Host),
            ("http://a:0", UrlError::Port),
            ("http://a:65536", UrlError::Port),
            ("http://a:+80", UrlError::Port),
            ("http://[::1]80", UrlError::Port),
            ("http://a/x#y", UrlError::Form),
            ("http://a/x y", UrlError::Form),
            ("http://a/\r\nHost: b", UrlError::Form),
            ("http://u:%4@a", UrlError::Credentials),
            ("http://u:%0a@a", UrlError::Credentials),
        ] {
            assert_eq!(HttpUrl::parse(text), Err(want), "{text}");
        }
    }

    #[test]
    fn credentials_become_basic_auth_and_are_never_shown() {
        for (text, want) in [
            ("http://a", None),
            ("http://@a", None),
            ("http://user@a", Some("Basic dXNlcjo=")),
            ("http://user:pass@a", Some("Basic dXNlcjpwYXNz")),
            // An `@` that was not escaped, and one that was.
            ("http://user:p@ss@a", Some("Basic dXNlcjpwQHNz")),
            ("http://user:p%40ss@a", Some("Basic dXNlcjpwQHNz")),
            ("http://user:p:s@a", Some("Basic dXNlcjpwOnM=")),
        ] {
            let url = HttpUrl::parse(text).unwrap();
            assert_eq!(url.authorization(), want, "{text}");
            assert_eq!((url.host(), url.authority()), ("a", "a"), "{text}");
            assert_eq!(format!("{url} {url:?}"), "http://a http://a");
        }
    }
}
