//! A process that appends is killed with SIGKILL, again and again: nothing that it was told is
//! durable is missing, and a batch that it was not told of is there as a whole or not at all.
//!
//! `LOG_KILLS=1000 cargo test --release --lib log_disk::tests::kills` kills more often. A kill says
//! nothing about power: the system keeps what it was given.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::*;
use crate::base::Prng;

const DIR: &str = "LOG_KILLS_DIR";

/// The process that is killed: it appends for ever, two batches at a time, and says where each
/// batch stands that is answered. Without a directory it is a test with nothing to do.
#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let seed = std::process::id();
    let mut prng = Prng::from_seed(u64::from(seed));
    let mut files = LogFiles::take(Path::new(&dir)).unwrap();
    let mut core = open(&mut files, OPTIONS, lives(seed as u8)).unwrap();
    let mut workers = LogWorkers::start(&files, crate::log::DEPTH).unwrap();
    let mut out = std::io::stdout();
    let mut commands = Vec::new();
    loop {
        let mut batch = batch(core.last().sequence + 1);
        let sync = if prng.percent(80) { AppendSync::Now } else { AppendSync::Later };
        let appended = core.append(core.last(), &mut batch, sync, &mut commands);
        commands.drain(..).for_each(|command| workers.begin(command));
        match appended {
            Ok(_) => {}
            Err(AppendError::Busy) => {
                let event = workers.wait();
                core.on_event(event, &mut commands);
            }
            Err(error) => panic!("{error:?}"),
        }
        while let Some(event) = workers.poll() {
            core.on_event(event, &mut commands);
        }
        while let Some(position) = core.take_answered() {
            writeln!(out, "answered {}", position.sequence).unwrap();
        }
        out.flush().unwrap();
        let below = core.tail().sequence.saturating_sub(60);
        core.let_go(LogPosition::of_file(below), &mut commands);
        commands.drain(..).for_each(|command| workers.begin(command));
        assert_eq!(core.state(), LogState::Serving);
    }
}

#[test]
fn nothing_that_was_answered_is_missing_after_a_kill() {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse().ok());
    let kills: u64 = number("LOG_KILLS").unwrap_or(6);
    let mut prng = Prng::from_seed(number("LOG_KILLS_FROM").unwrap_or(0));
    let dir = tempfile::tempdir().unwrap();
    let mut answered = 0;
    for kill in 0..kills {
        let wanted = answered + prng.below(120);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["log_disk::tests::kills::child", "--exact", "--nocapture"]);
        let mut child = command.env(DIR, dir.path()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut told = |line: &str| {
            let number = line.split("answered ").nth(1).and_then(|number| number.parse().ok());
            answered = answered.max(number.unwrap_or(0));
            answered
        };
        while lines.next().is_some_and(|line| told(&line.unwrap()) <= wanted) {}
        child.kill().unwrap();
        // What it said before it was killed counts, too.
        lines.map_while(Result::ok).for_each(|line| {
            told(&line);
        });
        let status = child.wait().unwrap();
        assert!(status.code().is_none(), "kill {kill}: it ended by itself, {status}");
        let mut files = LogFiles::take(dir.path()).unwrap();
        let core = open(&mut files, OPTIONS, lives(kill as u8)).unwrap();
        assert!(answered <= core.last().sequence, "kill {kill}: {answered} was answered");
        check(&core, &mut files);
    }
    println!("figure\tkills\t{kills} kills, {answered} answered, 0 lost");
}
