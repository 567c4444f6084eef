//! One rule of the routing table: which requests it is for, and what becomes of their path.

use super::host::HostPattern;
use super::pattern::{Pattern, SegmentKind};
use super::{Rewrite, RuleError};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::cmp::Reverse;
use std::fmt;

/// A rule, whole and checked. It starts with a path and is narrowed from there.
///
/// A rule without a host, methods or headers is for any of them. Methods are taken literally: one for `GET` is not for `HEAD`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub(super) host: HostPattern,
    pub(super) pattern: Pattern,
    /// Without duplicates, in alphabetical order; empty for any.
    methods: Vec<Method>,
    headers: Vec<(HeaderName, HeaderValue)>,
    rewrite: Rewrite,
}

impl Rule {
    /// A rule for the paths that begin with the whole segments of `prefix`: `/api/users` is for `/api/users` and `/api/users/7`, not for
    /// `/api/usersx`; `/` is for all.
    ///
    /// # Errors
    /// [`RuleError`] when no path could begin like this.
    pub fn prefix(prefix: &str) -> Result<Self, RuleError> {
        Pattern::prefix(prefix).map(Self::new)
    }

    /// A rule for the path `path`, in which a parameter such as `{id}` stands for any one segment that is not empty.
    ///
    /// # Errors
    /// [`RuleError`] when no path could be like this, or a parameter is not written well.
    pub fn exact(path: &str) -> Result<Self, RuleError> {
        Pattern::exact(path).map(Self::new)
    }

    fn new(pattern: Pattern) -> Self {
        Self { host: HostPattern::Any, pattern, methods: Vec::new(), headers: Vec::new(), rewrite: Rewrite::None }
    }

    /// Only for `host`, a name or a wildcard such as `*.example.com`, without regard to case and port.
    ///
    /// # Errors
    /// [`RuleError::Host`].
    pub fn with_host(mut self, host: &str) -> Result<Self, RuleError> {
        self.host = HostPattern::parse(host)?;
        Ok(self)
    }

    /// Only for these methods; none for any.
    ///
    /// # Errors
    /// [`RuleError::Method`], also for a method in small letters, which HTTP would take for another one.
    pub fn with_methods<S: AsRef<str>>(mut self, methods: &[S]) -> Result<Self, RuleError> {
        let parse = |text: &str| {
            let method = Method::from_bytes(text.as_bytes()).ok();
            method
                .filter(|_| !text.contains(|c: char| c.is_ascii_lowercase()))
                .ok_or_else(|| RuleError::Method(text.into()))
        };
        self.methods = methods.iter().map(|text| parse(text.as_ref())).collect::<Result<_, _>>()?;
        self.methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        self.methods.dedup();
        Ok(self)
    }

