//! What a host remembers of its revisions.

use super::*;

const HISTORY: &str = "\n[history]\nrevisions = 5\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_swapped_in_serves_after_a_restart_until_the_manifest_names_another_component() {
    let home = Home::new(&manifest(HISTORY));
    let (atoll, http) = (home.start().await, Http::default());
    let (conduct, component) = revision(0, 0, 'b');
    assert_eq!(begin(&http, &atoll, &component, "").await.status, 200);
    atoll.stop().await;
    let atoll = home.start().await;
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, conduct.as_bytes());
    let service = http.get(&format!("{}/v1/services/fickle", atoll.admin)).await.json();
    assert_eq!((&service["differs_from_manifest"], &service["lasts"]), (&true.into(), &true.into()));
    atoll.logged("serves in place of the manifest's component").await;
    let ps = home.output(&["ps", "--admin", &atoll.admin]).await;
    assert!(String::from_utf8_lossy(&ps.stdout).contains("`atoll adopt` makes it the manifest's"), "{ps:?}");
    atoll.stop().await;
    // A manifest with another component is newer than the swap.
    let (newer, component) = revision(0, 0, 'z');
    let file = home.folder.path().join("newer.wasm");
    fs::write(&file, component).unwrap();
    let path = super::component("fixture-fickle").display().to_string();
    home.write(&manifest(HISTORY).replace("{component:fixture-fickle}", "newer.wasm"));
    let atoll = home.start().await;
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, newer.as_bytes(), "{path}");
    atoll.logged("names another component than before").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_finds_its_way_through_the_history_after_a_restart_too() {
    let home = Home::new(&manifest(HISTORY));
    let (atoll, http) = (home.start().await, Http::default());
    let all: Vec<_> = ['b', 'c', 'd'].map(|mark| revision(0, 0, mark)).into();
    for (_, component) in &all {
        assert_eq!(begin(&http, &atoll, component, "").await.status, 200);
    }
    atoll.stop().await;
    let atoll = home.start().await;
    let body = async || String::from_utf8_lossy(&http.get(&format!("{}/http", atoll.gateway)).await.body).into_owned();
    assert_eq!(body().await, all[2].0);
    let rollback = async |revision: &[&str]| {
        let arguments = [&["rollback", "fickle"], revision, &["--admin", &atoll.admin]].concat();
        home.output(&arguments).await
    };
    let output = rollback(&[]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(body().await, all[1].0, "the one before");
    let digest = host::base::Digest::of(&all[0].1).to_string();
    assert!(rollback(&[&digest[..8]]).await.status.success());
    assert_eq!(body().await, all[0].0, "the one that was named");
    assert!(rollback(&[&digest[..8]]).await.status.success());
    let service = http.get(&format!("{}/v1/services/fickle", atoll.admin)).await.json();
    let before = host::base::Digest::of(&all[1].1).short();
    assert_eq!(service["previous"], before, "what serves is not the one before itself: {service}");
    let unknown = rollback(&["ffffffffff"]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("atoll history fickle"), "{unknown:?}");
    let manifests = host::base::Digest::of(&fs::read(super::component("fixture-fickle")).unwrap()).to_string();
    assert!(rollback(&[&manifests[..12]]).await.status.success(), "the manifest's own");
    assert_eq!(body().await, STABLE);
    atoll.stop().await;
    let atoll = home.start().await;
    let service = http.get(&format!("{}/v1/services/fickle", atoll.admin)).await.json();
    assert_eq!(service["differs_from_manifest"], false, "{service}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_that_the_disk_does_not_take_says_so_and_is_ordered_once_more() {
    let home = Home::new(&manifest(HISTORY));
    let (atoll, http) = (home.start().await, Http::default());
    assert_eq!(begin(&http, &atoll, &revision(0, 0, 'b').1, "").await.status, 200);
    // The record is written here before it gets its name: a folder in its place is as a disk that is full.
    let aside = home.folder.path().join(".atoll/history/services/fickle.tmp");
    fs::create_dir(&aside).unwrap();
    let manifests = host::base::Digest::of(&fs::read(super::component("fixture-fickle")).unwrap()).short();
    let admin = atoll.admin.clone();
    let rollback = async |revision: &[&str]| {
        home.output(&[&["rollback", "fickle"], revision, &["--admin", &admin]].concat()).await
    };
    let output = rollback(&[]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("serves again, but the disk has not taken that"), "{said}");
    assert!(said.contains(&format!("`atoll rollback fickle {manifests}`")), "{said}");
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, STABLE.as_bytes(), "it serves all the same");
    fs::remove_dir(&aside).unwrap();
    let output = rollback(&[&manifests]).await;
    assert!(output.status.success(), "{output:?}");
    // What is on the disk alone counts from now on.
    atoll.kill().await;
    let atoll = home.start().await;
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, STABLE.as_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adopt_refuses_a_file_that_is_another_services_component_too() {
    let more = "\n[service.second]\ncomponent = \"./fickle.wasm\"\n";
    let home = Home::new(&(manifest(HISTORY).replace("{component:fixture-fickle}", "fickle.wasm") + more));
    let file = home.folder.path().join("fickle.wasm");
    fs::copy(super::component("fixture-fickle"), &file).unwrap();
    let (atoll, http) = (home.start().await, Http::default());
    assert_eq!(begin(&http, &atoll, &revision(0, 0, 'b').1, "").await.status, 200);
    let output = home.output(&["adopt", "fickle", "--admin", &atoll.admin]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("is the component of service `second` too"), "{said}");
    assert!(fs::read(&file).unwrap() == fs::read(super::component("fixture-fickle")).unwrap(), "it is as it was");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn adopt_writes_what_serves_over_the_manifests_file() {
    let home = Home::new(&manifest(HISTORY).replace("{component:fixture-fickle}", "fickle.wasm"));
    let file = home.folder.path().join("fickle.wasm");
    fs::copy(super::component("fixture-fickle"), &file).unwrap();
    let (atoll, http) = (home.start().await, Http::default());
    let (conduct, component) = revision(0, 0, 'b');
    assert_eq!(begin(&http, &atoll, &component, "").await.status, 200);
    let output = home.output(&["adopt", "fickle", "--admin", &atoll.admin]).await;
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read(&file).unwrap(), component);
    let service = http.get(&format!("{}/v1/services/fickle", atoll.admin)).await.json();
    assert_eq!(service["differs_from_manifest"], false);
    atoll.stop().await;
    let atoll = home.start().await;
    assert_eq!(http.get(&format!("{}/http", atoll.gateway)).await.body, conduct.as_bytes());
    assert!(!atoll.log().iter().any(|line| line.contains("in place of the manifest's")));
}
