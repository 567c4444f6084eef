//! The numbers of routes, by which caches and limits know them.
//!
//! The position of a route changes when another manifest is applied. A kept answer, or the bucket of a client, must
//! never be taken for that of another route.

/// The number of each route.
pub(super) struct RouteNumbers {
    /// By position.
    numbers: Vec<usize>,
    /// No route has had this one or a larger one.
    next: usize,
}

impl RouteNumbers {
    /// Those of the first manifest: the positions.
    pub(super) fn first(routes: usize) -> Self {
        Self { numbers: (0..routes).collect(), next: routes }
    }

    /// Those of the next manifest. `kept` has the position that each of its routes had before, if it is the same route.
    pub(super) fn succeeded(&self, kept: &[Option<usize>]) -> Self {
        let mut next = self.next;
        let number = |before: &Option<usize>| {
            let before = before.and_then(|at| self.numbers.get(at).copied());
            before.unwrap_or_else(|| {
                next += 1;
                next - 1
            })
        };
        let numbers = kept.iter().map(number).collect();
        Self { numbers, next }
    }

    /// The number of the route at this position.
    pub(super) fn of(&self, position: usize) -> usize {
        self.numbers.get(position).copied().unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_that_stays_keeps_its_number_and_none_is_given_twice() {
        let first = RouteNumbers::first(3);
        let second = first.succeeded(&[Some(2), None, Some(0)]);
        assert_eq!([second.of(0), second.of(1), second.of(2)], [2, 3, 0]);
        let third = second.succeeded(&[None, Some(0)]);
        assert_eq!([third.of(0), third.of(1)], [4, 2]);
    }
}
