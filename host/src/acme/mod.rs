//! Floor 6: certificates that the host obtains by itself (ACME, RFC 8555).
//!
//! Owns the account with an authority, the orders of certificates, the proofs that its names lead here, and the time of
//! each renewal: when the authority says so (RFC 9773), else after two thirds of the certificate's life. `listen` shows
//! the proofs in handshakes, `gateway` answers those by HTTP, and both serve the certificate from its file, as any
//! other one.
//!
//! What always holds:
//! - account, certificate and key are on the disk before they count; each file is whole or absent, and its owner
//!   alone may read it;
//! - an order that fails is tried again after 1 minute, 10 minutes, 1 hour, and then every 6 hours, not earlier than
//!   the authority says, and also across restarts: an order is noted as failed before it begins. An authority that
//!   admits five failures an hour never refuses the host;
//! - a failure changes nothing that is served;
//! - no key of an account or a certificate leaves the disk but into the configuration that serves it.
//!
//! Never: serves sockets, decides what a handshake shows. Tests: beside the files; against a real authority, pebble, in
//! `tests/it/tls/acme.rs`.

mod acme_error;
mod acme_files;
mod acme_schedule;
mod certificate_keeper;
mod certificate_order;
mod directory_client;
mod settings;

pub use acme_error::AcmeError;
pub use certificate_keeper::CertificateKeeper;
pub use settings::{AcmeChallengeKind, ExternalAccount, Settings};
