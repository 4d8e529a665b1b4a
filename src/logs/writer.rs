//! The thread that writes. It alone waits for whoever reads the log, and it alone sees
//! that a line cannot be written.

use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use tracing_subscriber::fmt::format;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::pace::LogRateLimiter;
use super::queue::{LineQueue, QueuedLine};
use super::{LogFormat, LogLoss};
use crate::base::MonotonicMs;
use crate::clock::now;

/// How long a descriptor that does not block rests when it takes nothing, in ms.
const RETRY_MS: u64 = 10;

/// Between two tries to say what is lost, in ms.
const NOTICE_MS: u64 = 1_000;

/// Writes lines to `out` until the process ends.
pub(super) struct Writer<W> {
    out: W,
    format: LogFormat,
    queue: LineQueue,
    pace: LogRateLimiter,
    began: Instant,
    /// A line was begun and not ended: what follows must not look like a part of it.
    is_torn: bool,
    /// Why a line could not be written, the last time.
    failed: Option<ErrorKind>,
    /// Lost lines that were told.
    told: u64,
    /// When the next try to tell is due.
    notice_at: MonotonicMs,
}

impl<W: Write> Writer<W> {
    pub fn new(out: W, format: LogFormat, queue: LineQueue) -> Writer<W> {
        Writer {
            out,
            format,
            queue,
            pace: LogRateLimiter::default(),
            began: now(),
            is_torn: false,
            failed: None,
            told: 0,
            notice_at: MonotonicMs(0),
        }
    }

