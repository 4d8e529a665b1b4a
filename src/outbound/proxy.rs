//! Which proxy leads to an address, if one does: by the variables of the environment that
//! everybody uses, or by a setting.
//!
//! As in Go's HTTP client, whose neighbours Prometheus and Alertmanager are: names in lower
//! case win over those in upper case, and `localhost` and loopback addresses are never
//! reached by a proxy of the environment, because another machine has another loopback.

use std::fmt;
use std::net::IpAddr;

use super::url::{HttpUrl, UrlError, basic, host_and_port};

/// The word in place of a proxy's address for none at all.
pub const DIRECT: &str = "none";

/// Entries of a list of exceptions.
const EXCEPTIONS_MAX: usize = 1_024;

/// One proxy. Its credentials are in neither `Debug` nor `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    is_tls: bool,
    host: String,
    port: u16,
    authorization: Option<String>,
}

/// Why something is no proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// Not the address of one.
    Address(UrlError),
    /// It is of a kind that is not supported.
    Scheme,
    /// It has a path.
    Path,
    /// Too many exceptions.
    Exceptions,
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProxyError::Address(UrlError::Scheme) | ProxyError::Scheme => f.write_str(
                "a proxy is http:// or https://, such as http://proxy.example:3128; SOCKS is \
                 not spoken",
            ),
            ProxyError::Address(error) => write!(f, "a proxy has an address: {error}"),
            ProxyError::Path => f.write_str("a proxy has a host and a port, and no path"),
            ProxyError::Exceptions => write!(f, "more than {EXCEPTIONS_MAX} exceptions"),
        }
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        let (before, after) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}://{before}{}{after}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Proxy {
    /// A proxy by its address; without a scheme it is `http`.
    pub fn parse(text: &str) -> Result<Proxy, ProxyError> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(ProxyError::Scheme),
        };
        // A password may have a slash that nobody escaped.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Some(credentials), rest),
            None => (None, rest),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !matches!(path, "" | "/") {
            return Err(ProxyError::Path);
        }
        let (host, port) = host_and_port(authority).map_err(ProxyError::Address)?;
        let authorization = match credentials {
            None | Some("" | ":") => None,
            Some(credentials) => {
                let wrong = ProxyError::Address(UrlError::Credentials);
                Some(basic(credentials).ok_or(wrong)?)
            }
        };
        let port = port.unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Proxy { is_tls, host, port, authorization })
    }

    /// Whether it is spoken to over TLS itself.
    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// A name or an address, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of `Proxy-Authorization`, if it has one.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }
}

/// What leads where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyRules {
    http: Option<Proxy>,
    https: Option<Proxy>,
    exceptions: Vec<Exception>,
}

/// What is reached without a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Exception {
    what: Excepted,
    /// This port only.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Excepted {
    Everything,
    /// A domain and all beneath it, in lower case, without a dot at either end.
    Domain(String),
    /// Addresses whose first bits are the same.
    Network(IpAddr, u32),
}

