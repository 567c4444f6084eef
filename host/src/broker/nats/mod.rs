//! Owns the logs of topics in JetStream of NATS: the connection, the stream of a topic and its settings, and an event
//! as a message there.
//! Always holds: of one append the server has all, where it can store a batch, or a beginning; a stream with other
//! settings is refused by name.
//! Never: makes a durable consumer, which would break the order; sends while there is no connection.

mod jet_stream;
mod message;
mod stream_config;
mod topic_stream;

pub use jet_stream::{JetStream, LinkPace};
