//! The subcommands of the binary.
#![forbid(unsafe_code)]
