//! Client prefixes that are blocked for a while because their sessions panic.
//!
//! The server makes the ids of clients, so a prefix is made of what a client brings
//! along: its tenant, its user's name up to the first `:` or `-`, and the class of
//! its software. One broken version of a bot is one prefix, whatever its number.
//!
//! Early panics of all cores come together in a [`Quarantine`], which belongs to the
//! control thread. Before it blocks a prefix, it asks how many of the open
//! connections have it: a prefix that many have stays, because being blocked
//! would hurt more people than the panics do.
//!
//! Invariants: at most `PREFIXES_MAX` prefixes are blocked and as many are
//! suspected; each is listed once.
//!
//! Deliberately absent: panics, cores, clocks.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::base::MonotonicMs;
use crate::metrics::Agent;

/// Prefixes that are blocked at a time, and prefixes that are suspected.
pub const PREFIXES_MAX: usize = 64;

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

/// Who locked a prefix out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedBy {
    /// The server, after panics.
    Server,
    /// An operator.
    Operator,
}

/// A prefix that is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedPrefix {
    /// The prefix.
    pub prefix: Prefix,
    /// When that began.
    pub since: MonotonicMs,
    /// When that ends.
    pub until: MonotonicMs,
    /// Who blocked it.
    pub by: BlockedBy,
}

/// The result for a suspected prefix.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuspectResult {
    /// It is blocked.
    Blocked,
    /// Too many clients have it.
    Spared,
    /// There is no room for one more.
    Full,
    /// It is not suspected any more.
    Forgotten,
}

/// A prefix that panicked lately.
#[derive(Debug)]
struct Suspect {
    prefix: Prefix,
    /// The times of the last `panics_min` panics.
    panics: VecDeque<MonotonicMs>,
}

/// What is blocked, and what may be next.
#[derive(Debug)]
pub struct Quarantine {
    options: QuarantineOptions,
    suspects: Vec<Suspect>,
    blocked: Vec<BlockedPrefix>,
}

impl Quarantine {
    /// Nobody is blocked.
    pub fn new(options: QuarantineOptions) -> Quarantine {
        Quarantine { options, suspects: Vec::new(), blocked: Vec::new() }
    }

    /// What is blocked.
    pub fn blocked(&self) -> &[BlockedPrefix] {
        &self.blocked
    }

    /// Notes an early panic. True when the connections with this prefix should be counted now, for
    /// `on_share`.
    pub fn on_panic(&mut self, now: MonotonicMs, prefix: &Prefix) -> bool {
        let panics_min = self.options.panics_min as usize;
        if panics_min == 0 || self.blocked.iter().any(|blocked| blocked.prefix == *prefix) {
            return false;
        }
        let window_ms = self.options.window_ms;
        self.suspects
            .retain(|one| one.panics.back().is_some_and(|&at| now.ms_since(at) <= window_ms));
        let known = self.suspects.iter().position(|one| one.prefix == *prefix);
        let index = known.unwrap_or_else(|| {
            if self.suspects.len() == PREFIXES_MAX {
                // The one without a panic for the longest time.
                let quiet = (0..PREFIXES_MAX).min_by_key(|&at| self.suspects[at].panics.back());
                self.suspects.swap_remove(quiet.expect("there are some"));
            }
            self.suspects.push(Suspect { prefix: prefix.clone(), panics: VecDeque::new() });
            self.suspects.len() - 1
        });
        let panics = &mut self.suspects[index].panics;
        panics.push_back(now);
        if panics_min < panics.len() {
            panics.pop_front();
        }
        panics.len() == panics_min && now.ms_since(panics[0]) <= window_ms
    }

    /// Takes the number of connections with the prefix.
    pub fn on_share(
        &mut self,
        now: MonotonicMs,
        prefix: &Prefix,
        having: u64,
        all: u64,
    ) -> SuspectResult {
        let Some(index) = self.suspects.iter().position(|one| one.prefix == *prefix) else {
            return SuspectResult::Forgotten;
        };
        self.suspects.swap_remove(index);
        if all * u64::from(self.options.share_percent_max) < having * 100 {
            return SuspectResult::Spared;
        }
        self.block(now, prefix.clone(), self.options.hold_ms, BlockedBy::Server)
    }

