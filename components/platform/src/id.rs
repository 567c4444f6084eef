//! New ids: ordered by time, and made without a counter.
//!
//! A counter key would be read and written by every creation, so of 64 at once one would commit and 63 would have to
//! begin again. An id made of the time and of random bits conflicts with nobody. Its owner still commits it with a
//! check that the id's key is absent, so that two records never share one; on the one chance in a million for each pair
//! within a millisecond, the transaction is simply run again and makes another id.
//!
//! That an id of a *removed* record is given again would take a clock that is set back to the very millisecond, and
//! the same chance then.

use crate::Platform;

/// 2026-01-01T00:00:00Z: a later start leaves room for more years in the same bits.
const EPOCH: u64 = 1_767_225_600_000;
/// With 20 of them the 43 bits above hold milliseconds for 278 years.
const RANDOM_BITS: u32 = 20;

/// An id that is above 0, below 2^63, and greater than all that were made in milliseconds before.
pub fn new_id(platform: &impl Platform) -> u64 {
    let time = platform.now().saturating_sub(EPOCH) << RANDOM_BITS;
    let id = (time | (platform.random() >> (u64::BITS - RANDOM_BITS))) & (u64::MAX >> 1);
    id.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Memory;

    #[test]
    fn ids_grow_with_time_and_differ_within_a_millisecond() {
        let memory = Memory::fresh();
        memory.set_now(EPOCH + 1_000);
        let (first, second) = (new_id(&memory), new_id(&memory));
        assert_ne!(first, second);
        memory.set_now(EPOCH + 1_001);
        assert!(new_id(&memory) > first.max(second));
    }

    #[test]
    fn a_clock_that_is_wrong_still_gives_ids() {
        let memory = Memory::fresh();
        for now in [0, u64::MAX] {
            memory.set_now(now);
            let id = new_id(&memory);
            assert!(id > 0 && id <= u64::MAX >> 1);
        }
    }
}
