//! A request's match: its rule, the service's path, and the public form of the service's locations.

use super::path::Path;
use super::rewrite::Rewrite;
use super::rule::Rule;
use std::borrow::Cow;

/// The rule that a request matches, and the rule's target.
#[derive(Debug)]
pub struct Match<'a, T> {
    /// The target of the rule.
    pub target: &'a T,
    /// The rule.
    pub rule: &'a Rule,
    /// The position of the route in the list that the table was made of, from 0.
    pub index: usize,
    /// The request's path.
    pub(super) path: Path<'a>,
}

impl<'a, T> Match<'a, T> {
    /// The names and values of the parameters, in the order of the path. A value is spelt as in the request,
    /// percent-encoded.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a, T> {
        self.rule.pattern.bind(self.path)
    }

    /// The path that the service gets, without the query: append the request's query unchanged.
    ///
    /// Empty segments stay, so the path may begin with `//`: pass it on as a path, and never as a URL reference.
    pub fn upstream_path(&self) -> Cow<'a, str> {
        self.rule.rewrite().upstream(&self.rule.pattern, self.path)
    }

    /// What follows the rule's prefix in the request's path, without the slash between them, as the request spells it.
    /// Empty if the rule has a whole path, or nothing follows.
    pub fn rest(&self) -> &'a str {
        let path = self.path.as_str();
        // Segments are counted and not bytes: the request may spell the prefix differently.
        let slash = path.match_indices('/').nth(self.rule.pattern.segments.len());
        slash.filter(|_| self.rule.is_prefix()).map_or("", |(at, _)| &path[at + 1..])
    }

    /// The prefix that was removed from the service's path, for `X-Forwarded-Prefix`.
    pub fn stripped_prefix(&self) -> Option<&'a str> {
        match self.rule.rewrite() {
            Rewrite::StripPrefix(prefix) => Some(prefix),
            Rewrite::None | Rewrite::Template(_) => None,
        }
    }

    /// The public form of a `Location` or `Content-Location` that the service wrote: the inverse of
    /// [`Self::upstream_path`].
    ///
    /// Only references that begin with exactly one `/` change; query and fragment stay. A relative reference is right
    /// as it is. A reference with a host (`//host/…`, `https://…`) stays as well: a caller that knows the host for the
    /// service's own passes the rest of it. A path that the rule's template cannot have made stays, too.
    pub fn public_location<'l>(&self, location: &'l str) -> Cow<'l, str> {
        if !location.starts_with('/') || location.starts_with("//") {
            return location.into();
        }
        let (path, rest) = location.split_at(location.find(['?', '#']).unwrap_or(location.len()));
        match self.rule.rewrite().public(&self.rule.pattern, self.path, path) {
            Some(public) => (public + rest).into(),
            None => location.into(),
        }
    }
}
