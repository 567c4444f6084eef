//! Floor 3: the sockets on which questions of DNS come.
//!
//! Owns a UDP and a TCP socket of one address, their bounds, and the count of what was answered. What is answered,
//! `naming` decides, from what the host says that it offers.
//!
//! What always holds:
//! - Each message is answered by itself, at once, from memory: nobody else is asked.
//! - A datagram's sender is not proved. One network gets so many answers a second by UDP, and beyond that it is sent to
//!   TCP by replies that are no longer than its questions; so whoever forges a sender gains little by it.
//! - A connection has so long for each question with its answer. There is a bounded number of connections, and a
//!   further one takes the place of the oldest of the network that has the most: clients ask again (RFC 7766, section
//!   6.2.4).
//!
//! Never: knows a service, or passes a question on.
//!
//! From the top: `name_server` → `name_answerer`, `sockets`. Tests stand beside the first, over real sockets; through
//! the real binary, with `dig`, in `tests/it/offered_names`.

mod name_answerer;
#[expect(clippy::module_inception, reason = "the file has the type that the room is named for")]
mod name_server;
mod sockets;

pub use name_server::{NameServer, Settings};
