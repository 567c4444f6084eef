//! One table of the manifest, read key by key: whatever no key asks for is refused.

use crate::config::finding::{Finding, ManifestText, Span, ValueOrigin};
use crate::config::kind::ValueKind;
use crate::config::measure;
use crate::config::suggest::did_you_mean;
use crate::config::syntax;
use std::cell::RefCell;
use std::error::Error;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key of the manifest. Its default is TOML too, and is read by the same kind: there is one way to become a value.
pub(super) struct ManifestKey<K> {
    pub(super) name: &'static str,
    pub(super) kind: K,
    /// `None`: it must be written, or its absence means something of its own.
    pub(super) default: Option<&'static str>,
}

/// A value and where it came from.
#[derive(Debug, Clone)]
pub(super) struct Sourced<T> {
    pub(super) value: T,
    pub(super) place: ValueOrigin,
}

impl<K: ValueKind> ManifestKey<K> {
    /// The value where nothing is written.
    pub(super) fn default(&self) -> K::Value {
        let text = self.default.expect("a key that is read with `get` has one");
        let value = DeValue::parse(text).expect("a default is TOML");
        self.kind.read(&value).expect("a default is within its bounds")
    }
}

impl<T> Sourced<T> {
    /// Where it is written; `None` when it is not.
    pub(super) fn span(&self) -> Option<Span> {
        match &self.place {
            ValueOrigin::Text(span) => Some(span.clone()),
            ValueOrigin::Variable(_) | ValueOrigin::Absent => None,
        }
    }
}

/// What has been found so far.
pub(super) struct Report {
    pub(super) source: Arc<ManifestText>,
    /// The lines with syntax errors: what was read there is not what was meant.
    broken: Vec<Span>,
    /// False when the text had syntax errors: then parts of it are lost, and nothing can be said to be missing.
    whole: bool,
    findings: RefCell<Vec<Finding>>,
    #[cfg(test)]
    pub(super) keys: RefCell<Vec<KeyFacts>>,
}

/// What `docs/manifest.md` must say about a key.
#[cfg(test)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyFacts {
    pub(super) section: String,
    pub(super) name: &'static str,
    pub(super) accepts: String,
    pub(super) default: Option<&'static str>,
}

impl Report {
    pub(super) fn new(source: Arc<ManifestText>, syntax: Vec<Finding>) -> Self {
        Self {
            broken: syntax::lines_of(&syntax, &source.text),
            whole: syntax.is_empty(),
            source,
            findings: RefCell::new(syntax),
            #[cfg(test)]
            keys: RefCell::default(),
        }
    }

    /// Notes a fault of what stands at `place`.
    pub(super) fn push(&self, place: ValueOrigin, message: impl Into<String>, help: impl Into<String>) {
        let broken = |span: &Span| self.broken.iter().any(|line| span.start <= line.end && line.start <= span.end);
        if !matches!(&place, ValueOrigin::Text(span) if broken(span)) {
            let finding = Finding::new(self.source.clone(), place, message, help);
            self.findings.borrow_mut().push(finding);
        }
    }

    /// Notes an error of a room below, whose message says what is wrong and, after a colon, how to mend it; `help`: where it does not.
    pub(super) fn push_error(&self, place: ValueOrigin, error: &dyn Error, help: &str) {
        let text = error.to_string();
        let outside_quotes = |at: &usize| text[..*at].matches('`').count().is_multiple_of(2);
        let colon = text.match_indices(": ").map(|(at, _)| at).find(outside_quotes);
        let (message, help) = colon.map_or((&*text, help), |at| (&text[..at], &text[at + 2..]));
        self.push(place, message, help);
    }

    /// Notes that something is missing or does not fit to the rest, unless syntax errors may have hidden it.
    pub(super) fn push_if_whole(&self, place: ValueOrigin, message: impl Into<String>, help: impl Into<String>) {
        if self.whole {
            self.push(place, message, help);
        }
    }

    /// How many faults were noted so far.
    pub(super) fn count(&self) -> usize {
        self.findings.borrow().len()
    }

