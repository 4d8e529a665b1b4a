//! What clients have in common that fail alike: the prefix that they are counted, and blocked,
//! by.
//!
//! The server makes the ids of clients, so a prefix is made of what a client brings
//! along: its tenant, its user's name up to the first `:` or `-`, and the class of
//! its software. One broken version of a bot is one prefix, whatever its number.
//!
//! Deliberately absent: which prefixes are blocked, and for how long (the server's quarantine).

use std::fmt;
use std::sync::Arc;

use crate::metrics::Agent;

/// Most bytes of the tenant, and of the user's name.
const PART_BYTES_MAX: usize = 32;

/// Between the parts of a prefix; nothing else in it looks like that.
const SEPARATOR: char = '~';

/// When a prefix is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineOptions {
    /// The number of early panics; 0 for never.
    pub panics_min: u32,
    /// A panic so long after the upgrade is early.
    pub early_ms_max: u64,
    /// The window of these panics.
    pub window_ms: u64,
    /// How long it is blocked then.
    pub hold_ms: u64,
    /// The largest share of open connections that a locked-out prefix may have, in percent.
    pub share_percent_max: u32,
}

impl Default for QuarantineOptions {
    fn default() -> QuarantineOptions {
        QuarantineOptions {
            panics_min: 3,
            early_ms_max: 10_000,
            window_ms: 60_000,
            hold_ms: 600_000,
            share_percent_max: 10,
        }
    }
}

/// The prefix of similar clients: `tenant~user~class`, each part in letters, digits, `.` and `_`,
/// and all other bytes as `=XX`. So it fits into a path, a query and a log line as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(Arc<str>);

impl Prefix {
    /// The prefix of a client.
    pub fn of(tenant: &str, user: &str, agent: Agent) -> Prefix {
        Prefix(text(tenant, user, agent).collect::<String>().into())
    }

    /// Parses the prefix that an operator wrote.
    pub fn parse(written: &str) -> Option<Prefix> {
        let mut parts = written.split(SEPARATOR);
        let [tenant, user, agent] = [parts.next()?, parts.next()?, parts.next()?];
        let is_known = Agent::WORDS.contains(&agent);
        let fits = |part: &str| {
            let is_part = |c: char| c.is_ascii_alphanumeric() || "._=".contains(c);
            part.len() <= 3 * PART_BYTES_MAX && part.chars().all(is_part)
        };
        let is_prefix = is_known && parts.next().is_none() && fits(tenant) && fits(user);
        is_prefix.then(|| Prefix(written.into()))
    }

    /// Whether a client has this prefix. It allocates nothing, because it is called for each
    /// connection of a core.
    pub fn is_of(&self, tenant: &str, user: &str, agent: Agent) -> bool {
        self.0.chars().eq(text(tenant, user, agent))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn text<'a>(tenant: &'a str, user: &'a str, agent: Agent) -> impl Iterator<Item = char> + 'a {
    let user = user.split([':', '-']).next().unwrap_or_default();
    let parts = escaped(tenant).chain([SEPARATOR]).chain(escaped(user)).chain([SEPARATOR]);
    parts.chain(agent.word().chars())
}

fn escaped(part: &str) -> impl Iterator<Item = char> + '_ {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    part.bytes().take(PART_BYTES_MAX).flat_map(|byte| {
        let hex = |digit: u8| char::from(HEX[usize::from(digit)]);
        let is_plain = byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'_';
        let shown = if is_plain {
            [Some(char::from(byte)), None, None]
        } else {
            [Some('='), Some(hex(byte >> 4)), Some(hex(byte & 0xf))]
        };
        shown.into_iter().flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: Agent = Agent::ALL[0];

    fn bot() -> Prefix {
        Prefix::of("acme", "bot-17", AGENT)
    }

    #[track_caller]
    fn check(tenant: &str, user: &str, want: &str) {
        let prefix = Prefix::of(tenant, user, AGENT);
        assert_eq!(prefix.to_string(), format!("{want}~{}", AGENT.word()));
        assert!(prefix.is_of(tenant, user, AGENT));
        assert_eq!(Prefix::parse(&prefix.to_string()), Some(prefix));
    }

    #[test]
    fn a_prefix_is_the_tenant_and_the_name_up_to_its_number() {
        check("", "", "~");
        check("acme", "bot-17", "acme~bot");
        check("acme", "bot:17-b", "acme~bot");
        check("", "ann", "~ann");
        check("a/b", "x\n<y>~z", "a=2Fb~x=0A=3Cy=3E=7Ez");
        check("", "日本", "~=E6=97=A5=E6=9C=AC");
        check(&"t".repeat(99), &"u".repeat(99), &format!("{}~{}", "t".repeat(32), "u".repeat(32)));
        assert!(!bot().is_of("acme", "bots-17", AGENT));
        assert!(!bot().is_of("acm", "bot-17", AGENT));
        assert!(!bot().is_of("acme", "bot-17", *Agent::ALL.last().unwrap()));
    }

    #[test]
    fn what_an_operator_writes_must_be_a_prefix() {
        let agent = AGENT.word();
        for wrong in ["", "~", "a~b", "a~b~no such class", "a~b~"] {
            assert_eq!(Prefix::parse(wrong), None, "{wrong}");
        }
        for wrong in ["a b~c", "a-b~c", "a~c~d", "a", "a~b:", "é~b"] {
            assert_eq!(Prefix::parse(&format!("{wrong}~{agent}")), None, "{wrong}");
        }
        assert_eq!(Prefix::parse(&format!("{}~~{agent}", "x".repeat(97))), None);
    }
}
