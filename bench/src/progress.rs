//! How far a run is: a bar on a terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::clock::Clock;
use crate::engine::Watcher;
use crate::loads::{Shown, Stage};
use crate::scenario::Scenario;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows a run on standard error, where it does not mix with results.
pub struct Progress {
    bar: Option<ProgressBar>,
    clock: Clock,
    next_line: Duration,
    stage: Option<Stage>,
}

impl Default for Progress {
    fn default() -> Progress {
        Progress::new()
    }
}

impl Progress {
    /// Looks for a terminal once.
    pub fn new() -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:9} {bar:40} {pos}/{len} {elapsed}");
            ProgressBar::new(0).with_style(style.expect("the template is a constant"))
        });
        Progress { bar, clock: Clock::start(), next_line: LINE_EVERY, stage: None }
    }
}

/// What a stage is called, and how much of it is done.
fn steps(scenario: &Scenario, stage: Stage, shown: Shown) -> (&'static str, u64, Option<u64>) {
    let all = u64::from(scenario.connections);
    match stage {
        Stage::Ramp => ("connected", shown.live, Some(all)),
        Stage::Measure => ("delivered", shown.delivered, None),
        Stage::Drop => ("dropped", all - shown.live.min(all), Some(all)),
        Stage::Talk => ("delivered", shown.delivered, None),
        Stage::Return => ("recovered", shown.recovered, Some(all)),
        Stage::Prove => ("answered", shown.answered, Some(all)),
        Stage::Over => ("done", all, Some(all)),
    }
}

impl Watcher for Progress {
    fn moved(&mut self, scenario: &Scenario, stage: Stage, shown: Shown) {
        let (what, done, all) = steps(scenario, stage, shown);
        if let Some(bar) = &self.bar {
            bar.set_message(what);
            bar.set_length(all.unwrap_or(done));
            bar.set_position(done);
            return;
        }
        let elapsed = self.clock.elapsed();
        if self.stage != Some(stage) || self.next_line <= elapsed {
            self.stage = Some(stage);
            self.next_line = elapsed + LINE_EVERY;
            let seconds = elapsed.as_secs();
            match all {
                Some(all) => eprintln!("{seconds:5} s  {what} {done} of {all}"),
                None => eprintln!("{seconds:5} s  {what} {done}"),
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Shows nothing.
pub struct Silent;

impl Watcher for Silent {
    fn moved(&mut self, _: &Scenario, _: Stage, _: Shown) {}
}