    /// Blocks a prefix; one that is already gets the new time.
    pub fn block(
        &mut self,
        now: MonotonicMs,
        prefix: Prefix,
        hold_ms: u64,
        by: BlockedBy,
    ) -> SuspectResult {
        let until = now.plus_ms(hold_ms);
        if let Some(blocked) = self.blocked.iter_mut().find(|blocked| blocked.prefix == prefix) {
            blocked.until = until;
            return SuspectResult::Blocked;
        }
        if self.blocked.len() == PREFIXES_MAX {
            return SuspectResult::Full;
        }
        self.blocked.push(BlockedPrefix { prefix, since: now, until, by });
        SuspectResult::Blocked
    }

    /// Lets a prefix in again. False when it is not blocked.
    pub fn unblock(&mut self, prefix: &Prefix) -> bool {
        let before = self.blocked.len();
        self.blocked.retain(|blocked| blocked.prefix != *prefix);
        self.blocked.len() < before
    }

    /// Ends quarantines whose time is over. True when there were any.
    pub fn expire(&mut self, now: MonotonicMs) -> bool {
        let before = self.blocked.len();
        self.blocked.retain(|blocked| now < blocked.until);
        self.blocked.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AGENT: Agent = Agent::ALL[0];

    fn bot() -> Prefix {
        Prefix::of("acme", "bot-17", AGENT)
    }

    fn quarantine() -> Quarantine {
        Quarantine::new(QuarantineOptions::default())
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

    #[test]
    fn early_panics_within_the_window_lock_a_prefix_out() {
        let mut all = quarantine();
        assert!(!all.on_panic(MonotonicMs(0), &bot()));
        assert!(!all.on_panic(MonotonicMs(30_000), &bot()));
        assert!(!all.on_panic(MonotonicMs(60_001), &bot()), "the first is too long ago");
        assert!(all.on_panic(MonotonicMs(61_000), &bot()));
        assert_eq!(all.on_share(MonotonicMs(61_000), &bot(), 0, 0), SuspectResult::Blocked);
        assert!(!all.on_panic(MonotonicMs(61_001), &bot()), "it is blocked already");
        assert!(!all.expire(MonotonicMs(661_000 - 1)));
        assert!(all.expire(MonotonicMs(661_000)));
        assert!(all.blocked().is_empty());
    }

    #[test]
    fn a_prefix_that_many_have_is_spared() {
        for (having, all_count, want) in [
            (10, 100, SuspectResult::Blocked),
            (11, 100, SuspectResult::Spared),
            (1, 1, SuspectResult::Spared),
            (0, 1, SuspectResult::Blocked),
        ] {
            let mut all = quarantine();
            (0..3).for_each(|at| assert_eq!(all.on_panic(MonotonicMs(at), &bot()), at == 2));
            assert_eq!(all.on_share(MonotonicMs(3), &bot(), having, all_count), want);
            assert_eq!(all.on_share(MonotonicMs(3), &bot(), 0, 0), SuspectResult::Forgotten);
        }
    }

    #[test]
    fn zero_panics_lock_nobody_out() {
        let options = QuarantineOptions { panics_min: 0, ..QuarantineOptions::default() };
        let mut all = Quarantine::new(options);
        assert!((0..10).all(|at| !all.on_panic(MonotonicMs(at), &bot())));
    }

    #[test]
    fn lists_have_ends() {
        let mut all = quarantine();
        let prefix = |n: usize| Prefix::of("", &format!("u{n}"), AGENT);
        for n in 0..=PREFIXES_MAX {
            assert!(!all.on_panic(MonotonicMs(n as u64), &prefix(n)));
        }
        assert_eq!(all.suspects.len(), PREFIXES_MAX);
        assert!(all.suspects.iter().all(|one| one.prefix != prefix(0)), "the quietest went");
        for n in 0..PREFIXES_MAX {
            assert_eq!(
                all.block(MonotonicMs(0), prefix(n), 1, BlockedBy::Operator),
                SuspectResult::Blocked
            );
        }
        assert_eq!(all.block(MonotonicMs(0), bot(), 1, BlockedBy::Operator), SuspectResult::Full);
        assert_eq!(
            all.block(MonotonicMs(5), prefix(7), 9, BlockedBy::Operator),
            SuspectResult::Blocked
        );
        assert_eq!(all.blocked()[7].until, MonotonicMs(14));
        assert!(all.unblock(&prefix(7)) && !all.unblock(&prefix(7)));
        assert_eq!(
            all.block(MonotonicMs(0), bot(), 1, BlockedBy::Operator),
            SuspectResult::Blocked
        );
    }
}
