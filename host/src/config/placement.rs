//! `nodes` and `node_count` of a `[service.NAME]`: the nodes of the cluster on which its component has instances.

use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::kind::{CountKind, KindError, ListKind, ValueKind, refused};
use super::reader::report::Report;
use super::reader::section::Section;
use crate::membership::{NodeName, Placement, PlacementRule, ZoneName};
use toml::Spanned;
use toml::de::DeValue;

/// `node=NAME` or `zone=NAME`.
pub(super) struct PlacementKind;

impl ValueKind for PlacementKind {
    type Value = PlacementRule;

    fn accepts(&self) -> String {
        "\"node=NAME\" or \"zone=NAME\"".into()
    }

    fn help(&self) -> String {
        "write nodes as [cluster] names them: [\"zone=a\", \"node=b2\"]".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<PlacementRule, Vec<KindError>> {
        let rule = value.get_ref().as_str().and_then(|text| match text.split_once('=')? {
            ("node", name) => NodeName::new(name).ok().map(PlacementRule::Node),
            ("zone", name) => ZoneName::new(name).ok().map(PlacementRule::Zone),
            _ => None,
        });
        rule.ok_or_else(|| refused(self, value))
    }
}

static NODES: ManifestKey<ListKind<PlacementKind>> = ManifestKey::new(
    "nodes",
    ListKind { of: PlacementKind, max: 64 },
    "[]",
    "The nodes of the cluster on which the component has instances: `node=NAME`, or `zone=NAME` for all of a zone. \
     `replicas` is their number on each. Other nodes call it there. Empty: every node has instances of its own.",
);

static NODE_COUNT: ManifestKey<CountKind<u16>> = ManifestKey::without_default(
    "node_count",
    CountKind { min: 1, max: 64 },
    "On how many of the nodes in `nodes` the component has instances, spread over their zones. Each node reckons it \
     from what it knows of the others; when one is gone, another one takes its place. Absent: on all of them.",
);

/// Which node of the cluster reads the manifest.
#[derive(Debug, Clone, Copy)]
pub(super) struct OwnPlace<'a> {
    pub(super) node: &'a NodeName,
    pub(super) zone: Option<&'a ZoneName>,
    /// Whether all nodes have the data of services in one place.
    pub(super) shares_state: bool,
}

/// Where a service stands.
pub(super) struct ServicePlace {
    /// Whether it may have instances on this node.
    pub(super) here: bool,
    /// On how many nodes it stands, if the manifest says so and this node may be one of them.
    pub(super) placement: Option<Placement>,
    /// Where `node_count` is written.
    origin: ValueOrigin,
}

/// Reads `nodes` and `node_count` of a service. `own`: `None`, if this host calls no other node.
pub(super) fn read(service: &mut Section<'_>, own: Option<OwnPlace<'_>>) -> ServicePlace {
    let report = service.report;
    let (written, count) = (service.get_sourced(&NODES), service.find(&NODE_COUNT));
    let nodes = written.origin.clone();
    let rules = report.distinct(written.value, PlacementRule::clone);
    let Some(own) = own else {
        let keys =
            [("nodes", (!rules.is_empty()).then_some(&nodes)), ("node_count", count.as_ref().map(|one| &one.origin))];
        for (key, origin) in keys.iter().filter_map(|(key, origin)| Some((key, (*origin)?))) {
            let message = format!("`{key}` has no effect, since this host calls no other node");
            report.push_if_whole(origin.clone(), message, "add [cluster] with a `certificate`, or leave it out");
        }
        return ServicePlace { here: true, placement: None, origin: ValueOrigin::Absent };
    };
    let (count, origin) = count.map_or((None, ValueOrigin::Absent), |one| (Some(one.value.into()), one.origin));
    let place = Placement { rules, count: count.unwrap_or(usize::MAX) };
    let here = place.permits(own.node, own.zone);
    ServicePlace { here, placement: Some(place).filter(|_| here && count.is_some()), origin }
}

impl ServicePlace {
    /// Refuses `node_count` for a service that is bound to its node: by data of its own, or by events.
    pub(super) fn refuse_bound(&self, report: &Report, own: Option<OwnPlace<'_>>, (state, events): (bool, bool)) {
        if matches!(self.origin, ValueOrigin::Absent) {
            return;
        }
        let shares = own.is_some_and(|own| own.shares_state);
        let (message, help) = if state && !shares {
            let message = "`node_count` moves a service from node to node, and the data of this one stay on theirs";
            (message, "keep the data in a database with `shared = true` in [state], or name one node in `nodes`")
        } else if events {
            let message = "`node_count` moves a service from node to node, and its topics stay on theirs";
            (message, "name its nodes in `nodes`, or let another service publish and subscribe for it")
        } else {
            return;
        };
        report.push_if_whole(self.origin.clone(), message, help);
    }
}
