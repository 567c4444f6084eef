//! Owns what is the same for every database server: who may read and write, the one writer that turns commits into
//! batches, their bounds and answers, what becomes of a commit whose answer was lost, a host's time with the data, and
//! what is known of a server that is not well. A server is a [`RemoteReader`] and a [`RemoteWriter`].
//! Always holds: no future of a caller has a transaction or a connection of its own, so that a call that is cancelled
//! leaves neither behind; a commit is acknowledged after the server has acknowledged it.
//! Never: knows what a server speaks.

mod batch_parts;
mod damage_notes;
mod damaged_read;
mod data_tenure;
mod engine;
mod key_range;
mod remote_database;
mod remote_frozen;
mod remote_reader;
mod remote_standing;
mod remote_writer;
mod retry_gate;
mod settling;
mod tls;
mod trouble_log;

pub(super) use data_tenure::DataTenure;
pub(super) use engine::RemoteBackend;
pub(super) use key_range::key_range;
pub(super) use remote_database::RemoteDatabase;
pub(super) use remote_reader::{ListedRange, RemoteReader, RemoteSnapshot};
pub(super) use remote_writer::{ErasedPart, RemoteWriter};
pub(super) use retry_gate::RetryGate;
pub(super) use settling::Settling;
pub(super) use tls::tls_settings;
