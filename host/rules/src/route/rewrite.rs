//! How a rule changes the path of a request on its way to the service, and the paths in the answer on their way back.

use super::path::Path;
use super::path_pattern::{PathPattern, PatternKind};
use super::rule_error::RuleError;
use std::borrow::Cow;
use std::fmt;

/// How the service's path differs from the public one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Rewrite {
    /// The service gets the public path.
    #[default]
    None,
    /// The first segments are removed: with `/api`, `/api/users/7` becomes `/users/7` and `/api` becomes `/`.
    StripPrefix(String),
    /// The path is a template, filled in with the rule's parameters.
    Template(Template),
}

/// A path whose parameters are filled in, such as `/users/{id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(PathPattern);

impl Rewrite {
    /// A rewrite that strips `strip` from the paths of `pattern`.
    pub(super) fn strip_prefix(strip: &str, pattern: &PathPattern) -> Result<Self, RuleError> {
        let prefix = PathPattern::prefix(strip)?;
        if prefix.segments.is_empty() {
            return Err(RuleError::StripNothing);
        }
        if !pattern.starts_with(&prefix) {
            return Err(RuleError::StripPrefix { strip: strip.into(), path: pattern.as_str().into() });
        }
        Ok(Self::StripPrefix(strip.into()))
    }

    /// A rewrite that fills `template` with the parameters of `pattern`.
    pub(super) fn template(template: &str, pattern: &PathPattern) -> Result<Self, RuleError> {
        let filled = PathPattern::template(template)?;
        if pattern.kind == PatternKind::Prefix {
            return Err(RuleError::TemplateOnPrefix(pattern.as_str().into()));
        }
        if let Some(name) = filled.parameters().find(|&name| pattern.parameters().all(|own| own != name)) {
            let (template, name, path) = (template.into(), name.into(), pattern.as_str().into());
            return Err(RuleError::UnknownParameter { template, name, path });
        }
        Ok(Self::Template(Template(filled)))
    }

    /// The service's path for the public `path`, which `pattern` matches.
    pub(super) fn upstream<'a>(&self, pattern: &PathPattern, path: Path<'a>) -> Cow<'a, str> {
        match self {
            Self::None => path.as_str().into(),
            Self::StripPrefix(strip) => {
                // Count segments and not bytes: the request may spell the prefix differently (`/%61pi` for `/api`).
                let stripped = strip.matches('/').count();
                let rest = path.as_str().match_indices('/').nth(stripped);
                rest.map_or("/", |(at, _)| &path.as_str()[at..]).into()
            }
            Self::Template(Template(template)) => {
                let filled = template.fill(|name| value(pattern, path, name));
                filled.expect("the parameters of a template are in the rule's path").into()
            }
        }
    }

    /// The public path for the service's `path`, or `None` if the path stays as it is. `request` is the public path of
    /// the request.
    pub(super) fn public(&self, pattern: &PathPattern, request: Path<'_>, path: &str) -> Option<String> {
        match self {
            Self::None => None,
            Self::StripPrefix(strip) => Some(format!("{strip}{path}")),
            Self::Template(Template(template)) => {
                let path = Path::parse(path).ok().filter(|&path| template.fits(path))?;
                // A parameter that the template does not use, such as a tenant, keeps its value of the request.
                pattern.fill(|name| value(template, path, name).or_else(|| value(pattern, request, name)))
            }
        }
    }
}

/// The value of the parameter `name` in a path that `pattern` matches.
fn value<'a>(pattern: &'a PathPattern, path: Path<'a>, name: &str) -> Option<&'a str> {
    pattern.bind(path).find_map(|(own, value)| (own == name).then_some(value))
}

impl fmt::Display for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::StripPrefix(strip) => write!(f, "strips {strip}"),
            Self::Template(Template(template)) => write!(f, "becomes {}", template.as_str()),
        }
    }
}
