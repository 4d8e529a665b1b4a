//! Acts of the command line as audit events: the system's log gets a line with the fields that acts
//! of the console and of backends have. It is what outlives a command, and what its caller cannot
//! take back; where there is none, as in most containers, nobody would keep the line.
//!
//! Invariant: a line has no character in it that ends it, whatever a name says.
//!
//! Deliberately absent: which commands are acts. Each says so of itself.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::{fs, io};

use rustix::process::getuid;
use serde_json::json;

use super::{MISUSED, OK};
use crate::clock::unix_ms;
use crate::console::{AuditAction, AuditEvent, AuditOutcome, AuditVia};

/// Where the system's log listens (syslog(3)).
const SYSTEM_LOG: &str = "/dev/log";

/// Facility 10, what concerns authorization, and severity 5, notice (RFC 5424, 6.2.1).
const PRIORITY: u8 = 10 * 8 + 5;

/// The user id of nobody who is logged in (audit_setloginuid(3)).
const NO_LOGIN: u32 = u32::MAX;

/// What a command is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommandAct {
    /// What that is.
    pub action: AuditAction,
    /// Whom or what it is about; empty for all there is.
    pub target: String,
}

impl CommandAct {
    /// Writes it down: the command has ended with this exit code.
    pub fn tell(self, code: u8) {
        let event = AuditEvent {
            unix_ms: unix_ms(),
            action: self.action,
            actor: actor().into(),
            via: AuditVia::Command,
            from: None,
            target: self.target.into(),
            outcome: match code {
                OK => AuditOutcome::Done,
                MISUSED => AuditOutcome::Refused("misused"),
                _ => AuditOutcome::Failed("command"),
            },
        };
        // Standard error is for what went wrong: scripts and timers take a line there for that.
        let _ = log(Path::new(SYSTEM_LOG), &line(&event));
    }
}

/// The event as JSON, with the names that lines of the server's log have.
fn line(event: &AuditEvent) -> String {
    json!({
        "message": "audit",
        "event": event.action.name(),
        "actor": &*event.actor,
        "via": event.via.name(),
        "from": "",
        "subject": event.short_target(),
        "outcome": event.outcome.name(),
        "reason": event.outcome.reason(),
    })
    .to_string()
}

/// Gives the system's log a line.
fn log(path: &Path, line: &str) -> io::Result<usize> {
    let socket = UnixDatagram::unbound()?;
    // A log that reads nothing keeps nobody.
    socket.set_nonblocking(true)?;
    let datagram = format!("<{PRIORITY}>rookery[{}]: {line}", std::process::id());
    socket.send_to(datagram.as_bytes(), path)
}

/// Who is logged in, which no sudo and no variable changes; else whose process this is.
fn actor() -> String {
    let login = fs::read_to_string("/proc/self/loginuid").ok();
    let login = login.and_then(|text| text.trim().parse().ok()).filter(|&uid| uid != NO_LOGIN);
    let uid = login.unwrap_or_else(|| getuid().as_raw());
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&accounts, uid).unwrap_or_else(|| uid.to_string())
}

/// The name of an account (passwd(5)).
fn name_of(accounts: &str, uid: u32) -> Option<String> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        (number.parse() == Ok(uid) && !name.is_empty()).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(target: &str) -> AuditEvent {
        AuditEvent {
            unix_ms: 7,
            action: AuditAction::DeadLettersDropped,
            actor: "ann".into(),
            via: AuditVia::Command,
            from: None,
            target: target.into(),
            outcome: AuditOutcome::Failed("command"),
        }
    }

    #[test]
    fn a_line_is_one_line_with_the_names_of_the_servers_log() {
        let line = line(&event("dm#a,b\n<85>other: \u{1b}[2J"));
        assert!(!line.contains(char::is_control), "{line:?}");
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        let names: Vec<&String> = read.as_object().unwrap().keys().collect();
        let want = ["actor", "event", "from", "message", "outcome", "reason", "subject", "via"];
        assert_eq!(names, want);
        assert_eq!(
            (&read["event"], &read["via"]),
            (&json!("dead_letters.dropped"), &json!("command"))
        );
        assert_eq!((&read["outcome"], &read["reason"]), (&json!("failed"), &json!("command")));
        assert!(super::line(&event(&"é".repeat(9_000))).len() < 1_000);
    }

    #[test]
    fn the_systems_log_gets_a_datagram_and_none_is_said_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert!(log(&path, "x").is_err());
        let socket = UnixDatagram::bind(&path).unwrap();
        assert!(log(&path, "x").is_ok());
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        let want = format!("<85>rookery[{}]: x", std::process::id());
        assert_eq!(&bytes[..length], want.as_bytes());
    }

    #[test]
    fn an_account_has_a_name() {
        let accounts =
            "root:x:0:0:root:/root:/bin/bash\nbroken\n:x:7::\nann:x:1000:1000::/:/bin/sh\n";
        assert_eq!(name_of(accounts, 1_000).as_deref(), Some("ann"));
        assert_eq!(name_of(accounts, 0).as_deref(), Some("root"));
        assert_eq!((name_of(accounts, 7), name_of(accounts, 1)), (None, None));
    }
}
