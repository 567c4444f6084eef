//! What one call leaves behind for the next: nothing with `isolation = "request"`, and everything that an instance
//! keeps with `isolation = "reuse"`.
//!
//! The guests leave marks wherever they can keep something, and report which marks they find. One guest is written as
//! WebAssembly text, because it reaches state that no language reaches (`marks.wat`). One is written in Rust
//! (`components/fixtures/marks`). Each is called by every protocol. The pool has few slots, so each slot is used
//! again and again, and all services share them.

mod after_the_answer;
mod marks_guest;
mod request;
mod reuse;
mod setters;
mod the_end_of_a_body;
mod what_a_guest_is_told;

use super::atoll::{Answer, Atoll, Home, Http, eventually};
use super::components::workspace;
use marks_guest::{PROTOCOLS, Protocol};
use serde_json::Value;
use std::fs;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Slots of the instance pool: far fewer than there are calls.
const SLOTS: usize = 8;
/// The fixtures in Rust: the name of the service, and the component.
const RUST: [(&str, &str); 2] = [("rust03", "fixture-marks"), ("rust02", "fixture-marks02")];

/// A running host with all guests. Each guest's section has these `lines`.
struct Host {
    atoll: Atoll,
    http: Http,
    _home: Home,
}

impl Host {
    async fn start(lines: &str) -> Self {
        Self::open(lines, 256).await
    }

    /// The same with one instance of each guest at a time, so that it is certain which instance a call finds. An
    /// answer can reach its client before the instance is ready for the next call; the next call then waits for it.
    async fn of_one(lines: &str) -> Self {
        Self::open(lines, 1).await
    }

    async fn open(lines: &str, concurrency: usize) -> Self {
        let cache = workspace().join("target/test-cache");
        let mut manifest = format!(
            "[gateway]\ntimeout = \"1m\"\n\n[runtime]\ncache = {:?}\ninstances = {SLOTS}\n",
            cache.display().to_string()
        );
        let mut service = |name: &str, component: &str| {
            manifest += &format!(
                "\n[service.{name}]\ncomponent = \"{component}\"\nbreaker = {{ failure_threshold = 1000 }}\n\
                 retry = {{ tries = 0 }}\n\
                 limits = {{ memory = \"64MiB\", timeout = \"1m\", concurrency = {concurrency}, wait = \"1m\" }}\n\
                 {lines}\n"
            );
            let call = |path: &str, function: &str| {
                format!("\n[[route]]\nmethod = \"GET\"\npath = \"/{name}/{path}\"\ncall = \"{name}/{function}\"\n")
            };
            manifest += &if name.starts_with(Protocol::Typed.service()) {
                call("visit", "marks#visit") + &call("trap", "marks#trap") + &call("has/{handle}", "marks#has")
            } else {
                format!("\n[[route]]\nprefix = \"/{name}\"\nstrip_prefix = \"/{name}\"\nservice = \"{name}\"\n")
            };
        };
        for protocol in PROTOCOLS {
            for name in [protocol.service().to_owned(), twin(protocol.service())] {
                service(&name, &format!("{}.wasm", protocol.service()));
            }
        }
        for (name, component) in RUST {
            for name in [name.to_owned(), twin(name)] {
                service(&name, &format!("{{component:{component}}}"));
            }
        }
        let home = Home::new(&manifest);
        for protocol in PROTOCOLS {
            fs::write(home.folder.path().join(format!("{}.wasm", protocol.service())), protocol.component()).unwrap();
        }
        Self { atoll: home.start().await, http: Http::default(), _home: home }
    }

    async fn get(&self, path: &str) -> Answer {
        self.http.get(&format!("{}{path}", self.atoll.gateway)).await
    }

    /// What the text guest answers to `/visit` or `/has/NUMBER`.
    async fn text(&self, protocol: Protocol, path: &str) -> String {
        self.text_at(protocol.service(), protocol, path).await
    }

