//! Owns the data in PostgreSQL: its sessions, its tables, the transaction of a batch, and what becomes of a commit
//! whose answer was lost.
//! Always holds: a session whose transaction did not end is closed, and never used again; one host at a time writes,
//! unless all say that they share, and one whose data another host has had since writes nothing more; a server that
//! acknowledges what is not on its disk is refused, unless the manifest takes it.
//! Never: sends a value as part of a statement's text.

mod failure;
mod read_pool;
mod read_session;
mod reads;
mod rows;
mod schema;
mod session;
mod snapshot;
mod writer;

use super::error::StateError;
use super::remote::RemoteDatabase;
use super::remote_settings::RemoteSettings;
use std::sync::Arc;

/// Connects, and creates the tables where they are absent.
///
/// # Errors
/// [`StateError::Unavailable`] and [`StateError::Taken`], where another try may help; [`StateError::Unfit`].
pub(super) async fn connect(
    settings: &RemoteSettings,
) -> Result<RemoteDatabase<read_pool::ReadPool, writer::PostgresWriter>, StateError> {
    over(session::Sessions::new(settings)?, settings).await
}

/// As [`connect`], where the name of the server has a second address.
///
/// # Errors
/// As [`connect`].
#[cfg(test)]
pub(super) async fn connect_to_either(
    settings: &RemoteSettings,
    (address, port): (&str, u16),
) -> Result<RemoteDatabase<read_pool::ReadPool, writer::PostgresWriter>, StateError> {
    let mut sessions = session::Sessions::new(settings)?;
    sessions.add_address(address, port);
    over(sessions, settings).await
}

async fn over(
    sessions: session::Sessions,
    settings: &RemoteSettings,
) -> Result<RemoteDatabase<read_pool::ReadPool, writer::PostgresWriter>, StateError> {
    let sessions = Arc::new(sessions);
    let writer = writer::PostgresWriter::open(Arc::clone(&sessions), &settings.namespace, settings.shared).await?;
    let place = (sessions.place.clone(), settings.shared);
    Ok(RemoteDatabase::new(read_pool::ReadPool::new(sessions), writer, place))
}
