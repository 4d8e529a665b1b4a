//! Counters that cost a load and a store: one writer per core, any number of readers.
//!
//! Deliberately absent: who scrapes.
#![forbid(unsafe_code)]
