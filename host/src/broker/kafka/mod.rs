//! Owns the logs of topics at servers of the Kafka protocol, whose messages are written and read here: who leads, the
//! connections, the requests and their wire, and an event as a record.
//! Always holds: what an earlier epoch of this host sends is refused by the server once a later one has begun; what
//! servers and strangers send is read within bounds.
//! Never: begins a transaction, joins a group of consumers, reads a batch whose checksum does not match.

mod batch;
mod cluster;
mod connection;
mod error;
#[cfg(test)]
mod fake;
mod log;
mod message;
mod records;
mod request;
mod topic;
mod topic_settings;
mod wire;

pub use cluster::KafkaCluster;
