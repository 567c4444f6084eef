//! The part of `[cluster]` about calls between nodes: certificates and bounds.

use super::edge_finding_key::EdgeFindingKey;
use super::reader::file::{PathKind, RequiredPath};
use super::reader::finding::ValueOrigin;
use super::reader::key::ManifestKey;
use super::reader::key_spans::KeySpans;
use super::reader::kind::CountKind;
use super::reader::measure::{KIB, MIB, SizeKind, in_memory};
use super::reader::section::Section;
use crate::peer::{PeerProtocol, PeerTls};
use std::path::Path;

/// How nodes call each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterCalls {
    /// By which files this node proves who it is, and knows the others. They existed when the manifest was read.
    pub tls: PeerTls,
    /// The most bytes of a typed call's arguments, and of its result.
    pub message: usize,
    /// The newest version of the wire between nodes that this one speaks.
    pub protocol: PeerProtocol,
}

static AUTHORITY: ManifestKey<PathKind> = ManifestKey::without_default(
    "authority",
    PathKind,
    "A PEM file of the authority that has signed the certificates of all nodes: `atoll cluster init` makes one. It \
     must sign nodes and nothing else: who has a certificate for the name of a node may call any service as anybody. \
     It comes with `certificate` and `key`. Absent: this node calls no other one, and answers none.",
);
static CERTIFICATE: ManifestKey<PathKind> = ManifestKey::without_default(
    "certificate",
    PathKind,
    "A PEM file of this node's certificate, for the name in `node`: `atoll cluster certificate` makes one. A new one \
     is taken without a restart, and so are `key` and `authority`.",
);
static KEY: ManifestKey<PathKind> =
    ManifestKey::without_default("key", PathKind, "A PEM file of the private key of `certificate`.");
static MESSAGE: ManifestKey<SizeKind> = ManifestKey::new(
    "message",
    SizeKind { min: 64 * KIB, max: 64 * MIB },
    r#""4MiB""#,
    "The most bytes of a typed call's arguments between nodes, and of its result. Bodies of HTTP requests stream, and \
     have the bounds that they have on one node.",
);

static PROTOCOL: ManifestKey<CountKind<u8>> = ManifestKey::new(
    "protocol",
    CountKind { min: PeerProtocol::OLDEST.number(), max: PeerProtocol::NEWEST.number() },
    "2",
    "The newest version of the protocol between nodes that this one speaks and understands. Two nodes speak the newest \
     that both do, so it need not be written: 1 holds a fleet at the first version.",
);

const FILE: RequiredPath = RequiredPath {
    name: "the file",
    is_folder: false,
    wrong_type_help: "name the PEM file itself",
    absent_help: "correct the path, or make the file: `atoll cluster init`, then `atoll cluster certificate NODE`",
};

/// Reads these keys of `[cluster]`. `None` without certificates.
pub(super) fn read(
    cluster: &mut Section<'_>,
    folder: &Path,
    spans: &mut KeySpans<EdgeFindingKey>,
) -> Option<ClusterCalls> {
    let report = cluster.report;
    spans.note_key(EdgeFindingKey::NodeCertificate, cluster, CERTIFICATE.name);
    let message = in_memory(cluster.get(&MESSAGE));
    let protocol = PeerProtocol::new(cluster.get(&PROTOCOL)).unwrap_or(PeerProtocol::NEWEST);
    let files = [&AUTHORITY, &CERTIFICATE, &KEY].map(|key| (key.name, cluster.find(key)));
    if let Some((_, Some(written))) = files.iter().find(|(_, file)| file.is_some()) {
        let missing = files.iter().filter(|(name, _)| cluster.lacks(name)).map(|(name, _)| format!("`{name}`"));
        let missing: Vec<_> = missing.collect();
        if !missing.is_empty() {
            let what = missing.join(" and ");
            let help = "the three files belong together: `atoll cluster certificate NODE` says what to write";
            report.push_if_whole(written.origin.clone(), format!("`[cluster]` has no {what}"), help);
        }
    } else if let Some((name, span)) = cluster.first_of(&[MESSAGE.name, PROTOCOL.name]) {
        let why = format!("`{name}` has no effect, since the section has no `authority`");
        report.push_if_whole(ValueOrigin::Text(span), why, "add `authority`, `certificate` and `key`, or leave it out");
    }
    if let Some(key) = &files[2].1 {
        report.note_private(folder.join(&key.value), key.origin.clone());
    }
    let [authority, certificate, key] = files.map(|(_, file)| file.map(|found| FILE.resolve(&found, folder, report)));
    let tls = PeerTls { authority: authority?, certificate: certificate?, key: key? };
    Some(ClusterCalls { tls, message, protocol })
}

#[cfg(test)]
mod tests {
    use crate::config::Manifest;
    use std::fs;

