//! One host discovers the services of another by the SRV records that it answers.

use super::super::atoll::{Home, Http, eventually};
use super::{MANIFEST, port, start};
use serde_json::Value;

#[tokio::test]
async fn another_host_finds_the_service_and_calls_it() {
    let (shop, neighbour) = (Home::new(MANIFEST), Http::default());
    let (host, names) = start(&shop).await;
    let url = format!("dns+srv://{names}/_http._tcp.hello.atoll.test");
    let manifest = format!(
        "[service.theirs]\nurls = [{url:?}]\ndns = \"1s\"\n[[route]]\nprefix = \"/hello\"\nservice = \"theirs\"\n"
    );
    let other = Home::new(&manifest).start().await;
    let service = format!("{}/v1/services/theirs", other.admin);
    let endpoint = eventually("the endpoint is there", async || {
        let service: Value = neighbour.get(&service).await.json();
        service["endpoints"][0]["id"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(endpoint, format!("theirs-url-0@127.0.0.1:{}", port(&host)));
    let (theirs, ours) = (format!("{}/hello", other.gateway), format!("{}/hello", host.gateway));
    let (theirs, ours) = (neighbour.get(&theirs).await, neighbour.get(&ours).await);
    assert_eq!((theirs.status, &theirs.body), (ours.status, &ours.body), "by two gateways and by one");
    // What nobody offers any more is no answer that counts: the last good one stays.
    host.stop().await;
    eventually("the source fails", async || {
        let service: Value = neighbour.get(&service).await.json();
        assert_eq!(service["endpoints"].as_array().unwrap().len(), 1);
        service["sources"][0]["error"].is_string().then_some(())
    })
    .await;
    other.stop().await;
}
