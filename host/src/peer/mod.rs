//! Floor 3: calls between the nodes of a cluster, on the wire.
//!
//! Owns what a call carries to another node and what its answer brings back, as header fields of HTTP/2 ([`CallHead`],
//! [`PeerAnswer`]); the connections to one node, with mutual TLS ([`PeerClient`], [`PeerTls`]); and what became of a
//! call without an answer ([`PeerError`]). `docs/cluster-calls.md` describes the wire. What always holds:
//! - A call without an answer is *not sent*, *in doubt* or *answered* with a failure. It is *not sent* only where the
//!   other node cannot have begun it: no connection took it, or the node refused its stream (RFC 9113, section 8.7).
//! - Both ends show certificates of the cluster's authority, and the called node's is for its name.
//! - Two nodes speak the newest version of the wire that both understand ([`PeerProtocol`]).
//! - A deadline crosses as the time that is left, since the clocks of two nodes differ.
//! - A node that has vanished is found within `PING` and `PONG`, also on connections without a call.
//! - Dropping a call's future, or its answer's body, resets its stream: the other node's work ends.
//!
//! Never: services, endpoints, breakers, further tries (`mesh`), or which nodes there are (`cluster`). It opens no
//! socket that listens: `listen` does, and `mesh` answers. Tests stand beside the files, and in `tests/it/nodes`.

mod answer;
mod call_head;
mod connections;
mod heard_stream;
mod peer_client;
mod peer_error;
mod peer_tls;
mod protocol;

pub use answer::{PeerAnswer, PeerFailure};
pub use call_head::{CallHead, CalledFunction, HeadError};
pub use connections::ReachNotice;
pub use peer_client::PeerClient;
pub use peer_error::{CallFate, PeerError};
pub use peer_tls::{PeerTls, PeerTlsError, ProofLook};
pub use protocol::PeerProtocol;
