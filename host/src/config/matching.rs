//! The keys of a `[[route]]` that say which requests it matches and how it changes their path.

use super::reader::finding::ValueOrigin;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{KindError, ListKind, TableKind, TextKind, ValueKind, refused};
use super::reader::report::Report;
use super::reader::section::Section;
use crate::route::{Rule, RuleError};
use std::collections::BTreeMap;
use toml::Spanned;
use toml::de::DeValue;

static PREFIX: ManifestKey<TextKind> = ManifestKey::without_default(
    "prefix",
    TextKind { min: 1 },
    "The first whole segments of the path: `\"/api/users\"` matches `/api/users` and `/api/users/7`, not \
     `/api/usersx`. `\"/\"` matches every path.",
);
static PATH: ManifestKey<TextKind> = ManifestKey::without_default(
    "path",
    TextKind { min: 1 },
    "The whole path. A parameter `{name}` matches any one segment: `\"/legacy/{id}\"`.",
);
static HOST: ManifestKey<TextKind> = ManifestKey::without_default(
    "host",
    TextKind { min: 1 },
    "The host's name without port, or a wildcard such as `\"*.example.com\"`. Absent: any.",
);
static METHOD: ManifestKey<MethodsKind> = ManifestKey::without_default("method", MethodsKind, METHOD_HELP);
static HEADERS: ManifestKey<TableKind<TextKind>> = ManifestKey::without_default(
    "headers",
    TableKind(TextKind { min: 0 }),
    "Headers that the request must have with exactly these values: `{ x-canary = \"1\" }`.",
);
static STRIP_PREFIX: ManifestKey<TextKind> = ManifestKey::without_default(
    "strip_prefix",
    TextKind { min: 1 },
    "First segments of the path that the service does not get: with `\"/api\"` it gets `/users/7`. Not with `call`.",
);
static REWRITE: ManifestKey<TextKind> = ManifestKey::without_default(
    "rewrite",
    TextKind { min: 1 },
    "The path that the service gets instead, with the parameters of `path`: `\"/users/{id}\"`. Not with `strip_prefix` \
     or `call`.",
);

const METHOD_HELP: &str = "`\"GET\"`, or `[\"GET\", \"POST\"]`. Absent: any. A `HEAD` that is not named is served as \
                           `GET`, without content.";

/// One method, or several.
struct MethodsKind;

/// The kind of a list of methods.
const METHOD_LIST: ListKind<TextKind> = ListKind { of: TextKind { min: 1 }, max: 16 };

impl ValueKind for MethodsKind {
    type Value = Vec<String>;

    fn accepts(&self) -> String {
        "a method, or a list of at most 16".into()
    }

    fn help(&self) -> String {
        "write \"GET\", or [\"GET\", \"HEAD\"]".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, Vec<KindError>> {
        match value.get_ref() {
            DeValue::String(name) => Ok(vec![name.to_string()]),
            DeValue::Array(_) => Ok(METHOD_LIST.read(value)?.into_iter().map(Spanned::into_inner).collect()),
            _ => Err(refused(self, value)),
        }
    }
}

/// The values of these keys, as they are written.
pub(super) struct Matching {
    pub(super) prefix: Option<Sourced<String>>,
    pub(super) path: Option<Sourced<String>>,
    pub(super) methods: Option<Sourced<Vec<String>>>,
    host: Option<Sourced<String>>,
    headers: Option<Sourced<BTreeMap<String, String>>>,
    pub(super) strip_prefix: Option<Sourced<String>>,
    pub(super) rewrite: Option<Sourced<String>>,
    /// False if one of the keys was wrong and reported. The others may then match something else than the author meant.
    pub(super) right: bool,
}

impl Matching {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let before = section.report.count();
        let matching = Self {
            prefix: section.find(&PREFIX),
            path: section.find(&PATH),
            methods: section.find(&METHOD),
            host: section.find(&HOST),
            headers: section.find(&HEADERS),
            strip_prefix: section.find(&STRIP_PREFIX),
            rewrite: section.find(&REWRITE),
            right: true,
        };
        Self { right: section.report.count() == before, ..matching }
    }

    /// The rule, with the origin of its path. `None` if anything about it is wrong; all of that was reported.
    pub(super) fn rule(self, section: &Section<'_>) -> Option<Sourced<Rule>> {
        let report = section.report;
        let before = report.count();
        let (origin, rule) = match (self.prefix, self.path) {
            (Some(prefix), None) => (prefix.origin, Rule::prefix(&prefix.value)),
            (None, Some(path)) => (path.origin, Rule::exact(&path.value)),
            (Some(_), Some(path)) => {
                report.push(path.origin, "`prefix` and `path` exclude each other", "leave one of them out");
                return None;
            }
            (None, None) => {
                if section.lacks(PREFIX.name) && section.lacks(PATH.name) {
                    let origin = ValueOrigin::Text(section.span.clone());
                    let help = "add prefix = \"/…\" or path = \"/…\"; prefix = \"/\" matches every path";
                    report.push_if_whole(origin, "this route has neither `prefix` nor `path`", help);
                }
                return None;
            }
        };
        // If the path is wrong, the keys that do not depend on it are checked all the same, against a rule for any
        // path.
        let rule = rule.map_err(|error| refuse(&error, origin.clone(), report));
        let any_path = || Rule::prefix("/").expect("`/` is a prefix");
        let base = rule.clone().unwrap_or_else(|()| any_path());
        let narrowed = narrow(base, self.host, report, |rule, host| rule.with_host(host));
        let narrowed = narrow(narrowed, self.methods, report, |rule, methods| rule.with_methods(methods));
        let narrowed = narrow(narrowed, self.headers, report, with_headers);
        rule.ok()?;
        let narrowed = narrow(narrowed, self.strip_prefix, report, |rule, prefix| rule.with_strip_prefix(prefix));
        let narrowed = narrow(narrowed, self.rewrite, report, |rule, template| rule.with_rewrite(template));
        (self.right && report.count() == before).then_some(Sourced { value: narrowed, origin })
    }
}

/// The rule with `found` applied to it; if `found` is wrong, the rule as it was, and a finding.
fn narrow<T>(
    rule: Rule,
    found: Option<Sourced<T>>,
    report: &Report,
    with: impl FnOnce(Rule, &T) -> Result<Rule, RuleError>,
) -> Rule {
    let Some(found) = found else { return rule };
    with(rule.clone(), &found.value).unwrap_or_else(|error| {
        refuse(&error, found.origin, report);
        rule
    })
}

/// Adds the headers in the order of their names, so that two routes with the same headers have the same description.
fn with_headers(rule: Rule, headers: &BTreeMap<String, String>) -> Result<Rule, RuleError> {
    let mut headers: Vec<_> = headers.iter().collect();
    headers.sort_by_key(|(name, _)| name.to_ascii_lowercase());
    headers.into_iter().try_fold(rule, |rule, (name, value)| rule.with_header(name, value))
}

/// Reports why there cannot be such a rule.
fn refuse(error: &RuleError, origin: ValueOrigin, report: &Report) {
    report.push(origin, error.to_string(), error.help());
}
