//! A request's match: the rule that it falls under, and the paths on both sides of it.

use super::{Path, Rewrite, Rule};
use std::borrow::Cow;

/// A rule that fits a request, and where it leads.
#[derive(Debug)]
pub struct Match<'a, T> {
    /// What the rule leads to.
    pub target: &'a T,
    /// The rule.
    pub rule: &'a Rule,
    /// The request's path.
    pub(super) path: Path<'a>,
}

impl<'a, T> Match<'a, T> {
    /// The parameters' names and values, in the order of the path. A value is spelt as in the request: percent-encoded.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a, T> {
        self.rule.pattern.bind(self.path)
    }

    /// The path that the service gets. The query is none of the table's business: append it as it came.
    ///
    /// Empty segments stay, so a path may begin with `//`: hand it on as a path, and never as a URL reference.
    pub fn upstream_path(&self) -> Cow<'a, str> {
        self.rule.rewrite().upstream(&self.rule.pattern, self.path)
    }

    /// What the service's paths lack in front, for `X-Forwarded-Prefix`.
    pub fn stripped_prefix(&self) -> Option<&'a str> {
        match self.rule.rewrite() {
            Rewrite::StripPrefix(prefix) => Some(prefix),
            Rewrite::None | Rewrite::Template(_) => None,
        }
    }

    /// The public form of a `Location` or `Content-Location` that the service wrote: the way back of [`Self::upstream_path`].
    ///
    /// Only references that begin with one `/` change; query and fragment stay. A relative one is right as it is, and one that names a
    /// host (`//host/…`, `https://…`) is not decided here: whoever knows that the host is the service's own calls this with the rest.
    /// Paths that the rule's template could not have produced stay, too.
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
