//! Why a rule is refused. Each message says what to do, for the reader of the manifest.

use super::path::BadPath;

/// Why a rule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The path of the rule or of its rewrite is one that no request can have.
    #[error("`{path}` is not a usable path: {why}")]
    BadPath {
        /// The text, as it is written.
        path: String,
        /// What is wrong with it.
        why: BadPath,
    },
    /// A character that must be percent-encoded in a path.
    #[error("{character:?} may not stand in `{path}`: write it as `{encoded}`")]
    Character {
        /// The text, as it is written.
        path: String,
        /// The first such character.
        character: char,
        /// How to write it.
        encoded: String,
    },
    /// Two slashes in a row.
    #[error("`{0}` has an empty segment: write one `/` between two segments")]
    EmptySegment(String),
    /// A slash at the end of a prefix.
    #[error("`{0}` ends with `/`: leave it out, a prefix matches with and without")]
    TrailingSlash(String),
    /// Braces that are not a parameter.
    #[error("`{0}` is no parameter: write a whole segment `{{name}}`, the name of a-z, 0-9, `-` and `_`")]
    Parameter(String),
    /// Two parameters of the same name.
    #[error("`{path}` names the parameter `{{{name}}}` twice: give each its own name")]
    DuplicateParameter {
        /// The text, as it is written.
        path: String,
        /// The name.
        name: String,
    },
    /// A parameter in a prefix.
    #[error("`{0}` is a prefix and cannot have parameters: match with `path` instead")]
    ParameterInPrefix(String),
    /// Neither a host name nor a wildcard.
    #[error("`{host}` is no host: {help}")]
    Host {
        /// The text, as it is written.
        host: String,
        /// What to write instead.
        help: &'static str,
    },
    /// Not an HTTP method.
    #[error("`{0}` is no HTTP method: write it in capitals, like `GET`")]
    Method(String),
    /// Not a header name.
    #[error("`{0}` is no header name: use letters, digits and `-`")]
    HeaderName(String),
    /// Not a header value.
    #[error("the value of header `{0}` cannot be sent: use visible ASCII characters, without spaces at the ends")]
    HeaderValue(String),
    /// A header that would need two values at the same time.
    #[error("header `{0}` is named twice: write two routes if either value will do")]
    DuplicateHeader(String),
    /// The prefix to strip is not the beginning of the rule's path.
    #[error("`{strip}` cannot be stripped: it must be the first whole segments of `{path}`, none of them a parameter")]
    StripPrefix {
        /// The text, as it is written.
        strip: String,
        /// The rule's path.
        path: String,
    },
    /// The prefix to strip is `/`.
    #[error("stripping `/` changes nothing: remove `strip_prefix`")]
    StripNothing,
    /// The rewrite uses a parameter that the rule does not have.
    #[error("`{template}` uses `{{{name}}}`, which is not in `{path}`: add it there, or remove it here")]
    UnknownParameter {
        /// The rewrite.
        template: String,
        /// The parameter's name.
        name: String,
        /// The rule's path.
        path: String,
    },
    /// A template for a rule that matches by prefix: its paths go on after the prefix.
    #[error("prefix `{0}` cannot be rewritten as a whole: use `strip_prefix`, or match with `path`")]
    TemplateOnPrefix(String),
    /// Both kinds of rewrite.
    #[error("`strip_prefix` and `rewrite` exclude each other: leave one of them out")]
    TwoRewrites,
}
