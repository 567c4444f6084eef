//! The fakes of registries, read by clients of strangers, which `just discovery` installs. What those read is what the
//! fakes were told: so the wire that the host is tested on is the wire that others speak.

use super::super::super::components::workspace;
use super::fake_api_server::{FakeApiServer, slice};
use super::fake_consul::FakeConsul;
use super::fake_eureka::FakeEureka;
use super::fake_registry::FakeRegistry;
use serde_json::{Value, json};
use tokio::process::Command;

#[tokio::test]
#[ignore = "needs clients of strangers: `just discovery`"]
async fn strangers_clients_read_what_the_fakes_were_told() {
    let python = workspace().join(".tools/discovery/bin/python");
    let places = ["192.0.2.1:8080".parse().unwrap(), "192.0.2.2:8081".parse().unwrap()];
    let consul = FakeRegistry::start(FakeConsul::new("t", &places)).await;
    let eureka = FakeRegistry::start(FakeEureka::new(&places)).await;
    let api = FakeRegistry::start(FakeApiServer::new("t")).await;
    for (name, ip) in [("users-1", "192.0.2.1"), ("users-2", "192.0.2.2")] {
        api.wire.put(slice(name, 8080, &json!([{ "addresses": [ip], "conditions": { "ready": true }, "zone": "a" }])));
    }
    let addresses = [consul.address, eureka.address, api.address].map(|address| address.to_string());
    let mut command = Command::new(python);
    command.arg(workspace().join("tests/discovery/clients.py")).args(addresses);
    let output = command.output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let read: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"));
    let expected = json!({
        "consul": {
            "index": "10", "instances": [["192.0.2.1", 8080, 1, "passing"], ["192.0.2.2", 8081, 1, "passing"]],
        },
        "eureka": [["192.0.2.1", 8080, "UP", "zone-a"], ["192.0.2.2", 8081, "UP", "zone-a"]],
        "kubernetes": {
            "listed": [["users-1", "192.0.2.1", true, "a", 8080], ["users-2", "192.0.2.2", true, "a", 8080]],
            "version": "2", "watched": ["ADDED users-2"],
        },
    });
    assert_eq!(read, expected, "{errors}");
}
