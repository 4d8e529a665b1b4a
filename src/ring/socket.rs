//! Sockets as the ring needs them. One of the files that may say `unsafe`.
#![allow(unsafe_code)]

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, RawFd};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::base::TcpLiveness;

/// How long sent data, pings included, may stay unacknowledged. Outages of up to about half of it
/// are survived, because the time between retries grows.
const USER_TIMEOUT_MS: libc::c_int = 40_000;

/// The longest time between two retries, so that one falls into the time after an outage.
const RTO_MAX_MS: libc::c_int = 8_000;

/// Linux 6.15; not in `libc` yet.
const TCP_RTO_MAX_MS: libc::c_int = 44;

/// Whether several listeners may share one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortUse {
    /// The port is this listener's; a second one gets "address in use".
    Alone,
    /// All listeners with this setting share the port (`SO_REUSEPORT`), and the
    /// kernel spreads the peers over them.
    Shared,
}

/// A listening socket. Accepted sockets inherit from it `TCP_NODELAY`, and how the kernel
/// finds out that a peer is gone. One on `[::]` takes both families, whatever
/// `net.ipv6.bindv6only` says.
pub fn listener(addr: SocketAddr, backlog: i32, port_use: PortUse) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_port(port_use == PortUse::Shared)?;
    socket.set_tcp_nodelay(true)?;
    find_dead_peers(&socket)?;
    socket.bind(&addr.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Lets the kernel detect a peer that does not acknowledge data. It does not detect peers behind a
/// proxy, or programs that hang.
///
/// Deliberately absent: `SO_KEEPALIVE`. Timers of more than 16 s have granules of 2 s in
/// the kernel's wheel (kernel/time/timer.c, HZ = 250), so the probes of tens of thousands
/// of connections leave in one softirq. Where both ends or a proxy are on one host, all but
/// `net.core.netdev_max_backlog` of them are dropped, again at each retry, and
/// `TCP_USER_TIMEOUT` ends connections that are well. Decision 0019 has the count.
fn find_dead_peers(socket: &Socket) -> io::Result<()> {
    set_tcp_option(socket, libc::TCP_USER_TIMEOUT, USER_TIMEOUT_MS)?;
    match set_tcp_option(socket, TCP_RTO_MAX_MS, RTO_MAX_MS) {
        // An older kernel: shorter outages are survived there.
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(()),
        outcome => outcome,
    }
}

/// Lets the CPU that took a peer's packet choose the listener: `cpu % shards`,
/// counted in the order in which the listeners that share the port began to
/// listen. One call is enough for all of them.
pub fn steer_by_cpu(listener: &TcpListener, shards: u16) -> io::Result<()> {
    assert!(0 < shards);
    // Linux numbers it so on all architectures but parisc and sparc.
    const SO_ATTACH_REUSEPORT_CBPF: libc::c_int = 51;
    let step = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let cpu = (libc::SKF_AD_OFF + libc::SKF_AD_CPU) as u32;
    let mut program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, cpu),
        step(libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K, u32::from(shards)),
        step(libc::BPF_RET | BPF_A, 0),
    ];
    const BPF_A: u32 = 0x10;
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies `len` instructions from `filter` during the call,
    // and both live until it returns.
    let outcome = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_ATTACH_REUSEPORT_CBPF,
            (&raw const program).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Gives the calling thread a descriptor table of its own, a copy of the present
/// one, so that `RLIMIT_NOFILE` counts for this thread alone.
pub fn unshare_descriptor_table() -> io::Result<()> {
    // SAFETY: the call changes which table the thread uses; every descriptor
    // number means the same file before and after.
    let outcome = unsafe { libc::unshare(libc::CLONE_FILES) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// An outgoing socket, bound to `from` without taking a port yet, so that one
/// source address can be used towards many targets.
pub(super) fn outgoing(from: Option<SocketAddr>, to: SocketAddr) -> io::Result<RawFd> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_tcp_nodelay(true)?;
    if let Some(from) = from {
        set_bind_address_no_port(&socket)?;
        socket.bind(&from.into())?;
    }
    Ok(socket.into_raw_fd())
}

fn set_bind_address_no_port(socket: &Socket) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)
}

fn set_tcp_option(socket: &Socket, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, name, value)
}

