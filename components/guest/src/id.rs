//! New ids, ordered by time and made without a counter.
//!
//! Every creation would read and write a counter key, so of 64 creations at once one would commit and 63 would have
//! to begin again. An id made of the time and of random bits conflicts with no other. Its owner still commits it with
//! a check that the id's key is absent, so two records never share an id. Two ids made within one millisecond are
//! equal with a chance of one in a million; then the transaction runs again and makes another id.
//!
//! The id of a *removed* record could be given again only if the clock were set back to the same millisecond, and
//! then with the same small chance.

use crate::platform::Platform;

/// 2026-01-01T00:00:00Z. A start later than 1970 leaves room for more years in the same bits.
const EPOCH: u64 = 1_767_225_600_000;
/// With 20 random bits, the 43 bits above hold milliseconds for 278 years.
const RANDOM_BITS: u32 = 20;

/// A new id: above 0, below 2^63, and greater than all ids made in earlier milliseconds.
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
    fn a_wrong_clock_still_gives_valid_ids() {
        let memory = Memory::fresh();
        for now in [0, u64::MAX] {
            memory.set_now(now);
            let id = new_id(&memory);
            assert!(id > 0 && id <= u64::MAX >> 1);
        }
    }
}
