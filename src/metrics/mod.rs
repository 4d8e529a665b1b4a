//! Counters that cost a load and a store: one writer per core, any number of readers. Cores and
//! the storage thread write their cells (`cells`); `admin` shows the sum of all (`exposition`).
//!
//! One closed table (`catalogue`) says which series exist; the places in a
//! core's cells, the exposition and docs/METRICS.md all come from it, so every
//! series exists from the start with 0, and none can appear later.
//!
//! Beside them stand what a core is busy with (`pulse`, `current_work`) and what went wrong on it lately
//! (`flight`), which are read in the same way.
//!
//! Invariants: a core's cells have one writer, which alone may claim them;
//! a scrape reads foreign cells and asks no core, so a core that hangs is
//! still seen.
//!
//! Deliberately absent: who scrapes, and any label whose values peers choose.
#![forbid(unsafe_code)]

mod catalogue;
mod cells;
mod current_work;
mod exemplar;
mod exposition;
mod flight;
mod hook_labels;
mod labels;
mod openmetrics;
mod pulse;
mod reading;
mod record;
mod reference;
mod row;
mod tenants;

pub use catalogue::{Counter, Gauge, Histogram, TenantCounter, TenantGauge, TenantHistogram};
pub use cells::{Cells, MetricsWriter, SharedMetricsWriter};
pub use current_work::CurrentWork;
pub use exemplar::Exemplar;
pub use exposition::{
    Exposition, ExpositionError, ExpositionFormat, OPEN_METRICS_TYPE, ScrapeQuery, TEXT_TYPE,
    Threads,
};
pub use flight::{
    FLIGHT_ROOM_BYTES_MAX, FLIGHTS_PER_LAYER_MAX, FlightCause, FlightRecord, KINDS, Layer,
    RecordedEvent, StageDurations,
};
pub use hook_labels::{FeedOutcome, Hook, HookMiss};
pub use labels::{
    AcceptFailure, Agent, BackendMethod, BackendOutcome, Blame, BlockKind, ChatType, CloseReason,
    DeadLetterReason, DeliveryOutcome, Direction, ErrorReply, HandshakeOutcome, HandshakeStage,
    HeartbeatOutcome, LaneKind, LogSegmentState, LostLine, Page, Protocol, PublishResult, Recovery,
    RejectReason, RunState, Sampled, Segment, SpanOutcome, StatusClass, StoreFailure, Suspected,
    TenantOutcome, TokenClaim,
};
pub use pulse::{CoreWork, PulseReading, TurnPhase};
pub use reading::TenantReading;
pub use record::{RecordReader, RecordWriter, records};
pub use reference::{json, page};
pub use row::ScrapeScope;
pub use tenants::{TENANTS_MAX, Tenant, Tenants};
