//! The function that one route calls, bound to HTTP; it can be bound again when the component is replaced.

use super::binder::{HttpBindingError, HttpBindingSpec};
use super::binding::HttpBinding;
use crate::contract::wit::{Function, FunctionName};

/// The function that a route calls.
#[derive(Debug, Clone)]
pub struct BoundFunction {
    /// The route, for messages: `route GET /api/products/{id}`.
    pub route: String,
    /// The name of the function in the component.
    pub name: FunctionName,
    /// The sources of its arguments, and the statuses of its answers.
    pub binding: HttpBinding,
    /// What the route says about the function.
    spec: HttpBindingSpec,
    /// Names it among the functions of its service that routes call, also when other routes come and go: no two have
    /// the same. Such a list is in the order of the places. 0 until the list is made.
    pub place: usize,
}

impl BoundFunction {
    /// Binds `function`, whose name is `name`, as the route says by `spec`.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub fn bind(
        route: String,
        name: FunctionName,
        function: &Function,
        spec: HttpBindingSpec,
    ) -> Result<Self, Vec<HttpBindingError>> {
        Ok(Self { route, name, binding: HttpBinding::bind(function, &spec)?, spec, place: 0 })
    }

    /// Binds another form of the function to the same route.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub fn rebind(&self, name: FunctionName, function: &Function) -> Result<Self, Vec<HttpBindingError>> {
        let bound = Self::bind(self.route.clone(), name, function, self.spec.clone())?;
        Ok(Self { place: self.place, ..bound })
    }

    /// The position of the function at `place` in a list that is in the order of the places.
    pub fn position(list: &[Self], place: usize) -> Option<usize> {
        // No route has come or gone since the start: the place is the position.
        if list.get(place).is_some_and(|function| function.place == place) {
            return Some(place);
        }
        list.binary_search_by_key(&place, |function| function.place).ok()
    }

    /// What tells its route's wish from others: two bindings with the same text are the same for whoever calls.
    pub fn wish(&self, function: &str) -> String {
        format!("{} {function} {:?}", self.route, self.spec)
    }

    /// Whether a call of `other` is the same as a call of this function: the name and all types are the same, though
    /// perhaps not the docs.
    pub fn same(&self, other: &Self) -> bool {
        let (a, b) = (&self.binding.function, &other.binding.function);
        let params = || a.params.iter().zip(&b.params).all(|(a, b)| a.name == b.name && a.ty.same(&b.ty));
        let result = match (&a.result, &b.result) {
            (Some(a), Some(b)) => a.same(b),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.name == other.name && a.params.len() == b.params.len() && params() && result
    }
}
