//! Threads that do commands of a log side by side: some that write batches, one that flushes and
//! writes the manifest, and one that makes segments, which takes long.
//!
//! What is under way is bounded by the log: two writes, and one of each other kind. After the end of
//! a life they are started anew: their open files may have failures to tell.
//!
//! Deliberately absent: the log itself, which is whoever's that starts them.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use super::files::LogFiles;
use crate::log::{LogCommand, LogDisk as _, LogEvent};

/// The threads. They end when this is dropped, after what is under way.
#[derive(Debug)]
pub struct LogWorkers {
    /// Each with what it was given and has not answered.
    writers: Vec<(Sender<LogCommand>, Vec<u64>)>,
    syncer: Sender<LogCommand>,
    maker: Sender<LogCommand>,
    events: Receiver<LogEvent>,
    threads: Vec<JoinHandle<()>>,
}

impl LogWorkers {
    /// Starts them on the files of this directory: `writers` of those that write batches, `DEPTH`
    /// where two are to be under way. Without any, whoever has these writes by itself.
    pub fn start(files: &LogFiles, writers: usize) -> io::Result<LogWorkers> {
        let (done, events) = channel();
        let mut threads = Vec::new();
        let mut start = |name: &str| -> io::Result<Sender<LogCommand>> {
            let (sender, commands) = channel();
            let (files, done) = (files.another(), done.clone());
            let builder = thread::Builder::new().name(format!("log-{name}"));
            threads.push(builder.spawn(move || work(files, &commands, &done))?);
            Ok(sender)
        };
        let writers = (0..writers).map(|_| Ok((start("writer")?, Vec::new())));
        let writers = writers.collect::<io::Result<Vec<_>>>()?;
        let (syncer, maker) = (start("syncer")?, start("maker")?);
        Ok(LogWorkers { writers, syncer, maker, events, threads })
    }

    /// Begins a command.
    pub fn begin(&mut self, command: LogCommand) {
        let worker = match &command {
            LogCommand::Write { sequence, .. } => {
                let idle = self.writers.iter_mut().min_by_key(|(_, given)| given.len());
                let (writer, given) = idle.expect("who has no writers writes by itself");
                given.push(*sequence);
                &*writer
            }
            LogCommand::Flush { .. } | LogCommand::WriteManifest { .. } => &self.syncer,
            LogCommand::Zero { .. } => &self.maker,
        };
        worker.send(command).expect("a worker ends after its sender");
    }

    /// Waits until a command is over.
    pub fn wait(&mut self) -> LogEvent {
        let event = self.events.recv().expect("workers end after this");
        self.note(event)
    }

    /// A command that is over, if there is one.
    pub fn poll(&mut self) -> Option<LogEvent> {
        let event = self.events.try_recv().ok()?;
        Some(self.note(event))
    }

    fn note(&mut self, event: LogEvent) -> LogEvent {
        if let LogEvent::Written { sequence, .. } = event {
            self.writers.iter_mut().for_each(|(_, given)| given.retain(|one| *one != sequence));
        }
        event
    }
}

impl Drop for LogWorkers {
    fn drop(&mut self) {
        // Without a sender a worker ends.
        self.writers.clear();
        self.syncer = channel().0;
        self.maker = channel().0;
        for thread in self.threads.drain(..) {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn work(mut files: LogFiles, commands: &Receiver<LogCommand>, done: &Sender<LogEvent>) {
    for command in commands {
        let result = files.run(&command);
        if done.send(command.answered(result)).is_err() {
            return;
        }
    }
}
