//! Why a rule is refused. [`RuleError::help`] says how to correct it, for the reader of the manifest.

use super::path::BadPath;

/// Why a rule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The path of the rule or of its rewrite is one that no request can have.
    #[error("`{path}` is not a usable path")]
    BadPath {
        /// The text, as it is written.
        path: String,
        /// What is wrong with it.
        why: BadPath,
    },
    /// A character that must be percent-encoded in a path.
    #[error("{character:?} may not stand in `{path}`")]
    Character {
        /// The text, as it is written.
        path: String,
        /// The first such character.
        character: char,
        /// How to write it.
        encoded: String,
    },
    /// Two slashes in a row.
    #[error("`{0}` has an empty segment")]
    EmptySegment(String),
    /// A slash at the end of a prefix.
    #[error("`{0}` ends with `/`")]
    TrailingSlash(String),
    /// Braces that are not a parameter.
    #[error("`{0}` is no parameter")]
    Parameter(String),
    /// Two parameters of the same name.
    #[error("`{path}` names the parameter `{{{name}}}` twice")]
    DuplicateParameter {
        /// The text, as it is written.
        path: String,
        /// The name.
        name: String,
    },
    /// A parameter in a prefix.
    #[error("`{0}` is a prefix and cannot have parameters")]
    ParameterInPrefix(String),
    /// Neither a host name nor a wildcard.
    #[error("`{host}` is no host")]
    Host {
        /// The text, as it is written.
        host: String,
        /// What to write instead.
        help: &'static str,
    },
    /// Not an HTTP method.
    #[error("`{0}` is no HTTP method")]
    Method(String),
    /// Not a header name.
    #[error("`{0}` is no header name")]
    HeaderName(String),
    /// Not a header value.
    #[error("the value of header `{0}` cannot be sent")]
    HeaderValue(String),
    /// A header that would need two values at the same time.
    #[error("header `{0}` is named twice")]
    DuplicateHeader(String),
    /// The prefix to strip is not the beginning of the rule's path.
    #[error("`{strip}` cannot be stripped")]
    StripPrefix {
        /// The text, as it is written.
        strip: String,
        /// The rule's path.
        path: String,
    },
    /// The prefix to strip is `/`.
    #[error("stripping `/` changes nothing")]
    StripNothing,
    /// The rewrite uses a parameter that the rule does not have.
    #[error("`{template}` uses `{{{name}}}`, which is not in `{path}`")]
    UnknownParameter {
        /// The rewrite.
        template: String,
        /// The parameter's name.
        name: String,
        /// The rule's path.
        path: String,
    },
    /// A template for a rule that matches by prefix: its paths go on after the prefix.
    #[error("prefix `{0}` cannot be rewritten as a whole")]
    TemplateOnPrefix(String),
    /// Both kinds of rewrite.
    #[error("`strip_prefix` and `rewrite` exclude each other")]
    TwoRewrites,
}

impl RuleError {
    /// How to correct it.
    pub fn help(&self) -> String {
        match self {
            Self::BadPath { why, .. } => why.to_string(),
            Self::Character { encoded, .. } => format!("write it as `{encoded}`"),
            Self::EmptySegment(_) => "write one `/` between two segments".into(),
            Self::TrailingSlash(_) => "leave it out, a prefix matches with and without".into(),
            Self::Parameter(_) => "write a whole segment `{name}`, the name of a-z, 0-9, `-` and `_`".into(),
            Self::DuplicateParameter { .. } => "give each its own name".into(),
            Self::ParameterInPrefix(_) => "match with `path` instead".into(),
            Self::Host { help, .. } => (*help).into(),
            Self::Method(_) => "write it in capitals, like `GET`".into(),
            Self::HeaderName(_) => "use letters, digits and `-`".into(),
            Self::HeaderValue(_) => "use visible ASCII characters, without spaces at the ends".into(),
            Self::DuplicateHeader(_) => "write two routes if either value will do".into(),
            Self::StripPrefix { path, .. } => {
                format!("write the first whole segments of `{path}`, up to a parameter")
            }
            Self::StripNothing => "remove `strip_prefix`".into(),
            Self::UnknownParameter { .. } => "add it there, or remove it here".into(),
            Self::TemplateOnPrefix(_) => "use `strip_prefix`, or match with `path`".into(),
            Self::TwoRewrites => "leave one of them out".into(),
        }
    }
}
