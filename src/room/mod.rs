//! Many peers: in what order messages happened, who is there, what a
//! late-comer may see.
//!
//! A room lives on its home shard only; other shards hold a subscription. All
//! that enters is an `Ask`, all that leaves is a `Tell`, and every ask is
//! answered exactly once.
//!
//! Deliberately absent: sockets, encodings, other nodes of the cluster.
#![forbid(unsafe_code)]

mod ids;
mod inbox;
mod kept;
mod letter;
mod marks;
mod members;
mod news;
mod one;
mod options;
mod out;
mod own_writes;
mod reading;
mod readings;
mod silence;
mod state;
mod storing;
#[cfg(test)]
mod tests;
mod user_rates;
mod users;
mod waiting;
mod way;
mod window;

pub use letter::{
    Answer, Ask, Asker, ConversationsPage, Delivery, Departure, Draft, Entry, HistoryPage,
    IdSource, MembersPage, Order, Passage, Posted, Power, Progress, ReceiptsPage, Recovery,
    Retraction, Swap, Tell, Title, Voice, Welcome, What,
};
pub use options::{Namespace, NewsOf, Options, UserRateLimits, Who, WindowLimits};
pub use out::{Out, Step};
pub use state::Rooms;
#[cfg(test)]
pub use way::tests::way;
pub use way::{Course, UNKNOWN, Way, ack_key};