    async fn text_at(&self, service: &str, protocol: Protocol, path: &str) -> String {
        let answer = self.get(&format!("/{service}{path}")).await;
        assert_eq!(answer.status, 200, "{service} {path}: {answer:?}");
        if protocol == Protocol::Typed {
            let answer = answer.json();
            return answer.as_str().map_or_else(|| u8::from(answer == true).to_string(), str::to_owned);
        }
        answer.header("x-marks").to_owned()
    }

    async fn visit(&self, protocol: Protocol) -> Visit {
        self.visit_at(protocol.service(), protocol).await
    }

    /// A visit of the text guest that runs as this service.
    async fn visit_at(&self, service: &str, protocol: Protocol) -> Visit {
        Visit::read(&self.text_at(service, protocol, "/visit").await)
    }

    /// Makes the guest leave its marks and then trap.
    async fn trap(&self, service: &str) {
        let answer = self.get(&format!("/{service}/trap")).await;
        assert_eq!(answer.problem()["type"], "urn:atoll:problem:trap", "{service}");
    }

    /// Starts a call of the Rust guest that lasts until the returned stream is dropped, and waits until `service` has
    /// `calls` calls under way.
    async fn sleeper(&self, service: &str, calls: usize) -> TcpStream {
        let mut stream = TcpStream::connect(self.atoll.gateway.trim_start_matches("http://")).await.unwrap();
        let request = format!("GET /{service}/sleep?ms=3600000 HTTP/1.1\r\nhost: marks.test\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        self.until_calls(service, calls).await;
        stream
    }

    /// Waits until `service` has `calls` calls under way.
    async fn until_calls(&self, service: &str, calls: usize) {
        let (start, end) = (format!("atoll_in_flight{{service=\"{service}\""), format!(" {calls}"));
        eventually("the calls are under way", async || {
            let metrics = self.http.get(&format!("{}/metrics", self.atoll.admin)).await;
            let text = String::from_utf8_lossy(&metrics.body);
            text.lines().any(|line| line.starts_with(&start) && line.ends_with(&end)).then_some(())
        })
        .await;
    }

    /// Waits until the log has a line of the service's standard output that is exactly this text.
    async fn wait_for_stdout_line(&self, service: &str, line: &str) {
        let (service, message) = (format!("\"service\":\"{service}\""), format!("\"message\":\"{line}\""));
        let matches = |logged: &String| logged.contains(&service) && logged.contains(&message);
        eventually(line, async || self.atoll.log().iter().any(matches).then_some(())).await;
    }

    /// What the Rust guest answers to `/visit`.
    async fn visit_rust(&self, service: &str) -> Value {
        let answer = self.get(&format!("/{service}/visit")).await;
        assert_eq!(answer.status, 200, "{service}: {answer:?}");
        answer.json()
    }
}

/// Another service of the same component.
fn twin(service: &str) -> String {
    format!("{service}-twin")
}

impl Protocol {
    /// The service that is called by this protocol.
    fn service(self) -> &'static str {
        match self {
            Self::Typed => "typed",
            Self::Http02 => "http02",
            Self::Http03 => "http03",
        }
    }
}

/// What a visit of the text guest found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Visit {
    /// One digit for each kind of state (`marks.wat` lists them), 1 where there was a mark.
    found: String,
    /// The number of the handle that the visit opened.
    handle: u32,
    /// The random number that the visit before kept; 0 if there was none.
    kept: u64,
    /// The random number that this visit drew and kept.
    random: u64,
}

/// No mark anywhere.
const CLEAN: &str = "00000000";
/// A mark in every kind of state.
const MARKED: &str = "11111111";

impl Visit {
    fn read(text: &str) -> Self {
        let [found, handle, kept, random] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("{text:?}") };
        let number = |digits: &str| u64::from_str_radix(digits, 16).unwrap();
        let handle = u32::try_from(number(handle)).unwrap();
        Self { found: found.to_owned(), handle, kept: number(kept), random: number(random) }
    }

    fn is_clean(&self) -> bool {
        self.found == CLEAN && self.kept == 0
    }
}
