//! How often lines of one kind are written: a kind is the place in the source that says
//! it. So whatever a peer can make us say, it cannot fill a disk with it, nor hide behind
//! it what others make us say.

use std::collections::BTreeMap;

use crate::base::{Bucket, MonotonicMs, Rate};

/// Lines of one kind.
const RATE: Rate = Rate { per_s: 10, burst: 100 };

/// All kinds that were said so far; there are as many as places in the source.
#[derive(Debug, Default)]
pub(super) struct LogRateLimiter(BTreeMap<&'static str, Kind>);

#[derive(Debug)]
struct Kind {
    bucket: Bucket,
    left_out: u64,
}

impl LogRateLimiter {
    /// Whether a line of this kind may be written now.
    pub fn admits(&mut self, now: MonotonicMs, kind: &'static str) -> bool {
        let kind = self.0.entry(kind).or_insert(Kind { bucket: Bucket::full(), left_out: 0 });
        let admitted = kind.bucket.take(now, RATE, 1);
        kind.left_out += u64::from(!admitted);
        admitted
    }

    /// A kind of which lines were left out, and how many, when there is room to say so.
    pub fn take_left_out(&mut self, now: MonotonicMs) -> Option<(&'static str, u64)> {
        self.0.iter_mut().find_map(|(name, kind)| {
            let says = kind.left_out != 0 && kind.bucket.take(now, RATE, 1);
            says.then(|| (*name, std::mem::take(&mut kind.left_out)))
        })
    }

    /// Whether there is something to say later.
    pub fn owes(&self) -> bool {
        self.0.values().any(|kind| kind.left_out != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_its_rate_and_keeps_no_other_back() {
        let mut pace = LogRateLimiter::default();
        let admitted = (0..1_000).filter(|_| pace.admits(MonotonicMs(0), "a")).count();
        assert_eq!(admitted, 100);
        assert!(pace.admits(MonotonicMs(0), "b"));
        assert_eq!(pace.take_left_out(MonotonicMs(0)), None, "that would be a line, too");
        assert!(pace.owes());
        assert_eq!(pace.take_left_out(MonotonicMs(100)), Some(("a", 900)));
        assert_eq!(pace.take_left_out(MonotonicMs(200)), None);
        assert!(!pace.owes());
        let later = (0..1_000).filter(|_| pace.admits(MonotonicMs(1_200), "a")).count();
        assert_eq!(later, 11);
    }
}
