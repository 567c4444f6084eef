//! The accounts that pay for what the guests of one request take.

use super::rate_limit::RateLimit;
use crate::base::{TakenWork, WorkPayer};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// The limits that count the work of one request, each with the key of its account.
pub(super) struct WorkCharge(pub(super) Vec<(Arc<RateLimit>, u64)>);

impl WorkPayer for WorkCharge {
    fn pay(&self, work: TakenWork) {
        let now = Instant::now();
        for (limit, key) in &self.0 {
            if let Some(cpu) = &limit.measures.cpu {
                cpu.charge(*key, u64::try_from(work.cpu.as_nanos()).unwrap_or(u64::MAX), now);
            }
            if let Some(memory) = &limit.measures.memory {
                memory.charge(*key, work.memory, now);
            }
        }
    }
}

impl fmt::Debug for WorkCharge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|(limit, _)| limit.name()).collect();
        f.debug_tuple("WorkCharge").field(&names).finish()
    }
}
