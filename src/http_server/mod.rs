//! A small HTTP/1 server with a limit on everything: connections, heads, and how
//! long one exchange may take. `admin`, the alert bridge and the probe serve their pages by it.
//!
//! Invariant: each connection has one request at a time, and no other unless the limits say
//! so; each request has a bounded head and a bounded life, and there are never more than
//! `connections_max` that are served; one more is accepted, and waits for a slot
//! (`connection_slots.rs`).
//!
//! Deliberately absent: pages, who may ask, TLS. It belongs on a loopback or
//! management address, or behind a proxy.
#![forbid(unsafe_code)]

mod connection_slots;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task;
use tokio::time::{self, Instant};

use connection_slots::{ConnectionSlots, ExchangeProgress};

/// After a failed accept: descriptors do not come back by asking faster.
const ACCEPT_RETRY_MS: u64 = 100;

/// Peers that may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// How much a peer may take. Bodies are for the pages to bound.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Connections served at a time. Then who has not said what it wants gives way to the
    /// next, or who does not take its answer; else the next ones wait in the backlog.
    pub connections_max: usize,
    /// Bytes of one request's head.
    pub head_bytes_max: usize,
    /// Header fields of one request.
    pub headers_max: usize,
    /// From the TCP connection to the end of the head.
    pub head_ms_max: u64,
    /// From the TCP connection to the last byte of the answer, unless the page asks for more
    /// (`ExchangeDeadline`); where a connection has several requests, from each head.
    pub exchange_ms_max: u64,
    /// How long a connection may stay after an answer, for its next request; `None` for one
    /// request a connection.
    pub idle_ms_max: Option<u64>,
}

/// Who asks; every request has it as an extension.
#[derive(Clone, Copy, Debug)]
pub struct PeerAddr(pub IpAddr);

/// Until when an exchange may last; every request has it as an extension, and a page
/// that takes long says so before.
#[derive(Clone, Debug)]
pub struct ExchangeDeadline(Arc<watch::Sender<Instant>>);

impl ExchangeDeadline {
    fn new(life: Duration) -> (ExchangeDeadline, watch::Receiver<Instant>) {
        let (sender, until) = watch::channel(Instant::now() + life);
        (ExchangeDeadline(Arc::new(sender)), until)
    }

    /// So long from now, instead of what was said before.
    pub fn extend(&self, life: Duration) {
        self.0.send_replace(Instant::now() + life);
    }
}

/// A server with a bound listener. Dropping it frees the port.
pub struct HttpServer {
    tcp: TcpListener,
}

impl HttpServer {
    /// Must be called within a tokio runtime. `[::]` takes both families, whatever
    /// `net.ipv6.bindv6only` says.
    pub async fn bind(address: SocketAddr) -> io::Result<HttpServer> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(HttpServer { tcp: TcpListener::from_std(socket.into())? })
    }

    /// Where it listens; the port is the kernel's choice when 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until the future is dropped.
    pub async fn serve(self, router: axum::Router, limits: HttpLimits) {
        let mut slots = ConnectionSlots::new(limits.connections_max);
        loop {
            let Ok((stream, peer)) = self.tcp.accept().await else {
                time::sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
                continue;
            };
            slots.free().await;
            let (life, until) =
                ExchangeDeadline::new(Duration::from_millis(limits.exchange_ms_max));
            let peer = PeerAddr(peer.ip().to_canonical());
            let router = router.clone().layer(Extension(peer)).layer(Extension(life.clone()));
            let progress = Arc::new(ExchangeProgress::new());
            let (seen, leaving) = (Arc::clone(&progress), slots.leaving());
            let task = tokio::spawn(async move {
                let _leaving = leaving;
                tokio::select! {
                    // A peer that is too slow or talks nonsense concerns nobody else.
                    _ = exchange(stream, router, limits, (seen, life)) => (),
                    () = over(until) => (),
                }
            });
            slots.take(progress, task.abort_handle());
            // It reads what has arrived with it before anybody who comes takes its place.
            task::yield_now().await;
        }
    }
}

/// What the kernel's refusal of an address means, and what to do about it: the end of a
/// sentence that begins with the address.
pub fn remedy(address: SocketAddr, error: &io::Error) -> String {
    let advice = match error.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) if address.port() < 1_024 => {
            "take a port from 1024 on, or give the process CAP_NET_BIND_SERVICE, or lower \
             net.ipv4.ip_unprivileged_port_start"
        }
        Some(libc::EADDRNOTAVAIL) => "no interface of this machine has this address",
        Some(libc::EAFNOSUPPORT) => {
            "this machine or container has no IPv6; take an address of IPv4, such as 0.0.0.0"
        }
        Some(libc::EINVAL) if address.is_ipv6() => {
            "an address that begins with fe80 needs its interface, by number: [fe80::1%2]:8000"
        }
        Some(libc::EMFILE | libc::ENFILE) => "raise RLIMIT_NOFILE (`ulimit -n`)",
        _ => return error.to_string(),
    };
    format!("{error}; {advice}")
}

/// When the time is over, as it was said last.
async fn over(until: watch::Receiver<Instant>) {
    loop {
        let end = *until.borrow();
        time::sleep_until(end).await;
        if *until.borrow() <= end {
            return;
        }
    }
}

