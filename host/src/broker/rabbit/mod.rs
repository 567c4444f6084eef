//! Owns the logs of topics in streams of RabbitMQ over AMQP 0.9.1: two connections, for writing and for reading, the
//! lock and the marks of a topic, and an event as a message there.
//! Always holds: one channel writes to a topic for this host; whoever has read up to the last mark has seen all that
//! was sent before it.
//! Never: sends again what may have arrived before it has looked; keeps a connection on which something was not
//! answered in time.

mod link;
mod message;
mod rabbit_mq;
mod recent_events;
mod socket;
mod stream;
mod stream_tail;

pub use rabbit_mq::RabbitMq;
