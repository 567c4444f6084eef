//! Nodes of two builds, which differ in the version of the wire between nodes.

use super::{Authority, Deployed, Node, TYPES, elsewhere, keep};
use crate::it::atoll::{Atoll, Home, Http, eventually};
use crate::it::topics::nats_server::NatsServer;
use host::mesh::Distance;
use host::peer::{PeerProtocol, PeerTls};
use host::rollout::PeerPlace;
use host::runtime::Value;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_speak_the_newest_version_that_both_understand() {
    let (first, second) = (PeerProtocol::OLDEST, PeerProtocol::NEWEST);
    assert!(first < second, "there are two versions");
    for (caller, called, both) in [(first, second, first), (second, first, first), (second, second, second)] {
        let authority = Authority::new();
        let here = vec![Deployed::new("types", "fixture-types", elsewhere)];
        let there = vec![Deployed::new("types", "fixture-types", |_| {})];
        let a = Node::start_speaking("node-a", authority.files("node-a"), here, caller).await;
        let b = Node::start_speaking("node-b", authority.files("node-b"), there, called).await;
        let client = a.client("node-b", &b);
        a.place_at("types", vec![PeerPlace { client: Arc::clone(&client), distance: Distance::Zone, weight: 1 }]);
        for call in 0..3 {
            assert_eq!(client.protocol(), if call == 0 { first } else { both }, "{caller} calls {called}");
            let text = Value::String("x".into());
            let echoed = a.call("types", (TYPES, "echo-string"), vec![text]).await;
            assert!(matches!(&echoed, Ok(Some(Value::String(text))) if &**text == "x"), "{echoed:?}");
        }
        keep(authority);
    }
}

/// One of three hosts. `hello` stands on `b` and on `c`; `a` is the way in.
fn home(server: &NatsServer, authority: &Authority, node: &str) -> Home {
    let PeerTls { authority, certificate, key } = authority.files(node);
    Home::new(&format!(
        "[cluster]\nnats = '{}'\nnode = '{node}'\nlisten = '127.0.0.1:0'\nlease = '4s'\nprotocol = 1\nauthority = \
         {authority:?}\ncertificate = {certificate:?}\nkey = {key:?}\n[service.hello]\ncomponent = \
         \"{{component:fixture-hello}}\"\nnodes = ['node=b', 'node=c']\n[[route]]\nprefix = '/hello'\nservice = \
         'hello'\n",
        server.address()
    ))
}

/// The same host as another build: the newest version of the wire, or the first one.
fn rebuild(home: &Home, newest: bool) {
    let text = std::fs::read_to_string(home.manifest()).unwrap();
    let (from, to) = if newest { ("protocol = 1", "protocol = 2") } else { ("protocol = 2", "protocol = 1") };
    assert!(text.contains(from));
    std::fs::write(home.manifest(), text.replace(from, to)).unwrap();
}

/// Calls through `a`, one after the other, until its end.
struct Callers {
    gateway: Arc<Mutex<String>>,
    /// While nobody calls: a balancer sends no request to a node that is not there.
    paused: Arc<AtomicBool>,
    answers: Arc<Mutex<Vec<String>>>,
}

impl Callers {
    fn begin(gateway: &str) -> Self {
        let own =
            Self { gateway: Arc::new(Mutex::new(gateway.to_owned())), paused: Arc::default(), answers: Arc::default() };
        for _ in 0..4 {
            let (gateway, paused) = (Arc::clone(&own.gateway), Arc::clone(&own.paused));
            let (answers, http) = (Arc::downgrade(&own.answers), Http::default());
            tokio::spawn(async move {
                while let Some(answers) = answers.upgrade() {
                    if !paused.load(Relaxed) {
                        let url = format!("{}/hello", gateway.lock().unwrap());
                        let request = http::Request::get(url).body(http_body_util::Full::default()).unwrap();
                        let answer = http.try_send(request).await;
                        let answer = answer.map_or_else(|error| error, |answer| answer.status.as_str().to_owned());
                        answers.lock().unwrap().push(answer);
                    }
                    drop(answers);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        }
        own
    }

    /// Sees that calls go on, and that not one has failed.
    async fn go_on(&self, what: &str) {
        let before = self.answers.lock().unwrap().len();
        eventually(what, async || (self.answers.lock().unwrap().len() > before + 100).then_some(())).await;
        let answers = self.answers.lock().unwrap();
        let failed: Vec<_> = answers.iter().filter(|answer| *answer != "200").collect();
        assert!(failed.is_empty(), "{what}: {} of {} calls failed: {failed:?}", failed.len(), answers.len());
    }
}

/// Waits until `a` has as many endpoints of `hello` as this, all ready.
async fn reaches(http: &Http, a: &Atoll, count: usize) {
    eventually(&format!("`a` reaches {count} nodes"), async || {
        let service = http.get(&format!("{}/v1/services/hello", a.admin)).await.json();
        let endpoints = service["endpoints"].as_array()?;
        let ready = endpoints.iter().filter(|one| one["ready"] == true && one["id"].as_str().unwrap().contains('@'));
        (ready.count() == count).then_some(())
    })
    .await;
}

/// Each host is told to stop, and starts again as the other build; the way back, too. Each pair of versions calls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_upgrade_of_the_wire_and_the_way_back_fail_no_call() {
    let Some(server) = NatsServer::start().await else { return };
    let (authority, http) = (Authority::new(), Http::default());
    let homes = ["a", "b", "c"].map(|node| home(&server, &authority, node));
    let mut hosts = Vec::new();
    for home in &homes {
        hosts.push(home.start().await);
    }
    reaches(&http, &hosts[0], 2).await;
    let callers = Callers::begin(&hosts[0].gateway);
    callers.go_on("all speak the first version").await;
    for newest in [true, false] {
        for node in [1, 2, 0] {
            if node == 0 {
                callers.paused.store(true, Relaxed);
            }
            rebuild(&homes[node], newest);
            hosts.remove(node).stop().await;
            hosts.insert(node, homes[node].start().await);
            reaches(&http, &hosts[0], 2).await;
            *callers.gateway.lock().unwrap() = hosts[0].gateway.clone();
            callers.paused.store(false, Relaxed);
            callers.go_on(&format!("host {node} is another build, newest: {newest}")).await;
        }
    }
    drop(callers);
    for host in hosts {
        host.stop().await;
    }
    keep(authority);
}
