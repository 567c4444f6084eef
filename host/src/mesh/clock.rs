//! The clock of the room: nothing else in it reads the time.

use std::time::Instant;

/// Now, by tokio's clock: a simulation that pauses that clock moves the whole mesh.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
