//! The store of messages on disk: what it is asked, what it decides, and the disk below it.
//!
//! Rooms ask by `StoreRequest` and are told by `StoreReply`; `messages` and `options`
//! are values only, which rooms and shards use, too. `Engine` decides, over a `Disk`: a
//! log and a database behind it (`logged_disk`), or one that a seed decides (`simulated`). `server` runs it on a thread of
//! its own; `opening`, `inspect` and `salvage` are for a store at rest, which `cli` looks at.
//!
//! Deliberately absent: who is subscribed, what clients may do, sockets, clocks,
//! and the thread that all this runs on.
#![forbid(unsafe_code)]

mod change;
mod changes_log;
mod conversion;
mod disk;
mod engine;
mod fault;
mod fjall_disk;
mod follower;
mod inspect;
mod key;
mod layered_messages;
mod load_position;
mod loading;
mod log_activity;
mod log_port;
mod log_reading;
mod log_sizes;
mod logged_disk;
mod message_layer;
mod message_runs;
mod messages;
mod opening;
mod options;
mod record;
mod salvage;
mod simulated;
mod sorted_runs;
mod store_disk;
mod store_messages;
mod value_arena;

pub use change::{ChangeKind, MessageChange};
pub use disk::{
    Batch, Capacity, Disk, DiskError, KeyRange, ScanCallback, StoreKeyspace, SuspectedLoss,
    SyncMode,
};
pub use engine::{DeadLetterTotals, Engine, EngineSetup, StoreCounts, TurnResult};
pub use fault::OpenError;
pub use fjall_disk::{BackgroundThreads, DatabaseMessages, FjallDisk, FjallFollower};
pub use inspect::{
    CheckFinding, CheckTotals, DeadLetter, DeadLetterFilter, DumpError, GivenReaction, Inspection,
    LossKind, StoreStats,
};
pub use load_position::LoadPosition;
pub use loading::{
    ChannelLoader, GapRule, LoadMessageError, LoadTarget, LoadedMessage, LoadedReaction,
    StoreLoader,
};
pub use log_activity::{LogActivity, LogBacklog, LogWrites, SegmentCounts};
pub use log_port::LogFilesPort;
pub use log_reading::{KeptElsewhere, LogFinding};
pub use logged_disk::LoggedDisk;
pub use messages::{
    Addressee, AdvanceMarker, Append, ChangeDeadLetters, ChangedDeadLetters, ChannelCreated,
    Conversation, ConversationsQuery, DeadLetterCause, DeadLetterEntry, DeadLetterFate,
    DeadLettersQuery, DeliveryAttempt, DuePage, Flow, GivenUpMessage, HistoryRange, KnownId,
    MarkerPosition, MessageReactions, MuteGroup, MuteResult, NewDeadLetter, OpenChannel,
    OpenedChannel, PendingMessage, PendingQuery, React, ReactedMessages, ReactionPage,
    ReactionRejection, ReactionResult, ReactionTotals, ReactionsQuery, ReadMarkers,
    ReadMarkersQuery, ReadOrder, RemoveHistory, RequestId, Requester, RosterChange, StoreError,
    StoreOp, StoreOpClass, StoreReply, StoreRequest, StoreResult, StoredDirect, WriteEpoch,
};
pub use opening::{go_on_without, open, salvage_to};
pub use options::{Durability, Options, Retention, TellingTime};
pub use salvage::Salvaged;
pub use simulated::{Crash, DiskFaultProfile, SimulatedDisk};
pub use sorted_runs::SortedRuns;
pub use store_disk::StoreDisk;
pub use store_messages::StoreMessages;

/// The number of the directory's format; a higher one is refused.
pub const FORMAT: u32 = 3;
