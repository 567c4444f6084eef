//! `egress` of a `[service.NAME]`: where it may send requests outside.

use crate::config::finding::ValueOrigin;
use crate::config::kind::{Flag, List, Text};
use crate::config::pair::Pair;
use crate::config::section::{ManifestKey, Section};
use crate::egress::{Allow, EgressRule};
use toml::Spanned;

static EGRESS: ManifestKey<List<Pair<Text, Flag>>> = ManifestKey {
    name: "egress",
    kind: List { of: Pair { name: "to", of: Text { min: 1 }, about: &PRIVATE }, max: 256 },
    default: Some("[]"),
};
/// Whether addresses that are not public are meant too.
static PRIVATE: ManifestKey<Flag> = ManifestKey { name: "private", kind: Flag, default: Some("false") };

const HELP: &str = "write scheme, host and port: \"https://api.example.com\", \"https://*.example.com:8443\"";

/// Reads the allow-list; a line that is wrong is noted at its place.
pub(super) fn read(service: &mut Section<'_>) -> Allow {
    let report = service.report;
    let rules = service.get(&EGRESS).into_iter().filter_map(|item| {
        let (to, private) = item.into_inner();
        let rule = EgressRule::parse(to.get_ref(), private);
        let rule = rule.map_err(|invalid| report.push_error(ValueOrigin::Text(to.span()), &invalid, HELP));
        Some(Spanned::new(to.span(), rule.ok()?))
    });
    Allow::new(report.distinct(rules.collect(), EgressRule::to_string))
}
