//! What a guest may do after its answer is complete: it runs until its timeout, and no longer.

use crate::it::atoll::{Home, Http, eventually};

#[tokio::test]
async fn a_guest_that_runs_on_for_ever_after_its_answer_is_ended_at_its_timeout() {
    for isolation in ["request", "reuse"] {
        let home = Home::new(&format!(
            r#"
[service.marks]
component = "{{component:fixture-marks02}}"
isolation = "{isolation}"
limits = {{ timeout = "300ms", concurrency = 1, wait = "1m" }}
breaker = {{ failure_threshold = 1000 }}
retry = {{ tries = 0 }}

[[route]]
prefix = "/"
service = "marks"
"#
        ));
        let (atoll, http) = (home.start().await, Http::default());
        let get = async |path: &str| http.get(&format!("{}{path}", atoll.gateway)).await;
        for path in ["/compute", "/wait"] {
            assert_eq!(get(path).await.status, 200, "{isolation}");
            // The service has one instance at a time, so another instance answers only after that one has ended.
            eventually("an instance that answers", async || (get("/visit").await.status == 200).then_some(())).await;
        }
    }
}
