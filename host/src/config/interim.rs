//! `interim` of `[[route]]`: whether clients get what a service sends before its answer.

use super::reader::key::{ManifestKey, Sourced};
use super::reader::kind::FlagKind;
use super::reader::section::Section;
use super::service::ServiceConfig;

static INTERIM: ManifestKey<FlagKind> = ManifestKey::new(
    "interim",
    FlagKind,
    "false",
    "Whether clients that speak HTTP/1.1 get the interim answers of the service (103 Early Hints, 102) as they come, \
     with their `Link` fields alone, which `answer_headers` changes as those of answers. Some clients take a 103 for \
     the answer. Only for a service with `urls` and without `http2`; not with `call` or `cache`.",
);

/// Whether the route passes interim answers of this service on. `caches`: it keeps answers.
pub(super) fn read(section: &mut Section<'_>, service: Option<&ServiceConfig>, caches: bool) -> bool {
    let Sourced { value: wanted, origin } = section.get_sourced(&INTERIM);
    let (message, help) = if section.has("call") {
        ("`interim` has no effect with `call`", "leave it out: a function sends nothing before its answer")
    } else if caches {
        let help = "leave one of them out: what comes for the cache may be the answer to several clients";
        ("`interim` has no effect with `cache`", help)
    } else if service.is_some_and(|one| one.component.is_some() && one.spec.addresses.urls.is_empty()) {
        ("`interim` needs a service with `urls`", "leave it out: a component sends nothing before its answer")
    } else if service.is_some_and(|service| service.spec.addresses.dial.http2) {
        let help = "leave one of them out: interim answers of a service come by HTTP/1.1 alone";
        ("`interim` needs a service without `http2`", help)
    } else {
        return wanted;
    };
    if wanted {
        section.report.push_if_whole(origin, message, help);
    }
    false
}
