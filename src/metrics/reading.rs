//! What cells show to those who look otherwise than a scrape does: buckets of one core, and
//! tenants over all cores.
//!
//! Deliberately absent: names and units of what is read.

use super::catalogue::{Histogram, TenantCounter, TenantGauge};
use super::cells::Cells;
use super::exposition::Threads;
use super::labels::TenantOutcome;

/// What all cores know of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantReading {
    /// Its name, or the word for all that have no numbers of their own.
    pub name: Box<str>,
    /// Connections of its clients.
    pub connections: i64,
    /// Connections that were let in, since the start.
    pub opened: u64,
    /// Messages that were taken.
    pub published: u64,
    /// Recipients who got one.
    pub delivered: u64,
    /// Recipients who did not.
    pub failed: u64,
}

impl Cells {
    /// How many observations fell into each bucket of a histogram; the last one has no bound.
    pub fn buckets(&self, histogram: Histogram) -> Vec<u64> {
        let first = histogram.index();
        (0..=histogram.bounds_us().len()).map(|bucket| self.load(first + bucket)).collect()
    }
}

impl Histogram {
    /// The upper bounds of its buckets but the last, in microseconds.
    pub fn bounds_us(self) -> &'static [u64] {
        self.row().bounds_us
    }
}

impl Threads {
    /// Tenants that have numbers of their own, and the others together.
    pub fn read_tenants(&self) -> Vec<TenantReading> {
        let readings = self.tenants.shown().map(|(tenant, name)| {
            let sum = |place| {
                let values = self.cores.iter().map(|cells| cells.load_tenant(tenant, place));
                values.fold(0, u64::wrapping_add)
            };
            TenantReading {
                name: name.into(),
                connections: sum(TenantGauge::Connections.index()).cast_signed(),
                opened: sum(TenantCounter::Opened.index()),
                published: sum(TenantCounter::Published.index()),
                delivered: sum(TenantCounter::Delivered(TenantOutcome::Delivered).index()),
                failed: sum(TenantCounter::Delivered(TenantOutcome::Failed).index()),
            }
        });
        readings.collect()
    }
}