impl ProxyRules {
    /// As `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` say, in lower or upper
    /// case. A variable that would be used and cannot be is an error with its name.
    pub fn from_env(
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<ProxyRules, (&'static str, ProxyError)> {
        let given = |names: [&'static str; 2]| {
            let values = names.into_iter().map(|name| (name, env(name).unwrap_or_default()));
            values
                .map(|(name, value)| (name, value.trim().to_owned()))
                .find(|one| !one.1.is_empty())
        };
        let all = given(["all_proxy", "ALL_PROXY"]);
        let proxy = |names| {
            let Some((name, value)) = given(names).or_else(|| all.clone()) else { return Ok(None) };
            Proxy::parse(&value).map(Some).map_err(|error| (name, error))
        };
        let (http, https) =
            (proxy(["http_proxy", "HTTP_PROXY"])?, proxy(["https_proxy", "HTTPS_PROXY"])?);
        let exceptions = match given(["no_proxy", "NO_PROXY"]) {
            Some((name, value)) => exceptions(&value).map_err(|error| (name, error))?,
            None => Vec::new(),
        };
        Ok(ProxyRules { http, https, exceptions })
    }

    /// One proxy for everything but the exceptions, written as in `no_proxy`.
    pub fn through(proxy: Proxy, no_proxy: &str) -> Result<ProxyRules, ProxyError> {
        let exceptions = exceptions(no_proxy)?;
        Ok(ProxyRules { http: Some(proxy.clone()), https: Some(proxy), exceptions })
    }

    /// The proxy for an address; `None` for the straight way.
    pub fn proxy_for(&self, url: &HttpUrl) -> Option<&Proxy> {
        let proxy = if url.is_tls() { self.https.as_ref() } else { self.http.as_ref() }?;
        let host = url.host().trim_end_matches('.');
        let address: Option<IpAddr> =
            host.parse().ok().map(|address: IpAddr| address.to_canonical());
        let is_local = host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let is_excepted = self.exceptions.iter().any(|one| one.covers(host, address, url.port()));
        (!is_local && !is_excepted).then_some(proxy)
    }
}

impl Exception {
    fn covers(&self, host: &str, address: Option<IpAddr>, port: u16) -> bool {
        let is_there = match &self.what {
            Excepted::Everything => true,
            Excepted::Domain(domain) => {
                let before = host.strip_suffix(domain.as_str());
                before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
            }
            Excepted::Network(network, bits) => {
                address.is_some_and(|address| is_within(address, *network, *bits))
            }
        };
        is_there && self.port.is_none_or(|only| only == port)
    }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let differs = u32::from(address) ^ u32::from(network);
            differs.checked_shr(32 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let differs = u128::from(address) ^ u128::from(network);
            differs.checked_shr(128 - bits).unwrap_or(0) == 0
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}

/// The entries of a list as it stands in `no_proxy`: separated by commas or spaces. What
/// can be nothing is left out, as every client does.
fn exceptions(list: &str) -> Result<Vec<Exception>, ProxyError> {
    let entries = list.split(|c: char| c == ',' || c.is_whitespace());
    let entries: Vec<Exception> = entries.filter_map(exception).take(EXCEPTIONS_MAX + 1).collect();
    if entries.len() > EXCEPTIONS_MAX { Err(ProxyError::Exceptions) } else { Ok(entries) }
}

fn exception(entry: &str) -> Option<Exception> {
    let entry = entry.trim().to_ascii_lowercase();
    let always = |what| Some(Exception { what, port: None });
    if entry == "*" {
        return always(Excepted::Everything);
    }
    if let Some((network, bits)) = entry.split_once('/') {
        let network: IpAddr = network.trim_matches(['[', ']']).parse().ok()?;
        let bits_max = if network.is_ipv4() { 32 } else { 128 };
        let bits = bits.parse().ok().filter(|bits| *bits <= bits_max)?;
        return always(Excepted::Network(network, bits));
    }
    // IPv6 without brackets has colons and no port.
    let (host, port) = match entry.parse::<std::net::Ipv6Addr>() {
        Ok(_) => (entry.as_str(), None),
        Err(_) => match entry.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
            Some(_) | None => (entry.as_str(), None),
        },
    };
    let host = host.trim_matches(['[', ']']);
    if let Ok(address) = host.parse::<IpAddr>() {
        let address = address.to_canonical();
        let bits = if address.is_ipv4() { 32 } else { 128 };
        return Some(Exception { what: Excepted::Network(address, bits), port });
    }
    let domain = host.strip_prefix('*').unwrap_or(host).trim_matches('.');
    if domain.is_empty() {
        // `*:443` is everything on a port.
        return (host == "*").then_some(Exception { what: Excepted::Everything, port });
    }
    Some(Exception { what: Excepted::Domain(domain.to_owned()), port })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(variables: &[(&str, &str)]) -> Result<ProxyRules, (&'static str, ProxyError)> {
        let find = |name: &str| {
            let found = variables.iter().find(|(one, _)| *one == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        ProxyRules::from_env(&find)
    }

    #[track_caller]
    fn check(variables: &[(&str, &str)], url: &str, want: &str) {
        let rules = rules(variables).unwrap();
        let proxy = rules.proxy_for(&HttpUrl::parse(url).unwrap());
        assert_eq!(proxy.map_or("direct".to_owned(), Proxy::to_string), want, "{url}");
    }

    #[test]
    fn the_variables_that_everybody_uses_are_heeded() {
        let two = [("http_proxy", "http://p:1"), ("https_proxy", "https://q")];
        check(&two, "http://a", "http://p:1");
        check(&two, "https://a", "https://q:443");
        check(&[("HTTPS_PROXY", "p:3128")], "https://a", "http://p:3128");
        check(&[("HTTPS_PROXY", "p:3128")], "http://a", "direct");
        check(&[("http_proxy", "p:1")], "https://a", "direct");
        check(&[("HTTP_PROXY", "http://[fd00::1]:8")], "http://a", "http://[fd00::1]:8");
        check(&[("all_proxy", "p:1")], "http://a", "http://p:1");
        check(&[("ALL_PROXY", "p:1"), ("https_proxy", "q:2")], "https://a", "http://q:2");
        check(&[("https_proxy", "p:1"), ("HTTPS_PROXY", "q:2")], "https://a", "http://p:1");
        check(&[("https_proxy", ""), ("HTTPS_PROXY", "q:2")], "https://a", "http://q:2");
        check(&[], "https://a", "direct");
    }

    #[test]
    fn exceptions_are_domains_networks_ports_and_everything() {
        let check = |no_proxy: &str, url: &str, is_direct: bool| {
            let want = if is_direct { "direct" } else { "http://p:1" };
            check(&[("all_proxy", "p:1"), ("no_proxy", no_proxy)], url, want);
        };
        for (no_proxy, url, is_direct) in [
            ("example.com", "http://example.com/x", true),
            ("example.com", "https://a.b.EXAMPLE.com.", true),
            ("example.com", "http://notexample.com", false),
            (".example.com", "http://a.example.com", true),
            (".example.com", "http://example.com", true),
            ("*.example.com", "http://a.example.com", true),
            ("a.com, b.com", "http://b.com", true),
            ("a.com b.com", "http://b.com", true),
            ("*", "https://anything", true),
            ("example.com:8443", "https://example.com:8443", true),
            ("example.com:8443", "https://example.com", false),
            ("example.com:443", "https://example.com", true),
            ("*:9090", "http://prometheus:9090", true),
            ("10.1.2.3", "http://10.1.2.3:9090", true),
            ("10.1.2.3:80", "http://10.1.2.3:9090", false),
            ("10.0.0.0/8", "http://10.200.0.1", true),
            ("10.0.0.0/8", "http://11.0.0.1", false),
            ("10.0.0.0/8", "http://10.example.com", false),
            ("0.0.0.0/0", "http://11.0.0.1", true),
            ("10.0.0.4/31", "http://10.0.0.5", true),
            ("10.0.0.4/33", "http://10.0.0.4", false),
            ("fd00::/8", "http://[fd12::1]:9090", true),
            ("fd00::/8", "http://[fe80::1]", false),
            ("fd12::1", "http://[fd12:0::1]", true),
            ("[fd12::1]:9090", "http://[fd12::1]", false),
            ("10.0.0.0/8", "http://[::ffff:10.0.0.1]", true),
            (",, ,", "http://a", false),
            ("com", "http://telecom", false),
        ] {
            check(no_proxy, url, is_direct);
        }
    }

    #[test]
    fn loopback_is_never_reached_by_another_machine() {
        for url in ["http://localhost:9090", "http://127.0.0.9", "http://[::1]:9093"] {
            check(&[("all_proxy", "p:1")], url, "direct");
        }
        check(&[("all_proxy", "p:1")], "http://localhost.example", "http://p:1");
    }

    #[test]
    fn what_cannot_be_used_is_named_and_its_password_is_not() {
        let wrong = rules(&[("https_proxy", "socks5://me:secret@h:1")]).unwrap_err();
        assert_eq!(wrong.0, "https_proxy");
        let told = format!("{wrong:?} {}", wrong.1);
        assert!(told.contains("SOCKS") && !told.contains("secret"), "{told}");
        // It would not be used.
        let all = ("all_proxy", "socks5://127.0.0.1:7891");
        let http = "http://127.0.0.1:7890";
        assert!(rules(&[all, ("http_proxy", http), ("https_proxy", http)]).is_ok());
        assert_eq!(rules(&[all, ("http_proxy", http)]).unwrap_err().0, "all_proxy");
        for text in ["", "http://", "p:0", "p/path", "ftp://p", "p q", "http://u:%zz@p"] {
            assert!(Proxy::parse(text).is_err(), "{text}");
        }
        let proxy = Proxy::parse("http://me:s/e@cret@p:3128/").unwrap();
        assert_eq!(proxy.authorization(), Some("Basic bWU6cy9lQGNyZXQ="));
        assert_eq!(format!("{proxy} {proxy:?}"), "http://p:3128 http://p:3128");
    }

    #[test]
    fn a_setting_has_exceptions_too() {
        let rules = ProxyRules::through(Proxy::parse("p:1").unwrap(), "a.com").unwrap();
        let is_direct = |url: &str| rules.proxy_for(&HttpUrl::parse(url).unwrap()).is_none();
        assert!(is_direct("https://a.com") && !is_direct("https://b.com"));
        let many = "a,".repeat(EXCEPTIONS_MAX + 1);
        let proxy = Proxy::parse("p:1").unwrap();
        assert_eq!(ProxyRules::through(proxy, &many), Err(ProxyError::Exceptions));
    }
}
