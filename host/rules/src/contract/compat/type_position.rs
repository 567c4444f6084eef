//! A position in a function's signature, for messages.

use crate::contract::wit::{Case, Field};
use std::fmt::{self, Display, Formatter};

/// The position of a type: a parameter or the result, and perhaps a field or case within it.
#[derive(Debug, Clone, Copy)]
pub(super) struct TypePosition<'a> {
    root: Root<'a>,
    /// The innermost field or case. The levels between are left out: the name of the record or variant is enough to
    /// find it.
    inner: Option<PositionInner<'a>>,
}

#[derive(Debug, Clone, Copy)]
enum Root<'a> {
    Param(&'a str),
    Result,
}

#[derive(Debug, Clone, Copy)]
enum PositionInner<'a> {
    Field { field: &'a str, record: &'a str },
    Case { case: &'a str, variant: &'a str },
}

impl<'a> TypePosition<'a> {
    pub(super) fn param(name: &'a str) -> Self {
        Self { root: Root::Param(name), inner: None }
    }

    pub(super) fn result() -> Self {
        Self { root: Root::Result, inner: None }
    }

    /// The position of a field of `record`, within this position.
    pub(super) fn field(self, field: &'a Field, record: &'a str) -> Self {
        Self { inner: Some(PositionInner::Field { field: &field.name, record }), ..self }
    }

    /// The position of the payload of a case of `variant`, within this position.
    pub(super) fn case(self, case: &'a Case, variant: &'a str) -> Self {
        Self { inner: Some(PositionInner::Case { case: &case.name, variant }), ..self }
    }

    /// The parameter or the result that contains it.
    pub(super) fn root(self) -> Self {
        Self { inner: None, ..self }
    }

    /// The verb between the position and its type: a case is not of a type, it carries a value of it.
    pub(super) fn verb(self) -> &'static str {
        match self.inner {
            Some(PositionInner::Case { .. }) => "carries",
            Some(PositionInner::Field { .. }) | None => "is",
        }
    }
}

/// ``parameter `lines`: field `quantity` of record `line` ``
impl Display for TypePosition<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.root {
            Root::Param(name) => write!(f, "parameter `{name}`")?,
            Root::Result => f.write_str("the result")?,
        }
        match self.inner {
            Some(PositionInner::Field { field, record }) => write!(f, ": field `{field}` of record `{record}`"),
            Some(PositionInner::Case { case, variant }) => write!(f, ": case `{case}` of variant `{variant}`"),
            None => Ok(()),
        }
    }
}
