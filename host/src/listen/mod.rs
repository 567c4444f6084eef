//! Floor 3: sockets and draining.
//!
//! Owns the listening socket, the connections on it, their bounds in number, size and time, and the drain that ends them in order.
//! Knows HTTP/1.1 as far as hyper does, and hands each request to the service that [`Listener::serve`] was given.
//!
//! What always holds:
//! - nothing that a peer does, or leaves undone, ends the accept loop: an error of one connection ends that connection, and a lack of
//!   file descriptors makes the loop wait;
//! - a connection is always in one `Stage`, and each has a bound: the header section `header_timeout`, the pause
//!   between two requests `idle_timeout`, a peer that takes no byte `write_timeout`; while a service works its own deadline holds;
//! - a body that breaks off never looks like one that ended: the connection is closed before the final chunk;
//! - once a [`Drain`] has started no connection is accepted, requests in flight finish with `Connection: close`, and what is left at
//!   its deadline is dropped.
//!
//! Two answers are written here and by hyper, not by the service, because no request was parsed: 408 for a header section that does not
//! end, and hyper's own 400, 414 and 431 for one that cannot be parsed or is beyond the hard ceiling.
//!
//! Never: routes, calls a service by name, reads settings. Tests: `tests.rs`, and beside each noun.

mod connection;
mod drain;
mod exchange;
mod listener;
mod settings;
mod socket;
mod stage;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod wire;

pub use drain::Drain;
pub use listener::{Listener, Peer};
pub use settings::Settings;
