//! The full access line: which endpoint and revision served a request, after how many tries and how long a wait, and
//! whose deadline ended it.

use super::Counted;
use crate::it::atoll::eventually;
use crate::it::plain_server::DeadAddress;
use serde_json::Value;

/// A component that sleeps as told, twice with bounds, and an address at which nobody listens.
fn manifest(dead: &str) -> String {
    let mut text = String::from("[telemetry.logs]\naccess = \"full\"\n");
    for (name, rest) in [("quick", ""), ("single", "limits = { concurrency = 1 }\n"), ("slow", "")] {
        text += &format!("[service.{name}]\ncomponent = \"{{component:fixture-hostile}}\"\n{rest}");
        let timeout = if name == "slow" { "50ms" } else { "10s" };
        text += &format!("[[route]]\nprefix = \"/{name}\"\nstrip_prefix = \"/{name}\"\nservice = \"{name}\"\n");
        text += &format!("timeout = \"{timeout}\"\n");
    }
    text + &format!(
        "[service.dead]\nurls = [\"http://{dead}\"]\nretry = {{ tries = 1, backoff = \"1ms\" }}\n\
         breaker = {{ failure_threshold = 1_000 }}\n[[route]]\nprefix = \"/dead\"\nservice = \"dead\"\n"
    )
}

impl Counted {
    /// The access line of a request with this path and, if it is given, this field.
    async fn access_line(&self, path: &str, field: Option<&str>) -> Value {
        let find = || {
            let mut lines = self.atoll.log().into_iter().filter_map(|line| serde_json::from_str::<Value>(&line).ok());
            lines.find(|line| line["path"] == path && field.is_none_or(|field| !line[field].is_null()))
        };
        eventually("an access line", async || find()).await
    }

    async fn request(&self, path: &str) {
        self.http.get(&format!("{}{path}", self.atoll.gateway)).await;
    }
}

#[tokio::test]
async fn the_full_access_line_says_how_the_request_was_served() {
    let dead = DeadAddress::new();
    let host = Counted::start(&manifest(&dead.address().to_string())).await;

    host.request("/quick/ok").await;
    let line = host.access_line("/quick/ok", None).await;
    assert_eq!((&line["kind"], &line["route"]), (&"answer".into(), &"/quick/*".into()), "{line}");
    assert_eq!((&line["endpoint"], &line["tries"]), (&"quick-0".into(), &1.into()), "{line}");
    assert_eq!((&line["client"], line["revision"].as_str().map(str::len)), (&"127.0.0.1".into(), Some(12)), "{line}");
    assert!(line["queued_ms"].is_null() && line["deadline"].is_null(), "{line}");

    // An address has no revision, and both tries are counted.
    host.request("/dead").await;
    let line = host.access_line("/dead", None).await;
    assert_eq!((&line["endpoint"], &line["tries"]), (&"dead-url-0".into(), &2.into()), "{line}");
    assert!(line["revision"].is_null(), "{line}");

    host.request("/slow/sleep?ms=5000").await;
    assert_eq!(host.access_line("/slow/sleep", None).await["deadline"], "route");

    // One of two waits for the place that the other has.
    tokio::join!(host.request("/single/sleep?ms=300"), host.request("/single/sleep?ms=300"));
    host.access_line("/single/sleep", Some("queued_ms")).await;

    // Where no service was called, there is nothing to report.
    host.request("/nowhere").await;
    let line = host.access_line("/nowhere", None).await;
    assert!(line["tries"] == 0 && line["endpoint"].is_null(), "{line}");
}