    /// Only when a header `name` has exactly this value. A header that is sent several times matches by any of its values.
    ///
    /// # Errors
    /// [`RuleError`] when it is no header, or the rule asks for that name already.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, RuleError> {
        let value = HeaderValue::from_str(value).ok().filter(|_| value.trim() == value);
        let value = value.ok_or_else(|| RuleError::HeaderValue(name.into()))?;
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| RuleError::HeaderName(name.into()))?;
        if self.headers.iter().any(|(own, _)| *own == name) {
            return Err(RuleError::DuplicateHeader(name.as_str().into()));
        }
        self.headers.push((name, value));
        Ok(self)
    }

    /// Leaves the first segments out of the service's path: see [`Rewrite::StripPrefix`].
    ///
    /// # Errors
    /// [`RuleError`] when `prefix` is not made of the first whole segments of the rule's path, or the rule has a rewrite.
    pub fn with_strip_prefix(self, prefix: &str) -> Result<Self, RuleError> {
        let rewrite = Rewrite::strip_prefix(prefix, &self.pattern)?;
        self.rewritten(rewrite)
    }

    /// Writes the service's path anew from `template`, such as `/users/{id}`, with the rule's parameters.
    ///
    /// # Errors
    /// [`RuleError`] when it uses a parameter that the rule's path does not have, or the rule matches by prefix or has a rewrite.
    pub fn with_rewrite(self, template: &str) -> Result<Self, RuleError> {
        let rewrite = Rewrite::template(template, &self.pattern)?;
        self.rewritten(rewrite)
    }

    fn rewritten(mut self, rewrite: Rewrite) -> Result<Self, RuleError> {
        if self.rewrite != Rewrite::None {
            return Err(RuleError::TwoRewrites);
        }
        self.rewrite = rewrite;
        Ok(self)
    }

    /// The methods that it is for, in alphabetical order; empty for any.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The path that it is for, as text: `/users/{id}`; a `*` ends a prefix.
    pub fn path(&self) -> String {
        self.pattern.to_string()
    }

    /// The names of the parameters in its path, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.pattern.parameters()
    }

    /// The host that it is for, where that is one alone: not any, and no wildcard.
    pub fn host(&self) -> Option<&str> {
        self.host.exact()
    }

    /// What becomes of the path on the way to the service.
    pub fn rewrite(&self) -> &Rewrite {
        &self.rewrite
    }

    /// The match as text, for people: `GET,POST api.example.com/users/* [x-canary: 1]`. A `*` ends a prefix.
    pub fn description(&self) -> String {
        self.to_string()
    }

    pub(super) fn admits_method(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }

    pub(super) fn admits_headers(&self, headers: &HeaderMap) -> bool {
        self.headers.iter().all(|(name, value)| headers.get_all(name).iter().any(|sent| sent == value))
    }

    /// Sorts the rules of one host and one path pattern, the first to be tried first.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        (self.methods.is_empty(), Reverse(self.headers.len()))
    }

    pub(super) fn is_prefix(&self) -> bool {
        self.pattern.kind == SegmentKind::Prefix
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, method) in self.methods.iter().enumerate() {
            write!(f, "{}{method}", if at == 0 { "" } else { "," })?;
        }
        let space = if self.methods.is_empty() { "" } else { " " };
        write!(f, "{space}{}{}", self.host, self.pattern)?;
        for (name, value) in &self.headers {
            write!(f, " [{name}: {}]", String::from_utf8_lossy(value.as_bytes()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::BadPath;

    fn message(rule: Result<Rule, RuleError>) -> String {
        let error = rule.expect_err("an error");
        format!("{error}: {}", error.help())
    }

    #[test]
    fn a_rule_describes_itself() {
        let rule = Rule::prefix("/users").and_then(|rule| rule.with_host("API.example.com"));
        let rule = rule
            .and_then(|rule| rule.with_methods(&["POST", "GET", "POST"]))
            .and_then(|rule| rule.with_header("X-Canary", "1"));
        assert_eq!(rule.expect("a rule").description(), "GET,POST api.example.com/users/* [x-canary: 1]");
        let plain = [("/", "/*"), ("/a", "/a/*")];
        for (prefix, text) in plain {
            assert_eq!(Rule::prefix(prefix).expect("a rule").description(), text);
        }
        assert_eq!(
            Rule::exact("/a/{b}/").and_then(|rule| rule.with_host("*.x")).expect("a rule").description(),
            "*.x/a/{b}/"
        );
    }

    #[test]
    fn a_path_that_cannot_match_is_refused() {
        let bad = |path: &str, why| Err::<Rule, _>(RuleError::BadPath { path: path.into(), why });
        assert_eq!(Rule::prefix("api"), bad("api", BadPath::Relative));
        assert_eq!(Rule::exact(""), bad("", BadPath::Relative));
        assert_eq!(Rule::exact("/a/../b"), bad("/a/../b", BadPath::DotSegment));
        assert_eq!(Rule::exact("/a?b"), bad("/a?b", BadPath::Character('?')));
        assert_eq!(Rule::prefix("//"), Err(RuleError::EmptySegment("//".into())));
        assert_eq!(Rule::exact("/a//b"), Err(RuleError::EmptySegment("/a//b".into())));
        assert_eq!(Rule::prefix("/a/"), Err(RuleError::TrailingSlash("/a/".into())));
        assert_eq!(message(Rule::prefix("/café")), "'é' may not stand in `/café`: write it as `%C3%A9`");
    }

    #[test]
    fn parameters_are_whole_named_segments() {
        for path in ["/{}", "/{A}", "/a{b}", "/{a}b", "/{a", "/a}", "/{{a}}", "/{a b}"] {
            assert!(Rule::exact(path).is_err(), "{path}");
        }
        assert_eq!(
            message(Rule::exact("/{A}")),
            "`{A}` is no parameter: write a whole segment `{name}`, the name of a-z, 0-9, `-` and `_`"
        );
        assert!(matches!(Rule::exact("/{a}/{a}"), Err(RuleError::DuplicateParameter { .. })));
        assert!(matches!(Rule::prefix("/{a}"), Err(RuleError::ParameterInPrefix(_))));
    }

    #[test]
    fn methods_and_headers_are_checked() {
        let rule = || Rule::prefix("/").expect("a rule");
        for method in ["get", "", "G T"] {
            assert_eq!(rule().with_methods(&[method]), Err(RuleError::Method(method.into())));
        }
        assert_eq!(rule().with_header("a b", "1"), Err(RuleError::HeaderName("a b".into())));
        assert_eq!(rule().with_header("a", "1\n"), Err(RuleError::HeaderValue("a".into())));
        assert_eq!(rule().with_header("a", " 1"), Err(RuleError::HeaderValue("a".into())));
        let twice = rule().with_header("a", "1").and_then(|rule| rule.with_header("A", "2"));
        assert_eq!(twice, Err(RuleError::DuplicateHeader("a".into())));
    }

    #[test]
    fn a_rewrite_must_suit_the_path() {
        let prefix = || Rule::prefix("/api/users").expect("a rule");
        let exact = || Rule::exact("/legacy/{id}").expect("a rule");
        assert!(prefix().with_strip_prefix("/api").is_ok());
        assert!(prefix().with_strip_prefix("/%61pi").is_ok());
        assert!(exact().with_strip_prefix("/legacy").is_ok());
        assert_eq!(prefix().with_strip_prefix("/"), Err(RuleError::StripNothing));
        for strip in ["/ap", "/users", "/api/users/x"] {
            assert!(matches!(prefix().with_strip_prefix(strip), Err(RuleError::StripPrefix { .. })), "{strip}");
        }
        assert!(
            matches!(exact().with_strip_prefix("/legacy/7"), Err(RuleError::StripPrefix { .. })),
            "reaches into a parameter"
        );
        assert!(matches!(exact().with_rewrite("/users/{name}"), Err(RuleError::UnknownParameter { .. })));
        assert_eq!(prefix().with_rewrite("/users"), Err(RuleError::TemplateOnPrefix("/api/users".into())));
        let both = exact().with_strip_prefix("/legacy").and_then(|rule| rule.with_rewrite("/users/{id}"));
        assert_eq!(both, Err(RuleError::TwoRewrites));
    }
}
