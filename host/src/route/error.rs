//! Why a rule is refused. Each message says how to mend it, for the manifest's reader.

use super::BadPath;

/// A rule that cannot be meant as it is written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The path of a rule, or of its rewrite, that no request could have.
    #[error("`{path}` is not a usable path: {why}")]
    BadPath {
        /// As written.
        path: String,
        /// What is wrong with it.
        why: BadPath,
    },
    /// A character that a path holds only percent-encoded.
    #[error("{character:?} may not stand in `{path}`: write it as `{encoded}`")]
    Character {
        /// As written.
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
    /// Braces that are no parameter.
    #[error("`{0}` is no parameter: write a whole segment `{{name}}`, the name of a-z, 0-9, `-` and `_`")]
    Parameter(String),
    /// Two parameters of one name.
    #[error("`{path}` names the parameter `{{{name}}}` twice: give each its own name")]
    DuplicateParameter {
        /// As written.
        path: String,
        /// The name.
        name: String,
    },
    /// A parameter where only literal segments make sense.
    #[error("`{0}` is a prefix and cannot have parameters: match with `path` instead")]
    ParameterInPrefix(String),
    /// No host name and no wildcard.
    #[error("`{host}` is no host: {mend}")]
    Host {
        /// As written.
        host: String,
        /// What to write instead.
        mend: &'static str,
    },
    /// No HTTP method.
    #[error("`{0}` is no HTTP method: write it in capitals, like `GET`")]
    Method(String),
    /// No header name.
    #[error("`{0}` is no header name: use letters, digits and `-`")]
    HeaderName(String),
    /// No header value.
    #[error("the value of header `{0}` cannot be sent: use visible ASCII characters, without spaces at the ends")]
    HeaderValue(String),
    /// A header that would need two values at once.
    #[error("header `{0}` is asked for twice: write two routes if either value will do")]
    DuplicateHeader(String),
    /// The prefix to strip is not the start of the rule's path.
    #[error("`{strip}` cannot be stripped: it is not made of the first whole segments of `{path}`, up to a parameter")]
    StripPrefix {
        /// As written.
        strip: String,
        /// The rule's path.
        path: String,
    },
    /// The prefix to strip is `/`.
    #[error("stripping `/` changes nothing: leave `strip_prefix` out")]
    StripNothing,
    /// The rewrite uses a parameter that the rule does not have.
    #[error("`{template}` uses `{{{name}}}`, which is not in `{path}`: add it there, or leave it out here")]
    UnknownParameter {
        /// The rewrite.
        template: String,
        /// The parameter's name.
        name: String,
        /// The rule's path.
        path: String,
    },
    /// A template for a rule whose paths go on after the prefix.
    #[error("prefix `{0}` cannot be rewritten as a whole: use `strip_prefix`, or match with `path`")]
    TemplateOnPrefix(String),
    /// Both kinds of rewrite.
    #[error("`strip_prefix` and `rewrite` exclude each other: leave one of them out")]
    TwoRewrites,
}
