//! Floor 3: sockets, TLS and draining.
//!
//! Owns the listening sockets; their TLS, whose files it reads again when they change; the connections, with their
//! bounds in number, size and time; and the drain that ends them in order. Knows HTTP/1.1 and HTTP/2 as far as hyper
//! does, and passes each request to the service that [`Listener::serve`] was given. After an answer that switches the
//! protocol it copies bytes ([`Tunnel`]).
//!
//! What always holds:
//! - nothing that a peer does, or does not do, ends the accept loop: an error of one connection ends that connection,
//!   and a lack of file descriptors makes the loop wait;
//! - a connection is always in one `Stage`, and each stage has a bound: the header section `header_timeout`, the pause
//!   between two requests `idle_timeout`, a peer that takes no byte `write_timeout`; while a service works, the
//!   deadline of its call is the bound, or `half_closed_timeout` once the peer has closed its half;
//! - a peer that sends a body, or takes an answer, below the least rate is cut off, and only the time counts in which
//!   the host waits for it; meanwhile its answer is read ahead, within bounds, so that the service is done;
//! - a handshake of TLS has a bound in time and the place of a connection; of its client a request learns what was
//!   verified, and nothing else. New certificates, keys and client authorities are taken as one whole, and no session
//!   of the time before is resumed; files that cannot be used change nothing;
//! - while an ACME server checks a name, a handshake of `acme-tls/1` alone shows the proof, and carries no HTTP;
//! - an idle connection makes room for a new one where there are too many;
//! - a connection is used again only where both ends must see the end of the request at the same byte;
//! - the streams of an HTTP/2 connection end with it, and its peer's frames are counted: too many resets or empty
//!   frames, or a header block that takes too long, end the connection;
//! - a body that breaks off never looks complete: the connection is closed before the final chunk;
//! - once a [`Drain`] has started, no connection is accepted, requests in flight finish with `Connection: close`, and
//!   what is left at the drain's deadline is cut off.
//!
//! Some answers are written here or by hyper and not by the service, because no request was parsed: 408 for a header
//! section that does not end, and hyper's own 400, 414 and 431 for a header section that cannot be parsed or is beyond
//! the parser's ceilings. [`Listener::on_unparsed`] tells of each, but for the 431 by which h2 itself answers a header
//! list beyond its bound.
//!
//! Never: routes, calls a service by name, reads settings from files. Tests: `tests`, and beside the files.

mod acme_challenges;
mod address_counts;
mod answer_buffer;
mod answer_pace;
mod certificate_facts;
mod certificate_files;
mod connection;
mod connection_permits;
mod connection_stage;
mod connection_stream;
mod drain;
mod event_budget;
mod frame_boundary;
mod frame_meter;
mod handshake;
mod http2_connection;
mod http2_stream;
mod http_exchange;
mod interim_answers;
mod least_rate;
mod listener;
mod metered_socket;
mod peer;
mod protocol_choice;
mod proxy_header;
mod secure_peer;
mod server_tls;
mod settings;
mod sni_resolver;
mod socket;
mod stream_tasks;
#[cfg(test)]
mod tests;
mod tls_settings;
mod tunnel;
mod unparsed_request;
mod unsent;
#[cfg(test)]
pub(crate) mod wire_client;

pub use acme_challenges::{AcmeChallenges, OfferedProof};
pub use certificate_facts::{CertificateFacts, SubjectName};
pub use certificate_files::{TlsFile, TlsFileError};
pub use drain::Drain;
pub use http2_stream::http1_head;
pub use listener::Listener;
pub use peer::Peer;
pub use secure_peer::{ClientCertificate, SecurePeer};
pub use server_tls::{RefusalNotice, ServerTls};
pub use settings::{Http2Settings, Settings};
pub use tls_settings::{CertificateFiles, ClientAuth, TlsSettings};
pub use tunnel::Tunnel;
pub use unparsed_request::UnparsedRequest;
