//! `request_headers`, `answer_headers` and `security_headers` of `[[route]]`.

use super::reader::finding::ValueOrigin;
use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::{FlagKind, KindError, ListKind, TableKind, ValueKind, refused};
use super::reader::section::Section;
use super::route_call::HeaderNameKind;
use crate::gateway::{AnswerEdits, HeaderEdits, why_fixed};
use http::{HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeValue;

static REMOVE: ManifestKey<ListKind<HeaderNameKind>> = ManifestKey::new(
    "remove",
    ListKind { of: HeaderNameKind, max: 64 },
    "[]",
    "The fields that are taken out, before the others are set and added: `[\"X-Debug\"]`.",
);
static SET: ManifestKey<TableKind<HeaderValueKind>> = ManifestKey::new(
    "set",
    TableKind(HeaderValueKind),
    "{}",
    "The fields that get this value in place of all that they had: `{ Cache-Control = \"no-cache\" }`.",
);
static ADD: ManifestKey<TableKind<HeaderValueKind>> = ManifestKey::new(
    "add",
    TableKind(HeaderValueKind),
    "{}",
    "The fields that get one line more: `{ Link = \"</app.css>; rel=preload; as=style\" }`.",
);
static SECURITY: ManifestKey<FlagKind> = ManifestKey::new(
    "security_headers",
    FlagKind,
    "false",
    "Whether answers tell browsers to be careful: `X-Content-Type-Options`, `Content-Security-Policy` (no frames of \
     other sites), `X-Frame-Options`, `Referrer-Policy` and `Cross-Origin-Opener-Policy`. A field that the service \
     sends itself stays as it is.",
);

/// The value of a field.
struct HeaderValueKind;

impl ValueKind for HeaderValueKind {
    type Value = HeaderValue;

    fn accepts(&self) -> String {
        "the value of a header".into()
    }

    fn help(&self) -> String {
        "write it in quotes, of visible ASCII characters and blanks between them".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<HeaderValue, Vec<KindError>> {
        let text = value.get_ref().as_str().filter(|text| text.trim() == *text && text.is_ascii());
        text.and_then(|text| HeaderValue::from_str(text).ok()).ok_or_else(|| refused(self, value))
    }
}

/// What the route changes in requests; `None`: nothing. Only a route to a service that speaks HTTP has a request to
/// change.
pub(super) fn requests(parent: &mut Section<'_>) -> Option<Arc<HeaderEdits>> {
    let edits = read(parent, "request_headers", false);
    if let Some((other, _)) = parent.first_of(&["call", "files", "redirect"])
        && let Some((name, span)) = parent.first_of(&["request_headers"])
    {
        let message = format!("`{name}` has no effect with `{other}`");
        parent.report.push(ValueOrigin::Text(span), message, "leave it out: nothing gets the request's headers");
    }
    (!edits.is_empty()).then(|| Arc::new(edits))
}

/// What the route changes in answers; `None`: nothing.
pub(super) fn answers(parent: &mut Section<'_>) -> Option<Arc<AnswerEdits>> {
    let answer = AnswerEdits { security: parent.get(&SECURITY), edits: read(parent, "answer_headers", true) };
    (answer.security || !answer.edits.is_empty()).then(|| Arc::new(answer))
}

fn read(parent: &mut Section<'_>, name: &'static str, of_answer: bool) -> HeaderEdits {
    let mut section = parent.section(name);
    let remove = section.get(&REMOVE);
    let (set, add) = (section.get_sourced(&SET), section.get_sourced(&ADD));
    let check = |name: &str, origin: ValueOrigin| {
        let name = HeaderName::from_bytes(name.as_bytes());
        match name.map(|name| (why_fixed(&name, of_answer), name)) {
            Ok((None, name)) => Some(name),
            Ok((Some(why), name)) => {
                let help = format!("leave it out: {why}");
                section.report.push(origin, format!("no route may change the header `{name}`"), help);
                None
            }
            Err(_) => {
                let help = "a name has letters, digits and `-`";
                section.report.push(origin, "this is not the name of a header", help);
                None
            }
        }
    };
    let named = |values: Sourced<BTreeMap<String, HeaderValue>>| -> Vec<(HeaderName, HeaderValue)> {
        let Sourced { value, origin } = values;
        value.into_iter().filter_map(|(name, value)| Some((check(&name, origin.clone())?, value))).collect()
    };
    let removed = remove.into_iter().filter_map(|name| check(name.get_ref(), ValueOrigin::Text(name.span())));
    let at = set.origin.clone();
    let edits = HeaderEdits { remove: removed.collect(), set: named(set), add: named(add) };
    for name in edits.remove.iter().filter(|name| edits.set.iter().any(|(set, _)| set == *name)) {
        let message = format!("`remove` has no effect on `{name}`, which `set` sets");
        section.report.push(at.clone(), message, "leave it out of one of them: `set` replaces all lines of a field");
    }
    section.close();
    edits
}
