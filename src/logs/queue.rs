//! The way of a line from whoever says it to the thread that writes it: bounded in lines
//! and bytes, and without waiting. What finds no room is counted and gone.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::{LogFormat, escape};

/// Lines that wait.
const LINES_MAX: usize = 4_096;

/// Bytes of all lines that wait.
const BYTES_MAX: u64 = 1 << 20;

/// Bytes of one line; the rest of it is cut.
const LINE_BYTES_MAX: usize = 16 << 10;

/// Between two looks whether all is written, in ms.
const FLUSH_LOOK_MS: u64 = 2;

/// Where a line came from that nobody named.
const UNKNOWN_KIND: &str = "an unknown place";

/// Why a line is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLoss {
    /// The queue was full: whoever reads the log is slow, or does not read.
    Full,
    /// It could not be written: whoever read the log is gone, or its disk is full.
    Failed,
    /// There were too many of its kind.
    Rate,
}

impl LogLoss {
    /// All of them.
    pub const ALL: [LogLoss; 3] = [LogLoss::Full, LogLoss::Failed, LogLoss::Rate];

    /// As a label's value.
    pub fn word(self) -> &'static str {
        match self {
            LogLoss::Full => "full",
            LogLoss::Failed => "failed",
            LogLoss::Rate => "rate",
        }
    }

    fn index(self) -> usize {
        match self {
            LogLoss::Full => 0,
            LogLoss::Failed => 1,
            LogLoss::Rate => 2,
        }
    }
}

/// A line that waits, and the place in the source that said it.
pub(super) struct QueuedLine {
    pub kind: &'static str,
    pub line: String,
}

/// The near end; copies share it.
#[derive(Clone)]
pub(super) struct LineQueue {
    format: LogFormat,
    lines: SyncSender<QueuedLine>,
    meters: Arc<Meters>,
}

#[derive(Default)]
struct Meters {
    waiting_bytes: AtomicU64,
    taken: AtomicU64,
    /// Those of the taken ones that are written or lost.
    done: AtomicU64,
    lost: [AtomicU64; LogLoss::ALL.len()],
}

impl LineQueue {
    pub fn new(format: LogFormat) -> (LineQueue, Receiver<QueuedLine>) {
        let (lines, waiting) = sync_channel(LINES_MAX);
        (LineQueue { format, lines, meters: Arc::default() }, waiting)
    }

    /// Takes a line, if there is room. Waits for nobody.
    fn offer(&self, kind: &'static str, said: &[u8]) {
        let line = escape::line(said, self.format, LINE_BYTES_MAX);
        let (bytes, meters) = (line.len() as u64, &self.meters);
        if BYTES_MAX < meters.waiting_bytes.fetch_add(bytes, SeqCst) + bytes {
            meters.waiting_bytes.fetch_sub(bytes, SeqCst);
            return self.lose(LogLoss::Full);
        }
        meters.taken.fetch_add(1, SeqCst);
        if self.lines.try_send(QueuedLine { kind, line }).is_err() {
            meters.waiting_bytes.fetch_sub(bytes, SeqCst);
            meters.done.fetch_add(1, SeqCst);
            self.lose(LogLoss::Full);
        }
    }

    /// A line was written or given up.
    pub fn on_done(&self, line: &QueuedLine) {
        self.meters.waiting_bytes.fetch_sub(line.line.len() as u64, SeqCst);
        self.meters.done.fetch_add(1, SeqCst);
    }

    /// Counts a line that is lost.
    pub fn lose(&self, why: LogLoss) {
        self.meters.lost[why.index()].fetch_add(1, Relaxed);
    }

    /// How many are lost.
    pub fn lost(&self, why: LogLoss) -> u64 {
        self.meters.lost[why.index()].load(Relaxed)
    }

    /// Waits until what was taken so far is done, or the time is over.
    pub fn flush(&self, limit: Duration) {
        let taken = self.meters.taken.load(SeqCst);
        let looks = limit.as_millis() as u64 / FLUSH_LOOK_MS;
        for _ in 0..looks {
            if taken <= self.meters.done.load(SeqCst) {
                return;
            }
            thread::sleep(Duration::from_millis(FLUSH_LOOK_MS));
        }
    }
}

impl<'a> MakeWriter<'a> for LineQueue {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { queue: self, kind: UNKNOWN_KIND }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line<'a> {
        Line { queue: self, kind: event.name() }
    }
}

/// What the subscriber writes one event to, in one call.
pub(super) struct Line<'a> {
    queue: &'a LineQueue,
    kind: &'static str,
}

impl io::Write for Line<'_> {
    /// Never fails: the subscriber could do nothing but say so on stderr.
    fn write(&mut self, said: &[u8]) -> io::Result<usize> {
        self.queue.offer(self.kind, said);
        Ok(said.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_full_queue_loses_lines_and_waits_for_nobody() {
        let (queue, waiting) = LineQueue::new(LogFormat::Text);
        for _ in 0..LINES_MAX + 5 {
            queue.make_writer().write_all(b"a\n").unwrap();
        }
        assert_eq!((queue.lost(LogLoss::Full), queue.lost(LogLoss::Failed)), (5, 0));
        queue.on_done(&waiting.recv().unwrap());
        queue.offer("b", b"b\n");
        assert_eq!(queue.lost(LogLoss::Full), 5);
    }

    #[test]
    fn few_long_lines_fill_it_too() {
        let (queue, waiting) = LineQueue::new(LogFormat::Text);
        let long = vec![b'x'; LINE_BYTES_MAX * 2];
        for _ in 0..100 {
            queue.offer("a", &long);
        }
        let kept = waiting.try_iter().count();
        assert!((50..65).contains(&kept), "{kept}");
        assert_eq!(queue.lost(LogLoss::Full), 100 - kept as u64);
    }

    #[test]
    fn a_flush_ends_though_nobody_writes() {
        let (queue, waiting) = LineQueue::new(LogFormat::Text);
        queue.flush(Duration::from_secs(60));
        queue.offer("a", b"a");
        queue.flush(Duration::from_millis(10));
        queue.on_done(&waiting.recv().unwrap());
        queue.flush(Duration::from_secs(60));
    }
}
