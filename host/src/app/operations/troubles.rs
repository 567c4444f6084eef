//! What does not work though the host serves, for `/readyz`: the part, and what it means. Everybody may ask for it, so
//! it tells no cause.

use crate::app::edge::edge_tls::EdgeTls;
use crate::cluster::Cluster;
use crate::listen::ServerTls;
use crate::node::NodeDuties;
use crate::telemetry::EdgeMetrics;

/// All of it, each part once.
pub(super) fn troubles(
    tls: Option<&EdgeTls>,
    edges: Option<&EdgeMetrics>,
    (cluster, duties): (Option<&Cluster>, &NodeDuties),
) -> Vec<(&'static str, String)> {
    let certificates = tls.and_then(certificates).map(|trouble| ("certificates", trouble));
    let audit = edges.and_then(|edges| edges.audit.as_ref()).filter(|audit| audit.is_failing());
    let audit = audit.map(|_| ("audit", "the file takes no lines; the log says why".to_owned()));
    let keys = edges.into_iter().flat_map(|edges| &edges.keys).filter(|keys| keys.is_away());
    let away: Vec<_> = keys.map(|keys| keys.policy()).collect();
    let keys = (!away.is_empty()).then(|| {
        let away = away.join(", ");
        ("keys", format!("those of these policies were not fetched, the last good ones count: {away}"))
    });
    let unproved = duties.is_unproved().then(|| {
        ("node", "other nodes refuse the certificate of this one, so they do not call it; the log says why".to_owned())
    });
    let outdated = (duties.is_outdated() && !duties.is_unproved()).then(|| {
        ("node", "the new files of its certificate cannot be used; those before serve on; the log says why".to_owned())
    });
    let nodes = cluster.and_then(cluster_trouble).map(|trouble| ("cluster", trouble));
    let nodes = nodes.into_iter().chain(unproved).chain(outdated);
    let failing: Vec<_> = duties.failing().iter().map(ToString::to_string).collect();
    let failing = (!failing.is_empty()).then(|| {
        let failing = failing.join(", ");
        ("services", format!("this node does not serve these as its cluster wants it: {failing}; the log says why"))
    });
    certificates.into_iter().chain(audit).chain(keys).chain(nodes).chain(failing).collect()
}

/// What does not work of the cluster.
fn cluster_trouble(cluster: &Cluster) -> Option<String> {
    let report = cluster.report();
    let troubles = [
        report.stale_for.map(|_| "NATS does not tell of the nodes: the last table is used"),
        report.taken.then_some("another process has the name of this node, which no other node sees"),
    ];
    let troubles: Vec<_> = troubles.into_iter().flatten().collect();
    (!troubles.is_empty()).then(|| format!("{}; the log says why", troubles.join("; ")))
}

fn certificates(tls: &EdgeTls) -> Option<String> {
    let which = |is_so: fn(&ServerTls) -> bool| {
        let names: Vec<_> = tls.named().filter(|(_, tls)| is_so(tls)).map(|(name, _)| name).collect();
        (!names.is_empty()).then(|| names.join(" and "))
    };
    let stale = which(ServerTls::is_stale);
    let stale = stale.map(|edges| format!("the new ones of the {edges} cannot be used; the old ones serve on"));
    let bare = which(ServerTls::is_bare);
    let bare = bare.map(|edges| format!("the {edges} has none yet, so each handshake fails"));
    let failed = which(|tls| tls.has_failed_order() && !tls.is_bare());
    let failed = failed.map(|edges| format!("that of the {edges} could not be renewed; the old one serves on"));
    let all: Vec<_> = [stale, bare, failed].into_iter().flatten().collect();
    (!all.is_empty()).then(|| format!("{}; the log says why", all.join("; ")))
}
