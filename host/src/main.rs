//! The binary `atoll`: all of it is in the library, where tests reach it.

use std::process::ExitCode;

/// A request makes some hundred small allocations, most of them inside the engine; this allocator makes them at half of the system's cost.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    host::cli::main()
}
