//! A manifest that is applied is served as if the host had been started with it.
//!
//! `ATOLL_PAIRS=200` tries as many pairs of random manifests; without it a few. `just apply-pairs` does.

use super::*;

/// A generator of Vigna (splitmix64): a seed makes the same manifests on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let at = self.below(of.len() as u64);
        of[usize::try_from(at).unwrap()]
    }
}

const SERVICE_KEYS: [&str; 8] = [
    "",
    "replicas = 2\n",
    "limits.timeout = \"5s\"\n",
    "requires = [\"a:b\"]\n",
    "breaker = { failure_threshold = 3 }\n",
    "retry = { tries = 1 }\n",
    "fault = { error = \"100%\" }\n",
    "limits.body = \"1kB\"\nbalance = \"round-robin\"\n",
];
const ROUTE_KEYS: [&str; 8] = [
    "",
    "timeout = \"7s\"\n",
    "limit = [\"wide\"]\n",
    "allow = [\"192.0.2.0/24\"]\n",
    "cache.ttl = \"1h\"\n",
    "compress = true\n",
    "answer_headers = { set = { X-Set = \"yes\" } }\n",
    "cors.origins = [\"https://shop.example\"]\n",
];

fn random(dice: &mut Dice) -> String {
    let rate = dice.pick(&["100/10s", "1000/1s"]);
    let mut text = format!(
        "[gateway]\n{}[limit.wide]\nrate = \"{rate}\"\n",
        dice.pick(&["", "timeout = \"9s\"\n", "timeout = \"8s\"\n"])
    );
    let mut services = Vec::new();
    for (name, component) in [("hello", "fixture-hello"), ("fickle", "fixture-fickle"), ("third", "fixture-hello")] {
        if dice.below(4) > 0 {
            services.push(name);
            let keys = dice.pick(&SERVICE_KEYS);
            text += &format!("[service.{name}]\ncomponent = \"{{component:{component}}}\"\n{keys}");
        }
    }
    let mut routes = Vec::new();
    for service in &services {
        for path in ["a", "b"] {
            if dice.below(3) > 0 {
                let keys = dice.pick(&ROUTE_KEYS);
                routes.push(format!("[[route]]\npath = \"/{service}/{path}\"\nservice = \"{service}\"\n{keys}"));
            }
        }
        if *service == "fickle" && dice.below(3) > 0 {
            let path = dice.pick(&["/roll", "/roll/again"]);
            routes.push(format!("[[route]]\npath = \"{path}\"\nmethod = \"GET\"\ncall = \"fickle/dice#roll\"\n"));
        }
    }
    if dice.below(2) == 0 {
        routes.push("[[route]]\npath = \"/old\"\nredirect = \"https://shop.example/\"\n".into());
        routes.reverse();
    }
    text + &routes.concat()
}

/// What operators and clients see, without what depends on the time and on what was counted.
async fn seen(http: &Http, atoll: &Atoll) -> String {
    let mut seen = String::new();
    for path in ["/v1/routes", "/v1/services", "/v1/limits", "/v1/faults"] {
        let mut view = http.get(&format!("{}{path}", atoll.admin)).await.json();
        forget(&mut view);
        seen += &format!("{path} {view:#}\n");
    }
    let probes =
        ["/hello/a", "/hello/b", "/fickle/a", "/fickle/b", "/third/a", "/third/b", "/roll", "/roll/again", "/old"];
    for path in probes {
        // An open circuit outlives the manifest whose fault on purpose has opened it: what is as before keeps it.
        let answer = eventually("the circuit lets a call through", async || {
            let answer = http.get(&format!("{}{path}", atoll.gateway)).await;
            (answer.status != 503).then_some(answer)
        })
        .await;
        let fields: Vec<_> = ["x-set", "vary", "ratelimit-policy"].map(|name| answer.header(name).to_owned()).into();
        seen += &format!("{path} {} {fields:?}\n", answer.status);
    }
    let document = http.get(&format!("{}/openapi.json", atoll.gateway)).await;
    seen += &String::from_utf8_lossy(&document.body);
    seen
}

fn forget(view: &mut Value) {
    const OF_THE_TIME: [&str; 16] = [
        "since",
        "age_seconds",
        "requests",
        "failures",
        "in_flight",
        "previous",
        "admitted",
        "refused",
        "keys",
        "shared",
        "breaker",
        "id",
        "serving_seconds",
        "latency_ms",
        "last_error",
        "balancer_ms",
    ];
    match view {
        Value::Object(object) => {
            object.retain(|key, _| !OF_THE_TIME.contains(&key.as_str()));
            object.values_mut().for_each(forget);
        }
        Value::Array(all) => all.iter_mut().for_each(forget),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_is_applied_is_served_as_after_a_fresh_start() {
    #[expect(clippy::disallowed_methods, reason = "a person sets it, to try more pairs")]
    let pairs = std::env::var("ATOLL_PAIRS").ok().and_then(|pairs| pairs.parse().ok()).unwrap_or(5_u64);
    let (mut dice, http) = (Dice(19), Http::default());
    let home = Home::new(&random(&mut dice));
    let atoll = home.start().await;
    for pair in 0..pairs {
        let next = random(&mut dice);
        write(&home, &next);
        let applied = home.output(&["apply", "--yes"]).await;
        assert_eq!(applied.status.code(), Some(0), "{pair}: {next}\n{}", err(&applied));
        let fresh = Home::new(&next);
        let other = fresh.start().await;
        let (applied, started) = (seen(&http, &atoll).await, seen(&http, &other).await);
        similar(&applied, &started, &format!("pair {pair}:\n{next}"));
        other.kill().await;
    }
}

/// Fails with the first line that differs.
fn similar(applied: &str, started: &str, what: &str) {
    let differs = applied.lines().zip(started.lines()).find(|(one, other)| one != other);
    assert!(differs.is_none() && applied.len() == started.len(), "{differs:?}\n{what}\n{applied}\n{started}");
}
