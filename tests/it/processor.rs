//! Guests that compute without end: services share the processor, however many guests each has, and a guest that is
//! given up gives its slot back, whether it computes or waits for its turn.

use super::atoll::{Home, Http, eventually};
use super::components::workspace;
use futures_util::future::join_all;
use std::pin::pin;
use std::thread::available_parallelism;

const MANIFEST: &str = r#"
[gateway]
timeout = "5m"

[service.hungry]
component = "{component:fixture-hostile}"
limits = { timeout = "5m", concurrency = 1000 }

[service.modest]
component = "{component:fixture-hostile}"
limits = { timeout = "5m", concurrency = 1000 }

[service.hello]
component = "{component:fixture-hello}"

[[route]]
prefix = "/hungry"
strip_prefix = "/hungry"
service = "hungry"

[[route]]
prefix = "/modest"
strip_prefix = "/modest"
service = "modest"

[[route]]
prefix = "/"
service = "hello"
"#;

#[tokio::test]
async fn services_share_the_processor_however_many_of_their_guests_compute() {
    // As many loops of each service as there are cores: so each could fill all threads on which guests compute.
    let cores = available_parallelism().map_or(2, usize::from);
    let cache = workspace().join("target/test-cache");
    let runtime = format!("[runtime]\ncache = {:?}\ninstances = {}\n", cache.display().to_string(), 10 * cores + 20);
    let home = Home::new(&(runtime + MANIFEST));
    let atoll = home.start().await;
    let http = Http::default();
    let series = async |name: &str, service: &str| {
        let text = String::from_utf8(http.get(&format!("{}/metrics", atoll.admin)).await.body.to_vec()).unwrap();
        let series = format!("{name}{{service=\"{service}\"}} ");
        let value = text.lines().find_map(|line| line.strip_prefix(&series));
        value.unwrap_or_else(|| panic!("{series} is missing")).parse::<f64>().unwrap()
    };
    let loops = async |service: &str, count: usize| {
        let url = format!("{}/{service}/loop", atoll.gateway);
        join_all((0..count).map(|_| http.get(&url))).await
    };
    {
        let mut loops = pin!(async { tokio::join!(loops("hungry", 5 * cores), loops("modest", cores)) });
        let operator = async {
            let used = async || {
                let hello = http.get(&format!("{}/", atoll.gateway)).await;
                assert_eq!(hello.status, 200, "a neighbour is served meanwhile");
                let modest = series("atoll_computed_seconds_total", "modest").await;
                let hungry = series("atoll_computed_seconds_total", "hungry").await;
                (modest > 1.0).then_some((hungry, modest))
            };
            let (hungry, modest) = eventually("the modest service has computed for a second", used).await;
            assert!(hungry < 2.0 * modest, "five times as many loops got {hungry} s, and the others {modest} s");
        };
        tokio::select! {
            _ = &mut loops => panic!("an endless loop has ended"),
            () = operator => {}
        }
    }
    // Their clients have gone away.
    let given_back = async || {
        let held = series("atoll_pool_slots", "hungry").await + series("atoll_pool_slots", "modest").await;
        (held == 0.0).then_some(())
    };
    eventually("every slot was given back", given_back).await;
}

/// Both services could fill all threads on which guests compute, and have all loops that they can use.
#[tokio::test]
async fn a_service_of_weight_four_computes_for_longer_than_one_of_weight_one() {
    let cores = available_parallelism().map_or(2, usize::from);
    let cache = workspace().join("target/test-cache");
    let runtime = format!("[runtime]\ncache = {:?}\ninstances = {}\n", cache.display().to_string(), 10 * cores + 20);
    let weighty = MANIFEST.replacen("concurrency = 1000", "concurrency = 1000, share = 4", 1);
    let home = Home::new(&(runtime + &weighty));
    let atoll = home.start().await;
    let http = Http::default();
    let loops = async |service: &str| {
        let url = format!("{}/{service}/loop", atoll.gateway);
        join_all((0..3 * cores).map(|_| http.get(&url))).await
    };
    let computed = async || {
        let text = String::from_utf8(http.get(&format!("{}/metrics", atoll.admin)).await.body.to_vec()).unwrap();
        ["hungry", "modest"].map(|service| {
            let series = format!("atoll_computed_seconds_total{{service=\"{service}\"}} ");
            let value = text.lines().find_map(|line| line.strip_prefix(&series)).expect("it is there from the start");
            value.parse::<f64>().unwrap()
        })
    };
    let operator = async {
        let used = async || {
            let [hungry, modest] = computed().await;
            (modest > 1.0).then_some((hungry, modest))
        };
        let (hungry, modest) = eventually("the service of weight 1 has computed for a second", used).await;
        // Four times as long, but for what came before both had all their loops.
        assert!(hungry > 2.0 * modest, "weight 4 got {hungry} s, and weight 1 {modest} s");
    };
    tokio::select! {
        _ = async { tokio::join!(loops("hungry"), loops("modest")) } => panic!("an endless loop has ended"),
        () = operator => {}
    }
}
