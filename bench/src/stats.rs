//! Numbers out of many: latencies, medians.
//!
//! Deliberately absent: what was measured.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The longest latency that is told apart from longer ones.
pub const LATENCY_NS_MAX: u64 = 600_000_000_000;

/// Latencies with 0.1% of error, from a nanosecond to ten minutes.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Latency {
        Latency::new()
    }
}

impl Latency {
    /// Empty.
    pub fn new() -> Latency {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3);
        Latency(histogram.expect("the bounds are constants that fit each other"))
    }

    /// Counts one; what is beyond the end counts as the end.
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns.max(1));
    }

    /// Takes what another thread counted.
    pub fn add(&mut self, other: &Latency) {
        self.0.add(&other.0).expect("all histograms have the same bounds");
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The places people look at.
    pub fn summary(&self) -> Summary {
        let at = |quantile| self.0.value_at_quantile(quantile);
        Summary {
            count: self.0.len(),
            mean_ns: self.0.mean() as u64,
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p95_ns: at(0.95),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: self.0.max(),
        }
    }
}

/// A histogram in a few numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Summary {
    pub count: u64,
    pub mean_ns: u64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p95_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
}

/// The middle one, or the mean of the two in the middle. `None` of nothing, and
/// of anything that is no number.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    if sorted.is_empty() || sorted.iter().any(|value| value.is_nan()) {
        return None;
    }
    sorted.sort_by(f64::total_cmp);
    let upper = sorted[sorted.len() / 2];
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(lower + (upper - lower) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery::base::Prng;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[f64::NAN, 1.0]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 4.0]), Some(4.0));
        assert_eq!(median(&[8.0, 1.0, 4.0, 2.0]), Some(3.0));
    }

    #[test]
    fn quantiles_agree_with_a_sorted_list_over_any_split_into_threads() {
        let mut prng = Prng::from_seed(5);
        let mut parts = [Latency::new(), Latency::new(), Latency::new()];
        let mut all = Vec::new();
        for _ in 0..20_000 {
            let bits = prng.below(34);
            let ns = 1 + prng.below(1 << bits);
            parts[prng.below(3) as usize].record(ns);
            all.push(ns);
        }
        let mut merged = Latency::new();
        parts.iter().for_each(|part| merged.add(part));
        all.sort_unstable();
        let summary = merged.summary();
        assert_eq!(summary.count, 20_000);
        for (quantile, found) in
            [(0.5, summary.p50_ns), (0.9, summary.p90_ns), (0.99, summary.p99_ns)]
        {
            let exact = all[(quantile * 20_000.0) as usize - 1];
            assert!(found.abs_diff(exact) <= 1 + exact / 500, "{quantile}: {found} {exact}");
        }
    }

    #[test]
    fn what_is_off_the_scale_counts_as_its_end() {
        let mut latency = Latency::new();
        latency.record(0);
        latency.record(u64::MAX);
        let summary = latency.summary();
        assert_eq!(summary.count, 2);
        assert!(LATENCY_NS_MAX <= summary.max_ns);
    }
}
