//! `[cluster]`: the nodes that this host is one of.

use super::broker::{self, CERTIFICATES, NATS_PORT, server};
use super::cluster_calls::{self, ClusterCalls};
use super::edge_finding_key::EdgeFindingKey;
use super::listen_addresses::ListenAddresses;
use super::placement::OwnPlace;
use super::reader::address::SocketAddressKind;
use super::reader::file::PathKind;
use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::key_spans::KeySpans;
use super::reader::kind::{CountKind, KindError, ValueKind, refused};
use super::reader::measure::{DurationKind, MINUTE};
use super::reader::section::Section;
use crate::broker::NatsServers;
use crate::cluster::Settings;
use crate::membership::{NodeName, ZoneName};
use std::path::Path;
use toml::Spanned;
use toml::de::DeValue;

/// `nats://HOST:PORT`, with more servers after commas; `tls://` where only TLS will do.
struct NatsAddressKind;

impl ValueKind for NatsAddressKind {
    /// The servers, each `host:port`, and whether only TLS will do.
    type Value = (Vec<String>, bool);

    fn accepts(&self) -> String {
        "an address of NATS, as \"nats://127.0.0.1:4222\" or \"tls://a:4222,b:4222\"".into()
    }

    fn help(&self) -> String {
        "write nats:// or tls://, a host and perhaps a port; more servers of one NATS cluster follow after commas"
            .into()
    }

