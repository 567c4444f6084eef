//! `nodes` of a `[service.NAME]`: the nodes of the cluster on which its component has instances.

use super::reader::key::ManifestKey;
use super::reader::kind::{KindError, ListKind, ValueKind, refused};
use super::reader::section::Section;
use crate::membership::{NodeName, ZoneName};
use std::fmt;
use toml::Spanned;
use toml::de::DeValue;

/// Nodes, by one word of the manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PlacementRule {
    /// `node=a`: the node of this name.
    Node(NodeName),
    /// `zone=b`: those of this zone.
    Zone(ZoneName),
}

impl fmt::Display for PlacementRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name) => write!(f, "node={name}"),
            Self::Zone(name) => write!(f, "zone={name}"),
        }
    }
}

impl PlacementRule {
    /// Whether it names the node `node` of `zone`.
    pub(super) fn names(&self, node: &NodeName, zone: Option<&ZoneName>) -> bool {
        match self {
            Self::Node(own) => own == node,
            Self::Zone(own) => Some(own) == zone,
        }
    }
}

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

/// Which node of the cluster reads the manifest.
pub(super) type OwnPlace<'a> = (&'a NodeName, Option<&'a ZoneName>);

/// Reads `nodes` of a service: whether it has instances on the node `own`. `None`: this host calls no other node.
pub(super) fn stands_here(service: &mut Section<'_>, own: Option<OwnPlace<'_>>) -> bool {
    let report = service.report;
    let written = service.get_sourced(&NODES);
    let origin = written.origin.clone();
    let rules = report.distinct(written.value, PlacementRule::clone);
    if rules.is_empty() {
        return true;
    }
    let Some((node, zone)) = own else {
        let message = "`nodes` has no effect, since this host calls no other node";
        report.push_if_whole(origin, message, "add [cluster] with a `certificate`, or leave it out");
        return true;
    };
    rules.iter().any(|rule| rule.names(node, zone))
}
