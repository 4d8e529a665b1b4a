//! Takes a part of every core, as a neighbour on a shared machine does.
//!
//! One thread a core works for a part of each period and sleeps for the rest. Started
//! with a high priority it gets its part whatever else wants the core.

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use crate::clock::Clock;

/// Short enough that nobody waits for long.
const PERIOD: Duration = Duration::from_millis(10);

/// Works until the process is ended.
pub fn run(percent: u32) -> Result<ExitCode, String> {
    let work = PERIOD * percent / 100;
    let cores =
        core_affinity::get_core_ids().ok_or("the machine does not say which cores it has")?;
    thread::scope(|scope| {
        for core in cores {
            scope.spawn(move || {
                core_affinity::set_for_current(core);
                loop {
                    spin(work);
                }
            });
        }
    });
    Ok(ExitCode::SUCCESS)
}

/// One period of one core.
fn spin(work: Duration) {
    let clock = Clock::start();
    while clock.elapsed() < work {
        std::hint::spin_loop();
    }
    thread::sleep(PERIOD.saturating_sub(clock.elapsed()));
}
