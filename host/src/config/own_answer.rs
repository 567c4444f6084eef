//! The keys of a `[[route]]` that the gateway answers itself: with the files of a folder, or by another address.

use super::reader::file::{PathKind, RequiredPath};
use super::reader::finding::ValueOrigin;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{KindError, TextKind, ValueKind, refused, whole};
use super::reader::section::Section;
use crate::gateway::{Answerer, FilePath, Redirection, StaticFolder};
use crate::route::Rule;
use http::StatusCode;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeValue;

static FILES: ManifestKey<PathKind> = ManifestKey::without_default(
    "files",
    PathKind,
    "A folder whose files the gateway serves, in place of a service. A path, without `strip_prefix` or as `rewrite` \
     makes it, is that of a file below the folder; a folder's page is its `index.html`. A file beside it that ends in \
     `.br`, `.zst` or `.gz` is sent to clients that take it compressed.",
);
static FALLBACK: ManifestKey<TextKind> = ManifestKey::without_default(
    "fallback",
    TextKind { min: 1 },
    "The file of the folder that is served where there is none: `\"index.html\"` of a single-page application. Not in \
     place of a script, a style, an image and the like. Only with `files`.",
);
static REDIRECT: ManifestKey<TextKind> = ManifestKey::without_default(
    "redirect",
    TextKind { min: 1 },
    "The address to which clients are sent, in place of a service: `\"/users/{id}\"` or \
     `\"https://shop.example/{rest}\"`, with the parameters of `path`, or `{rest}` for what follows `prefix`. The \
     query is kept unless the address has one.",
);
static REDIRECT_STATUS: ManifestKey<RedirectStatusKind> = ManifestKey::new(
    "redirect_status",
    RedirectStatusKind,
    "308",
    "The status of the redirection. 308 and 301 are for good, 307 and 302 for now; 307 and 308 keep the method, and \
     303 makes it GET. Only with `redirect`.",
);

const FOLDER: RequiredPath = RequiredPath {
    name: "the folder",
    is_folder: true,
    wrong_type_help: "name a folder: all of its files are served",
    absent_help: "create it, or correct the path",
};

/// What such a route has no use for.
const USELESS: [&str; 5] = ["body", "websocket", "interim", "decompress", "cache"];
const USELESS_FOR_REDIRECT: [&str; 4] = ["strip_prefix", "rewrite", "timeout", "compress"];

/// The status of a redirection.
struct RedirectStatusKind;

impl ValueKind for RedirectStatusKind {
    type Value = StatusCode;

    fn accepts(&self) -> String {
        "301, 302, 303, 307 or 308".into()
    }

    fn help(&self) -> String {
        "write one of these numbers, without quotes".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<StatusCode, Vec<KindError>> {
        let status = whole(value.get_ref()).and_then(|number| StatusCode::from_u16(u16::try_from(number).ok()?).ok());
        status.filter(|status| matches!(status.as_u16(), 301..=303 | 307 | 308)).ok_or_else(|| refused(self, value))
    }
}

/// The values of these keys.
pub(super) struct OwnAnswerKeys {
    files: Option<Sourced<PathBuf>>,
    fallback: Option<Sourced<String>>,
    redirect: Option<Sourced<String>>,
    status: StatusCode,
}

impl OwnAnswerKeys {
    /// Reads the keys, and reports those that do not go together.
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let keys = Self {
            files: section.find(&FILES),
            fallback: section.find(&FALLBACK),
            redirect: section.find(&REDIRECT),
            status: section.get(&REDIRECT_STATUS),
        };
        let without = |name: &'static str, needed: &str| {
            if let Some((name, span)) = section.first_of(&[name]).filter(|_| section.lacks(needed)) {
                let message = format!("`{name}` has no effect without `{needed}`");
                section.report.push(ValueOrigin::Text(span), message, format!("add `{needed}`, or leave it out"));
            }
        };
        without(FALLBACK.name, FILES.name);
        without(REDIRECT_STATUS.name, REDIRECT.name);
        let answering = ["service", "call", FILES.name, REDIRECT.name];
        let written: Vec<_> = answering.into_iter().filter(|name| section.has(name)).collect();
        if let [first, second, ..] = written[..]
            && Self::are_own(&[first, second])
            && let Some((_, span)) = section.first_of(&[second])
        {
            let message = format!("`{first}` and `{second}` exclude each other");
            section.report.push(ValueOrigin::Text(span), message, "leave one of them out: one answers");
        }
        keys.refuse_useless(section);
        keys
    }

    /// Whether one of these keys is of this file; `service` and `call` are looked at where they are read.
    fn are_own(names: &[&str]) -> bool {
        names.contains(&FILES.name) || names.contains(&REDIRECT.name)
    }

    /// Reports a key that nothing reads on such a route.
    fn refuse_useless(&self, section: &Section<'_>) {
        let refuse = |names: &[&'static str], with: &str| {
            for name in names {
                if let Some((name, span)) = section.first_of(&[*name]) {
                    let message = format!("`{name}` has no effect with `{with}`");
                    section.report.push(ValueOrigin::Text(span), message, "leave it out: no service is called");
                }
            }
        };
        match (&self.files, &self.redirect) {
            (Some(_), _) => refuse(&USELESS, FILES.name),
            (None, Some(_)) => refuse(&[&USELESS[..], &USELESS_FOR_REDIRECT].concat(), REDIRECT.name),
            (None, None) => {}
        }
    }

    /// Whether the route names one of these answers, right or wrong.
    pub(super) fn are_written(section: &Section<'_>) -> bool {
        section.has(FILES.name) || section.has(REDIRECT.name)
    }

    /// The answer of a route with this rule; `None` if there is none, or it is wrong, which is reported. Relative paths
    /// begin at `folder`.
    pub(super) fn finish(self, section: &Section<'_>, rule: &Rule, folder: &Path) -> Option<Answerer> {
        let report = section.report;
        if let Some(files) = self.files {
            let before = report.count();
            let root = FOLDER.resolve(&files, folder, report);
            let fallback = self.fallback.and_then(|fallback| {
                let path = FilePath::parse(&format!("/{}", fallback.value)).filter(|path| !path.is_folder());
                let there = path.filter(|path| root.join(path.as_path()).is_file());
                if there.is_none() && report.count() == before {
                    let message = format!("there is no file `{}` in the folder", fallback.value);
                    report.push(fallback.origin, message, "name a file below the folder that may be served");
                }
                there
            });
            return Some(Answerer::Files(Arc::new(StaticFolder::new(root, fallback))));
        }
        let redirect = self.redirect?;
        let parameters: Vec<&str> = rule.parameters().collect();
        let parameters = (!rule.is_prefix()).then_some(parameters.as_slice());
        match Redirection::new(&redirect.value, parameters, self.status) {
            Ok(redirection) => Some(Answerer::Redirection(Arc::new(redirection))),
            Err(error) => {
                report.push(redirect.origin, format!("`{}` {}", redirect.value, error.message), error.help);
                None
            }
        }
    }
}
