//! A frame in JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rookery_fuzz::wire_json(bytes));
