//! The verbs of the cluster's nodes.

use super::client::Client;
use super::layout::Side::{Left, Right};
use super::layout::{Side, lay_out, none};
use super::output::Output;
use super::terminal;
use crate::admin::{NodeServiceView, NodeView, NodesView};
use crate::config::duration;
use clap::Subcommand;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often a drain looks whether the node has ended its calls.
const LOOK: Duration = Duration::from_millis(500);

/// What can be done with nodes.
#[derive(Debug, Subcommand)]
pub(super) enum NodeVerb {
    /// List the nodes of the cluster, as the host that is asked knows them
    List {
        #[command(flatten)]
        output: Output,
    },
    /// Take a node out: it gets no calls from other nodes, and ends those that it has
    ///
    /// Its `/readyz` answers 503, so that a balancer in front sends nothing more. The
    /// order lasts, through restarts of the node too, until `atoll node uncordon`.
    #[command(verbatim_doc_comment)]
    Drain {
        /// The node, as `atoll node list` names it
        name: String,
        /// Wait at most so long until it has no calls under way
        #[arg(long, default_value = "30s", value_parser = patience)]
        wait: Duration,
    },
    /// Let a node take calls, and no further replicas
    Cordon {
        /// The node
        name: String,
    },
    /// Take a drain or a cordon back
    Uncordon {
        /// The node
        name: String,
    },
}

fn patience(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "write it as 30s or 2m".to_owned())
}

/// Executes the verb.
pub(super) async fn node(client: &Client, verb: NodeVerb) -> anyhow::Result<String> {
    match verb {
        NodeVerb::List { output } => client.show("/v1/nodes", output, nodes).await,
        NodeVerb::Drain { name, wait } => drain(client, &name, wait).await,
        NodeVerb::Cordon { name } => Ok(ordered(&order(client, &name, "cordon").await?)),
        NodeVerb::Uncordon { name } => {
            // Its row may still say what it was.
            let node = order(client, &name, "uncordon").await?;
            Ok(format!("node {} takes calls again, when it has heard of it", node.name))
        }
    }
}

async fn order(client: &Client, name: &str, order: &str) -> anyhow::Result<NodeView> {
    let name = super::client::percent_encoded(name);
    Ok(client.post(&format!("/v1/nodes/{name}/{order}"), &serde_json::json!({})).await?)
}

fn ordered(node: &NodeView) -> String {
    format!("node {} is {}", node.name, node.standing)
}

fn under_way(node: &NodeView) -> u32 {
    node.services.iter().map(|service| service.load).fold(0, u32::saturating_add)
}

async fn drain(client: &Client, name: &str, wait: Duration) -> anyhow::Result<String> {
    let node = order(client, name, "drain").await?;
    terminal::note(&ordered(&node));
    let deadline = Instant::now() + wait;
    loop {
        let view: NodesView = client.read(&client.get("/v1/nodes").await?)?;
        match view.nodes.iter().find(|node| node.name == name) {
            None => return Ok(format!("node {name} is gone")),
            Some(node) if under_way(node) == 0 => return Ok(format!("node {name} has no calls under way")),
            Some(node) => anyhow::ensure!(
                Instant::now() < deadline,
                "node {name} still has about {} calls under way: wait longer, or stop it, which cuts them off after \
                 its own drain",
                under_way(node)
            ),
        }
        sleep(LOOK).await;
    }
}

/// The nodes, one in each row, and below them what is wrong with the table.
fn nodes(view: &NodesView) -> String {
    const COLUMNS: [(&str, Side); 6] =
        [("NODE", Left), ("ZONE", Left), ("STANDING", Left), ("ADDRESS", Left), ("SERVICES", Right), ("LOAD", Right)];
    let row = |node: &NodeView| {
        let name = if node.own { format!("{}*", node.name) } else { node.name.clone() };
        let zone = node.zone.clone().unwrap_or_else(none);
        let (services, load) = (node.services.len().to_string(), under_way(node).to_string());
        [name, zone, node.standing.clone(), node.address.clone(), services, load]
    };
    lay_out(COLUMNS, view.nodes.iter().map(row)) + &notes(view)
}

/// What each node serves, one service in each row.
pub(super) fn everywhere(view: &NodesView) -> String {
    const COLUMNS: [(&str, Side); 6] =
        [("SERVICE", Left), ("NODE", Left), ("ZONE", Left), ("REVISION", Left), ("REPLICAS", Right), ("LOAD", Right)];
    let mut all: Vec<(&NodeServiceView, &NodeView)> =
        view.nodes.iter().flat_map(|node| node.services.iter().map(move |service| (service, node))).collect();
    all.sort_by(|(one, a), (other, b)| (&one.name, &a.name).cmp(&(&other.name, &b.name)));
    let row = |(service, node): (&NodeServiceView, &NodeView)| {
        let standing = if node.standing == "living" { String::new() } else { format!(" ({})", node.standing) };
        let zone = node.zone.clone().unwrap_or_else(none);
        let [replicas, load] = [service.replicas, service.load].map(|count| count.to_string());
        [service.name.clone(), format!("{}{standing}", node.name), zone, service.revision.clone(), replicas, load]
    };
    lay_out(COLUMNS, all.into_iter().map(row)) + &notes(view)
}

fn notes(view: &NodesView) -> String {
    let stale = view.stale_ms.map(|time| format!("NATS has told nothing for {} s: these were the last", time / 1000));
    let lease = view.lease_age_ms.is_none().then(|| "the host that answers has no lease of its own".to_owned());
    let doubted = (view.doubted > 0).then(|| format!("{} of them have no lease", view.doubted));
    let notes: Vec<_> = [stale, lease, doubted].into_iter().flatten().collect();
    if notes.is_empty() { String::new() } else { format!("\n{}\n", notes.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_and_their_services_are_rows() {
        let node = |name: &str, own, standing: &str| NodeView {
            name: name.into(),
            own,
            incarnation: "00000000000000ff".into(),
            zone: own.then(|| "z1".into()),
            address: format!("{name}:7070"),
            standing: standing.into(),
            services: vec![NodeServiceView {
                name: "users".into(),
                revision: "aaaaaaaaaaaa".into(),
                digest: "a".repeat(64),
                replicas: 2,
                load: 4,
            }],
        };
        let all = vec![node("a", true, "living"), node("b", false, "draining")];
        let view = NodesView { nodes: all, stale_ms: None, lease_age_ms: Some(1), doubted: 0 };
        let expected = "\
NODE  ZONE  STANDING  ADDRESS  SERVICES  LOAD
a*    z1    living    a:7070          1     4
b     -     draining  b:7070          1     4
";
        assert_eq!(nodes(&view), expected);
        let expected = "\
SERVICE  NODE          ZONE  REVISION      REPLICAS  LOAD
users    a             z1    aaaaaaaaaaaa         2     4
users    b (draining)  -     aaaaaaaaaaaa         2     4

NATS has told nothing for 12 s: these were the last
the host that answers has no lease of its own
1 of them have no lease
";
        let stale = NodesView { stale_ms: Some(12_345), lease_age_ms: None, doubted: 1, ..view };
        assert_eq!(everywhere(&stale), expected);
    }
}
