//! The rookery binary: everything it does is in the library.

use std::process::ExitCode;

/// Many threads, small objects, statistics.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    rookery::cli::run(std::env::args_os())
}
