//! Counters that cost a load and a store: one writer per core, any number of readers.
//!
//! One closed table (`catalogue.rs`) says which series exist; the places in a
//! core's cells, the exposition and docs/METRICS.md all come from it, so every
//! series exists from the start with 0, and none can appear later.
//!
//! Invariants: a core's cells have one writer, which alone may claim them;
//! a scrape reads foreign cells and asks no core, so a core that hangs is
//! still seen.
//!
//! Deliberately absent: who scrapes, and any label whose values peers choose.
#![forbid(unsafe_code)]

mod catalogue;
mod cells;
mod exposition;
mod labels;

pub use catalogue::{Counter, Gauge, Histogram};
pub use cells::{Cells, Scribe};
pub use exposition::{Cores, Exposition, TEXT_TYPE, reference};
pub use labels::{
    AcceptFailure, Blame, CloseReason, HandshakeOutcome, LaneKind, Protocol, PublishResult,
    Recovery, StoreFailure,
};
