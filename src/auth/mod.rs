//! Tokens to claims. Keys are inputs; no files, no HTTP, no clock.
#![forbid(unsafe_code)]
