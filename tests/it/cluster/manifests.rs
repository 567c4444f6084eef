//! Manifests that are applied to one node, after all nodes have agreed on a component.

use super::super::atoll::hello_revision;
use super::super::topics::nats_server::NatsServer;
use super::agreement::CallingFleet;
use std::fs;

/// The code with which a verb ended, and what it said.
async fn said(fleet: &CallingFleet, node: usize, arguments: &[&str]) -> (i32, String) {
    let output = fleet.homes[node].output(arguments).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nodes_own_file_is_applied_on_after_a_swap_of_all_nodes_and_gives_none_another_component() {
    let Some(mut server) = NatsServer::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let fleet = CallingFleet::start(&server, &folder.path().join("pki")).await;
    fleet.settles(0, 2).await;
    let swapped = hello_revision(b"revision-001-bbb", folder.path());
    let other = hello_revision(b"revision-002-ccc", folder.path());
    let (code, text) = said(&fleet, 1, &["swap", "hello", swapped.to_str().unwrap()]).await;
    assert_eq!(code, 0, "{text}");
    let revision = fleet.service(1).await["revision"].as_str().unwrap().to_owned();
    fleet.all_serve(&revision).await;

    // With a history, and without one.
    for node in [0, 1] {
        let unchanged = fs::read_to_string(fleet.homes[node].manifest()).unwrap();
        for arguments in [&["apply", "--dry-run"][..], &["apply", "--yes"]] {
            let (code, text) = said(&fleet, node, arguments).await;
            assert!(code == 0 && text.starts_with("nothing to change\n"), "{code} {text}");
        }
        let (code, text) = said(&fleet, node, &["diff"]).await;
        let agreed = format!("hello: {revision} was agreed on by all nodes and serves in place");
        assert!(code == 0 && text.contains(&agreed) && text.contains("`atoll adopt hello`"), "{code} {text}");

        // Other keys change, and the component stays.
        let slower = unchanged.replace("[service.hello]\n", "[service.hello]\nlimits.timeout = \"7s\"\n");
        fs::write(fleet.homes[node].manifest(), &slower).unwrap();
        let (code, text) = said(&fleet, node, &["diff"]).await;
        assert!(code == 2 && text.contains("limits.timeout") && !text.contains(".component"), "{code} {text}");
        let (code, text) = said(&fleet, node, &["apply", "--yes"]).await;
        assert!(code == 0 && text.contains("1 change applied"), "{code} {text}");
        let service = fleet.service(node).await;
        assert!(service["revision"] == revision.as_str() && service["of_cluster"] == true, "{service}");
        assert!(fleet.answers(node).await.contains("revision-001-bbb"));

        // A file with another component is shown as what it is, and refused.
        let at = slower.find("component = ").unwrap();
        let end = at + slower[at..].find('\n').unwrap();
        let newer = format!("{}component = {other:?}{}", &slower[..at], &slower[end..]);
        fs::write(fleet.homes[node].manifest(), &newer).unwrap();
        for arguments in [&["apply", "--dry-run"][..], &["diff"]] {
            let (code, text) = said(&fleet, node, arguments).await;
            assert!(code == 2 && text.contains("all nodes have agreed on theirs"), "{code} {text}");
        }
        let (code, text) = said(&fleet, node, &["apply", "--yes"]).await;
        let refusal = format!("have agreed on revision {revision} of `hello`");
        assert!(code == 1 && text.contains(&refusal), "{code} {text}");
        assert!(fleet.answers(node).await.contains("revision-001-bbb"));

        // With the component of before, it is the manifest that is served.
        fs::write(fleet.homes[node].manifest(), &slower).unwrap();
        let (code, text) = said(&fleet, node, &["apply", "--yes"]).await;
        assert!(code == 0 && text.starts_with("nothing to change\n"), "{code} {text}");
    }

    // Nobody has to ask NATS for that.
    server.stop().await;
    let (code, text) = said(&fleet, 1, &["apply", "--yes"]).await;
    assert!(code == 0 && text.starts_with("nothing to change\n"), "{code} {text}");
    for node in fleet.nodes {
        node.host.stop().await;
    }
}