    /// The items, of which no two may have the same name: an address with two breakers, say, would count its failures by halves.
    pub(super) fn distinct<T, N: PartialEq + Display>(&self, items: Vec<Spanned<T>>, name: impl Fn(&T) -> N) -> Vec<T> {
        let (mut distinct, mut names) = (Vec::new(), Vec::new());
        for item in items {
            let name = name(item.get_ref());
            if names.contains(&name) {
                let place = ValueOrigin::Text(item.span());
                self.push(place, format!("`{name}` is there twice"), "write each of them once");
            } else {
                names.push(name);
                distinct.push(item.into_inner());
            }
        }
        distinct
    }

    /// The line of a place in the text, from 1.
    pub(super) fn line(&self, place: &ValueOrigin) -> usize {
        let finding = Finding::new(self.source.clone(), place.clone(), "", "");
        finding.position().map_or(1, |(line, _)| line)
    }

    #[cfg(test)]
    fn declare<K: ValueKind>(&self, section: &str, key: &ManifestKey<K>) {
        let (section, accepts) = (section.to_owned(), key.kind.accepts());
        self.keys.borrow_mut().push(KeyFacts { section, name: key.name, accepts, default: key.default });
    }

    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings.into_inner()
    }
}

/// What errors call the manifest's own table.
const ROOT: &str = "the manifest";

/// One table of the manifest while it is being read.
pub(super) struct Section<'a> {
    /// As errors call it: `[service.users]`.
    title: String,
    /// Its header, or its braces.
    pub(super) span: Span,
    table: Option<&'a DeTable<'a>>,
    asked: Vec<&'static str>,
    pub(super) report: &'a Report,
}

impl<'a> Section<'a> {
    /// The table `value`; where it is absent, or is no table, a section without a key.
    fn new(title: String, value: Option<&'a Spanned<DeValue<'a>>>, report: &'a Report) -> Self {
        let table = value.and_then(|value| value.get_ref().as_table());
        if let Some(value) = value.filter(|_| table.is_none()) {
            let help = "write it as a section with its keys below, or in braces: { key = value }";
            report.push(ValueOrigin::Text(value.span()), format!("{title} must be a table"), help);
        }
        let span = value.map_or(0..0, Spanned::span);
        Self { title, span, table, asked: Vec::new(), report }
    }

    /// The manifest as a whole.
    pub(super) fn root(table: &'a DeTable<'a>, report: &'a Report) -> Self {
        Self { title: ROOT.into(), span: 0..0, table: Some(table), asked: Vec::new(), report }
    }

    fn raw(&mut self, name: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.push(name);
        self.table?.get(name)
    }

    /// The table at `name` within this one.
    pub(super) fn section(&mut self, name: &'static str) -> Section<'a> {
        let title = match self.title.as_str() {
            ROOT => format!("[{name}]"),
            title => format!("`{name}` of {title}"),
        };
        Section::new(title, self.raw(name), self.report)
    }

    /// The tables `[name.KEY]`, each with its key.
    pub(super) fn sections(&mut self, name: &'static str) -> Vec<(Spanned<&'a str>, Section<'a>)> {
        let all = Section::new(format!("[{name}.NAME]"), self.raw(name), self.report);
        let entries = all.table.into_iter().flatten();
        entries
            .map(|(key, value)| {
                let title = format!("[{name}.{}]", key.get_ref());
                (Spanned::new(key.span(), key.get_ref().as_ref()), Section::new(title, Some(value), self.report))
            })
            .collect()
    }

    /// The tables `[[name]]`, in their order.
    pub(super) fn list(&mut self, name: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.raw(name) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            let message = format!("`{name}` must be a list of tables");
            self.report.push(
                ValueOrigin::Text(value.span()),
                message,
                format!("write [[{name}]], in double brackets, above each"),
            );
            return Vec::new();
        };
        items.iter().map(|item| Section::new(format!("[[{name}]]"), Some(item), self.report)).collect()
    }

    /// Whether nothing stands at `name`, right or wrong. What is no table at all was noted, and lacks nothing.
    pub(super) fn lacks(&self, name: &str) -> bool {
        self.table.is_some_and(|table| !table.contains_key(name))
    }

