//! The routing table: rules and their targets.

use super::path::Path;
use super::route_match::Match;
use super::rule::Rule;
use super::rule_index::RuleIndex;
use crate::base::HostAndPort;
use http::{HeaderMap, Method};
use std::ops::ControlFlow::{Break, Continue};

/// An immutable list of rules, each with a target.
#[derive(Debug)]
pub struct RoutingTable<T> {
    /// In the order in which they are written.
    routes: Vec<(Rule, T)>,
    index: RuleIndex,
}

/// The parts of a request that routing depends on.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The host that the client named in `Host` or in the request's target. Its port is ignored.
    pub host: Option<HostAndPort<'a>>,
    /// The method.
    pub method: &'a Method,
    /// The path without query.
    pub path: Path<'a>,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// The result of a lookup.
#[derive(Debug)]
pub enum RouteLookup<'a, T> {
    /// The first rule by precedence that matches.
    Route(Match<'a, T>),
    /// Rules match in everything but the method. These are their methods, in alphabetical order, for a 405 with
    /// `Allow`.
    MethodNotAllowed(Vec<Method>),
    /// No rule matches.
    None,
}

impl<T> RoutingTable<T> {
    /// A table of `routes`. Of two that match equally well, the first in the list wins.
    pub fn new(routes: Vec<(Rule, T)>) -> Self {
        let index = RuleIndex::new(routes.iter().map(|(rule, _)| rule));
        Self { routes, index }
    }

    /// The routes in the order of the list.
    pub fn routes(&self) -> &[(Rule, T)] {
        &self.routes
    }

    /// Finds the rule that a request matches.
    pub fn find<'a>(&'a self, head: &RequestHead<'a>) -> RouteLookup<'a, T> {
        let taken = self.index.visit(head.host, head.path, |id| {
            let (rule, target) = &self.routes[id];
            let fits = rule.admits_method(head.method) && rule.admits_headers(head.headers);
            if fits { Break(Match { target, rule, index: id, path: head.path }) } else { Continue(()) }
        });
        match taken {
            Break(found) => RouteLookup::Route(found),
            Continue(()) => self.refuse(head),
        }
    }

    /// The result if no rule matches. It walks a second time, so that the common case collects no methods.
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
