//! The mesh's clock: the one place of the room that reads it.

use std::time::Instant;

/// Now, by tokio's clock: a simulation that pauses it moves the whole mesh.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
