//! Messages that survive: the store's messages, its decisions, and its disk.
//!
//! Shards ask by `StoreRequest` and are told by `StoreReply`; `messages.rs` and `options.rs`
//! are values only, which rooms and shards speak, too. `Engine` decides, over a
//! `Disk`: the real one, or one that a seed decides.
//!
//! Deliberately absent: who is subscribed, what clients may do, sockets, clocks,
//! and the thread that all this runs on.
#![forbid(unsafe_code)]

mod change;
mod disk;
mod engine;
mod fault;
mod fjall_disk;
mod inspect;
mod key;
mod messages;
mod opening;
mod options;
mod record;
mod salvage;
mod simulated;

pub use change::{ChangeKind, MessageChange};
pub use disk::{
    Batch, Capacity, Disk, DiskError, KeyRange, ScanCallback, StoreKeyspace, SuspectedLoss,
    SyncMode,
};
pub use engine::{DeadLetterTotals, Engine, EngineSetup, StoreCounts, TurnResult};
pub use fault::OpenError;
pub use fjall_disk::{BackgroundThreads, FjallDisk};
pub use inspect::{
    CheckFinding, CheckTotals, DeadLetter, DeadLetterFilter, DumpError, Inspection, LossKind,
    StoreStats,
};
pub use messages::{
    Addressee, AdvanceMarker, Append, ChannelCreated, Conversation, ConversationsQuery,
    DeadLetterCause, DeliveryAttempt, DuePage, Flow, HistoryRange, KnownId, MarkerPosition,
    MessageReactions, NewDeadLetter, OpenChannel, OpenedChannel, PendingMessage, PendingQuery,
    React, ReactedMessages, ReactionPage, ReactionRejection, ReactionResult, ReactionTotals,
    ReactionsQuery, ReadMarkers, ReadMarkersQuery, ReadOrder, RequestId, Requester, StoreError,
    StoreOp, StoreOpClass, StoreReply, StoreRequest, StoreResult, WriteEpoch,
};
pub use opening::{go_on_without, open};
pub use options::{Durability, Options, Retention};
pub use salvage::Salvaged;
pub use simulated::{Crash, DiskFaultProfile, SimulatedDisk};

/// The number of the directory's format; a higher one is refused.
pub const FORMAT: u32 = 1;
