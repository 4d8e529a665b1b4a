//! A small HTTP/1 listener with a limit on everything: connections, heads, and how
//! long one exchange may take. Whoever serves pages brings them as a router.
//!
//! Invariant: each connection has one request, a bounded head and a bounded life,
//! and there are never more than `connections_max`.
//!
//! Deliberately absent: pages, who may ask, TLS. It belongs on a loopback or
//! management address, or behind a proxy.
#![forbid(unsafe_code)]

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{self, Instant};

/// After a failed accept: descriptors do not come back by asking faster.
const ACCEPT_RETRY_MS: u64 = 100;

/// Peers that may wait to be accepted.
const BACKLOG: i32 = 1_024;

/// How much a peer may take. Bodies are for the pages to bound.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections served at a time; the next ones wait in the backlog.
    pub connections_max: usize,
    /// Bytes of one request's head.
    pub head_bytes_max: usize,
    /// Header fields of one request.
    pub headers_max: usize,
    /// From the TCP connection to the end of the head.
    pub head_ms_max: u64,
    /// From the TCP connection to the last byte of the answer, unless the page asks for
    /// more (`Life`).
    pub exchange_ms_max: u64,
}

/// Who asks; every request has it as an extension.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Until when an exchange may last; every request has it as an extension, and a page
/// that takes long says so before.
#[derive(Clone, Debug)]
pub struct Life(Arc<watch::Sender<Instant>>);

impl Life {
    fn new(life: Duration) -> (Life, watch::Receiver<Instant>) {
        let (sender, until) = watch::channel(Instant::now() + life);
        (Life(Arc::new(sender)), until)
    }

    /// So long from now, instead of what was said before.
    pub fn extend(&self, life: Duration) {
        self.0.send_replace(Instant::now() + life);
    }
}

/// A bound listener. Dropping it frees the port.
pub struct Listener {
    tcp: TcpListener,
}

impl Listener {
    /// Must be called within a tokio runtime. `[::]` takes both families, whatever
    /// `net.ipv6.bindv6only` says.
    pub async fn bind(address: SocketAddr) -> io::Result<Listener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(Listener { tcp: TcpListener::from_std(socket.into())? })
    }

    /// Where it listens; the port is the kernel's choice when 0 was asked for.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Serves until the future is dropped.
    pub async fn serve(self, router: axum::Router, limits: Limits) {
        let free = Arc::new(Semaphore::new(limits.connections_max));
        loop {
            let seat = Arc::clone(&free).acquire_owned().await.expect("it is never closed");
            let Ok((stream, peer)) = self.tcp.accept().await else {
                time::sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
                continue;
            };
            let (life, until) = Life::new(Duration::from_millis(limits.exchange_ms_max));
            let peer = Peer(peer.ip().to_canonical());
            let router = router.clone().layer(Extension(peer)).layer(Extension(life));
            tokio::spawn(async move {
                tokio::select! {
                    // A peer that is too slow or talks nonsense concerns nobody else.
                    _ = exchange(stream, router, limits) => (),
                    () = over(until) => (),
                }
                drop(seat);
            });
        }
    }
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

/// One request, one answer.
async fn exchange(stream: TcpStream, router: axum::Router, limits: Limits) -> hyper::Result<()> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.head_ms_max))
        .max_headers(limits.headers_max)
        .max_buf_size(limits.head_bytes_max)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .await
}
