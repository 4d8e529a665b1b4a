//! Signals that have to do with a log and end a process that does not know them.
//!
//! | signal | who sends it |
//! |---|---|
//! | SIGXFSZ | the kernel, when the log's file (or another) is as long as `ulimit -f` allows |
//! | SIGUSR1, SIGUSR2 | rotators of logs, which ask many a server like that for a new file |
//!
//! Both are nothing: a write that is refused is a line that is lost, and counted; and the
//! log goes to the descriptor that the process was started with, whatever its name is now.

use tokio::signal::unix::SignalKind;

use crate::signals::register;

/// From here on they end nothing. Where that cannot be had, all is as it was.
pub(super) fn outlive() {
    let limit = SignalKind::from_raw(libc::SIGXFSZ);
    drop(register(&[limit, SignalKind::user_defined1(), SignalKind::user_defined2()]));
}
