//! One table of the manifest, which is read key by key. A key that nothing reads is a finding.

use super::finding::{Span, ValueOrigin};
use super::key::{ManifestKey, Sourced};
use super::kind::ValueKind;
use super::measure::{self, DurationKind};
use super::report::Report;
use super::suggest::did_you_mean;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The name of the manifest's own table in errors.
const ROOT: &str = "the manifest";

/// One table of the manifest while it is read.
pub(crate) struct Section<'a> {
    /// Its name in errors: `[service.users]`.
    title: String,
    /// The span of its header, or of its braces.
    pub(crate) span: Span,
    table: Option<&'a DeTable<'a>>,
    /// The names of the keys that were read so far.
    known: Vec<&'static str>,
    /// Keys that were reported as what they are.
    refused: Vec<String>,
    pub(crate) report: &'a Report,
}

impl<'a> Section<'a> {
    /// The table `value`. If it is absent or is not a table, the section has no keys.
    fn new(title: String, value: Option<&'a Spanned<DeValue<'a>>>, report: &'a Report) -> Self {
        let table = value.and_then(|value| value.get_ref().as_table());
        if let Some(value) = value.filter(|_| table.is_none()) {
            let help = "write it as a section with its keys below, or in braces: { key = value }";
            report.push(ValueOrigin::Text(value.span()), format!("{title} must be a table"), help);
        }
        let span = value.map_or(0..0, Spanned::span);
        Self { title, span, table, known: Vec::new(), refused: Vec::new(), report }
    }

    /// The manifest as a whole.
    pub(crate) fn root(table: &'a DeTable<'a>, report: &'a Report) -> Self {
        Self { title: ROOT.into(), span: 0..0, table: Some(table), known: Vec::new(), refused: Vec::new(), report }
    }

    fn raw(&mut self, name: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(name);
        self.table?.get(name)
    }

    /// The table `name` inside this one.
    pub(crate) fn section(&mut self, name: &'static str) -> Section<'a> {
        let title = match self.title.as_str() {
            ROOT => format!("[{name}]"),
            title => format!("`{name}` of {title}"),
        };
        Section::new(title, self.raw(name), self.report)
    }

    /// The tables `[name.KEY]`, each with its key.
    pub(crate) fn sections(&mut self, name: &'static str) -> Vec<(Spanned<&'a str>, Section<'a>)> {
        let all = Section::new(format!("[{name}.NAME]"), self.raw(name), self.report);
        let entries = all.table.into_iter().flatten();
        entries
            .map(|(key, value)| {
                let title = format!("[{name}.{}]", key.get_ref());
                (Spanned::new(key.span(), key.get_ref().as_ref()), Section::new(title, Some(value), self.report))
            })
            .collect()
    }

    /// The tables `[[name]]`, in the order of the text.
    pub(crate) fn list(&mut self, name: &'static str) -> Vec<Section<'a>> {
        let Some(value) = self.raw(name) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            let message = format!("`{name}` must be a list of tables");
            let help = format!("write [[{name}]], in double brackets, above each");
            self.report.push(ValueOrigin::Text(value.span()), message, help);
            return Vec::new();
        };
        let title = match self.title.as_str() {
            ROOT => format!("[[{name}]]"),
            title => format!("`{name}` of {title}"),
        };
        items.iter().map(|item| Section::new(title.clone(), Some(item), self.report)).collect()
    }

    /// Whether the section was read as it was meant, as far as syntax goes: no line with a syntax error is in the part
    /// of the text that reaches from its first line to the header that follows its last key. Keys in that part may be
    /// lost, or a header, so that the keys below it seem to be this section's.
    pub(crate) fn is_whole(&self) -> bool {
        let text = &self.report.source.text;
        let last = self.table.map_or(self.span.end, |table| last_end(table, self.span.end));
        let end = text.get(last..).and_then(|rest| rest.find("\n[")).map_or(text.len(), |length| last + length);
        !self.report.is_broken(&(self.span.start..end))
    }

    /// Whether the key `name` is not written, neither right nor wrong. False if the section is not a table: that is a
    /// finding already, so none of its keys is called missing.
    pub(crate) fn lacks(&self, name: &str) -> bool {
        self.table.is_some_and(|table| !table.contains_key(name))
    }

    /// Whether the key `name` is written, right or wrong.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(name))
    }

    /// Whether the key `name` is written as a table.
    pub(crate) fn is_table(&self, name: &str) -> bool {
        self.table.and_then(|table| table.get(name)).is_some_and(|value| value.get_ref().is_table())
    }

    /// Keeps the text of the key `name` out of every error, if it is a text and not a reference to one; if it is a
    /// table, the texts in it.
    pub(crate) fn hide_text(&self, name: &str) {
        let value = self.table.and_then(|table| table.get(name));
        let within = value.and_then(|value| value.get_ref().as_table()).into_iter().flat_map(|table| table.values());
        for text in value.into_iter().chain(within).filter(|value| value.get_ref().is_str()) {
            let span = text.span();
            if span.len() > 2 {
                // The quotes stay.
                self.report.source.hide(span.start + 1..span.end - 1);
            }
        }
    }

