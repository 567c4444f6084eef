//! What a database server is written by.

use crate::base::ServiceName;
use crate::state::error::StateError;
use crate::state::transaction::{Committed, Transaction};

/// Writes the data on a database server, in one session. Each method takes a bounded time. A future of any of them may
/// be dropped: it leaves no transaction and no connection in use.
pub(in crate::state) trait RemoteWriter: Send + 'static {
    /// Where an erasure goes on.
    type ErasePart: Send;

    /// Applies the transactions one after the other, each on top of those before it, in one commit of the server. Each
    /// answer says that its transaction is on disk or was refused. An error is the answer to all of them:
    /// [`StateError::Io`] if nobody knows; after any other nothing was applied.
    fn write(
        &mut self,
        batch: &[(ServiceName, Transaction)],
    ) -> impl Future<Output = Result<Vec<Result<Committed, StateError>>, StateError>> + Send;

    /// Deletes a part of a bucket, or all of it. `part`: the one that follows; what was written since the first one
    /// stays. The errors are those of [`Self::write`].
    fn erase_part(
        &mut self,
        bucket: &ServiceName,
        part: Option<Self::ErasePart>,
    ) -> impl Future<Output = Result<ErasedPart<Self::ErasePart>, StateError>> + Send;

    /// Whether the server takes writes of this host. [`StateError::Taken`]: not while another host has the data;
    /// [`StateError::Superseded`]: never again, since another one had them. Reads go on after these two.
    fn probe(&mut self) -> impl Future<Output = Result<(), StateError>> + Send;

    /// Gives back what the server would otherwise keep for this host for a while. The last question, before
    /// [`Self::close`]; not asked where a store is dropped without being closed.
    fn release(&mut self) -> impl Future<Output = Result<(), StateError>> + Send;

    /// Closes the session.
    fn close(&mut self);
}

/// What a part of an erasure has deleted.
pub(in crate::state) struct ErasedPart<P> {
    pub(in crate::state) count: u64,
    /// `None`: there is nothing left to delete.
    pub(in crate::state) next: Option<P>,
}
