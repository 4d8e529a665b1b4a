//! The one place where ring, shard and admin meet; knows glommio. No decisions about chat.
#![forbid(unsafe_code)]

mod lanes;
mod options;
mod plan;

pub use lanes::{Postbox, mesh};
pub use options::{DescriptorTable, LogFormat, LogLevel, Options};
pub use plan::{Machine, Plan, Table, Unfit, plan};
