//! The path part of a rule: a prefix of whole segments, or an exact path with parameters.

use super::path::decode;
use super::{Path, RuleError};
use std::fmt;

/// What a rule, or a rewrite, says about a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) kind: SegmentKind,
    pub(super) segments: Vec<Segment>,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SegmentKind {
    /// Matches paths that begin with these segments. `/` has none, and matches all paths.
    Prefix,
    /// Matches paths of exactly these segments.
    Exact,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Matches a segment with the same bytes once decoded.
    Literal { text: String, decoded: Vec<u8> },
    /// Matches one segment that is not empty.
    Parameter(String),
}

impl Pattern {
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
        Ok(Self { kind: SegmentKind::Prefix, segments, text: text.into() })
    }

    /// An exact path in which each parameter has its own name.
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

    /// A path to be filled in, which may use a parameter twice.
    pub(super) fn template(text: &str) -> Result<Self, RuleError> {
        check_characters(text)?;
        Ok(Self { kind: SegmentKind::Exact, segments: segments_of(text)?, text: text.into() })
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

    /// The parameters' values in `path`, which this pattern matches, as the path spells them.
    pub(super) fn bind<'a>(&'a self, path: Path<'a>) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.segments.iter().zip(path.segments()).filter_map(|(segment, value)| match segment {
            Segment::Parameter(name) => Some((name.as_str(), value)),
            Segment::Literal { .. } => None,
        })
    }

    /// Whether `path` is one that this exact pattern, filled in, could be.
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

    /// The path with a value for each parameter, `None` when `value` has none for one of them.
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

    /// Whether this pattern's paths all begin with the segments of `prefix`.
    pub(super) fn starts_with(&self, prefix: &Self) -> bool {
        let same = |(own, other): (&Segment, &Segment)| match (own, other) {
            (Segment::Literal { decoded, .. }, Segment::Literal { decoded: other, .. }) => decoded == other,
            _ => false,
        };
        self.segments.len() >= prefix.segments.len() && self.segments.iter().zip(&prefix.segments).all(same)
    }
}

impl fmt::Display for Pattern {
    /// A prefix is shown with a `*`: `/api/*`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            SegmentKind::Exact => f.write_str(&self.text),
            SegmentKind::Prefix => write!(f, "{}/*", self.text.trim_end_matches('/')),
        }
    }
}

/// What holds for a request's path holds for a rule's, or they never meet. A rule is stricter: it is ASCII, as a request on the wire.
fn check_characters(text: &str) -> Result<(), RuleError> {
    Path::parse(text).map_err(|why| RuleError::BadPath { path: text.into(), why })?;
    // RFC 3986, `pchar`; braces are ours.
    let legal = |c: char| c.is_ascii_alphanumeric() || "/%-._~!$&'()*+,;=:@{}".contains(c);
    let Some(character) = text.chars().find(|&c| !legal(c)) else { return Ok(()) };
    let encoded = character.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}")).collect();
    Err(RuleError::Character { path: text.into(), character, encoded })
}

/// The last segment may be empty (`/users/` is another path than `/users`), the others not.
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
