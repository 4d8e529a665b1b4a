//! What an operator's page costs a server that very many are connected to: CPU time while it is
//! open, beside the same server while it is closed, and the messages of others meanwhile.
//!
//! A page asks for a sample every two seconds, and for what the open tab shows. Here all tabs are
//! open at once that ask by themselves, each once in ten seconds. The one that does not is that of
//! connections, which walks through all of them when somebody asks.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::child::{ConsolePage, Purpose, Server};
use super::figure::FigureName;
use super::measure::{Bench, Cores, TALKERS, load, shards_for};
use crate::clock::Clock;
use crate::scenario::{Load, Pace};
use crate::stats::median;

/// Samples in the time of a run, with the page and without: every two seconds of 240, as the page
/// has it.
const SAMPLES: u64 = 120;

/// Samples while the page is open, or as long without one.
const SAMPLES_PER_TURN: u32 = 5;

/// What the tabs ask for, each once in a turn.
const TABS: [&str; 6] = ["rooms", "flights", "tenants", "quarantine", "audit", "blocks?kind=user"];

/// CPU time of a part of a run in which all connections were there.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Turn {
    is_open: bool,
    ns: u64,
    /// Of all threads.
    cpu_ns: u64,
    /// Of the one that answers the page.
    control_ns: u64,
}

/// When the page is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    Always,
    /// One turn, and one turn not.
    InTurns,
}

impl Bench {
    /// Many idle connections for what it costs, and a few that talk among them for what others
    /// feel.
    pub(super) fn console(&mut self, round: u64) -> Result<(), String> {
        let connections = self.sizes.idle;
        let hold_ms = self.sizes.hold_ms * 2;
        let sample = Duration::from_millis(hold_ms / SAMPLES);
        let idle = self.scenario(Load::Connect { hold_ms }, connections, 0, round);
        let kind = self.kind_for(connections, None, Purpose::Direct);
        let server = self.start(&kind, Cores::Any, shards_for(connections))?;
        let operator = Operator::start(&server, connections, Looks::InTurns, sample)?;
        let held = load("rookery, looked at in turns", &server, &idle, Cores::Any);
        let turns = operator.finish()?;
        self.measured.outcomes.push(held?);
        drop(server);
        let cost = cost(&turns).ok_or("the connections were not there for two turns")?;
        eprintln!("  {cost}");
        self.value(FigureName::ConsoleCpu, cost.percent);

        let pace = Pace::Open { per_s: self.sizes.rate };
        let talk = Load::Echo { pace, measure_ms: self.sizes.measure_ms };
        let talk = self.scenario(talk, connections + TALKERS, TALKERS, round);
        for is_looked_at in [false, true] {
            let kind = self.kind_for(talk.connections, None, Purpose::Direct);
            let server = self.start(&kind, Cores::Any, shards_for(talk.connections))?;
            let start = || Operator::start(&server, talk.connections, Looks::Always, sample);
            let operator = is_looked_at.then(start).transpose()?;
            let outcome = load("rookery, with talkers", &server, &talk, Cores::Any);
            if let Some(operator) = operator {
                eprintln!("  {} turns of the page", operator.finish()?.len());
            }
            let outcome = outcome?;
            let ms = outcome.latency.p99_ns as f64 / 1e6;
            match is_looked_at {
                true => self.value(FigureName::ConsoleLatency, ms),
                false => self.floor(FigureName::ConsoleLatency, ms),
            }
            self.measured.outcomes.push(outcome);
        }
        Ok(())
    }
}

/// A thread that has a page open, until it is told to end.
struct Operator {
    end: Sender<()>,
    thread: JoinHandle<Result<Vec<Turn>, String>>,
}

impl Operator {
    fn start(
        server: &Server,
        connections: u32,
        looks: Looks,
        sample: Duration,
    ) -> Result<Operator, String> {
        let (admin, server) = (server.admin(), server.process.clone());
        let page = admin.console()?;
        let (end, ended) = mpsc::channel();
        let is_over = move |wait| ended.recv_timeout(wait) != Err(RecvTimeoutError::Timeout);
        let thread = thread::spawn(move || {
            let (mut turns, mut is_open) = (Vec::new(), true);
            let is_full =
                || Ok::<_, String>(admin.metric("chat_subscriptions")? == f64::from(connections));
            let cpu = || Ok::<_, String>((ns(server.cpu_ns())?, ns(server.main_thread_cpu_ns())?));
            loop {
                let was_full = is_full()?;
                let (clock, (cpu_ns, control_ns)) = (Clock::start(), cpu()?);
                if look(is_open.then_some(&page), sample, &is_over)? {
                    return Ok(turns);
                }
                let (after_ns, after_control_ns) = cpu()?;
                let (cpu_ns, control_ns) = (after_ns - cpu_ns, after_control_ns - control_ns);
                if was_full && is_full()? {
                    turns.push(Turn { is_open, ns: clock.ns(), cpu_ns, control_ns });
                }
                is_open = looks == Looks::Always || !is_open;
            }
        });
        Ok(Operator { end, thread })
    }

