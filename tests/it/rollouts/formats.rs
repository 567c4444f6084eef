//! The number of the format through all ways in which a revision can begin to serve.

use super::keeper::{begin, data, fill, format, get, manifest, put, revision, unnumbered};
use super::*;

/// The first digit of each value: the format in which it is.
async fn digits(http: &Http, atoll: &Atoll) -> Vec<String> {
    let lines = data(http, atoll).await;
    let mut digits: Vec<_> = lines.iter().filter_map(|line| Some(line["value"].as_str()?[..1].to_owned())).collect();
    digits.sort();
    digits.dedup();
    digits
}

async fn rollback(http: &Http, atoll: &Atoll) -> Answer {
    let url = format!("{}/v1/services/keeper/rollback", atoll.admin);
    http.try_send(Request::post(url).body(Full::default()).unwrap()).await.unwrap()
}

/// Has the manifest name `bytes` as the component of `keeper`.
fn name_component(home: &Home, file: &str, bytes: &Bytes) {
    fs::write(home.folder.path().join(file), bytes).unwrap();
    let text = fs::read_to_string(home.manifest()).unwrap();
    let line = text.lines().find(|line| line.starts_with("component = ")).unwrap().to_owned();
    fs::write(home.manifest(), text.replace(&line, &format!("component = \"{file}\""))).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_without_the_interface_serves_no_data_that_were_migrated() {
    let home = Home::new(&manifest(""));
    name_component(&home, "first.wasm", &unnumbered('a'));
    let (atoll, http) = (home.start().await, Http::default());
    fill(&http, &atoll, 6).await;
    assert_eq!((format(&http, &atoll).await, digits(&http, &atoll).await), (Value::Null, vec!["0".to_owned()]));
    let second = revision(1, "runs", 'b');
    assert_eq!(begin(&http, &atoll, &second, "").await.status, 200);
    assert_eq!((format(&http, &atoll).await, digits(&http, &atoll).await), (1.into(), vec!["1".to_owned()]));
    for refused in [rollback(&http, &atoll).await, begin(&http, &atoll, &unnumbered('c'), "").await] {
        assert_eq!(refused.status, 409, "{:?}", refused.body);
        let detail = refused.problem()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("have format 1, and this revision keeps format 0"), "{detail}");
    }
    // Data that are gone have no format: the older revision may come, writes, and what it writes is migrated.
    super::migrations::erase(&http, &atoll).await;
    let back = rollback(&http, &atoll).await;
    assert_eq!(back.status, 200, "{:?}", back.body);
    put(&http, &atoll, "k001", "text 1").await;
    assert_eq!((format(&http, &atoll).await, digits(&http, &atoll).await), (Value::Null, vec!["0".to_owned()]));
    assert_eq!(begin(&http, &atoll, &second, "").await.status, 200);
    assert_eq!((format(&http, &atoll).await, digits(&http, &atoll).await), (1.into(), vec!["1".to_owned()]));
    assert_eq!(get(&http, &atoll, "k001").await.json(), "text 1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swap_brings_back_a_service_that_was_left_out_at_the_start() {
    let home = Home::new(&manifest(""));
    name_component(&home, "first.wasm", &unnumbered('a'));
    let (atoll, http) = (home.start().await, Http::default());
    fill(&http, &atoll, 3).await;
    assert_eq!(begin(&http, &atoll, &revision(1, "runs", 'b'), "").await.status, 200);
    atoll.stop().await;
    // Without its history the host knows the manifest's component alone, which cannot read the data.
    fs::remove_dir_all(home.folder.path().join(".atoll/history")).unwrap();
    let atoll = home.start().await;
    atoll.logged("have format 1, and this revision keeps format 0").await;
    assert_eq!(http.get(&format!("{}/readyz", atoll.admin)).await.status, 503);
    let back = begin(&http, &atoll, &revision(1, "runs", 'c'), "?canary=5%25").await;
    assert_eq!(back.status, 200, "{:?}", back.body);
    assert_eq!(get(&http, &atoll, "k001").await.json(), "text 1");
    assert_eq!(http.get(&format!("{}/readyz", atoll.admin)).await.status, 200);
    atoll.stop().await;
    let atoll = home.start().await;
    assert_eq!(get(&http, &atoll, "k001").await.json(), "text 1", "what was swapped in lasts");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_cannot_serve_forgets_nothing_that_was_promoted() {
    let home = Home::new(&manifest(""));
    let first: Bytes = fs::read(component("fixture-keeper")).unwrap().into();
    name_component(&home, "first.wasm", &first);
    let (atoll, http) = (home.start().await, Http::default());
    fill(&http, &atoll, 12).await;
    assert_eq!(begin(&http, &atoll, &revision(2, "runs", 'a'), "").await.status, 200);
    atoll.stop().await;
    name_component(&home, "third.wasm", &revision(3, "errs", 'a'));
    let atoll = home.start().await;
    atoll.logged("cannot be brought from format 2").await;
    atoll.stop().await;
    // The manifest of before: what was promoted in place of its component serves.
    name_component(&home, "first.wasm", &first);
    let atoll = home.start().await;
    assert_eq!(get(&http, &atoll, "k003").await.json(), "text 3");
    assert_eq!(format(&http, &atoll).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_is_applied_notes_the_format_of_what_comes() {
    let home = Home::new(&manifest(""));
    let (atoll, http) = (home.start().await, Http::default());
    assert_eq!(format(&http, &atoll).await, 1);
    name_component(&home, "next.wasm", &revision(2, "runs", 'a'));
    let request = Request::post(format!("{}/v1/apply", atoll.admin)).header("content-type", "application/toml");
    let applied = http.send(request, fs::read_to_string(home.manifest()).unwrap()).await;
    assert_eq!(applied.status, 200, "{:?}", applied.body);
    assert_eq!(format(&http, &atoll).await, 2);
    put(&http, &atoll, "k001", "text 1").await;
    assert_eq!(begin(&http, &atoll, &revision(1, "runs", 'b'), "").await.status, 409);
    assert_eq!(begin(&http, &atoll, &revision(3, "runs", 'b'), "").await.status, 200);
    assert_eq!(digits(&http, &atoll).await, ["3"]);
}

/// Calls that write new keys all the time, and one key again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_swap_under_load_all_data_have_one_format() {
    let home = Home::new(&manifest(""));
    let (atoll, http) = (Arc::new(home.start().await), Http::default());
    fill(&http, &atoll, 40).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<JoinHandle<usize>> = (0..4)
        .map(|writer| {
            let (atoll, stop, http) = (Arc::clone(&atoll), Arc::clone(&stop), Http::default());
            tokio::spawn(async move {
                let mut written = 0;
                while !stop.load(Ordering::Relaxed) {
                    put(&http, &atoll, &format!("w{writer}-{written:05}"), "x").await;
                    if written % 50 == 0 {
                        put(&http, &atoll, "k007", "text 7").await;
                    }
                    written += 1;
                }
                written
            })
        })
        .collect();
    for next in 2..=4 {
        loop {
            let swapped = begin(&http, &atoll, &revision(next, "runs", 'a'), "").await;
            if swapped.status == 200 {
                break;
            }
            let detail = swapped.problem()["detail"].as_str().unwrap().to_owned();
            assert!(detail.contains("lost against calls that changed the same keys"), "{detail}");
        }
    }
    stop.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    // The last sweep waits for the calls of the revision before, and the answer to the swap waits a second at most.
    eventually("one format", async || (digits(&http, &atoll).await == ["4"]).then_some(())).await;
    assert_eq!(data(&http, &atoll).await.len(), written + 41, "nothing is lost");
}
