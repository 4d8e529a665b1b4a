//! Others on the machine: a process that takes a part of every core while a figure is
//! measured.

use std::process::{Child, Command, Stdio};

/// It runs until this value goes.
pub(super) struct Others(Child);

impl Others {
    /// Starts it with the highest priority that it may have: it takes what it wants.
    pub(super) fn start(percent: u32) -> Result<Others, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new("nice");
        command
            .args(["-n", "-20"])
            .arg(own)
            .args(["busy", "--percent", &percent.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command.spawn().map(Others).map_err(|error| format!("nice: {error}"))
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