    /// Whether something stands at `name`, right or wrong.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    /// The one of these keys that is written first, right or wrong, and where.
    pub(super) fn first_of(&self, names: &[&'static str]) -> Option<(&'static str, Span)> {
        let written = names.iter().filter_map(|name| Some((*name, self.table?.get(*name)?.span())));
        written.min_by_key(|(_, span)| span.start)
    }

    /// Refuses a duration that is longer than the one that is its bound, at the one of them that is written.
    pub(super) fn refuse_longer(
        &self,
        (key, found): (&ManifestKey<measure::Duration>, &Sourced<Duration>),
        (bound_key, bound): (&ManifestKey<measure::Duration>, &Sourced<Duration>),
    ) {
        // What is wrong was noted, and its default is not what was meant.
        let wrong = |name: &str, found: &Sourced<Duration>| self.has(name) && found.span().is_none();
        let (name, bound_name) = (key.name, bound_key.name);
        if found.value <= bound.value || wrong(name, found) || wrong(bound_name, bound) {
            return;
        }
        let (longer, shorter) = (measure::shown(found.value), measure::shown(bound.value));
        let message = format!("`{name}` ({longer}) is longer than `{bound_name}` ({shorter})");
        let place = if found.span().is_some() { &found.place } else { &bound.place };
        let help = format!("make `{name}` shorter, or `{bound_name}` longer");
        self.report.push_if_whole(place.clone(), message, help);
    }

    /// What is written for `key`; `None` when it is absent or wrong (and then it was noted).
    pub(super) fn find<K: ValueKind>(&mut self, key: &'static ManifestKey<K>) -> Option<Sourced<K::Value>> {
        #[cfg(test)]
        self.report.declare(&self.title, key);
        let value = self.raw(key.name)?;
        self.read(key, value, ValueOrigin::Text(value.span()))
    }

    /// The value of `key`: written, or its default.
    pub(super) fn get<K: ValueKind>(&mut self, key: &'static ManifestKey<K>) -> K::Value {
        self.get_found(key).value
    }

    /// Like [`Section::get`], with its place.
    pub(super) fn get_found<K: ValueKind>(&mut self, key: &'static ManifestKey<K>) -> Sourced<K::Value> {
        self.find(key).unwrap_or_else(|| Sourced { value: key.default(), place: ValueOrigin::Absent })
    }

    /// Like [`Section::get_found`], but `variable` of the environment goes first. What it hides is checked all the same.
    pub(super) fn get_or_variable<K: ValueKind>(
        &mut self,
        key: &'static ManifestKey<K>,
        variable: &'static str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Sourced<K::Value> {
        let written = self.find(key);
        let set = env(variable).filter(|text| !text.is_empty()).and_then(|text| {
            let value = Spanned::new(0..0, DeValue::String(text.into()));
            self.read(key, &value, ValueOrigin::Variable(variable))
        });
        set.or(written).unwrap_or_else(|| Sourced { value: key.default(), place: ValueOrigin::Absent })
    }

    fn read<K: ValueKind>(
        &self,
        key: &ManifestKey<K>,
        value: &Spanned<DeValue<'_>>,
        place: ValueOrigin,
    ) -> Option<Sourced<K::Value>> {
        match key.kind.read(value) {
            Ok(value) => Some(Sourced { value, place }),
            Err(problems) => {
                for problem in problems {
                    // A variable has no span of its own; in the text the problem's is the narrower one.
                    let (place, subject) = match &place {
                        ValueOrigin::Text(_) => (ValueOrigin::Text(problem.span), format!("`{}` ", key.name)),
                        other => (other.clone(), String::new()),
                    };
                    self.report.push(place, format!("{subject}{}", problem.says), problem.help);
                }
                None
            }
        }
    }

    /// Refuses every key that nothing asked for.
    pub(super) fn close(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if !self.asked.contains(&name) {
                let help = did_you_mean(name, self.asked.iter().copied(), "the keys known here");
                let message = format!("unknown key `{name}` in {}", self.title);
                self.report.push(ValueOrigin::Text(key.span()), message, help);
            }
        }
    }
}
