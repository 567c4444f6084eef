//! Which SRV records become endpoints, and with which weights (RFC 2782).

use std::collections::BTreeSet;

/// The largest weight of an endpoint.
const HEAVIEST: u32 = 1_000;
/// The largest number of records that are used: each endpoint costs connections, metrics and checks.
pub(super) const MOST: usize = 256;

/// One SRV record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SrvRecord {
    /// Lower is preferred.
    pub(super) priority: u16,
    /// The host, without a final dot, in small letters; empty: the service is not there.
    pub(super) target: String,
    pub(super) port: u16,
    /// The share of the calls beside the other records of its priority.
    pub(super) weight: u16,
}

/// The records of the lowest priority, each once, at most [`MOST`] of them, in an order that does not depend on the
/// answer's. Their weights are those of endpoints, 1 to 1,000: each is multiplied by `factor`; if one is too large
/// then, all shrink alike. A target `.` or a port 0 is no endpoint.
pub(super) fn chosen(records: Vec<SrvRecord>, factor: u16) -> Vec<SrvRecord> {
    let usable: BTreeSet<_> =
        records.into_iter().filter(|record| !record.target.is_empty() && record.port > 0).collect();
    let Some(priority) = usable.first().map(|record| record.priority) else { return Vec::new() };
    let mut chosen: Vec<_> = usable.into_iter().take_while(|record| record.priority == priority).take(MOST).collect();
    // Of one target twice the heavier record stays: sorting put it last.
    chosen.reverse();
    chosen.dedup_by(|one, other| (&one.target, one.port) == (&other.target, other.port));
    chosen.reverse();
    let heaviest = chosen.iter().map(|record| record.weight).max().unwrap_or_default();
    let scaled = |weight: u16| {
        // Weight 0 means a very small share beside others (RFC 2782), and the whole beside none.
        let weight = u32::from(weight.max(1)) * u32::from(factor);
        let most = u32::from(heaviest.max(1)) * u32::from(factor);
        // `weight` <= `most` < 2^26, so the quotient fits and the product fits in 64 bits.
        let scaled = if most <= HEAVIEST { u64::from(weight) } else { u64::from(weight) * 1_000 / u64::from(most) };
        u16::try_from(scaled.max(1)).unwrap_or(u16::MAX)
    };
    for record in &mut chosen {
        record.weight = scaled(record.weight);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(priority: u16, weight: u16, target: &str, port: u16) -> SrvRecord {
        SrvRecord { priority, target: target.into(), port, weight }
    }

    #[test]
    fn the_lowest_priority_serves_and_weights_keep_their_ratio() {
        let weights = |records: &[(u16, u16, &str)], factor| -> Vec<(String, u16)> {
            let records = records.iter().map(|(priority, weight, target)| record(*priority, *weight, target, 80));
            chosen(records.collect(), factor).into_iter().map(|record| (record.target, record.weight)).collect()
        };
        let named = |pairs: &[(&str, u16)]| -> Vec<_> {
            pairs.iter().map(|(target, weight)| ((*target).to_owned(), *weight)).collect()
        };
        assert_eq!(weights(&[(20, 9, "c"), (10, 3, "b"), (10, 1, "a")], 1), named(&[("a", 1), ("b", 3)]));
        assert_eq!(weights(&[(1, 0, "a"), (1, 0, "b")], 7), named(&[("a", 7), ("b", 7)]), "all weights are 0");
        assert_eq!(weights(&[(1, 0, "a"), (1, 100, "b")], 1), named(&[("a", 1), ("b", 100)]));
        assert_eq!(weights(&[(1, 65_535, "a"), (1, 32_768, "b")], 2), named(&[("a", 1_000), ("b", 500)]));
        assert_eq!(weights(&[(1, 2, "a"), (1, 5, "a")], 1), named(&[("a", 5)]), "one target twice");
        assert_eq!(weights(&[(0, 1, ""), (1, 1, "a")], 1), named(&[("a", 1)]), "a target `.` is no endpoint");
        assert_eq!(chosen(vec![record(1, 1, "a", 0)], 1), [], "port 0 is no endpoint");
    }

    proptest! {
        #[test]
        fn every_choice_is_bounded_and_independent_of_the_order(
            mut records in prop::collection::vec((0_u16..3, any::<u16>(), "[a-c]?", 0_u16..4), 0..400),
            factor in 1_u16..=1_000,
        ) {
            let choice = |records: &[(u16, u16, String, u16)]| {
                let all = records.iter().map(|(priority, weight, target, port)| {
                    record(*priority, *weight, target, *port)
                });
                chosen(all.collect(), factor)
            };
            let first = choice(&records);
            records.reverse();
            prop_assert_eq!(&first, &choice(&records));
            prop_assert!(first.len() <= MOST);
            prop_assert!(first.iter().all(|record| (1..=1_000).contains(&record.weight) && record.port > 0));
            let usable = records.iter().filter(|(_, _, target, port)| !target.is_empty() && *port > 0);
            let lowest = usable.map(|(priority, ..)| *priority).min();
            prop_assert!(first.iter().all(|record| Some(record.priority) == lowest));
            prop_assert_eq!(first.is_empty(), lowest.is_none());
        }
    }
}
