//! What is answered while services and routes come and go, and while the host ends.

use super::super::atoll::{Home, Http, eventually};
use super::super::open_exchange::OpenExchange;
use super::dns_client::{DnsReply, ask, by_tcp, by_udp, question};
use super::{MANIFEST, port, start};
use rustix::process::Signal;
use simple_dns::{RCODE, TYPE};

#[tokio::test]
async fn a_host_answers_for_its_services_and_says_how_often() {
    let home = Home::new(MANIFEST);
    let (host, names) = start(&home).await;
    let hello = ask(names, "hello.atoll.test", TYPE::A).await;
    assert_eq!((hello.code, &*hello.records), (RCODE::NoError, &["A 127.0.0.1".to_owned()][..]));
    let records = [String::from("A 127.0.0.1"), format!("SRV 0 2 {} hello.atoll.test", port(&host))];
    let srv = ask(names, "_http._tcp.hello.atoll.test", TYPE::SRV).await;
    assert_eq!((srv.code, &*srv.records), (RCODE::NoError, &records[..]), "with a weight of its replicas");
    let message = question("_http._tcp.hello.atoll.test", TYPE::SRV);
    assert_eq!(DnsReply::read(by_tcp(names, &message).await), srv);
    eventually("an endpoint that fails its checks is not offered", async || {
        let down = ask(names, "down.atoll.test", TYPE::A).await;
        assert_eq!(down.code, RCODE::NoError, "it is known");
        down.records.is_empty().then_some(())
    })
    .await;
    assert_eq!(ask(names, "hidden.atoll.test", TYPE::A).await.code, RCODE::NameError, "no route leads there");
    assert_eq!(ask(names, "hello.example", TYPE::A).await.code, RCODE::Refused);
    let wrong = by_udp(names, &message[..20]).await;
    assert_eq!(DnsReply::read(wrong).code, RCODE::FormatError);

    let metrics = Http::default().get(&format!("{}/metrics", host.admin)).await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for (transport, answer, count) in
        [("udp", "no-such-name", 1), ("udp", "refused", 1), ("udp", "malformed", 1), ("tcp", "answered", 1)]
    {
        let line = format!("atoll_dns_questions_total{{transport=\"{transport}\",answer=\"{answer}\"}} {count}");
        assert!(metrics.lines().any(|found| found == line), "{line} is missing in\n{metrics}");
    }
    host.stop().await;
}

#[tokio::test]
async fn a_route_that_is_applied_makes_its_service_known() {
    let home = Home::new(MANIFEST);
    let (host, names) = start(&home).await;
    assert_eq!(ask(names, "hidden.atoll.test", TYPE::A).await.code, RCODE::NameError);
    home.write(&format!("{MANIFEST}[[route]]\nprefix = \"/hidden\"\nservice = \"hidden\"\n"));
    home.link_cache();
    host.signal(Signal::HUP);
    eventually("it is known", async || {
        let hidden = ask(names, "hidden.atoll.test", TYPE::A).await;
        (hidden.records == ["A 127.0.0.1"]).then_some(())
    })
    .await;
    host.stop().await;
}

#[tokio::test]
async fn a_host_that_drains_is_offered_no_more_and_answers_all_the_same() {
    let hostile = "[service.hostile]\ncomponent = \"{component:fixture-hostile}\"\n[[route]]\nprefix = \"/hostile\"\n\
                   strip_prefix = \"/hostile\"\nservice = \"hostile\"\n";
    let home = Home::new(&format!("{MANIFEST}{hostile}"));
    let (mut host, names) = start(&home).await;
    // A request that is under way keeps the host from its end.
    let held = OpenExchange::begin(&host, "/hostile/echo").await;
    assert_eq!(ask(names, "hostile.atoll.test", TYPE::A).await.records, ["A 127.0.0.1"]);
    host.signal(Signal::TERM);
    eventually("it is offered no more", async || {
        let hello = ask(names, "hello.atoll.test", TYPE::A).await;
        (hello.code == RCODE::NoError && hello.records.is_empty()).then_some(())
    })
    .await;
    assert!(held.finish().await);
    assert_eq!(host.wait().await.code(), Some(0));
}

#[tokio::test]
async fn without_the_section_there_is_no_name_server_and_no_metric() {
    let section = MANIFEST.find("[service.hello]").unwrap();
    let host = Home::new(&MANIFEST[section..]).start_with(&[("ATOLL_DNS_LISTEN", "127.0.0.1:0")]).await;
    assert_eq!(host.dns, None);
    let metrics = Http::default().get(&format!("{}/metrics", host.admin)).await;
    assert!(!String::from_utf8_lossy(&metrics.body).contains("atoll_dns"));
    host.stop().await;
}
