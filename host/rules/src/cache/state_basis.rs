//! What an answer rests on that is kept without a time (`cache = "state"`).

use crate::base::ReadStanding;
use std::sync::Arc;

/// What an answer rests on: all that its call has read of the stores, and the revisions that have read it.
#[derive(Debug, Clone)]
pub struct StateBasis {
    /// What was read, through all services.
    pub reads: Arc<ReadStanding>,
    /// The number of the discovery table, from before the call on. Another table may have another revision of a service
    /// that has read.
    pub table: u64,
}

impl StateBasis {
    /// Whether a call that began now would read the same, and by the same revisions. `table`: the number that the
    /// discovery table has now.
    pub fn stands(&self, table: u64) -> bool {
        self.table == table && self.reads.stands()
    }

    /// The bytes that it holds, about.
    pub(super) fn weight(&self) -> usize {
        self.reads.weight()
    }
}
