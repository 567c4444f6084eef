//! The places of functions among those of their service that routes call.
//!
//! A request keeps the place of its route's function from the moment when it is routed to the moment when it is called.
//! In between another manifest may be applied, and then a function that both have must have the same place.

use crate::base::ServiceName;
use std::collections::BTreeMap;
use std::mem::take;

/// The places that were given out. A place is never given to another function.
#[derive(Debug, Clone, Default)]
pub(in crate::app) struct RoutedPlaces {
    /// The places of the manifest before, by service and by what its route or subscription wishes.
    before: BTreeMap<(ServiceName, String), usize>,
    now: BTreeMap<(ServiceName, String), usize>,
    next: BTreeMap<ServiceName, usize>,
}

impl RoutedPlaces {
    /// The place of a function of `service` with this wish: that of the manifest before, or else a new one.
    pub(super) fn of(&mut self, service: &ServiceName, wish: String) -> usize {
        let key = (service.clone(), wish);
        let before = self.before.remove(&key);
        let place = before.unwrap_or_else(|| {
            let next = self.next.entry(service.clone()).or_default();
            *next += 1;
            *next - 1
        });
        self.now.insert(key, place);
        place
    }

    /// All functions of a manifest have their places.
    pub(super) fn finish(&mut self) {
        self.before = take(&mut self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_manifests_share_keeps_its_place_and_no_place_is_given_twice() {
        let (users, mut places) = (ServiceName::new("users").unwrap(), RoutedPlaces::default());
        let mut give = |wishes: &[&str]| {
            let all: Vec<_> = wishes.iter().map(|wish| places.of(&users, (*wish).to_owned())).collect();
            places.finish();
            all
        };
        assert_eq!(give(&["get", "list"]), [0, 1]);
        assert_eq!(give(&["new", "list", "get"]), [2, 1, 0]);
        assert_eq!(give(&["list"]), [1]);
        assert_eq!(give(&["get", "list"]), [3, 1], "one that was gone gets a new place");
    }
}