    const FILES: &str = "authority = 'a.pem'\ncertificate = 'n.pem'\nkey = 'n.key'\n";

    fn parse(text: &str) -> Result<Manifest, String> {
        let folder = tempfile::tempdir().expect("a folder");
        for file in ["a.pem", "n.pem", "n.key", "a.wasm"] {
            fs::write(folder.path().join(file), "").expect("it is written");
        }
        let text = format!("[cluster]\nnats = 'nats://a'\nnode = 'b2'\nzone = 'b'\n{text}");
        Manifest::parse("atoll.toml", text, folder.path(), &|_| None).map_err(|errors| errors.to_string())
    }

    #[test]
    fn three_files_make_a_node_that_calls_others() {
        assert_eq!(parse("").unwrap().calls, None);
        let calls = parse(&format!("{FILES}message = '1MiB'\n")).unwrap().calls.unwrap();
        assert!(calls.tls.key.ends_with("n.key") && calls.message == 1 << 20, "{calls:?}");
        assert_eq!(calls.protocol.number(), 2, "without the key it is the newest");
        let old = parse(&format!("{FILES}protocol = 1\n")).unwrap().calls.unwrap();
        assert_eq!(old.protocol.number(), 1);
        for (text, message, help) in [
            ("key = 'n.key'\n", "`[cluster]` has no `authority` and `certificate`", "atoll cluster certificate"),
            ("authority = 'a.pem'\ncertificate = 'x.pem'\nkey = 'n.key'\n", "x.pem", "atoll cluster init"),
            ("message = '1MiB'\n", "`message` has no effect", "add `authority`"),
            ("protocol = 3\n", "`protocol` must be", "2"),
            ("protocol = 1\n", "`protocol` has no effect", "add `authority`"),
            ("message = '1KiB'\n", "`message` must be a size", "64"),
        ] {
            let found = parse(text).expect_err(text);
            assert!(found.contains(message) && found.contains(help), "{text}: {found}");
        }
        let taken = parse(&format!("{FILES}listen = '127.0.0.1:8080'\n")).expect_err("the gateway's");
        assert!(
            taken.contains("gateway (127.0.0.1:8080) and [cluster] (") && taken.contains("another port"),
            "{taken}"
        );
        assert!(parse("listen = '127.0.0.1:8080'\n").is_ok(), "without calls nobody listens there");
    }

    #[test]
    fn a_service_stands_where_nodes_says() {
        for (nodes, here) in
            [("[]", true), ("['zone=b']", true), ("['node=a1', 'node=b2']", true), ("['node=a1', 'zone=a']", false)]
        {
            let text = format!("{FILES}[service.x]\ncomponent = 'a.wasm'\nreplicas = 2\nnodes = {nodes}\n");
            let manifest = parse(&text).unwrap();
            assert_eq!(manifest.services[0].spec.replicas.count, if here { 2 } else { 0 }, "{nodes}");
        }
        for (text, message, help) in [
            ("component = 'a.wasm'\nnodes = ['a']\n", "`nodes` must be", "zone=a"),
            ("component = 'a.wasm'\nnodes = ['zone=A']\n", "`nodes` must be", "zone=a"),
            ("component = 'a.wasm'\nnodes = ['zone=a', 'zone=a']\n", "there twice", "once"),
            ("urls = ['http://127.0.0.1:1']\nnodes = ['zone=a']\n", "`nodes` has no effect", "component"),
            ("component = 'a.wasm'\nnode_count = 0\n", "`node_count` must be", "1"),
            ("component = 'a.wasm'\nnode_count = 2\nstate = true\n", "the data of this one stay", "`shared = true`"),
        ] {
            let found = parse(&format!("{FILES}[service.x]\n{text}")).expect_err(text);
            assert!(found.contains(message) && found.contains(help), "{text}: {found}");
        }
        for key in ["nodes = ['zone=a']", "node_count = 2"] {
            let found = parse(&format!("[service.x]\ncomponent = 'a.wasm'\n{key}\n")).expect_err("no certificates");
            let name = key.split(' ').next().unwrap();
            assert!(found.contains(&format!("`{name}` has no effect")) && found.contains("certificate"), "{found}");
        }
    }

    #[test]
    fn a_number_of_nodes_counts_on_those_where_the_service_may_stand() {
        for (keys, placed) in [
            ("", None),
            ("node_count = 2\n", Some((0, 2))),
            ("node_count = 2\nnodes = ['zone=b', 'node=a1']\n", Some((2, 2))),
            ("node_count = 2\nnodes = ['zone=a']\n", None),
        ] {
            let manifest = parse(&format!("{FILES}[service.x]\ncomponent = 'a.wasm'\n{keys}")).unwrap();
            let placement = &manifest.services[0].spec.placement;
            assert_eq!(placement.as_ref().map(|placement| (placement.rules.len(), placement.count)), placed, "{keys}");
        }
    }
}
