//! Owns the data in Redis or Valkey: its connections and their wire, the scripts, and what becomes of a commit whose
//! answer was lost.
//! Always holds: what a batch depends on is compared in the script that writes it, and so is whose data they are: a
//! host that was paused, or whose lease has ended, writes nothing over; a batch that was given up is never written
//! later; a server that acknowledges what is not on its disk, or may drop keys, is refused, unless the manifest takes
//! the former.
//! Never: repeats what may have been done; makes a script out of a value.

mod connection;
mod failure;
mod pages;
mod reader;
mod reads;
mod resp;
mod script;
mod server_facts;
mod session;
mod snapshot;
mod writer;

use super::error::StateError;
use super::remote::RemoteDatabase;
use super::remote_settings::RemoteSettings;
#[cfg(test)]
pub(super) use script::{CLAIM, ERASE, FREEZE, RedisScript, SETTLE, THAW, WRITE};
use std::sync::Arc;

/// Connects, and takes the data.
///
/// # Errors
/// [`StateError::Unavailable`] and [`StateError::Taken`], where another try may help; [`StateError::Unfit`].
pub(super) async fn connect(
    settings: &RemoteSettings,
) -> Result<RemoteDatabase<reader::RedisReader, writer::RedisWriter>, StateError> {
    let servers = Arc::new(session::RedisServers::new(settings)?);
    let writer = writer::RedisWriter::open(Arc::clone(&servers), &settings.namespace, settings.shared).await?;
    let place = (servers.place.clone(), settings.shared);
    Ok(RemoteDatabase::new(reader::RedisReader::new(servers), writer, place))
}