    /// Ends, and gives the turns, or why a page got no answer.
    fn finish(self) -> Result<Vec<Turn>, String> {
        // A thread that failed receives nothing, and says why below.
        let _ = self.end.send(());
        self.thread.join().map_err(|_| "the thread of the page panicked".to_owned())?
    }
}

/// One turn, with the page open if there is one; whether it was interrupted.
fn look(
    page: Option<&ConsolePage>,
    sample: Duration,
    is_over: &impl Fn(Duration) -> bool,
) -> Result<bool, String> {
    let mut tabs = TABS.iter();
    for _ in 0..SAMPLES_PER_TURN {
        if let Some(page) = page {
            page.get("overview")?;
            for tab in tabs.by_ref().take(TABS.len().div_ceil(SAMPLES_PER_TURN as usize)) {
                page.get(tab)?;
            }
        }
        if is_over(sample) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn ns(time: std::io::Result<u64>) -> Result<u64, String> {
    time.map_err(|error| error.to_string())
}

/// What an open page costs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    /// Of a core: the median of what each turn with it took more than those around it.
    percent: f64,
    /// Of a core, by the thread that answers it alone: the walks of cores are not in it.
    control_percent: f64,
    /// Of a core, while it is closed.
    closed_percent: f64,
    turns: usize,
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Cost { percent, control_percent, closed_percent, turns } = self;
        write!(
            f,
            "{percent:.2}% of a core in {turns} turns, {control_percent:.2}% of them by the thread \
             that answers; {closed_percent:.1}% without"
        )
    }
}

/// Each open turn beside the mean of the closed ones before and behind it, so that what grows or
/// falls with time is in none.
fn cost(turns: &[Turn]) -> Option<Cost> {
    let share = |part_ns: u64, turn: &Turn| 100.0 * part_ns as f64 / turn.ns as f64;
    let (mut all, mut control, mut closed) = (Vec::new(), Vec::new(), Vec::new());
    for three in turns.windows(3) {
        let [before, open, behind] = three else { continue };
        if !open.is_open || before.is_open || behind.is_open {
            continue;
        }
        let beside = |part: fn(&Turn) -> u64| {
            let around = [before, behind].map(|turn| share(part(turn), turn));
            (share(part(open), open), (around[0] + around[1]) / 2.0)
        };
        let (with, without) = beside(|turn| turn.cpu_ns);
        all.push(with - without);
        closed.push(without);
        let (with, without) = beside(|turn| turn.control_ns);
        control.push(with - without);
    }
    Some(Cost {
        turns: all.len(),
        percent: median(&all)?,
        control_percent: median(&control)?,
        closed_percent: median(&closed)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(is_open: bool, cpu_ms: u64, control_ms: u64) -> Turn {
        let ns = |ms: u64| ms * 1_000_000;
        Turn { is_open, ns: ns(10_000), cpu_ns: ns(cpu_ms), control_ns: ns(control_ms) }
    }

    #[test]
    fn a_page_costs_what_its_turns_take_more_than_those_around_them() {
        // The server takes less and less, and the page 50 ms in 10 s.
        let turns = [
            turn(false, 1_000, 10),
            turn(true, 950, 40),
            turn(false, 800, 10),
            turn(true, 750, 40),
            turn(false, 600, 10),
        ];
        let cost = cost(&turns).expect("there are three in a row");
        assert!((cost.percent - 0.5).abs() < 1e-9, "{cost:?}");
        assert!((cost.control_percent - 0.3).abs() < 1e-9, "{cost:?}");
        assert_eq!(cost.turns, 2);
    }

    #[test]
    fn nothing_is_said_without_turns_on_both_sides() {
        assert_eq!(cost(&[turn(false, 1, 1), turn(true, 1, 1)]), None);
        assert_eq!(cost(&[turn(true, 1, 1), turn(true, 1, 1), turn(true, 1, 1)]), None);
    }
}
