//! The weights of records and instances as weights of endpoints.

/// The largest weight of an endpoint.
const HEAVIEST: u32 = 1_000;

/// Weights of 1 to 1,000 in the ratio of `weights`: each is multiplied by `factor`; if one is too large then, all
/// shrink alike. A weight of 0 counts as 1: it means a very small share beside others, and the whole beside none
/// (RFC 2782).
pub(super) fn scaled(weights: &[u16], factor: u16) -> Vec<u16> {
    let product = |weight: u16| u32::from(weight.max(1)) * u32::from(factor);
    let most = weights.iter().copied().map(product).max().unwrap_or_default();
    let scale = |weight: &u16| {
        let weight = product(*weight);
        // `weight` <= `most` < 2^32, so the quotient fits and the product fits in 64 bits.
        let scaled = if most <= HEAVIEST { u64::from(weight) } else { u64::from(weight) * 1_000 / u64::from(most) };
        u16::try_from(scaled.max(1)).unwrap_or(u16::MAX)
    };
    weights.iter().map(scale).collect()
}
