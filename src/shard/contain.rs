//! Panics end by reach: what happens inside one session ends that session.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static CONTAINED: Cell<bool> = const { Cell::new(false) };
}

/// The session's code panicked; the message went to the panic hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// Runs one session's decision. A panic inside ends here, and the caller must
/// end the session: its state is not to be trusted any more, everybody else's is.
pub fn contain<T>(decide: impl FnOnce() -> T) -> Result<T, Panicked> {
    CONTAINED.set(true);
    let decided = catch_unwind(AssertUnwindSafe(decide));
    CONTAINED.set(false);
    decided.map_err(|_| Panicked)
}

/// Whether a panic on this thread would end one session only; for the process's
/// panic hook, which must not end the process then.
pub fn panic_is_contained() -> bool {
    CONTAINED.get()
}