/// Requests, each with its answer, one after the other.
async fn exchange(
    stream: TcpStream,
    router: axum::Router,
    limits: HttpLimits,
    (progress, life): (Arc<ExchangeProgress>, ExchangeDeadline),
) -> hyper::Result<()> {
    let pages = TowerToHyperService::new(router);
    let service = service_fn(|request| {
        progress.asked();
        if limits.idle_ms_max.is_some() {
            life.extend(Duration::from_millis(limits.exchange_ms_max));
        }
        let (answer, progress, life) = (pages.call(request), Arc::clone(&progress), life.clone());
        async move {
            let answer = answer.await;
            progress.answered();
            if let Some(idle_ms_max) = limits.idle_ms_max {
                life.extend(Duration::from_millis(limits.exchange_ms_max.max(idle_ms_max)));
            }
            answer
        }
    });
    // Between two requests the next head is waited for.
    let head_ms_max = limits.head_ms_max.max(limits.idle_ms_max.unwrap_or(0));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(head_ms_max))
        .max_headers(limits.headers_max)
        .max_buf_size(limits.head_bytes_max)
        .keep_alive(limits.idle_ms_max.is_some())
        .serve_connection(TokioIo::new(stream), service)
        .await
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::runtime::Builder;

    use super::*;

    /// Nothing ends because of its age here.
    const LIMITS: HttpLimits = HttpLimits {
        connections_max: 4,
        head_bytes_max: 8 << 10,
        headers_max: 16,
        head_ms_max: 3_600_000,
        exchange_ms_max: 3_600_000,
        idle_ms_max: None,
    };

    /// Bytes of a page that no buffer of the kernel holds.
    const LARGE_BYTES: usize = 64 << 20;

    async fn connect(address: SocketAddr, request: &str) -> TcpStream {
        let mut peer = TcpStream::connect(address).await.unwrap();
        peer.write_all(request.as_bytes()).await.unwrap();
        peer
    }

    /// That somebody who asks is answered while so many others are there and say this.
    fn check(others_count: usize, request: &str) {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let listener = HttpServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let address = listener.address().unwrap();
            let router = axum::Router::new()
                .route("/small", get(|| async { "alive" }))
                .route("/large", get(|| async { vec![b'x'; LARGE_BYTES] }));
            let server = tokio::spawn(listener.serve(router, LIMITS));
            let mut others = Vec::new();
            for _ in 0..others_count {
                others.push(connect(address, request).await);
            }
            for _ in 0..10 {
                let mut peer = connect(address, "GET /small HTTP/1.1\r\nhost: a\r\n\r\n").await;
                let mut answer = String::new();
                let read = time::timeout(Duration::from_secs(60), peer.read_to_string(&mut answer));
                read.await.expect("it is answered").unwrap();
                assert!(answer.ends_with("alive"), "{answer}");
            }
            server.abort();
        });
    }

    #[test]
    fn who_says_nothing_keeps_nobody_out() {
        check(20, "");
        check(20, "GET /small HTT");
    }

    #[test]
    fn who_does_not_take_an_answer_keeps_nobody_out() {
        check(8, "GET /large HTTP/1.1\r\nhost: a\r\n\r\n");
    }

    #[test]
    fn a_page_that_takes_long_is_not_ended_for_others() {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let listener = HttpServer::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            let address = listener.address().unwrap();
            let (go, gone) = watch::channel(false);
            let slow = move || {
                let mut gone = gone.clone();
                async move {
                    gone.wait_for(|is_gone| *is_gone).await.unwrap();
                    "made"
                }
            };
            let router = axum::Router::new().route("/slow", get(slow));
            let server = tokio::spawn(listener.serve(router, LIMITS));
            let request = "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n";
            let mut first = connect(address, request).await;
            while go.receiver_count() < 2 {
                task::yield_now().await;
            }
            let _idle = [connect(address, "").await, connect(address, "").await];
            let mut others = Vec::new();
            for _ in 0..6 {
                others.push(connect(address, "").await);
            }
            go.send(true).unwrap();
            let mut answer = String::new();
            first.read_to_string(&mut answer).await.unwrap();
            assert!(answer.ends_with("made"), "{answer}");
            server.abort();
        });
    }

    #[track_caller]
    fn check_remedy(address: &str, errno: i32, want: &str) {
        let error = io::Error::from_raw_os_error(errno);
        let sentence = remedy(address.parse().unwrap(), &error);
        assert!(sentence.starts_with(&error.to_string()) && sentence.contains(want), "{sentence}");
        assert!(!sentence.contains('\n'));
    }

    #[test]
    fn a_refused_address_says_what_to_do() {
        check_remedy("0.0.0.0:80", libc::EACCES, "CAP_NET_BIND_SERVICE");
        check_remedy("192.0.2.1:8000", libc::EADDRNOTAVAIL, "no interface");
        check_remedy("[::]:8000", libc::EAFNOSUPPORT, "no IPv6");
        check_remedy("[fe80::1]:8000", libc::EINVAL, "[fe80::1%2]:8000");
        check_remedy("0.0.0.0:8000", libc::EMFILE, "ulimit -n");
        let other = io::Error::from_raw_os_error(libc::EACCES);
        assert_eq!(remedy("0.0.0.0:8000".parse().unwrap(), &other), other.to_string());
    }
}
