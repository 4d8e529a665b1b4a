//! Panics end by reach: what happens inside something that others can do without ends
//! that alone.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static CONTAINED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// What was contained panicked; the message went to the panic hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PanicError;

/// Runs `decide`. A panic inside ends here, and the caller must end `what` it was
/// about: that one's state is not to be trusted any more, everybody else's is.
pub fn catch_panic<T>(what: &'static str, decide: impl FnOnce() -> T) -> Result<T, PanicError> {
    CONTAINED.set(Some(what));
    let decided = catch_unwind(AssertUnwindSafe(decide));
    CONTAINED.set(None);
    decided.map_err(|_| PanicError)
}

/// What a panic on this thread would end, if it would end that only; for the process's
/// panic hook, which must not end the process then.
pub fn panic_scope() -> Option<&'static str> {
    CONTAINED.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_what_it_is_in_and_nothing_else() {
        assert_eq!(catch_panic("a test", panic_scope), Ok(Some("a test")));
        assert_eq!(panic_scope(), None);
        assert_eq!(catch_panic("a test", || -> u8 { panic!("inside") }), Err(PanicError));
        assert_eq!(panic_scope(), None);
    }
}
