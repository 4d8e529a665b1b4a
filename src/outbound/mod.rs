//! Requests that this program makes as an HTTP client: addresses with credentials (`url`), the
//! proxies between (`proxy`), one exchange at a time (`exchange`). The alert bridge and commands of
//! `cli` call it.
//!
//! Invariants: credentials of an address or of a proxy are in no `Debug`, `Display` or
//! error; every exchange has a connection of its own, a bounded answer and, from whoever
//! asks, a time limit; certificates are verified, redirects are not followed.
//!
//! Deliberately absent: SOCKS, HTTP/2, connections that are kept, and who is asked.
#![forbid(unsafe_code)]

mod connect;
mod exchange;
mod proxy;
mod retry_after;
mod url;

pub use connect::{ConnectError, Connector};
pub use exchange::{BodyEnd, Exchange, ExchangeAnswer, ExchangeError};
pub use proxy::{DIRECT, Proxy, ProxyError, ProxyRules};
pub use url::{HttpUrl, UrlError};
