//! Scrapes a server while a load runs, as Prometheus would: OpenMetrics, compressed.
//!
//! What a scrape costs is the CPU time of the thread that answers it, which does next to
//! nothing else; that it also waits for a core behind others is not its price.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::child::Admin;
use crate::process::Process;

/// One answered scrape.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scrape {
    /// Members of all rooms a moment before.
    pub members: u64,
    /// Time of the control thread.
    pub cpu_ns: u64,
    /// Bytes of the compressed page.
    pub page_bytes: u64,
}

/// A thread that scrapes until it is told to end.
pub(super) struct Scraper {
    end: Sender<()>,
    thread: JoinHandle<Result<Vec<Scrape>, String>>,
}

impl Scraper {
    /// Begins, with one scrape in each `interval`.
    pub(super) fn start(admin: Admin, server: Process, interval: Duration) -> Scraper {
        let (end, ended) = mpsc::channel();
        let thread = thread::spawn(move || {
            let mut scrapes = Vec::new();
            while ended.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                scrapes.push(scrape(admin, &server)?);
            }
            Ok(scrapes)
        });
        Scraper { end, thread }
    }

    /// Ends, and gives what was found, or why a scrape failed.
    pub(super) fn finish(self) -> Result<Vec<Scrape>, String> {
        // A thread that failed receives nothing, and says why below.
        let _ = self.end.send(());
        self.thread.join().map_err(|_| "the thread that scrapes panicked".to_owned())?
    }
}

fn scrape(admin: Admin, server: &Process) -> Result<Scrape, String> {
    let members = admin.metric("chat_subscriptions")? as u64;
    let failed = |error: std::io::Error| error.to_string();
    let before_ns = server.main_thread_cpu_ns().map_err(failed)?;
    let page_bytes = admin.compressed_page()?.len() as u64;
    let cpu_ns = server.main_thread_cpu_ns().map_err(failed)?.saturating_sub(before_ns);
    Ok(Scrape { members, cpu_ns, page_bytes })
}
