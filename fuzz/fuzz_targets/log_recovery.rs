//! A log that something changed while it lay on its disk.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rookery_fuzz::log_recovery(bytes));
