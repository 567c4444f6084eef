//! The pseudorandom numbers of the jitter.

/// Number `index` of the splitmix64 sequence that starts at `seed`. The same arguments give the same number, and
/// neighbours in the sequence are unlike each other.
///
/// Source: Steele, Lea and Flood, "Fast splittable pseudorandom number generators" (2014), with Stafford's mix 13.
pub(super) fn splitmix(seed: u64, index: u32) -> u64 {
    let mut z = seed.wrapping_add((u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
