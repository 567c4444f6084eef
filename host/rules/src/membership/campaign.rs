//! Who may try to lead.

use super::lease_claim::LeaseTerms;
use super::node_row::Standing;
use std::time::Duration;

/// A node that could lead, as it sees itself and the lease of the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Campaign {
    /// What may be asked of it.
    pub standing: Standing,
    /// Whether it has its own lease as a node.
    pub is_member: bool,
    /// Whether its table is stale.
    pub is_stale: bool,
    /// Whether somebody has the lease of the leader, as far as it knows.
    pub is_led: bool,
}

impl Campaign {
    /// How long it waits before it tries to get the lease; `None`: it does not try. `draw` is random, from 0 up to 1: a
    /// fleet that has lost its leader must not try all at once.
    pub fn waits(&self, terms: &LeaseTerms, draw: f64) -> Option<Duration> {
        let fit = self.standing == Standing::Living && self.is_member && !self.is_stale && !self.is_led;
        fit.then(|| terms.renewal().mul_f64(draw.clamp(0.0, 1.0)))
    }

    /// Whether a leader gives its lease back: others lead better than a node that is about to end.
    pub fn resigns(&self) -> bool {
        self.standing == Standing::Draining
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_living_member_with_a_table_tries_and_only_where_nobody_leads() {
        let terms = LeaseTerms::of(Duration::from_secs(8));
        let fit = Campaign { standing: Standing::Living, is_member: true, is_stale: false, is_led: false };
        assert_eq!(fit.waits(&terms, 0.0), Some(Duration::ZERO));
        assert_eq!(fit.waits(&terms, 0.5), Some(Duration::from_secs(1)));
        assert_eq!(fit.waits(&terms, f64::INFINITY), Some(Duration::from_secs(2)));
        for unfit in [
            Campaign { standing: Standing::Cordoned, ..fit },
            Campaign { standing: Standing::Draining, ..fit },
            Campaign { is_member: false, ..fit },
            Campaign { is_stale: true, ..fit },
            Campaign { is_led: true, ..fit },
        ] {
            assert_eq!(unfit.waits(&terms, 0.0), None, "{unfit:?}");
        }
        assert!(Campaign { standing: Standing::Draining, ..fit }.resigns() && !fit.resigns());
    }
}
