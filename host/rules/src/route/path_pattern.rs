//! The path of a rule: a prefix of whole segments, or an exact path with parameters.

use super::path::{Path, decode};
use super::rule_error::RuleError;
use std::fmt;

/// The path of a rule or of a rewrite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathPattern {
    pub(super) kind: PatternKind,
    pub(super) segments: Vec<Segment>,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PatternKind {
    /// It matches paths that begin with these segments. `/` has no segments, and matches all paths.
    Prefix,
    /// It matches paths of exactly these segments.
    Exact,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// It matches a segment that has the same bytes when both are decoded.
    Literal { text: String, decoded: Vec<u8> },
    /// It matches any one segment that is not empty.
    Parameter(String),
}

impl PathPattern {
    pub(super) fn prefix(text: &str) -> Result<Self, RuleError> {
        check_characters(text)?;
        let mut segments = Vec::new();
        if text != "/" {
            if text.ends_with('/') && !text.ends_with("//") {
                return Err(RuleError::TrailingSlash(text.into()));
            }
            segments = segments_of(text)?;
        }
        if segments.iter().any(|segment| matches!(segment, Segment::Parameter(_))) {
            return Err(RuleError::ParameterInPrefix(text.into()));
        }
        Ok(Self { kind: PatternKind::Prefix, segments, text: text.into() })
    }

    /// An exact path. Each parameter must have its own name.
    pub(super) fn exact(text: &str) -> Result<Self, RuleError> {
        let pattern = Self::template(text)?;
        let mut seen: Vec<&str> = Vec::new();
        for name in pattern.parameters() {
            if seen.contains(&name) {
                return Err(RuleError::DuplicateParameter { path: text.into(), name: name.into() });
            }
            seen.push(name);
        }
        Ok(pattern)
    }

    /// A path whose parameters are filled in. It may use a parameter twice.
    pub(super) fn template(text: &str) -> Result<Self, RuleError> {
        check_characters(text)?;
        Ok(Self { kind: PatternKind::Exact, segments: segments_of(text)?, text: text.into() })
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) => Some(name.as_str()),
            Segment::Literal { .. } => None,
        })
    }

    /// The names and values of the parameters in `path`, which this pattern must match. Values are spelt as in the
    /// path.
    pub(super) fn bind<'a>(&'a self, path: Path<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.segments.iter().zip(path.segments()).filter_map(|(segment, value)| match segment {
            Segment::Parameter(name) => Some((name.as_str(), value)),
            Segment::Literal { .. } => None,
        })
    }

    /// Whether this exact pattern can be filled in so that it gives `path`.
    pub(super) fn fits(&self, path: Path<'_>) -> bool {
        let fits = |(segment, value): (&Segment, &str)| match segment {
            Segment::Literal { decoded, .. } => **decoded == *decode(value),
            Segment::Parameter(_) => !value.is_empty(),
        };
        let same_length = path.segments().count() == self.segments.len();
        let repeated_alike = || {
            let same_name_other_value = |(name, value)| self.bind(path).any(|(n, v)| n == name && v != value);
            !self.bind(path).any(same_name_other_value)
        };
        same_length && self.segments.iter().zip(path.segments()).all(fits) && repeated_alike()
    }

    /// The path with its parameters filled in; `None` if `value` has no value for one of them.
    pub(super) fn fill<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Option<String> {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            path.push_str(match segment {
                Segment::Literal { text, .. } => text,
                Segment::Parameter(name) => value(name)?,
            });
        }
        Some(path)
    }

    /// Whether all paths of this pattern begin with the segments of `prefix`.
    pub(super) fn starts_with(&self, prefix: &Self) -> bool {
        let same = |(own, other): (&Segment, &Segment)| match (own, other) {
            (Segment::Literal { decoded, .. }, Segment::Literal { decoded: other, .. }) => decoded == other,
            _ => false,
        };
        self.segments.len() >= prefix.segments.len() && self.segments.iter().zip(&prefix.segments).all(same)
    }
}

impl fmt::Display for PathPattern {
    /// A prefix is shown with a `*` at its end: `/api/*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            PatternKind::Exact => f.write_str(&self.text),
            PatternKind::Prefix => write!(f, "{}/*", self.text.trim_end_matches('/')),
        }
    }
}

/// Checks a rule's path like a request's path, because it could never match otherwise. It must also be ASCII, as
/// requests on the wire are.
fn check_characters(text: &str) -> Result<(), RuleError> {
    Path::parse(text).map_err(|why| RuleError::BadPath { path: text.into(), why })?;
    // `pchar` of RFC 3986, and braces for parameters.
    let legal = |c: char| c.is_ascii_alphanumeric() || "/%-._~!$&'()*+,;=:@{}".contains(c);
    let Some(character) = text.chars().find(|&c| !legal(c)) else { return Ok(()) };
    let encoded = character.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")).collect();
    Err(RuleError::Character { path: text.into(), character, encoded })
}

/// Splits a path into segments. Only the last one may be empty: `/users/` is another path than `/users`.
fn segments_of(text: &str) -> Result<Vec<Segment>, RuleError> {
    if text.contains("//") {
        return Err(RuleError::EmptySegment(text.into()));
    }
    text[1..].split('/').map(segment_of).collect()
}

fn segment_of(text: &str) -> Result<Segment, RuleError> {
    if !text.contains(['{', '}']) {
        return Ok(Segment::Literal { text: text.into(), decoded: decode(text).into_owned() });
    }
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let name = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    match name.filter(|name| !name.is_empty() && name.chars().all(legal)) {
        Some(name) => Ok(Segment::Parameter(name.into())),
        None => Err(RuleError::Parameter(text.into())),
    }
}
