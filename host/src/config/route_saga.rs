//! `saga` and `wait` of a `[[route]]`: a route that starts a saga, or shows one.

use super::matching::Matching;
use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::TextKind;
use super::reader::measure::{DurationKind, HOUR};
use super::reader::section::Section;
use super::reader::suggest::did_you_mean;
use super::saga::SagaConfig;
use crate::gateway::SagaRoute;
use crate::saga::bound;

/// The key that makes a route one of these.
pub(super) const NAME: &str = "saga";
/// What such a route has no use for, or what answers in place of a saga.
const EXCLUDED: [&str; 7] = ["service", "call", "files", "redirect", "websocket", "interim", "cache"];
/// The largest body of such a route, in bytes, if it does not say another.
pub(super) const BODY: u64 = bound::INPUT as u64;

static SAGA: ManifestKey<TextKind> = ManifestKey::without_default(
    NAME,
    TextKind { min: 1 },
    "The saga that a POST starts, and a GET shows whose path ends in its id. In place of a service.",
);
static WAIT: ManifestKey<DurationKind> = ManifestKey::new(
    "wait",
    DurationKind { min: 0, max: HOUR },
    r#""0s""#,
    "How long the answer to a start waits for the end of the saga, within `timeout`: 200 with the result, or 202. \
     Only with `saga`.",
);

/// Adds HEAD to the methods of a route that shows a saga by GET: as with `call`, the gateway itself answers both.
pub(super) fn with_head(saga: Option<&SagaRoute>, matching: &mut Matching) {
    if let (Some(_), Some(methods)) = (saga, &mut matching.methods) {
        let has = |name: &str| methods.value.iter().any(|method| method == name);
        if has("GET") && !has("HEAD") {
            methods.value.push("HEAD".into());
        }
    }
}

/// Reads both keys; `None` if the route leads to no saga, or to one that is not there, which is reported.
pub(super) fn read(section: &mut Section<'_>, sagas: &[SagaConfig]) -> Option<SagaRoute> {
    let (saga, wait) = (section.find(&SAGA), section.find(&WAIT));
    let report = section.report;
    if let Some(wait) = wait.as_ref().filter(|_| section.lacks(NAME)) {
        report.push_if_whole(wait.origin.clone(), "`wait` has no effect without `saga`", "leave it out");
    }
    let saga = saga?;
    if let Some((other, span)) = section.first_of(&EXCLUDED) {
        let message = format!("`{other}` and `saga` exclude each other");
        report.push(ValueOrigin::Text(span), message, "leave one of them out");
        return None;
    }
    let found = sagas.iter().find(|one| *one.definition.name == *saga.value);
    if found.is_none() {
        let names = sagas.iter().map(|one| &*one.definition.name);
        let help = did_you_mean(&saga.value, names, "the sagas of this manifest");
        report.push_if_whole(saga.origin.clone(), format!("there is no saga `{}`", saga.value), help);
    }
    let wait = wait.map_or(std::time::Duration::ZERO, |wait| wait.value);
    Some(SagaRoute { saga: found?.definition.name.clone(), wait })
}