    /// Takes lines until nobody can say any more.
    pub fn run(&mut self, waiting: &Receiver<QueuedLine>) {
        loop {
            match waiting.recv_timeout(Duration::from_millis(NOTICE_MS)) {
                Ok(line) => self.on_line(line),
                Err(RecvTimeoutError::Timeout) => self.tell_lost(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn on_line(&mut self, line: QueuedLine) {
        self.tell_lost();
        if !self.pace.admits(self.now(), line.kind) {
            self.queue.lose(LogLoss::Rate);
        } else if self.write(&line.line).is_err() {
            self.queue.lose(LogLoss::Failed);
        }
        self.queue.on_done(&line);
    }

    /// Says what nobody can read, when that is new and it can be said.
    fn tell_lost(&mut self) {
        let now = self.now();
        let lost = self.queue.lost(LogLoss::Full) + self.queue.lost(LogLoss::Failed);
        if now < self.notice_at || (lost == self.told && !self.pace.owes()) {
            return;
        }
        self.notice_at = now.plus_ms(NOTICE_MS);
        if lost != self.told {
            let why = match self.failed {
                Some(kind) => format!("they could not be written ({kind})"),
                None => "nobody read them in time".to_owned(),
            };
            let notice = self.notice(lost - self.told, &format!("log lines were lost: {why}"));
            if self.write(&notice).is_err() {
                return;
            }
            (self.told, self.failed) = (lost, None);
        }
        while let Some((kind, count)) = self.pace.take_left_out(now) {
            let notice = self.notice(count, &format!("more lines like the last of {kind}"));
            // What it says is in the metrics, too.
            let _ = self.write(&notice);
        }
    }

    /// A line of this thread's own. `words` have nothing that JSON would escape.
    fn notice(&self, count: u64, words: &str) -> String {
        let mut time = String::new();
        let _ = SystemTime.format_time(&mut format::Writer::new(&mut time));
        match self.format {
            LogFormat::Text => format!("{time}  WARN {count} {words}\n"),
            LogFormat::Json => format!(
                "{{\"timestamp\":\"{time}\",\"level\":\"WARN\",\"message\":\"{words}\",\
                 \"count\":{count}}}\n"
            ),
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.is_torn {
            self.write_all(b"\n")?;
            self.is_torn = false;
        }
        self.write_all(line.as_bytes())
    }

    /// Waits for a reader as long as that takes; the error of what cannot be written.
    fn write_all(&mut self, mut rest: &[u8]) -> io::Result<()> {
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(0) => return Err(self.on_failure(ErrorKind::WriteZero.into())),
                Ok(written) => {
                    rest = &rest[written..];
                    self.is_torn = !rest.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_millis(RETRY_MS));
                }
                Err(error) => return Err(self.on_failure(error)),
            }
        }
        Ok(())
    }

    fn on_failure(&mut self, error: io::Error) -> io::Error {
        self.failed = Some(error.kind());
        error
    }

    fn now(&self) -> MonotonicMs {
        MonotonicMs(self.began.elapsed().as_millis() as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use tracing_subscriber::fmt::MakeWriter as _;

    use super::*;

    /// What one call of `write` does.
    enum Deed {
        Takes(usize),
        Fails(ErrorKind),
    }

    /// Takes everything once its deeds are done.
    #[derive(Default)]
    struct Sink {
        deeds: VecDeque<Deed>,
        taken: Vec<u8>,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = match self.deeds.pop_front() {
                Some(Deed::Fails(kind)) => return Err(kind.into()),
                Some(Deed::Takes(count)) => count.min(bytes.len()),
                None => bytes.len(),
            };
            self.taken.extend(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of these lines, and how many of them are lost.
    fn written(format: LogFormat, deeds: Vec<Deed>, lines: &[&str]) -> (Vec<String>, u64) {
        let (queue, waiting) = LineQueue::new(format);
        let sink = Sink { deeds: deeds.into(), taken: Vec::new() };
        let mut writer = Writer::new(sink, format, queue.clone());
        for line in lines {
            queue.make_writer().write_all(line.as_bytes()).unwrap();
            writer.on_line(waiting.recv().unwrap());
        }
        writer.notice_at = MonotonicMs(0);
        writer.tell_lost();
        let text = String::from_utf8(writer.out.taken).unwrap();
        (text.lines().map(str::to_owned).collect(), queue.lost(LogLoss::Failed))
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_afterwards() {
        let fails = |kind| Deed::Fails(kind);
        let full = vec![fails(ErrorKind::StorageFull), fails(ErrorKind::StorageFull)];
        let (lines, lost) = written(LogFormat::Text, full, &["a\n", "b\n", "c\n"]);
        // The second one failed as the notice of the first.
        assert_eq!((lines[0].as_str(), lost), ("b", 1), "{lines:?}");
        assert_eq!(lines[1], "c");
        let told = "  WARN 1 log lines were lost: they could not be written (no storage space)";
        assert!(lines[2].ends_with(told), "{lines:?}");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn a_line_that_was_begun_does_not_become_a_part_of_the_next() {
        let torn = vec![Deed::Takes(2), Deed::Fails(ErrorKind::BrokenPipe)];
        let (lines, lost) = written(LogFormat::Json, torn, &["abcd\n", "e\n"]);
        assert_eq!((lines[0].as_str(), lost), ("ab", 1));
        let told = "\"message\":\"log lines were lost: they could not be written (broken pipe)\"";
        assert!(lines[1].contains(told) && lines[1].ends_with(",\"count\":1}"), "{lines:?}");
        assert_eq!(lines[2], "e");
    }

    #[test]
    fn a_descriptor_that_does_not_block_is_waited_for() {
        let slow = vec![
            Deed::Fails(ErrorKind::WouldBlock),
            Deed::Takes(1),
            Deed::Fails(ErrorKind::Interrupted),
        ];
        assert_eq!(written(LogFormat::Text, slow, &["abc\n"]), (vec!["abc".to_owned()], 0));
    }

    #[test]
    fn too_many_of_a_kind_are_one_line() {
        let (lines, lost) = written(LogFormat::Text, Vec::new(), &["a\n"; 150]);
        let of_a = lines.iter().filter(|line| *line == "a").count();
        assert!((100..150).contains(&of_a), "{of_a}");
        assert_eq!(lost, 0);
    }
}
