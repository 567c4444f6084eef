//! What the edges are made of at the start, and what is watched while they serve: certificates, keys, issuers, quotas.
//! Always: files with secrets are read again when they change, and what is wrong in them leaves the old ones in force.
//! Never: it decides about a request (`gateway` does), or speaks TLS (`listen` does).

pub(super) mod admin_file;
pub(super) mod auth_policies;
pub(super) mod development_authority;
pub(super) mod edge_files;
pub(super) mod edge_tls;
pub(super) mod issuer;
pub(super) mod key_file;
pub(super) mod peer_edge;
pub(super) mod private_files;
pub(super) mod quota_store;
pub(super) mod quotas;
