//! `--output json`: what each verb that lists or shows something prints for programs, through the real binary.

use super::atoll::{Home, Http};
use serde_json::Value;

/// A host with something to list for every verb.
const MANIFEST: &str = r#"
[telemetry]
sample = 1.0

[telemetry.logs]
keep = "1MiB"

[history]

[audit]
file = "audit.jsonl"

[topic.ticks]

[[schedule]]
name = "tick"
cron = "0 3 * * *"
topic = "ticks"
payload = "{}"

[limit.default]
rate = "100/1s"

[auth.keys]
kind = "api-key"

[service.hello]
component = "{component:fixture-hello}"
record = { every = 1 }

[[route]]
prefix = "/hello"
service = "hello"
cache = { ttl = "1h" }

[[route]]
prefix = "/kept"
service = "hello"
auth = "keys"
"#;

/// The verbs whose JSON is one document.
const DOCUMENTS: [&str; 18] = [
    "ps",
    "routes",
    "history hello",
    "rollout hello",
    "diff",
    "fault list",
    "trace",
    "key list",
    "cache show",
    "traps",
    "why hello",
    "schedules",
    "events list",
    "saga list",
    "limit show",
    "maintenance show",
    "replay",
    "doctor",
];
/// Those that have a document in each line.
const LINES: [&str; 2] = ["logs", "changes"];

async fn printed(home: &Home, line: &str) -> String {
    let arguments: Vec<&str> = line.split(' ').collect();
    let output = home.output(&arguments).await;
    assert!(output.status.success(), "{line}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn what_every_verb_lists_is_there_as_json_and_is_the_admins_own() {
    let home = Home::new(MANIFEST);
    home.link_cache();
    let atoll = home.start().await;
    let http = Http::default();
    assert_eq!(http.get(&format!("{}/hello", atoll.gateway)).await.status, 200);
    printed(&home, "fault add hello --latency 1ms").await;
    for line in DOCUMENTS {
        let json = printed(&home, &format!("{line} --output json")).await;
        assert!(serde_json::from_str::<Value>(&json).is_ok(), "{line}: {json}");
        assert_ne!(printed(&home, line).await, json, "{line}: without the flag it is text");
    }
    for line in LINES {
        let json = printed(&home, &format!("{line} -o json")).await;
        assert!(!json.is_empty(), "{line}");
        assert!(json.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{line}: {json}");
    }
    // What does not change between two questions is the same to the letter.
    for (line, path) in [("routes", "/v1/routes"), ("schedules", "/v1/schedules"), ("limit show", "/v1/limits")] {
        let answer = http.get(&format!("{}{path}", atoll.admin)).await;
        let told: Value = serde_json::from_str(&printed(&home, &format!("{line} -o json")).await).unwrap();
        assert_eq!(told, answer.json(), "{line}");
    }
    let entries: Value = serde_json::from_str(&printed(&home, "audit list audit.jsonl -o json").await).unwrap();
    assert!(entries.as_array().is_some_and(|entries| entries.iter().any(|one| one["on"] == "hello")), "{entries}");
}
