use std::io::{self, Write as _};

use super::{FAILED, OK};

/// Writes what was asked for to stdout; the exit code of that.
pub(super) fn print(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => OK,
        // Whoever reads has read enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => OK,
        Err(error) => fail(FAILED, &format!("stdout cannot be written: {error}")),
    }
}

/// A line for the operator, beside the output.
pub(super) fn tell(line: &str) {
    // Nobody is left to be told when this fails.
    let _ = writeln!(io::stderr(), "rookery: {line}");
}

/// The reason of a failure, and its exit code.
pub(super) fn fail(code: u8, line: &str) -> u8 {
    tell(line);
    code
}
