//! A wing: bytes that come from a disk, and the bound of what waits for it.
//!
//! What always holds: a file costs 64 KiB of memory at a time for each client; a disk that hangs holds no thread but
//! those that are waiting for it. Never: knows what the files are for.

mod disk_permits;
mod file_body;

pub(super) use disk_permits::DiskPermits;
pub(super) use file_body::{PIECE, file_body, read};
