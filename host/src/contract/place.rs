//! Where in a function's signature something is, and what is there, for messages.

use super::types::{Case, Field, Type};
use std::fmt::{self, Display, Formatter};

/// A place that has a type of its own: a parameter, the result, or a field or case within one of these.
#[derive(Debug, Clone, Copy)]
pub(super) struct TypePosition<'a> {
    root: Root<'a>,
    /// The innermost field or case; the way there is not told, for types are known by their names.
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

    /// The place of a field of `record`, within this place.
    pub(super) fn field(self, field: &'a Field, record: &'a str) -> Self {
        Self { inner: Some(PositionInner::Field { field: &field.name, record }), ..self }
    }

    /// The place of what a case of `variant` carries, within this place.
    pub(super) fn case(self, case: &'a Case, variant: &'a str) -> Self {
        Self { inner: Some(PositionInner::Case { case: &case.name, variant }), ..self }
    }

    /// The parameter or the result that it lies in.
    pub(super) fn root(self) -> Self {
        Self { inner: None, ..self }
    }

    /// The verb between the place and its type: a case is not of a type, it carries one.
    pub(super) fn verb(self) -> &'static str {
        match self.inner {
            Some(PositionInner::Case { .. }) => "carries",
            _ => "is",
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

/// A type in a sentence: one with a definition by its kind and name, others as they are; aliases by what they stand for.
pub(super) fn described(ty: Option<&Type>) -> String {
    match ty.map(Type::resolved) {
        None => "nothing".to_owned(),
        Some(Type::Record(record)) => format!("record `{}`", record.name),
        Some(Type::Variant(variant)) => format!("variant `{}`", variant.name),
        Some(Type::Enum(enumeration)) => format!("enum `{}`", enumeration.name),
        Some(Type::Flags(flags)) => format!("flags `{}`", flags.name),
        Some(Type::Resource(name)) => format!("resource `{name}`"),
        Some(ty) => format!("{ty:#}"),
    }
}

impl Type {
    /// Whether it is made by a definition of its own and known by that one's name. An alias is what it stands for.
    pub(super) fn is_defined(&self) -> bool {
        use Type as T;
        matches!(self.resolved(), T::Record(_) | T::Variant(_) | T::Enum(_) | T::Flags(_) | T::Resource(_))
    }
}
