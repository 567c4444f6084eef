//! `mirror` of `[[route]]`: which requests are also sent to another service.

use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::{CountKind, TextKind};
use super::reader::measure::{MIB, SizeKind, in_memory};
use super::reader::section::Section;
use super::resilience::ShareKind;
use super::service::Services;
use crate::gateway::Mirror;
use std::sync::Arc;

static MIRROR: ManifestKey<TextKind> = ManifestKey::without_default(
    "mirror",
    TextKind { min: 1 },
    "A service that gets a copy of requests. Its answers are dropped, and whatever becomes of a copy, the request does \
     not notice. A copy has `X-Atoll-Mirrored: 1`, and is sent once. Only with `service`.",
);
static SHARE: ManifestKey<ShareKind> =
    ManifestKey::new("mirror_share", ShareKind, r#""100%""#, "The share of the requests that are copied.");
static BODY: ManifestKey<SizeKind> = ManifestKey::new(
    "mirror_body",
    SizeKind { min: 0, max: 16 * MIB },
    r#""64KiB""#,
    "The longest body that is kept for a copy. A request with a longer one is not copied.",
);
static MOST: ManifestKey<CountKind<u16>> = ManifestKey::new(
    "mirror_concurrency",
    CountKind { min: 1, max: 1000 },
    "32",
    "The number of copies that are under way at the same time. Beyond it requests are not copied.",
);

/// How the requests of the route are copied; `None`: not at all.
pub(super) fn read(section: &mut Section<'_>, services: &Services) -> Option<Arc<Mirror>> {
    let report = section.report;
    let (named, share) = (section.find(&MIRROR), section.get(&SHARE));
    let (body, most) = (in_memory(section.get(&BODY)), usize::from(section.get(&MOST)));
    if section.lacks(MIRROR.name)
        && let Some((name, span)) = section.first_of(&[SHARE.name, BODY.name, MOST.name])
    {
        let message = format!("`{name}` has no effect without `mirror`");
        report.push(ValueOrigin::Text(span), message, "add mirror = \"NAME\", the service that gets the copies");
    }
    let named = named?;
    if let Some((other, _)) = section.first_of(&["call", "files", "redirect"]) {
        let message = format!("`mirror` has no effect with `{other}`");
        report.push(named.origin, message, "leave it out: only requests to a service that speaks HTTP are copied");
        return None;
    }
    let service = services.find(&named.value, &named.origin, report)?;
    Some(Arc::new(Mirror::new(service.spec.name.clone(), share, body, most)))
}
