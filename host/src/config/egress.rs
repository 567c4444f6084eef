//! `egress` of a `[service.NAME]`: the outside hosts that it may send requests to.

use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::{FlagKind, ListKind, TextKind};
use super::reader::pair::PairKind;
use super::reader::section::Section;
use crate::egress::{Allow, EgressRule};
use toml::Spanned;

static EGRESS: ManifestKey<ListKind<PairKind<TextKind, FlagKind>>> = ManifestKey::new(
    "egress",
    ListKind { of: PairKind { name: "to", of: TextKind { min: 1 }, extra: &PRIVATE }, max: 256 },
    "[]",
    "The outside hosts that its component may send requests to, see below. Empty: none.",
);
/// Whether the rule also permits addresses that are not public.
static PRIVATE: ManifestKey<FlagKind> =
    ManifestKey::new("private", FlagKind, "false", "Whether addresses that are not public are permitted too.");

/// Reads the allow-list. A wrong rule is reported at its position.
pub(super) fn read(service: &mut Section<'_>) -> Allow {
    let report = service.report;
    let rules = service.get(&EGRESS).into_iter().filter_map(|item| {
        let (to, private) = item.into_inner();
        let rule = EgressRule::parse(to.get_ref(), private);
        let rule = rule.map_err(|error| report.push(ValueOrigin::Text(to.span()), error.to_string(), error.help()));
        Some(Spanned::new(to.span(), rule.ok()?))
    });
    Allow::new(report.distinct(rules.collect(), EgressRule::to_string))
}
