//! One rule of the routing table: which requests it matches, and how it changes their path.

use super::host_pattern::HostPattern;
use super::path_pattern::{PathPattern, PatternKind};
use super::rewrite::Rewrite;
use super::rule_error::RuleError;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::cmp::Reverse;
use std::fmt;

/// A checked rule. It is made from a path, and narrowed by the `with_…` methods.
///
/// A rule without a host, methods or headers matches any. A rule for `GET` matches `HEAD` too (RFC 9110, section
/// 9.3.2); of several for one path, one that names `HEAD` comes before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub(super) host: HostPattern,
    pub(super) pattern: PathPattern,
    /// In alphabetical order, without duplicates; empty for any method.
    methods: Vec<Method>,
    /// Whether HEAD is among the methods only because GET is.
    head_by_get: bool,
    headers: Vec<(HeaderName, HeaderValue)>,
    rewrite: Rewrite,
}

impl Rule {
    /// A rule for the paths that begin with the whole segments of `prefix`: `/api/users` matches `/api/users` and
    /// `/api/users/7`, but not `/api/usersx`; `/` matches all paths.
    ///
    /// # Errors
    /// [`RuleError`] if no path can begin like this.
    pub fn prefix(prefix: &str) -> Result<Self, RuleError> {
        PathPattern::prefix(prefix).map(Self::new)
    }

    /// A rule for the path `path`, in which a parameter such as `{id}` matches any one segment that is not empty.
    ///
    /// # Errors
    /// [`RuleError`] if no path can be like this, or a parameter is not written correctly.
    pub fn exact(path: &str) -> Result<Self, RuleError> {
        PathPattern::exact(path).map(Self::new)
    }

    fn new(pattern: PathPattern) -> Self {
        Self {
            host: HostPattern::Any,
            pattern,
            methods: Vec::new(),
            head_by_get: false,
            headers: Vec::new(),
            rewrite: Rewrite::None,
        }
    }

    /// Narrows the rule to `host`: a name, or a wildcard such as `*.example.com`. Case and port do not count.
    ///
    /// # Errors
    /// [`RuleError::Host`].
    pub fn with_host(mut self, host: &str) -> Result<Self, RuleError> {
        self.host = HostPattern::parse(host)?;
        Ok(self)
    }

    /// Narrows the rule to these methods; an empty list stands for any.
    ///
    /// # Errors
    /// [`RuleError::Method`], also for a method in lower case, which is another method in HTTP.
    pub fn with_methods<S: AsRef<str>>(mut self, methods: &[S]) -> Result<Self, RuleError> {
        let parse = |text: &str| {
            let method = Method::from_bytes(text.as_bytes()).ok();
            method
                .filter(|_| !text.contains(|c: char| c.is_ascii_lowercase()))
                .ok_or_else(|| RuleError::Method(text.into()))
        };
        self.methods = methods.iter().map(|text| parse(text.as_ref())).collect::<Result<_, _>>()?;
        self.head_by_get = self.methods.contains(&Method::GET) && !self.methods.contains(&Method::HEAD);
        self.methods.extend(self.head_by_get.then_some(Method::HEAD));
        self.methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        self.methods.dedup();
        Ok(self)
    }

    /// Narrows the rule to requests whose header `name` has exactly this value. Of a header that is sent several times,
    /// any value matches.
    ///
    /// # Errors
    /// [`RuleError`] if name or value are not valid, or the rule names that header already.
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

    /// Removes the first segments from the service's path: see [`Rewrite::StripPrefix`].
    ///
    /// # Errors
    /// [`RuleError`] if `prefix` is not the first whole segments of the rule's path, or the rule has a rewrite already.
    pub fn with_strip_prefix(self, prefix: &str) -> Result<Self, RuleError> {
        let rewrite = Rewrite::strip_prefix(prefix, &self.pattern)?;
        self.rewritten(rewrite)
    }

    /// Makes the service's path from `template`, such as `/users/{id}`, with the rule's parameters.
    ///
    /// # Errors
    /// [`RuleError`] if the template uses a parameter that the rule's path does not have, or the rule matches by prefix
    /// or has a rewrite already.
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

    /// The methods that the rule matches, in alphabetical order; empty for any.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The path that the rule matches, as text: `/users/{id}`; a prefix ends with a `*`.
    pub fn path(&self) -> String {
        self.pattern.to_string()
    }

    /// The names of the parameters in the rule's path, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.pattern.parameters()
    }

    /// The host that the rule matches, if it matches exactly one.
    pub fn host(&self) -> Option<&str> {
        self.host.exact()
    }

    /// How the rule changes the path on its way to the service.
    pub fn rewrite(&self) -> &Rewrite {
        &self.rewrite
    }

    /// The rule as text, for people: `GET,POST api.example.com/users/* [x-canary: 1]`. A prefix ends with a `*`.
    pub fn description(&self) -> String {
        self.to_string()
    }

    /// The method that the service gets for one that the rule matches: `GET` for a `HEAD` that the rule does not name.
    /// The service then need not know `HEAD`, and its content is not passed on.
    pub fn upstream_method<'m>(&self, method: &'m Method) -> &'m Method {
        if self.head_by_get && method == Method::HEAD { &Method::GET } else { method }
    }

    pub(super) fn admits_method(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }

    pub(super) fn admits_headers(&self, headers: &HeaderMap) -> bool {
        self.headers.iter().all(|(name, value)| headers.get_all(name).iter().any(|sent| sent == value))
    }

    /// The rank among the rules with one host and one path pattern: the smallest is tried first.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        (self.methods.is_empty(), Reverse(self.headers.len()), self.head_by_get)
    }

    /// Whether the rule matches all paths that begin with its own.
    pub fn is_prefix(&self) -> bool {
        self.pattern.kind == PatternKind::Prefix
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.methods.iter().filter(|method| !self.head_by_get || *method != Method::HEAD);
        for (at, method) in named.enumerate() {
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
    use crate::route::path::BadPath;

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
    fn a_rule_with_a_path_that_no_request_can_have_is_refused() {
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
    fn invalid_methods_and_headers_are_refused() {
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
    fn a_rewrite_that_does_not_fit_the_rules_path_is_refused() {
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
            "it includes a parameter"
        );
        assert!(matches!(exact().with_rewrite("/users/{name}"), Err(RuleError::UnknownParameter { .. })));
        assert_eq!(prefix().with_rewrite("/users"), Err(RuleError::TemplateOnPrefix("/api/users".into())));
        let both = exact().with_strip_prefix("/legacy").and_then(|rule| rule.with_rewrite("/users/{id}"));
        assert_eq!(both, Err(RuleError::TwoRewrites));
    }
}
