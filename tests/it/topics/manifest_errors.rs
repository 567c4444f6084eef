//! What a manifest can get wrong about topics is an error with its place, which names the component's part.

use super::super::atoll::Home;

const SERVICE: &str =
    "[service.reader]\ncomponent = \"{component:fixture-events}\"\nstate = true\npublish = [\"entries\"]\n";
const TOPIC: &str = "[topic.entries]\npayload = \"atoll:fixture-events/types#entry\"\n";

/// `topic`, the service with `subscribe`, what `atoll check` says, and the line at which it points.
const CASES: [(&str, &str, &str, &str); 7] = [
    (TOPIC, "[{ topic = \"entries\", call = \"reader/handel\" }]", "the component exports no function `handel`", ":7:"),
    (TOPIC, "[{ topic = \"entries\", call = \"reader/read\" }]", "`read` cannot read the payloads of `entries`", ":7:"),
    (TOPIC, "[{ topic = \"entries\", call = \"reader/both\" }]", "`both` has 2 parameters", ":7:"),
    (TOPIC, "[{ topic = \"entrees\", call = \"reader/handle\" }]", "there is no topic `entrees`", ":7:"),
    (
        "[topic.entries]\npayload = \"atoll:fixture-events/types#entrée\"\n",
        "[]",
        "no service that publishes on `entries` or subscribes to it has the type",
        ":2:",
    ),
    (
        "[topic.entries]\npayload = \"atoll:fixture-events/types#entry\"\n[topic.entries.more]\n",
        "[]",
        "a name with dots stands in quotes: [topic.\"entries.more\"]",
        ":3:",
    ),
    ("", "[]", "there is no topic `entries`", ":4:"),
];

#[tokio::test]
async fn each_mistake_is_told_with_its_line() {
    for (topic, subscribe, message, line) in CASES {
        let home = Home::new(&format!("{topic}{SERVICE}subscribe = {subscribe}\n"));
        home.link_cache();
        let output = home.output(&["check"]).await;
        let complaint = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(
            complaint.contains(message) && complaint.contains(&format!("atoll.toml{line}")),
            "{message}:\n{complaint}"
        );
    }
}

#[tokio::test]
async fn a_component_that_publishes_needs_the_grant() {
    let text = "[service.reader]\ncomponent = \"{component:fixture-events}\"\nstate = true\n";
    let home = Home::new(text);
    home.link_cache();
    let output = home.output(&["check"]).await;
    let complaint = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(complaint.contains("atoll:events/publisher@0.1.0") && complaint.contains("publish = ["), "{complaint}");
}

/// What a broker cannot keep, what `atoll check` says, and the line at which it points.
const UNABLE: [(&str, &str, &str); 4] = [
    (
        "[events]\nbroker = \"nats://127.0.0.1:1\"\n[state]\nencryption = { key = { file = \"state.key\" } }\n\
         [topic.entries]\n",
        "a broker stores events as they are",
        ":2:10",
    ),
    (
        "[events]\nbroker = \"amqp://127.0.0.1:1\"\n[state]\nencryption = { key = { file = \"state.key\" } }\n\
         [topic.entries]\n",
        "a broker stores events as they are",
        ":2:10",
    ),
    (
        "[events]\nbroker = \"amqp://127.0.0.1:1\"\n[topic.entries]\nretention = \"1d\"\n",
        "RabbitMQ cannot remove what all subscribers have settled",
        ":4:13",
    ),
    (
        "[events]\nbroker = \"amqp://127.0.0.1:1\"\nreplicas = 3\n[topic.entries]\n",
        "`replicas` has no effect with RabbitMQ",
        ":3:12",
    ),
];

#[tokio::test]
async fn what_a_broker_cannot_keep_is_told_with_its_line_and_column() {
    for (text, message, place) in UNABLE {
        let home = Home::new(&format!("{text}{SERVICE}"));
        home.link_cache();
        // 32 bytes in base64.
        std::fs::write(home.folder.path().join("state.key"), format!("{}A=", "A".repeat(42))).unwrap();
        let output = home.output(&["check"]).await;
        let complaint = String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(output.status.code(), Some(1), "{complaint}");
        assert!(
            complaint.contains(message) && complaint.contains(&format!("atoll.toml{place}")),
            "{message}:\n{complaint}"
        );
    }
}

/// What each node of a cluster would do once more with a broker, what `atoll check` says, and the line at which it
/// points. Without the broker an event stays on its node.
const ON_EACH_NODE: [(&str, &str, &str); 2] = [
    (
        "[saga.file]\non = { topic = \"entries\" }\n[[saga.file.step]]\nname = \"rest\"\npause = \"1s\"\n",
        "each node of [cluster] would start a `file` for each event of `entries`",
        ":2:16",
    ),
    (
        "[[schedule]]\nname = \"tick\"\nevery = \"1h\"\ntopic = \"entries\"\n",
        "each node of [cluster] would publish the event of `tick`",
        ":4:9",
    ),
];

#[tokio::test]
async fn what_each_node_would_do_once_more_is_told_with_its_line_and_column() {
    for (text, message, place) in ON_EACH_NODE {
        let cluster = "[cluster]\nnats = \"nats://127.0.0.1:1\"\nnode = \"a\"\n[topic.entries]\n";
        let check = async |events: &str| {
            let home = Home::new(&format!("{text}{cluster}{events}{SERVICE}"));
            home.link_cache();
            let output = home.output(&["check"]).await;
            String::from_utf8_lossy(&output.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let complaint = check("[events]\nbroker = \"nats://127.0.0.1:1\"\n").await;
        assert!(
            complaint.contains(message) && complaint.contains(&format!("atoll.toml{place}")),
            "{message}:\n{complaint}"
        );
        let complaint = check("").await;
        assert!(!complaint.contains("each node of"), "{complaint}");
    }
}
