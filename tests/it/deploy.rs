//! The files of `deploy/`: their manifests are right, their metrics exist, and they give a host the time that its end
//! takes. What they are beyond that, `just deploy-test` tries with the tools that read them.

use super::atoll::{Home, Http};
use super::components::{component, shop_manifest, workspace};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

fn read(file: &str) -> String {
    fs::read_to_string(workspace().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The text of a block scalar in YAML (`key: |`), without its indentation.
fn block<'t>(yaml: &'t str, key: &str) -> String {
    let mut lines = yaml.lines().skip_while(|line| line.trim() != format!("{key}: |")).skip(1).peekable();
    let indentation = lines.peek().map_or(0, |line| line.len() - line.trim_start().len());
    assert!(indentation > 0, "no block `{key}`");
    let belongs = |line: &&'t str| line.is_empty() || line.starts_with(&" ".repeat(indentation));
    let text: Vec<&str> = lines.take_while(belongs).map(|line| line.get(indentation..).unwrap_or_default()).collect();
    text.join("\n").trim_end().to_owned() + "\n"
}

/// Each manifest of `deploy/`, with the place where it stands.
fn manifests() -> [(&'static str, String); 3] {
    [
        ("deploy/helm/atoll/files/atoll.toml", read("deploy/helm/atoll/files/atoll.toml")),
        ("deploy/helm/atoll/values-cluster.yaml", block(&read("deploy/helm/atoll/values-cluster.yaml"), "manifest")),
        ("deploy/compose/cluster.toml", read("deploy/compose/cluster.toml")),
    ]
}

#[tokio::test]
async fn the_manifests_are_right() {
    let schema = Home::new("").output(&["schema"]).await;
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    for (place, text) in manifests() {
        let clustered = text.contains("[cluster]");
        // Until the host knows all keys of a cluster, there is nothing to read these by.
        let known = |section: &str, key: &str| !schema["properties"][section]["properties"][key].is_null();
        if clustered && !(known("cluster", "authority") && known("state", "shared")) {
            continue;
        }
        let dist = component("users").with_file_name("");
        let home = Home::new(&text.replace("\"components/dist/", &format!("\"{}/", dist.display())));
        home.link_cache();
        if clustered {
            for arguments in
                [&["cluster", "init", "cluster"][..], &["cluster", "certificate", "node", "--folder", "cluster"]]
            {
                let made = home.output(arguments).await;
                assert!(made.status.success(), "{made:?}");
            }
        }
        let checked =
            home.command(&["check"]).env("ATOLL_NODE", "node").env("STATE_PASSWORD", "p").output().await.unwrap();
        assert!(checked.status.success(), "{place}: {}", String::from_utf8_lossy(&checked.stderr));
    }
}

#[test]
fn the_plain_manifests_have_the_chart_s() {
    let [chart, cluster, _] = manifests();
    for (file, manifest) in [("atoll.yml", chart.1), ("cluster.yml", cluster.1)] {
        let rendered = block(&read(&format!("deploy/kubernetes/{file}")), "atoll.toml");
        assert_eq!(rendered, manifest, "deploy/kubernetes/{file}: `just manifests`");
    }
}

/// The names of metrics in a text, without what the exposition appends to the name of a family.
fn families(text: &str) -> BTreeSet<String> {
    let names = text.split(|c: char| !c.is_ascii_lowercase() && c != '_').filter(|word| word.starts_with("atoll_"));
    let bare = |name: &str| {
        let end = ["_total", "_bucket", "_count", "_sum", "_info"].iter().find_map(|end| name.strip_suffix(end));
        end.unwrap_or(name).to_owned()
    };
    names.map(bare).collect()
}

#[tokio::test]
async fn what_alerts_and_scales_names_a_metric_of_the_host() {
    // The shop has data, events and sagas. Some families come with their first event: an answer, a circuit that an
    // operator holds open, a call that it refuses, a fault on purpose.
    let edges = "\n[gateway.tls]\nself_signed = true\n\n[audit]\nfile = \"audit.jsonl\"\n";
    let home = Home::new(&(shop_manifest() + edges));
    let atoll = home.start().await;
    let http = Http::default();
    let users = format!("{}/api/users", atoll.gateway);
    assert_eq!(http.get(&users).await.status, 200);
    for arguments in [&["breaker", "open", "users"][..], &["fault", "add", "mailer", "--error", "10%", "--for", "5m"]] {
        let done = home.output(arguments).await;
        assert!(done.status.success(), "{done:?}");
    }
    assert_eq!(http.get(&users).await.status, 503);
    let metrics = String::from_utf8(http.get(&format!("{}/metrics", atoll.admin)).await.body.to_vec()).unwrap();
    let exported = families(&metrics);

    let cluster = fs::read_to_string(workspace().join("docs/cluster.md")).ok();
    // What comes with a failure that the shop does not have, the guide of operators names.
    let operations = read("docs/operations.md");
    let of_failures = |name: &str| name == "atoll_state_operations_failed" && operations.contains(&name[6..]);
    // A recording rule's own name, which has colons in front of it and behind it.
    let recorded = "atoll_gateway_errors";
    let mut used = BTreeSet::new();
    for file in [
        "deploy/prometheus/rules.yml",
        "deploy/prometheus/rules.test.yml",
        "deploy/prometheus/adapter.yml",
        "deploy/grafana/atoll.json",
        "deploy/helm/atoll/values.yaml",
        "deploy/kubernetes/cluster.yml",
    ] {
        let mut named = families(&read(file));
        named.remove(recorded);
        assert!(!named.is_empty(), "{file} names no metric");
        // What a host without a cluster does not have, the guide of the cluster names.
        let elsewhere = |name: &String| cluster.as_ref().is_none_or(|guide| guide.contains(name));
        named.retain(|name| !name.starts_with("atoll_cluster_") || !elsewhere(name));
        named.retain(|name| !of_failures(name));
        let unknown: Vec<_> = named.difference(&exported).collect();
        assert!(unknown.is_empty(), "{file}: the host exports no {unknown:?}");
        used.append(&mut named);
    }
    assert!(used.len() > 10, "{used:?}");
    // What scales is offered to Kubernetes by the adapter.
    let scaled = families(&read("deploy/helm/atoll/values.yaml"));
    assert!(scaled.is_subset(&families(&read("deploy/prometheus/adapter.yml"))), "{scaled:?}");
}

#[test]
fn each_alert_stands_in_the_guide() {
    let guide = read("docs/deployment.md");
    let rules = read("deploy/prometheus/rules.yml");
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5, "{alerts:?}");
    for alert in alerts {
        let (_, rule) = rules.split_once(&format!("- alert: {alert}\n")).unwrap();
        let (_, severity) = rule.split_once("severity: ").unwrap();
        let severity = severity.split(' ').next().unwrap();
        let row = format!("| `{alert}` | {severity} |");
        assert!(guide.contains(&row), "docs/deployment.md has no row that begins with {row}");
    }
}

/// The number of seconds behind each `key` in the text.
fn seconds(text: &str, key: &str) -> Vec<u64> {
    let number = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    text.split(key).skip(1).map(|rest| number(rest).unwrap_or_else(|| panic!("no number after {key}"))).collect()
}

#[test]
fn a_host_has_the_time_that_its_end_takes() {
    let source = read("host/src/app/shutdown.rs");
    let constant = |name: &str| seconds(&source, &format!("const {name}: Duration = Duration::from_secs("))[0];
    let uses = source.matches("EVENTS_DRAIN)").count() as u64;
    // One second each for the traces that wait, the last lines of the log, and the file of the database.
    let after = ["PEERS_DRAIN", "ADMIN_DRAIN", "GUESTS_DRAIN"].map(constant).iter().sum::<u64>();
    let after = uses * constant("EVENTS_DRAIN") + after + 3;
    let needed = 30 + after; // the drain of each manifest of deploy/
    for (place, manifest) in manifests() {
        assert_eq!(seconds(&manifest, "drain = \""), [30], "{place}");
    }
    for (file, key) in [
        ("deploy/systemd/atoll.service", "TimeoutStopSec="),
        ("deploy/compose/compose.yml", "stop_grace_period: "),
        ("deploy/compose/cluster.yml", "stop_grace_period: "),
        ("deploy/nomad/atoll.nomad.hcl", "kill_timeout = \""),
    ] {
        let given = seconds(&read(file), key)[0];
        assert!(given >= needed, "{file}: {given} s, and the end takes {needed} s at most");
    }
    for file in ["deploy/kubernetes/atoll.yml", "deploy/kubernetes/cluster.yml"] {
        let text = read(file);
        let before = seconds(&text, "sleep: { seconds: ")[0];
        let given = seconds(&text, "terminationGracePeriodSeconds: ")[0] - before;
        assert!(given >= needed, "{file}: {given} s, and the end takes {needed} s at most");
    }
}