    /// Of these keys the one that is written first, right or wrong, and where.
    pub(crate) fn first_of(&self, names: &[&'static str]) -> Option<(&'static str, Span)> {
        let written = names.iter().filter_map(|name| Some((*name, self.table?.get(*name)?.span())));
        written.min_by_key(|(_, span)| span.start)
    }

    /// Reports a duration that is longer than its bound, which is another key. The finding is at the one of the two
    /// that is written.
    pub(crate) fn refuse_longer(
        &self,
        (key, found): (&ManifestKey<DurationKind>, &Sourced<Duration>),
        (bound_key, bound): (&ManifestKey<DurationKind>, &Sourced<Duration>),
    ) {
        // A wrong value is a finding already, and its default is not what was meant.
        let wrong = |name: &str, found: &Sourced<Duration>| self.has(name) && found.span().is_none();
        let (name, bound_name) = (key.name, bound_key.name);
        if found.value <= bound.value || wrong(name, found) || wrong(bound_name, bound) {
            return;
        }
        let (longer, shorter) = (measure::as_written(found.value), measure::as_written(bound.value));
        let message = format!("`{name}` ({longer}) is longer than `{bound_name}` ({shorter})");
        let origin = if found.span().is_some() { &found.origin } else { &bound.origin };
        let help = format!("make `{name}` shorter, or `{bound_name}` longer");
        self.report.push_if_whole(origin.clone(), message, help);
    }

    /// The written value of `key`. `None` if it is absent, or if it is wrong and was reported.
    pub(crate) fn find<K: ValueKind>(&mut self, key: &'static ManifestKey<K>) -> Option<Sourced<K::Value>> {
        #[cfg(test)]
        self.report.declare(&self.title, key);
        let value = self.raw(key.name)?;
        self.read(key, value, ValueOrigin::Text(value.span()))
    }

    /// The value of `key`: the written one, or its default.
    pub(crate) fn get<K: ValueKind>(&mut self, key: &'static ManifestKey<K>) -> K::Value {
        self.get_sourced(key).value
    }

    /// Like [`Section::get`], with the value's origin.
    pub(crate) fn get_sourced<K: ValueKind>(&mut self, key: &'static ManifestKey<K>) -> Sourced<K::Value> {
        self.find(key).unwrap_or_else(|| Sourced { value: key.default(), origin: ValueOrigin::Absent })
    }

    /// Like [`Section::get_sourced`], but the environment variable `variable` overrides the written value, which is
    /// checked all the same.
    pub(crate) fn get_or_variable<K: ValueKind>(
        &mut self,
        key: &'static ManifestKey<K>,
        variable: &'static str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Sourced<K::Value> {
        let found = self.find_or_variable(key, variable, env);
        found.unwrap_or_else(|| Sourced { value: key.default(), origin: ValueOrigin::Absent })
    }

    /// The value of the variable, or that of the key if the variable is not set, is empty or is wrong.
    pub(crate) fn find_or_variable<K: ValueKind>(
        &mut self,
        key: &'static ManifestKey<K>,
        variable: &'static str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Sourced<K::Value>> {
        let written = self.find(key);
        let set = env(variable).filter(|text| !text.is_empty()).and_then(|text| {
            let value = Spanned::new(0..0, DeValue::String(text.into()));
            self.read(key, &value, ValueOrigin::Variable(variable))
        });
        set.or(written)
    }

    fn read<K: ValueKind>(
        &self,
        key: &ManifestKey<K>,
        value: &Spanned<DeValue<'_>>,
        origin: ValueOrigin,
    ) -> Option<Sourced<K::Value>> {
        match key.kind.read(value) {
            Ok(value) => Some(Sourced { value, origin }),
            Err(errors) => {
                for error in errors {
                    // A variable has no span. In the text, the error's span is narrower than the value's: one item of a
                    // list.
                    let (origin, subject) = match &origin {
                        ValueOrigin::Text(_) => (ValueOrigin::Text(error.span), format!("`{}` ", key.name)),
                        other => (other.clone(), String::new()),
                    };
                    self.report.push(origin, format!("{subject}{}", error.message), error.help);
                }
                None
            }
        }
    }

    /// Reports every table that was not read, each with the message and the help that `explain` makes of the names that
    /// lead to it: a name with dots that stands in no quotes is a table in a table.
    pub(crate) fn refuse_tables(&mut self, explain: impl Fn(&str) -> (String, String)) {
        let Some(table) = self.table else { return };
        for (key, value) in table {
            let mut names = key.get_ref().to_string();
            let (mut inner, mut unread) = (value, !self.known.contains(&key.get_ref().as_ref()));
            unread &= value.get_ref().is_table();
            // `a.b.c` is one table in another, and nothing else is in them.
            while let Some(below) = inner.get_ref().as_table().filter(|below| below.len() == 1)
                && let Some((name, value)) = below.iter().next()
                && value.get_ref().is_table()
            {
                names = format!("{names}.{}", name.get_ref());
                inner = value;
            }
            if unread {
                let (message, help) = explain(&names);
                self.report.push(ValueOrigin::Text(key.span()), message, help);
                self.refused.push(key.get_ref().to_string());
            }
        }
    }

    /// Reports every key that was not read.
    pub(crate) fn close(self) {
        for (key, _) in self.table.into_iter().flatten() {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) && !self.refused.iter().any(|refused| refused == name) {
                let help = did_you_mean(name, self.known.iter().copied(), "the keys known here");
                let message = format!("unknown key `{name}` in {}", self.title);
                self.report.push(ValueOrigin::Text(key.span()), message, help);
            }
        }
    }
}

/// The end of the last value in `table` and the tables within it; at least `end`.
fn last_end(table: &DeTable<'_>, end: usize) -> usize {
    table.iter().fold(end, |end, (_, value)| {
        let end = end.max(value.span().end);
        value.get_ref().as_table().map_or(end, |inner| last_end(inner, end))
    })
}
