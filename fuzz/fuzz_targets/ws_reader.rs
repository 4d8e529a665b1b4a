//! A stream of frames, however it is cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rookery_fuzz::ws_reader(bytes));
