//! The signals that a process handles on its control thread: the server's and the bridge's.
//!
//! Deliberately absent: what is done about one (`server`, `alert`).

use std::io;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, SIGINT and SIGHUP. Made before descriptor tables split: a handler runs on any
/// thread, and writes to a descriptor by its number.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// A signal that ends the process.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StopSignal {
    /// SIGTERM.
    Terminate,
    /// SIGINT.
    Interrupt,
}

impl StopSignal {
    /// As operators know it.
    pub fn name(self) -> &'static str {
        match self {
            StopSignal::Terminate => "SIGTERM",
            StopSignal::Interrupt => "SIGINT",
        }
    }

    /// As the kernel knows it.
    pub fn number(self) -> i32 {
        match self {
            StopSignal::Terminate => libc::SIGTERM,
            StopSignal::Interrupt => libc::SIGINT,
        }
    }
}

/// What a signal asks for.
pub(crate) enum SignalRequest {
    /// To end: SIGTERM, SIGINT.
    Stop(StopSignal),
    /// To read again what can be read again: SIGHUP.
    Reload,
}

impl Signals {
    /// Listens for them from here on; each listener gets all of them. Fails where the process may
    /// not have one descriptor more.
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> SignalRequest {
        tokio::select! {
            _ = self.terminate.recv() => SignalRequest::Stop(StopSignal::Terminate),
            _ = self.interrupt.recv() => SignalRequest::Stop(StopSignal::Interrupt),
            _ = self.hang_up.recv() => SignalRequest::Reload,
        }
    }

    /// The next one that ends the process.
    pub async fn stop(&mut self) -> StopSignal {
        loop {
            if let SignalRequest::Stop(signal) = self.next().await {
                return signal;
            }
        }
    }
}

/// From here on these end nothing. What comes is told to whoever listens later.
pub(crate) fn register(kinds: &[SignalKind]) -> io::Result<()> {
    // What is registered stays so when the runtime is gone.
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    kinds.iter().try_for_each(|kind| signal(*kind).map(drop))
}
