//! The binary `atoll`. Its code is in the library, so that tests can call it.

use std::process::ExitCode;

/// A request makes some hundred small allocations, most of them inside the engine. With this allocator they cost half
/// as much as with the system's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    host::cli::main()
}
