//! Messages that survive: the store's letters, its decisions, and its disk.
//!
//! Shards ask by `Request` and are told by `Reply`; `letter.rs` and `options.rs`
//! are values only, which rooms and shards speak, too. `Engine` decides, over a
//! `Disk`: the real one, or one that a seed decides.
//!
//! Deliberately absent: who is subscribed, what clients may do, sockets, clocks,
//! and the thread that all this runs on.
#![forbid(unsafe_code)]

mod disk;
mod engine;
mod fault;
mod fjall_disk;
mod inspect;
mod key;
mod letter;
mod options;
mod record;
mod salvage;
mod simulated;

pub use disk::{Batch, Capacity, Disk, DiskFault, Durable, KeyRange, OnEntry, Space};
pub use engine::{Counts, DeadLetters, Engine, Setup, Turned};
pub use fault::OpenFault;
pub use fjall_disk::{FjallDisk, Workers};
pub use inspect::{Checked, DeadLetter, DumpFault, Finding, Inspection, Loss, Stats, Which};
pub use letter::{
    Addressee, Append, Birth, Burial, Cause, Conversation, ConversationsPage, Due, DuePage,
    Failure, Flow, Job, JobClass, KnownId, Mark, Marks, MarksPage, Open, Opened, Order, Outcome,
    PendingPage, Range, Reached, Reply, Request, Requester, Round, Ticket, Try,
};
pub use options::{Durability, Options, Retention};
pub use salvage::{Doubt, Salvaged};
pub use simulated::{Crash, DiskWeather, SimulatedDisk};

/// The number of the directory's format; a higher one is refused.
pub const FORMAT: u32 = 1;
