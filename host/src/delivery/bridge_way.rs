//! Which bridges an event has crossed. It is in the name of its publisher: `orders;via=1f3a…,77b0…`.
//!
//! A bridge takes no event that has been at its goal, so that none goes in a circle, whatever is bridged with whatever.

use crate::base::hex;
use sha2::{Digest as _, Sha256};

const MARK: &str = ";via=";
/// The digits of a stop.
const DIGITS: usize = 12;
/// The most stops: an event that has more is taken for one that goes in a circle.
const MOST: usize = 12;

/// The publisher of an event, and the hosts and topics of brokers that it has been at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BridgeWay<'a> {
    publisher: &'a str,
    stops: Vec<&'a str>,
}

/// The word for a host or a topic of a broker in a way.
pub(super) fn stop(place: &str) -> String {
    hex(&Sha256::digest(place)[..DIGITS / 2])
}

impl<'a> BridgeWay<'a> {
    /// The way of an event by the name of its publisher, which may be anybody's text.
    pub(super) fn of(source: &'a str) -> Self {
        let is_stop = |text: &&str| text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let found =
            source.rsplit_once(MARK).map(|(publisher, stops)| (publisher, stops.split(',').collect::<Vec<_>>()));
        match found.filter(|(_, stops)| stops.iter().all(is_stop)) {
            Some((publisher, stops)) => Self { publisher, stops },
            None => Self { publisher: source, stops: Vec::new() },
        }
    }

    /// Whether the event has been there, or has been at so many places that it goes in a circle.
    pub(super) fn has(&self, stop: &str) -> bool {
        self.stops.contains(&stop) || self.stops.len() >= MOST
    }

    /// The publisher of the event once it has been there, in at most `most` bytes.
    pub(super) fn with(&self, stop: &str, most: usize) -> String {
        let stops = [&self.stops[..], &[stop]].concat().join(",");
        let left = most.saturating_sub(MARK.len() + stops.len());
        let fits = |end: &usize| self.publisher.is_char_boundary(*end);
        let end = (0..=left.min(self.publisher.len())).rev().find(fits).unwrap_or(0);
        format!("{}{MARK}{stops}", &self.publisher[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_has_the_stops_that_were_added_and_never_grows_beyond_its_bounds() {
        let stops: Vec<_> = (0..MOST).map(|number| stop(&number.to_string())).collect();
        let mut source = "orders".to_owned();
        for (number, one) in stops.iter().enumerate() {
            assert!(!BridgeWay::of(&source).has(one), "{number}");
            source = BridgeWay::of(&source).with(one, 255);
            assert!(BridgeWay::of(&source).has(one) && source.len() <= 255, "{source}");
        }
        assert!(source.starts_with("orders;via="));
        assert!(BridgeWay::of(&source).has("another"), "it goes in a circle");
    }

    #[test]
    fn what_somebody_else_has_written_is_a_publisher() {
        for source in ["", "a;via=", "a;via=x", "ü;via=0123456789ag", "/topics/a"] {
            let way = BridgeWay::of(source);
            assert_eq!((way.publisher, way.stops.len()), (source, 0));
        }
        let long = "ü".repeat(200);
        let with = BridgeWay::of(&long).with("0123456789ab", 255);
        assert!(with.len() <= 255 && BridgeWay::of(&with).has("0123456789ab"), "{with}");
    }
}
