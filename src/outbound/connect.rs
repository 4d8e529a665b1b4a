//! A connection to where an address leads: straight or through a proxy, with TLS where the
//! address wants it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::Uri;
use hyper::service::Service as _;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;

use super::proxy::Proxy;
use super::url::HttpUrl;
use crate::tls_roots;

/// Until TCP is there, in ms; several addresses of one name share it.
const TCP_MS_MAX: u64 = 3_000;

/// Bytes of a proxy's answer to CONNECT.
const ANSWER_BYTES_MAX: usize = 8 << 10;

/// Header fields of the same.
const HEADERS_MAX: usize = 64;

/// Makes connections. Trusts what the system trusts, and one more file.
#[derive(Clone)]
pub struct Connector {
    tcp: TowerToHyperService<HttpConnector>,
    tls: TlsConnector,
}

/// Why there is no connection; nothing was asked yet.
#[derive(Debug)]
pub enum ConnectError {
    /// Name, TCP or TLS, of the address itself.
    Host(String),
    /// The same of the proxy.
    Proxy(String),
    /// The proxy does not lead there: its status.
    Refused(u16),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Host(why) => f.write_str(why),
            ConnectError::Proxy(why) => write!(f, "the proxy cannot be reached: {why}"),
            ConnectError::Refused(407) => f.write_str("the proxy wants other credentials (407)"),
            ConnectError::Refused(status) => write!(f, "the proxy refuses ({status})"),
        }
    }
}

/// Bytes in both directions.
pub(super) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

impl Connector {
    /// Trusts what the system trusts, and the certificates in `ca_file` if it names one.
    /// What is wrong with that file is an error, as one sentence.
    pub fn new(ca_file: &str) -> Result<Connector, String> {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(Duration::from_millis(TCP_MS_MAX)));
        let tls = TlsConnector::from(Arc::new(tls_roots::client_config(ca_file)?));
        Ok(Connector { tcp: TowerToHyperService::new(tcp), tls })
    }

    /// The end of what a request can be written into. Whoever asks has the time limit.
    pub(super) async fn connect(
        &self,
        url: &HttpUrl,
        proxy: Option<&Proxy>,
    ) -> Result<Box<dyn ByteStream>, ConnectError> {
        let host = |error: io::Error| ConnectError::Host(error.to_string());
        let Some(proxy) = proxy else {
            let stream = self.tcp(url.host(), url.port()).await.map_err(host)?;
            return match url.is_tls() {
                true => self.tls(stream, url.host()).await.map_err(host),
                false => Ok(stream),
            };
        };
        let of_proxy = |error: io::Error| ConnectError::Proxy(error.to_string());
        let stream = self.tcp(proxy.host(), proxy.port()).await.map_err(of_proxy)?;
        let mut stream = match proxy.is_tls() {
            true => self.tls(stream, proxy.host()).await.map_err(of_proxy)?,
            false => stream,
        };
        if !url.is_tls() {
            // The proxy reads the request itself.
            return Ok(stream);
        }
        let status = tunnel(&mut stream, url, proxy).await.map_err(of_proxy)?;
        if !(200..300).contains(&status) {
            return Err(ConnectError::Refused(status));
        }
        self.tls(stream, url.host()).await.map_err(host)
    }

    async fn tcp(&self, host: &str, port: u16) -> io::Result<Box<dyn ByteStream>> {
        let (before, after) = if host.contains(':') { ("[", "]") } else { ("", "") };
        let uri: Uri =
            format!("http://{before}{host}{after}:{port}/").parse().map_err(io::Error::other)?;
        let stream = self.tcp.call(uri).await.map_err(|error| {
            // The words of the system say more than those around them.
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            io::Error::other(cause.unwrap_or_else(|| error.to_string()))
        })?;
        Ok(Box::new(stream.into_inner()))
    }

    async fn tls(
        &self,
        stream: Box<dyn ByteStream>,
        host: &str,
    ) -> io::Result<Box<dyn ByteStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(self.tls.connect(name, stream).await?))
    }
}

/// Asks a proxy for a way to where TLS is spoken; its status.
async fn tunnel(stream: &mut dyn ByteStream, url: &HttpUrl, proxy: &Proxy) -> io::Result<u16> {
    let there = url.host_and_port();
    let mut head = format!("CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n");
    if let Some(value) = proxy.authorization() {
        head.push_str(&format!("Proxy-Authorization: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    loop {
        // Who speaks TLS waits for us, so nothing follows the head of a way that is there.
        if stream.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Response::new(&mut headers);
        let wrong = |error: httparse::Error| io::Error::other(error.to_string());
        if let httparse::Status::Complete(end) = parsed.parse(&answer).map_err(wrong)? {
            let status = parsed.code.unwrap_or(0);
            let is_open = (200..300).contains(&status);
            if is_open && end != answer.len() {
                return Err(io::Error::other("it says more than that the way is open"));
            }
            return Ok(status);
        }
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(io::Error::other("its answer is too long"));
        }
    }
}
