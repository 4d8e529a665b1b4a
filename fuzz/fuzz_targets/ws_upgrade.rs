//! An upgrade request.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rookery_fuzz::ws_upgrade(bytes));
