//! `cors` of a `[[route]]` and of `[gateway]`: which pages of other origins may use a route.

use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::{FlagKind, KindError, ListKind, ValueKind, refused};
use super::reader::measure::{DurationKind, HOUR};
use super::reader::section::Section;
use crate::gateway::{CorsPolicy, OriginPattern};
use http::{HeaderName, Method};
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeValue;

/// The most names in one list.
const MOST: usize = 64;

static ORIGINS: ManifestKey<ListKind<OriginKind>> = ManifestKey::new(
    "origins",
    ListKind { of: OriginKind, max: MOST },
    "[]",
    "The origins whose pages may read the answers: `\"https://shop.example\"`, `\"https://*.example.com\"` for all \
     names below one, or `\"*\"` for any. Empty: the gateway leaves CORS to the service.",
);
static METHODS: ManifestKey<ListKind<TokenKind>> = ManifestKey::new(
    "methods",
    ListKind { of: METHOD, max: MOST },
    "[]",
    "The methods that pages may use, or `\"*\"`. Empty: those of the route.",
);
static HEADERS: ManifestKey<ListKind<TokenKind>> = ManifestKey::new(
    "headers",
    ListKind { of: HEADER, max: MOST },
    "[]",
    "The request headers that pages may set beside those that need no permission, or `\"*\"` for any but \
     `Authorization`. JSON needs `\"content-type\"`.",
);
static EXPOSE: ManifestKey<ListKind<TokenKind>> = ManifestKey::new(
    "expose",
    ListKind { of: HEADER, max: MOST },
    "[]",
    "The headers of an answer that pages may read beside those that every page may, or `\"*\"`: \
     `[\"location\", \"x-request-id\"]`.",
);
static CREDENTIALS: ManifestKey<FlagKind> = ManifestKey::new(
    "credentials",
    FlagKind,
    "false",
    "Whether pages may send cookies, client certificates and passwords that the browser keeps. Then none of the lists \
     may have a `\"*\"`. A token that the page itself puts into `Authorization` needs `headers`, and not this.",
);
/// Firefox keeps an answer for 24 h at most, Chromium for 2 h (MDN, `Access-Control-Max-Age`).
static MAX_AGE: ManifestKey<DurationKind> = ManifestKey::new(
    "max_age",
    DurationKind { min: 0, max: 24 * HOUR },
    r#""10m""#,
    "How long a browser may keep the answer to a preflight, in whole seconds. No browser keeps it longer than a day.",
);

/// An origin, or a pattern of origins.
struct OriginKind;

impl ValueKind for OriginKind {
    type Value = OriginPattern;

    fn accepts(&self) -> String {
        "an origin".into()
    }

    fn help(&self) -> String {
        "write scheme and host in quotes: \"https://shop.example\"".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<OriginPattern, Vec<KindError>> {
        let text = value.get_ref().as_str().ok_or_else(|| refused(self, value))?;
        OriginPattern::parse(text).map_err(|error| {
            let mut errors = refused(self, value);
            errors.iter_mut().for_each(|refused| refused.help = error.0.into());
            errors
        })
    }
}

/// A token of HTTP, or `*`.
struct TokenKind {
    accepts: &'static str,
    help: &'static str,
    legal: fn(&str) -> bool,
}

const METHOD: TokenKind = TokenKind {
    accepts: "a method in capitals",
    help: "write it in quotes: \"GET\"; no page may send CONNECT, TRACE or TRACK",
    legal: |text| {
        // Fetch, "Methods": a browser sends none of these for a page.
        let forbidden = ["CONNECT", "TRACE", "TRACK"].contains(&text);
        Method::from_bytes(text.as_bytes()).is_ok() && !text.contains(|c: char| c.is_ascii_lowercase()) && !forbidden
    },
};
const HEADER: TokenKind = TokenKind {
    accepts: "the name of a header",
    help: "write it in quotes, of letters, digits and `-`: \"content-type\"",
    legal: |text| HeaderName::from_bytes(text.as_bytes()).is_ok(),
};

impl ValueKind for TokenKind {
    type Value = String;

    fn accepts(&self) -> String {
        self.accepts.into()
    }

    fn help(&self) -> String {
        self.help.into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let text = value.get_ref().as_str().filter(|text| (self.legal)(text));
        text.map(Into::into).ok_or_else(|| refused(self, value))
    }
}

/// The policy in `cors` of `parent`; `default` if `parent` has no `cors`.
pub(super) fn read(parent: &mut Section<'_>, default: Option<&Arc<CorsPolicy>>) -> Option<Arc<CorsPolicy>> {
    let written = parent.has("cors");
    let mut section = parent.section("cors");
    let origins = section.get(&ORIGINS);
    let (methods, headers) = (section.get(&METHODS), section.get(&HEADERS));
    let expose = section.get(&EXPOSE);
    let credentials = section.get(&CREDENTIALS);
    let max_age = section.get(&MAX_AGE);
    if credentials {
        refuse_wildcards(&section, &origins, &[&methods, &headers, &expose]);
    }
    section.close();
    if !written {
        return default.cloned();
    }
    let origins = unspanned(origins);
    let (methods, headers, expose) = (unspanned(methods), unspanned(headers), unspanned(expose));
    let policy = CorsPolicy::new(origins, &methods, &headers, &expose, credentials, max_age);
    policy.has_origins().then(|| Arc::new(policy))
}

fn unspanned<T>(items: Vec<Spanned<T>>) -> Vec<T> {
    items.into_iter().map(Spanned::into_inner).collect()
}

/// Reports each `*` beside `credentials = true`. As an origin it would open the accounts of all who are logged in to
/// every page; in the other lists a browser takes it for a name (Fetch, "CORS protocol and credentials").
fn refuse_wildcards(section: &Section<'_>, origins: &[Spanned<OriginPattern>], lists: &[&[Spanned<String>]]) {
    let origins = origins.iter().filter(|origin| *origin.get_ref() == OriginPattern::Any).map(Spanned::span);
    let names = lists.iter().copied().flatten().filter(|name| name.get_ref() == "*").map(Spanned::span);
    for span in origins.chain(names) {
        let help = "write each of them out, or leave `credentials` out";
        section.report.push(ValueOrigin::Text(span), "a `*` and `credentials = true` exclude each other", help);
    }
}
