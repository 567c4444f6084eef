//! The index that makes a lookup walk the request's path instead of the list of rules.
//!
//! For each host pattern there is a tree of segments. The walk visits the rules whose host and path fit, in the order of precedence:
//! what a tree cannot tell apart (methods, headers) is for the visitor to check.

use super::host::{self, HostPattern};
use super::path::decode;
use super::pattern::Segment;
use super::{Path, Rule};
use std::collections::HashMap;
use std::ops::ControlFlow::{self, Continue};
use std::str::Split;

/// Rules by their place in the list that the index was built from.
#[derive(Debug, Default)]
pub(super) struct Index {
    exact: HashMap<String, Node>,
    wildcard: HashMap<String, Node>,
    any: Node,
}

impl Index {
    pub(super) fn new<'r>(rules: impl Iterator<Item = &'r Rule>) -> Self {
        let mut rules: Vec<(usize, &Rule)> = rules.enumerate().collect();
        // The sort is stable: rules of one rank stay as they are written, also within the lists of each node.
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

    /// Visits the rules that fit `host` and `path`, the first by precedence first, until `visit` breaks.
    pub(super) fn visit<B>(
        &self,
        host: Option<&str>,
        path: Path<'_>,
        mut visit: impl FnMut(usize) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        if let Some(host) = host.and_then(host::normalise) {
            if let Some(tree) = self.exact.get(&*host) {
                tree.visit(path, &mut visit)?;
            }
            if !self.wildcard.is_empty() {
                let trees = host::suffixes(&host).filter_map(|suffix| self.wildcard.get(suffix));
                for tree in trees {
                    tree.visit(path, &mut visit)?;
                }
            }
        }
        self.any.visit(path, &mut visit)
    }
}

/// A place in the tree: all rules whose paths begin with the same segments, whatever their parameters are called.
#[derive(Debug, Default)]
struct Node {
    /// By decoded segment.
    literals: HashMap<Vec<u8>, Node>,
    parameter: Option<Box<Node>>,
    /// The rules for exactly this path, the first by rank first.
    exact: Vec<usize>,
    /// The rules for this prefix, likewise.
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

    /// The exact paths: the literal branch first, and back to the parameter's if nothing in it is taken. A node's depth is its segment's
    /// number, so no node is entered twice, and the depth of the recursion is bounded by the longest rule.
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

    /// The prefixes, which have no parameters: down along the path, and visiting on the way up, so the longest comes first.
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