fn set_option(
    socket: &Socket,
    level: libc::c_int,
    name: libc::c_int,
    value: libc::c_int,
) -> io::Result<()> {
    // SAFETY: the kernel reads one `c_int` during the call.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ends both directions: requests on the socket complete, what was sent goes
/// out. A listener stops listening, also where another table holds it open.
pub(super) fn shut_down(fd: RawFd) {
    // SAFETY: no memory is involved. The caller owns `fd`; on a socket that the
    // peer has reset already the call fails, and nothing needs to be done.
    unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
}

/// The address of the peer of a socket; `None` when it was reset already. A peer that came by IPv4
/// to a listener of both families has its IPv4 address.
pub(super) fn peer(fd: RawFd) -> Option<SocketAddr> {
    // SAFETY: the caller owns `fd` and keeps it open during the call; it is
    // borrowed for no longer.
    let socket = unsafe { BorrowedFd::borrow_raw(fd) };
    let peer = SockRef::from(&socket).peer_addr().ok()?.as_socket()?;
    Some(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
}

/// The kernel's information about the peer of a socket.
pub(super) fn tcp_liveness(fd: RawFd) -> TcpLiveness {
    let mut unread: libc::c_int = 0;
    // SAFETY: the kernel writes one `c_int` during the call. The caller owns `fd` and
    // keeps it open; on another kind of descriptor the call fails.
    let known = unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut unread) } == 0;
    let has_unread = known && 0 < unread;
    // The first 8 bytes are one each; then words follow, of which newer kernels know more.
    const LAST_DATA_RECEIVED: usize = 13;
    const LAST_ACK_RECEIVED: usize = 14;
    let mut info = [0_u32; 32];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes into `info`, and the length that it
    // wrote, during the call; every pattern of bits is a `u32`.
    let outcome = unsafe {
        libc::getsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    let word = |at: usize| {
        let written = outcome == 0 && (at + 1) * size_of::<u32>() <= len as usize;
        written.then_some(info[at])
    };
    TcpLiveness {
        has_unread,
        heard_ms_ago: word(LAST_DATA_RECEIVED),
        acknowledged_ms_ago: word(LAST_ACK_RECEIVED),
    }
}

/// Closes a socket that the caller owns.
pub(super) fn close(fd: RawFd) {
    // SAFETY: the caller owns `fd` and forgets it now. Linux frees the number
    // whatever the call returns.
    unsafe { libc::close(fd) };
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn listeners_share_a_port_only_when_all_say_so() {
        let any = "127.0.0.1:0".parse().unwrap();
        let first = listener(any, 16, PortUse::Shared).unwrap();
        let addr = first.local_addr().unwrap();
        let second = listener(addr, 16, PortUse::Shared).unwrap();
        steer_by_cpu(&second, 2).unwrap();
        let refused = listener(addr, 16, PortUse::Alone).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }

    /// Kernels without IPv6 have nothing to test here.
    fn on_all(port: u16, port_use: PortUse) -> Option<TcpListener> {
        let any = SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port));
        match listener(any, 16, port_use) {
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => None,
            outcome => Some(outcome.unwrap()),
        }
    }

    #[test]
    fn both_families_reach_a_listener_on_all_addresses_and_keep_their_names() {
        let Some(first) = on_all(0, PortUse::Shared) else { return };
        let port = first.local_addr().unwrap().port();
        let second = on_all(port, PortUse::Shared).unwrap();
        steer_by_cpu(&second, 2).unwrap();
        for listener in [&first, &second] {
            listener.set_nonblocking(true).unwrap();
        }
        for to in ["127.0.0.1", "::1"] {
            let to = SocketAddr::new(to.parse().unwrap(), port);
            let _peer = TcpStream::connect(to).unwrap();
            let accepted = [&first, &second].into_iter().find_map(|one| one.accept().ok());
            let (accepted, _) = accepted.expect("one of the two has it");
            assert_eq!(peer(accepted.as_raw_fd()).unwrap().ip(), to.ip());
        }
        // The port is taken in both.
        let v4 = SocketAddr::from(([0, 0, 0, 0], port));
        assert_eq!(listener(v4, 16, PortUse::Alone).unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn accepted_sockets_do_not_delay() {
        let listener = listener("127.0.0.1:0".parse().unwrap(), 16, PortUse::Alone).unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(listener.accept().unwrap().0.nodelay().unwrap());
    }

    /// What a socket's option of TCP says; `None` where the kernel has none.
    fn tcp_option(socket: &impl AsRawFd, name: libc::c_int) -> Option<libc::c_int> {
        let (mut value, mut len): (libc::c_int, libc::socklen_t) = (0, 4);
        // SAFETY: the kernel writes at most `len` bytes, which is one `c_int`, and the
        // length during the call.
        let outcome = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                name,
                (&raw mut value).cast(),
                &raw mut len,
            )
        };
        (outcome == 0).then_some(value)
    }

    #[test]
    fn accepted_sockets_find_dead_peers_as_their_listener_says() {
        let listener = listener("127.0.0.1:0".parse().unwrap(), 16, PortUse::Alone).unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = listener.accept().unwrap().0;
        assert!(!SockRef::from(&accepted).keepalive().unwrap(), "its probes end who is well");
        assert_eq!(tcp_option(&accepted, libc::TCP_USER_TIMEOUT), Some(40_000));
        let longest = tcp_option(&accepted, TCP_RTO_MAX_MS);
        assert!([None, Some(8_000)].contains(&longest), "{longest:?}");
        assert_eq!(longest, tcp_option(&listener, TCP_RTO_MAX_MS));
    }

    #[test]
    fn a_steered_peer_reaches_one_of_the_listeners() {
        let first = listener("127.0.0.1:0".parse().unwrap(), 16, PortUse::Shared).unwrap();
        let addr = first.local_addr().unwrap();
        steer_by_cpu(&first, 1).unwrap();
        let second = listener(addr, 16, PortUse::Shared).unwrap();
        second.set_nonblocking(true).unwrap();
        for _ in 0..20 {
            let _peer = TcpStream::connect(addr).unwrap();
            first.accept().unwrap();
            assert_eq!(second.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        }
    }
}
