//! The data of a chat method.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rookery_fuzz::wire_chat(bytes));
