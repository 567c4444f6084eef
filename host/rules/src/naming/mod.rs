//! Floor 2: what is answered to questions of DNS about this host's services.
//!
//! Owns the one domain that a host answers for ([`ServedDomain`]): which names are in it, the reading of a message of a
//! stranger, and the bytes of the reply. The names, of a domain `atoll.internal`:
//!
//! - `users.atoll.internal`: the addresses of the gateways that reach the service `users`.
//! - `_http._tcp.users.atoll.internal`, and `_https`: SRV records with the ports of these gateways.
//! - `a.users.atoll.internal`: the addresses of one of them, in a cluster; the targets of these records.
//! - `atoll.internal`: the addresses of all gateways, SOA and NS.
//!
//! What always holds:
//! - A message that no name server of the kind gets is answered with an error that is no longer than it is, and what
//!   may be a reply is not answered at all: two servers never speak to each other.
//! - No reply is longer than the bound of its way: 512 bytes in a datagram, what the client takes and at most
//!   [`LARGEST_DATAGRAM`] by EDNS, 64 KiB in a stream. What does not fit in a datagram is cut off whole.
//! - A reply repeats the question byte by byte. Names are compared without case, and written as they were asked.
//! - Reading takes no memory but that of the labels, whatever the counts of a message say.
//!
//! Never: asks anybody else, reads a clock, or knows where a service is: [`OfferedServices`] tells that.
//!
//! From the top: `served_domain` → `reply_writer` → `asked_question`; `offered_gateway` and `name_reply` below all.
//! Tests are in `tests/`: of each name, of each error, and that any bytes have a bounded reply, which a reader of
//! strangers (simple-dns) reads as well.

mod asked_question;
mod name_reply;
mod offered_gateway;
mod reply_writer;
mod served_domain;
#[cfg(test)]
mod tests;

pub use name_reply::{LARGEST_DATAGRAM, MessageWay, NameReply, ReplyKind};
pub use offered_gateway::{OfferedGateway, OfferedServices};
pub use served_domain::{InvalidDomain, ServedDomain};
