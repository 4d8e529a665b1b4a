//! What subcommands write: output to stdout, everything for the operator to stderr, and the
//! exit code that belongs to it.

use std::io::{self, BufWriter, StdoutLock, Write as _};

use super::{FAILED, OK};

/// Writes what was asked for to stdout; the exit code of that.
pub(super) fn print(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    outcome(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

fn outcome(written: io::Result<()>) -> u8 {
    match written {
        Ok(()) => OK,
        // Whoever reads has read enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => OK,
        Err(error) => fail(FAILED, &format!("stdout cannot be written: {error}")),
    }
}

/// Lines on stdout, of which there may be more than memory holds.
pub(super) struct OutputLines {
    out: BufWriter<StdoutLock<'static>>,
    written: io::Result<()>,
}

impl OutputLines {
    pub(super) fn begin() -> OutputLines {
        OutputLines { out: BufWriter::new(io::stdout().lock()), written: Ok(()) }
    }

    pub(super) fn line(&mut self, line: &str) {
        if self.written.is_ok() {
            self.written = writeln!(self.out, "{line}");
        }
    }

    /// The exit code of all that was written.
    pub(super) fn end(mut self) -> u8 {
        let flushed = self.out.flush();
        outcome(self.written.and(flushed))
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
