//! An answer that is good for a while: whoever asks meanwhile gets the same, so that ten pages
//! cost what one does.
//!
//! Deliberately absent: how it is made.

use crate::base::MonotonicMs;

/// The last answer, and when it was made.
#[derive(Debug)]
pub struct Recent<T> {
    good_ms: u64,
    last: Option<(MonotonicMs, T)>,
}

impl<T: Clone> Recent<T> {
    /// There is none yet; each will be good for so long.
    pub fn new(good_ms: u64) -> Recent<T> {
        Recent { good_ms, last: None }
    }

    /// The last answer, if it is still good.
    pub fn at(&self, now: MonotonicMs) -> Option<T> {
        let last = self.last.as_ref();
        let good = last.filter(|(made, _)| now.ms_since(*made) < self.good_ms);
        good.map(|(_, answer)| answer.clone())
    }

    /// An answer that was made just now.
    pub fn put(&mut self, now: MonotonicMs, answer: T) {
        self.last = Some((now, answer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_good_for_a_while() {
        let mut recent = Recent::new(1_000);
        assert_eq!(recent.at(MonotonicMs(5)), None);
        recent.put(MonotonicMs(5), "first");
        assert_eq!(recent.at(MonotonicMs(5)), Some("first"));
        assert_eq!(recent.at(MonotonicMs(1_004)), Some("first"));
        assert_eq!(recent.at(MonotonicMs(1_005)), None);
        recent.put(MonotonicMs(1_005), "second");
        assert_eq!(recent.at(MonotonicMs(1_006)), Some("second"));
    }
}