    #[cfg(test)]
    fn schema(&self) -> serde_json::Value {
        serde_json::json!({ "type": "string" })
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<KindError>> {
        let text = value.get_ref().as_str().ok_or_else(|| refused(self, value))?;
        if text.contains('@') {
            // Without the text: it has a secret.
            let help = "name the user in `user`, and refer to the secret by `password` or `token`".into();
            let message = "must not hold a user, a password or a token".into();
            return Err(vec![KindError { span: value.span(), message, help }]);
        }
        let (scheme, hosts) = text.split_once("://").ok_or_else(|| refused(self, value))?;
        let servers: Option<Vec<_>> = hosts.split(',').map(|text| server(text, NATS_PORT)).collect();
        let servers = servers.filter(|_| ["nats", "tls"].contains(&scheme)).ok_or_else(|| refused(self, value))?;
        Ok((servers, scheme == "tls"))
    }
}

/// The name of a node or a zone.
struct LabelKind(&'static str);

impl ValueKind for LabelKind {
    type Value = String;

    fn accepts(&self) -> String {
        format!("the name of {}, 1 to 63 of a-z, 0-9 and '-'", self.0)
    }

    fn help(&self) -> String {
        "use small letters, digits and '-', which stands neither first nor last".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let text = value.get_ref().as_str().filter(|text| NodeName::new(text).is_ok());
        text.map(Into::into).ok_or_else(|| refused(self, value))
    }
}

/// `host:port`, where others reach this node.
struct ReachedAtKind;

impl ValueKind for ReachedAtKind {
    type Value = String;

    fn accepts(&self) -> String {
        "a host and a port, as \"node-1.internal:7070\"".into()
    }

    fn help(&self) -> String {
        "write a host name or an IP address, `:` and a port".into()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<String, Vec<KindError>> {
        let authority = value.get_ref().as_str().and_then(|text| text.parse::<http::uri::Authority>().ok());
        let whole = |one: &http::uri::Authority| {
            !one.as_str().contains('@') && !one.host().is_empty() && one.port_u16().is_some_and(|port| port > 0)
        };
        authority.filter(whole).map(|one| one.to_string()).ok_or_else(|| refused(self, value))
    }
}

/// If it is set, it overrides `cluster.node`.
const NODE_VARIABLE: &str = "ATOLL_NODE";
/// If it is set, it overrides `cluster.zone`.
const ZONE_VARIABLE: &str = "ATOLL_ZONE";
/// If it is set, it overrides `cluster.nats`.
const NATS_VARIABLE: &str = "ATOLL_CLUSTER_NATS";
/// If it is set, it overrides `cluster.listen`.
const LISTEN_VARIABLE: &str = "ATOLL_CLUSTER_LISTEN";
/// If it is set, it overrides `cluster.address`.
const ADDRESS_VARIABLE: &str = "ATOLL_CLUSTER_ADDRESS";

static NATS: ManifestKey<NatsAddressKind> = ManifestKey::without_default(
    "nats",
    NatsAddressKind,
    "NATS with JetStream, server 2.11 or later, in which the nodes keep their table. The section needs it.",
);
static NAME: ManifestKey<LabelKind> = ManifestKey::new(
    "name",
    LabelKind("a cluster"),
    r#""atoll""#,
    "The name of the cluster: several may share one NATS.",
);
static NODE: ManifestKey<LabelKind> = ManifestKey::without_default(
    "node",
    LabelKind("a node"),
    "The name of this node, which no other node of the cluster has. The section needs it, or `ATOLL_NODE`, so that all \
     machines can have the same manifest.",
);
static ZONE: ManifestKey<LabelKind> = ManifestKey::without_default(
    "zone",
    LabelKind("a zone"),
    "Where this node is: nodes of one zone are near each other, and may fail together.",
);
static LISTEN: ManifestKey<SocketAddressKind> =
    ManifestKey::new("listen", SocketAddressKind, r#""127.0.0.1:7070""#, "The address to which other nodes connect.");
static ADDRESS: ManifestKey<ReachedAtKind> = ManifestKey::without_default(
    "address",
    ReachedAtKind,
    "Where other nodes reach this one, if that is not what `listen` says. It is required if `listen` is every network.",
);
static LEASE: ManifestKey<DurationKind> = ManifestKey::new(
    "lease",
    DurationKind { min: 2_000, max: MINUTE },
    r#""6s""#,
    "After so long without a word a node counts as gone: whole seconds. It renews its lease four times as often.",
);
static REPLICAS: ManifestKey<CountKind<u8>> = ManifestKey::new(
    "replicas",
    CountKind { min: 1, max: 5 },
    "1",
    "On how many servers of NATS the table is kept. It counts when the first node creates the table.",
);
static CA: ManifestKey<PathKind> = ManifestKey::without_default(
    "ca",
    PathKind,
    "A PEM file of root certificates, against which the certificate of NATS is checked. Absent: the roots of the \
     system. Only with `tls://`.",
);

/// The node that this host is, if it calls others. `shares_state`: whether all nodes have one place for data.
pub(super) fn own_place<'a>(
    cluster: &'a Option<Settings>,
    calls: &Option<ClusterCalls>,
    shares_state: bool,
) -> Option<OwnPlace<'a>> {
    let cluster = cluster.as_ref().filter(|_| calls.is_some());
    cluster.map(|cluster| OwnPlace { node: &cluster.node, zone: cluster.zone.as_ref(), shares_state })
}

/// Reads `[cluster]`: the node, and how it calls others. `None` without it.
pub(super) fn read(
    root: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    spans: &mut KeySpans<EdgeFindingKey>,
    listeners: &mut ListenAddresses,
) -> (Option<Settings>, Option<ClusterCalls>) {
    let (cluster, calls) = read_section(root, folder, env, spans, listeners).unzip();
    (cluster, calls.flatten())
}

fn read_section(
    root: &mut Section<'_>,
    folder: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    spans: &mut KeySpans<EdgeFindingKey>,
    listeners: &mut ListenAddresses,
) -> Option<(Settings, Option<ClusterCalls>)> {
    let (there, report) = (root.has("cluster"), root.report);
    let mut section = root.section("cluster");
    // Without the section the variables say nothing.
    let env: &dyn Fn(&str) -> Option<String> = if there { env } else { &|_| None };
    let nats = section.find_or_variable(&NATS, NATS_VARIABLE, env);
    let node = section.find_or_variable(&NODE, NODE_VARIABLE, env);
    let (name, zone) = (section.get(&NAME), section.find_or_variable(&ZONE, ZONE_VARIABLE, env));
    let before = report.count();
    let listen = section.get_or_variable(&LISTEN, LISTEN_VARIABLE, env);
    let is_meant = report.count() == before;
    let address = section.find_or_variable(&ADDRESS, ADDRESS_VARIABLE, env);
    let (lease, replicas) = (section.get_sourced(&LEASE), section.get(&REPLICAS));
    let span = section.span.clone();
    if there {
        let unset = |variable: &str| env(variable).is_none_or(|text| text.is_empty());
        let missing = |key: &str, help: &str| {
            report.push_if_whole(ValueOrigin::Text(span.clone()), format!("`[cluster]` has no `{key}`"), help);
        };
        if section.lacks(NATS.name) && unset(NATS_VARIABLE) {
            missing(NATS.name, "add nats = \"nats://127.0.0.1:4222\", or set ATOLL_CLUSTER_NATS");
        }
        if section.lacks(NODE.name) && unset(NODE_VARIABLE) {
            missing(NODE.name, "add node = \"a\", or set ATOLL_NODE on each machine");
        }
    }
    if address.is_none() && listen.value.ip().is_unspecified() {
        let message = "`listen` is every network, so nobody knows where this node is reached";
        report.push_if_whole(listen.origin.clone(), message, "add address = \"HOST:PORT\", or name one address");
    }
    if lease.value.subsec_millis() > 0 {
        let help = "NATS counts the lives of its keys in seconds: write \"6s\"";
        report.push(lease.origin.clone(), "`lease` must be of whole seconds", help);
    }
    let ca = section.find(&CA);
    let login = broker::login(&mut section, folder, env);
    let calls = cluster_calls::read(&mut section, folder, spans);
    section.close();
    if is_meant && calls.is_some() {
        listeners.add("[cluster]", &listen, report);
    }
    let (node, (servers, tls)) = (node?, nats?.value);
    if let Some(ca) = ca.as_ref().filter(|_| !tls) {
        let message = "`ca` has no effect, since NATS is not tls://";
        report.push_if_whole(ca.origin.clone(), message, "write tls:// in `nats`, or leave `ca` out");
    }
    let ca = ca.map(|found| CERTIFICATES.resolve(&found, folder, report));
    let settings = Settings {
        nats: NatsServers { servers, tls, ca, login },
        replicas,
        name,
        node: NodeName::new(&node.value).ok()?,
        zone: zone.and_then(|zone| ZoneName::new(&zone.value).ok()),
        listen: listen.value,
        address: address.map_or_else(|| listen.value.to_string(), |address| address.value),
        lease: lease.value,
        gateway: None,
    };
    Some((settings, calls))
}

#[cfg(test)]
mod tests {
    use crate::broker::{BrokerLogin, LoginSecret};
    use crate::cluster::Settings;
    use crate::config::Manifest;
    use std::path::Path;
    use std::time::Duration;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let env = |name: &str| {
            let set = variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            set.or_else(|| (name == "SECRET").then(|| "s3cret\n".to_owned()))
        };
        let read = Manifest::parse("atoll.toml", text.to_owned(), Path::new(""), &env);
        read.map(|manifest| manifest.cluster).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_node_has_a_name_and_an_address_and_its_secret_does_not_print() {
        let read = parse("[cluster]\nnats = 'nats://a'\nnode = 'n1'\n", &[]).unwrap().unwrap();
        assert_eq!((read.nats.servers, read.nats.tls, read.replicas), (vec!["a:4222".to_owned()], false, 1));
        assert_eq!((read.name.as_str(), read.node.as_str(), read.zone), ("atoll", "n1", None));
        assert_eq!((read.address.as_str(), read.lease), ("127.0.0.1:7070", Duration::from_secs(6)));
        let text = "[cluster]\nnats = 'tls://a:1,[::1]:2'\nnode = 'n1'\nzone = 'a'\nlisten = '0.0.0.0:1'\n\
                    address = 'n1.internal:1'\nlease = '10s'\nuser = 'u'\npassword = { from_env = 'SECRET' }\n";
        let read = parse(text, &[]).unwrap().unwrap();
        assert_eq!(read.nats.servers, ["a:1", "[::1]:2"]);
        assert_eq!(read.nats.login, Some(BrokerLogin::User("u".into(), LoginSecret::new("s3cret".into()))));
        assert_eq!((read.address.as_str(), read.zone.as_ref().map(|zone| zone.as_str())), ("n1.internal:1", Some("a")));
        assert!(!format!("{read:?}").contains("s3cret"));
        assert_eq!(parse("", &[("ATOLL_NODE", "n1"), ("ATOLL_CLUSTER_NATS", "nats://a")]), Ok(None));
    }

    #[test]
    fn all_machines_may_have_one_manifest() {
        let variables = [
            ("ATOLL_NODE", "n2"),
            ("ATOLL_ZONE", "b"),
            ("ATOLL_CLUSTER_NATS", "nats://c:3"),
            ("ATOLL_CLUSTER_LISTEN", "0.0.0.0:9"),
            ("ATOLL_CLUSTER_ADDRESS", "n2:9"),
        ];
        let read = parse("[cluster]\n", &variables).unwrap().unwrap();
        assert_eq!((read.node.as_str(), read.nats.servers), ("n2", vec!["c:3".to_owned()]));
        assert_eq!((read.listen.port(), read.address.as_str()), (9, "n2:9"));
        let written = parse("[cluster]\nnats = 'nats://a'\nnode = 'n1'\n", &variables).unwrap().unwrap();
        assert_eq!(written.node.as_str(), "n2");
    }

    #[test]
    fn what_a_node_cannot_be_is_a_finding() {
        for (text, message, help) in [
            ("node = 'n1'", "`[cluster]` has no `nats`", "ATOLL_CLUSTER_NATS"),
            ("nats = 'nats://a'", "`[cluster]` has no `node`", "ATOLL_NODE"),
            ("nats = 'amqp://a'\nnode = 'n1'", "`nats` must be an address of NATS", "nats://"),
            ("nats = 'nats://u:s3cret@a'\nnode = 'n1'", "`nats` must not hold a user", "`password`"),
            ("nats = 'nats://a'\nnode = 'N.1'", "`node` must be the name of a node", "small letters"),
            ("nats = 'nats://a'\nnode = 'n1'\nzone = ''", "`zone` must be the name of a zone", "small letters"),
            ("nats = 'nats://a'\nnode = 'n1'\nlisten = '0.0.0.0:1'", "`listen` is every network", "address ="),
            ("nats = 'nats://a'\nnode = 'n1'\naddress = 'n1'", "`address` must be a host and a port", "and a port"),
            ("nats = 'nats://a'\nnode = 'n1'\nlease = '2500ms'", "`lease` must be of whole seconds", "6s"),
            ("nats = 'nats://a'\nnode = 'n1'\nlease = '1s'", "`lease` must be a duration of 2s to 1m", "unit"),
            ("nats = 'nats://a'\nnode = 'n1'\nca = 'x.pem'", "`ca` has no effect", "tls://"),
            ("nats = 'nats://a'\nnode = 'n1'\nuser = 'u'", "`user` has no `password`", "from_env"),
        ] {
            let found = parse(&format!("[cluster]\n{text}\n"), &[]).expect_err(text);
            assert!(found.contains(message) && found.contains(help), "{text}: {found}");
            assert!(!found.contains("s3cret"), "{text}: {found}");
        }
        let found = parse("[cluster]\nnats = 'nats://a'\n", &[("ATOLL_NODE", "No")]).expect_err("no name");
        assert!(found.starts_with("ATOLL_NODE: must be the name of a node") && !found.contains("has no"), "{found}");
    }
}
