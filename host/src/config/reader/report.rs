//! The findings of one manifest, collected while it is read.

use super::finding::{Finding, ManifestText, Span, ValueOrigin};
#[cfg(test)]
use super::key::ManifestKey;
#[cfg(test)]
use super::kind::ValueKind;
use super::private_file::PrivateFile;
use super::syntax;
use std::cell::RefCell;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;
use toml::Spanned;

/// What has been found so far.
pub(crate) struct Report {
    pub(crate) source: Arc<ManifestText>,
    /// The lines with syntax errors: a value that was read there may not be the one that was meant.
    broken: Vec<Span>,
    /// False if the text has syntax errors. Parts of the text are lost then, so nothing can be called missing.
    whole: bool,
    findings: RefCell<Vec<Finding>>,
    private_files: RefCell<Vec<PrivateFile>>,
    #[cfg(test)]
    pub(crate) keys: RefCell<Vec<KeyFacts>>,
}

/// What `docs/manifest.md` must say about a key.
#[cfg(test)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFacts {
    pub(crate) section: String,
    pub(crate) name: &'static str,
    pub(crate) accepts: String,
    pub(crate) default: Option<&'static str>,
    pub(crate) help: &'static str,
    pub(crate) schema: serde_json::Value,
}

impl Report {
    /// A report that begins with the findings of the parser.
    pub(crate) fn new(source: Arc<ManifestText>, syntax: Vec<Finding>) -> Self {
        Self {
            broken: syntax::lines_of(&syntax, &source.text),
            whole: syntax.is_empty(),
            source,
            findings: RefCell::new(syntax),
            private_files: RefCell::default(),
            #[cfg(test)]
            keys: RefCell::default(),
        }
    }

    /// Adds a problem of the value that came from `origin`. On a line with a syntax error it is dropped: the syntax
    /// error is the cause.
    pub(crate) fn push(&self, origin: ValueOrigin, message: impl Into<String>, help: impl Into<String>) {
        self.findings.borrow_mut().extend(self.finding(origin, message, help));
    }

    /// The finding that [`Report::push`] would add.
    pub(crate) fn finding(
        &self,
        origin: ValueOrigin,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Option<Finding> {
        let broken = matches!(&origin, ValueOrigin::Text(span) if self.is_broken(span));
        (!broken).then(|| Finding::new(self.source.clone(), origin, message, help))
    }

    /// Whether a line with a syntax error lies in this part of the text.
    pub(crate) fn is_broken(&self, span: &Span) -> bool {
        self.broken.iter().any(|line| span.start <= line.end && line.start <= span.end)
    }

    /// Whether the text has no syntax error.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    /// Adds that something is missing or does not fit the rest, unless the text has syntax errors: what seems to be
    /// missing may stand in the part that could not be read.
    pub(crate) fn push_if_whole(&self, origin: ValueOrigin, message: impl Into<String>, help: impl Into<String>) {
        if self.whole {
            self.push(origin, message, help);
        }
    }

    /// A file with a secret is named.
    pub(crate) fn note_private(&self, path: PathBuf, origin: ValueOrigin) {
        let mut files = self.private_files.borrow_mut();
        if !files.iter().any(|known| known.path == path) {
            files.push(PrivateFile { path, origin });
        }
    }

    /// The files with secrets that were named.
    pub(crate) fn take_private_files(&self) -> Vec<PrivateFile> {
        self.private_files.take()
    }

    /// The number of findings so far.
    pub(crate) fn count(&self) -> usize {
        self.findings.borrow().len()
    }

    /// The items without duplicates; each duplicate is a finding. An address that stood in the list twice, for example,
    /// would have two breakers, and each of them would count half of its failures.
    pub(crate) fn distinct<T, N: PartialEq + Display>(&self, items: Vec<Spanned<T>>, name: impl Fn(&T) -> N) -> Vec<T> {
        let (mut distinct, mut names) = (Vec::new(), Vec::new());
        for item in items {
            let name = name(item.get_ref());
            if names.contains(&name) {
                let origin = ValueOrigin::Text(item.span());
                self.push(origin, format!("`{name}` is there twice"), "write each of them once");
            } else {
                names.push(name);
                distinct.push(item.into_inner());
            }
        }
        distinct
    }

    /// The line in the text, from 1; 1 if `origin` is not in the text.
    pub(crate) fn line(&self, origin: &ValueOrigin) -> usize {
        let finding = Finding::new(self.source.clone(), origin.clone(), "", "");
        finding.position().map_or(1, |(line, _)| line)
    }

    #[cfg(test)]
    pub(super) fn declare<K: ValueKind>(&self, section: &str, key: &ManifestKey<K>) {
        let (section, accepts, schema) = (section.to_owned(), key.kind.accepts(), key.kind.schema());
        let facts = KeyFacts { section, name: key.name, accepts, default: key.default, help: key.help, schema };
        self.keys.borrow_mut().push(facts);
    }

    pub(crate) fn into_findings(self) -> Vec<Finding> {
        self.findings.into_inner()
    }
}
