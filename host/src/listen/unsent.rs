//! What the kernel holds for a peer that has not taken it.
//!
//! A write tells it only in lumps: the kernel takes bytes from the host when a third of its buffer is free, which may
//! be a megabyte. So the pace of a slow peer can be seen only by asking, and the standard library cannot ask.
#![allow(unsafe_code, reason = "`rustix` has no safe form of this `ioctl`, and the room needs no other `unsafe`")]

use tokio::net::TcpStream;

/// The bytes in the kernel that the peer has not acknowledged; `None` where the system does not tell. A peer
/// acknowledges what it has taken, or has room for.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn unsent(stream: &TcpStream) -> Option<u64> {
    use rustix::ioctl::{Getter, Opcode, ioctl};
    /// `SIOCOUTQ` of tcp(7). It has the number of `TIOCOUTQ`, which differs between processors.
    const SIOCOUTQ: Opcode = 0x5411;
    // SAFETY: for this request the kernel writes one `int`, as tcp(7) says, and the getter has room for one.
    let count = unsafe { ioctl(stream, Getter::<SIOCOUTQ, i32>::new()) };
    count.ok().and_then(|count| u64::try_from(count).ok())
}

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
pub(super) fn unsent(_: &TcpStream) -> Option<u64> {
    None
}
