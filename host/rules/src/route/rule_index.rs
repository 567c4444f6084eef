//! The index by which a lookup walks the request's path instead of the list of rules.
//!
//! Each host pattern has a tree of segments. A walk visits the rules whose host and path match, in the order of
//! precedence. The tree knows no methods and no headers: the visitor checks those.

use super::host_pattern::{self, HostPattern};
use super::path::{Path, decode};
use super::path_pattern::Segment;
use super::rule::Rule;
use crate::base::HostAndPort;
use std::collections::HashMap;
use std::ops::ControlFlow::{self, Continue};
use std::str::Split;

/// The rules, by their positions in the list that the index was built from.
#[derive(Debug, Default)]
pub(super) struct RuleIndex {
    exact: HashMap<String, Node>,
    wildcard: HashMap<String, Node>,
    any: Node,
}

impl RuleIndex {
    pub(super) fn new<'r>(rules: impl Iterator<Item = &'r Rule>) -> Self {
        let mut rules: Vec<(usize, &Rule)> = rules.enumerate().collect();
        // The sort is stable: rules of the same rank keep the order in which they are written, also within the lists of
        // each node.
        rules.sort_by_key(|(_, rule)| rule.rank());
        let mut index = Self::default();
        for (id, rule) in rules {
            let tree = match &rule.host {
                HostPattern::Exact(name) => index.exact.entry(name.clone()).or_default(),
                HostPattern::Wildcard(suffix) => index.wildcard.entry(suffix.clone()).or_default(),
                HostPattern::Any => &mut index.any,
            };
            tree.insert(id, rule);
        }
        index
    }

    /// Visits the rules that match `host` and `path`, in the order of precedence, until `visit` breaks.
    pub(super) fn visit<B>(
        &self,
        host: Option<HostAndPort<'_>>,
        path: Path<'_>,
        mut visit: impl FnMut(usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if let Some(host) = host.map(host_pattern::normalise) {
            if let Some(tree) = self.exact.get(&*host) {
                tree.visit(path, &mut visit)?;
            }
            if !self.wildcard.is_empty() {
                let trees = host_pattern::suffixes(&host).filter_map(|suffix| self.wildcard.get(suffix));
                for tree in trees {
                    tree.visit(path, &mut visit)?;
                }
            }
        }
        self.any.visit(path, &mut visit)
    }
}

/// A node of the tree: all rules whose paths begin with the same segments, whatever the names of their parameters.
#[derive(Debug, Default)]
struct Node {
    /// The branches of literal segments, by the decoded segment.
    literals: HashMap<Vec<u8>, Node>,
    parameter: Option<Box<Node>>,
    /// The rules for exactly this path, in the order of rank.
    exact: Vec<usize>,
    /// The rules for this prefix, in the order of rank.
    prefix: Vec<usize>,
}

impl Node {
    fn insert(&mut self, id: usize, rule: &Rule) {
        let mut node = self;
        for segment in &rule.pattern.segments {
            node = match segment {
                Segment::Literal { decoded, .. } => node.literals.entry(decoded.clone()).or_default(),
                Segment::Parameter(_) => node.parameter.get_or_insert_default(),
            };
        }
        let list = if rule.is_prefix() { &mut node.prefix } else { &mut node.exact };
        list.push(id);
    }

    fn visit<B>(&self, path: Path<'_>, visit: &mut impl FnMut(usize) -> ControlFlow<B>) -> ControlFlow<B> {
        self.visit_exact(path.segments(), visit)?;
        self.visit_prefixes(path.segments(), visit)
    }

    /// Visits the rules with an exact path: first the literal branch, then, if `visit` has not broken, the branch of
    /// the parameter. A node's depth is the number of its segment, so no node is entered twice, and the longest rule
    /// bounds the recursion.
    fn visit_exact<B>(
        &self,
        mut rest: Split<'_, char>,
        visit: &mut impl FnMut(usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let Some(segment) = rest.next() else {
            return self.exact.iter().copied().try_for_each(visit);
        };
        if let Some(node) = self.literals.get(&*decode(segment)) {
            node.visit_exact(rest.clone(), visit)?;
        }
        match &self.parameter {
            Some(node) if !segment.is_empty() => node.visit_exact(rest, visit),
            _ => Continue(()),
        }
    }

    /// Visits the rules with a prefix, which have no parameters. It walks down along the path and visits on the way up,
    /// so the longest prefix comes first.
    fn visit_prefixes<B>(
        &self,
        mut rest: Split<'_, char>,
        visit: &mut impl FnMut(usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if let Some(node) = rest.next().and_then(|segment| self.literals.get(&*decode(segment))) {
            node.visit_prefixes(rest, visit)?;
        }
        self.prefix.iter().copied().try_for_each(visit)
    }
}
