//! The rookery-bench binary: everything it does is in the library.

use std::process::ExitCode;

/// As in the server: many threads and small objects.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    rookery_bench::cli::main()
}
