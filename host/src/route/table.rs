//! The routing table: rules and what they lead to.

use super::index::Index;
use super::{Match, Path, Rule};
use http::{HeaderMap, Method};
use std::ops::ControlFlow::{Break, Continue};

/// An immutable set of rules, each leading to a target.
#[derive(Debug)]
pub struct Table<T> {
    /// In the order in which they were written.
    routes: Vec<(Rule, T)>,
    index: Index,
}

/// What a request is routed by.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The host that the client named, as it stands in `Host` or in the request's target; a port is passed over.
    pub host: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The path without query.
    pub path: Path<'a>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// The answer of a lookup.
#[derive(Debug)]
pub enum RouteLookup<'a, T> {
    /// The first rule by precedence that fits.
    Route(Match<'a, T>),
    /// Rules fit but for their methods, which are these, in alphabetical order: 405 with `Allow`.
    MethodNotAllowed(Vec<Method>),
    /// No rule fits.
    None,
}

impl<T> Table<T> {
    /// A table of `routes`, of which the first written wins where nothing else tells two apart.
    pub fn new(routes: Vec<(Rule, T)>) -> Self {
        let index = Index::new(routes.iter().map(|(rule, _)| rule));
        Self { routes, index }
    }

    /// The routes in the order in which they were written.
    pub fn routes(&self) -> &[(Rule, T)] {
        &self.routes
    }

    /// Finds the rule for a request.
    pub fn find<'a>(&'a self, head: &RequestHead<'a>) -> RouteLookup<'a, T> {
        let taken = self.index.visit(head.host, head.path, |id| {
            let (rule, target) = &self.routes[id];
            let fits = rule.admits_method(head.method) && rule.admits_headers(head.headers);
            if fits { Break(Match { target, rule, path: head.path }) } else { Continue(()) }
        });
        match taken {
            Break(found) => RouteLookup::Route(found),
            Continue(()) => self.refuse(head),
        }
    }

    /// The answer when no rule fits; a second walk, so that the common case collects nothing.
    fn refuse<'a>(&'a self, head: &RequestHead<'a>) -> RouteLookup<'a, T> {
        let mut allowed: Vec<Method> = Vec::new();
        let _ = self.index.visit(head.host, head.path, |id| {
            let (rule, _) = &self.routes[id];
            if rule.admits_headers(head.headers) {
                allowed.extend_from_slice(rule.methods());
            }
            Continue::<()>(())
        });
        if allowed.is_empty() {
            return RouteLookup::None;
        }
        allowed.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        allowed.dedup();
        RouteLookup::MethodNotAllowed(allowed)
    }
}
