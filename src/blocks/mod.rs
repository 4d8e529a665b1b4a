//! Blocks: which users, tokens and addresses are kept out, and until when.
//!
//! `BlockList` has them by name, for the one who changes them; `BlockTable` has them by hash, for
//! those who ask at each connect; `record` is how they are kept in a file.
//!
//! Invariant: a connect asks a bounded number of hash tables, however many blocks there are.
//!
//! Deliberately absent: files, cores, who may block, and how names become hashes.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod address;
mod entry;
mod list;
mod record;
mod table;

pub use address::AddressRange;
pub use entry::{BlockChange, BlockPage, BlockScope, BlockStorage, BlockTarget, BlockTerms};
pub use list::{BlockList, BlockListFullError};
pub use record::{ReadRecords, read_records, write_record};
pub use table::{BlockKey, BlockKinds, BlockTable, TokenStamp};
